// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a chain costs: one program alone, in a chain, four in a chain, and four by tail calls, all in one run.
 * Programs are run by BPF_PROG_TEST_RUN on one packet, so what is measured is the chain and nothing else.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <sluice/chain.h>

#include "bench/bench.h"

#define ROUNDS 9
#define REPEAT 2000000u

static struct sluice_object *open_object(const char *path, const char *prog, struct sluice_program **p)
{
	struct sluice_err err = {0};
	struct sluice_object *obj;

	if (sluice_object_open(path, &obj, &err) || sluice_object_program(obj, prog, p, &err) ||
	    sluice_object_load(obj, &err))
		die("%s", err.text);
	return obj;
}

/* n times prog on the interface; returns the descriptor of the joined program. */
static int chain(int ifindex, struct sluice_program *prog, size_t n)
{
	struct sluice_member m[SLUICE_CHAIN_MAX];
	struct sluice_attached got;
	struct sluice_err err = {0};
	int fd;
	size_t i;

	for (i = 0; i < n; i++)
		m[i] = (struct sluice_member){.prog = prog, .priority = -1, .go_on = -1};
	if (sluice_chain_attach(ifindex, m, n, NULL, &got, &err))
		die("%s", err.text);
	fd = bpf_prog_get_fd_by_id(got.prog_id);
	if (fd < 0 || sluice_chain_detach(ifindex, NULL, 0, NULL, &err))
		die("%s", err.text);
	return fd;
}

int main(int argc, char **argv)
{
	enum { BARE, ONE, FOUR, TAIL, PARSE, PARSE4, N };
	static const char *const name[N] = {"one program alone", "one in a chain", "four in a chain", "four by tail calls",
					    "parsing program alone", "four parsing programs in a chain"};
	struct sluice_program *pass, *tail, *parse;
	double ns[N][ROUNDS], median[N];
	struct sluice_object *o1, *o2, *o3;
	uint8_t packet[64];
	int fd[N], i, r, ifindex;
	char path[512];

	if (argc != 3)
		die("usage: bench-chain FOLDER-OF-OBJECTS INTERFACE");
	ifindex = (int)if_nametoindex(argv[2]);
	bench_packet(packet, sizeof(packet));
	snprintf(path, sizeof(path), "%s/pass.bpf.o", argv[1]);
	o1 = open_object(path, "pass", &pass);
	o2 = open_object(path, "tail1", &tail);
	snprintf(path, sizeof(path), "%s/parse.bpf.o", argv[1]);
	o3 = open_object(path, "parse", &parse);
	fd[BARE] = sluice_program_fd(pass);
	fd[TAIL] = sluice_program_fd(tail);
	fd[PARSE] = sluice_program_fd(parse);
	fd[ONE] = chain(ifindex, pass, 1);
	fd[FOUR] = chain(ifindex, pass, 4);
	fd[PARSE4] = chain(ifindex, parse, 4);
	bench_pin(0);
	for (r = 0; r < ROUNDS; r++)
		for (i = 0; i < N; i++)
			ns[i][r] = bench_run_ns(fd[i], packet, sizeof(packet), REPEAT);
	for (i = 0; i < N; i++) {
		median[i] = bench_median(ns[i], ROUNDS);
		printf("%-34s %6.1f ns a run (%.0f to %.0f)\n", name[i], median[i], ns[i][0], ns[i][ROUNDS - 1]);
	}
	bench_note("chain_of_1_over_alone", median[ONE] - median[BARE], "ns");
	bench_figure("chain_of_4_over_alone", median[FOUR] - median[BARE], "ns", "<=", 20);
	bench_figure("chain_of_4_over_4_tail_calls", median[FOUR] / median[TAIL], "ratio", "<=", 1);
	bench_figure("chain_of_4_parsers_over_alone", median[PARSE4] - median[PARSE], "ns", "<=", 20);
	sluice_object_free(o1);
	sluice_object_free(o2);
	sluice_object_free(o3);
	return 0;
}
