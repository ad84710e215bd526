// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Top talkers: the object, the intervals, the report. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <arpa/inet.h>

#include <linux/bpf.h>
#include <sluice/top.h>

#include "abi/top.h"
#include "base/clock.h"
#include "base/embedded.h"
#include "base/err.h"
#include "observe/top_keys.h"
#include "observe/top_row.h"
#include "observe/top_table.h"

#define DEFAULT_TABLE_BYTES (32u << 20) /* at most, and */
#define DEFAULT_CPU_BYTES \
	(8u << 20) /* for each CPU: beyond 4 MB a half, misses of cache and TLB cost: doc/top.md */
#define DEFAULT_KEYS (3u << 18) /* three quarters of a power of two: what top_keys fills before it grows */
#define MIN_KEYS 1024
#define TURN_PERCENT 33			 /* fuller, and blocks begin to overflow: doc/top.md */
#define TURN_MAX_NS (60ull * 1000000000) /* keeps the packet counts of entries far from their 40 bits */

struct sluice_top {
	struct sluice_top_opts opts;
	struct sluice_object *obj;
	struct sluice_program *prog[2]; /* without and with multi-buffer support */
	struct top_table table;
	struct top_keys keys;
	struct top_drained now, total;
	uint64_t open_ns, interval_ns; /* when they began */
	uint64_t turned_ns, busy_until_ns;
};

static void mask_of(unsigned int bits, void *to, size_t size)
{
	uint8_t *p = to;
	size_t i;

	for (i = 0; i < size; i++, bits -= bits < 8 ? bits : 8)
		p[i] = (uint8_t)(bits >= 8 ? 0xff : 0xff00 >> bits);
}

static void config_of(const struct sluice_top_opts *opts, uint32_t block_bits, struct top_config *config)
{
	config->by = (uint32_t)opts->by;
	config->per_if = opts->per_if;
	config->verdict = opts->drop ? XDP_DROP : XDP_PASS;
	config->block_bits = block_bits;
	config->hash_shift = 64 - block_bits;
	mask_of(opts->prefix4, &config->mask4, sizeof(config->mask4));
	mask_of(opts->prefix6, config->mask6, sizeof(config->mask6));
}

static int check(const struct sluice_top_opts *opts, struct sluice_err *err)
{
	if (!sluice_top_by_name(opts->by))
		return err_set(err, -EINVAL, "sluice_top_opts.by is %d, not one of enum sluice_top_by",
			       (int)opts->by);
	if (opts->prefix4 > 32 || opts->prefix6 > 128)
		return err_set(err, -EINVAL, "a prefix of /%u or /%u is too long (32 and 128 bits at most)",
			       opts->prefix4, opts->prefix6);
	if (opts->max_keys < MIN_KEYS || opts->max_keys > UINT32_MAX)
		return err_set(err, -EINVAL, "cannot follow %zu keys (%d to %u)", opts->max_keys, MIN_KEYS,
			       UINT32_MAX);
	return 0;
}

static int load(struct sluice_top *t, const struct top_config *config, struct sluice_err *err)
{
	int table, cpus, epoch, rc;

	rc = sluice_object_open_mem(embedded_top, embedded_top_len, "top", &t->obj, err);
	if (rc)
		return rc;
	rc = sluice_object_set_bytes(t->obj, "config", config, sizeof(*config), err);
	if (!rc)
		rc = sluice_object_resize(t->obj, "top_table", (t->table.n_cpus * 2) << t->table.block_bits,
					  err);
	if (!rc)
		rc = sluice_object_resize(t->obj, "top_cpus", t->table.n_cpus, err);
	if (!rc)
		rc = sluice_object_program(t->obj, "top", &t->prog[0], err);
	if (!rc)
		rc = sluice_object_program(t->obj, "top_frags", &t->prog[1], err);
	if (!rc)
		rc = sluice_object_load(t->obj, err);
	if (rc)
		return rc;
	table = sluice_object_map_fd(t->obj, "top_table", err);
	cpus = sluice_object_map_fd(t->obj, "top_cpus", err);
	epoch = sluice_object_map_fd(t->obj, ".data.epoch", err);
	if (table < 0 || cpus < 0 || epoch < 0)
		return err ? err->code : -ENOENT;
	return top_table_map(&t->table, table, cpus, epoch, err);
}

int sluice_top_open(const struct sluice_top_opts *opts, struct sluice_top **top, struct sluice_err *err)
{
	struct top_config config = {0};
	struct sluice_top *t = calloc(1, sizeof(*t));
	uint64_t seed[2];
	int rc;

	*top = NULL;
	if (!t)
		return err_nomem(err);
	t->opts = *opts;
	if (!t->opts.max_keys)
		t->opts.max_keys = DEFAULT_KEYS;
	rc = check(&t->opts, err);
	if (rc)
		goto fail;
	t->table.n_cpus = top_table_cpus();
	if (!t->opts.table_bytes)
		t->opts.table_bytes = (size_t)t->table.n_cpus * DEFAULT_CPU_BYTES;
	if (!opts->table_bytes && t->opts.table_bytes > DEFAULT_TABLE_BYTES)
		t->opts.table_bytes = DEFAULT_TABLE_BYTES;
	t->table.block_bits = top_table_bits(t->opts.table_bytes, t->table.n_cpus);
	t->table.wide = t->opts.by == SLUICE_TOP_BY_FLOW;
	config_of(&t->opts, t->table.block_bits, &config);
	if (getrandom(config.seed, sizeof(config.seed), 0) != sizeof(config.seed) ||
	    getrandom(seed, sizeof(seed), 0) != sizeof(seed)) {
		rc = err_set(err, -EIO, "no random numbers from the kernel: %s", strerror(errno));
		goto fail;
	}
	rc = top_keys_init(&t->keys, t->table.wide ? TOP_WIDE_WORDS : 2, t->opts.max_keys, seed);
	if (rc) {
		err_nomem(err);
		goto fail;
	}
	rc = load(t, &config, err);
	if (rc)
		goto fail;
	t->open_ns = t->interval_ns = t->turned_ns = clock_mono_ns();
	*top = t;
	return 0;
fail:
	sluice_top_close(t);
	return rc;
}

void sluice_top_close(struct sluice_top *top)
{
	if (!top)
		return;
	top_table_unmap(&top->table);
	top_keys_fini(&top->keys);
	sluice_object_free(top->obj);
	free(top);
}

struct sluice_program *sluice_top_program(struct sluice_top *top, bool frags)
{
	return top->prog[frags];
}

/* Changes halves and takes over what the one just used holds. */
static int turn(struct sluice_top *t, struct sluice_err *err)
{
	uint64_t began, ended;
	int rc;

	t->turned_ns = clock_mono_ns();
	rc = top_table_turn(&t->table, err);
	if (rc)
		return rc;
	began = clock_mono_ns();
	top_table_drain(&t->table, &t->keys, &t->now);
	ended = clock_mono_ns();
	t->busy_until_ns = ended + 2 * (ended - began); /* a flood may cost a third of a CPU, not all of it */
	return 0;
}

int sluice_top_poll(struct sluice_top *top, struct sluice_err *err)
{
	uint64_t now = clock_mono_ns();

	if (now < top->busy_until_ns)
		return 0;
	if (top_table_fill(&top->table) < TURN_PERCENT && now - top->turned_ns < TURN_MAX_NS)
		return 0;
	return turn(top, err);
}

struct ranking {
	const struct sluice_top *top;
	enum sluice_top_sort sort;
	const struct top_key **key; /* a heap: the one to go first if a better one comes is in front */
	size_t n, max;
};

/* <0: a comes before b in the report. */
static int order(const struct top_key *a, const struct top_key *b, void *context)
{
	const struct ranking *r = context;
	uint64_t x = 0, y = 0;

	if (r->sort == SLUICE_TOP_SORT_PACKETS || r->sort == SLUICE_TOP_SORT_PPS) {
		x = a->now_packets;
		y = b->now_packets;
	} else if (r->sort != SLUICE_TOP_SORT_ADDR) {
		x = a->now_bytes;
		y = b->now_bytes;
	}
	return x != y ? (x > y ? -1 : 1) : top_row_compare(a, b, r->top->keys.n_words);
}

static int order_of_pointers(const void *a, const void *b, void *context)
{
	return order(*(const struct top_key *const *)a, *(const struct top_key *const *)b, context);
}

static void sift_down(struct ranking *r, size_t i)
{
	const struct top_key *key = r->key[i];
	size_t child;

	while ((child = 2 * i + 1) < r->n) {
		if (child + 1 < r->n && order(r->key[child + 1], r->key[child], r) > 0)
			child++;
		if (order(r->key[child], key, r) <= 0)
			break;
		r->key[i] = r->key[child];
		i = child;
	}
	r->key[i] = key;
}

static void sift_up(struct ranking *r, size_t i)
{
	const struct top_key *key = r->key[i];

	while (i && order(key, r->key[(i - 1) / 2], r) > 0) {
		r->key[i] = r->key[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	r->key[i] = key;
}

static void rank(struct ranking *r, const struct top_key *key)
{
	if (r->n < r->max) {
		r->key[r->n++] = key;
		sift_up(r, r->n - 1);
	} else if (r->max && order(key, r->key[0], r) < 0) {
		r->key[0] = key;
		sift_down(r, 0);
	}
}

static void fill_row(const struct sluice_top *t, const struct sluice_top_report *report,
		     const struct top_key *key, struct sluice_top_row *row)
{
	double seconds = (double)report->ns / 1e9;

	top_row_of(&t->opts, key, row);
	row->pps = (double)row->now.packets / seconds;
	row->bps = (double)row->now.bytes * 8 / seconds;
	row->share_packets = (double)row->now.packets / (double)report->now.seen.packets;
	row->share_bytes = (double)row->now.bytes / (double)report->now.seen.bytes;
}

static void add(struct sluice_top_count *to, uint64_t packets, uint64_t bytes)
{
	to->packets += packets;
	to->bytes += bytes;
}

/* Sums and ranks all keys. */
static void survey(struct sluice_top *t, struct sluice_top_report *report, struct ranking *r)
{
	const struct top_key *key;
	size_t at = 0;

	while ((key = top_keys_next(&t->keys, &at))) {
		report->n_keys_total++;
		add(&report->total.keys, key->packets, key->bytes);
		if (!top_keys_is_now(&t->keys, key))
			continue;
		report->n_keys++;
		add(&report->now.keys, key->now_packets, key->now_bytes);
		rank(r, key);
	}
	add(&report->now.untracked, t->keys.forgotten_now.packets, t->keys.forgotten_now.bytes);
	add(&report->total.untracked, t->keys.forgotten.packets, t->keys.forgotten.bytes);
	add(&report->now.overflow, t->now.overflow.packets, t->now.overflow.bytes);
	add(&report->now.seen, t->now.seen.packets, t->now.seen.bytes);
	add(&report->total.overflow, t->now.overflow.packets + t->total.overflow.packets,
	    t->now.overflow.bytes + t->total.overflow.bytes);
	add(&report->total.seen, t->now.seen.packets + t->total.seen.packets,
	    t->now.seen.bytes + t->total.seen.bytes);
}

static void end_interval(struct sluice_top *t)
{
	t->total.seen.packets += t->now.seen.packets;
	t->total.seen.bytes += t->now.seen.bytes;
	t->total.overflow.packets += t->now.overflow.packets;
	t->total.overflow.bytes += t->now.overflow.bytes;
	t->now = (struct top_drained){0};
	t->interval_ns = t->turned_ns;
	top_keys_end_interval(&t->keys);
}

int sluice_top_read(struct sluice_top *top, enum sluice_top_sort sort, size_t max_rows,
		    struct sluice_top_report **report, struct sluice_err *err)
{
	struct ranking r = {.top = top, .sort = sort};
	struct sluice_top_report *p;
	size_t i;
	int rc;

	*report = NULL;
	rc = turn(top, err);
	if (rc)
		return rc;
	r.max = max_rows < top->keys.n ? max_rows : top->keys.n;
	r.key = calloc(r.max + 1, sizeof(*r.key));
	p = calloc(1, sizeof(*p) + r.max * sizeof(p->row[0]));
	if (!p || !r.key) {
		free(p);
		free(r.key);
		return err_nomem(err);
	}
	p->wall_ns = clock_wall_ns() - (clock_mono_ns() - top->turned_ns);
	p->start_ns = top->turned_ns - top->open_ns;
	p->ns = top->turned_ns > top->interval_ns ? top->turned_ns - top->interval_ns : 1;
	survey(top, p, &r);
	qsort_r(r.key, r.n, sizeof(*r.key), order_of_pointers, &r);
	p->n_rows = r.n;
	for (i = 0; i < r.n; i++)
		fill_row(top, p, r.key[i], &p->row[i]);
	free(r.key);
	end_interval(top);
	*report = p;
	return 0;
}
