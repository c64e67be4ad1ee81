/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_TRACEPOINT_H
#define _SHIM_TRACEPOINT_H

#include <linux/types.h>

/*
 * The header of the events is the kernel's own.  Each event that happens between
 * trace_start() and trace_stop() (test.h) is a line of text: its name and what its
 * TP_printk() makes of the entry.
 */
void shim_trace(const char *name, const char *fmt, ...);

#define _SHIM_LIST(...)			__VA_ARGS__
#define TP_PROTO(...)			__VA_ARGS__
#define TP_ARGS(...)			__VA_ARGS__
#define TP_STRUCT__entry(...)		__VA_ARGS__
#define TP_fast_assign(...)		__VA_ARGS__
#define TP_printk(...)			__VA_ARGS__
#define TRACE_DEFINE_ENUM(name)		_Static_assert((name) + 1, #name)
#define __field(type, name)		type name;

#define DECLARE_EVENT_CLASS(id, proto, args, fields, assign, print)	\
struct shim_entry_##id {						\
	fields								\
};									\
									\
static inline void shim_trace_##id(const char *_name, proto)		\
{									\
	struct shim_entry_##id _entry, *__entry = &_entry;		\
									\
	assign								\
	shim_trace(_name, print);					\
}									\
struct shim_entry_##id

#define DEFINE_EVENT(id, event, proto, args)				\
static inline void trace_##event(proto)					\
{									\
	shim_trace_##id(#event, args);					\
}									\
struct shim_entry_##id

#define TRACE_EVENT(event, proto, args, fields, assign, print)		\
	DECLARE_EVENT_CLASS(event, _SHIM_LIST(proto), _SHIM_LIST(args),	\
			    _SHIM_LIST(fields), _SHIM_LIST(assign),	\
			    _SHIM_LIST(print));				\
	DEFINE_EVENT(event, event, _SHIM_LIST(proto), _SHIM_LIST(args))

struct trace_print_flags {
	unsigned long mask;
	const char *name;
};

const char *shim_symbol_name(unsigned long value,
			     const struct trace_print_flags *names, size_t nr);

#define __print_symbolic(value, ...) ({					\
	static const struct trace_print_flags _names[] = { __VA_ARGS__ }; \
									\
	shim_symbol_name(value, _names, ARRAY_SIZE(_names));		\
})

#endif
