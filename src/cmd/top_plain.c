// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* `sluice top` as lines, for pipes and files, and as JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "cmd/cli.h"
#include "cmd/top_run.h"

const char *top_run_ifname(const struct top_run *run, int ifindex)
{
	size_t i;

	for (i = 0; i < run->n_ifs; i++)
		if (run->ifs[i].id.index == ifindex)
			return run->ifs[i].id.name;
	return "";
}

char *top_run_ifs_text(const struct top_run *run, char *to, size_t size)
{
	const struct top_if *f;
	size_t i, at = 0;
	int n;

	to[0] = '\0';
	for (i = 0; i < run->n_ifs; i++) {
		f = &run->ifs[i];
		n = snprintf(to + at, size - at, "%s%s (%s%s)", i ? ", " : "", f->id.name,
			     sluice_mode_name(f->got.mode), f->obs ? "" : ", gone");
		if (n < 0 || (size_t)n >= size - at)
			break;
		at += (size_t)n;
	}
	return to;
}

char *top_run_by_text(const struct top_run *run, char *to, size_t size)
{
	if (run->opts.by == SLUICE_TOP_BY_PREFIX)
		snprintf(to, size, "%s/%u/%u", sluice_top_by_name(run->opts.by), run->opts.prefix4, run->opts.prefix6);
	else
		snprintf(to, size, "%s", sluice_top_by_name(run->opts.by));
	return to;
}

char *top_run_key_text(const struct top_run *run, const struct sluice_top_row *row, char *to, size_t size)
{
	char key[SLUICE_TOP_TEXT_MAX];
	const char *name = top_run_ifname(run, row->ifindex);

	if (row->kind == SLUICE_TOP_IF && name[0])
		snprintf(to, size, "%s", name);
	else if (run->opts.per_if)
		snprintf(to, size, "%s %s", name[0] ? name : "?", sluice_top_row_text(row, key, sizeof(key)));
	else
		sluice_top_row_text(row, to, size);
	return to;
}

int top_plain_head(const struct top_run *run)
{
	char ifs[2048], by[24];

	printf("# sluice top on %s: by %s%s, every %gs\n", top_run_ifs_text(run, ifs, sizeof(ifs)),
	       top_run_by_text(run, by, sizeof(by)), run->opts.per_if ? " and interface" : "",
	       (double)run->interval_ns / 1e9);
	return cli_flush() ? 0 : -EPIPE;
}

static void counted(const char *what, const struct sluice_top_count *c, uint64_t of)
{
	if (c->packets)
		printf(", %s %" PRIu64 " packets %" PRIu64 " bytes (%.2f%%)", what, c->packets, c->bytes,
		       of ? 100.0 * (double)c->packets / (double)of : 0.0);
}

int top_plain_report(const struct top_run *run, const struct sluice_top_report *report)
{
	bool by_bytes = run->sort == SLUICE_TOP_SORT_BYTES || run->sort == SLUICE_TOP_SORT_BPS;
	int width = run->opts.by == SLUICE_TOP_BY_FLOW ? 56 : 40;
	const struct sluice_top_row *row;
	char key[SLUICE_TOP_TEXT_MAX + 32], when[32];
	time_t t = (time_t)(report->wall_ns / 1000000000u);
	struct tm tm;
	size_t i;

	strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&t, &tm));
	printf("# %s  %" PRIu64 " packets %" PRIu64 " bytes in %.3fs, %zu key%s", when,
	       report->now.seen.packets, report->now.seen.bytes, (double)report->ns / 1e9, report->n_keys, report->n_keys == 1 ? "" : "s");
	counted("overflow", &report->now.overflow, report->now.seen.packets);
	counted("untracked", &report->now.untracked, report->now.seen.packets);
	printf("\n%-*s  %12s  %15s  %11s  %15s  %6s\n", width, "KEY", "PACKETS", "BYTES", "PPS", "BIT/S",
	       by_bytes ? "SHARE_B" : "SHARE");
	for (i = 0; i < report->n_rows; i++) {
		row = &report->row[i];
		printf("%-*s  %12" PRIu64 "  %15" PRIu64 "  %11.0f  %15.0f  %5.1f%%\n", width,
		       top_run_key_text(run, row, key, sizeof(key)), row->now.packets, row->now.bytes,
		       row->pps, row->bps, 100 * (by_bytes ? row->share_bytes : row->share_packets));
	}
	return cli_flush() ? 0 : -EPIPE;
}

static json_t *json_count(const struct sluice_top_count *c)
{
	return json_pack("{s:I, s:I}", "packets", (json_int_t)c->packets, "bytes", (json_int_t)c->bytes);
}

static json_t *json_sums(const struct sluice_top_sums *s)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "seen", json_count(&s->seen), "keys", json_count(&s->keys),
			 "overflow", json_count(&s->overflow), "untracked", json_count(&s->untracked));
}

static json_t *json_ifs(const struct top_run *run)
{
	json_t *all = json_array();
	const struct top_if *f;
	size_t i;

	for (i = 0; i < run->n_ifs; i++) {
		f = &run->ifs[i];
		json_array_append_new(all, json_pack("{s:s, s:i, s:s, s:b}", "name", f->id.name, "ifindex",
						     f->id.index, "mode", sluice_mode_name(f->got.mode),
						     "attached", f->obs != NULL));
	}
	return all;
}

static void set_l4(json_t *o, const struct sluice_top_row *row)
{
	static const char *const states[] = {"none", "ports", "icmp", "fragment", "cut", "deep"};
	char proto[16];

	json_object_set_new(o, "proto", json_string(sluice_top_proto_text(row->proto, proto, sizeof(proto))));
	json_object_set_new(o, "proto_number", json_integer(row->proto));
	if (row->kind == SLUICE_TOP_PROTO)
		return;
	json_object_set_new(o, "l4", json_string(states[row->l4]));
	if (row->l4 == SLUICE_TOP_L4_PORTS) {
		if (row->flow)
			json_object_set_new(o, "sport", json_integer(row->sport));
		json_object_set_new(o, "dport", json_integer(row->dport));
	} else if (row->l4 == SLUICE_TOP_L4_ICMP && row->flow) {
		json_object_set_new(o, "icmp_type", json_integer(row->sport));
		json_object_set_new(o, "icmp_code", json_integer(row->dport));
	}
}

static void set_addresses(json_t *o, const struct top_run *run, const struct sluice_top_row *row)
{
	int family = row->kind == SLUICE_TOP_IPV4 ? AF_INET : AF_INET6;
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family, row->src, text, sizeof(text));
	json_object_set_new(o, run->opts.by == SLUICE_TOP_BY_DST ? "dst" : "src", json_string(text));
	if (run->opts.by == SLUICE_TOP_BY_PREFIX)
		json_object_set_new(o, "prefix_len", json_integer(row->prefix_len));
	if (!row->flow)
		return;
	inet_ntop(family, row->dst, text, sizeof(text));
	json_object_set_new(o, "dst", json_string(text));
	set_l4(o, row);
}

static json_t *json_row(const struct top_run *run, const struct sluice_top_row *row)
{
	static const char *const kinds[] = {"",	      "ipv4", "ipv6",  "ethertype", "short",	"tags",
					    "bad_ip", "port", "proto", "vlan",	    "interface"};
	char key[SLUICE_TOP_TEXT_MAX + 32];
	json_t *o = json_object();
	int i;

	json_object_set_new(o, "key", json_string(top_run_key_text(run, row, key, sizeof(key))));
	json_object_set_new(o, "kind", json_string(kinds[row->kind]));
	if (row->kind == SLUICE_TOP_IPV4 || row->kind == SLUICE_TOP_IPV6)
		set_addresses(o, run, row);
	if (row->kind == SLUICE_TOP_PORT || row->kind == SLUICE_TOP_PROTO)
		set_l4(o, row);
	if (row->kind == SLUICE_TOP_ETHER)
		json_object_set_new(o, "ethertype", json_integer(row->ethertype));
	if (row->kind == SLUICE_TOP_BAD_IP)
		json_object_set_new(o, "ip_version", json_integer(row->ip_version));
	if (row->kind == SLUICE_TOP_VLAN) {
		json_object_set_new(o, "tags", json_integer(row->n_tags));
		json_object_set_new(o, "vlan", json_array());
		for (i = 0; i < row->n_tags && i < 2; i++)
			json_array_append_new(json_object_get(o, "vlan"), json_integer(row->vlan[i]));
	}
	if (row->ifindex)
		json_object_set_new(o, "interface", json_string(top_run_ifname(run, row->ifindex)));
	json_object_set_new(o, "packets", json_integer((json_int_t)row->now.packets));
	json_object_set_new(o, "bytes", json_integer((json_int_t)row->now.bytes));
	json_object_set_new(o, "pps", json_integer((json_int_t)(row->pps + 0.5)));
	json_object_set_new(o, "bps", json_integer((json_int_t)(row->bps + 0.5)));
	json_object_set_new(o, "share_packets", json_real(row->share_packets));
	json_object_set_new(o, "share_bytes", json_real(row->share_bytes));
	json_object_set_new(o, "total", json_count(&row->total));
	return o;
}

int top_json_report(const struct top_run *run, const struct sluice_top_report *report)
{
	json_t *rows = json_array(), *o;
	char by[24];
	size_t i;

	for (i = 0; i < report->n_rows; i++)
		json_array_append_new(rows, json_row(run, &report->row[i]));
	o = json_pack("{s:f, s:I, s:I, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:o}", "time",
		      (double)report->wall_ns / 1e9, "elapsed_ns", (json_int_t)report->start_ns, "interval_ns",
		      (json_int_t)report->ns, "by", top_run_by_text(run, by, sizeof(by)), "sort",
		      sluice_top_sort_name(run->sort), "interfaces", json_ifs(run), "now",
		      json_sums(&report->now), "total", json_sums(&report->total), "n_keys",
		      (json_int_t)report->n_keys, "n_keys_total", (json_int_t)report->n_keys_total, "rows",
		      rows);
	return cli_json(o) == EXIT_DONE ? 0 : -EPIPE;
}
