// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs put entries and a reader reads the counts, while user space and the
 * host take everything away.  The fake checks that no removed window is
 * changed, that no region loses its last count too early, and what is freed.
 */
#include <pthread.h>
#include <sched.h>

#include <linux/seq_file.h>

#include "world.h"

#define VCPUS	2
#define ROUNDS	600

struct race {
	struct world w;
	bool over;		/* atomic */
	unsigned long done, hard;	/* atomic */
	pthread_mutex_t gate;	/* taken before: makes the order fair */
	pthread_mutex_t reading;
	unsigned long shown;
	unsigned int seed;
};

static long race_hcall(struct kvm_vcpu *vcpu, struct race *race, unsigned int *seed)
{
	u64 nr = 1 + rand_r(seed) % 8, first = rand_r(seed) % 40;
	u64 ioba = world_ioba(&race->w, first);
	u64 gpa = (rand_r(seed) & 1 ? GPA_A : GPA_B) + ((u64)(rand_r(seed) & 15) << 16);

	switch (rand_r(seed) & 3) {
	case 0:
		return kvmppc_h_stuff_tce(vcpu, LIOBN, ioba, 0, nr);
	case 1:
		return kvmppc_h_get_tce(vcpu, LIOBN, ioba);
	default:
		return kvmppc_h_put_tce(vcpu, LIOBN, ioba,
					gpa | (1 + rand_r(seed) % 3));
	}
}

static void *race_vcpu(void *arg)
{
	struct race *race = arg;
	struct kvm_vcpu vcpu = { .kvm = race->w.kvm };
	unsigned int seed = __atomic_add_fetch(&race->seed, 7919, __ATOMIC_RELAXED);
	long ret;

	shim_yield_seed(seed | 1);
	while (!READ_ONCE(race->over)) {
		ret = race_hcall(&vcpu, race, &seed);
		__atomic_add_fetch(ret ? &race->hard : &race->done, 1,
				   __ATOMIC_RELAXED);
		EXPECT(ret == H_SUCCESS || ret == H_TOO_HARD);
	}
	return NULL;
}

static void *race_reader(void *arg)
{
	struct race *race = arg;
	char *text;

	shim_yield_seed(READ_ONCE(race->seed) | 1);
	while (!READ_ONCE(race->over)) {
		pthread_mutex_lock(&race->gate);
		pthread_mutex_lock(&race->reading);
		pthread_mutex_unlock(&race->gate);
		text = shim_read_fdinfo(READ_ONCE(race->w.table));
		pthread_mutex_unlock(&race->reading);
		race->shown += text && strstr(text, "\ngroup:\t0 live\n");
		free(text);
	}
	return NULL;
}

static void race_window(struct race *race)
{
	struct world *w = &race->w;

	hw_remove(w->hw[0], w->group, 1);
	w->hw[0] = hw_new(16, w->shape.bus, w->shape.entries << 16, 8);
	group_set_window(w->group[0], 0, w->hw[0]);
	EXPECT_EQ(vm_attach(w->kvm, w->group[0], w->table), 0);
}

static void race_table(struct race *race)
{
	struct world *w = &race->w;
	int table;

	EXPECT_EQ(shim_close(w->table), 0);
	/* A read that is under way keeps the table, as one more fd does. */
	pthread_mutex_lock(&race->gate);
	pthread_mutex_lock(&race->reading);
	pthread_mutex_unlock(&race->reading);
	pthread_mutex_unlock(&race->gate);
	table = vm_table(w->kvm, LIOBN, 16, w->shape.bus, w->shape.entries);
	WRITE_ONCE(w->table, table);
	EXPECT(w->table >= 0);
	EXPECT_EQ(vm_attach(w->kvm, w->group[0], w->table), 0);
}

/* The host takes the group back; later it is there again with its window. */
static void race_revoke(struct race *race, bool revoke)
{
	struct world *w = &race->w;

	if (revoke)
		group_revoke(w->group[0]);
	group_del(w->group[0]);
	WRITE_ONCE(w->group[0]->user.dead, false);
	group_set_window(w->group[0], 0, w->hw[0]);
	EXPECT_EQ(vm_attach(w->kvm, w->group[0], w->table), 0);
}

static void race_region(unsigned int nr)
{
	if (!region_unregister_begin(region_nr(nr)))
		return;
	region_unregister_end(region_nr(nr));
	region_return(region_nr(nr));
}

/* Everything is there again: let the vCPUs put something. */
static void race_wait(struct race *race)
{
	unsigned long done = __atomic_load_n(&race->done, __ATOMIC_RELAXED);

	while (__atomic_load_n(&race->done, __ATOMIC_RELAXED) < done + 20 &&
	       test_failures() < 20)
		sched_yield();
}

static void race_host(struct race *race, unsigned int seed)
{
	shim_yield_seed(seed | 1);

	for (int i = 0; i < ROUNDS && test_failures() < 20; i++) {
		switch (rand_r(&seed) % 8) {
		case 0 ... 1:
			race_window(race);
			break;
		case 2:
			race_table(race);
			break;
		case 3 ... 4:
			race_revoke(race, rand_r(&seed) & 1);
			break;
		default:
			race_region(rand_r(&seed) & 1);
		}
		shim_return_to_user();
		race_wait(race);
	}
	shim_yield_seed(0);
}

/* Contract 4.15, 4.17, 4.32 */
TEST(race, "vCPUs against TCE_REMOVE, DEL, close, unbind and UNREGISTER_MEMORY")
{
	static const struct shape shape = { 16, 0, 48, 1, { 16 }, { 8 } };
	unsigned int seed = test_seed();
	struct race race = {
		.w = world_new(&shape, 1),
		.gate = PTHREAD_MUTEX_INITIALIZER,
		.reading = PTHREAD_MUTEX_INITIALIZER,
		.seed = seed,
	};
	pthread_t threads[VCPUS + 1];

	printf("# TEST_SEED=%u\n", seed);
	for (int i = 0; i < VCPUS; i++)
		pthread_create(&threads[i], NULL, race_vcpu, &race);
	pthread_create(&threads[VCPUS], NULL, race_reader, &race);
	race_host(&race, seed);
	WRITE_ONCE(race.over, true);
	for (int i = 0; i <= VCPUS; i++)
		pthread_join(threads[i], NULL);
	printf("# %lu done, %lu H_TOO_HARD, %lu shown\n", race.done,
	       race.hard, race.shown);
	EXPECT(race.done && race.shown);
	world_check_counts(&race.w);
}
