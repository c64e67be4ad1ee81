/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_MODULE_H
#define _SHIM_MODULE_H

#include <linux/types.h>

struct module {
	const char *name;
	int refs;
};

#define symbol_get(x)	((typeof(&(x)))shim_symbol_get(#x))
#define symbol_put(x)	shim_symbol_put(#x)

const void *shim_symbol_get(const char *name);
void shim_symbol_put(const char *name);

#define MODULE_VERSION(version)	struct shim_module_version

#endif
