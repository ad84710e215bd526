/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `sluice balance list` and `show` print alike. */
#ifndef CMD_BALANCE_SHOW_H
#define CMD_BALANCE_SHOW_H

#include "cmd/balance_run.h"

/* --file, of both: NULL what is in force. */
extern const char *balance_file;
extern const struct cli_opt balance_file_opts[];

struct balance_states {
	uint32_t up, draining, down;
};
struct balance_states balance_states_of(const struct balance_service *s);

/* The line above all: "# policy 7-0f3a..., on trial for 5s more", or the file; and JSON in its place, around value. */
void balance_head(const struct balance_run *run, const char *file);
json_t *balance_head_json(const struct balance_run *run, const char *file, const char *key, json_t *value);

/* A service without its backends. */
json_t *balance_service_json(const struct balance_run *run, uint32_t nr);

#endif
