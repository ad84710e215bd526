// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * balance-nat ENGINE [SEED N]: packets through services that translate, compared byte by byte with a slow translation
 * (balance_nat_model.c). In the kernel it wants a network as `network` below: tests/balance_nat_test.sh makes it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/nat.h"
#include "balance_nat_model.h"
#include "bpf/seam.h"
#include "vm/vm.h"

static const char network[] =
	"1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue link/loopback 00:00:00:00:00:00\n"
	"7: c7: <UP> mtu 1500 qdisc noqueue link/ether 02:00:00:00:00:c2\n"
	"1: lo    inet 127.0.0.1/8 scope host lo\n"
	"7: c7    inet 10.9.0.2/24 scope global c7\n"
	"7: c7    inet6 fd00:9::2/64 scope global\n"
	"default via 10.9.0.1 dev c7\n"
	"default via fd00:9::1 dev c7 metric 1024\n"
	"10.10.0.0/16 via 10.9.0.5 dev c7\n" /* of whom nobody knows the MAC address */
	"fd00:10::/32 via fd00:9::5 dev c7 metric 1024\n"
	"10.9.0.1 dev c7 lladdr 02:00:00:00:00:c1 PERMANENT\n"
	"fd00:9::1 dev c7 lladdr 02:00:00:00:00:c1 PERMANENT\n"
	"forwarding lo on inet\nforwarding c7 on inet\nforwarding lo on inet6\nforwarding c7 on inet6\n";

static uint64_t x;

static uint32_t rnd(uint32_t n)
{
	x = x * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(x >> 33) % n;
}

static void add_backends(struct balance_service *s, const struct nat_service *of)
{
	char text[TEXT];
	const char *p, *end;

	for (p = of->backends; *p; p = *end ? end + 1 : end) {
		struct balance_backend *b;
		struct net_addr a;

		end = strchr(p, ',') ? strchr(p, ',') : p + strlen(p);
		snprintf(text, sizeof(text), "%.*s", (int)(end - p), p);
		a = addr(text);
		b = balance_backend_add(s, &a);
		if (!b)
			fail("out of memory");
		b->port = of->to_port;
	}
}

static void open_bed(void)
{
	struct control_balance_opts opts = {.flows = 1024, .flows_fd = -1};
	struct nat_config plan;
	struct sluice_err err;
	char name[24];
	size_t i;

	for (i = 0; i < n_services; i++) {
		const struct nat_service *of = &services[i];
		struct net_addr v = addr(of->virtual), pool = addr(v.v6 ? "2001:db8:9::" : "192.0.2.16");
		struct balance_service *s;

		snprintf(name, sizeof(name), "s%zu", i);
		s = balance_service_add(&bed.m, name);
		if (!s || !balance_virtual_add(s, &v, of->proto, of->port, of->port ? of->port : 65535) ||
		    !balance_pool_add(s, &pool, 4))
			fail("out of memory");
		s->mode = BALANCE_NAT;
		s->n_slots = 1009;
		add_backends(s, of);
	}
	if (nat_plan(&bed.m, NULL, &plan, NULL, &err))
		fail("%s", err.text);
	for (i = 0; i < n_services; i++)
		if (nat_service(&plan, (uint32_t)i, bed.m.services[i], &err))
			fail("%s", err.text);
	opts.nat = &plan;
	bed_open(&bed, &opts);
	bed_ways(&bed, HOP_IN);
}

static void a_client(struct known *k, const struct nat_service *s, uint32_t i)
{
	bool six = strchr(s->virtual, ':');

	memset(k, 0, sizeof(*k));
	snprintf(k->client.addr, TEXT, six ? "2001:db8:3::%x" : "198.51.100.%u", 1 + i % 200);
	k->client.port = (uint16_t)(2000 + i / 200);
	snprintf(k->virtual.addr, TEXT, "%s", s->virtual);
	k->proto = s->proto ? s->proto : i % 3 == 0 ? 6 : i % 3 == 1 ? 17 : six ? 58 : 1;
	k->virtual.port = (uint16_t)(k->proto == 1 || k->proto == 58 ? 0 : s->port ? s->port : 1 + i % 60000);
}

/* Each kind of packet, with tags and options, both ways, twice: the second time the flow is known. */
static void plain(void)
{
	static const uint32_t payloads[] = {8, 9, 32, 700};
	struct make like;
	struct known k;
	uint32_t i, n = 0;
	size_t s;

	for (s = 0; s < n_services; s++)
		for (i = 0; i < 60; i++, n++) {
			what = services[s].virtual;
			a_client(&k, &services[s], i);
			like = (struct make){.flags = 0x02,
					     .payload = payloads[i & 3],
					     .n_tags = i % 5,
					     .options = i % 7,
					     .tos = (uint8_t)i,
					     .ident = i & 8 && !strchr(services[s].virtual, ':') ? 0xffff : n};
			k = *nat_forth(&k, &like);
			like.flags = 0x12;
			nat_back(&k, &like);
			like.flags = 0x10;
			like.payload = payloads[(i >> 2) & 3];
			nat_forth(&k, &like);
			nat_back(&k, &like);
			like.flags = 0x18;
			nat_back(&k, &like);
			nat_forth(&k, &like);
		}
}

/* Clients come and go, at random, with time going on. */
static void random_flows(uint32_t n)
{
	struct known k, *old;
	struct make like;
	uint32_t i, s;

	what = "at random";
	for (i = 0; i < n; i++) {
		s = rnd((uint32_t)n_services);
		a_client(&k, &services[s], rnd(4000));
		old = nat_lookup(&k);
		like = (struct make){.flags = old ? (rnd(20) ? 0x10 : 0x11) : 0x02,
				     .payload = 8 + rnd(64),
				     .n_tags = rnd(8) ? 0 : rnd(5),
				     .options = rnd(8) ? 0 : rnd(8),
				     .ident = rnd(0xffff)};
		if (old && rnd(2))
			nat_back(old, &like);
		else
			old = nat_forth(&k, &like);
		if (!rnd(200) && k.proto == 6) { /* over: the next SYN is another flow */
			like.flags = 0x04;
			nat_forth(&k, &like);
			nat_forget(old);
		}
		bed.now += kernel ? 0 : 1000000;
	}
}

int main(int argc, char **argv)
{
	struct sluice_err err;
	struct vm *vm;
	uint32_t n = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;

	if (argc != 2 && argc != 4)
		fail("usage: balance-nat ENGINE [SEED N]");
	seed_now = x = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	engine_open(argv[1]);
	if (!kernel) {
		vm = seam_engine(NULL);
		seam_engine(vm);
		if (vm_set_network(vm, network, sizeof(network) - 1, &err))
			fail("%s", err.text);
	}
	open_bed();
	if (n) {
		random_flows(n);
	} else {
		plain();
		nat_odd();
	}
	bed_close(&bed);
	engine_close();
	printf("%u packets compared\n", n_compared);
	return 0;
}
