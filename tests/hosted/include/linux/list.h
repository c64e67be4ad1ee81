/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM_LIST_H
#define _SHIM_LIST_H

#include <linux/types.h>

/* For tests: how many objects were looked at so far, in lists, hashes and xarrays */
void shim_count_probe(void);
unsigned long shim_probes(void);

static inline struct list_head *shim_list_step(struct list_head *node)
{
	shim_count_probe();
	return node;
}

#define LIST_HEAD(name)	struct list_head name = { &(name), &(name) }

static inline void INIT_LIST_HEAD(struct list_head *head)
{
	head->next = head;
	head->prev = head;
}

static inline void list_add(struct list_head *node, struct list_head *head)
{
	node->prev = head;
	node->next = head->next;
	head->next->prev = node;
	head->next = node;
}

static inline void list_add_tail(struct list_head *node, struct list_head *head)
{
	list_add(node, head->prev);
}

static inline void list_del(struct list_head *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = NULL;
	node->prev = NULL;
}

static inline void list_splice_init(struct list_head *list, struct list_head *head)
{
	while (list->next != list) {
		struct list_head *last = list->prev;

		list_del(last);
		list_add(last, head);
	}
}

static inline void list_move_tail(struct list_head *node, struct list_head *head)
{
	list_del(node);
	list_add_tail(node, head);
}

static inline void list_move(struct list_head *node, struct list_head *head)
{
	list_del(node);
	list_add(node, head);
}

static inline void INIT_HLIST_NODE(struct hlist_node *node)
{
	*node = (struct hlist_node){};
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

static inline size_t list_count_nodes(struct list_head *head)
{
	struct list_head *node;
	size_t nr = 0;

	for (node = head->next; node != head; node = shim_list_step(node->next))
		nr++;
	return nr;
}

static inline bool list_is_singular(const struct list_head *head)
{
	return !list_empty(head) && head->next == head->prev;
}

#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : list_first_entry(head, type, member))
#define list_first_entry(head, type, member) \
	container_of((head)->next, type, member)

#define shim_list_entry(node, pos, member)				\
	container_of(shim_list_step(node), typeof(*(pos)), member)

#define list_for_each_entry_safe(pos, tmp, head, member)		\
	for (pos = shim_list_entry((head)->next, pos, member);		\
	     tmp = shim_list_entry(pos->member.next, pos, member),		\
	     &pos->member != (head);					\
	     pos = tmp)

#define list_for_each_entry(pos, head, member)				\
	for (pos = shim_list_entry((head)->next, pos, member);		\
	     &pos->member != (head);					\
	     pos = shim_list_entry(pos->member.next, pos, member))

#define list_prepare_entry(pos, head, member)				\
	((pos) ?: container_of(head, typeof(*(pos)), member))

#define list_for_each_entry_continue(pos, head, member)		\
	for (pos = shim_list_entry(pos->member.next, pos, member);	\
	     &pos->member != (head);					\
	     pos = shim_list_entry(pos->member.next, pos, member))

#define list_for_each_entry_continue_reverse(pos, head, member)		\
	for (pos = shim_list_entry(pos->member.prev, pos, member);	\
	     &pos->member != (head);					\
	     pos = shim_list_entry(pos->member.prev, pos, member))

/* Readers may be on the way. */
static inline void list_add_rcu(struct list_head *node, struct list_head *head)
{
	node->prev = head;
	node->next = head->next;
	shim_step("list_add", head);
	head->next->prev = node;
	__atomic_store_n(&head->next, node, __ATOMIC_RELEASE);
}

/* Who is at @node goes on from there. */
static inline void list_del_rcu(struct list_head *node)
{
	shim_step("list_del", node);
	node->next->prev = node->prev;
	__atomic_store_n(&node->prev->next, node->next, __ATOMIC_RELEASE);
	node->prev = NULL;
}

#define shim_list_next_rcu(node) ({					\
	shim_step("rcu_dereference", &(node)->next);			\
	__atomic_load_n(&(node)->next, __ATOMIC_CONSUME);		\
})
#define list_for_each_entry_rcu(pos, head, member, cond)		\
	for (SHIM_CHECK(rcu_read_lock_held() || (cond), "%s: nothing keeps the list", __func__), \
	     pos = shim_list_entry(shim_list_next_rcu(head), pos, member); \
	     &pos->member != (head);					\
	     pos = shim_list_entry(shim_list_next_rcu(&pos->member), pos, member))

static inline int list_is_last(const struct list_head *entry, const struct list_head *head)
{
	return entry->next == head;
}

#define list_entry_is_head(pos, head, member)	(&(pos)->member == (head))

#endif
