// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The model: what is refused and in which words, what a difference says, which weights count. */
#include <stdio.h>

#include "balance/balance.h"
#include "base/test.h"

static struct net_addr addr(const char *text)
{
	struct net_addr a = {0};

	assert_int_equal(net_addr_parse(text, &a, NULL), 0);
	return a;
}

static struct balance_virtual *virt(struct balance_service *s, const char *text, uint8_t proto,
				    uint16_t first, uint16_t last, uint32_t line)
{
	struct net_addr a = addr(text);
	struct balance_virtual *v = balance_virtual_add(s, &a, proto, first, last);

	assert_non_null(v);
	v->line = line;
	return v;
}

static struct balance_backend *back(struct balance_service *s, const char *text, uint32_t weight,
				    uint32_t line)
{
	struct net_addr a = addr(text);
	struct balance_backend *b = balance_backend_add(s, &a);

	assert_non_null(b);
	b->weight = weight;
	b->line = line;
	return b;
}

/* The example that the manual begins with. */
static struct balance_service *web(struct balance_model *m)
{
	struct balance_service *s = balance_service_add(m, "web");

	assert_non_null(s);
	s->line = 1;
	virt(s, "203.0.113.10", 6, 80, 80, 2);
	virt(s, "203.0.113.10", 6, 443, 443, 2);
	virt(s, "2001:db8::10", 6, 80, 80, 3);
	back(s, "10.1.0.11", 10, 5);
	back(s, "10.1.0.12", 10, 6);
	back(s, "10.1.0.13", 0, 7);
	return s;
}

static void collect(void *arg, uint32_t line, enum balance_part part, const char *sentence)
{
	(void)part;
	buf_printf(arg, "%u: %s\n", line, sentence);
}

/* Every mistake of m, as it is told; frees m. */
static void wrong(struct balance_model *m, const char *expected)
{
	struct sluice_err err = {0};
	struct buf told = {0};
	int e = balance_check(m, collect, &told, &err);
	size_t first = strcspn(expected, "\n");

	if (told.len) {
		assert_string_equal((char *)told.data, expected);
		assert_int_equal(e, -EINVAL);
		assert_int_equal(strlen(err.text), first - strcspn(expected, " ") - 1);
		assert_memory_equal(err.text, expected + strcspn(expected, " ") + 1, strlen(err.text));
	} else {
		assert_string_equal(expected, "");
		assert_int_equal(e, 0);
		assert_int_equal(err.code, 0);
	}
	buf_free(&told);
	balance_model_free(m);
}

static void good(void **state)
{
	struct balance_model m = {0};
	struct balance_service *s;

	(void)state;
	s = web(&m);
	assert_int_equal(s->n_slots, 65537);
	assert_int_equal(s->hold_s, 300);
	assert_int_equal(s->gue_port, 6080);
	assert_int_equal(s->mode, BALANCE_IPIP);
	assert_ptr_equal(balance_service_find(&m, "web"), s);
	assert_null(balance_service_find(&m, "we"));
	s = balance_service_add(&m, "dns");
	virt(s, "203.0.113.10", 17, 53, 53, 9); /* another protocol, other ports */
	virt(s, "203.0.113.10", 6, 444, 65535, 9);
	virt(s, "203.0.113.11", BALANCE_PROTO_ANY, 0, 65535, 9);
	back(s, "2001:db8:1::1", 65535, 10);
	s->mode = BALANCE_L2;
	wrong(&m, "");
	wrong(&m, ""); /* an empty one */
}

static void services(void **state)
{
	struct balance_model m = {0};
	struct balance_service *s;
	uint32_t i;
	char name[16];

	(void)state;
	s = balance_service_add(&m, "");
	s->line = 4;
	wrong(&m, "4: a service without a name; give it one\n"
		  "4: service  has no virtual address; give it one\n"
		  "4: service  has no backend; give it one, or leave the service out\n");
	s = web(&m);
	s->n_slots = 65536;
	s->hold_s = 0;
	s->mode = BALANCE_GUE;
	s->gue_port = 0;
	wrong(&m, "1: service web: a table of 65536 slots; it must be a prime, such as 65521 or 65537\n"
		  "1: service web: flows are held for 0 s; it can be 1 s to 86400 s\n"
		  "1: service web: GUE cannot go to port 0; leave the port out for 6080\n");
	s = web(&m);
	snprintf(s->name, sizeof(s->name), "we b");
	wrong(&m, "1: service 'we b': a name has letters, digits, - and _ only\n");
	web(&m);
	s = balance_service_add(&m, "web");
	s->line = 12;
	virt(s, "203.0.113.99", 6, 80, 80, 13);
	back(s, "10.1.0.11", 1, 14);
	wrong(&m, "12: service web is there twice; give one another name\n");
	s = web(&m);
	s->n_virtuals = 2;
	s->mode = BALANCE_NAT;
	s->stateless = true;
	wrong(&m, "1: service web: NAT cannot be stateless; leave out one of the two\n");
	for (i = 0; i < 1025; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		s = balance_service_add(&m, name);
		s->line = i;
		snprintf(name, sizeof(name), "203.0.%u.%u", i / 200, i % 200 + 1);
		virt(s, name, 6, 80, 80, i);
		back(s, "10.1.0.11", 1, i);
	}
	wrong(&m, "1024: 1025 services; there can be 1024\n");
}

static void virtuals(void **state)
{
	struct balance_model m = {0};
	struct balance_service *s;

	(void)state;
	s = web(&m);
	virt(s, "0.0.0.0", 6, 80, 80, 21);
	virt(s, "239.1.2.3", 6, 80, 80, 22);
	virt(s, "255.255.255.255", 6, 80, 80, 23);
	virt(s, "203.0.113.1", 1, 0, 65535, 24);
	virt(s, "203.0.113.2", 0, 80, 80, 25);
	virt(s, "203.0.113.3", 17, 0, 80, 26);
	virt(s, "203.0.113.4", 6, 90, 80, 27);
	wrong(&m, "21: service web: virtual address 0.0.0.0 tcp port 80 is no address of a host\n"
		  "22: service web: virtual address 239.1.2.3 tcp port 80 is a multicast address\n"
		  "23: service web: virtual address 255.255.255.255 tcp port 80 is the broadcast address\n"
		  "24: service web: virtual address 203.0.113.1 protocol 1; the protocol can be tcp or udp, "
		  "or be left "
		  "out with all ports\n"
		  "25: service web: virtual address 203.0.113.2 port 80 has ports but no protocol; say tcp "
		  "or udp\n"
		  "26: service web: virtual address 203.0.113.3 udp port 0-80; ports are 1 to 65535, the "
		  "first no "
		  "larger than the last\n"
		  "27: service web: virtual address 203.0.113.4 tcp port 90-80; ports are 1 to 65535, the "
		  "first no "
		  "larger than the last\n");
}

static void overlaps(void **state)
{
	struct balance_model m = {0};
	struct balance_service *s;

	(void)state;
	web(&m);
	s = balance_service_add(&m, "more");
	s->line = 10;
	virt(s, "203.0.113.10", 6, 400, 500, 11);
	virt(s, "203.0.113.10", 6, 500, 600, 12);
	virt(s, "2001:db8::10", 0, 0, 65535, 13);
	virt(s, "203.0.113.10", 17, 1, 65535, 14);
	back(s, "10.1.0.21", 1, 15);
	wrong(&m, "11: service more: virtual address 203.0.113.10 tcp port 400-500 overlaps 203.0.113.10 tcp "
		  "port "
		  "443 of service web; give them different ports or put them in one service\n"
		  "12: service more: virtual address 203.0.113.10 tcp port 500-600 overlaps 203.0.113.10 tcp "
		  "port "
		  "400-500 of service more; give them different ports or put them in one service\n"
		  "13: service more: virtual address 2001:db8::10 overlaps 2001:db8::10 tcp port 80 of "
		  "service web; "
		  "give them different ports or put them in one service\n");
}

/* Random claims on two addresses: there is a sentence if and only if some pair overlaps. */
static void overlaps_at_random(void **state)
{
	struct balance_model m = {0};
	struct balance_service *s;
	uint64_t seed = 5;
	uint32_t round, i, k, n_bad = 0;

	(void)state;
	for (round = 0; round < 2000; round++) {
		bool overlap = false;
		int e;

		s = balance_service_add(&m, "s");
		back(s, "10.0.0.1", 1, 0);
		for (i = 0; i < 5; i++) {
			uint32_t r[4];

			for (k = 0; k < 4; k++) {
				seed = seed * 6364136223846793005u + 1442695040888963407u;
				r[k] = (uint32_t)(seed >> 33);
			}
			if (r[0] % 8)
				virt(s, r[1] % 2 ? "192.0.2.1" : "192.0.2.2", r[0] % 2 ? 6 : 17,
				     (uint16_t)(1 + r[2] % 60), (uint16_t)(1 + r[2] % 60 + r[3] % 12), 0);
			else
				virt(s, r[1] % 2 ? "192.0.2.1" : "192.0.2.2", 0, 0, 65535, 0);
		}
		for (i = 0; i < 5; i++)
			for (k = 0; k < i; k++) {
				struct balance_virtual *a = &s->virtuals[i], *b = &s->virtuals[k];

				overlap |= a->addr.bytes[3] == b->addr.bytes[3] &&
					   (a->proto == b->proto || !a->proto || !b->proto) &&
					   a->first <= b->last && b->first <= a->last;
			}
		e = balance_check(&m, NULL, NULL, NULL);
		assert_int_equal(e, overlap ? -EINVAL : 0);
		n_bad += overlap;
		balance_model_free(&m);
	}
	assert_in_range(n_bad, 200, 1800);
}

static void backends(void **state)
{
	struct balance_model m = {0};
	struct balance_service *s;
	uint32_t i;
	char text[16];

	(void)state;
	s = web(&m);
	back(s, "203.0.113.10", 1, 21);
	back(s, "2001:db8::10", 1, 22);
	back(s, "ff02::1", 1, 23);
	back(s, "::", 1, 24);
	back(s, "10.1.0.12", 65536, 25);
	back(s, "10.1.0.14", 1, 26)->port = 8080;
	wrong(&m, "21: service web: backend 203.0.113.10 is a virtual address of service web; packets would "
		  "go round; "
		  "name the backend by an address of its own\n"
		  "22: service web: backend 2001:db8::10 is a virtual address of service web; packets would "
		  "go round; "
		  "name the backend by an address of its own\n"
		  "23: service web: backend ff02::1 is a multicast address\n"
		  "24: service web: backend :: is no address of a host\n"
		  "25: service web: backend 10.1.0.12 has weight 65536; it can be 0 to 65535\n"
		  "26: service web: backend 10.1.0.14 port 8080 has a port, which only NAT can change; leave "
		  "it out\n"
		  "25: service web: backend 10.1.0.12 is there twice; leave one out and add its weight to "
		  "the other\n");
	s = web(&m);
	s->mode = BALANCE_NAT;
	s->n_backends = 1;
	wrong(&m, "5: service web: backend 10.1.0.11 is IPv4 and virtual address 2001:db8::10 tcp port 80 is "
		  "not; "
		  "NAT does not translate between them; use ipip or gue, or two services\n");
	s = web(&m);
	s->mode = BALANCE_NAT;
	s->n_virtuals = 2;
	back(s, "10.1.0.11", 1, 31)->port = 8080; /* another port is another backend */
	back(s, "2001:db8:1::1", 1, 32);
	wrong(&m, "32: service web: backend 2001:db8:1::1 is IPv6 and virtual address 203.0.113.10 tcp port "
		  "80 is "
		  "not; NAT does not translate between them; use ipip or gue, or two services\n");
	s = web(&m);
	for (i = 0; i < 3998; i++) {
		snprintf(text, sizeof(text), "10.2.%u.%u", i / 256, i % 256);
		back(s, text, 1, 8 + i);
	}
	s->n_slots = 1009;
	wrong(&m, "1: service web has 4001 backends; it can have 4000\n"
		  "1: service web has more backends (4001) than slots (1009); give it a larger table\n");
}

static void plan(struct balance_model *before, struct balance_model *after, const char *expected,
		 const unsigned int *work, size_t n_work)
{
	struct balance_change *changes;
	struct sluice_err err = {0};
	struct buf text = {0};
	size_t n, i;

	assert_int_equal(balance_diff(before, after, &changes, &n, &text, &err), 0);
	assert_string_equal(text.len ? (char *)text.data : "", expected);
	assert_int_equal(n, n_work);
	for (i = 0; i < n; i++)
		assert_int_equal(changes[i].work, work[i]);
	free(changes);
	buf_free(&text);
	assert_int_equal(balance_diff(before, after, &changes, &n, NULL, &err), 0);
	assert_int_equal(n, n_work);
	free(changes);
}

static void differences(void **state)
{
	struct balance_model a = {0}, b = {0};
	struct balance_service *s, *t;
	struct balance_backend swap;

	(void)state;
	s = web(&a);
	t = web(&b);
	plan(&a, &b, "", NULL, 0);
	swap = t->backends[0];
	t->backends[0] = t->backends[2];
	t->backends[2] = swap;
	plan(&a, &b, "", NULL, 0); /* the order says nothing */
	t->backends[0].weight = 10;
	t->backends[1].weight = 0;
	t->backends[2].drain = true;
	back(t, "10.1.0.14", 5, 8)->health = BALANCE_DOWN;
	s->backends[1].health = BALANCE_DOWN;
	back(s, "10.1.0.9", 5, 8);
	plan(&a, &b,
	     "web: remove backend 10.1.0.9\n"
	     "web: backend 10.1.0.11: draining\n"
	     "web: backend 10.1.0.12: weight 10 -> 0, draining\n"
	     "web: backend 10.1.0.12: up\n"
	     "web: backend 10.1.0.13: weight 0 -> 10\n"
	     "web: add backend 10.1.0.14 weight 5, down\n"
	     "web: writes backends slots that change\n",
	     (unsigned int[]){BALANCE_WORK_TARGETS | BALANCE_WORK_TABLE}, 1);
	balance_model_free(&b);
	t = web(&b);
	t->n_virtuals = 2;
	virt(t, "203.0.113.10", 17, 443, 443, 3);
	s = balance_service_add(&b, "all");
	virt(s, "203.0.113.12", 0, 0, 65535, 9);
	virt(s, "203.0.113.13", 6, 1000, 1999, 9);
	back(s, "2001:db8:1::1", 7, 9);
	s->affinity = true;
	balance_model_free(&a);
	s = web(&a);
	s = balance_service_add(&a, "zero");
	virt(s, "203.0.113.14", 6, 1, 2, 9);
	back(s, "10.1.0.1", 7, 9);
	plan(&a, &b,
	     "all: add service, forward ipip, table of 65537 slots, affinity by source\n"
	     "all: add virtual 203.0.113.12\n"
	     "all: add virtual 203.0.113.13 tcp port 1000-1999\n"
	     "all: add backend 2001:db8:1::1 weight 7\n"
	     "web: add virtual 203.0.113.10 udp port 443\n"
	     "web: remove virtual 2001:db8::10 tcp port 80\n"
	     "web: writes virtual addresses\n"
	     "zero: remove service\n",
	     (unsigned int[]){31, BALANCE_WORK_VIRTUALS, BALANCE_WORK_VIRTUALS | BALANCE_WORK_SERVICE}, 3);
	balance_model_free(&a);
	balance_model_free(&b);
}

static void differences_of_options(void **state)
{
	struct balance_model a = {0}, b = {0};
	struct balance_service *t;

	(void)state;
	web(&a);
	t = web(&b);
	t->mode = BALANCE_GUE;
	t->gue_port = 5555;
	t->affinity = t->stateless = true;
	t->n_slots = 65521;
	t->hold_s = 60;
	t->fallback = BALANCE_OPEN;
	plan(&a, &b,
	     "web: forward ipip -> gue\n"
	     "web: gue port 6080 -> 5555\n"
	     "web: affinity by source\n"
	     "web: stateless\n"
	     "web: table 65537 -> 65521 slots\n"
	     "web: hold 300 s -> 60 s\n"
	     "web: without backends: drop -> open\n"
	     "web: writes parameters backends all slots; established flows outside the flow table move\n",
	     (unsigned int[]){BALANCE_WORK_SERVICE | BALANCE_WORK_TARGETS | BALANCE_WORK_TABLE |
			      BALANCE_WORK_SLOTS},
	     1);
	balance_model_free(&b);
	t = web(&b);
	snprintf(b.seed, sizeof(b.seed), "secret");
	plan(&a, &b,
	     "web: another seed\n"
	     "web: writes all slots; established flows outside the flow table move\n",
	     (unsigned int[]){BALANCE_WORK_SLOTS}, 1);
	balance_model_free(&a);
	balance_model_free(&b);
}

static void weights(void **state)
{
	struct balance_model m = {0};
	struct balance_service *s;
	struct maglev_backend w[3];

	(void)state;
	s = web(&m);
	balance_weights(s, w);
	assert_int_equal(w[0].weight, 10);
	assert_int_equal(w[1].weight, 10);
	assert_int_equal(w[2].weight, 0);
	s->backends[0].drain = true;
	balance_weights(s, w);
	assert_int_equal(w[0].weight, 0);
	assert_int_equal(w[1].weight, 10);
	s->backends[1].health = BALANCE_DOWN;
	balance_weights(s, w);
	assert_int_equal(w[0].weight + w[1].weight + w[2].weight, 0);
	s->fallback = BALANCE_OPEN;
	balance_weights(s, w);
	assert_int_equal(w[0].weight, 0);
	assert_int_equal(w[1].weight, 10);
	s->backends[0].drain = false;
	balance_weights(s, w);
	assert_int_equal(w[0].weight, 10);
	assert_int_equal(w[1].weight, 0);
	balance_model_free(&m);
}

/* The numbers come from a program of another language. */
static void seeds(void **state)
{
	__u64 words[BALANCE_SEED_WORDS];

	(void)state;
	balance_seed("", words);
	assert_true(words[0] == 0xc3817c016ba4ff30 && words[1] == 0x100cdaacc0bc9316);
	balance_seed("secret", words);
	assert_true(words[0] == 0x3f8991d108adb1b2 && words[1] == 0xa00a102f10d87347);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(services),
		cmocka_unit_test(virtuals),
		cmocka_unit_test(overlaps),
		cmocka_unit_test(overlaps_at_random),
		cmocka_unit_test(backends),
		cmocka_unit_test(differences),
		cmocka_unit_test(differences_of_options),
		cmocka_unit_test(weights),
		cmocka_unit_test(seeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
