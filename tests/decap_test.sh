#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The backends' program: packets byte by byte and reason by reason, on the interpreter, the JIT and in the kernel.
. "$(dirname "$0")/lib.sh"

check() { timeout 120 "$BUILD/tests/decap-check" "$@"; }
in_kernel() {
	if [ "$(id -u)" = 0 ]; then
		case_ "$@"
	else
		skip "$1" "needs root"
	fi
}

case_ "packets in words, cut off, damaged; interpreted" check interp "${SEED:-1}" 20000
case_ "the same, compiled to machine code" check jit "${SEED:-2}" 50000
in_kernel "the same, in the kernel" check kernel "${SEED:-3}" 20000

# ---- on an interface: h1's eth0 has 198.18.1.2 and 2001:db8:1::2

[ "$(id -u)" = 0 ] || { skip "on an interface" "needs root"; done_; }
L=decap$$
on_exit '"$SLUICE" lab down $L >/dev/null 2>&1'
"$SLUICE" lab up --name $L --hosts 1 >/dev/null || { echo "Bail out! no lab"; exit 1; }
h1() { "$SLUICE" lab run --lab $L h1 -- "$@"; }
tool() { h1 "$BUILD/tests/decap-tool" "$@"; }
same() { [ "$1" = "$2" ] || { printf 'wanted:\n%s\ngot:\n%s\n' "$1" "$2"; return 1; }; }
members() { h1 "$SLUICE" list -j | jq -c '[.[] | select(.interface == "eth0") | .members[]? | [.name, .owner, .priority]]'; }

attaches() {
	same native "$(tool attach eth0)" && same '[["decap","sluice-decap",5]]' "$(members)" || return 1
	h1 ping -c 3 -i 0.01 -W 2 198.18.1.1 >/dev/null && tool read eth0 >counts || return 1
	n=$(sed -n 's/^no tunnel: //p' counts) && [ "$n" -ge 3 ] && same "no tunnel: $n" "$(cat counts)"
}
again() { # another one in its place: counters go on
	n=$(tool read eth0 | sed -n 's/^no tunnel: //p')
	same native "$(tool attach eth0 to=198.18.1.2 from=198.18.1.1/32 gue=7000)" && same '[["decap","sluice-decap",5]]' "$(members)" || return 1
	now=$(tool read eth0 | sed -n 's/^no tunnel: //p')
	[ "$now" -ge "$n" ] || { echo "$n, then $now"; return 1; }
}
beside() { # others stay
	bpf_cc pass.o <<-'C' || return 1
		#include <linux/bpf.h>
		#include <bpf/bpf_helpers.h>
		SEC("xdp.frags") int other(struct xdp_md *ctx) { return XDP_PASS; }
		char _license[] SEC("license") = "GPL";
	C
	h1 "$SLUICE" attach eth0 "$T/pass.o" >/dev/null && tool attach eth0 >/dev/null &&
		same '[["decap","sluice-decap",5],["other","",50]]' "$(members)" &&
		tool detach eth0 && same '[["other","",50]]' "$(members)" && h1 "$SLUICE" detach eth0 other >/dev/null && same '[]' "$(members)"
}
wrong() {
	expect_fail 1 '^eth0: no program takes packets out of tunnels there$' tool detach eth0 &&
		expect_fail 1 '^eth0: no program takes packets out of tunnels there$' tool read eth0 &&
		expect_fail 1 '^lo has no address that tunnels could end at; give it one, or name one of this host.s$' tool attach lo &&
		expect_fail 1 '^eth9: no such interface$' tool attach eth9 &&
		expect_fail 1 '^0\.0\.0\.0: no tunnel ends at such an address; name one of this host.s own$' tool attach eth0 to=0.0.0.0 &&
		expect_fail 1 '^ff02::1: no tunnel ends at such an address; name one of this host.s own$' tool attach eth0 to=ff02::1 &&
		expect_fail 1 '^10\.0\.0\.1/8: bits beyond the prefix must be 0$' tool attach eth0 from=10.0.0.1/8 &&
		expect_fail 1 '^10\.0\.0\.0/33: the prefix has more bits than the address$' tool attach eth0 from=10.0.0.0/33 || return 1
	many=
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do many="$many to=10.0.0.$i"; done
	# shellcheck disable=SC2086
	expect_fail 1 '^more than 16 IPv4 addresses where tunnels end; name those that are needed$' tool attach eth0 $many &&
		same '[]' "$(members)"
}
cd "$T" || exit 1
case_ "attached, it counts" attaches
case_ "another one in its place" again
case_ "beside other programs, and off again" beside
case_ "mistakes, word for word" wrong
done_
