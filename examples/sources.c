// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libsluice in a hundred lines: put an XDP counter on an interface, print source address -> packets every second,
 * take it off again.
 *
 *     cc sources.c $(pkg-config --cflags --libs sluice) -o sources
 *     clang -target bpf -g -O2 -c sources.bpf.c -o sources.bpf.o
 *     ./sources eth0 sources.bpf.o [SECONDS]
 */
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sluice/chain.h>
#include <sluice/map.h>
#include <sluice/object.h>

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* One line per source: the key as its BTF type reads, the values of all CPUs added up. */
static int print_sources(struct sluice_map *map, struct sluice_err *err)
{
	struct sluice_type *key_type, *value_type;
	struct sluice_map_iter *it;
	const void *key, *value;
	int more;

	sluice_map_types(map, &key_type, &value_type);
	if (sluice_map_iter_new(map, &it, err))
		return err->code;
	while ((more = sluice_map_iter_next(it, &key, &value, err)) == 1) {
		char *source = NULL, *packets = NULL;

		if (!sluice_type_print(key_type, key, &source, err) && !sluice_map_sum_print(map, value, &packets, err))
			printf("%-15s -> %s packets\n", source, packets);
		free(source);
		free(packets);
	}
	sluice_map_iter_free(it);
	return more;
}

int main(int argc, char **argv)
{
	struct sluice_member member = {.priority = -1, .go_on = -1}; /* as the program says itself */
	struct sluice_object *obj = NULL;
	struct sluice_map *map = NULL;
	struct sluice_attached got;
	struct sluice_err err = {0};
	const char *name = NULL;
	int ifindex, seconds, fd;

	if (argc < 3) {
		fprintf(stderr, "usage: %s IF OBJECT [SECONDS]\n", argv[0]);
		return 2;
	}
	ifindex = (int)if_nametoindex(argv[1]);
	seconds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : -1;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);

	if (sluice_object_open(argv[2], &obj, &err) || sluice_object_program(obj, "count_sources", &member.prog, &err) ||
	    sluice_object_load(obj, &err))
		goto out;
	if (sluice_chain_attach(ifindex, &member, 1, NULL, &got, &err))
		goto out;
	name = got.name[0];
	printf("%s runs on %s in %s mode\n", name, argv[1], sluice_mode_name(got.mode));
	fd = sluice_object_map_fd(obj, "packets", &err);
	if (fd < 0 || sluice_map_open_fd(fd, &map, &err))
		goto out;
	while (!stop && seconds-- != 0) {
		sleep(1);
		printf("--\n");
		if (print_sources(map, &err))
			break;
		fflush(stdout);
	}
out:
	if (name)
		sluice_chain_detach(ifindex, &name, 1, NULL, err.code ? NULL : &err);
	sluice_map_close(map);
	sluice_object_free(obj);
	if (err.code)
		fprintf(stderr, "%s\n", err.text);
	return err.code ? 1 : 0;
}
