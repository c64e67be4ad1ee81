// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every order of what user space and the host can do with one group, from
 * several starts, checked against a second description of the rules: contract,
 * sections 1 and 2.  Each path ends with the death of the process, which closes
 * everything.  Paths of all lengths stand for "killed at any point".
 */
#include <stdio.h>

#include "setup.h"

#if IS_ENABLED(CONFIG_VFIO_GROUP)
#define DEPTH	4

static const char ops[] = "SUIADOCGEcKNR";

struct state {
	bool group, container, dev;	/* our fds are open */
	bool set, iommu;	/* group is in the container, with IOMMU */
	bool held, dead;	/* by KVM; KVM's handle is dead */
	bool open;		/* device fd */
	bool gone;		/* the host took the group back */
};

struct world {
	struct vm vm;
	struct group group;
	int device;
};

/* The group's file is released if nobody has it any more. */
static void settle(struct state *s)
{
	if (!s->group && !s->open && (!s->held || s->dead))
		s->set = false;
	if (!s->set)
		s->iommu = false;
}

static int step_set(struct state *s)
{
	if (s->set)
		return -EINVAL;
	if (s->gone)
		return -ENODEV;
	s->set = true;
	return 0;
}

static int step_unset(struct state *s)
{
	if (!s->set)
		return -EINVAL;
	if (s->held || s->open)
		return -EBUSY;
	s->set = false;
	return 0;
}

static int step_add(struct state *s)
{
	if (s->held)
		return -EEXIST;
	if (!s->iommu)
		return -EINVAL;
	s->held = true;
	return 0;
}

static int step_del(struct state *s)
{
	if (!s->held)
		return -ENOENT;
	s->held = false;
	s->dead = false;
	return 0;
}

/* Opens the group; only valid if this process has no fd of it. */
static int step_reopen(struct state *s)
{
	if (s->gone)
		return -ENOENT;
	if (s->held || s->open)
		return -EBUSY;
	s->group = true;
	return 0;
}

static int step_get_device(struct state *s)
{
	if (s->gone)
		return -ENODEV;
	if (!s->iommu)
		return -EINVAL;
	s->open = true;
	return 0;
}

static int step_take_back(struct state *s)
{
	s->gone = true;
	s->set = false;
	s->dead = s->held;
	return 0;
}

static int step_set_iommu(struct state *s)
{
	if (!s->set || s->iommu)
		return -EINVAL;
	s->iommu = true;
	return 0;
}

static int step(struct state *s, char op)
{
	switch (op) {
	case 'S':
		return step_set(s);
	case 'U':
		return step_unset(s);
	case 'I':
		return step_set_iommu(s);
	case 'A':
		return step_add(s);
	case 'D':
	case 'K':
		s->dev = op == 'D';
		return op == 'K' ? step_del(s) * 0 : step_del(s);
	case 'O':
		return step_get_device(s);
	case 'E':
		return step_reopen(s);
	case 'N':
		s->dev = true;
		return 0;
	case 'R':
		return step_take_back(s);
	}
	s->open &= op != 'C';
	s->group &= op != 'G';
	s->container &= op != 'c';
	return 0;
}

/* Can this step be done now, with the fds that are open? */
static bool possible(const struct state *s, char op)
{
	switch (op) {
	case 'S':
		return s->group && s->container;
	case 'I':
	case 'c':
		return s->container;
	case 'A':
	case 'D':
		return s->group && s->dev;
	case 'C':
		return s->open;
	case 'E':
		return !s->group;
	case 'K':
	case 'N':
		return s->dev == (op == 'K');
	case 'R':
		return !s->gone && !s->open;
	case 'O':
		return s->group && !s->open;
	}
	return s->group;
}

static int zero_or_error(int *fd, int ret)
{
	if (ret < 0)
		return ret;
	*fd = ret;
	return 0;
}

static int do_op(struct world *w, char op)
{
	struct group *g = &w->group;

	switch (op) {
	case 'S':
		return user_set_container(g->fd, g->container);
	case 'U':
		return user_unset_container(g->fd);
	case 'I':
		return user_set_iommu(g->container);
	case 'A':
		return user_add(w->vm.dev, g->fd);
	case 'D':
		return user_del(w->vm.dev, g->fd);
	case 'O':
		return zero_or_error(&w->device,
				     user_get_device(g->fd, g->ig->devices));
	case 'C':
		return shim_close(w->device);
	case 'G':
		return shim_close(g->fd);
	case 'E':
		return zero_or_error(&g->fd, user_open_group(g->ig));
	case 'c':
		return shim_close(g->container);
	case 'K':
		return shim_close(w->vm.dev);
	case 'N':
		return zero_or_error(&w->vm.dev,
				     user_create_device(w->vm.fd, false));
	}
	host_take_back(g->ig, false);
	return 0;
}

static void check(const struct world *w, const struct state *s,
		  const char *path)
{
	unsigned int failed = test_failures();

	EXPECT_EQ(w->group.ig->protected, s->iommu);
	EXPECT_EQ(w->group.ig->owned, s->set);
	EXPECT_ASSIGNED(w->vm.kvm, s->held);
	EXPECT_EQ(counts.symbol_refs, s->held ? API_SYMBOLS : 0);
	if (s->group)
		EXPECT_EQ(users(&w->group),
			  s->set ? 1 + s->open + (s->held && !s->dead) : 0);
	if (test_failures() != failed)
		SHIM_FAIL("... after %s", path);
}

static void run_path(const char *path)
{
	struct state s = { .group = true, .container = true, .dev = true };
	struct world w = { .vm = new_vm() };
	int want;

	w.group.ig = host_group(VFIO_IOMMU, 1);
	w.group.fd = user_open_group(w.group.ig);
	w.group.container = user_open_container();
	for (const char *op = path; *op; op++) {
		want = step(&s, *op);
		settle(&s);
		EXPECT_EQ(do_op(&w, *op), want);
	}
	check(&w, &s, path);
	fake_end();
}

static unsigned int explore(struct state s, char *path, int len, int depth)
{
	unsigned int nr = 1;

	path[len] = 0;
	run_path(path);
	for (const char *op = ops; depth && *op; op++) {
		struct state next = s;

		if (!possible(&s, *op) || test_failures() > 20)
			continue;
		step(&next, *op);
		settle(&next);
		path[len] = *op;
		nr += explore(next, path, len + 1, depth - 1);
	}
	return nr;
}

static void explore_from(const char *start)
{
	struct state s = { .group = true, .container = true, .dev = true };
	char path[32];

	snprintf(path, sizeof(path), "%s", start);
	for (const char *op = start; *op; op++) {
		step(&s, *op);
		settle(&s);
	}
	EXPECT(explore(s, path, strlen(path), DEPTH) > 1000);
}

TEST(from_nothing, "every order of 4 steps, from an open group")
{
	explore_from("");
}

TEST(from_held, "every order of 4 steps, from a held group")
{
	explore_from("SIA");
}

TEST(from_open, "every order of 4 steps, from a held group, device open")
{
	explore_from("SIOA");
}

TEST(from_dead, "every order of 4 steps, from a group that is taken back")
{
	explore_from("SIAR");
}
#endif
