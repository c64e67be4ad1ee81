// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which module would modprobe load?  By libkmod.
 */
#include <libkmod.h>
#include <string.h>

#include "kvm-vfio.h"

static void take_info(struct json_object *o, struct kmod_module *module)
{
	static const char *const keys[] = { "version", "srcversion", "signer" };
	struct kmod_list *list = NULL, *entry;
	size_t i;

	if (kmod_module_get_info(module, &list) < 0)
		return;
	kmod_list_foreach(entry, list)
		for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
			if (!strcmp(kmod_module_info_get_key(entry), keys[i]))
				put_text(o, keys[i], kmod_module_info_get_value(entry));
	kmod_module_info_free_list(list);
}

static struct json_object *module_of(struct kmod_ctx *context, const char *name)
{
	struct json_object *o = NULL;
	struct kmod_module *module;
	const char *path;

	if (kmod_module_new_from_name(context, name, &module) < 0)
		return NULL;
	path = kmod_module_get_path(module);
	if (path) {
		o = new_object();
		put_text(o, "file", path + strlen(root()));
		take_info(o, module);
	}
	kmod_module_unref(module);
	return o;
}

struct json_object *module_on_disk(const char *release, const char *name)
{
	const char *no_configuration = NULL;
	struct kmod_ctx *context = kmod_new(at("/lib/modules/%s", release), &no_configuration);
	struct json_object *o;

	if (!context)
		die("libkmod cannot be used", NULL);
	kmod_set_log_fn(context, NULL, NULL);
	o = module_of(context, name);
	kmod_unref(context);
	return o;
}
