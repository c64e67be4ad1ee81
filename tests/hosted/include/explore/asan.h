/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What gcc calls for each access to memory, instead of checking ASan's shadow in place:
 * asan-instrumentation-with-call-threshold.  The explorer's are in front of libasan's.
 */
#ifndef _EXPLORE_ASAN_H
#define _EXPLORE_ASAN_H

#include <stddef.h>
#include <stdint.h>

void __asan_get_shadow_mapping(size_t *scale, size_t *offset);

/* check(at, size, write) is true if the access is an error. */
#define ACCESS(name, size, write)					\
void __asan_##name(uintptr_t at);					\
void __asan_report_##name(uintptr_t at);				\
void __asan_##name(uintptr_t at)					\
{									\
	if (check(at, size, write))					\
		__asan_report_##name(at);				\
}

#define ACCESS_N(name, report, write)					\
void __asan_##name(uintptr_t at, size_t size);				\
void __asan_report_##report(uintptr_t at, size_t size);			\
void __asan_##name(uintptr_t at, size_t size)				\
{									\
	if (check(at, size, write))					\
		__asan_report_##report(at, size);			\
}

/* The linker's names for what the program calls, and for what there is: --wrap */
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void __wrap_free(void *ptr);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *ptr, size_t size);
void __real_free(void *ptr);

#endif
