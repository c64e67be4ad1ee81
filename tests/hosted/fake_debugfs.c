// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs, and KVM's directory of each VM in it: PID-FD with the file vfio.  Who
 * removes a file waits until nobody is in its show(), and from then on nobody gets in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fault.h>
#include <linux/file.h>
#include <linux/list.h>

#include "fake.h"
#include "test.h"

/* A directory, with room for the one file */
struct dentry {
	struct list_head node;
	char name[16];
	int refs;		/* atomic: the VM and who has it open */
	int readers;		/* all below: debugfs_lock */
	bool removed;
	void *data;
	const struct file_operations *fops;
};

static pthread_mutex_t debugfs_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t debugfs_cond = PTHREAD_COND_INITIALIZER;
static struct list_head directories;
static int waiting;

static void __attribute__((constructor)) debugfs_init(void)
{
	INIT_LIST_HEAD(&directories);
}

static void dput(struct dentry *dir)
{
	if (fake_dec(dir->refs))
		return;
	free(dir);
	fake_dec(counts.dentries);
}

static struct dentry *lookup(const char *name)
{
	struct dentry *dir;

	list_for_each_entry(dir, &directories, node)
		if (!strcmp(dir->name, name))
			return dir;
	return NULL;
}

struct dentry *debugfs_create_dir(const char *name)
{
	struct dentry *dir = ERR_PTR(-ENOENT);

	pthread_mutex_lock(&debugfs_lock);
	if (!lookup(name)) {
		dir = fake_alloc(sizeof(*dir));
		snprintf(dir->name, sizeof(dir->name), "%s", name);
		dir->refs = 1;
		list_add(&dir->node, &directories);
		fake_inc(counts.dentries);
	}
	pthread_mutex_unlock(&debugfs_lock);
	return dir;
}

struct dentry *debugfs_create_file_unsafe(const char *name, int mode,
					  struct dentry *parent, void *data,
					  const struct file_operations *fops)
{
	EXPECT_STR(name, "vfio");
	EXPECT_EQ(mode, 0444);
	if (IS_ERR_OR_NULL(parent))
		bail_out("a file is made in no directory");
	pthread_mutex_lock(&debugfs_lock);
	parent->data = data;
	parent->fops = fops;
	pthread_mutex_unlock(&debugfs_lock);
	return parent;
}

void debugfs_remove_recursive(struct dentry *dir)
{
	pthread_mutex_lock(&debugfs_lock);
	dir->removed = true;
	list_del(&dir->node);
	waiting++;
	while (dir->readers)
		pthread_cond_wait(&debugfs_cond, &debugfs_lock);
	waiting--;
	pthread_mutex_unlock(&debugfs_lock);
	dput(dir);
}

bool fake_debugfs_waiting(void)
{
	bool ret;

	pthread_mutex_lock(&debugfs_lock);
	ret = waiting;
	pthread_mutex_unlock(&debugfs_lock);
	return ret;
}

/* User space */

static void debugfs_release(struct file *file)
{
	dput(file->private_data);
}

static const struct file_operations debugfs_fops = {
	.name = "debugfs",
	.release = debugfs_release,
};

int user_open_show(const char *name)
{
	struct dentry *dir;
	struct file *file;

	pthread_mutex_lock(&debugfs_lock);
	dir = lookup(name);
	if (dir && dir->fops)
		fake_inc(dir->refs);
	else
		dir = NULL;
	pthread_mutex_unlock(&debugfs_lock);
	if (!dir)
		return -ENOENT;
	file = shim_file(&debugfs_fops, dir);
	file->f_path.dentry = dir;
	return shim_install(file);
}

int debugfs_file_get(struct dentry *dir)
{
	int ret = -EIO;

	pthread_mutex_lock(&debugfs_lock);
	if (!dir->removed) {
		dir->readers++;
		ret = 0;
	}
	pthread_mutex_unlock(&debugfs_lock);
	return ret;
}

void debugfs_file_put(struct dentry *dir)
{
	pthread_mutex_lock(&debugfs_lock);
	if (--dir->readers < 0)
		SHIM_FAIL("a file is put that was not taken");
	pthread_cond_broadcast(&debugfs_cond);
	pthread_mutex_unlock(&debugfs_lock);
}

int user_read_show(int fd, char **text)
{
	struct file *file = shim_fd_of(fd, &debugfs_fops);
	struct dentry *dir = file->f_path.dentry;
	int ret = shim_seq_read(dir->fops->show, dir->data, file, text);

	fput(file);
	shim_return_to_user();
	return ret;
}
