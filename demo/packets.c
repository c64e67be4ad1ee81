// SPDX-License-Identifier: GPL-2.0-only
/*
 * packets: in a guest, exchange packets over its network card
 *
 *	packets echo ADDRESS COUNT	ICMP echoes of all sizes; every byte is compared
 *	packets flood DEVICE SECONDS	frames to nobody, as many as the card sends
 *
 * Prints one line with the packets per second, both directions together.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DATA_MAX	1472	/* with its headers a whole frame */
#define IN_FLIGHT	16

static void fail(const char *what)
{
	printf("guest-failed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

struct message {
	struct icmphdr header;
	unsigned char data[DATA_MAX];
};

/* Size and bytes depend on the number.  The checksum is that of RFC 1071. */
static size_t compose(struct message *m, unsigned int number)
{
	size_t size = sizeof(m->header) + number * 37 % (DATA_MAX + 1), i;
	const unsigned short *words = (const void *)m;
	unsigned int sum = 0;

	memset(m, 0, sizeof(*m));
	m->header.type = ICMP_ECHO;
	m->header.un.echo.id = htons(getpid());
	m->header.un.echo.sequence = htons(number);
	for (i = 0; i < size - sizeof(m->header); i++)
		m->data[i] = number * 7 + i * 13 + (i >> 8);
	for (i = 0; i < (size + 1) / 2; i++)
		sum += words[i];
	sum = (sum >> 16) + (sum & 0xffff);
	m->header.checksum = ~(sum + (sum >> 16));
	return size;
}

/*
 * Returns the number of the question, with whose bytes this is the answer; -1 if it is
 * something else.
 */
static int answer_to(const unsigned char *packet, size_t size)
{
	const struct iphdr *ip = (const void *)packet;
	const struct message *got;
	struct message sent;
	size_t want;

	if (size < sizeof(*ip) || size < ip->ihl * 4 + sizeof(got->header))
		return -1;
	size -= ip->ihl * 4;
	got = (const void *)(packet + ip->ihl * 4);
	if (got->header.type != ICMP_ECHOREPLY || got->header.un.echo.id != htons(getpid()))
		return -1;
	want = compose(&sent, ntohs(got->header.un.echo.sequence));
	if (size == want && !memcmp(got->data, sent.data, want - sizeof(sent.header)))
		return ntohs(got->header.un.echo.sequence);
	errno = EBADMSG;
	fail("an echo has other bytes");
	return -1;
}

/* Where a packet was lost: what the cards have sent and got, and what became of that */
struct counts {
	unsigned long sent, got, bad, dropped;	/* of all cards */
	unsigned long messages, errors;		/* of ICMP */
};

static void count(struct counts *counts)
{
	unsigned long got, bad, dropped, sent;
	FILE *dev = fopen("/proc/net/dev", "r"), *snmp = fopen("/proc/net/snmp", "r");
	char line[512];

	memset(counts, 0, sizeof(*counts));
	if (!dev || !snmp)
		fail("/proc/net");
	while (fgets(line, sizeof(line), dev)) {
		if (sscanf(line, " eth%*d: %*u %lu %lu %lu %*u %*u %*u %*u %*u %lu", &got,
			   &bad, &dropped, &sent) != 4)
			continue;
		counts->got += got;
		counts->bad += bad;
		counts->dropped += dropped;
		counts->sent += sent;
	}
	while (fgets(line, sizeof(line), snmp))
		sscanf(line, "Icmp: %lu %lu", &counts->messages, &counts->errors);
	fclose(dev);
	fclose(snmp);
}

static void print_counts(const struct counts *before)
{
	struct counts now;

	count(&now);
	printf("; the cards: %lu sent, %lu got, %lu bad, %lu dropped; ICMP: %lu got, %lu bad",
	       now.sent - before->sent, now.got - before->got, now.bad - before->bad,
	       now.dropped - before->dropped, now.messages - before->messages,
	       now.errors - before->errors);
}

/*
 * Answers come in the order of the questions, so the last one says that all others have
 * come, or are lost.  How long that takes says nothing: the guest may be very slow.
 */
static void exchange(const char *address, unsigned int nr)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	unsigned int sent = 0, answered = 0, done = 0, lost = 0;
	unsigned char packet[2048];
	struct counts before;
	struct message m;
	double start;
	size_t size;
	ssize_t got;
	int number;

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
		fail(address);
	count(&before);
	start = now();
	while (done < nr) {
		while (sent < nr && sent - done < IN_FLIGHT) {
			size = compose(&m, sent++);
			if (sendto(fd, &m, size, 0, (void *)&to, sizeof(to)) < 0)
				fail("sendto");
		}
		got = recv(fd, packet, sizeof(packet), 0);
		number = got > 0 ? answer_to(packet, got) : -1;
		if (number < 0)
			continue;
		if (!lost && (unsigned int)number > done)
			lost = done + 1;
		answered++;
		done = (unsigned int)number + 1;
	}
	printf("guest-echo %u of %u, %.0f packets/s", answered, nr,
	       2 * answered / (now() - start));
	if (lost) {
		printf(", the first that is lost is number %u", lost);
		print_counts(&before);
	}
	puts("");
}

static unsigned long sent_by(const char *device)
{
	char path[128];
	unsigned long count;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/tx_packets", device);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%lu", &count) != 1)
		fail(path);
	fclose(file);
	return count;
}

static void send_frames(const char *device, double seconds)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex(device),
		.sll_halen = ETH_ALEN,
	};
	/* Ether types up to 0x88b6 are for experiments: the network drops them. */
	unsigned char frame[ETH_ZLEN] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb6 };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), i;
	unsigned long before = sent_by(device);
	double start = now(), end;

	if (fd < 0)
		fail("socket");
	do {
		for (i = 0; i < 64; i++)
			if (sendto(fd, frame, sizeof(frame), 0, (void *)&to, sizeof(to)) < 0 &&
			    errno != ENOBUFS)
				fail("sendto");
		end = now();
	} while (end - start < seconds);
	printf("guest-flood %.0f packets/s\n", (sent_by(device) - before) / (end - start));
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "echo")) {
		exchange(argv[2], atoi(argv[3]));
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "flood")) {
		send_frames(argv[2], atof(argv[3]));
		return 0;
	}
	fprintf(stderr, "usage: packets echo ADDRESS COUNT | flood DEVICE SECONDS\n");
	return 2;
}
