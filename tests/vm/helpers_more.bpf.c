// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * More helpers called with arguments that come in the packet (see helpers.bpf.c): text, dynamic pointers, kernel
 * functions, iterators. `said` and `bytes` must be the same after a packet in the kernel and in the user-space engine.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct ask {
	__u16 op;
	__u16 len;
	__s32 a, b;
	char text[64];
};

__s64 said[8];
char bytes[256];
char word[16] = "word", two[24] = {0x20, 0x01, 0x0d, (char)0xb8, 5, 6, 7, 8};

static const char f0[] = "%d|%5d|%-7d|%07d|%+d|% d", f1[] = "%u %x %X %08x %-6u|", f2[] = "%ld %lld %lx %llX %20ld";
static const char f3[] = "%s|%10s|%-10s|%2s", f4[] = "%c%c|%4c|%-4c|", f5[] = "100%% of %d%%", f6[] = "%pI4 %pi4", f7[] = "%pI6 %pi6";
static const char f8[] = "%px|%20px|%-20px|%020px", f9[] = "no arguments", f10[] = "%+08d|%-08d|%0+5d|% 05d|%i", f11[] = "";
static const char f12[] = "%pks %pks|%10pks|", f13[] = "%px, %d %pI4x";

static long texts(const struct ask *q, __u32 size)
{
	__u64 n[] = {q->a, q->b, (__s64)q->a * q->b, -q->a, 0, 7}, c[] = {'a', 'b', q->a & 127, 'd'};
	__u64 s[] = {(long)word, (long)word, (long)word, (long)word}, p[] = {(long)two, (long)two};
	__u64 x[] = {q->a, q->b, (__u32)q->a, 0x1234567890ull}, m[] = {q->a, q->b, (long)two};

	switch (q->b & 15) {
	case 0: return bpf_snprintf(bytes, size, f0, n, sizeof(n));
	case 1: return bpf_snprintf(bytes, size, f1, n, sizeof(n));
	case 2: return bpf_snprintf(bytes, size, f2, n, sizeof(n));
	case 3: return bpf_snprintf(bytes, size, f3, s, sizeof(s));
	case 4: return bpf_snprintf(bytes, size, f4, c, sizeof(c));
	case 5: return bpf_snprintf(bytes, size, f5, n, sizeof(n));
	case 6: return bpf_snprintf(bytes, size, f6, p, sizeof(p));
	case 7: return bpf_snprintf(bytes, size, f7, p, sizeof(p));
	case 8: return bpf_snprintf(bytes, size, f8, x, sizeof(x));
	case 9: return bpf_snprintf(bytes, size, f9, n, 0);
	case 10: return bpf_snprintf(bytes, size, f10, n, sizeof(n));
	case 11: return bpf_snprintf(bytes, size, f11, n, 8);
	case 12: return bpf_snprintf(bytes, size, f12, s, sizeof(s));
	case 13: return bpf_snprintf(bytes, size, f13, m, sizeof(m));
	}
	return 0;
}

static int text(const struct ask *q)
{
	char copy[64];
	unsigned long u = 9;
	long l = 9;
	__u32 n = q->len & 63;

	__builtin_memcpy(copy, q->text, sizeof(copy));
	switch (q->op) {
	case 0: /* any format: its length is the answer */
		if (q->len & 64)
			said[0] = bpf_trace_printk(copy, n + 1, (long)two, (long)word, (long)two);
		else
			said[0] = bpf_trace_printk(copy, n + 1, q->a, q->b, (__u64)q->a << 20);
		break;
	case 1:
		said[0] = texts(q, q->len & 255);
		break;
	case 2:
		said[0] = bpf_strtol(copy, n + 1, (__u32)q->a, &l);
		said[1] = l;
		break;
	case 3:
		said[0] = bpf_strtoul(copy, n + 1, (__u32)q->a, &u);
		said[1] = u;
		break;
	case 4:
		said[0] = bpf_strncmp(copy, n + 1, f9);
		said[1] = bpf_strncmp(copy, n + 1, f11);
		break;
	case 5:
		__builtin_memset(bytes, q->b, 64);
		said[0] = bpf_trace_vprintk(copy, n + 1, bytes, q->a & 63);
		break;
	}
	return XDP_PASS;
}

struct bpf_iter_num {
	__u64 opaque[1];
} __attribute__((aligned(8)));

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;
extern int bpf_dynptr_from_xdp(struct xdp_md *xdp, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer, __u32 size) __ksym;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *ptr, __u32 offset, void *buffer, __u32 size) __ksym;
extern int bpf_dynptr_adjust(const struct bpf_dynptr *ptr, __u32 start, __u32 end) __ksym;
extern _Bool bpf_dynptr_is_null(const struct bpf_dynptr *ptr) __ksym;
extern _Bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *ptr) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr *ptr) __ksym;
extern int bpf_dynptr_clone(const struct bpf_dynptr *ptr, struct bpf_dynptr *clone) __ksym;
extern int bpf_not_in_any_kernel(void) __ksym __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, char[128]);
} memory SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

/* Reads, writes, points into a dynamic pointer, whatever it is of. */
static void use(struct bpf_dynptr *d, const struct ask *q)
{
	__u32 off = q->a, n = q->len & 31;
	char *p;

	said[1] = bpf_dynptr_read(bytes, n, d, off, q->b & 1);
	said[2] = bpf_dynptr_write(d, off + 3, bytes + 64, n, q->b >> 1 & 1);
	p = bpf_dynptr_data(d, off, 4);
	if (p)
		said[3] = p[2]++;
}

static void change(const struct bpf_dynptr *d, const struct ask *q)
{
	struct bpf_dynptr other;

	said[4] = bpf_dynptr_size(d) + 1000ll * bpf_dynptr_is_null(d) + 2000ll * bpf_dynptr_is_rdonly(d);
	said[5] = bpf_dynptr_adjust(d, q->len >> 4 & 127, q->b & 127) * 100 + bpf_dynptr_clone(d, &other);
	said[6] = bpf_dynptr_size(&other) * 1000ll + bpf_dynptr_read(bytes + 32, 4, &other, 2, 0);
}

static int pointers(struct xdp_md *ctx, const struct ask *q)
{
	__u32 zero = 0;
	char *value = bpf_map_lookup_elem(&memory, &zero), buffer[8] = {}, *p;
	struct bpf_dynptr d;

	if (!value)
		return XDP_ABORTED;
	switch (q->op) {
	case 6:
		said[0] = bpf_dynptr_from_mem(value, 100 + (q->len & 15), (q->b & 15) == 15, &d);
		use(&d, q);
		change(&d, q);
		use(&d, q);
		__builtin_memcpy(bytes + 128, value, 127);
		break;
	case 7:
		said[0] = bpf_ringbuf_reserve_dynptr(&ring, q->b & 8 ? (__u32)q->a : 120, (q->b & 15) == 15, &d);
		use(&d, q);
		if (q->len & 32)
			bpf_ringbuf_submit_dynptr(&d, 0);
		else
			bpf_ringbuf_discard_dynptr(&d, q->b & 3);
		break;
	case 8:
		said[0] = bpf_dynptr_from_xdp(ctx, (q->b & 15) == 15, &d);
		use(&d, q);
		change(&d, q);
		p = bpf_dynptr_slice(&d, q->b & 127, buffer, sizeof(buffer));
		said[3] = p ? p[7] : 300;
		p = bpf_dynptr_slice_rdwr(&d, q->a & 127, 0, 4);
		if (p)
			p[3]++;
		break;
	}
	return XDP_TX;
}

static int numbers(const struct ask *q)
{
	struct bpf_iter_num it;
	int *i;

	said[0] = bpf_iter_num_new(&it, q->a, q->op == 10 ? q->a + (q->b & 255) : q->b);
	while ((i = bpf_iter_num_next(&it))) {
		said[1] += *i;
		said[2]++;
		if (said[2] > 300)
			break;
	}
	bpf_iter_num_destroy(&it);
	if (bpf_not_in_any_kernel)
		said[3] = bpf_not_in_any_kernel();
	return XDP_DROP;
}

/* Bytes of the packet as IP and TCP headers. The cookie is secret, its segment size and what is refused is not. */
static int cookies(struct xdp_md *ctx, const struct ask *q)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	char ip[40], tcp[60];
	__u32 n = q->len & 63;
	__s64 c;

	__builtin_memcpy(ip, q->text, 40);
	__builtin_memset(tcp, 0, sizeof(tcp));
	__builtin_memcpy(tcp, q->text + 4, 60);
	if (n > 60)
		n = 60;
	c = q->op == 13 ? bpf_tcp_raw_gen_syncookie_ipv4((void *)ip, (void *)tcp, n)
			: bpf_tcp_raw_gen_syncookie_ipv6((void *)ip, (void *)tcp, n);
	said[0] = c < 0 ? c : c >> 32;
	if (c >= 0) {
		/* what the client would send back, perhaps with a mistake */
		__u32 seq = __builtin_bswap32(*(__u32 *)(tcp + 4)) + 1, ack = (__u32)c + 1 + (q->a & 1);

		*(__u32 *)(tcp + 4) = __builtin_bswap32(seq);
		*(__u32 *)(tcp + 8) = __builtin_bswap32(ack);
		if (q->a & 2)
			tcp[0]++;
		said[1] = q->op == 13 ? bpf_tcp_raw_check_syncookie_ipv4((void *)ip, (void *)tcp)
				      : bpf_tcp_raw_check_syncookie_ipv6((void *)ip, (void *)tcp);
	}
	t.ipv4.daddr = 0x010200c0; /* 192.0.2.1 */
	t.ipv4.dport = q->a;
	sk = bpf_sk_lookup_udp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, q->b & 1);
	said[2] = sk != 0;
	if (sk)
		bpf_sk_release(sk);
	sk = bpf_skc_lookup_tcp(ctx, &t, q->b & 2 ? sizeof(t.ipv6) : sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	said[3] = sk != 0;
	if (sk)
		bpf_sk_release(sk);
	return XDP_PASS;
}

struct timed {
	__u64 count;
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct timed);
} timers SEC(".maps");

static int fire(__attribute__((unused)) void *map, __attribute__((unused)) __u32 *key, struct timed *value)
{
	value->count++;
	return 0;
}

/* Far in the future: what is compared are the answers. */
static int timed(const struct ask *q)
{
	struct timed fresh = {};
	__u32 key = q->a & 3;
	struct timed *t;

	if ((q->b & 7) == 0)
		said[1] = bpf_map_update_elem(&timers, &key, &fresh, 0);
	if ((q->b & 31) == 1)
		said[1] = bpf_map_delete_elem(&timers, &key);
	t = bpf_map_lookup_elem(&timers, &key);
	if (!t)
		return XDP_PASS;
	switch (q->len & 3) {
	case 0:
		said[0] = bpf_timer_init(&t->timer, &timers, q->len >> 4 & 64 ? q->len >> 8 : 1);
		break;
	case 1:
		said[0] = bpf_timer_set_callback(&t->timer, fire);
		break;
	case 2:
		said[0] = bpf_timer_start(&t->timer, 1ull << 50, q->len >> 4 & 64 ? q->len >> 8 : 0);
		break;
	case 3:
		said[0] = bpf_timer_cancel(&t->timer);
		break;
	}
	said[2] = t->count;
	return XDP_PASS;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__uint(max_entries, 4);
} events SEC(".maps");

static int event(struct xdp_md *ctx, const struct ask *q)
{
	char copy[64];
	__u64 index = q->a & 3 ? BPF_F_CURRENT_CPU : (__u64)(q->a >> 2 & 7);

	__builtin_memcpy(copy, q->text, sizeof(copy));
	said[0] = bpf_perf_event_output(ctx, &events, index | (__u64)(q->b & 0x3ff) << 32 | (__u64)(q->b == -1) << 60, copy, q->len & 63);
	return XDP_PASS;
}

static int network(struct xdp_md *ctx, const struct ask *q)
{
	struct bpf_fib_lookup p;
	__u32 mtu = *(const __u32 *)q->text;

	if (q->op == 11) {
		__builtin_memcpy(&p, q->text, sizeof(p));
		said[0] = bpf_fib_lookup(ctx, &p, sizeof(p), q->a);
		__builtin_memcpy(bytes, &p, sizeof(p));
	} else {
		said[0] = bpf_check_mtu(ctx, q->a, &mtu, q->b, q->len & 1);
		said[1] = mtu;
	}
	return XDP_PASS;
}

SEC("xdp")
int ask(struct xdp_md *ctx)
{
	struct ask *p = (void *)(long)ctx->data + 14, q;

	__builtin_memset(said, 0, sizeof(said));
	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(&q, p, sizeof(q));
	said[7] = q.op;
	if (q.op < 6)
		return text(&q);
	if (q.op == 16)
		return event(ctx, &q);
	if (q.op == 15)
		return timed(&q);
	if (q.op >= 13)
		return cookies(ctx, &q);
	if (q.op >= 11)
		return network(ctx, &q);
	return q.op < 9 ? pointers(ctx, &q) : numbers(&q);
}

char LICENSE[] SEC("license") = "GPL";
