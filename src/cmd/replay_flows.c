// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Flows that two policies treat differently: found by key, the most packets first. */
#include <errno.h>
#include <search.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/replay_flows.h"
#include "policy/words.h"

#define KEY offsetof(struct replay_flow, from)

static int by_key(const void *a, const void *b)
{
	return memcmp((const char *)a + KEY, (const char *)b + KEY, sizeof(struct replay_flow) - KEY);
}

static int by_packets(const void *a, const void *b)
{
	const struct replay_flow *x = *(struct replay_flow *const *)a, *y = *(struct replay_flow *const *)b;

	if (x->packets != y->packets)
		return x->packets < y->packets ? 1 : -1;
	return by_key(x, y);
}

static void key_of(const struct policy_packet *k, struct replay_flow *f)
{
	size_t len = k->v6 ? 16 : 4;

	memset(f, 0, sizeof(*f));
	if (!k->is_ip) {
		f->ether_type = k->ether_type;
		return;
	}
	f->family = k->v6 ? 6 : 4;
	f->proto = k->proto;
	memcpy(f->from, k->from.bytes, len);
	memcpy(f->to, k->to.bytes, len);
	if (k->has_ports) {
		f->from_port = k->from_port;
		f->to_port = k->to_port;
	}
}

static int put(struct replay_flows *f, struct replay_flow *flow)
{
	uint32_t cap = f->cap ? f->cap * 2 : 64;
	struct replay_flow **v;

	if (f->n == f->cap) {
		v = reallocarray(f->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n++] = flow;
	return 0;
}

int replay_flows_add(struct replay_flows *f, const struct policy_packet *k, uint32_t before, uint32_t after)
{
	struct replay_flow key, **found, *flow;

	key_of(k, &key);
	key.before = (uint8_t)before;
	key.after = (uint8_t)after;
	f->packets++;
	found = tfind(&key, &f->tree, by_key);
	if (!found && f->n == REPLAY_FLOWS_MAX) {
		f->nameless++;
		return 0;
	}
	if (!found) {
		flow = malloc(sizeof(*flow));
		if (!flow)
			return -ENOMEM;
		*flow = key;
		found = tsearch(flow, &f->tree, by_key);
		if (!found) {
			free(flow);
			return -ENOMEM;
		}
		if (put(f, flow)) {
			tdelete(flow, &f->tree, by_key);
			free(flow);
			return -ENOMEM;
		}
		(*found) = flow;
	}
	(*found)->packets++;
	(*found)->bytes += k->length;
	return 0;
}

void replay_flows_sort(struct replay_flows *f)
{
	if (f->n)
		qsort(f->v, f->n, sizeof(*f->v), by_packets);
}

static void nothing(void *p)
{
	(void)p;
}

void replay_flows_free(struct replay_flows *f)
{
	uint32_t i;

	tdestroy(f->tree, nothing);
	for (i = 0; i < f->n; i++)
		free(f->v[i]);
	free(f->v);
}

static const char *address(const struct replay_flow *f, const uint8_t *bytes, uint16_t port, char *to,
			   size_t size)
{
	struct net_addr a = {.v6 = f->family == 6};
	char said[NET_ADDR_TEXT];

	memcpy(a.bytes, bytes, 16);
	net_addr_format(&a, said, sizeof(said));
	if (!f->from_port && !f->to_port)
		snprintf(to, size, "%s", said);
	else
		snprintf(to, size, a.v6 ? "[%s]:%u" : "%s:%u", said, port);
	return to;
}

char *replay_flow_say(const struct replay_flow *f, char *to, size_t size)
{
	char from[NET_ADDR_TEXT + 16], dest[NET_ADDR_TEXT + 16], number[32];
	const char *name;

	if (!f->family) {
		name = words_name(WORDS_ETHER_TYPES, f->ether_type, f->ether_type);
		snprintf(number, sizeof(number), "0x%04x", f->ether_type);
		snprintf(to, size, "ether type %s", name ? name : number);
		return to;
	}
	name = f->proto == 1 && f->family == 4	  ? "icmp"
	       : f->proto == 58 && f->family == 6 ? "icmp6"
						  : words_name(WORDS_PROTOS, f->proto, f->proto);
	snprintf(number, sizeof(number), "proto %u", f->proto);
	snprintf(to, size, "%s %s > %s", name ? name : number,
		 address(f, f->from, f->from_port, from, sizeof(from)),
		 address(f, f->to, f->to_port, dest, sizeof(dest)));
	return to;
}
