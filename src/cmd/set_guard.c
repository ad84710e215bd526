// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Whoever puts addresses into a set that drops is kept from dropping the own session. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/set_run.h"
#include "control/sessions.h"
#include "policy/spans.h"

static bool covers(const struct sets_elem *e, bool v6, struct policy_addr6 a)
{
	if (!v6)
		return !e->len || !((a.lo ^ e->lo) >> (32 - e->len));
	if (e->len <= 64)
		return !e->len || !((a.hi ^ e->hi) >> (64 - e->len));
	return a.hi == e->hi && !((a.lo ^ e->lo) >> (128 - e->len));
}

int set_guard(const struct filter_elems elems[2], struct sluice_err *err)
{
	const char *ssh = getenv("SSH_CONNECTION");
	struct control_session s;
	char peer[NET_ADDR_TEXT], text[SET_ELEM];
	const struct filter_elems *of;
	size_t i;

	if (!ssh || !*ssh || control_session_parse(ssh, &s, NULL))
		return 0;
	of = &elems[s.peer.v6];
	for (i = 0; i < of->n; i++)
		if (covers(&of->v[i], s.peer.v6, policy_addr6_of(&s.peer)))
			return err_set(err, -EBUSY,
				       "%s has %s in it, where this session comes from (SSH_CONNECTION); "
				       "--force bans it "
				       "all the same",
				       set_elem(s.peer.v6, &of->v[i], text),
				       net_addr_format(&s.peer, peer, sizeof(peer)));
	return 0;
}

static bool asks(const struct policy *p, const struct policy_addrs *a, const char *set)
{
	uint32_t i;

	for (i = 0; i < a->n_sets; i++)
		if (!strcmp(p->sets[a->sets[i]].name, set))
			return true;
	return false;
}

/* Does a rule drop what comes from the set, or let in only what does not? */
static bool drops(const struct policy *p, const char *set)
{
	const struct policy_rule *r;
	const struct policy_addrs *a;
	uint32_t i, k, f;

	for (i = 0; i < p->n_filters; i++)
		for (k = 0; k < p->rulesets[i].n; k++)
			for (f = 0; f < 2; f++) {
				r = &p->rulesets[i].rules[k];
				a = &r->ip[f].from;
				if (r->fields >> POLICY_FROM & 1 && asks(p, a, set) &&
				    a->negated == (r->stmt->action == POLICY_PASS))
					return true;
			}
	return false;
}

int set_guard_in(const char *set, const struct filter_elems elems[2], struct sluice_err *err)
{
	struct control_state *st = NULL;
	struct policy *p = NULL;
	char name[CONTROL_NAME];
	int e = set_guard(elems, err);

	if (!e)
		return 0;
	/* a set of those who are let in is no ban; where that cannot be told, it may be one */
	if (!control_state_open(cli.bpffs, false, &st, NULL) &&
	    !control_state_current(st, name, NULL, NULL) && name[0] &&
	    !control_generation_policy(st, name, &p, NULL) && !drops(p, set))
		e = 0;
	policy_free(p);
	control_state_close(st);
	return e;
}
