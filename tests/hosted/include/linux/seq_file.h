/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_SEQ_FILE_H
#define _SHIM_SEQ_FILE_H

#include <linux/fs.h>
#include <linux/types.h>

struct seq_file {
	char *buf;
	size_t size;
	size_t count;
	bool overflow;
	void *private;
	const struct file *file;	/* of debugfs; NULL in tests of the TCE code */
};

/* The kernel's compiler looks at the formats; its u64 is another type. */
void seq_printf(struct seq_file *m, const char *fmt, ...);
void seq_puts(struct seq_file *m, const char *text);
void seq_putc(struct seq_file *m, char c);

typedef int (*shim_show_t)(struct seq_file *m, void *token);

/* Reads all.  @text is to be freed, and "" if it failed. */
/* Of the first buffer, from now on; 0: as at first, which is too small for all */
void shim_set_seq_size(size_t size);
int shim_seq_read(shim_show_t show, void *private, const struct file *file,
		  char **text);

#define DEFINE_SHOW_ATTRIBUTE(id)					\
static const struct file_operations id##_fops = {			\
	.name = #id,							\
	.show = id##_show,						\
}

#endif
