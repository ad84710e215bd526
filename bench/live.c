// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-live DIR [NAME [ROUNDS]]: packets per CPU-second that a policy drops, as a share of those that a bare
 * `return XDP_DROP` does in the same round; with xdp-filter, nftables and the kernel's own tables beside it. DIR
 * holds live.bpf.o; NAME: only rows whose name contains it.
 *
 *     live frames --live_send--> a0 ===veth=== b0  bare XDP_DROP
 *                            \-> a1 ===veth=== b1  a policy, as a member of the interface's chain
 *                            \-> a2 ===veth=== b2  another one, or one of the peers ...
 *
 * Generator and receiver share one CPU, and the generator, its headers and its random numbers are the same for
 * all. Everything is in namespaces of its own, networks and mounts, that end with the process.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sluice/chain.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/live.h"
#include "bench/live_lab.h"
#include "bpf/seam.h"
#include "control/filter.h"
#include "control/sets.h"
#include "policy/nft.h"
#include "port/traffic_host.h"
#include "tests/classify_rules.h"
#include "tests/filter_rules.h"

#define MAX_ROUNDS 31
#define MAX_ROWS 48
#define PACKETS (4 * LIVE_HEADERS)
#define ANY_SOURCE (1ull << 32)

struct row {
	char name[48], title[96];
	double target; /* 0: told for comparison */
	uint32_t packets;
	const struct live_header *headers;
	uint64_t n_sources; /* as in struct live */
	char device[16];
	const char *missing; /* why it is not measured */
	struct control_filter filter;
	bool is_filter;
	size_t tables, counters, memory; /* bytes that are used, and that the kernel has set aside */
	int link;
	double ns[MAX_ROUNDS];
};

static struct row rows[MAX_ROWS];
static size_t n_rows;
static struct bpf_object *obj;
static struct live *live;
static struct live_header plain[LIVE_HEADERS];
static const char *wanted = "";
static int send_fd;

static struct row *add_row(const char *name, const char *title, double target)
{
	struct row *r = &rows[n_rows];

	if (n_rows && !strstr(name, wanted))
		return NULL;
	if (n_rows == MAX_ROWS)
		die("more than %d rows", MAX_ROWS);
	*r = (struct row){.target = target, .packets = PACKETS, .headers = plain, .link = -1};
	snprintf(r->name, sizeof(r->name), "%s", name);
	snprintf(r->title, sizeof(r->title), "%s", title);
	lab_pair(n_rows++, r->device);
	return r;
}

static void load(const char *dir)
{
	char path[4096];
	struct bpf_map *map;

	snprintf(path, sizeof(path), "%s/live.bpf.o", dir);
	obj = bpf_object__open(path);
	if (!obj || bpf_object__load(obj))
		die("%s: %s", path, strerror(errno));
	map = bpf_object__find_map_by_name(obj, ".data.live");
	live = map ? mmap(NULL, bpf_map__value_size(map), PROT_READ | PROT_WRITE, MAP_SHARED,
			  bpf_map__fd(map), 0)
		   : MAP_FAILED;
	if (live == MAP_FAILED)
		die("%s: no .data.live", path);
	send_fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "live_send"));
}

static void attach(struct row *r, const char *program)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int fd = bpf_program__fd(bpf_object__find_program_by_name(obj, program));

	r->link = bpf_link_create(fd, (int)if_nametoindex(r->device), BPF_XDP, &opts);
	if (r->link < 0)
		die("attaching %s to %s: %s", program, r->device, strerror(-r->link));
}

/* What the file of a set holds. */
static struct buf elements;

/* From memory, as struct policy_files asks. */
static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	const struct buf *text = strcmp(path, "bench") != 0 ? &elements : ctx;

	(void)max, (void)err;
	buf_put(to, text->data, text->len);
	return 0;
}

static struct policy *policy_of(struct buf *text)
{
	struct policy_files files = {.read = read_text, .ctx = text};
	struct sluice_err err;
	struct policy *p;

	if (policy_read("bench", &files, &p, &err))
		die("%s: %s", err.text, p && p->n_diags ? p->diags[0].text : "");
	return p;
}

/* A policy the way users get it: compiled, loaded, and a member of the interface's chain. */
static void put_filter(struct row *r, struct buf *text)
{
	struct filter_opts opts = {.seed = {3, 5, 7, 11, 13, 17, 19, 23, 29, 31}};
	struct sluice_attach_opts how = {.mode = SLUICE_MODE_NATIVE, .owner = "bench"};
	struct sluice_member m = {.name = "filter", .priority = 10, .go_on = -1};
	struct policy *p = policy_of(text);
	struct sluice_err err;
	struct filter_tables *t;
	struct filter_sets *plan;
	struct timespec jiffy;
	struct bpf_map *map;
	int sets;

	if (!clock_getres(CLOCK_MONOTONIC_COARSE, &jiffy)) /* as sluice apply does */
		opts.jiffy_ns = (uint64_t)jiffy.tv_nsec;
	if (filter_sets_plan(p, &plan, &err) || control_sets_make(plan, -1, &sets, &err))
		die("%s: %s", r->name, err.text);
	opts.sets = plan;
	if (filter_compile(p, 0, &opts, &t, &err) || control_filter_load_sets(t, sets, &r->filter, &err) ||
	    sluice_object_program(r->filter.obj, "filter", &m.prog, &err) ||
	    sluice_chain_attach((int)if_nametoindex(r->device), &m, 1, &how, NULL, &err))
		die("%s: %s", r->name, err.text);
	r->is_filter = true;
	r->tables = t->len + (size_t)t->n_cells * 8 + (sets >= 0 ? lab_map_bytes(sets) : 0);
	r->counters = FILTER_HITS_STRIDE(r->filter.n_rules, t->config.sums.n) * (size_t)seam_n_cpus();
	bpf_object__for_each_map(map, sluice_object_libbpf(r->filter.obj)) r->memory +=
		lab_map_bytes(bpf_map__fd(map));
	filter_tables_free(t);
	filter_sets_free(plan);
	if (sets >= 0)
		close(sets);
	policy_free(p);
}

/* text: a ruleset whose table is "netdev sluice": each row needs one of its own */
static void put_nft(struct row *r, const struct buf *text)
{
	static const char *const argv[] = {"nft", "-f", "-", NULL};
	const char *from = (const char *)text->data, *at;
	struct buf to = {0};
	int code;

	for (; (at = strstr(from, "table netdev sluice")); from = at + 19)
		buf_printf(&to, "%.*stable netdev live_%s", (int)(at - from), from, r->device);
	buf_printf(&to, "%s", from);
	lab_gather(r->device);
	code = lab_run(argv, &to);
	r->missing = code < 0 ? "there is no nft" : code ? "nft failed" : NULL;
	buf_free(&to);
}

/* The nearest ruleset of nftables to a policy. */
static void put_exported(struct row *r, struct buf *text)
{
	struct policy *p = policy_of(text);
	struct nft_text nft = {.n_notes = 0};
	struct sluice_err err;

	if (nft_export(p, 0, r->device, &nft, &err))
		die("%s: %s", r->name, err.text);
	buf_put(&nft.ruleset, "", 1);
	put_nft(r, &nft.ruleset);
	nft_text_free(&nft);
	policy_free(p);
}

static uint16_t checksum(const struct live_header *h)
{
	uint32_t sum = 0x4500 + (LIVE_FRAME - 14) + (64u << 8 | h->proto), i;
	uint16_t w[4];

	memcpy(w, h, 8);
	for (i = 0; i < 4; i++)
		sum += __builtin_bswap16(w[i]);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

static struct live_header *headers_of(const struct rule_set *set)
{
	struct live_header *to = calloc(LIVE_HEADERS, sizeof(*to));
	uint64_t state = 20;
	struct header h;
	size_t i;

	if (!to)
		die("no memory");
	for (i = 0; i < LIVE_HEADERS; i++) {
		if (set)
			rules_header(set, rules_below(&state, (uint32_t)set->n), 0, &state, &h);
		else
			rules_any_header(4, &state, &h);
		if (!set)
			h.proto = 17;
		memcpy(&to[i].src, h.src, 4);
		memcpy(&to[i].dst, h.dst, 4);
		to[i].proto = h.proto;
		to[i].sport = __builtin_bswap16(h.proto == 1 ? h.flags : h.sport);
		to[i].dport = __builtin_bswap16(h.dport);
		to[i].flags = (uint8_t)(h.flags >> 8);
		to[i].check = __builtin_bswap16(checksum(&to[i]));
	}
	return to;
}

/* The rules as a policy whose every verdict is to drop. */
static void say_policy(struct buf *text, const struct rule_set *set, uint32_t goes_on)
{
	uint64_t state = 5;
	size_t i, from;

	buf_printf(text, "filter on eth0 {\n");
	for (i = 0; i < set->n; i++) {
		from = text->len;
		rules_say(text, &set->rules[i], &state, goes_on);
		if (!memcmp(text->data + from, "pass", 4))
			memcpy(text->data + from, "drop", 4);
	}
	buf_printf(text, "default drop\n}\n");
}

static void put_rules(const char *size, size_t n, uint32_t goes_on, double target, uint32_t nft_packets)
{
	static const char *const kinds[] = {"acl", "fw", "ipc"};
	struct live_header *headers;
	char name[48], title[96];
	struct rule_set set;
	struct row *r;
	size_t k;

	for (k = 0; k < 3; k++) {
		struct buf text = {0};

		rules_make(&set, kinds[k], 4, n, 1);
		headers = headers_of(&set); /* kept: the rows point to it */
		say_policy(&text, &set, goes_on);
		snprintf(name, sizeof(name), "%s_%s", kinds[k], size);
		snprintf(title, sizeof(title), "%zu %srules (%s), traffic over all", n,
			 goes_on < n ? "mixed " : "", kinds[k]);
		r = add_row(name, title, target);
		if (r) {
			r->headers = headers;
			put_filter(r, &text);
		}
		snprintf(name, sizeof(name), "%s_%s_nft", kinds[k], size);
		r = k || !nft_packets ? NULL : add_row(name, "  nftables, the same one by one", 0);
		if (r) {
			r->headers = headers;
			r->packets = nft_packets;
			put_exported(r, &text);
		}
		buf_free(&text);
		rules_free(&set);
	}
}

static void put_drop_all(void)
{
	const char *argv[] = {"xdp-filter", "load", "-m", "native", "-p", "deny", "-f", "ipv4", NULL, NULL};
	struct buf text = {0};
	struct row *r;
	int code;

	buf_printf(&text, "filter on eth0 {\ndrop ip\n}\n");
	r = add_row("drop_all", "1 rule: drop all", 0.88);
	if (r)
		put_filter(r, &text);
	r = add_row("drop_all_xdp_filter", "  xdp-filter, deny, IPv4", 0);
	if (r) {
		argv[8] = r->device;
		code = lab_run(argv, NULL);
		r->missing = code < 0 ? "there is no xdp-filter" : code ? "xdp-filter failed" : NULL;
	}
	r = add_row("drop_all_nft", "  nftables, the same", 0);
	if (r)
		put_exported(r, &text);
	buf_free(&text);
}

/* Elements of the kernel's tables, in batches. */
static void fill(const char *name, bool prefixes)
{
	int fd = bpf_object__find_map_fd_by_name(obj, name);
	size_t size = prefixes ? sizeof(struct live_prefix) : 4;
	uint8_t *keys = calloc(LIVE_ELEMENTS, size);
	__u32 *values = calloc(LIVE_ELEMENTS, 4), i, n = LIVE_ELEMENTS;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	if (!keys || !values)
		die("no memory");
	for (i = 0; i < LIVE_ELEMENTS; i++) {
		struct live_prefix p = {.len = 20 + i % 13, .addr = i * LIVE_SPREAD};

		memcpy(keys + i * size, prefixes ? (void *)&p : (void *)&p.addr, size);
	}
	if (bpf_map_update_batch(fd, keys, values, &n, &opts))
		die("filling %s: %s", name, strerror(errno));
	free(keys);
	free(values);
}

/* A set with the elements of the kernel's tables; who is not in it is dropped, too, so that all end alike. */
static void put_set(const char *name, const char *title, bool prefixes, double target)
{
	struct row *r = add_row(name, title, target);
	struct buf text = {0};
	uint32_t i, a;

	if (!r)
		return;
	for (i = 0; i < LIVE_ELEMENTS; i++) {
		a = i * LIVE_SPREAD;
		buf_printf(&elements, "%u.%u.%u.%u/%u\n", a & 255, a >> 8 & 255, a >> 16 & 255, a >> 24,
			   prefixes ? 20 + i % 13 : 32);
	}
	r->n_sources = ANY_SOURCE;
	buf_printf(&text, "set bad from \"bad\"\nfilter on eth0 {\ndrop from @bad\ndefault drop\n}\n");
	put_filter(r, &text);
	buf_free(&text);
	buf_free(&elements);
}

static void put_kernel(const char *name, const char *title, const char *program, uint64_t n_sources)
{
	struct row *r = add_row(name, title, 0);
	int map;

	if (!r)
		return;
	r->n_sources = n_sources;
	attach(r, program);
	if (!strcmp(program, "live_hash"))
		fill("live_addresses", false);
	if (!strcmp(program, "live_lpm"))
		fill("live_prefixes", true);
	map = bpf_object__find_map_fd_by_name(obj, !strcmp(program, "live_hash")  ? "live_addresses"
						   : !strcmp(program, "live_lpm") ? "live_prefixes"
										  : "live_sources");
	r->memory = lab_map_bytes(map);
}

static void put_nft_set(void)
{
	struct row *r = add_row("set_1M_nft", "  nftables, a set of 1M addresses", 0);
	struct buf text = {0};
	uint32_t i, a;

	if (!r)
		return;
	r->n_sources = ANY_SOURCE;
	buf_printf(&text, "table netdev sluice {\nset s { type ipv4_addr; elements = {");
	for (i = 0; i < LIVE_ELEMENTS; i++) {
		a = i * LIVE_SPREAD;
		buf_printf(&text, "%u.%u.%u.%u,\n", a & 255, a >> 8 & 255, a >> 16 & 255, a >> 24);
	}
	buf_printf(&text,
		   "} }\nchain c { type filter hook ingress device %s priority 0; policy drop;\n"
		   "ip saddr @s drop\n}\n}\n",
		   r->device);
	buf_put(&text, "", 1);
	put_nft(r, &text);
	buf_free(&text);
}

/* The rate decides how many cells there are (doc/limit.md): 131,072, and the most. */
static void put_limit(const char *name, const char *title, uint32_t rate, double target)
{
	struct buf text = {0};
	struct row *r = add_row(name, title, target);

	if (!r)
		return;
	r->n_sources = 16000000;
	buf_printf(&text, "filter on eth0 {\nlimit ip to %u/s per source\ndefault drop\n}\n", rate);
	put_filter(r, &text);
	buf_free(&text);
}

/* Sends packets where live_send is told to; returns nanoseconds of CPU for each. */
static double send_frames(uint32_t n)
{
	static uint8_t frame[LIVE_FRAME] = {2, 0, 0, 0, 0,  2,	  2,	    0,	0,
					    0, 0, 1, 8, 0,  0x45, 0,	    0,	LIVE_FRAME - 14,
					    0, 0, 0, 0, 64, 17,	  [38] = 0, 30, [46] = 0x50};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64, .repeat = (int)n);
	uint64_t began = clock_of(CLOCK_THREAD_CPUTIME_ID);
	int rc = bpf_prog_test_run_opts(send_fd, &opts);

	if (rc)
		die("sending live frames: %s", strerror(-rc));
	return (double)(clock_of(CLOCK_THREAD_CPUTIME_ID) - began) / (double)n;
}

static void point_to(const struct row *r, const struct live_header *headers, uint64_t n_sources)
{
	char a[24];

	snprintf(a, sizeof(a), "a%s", r->device + 1);
	memcpy(live->header, headers, sizeof(live->header));
	live->to_ifindex = if_nametoindex(a);
	live->n_sources = n_sources;
}

/* All that was sent must have come, and been counted once by whatever decides. */
static double measure(struct row *r, const struct row *as)
{
	struct filter_count *counts = calloc(r->filter.n_rules + 1, sizeof(*counts));
	uint32_t warm = as->packets / 4, n = warm + as->packets;
	struct traffic_peer peer;
	struct sluice_err err;
	uint64_t came = 0, counted[2] = {0, 0};
	double ns;
	size_t i, k;

	if (!counts || traffic_peer_open(&peer, r->device, &err))
		die("%s: %s", r->device, counts ? err.text : "no memory");
	point_to(r, as->headers, as->n_sources);
	for (k = 0; k < 2; k++) {
		if (k) {
			send_frames(warm);
			ns = send_frames(as->packets);
		}
		if (r->is_filter && control_filter_counts(&r->filter, counts, &err))
			die("%s: %s", r->name, err.text);
		for (i = 0; r->is_filter && i <= r->filter.n_rules; i++)
			counted[k] += counts[i].packets + counts[i].over_packets;
	}
	if (traffic_peer_received(&peer, n, &came, &err) || came != n)
		die("%s: sent %u packets, %llu came", r->name, n, (unsigned long long)came);
	if (r->is_filter && counted[1] - counted[0] < n)
		die("%s: sent %u packets, the filter counted %llu", r->name, n,
		    (unsigned long long)(counted[1] - counted[0]));
	traffic_peer_close(&peer);
	free(counts);
	return ns;
}

static double base_ns[MAX_ROWS][MAX_ROUNDS];

static void report(size_t rounds)
{
	double ratio[MAX_ROUNDS], added[MAX_ROUNDS];
	char name[64];
	size_t i, k;

	for (i = 1; i < n_rows; i++) {
		struct row *r = &rows[i];

		snprintf(name, sizeof(name), "live_%s", r->name);
		if (r->missing) {
			printf("%-40s missing: %s\n", r->title, r->missing);
			continue;
		}
		for (k = 0; k < rounds; k++) {
			ratio[k] = base_ns[i][k] / r->ns[k];
			added[k] = r->ns[k] - base_ns[i][k];
		}
		printf("%-40s %5.2fM/s  %.3f of bare drop  %+8.1f ns  tables %.2f MB, counters %.2f MB; set "
		       "aside %.2f "
		       "MB\n",
		       r->title, 1e3 / bench_median(r->ns, rounds), bench_median(ratio, rounds),
		       bench_median(added, rounds), (double)r->tables / 1e6, (double)r->counters / 1e6,
		       (double)r->memory / 1e6);
		if (r->target > 0)
			bench_figure(name, bench_median(ratio, rounds), "of-bare-drop", ">=", r->target);
		else
			bench_note(name, bench_median(ratio, rounds), "of-bare-drop");
		if (!r->memory)
			continue;
		snprintf(name, sizeof(name), "live_%s_memory", r->name);
		bench_note(name, (double)(r->tables ? r->tables + r->counters : r->memory) / 1e6, "MB");
	}
	printf("bare XDP_DROP: %.2fM/s\n", 1e3 / bench_median(base_ns[n_rows - 1], rounds));
}

static void put_all(void)
{
	struct row *base = add_row("bare", "bare XDP_DROP", 0);

	attach(base, "live_drop");
	put_drop_all();
	put_rules("10_mixed", 10, 5, 0.82, PACKETS / 4);
	put_rules("64_mixed", 64, 5, 0.82, 0);
	put_rules("1k", 1000, UINT32_MAX, 0.75, 16384);
	put_rules("10k", 10000, UINT32_MAX, 0.60, 0);
	put_rules("85k", 85000, UINT32_MAX, 0.45, 0);
	put_set("set_1M", "set of 1M addresses, any source", false, 0.68);
	put_kernel("set_1M_hash", "  kernel's hash, 1M addresses", "live_hash", ANY_SOURCE);
	put_nft_set();
	put_set("set_1M_prefixes", "set of 1M prefixes, any source", true, 0.55);
	put_kernel("set_1M_lpm", "  kernel's LPM trie, 1M prefixes", "live_lpm", ANY_SOURCE);
	put_limit("limit_16M_sources", "1,000/s per source, 16M forged ones", 1000, 0.65);
	put_limit("limit_16M_slow", "100/s per source, 16M forged ones", 100, 0);
	put_kernel("limit_16M_sources_lru", "  kernel's LRU hash, 1M entries", "live_lru", 16000000);
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 7, r, i;
	struct traffic_hold hold;
	struct live_header *any = headers_of(NULL);
	uint64_t began = clock_mono_ns();

	if (argc < 2 || rounds < 1 || rounds > MAX_ROUNDS)
		die("usage: bench-live DIR [NAME [ROUNDS 1..31]]");
	wanted = argc > 2 ? argv[2] : "";
	memcpy(plain, any, sizeof(plain));
	lab_make();
	load(argv[1]);
	put_all();
	if (traffic_hold_open(&hold, send_fd))
		die("holding the generator");
	bench_pin(0);
	printf("%zu rows set up in %.1f s; %zu rounds\n", n_rows, (double)(clock_mono_ns() - began) / 1e9,
	       rounds);
	for (r = 0; r < rounds; r++)
		for (i = 1; i < n_rows; i++) {
			if (rows[i].missing)
				continue;
			base_ns[i][r] = measure(&rows[0], &rows[i]);
			rows[i].ns[r] = measure(&rows[i], &rows[i]);
		}
	report(rounds);
	printf("%.1f s in all\n", (double)(clock_mono_ns() - began) / 1e9);
	for (i = 1; i < n_rows; i++)
		if (rows[i].is_filter)
			control_filter_close(&rows[i].filter);
	traffic_hold_close(&hold);
	bpf_object__close(obj);
	return 0;
}
