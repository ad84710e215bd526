// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice map: its sub-verbs. */
#include "cmd/cli.h"
#include "cmd/map_run.h"

int verb_map(int argc, char **argv);

int verb_map(int argc, char **argv)
{
	static const struct cli_sub subs[] = {
		{&map_list_verb, map_list_run},
		{&map_show_verb, map_show_run},
		{&map_dump_verb, map_dump_run},
		{&map_get_verb, map_get_run},
		{&map_set_verb, map_set_run},
		{&map_del_verb, map_del_run},
		{&map_watch_verb, map_watch_run},
	};

	return cli_group("map", "look into maps and change them, typed", subs, sizeof(subs) / sizeof(*subs),
		argc, argv);
}
