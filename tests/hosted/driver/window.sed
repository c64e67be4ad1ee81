# SPDX-License-Identifier: GPL-2.0-only
# What test_window.c takes of vfio_iommu_spapr_tce.c: how windows come and go, what is in one
# and how that is cleared, and how an EEH operation goes from group to group
/^struct tce_\(iommu_group\|container\) {/,/^};/p
/^static .*tce_groups_attached(/,/^}/p
/^static .*tce_iommu_find_table(/,/^}/p
/^static .*tce_iommu_find_free_table(/,/^}/p
/^static .*tce_iommu_create_window(/,/^}/p
/^static .*tce_iommu_remove_window(/,/^}/p
/^static .*tce_iommu_unset_window(/,/^}/p
/^static .*tce_iommu_release_ownership(/,/^}/p
/^static .*tce_iommu_has_range(/,/^}/p
/^#define TCE_IOMMU_PIECE/p
/^static .*tce_iommu_yield(/,/^}/p
/^static .*tce_iommu_unmap(/,/^}/p
/^static .*tce_iommu_map(/,/^}/p
/^static .*tce_iommu_clear_piece(/,/^}/p
/^static .*tce_iommu_next_pe(/,/^}/p
