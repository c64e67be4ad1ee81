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
};

/* The kernel's compiler looks at the formats; its u64 is another type. */
void seq_printf(struct seq_file *m, const char *fmt, ...);
void seq_puts(struct seq_file *m, const char *text);
void seq_putc(struct seq_file *m, char c);

static inline bool seq_has_overflowed(struct seq_file *m)
{
	return m->overflow;
}

/* Reads /proc/PID/fdinfo/@fd: what is to be freed; NULL if there is no fd, or no text */
char *shim_read_fdinfo(int fd);
/* Takes the line of @key out of @text, which must have one. */
char *shim_cut_line(char *text, const char *key);
/* Of the first buffer, from now on; 0: as at first, which is too small for all */
void shim_set_seq_size(size_t size);
/* Of the last read's last buffer */
size_t shim_seq_size(void);
/* Pieces of text that were put, and lost, since the last call */
unsigned long shim_seq_pieces(void);

#endif
