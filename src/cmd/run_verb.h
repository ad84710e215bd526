/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of `sluice run` share: its options, loading, maps, and what is shown of each packet. */
#ifndef CMD_RUN_VERB_H
#define CMD_RUN_VERB_H

#include "cmd/cli.h"
#include "cmd/objects.h"
#include "hook/state.h"
#include "replay/replay.h"
#include "vm/vm.h"

struct run_opts {
	struct opt_list in, out, set, maps, dump, expect, expect_pcap, ifs, trace_texts;
	const char *engine, *coverage, *clock, *net, *go_on;
	bool raw, interp, jit, trusted, verdicts, in_order, stop_on_fault;
	uint64_t limit, cpus, seed, trace, repeat, priority;
	bool have_priority, have_seed, have_cpus;
};
extern struct run_opts run_opts;

/* What --interp and --jit ask for. */
enum vm_engine run_engine(void);

/* run_raw() is sluice run --raw; the exit code. */
int run_raw(const struct cli_verb *verb, char **args, int n_args);

/* run_is_capture(): is the file pcap or pcapng? Where a program is wanted, --in was forgotten. */
bool run_is_capture(const char *path);

/* Programs, loaded and joined, on the engine asked for; that engine answers this thread's bpf(2) until
 * run_unload(). */
struct run_loaded {
	struct vm *vm; /* NULL: the kernel */
	struct objects objects;
	struct state *chain; /* of several programs */
	int prog_fd;
	uint32_t ifindex; /* on which packets come in */
};
int run_load(const struct cli_verb *verb, char **specs, size_t n, struct run_loaded *l,
	     struct sluice_err *err);
void run_unload(struct run_loaded *l);

/* run_if_name() is what an interface is called on that engine; to is at least 16 bytes. */
const char *run_if_name(const struct run_loaded *l, uint32_t ifindex, char *to, size_t size);

/* --map NAME=FILE: entries into maps. --dump MAP: out of them; into json unless NULL. */
int run_fill_maps(struct run_loaded *l, struct sluice_err *err);
int run_check_dumps(const struct run_loaded *l, struct sluice_err *err);
int run_dump_maps(const struct run_loaded *l, json_t *json, struct sluice_err *err);

/*
 * Everybody who looks at packets: --out, --verdicts, --expect, --expect-pcap, and faults.
 * run_show_new() opens all files. run_show_end() closes them and adds what was found to json; *bad: something
 * is not as it should be, and was said.
 */
struct run_show;
int run_show_new(const struct cli_verb *verb, const struct run_loaded *l, struct run_show **s,
		 struct sluice_err *err);
struct replay_sink *run_show_sink(struct run_show *s);
int run_show_end(struct run_show *s, const struct replay_stats *stats, json_t *json, bool *bad,
		 struct sluice_err *err);
void run_show_free(struct run_show *s);

/* run_is_input(): is path one of the captures that are read? Writing would empty it first. */
bool run_is_input(const char *path);

#endif
