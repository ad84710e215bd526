// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From a policy's services and checks to what is probed, and how. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "control/balance_targets.h"
#include "health/state.h"

#define JITTER 10u		       /* per cent */
#define MARGIN_NS UINT64_C(1000000000) /* for answers that come while a check is given up */
#define WHY 192			       /* bytes of why something cannot be, with its NUL */
#define SEGMENT_MAX 1160u /* with the largest tunnel, within 1,280 bytes: the least MTU of IPv6 */

static int compare(const struct checked *a, const struct checked *b)
{
	int order = strcmp(a->service, b->service);

	order = order ? order : (a->addr.v6 > b->addr.v6) - (a->addr.v6 < b->addr.v6);
	order = order ? order : memcmp(a->addr.bytes, b->addr.bytes, 16);
	return order ? order : (a->port > b->port) - (a->port < b->port);
}

static int by_key(const void *a, const void *b)
{
	const struct checked *const *x = a, *const *y = b;

	return compare(*x, *y);
}

static struct checked *find(const struct targets *t, const struct checked *like)
{
	struct checked **at = t->n ? bsearch(&like, t->v, t->n, sizeof(*t->v), by_key) : NULL;

	return at ? *at : NULL;
}

char *targets_name(const struct checked *c, char to[TARGETS_NAME])
{
	char addr[NET_ADDR_TEXT];

	net_addr_format(&c->addr, addr, sizeof(addr));
	if (c->port)
		snprintf(to, TARGETS_NAME, "service %s, %s port %u", c->service, addr, c->port);
	else
		snprintf(to, TARGETS_NAME, "service %s, %s", c->service, addr);
	return to;
}

/* A program by its name, where programs are: what the environment of a daemon says is nobody's choice. */
static char *program(const char *name)
{
	static const char *const dirs[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
					   "/usr/bin",	      "/sbin",		"/bin"};
	char path[HEALTH_TEXT_MAX];
	size_t i;

	for (i = 0; i < sizeof(dirs) / sizeof(*dirs) && !strchr(name, '/'); i++)
		if (snprintf(path, sizeof(path), "%s/%s", dirs[i], name) < (int)sizeof(path) &&
		    !access(path, X_OK))
			return strdup(path);
	return strdup(name);
}

/*
 * The words of a command, parted by blanks, however many there are; what they are kept in stands in the buffer. false:
 * out of memory
 */
static bool words(struct targets *t, const char *text, struct health_probe *p)
{
	char *copy = strdup(text), *save = NULL, *word;
	size_t longest, n = health_words(text, &longest);
	const char **argv = calloc(n + 1, sizeof(char *));
	void *all[] = {copy, argv, NULL};
	bool ok = copy && argv;

	for (word = ok ? strtok_r(copy, HEALTH_BLANKS, &save) : NULL; word;
	     word = strtok_r(NULL, HEALTH_BLANKS, &save))
		argv[p->n_argv++] = word;
	if (ok && p->n_argv) {
		all[2] = program(argv[0]);
		argv[0] = all[2];
		ok = argv[0];
	}
	p->argv = argv;
	buf_put(&t->words, all, sizeof(all));
	if (!t->words.failed)
		return ok;
	free(copy);
	free(argv);
	free(all[2]);
	return false;
}

static bool probe_of(struct targets *t, const struct policy_health *h, struct health_probe *p)
{
	static const enum health_kind kinds[] = {
		[POLICY_HEALTH_TCP] = HEALTH_TCP,	  [POLICY_HEALTH_HTTP] = HEALTH_HTTP,
		[POLICY_HEALTH_HTTPS] = HEALTH_HTTPS,	  [POLICY_HEALTH_ICMP] = HEALTH_ICMP,
		[POLICY_HEALTH_COMMAND] = HEALTH_COMMAND,
	};

	*p = (struct health_probe){
		.kind = kinds[h->kind],
		.port = (uint16_t)h->port,
		.interval_ns = h->every_ns,
		.timeout_ns = h->timeout_ns,
		.rise = h->rise,
		.fall = h->fall,
		.jitter = JITTER,
		.damp_cut = HEALTH_DAMP_CUT,
	};
	if (p->kind == HEALTH_COMMAND)
		return words(t, h->text, p);
	if (p->kind == HEALTH_HTTP || p->kind == HEALTH_HTTPS) {
		p->path = h->text;
		p->host = h->host;
		p->body = h->body;
		p->verify = h->verify;
		p->status[0] = (struct health_range){(uint16_t)h->status_lo, (uint16_t)h->status_hi};
		p->n_status = 1;
	}
	return true;
}

/* Where clients send to: of TCP before others, the first that is one. */
static uint16_t service_port(const struct balance_service *s)
{
	uint16_t port = 0;
	size_t i;

	for (i = 0; i < s->n_virtuals; i++)
		if (s->virtuals[i].first && s->virtuals[i].proto == 6)
			return s->virtuals[i].first;
		else if (!port)
			port = s->virtuals[i].first;
	return port;
}

static const struct policy_health *check_of(const struct policy *p, const char *service)
{
	uint32_t i;

	for (i = 0; i < p->n_balances; i++)
		if (!strcmp(p->balances[i].name, service) && p->balances[i].health.kind != POLICY_HEALTH_NONE)
			return &p->balances[i].health;
	return NULL;
}

static bool link_local(const struct net_addr *a)
{
	return a->v6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

/* Marks that are somebody's. */
struct marks {
	uint8_t used[HEALTH_TARGETS / 8];
	uint32_t next;
	bool none_left;
};

static bool mark_used(const struct marks *m, uint32_t number)
{
	return m->used[number / 8] >> number % 8 & 1;
}

/* 0: all are used */
static uint32_t mark_new(struct marks *m)
{
	uint32_t i, number;

	for (i = 0; i < HEALTH_TARGETS && !m->none_left; i++) {
		number = m->next++ % HEALTH_TARGETS;
		if (mark_used(m, number))
			continue;
		m->used[number / 8] |= (uint8_t)(1 << number % 8);
		return INNER_MARKS + number;
	}
	m->none_left = true;
	return 0;
}

static void marks_of(const struct targets *t, struct marks *m)
{
	uint32_t number;
	size_t i;

	for (i = 0; i < t->n; i++) {
		number = t->v[i]->mark - INNER_MARKS;
		if (t->v[i]->mark)
			m->used[number / 8] |= (uint8_t)(1 << number % 8);
	}
}

/*
 * Where a client's packets go that ask what the check asks: of the backend's family; of TCP before others, with the
 * check's port before others. NULL: there is none of the family
 */
static const struct balance_virtual *asked(const struct balance_service *s, const struct health_probe *p,
					   bool v6)
{
	const struct balance_virtual *v, *best = NULL;
	int fits, most = -1;
	size_t i;

	for (i = 0; i < s->n_virtuals; i++) {
		v = &s->virtuals[i];
		if (v->addr.v6 != v6)
			continue;
		fits = p->kind == HEALTH_ICMP ? 0
					      : (v->proto != 17) + 2 * (p->port && p->port >= v->first &&
									p->port <= v->last);
		if (fits > most)
			best = v;
		most = fits > most ? fits : most;
	}
	return best;
}

/*
 * A check that goes the way a client's packets take: to the virtual address, in the service's tunnel. Returns why not, NULL
 * if it does, or if there is nothing to be said about it.
 */
static const char *through_tunnel(const struct balance_service *s, const struct policy_health *h,
				  const struct health_probe *p, struct checked *c, struct marks *marks,
				  struct targets *to, struct health_target *target)
{
	const struct balance_virtual *v;

	if ((s->mode != BALANCE_IPIP && s->mode != BALANCE_GUE) || h->direct ||
	    h->kind == POLICY_HEALTH_COMMAND)
		return NULL;
	v = asked(s, p, c->addr.v6);
	if (!v)
		return "is checked past its tunnel: its service has no virtual address of its family";
	if (!c->mark)
		c->mark = mark_new(marks);
	if (!c->mark)
		return "is checked past its tunnel: so many checks go through tunnels and no more";
	to->inner[to->n_inner++] = (struct inner_want){.mark = c->mark,
						       .backend = c->addr,
						       .virtual = v->addr,
						       .gue_port = s->mode == BALANCE_GUE ? s->gue_port : 0,
						       .timeout_ns = p->timeout_ns + MARGIN_NS};
	target->mark = c->mark;
	target->own_port = true;
	target->through = v->addr;
	target->through_port = s->mode == BALANCE_GUE ? s->gue_port : 0;
	target->segment_max = SEGMENT_MAX;
	if (!c->port && v->first)
		target->port = v->first;
	return NULL;
}

/* Why a backend cannot be checked, a part of a sentence; NULL: it can. */
static const char *cannot(const struct targets *t, const struct health_probe *p,
			  const struct health_target *to, char text[WHY])
{
	struct sluice_err why;

	if (!p->port && !to->port && p->kind != HEALTH_ICMP && p->kind != HEALTH_COMMAND)
		return "cannot be checked without a port: its service has all of them; write 'port N' behind "
		       "the check";
	if (p->kind == HEALTH_COMMAND && p->n_argv && p->argv[0][0] != '/')
		return "cannot be checked: there is no such program in /usr/local/sbin and so on; give its "
		       "path";
	if (link_local(&to->addr))
		return "cannot be checked: a link-local address is one of each network";
	if (t->n_targets >= HEALTH_TARGETS)
		return "is not checked: so many backends can be checked and no more";
	if (!health_can(p, to, &why))
		return NULL;
	snprintf(text, WHY, "cannot be checked: %.*s", WHY - 32, why.text);
	return text;
}

/* marks: NULL: no check goes through a tunnel */
struct making {
	const struct policy *policy;
	const struct targets *before;
	struct marks *marks;
	void (*say)(void *ctx, const char *sentence);
	void *ctx;
	struct targets *to;
};

/* All backends of a service. At most one thing that cannot be is told of each. */
static int add_service(const struct making *mk, const struct balance_service *s, uint32_t at)
{
	struct targets *to = mk->to;
	const struct policy_health *h = check_of(mk->policy, s->name);
	struct health_probe *p = &to->probes[to->n_probes];
	char name[TARGETS_NAME], sentence[TARGETS_NAME + WHY], text[WHY], told[WHY] = "";
	const char *why;
	struct checked like, *c;
	size_t before = to->n_targets;
	bool is_target;
	uint32_t i;

	if (h && !probe_of(to, h, p))
		return -ENOMEM;
	for (i = 0; i < s->n_backends; i++) {
		like = (struct checked){.addr = s->backends[i].addr, .port = s->backends[i].port};
		snprintf(like.service, sizeof(like.service), "%s", s->name);
		c = find(mk->before, &like);
		if (!c) {
			c = malloc(sizeof(*c));
			if (!c)
				return -ENOMEM;
			*c = like;
			c->up = true;
		}
		to->v[to->n++] = c;
		to->targets[to->n_targets] = (struct health_target){
			.id = (uint64_t)(uintptr_t)c,
			.probe = (uint32_t)to->n_probes,
			.addr = c->addr,
			.port = c->port ? c->port : service_port(s),
		};
		to->places[to->n_targets][0] = at;
		to->places[to->n_targets][1] = i;
		why = h ? cannot(to, p, &to->targets[to->n_targets], text) : NULL;
		is_target = h && !why;
		if (is_target && mk->marks)
			why = through_tunnel(s, h, p, c, mk->marks, to, &to->targets[to->n_targets]);
		if (why && strcmp(why, told)) {
			snprintf(sentence, sizeof(sentence), "%s %s", targets_name(c, name), why);
			mk->say(mk->ctx, sentence);
			snprintf(told, sizeof(told), "%s", why);
		}
		to->n_targets += is_target;
	}
	to->n_probes += to->n_targets > before; /* one that nobody has may be one that cannot be */
	return 0;
}

/* Places in the model, told to backends when nothing can fail any more. */
static void set_places(const struct balance_model *m, struct targets *to)
{
	size_t n = 0, i, k;

	for (i = 0; i < m->n_services; i++)
		for (k = 0; k < m->services[i]->n_backends; k++) {
			to->v[n]->at_service = (uint32_t)i;
			to->v[n]->at_backend = (uint32_t)k;
			to->v[n]->is_checked = false;
			to->v[n++]->kept = true;
		}
	for (i = 0; i < to->n_targets; i++)
		((struct checked *)(uintptr_t)to->targets[i].id)->is_checked = true;
}

int targets_make(const struct balance_model *m, const struct policy *p, const struct targets *before,
		 bool tunnels, void (*say)(void *ctx, const char *sentence), void *ctx, struct targets *to,
		 struct sluice_err *err)
{
	struct making mk = {p, before, tunnels ? calloc(1, sizeof(*mk.marks)) : NULL, say, ctx, to};
	size_t n = 0, i;
	int e = 0;

	*to = (struct targets){0};
	for (i = 0; i < m->n_services; i++)
		n += m->services[i]->n_backends;
	to->v = calloc(n + 1, sizeof(*to->v));
	to->probes = calloc(m->n_services + 1, sizeof(*to->probes));
	to->targets = calloc(n + 1, sizeof(*to->targets));
	to->places = calloc(n + 1, sizeof(*to->places));
	to->inner = calloc(n + 1, sizeof(*to->inner));
	if (!to->v || !to->probes || !to->targets || !to->places || !to->inner || (tunnels && !mk.marks))
		e = -ENOMEM;
	if (mk.marks)
		marks_of(before, mk.marks);
	for (i = 0; !e && i < m->n_services; i++)
		e = add_service(&mk, m->services[i], (uint32_t)i);
	free(mk.marks);
	if (!e)
		return 0;
	targets_drop(before, to);
	return err_nomem(err);
}

static void free_one(struct checked *c)
{
	free(c->why);
	free(c);
}

static void free_rest(struct targets *t)
{
	char **words = (char **)(void *)t->words.data;
	size_t i;

	for (i = 0; words && i < t->words.len / sizeof(*words); i++)
		free(words[i]);
	buf_free(&t->words);
	free(t->probes);
	free(t->targets);
	free(t->places);
	free(t->inner);
	free(t->v);
	*t = (struct targets){0};
}

void targets_drop(const struct targets *before, struct targets *made)
{
	size_t i;

	for (i = 0; i < made->n; i++)
		if (find(before, made->v[i]) != made->v[i])
			free_one(made->v[i]);
	free_rest(made);
}

void targets_replace(struct targets *t, const struct balance_model *m, struct targets *by)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		t->v[i]->kept = false;
	if (m)
		set_places(m, by);
	for (i = 0; i < t->n; i++)
		if (!t->v[i]->kept)
			free_one(t->v[i]);
	free_rest(t);
	if (by->n)
		qsort(by->v, by->n, sizeof(*by->v), by_key);
	*t = *by;
	*by = (struct targets){0};
}

void targets_free(struct targets *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		free_one(t->v[i]);
	free_rest(t);
}
