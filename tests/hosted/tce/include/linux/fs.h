/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_FS_H
#define _SHIM_FS_H

#include <linux/types.h>

struct file;
struct inode;
struct module;
struct seq_file;
struct vm_area_struct;

struct file_operations {
	const char *name;
	struct module *owner;
	int (*mmap)(struct file *file, struct vm_area_struct *vma);
	int (*release)(struct inode *inode, struct file *file);
	void (*show_fdinfo)(struct seq_file *m, struct file *file);
};

struct file {
	const struct file_operations *f_op;
	void *private_data;
	int f_count;
	struct file *next_work;
};

#define shim_release(file)	((file)->f_op->release(NULL, file))

struct file *get_file(struct file *file);
/* The last one puts the release off until shim_return_to_user(). */
void fput(struct file *file);

#endif
