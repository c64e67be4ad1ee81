# SPDX-License-Identifier: GPL-2.0-only
# What test_memory.c takes of vfio_iommu_spapr_tce.c: who has registered which memory
/^struct tce_\(iommu_prereg\|iommu_mm\|container\) {/,/^};/p
/^static .*tce_iommu_mms/p
/^static .*tce_iommu_mm_get(/,/^}/p
/^static .*tce_iommu_mm_set(/,/^}/p
/^static .*tce_iommu_put_left(/,/^}/p
/^static .*tce_iommu_mm_put(/,/^}/p
/^static .*tce_iommu_prereg_find(/,/^}/p
/^static .*tce_iommu_unregister_pages(/,/^}/p
/^static .*tce_iommu_register_pages(/,/^}/p
