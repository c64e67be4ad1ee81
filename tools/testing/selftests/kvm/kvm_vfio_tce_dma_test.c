// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device sees of TCE tables: a card (an emulated e1000e), which the test
 * drives through VFIO, does DMA by the entries that a guest sets by hypercalls.
 *
 * The card is in loopback mode, so it copies memory from the bus address in one
 * descriptor to that in another.  Its rings and the other end of each copy stay
 * mapped.  So a copy always ends, and if it has no effect this is due to the
 * entry under test.
 *
 * The emulated host bridge logs a refused access (in QEMU's log); it neither
 * freezes the device nor caches translations.  After each refusal an allowed
 * access must work, so that a frozen bridge is not taken for a refusal.
 *
 * "defectN_" tests fail on kernels with defect N of the stock code.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "kselftest_harness.h"
#include "vfio_tce_test.h"
#include "vfio_util.h"

#ifdef __KVM_HAVE_SPAPR_TCE
/* Several emulated machines run at a time.  Whatever takes this long hangs. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	120

#define LARGE_WINDOW	(256 * MIB)	/* except for the default window */
#define HUGE_SIZE	(16 * MIB)
#define HUGE_GPA	0x10000000000UL
#define SMALL_GPA	(2 * MIB)

/*
 * Pages of IOMMU page size for the card, by number; 0 is none.  The first few
 * are mapped by the entries with the same numbers, and stay mapped.
 */
enum {
	NOWHERE, RINGS, SOURCE, SINK, FIRST, PAGES = 16,
	SCATTERED = PAGES,	/* partly, or in several */
};

/*
 * The card
 */
#define CARD_BAR_SIZE	0x4000UL
#define CARD_CTRL	0x0000
#define CARD_CTRL_RST		0x04000000U
#define CARD_STATUS	0x0008
#define CARD_STATUS_LU		0x2U
#define CARD_IMC	0x00d8
#define CARD_RCTL	0x0100
#define CARD_RCTL_EN		0x2U
#define CARD_RCTL_UPE		0x8U	/* any address, */
#define CARD_RCTL_MPE		0x10U
#define CARD_RCTL_LOOPBACK	0x40U	/* of what it sends itself, */
#define CARD_RCTL_SECRC		0x04000000U	/* without a checksum behind it */
#define CARD_TCTL	0x0400
#define CARD_TCTL_EN		0x2U
#define CARD_TCTL_PSP		0x8U
#define CARD_RX		0x2800			/* a ring's registers, from there: */
#define CARD_TX		0x3800
#define CARD_RING_LOW		0x00
#define CARD_RING_HIGH		0x04
#define CARD_RING_LENGTH	0x08
#define CARD_RING_HEAD		0x10
#define CARD_RING_TAIL		0x18
#define CARD_TX_COMMAND		0x0b000000U	/* end of packet, add FCS, report */
#define CARD_DONE		1U

#define RING_ENTRIES	8
#define RING_SIZE	(RING_ENTRIES * sizeof(struct card_desc))

/* Of both rings; @command is 0 for receiving. */
struct card_desc {
	uint64_t address;
	uint32_t command;	/* and length */
	uint32_t status;
};

struct card {
	int device;
	uint8_t *bar;
	size_t bar_size;
	struct card_desc *rx;
	struct card_desc *tx;
};

/* A made-up packet, of an experimental Ethernet type */
#define PACKET_SIZE	128
#define PACKET_HEADER	14

static uint32_t card_read(const struct card *card, unsigned int reg)
{
	return __atomic_load_n((uint32_t *)(card->bar + reg), __ATOMIC_SEQ_CST);
}

static void card_write(const struct card *card, unsigned int reg, uint32_t value)
{
	__sync_synchronize();
	__atomic_store_n((uint32_t *)(card->bar + reg), value, __ATOMIC_SEQ_CST);
	__sync_synchronize();
}

/* Waits until the bits in @mask are @want. */
static void card_wait(const struct card *card, unsigned int reg, uint32_t mask,
		      uint32_t want)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while ((card_read(card, reg) & mask) != want) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		VFIO_ASSERT(now.tv_sec - start.tv_sec < 30,
			    "register %#x of the card is %#x", reg,
			    card_read(card, reg));
		sched_yield();
	}
}

static void card_enable(int device)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	VFIO_ASSERT(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info),
		    "VFIO_DEVICE_GET_REGION_INFO");
	VFIO_ASSERT(pwrite(device, &command, sizeof(command),
			   info.offset + PCI_COMMAND) == sizeof(command),
		    "write the PCI command");
}

static void card_ring(const struct card *card, unsigned int regs, uint64_t bus)
{
	card_write(card, regs + CARD_RING_LOW, (uint32_t)bus);
	card_write(card, regs + CARD_RING_HIGH, bus >> 32);
	card_write(card, regs + CARD_RING_LENGTH, RING_SIZE);
	card_write(card, regs + CARD_RING_HEAD, 0);
	card_write(card, regs + CARD_RING_TAIL, 0);
}

/* The rings are at @va; the card sees them at @bus. */
static void card_open(struct card *card, int device, void *va, uint64_t bus)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_BAR0_REGION_INDEX,
	};

	VFIO_ASSERT(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info),
		    "VFIO_DEVICE_GET_REGION_INFO");
	card->device = device;
	card->bar_size = info.size;
	card->bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 device, info.offset);
	VFIO_ASSERT(card->bar != MAP_FAILED && info.size >= CARD_BAR_SIZE,
		    "map the registers of the card");
	card->rx = va;
	card->tx = (struct card_desc *)va + RING_ENTRIES;
	memset(va, 0, 2 * RING_SIZE);
	card_enable(device);
	card_write(card, CARD_CTRL, CARD_CTRL_RST);
	card_wait(card, CARD_CTRL, CARD_CTRL_RST, 0);
	card_wait(card, CARD_STATUS, CARD_STATUS_LU, CARD_STATUS_LU);
	card_write(card, CARD_IMC, ~0U);
	card_ring(card, CARD_RX, bus);
	card_ring(card, CARD_TX, bus + RING_SIZE);
	card_write(card, CARD_RCTL, CARD_RCTL_EN | CARD_RCTL_UPE | CARD_RCTL_MPE |
				    CARD_RCTL_LOOPBACK | CARD_RCTL_SECRC);
	card_write(card, CARD_TCTL, CARD_TCTL_EN | CARD_TCTL_PSP);
}

/*
 * The card reads a packet at one bus address and writes it at the other.  It
 * reports last, through the ring, that the packet was sent.
 */
static void card_copy(const struct card *card, uint64_t to, uint64_t from)
{
	uint32_t rx = card_read(card, CARD_RX + CARD_RING_HEAD);
	uint32_t tx = card_read(card, CARD_TX + CARD_RING_HEAD);
	uint32_t next = (tx + 1) % RING_ENTRIES;

	card->rx[rx] = (struct card_desc){ .address = to };
	card->tx[tx] = (struct card_desc){
		.address = from,
		.command = CARD_TX_COMMAND | PACKET_SIZE,
	};
	card_write(card, CARD_RX + CARD_RING_TAIL, (rx + 1) % RING_ENTRIES);
	card_write(card, CARD_TX + CARD_RING_TAIL, next);
	card_wait(card, CARD_TX + CARD_RING_HEAD, ~0U, next);
	VFIO_ASSERT(__atomic_load_n(&card->tx[tx].status, __ATOMIC_SEQ_CST) & CARD_DONE,
		    "the card cannot write to its ring");
}

/* Open files and memory of the tests */
static struct vfio_test_device devices[2];

/*
 * State of a test (a process of its own): a window, and the VM's table for it
 */
static struct {
	struct ppc64_vm vm;
	struct ppc64_vcpu vcpu;
	int dev;
	int container;
	int group;
	int table;
	unsigned int shift;	/* of the table */
	bool huge;		/* pages of the host */
	uint64_t start;		/* of the window, on the bus */
	uint64_t window;	/* its size */
	uint64_t gpa;		/* of page number 0, for the guest */
	uint8_t *va;		/* and in this process */
	struct card card;
} lab;

FIXTURE(dma)
{
	struct vfio_before before;
};

enum window {
	DEFAULT_WINDOW,		/* below 4 GiB, 4 KiB pages */
	ANOTHER_WINDOW,		/* in its place */
	SECOND_WINDOW,		/* beside it, at 1 << 59 */
};

FIXTURE_VARIANT(dma)
{
	enum window window;
	unsigned int shift;	/* of the table, 0: as the window */
};

FIXTURE_VARIANT_ADD(dma, default_window) {
	.window = DEFAULT_WINDOW, .shift = 12,
};

/* Each page of the guest is 16 pages of the hardware. */
FIXTURE_VARIANT_ADD(dma, large_pages) {
	.window = ANOTHER_WINDOW, .shift = 16,
};

FIXTURE_VARIANT_ADD(dma, second_window) {
	.window = SECOND_WINDOW,
};

static struct host_number huge_pages = { .path = "/proc/sys/vm/nr_hugepages" };

/*
 * The second window has pages of 64 KiB if the host has pages that large: a
 * kernel with 64 KiB pages, or with huge pages, which POWER9 has with the
 * kernel parameter disable_radix.
 */
static bool has_huge_pages(void)
{
	return !access(huge_pages.path, F_OK);
}

static unsigned int second_shift(void)
{
	return getpagesize() >= 65536 || has_huge_pages() ? 16 : 12;
}

/*
 * A shared mapping, as QEMU has for guest memory on hugetlbfs.  Where a huge
 * page has several entries in the page table (16 MiB with the hash MMU and 4
 * KiB pages), a write to a private mapping makes only the first one writable:
 * pinning the second one for writing then faults for ever (seen in 6.12).
 */
static uint8_t *huge_memory(void)
{
	void *va = mmap(NULL, HUGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	VFIO_ASSERT(va != MAP_FAILED, "no huge pages");
	return va;
}

static int open_container(int group)
{
	int container = vfio_container_open();

	vfio_group_set_container(group, container);
	vfio_container_use_iommu(container);
	VFIO_ASSERT(!__vfio_memory_register(container, lab.vm.memory, MEMORY),
		    "register memory");
	VFIO_ASSERT(!lab.huge ||
		    !__vfio_memory_register(container, lab.va, HUGE_SIZE),
		    "register huge pages");
	return container;
}

static void open_window(int container, enum window window)
{
	lab.window = LARGE_WINDOW;
	if (window == ANOTHER_WINDOW) {
		tce_window_drop_default(container);
		lab.start = tce_window_create(container, 12, LARGE_WINDOW);
		return;
	}
	lab.start = 0;
	lab.window = vfio_default_window(container);
	if (window == DEFAULT_WINDOW)
		return;
	lab.window = LARGE_WINDOW;
	lab.start = tce_window_create(container, lab.shift, LARGE_WINDOW);
	VFIO_ASSERT(lab.start == 1UL << 59, "the second window is at %#llx",
		    (unsigned long long)lab.start);
}

static void open_table(void)
{
	lab.table = tce_table(lab.vm.fd, LIOBN, lab.shift, lab.start >> lab.shift,
			      lab.window >> lab.shift);
	VFIO_ASSERT(!__kvm_vfio_set_spapr_tce(lab.dev, lab.group, lab.table),
		    "SET_SPAPR_TCE");
}

static uint64_t bus(unsigned int entry)
{
	return lab.start + ((uint64_t)entry << lab.shift);
}

static uint64_t page_gpa(unsigned int page)
{
	return lab.gpa + ((uint64_t)page << lab.shift);
}

static long put(unsigned int entry, unsigned int page, uint64_t permissions)
{
	return h_put_tce(&lab.vcpu, LIOBN, bus(entry),
			 permissions ? page_gpa(page) | permissions : 0);
}

static uint8_t *page_va(unsigned int page)
{
	return lab.va + ((uint64_t)page << lab.shift);
}

static void open_card(struct card *card, unsigned int nr, int group)
{
	size_t offset = nr * 2 * RING_SIZE;

	card_open(card, vfio_group_device(group, devices[nr].bdf),
		  page_va(RINGS) + offset, bus(RINGS) + offset);
}

FIXTURE_SETUP(dma)
{
	unsigned int i;

	vfio_remember(&self->before);
	lab.shift = variant->shift ?: second_shift();
	lab.huge = variant->window == SECOND_WINDOW && getpagesize() < 65536 &&
		   has_huge_pages();
	ppc64_vm_open(&lab.vm, MEMORY);
	ppc64_vcpu_open(&lab.vcpu, &lab.vm);
	lab.gpa = SMALL_GPA;
	lab.va = lab.vm.memory + SMALL_GPA;
	if (lab.huge) {
		lab.gpa = HUGE_GPA;
		lab.va = huge_memory();
		ppc64_vm_slot(&lab.vm, 1, 0, HUGE_GPA, lab.va, HUGE_SIZE);
	}
	lab.dev = kvm_vfio_create(lab.vm.fd);
	lab.group = vfio_group_open(devices[0].group);
	lab.container = open_container(lab.group);
	open_window(lab.container, variant->window);
	kvm_vfio_add(lab.dev, lab.group);
	open_table();
	for (i = RINGS; i < FIRST; i++)
		ASSERT_EQ(H_SUCCESS, put(i, i, TCE_RW));
	open_card(&lab.card, 0, lab.group);
}

FIXTURE_TEARDOWN(dma)
{
	ppc64_vcpu_close(&lab.vcpu);
	munmap(lab.card.bar, lab.card.bar_size);
	vfio_close_all(&self->before);
	EXPECT_TRUE(vfio_nothing_left(&self->before));
}

/*
 * What the card reaches
 */

/* A pattern that differs in each page, and each time */
static void packet_fill(uint8_t *va, unsigned int page)
{
	static unsigned int round;
	unsigned int i;

	memset(va, 0, PACKET_HEADER);
	va[12] = 0x88;
	va[13] = 0xb5;
	round++;
	for (i = PACKET_HEADER; i < PACKET_SIZE; i++)
		va[i] = round + i * (2 * page + 1);
}

static bool untouched(const uint8_t *va)
{
	unsigned int i;

	for (i = 0; i < PACKET_SIZE; i++)
		if (va[i] != 0xee)
			return false;
	return true;
}

/* The page that changes if the card writes at offset @at of @entry */
static unsigned int written_at(const struct card *card, unsigned int entry, uint64_t at)
{
	unsigned int i, found = NOWHERE;
	uint8_t *va;

	packet_fill(page_va(SOURCE), SOURCE);
	for (i = SINK; i < PAGES; i++)
		memset(page_va(i) + at, 0xee, PACKET_SIZE);
	card_copy(card, bus(entry) + at, bus(SOURCE));
	for (i = SINK; i < PAGES; i++) {
		va = page_va(i) + at;
		if (untouched(va))
			continue;
		if (found || memcmp(va, page_va(SOURCE), PACKET_SIZE))
			return SCATTERED;
		found = i;
	}
	return found;
}

/* The page that the card reads from at offset @at of @entry */
static unsigned int read_at(const struct card *card, unsigned int entry, uint64_t at)
{
	uint8_t *sink = page_va(SINK);
	unsigned int i, found = NOWHERE;

	for (i = SOURCE; i < PAGES; i++)
		if (i != SINK)
			packet_fill(page_va(i) + at, i);
	memset(sink, 0xee, PACKET_SIZE);
	card_copy(card, bus(SINK), bus(entry) + at);
	for (i = SOURCE; i < PAGES; i++)
		if (i != SINK && !memcmp(sink, page_va(i) + at, PACKET_SIZE))
			found = found ? SCATTERED : i;
	return found;
}

/* Tests both ends of a page, which may be many pages of the hardware. */
static unsigned int written(const struct card *card, unsigned int entry)
{
	unsigned int first = written_at(card, entry, 0);
	unsigned int last = written_at(card, entry, (1UL << lab.shift) - 2048);

	/* Checks that the card itself works. */
	if (!first || !last)
		VFIO_ASSERT(written_at(card, SINK, 0) == SINK,
			    "the card reaches nothing any more");
	return first == last ? first : SCATTERED;
}

static unsigned int fetched(const struct card *card, unsigned int entry)
{
	unsigned int first = read_at(card, entry, 0);
	unsigned int last = read_at(card, entry, (1UL << lab.shift) - 2048);

	if (!first || !last)
		VFIO_ASSERT(read_at(card, SOURCE, 0) == SOURCE,
			    "the card reaches nothing any more");
	return first == last ? first : SCATTERED;
}

#define EXPECT_REACHES(page, entry)					\
	do {								\
		unsigned int _page = (page), _entry = (entry);		\
		EXPECT_EQ(_page, written(&lab.card, _entry));		\
		EXPECT_EQ(_page, fetched(&lab.card, _entry));		\
	} while (0)

#define EXPECT_REFUSED(entry)	EXPECT_REACHES(NOWHERE, entry)

static void set_list(unsigned int i, unsigned int page, uint64_t permissions)
{
	tce_list_set(&lab.vm, LIST, i,
		     permissions ? page_gpa(page) | permissions : 0);
}

static long put_list(unsigned int entry, unsigned int nr)
{
	return h_put_tce_indirect(&lab.vcpu, LIOBN, bus(entry), LIST, nr);
}

/*
 * The tests
 */

TEST_F(dma, put_is_what_the_card_reaches)
{
	EXPECT_REFUSED(20);
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
	EXPECT_REFUSED(19);
	EXPECT_REFUSED(21);
}

TEST_F(dma, last_entry_of_the_window)
{
	unsigned int last = (lab.window >> lab.shift) - 1;

	ASSERT_EQ(H_SUCCESS, put(last, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, last);
	ASSERT_EQ(H_SUCCESS, put(last, 0, 0));
	EXPECT_REFUSED(last);
}

TEST_F(dma, put_of_0_ends_it)
{
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
	ASSERT_EQ(H_SUCCESS, put(20, 0, 0));
	EXPECT_REFUSED(20);
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
	/* An address without permissions */
	ASSERT_EQ(H_SUCCESS, h_put_tce(&lab.vcpu, LIOBN, bus(20), page_gpa(FIRST)));
	EXPECT_REFUSED(20);
}

TEST_F(dma, stuff_ends_it)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(H_SUCCESS, put(20 + i, FIRST + i, TCE_RW));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&lab.vcpu, LIOBN, bus(21), 0, 2));
	EXPECT_REACHES(FIRST, 20);
	EXPECT_REFUSED(21);
	EXPECT_REFUSED(22);
	EXPECT_REACHES(FIRST + 3, 23);
}

TEST_F(dma, remapped_to_another_page)
{
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
	ASSERT_EQ(H_SUCCESS, put(20, FIRST + 1, TCE_RW));
	EXPECT_REACHES(FIRST + 1, 20);
	set_list(0, FIRST + 2, TCE_RW);
	ASSERT_EQ(H_SUCCESS, put_list(20, 1));
	EXPECT_REACHES(FIRST + 2, 20);
	ASSERT_EQ(H_SUCCESS, put(20, 0, 0));
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
}

TEST_F(dma, read_only)
{
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_READ));
	EXPECT_EQ(NOWHERE, written(&lab.card, 20));
	EXPECT_EQ(FIRST, fetched(&lab.card, 20));
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
	set_list(0, FIRST, TCE_READ);
	ASSERT_EQ(H_SUCCESS, put_list(20, 1));
	EXPECT_EQ(NOWHERE, written(&lab.card, 20));
	EXPECT_EQ(FIRST, fetched(&lab.card, 20));
}

/*
 * Whether the page can be read as well depends on the hardware; on powernv it
 * can.
 */
TEST_F(dma, write_only)
{
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_WRITE));
	EXPECT_EQ(FIRST, written(&lab.card, 20));
	ASSERT_EQ(H_SUCCESS, put(20, 0, 0));
	EXPECT_REFUSED(20);
}

/* Pages in another order than the entries, one of them twice */
TEST_F(dma, list)
{
	static const unsigned int pages[] = { 9, 4, 13, 5, 9, 15 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++)
		set_list(i, pages[i], TCE_RW);
	ASSERT_EQ(H_SUCCESS, put_list(20, ARRAY_SIZE(pages)));
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		EXPECT_REACHES(pages[i], 20 + i);
	EXPECT_REFUSED(20 + ARRAY_SIZE(pages));
}

TEST_F(dma, defect15_list_that_maps_unmaps_and_replaces)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(H_SUCCESS, put(20 + i, FIRST + i, TCE_RW));
	set_list(0, 0, 0);
	set_list(1, FIRST + 5, TCE_RW);
	set_list(2, FIRST + 2, TCE_READ);
	set_list(3, 0, 0);
	set_list(4, FIRST, TCE_RW);
	ASSERT_EQ(H_SUCCESS, put_list(20, 5));
	EXPECT_REFUSED(20);
	EXPECT_REACHES(FIRST + 5, 21);
	EXPECT_EQ(NOWHERE, written(&lab.card, 22));
	EXPECT_EQ(FIRST + 2, fetched(&lab.card, 22));
	EXPECT_REFUSED(23);
	EXPECT_REACHES(FIRST, 24);
}

/* A full list, which crosses a page of the guest's table */
TEST_F(dma, full_list_and_its_end)
{
	unsigned int first = 1024 - 100, i;

	for (i = 0; i < TCE_LIST; i++)
		set_list(i, FIRST + i % 11, TCE_RW);
	ASSERT_EQ(H_SUCCESS, put_list(first, TCE_LIST));
	for (i = 0; i < TCE_LIST; i += 73)
		EXPECT_REACHES(FIRST + i % 11, first + i);
	EXPECT_REACHES(FIRST + (TCE_LIST - 1) % 11, first + TCE_LIST - 1);
	ASSERT_EQ(H_SUCCESS,
		  h_stuff_tce(&lab.vcpu, LIOBN, bus(first), 0, TCE_LIST - 1));
	for (i = 0; i < TCE_LIST - 1; i += 73)
		EXPECT_REFUSED(first + i);
	EXPECT_REACHES(FIRST + (TCE_LIST - 1) % 11, first + TCE_LIST - 1);
}

/* Contract 4.29: The card reaches the pages that the guest reads back. */
TEST_F(dma, list_that_fails_midway)
{
	unsigned int i, page;
	uint64_t tce;

	for (i = 0; i < 6; i += 2)
		ASSERT_EQ(H_SUCCESS, put(20 + i, FIRST + 6 + i, TCE_RW));
	for (i = 0; i < 6; i++)
		set_list(i, FIRST + i, TCE_RW);
	/* In a slot, but not preregistered */
	ppc64_vm_slot(&lab.vm, 2, 0, 2 * HUGE_GPA, vfio_dma_buffer(MIB), MIB);
	tce_list_set(&lab.vm, LIST, 3, 2 * HUGE_GPA | TCE_RW);
	ASSERT_EQ(PPC64_TO_USER, put_list(20, 6));
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(H_SUCCESS, h_get_tce(&lab.vcpu, LIOBN, bus(20 + i),
					       &tce));
		page = tce ? ((tce & ~TCE_RW) - lab.gpa) >> lab.shift : 0;
		if (page != FIRST + i || i == 3)
			EXPECT_EQ(i % 2 ? NOWHERE : FIRST + 6 + i, page);
		EXPECT_REACHES(page, 20 + i);
	}
}

/* Contract 4.24: Every error that a guest can get, for each page size */
TEST_F(dma, defect1_refused_requests_change_nothing)
{
	uint64_t page = 1UL << lab.shift, half = page / 2, tce;
	uint64_t end = lab.start + lab.window, last = end - page;
	struct ppc64_vcpu *vcpu = &lab.vcpu;

	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_EQ(H_PARAMETER, h_put_tce(vcpu, LIOBN, bus(20) + half, 0));
	EXPECT_EQ(H_PARAMETER, h_put_tce(vcpu, LIOBN, end, page_gpa(FIRST) | TCE_RW));
	EXPECT_EQ(H_PARAMETER, h_put_tce(vcpu, LIOBN, lab.start - page, 0));
	EXPECT_EQ(H_PARAMETER, h_put_tce_indirect(vcpu, LIOBN, bus(20) + half, LIST, 1));
	EXPECT_EQ(H_PARAMETER, h_put_tce_indirect(vcpu, LIOBN, last, LIST, 2));
	EXPECT_EQ(H_PARAMETER, h_put_tce_indirect(vcpu, LIOBN, bus(20), LIST + 8, 1));
	EXPECT_EQ(H_PARAMETER,
		  h_put_tce_indirect(vcpu, LIOBN, bus(20), LIST, TCE_LIST + 1));
	EXPECT_EQ(H_PARAMETER, h_stuff_tce(vcpu, LIOBN, bus(20) + half, 0, 1));
	EXPECT_EQ(H_PARAMETER, h_stuff_tce(vcpu, LIOBN, last, 0, 2));
	EXPECT_EQ(H_PARAMETER, h_stuff_tce(vcpu, LIOBN, bus(20), TCE_READ, 1));
	EXPECT_EQ(H_PARAMETER, h_get_tce(vcpu, LIOBN, bus(20) + half, &tce));
	EXPECT_EQ(H_PARAMETER, h_get_tce(vcpu, LIOBN, end, &tce));
	EXPECT_REACHES(FIRST, 20);
}

static void expect_left(struct __test_metadata *_metadata, uint64_t tce)
{
	EXPECT_EQ(PPC64_TO_USER, h_put_tce(&lab.vcpu, LIOBN, bus(20), tce));
	tce_list_set(&lab.vm, LIST, 0, tce);
	EXPECT_EQ(PPC64_TO_USER,
		  h_put_tce_indirect(&lab.vcpu, LIOBN, bus(20), LIST, 1));
}

/*
 * Contract 4.29, 4.30: Every page that is left to user space: misaligned, in no
 * slot, half in a slot, unknown
 */
TEST_F(dma, pages_left_to_user_space_change_nothing)
{
	uint64_t page = 1UL << lab.shift;
	uint64_t host = getpagesize(), size = page > host ? page + host : host;

	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	expect_left(_metadata, (page_gpa(FIRST + 1) + page / 2) | TCE_RW);
	expect_left(_metadata, 4 * HUGE_GPA | TCE_READ);
	ppc64_vm_slot(&lab.vm, 2, 0, 2 * HUGE_GPA, vfio_dma_buffer(2 * size), size);
	expect_left(_metadata, 2 * HUGE_GPA | TCE_WRITE);
	if (page > host)
		expect_left(_metadata, (2 * HUGE_GPA + page) | TCE_WRITE);
	EXPECT_REACHES(FIRST, 20);
}

/* Contract 4.13: The second card joins the first one's container. */
TEST_F(dma, two_groups_on_one_table)
{
	int group = vfio_group_open(devices[1].group);
	struct card other;

	if (vfio_in_lpar())
		SKIP(return, "its containers take one group");
	vfio_group_set_container(group, lab.container);
	kvm_vfio_add(lab.dev, group);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(lab.dev, group, lab.table));
	open_card(&other, 1, group);
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
	EXPECT_EQ(FIRST, written(&other, 20));
	EXPECT_EQ(FIRST, fetched(&other, 20));
	ASSERT_EQ(H_SUCCESS, put(20, FIRST + 1, TCE_READ));
	EXPECT_EQ(NOWHERE, written(&other, 20));
	EXPECT_EQ(FIRST + 1, fetched(&other, 20));
	ASSERT_EQ(H_SUCCESS, h_stuff_tce(&lab.vcpu, LIOBN, bus(20), 0, 1));
	EXPECT_REFUSED(20);
	EXPECT_EQ(NOWHERE, written(&other, 20));
	EXPECT_EQ(NOWHERE, fetched(&other, 20));
	munmap(other.bar, other.bar_size);
}

/*
 * Contract 4.18, 4.19, 4.20: The second card is hot-plugged, by ADD alone, and
 * the first one is unplugged.
 */
TEST_F(dma, defect37_second_group_by_add)
{
	int group = vfio_group_open(devices[1].group);
	struct card other;

	if (vfio_in_lpar())
		SKIP(return, "its containers take one group");
	vfio_group_set_container(group, lab.container);
	kvm_vfio_add(lab.dev, group);
	open_card(&other, 1, group);
	kvm_vfio_del(lab.dev, lab.group);
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_EQ(FIRST, written(&other, 20));
	EXPECT_EQ(FIRST, fetched(&other, 20));
	ASSERT_EQ(H_SUCCESS, put(20, 0, 0));
	EXPECT_EQ(NOWHERE, written(&other, 20));
	EXPECT_EQ(NOWHERE, fetched(&other, 20));
	munmap(other.bar, other.bar_size);
}

/* The second card is unplugged: what it shared with the first one stays. */
TEST_F(dma, defect41_second_group_leaves)
{
	int group = vfio_group_open(devices[1].group);

	if (vfio_in_lpar())
		SKIP(return, "its containers take one group");
	vfio_group_set_container(group, lab.container);
	kvm_vfio_add(lab.dev, group);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(lab.dev, group, lab.table));
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	kvm_vfio_del(lab.dev, group);
	vfio_group_unset_container(group);
	EXPECT_REACHES(FIRST, 20);
	ASSERT_EQ(H_SUCCESS, put(20, 0, 0));
	EXPECT_REFUSED(20);
}

/*
 * Contract 4.13: The second card has a container and a window of its own behind
 * the same table.
 */
TEST_F(dma, two_windows_of_one_table)
{
	int group = vfio_group_open(devices[1].group), i;
	struct card other;

	open_window(open_container(group), variant->window);
	kvm_vfio_add(lab.dev, group);
	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(lab.dev, group, lab.table));
	for (i = RINGS; i < FIRST; i++)
		ASSERT_EQ(H_SUCCESS, put(i, i, TCE_RW));
	open_card(&other, 1, group);
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
	EXPECT_EQ(FIRST, written(&other, 20));
	EXPECT_EQ(FIRST, fetched(&other, 20));
	ASSERT_EQ(H_SUCCESS, put(20, 0, 0));
	EXPECT_REFUSED(20);
	EXPECT_EQ(NOWHERE, written(&other, 20));
	EXPECT_EQ(NOWHERE, fetched(&other, 20));
	munmap(other.bar, other.bar_size);
}

/* Contract 4.13 */
TEST_F(dma, one_group_on_two_tables)
{
	int table = tce_table(lab.vm.fd, LIOBN2, lab.shift,
			      lab.start >> lab.shift, lab.window >> lab.shift);

	ASSERT_EQ(0, __kvm_vfio_set_spapr_tce(lab.dev, lab.group, table));
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
	ASSERT_EQ(H_SUCCESS, h_put_tce(&lab.vcpu, LIOBN2, bus(20),
				       page_gpa(FIRST + 1) | TCE_RW));
	EXPECT_REACHES(FIRST + 1, 20);
	ASSERT_EQ(H_SUCCESS, put(20, 0, 0));
	EXPECT_REFUSED(20);
	close(table);
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
}

/*
 * Contract 4.21: Entries that are put after DEL of the group do not reach the
 * hardware.
 */
TEST_F(dma, deleted_group)
{
	ASSERT_EQ(H_SUCCESS, put(20, FIRST, TCE_RW));
	kvm_vfio_del(lab.dev, lab.group);
	ASSERT_EQ(H_SUCCESS, put(20, FIRST + 1, TCE_RW));
	ASSERT_EQ(H_SUCCESS, put(21, FIRST + 1, TCE_RW));
	EXPECT_REACHES(FIRST, 20);
	EXPECT_REFUSED(21);
}

int main(int argc, char **argv)
{
	bool small = !access("/sys/kernel/mm/hugepages/hugepages-2048kB", F_OK);
	int ret;

	vfio_test_init(devices, ARRAY_SIZE(devices), ARRAY_SIZE(devices));
	/* Room for eight tests: the pages of one come back late, as RCU frees them. */
	if (has_huge_pages())
		VFIO_ASSERT(!__host_number_raise(&huge_pages, small ? 64 : 8), "nr_hugepages");
	ret = test_harness_run(argc, argv);
	host_number_restore(&huge_pages);
	return ret;
}
#else
int main(void)
{
	ksft_exit_skip("POWER only\n");
}
#endif
