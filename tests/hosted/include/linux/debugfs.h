/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_DEBUGFS_H
#define _SHIM_DEBUGFS_H

#include <linux/fs.h>
#include <linux/seq_file.h>

struct dentry;

/*
 * "unsafe": nobody but the file's own show() keeps it from being removed, between
 * debugfs_file_get(), which is -EIO once it is gone, and debugfs_file_put().
 */
struct dentry *debugfs_create_file_unsafe(const char *name, int mode,
					  struct dentry *parent, void *data,
					  const struct file_operations *fops);
int debugfs_file_get(struct dentry *dentry);
void debugfs_file_put(struct dentry *dentry);

#endif
