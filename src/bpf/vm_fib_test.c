// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bpf_fib_lookup() in the kernel and in the user-space engine, which read the same network as ip(8) prints
 * it, and once more as netlink does. In a network namespace of its own; needs root.
 *
 *     v0 ── v1, v2 ── v3, v4 ── v5: both ends here; v3 does not forward
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include "bpf/vm_sides.h"
#include "vm/vm.h"

#define ROUNDS 20000

static const char *const setup[] = {
	"ip link set lo up",
	"ip link add v0 type veth peer name v1",
	"ip link add v2 type veth peer name v3",
	"ip link add v4 type veth peer name v5",
	"ip link set v2 mtu 1400",
	"sh -c 'for i in 0 1 2 3 4 5; do echo 0 > /proc/sys/net/ipv6/conf/v$i/accept_dad; ip link set v$i "
	"up; done'",
	"sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'",
	"sh -c 'echo 0 > /proc/sys/net/ipv4/conf/v3/forwarding; echo 0 > "
	"/proc/sys/net/ipv6/conf/v3/forwarding'",
	"ip addr add 10.0.0.1/24 brd + dev v0",
	"ip addr add 10.0.1.1/24 dev v2",
	"ip addr add 10.0.1.129/25 dev v2",
	"ip addr add 10.0.2.1 peer 10.0.2.2 dev v4",
	"ip -6 addr add 2001:db8::1/64 dev v0 nodad",
	"ip -6 addr add 2001:db8:1::1/64 dev v2 nodad",
	"ip -6 addr add 2001:db8:1::99/64 dev v2 nodad",
	"ip route add default via 10.0.0.2 metric 100",
	"ip route add default via 10.0.1.2 metric 50",
	"ip route add 10.1.0.0/16 via 10.0.0.3 mtu lock 1300",
	"ip route add 10.1.1.0/24 via 10.0.1.3 mtu 1200 src 10.0.0.1",
	"ip route add 10.1.1.128/25 via 10.0.1.4 tos 0x10",
	"ip route add 10.1.1.128/25 via 10.0.0.4 metric 7",
	"ip route add 10.1.1.128/25 via 10.0.0.5 metric 9",
	"ip route add unreachable 10.2.0.0/24",
	"ip route add prohibit 10.2.1.0/24",
	"ip route add blackhole 10.2.2.0/24",
	"ip route add throw 10.2.3.0/24",
	"ip route add 10.2.3.5 dev v4 table default",
	"ip route add 10.3.0.0/24 via inet6 2001:db8::3 dev v0",
	"ip route add 10.4.0.0/24 dev v4 scope link table 77",
	"ip route add 10.4.1.0/24 via 10.0.0.9 dev v0 table 77 metric 3",
	"ip route add 10.5.0.0/24 encap ip id 5 dst 10.9.9.9 dev v0",
	"ip route add 10.6.0.0/24 nexthop via 10.0.0.2 weight 3 nexthop via 10.0.0.2 dev v0",
	"ip -6 route add default via 2001:db8::2 metric 5",
	"ip -6 route add 2001:db8:2::/48 via 2001:db8:1::2 mtu lock 1290",
	"ip -6 route add 2001:db8:2:1::/64 via fe80::5 dev v2 metric 10",
	"ip -6 route add 2001:db8:2:1::/64 via fe80::6 dev v0 metric 20",
	"ip -6 route add 2001:db8:2:1::7 dev v4 src 2001:db8::1",
	"ip -6 route add unreachable 2001:db8:3::/64",
	"ip -6 route add prohibit 2001:db8:3:1::/64",
	"ip -6 route add blackhole 2001:db8:3:2::/64",
	"ip -6 route add throw 2001:db8:3:3::/64",
	"ip -6 route add 2001:db8:4::/64 dev v4 table 77",
	"ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0 nud permanent",
	"ip neigh add 10.0.0.4 lladdr 02:00:00:00:00:04 dev v0 nud permanent",
	"ip neigh add 10.0.1.2 lladdr 02:00:00:00:01:02 dev v2 nud noarp",
	"ip neigh add 10.0.1.3 lladdr 02:00:00:00:01:03 dev v2 nud permanent",
	"ip neigh add 10.0.1.4 lladdr 02:00:00:00:01:04 dev v2 nud permanent",
	"ip neigh add 10.0.2.2 lladdr 02:00:00:00:02:02 dev v4 nud permanent",
	"ip neigh add 10.2.3.5 lladdr 02:00:00:00:02:05 dev v4 nud permanent",
	"ip neigh add 2001:db8::3 lladdr 02:00:00:00:06:03 dev v0 nud permanent",
	"ip neigh add 2001:db8::2 lladdr 02:00:00:00:06:02 dev v0 router nud permanent",
	"ip neigh add 2001:db8:1::2 lladdr 02:00:00:00:06:12 dev v2 nud permanent",
	"ip neigh add fe80::5 lladdr 02:00:00:00:06:05 dev v2 nud permanent",
};

static void shell(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

/* What ip(8) prints of this namespace. */
static size_t printed(char *to, size_t size)
{
	FILE *f = popen("ip -o link; ip -o addr; ip route show table all; ip -6 route show table all; "
			"ip neigh show nud all; "
			"echo '# and what it does not print'; echo forwarding v3 off",
			"r");
	size_t n;

	assert_non_null(f);
	n = fread(to, 1, size, f);
	assert_int_equal(pclose(f), 0);
	assert_true(n < size);
	return n;
}

static void any_v4(void *to)
{
	static const char *const prefixes[] = {"10.0.0.0",  "10.0.1.0",	  "10.0.1.128", "10.1.0.0",
					       "10.1.1.0",  "10.1.1.128", "10.2.0.0",	"10.2.1.0",
					       "10.2.2.0",  "10.2.3.0",	  "10.3.0.0",	"10.4.0.0",
					       "10.4.1.0",  "10.5.0.0",	  "10.6.0.0",	"10.0.2.0",
					       "192.0.2.0", "127.0.0.0",  "224.0.0.0",	"255.255.255.0"};
	uint8_t b[4];

	inet_pton(AF_INET, prefixes[rnd(sizeof(prefixes) / sizeof(*prefixes))], b);
	b[3] = (uint8_t)(b[3] + (rnd(3) ? rnd(10) : rnd(256)));
	memcpy(to, b, 4);
}

static void any_v6(void *to)
{
	static const char *const prefixes[] =
		{"2001:db8::",	 "2001:db8:1::",   "2001:db8:2::",   "2001:db8:2:1::",
		 "2001:db8:3::", "2001:db8:3:1::", "2001:db8:3:2::", "2001:db8:3:3::",
		 "2001:db8:4::", "fe80::",	   "ff02::",	     "2001:db9::",
		 "::",		 "2001:db8:2:2::"};
	uint8_t b[16];

	inet_pton(AF_INET6, prefixes[rnd(sizeof(prefixes) / sizeof(*prefixes))], b);
	b[15] = (uint8_t)rnd(rnd(3) ? 10 : 256);
	memcpy(to, b, 16);
}

static void make(struct ask *q)
{
	static const uint32_t tables[] = {0, 77, 254, 255, 253, 78};
	struct bpf_fib_lookup p = {.family = AF_INET};
	uint32_t table = tables[rnd(6)];

	memset(q, 0, sizeof(*q));
	q->op = 11;
	q->a = rnd(20) ? (int32_t)rnd(64) : (int32_t)rnd(256);
	if (rnd(4)) /* the most used */
		q->a &= 3;
	if (rnd(50) == 0)
		p.family = (uint8_t)rnd(256);
	else if (rnd(2))
		p.family = AF_INET6;
	p.ifindex = rnd(12) ? 1 + rnd(7) : rnd(100);
	p.tot_len = rnd(2) ? 0 : (uint16_t)(1150 + rnd(400));
	p.l4_protocol = IPPROTO_TCP;
	if (p.family == AF_INET6) {
		any_v6(p.ipv6_dst);
		any_v6(p.ipv6_src);
		p.flowinfo = htonl(rnd(1 << 20));
	} else {
		any_v4(&p.ipv4_dst);
		any_v4(&p.ipv4_src);
		p.tos = (uint8_t)(rnd(3) ? 0 : rnd(2) ? 0x10 : rnd(256));
	}
	memcpy(&p.h_vlan_proto, &table, sizeof(table));
	memset(p.smac, 0xee, sizeof(p.smac));
	memset(p.dmac, 0xdd, sizeof(p.dmac));
	if (q->a & 32) /* a mark that no rule knows, where the MAC addresses will be */
		memset(p.smac, 0, 4);
	memcpy(q->text, &p, sizeof(p));
}

static void compare(struct side *k, struct side *v, const char *how)
{
	unsigned int answers[16] = {0}, bad = 0, i;
	uint8_t data[14 + sizeof(struct ask)] = {0};
	struct ask q;

	for (i = 0; i < ROUNDS; i++) {
		const int64_t *sk = (const int64_t *)(const void *)k->memory[0],
			      *sv = (const int64_t *)(const void *)v->memory[0];
		struct bpf_fib_lookup p, pk, pv;

		make(&q);
		memcpy(data + 14, &q, sizeof(q));
		put_to(k, data, sizeof(data));
		put_to(v, data, sizeof(data));
		answers[sk[0] < 0 ? 15 : sk[0]]++;
		if (memcmp(k->memory[0], v->memory[0], k->bss_bytes) == 0)
			continue;
		if (bad++ >= 12)
			continue;
		memcpy(&p, q.text, sizeof(p));
		memcpy(&pk, k->memory[0] + k->bss_bytes - 256, sizeof(pk));
		memcpy(&pv, v->memory[0] + v->bss_bytes - 256, sizeof(pv));
		{
			char dst[64], src[64], table[4 * 64];
			const uint32_t *x = (const void *)k->memory[0], *y = (const void *)v->memory[0];
			unsigned int w;
			int n = 0;

			inet_ntop(p.family == AF_INET6 ? AF_INET6 : AF_INET, p.ipv6_dst, dst, sizeof(dst));
			inet_ntop(p.family == AF_INET6 ? AF_INET6 : AF_INET, p.ipv6_src, src, sizeof(src));
			*table = '\0';
			for (w = 0; w < k->bss_bytes / 4; w++)
				if (x[w] != y[w])
					n += snprintf(table + n, n < 200 ? 40 : 0, " [%u] %08x %08x", w, x[w],
						      y[w]);
			fprintf(stderr, "%s: if %u %s from %s len %u tos %#x flags %#x: said %lld %lld;%s\n",
				how, p.ifindex, dst, src, p.tot_len, p.tos, q.a, (long long)sk[0],
				(long long)sv[0], table);
		}
	}
	assert_int_equal(bad, 0);
	for (i = 0; i < 9; i++) /* the host always has some address to send from */
		assert_true(answers[i] > 10); /* every answer was given */
}

static void same_ways(void **unused)
{
	static struct side k, v;
	const struct vm_config config = {.seed = 5};
	static char text[65536];
	struct sluice_err err;
	struct vm *vm;
	size_t i;

	(void)unused;
	if (geteuid() != 0 || !getenv("BUILD"))
		skip();
	if (getenv("SEED"))
		state = strtoull(getenv("SEED"), NULL, 0);
	libbpf_set_print(silent);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	for (i = 0; i < sizeof(setup) / sizeof(*setup); i++)
		shell(setup[i]);
	assert_int_equal(vm_new(&config, &vm, &err), 0);
	open_side(&k, NULL);
	open_side(&v, vm);
	if (getenv("SHOW"))
		fprintf(stderr, "%.*s", (int)printed(text, sizeof(text)), text);
	if (vm_set_network(vm, text, printed(text, sizeof(text)), &err))
		fail_msg("%s", err.text);
	compare(&k, &v, "text");
	if (vm_copy_network(vm, &err))
		fail_msg("%s", err.text);
	compare(&k, &v, "netlink");
	close_side(&k);
	close_side(&v);
	vm_free(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
