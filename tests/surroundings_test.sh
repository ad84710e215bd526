#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What a process may find itself in: with few capabilities, with descriptors closed,
# with signals ignored.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
need_root
leaks_before
lab_start

prog pass 2

# CAPS CMD...: run in the box with these capabilities alone
with() {
	caps=$1
	shift
	box setpriv --bounding-set="-all$caps" --inh-caps=-all -- "$@"
}
BPF=,+bpf,+net_admin,+perfmon

traffic() { with $BPF "$SLUICE" traffic to1 udp --dst 198.18.1.2 --dst-mac 02:00:00:00:00:01 --count 1000 --json >"$T/json" &&
	grep -q '"sent":1000[,}]' "$T/json" || { cat "$T/json"; return 1; }; }
by_number() {
	expect_fail 4 'opening .* by its number needs a privilege that is missing: CAP_SYS_ADMIN; run it as root' \
		with $BPF "$SLUICE" attach to1 "$T/pass.o" && empty to1
}
# libbpf stops at the function, before it creates the map; whether the kernel knows devmaps takes CAP_NET_ADMIN
not_the_map() {
	bpf_cc "$T/extern.o" <<'END' || return 1
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_DEVMAP); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); } ports SEC(".maps");
extern int no_such_function(int) __ksym;
SEC("xdp") int out(struct xdp_md *ctx) { return bpf_redirect_map(&ports, 0, 0) + no_such_function(0); }
char _license[] SEC("license") = "GPL";
END
	for caps in ,+bpf,+perfmon ,+all; do
		expect_fail 4 "extern.o: cannot be loaded: .*'no_such_function'" with $caps "$SLUICE" attach to1 "$T/extern.o" || return 1
	done
}
fresh "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON load a program" traffic
fresh "attaching needs CAP_SYS_ADMIN too, and says what for" by_number
fresh "a map that could not be tried is not called unknown" not_the_map

# the library by itself, under a program that leaves its standard descriptors closed
library() {
	cat >"$T/closed.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sluice/object.h>
int main(int argc, char **argv)
{
	FILE *said = fopen(argv[2], "w");
	struct sluice_err err = {0};
	struct sluice_object *obj;
	struct sluice_program *prog;
	int i, e;

	(void)argc;
	for (i = 0; i < 3; i++)
		close(i);
	e = sluice_object_open(argv[1], &obj, &err);
	if (!e)
		e = sluice_object_program(obj, NULL, &prog, &err);
	if (!e)
		e = sluice_object_load(obj, &err);
	fprintf(said, "%d %s\n", e, e ? err.text : "");
	sluice_object_free(obj);
	return e ? 1 : 0;
}
END
	cc -I"$SRC/include" "$T/closed.c" -o "$T/closed" -L"$BUILD/src" -lsluice -Wl,-rpath,"$BUILD/src" &&
		"$T/closed" "$T/pass.o" "$T/said" || { cat "$T/said"; return 1; }
}
# nothing that is printed goes into a map or a program; that it went nowhere is a failure all the same (cli_test.sh)
closed() {
	sl attach to1 "$T/pass.o" <&- && packets 3 && runs_are to1 pass 3 && sl detach to1 --all <&- && empty to1 || return 1
	box sh -c "exec '$SLUICE' attach to1 '$T/pass.o' <&- >&- 2>&-"
	[ $? = 1 ] && packets 4 && answered 4 && runs_are to1 pass 4 || return 1
	box sh -c "exec '$SLUICE' detach to1 --all <&- >&- 2>&-"
	[ $? = 1 ] && empty to1
}
case $(ldd "$BUILD/src/libsluice.so.0") in
*asan*) skip "the library loads with descriptors 0, 1 and 2 closed" "a library built with the sanitizers needs them in the program" ;;
*) fresh "the library loads with descriptors 0, 1 and 2 closed" library ;;
esac
fresh "attach and detach with stdin, stdout and stderr closed" closed

# SIGNAL WANTED: what becomes of a generator that was started with SIGHUP and SIGINT ignored
ignored() {
	(
		trap '' HUP INT
		exec nsenter --net="/run/netns/sluice-$LAB-box" "$SLUICE" traffic to1 udp --dst 198.18.1.2 \
			--dst-mac 02:00:00:00:00:01 --pps 100 --duration 1500ms --json >"$T/json"
	) &
	pid=$!
	wait_until 5 holds_program || return 1
	kill -"$1" $pid
	wait $pid && grep -q "\"ended\":\"$2\"" "$T/json" || { cat "$T/json"; return 1; }
}
holds_program() { grep -q '^prog_id' /proc/$pid/fdinfo/*; }
fresh "SIGHUP under nohup does not end it" ignored HUP duration
fresh "SIGINT to a background job does not end it" ignored INT duration
fresh "SIGTERM does" ignored TERM signal

"$SLUICE" lab down "$LAB" >/dev/null
case_ "nothing is left behind" leaks_after
done_
