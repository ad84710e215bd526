// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice set: its sub-verbs. */
#include "cmd/set_run.h"

int verb_set(int argc, char **argv)
{
	static const struct cli_sub subs[] = {
		{&set_list_verb, set_list_run},	  {&set_add_verb, set_add_run},
		{&set_del_verb, set_del_run},	  {&set_test_verb, set_test_run},
		{&set_flush_verb, set_flush_run}, {&set_load_verb, set_load_run},
		{&set_save_verb, set_save_run},
	};

	return cli_group("set", "look into the sets of the policy in force, and change them", subs,
			 sizeof(subs) / sizeof(*subs), argc, argv);
}
