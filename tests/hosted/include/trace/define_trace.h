/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/tracepoint.h has made all of the events. */
