/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions of the fakes that are a step: the linker's --wrap has the kernel call these. */
#ifndef _EXPLORE_WRAP_H
#define _EXPLORE_WRAP_H

typedef struct mm_iommu_table_group_mem_t mem_t;

#define WRAP(type, name, proto, args)					\
type __real_##name proto;						\
type __wrap_##name proto;						\
type __wrap_##name proto						\
{									\
	shim_step(#name, NULL);						\
	return __real_##name args;					\
}

struct iommu_table *__real_iommu_tce_table_get(struct iommu_table *tbl);
struct iommu_table *__wrap_iommu_tce_table_get(struct iommu_table *tbl);
unsigned long __real_copy_from_user(void *to, const void *from, unsigned long n);
unsigned long __wrap_copy_from_user(void *to, const void *from, unsigned long n);
void __real_cond_resched(void);
void __wrap_cond_resched(void);

#endif
