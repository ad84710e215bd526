/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of `sluice top` share: the loop is in verb_top.c, the ways of showing it beside it. */
#ifndef CMD_TOP_RUN_H
#define CMD_TOP_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/chain.h>
#include <sluice/top.h>

#include "net/ifs.h"

struct top_if {
	struct net_if id;
	struct sluice_observer *obs; /* NULL once the interface is gone */
	struct sluice_attached got;
};

struct top_run {
	struct sluice_top_opts opts;
	struct sluice_top *top;
	struct top_if *ifs;
	size_t n_ifs, n_alive;
	uint64_t interval_ns, limit, count; /* count 0: until told to stop */
	enum sluice_top_sort sort;
	char message[512]; /* of an interface that went away; for the screen */
};

/* The name of the interface a row was seen on, "" if unknown. */
const char *top_run_ifname(const struct top_run *run, int ifindex);

/* "eth0 (native), veth1 (generic, gone)"; returns to. */
char *top_run_ifs_text(const struct top_run *run, char *to, size_t size);

/* What is counted by, "prefix/24/64": as --by takes it, with nothing left out; returns to. */
char *top_run_by_text(const struct top_run *run, char *to, size_t size);

/* sluice_top_row_text(), with the interface's name where there is one to say. */
char *top_run_key_text(const struct top_run *run, const struct sluice_top_row *row, char *to, size_t size);

/* Each prints to stdout and returns 0, or -errno when stdout is gone. */
int top_plain_head(const struct top_run *run);
int top_plain_report(const struct top_run *run, const struct sluice_top_report *report);
int top_json_report(const struct top_run *run, const struct sluice_top_report *report);

/*
 * The full screen. open returns -ENOTTY when the terminal cannot do it: then lines it is. top_screen_keys()
 * waits at most wait_ms and handles what was typed; false: the user wants to quit.
 */
struct top_screen;
int top_screen_open(struct top_run *run, struct top_screen **screen);
void top_screen_close(struct top_screen *screen);
bool top_screen_keys(struct top_screen *screen, int wait_ms);
bool top_screen_paused(const struct top_screen *screen);
size_t top_screen_rows_wanted(const struct top_screen *screen);
void top_screen_show(struct top_screen *screen, struct sluice_top_report *report); /* takes the report over */

#endif
