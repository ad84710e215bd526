// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Trees of policies: finding, comparing. */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "base/err.h"
#include "policy/policy.h"

const struct policy_match *policy_match_of(const struct policy_stmt *s, enum policy_field field)
{
	uint32_t i;

	for (i = 0; i < s->n_matches; i++)
		if (s->matches[i].field == field)
			return &s->matches[i];
	return NULL;
}

bool policy_filter_names(const struct policy_filter *f, const char *name)
{
	uint32_t i;

	for (i = 0; i < f->on.n; i++)
		if (!fnmatch(f->on.v[i].text, name, 0))
			return true;
	return false;
}

struct policy_where policy_rule_where(const struct policy *p, const struct policy_filter *f,
				      const struct policy_stmt *s)
{
	return policy_where(p, s ? s->pos : f->default_pos.len ? f->default_pos : f->pos);
}

int policy_filter_on(const struct policy *p, const char *name, const char *how, uint32_t *filter,
		     struct sluice_err *err)
{
	uint32_t i;

	*filter = 0;
	if (!p->n_filters)
		return err_set(err, -ENOENT, "there is no filter in the policy");
	for (i = 0; name && i < p->n_filters; i++) {
		if (policy_filter_names(&p->filters[i], name)) {
			*filter = i;
			return 0;
		}
	}
	if (name)
		return err_set(err, -ENOENT, "no filter of the policy is on %s", name);
	if (p->n_filters > 1)
		return err_set(err, -EINVAL, "the policy has %u filters: say which interface, with %s",
			       p->n_filters, how);
	return 0;
}

bool policy_same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_value(const struct policy_value *a, const struct policy_value *b)
{
	if (a->kind != b->kind)
		return false;
	switch ((enum policy_kind)a->kind) {
	case POLICY_NUM:
	case POLICY_ICMP:
		return a->num.lo == b->num.lo && a->num.hi == b->num.hi;
	case POLICY_ADDR:
		return a->addr.v6 == b->addr.v6 && !policy_addr6_cmp(a->addr.first, b->addr.first) &&
		       !policy_addr6_cmp(a->addr.last, b->addr.last);
	case POLICY_SET:
	case POLICY_TEXT:
		return policy_same_text(a->text, b->text);
	case POLICY_MAC:
		return !memcmp(&a->mac, &b->mac, sizeof(a->mac));
	case POLICY_BITS:
		return a->flags.value == b->flags.value && a->flags.mask == b->flags.mask;
	}
	return false;
}

bool policy_same_list(const struct policy_list *a, const struct policy_list *b)
{
	uint32_t i;

	for (i = 0; a->n == b->n && i < a->n; i++)
		if (!same_value(&a->v[i], &b->v[i]))
			return false;
	return a->n == b->n;
}

static bool same_rate(const struct policy_rate *a, const struct policy_rate *b)
{
	return a->amount == b->amount && a->seconds == b->seconds && a->bits == b->bits;
}

bool policy_same_stmt(const struct policy_stmt *a, const struct policy_stmt *b)
{
	uint32_t i;

	if (a->action != b->action || a->log != b->log || a->n_matches != b->n_matches ||
	    !policy_same_text(a->name, b->name) || !policy_same_text(a->redirect, b->redirect) ||
	    !policy_same_list(&a->cpus, &b->cpus))
		return false;
	if (a->log && (a->log_every != b->log_every || !same_rate(&a->log_max, &b->log_max)))
		return false;
	if (a->action == POLICY_LIMIT && (!same_rate(&a->limit.rate, &b->limit.rate) ||
					  a->limit.burst != b->limit.burst || a->limit.per != b->limit.per ||
					  a->limit.len4 != b->limit.len4 || a->limit.len6 != b->limit.len6))
		return false;
	for (i = 0; i < a->n_matches; i++)
		if (a->matches[i].field != b->matches[i].field ||
		    a->matches[i].negated != b->matches[i].negated ||
		    !policy_same_list(&a->matches[i].list, &b->matches[i].list))
			return false;
	return true;
}

static bool same_filter(const struct policy_filter *a, const struct policy_filter *b)
{
	uint32_t i;

	if (a->shadow != b->shadow || a->default_drop != b->default_drop || a->n_stmts != b->n_stmts ||
	    !policy_same_list(&a->on, &b->on))
		return false;
	for (i = 0; i < a->n_stmts; i++)
		if (!policy_same_stmt(&a->stmts[i], &b->stmts[i]))
			return false;
	return true;
}

static bool same_set(const struct policy_set *a, const struct policy_set *b)
{
	return policy_same_text(a->name, b->name) && policy_same_text(a->file, b->file) && a->timeout_ns == b->timeout_ns &&
	       a->size == b->size && a->counters == b->counters && policy_same_list(&a->list, &b->list);
}

bool policy_same(const struct policy *a, const struct policy *b)
{
	uint32_t i;

	if (a->n_interfaces != b->n_interfaces || a->n_sets != b->n_sets || a->n_filters != b->n_filters ||
	    a->n_balances != b->n_balances || !policy_same_text(a->balance_seed, b->balance_seed))
		return false;
	for (i = 0; i < a->n_interfaces; i++)
		if (!policy_same_text(a->interfaces[i].name, b->interfaces[i].name) ||
		    !policy_same_text(a->interfaces[i].mode, b->interfaces[i].mode))
			return false;
	for (i = 0; i < a->n_sets; i++)
		if (!same_set(&a->sets[i], &b->sets[i]))
			return false;
	for (i = 0; i < a->n_filters; i++)
		if (!same_filter(&a->filters[i], &b->filters[i]))
			return false;
	for (i = 0; i < a->n_balances; i++)
		if (!policy_same_balance(&a->balances[i], &b->balances[i]))
			return false;
	return true;
}
