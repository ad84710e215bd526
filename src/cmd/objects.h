/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What attach and replace share: OBJ[:PROG] arguments into loaded objects, with --set, --map and --pin applied. */
#ifndef CMD_OBJECTS_H
#define CMD_OBJECTS_H

#include <sluice/chain.h>
#include <sluice/object.h>

#include "cmd/cli.h"

struct objects_opts {
	struct opt_list set;  /* NAME=VALUE */
	struct opt_list maps; /* NAME=PIN */
	const char *pin;      /* folder, NULL: none */
	int device;	      /* interface to load for (offload), 0: none */
	/* called between opening and loading, may be NULL */
	int (*prepare)(struct sluice_object *obj, void *arg, struct sluice_err *err);
	void *prepare_arg;
};

struct objects {
	struct sluice_object *obj[SLUICE_CHAIN_MAX];
	struct sluice_member member[SLUICE_CHAIN_MAX];
	size_t n;
	char pinned[256]; /* folder made for --pin, "" if none */
};

/* objects_load() opens and loads each argument. On failure with -v the whole verifier log went to stderr. */
int objects_load(struct objects *o, char **specs, size_t n, const struct objects_opts *opts, struct sluice_err *err);
/* objects_free(); with undo, what --pin pinned goes too. */
void objects_free(struct objects *o, bool undo);

/* The options themselves, for a verb's table. */
#define OBJECTS_OPTIONS(o)                                                                                            \
	{.name = "set", .letter = 's', .kind = OPT_LIST, .arg = "NAME=VALUE", .to = &(o).set,                         \
	 .help = "write a global variable before loading, by its type"},                                              \
	{.name = "map", .letter = 'M', .kind = OPT_LIST, .arg = "NAME=PIN", .to = &(o).maps,                           \
	 .help = "use a map that is pinned already"},                                                                 \
	{.name = "pin", .kind = OPT_TEXT, .arg = "DIR", .to = &(o).pin,                                                 \
	 .help = "pin the object's maps in DIR (relative: below the bpffs)"}

#endif
