/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The balancer (datapath/balance.bpf.c) as a loaded program with the memory of src/balance, on the engine of the
 * thread. Attaching it is for others.
 */
#ifndef CONTROL_BALANCE_H
#define CONTROL_BALANCE_H

#include <stdint.h>
#include <sluice/err.h>
#include <sluice/object.h>

#include "balance/tables.h"
#include "bpf/code.h"

#define CONTROL_FLOWS (1u << 20)

struct control_balance_opts {
	uint32_t flows; /* that are to be remembered: four times as many places, of 8 bytes; 0: the default */
	uint32_t fragments;  /* packets in pieces at a time; 0: 4096 */
	uint32_t idle_s;     /* a flow silent for longer may be forgotten for another; 0: 300 */
	uint32_t icmp_per_s; /* errors about size that each CPU sends, and as many refusals; UINT32_MAX: none, 0: 1000 */
	uint32_t on;	     /* the interface's bit in tables_change(); 0: all */
	/* outer source addresses: bits beyond the prefix are from the flow; zeroes: 198.18.0.0/16 and 100::/64 */
	struct net_addr source4, source6;
	uint8_t source4_bits, source6_bits;
	int flows_fd; /* the table of an earlier program, of the same size, or -1 */
	const struct nat_config *nat; /* the plan of the models (balance/nat.h); NULL: nothing is translated */
	const int *nat_fds; /* maps of an earlier program, as control_balance_nat() takes them; NULL: new ones */
};

struct control_balance {
	struct sluice_object *obj;
	int prog_fd;  /* the object's */
	void *memory; /* the flat memory, mapped */
	size_t memory_len;
	uint64_t *flows; /* the flow table, mapped */
	size_t flows_len;
	struct balance_config config;
};

/*
 * The clock of flow tables: ticks are jiffies, shifted. control_balance_jiffy_ns() is how long one is on this machine (on the
 * engine in user space, if that is chosen), control_balance_tick_shift() the shift that makes ticks of 4 s or a little more.
 */
uint32_t control_balance_jiffy_ns(void);
uint32_t control_balance_tick_shift(uint32_t jiffy_ns);

/*
 * control_balance_load() loads the program for an interface and gives the tables its memory.
 *
 * in:      tables  with no memory yet; outlives *to
 *          opts    NULL: defaults
 * out:     *to     closed by control_balance_close(), also after a failure
 * errors:  -EINVAL a prefix that cannot be; of sluice_object_load(); -ENOMEM
 */
int control_balance_load(struct tables *tables, const struct control_balance_opts *opts,
			 struct control_balance *to, struct sluice_err *err);

/* control_balance_load_from() does the same with another object that has the balancer's maps, and its program. */
int control_balance_load_from(struct tables *tables, const struct control_balance_opts *opts,
			      const void *object, size_t len, const char *program, struct control_balance *to,
			      struct sluice_err *err);
void control_balance_close(struct control_balance *b);

/* Maps of a balancer, by descriptor; -1: there is none yet. */
enum control_balance_map {
	BALANCE_MAP_MEMORY,
	BALANCE_MAP_FLOWS,
	BALANCE_MAP_FRAGMENTS,
	BALANCE_MAP_COUNTS,
	BALANCE_MAP_REASONS,
	BALANCE_MAPS
};
size_t control_balance_pages(size_t bytes); /* as much as is mapped of a map of so many */
const char *control_balance_map_name(enum control_balance_map map);

/*
 * control_balance_load_code() makes the maps and the code of the program for an interface, to be verified when it has
 * been joined with what else is there (hook/put.h). The memory is filled by its owner: to->memory is NULL.
 *
 * in:      maps  those that are there already; the memory is. Others of another size are made anew
 * out:     *to   closed by control_balance_close(), also after a failure; its program only passes
 *          *code the program's, owned by *to
 * errors:  as control_balance_load()
 */
int control_balance_load_code(const struct tables *tables, const struct control_balance_opts *opts,
			      const int maps[BALANCE_MAPS], struct control_balance *to, const struct code **code,
			      struct sluice_err *err);

/* control_balance_count() adds up what all CPUs counted of a target (its number in targets); _reasons() of a service,
 * n_services: packets of none. */
int control_balance_count(const struct control_balance *b, uint32_t target, struct balance_count *to,
			  struct sluice_err *err);
int control_balance_reasons(const struct control_balance *b, uint32_t service, struct balance_reasons *to,
			    struct sluice_err *err);

#endif
