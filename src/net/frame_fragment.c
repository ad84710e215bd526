// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Fragments of an IPv4 packet (RFC 791, 3.2) and of an IPv6 packet (RFC 8200, 4.5). */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "net/frame.h"
#include "net/packet.h"

#define FRAGMENT_BYTES 8 /* IPv6's header */

/* What all fragments have in common, and what is cut. */
struct whole {
	const uint8_t *frame;
	bool v6;
	uint32_t ip;   /* where its IP header lies */
	uint32_t head; /* end of what every fragment repeats */
	uint32_t end;
	uint32_t next_at; /* IPv6: the field that names what is cut */
};

/* IPv6 headers before what may be cut: hop-by-hop, routing, and destination options in front of a routing
 * header. */
static void ipv6_head(const struct frame *f, uint32_t layer, struct whole *w)
{
	uint32_t i, last = layer;

	for (i = layer + 1; i < f->n; i++)
		if (f->layer[i].id == FRAME_hopopts || f->layer[i].id == FRAME_routing)
			last = i;
		else if (f->layer[i].id != FRAME_dstopts)
			break;
	w->head = f->layer[last].at + f->layer[last].bytes;
	w->next_at = f->layer[last].at + (last == layer ? 6 : 0);
}

static bool is_fragment(const struct frame *f, uint32_t layer)
{
	const uint8_t *ip = f->bytes.data + f->layer[layer].at;

	if (f->layer[layer].id == FRAME_ipv4)
		return ip[6] & 0x3f || ip[7];
	for (layer++; layer < f->n; layer++)
		if (f->layer[layer].id == FRAME_fragment)
			return true;
	return false;
}

static void put16(uint8_t *to, uint32_t v)
{
	to[0] = (uint8_t)(v >> 8);
	to[1] = (uint8_t)v;
}

static void write_one(const struct whole *w, uint32_t from, uint32_t n, bool more, uint32_t id, uint8_t *to)
{
	uint8_t *ip = to + w->ip, *h;
	uint32_t head = w->head - w->ip;

	memcpy(to, w->frame, w->head);
	if (w->v6) {
		h = to + w->head;
		h[0] = to[w->next_at];
		h[1] = 0;
		put16(h + 2, from | more);
		put16(h + 4, id >> 16);
		put16(h + 6, id & 0xffff);
		to[w->next_at] = 44;
		memcpy(h + FRAGMENT_BYTES, w->frame + w->head + from, n);
		put16(ip + 4, head - 40 + FRAGMENT_BYTES + n);
		return;
	}
	memcpy(to + w->head, w->frame + w->head + from, n);
	put16(ip + 2, head + n);
	put16(ip + 4, id & 0xffff);
	put16(ip + 6, from / 8 | (more ? 0x2000u : 0));
	put16(ip + 10, 0);
	put16(ip + 10, net_sum_finish(net_sum(0, ip, head)));
}

int sluice_packet_fragment(const void *frame, size_t frame_len, size_t mtu, uint32_t id, unsigned int nth,
			   void *to, size_t size, size_t *len, struct sluice_err *err)
{
	struct whole w = {0};
	struct frame f;
	uint64_t from, n, extra;
	uint32_t i;
	int e = frame_decode(frame, frame_len, &f);

	if (e)
		return err_set(err, e, "this frame cannot be taken apart");
	for (i = 0; i < f.n && f.layer[i].id != FRAME_ipv4 && f.layer[i].id != FRAME_ipv6; i++)
		;
	if (i == f.n) {
		e = err_set(err, -EINVAL, "only IP packets have fragments, this frame is none");
		goto out;
	}
	if (is_fragment(&f, i)) {
		e = err_set(err, -EINVAL, "this frame is a fragment already");
		goto out;
	}
	w = (struct whole){.frame = f.bytes.data,
			   .v6 = f.layer[i].id == FRAME_ipv6,
			   .ip = f.layer[i].at,
			   .end = f.end};
	w.head = f.layer[i].at + f.layer[i].bytes;
	if (w.v6)
		ipv6_head(&f, i, &w);
	extra = w.head - w.ip + (w.v6 ? FRAGMENT_BYTES : 0);
	if (mtu < extra + 8) {
		e = err_set(err, -EINVAL,
			    "an MTU of %zu leaves no room for content: the headers take %llu bytes", mtu,
			    (unsigned long long)extra);
		goto out;
	}
	n = (mtu - extra) / 8 * 8;
	from = n * nth;
	if (from >= w.end - w.head) {
		e = err_set(err, -ENOENT, "there is no fragment %u: content of %u bytes makes %llu", nth,
			    w.end - w.head, (unsigned long long)((w.end - w.head + n - 1) / n));
		goto out;
	}
	if (n > w.end - w.head - from)
		n = w.end - w.head - from;
	extra += w.ip + n;
	if (extra > size) {
		e = err_set(err, -ENOSPC, "the fragment has %llu bytes, there is room for %zu",
			    (unsigned long long)extra, size);
		goto out;
	}
	write_one(&w, (uint32_t)from, (uint32_t)n, from + n < w.end - w.head, id, to);
	*len = extra;
out:
	frame_free(&f);
	return e;
}
