// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The kernel's half of top. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/grace.h"
#include "observe/top_table.h"

#define MIN_BLOCK_BITS 4
#define MAX_BLOCK_BITS 24

uint32_t top_table_cpus(void)
{
	char text[256] = "";
	long n = sysconf(_SC_NPROCESSORS_CONF);
	const char *last;
	size_t len = 0;
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re"); /* "0-3,8-11": numbers may have holes */

	if (f) {
		len = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[len] = '\0';
	last = strrchr(text, ',');
	last = last ? last + 1 : text;
	if (strchr(last, '-'))
		last = strchr(last, '-') + 1;
	if (len && strtol(last, NULL, 10) >= n)
		n = strtol(last, NULL, 10) + 1;
	return n > 0 ? (uint32_t)n : 1;
}

uint32_t top_table_bits(size_t bytes, uint32_t n_cpus)
{
	uint32_t bits = MIN_BLOCK_BITS;

	while (bits < MAX_BLOCK_BITS && ((size_t)n_cpus * 2 * TOP_BLOCK << (bits + 1)) <= bytes)
		bits++;
	return bits;
}

static int map_one(int fd, size_t len, const char *what, void **at, size_t *mapped, struct sluice_err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), all = (len + page - 1) / page * page;
	void *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return err_set(err, -errno, "mapping %s (%zu bytes): %s", what, all, strerror(errno));
	*at = p;
	*mapped = all;
	return 0;
}

int top_table_map(struct top_table *t, int table_fd, int cpus_fd, int epoch_fd, struct sluice_err *err)
{
	size_t n_blocks = (size_t)t->n_cpus * 2 << t->block_bits;
	void *p;
	int rc;

	rc = map_one(table_fd, n_blocks * TOP_BLOCK, "top_table", &p, &t->blocks_len, err);
	if (rc)
		return rc;
	t->blocks = p;
	rc = map_one(cpus_fd, t->n_cpus * sizeof(struct top_cpu), "top_cpus", &p, &t->cpus_len, err);
	if (rc)
		return rc;
	t->cpus = p;
	rc = map_one(epoch_fd, sizeof(*t->epoch), "the epoch", &p, &t->epoch_len, err);
	if (rc)
		return rc;
	t->epoch = p;
	return 0;
}

void top_table_unmap(struct top_table *t)
{
	if (t->blocks)
		munmap(t->blocks, t->blocks_len);
	if (t->cpus)
		munmap(t->cpus, t->cpus_len);
	if (t->epoch)
		munmap(t->epoch, t->epoch_len);
	*t = (struct top_table){0};
}

static size_t entry_size(const struct top_table *t)
{
	return t->wide ? sizeof(struct top_wide) : sizeof(struct top_narrow);
}

unsigned int top_table_fill(const struct top_table *t)
{
	uint64_t entries = ((uint64_t)TOP_BLOCK << t->block_bits) / entry_size(t), most = 0, n;
	uint32_t half = *t->epoch & 1, cpu;

	for (cpu = 0; cpu < t->n_cpus; cpu++) {
		n = __atomic_load_n(&t->cpus[cpu].half[half].inserted, __ATOMIC_RELAXED);
		if (n > most)
			most = n;
	}
	return (unsigned int)(most * 100 / entries);
}

int top_table_turn(struct top_table *t, struct sluice_err *err)
{
	__atomic_store_n(t->epoch, *t->epoch + 1, __ATOMIC_SEQ_CST);
	return grace_wait(err);
}

/* Moves the entries of one block; returns how many there were. */
static unsigned int drain_block(struct top_block *block, bool wide, struct top_keys *keys,
				struct top_drained *sum)
{
	uint64_t *at[TOP_BLOCK / sizeof(struct top_narrow)], hash[TOP_BLOCK / sizeof(struct top_narrow)],
		packets, tag;
	unsigned int words = wide ? TOP_WIDE_WORDS : 2, step = wide ? 8 : 4, n = 0, i;
	uint64_t *e;

	for (i = 0; i < TOP_BLOCK / sizeof(uint64_t); i += step) {
		e = (uint64_t *)block + i;
		if (!e[words])
			continue;
		hash[n] = top_keys_hash(keys, e, (uint32_t)(e[words] >> TOP_PACKET_BITS));
		top_keys_prefetch(keys, hash[n]);
		at[n++] = e;
	}
	for (i = 0; i < n; i++) {
		e = at[i];
		tag = e[words] >> TOP_PACKET_BITS;
		packets = e[words] & TOP_PACKET_MASK;
		top_keys_add(keys, e, (uint32_t)tag, hash[i], packets, e[words + 1]);
		sum->seen.packets += packets;
		sum->seen.bytes += e[words + 1];
		e[words] = 0;
	}
	return n;
}

void top_table_drain(struct top_table *t, struct top_keys *keys, struct top_drained *sum)
{
	uint32_t half = (*t->epoch & 1) ^ 1, cpu;
	struct top_block *part;
	struct top_cpu *c;
	uint64_t left;
	size_t i;

	for (cpu = 0; cpu < t->n_cpus; cpu++) {
		c = &t->cpus[cpu];
		part = t->blocks + (((size_t)cpu * 2 + half) << t->block_bits);
		left = c->half[half].inserted;
		for (i = 0; left && i < (size_t)1 << t->block_bits; i++)
			left -= drain_block(&part[i], t->wide, keys, sum);
		sum->overflow.packets += c->half[half].over_packets;
		sum->overflow.bytes += c->half[half].over_bytes;
		sum->seen.packets += c->half[half].over_packets;
		sum->seen.bytes += c->half[half].over_bytes;
		memset(&c->half[half], 0, sizeof(c->half[half]));
	}
}
