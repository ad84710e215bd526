// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice balance: its sub-verbs. */
#include "cmd/balance_run.h"

int verb_balance(int argc, char **argv)
{
	static const struct cli_sub subs[] = {
		{&balance_list_verb, balance_list_run},
		{&balance_show_verb, balance_show_run},
		{&balance_stats_verb, balance_stats_run},
		{&balance_flows_verb, balance_flows_run},
		{&balance_drain_verb, balance_drain_run},
		{&balance_undrain_verb, balance_undrain_run},
		{&balance_set_weight_verb, balance_set_weight_run},
		{&balance_why_verb, balance_why_run},
		{&balance_backend_verb, balance_backend_run},
	};

	return cli_group("balance", "look at the services of the policy in force, drain backends, ask why",
			 subs, sizeof(subs) / sizeof(*subs), argc, argv);
}
