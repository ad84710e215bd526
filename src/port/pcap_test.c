// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Captures written byte by byte here: right ones, both byte orders, pcapng, and every truncation of each. */
#include <stdio.h>
#include <sys/mman.h>

#include "base/test.h"
#include "port/pcap.h"

static char path[64]; /* of a file in memory: thousands are written */

static void put32(struct buf *b, uint32_t v, bool swap)
{
	buf_u32(b, swap ? __builtin_bswap32(v) : v);
}

static void put_file_header(struct buf *b, bool swap, uint32_t magic, uint32_t link)
{
	put32(b, magic, swap);
	put32(b, swap ? 0x00020004 : 0x00040002, false); /* version 2.4 as two 16-bit numbers */
	if (swap) {
		b->len -= 4;
		buf_put(b, "\0\2\0\4", 4);
	}
	put32(b, 0, swap);
	put32(b, 0, swap);
	put32(b, 65535, swap);
	put32(b, link, swap);
}

static void put_packet(struct buf *b, bool swap, uint32_t caplen, uint32_t len, uint8_t fill)
{
	put32(b, 1, swap);
	put32(b, 2, swap);
	put32(b, caplen, swap);
	put32(b, len, swap);
	memset(buf_add(b, caplen), fill, caplen);
}

static int read_bytes(const void *bytes, size_t len, struct port_pcap *cap, struct sluice_err *err)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
	return port_pcap_read(path, 1518, cap, err);
}

static void check_three(const struct port_pcap *cap)
{
	const struct traffic_frame *f = (const void *)cap->frames.data;
	static const uint8_t first[3] = {1, 2, 5};
	uint32_t i;

	assert_int_equal(cap->n_frames, 3);
	assert_int_equal(f[0].len, 60);
	assert_int_equal(f[1].len, 1518);
	assert_int_equal(f[2].len, 14);
	for (i = 0; i < 3; i++) {
		assert_int_equal(cap->bytes.data[f[i].at], first[i]);
		assert_int_equal(cap->bytes.data[f[i].at + f[i].len - 1], first[i]);
	}
	assert_int_equal(cap->longest, 1518);
	assert_int_equal(cap->shortest, 14);
	assert_int_equal(cap->skipped_long, 1);
	assert_int_equal(cap->skipped_short, 1);
	assert_int_equal(cap->cut, 1);
}

static void classic(struct buf *b, bool swap, uint32_t magic)
{
	put_file_header(b, swap, magic, 1);
	put_packet(b, swap, 60, 60, 1);
	put_packet(b, swap, 1518, 9000, 2); /* cut by the snapshot length */
	put_packet(b, swap, 1519, 1519, 3); /* too long to send */
	put_packet(b, swap, 13, 13, 4);	    /* too short for Ethernet */
	put_packet(b, swap, 14, 14, 5);
}

static void pcapng(struct buf *b)
{
	static const struct {
		uint32_t caplen, len;
		uint8_t fill;
	} packets[] = {{60, 60, 1}, {1518, 9000, 2}, {1519, 1519, 3}, {13, 13, 4}, {14, 14, 5}};
	size_t i;

	buf_u32(b, 0x0a0d0d0a);
	buf_u32(b, 28);
	buf_u32(b, 0x1a2b3c4d);
	buf_u32(b, 1); /* version 1.0 */
	buf_u64(b, UINT64_MAX);
	buf_u32(b, 28);
	buf_u32(b, 1); /* interface: Ethernet */
	buf_u32(b, 20);
	buf_u32(b, 1);
	buf_u32(b, 65535);
	buf_u32(b, 20);
	for (i = 0; i < sizeof(packets) / sizeof(*packets); i++) {
		uint32_t padded = (packets[i].caplen + 3) & ~3u;

		buf_u32(b, 6);
		buf_u32(b, 32 + padded);
		buf_u32(b, 0);
		buf_u64(b, 0);
		buf_u32(b, packets[i].caplen);
		buf_u32(b, packets[i].len);
		memset(buf_add(b, padded), packets[i].fill, packets[i].caplen);
		buf_u32(b, 32 + padded);
	}
}

static void formats(void **state)
{
	static const uint32_t magics[] = {0xa1b2c3d4, 0xa1b23c4d}; /* micro- and nanoseconds */
	struct port_pcap cap;
	struct sluice_err err;
	unsigned int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		struct buf b = {0};

		if (i == 4)
			pcapng(&b);
		else
			classic(&b, i & 1, magics[i >> 1]);
		assert_int_equal(read_bytes(b.data, b.len, &cap, &err), 0);
		check_three(&cap);
		port_pcap_drop(&cap);
		assert_int_equal(cap.n_frames, 3);
		assert_null(cap.bytes.data);
		port_pcap_free(&cap);
		buf_free(&b);
	}
}

/* Every prefix of a file is refused or is a capture of fewer packets; a cut in mid-packet names its number. */
static void truncated(void **state)
{
	struct port_pcap cap;
	struct sluice_err err = {0};
	size_t len, done = 0;
	unsigned int i;
	int e;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct buf b = {0};

		if (i)
			pcapng(&b);
		else
			classic(&b, false, 0xa1b2c3d4);
		for (len = 0; len < b.len; len++) {
			e = read_bytes(b.data, len, &cap, &err);
			assert_true(e == 0 || e == -EBADMSG || e == -ENOEXEC);
			assert_true(e || cap.n_frames < 3);
			done += !e;
			port_pcap_free(&cap);
		}
		assert_int_equal(read_bytes(b.data, 24 + 16 + 60 + 16 + 100, &cap, &err), -EBADMSG);
		port_pcap_free(&cap);
		buf_free(&b);
	}
	assert_true(done > 0);
	assert_non_null(strstr(err.text, path));
}

/* Bytes changed at random: any answer will do, but no crash and no frame outside the bytes. */
static void corrupted(void **state)
{
	struct port_pcap cap;
	struct sluice_err err;
	uint32_t seed = 7, i, k, round;

	(void)state;
	for (round = 0; round < 3000; round++) {
		struct buf b = {0};

		if (round & 1)
			pcapng(&b);
		else
			classic(&b, round & 2, 0xa1b2c3d4);
		for (k = 0; k < 1 + round % 4; k++) {
			seed = seed * 1664525 + 1013904223;
			/* mostly in the first hundred bytes, where the structure is */
			b.data[(seed >> 8) % (round % 3 ? 120 : b.len)] = (uint8_t)(seed >> 24);
		}
		if (!read_bytes(b.data, b.len, &cap, &err)) {
			const struct traffic_frame *f = (const void *)cap.frames.data;

			assert_true(cap.n_frames > 0);
			for (i = 0; i < cap.n_frames; i++) {
				assert_true(f[i].len >= 14 && f[i].len <= 1518);
				assert_true((size_t)f[i].at + f[i].len <= cap.bytes.len);
			}
		}
		port_pcap_free(&cap);
		buf_free(&b);
	}
}

static void refused(void **state)
{
	struct port_pcap cap;
	struct sluice_err err;
	struct buf b = {0};
	char want[256];

	(void)state;
	assert_int_equal(port_pcap_read("/nonexistent/x.pcap", 1518, &cap, &err), -ENOENT);
	assert_string_equal(err.text, "/nonexistent/x.pcap: No such file or directory");
	assert_int_equal(port_pcap_read("/", 1518, &cap, &err), -ENOEXEC);
	assert_string_equal(err.text, "/ is not a regular file; a capture (pcap, pcapng) is wanted");
	assert_int_equal(read_bytes("hello", 5, &cap, &err), -ENOEXEC);
	put_file_header(&b, false, 0xa1b2c3d4, 1);
	assert_int_equal(read_bytes(b.data, b.len, &cap, &err), -EBADMSG);
	snprintf(want, sizeof(want), "%s has no packets", path);
	assert_string_equal(err.text, want);
	put_packet(&b, false, 1519, 1519, 0);
	put_packet(&b, false, 4, 4, 0);
	assert_int_equal(read_bytes(b.data, b.len, &cap, &err), -EBADMSG);
	snprintf(want, sizeof(want),
		 "%s has no packet that can be sent: of 2, 1 are longer than 1518 bytes, 1 shorter than 14",
		 path);
	assert_string_equal(err.text, want);
	buf_free(&b);
	put_file_header(&b, false, 0xa1b2c3d4, 113);
	assert_int_equal(read_bytes(b.data, b.len, &cap, &err), -ENOEXEC);
	snprintf(want, sizeof(want), "%s has packets of link type LINUX_SLL; a capture of Ethernet is wanted",
		 path);
	assert_string_equal(err.text, want);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats),
		cmocka_unit_test(truncated),
		cmocka_unit_test(corrupted),
		cmocka_unit_test(refused),
	};
	int fd = memfd_create("capture", MFD_CLOEXEC);

	if (fd < 0)
		return 1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
