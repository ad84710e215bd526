// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The balancer's state in files, its program, the oracle; packets that are asked of all three. */
#include <stdlib.h>
#include <string.h>

#include "balance_state_bed.h"
#include "base/clock.h"

struct bed state_bed;
char state_dir[256];
struct control_state state_st = {.lock_fd = 0, .record = {.live = "1-0123456789ab"}};
static struct oracle *oracle;
static struct balance_model known[4096]; /* the oracle's; they outlive its answers */
static uint32_t n_known;
uint64_t state_rng;

uint32_t state_below(uint32_t n)
{
	state_rng ^= state_rng << 13;
	state_rng ^= state_rng >> 7;
	state_rng ^= state_rng << 17;
	return (uint32_t)(state_rng >> 32) % n;
}

void state_must(int e, const struct sluice_err *err)
{
	if (e)
		fail("%d: %s", e, err->text);
}

void state_add_backend(struct balance_service *s, uint32_t service, uint32_t k)
{
	struct net_addr a = addr("2001:db8:1::");

	a.bytes[13] = (uint8_t)service;
	a.bytes[14] = (uint8_t)(k >> 8);
	a.bytes[15] = (uint8_t)k;
	balance_backend_add(s, &a)->weight = 1 + k % 3;
}

/* One port; all ports and affinity; a range of ports. */
static void make_model(struct balance_model *m, uint32_t n_backends)
{
	struct balance_service *s;
	struct net_addr v = addr("203.0.113.10");
	uint32_t i, k;
	char name[8];

	for (i = 0; i < N_SERVICES; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		s = balance_service_add(m, name);
		s->n_slots = 509;
		s->hold_s = kernel ? 3600 : 10;
		s->affinity = i == 1;
		s->fallback = i ? BALANCE_DROP : BALANCE_OPEN;
		v.bytes[3] = (uint8_t)(10 + i);
		balance_virtual_add(s, &v, i == 1 ? 0 : 6, (uint16_t)(i == 1 ? 0 : 80), (uint16_t)(i == 1 ? 65535 : 80 + i * 50));
		for (k = 0; k < n_backends; k++)
			state_add_backend(s, i, k);
	}
	snprintf(m->seed, sizeof(m->seed), "secret");
}

struct balance_maps state_maps(const struct control_balance *b)
{
	struct balance_maps m = {sluice_object_map_fd(b->obj, "balance_tables", NULL),
				 sluice_object_map_fd(b->obj, "balance_flows", NULL),
				 sluice_object_map_fd(b->obj, "balance_fragments", NULL),
				 sluice_object_map_fd(b->obj, "balance_counts", NULL),
				 sluice_object_map_fd(b->obj, "balance_reasons", NULL)};

	return m;
}

struct balance_live *state_open(void)
{
	struct balance_maps maps = state_maps(&state_bed.b);
	struct balance_live *b;
	struct sluice_err err;

	state_must(balance_live_open_at(state_dir, &maps, &b, &err), &err);
	b->st = &state_st;
	snprintf(b->generation, sizeof(b->generation), "%s", state_st.record.live);
	return b;
}

void state_ways(struct balance_live *b)
{
	static const struct balance_hop in = {.ifindex = 1,
					      .mtu = 1500,
					      .dmac = {2, 0, 0, 0, 0, 0xb1},
					      .smac = {2, 0, 0, 0, 0, 0xb2}};
	const struct balance_model *m = balance_live_model(b);
	struct sluice_err err;
	uint32_t i, k;

	for (i = 0; i < m->n_services; i++)
		for (k = 0; k < m->services[i]->n_backends; k++)
			state_must(balance_live_way(b, i, k, &in, &err), &err);
}

/* What counts now, as the oracle is told. */
void state_tell(struct balance_live *b)
{
	struct sluice_err err;

	if (n_known == sizeof(known) / sizeof(*known))
		fail("too many changes for one run");
	state_must(live_copy_model(balance_live_model(b), &known[n_known], &err), &err);
	state_must(oracle_change(oracle, &known[n_known++], state_bed.now, &err), &err);
}

struct balance_live *state_first(void)
{
	struct control_balance_opts opts = {.flows = 8192, .flows_fd = -1};
	struct balance_model m = {0};
	struct balance_maps maps;
	struct balance_live *b;
	struct sluice_err err;

	state_bed.now = kernel ? clock_mono_ns() : 1000000000000;
	make_model(&m, N_BACKENDS);
	state_must(live_prepare(&m, NULL, NULL, state_bed.now, &b, &err), &err);
	balance_model_free(&m);
	state_bed.t = balance_live_tables(b);
	bed_load(&state_bed, &opts);
	maps = state_maps(&state_bed.b);
	state_must(live_place(b, NULL, state_st.record.live, state_dir, &state_bed.b.config, &maps, &err), &err);
	balance_live_close(b);
	b = state_open();
	state_ways(b);
	state_must(oracle_new(&oracle, &err), &err);
	state_tell(b);
	return b;
}

void state_last(struct balance_live *b)
{
	balance_live_close(b);
	oracle_free(oracle);
	while (n_known)
		balance_model_free(&known[--n_known]);
	state_bed.t = NULL; /* was the first handle's */
	bed_close(&state_bed);
}

/* --- packets --- */

uint32_t state_why[8];

void state_frame(const struct oracle_packet *p, struct frame *f)
{
	char src[NET_ADDR_TEXT], dst[NET_ADDR_TEXT];
	struct make m = {.src = net_addr_format(&p->src, src, sizeof(src)),
			 .dst = net_addr_format(&p->dst, dst, sizeof(dst)),
			 .sport = p->sport,
			 .dport = p->dport,
			 .proto = 6,
			 .flags = p->kind == BALANCE_PACKET_OPENS ? 0x02 : 0x10,
			 .payload = 8};

	frame_make(f, &m);
}

/* The oracle's answer, the one that is given without a packet, and the program's. */
static void packet(struct balance_live *b, const struct oracle_packet *p)
{
	struct answer_packet q = {.src = p->src, .dst = p->dst, .sport = p->sport, .dport = p->dport, .proto = 6, .kind = p->kind};
	struct balance_live_answer a;
	struct oracle_answer want;
	struct frame in, out = {.len = 0};
	struct sluice_err err;
	uint32_t got;

	state_must(oracle_packet(oracle, p, state_bed.now, &want, &err), &err);
	state_must(balance_live_why(b, &q, ~0u, state_bed.now, &a, &err), &err);
	state_frame(p, &in);
	got = bed_run(&state_bed, &in, &out);
	if (a.service == BALANCE_LIVE_NONE || strcmp(balance_live_model(b)->services[a.service]->name, want.service->name) != 0)
		fail("a packet to port %u is of service %s", p->dport, want.service->name);
	if (a.a.why != want.why || (a.backend == BALANCE_LIVE_NONE) != !want.backend)
		fail("service %s, slot %u, %08x: the answer is %u, the oracle's %u", want.service->name, a.a.slot, a.a.word,
		     a.a.why, want.why);
	if (want.backend && memcmp(balance_live_model(b)->services[a.service]->backends[a.backend].addr.bytes,
				   want.backend->addr.bytes, 16) != 0)
		fail("service %s, slot %u: the answer is another backend", want.service->name, a.a.slot);
	if (want.backend ? got != 3 || memcmp(out.b + 14 + 24, want.backend->addr.bytes, 16) != 0 : got != 1)
		fail("service %s, slot %u: the program says %u, and not what the oracle does", want.service->name, a.a.slot, got);
	state_why[want.why]++;
}

static struct oracle_packet random_packet(void)
{
	struct oracle_packet p = {.kind = state_below(4) ? BALANCE_PACKET_GOES_ON : BALANCE_PACKET_OPENS, .proto = 6};
	uint32_t service = state_below(N_SERVICES);

	p.src = addr("198.51.100.0");
	p.src.bytes[3] = (uint8_t)state_below(20);
	p.dst = addr("203.0.113.10");
	p.dst.bytes[3] = (uint8_t)(10 + service);
	p.sport = (uint16_t)(1024 + state_below(20));
	p.dport = (uint16_t)(80 + (service == 2 ? state_below(100) : 0));
	return p;
}

/* A first fragment for no service of an address that has some passes; what is told of the later one, and of another packet's. */
static void passed(struct balance_live *b)
{
	struct make m = {.src = "198.51.100.99", .dst = "203.0.113.10", .sport = 500, .dport = 500, .proto = 17};
	struct answer_packet p = {.src = addr(m.src), .dst = addr(m.dst), .proto = m.proto, .kind = BALANCE_PACKET_FRAGMENT};
	struct balance_live_answer a, other;
	struct sluice_err err;
	struct frame in, out;
	static uint32_t ident;

	m.more = true;
	m.payload = 8;
	m.ident = ++ident;
	frame_make(&in, &m);
	if (bed_run(&state_bed, &in, &out) != 2)
		fail("a first fragment for no service did not pass");
	memcpy(&p.ident, in.b + in.l3 + 4, 2);
	state_must(balance_live_why(b, &p, ~0u, state_bed.now, &a, &err), &err);
	p.ident ^= 1u << 15;
	state_must(balance_live_why(b, &p, ~0u, state_bed.now, &other, &err), &err);
	if (a.service != BALANCE_LIVE_NONE || a.a.why == BALANCE_WHY_NO_FIRST || other.a.why != BALANCE_WHY_NO_FIRST)
		fail("a later fragment, whose first one passed: %u, of another packet: %u", a.a.why, other.a.why);
}

void state_packets(struct balance_live *b, uint32_t n)
{
	struct oracle_packet p;

	while (n--) {
		p = random_packet();
		packet(b, &p);
	}
	passed(b);
}

/* --- changes --- */

void state_notes(struct balance_live *b)
{
	const struct balance_model *m = balance_live_model(b);
	uint32_t n = 1 + state_below(6), s, k, who;
	struct sluice_err err;

	while (n--) {
		s = state_below((uint32_t)m->n_services);
		k = state_below((uint32_t)m->services[s]->n_backends);
		who = state_below(4) ? BALANCE_WHO_OPERATOR : BALANCE_WHO_NOBODY;
		switch (state_below(3)) {
		case 0:
			state_must(balance_live_drain(b, s, k, state_below(2), (enum balance_who)who, &err), &err);
			break;
		case 1:
			state_must(balance_live_weight(b, s, k, state_below(5), (enum balance_who)who, &err), &err);
			break;
		default:
			state_must(balance_live_health(b, s, k, state_below(3), BALANCE_WHO_HEALTH, &err), &err);
		}
	}
}

/* More than eight changes within the time that slots wait would share deadlines, which the oracle's do not. */
void state_pass_time(void)
{
	if (kernel)
		state_bed.now = clock_mono_ns();
	else
		state_bed.now += 2 * SECOND + state_below(4) * SECOND + state_below(1000000);
}

