/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_KDEV_T_H
#define _SHIM_KDEV_T_H

#define MKDEV(major, minor)	((major) << 20 | (minor))
#define MAJOR(dev)		((unsigned int)((dev) >> 20))
#define MINOR(dev)		((unsigned int)((dev) & 0xfffff))

#endif
