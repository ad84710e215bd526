// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Translated flows from one generation's memory to another's. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "control/build.h"
#include "control/carry_nat.h"

/* A family's memory; places of both families begin with their word. */
struct memory {
	char *at;
	size_t bytes, place;
	uint32_t id;
};

static const enum control_map map_of[] = {CONTROL_BALANCE_NAT4, CONTROL_BALANCE_NAT6};

static bool map_memory(int fd, bool six, struct memory *m)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	*m = (struct memory){.place = six ? sizeof(struct nat_place6) : sizeof(struct nat_place4)};
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return false;
	m->id = info.id;
	m->bytes = info.value_size;
	m->at = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m->at == MAP_FAILED)
		m->at = NULL;
	return m->at;
}

static void unmap(struct memory *m)
{
	if (m->at)
		munmap(m->at, m->bytes);
	m->at = NULL;
}

/* The places of a number; NULL: it has none here. */
static char *table(const struct memory *m, uint32_t number)
{
	size_t bytes = NAT_PORTS * m->place;

	return (number + 1ull) * bytes <= m->bytes ? m->at + number * bytes : NULL;
}

static void forget(const struct memory *m, uint64_t numbers)
{
	uint32_t i;

	for (i = 0; i < NAT_ADDRS; i++)
		if (numbers >> i & 1 && table(m, i))
			memset(table(m, i), 0, NAT_PORTS * m->place);
}

int carry_nat_map(const struct control_state *st, const struct nat_config *before, const struct nat_config *now, bool six,
		  bool dry)
{
	struct memory m;
	int fd;

	if (!nat_goes_on(before, now, six))
		return -1;
	fd = control_state_map(st, st->record.live, map_of[six], 0, NULL);
	if (fd < 0)
		return -1;
	if (dry || !(nat_given(now, six) & ~nat_given(before, six)))
		return fd;
	if (map_memory(fd, six, &m)) {
		forget(&m, nat_given(now, six) & ~nat_given(before, six));
		unmap(&m);
		return fd;
	}
	close(fd);
	return -1;
}

static uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static bool swap(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* As the programs do it: a place is claimed, filled, and then somebody's. */
static void copy_place(const struct memory *m, char *from, char *to)
{
	uint32_t *old = (uint32_t *)(void *)from, *word = (uint32_t *)(void *)to, is = load(old);
	const uint32_t claim = NAT_WORD(0, NAT_CLAIMED, is & NAT_TIME);

	if (!NAT_TAG(is) || NAT_STATE(is) == NAT_CLAIMED || !swap(word, 0, claim))
		return;
	memcpy(to + sizeof(*word), from + sizeof(*old), m->place - sizeof(*old));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* another flow took the old place meanwhile: what was read may be half of each */
	swap(word, claim, NAT_TAG(load(old)) == NAT_TAG(is) ? is : 0);
}

static void copy_family(const struct control_state *st, const char *from, const char *to, bool six, uint64_t kept)
{
	int old = control_state_map(st, from, map_of[six], 0, NULL), new = control_state_map(st, to, map_of[six], 0, NULL);
	struct memory a = {NULL}, b = {NULL};
	uint32_t i, k;

	if (old >= 0 && new >= 0 && map_memory(old, six, &a) && map_memory(new, six, &b) && a.id != b.id)
		for (i = 0; i < NAT_ADDRS; i++)
			for (k = 0; kept >> i & 1 && table(&a, i) && table(&b, i) && k < NAT_PORTS; k++)
				copy_place(&a, table(&a, i) + k * a.place, table(&b, i) + k * b.place);
	unmap(&a);
	unmap(&b);
	if (old >= 0)
		close(old);
	if (new >= 0)
		close(new);
}

void carry_nat(const struct control_state *st, const char *from, const char *to)
{
	struct nat_config a, b;
	uint64_t kept;
	int six;

	if (!from[0] || !to[0] || build_struct(st, from, "nat", 0, &a, sizeof(a), NULL) ||
	    build_struct(st, to, "nat", 0, &b, sizeof(b), NULL))
		return;
	for (six = 0; six < 2; six++) {
		kept = nat_kept(&a, &b, six);
		if (kept)
			copy_family(st, from, to, six, kept);
	}
}
