/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What sluice doctor finds: a list of lines, filled by one file for the machine and one for interfaces. */
#ifndef CMD_DOCTOR_H
#define CMD_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sluice/err.h>

#include "net/ifs.h"

enum level {
	LEVEL_OK,
	LEVEL_UNKNOWN, /* could not tell, and why */
	LEVEL_WARNING, /* works, but not as it could */
	LEVEL_ERROR,   /* something will fail */
};

struct finding {
	enum level level;
	char ifname[16]; /* "" for the machine */
	char check[24];	 /* what was looked at */
	char text[400];	 /* what was found, and what it means */
	char fix[200];	 /* a command that mends it, "" if there is none */
};

struct findings {
	struct finding *item;
	size_t n, cap;
	bool failed; /* out of memory: a line is missing */
};

/* doctor_say() appends a line; doctor_fix() gives the last one its command, doctor_fix_then() one more behind it. */
void doctor_say(struct findings *f, enum level level, const char *ifname, const char *check, const char *fmt,
		...) __attribute__((format(printf, 5, 6)));
void doctor_fix(struct findings *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doctor_fix_then(struct findings *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void doctor_machine(struct findings *f);

/* doctor_interface() fails only with -ENODEV, when the interface has gone meanwhile, and -ENOMEM. */
int doctor_interface(struct findings *f, const struct net_if *nif, struct sluice_err *err);

#endif
