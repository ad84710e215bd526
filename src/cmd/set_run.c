// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Run-time sets on the command line: words, elements, and what became of them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "cmd/set_run.h"
#include "policy/policy.h"
#include "policy/spans.h"

#define SECOND UINT64_C(1000000000)
#define LONGEST_NS (UINT64_C(8760) * 3600 * SECOND)
#define WAIT_NS (10 * SECOND)

int set_open(struct control_live *live, struct sluice_err *err)
{
	return control_live_open(cli.bpffs, WAIT_NS, live, err);
}

void set_beside(const struct cli_verb *verb, const struct control_live *live)
{
	if (live->beside.code)
		cli_warn(verb, "%s", live->beside.text);
}

int set_words(char **args, int *n_args, bool in, struct set_words *words, struct sluice_err *err)
{
	int i;

	*words = (struct set_words){NULL, 0};
	while (*n_args > 2) {
		i = *n_args - 2;
		if (!strcmp(args[i], "for") && !words->for_ns) {
			if (text_time(args[i + 1], &words->for_ns, err))
				return -EINVAL;
			if (words->for_ns < SECOND || words->for_ns > LONGEST_NS)
				return err_set(err, -EINVAL, "'for %s' is no time from 1s to 8760h",
					       args[i + 1]);
		} else if (in && !strcmp(args[i], "in") && !words->in) {
			words->in = args[i + 1];
		} else {
			break;
		}
		*n_args -= 2;
	}
	for (i = 0; i < *n_args; i++)
		if (!strcmp(args[i], "for") || (in && !strcmp(args[i], "in")))
			return err_set(err, -EINVAL,
				       in ? "'%s' stands behind the addresses, once: ADDR... for TIME in SET"
					  : "'%s' stands behind the addresses, once: ADDR... for TIME",
				       args[i]);
	return 0;
}

/* Standard input, as files of sets are written. */
static int read_stdin(struct policy_spans *spans, struct sluice_err *err)
{
	struct policy_netset_stat stat = {0};
	struct sluice_err why = {0};
	struct buf text = {0};
	int e = policy_disk.read(policy_disk.ctx, POLICY_STDIN, POLICY_SET_MAX, &text, err);

	if (!e && text.failed)
		e = err_nomem(err);
	if (!e && policy_netset_read((const char *)text.data, text.len, spans, &stat, &why))
		e = err_set(err, why.code, "%s:%u: %s", POLICY_STDIN, stat.bad_line, why.text);
	buf_free(&text);
	return e;
}

int set_elems(char **args, int n_args, struct filter_elems elems[2], struct sluice_err *err)
{
	struct policy_spans spans = {0};
	struct policy_range r;
	int i, e = 0;

	elems[0] = elems[1] = (struct filter_elems){NULL, 0};
	for (i = 0; i < n_args && !e; i++) {
		if (!strcmp(args[i], "-")) {
			e = read_stdin(&spans, err);
			continue;
		}
		e = policy_range_parse(args[i], strlen(args[i]), &r, NULL, err);
		if (!e)
			policy_spans_add(&spans, &r);
	}
	if (!e && spans.failed)
		e = err_nomem(err);
	if (!e)
		e = filter_sets_elems(&spans, false, &elems[0], err);
	if (!e)
		e = filter_sets_elems(&spans, true, &elems[1], err);
	policy_spans_free(&spans);
	return e;
}

void set_elems_free(struct filter_elems elems[2])
{
	free(elems[0].v);
	free(elems[1].v);
}

uint32_t set_until(const struct control_set *set, uint64_t for_ns)
{
	uint64_t ns = for_ns ? for_ns : set->timeout * SECOND;

	/* never too short: to the end of the second it ends in */
	return ns ? (uint32_t)((clock_mono_ns() + ns + SECOND - 1) / SECOND) : 0;
}

char *set_elem(bool v6, const struct sets_elem *e, char to[SET_ELEM])
{
	struct policy_range r = {.first = {e->hi, e->lo}, .last = {e->hi, e->lo}, .v6 = v6};
	char text[POLICY_RANGE_TEXT];

	policy_range_format(&r, text, sizeof(text));
	if (e->len == (v6 ? 128 : 32))
		snprintf(to, SET_ELEM, "%.*s", NET_ADDR_TEXT, text);
	else
		snprintf(to, SET_ELEM, "%.*s/%u", NET_ADDR_TEXT - 1, text, e->len & 255u);
	return to;
}

uint32_t set_seconds(uint32_t expires)
{
	uint64_t now = clock_mono_ns(), then = expires * SECOND;

	/* whole ones; what is there has not expired yet */
	return !expires ? 0 : then < now + SECOND ? 1 : (uint32_t)((then - now) / SECOND);
}

char *set_left(uint32_t s, char to[SET_LEFT])
{
	if (s >= 3600)
		snprintf(to, SET_LEFT, s % 3600 / 60 ? "%uh%um" : "%uh", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		snprintf(to, SET_LEFT, s % 60 ? "%um%us" : "%um", s / 60, s % 60);
	else
		snprintf(to, SET_LEFT, "%us", s);
	return to;
}

static const char *const results[] =
	{[CONTROL_ADDED] = "added", [CONTROL_CHANGED] = "changed", [CONTROL_FOR_GOOD] = "permanent"};

static void say_put(const char *word, const struct control_set *set, const char *elem,
		    enum control_added what, uint32_t seconds)
{
	char left[SET_LEFT];

	if (what == CONTROL_FOR_GOOD)
		printf("%s is in %s for good\n", elem, set->name);
	else if (seconds)
		printf("%s %s in %s for %s\n", word, elem, set->name, set_left(seconds, left));
	else if (set->file)
		printf("%s %s in %s until its file is read again\n", word, elem, set->name);
	else
		printf("%s %s in %s for good\n", word, elem, set->name);
}

static json_t *json_put(const char *name, const char *elem, enum control_added what, uint32_t seconds)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "element", elem, "set", name, "result", results[what]);

	json_object_set_new(o, "expires_s",
			    seconds && what != CONTROL_FOR_GOOD ? json_integer(seconds) : json_null());
	return o;
}

static int put(const struct cli_verb *verb, const char *word, struct control_live *live, uint32_t nr,
	       const struct filter_elems elems[2], uint64_t for_ns)
{
	json_t *out = cli.json ? json_array() : NULL;
	struct sluice_err err = {0};
	struct control_set set;
	enum control_added what;
	struct sets_elem elem;
	char text[SET_ELEM];
	uint32_t f, until, seconds;
	size_t i;
	int e = control_sets_get(live->sets, nr, &set, &err);

	until = e ? 0 : set_until(&set, for_ns);
	seconds = (uint32_t)(((for_ns ? for_ns : e ? 0 : set.timeout * SECOND) + SECOND - 1) / SECOND);
	for (f = 0; f < 2 && !e; f++)
		for (i = 0; i < elems[f].n && !e; i++) {
			elem = elems[f].v[i];
			elem.expires = until;
			e = control_live_add(live, nr, f, &elem, &what, &err);
			if (e)
				break;
			set_elem(f, &elem, text);
			if (cli.json)
				json_array_append_new(out, json_put(set.name, text, what, seconds));
			else
				say_put(word, &set, text, what, seconds);
		}
	set_beside(verb, live);
	if (cli.json && cli_json(out))
		return EXIT_FAILED;
	return e ? cli_fail(verb, &err) : EXIT_DONE;
}

/* An element that is not there: what is there in its place. */
static void explain_missing(struct control_live *live, uint32_t nr, bool v6, const struct sets_elem *elem,
			    struct sluice_err *err)
{
	char text[SET_ELEM], before[SLUICE_ERR_MAX];
	struct sets_elem cover;

	if (control_sets_test(live->sets, nr, v6, elem->hi, elem->lo, control_sets_now(), &cover, NULL,
			      NULL) ||
	    cover.len >= elem->len)
		return;
	snprintf(before, sizeof(before), "%s", err->text);
	err_set(err, -ENOENT, "%.400s; %s covers it", before, set_elem(v6, &cover, text));
}

static int take(const struct cli_verb *verb, const char *word, struct control_live *live, uint32_t nr,
		const struct filter_elems elems[2])
{
	json_t *out = cli.json ? json_array() : NULL;
	struct sluice_err err = {0}, first = {0};
	struct control_set set;
	char text[SET_ELEM];
	uint32_t f;
	size_t i;
	int e = control_sets_get(live->sets, nr, &set, &first);

	/* all that are there go, and then the first that was not is told of */
	for (f = 0; f < 2 && (!e || e == -ENOENT); f++)
		for (i = 0; i < elems[f].n && (!e || e == -ENOENT); i++) {
			e = control_live_del(live, nr, f, &elems[f].v[i], &err);
			if (e && !first.code) {
				first = err;
				if (e == -ENOENT)
					explain_missing(live, nr, f, &elems[f].v[i], &first);
			}
			if (e)
				continue;
			set_elem(f, &elems[f].v[i], text);
			if (cli.json)
				json_array_append_new(out, json_pack("{s:s, s:s, s:s}", "element", text,
								     "set", set.name, "result", "removed"));
			else
				printf("%s %s from %s\n", word, text, set.name);
		}
	set_beside(verb, live);
	if (cli.json && cli_json(out))
		return EXIT_FAILED;
	return first.code ? cli_fail(verb, &first) : EXIT_DONE;
}

static int open_set(const char *in, struct control_live *live, uint32_t *nr, struct sluice_err *err)
{
	int e = set_open(live, err);

	if (e)
		return e;
	return in ? control_sets_find(live->sets, in, nr, err) : control_live_choose(live, nr, err);
}

int set_put(const struct cli_verb *verb, const char *word, const char *in, const struct filter_elems elems[2],
	    uint64_t for_ns)
{
	struct control_live live = {.fd = -1, .other_fd = -1};
	struct sluice_err err = {0};
	uint32_t nr = 0;
	int rc = open_set(in, &live, &nr, &err) ? cli_fail(verb, &err)
						: put(verb, word, &live, nr, elems, for_ns);

	control_live_close(&live);
	return rc;
}

int set_take(const struct cli_verb *verb, const char *word, const char *in,
	     const struct filter_elems elems[2], bool force)
{
	struct control_live live = {.fd = -1, .other_fd = -1};
	struct sluice_err err = {0};
	uint32_t nr = 0;
	int rc;

	if (open_set(in, &live, &nr, &err) || (!force && set_guard_out(&live, nr, elems, NULL, NULL, &err)))
		rc = cli_fail(verb, &err);
	else
		rc = take(verb, word, &live, nr, elems);

	control_live_close(&live);
	return rc;
}
