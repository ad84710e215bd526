// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * observe-tool IF OBJ PIN: observes an interface with the one program of an object, whose map "seen" is pinned as PIN.
 * Each line on stdin is one order: "check" mends the observer, "quit" closes it. Each gets one line in return:
 * "ok" or the sentence that went wrong. The first line is that of opening.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <bpf/bpf.h>
#include <sluice/chain.h>

static struct sluice_err err;

static int say(int e)
{
	printf("%s\n", e ? err.text : "ok");
	fflush(stdout);
	return e;
}

static int load(const char *path, struct sluice_object **obj, struct sluice_program **prog, bool frags, int share)
{
	int e = sluice_object_open(path, obj, &err);

	if (!e)
		e = sluice_object_program(*obj, NULL, prog, &err);
	if (!e)
		sluice_program_set_frags(*prog, frags);
	if (!e && share >= 0)
		e = sluice_object_share_map(*obj, "seen", share, &err);
	return e ? e : sluice_object_load(*obj, &err);
}

int main(int argc, char **argv)
{
	struct sluice_object *obj[2] = {NULL, NULL};
	struct sluice_program *prog[2];
	struct sluice_observer *obs = NULL;
	char line[64];
	int e, map;

	if (argc != 4)
		return 2;
	e = load(argv[2], &obj[0], &prog[0], false, -1);
	map = e ? -1 : sluice_object_map_fd(obj[0], "seen", &err);
	if (!e)
		e = load(argv[2], &obj[1], &prog[1], true, map);
	if (!e && bpf_obj_pin(map, argv[3])) {
		snprintf(err.text, sizeof(err.text), "cannot pin as %s", argv[3]);
		e = -1;
	}
	if (!e)
		e = sluice_observer_open((int)if_nametoindex(argv[1]), prog[0], prog[1], NULL, &obs, NULL, &err);
	if (say(e))
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "check\n"))
			say(sluice_observer_check(obs, &err));
		else
			break;
	}
	sluice_observer_close(obs);
	sluice_object_free(obj[0]);
	sluice_object_free(obj[1]);
	say(0);
	return 0;
}
