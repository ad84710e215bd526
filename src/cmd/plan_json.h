/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A plan (control/plan.h) as JSON, all of it. */
#ifndef CMD_PLAN_JSON_H
#define CMD_PLAN_JSON_H

#include "cmd/json.h"
#include "control/plan.h"

/* plan_json() makes an object; NULL without memory. man/sluice-apply.8.scd says what is in it. */
json_t *plan_json(const struct control_plan *plan);

#endif
