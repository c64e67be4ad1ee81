/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kvm-vfio: which VMs and processes hold which VFIO groups and devices, why one is busy,
 * and whether the kernel runs the replacement modules.  See kvm-vfio(8).
 *
 * What is found out is a tree of JSON objects.  --json prints the tree, and the text is
 * made from it.
 */
#ifndef KVM_VFIO_H
#define KVM_VFIO_H

#include <json-c/json.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <sys/types.h>

/* Arguments are checked as those of printf(). */
#define printf_like(format_nr, first)	\
	__attribute__((format		\
		       (printf, format_nr, first)))

#ifndef VERSION
#define VERSION "unreleased"
#endif

/* Exit status */
enum { YES, NO, FAILED };

/* text.c: strings and files.  A string lives until forget_since() one before it. */
char *text(const char *format, ...) printf_like(1, 2);
char *text_of(const char *format, va_list args) printf_like(1, 0);
/* $KVM_VFIO_ROOT, which goes before all paths in tests */
const char *root(void);
/* A path below it */
char *at(const char *format, ...) printf_like(1, 2);
char *keep(const void *bytes, size_t size);
const void *newest(void);
/* All that came after the one that was the newest; NULL: all */
void forget_since(const void *newest);
/* NULL with errno: it cannot be read */
char *read_file(const char *path);
/* The same, up to so many bytes; *size is how many there were */
char *read_beginning(const char *path, size_t most, size_t *size);
/* Calls @take for each line, without its end, and keeps none.  False: there are none. */
bool read_lines(const char *path, void (*take)(char *line, void *data), void *data);
/* NULL: there is none */
char *first_line(const char *path);
/* The value of the first line "KEY:<tab>VALUE" in the first kilobyte, or NULL */
char *early_value(const char *path, const char *key);
char *read_link(const char *path);
/* The last component of what a link points to */
char *link_name(const char *path);
/* Sorted as versions are, up to a NULL; empty if the folder cannot be read */
char **list_folder(const char *path);
bool exists(const char *path);
bool is_number(const char *s);
bool starts(const char *s, const char *with);
/* Escapes all but printable ASCII; NULL is "?" */
char *plain(const char *s);
/* What a command prints, NULL: there is none.  $A is an argument of it. */
char *output_of(const char *command, const char *a);
/* Two lines on stderr, of which the second may be NULL, then the end */
noreturn void die(const char *what, const char *todo);
/* What to do where something may not be looked at */
const char *more_permission(void);
void warn(const char *what);

/* tree.c: JSON objects.  NULL is JSON's null everywhere. */
struct json_object *new_object(void);
struct json_object *new_array(void);
void put(struct json_object *o, const char *key, struct json_object *value);
void put_text(struct json_object *o, const char *key, const char *value);
void put_number(struct json_object *o, const char *key, uint64_t value);
/* A number, or a text if it is none */
void put_value(struct json_object *o, const char *key, const char *value);
void put_bool(struct json_object *o, const char *key, bool value);
void add(struct json_object *array, struct json_object *value);
struct json_object *get(struct json_object *o, const char *key);
/* NULL if it is null; a number as text */
const char *get_text(struct json_object *o, const char *key);
uint64_t get_number(struct json_object *o, const char *key);
bool get_bool(struct json_object *o, const char *key);
/* Is it there, and not null? */
bool has(struct json_object *o, const char *key);
bool is_false(struct json_object *o, const char *key);
size_t length(struct json_object *array);
struct json_object *element(struct json_object *array, size_t i);
struct cursor {
	struct json_object *array;
	size_t next;
};

bool next_element(struct cursor *cursor, struct json_object **e);
#define for_each(e, of) \
	for (struct cursor cursor_ = { .array = (of) }; next_element(&cursor_, &(e));)
void print_tree(struct json_object *tree);

/* table.c: columns of text */
struct table;
struct table *table_new(void);
/* As many cells, without padding after the last one; NULL is "-" */
void table_row(struct table *table, int cells, ...);
/* The rows, each after this; and frees the table */
void table_print(struct table *table, const char *indent);

/* device.c: what sysfs tells of devices and groups */
/* All devices of an IOMMU group; NULL if there is no such group */
struct json_object *group_members(const char *group);
struct json_object *device_member(const char *dir);
/* The folder of a device on any bus, NULL if there is none */
char *find_device(const char *name);
/* "242:0", NULL if it is not known */
char *node_number(const char *class, const char *name);
/* The name in a class of the device with this number, or NULL */
char *node_name(const char *class, dev_t number);
/* Can the IOMMU of each device forbid DMA that bypasses the CPU caches? */
struct json_object *iommus_of(struct json_object *file);

/* process.c: what /proc tells of a process */
enum kind { KIND_NONE, KIND_NODE, KIND_DEVICE, KIND_VM, KIND_KVM_VFIO, KIND_TCE, KIND_RING,
	    KIND_SOCKET };

/**
 * struct hold - a file that a process has open or mapped
 * @kind: what it is
 * @task: the process, or a thread that has a table of fds of its own
 * @fd: its number, of the ring if @registered; -1 if it is only mapped
 * @registered: with io_uring
 * @unsure: the fd was another file at each look at it
 * @path: as /proc has it
 * @number: of a device node, or 0 if it is not known
 * @node: the name that VFIO has for this number, or NULL
 * @cdev: @node is that of a device, not of a group
 * @device: the name of a VFIO device if the kernel tells, or NULL
 * @identity: of which VM a device or table of it is, and which table; or NULL
 * @in_flight: how many files are in flight, of a socket
 */
struct hold {
	enum kind kind;
	pid_t task;
	int fd;
	bool registered;
	bool unsure;
	const char *path;
	dev_t number;
	const char *node;
	bool cdev;
	const char *device;
	const char *identity;
	unsigned int in_flight;
};

/**
 * struct order - tables of fds, memories, or files, each once, in the order that kcmp(2) tells
 * @type: of which of these, for kcmp(2)
 * @members: a task that has it
 * @members.fd: of a file
 * @nr: how many @members there are
 */
struct order {
	int type;
	struct member {
		pid_t task;
		int fd;
	} *members;
	size_t nr;
};

struct process {
	pid_t pid;
	const char *comm;
	struct hold *holds;
	size_t nr_holds;
	struct json_object *seen; /* set of keys of what is not to be there twice */
	struct order rings; /* of io_uring, that were looked at */
	bool sockets; /* are looked at */
	unsigned int nr_vms, nr_sockets; /* fds of these */
};

/* Calls @visit for each process that holds something of VFIO or KVM, and forgets it after
 * that.  False: some could not be looked at.
 */
bool visit_processes(void (*visit)(struct process *process, void *data), void *data);
/* The same, also for those that have sockets with files in flight */
void visit_sockets(void (*visit)(struct process *process, void *data), void *data);
/* Are the process IDs that the kernel tells of VMs those of /proc here? */
bool kernel_pids(void);
/* What people call the VM of a process; NULL if it is gone */
const char *people_name(pid_t pid);
char *comm_of(pid_t pid);
/* fdinfo, NULL if it cannot be read */
char *info_of_fd(pid_t task, int fd);

/* vm.c: VMs */
struct json_object *vms_of(struct process *process);
/* All VMs; *whole is false if some processes could not be looked at */
struct json_object *all_vms(bool *whole);
/* In list.c: warns if some could not */
void say_if_not_whole(bool whole);
/* Are there TCE tables? */
bool is_power(void);
bool is_revoked(struct json_object *file);
char *file_name(struct json_object *file);
char *file_notes(struct json_object *file);
/* Text for a reason why a TCE hypercall is left to user space */
const char *left_reason(const char *key);

/* The commands */
int list(bool json);
int coherent(const char *which, bool json);
int why(const char *what, bool json);
int watch(unsigned int interval, bool json);
int status(bool json);

/* module.c, or module_none.c without libkmod */
/* The module that modprobe would load: file, and what it says of itself.  NULL: not known */
struct json_object *module_on_disk(const char *release, const char *name);

#endif /* KVM_VFIO_H */
