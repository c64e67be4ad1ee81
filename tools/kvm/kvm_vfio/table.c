// SPDX-License-Identifier: GPL-2.0-only
/*
 * Columns of text: each as wide as its widest cell.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "kvm-vfio.h"

#define CELLS	10

struct table {
	int cells;
	size_t nr_rows;
	const char *(*rows)[CELLS];
	int width[CELLS];
};

struct table *table_new(void)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		die("no memory left", NULL);
	return table;
}

void table_row(struct table *table, int cells, ...)
{
	va_list args;
	int i;

	table->rows = reallocarray(table->rows, table->nr_rows + 1, sizeof(*table->rows));
	if (!table->rows)
		die("no memory left", NULL);
	table->cells = cells;
	va_start(args, cells);
	for (i = 0; i < cells; i++) {
		const char *cell = va_arg(args, const char *);
		int width;

		cell = cell ? plain(cell) : "-";
		width = strlen(cell);
		if (width > table->width[i])
			table->width[i] = width;
		table->rows[table->nr_rows][i] = cell;
	}
	va_end(args);
	table->nr_rows++;
}

static void print_row(const struct table *table, const char *const *row)
{
	int last = table->cells - 1, i;

	while (last > 0 && !*row[last])
		last--;
	for (i = 0; i < last; i++)
		printf("%-*s  ", table->width[i], row[i]);
	printf("%s\n", row[last]);
}

void table_print(struct table *table, const char *indent)
{
	size_t i;

	for (i = 0; i < table->nr_rows; i++) {
		fputs(indent, stdout);
		print_row(table, table->rows[i]);
	}
	free(table->rows);
	free(table);
}
