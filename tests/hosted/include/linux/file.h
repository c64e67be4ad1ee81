/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_FILE_H
#define _SHIM_FILE_H

#include <linux/cleanup.h>
#include <linux/fs.h>

struct file *fget(unsigned int fd);
/* The same without failure injection. */
struct file *shim_fd(unsigned int fd);
/* NULL if it is of another kind. */
struct file *shim_fd_of(int fd, const struct file_operations *f_op);

DEFINE_FREE(fput, struct file *, if (!IS_ERR_OR_NULL(_T)) fput(_T))

/* The process under test: a table of fds, lowest free number first. */
#define SHIM_FDS	1024

struct file *shim_file(const struct file_operations *f_op, void *private);
int shim_install(struct file *file);
/* The same in two steps; NULL gives the number back. */
int shim_reserve(void);
void shim_install_at(int fd, struct file *file);
int shim_dup(int fd);
int shim_close(int fd);
/* After the highest one so far */
int shim_fds(void);
unsigned int shim_live_files(void);
void shim_return_to_user(void);

#endif
