/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Seven computations over a packet, of the kind that XDP programs do; bench/vm.bpf.c compiles them for BPF, bench/vm.c
 * natively, from the same C. KERNEL(name) heads each; UNROLL_NOT keeps loops loops.
 */

#define ROTL(x, n, bits) ((x) << (n) | (x) >> ((bits) - (n)))
#define BYTES(ctx, n, p)                                    \
	const __u8 *p = (const void *)(long)(ctx)->data;    \
	if (p + (n) > (const __u8 *)(long)(ctx)->data_end)  \
		return 0

KERNEL(bare)
{
	return ctx->rx_queue_index + 1;
}

/* addresses, ports and flags of an Ethernet/IPv4 packet, folded */
KERNEL(parse)
{
	BYTES(ctx, 54, p);
	const __u8 *l4;
	__u32 sum;

	if (p[12] != 8 || p[13] != 0 || (p[14] & 0xf0) != 0x40 || (p[14] & 15) != 5)
		return 0;
	if (p[23] != 6 && p[23] != 17)
		return 0;
	l4 = p + 34;
	sum = *(const __u32 *)(p + 26) ^ *(const __u32 *)(p + 30);
	sum += (__u32)(l4[0] << 8 | l4[1]) ^ (__u32)(l4[2] << 8 | l4[3]) << 16;
	if (p[23] == 6 && l4[13] & 2)
		sum ^= 0x5a5a5a5a;
	return (int)sum;
}

/* a hash of three words as flow tables use it */
KERNEL(mix3)
{
	BYTES(ctx, 64, p);
	__u32 a = *(const __u32 *)(p + 26) + 0xdeadbeef, b = *(const __u32 *)(p + 30) + 0xdeadbef7;
	__u32 c = *(const __u32 *)(p + 34) + 0x9e3779b9, i;

	UNROLL_NOT for (i = 0; i < 3; i++)
	{
		a = (a - c) ^ ROTL(c, 4, 32);
		c += b;
		b = (b - a) ^ ROTL(a, 6, 32);
		a += c;
		c = (c - b) ^ ROTL(b, 8, 32);
		b += a;
	}
	return (int)(a ^ b ^ c);
}

KERNEL(fnv64)
{
	BYTES(ctx, 64, p);
	__u64 h = 0xcbf29ce484222325ull;
	__u32 i;

	UNROLL_NOT for (i = 0; i < 64; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return (int)(h ^ h >> 32);
}

/* two halves of 512 bytes, compared byte by byte */
KERNEL(compare256)
{
	BYTES(ctx, 1024, p);
	__u32 i, differ = 0;

	UNROLL_NOT for (i = 0; i < 256; i++)
		if (p[512 + i] != p[768 + i])
			differ++;
	return (int)differ + 1;
}

KERNEL(crc32)
{
	BYTES(ctx, 64, p);
	__u32 crc = 0xffffffff, i, k;

	UNROLL_NOT for (i = 0; i < 64; i++)
	{
		crc ^= p[i];
		UNROLL_NOT for (k = 0; k < 8; k++)
			crc = crc >> 1 ^ (0xedb88320 & (0 - (crc & 1)));
	}
	return (int)~crc;
}

KERNEL(csum1k)
{
	BYTES(ctx, 1024, p);
	__u64 sum = 0;
	__u32 i;

	UNROLL_NOT for (i = 0; i < 1024; i += 4)
		sum += *(const __u32 *)(p + i);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (int)(sum & 0x1ffff);
}

/* a keyed hash of 16 bytes, 64-bit rotations */
KERNEL(keyed16)
{
	BYTES(ctx, 64, p);
	__u64 a = 0x736f6d6570736575ull, b = 0x646f72616e646f6dull, c = 0x6c7967656e657261ull, d = 0x7465646279746573ull, m;
	__u32 i;

	UNROLL_NOT for (i = 0; i < 8; i++)
	{
		m = i < 2 ? *(const __u64 *)(p + 26 + i * 8) : i;
		d ^= m;
		a += b;
		c += d;
		b = ROTL(b, 13, 64) ^ a;
		d = ROTL(d, 16, 64) ^ c;
		a = ROTL(a, 32, 64) + d;
		c += b;
		d = ROTL(d, 21, 64) ^ a;
		b = ROTL(b, 17, 64) ^ c;
		a ^= m;
	}
	a ^= b ^ c ^ d;
	return (int)(a ^ a >> 32);
}
