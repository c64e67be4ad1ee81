/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_HASHTABLE_H
#define _SHIM_HASHTABLE_H

#include <linux/list.h>

#define DECLARE_HASHTABLE(name, bits)	struct hlist_head name[1 << (bits)]
#define DEFINE_HASHTABLE(name, bits)	DECLARE_HASHTABLE(name, bits)

static inline struct hlist_head *shim_bucket(struct hlist_head *table,
					     size_t size, unsigned long key)
{
	return &table[((u64)key * 0x9e3779b97f4a7c15ULL >> 32) % size];
}

/* In front of all others of its bucket. */
static inline void shim_hash_add(struct hlist_head *head,
				 struct hlist_node *node)
{
	node->next = head->first;
	node->where = &head->first;
	if (node->next)
		node->next->where = &node->next;
	shim_step("hash_add", head);
	__atomic_store_n(&head->first, node, __ATOMIC_RELEASE);
}

/* Of one that is in no hash it does nothing, as the kernel's. */
static inline void hash_del(struct hlist_node *node)
{
	if (!node->where)
		return;
	shim_step("hash_del", node->where);
	__atomic_store_n(node->where, node->next, __ATOMIC_RELEASE);
	if (node->next)
		node->next->where = node->where;
	node->where = NULL;
}

#define hash_add(table, node, key) \
	shim_hash_add(shim_bucket(table, ARRAY_SIZE(table), key), node)

static inline void *shim_hash_entry(struct hlist_node *node, size_t offset)
{
	if (!node)
		return NULL;
	shim_count_probe();
	return (char *)node - offset;
}

#define shim_entry(node, type, member) \
	((type *)shim_hash_entry(node, offsetof(type, member)))

#define hash_for_each_possible(table, obj, member, key)			\
	for (obj = shim_entry(shim_bucket(table, ARRAY_SIZE(table),	\
					  key)->first,			\
			      typeof(*obj), member);			\
	     obj;							\
	     obj = shim_entry(obj->member.next, typeof(*obj), member))

#endif
