// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice set list, test, save: looking into sets. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/set_run.h"
#include "net/addr.h"
#include "policy/spans.h"

static const struct cli_opt opts[] = {{0}};

const struct cli_verb set_list_verb = {
	.name = "set list",
	.usage = "[SET]",
	.summary = "all sets that change at run time, or all elements of one",
	.text = "Room is the set's size, which both families share; without one, for how many elements of "
		"IPv4 and\n"
		"IPv6 there is memory. What has expired is not shown.\n",
	.opts = opts,
	.max_args = 1,
};

const struct cli_verb set_test_verb = {
	.name = "set test",
	.usage = "SET ADDR...",
	.summary = "is an address in a set, and by which element",
	.text = "Exit status 3 if one is not.\n",
	.opts = opts,
	.min_args = 2,
	.max_args = -1,
};

const struct cli_verb set_save_verb = {
	.name = "set save",
	.usage = "SET FILE|-",
	.summary = "write a set into a file that sluice set load and policies read",
	.text = "The file is whole or not there, of mode 0600; - is the output. What expires has its time "
		"behind\n"
		"it, as a comment, which sluice set load reads.\n",
	.opts = opts,
	.min_args = 2,
	.max_args = 2,
};

static json_t *json_time(uint32_t seconds)
{
	return seconds ? json_integer(seconds) : json_null();
}

/* A size is a promise for both families together: memory beyond it is no room. */
static uint64_t room_of(const struct control_set *s, uint32_t family)
{
	return s->size ? s->size : s->room[family];
}

static json_t *json_set(const struct control_set *s)
{
	json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "set", s->name, "ipv4",
			      (json_int_t)s->n[0], "ipv6", (json_int_t)s->n[1], "room_ipv4",
			      (json_int_t)room_of(s, 0), "room_ipv6", (json_int_t)room_of(s, 1), "bytes",
			      (json_int_t)s->bytes, "expires", s->expires, "counters", s->counts);

	json_object_set_new(o, "size", s->size ? json_integer((json_int_t)s->size) : json_null());
	json_object_set_new(o, "timeout_s", json_time(s->timeout));
	json_object_set_new(o, "file", s->file ? json_string(s->file) : json_null());
	return o;
}

static void say_set(const struct control_set *s)
{
	char room[2][16], bytes[16], left[SET_LEFT], n[2][24];
	uint32_t f;

	for (f = 0; f < 2; f++) {
		snprintf(n[f], sizeof(n[f]), "%" PRIu64, s->n[f]);
		text_si((double)room_of(s, f), room[f], sizeof(room[f]));
	}
	printf("%-20s %8s of %-6s %8s of %-6s %6sB", s->name, n[0], room[0], n[1], room[1],
	       text_si((double)s->bytes, bytes, sizeof(bytes)));
	if (s->timeout)
		printf("  timeout %s", set_left(s->timeout, left));
	if (s->size)
		printf("  size %" PRIu64, s->size);
	if (s->counts)
		printf("  counters");
	if (s->file)
		printf("  %s", s->file);
	putchar('\n');
}

static int list_sets(struct control_live *live, struct sluice_err *err)
{
	json_t *out = cli.json ? json_array() : NULL;
	struct control_set set;
	uint32_t i;
	int e = 0;

	if (!cli.json)
		printf("%-20s %8s    %-6s %8s    %-6s %7s\n", "SET", "IPv4", "ROOM", "IPv6", "ROOM",
		       "MEMORY");
	for (i = 0; i < control_sets_n(live->sets) && !e; i++) {
		e = control_sets_get(live->sets, i, &set, err);
		if (e || !set.name[0])
			continue;
		if (cli.json)
			json_array_append_new(out, json_set(&set));
		else
			say_set(&set);
	}
	if (e)
		json_decref(out);
	return e ? e : cli.json && cli_json(out) ? cli_gone(err) : 0;
}

static void say_elem(const char *text, const struct control_elem *e, bool counts)
{
	char left[SET_LEFT];

	printf("%s", text);
	if (e->elem.expires)
		printf("  %s left", set_left(set_seconds(e->elem.expires), left));
	if (counts)
		printf("  %" PRIu64 " packets, %" PRIu64 " bytes", (uint64_t)e->counts.packets,
		       (uint64_t)e->counts.bytes);
	putchar('\n');
}

static json_t *json_elem(const char *text, const struct control_elem *e, bool counts)
{
	json_t *o = json_pack("{s:s}", "element", text);

	json_object_set_new(o, "expires_s", json_time(set_seconds(e->elem.expires)));
	if (counts) {
		json_object_set_new(o, "packets", json_integer((json_int_t)e->counts.packets));
		json_object_set_new(o, "bytes", json_integer((json_int_t)e->counts.bytes));
	}
	return o;
}

static int list_elems(struct control_live *live, const char *name, struct sluice_err *err)
{
	json_t *out = cli.json ? json_array() : NULL;
	uint32_t nr, f, now = control_sets_now();
	struct control_elem *v = NULL;
	struct control_set set;
	char text[SET_ELEM];
	size_t n, i;
	int e = control_sets_find(live->sets, name, &nr, err);

	if (!e)
		e = control_sets_get(live->sets, nr, &set, err);
	for (f = 0; f < 2 && !e; f++) {
		e = control_sets_list(live->sets, nr, f, now, &v, &n, err);
		for (i = 0; i < n && !e; i++) {
			set_elem(f, &v[i].elem, text);
			if (cli.json)
				json_array_append_new(out, json_elem(text, &v[i], set.counts));
			else
				say_elem(text, &v[i], set.counts);
		}
		free(v);
	}
	if (e)
		json_decref(out);
	return e ? e : cli.json && cli_json(out) ? cli_gone(err) : 0;
}

int set_list_run(int argc, char **argv)
{
	struct control_live live = {.fd = -1, .other_fd = -1};
	struct sluice_err err = {0};
	char **args;
	int n, e, rc = cli_parse(&set_list_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	e = set_open(&live, &err);
	if (!e)
		e = n ? list_elems(&live, args[0], &err) : list_sets(&live, &err);
	else if (live.no_sets && cli.json && !n) /* a script asks for a list, and it is empty */
		e = cli_json(json_array()) ? cli_gone(&err) : 0;
	control_live_close(&live);
	return e ? cli_fail(&set_list_verb, &err) : EXIT_DONE;
}

static json_t *json_test(const char *addr, const struct control_elem *e, bool v6, bool in, bool counts)
{
	char text[SET_ELEM];
	json_t *o = in ? json_elem(set_elem(v6, &e->elem, text), e, counts) : json_pack("{s:n}", "element");

	json_object_set_new(o, "address", json_string(addr));
	json_object_set_new(o, "in", json_boolean(in));
	return o;
}

static int test(struct control_live *live, char **args, int n, bool *all, struct sluice_err *err)
{
	json_t *out = cli.json ? json_array() : NULL;
	uint32_t nr, now = control_sets_now();
	struct control_elem found = {.elem = {.hi = 0}};
	struct policy_addr6 a;
	struct control_set set;
	struct net_addr addr;
	char text[SET_ELEM];
	int i, e = control_sets_find(live->sets, args[0], &nr, err);
	bool in;

	if (!e)
		e = control_sets_get(live->sets, nr, &set, err);
	for (i = 1; i < n && !e; i++) {
		e = net_addr_parse(args[i], &addr, err);
		if (e)
			break;
		net_addr_unmap(&addr);
		a = policy_addr6_of(&addr);
		e = control_sets_test(live->sets, nr, addr.v6, a.hi, a.lo, now, &found.elem, &found.counts,
				      err);
		in = !e;
		e = e == -ENOENT ? 0 : e;
		*all = *all && in;
		if (cli.json) {
			json_array_append_new(out, json_test(args[i], &found, addr.v6, in, set.counts));
		} else if (in) {
			printf("%s is in %s: ", args[i], set.name);
			say_elem(set_elem(addr.v6, &found.elem, text), &found, set.counts);
		} else if (!e) {
			printf("%s is not in %s\n", args[i], set.name);
		}
	}
	if (e)
		json_decref(out);
	return e ? e : cli.json && cli_json(out) ? cli_gone(err) : 0;
}

int set_test_run(int argc, char **argv)
{
	struct control_live live = {.fd = -1, .other_fd = -1};
	struct sluice_err err = {0};
	bool all = true;
	char **args;
	int n, e, rc = cli_parse(&set_test_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	e = set_open(&live, &err);
	if (!e)
		e = test(&live, args, n, &all, &err);
	control_live_close(&live);
	return e ? cli_fail(&set_test_verb, &err) : all ? EXIT_DONE : EXIT_NOT_FOUND;
}

/* To the output: the set and nothing else. */
static int save_out(struct control_live *live, uint32_t nr, struct sluice_err *err)
{
	struct buf text = {0};
	uint64_t n;
	int e = control_sets_text(live->sets, nr, &text, &n, err);

	if (!e)
		fwrite(text.data, 1, text.len, stdout);
	buf_free(&text);
	return e;
}

int set_save_run(int argc, char **argv)
{
	struct control_live live = {.fd = -1, .other_fd = -1};
	struct sluice_err err = {0};
	uint32_t nr = 0;
	uint64_t saved;
	char **args;
	int n, rc = cli_parse(&set_save_verb, argc, argv, &args, &n);

	if (rc >= 0)
		return rc;
	if (cli.json && !strcmp(args[1], "-"))
		return cli_usage(&set_save_verb, "'-' writes the set itself to the output, not JSON");
	if (set_open(&live, &err) || control_sets_find(live.sets, args[0], &nr, &err))
		rc = cli_fail(&set_save_verb, &err);
	else if (!strcmp(args[1], "-"))
		rc = save_out(&live, nr, &err) ? cli_fail(&set_save_verb, &err) : EXIT_DONE;
	else if (control_sets_save(live.sets, nr, args[1], &saved, &err))
		rc = cli_fail(&set_save_verb, &err);
	else if (cli.json)
		rc = cli_json(json_pack("[{s:s, s:I, s:s}]", "set", args[0], "saved", (json_int_t)saved,
					"file", args[1]));
	else
		rc = printf("%" PRIu64 " element%s of %s in %s\n", saved, saved == 1 ? "" : "s", args[0],
			    args[1]) < 0;
	control_live_close(&live);
	return rc ? rc : EXIT_DONE;
}
