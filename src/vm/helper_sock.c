// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Helpers about TCP: SYN cookies that only this engine can check, and lookups of sockets, of which there are
 * none.
 *
 * A cookie is Bernstein's (cr.yp.to/syncookies.html) in the layout of Linux' net/ipv4/syncookies.c: a hash of
 * the addresses and ports and the client's number, the minute in the upper 8 bits, an index of the segment
 * size in the lower 24, hidden by a second hash. The hash is SipHash-2-4 (Aumasson and Bernstein, 2012) keyed
 * by the engine's seed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>

#include "vm/helper_fn.h"
#include "vm/sys.h"

#define DATA_BITS 24
#define DATA_MASK ((1u << DATA_BITS) - 1)
#define MOST_AGE 2 /* minutes */
#define MINUTE_NS 60000000000ull
#define TCP_BYTES 20
#define MSS4 536 /* of a SYN without the option: RFC 9293, 3.7.1 */
#define MSS6 (1280 - 40 - 20)
#define N_SIZES 4

static const uint16_t sizes4[N_SIZES] = {536, 1300, 1440, 1460},
		      sizes6[N_SIZES] = {1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60};

static void sip_round(uint64_t v[4])
{
#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))
	v[0] += v[1];
	v[2] += v[3];
	v[1] = ROTATE(v[1], 13) ^ v[0];
	v[3] = ROTATE(v[3], 16) ^ v[2];
	v[0] = ROTATE(v[0], 32) + v[3];
	v[2] += v[1];
	v[3] = ROTATE(v[3], 21) ^ v[0];
	v[1] = ROTATE(v[1], 17) ^ v[2];
	v[2] = ROTATE(v[2], 32);
#undef ROTATE
}

/* Of whole words: the length byte that the paper puts into the last one is a word of its own. */
uint64_t host_siphash(const uint64_t key[2], const uint64_t *word, size_t n)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
			 key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
	uint64_t last = (uint64_t)n * 8 << 56;
	size_t i, k;

	for (i = 0; i <= n; i++) {
		uint64_t m = i < n ? word[i] : last;

		v[3] ^= m;
		sip_round(v);
		sip_round(v);
		v[0] ^= m;
	}
	v[2] ^= 0xff;
	for (k = 0; k < 4; k++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct ends {
	uint64_t word[5]; /* addresses, then ports */
	uint32_t seq, ack;
};

static void ends_of(struct ends *e, uint64_t ip, const struct tcphdr *th, bool v6)
{
	memset(e, 0, sizeof(*e));
	if (v6)
		memcpy(e->word, (const uint8_t *)ptr(ip) + offsetof(struct ip6_hdr, ip6_src), 32);
	else
		memcpy(e->word, (const uint8_t *)ptr(ip) + offsetof(struct iphdr, saddr), 8);
	e->word[4] = (uint64_t)th->source << 16 | th->dest;
	e->seq = ntohl(th->seq);
	e->ack = ntohl(th->ack_seq);
}

static uint32_t hash(struct vm_run *run, const struct ends *e, uint32_t minute, uint32_t which)
{
	const uint64_t key[2] = {host_of(run)->vm->seed, which};
	uint64_t word[6];

	memcpy(word, e->word, sizeof(e->word));
	word[5] = minute;
	return (uint32_t)host_siphash(key, word, 6);
}

static uint32_t minute(const struct vm_run *run)
{
	return (uint32_t)(host_now(run, CLOCK_MONOTONIC_COARSE) / MINUTE_NS);
}

/* The segment size option of a SYN; 0: none. */
static uint16_t option_mss(const uint8_t *tcp, uint32_t len)
{
	uint32_t at = TCP_BYTES;
	uint16_t mss = 0;

	while (at < len && tcp[at] != TCPOPT_EOL) {
		uint32_t n = tcp[at] == TCPOPT_NOP ? 1 : at + 1 < len ? tcp[at + 1] : 0;

		if (!n || (tcp[at] != TCPOPT_NOP && n < 2) || n > len - at)
			break;
		if (tcp[at] == TCPOPT_MAXSEG && n == TCPOLEN_MAXSEG && (tcp[at + 2] || tcp[at + 3]))
			mss = (uint16_t)(tcp[at + 2] << 8 | tcp[at + 3]);
		at += n;
	}
	return mss;
}

static uint64_t make(struct vm_run *run, uint64_t ip, uint64_t tcp, uint32_t len, bool v6)
{
	const uint16_t *sizes = v6 ? sizes6 : sizes4;
	uint32_t i = N_SIZES - 1, now = minute(run), cookie;
	struct tcphdr th;
	struct ends e;
	uint16_t mss;

	if (len < TCP_BYTES)
		return answer(-EINVAL);
	memcpy(&th, ptr(tcp), sizeof(th));
	if (len != th.doff * 4u)
		return answer(-EINVAL);
	mss = option_mss(ptr(tcp), len);
	mss = mss ? mss : v6 ? MSS6 : MSS4;
	while (i && mss < sizes[i])
		i--;
	ends_of(&e, ip, &th, v6);
	cookie = hash(run, &e, 0, 0) + e.seq + (now << DATA_BITS) + ((hash(run, &e, now, 1) + i) & DATA_MASK);
	return cookie | (uint64_t)sizes[i] << 32;
}

static uint64_t check(struct vm_run *run, uint64_t ip, uint64_t tcp, bool v6)
{
	uint32_t now = minute(run), cookie, age;
	struct tcphdr th;
	struct ends e;

	memcpy(&th, ptr(tcp), sizeof(th));
	ends_of(&e, ip, &th, v6);
	cookie = e.ack - 1 - (hash(run, &e, 0, 0) + e.seq - 1);
	age = (now - (cookie >> DATA_BITS)) & (UINT32_MAX >> DATA_BITS);
	if (age >= MOST_AGE)
		return answer(-EACCES);
	cookie = (cookie - hash(run, &e, now - age, 1)) & DATA_MASK;
	return answer(cookie < N_SIZES ? 0 : -EACCES);
}

DEFINE(tcp_raw_gen_syncookie_ipv4)
{
	return make(run, a1, a2, (uint32_t)a3, false);
}

DEFINE(tcp_raw_gen_syncookie_ipv6)
{
	return make(run, a1, a2, (uint32_t)a3, true);
}

DEFINE(tcp_raw_check_syncookie_ipv4)
{
	return check(run, a1, a2, false);
}

DEFINE(tcp_raw_check_syncookie_ipv6)
{
	return check(run, a1, a2, true);
}

/* No address has a socket here. */
DEFINE(sk_lookup_tcp)
{
	return 0;
}

DEFINE(sk_lookup_udp)
{
	return 0;
}

DEFINE(skc_lookup_tcp)
{
	return 0;
}

static uint64_t of_socket(struct vm_run *run, uint64_t sk, int e)
{
	if (sk)
		vm_run_fail(run, "that is no socket: the user-space engine has none");
	return answer(e);
}

DEFINE(sk_release)
{
	vm_run_fail(run, "that is no socket: the user-space engine has none");
	return 0;
}

DEFINE(tcp_check_syncookie)
{
	return of_socket(run, a1, -EINVAL);
}

DEFINE(tcp_gen_syncookie)
{
	return of_socket(run, a1, -EINVAL);
}
