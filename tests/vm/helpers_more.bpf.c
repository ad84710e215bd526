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

SEC("xdp")
int ask(struct xdp_md *ctx)
{
	struct ask *p = (void *)(long)ctx->data + 14, q;

	__builtin_memset(said, 0, sizeof(said));
	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(&q, p, sizeof(q));
	said[7] = q.op;
	return text(&q);
}

char LICENSE[] SEC("license") = "GPL";
