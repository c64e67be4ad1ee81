/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_ERR_H
#define _SHIM_ERR_H

#include <linux/types.h>

#define IS_ERR(p)		((unsigned long)(p) >= (unsigned long)-4095)
#define IS_ERR_OR_NULL(p)	(!(p) || IS_ERR(p))
#define ERR_PTR(e)		((void *)(long)(e))
#define PTR_ERR(p)		((long)(p))

#endif
