// SPDX-License-Identifier: GPL-2.0-only
/*
 * What sysfs tells of devices, their drivers, IOMMU groups and IOMMUs.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "kvm-vfio.h"

char *node_number(const char *class, const char *name)
{
	return first_line(at("/sys/class/%s/%s/dev", class, name));
}

char *node_name(const char *class, dev_t number)
{
	char *wanted = text("%u:%u", major(number), minor(number));
	char **name;

	for (name = list_folder(at("/sys/class/%s", class)); *name; name++) {
		char *is = node_number(class, *name);

		if (is && !strcmp(is, wanted))
			return *name;
	}
	return NULL;
}

char *find_device(const char *name)
{
	char **bus, *found = NULL;

	if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '/'))
		return NULL;
	for (bus = list_folder(at("/sys/bus")); *bus; bus++) {
		char *dir = at("/sys/bus/%s/devices/%s", *bus, name);

		if (!exists(dir))
			continue;
		found = dir;
		if (exists(text("%s/iommu_group", dir)))
			break;
	}
	return found;
}

/*
 * Drivers that leave the ownership of DMA to user space: those of VFIO, and of bridges and
 * such that do no DMA of their own (driver_managed_dma).
 */
static bool leaves_dma(const char *driver, const char *cdev)
{
	return !driver || cdev || strstr(driver, "vfio") || !strcmp(driver, "pci-stub") ||
		!strcmp(driver, "pcieport");
}

struct json_object *device_member(const char *dir)
{
	struct json_object *member = new_object();
	char *driver = link_name(text("%s/driver", dir));
	char *cdev = *list_folder(text("%s/vfio-dev", dir));

	put_text(member, "name", strrchr(dir, '/') + 1);
	put_text(member, "driver", driver);
	put_text(member, "cdev", cdev);
	put_bool(member, "vfio", cdev || (driver && strstr(driver, "vfio")));
	put_bool(member, "viable", leaves_dma(driver, cdev));
	return member;
}

struct json_object *group_members(const char *group)
{
	char *dir = at("/sys/kernel/iommu_groups/%s", group), **name;
	struct json_object *members;

	if (!exists(dir))
		return NULL;
	members = new_array();
	for (name = list_folder(text("%s/devices", dir)); *name; name++) {
		char *device = text("%s/devices/%s", dir, *name);

		if (exists(device))
			add(members, device_member(device));
	}
	return members;
}

/* Those of AMD can; one of Intel can if it has snoop control, bit 7 of its ecap. */
static struct json_object *iommu_of(const char *dir)
{
	struct json_object *iommu = new_object();
	char *unit = link_name(text("%s/iommu", dir)), *end;
	char *ecap = first_line(text("%s/iommu/intel-iommu/ecap", dir));
	unsigned long long bits = ecap ? strtoull(ecap, &end, 16) : 0;

	put_text(iommu, "device", strrchr(dir, '/') + 1);
	put_text(iommu, "iommu", unit);
	if (unit && starts(unit, "ivhd"))
		put_bool(iommu, "snoop_control", true);
	else if (ecap && !ecap[strspn(ecap, "0123456789abcdef")])
		put_bool(iommu, "snoop_control", bits & 0x80);
	else
		put(iommu, "snoop_control", NULL);
	return iommu;
}

struct json_object *iommus_of(struct json_object *file)
{
	struct json_object *iommus = new_array();
	const char *group = get_text(file, "group"), *cdev = get_text(file, "cdev");
	char *dir, *name, **device;

	if (!group) {
		dir = at("/sys/class/vfio-dev/%s/device", cdev);
		name = link_name(dir);
		if (name)
			add(iommus, iommu_of(text("%s/../%s", dir, name)));
		return iommus;
	}
	dir = at("/sys/kernel/iommu_groups/%s/devices", group);
	for (device = list_folder(dir); *device; device++)
		if (exists(text("%s/%s", dir, *device)))
			add(iommus, iommu_of(text("%s/%s", dir, *device)));
	return iommus;
}
