// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The balancer in force, or in a file; its services and backends by name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/balance_run.h"
#include "cmd/policy_say.h"

#define SOME 4 /* names in a sentence */

int balance_run_open(struct balance_run *run, bool change, struct sluice_err *err)
{
	int e;

	*run = (struct balance_run){.st = NULL};
	e = control_state_open(cli.bpffs, false, &run->st, err);
	if (!e && change && (run->st->record.live[0] || run->st->record.next[0]))
		e = control_state_lock(run->st, CONTROL_WAIT_NS, err);
	e = e ?: control_state_current(run->st, run->name, &run->trial_ns, err);
	if (!e && !run->name[0])
		e = err_set(err, -ENOENT, "no policy is in force here; sluice apply FILE puts one in");
	e = e ?: balance_live_open(run->st, run->name, &run->live, err);
	e = e ?: control_generation_policy(run->st, run->name, &run->policy, err);
	if (!e)
		run->model = balance_live_model(run->live);
	return e;
}

int balance_run_read(struct balance_run *run, const char *path, struct sluice_err *err)
{
	int e;

	*run = (struct balance_run){.st = NULL};
	e = policy_read(path, NULL, &run->policy, err);
	if (e) {
		policy_say_errors(run->policy);
		if (run->policy && err) /* a mistake, but none of the command line */
			err->code = e = -EBADMSG;
		return e;
	}
	run->model = &run->policy->services;
	return run->model->n_services ? 0 : err_set(err, -ENOENT, "%s has no balance block", path);
}

void balance_run_close(struct balance_run *run)
{
	balance_live_close(run->live);
	policy_free(run->policy);
	control_state_close(run->st);
	*run = (struct balance_run){.st = NULL};
}

static int no_service(const struct balance_model *m, const char *name, struct sluice_err *err)
{
	const char **words = calloc(m->n_services + 1, sizeof(*words));
	char some[SOME * (BALANCE_NAME + 2)] = "";
	size_t i, at = 0;
	int hit;

	if (!words)
		return err_nomem(err);
	for (i = 0; i < m->n_services && i < SOME; i++)
		at += (size_t)snprintf(some + at, sizeof(some) - at, "%s%s", i ? ", " : "",
				       m->services[i]->name);
	for (i = 0; i < m->n_services; i++)
		words[i] = m->services[i]->name;
	hit = text_nearest(name, words, m->n_services);
	if (hit >= 0)
		err_set(err, -ENOENT, "no service '%s', did you mean %s?", name, words[hit]);
	else
		err_set(err, -ENOENT, "no service '%s'; there %s %zu: %s%s", name,
			m->n_services == 1 ? "is" : "are", m->n_services, some,
			m->n_services > SOME ? ", ..." : "");
	free(words);
	return -ENOENT;
}

int balance_run_service(const struct balance_model *m, const char *name, uint32_t *nr, struct sluice_err *err)
{
	size_t i;

	for (i = 0; i < m->n_services; i++)
		if (!strcmp(m->services[i]->name, name)) {
			*nr = (uint32_t)i;
			return 0;
		}
	return no_service(m, name, err);
}

static int no_backend(const struct balance_service *s, const char *name, struct sluice_err *err)
{
	char(*texts)[BACKEND_NAME] = calloc(s->n_backends + 1, sizeof(*texts));
	const char **words = calloc(s->n_backends + 1, sizeof(*words));
	int hit = -1;
	size_t i;

	for (i = 0; texts && words && i < s->n_backends; i++)
		words[i] = backend_name(&s->backends[i], texts[i]);
	if (texts && words)
		hit = text_nearest(name, words, s->n_backends);
	if (hit >= 0)
		err_set(err, -ENOENT, "%s has no backend %s, did you mean %s?", s->name, name, words[hit]);
	else
		err_set(err, -ENOENT, "%s has no backend %s; sluice balance show %s lists them", s->name,
			name, s->name);
	free(texts);
	free(words);
	return -ENOENT;
}

/* "[ADDRESS]:PORT", "IPV4:PORT" or an address alone. */
static int split(const char *name, struct net_addr *addr, uint16_t *port, struct sluice_err *err)
{
	const char *colon = strrchr(name, ':'), *end = name[0] == '[' ? strchr(name, ']') : colon;
	char text[NET_ADDR_TEXT + 1];
	uint64_t v = 0;
	int e;

	*port = 0;
	if (name[0] != '[' && colon && strchr(name, ':') != colon)
		return net_addr_parse(name, addr, err); /* IPv6 without a port */
	if (!end)
		return net_addr_parse(name, addr, err);
	if (name[0] == '[' && end[1] && end + 1 != colon)
		return err_set(err, -EINVAL, "'%s' is no ADDRESS and no [ADDRESS]:PORT", name);
	snprintf(text, sizeof(text), "%.*s", (int)(end - name - (name[0] == '[')), name + (name[0] == '['));
	e = net_addr_parse(text, addr, err);
	if (!e && (name[0] != '[' || end[1]))
		e = text_u64(colon + 1, 1, 65535, &v, err);
	*port = (uint16_t)v;
	return e;
}

int balance_run_backend(const struct balance_service *s, const char *name, uint32_t *nr,
			struct sluice_err *err)
{
	const struct balance_backend *b;
	char text[BACKEND_NAME];
	struct net_addr addr;
	uint16_t port;
	uint32_t i, n = 0;
	int e = split(name, &addr, &port, err);

	if (e)
		return e;
	for (i = 0; i < s->n_backends; i++) {
		b = &s->backends[i];
		if (b->addr.v6 != addr.v6 || memcmp(b->addr.bytes, addr.bytes, 16) != 0 ||
		    (port && b->port != port))
			continue;
		*nr = n++ ? *nr : i;
	}
	if (n > 1)
		return err_set(err, -EINVAL, "%s has %u backends %s; say which port: %s", s->name, n, name,
			       backend_name(&s->backends[*nr], text));
	return n ? 0 : no_backend(s, name, err);
}

const struct policy_balance *balance_run_block(const struct policy *p, const char *service)
{
	uint32_t i;

	for (i = 0; i < p->n_balances; i++)
		if (!strcmp(p->balances[i].name, service))
			return &p->balances[i];
	return NULL;
}

char *backend_name(const struct balance_backend *b, char to[BACKEND_NAME])
{
	char text[NET_ADDR_TEXT];

	net_addr_format(&b->addr, text, sizeof(text));
	if (!b->port)
		snprintf(to, BACKEND_NAME, "%s", text);
	else
		snprintf(to, BACKEND_NAME, b->addr.v6 ? "[%s]:%u" : "%s:%u", text, b->port);
	return to;
}

const char *backend_state(const struct balance_backend *now)
{
	return now->health == BALANCE_DOWN ? "down" : now->drain || !now->weight ? "draining" : "up";
}

const char *balance_mode_name(enum balance_mode mode)
{
	static const char *const names[] =
		{[BALANCE_IPIP] = "ipip", [BALANCE_GUE] = "gue", [BALANCE_L2] = "l2", [BALANCE_NAT] = "nat"};

	return names[mode];
}

const char *balance_fallback_name(enum balance_fallback fallback)
{
	static const char *const names[] =
		{[BALANCE_DROP] = "drop", [BALANCE_RESET] = "reset", [BALANCE_OPEN] = "open"};

	return names[fallback];
}

char *balance_share(double share, char to[BALANCE_SHARE])
{
	double percent = 100 * share;

	if (percent > 0 && percent < 0.01)
		snprintf(to, BALANCE_SHARE, "<0.01%%");
	else
		snprintf(to, BALANCE_SHARE, "%.*f%%",
			 percent >= 1 || percent <= 0 ? 1
			 : percent >= 0.1	      ? 2
						      : 3,
			 percent);
	return to;
}

char *balance_time(uint64_t ns, char to[BALANCE_TIME])
{
	uint64_t s = (ns + 999999999) / 1000000000;

	if (s >= 3600)
		snprintf(to, BALANCE_TIME, s % 3600 / 60 ? "%lluh%llum" : "%lluh",
			 (unsigned long long)(s / 3600), (unsigned long long)(s % 3600 / 60));
	else if (s >= 60)
		snprintf(to, BALANCE_TIME, s % 60 ? "%llum%llus" : "%llum", (unsigned long long)(s / 60),
			 (unsigned long long)(s % 60));
	else
		snprintf(to, BALANCE_TIME, "%llus", (unsigned long long)s);
	return to;
}
