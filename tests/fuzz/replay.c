// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* replay DIR...: runs a fuzz target on every file of its corpus and says how many there were. */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/libbpf.h>

#include "fuzz/fuzz.h"

#define INPUT_MAX (1u << 20)

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static int one(const char *path, uint8_t *room)
{
	FILE *f = fopen(path, "re");
	uint8_t *exact;
	size_t len;

	if (!f)
		return -1;
	len = fread(room, 1, INPUT_MAX, f);
	fclose(f);
	/* a copy of just this size, so that a sanitizer sees a read beyond it */
	exact = malloc(len ? len : 1);
	if (!exact)
		return -1;
	memcpy(exact, room, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t *room = malloc(INPUT_MAX);
	char path[4096];
	struct dirent *e;
	unsigned int n = 0;
	int i;
	DIR *d;

	libbpf_set_print(quiet);
	for (i = 1; room && i < argc; i++) {
		d = opendir(argv[i]);
		while (d && (e = readdir(d))) {
			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			if (one(path, room)) {
				fprintf(stderr, "cannot read %s\n", path);
				return 1;
			}
			n++;
		}
		if (d)
			closedir(d);
	}
	free(room);
	printf("%u inputs\n", n);
	return n ? 0 : 1;
}
