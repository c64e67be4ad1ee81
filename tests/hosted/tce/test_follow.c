// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hardware follows the group: contract, section 4.  Every order of what user space
 * and the host can do with some groups, containers and a TCE table, against a model of
 * which hardware tables an entry has to reach.  After each step of each order the guest
 * puts an entry.
 *
 * A container's window goes with its last group, as VFIO's does.
 */
#include <stdio.h>

#include "world.h"

#define GROUPS		3
#define CONTAINERS	2
#define WINDOWS		12	/* one after the other, in all containers */
#define STEPS		16
#define NONE		-1

/* What a step does; its object is a group, a container, or the table. */
enum what { ENTER, LEAVE, ADD, DEL, SET, TAKE, CREATE, REMOVE, CLOSE, NR_WHAT };

static const char names[] = "ELADSTCRX";

struct step {
	enum what what;
	int object;
	int container;		/* of ENTER */
};

/*
 * The model: facts, and what follows from them
 *
 * A group has a share in a window if the table reaches the window because of it.  What
 * a share says about the table's hypercalls depends on the group: it is protected, and
 * still has the window, or else user space gets them.
 */
struct model {
	int in[GROUPS];			/* its container */
	bool held[GROUPS], gone[GROUPS], dead[GROUPS];
	int window[CONTAINERS];
	int nr_windows;
	bool share[GROUPS][WINDOWS];
};

static struct model model_new(void)
{
	struct model m = {};

	for (int g = 0; g < GROUPS; g++)
		m.in[g] = NONE;
	for (int c = 0; c < CONTAINERS; c++)
		m.window[c] = NONE;
	return m;
}

static bool has(const struct model *m, int group, int window)
{
	return m->in[group] != NONE && window != NONE &&
	       m->window[m->in[group]] == window;
}

static bool reaches(const struct model *m, int window)
{
	bool any = false;

	for (int g = 0; g < GROUPS; g++)
		any |= m->share[g][window];
	return any;
}

/* All held groups that have a window which the table reaches have a share in it. */
static void follow(struct model *m)
{
	for (int w = 0; w < m->nr_windows; w++)
		for (int g = 0; g < GROUPS; g++)
			if (reaches(m, w) && m->held[g] && has(m, g, w))
				m->share[g][w] = true;
}

static void drop_shares(struct model *m, int group)
{
	memset(m->share[group], 0, sizeof(m->share[group]));
}

static bool occupied(const struct model *m, int container)
{
	bool any = false;

	for (int g = 0; g < GROUPS; g++)
		any |= m->in[g] == container;
	return any;
}

static void leave(struct model *m, int group)
{
	int container = m->in[group];

	m->in[group] = NONE;
	if (!occupied(m, container))
		m->window[container] = NONE;
}

/*
 * The table is to reach the window that the group has now.  What it reached by windows
 * that are gone is over for the groups that have the new one, as long as they live.
 */
static int set(struct model *m, int group)
{
	int window = m->window[m->in[group]];

	if (window == NONE)
		return -EINVAL;
	if (m->share[group][window])
		return 0;
	m->share[group][window] = true;
	follow(m);
	for (int g = 0; g < GROUPS; g++)
		for (int w = 0; w < m->nr_windows; w++)
			if (m->share[g][window] && !has(m, g, w))
				m->share[g][w] = false;
	return 0;
}

static int model_step(struct model *m, const struct step *s)
{
	int ret = 0, i = s->object;

	switch (s->what) {
	case ENTER:
		m->in[i] = s->container;
		break;
	case LEAVE:
		leave(m, i);
		break;
	case ADD:
		m->held[i] = true;
		break;
	case DEL:
		m->held[i] = false;
		m->dead[i] = false;
		drop_shares(m, i);
		break;
	case SET:
		ret = set(m, i);
		break;
	case TAKE:
		m->gone[i] = true;
		m->dead[i] = m->held[i];
		leave(m, i);
		break;
	case CREATE:
		m->window[i] = m->nr_windows++;
		break;
	case REMOVE:
		m->window[i] = NONE;
		break;
	case CLOSE:
		for (int g = 0; g < GROUPS; g++)
			drop_shares(m, g);
		break;
	case NR_WHAT:
		break;
	}
	follow(m);
	return ret;
}

/* Does each share work, so that the kernel has to do hypercalls? */
static bool works(const struct model *m)
{
	for (int g = 0; g < GROUPS; g++)
		for (int w = 0; w < m->nr_windows; w++)
			if (m->share[g][w] && !has(m, g, w))
				return false;
	return true;
}

static bool used(const struct model *m, int group)
{
	return m->in[group] != NONE || m->held[group] || m->gone[group];
}

/* Groups that nothing happened to yet are all the same, and so are containers. */
static bool first_unused(const struct model *m, int group)
{
	return used(m, group) || !group || used(m, group - 1);
}

static bool possible(const struct model *m, const struct step *s)
{
	int i = s->object;

	switch (s->what) {
	case ENTER:
		return m->in[i] == NONE && !m->gone[i] && !m->held[i] &&
		       first_unused(m, i) &&
		       (!s->container || occupied(m, 0) || m->nr_windows);
	case LEAVE:
		return m->in[i] != NONE && !m->held[i];
	case ADD:
		return m->in[i] != NONE && !m->held[i];
	case DEL:
		return m->held[i];
	case SET:
		return m->held[i] && !m->dead[i];
	case TAKE:
		return m->in[i] != NONE;
	case CREATE:
		return m->window[i] == NONE && occupied(m, i);
	case REMOVE:
		return m->window[i] != NONE;
	case CLOSE:
		return true;
	case NR_WHAT:
		break;
	}
	return false;
}

/* The code under test, in the fake of VFIO */
struct lab {
	struct kvm *kvm;
	struct kvm_vcpu vcpu;
	int table;
	struct iommu_group *group[GROUPS];
	int in[GROUPS];
	struct hw *window[CONTAINERS];
	u64 puts;
};

static void lab_open(struct lab *lab)
{
	*lab = (struct lab){ .kvm = vm_new() };
	lab->vcpu.kvm = lab->kvm;
	vm_slot(lab->kvm, 0, 0, MB, UA_A, 0);
	region_new(UA_A, MB, 20);
	lab->table = vm_table(lab->kvm, LIOBN, 16, 0, 4);
	for (int g = 0; g < GROUPS; g++) {
		lab->group[g] = group_new(1);
		lab->in[g] = NONE;
	}
}

/* The groups of a container, whose slots have its window */
static int lab_groups(struct lab *lab, int container, struct iommu_group **groups)
{
	int nr = 0;

	for (int g = 0; g < GROUPS; g++)
		if (lab->in[g] == container)
			groups[nr++] = lab->group[g];
	return nr;
}

static void lab_create(struct lab *lab, int container)
{
	struct iommu_group *groups[GROUPS];
	int nr = lab_groups(lab, container, groups);

	lab->window[container] = hw_new(16, 0, 4 << 16, 0);
	while (nr--)
		group_set_window(groups[nr], container, lab->window[container]);
}

static void lab_remove(struct lab *lab, int container)
{
	struct iommu_group *groups[GROUPS];
	int nr = lab_groups(lab, container, groups);

	hw_remove(lab->window[container], groups, nr);
	lab->window[container] = NULL;
}

static void lab_leave(struct lab *lab, int group)
{
	struct iommu_group *groups[GROUPS];
	int container = lab->in[group];

	lab->in[group] = NONE;
	if (lab->group[group]->data)
		group_set_window(lab->group[group], container, NULL);
	if (lab->window[container] && !lab_groups(lab, container, groups))
		lab_remove(lab, container);
}

/* Only the group's own shares are over: others may go on in a window that it had. */
static void lab_take(struct lab *lab, int group)
{
	struct iommu_group *it = lab->group[group];

	group_revoke(it);
	for (int i = 0; i < IOMMU_TABLE_GROUP_MAX_TABLES; i++)
		if (it->counted_dead[i])
			it->counted_dead[i]->forbidden--;
	memset(it->counted_dead, 0, sizeof(it->counted_dead));
	lab_leave(lab, group);
}

static int lab_step(struct lab *lab, const struct step *s)
{
	int i = s->object;

	switch (s->what) {
	case ENTER:
		lab->in[i] = s->container;
		group_set_window(lab->group[i], s->container,
				 lab->window[s->container]);
		break;
	case LEAVE:
		lab_leave(lab, i);
		break;
	case ADD:
		return group_add(lab->kvm, lab->group[i]);
	case DEL:
		group_del(lab->group[i]);
		break;
	case SET:
		return vm_attach(lab->kvm, lab->group[i], lab->table);
	case TAKE:
		lab_take(lab, i);
		break;
	case CREATE:
		lab_create(lab, i);
		break;
	case REMOVE:
		lab_remove(lab, i);
		break;
	case CLOSE:
		shim_close(lab->table);
		lab->table = vm_table(lab->kvm, LIOBN, 16, 0, 4);
		break;
	case NR_WHAT:
		break;
	}
	return 0;
}

/* The guest puts an entry: does it come to what the model says, and get that far? */
static void check(struct lab *lab, const struct model *m)
{
	u64 tce = lab->puts++ << 16 | PERMS, before[CONTAINERS];
	bool kernel = works(m);
	struct hw *hw;
	int alive = 0;

	for (int c = 0; c < CONTAINERS; c++)
		before[c] = lab->window[c] ? hw_now(lab->window[c], 0) : 0;
	EXPECT_EQ(kvmppc_h_put_tce(&lab->vcpu, LIOBN, 0, tce),
		  kernel ? H_SUCCESS : H_TOO_HARD);
	for (int c = 0; c < CONTAINERS; c++) {
		hw = lab->window[c];
		EXPECT_EQ(!!hw, m->window[c] != NONE);
		if (!hw)
			continue;
		EXPECT_EQ(hw_now(hw, 0) != before[c],
			  kernel && reaches(m, m->window[c]));
		EXPECT_EQ(hw->refs, 1 + reaches(m, m->window[c]));
	}
	for (int w = 0; w < m->nr_windows; w++)
		alive += reaches(m, w) || m->window[0] == w || m->window[1] == w;
	EXPECT_EQ(hw_counts.tables, alive);
}

static void path_text(const struct step *path, int len, char *text)
{
	for (int i = 0; i < len; i++) {
		*text++ = names[path[i].what];
		if (path[i].what != CLOSE)
			*text++ = '0' + path[i].object;
		if (path[i].what == ENTER)
			*text++ = 'a' + path[i].container;
		*text++ = ' ';
	}
	*text = 0;
}

static void run(const struct step *path, int len)
{
	unsigned int failed = test_failures();
	struct model m = model_new();
	char text[STEPS * 4 + 1];
	struct lab lab;

	lab_open(&lab);
	for (int i = 0; i < len; i++) {
		int want = model_step(&m, &path[i]);

		EXPECT_EQ(lab_step(&lab, &path[i]), want);
		check(&lab, &m);
	}
	fake_end();
	if (test_failures() == failed)
		return;
	path_text(path, len, text);
	SHIM_FAIL("... after %s", text);
}

struct orders {
	int groups, containers;
	int steps;		/* in all */
	unsigned long nr;
};

/* How many objects there are for a step, and how many choices of a container */
static int objects(const struct orders *o, enum what what)
{
	if (what == CLOSE)
		return 1;
	return what < CREATE ? o->groups : o->containers;
}

static void explore(struct orders *o, struct model m, struct step *path, int len)
{
	int containers;
	struct step s;

	if (len == o->steps) {
		o->nr++;
		run(path, len);
		return;
	}
	for (s.what = 0; s.what < NR_WHAT; s.what++) {
		containers = s.what == ENTER ? o->containers : 1;
		for (int i = 0; i < objects(o, s.what) * containers; i++) {
			struct model next = m;

			s.object = i / containers;
			s.container = i % containers;
			if (!possible(&m, &s) || test_failures() > 20)
				continue;
			model_step(&next, &s);
			path[len] = s;
			explore(o, next, path, len + 1);
		}
	}
}

/* Steps as path_text() prints them */
static int path_parse(const char *text, struct step *path)
{
	int len = 0;

	for (; *text; text++) {
		path[len] = (struct step){ .what = strchr(names, *text) - names };
		if (*text != names[CLOSE])
			path[len].object = *++text - '0';
		if (path[len].what == ENTER)
			path[len].container = *++text - 'a';
		text++;
		len++;
	}
	return len;
}

/* Every order of @more steps after those of @start */
static void explore_from(const char *start, int more, int groups, int containers)
{
	struct orders o = { .groups = groups, .containers = containers };
	struct model m = model_new();
	struct step path[STEPS];
	int nr = path_parse(start, path);

	for (int i = 0; i < nr; i++) {
		EXPECT(possible(&m, &path[i]));
		model_step(&m, &path[i]);
	}
	o.steps = nr + more;
	explore(&o, m, path, nr);
	printf("# %lu orders\n", o.nr);
	EXPECT(o.nr > 10000);
}

/* Contract 4.18, 4.19, 4.20, 4.21 */
TEST(follow_two, "two groups, one container: every order of 7 steps")
{
	explore_from("", 7, 2, 1);
}

/*
 * Contract 4.18, 4.19, 4.20, 4.21: The second group is hot-plugged, and the
 * first one goes: defect 37.
 */
TEST(follow_three, "three groups, one container: every order of 5 steps after SET")
{
	explore_from("E0a C0 A0 S0 E1a E2a ", 5, 3, 1);
}

/* Contract 4.18, 4.19, 4.20, 4.21 */
TEST(follow_containers, "three groups, two containers: every order of 4 steps after SET")
{
	explore_from("E0a E1b C0 C1 A0 A1 S0 ", 4, 3, 2);
}

/*
 * Contract 4.19: What joins gets all that reaches its window, of its own VM,
 * and nothing else.
 */
TEST(follow_tables, "two tables, two VMs: ADD attaches the VM's own")
{
	struct world w = world_new(&shape_plain, 1);
	int second = vm_table(w.kvm, LIOBN + 1, 16, 0, 1200);
	struct iommu_group *b = group_new(1), *c = group_new(1), *away = group_new(1);
	struct hw *other = hw_new(16, 0, 1200 << 16, 0);
	struct kvm *kvm = vm_new();

	EXPECT_EQ(vm_attach(w.kvm, w.group[0], second), 0);
	group_set_window(b, 1, w.hw[0]);
	group_set_window(c, 1, w.hw[0]);
	group_set_window(away, 1, other);
	EXPECT_EQ(group_add(w.kvm, b), 0);
	EXPECT_EQ(list_count_nodes(&b->holder.attachments), 2);
	EXPECT_EQ(group_add(kvm, c), 0);
	EXPECT(list_empty(&c->holder.attachments));
	EXPECT_EQ(group_add(w.kvm, away), 0);
	EXPECT(list_empty(&away->holder.attachments));
	EXPECT_EQ(w.hw[0]->refs, 3);
	group_del(w.group[0]);
	EXPECT_EQ(world_put(&w, 0, GPA_A | PERMS), H_SUCCESS);
	EXPECT(hw_now(w.hw[0], 0));
	EXPECT_EQ(shim_close(second), 0);
	EXPECT_EQ(w.hw[0]->refs, 2);
	group_del(b);
	EXPECT_EQ(w.hw[0]->refs, 1);
	hw_put(other);
	group_set_window(away, 1, NULL);
}

static struct hlist_head *bucket(const struct hw *hw)
{
	static DECLARE_HASHTABLE(links, 10);

	return shim_bucket(links, ARRAY_SIZE(links), (unsigned long)&hw->tbl);
}

/* Contract 4.19: each share is one, where both windows are in one bucket of the hash. */
TEST(follow_once, "two windows that share a bucket of the hash: ADD attaches each once")
{
	struct world w = world_new(&shape_plain, 1);
	int second = vm_table(w.kvm, LIOBN + 1, 16, 1UL << 59, 16);
	struct iommu_group *b = group_new(1);
	struct hw *others[16384];
	int nr = 0;

	do {
		EXPECT(nr < ARRAY_SIZE(others));
		others[nr] = hw_new(16, 1UL << 59, 16 << 16, 0);
	} while (bucket(others[nr++]) != bucket(w.hw[0]));
	group_set_window(w.group[0], 1, others[nr - 1]);
	EXPECT_EQ(vm_attach(w.kvm, w.group[0], second), 0);
	group_set_window(b, 0, w.hw[0]);
	group_set_window(b, 1, others[nr - 1]);
	EXPECT_EQ(group_add(w.kvm, b), 0);
	EXPECT_EQ(list_count_nodes(&b->holder.attachments), 2);
	while (nr)
		hw_put(others[--nr]);
}

/* ADD or SET of one of three groups, with two tables; nothing is left if it fails. */
static void follow_sweep(bool set)
{
	struct world w = world_new(&shape_plain, 1);
	int second = vm_table(w.kvm, LIOBN + 1, 16, 0, 1200), n = 0, points = 0, ret;
	struct iommu_group *b = group_new(1), *c = group_new(1);
	unsigned int objects;
	const char *what;

	group_set_window(b, 1, w.hw[0]);
	group_set_window(c, 1, w.hw[0]);
	EXPECT_EQ(group_add(w.kvm, b), 0);
	if (set)
		EXPECT_EQ(group_add(w.kvm, c), 0);
	else
		EXPECT_EQ(vm_attach(w.kvm, b, second), 0);
	objects = shim_live_objects();
	do {
		trace_start();
		shim_fault_arm(++n);
		ret = set ? vm_attach(w.kvm, b, second) : group_add(w.kvm, c);
		what = shim_fault_disarm();
		/* Hypercalls could have used what was there for a moment. */
		EXPECT_EQ(!*trace_stop(), !!what);
		points += !!what;
		EXPECT_EQ(ret, what ? -ENOMEM : 0);
		EXPECT_EQ(shim_live_objects() > objects, !what);
		EXPECT_EQ(w.hw[0]->refs, set && what ? 2 : 3);
		if (what && !set) {
			EXPECT(list_empty(&c->holder.attachments));
			c->holder.kvm = NULL;
		}
	} while (what);
	EXPECT_EQ(points, set ? 4 : 2);
	EXPECT_EQ(list_count_nodes(&c->holder.attachments), 2);
	fake_end();
}

/* Contract 4.33 */
TEST(follow_sweep, "ADD and SET with other groups: each allocation fails in turn")
{
	follow_sweep(false);
	follow_sweep(true);
}

/* Contract 4.18: as long as it holds them both, the VM reaches the hardware for either. */
TEST(follow_again, "SET again: a group that has the hardware table by now gets its share")
{
	for (int n = 0; n < 2; n++) {
		struct world w = world_new(&shape_plain, 1);
		struct iommu_group *b = group_new(1);

		EXPECT_EQ(group_add(w.kvm, b), 0);
		group_set_window(b, 1, w.hw[0]);
		shim_fault_arm(n);
		EXPECT_EQ(vm_attach(w.kvm, w.group[0], w.table), n ? -ENOMEM : 0);
		shim_fault_disarm();
		if (n)
			EXPECT_EQ(vm_attach(w.kvm, w.group[0], w.table), 0);
		EXPECT_EQ(list_count_nodes(&b->holder.attachments), 1);
		group_del(w.group[0]);
		EXPECT_EQ(world_put(&w, 0, GPA_A | PERMS), H_SUCCESS);
		EXPECT(hw_now(w.hw[0], 0));
		fake_end();
	}
}

/* What the table has for others stays. */
TEST(follow_again_failed, "SET without memory: what the first group has stays")
{
	struct world w = world_new(&shape_plain, 1);
	struct iommu_group *b = group_new(1);

	EXPECT_EQ(group_add(w.kvm, b), 0);
	group_set_window(b, 1, w.hw[0]);
	shim_fault_arm(1);
	EXPECT_EQ(vm_attach(w.kvm, b, w.table), -ENOMEM);
	EXPECT(shim_fault_disarm());
	EXPECT(list_empty(&b->holder.attachments));
	EXPECT_EQ(w.hw[0]->refs, 2);
	EXPECT_EQ(world_put(&w, 0, GPA_A | PERMS), H_SUCCESS);
	EXPECT(hw_now(w.hw[0], 0));
}

static unsigned int rests;

static void rest(void)
{
	rests++;
}

/* Contract 1.18: user space makes tables, as many as it may have files. */
TEST(follow_tables_rest, "40 tables behind a group: ADD, DEL and the end of links let others run")
{
	struct world w = world_new(&shape_plain, 1);
	struct iommu_group *b = group_new(1), *of_another_vm = group_new(1);
	unsigned int nr = 1;

	for (; nr < 40; nr++)
		EXPECT_EQ(vm_attach(w.kvm, w.group[0],
				    vm_table(w.kvm, LIOBN + nr, w.shape.shift,
					     w.shape.bus, w.shape.entries)), 0);
	group_set_window(b, 0, w.hw[0]);
	group_set_window(of_another_vm, 0, w.hw[0]);
	vcpu_between_pieces = rest;
	/* Each is looked at, */
	EXPECT_EQ(group_add(vm_new(), of_another_vm), 0);
	EXPECT_EQ(rests, nr);
	rests = 0;
	/* and an attachment is made, and dropped if the last one fails, */
	shim_fault_arm(nr);
	EXPECT_EQ(group_add(w.kvm, b), -ENOMEM);
	EXPECT(shim_fault_disarm());
	EXPECT_EQ(rests, nr + nr - 1);
	b->holder.kvm = NULL;
	rests = 0;
	/* or published. */
	EXPECT_EQ(group_add(w.kvm, b), 0);
	EXPECT_EQ(rests, 2 * nr);
	rests = 0;
	group_del(b);
	EXPECT_EQ(rests, nr);
	rests = 0;
	group_del(w.group[0]);
	/* The links go as well. */
	EXPECT_EQ(rests, 2 * nr);
	EXPECT_EQ(w.hw[0]->refs, 1);
}

/* Contract 1.16: the n-th group costs as much as the first one. */
TEST(follow_many, "ADD does not walk the groups that are held")
{
	struct world w = world_new(&shape_plain, 1);
	unsigned long before, cost, first[2];

	for (int i = 0; i < 50; i++) {
		struct iommu_group *group = group_new(1);

		if (i % 2)
			group_set_window(group, 0, w.hw[0]);
		before = shim_probes();
		EXPECT_EQ(group_add(w.kvm, group), 0);
		cost = shim_probes() - before;
		EXPECT(cost <= 6);
		/* With the hardware table, or without it */
		if (i < 2)
			first[i] = cost;
		EXPECT_EQ(cost, first[i % 2]);
		EXPECT_EQ(!list_empty(&group->holder.attachments), i % 2);
	}
}
