#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What a process may find itself in: with few capabilities.
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
fresh "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON load a program" traffic
fresh "attaching needs CAP_SYS_ADMIN too, and says what for" by_number

"$SLUICE" lab down "$LAB" >/dev/null
case_ "nothing is left behind" leaks_after
done_
