// SPDX-License-Identifier: GPL-2.0-only
/*
 * status: whose modules run, which are on disk and in the initramfs, and what to do.
 */
#include <stdlib.h>
#include <string.h>

#include "kvm-vfio.h"

/* How a function begins that only our module has; the package adds a number to some. */
static const struct {
	const char *module, *function;
} marks[] = {
	{ "kvm", "kvm_vfio_release_unlocked" },
	{ "vfio", "vfio_external_get" },
};

#define NR_MARKS	(sizeof(marks) / sizeof(*marks))

/* Does the kernel tell symbols of the module, and is the mark among them? */
struct symbols {
	bool any[NR_MARKS], ours[NR_MARKS];
};

static void read_symbols(struct symbols *symbols)
{
	FILE *file = fopen(at("/proc/kallsyms"), "re");
	char *line = NULL, name[512], module[64];
	size_t room = 0, i;

	while (file && getline(&line, &room, file) > 0) {
		/* Most are of no module. */
		if (!strchr(line, '[') ||
		    sscanf(line, "%*s %*s %511s [%63[^]]]", name, module) != 2)
			continue;
		for (i = 0; i < NR_MARKS; i++) {
			if (strcmp(module, marks[i].module))
				continue;
			symbols->any[i] = true;
			symbols->ours[i] |= starts(name, marks[i].function);
		}
	}
	free(line);
	if (file)
		fclose(file);
}

static const char *whose(const struct symbols *symbols, const char *name)
{
	size_t i;

	for (i = 0; i < NR_MARKS; i++)
		if (!strcmp(name, marks[i].module) && symbols->any[i])
			return symbols->ours[i] ? "ours" : "stock";
	return "unknown";
}

/* Whose a file is, by its folder in /lib/modules/RELEASE or in the initramfs */
static const char *kind_of(const char *file)
{
	if (!file)
		return NULL;
	if (strstr(file, "/updates/dkms/") || strstr(file, "/updates/kvm-vfio/"))
		return "ours";
	return strstr(file, "/kernel/") ? "stock" : "other";
}

/* The line of the listing that ends with /NAME.ko, compressed or not */
static char *find_in_initramfs(const char *listing, const char *release, const char *name)
{
	const char *line = listing, *end;
	char *within = text("lib/modules/%s/", release), *ending = text("/%s.ko", name);

	for (; line && *line; line = *end ? end + 1 : end) {
		char *file, *dot;

		end = strchrnul(line, '\n');
		file = text("%.*s", (int)(end - line), line);
		dot = strstr(file, ending);
		if (dot && strstr(file, within) && strchr(".", dot[strlen(ending)]))
			return strstr(file, within);
	}
	return NULL;
}

#define LIST_INITRAMFS \
	"{ lsinitramfs \"$A\" || lsinitrd \"$A\" | awk '{ print $NF }'; } 2>/dev/null </dev/null"

static const char *initramfs_image(const char *release)
{
	static const char *const names[] = { "/boot/initrd.img-%s", "/boot/initramfs-%s.img" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (exists(at(names[i], release)))
			return text(names[i], release);
	return NULL;
}

/* NULL: it cannot be read, or nothing here can list it */
static char *initramfs_listing(const char *image)
{
	char *listing = image ? output_of(LIST_INITRAMFS, at("%s", image)) : NULL;

	return listing && *listing ? listing : NULL;
}

/* What runs; NULL: it is not loaded */
static const char *runs(const struct symbols *symbols, const char *name)
{
	char *dir = at("/sys/module/%s", name);

	if (exists(text("%s/initstate", dir)))
		return whose(symbols, name);
	return exists(dir) ? "built-in" : NULL;
}

static void take_running(struct json_object *module, const struct symbols *symbols)
{
	const char *name = get_text(module, "name"), *is = runs(symbols, name);
	char *dir = at("/sys/module/%s", name), *taint;

	put_bool(module, "loaded", is);
	put_text(module, "runs", is);
	put_text(module, "version", first_line(text("%s/version", dir)));
	put_text(module, "srcversion", first_line(text("%s/srcversion", dir)));
	put(module, "signed", NULL);
	taint = read_file(text("%s/taint", dir));
	if (taint)
		put_bool(module, "signed", !strchr(taint, 'E'));
}

static bool same_text(struct json_object *o, const char *a, const char *b)
{
	return has(o, a) && has(o, b) && !strcmp(get_text(o, a), get_text(o, b));
}

static struct json_object *module_tree(const char *release, const char *name,
				       const struct symbols *symbols, const char *listing)
{
	struct json_object *module = new_object(), *disk = module_on_disk(release, name);
	const char *file = disk ? get_text(disk, "file") : NULL, *early;

	put_text(module, "name", name);
	take_running(module, symbols);
	put_text(module, "file", file);
	put_text(module, "file_kind", kind_of(file));
	put_text(module, "file_version", disk ? get_text(disk, "version") : NULL);
	put_text(module, "file_srcversion", disk ? get_text(disk, "srcversion") : NULL);
	put_text(module, "file_signer", disk ? get_text(disk, "signer") : NULL);
	json_object_put(disk);
	early = listing ? find_in_initramfs(listing, release, name) : NULL;
	put_text(module, "initramfs", early);
	put_text(module, "initramfs_kind", kind_of(early));
	/* vfio_iommu_spapr_tce has no symbols of ours, but a srcversion. */
	if (has(module, "runs") && !strcmp(get_text(module, "runs"), "unknown") &&
	    same_text(module, "srcversion", "file_srcversion"))
		put_text(module, "runs", get_text(module, "file_kind"));
	return module;
}

static bool is(struct json_object *o, const char *key, const char *value)
{
	const char *s = get_text(o, key);

	return s && !strcmp(s, value);
}

/* What is found out about all modules: lists of names */
struct judgement {
	const char *bad, *builtin, *unknown, *old, *early;
	bool lacking, temporary, known, old_early;
};

static void list_name(const char **list, struct json_object *module)
{
	*list = text("%s%s%s", *list ? *list : "", *list ? ", " : "",
		     get_text(module, "name"));
}

static void judge(struct judgement *j, struct json_object *module)
{
	bool loaded = get_bool(module, "loaded"), ours = is(module, "file_kind", "ours");
	const char *what = get_text(module, loaded ? "runs" : "file_kind");

	if (!what)
		return;
	j->known = true;
	if (!strcmp(what, "built-in")) {
		list_name(&j->builtin, module);
	} else if (!strcmp(what, "unknown")) {
		if (strcmp(get_text(module, "name"), "vfio_iommu_spapr_tce"))
			list_name(&j->unknown, module);
	} else if (strcmp(what, "ours")) {
		list_name(&j->bad, module);
		j->lacking |= !ours;
	} else {
		j->temporary |= !ours;
	}
	if (has(module, "initramfs_kind") && has(module, "file_kind") &&
	    !same_text(module, "initramfs_kind", "file_kind"))
		list_name(&j->early, module);
	if (loaded && has(module, "srcversion") && has(module, "file_srcversion") &&
	    !same_text(module, "srcversion", "file_srcversion")) {
		list_name(&j->old, module);
		j->old_early |= has(module, "initramfs");
	}
}

#define ASK_PACKAGE \
	"for s in \"$A\"/usr/src/kvm-vfio-*/dkms/source; do [ ! -x \"$s\" ] || { "		\
	"\"$s\" \"$KERNEL\" \"$A/lib/modules/$KERNEL/build\" 2>&1 >/dev/null </dev/null; "	\
	"[ $? != 77 ] || echo 77; }; done; :"

/*
 * Why the package has no modules for a kernel: dkms/source says it in a line, but for a kernel that
 * the package is not for, it says nothing and returns 77.
 */
static char *what_is_missing(const char *release, bool *not_for)
{
	char *out;

	setenv("KERNEL", release, 1);
	out = output_of(ASK_PACKAGE, root());
	for (*not_for = false; out && starts(out, "77\n"); out += strlen("77\n"))
		*not_for = true;
	if (!out || !starts(out, "kvm-vfio: "))
		return NULL;
	*not_for = false;
	out += strlen("kvm-vfio: ");
	out[strcspn(out, "\n")] = 0;
	return out;
}

static char *advice_if_lacking(const char *release)
{
	bool not_for;

	what_is_missing(release, &not_for);
	return text("not all modules are installed for this kernel%s", not_for ?
		    ", which kvm-vfio-dkms is not for" : ": kvm-vfio-dkms has them");
}

static char *advice_of(const struct judgement *j, const char *release)
{
	static const char reload[] = "end all VMs and unload it, or reboot";
	const char *rebuild = text("update-initramfs -u -k %s (dracut: dracut -f), then reboot",
				   release);

	if (j->builtin)
		return text("this kernel has %s built in, which no module can replace", j->builtin);
	if (j->early)
		return text("the initramfs has another %s than the disk, and loads it first: %s",
			    j->early, rebuild);
	if (j->bad && j->lacking)
		return advice_if_lacking(release);
	if (j->bad)
		return text("installed, but the running %s is stock: %s", j->bad, reload);
	if (j->unknown)
		return text("cannot tell whose %s runs, /proc/kallsyms lacks its symbols",
			    j->unknown);
	if (!j->known)
		return "no modules are loaded, and none are there for this kernel";
	if (j->temporary)
		return "but modprobe would not load them: not installed for this kernel";
	if (j->old)
		return text("installed is another version of %s than runs%s: %s", j->old,
			    j->old_early ? ", and the initramfs may have that one" : "",
			    j->old_early ? rebuild : reload);
	return "nothing to do";
}

static struct json_object *lines_of(char *s)
{
	struct json_object *lines = new_array();
	char *line;

	for (line = strtok(s, "\n"); line; line = strtok(NULL, "\n"))
		add(lines, json_object_new_string(line));
	return lines;
}

static struct json_object *dkms_lines(void)
{
	char *out;

	if (!output_of("command -v dkms", ""))
		return NULL;
	out = output_of("dkms status -m kvm-vfio 2>/dev/null </dev/null", "");
	return lines_of(out ? out : text("%s", ""));
}

/* Both modules of a kernel: ours, stock, other; NULL if there are none */
static const char *modules_of(const char *release)
{
	struct json_object *kvm = module_on_disk(release, "kvm");
	struct json_object *vfio = module_on_disk(release, "vfio");
	const char *a = kvm ? kind_of(get_text(kvm, "file")) : NULL;
	const char *b = vfio ? kind_of(get_text(vfio, "file")) : NULL;

	json_object_put(kvm);
	json_object_put(vfio);
	if (!a || !b)
		return NULL;
	return strcmp(a, b) ? "other" : a;
}

static struct json_object *kernels_tree(const char *running)
{
	struct json_object *kernels = new_array(), *kernel;
	char **release;
	bool not_for;

	for (release = list_folder(at("/lib/modules")); *release; release++) {
		const char *modules = modules_of(*release);

		if (!modules)
			continue;
		kernel = new_object();
		put_text(kernel, "release", *release);
		put_bool(kernel, "running", !strcmp(*release, running));
		put_text(kernel, "modules", modules);
		put_text(kernel, "missing", strcmp(modules, "ours") ?
			 what_is_missing(*release, &not_for) : NULL);
		add(kernels, kernel);
	}
	return kernels;
}

/* TCE tables with hypercalls that KVM leaves to user space */
static struct json_object *slow_tables(void)
{
	static const char *const keys[] = { "liobn", "groups", "done", "left",
					    "left_by_reason" };
	struct json_object *slow = new_array(), *vms, *vm, *table, *o;
	bool whole;
	size_t i;

	if (!is_power())
		return slow;
	vms = all_vms(&whole);
	for_each(vm, vms) {
		for_each(table, get(vm, "tables")) {
			if (!get_number(table, "left"))
				continue;
			o = new_object();
			put_text(o, "name", get_text(vm, "name"));
			put(o, "pid", json_object_get(get(vm, "pid")));
			for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
				put(o, keys[i], json_object_get(get(table, keys[i])));
			add(slow, o);
		}
	}
	json_object_put(vms);
	say_if_not_whole(whole);
	return slow;
}

static struct json_object *modules_tree(const char *release, const char *listing)
{
	struct json_object *modules = new_array();
	char *arch = first_line(at("/proc/sys/kernel/arch"));
	struct symbols symbols = {};

	read_symbols(&symbols);
	add(modules, module_tree(release, "kvm", &symbols, listing));
	add(modules, module_tree(release, "vfio", &symbols, listing));
	if (arch && starts(arch, "ppc"))
		add(modules, module_tree(release, "vfio_iommu_spapr_tce", &symbols, listing));
	return modules;
}

static struct json_object *status_tree(const char *release)
{
	const char *image = initramfs_image(release), *listing = initramfs_listing(image);
	struct json_object *modules = modules_tree(release, listing), *module;
	struct json_object *tree = new_object(), *kernel = new_object();
	struct judgement j = {};

	for_each(module, modules)
		judge(&j, module);
	put(tree, "ours", NULL);
	if (j.bad || j.builtin || (!j.unknown && j.known))
		put_bool(tree, "ours", !j.bad && !j.builtin);
	put_text(tree, "advice", advice_of(&j, release));
	put_text(kernel, "release", release);
	put_text(kernel, "build", first_line(at("/proc/sys/kernel/version")));
	put_text(kernel, "arch", first_line(at("/proc/sys/kernel/arch")));
	put_text(kernel, "initramfs", image);
	put(kernel, "initramfs_listed", NULL);
	if (image)
		put_bool(kernel, "initramfs_listed", listing);
	put(tree, "kernel", kernel);
	put(tree, "modules", modules);
	put(tree, "dkms", dkms_lines());
	put(tree, "kernels", kernels_tree(release));
	put(tree, "slow_tables", slow_tables());
	return tree;
}

static char *versions_text(struct json_object *module, const char *before)
{
	const char *version = get_text(module, text("%sversion", before));
	const char *srcversion = get_text(module, text("%ssrcversion", before));

	return text("%s%s%s%s", version ? ", version " : "", version ? version : "",
		    srcversion ? ", srcversion " : "", srcversion ? srcversion : "");
}

static char *signer_text(struct json_object *module)
{
	const char *signer = get_text(module, "file_signer");

	return signer ? text(", signed by %s", signer) : ", not signed";
}

static void module_rows(struct table *table, struct json_object *module)
{
	const char *what = get_text(module, "runs"), *file = get_text(module, "file");

	if (!what)
		what = "not loaded";
	else if (!strcmp(what, "built-in"))
		what = "built in";
	else if (!strcmp(what, "unknown"))
		what = "loaded, unknown whose";
	table_row(table, 2, get_text(module, "name"),
		  text("%s%s%s", what, versions_text(module, ""),
		       is_false(module, "signed") ? ", not signed by a key of this kernel" : ""));
	if (file)
		table_row(table, 2, "", text("modprobe takes %s, %s%s%s", file,
					     get_text(module, "file_kind"),
					     versions_text(module, "file_"),
					     signer_text(module)));
	if (has(module, "initramfs"))
		table_row(table, 2, "", text("the initramfs has %s, %s",
					     get_text(module, "initramfs"),
					     get_text(module, "initramfs_kind")));
}

static void kernel_rows(struct table *table, struct json_object *tree)
{
	struct json_object *kernel, *line;

	for_each(line, get(tree, "dkms"))
		table_row(table, 2, "dkms", json_object_get_string(line));
	if (has(tree, "dkms") && !length(get(tree, "dkms")))
		table_row(table, 2, "dkms", "knows no kvm-vfio");
	for_each(kernel, get(tree, "kernels")) {
		const char *missing = get_text(kernel, "missing");

		if (!get_bool(kernel, "running"))
			table_row(table, 2, "others",
				  text("%s: %s%s%s", get_text(kernel, "release"),
				       get_text(kernel, "modules"), missing ? "; " : "",
				       missing ? missing : ""));
		else if (missing)
			table_row(table, 2, "package", missing);
	}
}

static void slow_rows(struct table *table, struct json_object *tree)
{
	struct json_object *slow;

	for_each(slow, get(tree, "slow_tables")) {
		table_row(table, 2, "VM",
			  text("%s: TCE table %s: %s hypercalls left to user space, %s done",
			       get_text(slow, "name"), get_text(slow, "liobn"),
			       get_text(slow, "left"), get_text(slow, "done")));
		json_object_object_foreach(get(slow, "left_by_reason"), key, count) {
			if (json_object_get_uint64(count))
				table_row(table, 2, "",
					  text("%s: %s", json_object_get_string(count),
					       left_reason(key)));
		}
	}
}

static void status_text(struct json_object *tree)
{
	struct table *table = table_new();
	struct json_object *kernel = get(tree, "kernel"), *module;
	const char *build = get_text(kernel, "build"), *arch = get_text(kernel, "arch");

	table_row(table, 2, "kernel", text("%s %s %s", get_text(kernel, "release"),
					   arch ? arch : "?", build ? build : "?"));
	for_each(module, get(tree, "modules"))
		module_rows(table, module);
	if (is_false(kernel, "initramfs_listed"))
		table_row(table, 2, "early",
			  text("%s: unknown; listing it needs root, and lsinitramfs or lsinitrd",
			       get_text(kernel, "initramfs")));
	kernel_rows(table, tree);
	slow_rows(table, tree);
	table_row(table, 2, "ours?",
		  text("%s: %s", !has(tree, "ours") ? "unknown" :
		       get_bool(tree, "ours") ? "yes" : "no", get_text(tree, "advice")));
	table_print(table, "");
}

int status(bool json)
{
	char *release = first_line(at("/proc/sys/kernel/osrelease"));
	struct json_object *tree;
	int code = FAILED;

	if (!release)
		die("cannot tell which kernel runs: /proc is not mounted", NULL);
	tree = status_tree(release);
	if (json)
		print_tree(tree);
	else
		status_text(tree);
	if (has(tree, "ours"))
		code = get_bool(tree, "ours") ? YES : NO;
	json_object_put(tree);
	return code;
}
