// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Whoever changes a set is kept from dropping the own session: by what comes into one that bans, or goes out of one that lets in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

#define KNOWN_BY 32

/*
 * The address that this session comes from, and how that is known. sudo drops SSH_CONNECTION. Where nothing is found, nothing
 * is refused: what bans strangers by itself is in no session.
 */
static bool peer_of(struct net_addr *peer, char by[KNOWN_BY])
{
	const char *ssh = getenv("SSH_CONNECTION");
	struct control_session s;

	if (ssh && *ssh && !control_session_parse(ssh, &s, NULL))
		snprintf(by, KNOWN_BY, "SSH_CONNECTION");
	else if (!control_session_above(getpid(), NULL, &s, NULL))
		snprintf(by, KNOWN_BY, "connected to port %u", s.local_port);
	else
		return false;
	*peer = s.peer;
	return true;
}

/* The element that has an address in it, or NULL. */
static const struct sets_elem *has(const struct filter_elems elems[2], const struct net_addr *a)
{
	const struct filter_elems *of = &elems[a->v6];
	size_t i;

	for (i = 0; i < of->n; i++)
		if (covers(&of->v[i], a->v6, policy_addr6_of(a)))
			return &of->v[i];
	return NULL;
}

int set_guard(const struct filter_elems elems[2], struct sluice_err *err)
{
	char address[NET_ADDR_TEXT], text[SET_ELEM], by[KNOWN_BY];
	const struct sets_elem *e;
	struct net_addr peer;

	e = peer_of(&peer, by) ? has(elems, &peer) : NULL;
	if (!e)
		return 0;
	return err_set(err, -EBUSY,
		       "%s has %s in it, where this session comes from (%s); --force bans it all the same",
		       set_elem(peer.v6, e, text), net_addr_format(&peer, address, sizeof(address)), by);
}

static bool asks(const struct policy *p, const struct policy_addrs *a, const char *set)
{
	uint32_t i;

	for (i = 0; i < a->n_sets; i++)
		if (!strcmp(p->sets[a->sets[i]].name, set))
			return true;
	return false;
}

/*
 * bans:   does a rule drop what comes from the set, or let in only what does not?
 * !bans:  does a rule drop what does not come from the set, or let in what does, where something else is dropped?
 */
static bool drops(const struct policy_ruleset *rs, const struct policy *p, const char *set, bool bans)
{
	bool passes = false, others = rs->filter->default_drop;
	const struct policy_rule *r;
	const struct policy_addrs *a;
	uint32_t k, f;

	for (k = 0; k < rs->n; k++) {
		r = &rs->rules[k];
		others |= r->stmt->action == POLICY_DROP;
		for (f = 0; f < 2; f++) {
			a = &r->ip[f].from;
			if (!(r->fields >> POLICY_FROM & 1) || !asks(p, a, set))
				continue;
			if (bans ? a->negated == (r->stmt->action == POLICY_PASS)
				 : a->negated && r->stmt->action == POLICY_DROP)
				return true;
			passes |= !a->negated && r->stmt->action == POLICY_PASS;
		}
	}
	return !bans && passes && others;
}

/* Does the policy in force do so? Where that cannot be told, unknown. */
static bool in_force(const char *set, bool bans, bool unknown)
{
	struct control_state *st = NULL;
	struct policy *p = NULL;
	char name[CONTROL_NAME];
	bool does = unknown;
	uint32_t i;

	if (!control_state_open(cli.bpffs, false, &st, NULL) &&
	    !control_state_current(st, name, NULL, NULL) && name[0] &&
	    !control_generation_policy(st, name, &p, NULL))
		for (i = 0, does = false; i < p->n_filters && !does; i++)
			does = drops(&p->rulesets[i], p, set, bans);
	policy_free(p);
	control_state_close(st);
	return does;
}

int set_guard_in(const char *set, const struct filter_elems elems[2], struct sluice_err *err)
{
	int e = set_guard(elems, err);

	return e && !in_force(set, true, true) ? 0 : e;
}

int set_guard_out(struct control_live *live, uint32_t nr, const struct filter_elems *gone,
		  const struct filter_elems *stays, const struct filter_elems *timed, struct sluice_err *err)
{
	char address[NET_ADDR_TEXT], text[SET_ELEM], by[KNOWN_BY];
	struct policy_addr6 a;
	struct control_elem in;
	struct control_set set;
	struct net_addr peer;

	if (!peer_of(&peer, by))
		return 0;
	a = policy_addr6_of(&peer);
	if (control_sets_get(live->sets, nr, &set, NULL) ||
	    control_sets_test(live->sets, nr, peer.v6, a.hi, a.lo, control_sets_now(), &in.elem, &in.counts,
			      NULL) ||
	    (stays && in.elem.expires) || (gone && !has(gone, &peer)) || (stays && has(stays, &peer)) ||
	    (timed && has(timed, &peer)) || !in_force(set.name, false, false))
		return 0;
	return err_set(err, -EBUSY,
		       "%s lets in %s, where this session comes from (%s), by %s; --force takes it out all the same",
		       set.name, net_addr_format(&peer, address, sizeof(address)), by,
		       set_elem(peer.v6, &in.elem, text));
}
