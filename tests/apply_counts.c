// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * apply-counts BOX NAME: the packets of rules of that name in what is in force in network namespace BOX, all interfaces.
 * apply-counts BOX lock SECONDS: holds the policy's lock so long; fails at once if somebody has it.
 * apply-counts BOX confirm SECONDS STEP: confirms what is on trial, and waits so long at a step.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/apply.h"
#include "control/counts.h"

static int counts(const struct control_state *st, const char *wanted, struct sluice_err *err)
{
	char name[CONTROL_NAME];
	struct control_counts *c;
	uint64_t sum = 0;
	uint32_t i, k;
	int e = control_state_current(st, name, NULL, err);

	e = e ? e : control_policy_counts(st, name, &c, err);
	if (e)
		return e;
	for (i = 0; i < c->gen->n_parts; i++)
		for (k = 0; k < c->parts[i].n; k++) {
			const char *rule =
				k + 1 < c->parts[i].n ? c->parts[i].filter->stmts[k].name : "default";

			if (rule && !strcmp(rule, wanted))
				sum += c->parts[i].v[k].packets;
		}
	printf("%" PRIu64 "\n", sum);
	control_counts_free(c);
	return 0;
}

struct pause {
	const char *step;
	unsigned int s;
};

static void pause_at(void *ctx, const char *done)
{
	const struct pause *p = ctx;

	if (!strcmp(p->step, done))
		sleep(p->s);
}

static int confirm(struct pause *pause, struct sluice_err *err)
{
	struct control_opts o = {.wait_ns = CONTROL_WAIT_NS, .step = pause_at, .step_ctx = pause};
	struct control_done done;
	int e = control_confirm(&o, &done, err);

	if (!e && done.warned.code)
		fprintf(stderr, "%s\n", done.warned.text);
	return e;
}

int main(int argc, char **argv)
{
	struct sluice_err err = {0};
	struct control_state *st;
	char path[256];
	int fd, e;

	if (argc < 3)
		return 2;
	snprintf(path, sizeof(path), "/run/netns/%s", argv[1]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		return 2;
	close(fd);
	if (argc > 4) {
		e = confirm(&(struct pause){argv[4], (unsigned int)strtoul(argv[3], NULL, 10)}, &err);
		if (e)
			fprintf(stderr, "%s\n", err.text);
		return e != 0;
	}
	e = control_state_open(NULL, true, &st, &err);
	if (!e && argc > 3) {
		e = control_state_lock(st, 0, &err);
		if (!e)
			sleep((unsigned int)strtoul(argv[3], NULL, 10));
	} else if (!e) {
		e = counts(st, argv[2], &err);
	}
	if (e)
		fprintf(stderr, "%s\n", err.text);
	control_state_close(st);
	return e != 0;
}
