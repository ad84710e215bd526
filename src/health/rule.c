// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Probes and targets: whether they can be, their own copies, what is the same. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "health/inside.h"

#define JITTER_MAX 50u

static bool is_http(const struct health_probe *p)
{
	return p->kind == HEALTH_HTTP || p->kind == HEALTH_HTTPS;
}

static int check_http(const struct health_probe *p, struct sluice_err *err)
{
	if (p->path && !health_is_path(p->path))
		return err_set(err, -EINVAL, "a path begins with '/', has no blanks and at most %u bytes",
			       HEALTH_TEXT_MAX);
	if (p->host && !health_is_host(p->host))
		return err_set(err, -EINVAL, "a host has no blanks and 1 to %u bytes", HEALTH_TEXT_MAX);
	if (p->body && !health_is_body(p->body))
		return err_set(err, -EINVAL, "what is looked for in a body has 1 to %u bytes",
			       HEALTH_BODY_MAX);
	if (p->body && p->head)
		return err_set(err, -EINVAL, "HEAD has no body to look into: use GET");
	if (p->verify && p->kind != HEALTH_HTTPS)
		return err_set(err, -EINVAL, "certificates are there with https only");
	if (p->n_status > HEALTH_STATUSES)
		return err_set(err, -EINVAL, "%zu ranges of statuses, at most %u are possible", p->n_status,
			       HEALTH_STATUSES);
	for (size_t i = 0; i < p->n_status; i++)
		if (p->status[i].lo < HEALTH_STATUS_MIN || p->status[i].hi > HEALTH_STATUS_MAX ||
		    p->status[i].lo > p->status[i].hi)
			return err_set(err, -EINVAL, "no status is in %u-%u: 100 to 599 are possible",
				       p->status[i].lo, p->status[i].hi);
	return 0;
}

static int check_command(const struct health_probe *p, struct sluice_err *err)
{
	if (!p->n_argv || p->n_argv > HEALTH_ARGS)
		return err_set(err, -EINVAL, "a command has 1 to %u words, not %zu", HEALTH_ARGS, p->n_argv);
	if (p->argv[0][0] != '/')
		return err_set(err, -EINVAL, "'%.60s' is no absolute path: no shell looks for it",
			       p->argv[0]);
	for (size_t i = 0; i < p->n_argv; i++)
		if (strlen(p->argv[i]) > HEALTH_TEXT_MAX)
			return err_set(err, -EINVAL, "a word of a command has at most %u bytes",
				       HEALTH_TEXT_MAX);
	return 0;
}

static int check(const struct health_probe *p, struct sluice_err *err)
{
	if (p->kind < HEALTH_TCP || p->kind > HEALTH_COMMAND)
		return err_set(err, -EINVAL, "there is no kind %d", (int)p->kind);
	if (p->interval_ns < HEALTH_INTERVAL_MIN_NS || p->interval_ns > HEALTH_INTERVAL_MAX_NS)
		return err_set(err, -EINVAL, "the interval is 100ms to 1h");
	if (p->timeout_ns < HEALTH_TIMEOUT_MIN_NS || p->timeout_ns > HEALTH_TIMEOUT_MAX_NS)
		return err_set(err, -EINVAL, "the timeout is 10ms to 60s");
	if (p->rise < 1 || p->rise > HEALTH_COUNT_MAX || p->fall < 1 || p->fall > HEALTH_COUNT_MAX)
		return err_set(err, -EINVAL, "rise and fall are 1 to %u", HEALTH_COUNT_MAX);
	if (p->jitter > JITTER_MAX)
		return err_set(err, -EINVAL, "jitter is at most %u per cent", JITTER_MAX);
	if (p->damp_cut && (p->damp_reuse ? p->damp_reuse : HEALTH_DAMP_REUSE) >= p->damp_cut)
		return err_set(err, -EINVAL,
			       "damping ends below %u, so it has to begin above that, not at %u",
			       p->damp_reuse ? p->damp_reuse : HEALTH_DAMP_REUSE, p->damp_cut);
	if (is_http(p))
		return check_http(p, err);
	return p->kind == HEALTH_COMMAND ? check_command(p, err) : 0;
}

static void copy_text(const char **text)
{
	if (*text)
		*text = strdup(*text);
}

static void want(struct rule *r)
{
	struct http_want *w = &r->want;
	size_t len = 0;

	w->n_status = r->p.n_status;
	memcpy(w->status, r->p.status, sizeof(w->status));
	if (!w->n_status) {
		w->n_status = 1;
		w->status[0] = (struct health_range){200, 399};
	}
	for (size_t i = 0; i < w->n_status; i++) {
		len += (size_t)snprintf(w->status_text + len, sizeof(w->status_text) - len, "%s%u",
					i ? ", " : "", w->status[i].lo);
		if (w->status[i].hi != w->status[i].lo)
			len += (size_t)snprintf(w->status_text + len, sizeof(w->status_text) - len, "-%u",
						w->status[i].hi);
	}
	w->head = r->p.head;
	if (r->p.body)
		http_want_body(w, r->p.body);
}

int rule_new(const struct health_probe *p, size_t number, struct rule **to, struct sluice_err *err)
{
	struct sluice_err why;
	struct rule *r;
	char **argv;

	*to = NULL;
	if (check(p, &why))
		return err_set(err, -EINVAL, "probe %zu: %s", number, why.text);
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_nomem(err);
	r->p = *p;
	r->p.argv = NULL;
	r->p.n_argv = 0;
	copy_text(&r->p.path);
	copy_text(&r->p.host);
	copy_text(&r->p.body);
	if (!r->p.path != !p->path || !r->p.host != !p->host || !r->p.body != !p->body)
		goto fail;
	if (p->kind == HEALTH_COMMAND) {
		argv = calloc(p->n_argv, sizeof(char *));
		if (!argv)
			goto fail;
		r->p.argv = (const char *const *)argv;
		for (; r->p.n_argv < p->n_argv; r->p.n_argv++) {
			argv[r->p.n_argv] = strdup(p->argv[r->p.n_argv]);
			if (!argv[r->p.n_argv])
				goto fail;
		}
	}
	r->r = (struct state_rules){
		.interval_ns = p->interval_ns,
		.rise = p->rise,
		.fall = p->fall,
		.jitter = p->jitter,
		.cut = p->damp_cut,
		.reuse = p->damp_reuse ? p->damp_reuse : HEALTH_DAMP_REUSE,
		.half_life_ns = p->damp_half_ns ? p->damp_half_ns : HEALTH_DAMP_HALF_NS,
		.hold_max_ns = p->damp_hold_ns ? p->damp_hold_ns : HEALTH_DAMP_HOLD_NS,
		.overlap = p->kind != HEALTH_COMMAND,
	};
	want(r);
	*to = r;
	return 0;
fail:
	rule_free(r);
	return err_nomem(err);
}

void rule_free(struct rule *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->p.n_argv; i++)
		free((char *)r->p.argv[i]);
	free((void *)r->p.argv);
	free((char *)r->p.path);
	free((char *)r->p.host);
	free((char *)r->p.body);
	free(r);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool rule_same(const struct rule *r, const struct health_probe *p)
{
	const struct health_probe *q = &r->p;

	if (q->kind != p->kind || q->port != p->port || q->interval_ns != p->interval_ns ||
	    q->timeout_ns != p->timeout_ns || q->rise != p->rise || q->fall != p->fall ||
	    q->jitter != p->jitter || q->fin != p->fin || q->damp_cut != p->damp_cut ||
	    q->damp_reuse != p->damp_reuse || q->damp_half_ns != p->damp_half_ns ||
	    q->damp_hold_ns != p->damp_hold_ns || q->head != p->head || q->verify != p->verify ||
	    q->n_status != p->n_status || q->initially_down != p->initially_down)
		return false;
	if (!same_text(q->path, p->path) || !same_text(q->host, p->host) || !same_text(q->body, p->body))
		return false;
	for (size_t i = 0; i < q->n_status; i++)
		if (q->status[i].lo != p->status[i].lo || q->status[i].hi != p->status[i].hi)
			return false;
	if (p->kind != HEALTH_COMMAND)
		return true;
	if (q->n_argv != p->n_argv)
		return false;
	for (size_t i = 0; i < q->n_argv; i++)
		if (strcmp(q->argv[i], p->argv[i]) != 0)
			return false;
	return true;
}

const struct kind *rule_kind(const struct rule *r)
{
	switch (r->p.kind) {
	case HEALTH_TCP:
		return &kind_tcp;
	case HEALTH_HTTP:
	case HEALTH_HTTPS:
		return &kind_http;
	case HEALTH_ICMP:
		return &kind_icmp;
	case HEALTH_COMMAND:
		break;
	}
	return &kind_command;
}

static int check_target(const struct health_target *t, const struct health_probe *p, struct sluice_err *err)
{
	static const uint8_t zero[16];
	bool needs_port = p->kind == HEALTH_TCP || is_http(p);

	if (net_addr_is_multicast(&t->addr) || memcmp(t->addr.bytes, zero, 16) == 0)
		return err_set(err, -EINVAL, "that is no address of a host");
	if (needs_port && !t->port && !p->port)
		return err_set(err, -EINVAL, "no port to check: give the check one");
	if (t->addr.v6 && t->addr.bytes[0] == 0xfe && (t->addr.bytes[1] & 0xc0) == 0x80 && !t->scope &&
	    !t->interface[0])
		return err_set(err, -EINVAL, "link-local: give the interface");
	if (t->has_source && t->source.v6 != t->addr.v6)
		return err_set(err, -EINVAL, "the source is of the other family");
	if (!memchr(t->interface, 0, sizeof(t->interface)))
		return err_set(err, -EINVAL, "the interface's name is too long");
	return 0;
}

int rule_check_target(const struct health_target *t, const struct health_probe *p, struct sluice_err *err)
{
	struct sluice_err why;
	char addr[NET_ADDR_TEXT];

	if (!check_target(t, p, &why))
		return 0;
	net_addr_format(&t->addr, addr, sizeof(addr));
	return err_set(err, -EINVAL, "target %llu, %s: %s", (unsigned long long)t->id, addr, why.text);
}

int health_can(const struct health_probe *probe, const struct health_target *target, struct sluice_err *err)
{
	return check(probe, err) ?: check_target(target, probe, err);
}
