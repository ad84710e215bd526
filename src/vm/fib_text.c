// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A network as ip(8) prints it: one word after the other, each line by itself but for "nexthop" lines. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include "base/err.h"
#include "base/text.h"
#include "vm/fib.h"

#define MOST_WORD 64
#define ETHERNET_HEAD 14

struct lines {
	struct fib *fib;
	const char *at, *end; /* of the line under way */
	char word[MOST_WORD];
	bool in_route; /* a "nexthop" may follow */
	struct sluice_err *err;
};

static bool blank(char c)
{
	/* a backslash is what ip -o puts where a line would end */
	return c == ' ' || c == '\t' || c == '\r' || c == '\\' || !c;
}

/* The next word into l->word; false: there is none. One that is too long is cut: it is none that is known. */
static bool next(struct lines *l)
{
	size_t n = 0;

	while (l->at < l->end && blank(*l->at))
		l->at++;
	for (; l->at < l->end && !blank(*l->at); l->at++)
		if (n + 1 < sizeof(l->word))
			l->word[n++] = *l->at;
	l->word[n] = '\0';
	return n > 0;
}

static bool is(const struct lines *l, const char *word)
{
	return strcmp(l->word, word) == 0;
}

static bool one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

static int bad(struct lines *l, const char *wanted)
{
	char shown[4 * MOST_WORD + 1];

	return err_set(l->err, -EINVAL, "'%s' stands where %s was expected",
		       text_printable(l->word, shown, sizeof(shown)), wanted);
}

static int number(struct lines *l, uint32_t *to, const char *what)
{
	uint64_t v;

	if (!next(l) || text_u64(l->word, 0, UINT32_MAX, &v, NULL))
		return bad(l, what);
	*to = (uint32_t)v;
	return 0;
}

static int device(struct lines *l, uint32_t *index)
{
	const struct fib_link *link = next(l) ? fib_link_named(l->fib, l->word) : NULL;
	char shown[4 * MOST_WORD + 1];

	if (!link)
		return err_set(l->err, -EINVAL, "there is no interface '%s' in the lines before",
			       text_printable(l->word, shown, sizeof(shown)));
	*index = link->index;
	return 0;
}

/* ADDRESS or ADDRESS/LENGTH; bits beyond the length may be set, as in an interface's address. */
static int prefix(struct lines *l, struct net_addr *addr, uint8_t *plen)
{
	char *slash = strchr(l->word, '/');
	uint64_t v = 128;
	int e;

	if (slash)
		*slash = '\0';
	e = net_addr_parse(l->word, addr, NULL);
	if (!e)
		v = addr->v6 ? 128 : 32;
	if (!e && slash)
		e = text_u64(slash + 1, 0, v, &v, NULL);
	if (slash)
		*slash = '/';
	if (e)
		return bad(l, "an address");
	*plen = (uint8_t)v;
	return 0;
}

static int scope(const char *word)
{
	static const struct {
		const char *name;
		int scope;
	} names[] = {{"global", RT_SCOPE_UNIVERSE}, {"universe", RT_SCOPE_UNIVERSE},
		     {"site", RT_SCOPE_SITE},	    {"link", RT_SCOPE_LINK},
		     {"host", RT_SCOPE_HOST},	    {"nowhere", RT_SCOPE_NOWHERE}};
	size_t i;
	uint64_t v;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i].name, word) == 0)
			return names[i].scope;
	return text_u64(word, 0, 255, &v, NULL) ? -1 : (int)v;
}

/* "<FLAGS> mtu 1500 ... link/ether 02:..": words between are not looked at. */
static int link_line(struct lines *l, uint32_t index)
{
	struct fib_link link = {.index = index, .mtu = 1500, .head = ETHERNET_HEAD, .forwards = {true, true}};
	size_t n = strcspn(l->word, "@:");
	int e;

	if (!n || n >= sizeof(link.name))
		return bad(l, "an interface's name");
	memcpy(link.name, l->word, n);
	if (fib_link_of(l->fib, index) || fib_link_named(l->fib, link.name))
		return err_set(l->err, -EINVAL, "interface %u or the name '%s' is there already", index,
			       link.name);
	while (next(l)) {
		if (is(l, "mtu")) {
			e = number(l, &link.mtu, "an MTU");
			if (e)
				return e;
		} else if (is(l, "link/ether") || is(l, "link/loopback")) {
			if (!next(l) || net_mac_parse(l->word, link.mac, NULL))
				return bad(l, "a MAC address");
		} else if (strncmp(l->word, "link/", 5) == 0) {
			link.head = 0;
		}
	}
	return fib_link_add(l->fib, &link) ? 0 : err_nomem(l->err);
}

/* "inet 10.0.0.1/24 [peer P] brd 10.0.0.255 scope global ...". */
static int addr_line(struct lines *l, uint32_t index)
{
	struct fib_addr a = {.index = index};
	struct fib_route brd = {.type = RTN_BROADCAST,
				.table = FIB_LOCAL,
				.scope = RT_SCOPE_LINK,
				.plen = 32};
	struct fib_hop hop = {.index = index, .weight = 1};
	bool has_brd = false;
	uint8_t ignored;
	int e, s;

	if (!fib_link_of(l->fib, index))
		return err_set(l->err, -EINVAL, "there is no interface %u in the lines before", index);
	if (!next(l))
		return bad(l, "an address");
	e = prefix(l, &a.addr, &a.plen);
	while (!e && next(l)) {
		if (is(l, "brd") && next(l)) {
			e = prefix(l, &brd.dst, &ignored);
			has_brd = true;
		} else if (is(l, "scope") && next(l)) {
			s = scope(l->word);
			e = s < 0 ? bad(l, "a scope") : 0;
			a.scope = (uint8_t)s;
		}
	}
	if (e)
		return e;
	if (has_brd && !brd.dst.v6 && (!fib_route_add(l->fib, &brd) || !fib_hop_add(l->fib, &hop)))
		return err_nomem(l->err);
	return fib_addr_add(l->fib, &a) ? 0 : err_nomem(l->err);
}

/* "2: eth0: <...", "2: eth0    inet ..." */
static int numbered_line(struct lines *l)
{
	uint64_t index;
	bool colon;

	l->word[strcspn(l->word, ":")] = '\0';
	if (text_u64(l->word, 1, INT32_MAX, &index, NULL))
		return bad(l, "an interface's number");
	if (!next(l))
		return bad(l, "an interface's name");
	colon = l->word[strlen(l->word) - 1] == ':';
	if (colon)
		return link_line(l, (uint32_t)index);
	if (next(l) && (is(l, "inet") || is(l, "inet6")))
		return addr_line(l, (uint32_t)index);
	return bad(l, "'inet' or 'inet6'");
}

static int forwarding_line(struct lines *l)
{
	uint32_t index = 0;
	struct fib_link *link;
	bool on;
	int e = device(l, &index);

	if (e)
		return e;
	link = &l->fib->link[fib_link_of(l->fib, index) - l->fib->link];
	if (!next(l) || (!is(l, "on") && !is(l, "off")))
		return bad(l, "'on' or 'off'");
	on = is(l, "on");
	if (!next(l)) {
		link->forwards[0] = link->forwards[1] = on;
		return 0;
	}
	if (!is(l, "inet") && !is(l, "inet6"))
		return bad(l, "'inet' or 'inet6'");
	link->forwards[is(l, "inet6")] = on;
	return 0;
}

static const char *const states[] = {"REACHABLE", "STALE",  "DELAY",	  "PROBE", "PERMANENT",
				     "NOARP",	  "FAILED", "INCOMPLETE", "NONE",  NULL};

/* "10.0.0.2 dev eth0 lladdr 02:.. REACHABLE" */
static int neigh_line(struct lines *l)
{
	struct fib_neigh n = {.valid = false};
	bool mac = false, good = false;
	uint8_t plen;
	int e = prefix(l, &n.addr, &plen);

	while (!e && next(l)) {
		if (is(l, "dev")) {
			e = device(l, &n.index);
		} else if (is(l, "lladdr")) {
			mac = next(l) && !net_mac_parse(l->word, n.mac, NULL);
			e = mac ? 0 : bad(l, "a MAC address");
		} else if (one_of(l->word, states)) {
			good = !is(l, "FAILED") && !is(l, "INCOMPLETE") && !is(l, "NONE");
		} else if (is(l, "proxy")) {
			return 0; /* answered for others: nobody to send to */
		}
	}
	n.valid = mac && good;
	if (e)
		return e;
	return fib_neigh_add(l->fib, &n) ? 0 : err_nomem(l->err);
}

/* Is a line that begins with an address a neighbour's? Only theirs say how well they are. */
static bool is_neigh(const struct lines *l)
{
	struct lines look = *l;
	bool yes = false;

	while (next(&look))
		yes |= is(&look, "lladdr") || is(&look, "proxy") || one_of(look.word, states);
	return yes;
}

static int via(struct lines *l, struct fib_hop *hop)
{
	uint8_t plen;

	hop->has_via = true;
	if (!next(l) || ((is(l, "inet") || is(l, "inet6")) && !next(l)))
		return bad(l, "a gateway");
	return prefix(l, &hop->via, &plen);
}

static int table(struct lines *l, uint32_t *to)
{
	uint64_t v;

	if (!next(l))
		return bad(l, "a table");
	if (is(l, "local") || is(l, "main") || is(l, "default")) {
		*to = is(l, "local") ? FIB_LOCAL : is(l, "main") ? FIB_MAIN : FIB_DEFAULT;
		return 0;
	}
	if (text_u64(l->word, 1, UINT32_MAX, &v, NULL))
		return bad(l, "a table");
	*to = (uint32_t)v;
	return 0;
}

static int route_mtu(struct lines *l, struct fib_route *r)
{
	bool locked;

	if (!next(l))
		return bad(l, "an MTU");
	locked = is(l, "lock");
	if (locked)
		return number(l, &r->mtu, "an MTU");
	return 0;
}

/* Words of a hop; 1: it was none of these. */
static int hop_word(struct lines *l, struct fib_hop *hop)
{
	if (is(l, "via"))
		return via(l, hop);
	if (is(l, "dev"))
		return device(l, &hop->index);
	if (is(l, "weight"))
		return number(l, &hop->weight, "a weight");
	if (is(l, "dead") || is(l, "onlink") || is(l, "linkdown") || is(l, "pervasive") || is(l, "offload")) {
		hop->dead |= is(l, "dead");
		return 0;
	}
	if (is(l, "encap")) {
		/* what follows depends on its kind; the hop's own words begin again with these */
		struct lines look = *l;

		hop->encap = true;
		while (next(&look) && !is(&look, "via") && !is(&look, "dev"))
			l->at = look.at;
		return 0;
	}
	return 1;
}

static int nexthop(struct lines *l)
{
	struct fib_hop hop = {.weight = 1};
	int e = 0;

	while (!e && next(l) && !is(l, "nexthop")) {
		e = hop_word(l, &hop);
		if (e == 1)
			e = bad(l, "a word of a next hop");
	}
	if (e)
		return e;
	if (!hop.weight || !hop.index)
		return err_set(l->err, -EINVAL, "a next hop needs an interface and a weight above 0");
	if (!fib_hop_add(l->fib, &hop))
		return err_nomem(l->err);
	return is(l, "nexthop") ? nexthop(l) : 0;
}

/* Words of a route; 1: it was none of these. */
static int route_word(struct lines *l, struct fib_route *r, bool *v6)
{
	static const char *const with_value[] = {"proto",
						 "protocol",
						 "advmss",
						 "window",
						 "rtt",
						 "rttvar",
						 "rto_min",
						 "cwnd",
						 "initcwnd",
						 "initrwnd",
						 "ssthresh",
						 "reordering",
						 "hoplimit",
						 "quickack",
						 "features",
						 "congctl",
						 "realm",
						 "realms",
						 "expires",
						 "error",
						 "nhid",
						 "from",
						 "fastopen_no_cookie",
						 "age",
						 "users",
						 "used",
						 "preference",
						 NULL};
	static const char *const alone[] = {"cache",	  "notify",  "trap",
					    "rt_offload", "rt_trap", "rt_offload_failed",
					    "unresolved", NULL};
	uint8_t plen;
	int s;

	if (is(l, "metric") || is(l, "priority"))
		return number(l, &r->metric, "a metric");
	if (is(l, "table"))
		return table(l, &r->table);
	if (is(l, "mtu"))
		return route_mtu(l, r);
	if (is(l, "src")) {
		r->has_src = true;
		return next(l) ? prefix(l, &r->src, &plen) : bad(l, "an address");
	}
	if (is(l, "scope")) {
		s = next(l) ? scope(l->word) : -1;
		r->scope = (uint8_t)s;
		return s < 0 ? bad(l, "a scope") : 0;
	}
	if (is(l, "tos") || is(l, "dsfield")) {
		uint64_t v;

		if (!next(l) || text_u64(l->word, 0, 255, &v, NULL))
			return bad(l, "a type of service as number");
		r->tos = (uint8_t)v;
		return 0;
	}
	if (is(l, "pref")) {
		*v6 = true;
		next(l);
		return 0;
	}
	if (one_of(l->word, with_value)) {
		next(l);
		return 0;
	}
	return one_of(l->word, alone) ? 0 : 1;
}

static int type(const struct lines *l)
{
	static const char *const names[] = {[RTN_UNICAST] = "unicast",
					    [RTN_LOCAL] = "local",
					    [RTN_BROADCAST] = "broadcast",
					    [RTN_ANYCAST] = "anycast",
					    [RTN_MULTICAST] = "multicast",
					    [RTN_BLACKHOLE] = "blackhole",
					    [RTN_UNREACHABLE] = "unreachable",
					    [RTN_PROHIBIT] = "prohibit",
					    [RTN_THROW] = "throw",
					    [RTN_NAT] = "nat"};
	int i;

	for (i = RTN_UNICAST; i <= RTN_NAT; i++)
		if (is(l, names[i]))
			return i;
	return 0;
}

/* "default" says nothing of its family: the gateway or "pref" does; without either it is IPv4's. */
static int route_line(struct lines *l)
{
	struct fib_route r = {.type = (uint8_t)type(l), .table = FIB_MAIN}, *kept;
	struct fib_hop hop = {.weight = 1};
	bool is_default, v6 = false, typed = r.type, metric = false;
	int e = 0;

	r.type = r.type ? r.type : RTN_UNICAST;
	if (typed && !next(l))
		return bad(l, "a prefix");
	is_default = is(l, "default");
	if (!is_default)
		e = prefix(l, &r.dst, &r.plen);
	while (!e && next(l) && !is(l, "nexthop")) {
		metric |= is(l, "metric");
		e = hop_word(l, &hop);
		if (e == 1)
			e = route_word(l, &r, &v6);
		if (e == 1)
			e = bad(l, "a word of a route");
	}
	if (e)
		return e;
	if (is_default)
		r.dst.v6 = v6 || (hop.has_via && hop.via.v6);
	r.metric = r.dst.v6 && !metric ? 1024 : r.metric; /* IP6_RT_PRIO_USER */
	kept = fib_route_add(l->fib, &r);
	if (!kept || (hop.index && !fib_hop_add(l->fib, &hop)))
		return err_nomem(l->err);
	l->in_route = true;
	return is(l, "nexthop") ? nexthop(l) : 0;
}

static int line(struct lines *l)
{
	bool was_route = l->in_route;

	l->in_route = false;
	if (!next(l) || l->word[0] == '#') {
		l->in_route = was_route;
		return 0;
	}
	if (is(l, "nexthop")) {
		l->in_route = was_route;
		return was_route ? nexthop(l)
				 : err_set(l->err, -EINVAL, "'nexthop' without a route before it");
	}
	if (is(l, "forwarding"))
		return forwarding_line(l);
	if (isdigit((unsigned char)l->word[0]) && l->word[strlen(l->word) - 1] == ':' &&
	    strchr(l->word, ':') == l->word + strlen(l->word) - 1)
		return numbered_line(l);
	if (!is(l, "default") && !type(l) && is_neigh(l))
		return neigh_line(l);
	return route_line(l);
}

int fib_parse(struct fib *fib, const char *text, size_t len, struct sluice_err *err)
{
	const char *at = text, *end = text + len;
	struct lines l = {.fib = fib, .err = err};
	unsigned int n = 0;
	int e;

	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));

		n++;
		l.at = at;
		l.end = eol ? eol : end;
		e = line(&l);
		if (e)
			return err_prefix(err, "line %u", n) == -EIO ? e : e;
		at = eol ? eol + 1 : end;
	}
	return 0;
}
