/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_FS_H
#define _SHIM_FS_H

#include <linux/types.h>

struct file;
struct module;
struct seq_file;

struct file_operations {
	const char *name;
	struct module *owner;
	void (*release)(struct file *file);
	void (*show_fdinfo)(struct seq_file *m, struct file *file);
};

struct inode {
	dev_t i_rdev;
};

struct file {
	const struct file_operations *f_op;
	void *private_data;
	int f_count;
	struct file *next_work;
	struct inode inode;
};

#define file_inode(file)	(&(file)->inode)
#define shim_release(file)	((file)->f_op->release(file))

struct file *get_file(struct file *file);
/* The last one puts the release off until shim_return_to_user(). */
void fput(struct file *file);

#endif
