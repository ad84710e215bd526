// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * decap-tool attach IF [to=ADDRESS]... [from=ADDRESS/BITS]... [gue=PORT]   the backends' program on an interface
 * decap-tool detach IF
 * decap-tool read IF                                                       its counters that are not 0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/decap.h"

#define MAX 32

static int say(int e, const struct sluice_err *err)
{
	if (e)
		fprintf(stderr, "%s\n", err->text);
	return e ? 1 : 0;
}

static int parse(char **args, int n, struct control_decap_opts *o, struct sluice_err *err)
{
	static struct control_decap_net from[MAX];
	static struct net_addr to[MAX];
	char *slash;
	int e = 0;

	o->to = to;
	o->from = from;
	for (; n && !e; n--, args++) {
		slash = strchr(*args, '/');
		if (!strncmp(*args, "to=", 3) && o->n_to < MAX) {
			e = net_addr_parse(*args + 3, &to[o->n_to++], err);
		} else if (!strncmp(*args, "from=", 5) && slash && o->n_from < MAX) {
			*slash = '\0';
			from[o->n_from].bits = (uint8_t)strtoul(slash + 1, NULL, 10);
			e = net_addr_parse(*args + 5, &from[o->n_from++].addr, err);
		} else if (!strncmp(*args, "gue=", 4)) {
			o->gue_port = (uint16_t)strtoul(*args + 4, NULL, 10);
			o->no_gue = !o->gue_port;
		} else {
			fprintf(stderr, "what is '%s'?\n", *args);
			exit(2);
		}
	}
	return e;
}

int main(int argc, char **argv)
{
	uint64_t counts[DECAP_REASONS];
	struct control_decap_opts o = {0};
	struct sluice_attached got;
	struct sluice_err err;
	unsigned int i;
	int e;

	if (argc > 2 && !strcmp(argv[1], "attach")) {
		e = parse(argv + 3, argc - 3, &o, &err);
		e = e ?: control_decap_attach(argv[2], &o, &got, &err);
		if (!e)
			printf("%s\n", sluice_mode_name(got.mode));
		return say(e, &err);
	}
	if (argc == 3 && !strcmp(argv[1], "detach"))
		return say(control_decap_detach(argv[2], NULL, &err), &err);
	if (argc == 3 && !strcmp(argv[1], "read")) {
		e = control_decap_read(argv[2], counts, &err);
		for (i = 0; i < DECAP_REASONS && !e; i++)
			if (counts[i])
				printf("%s: %llu\n", control_decap_reason(i), (unsigned long long)counts[i]);
		return say(e, &err);
	}
	fprintf(stderr, "usage: see the head of decap_tool.c\n");
	return 2;
}
