// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * foreign_link IF NETNS...: loads a program that passes everything and links it to the interface of that name in each
 * network namespace (a path), as an agent of somebody else would; says "linked" and holds the links until it is ended.
 */
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

int main(int argc, char **argv)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);
	struct bpf_insn insns[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 2}, {.code = BPF_JMP | BPF_EXIT}};
	int prog, ns, i;

	prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "GPL", insns, 2, &opts);
	if (argc < 3 || prog < 0)
		return 2;
	for (i = 2; i < argc; i++) {
		ns = open(argv[i], O_RDONLY | O_CLOEXEC);
		if (ns < 0 || setns(ns, CLONE_NEWNET))
			return 3;
		if (bpf_link_create(prog, (int)if_nametoindex(argv[1]), BPF_XDP, NULL) < 0) {
			perror(argv[i]);
			return 4;
		}
		close(ns);
	}
	puts("linked");
	fflush(stdout);
	pause();
	return 0;
}
