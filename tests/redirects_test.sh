#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Interfaces that rules redirect to: they go, come back as others, and some take no packets.
#
#     h1 (198.18.1.2) eth0 ---- to1 (198.18.1.1) box, d0 ---- d1
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
need_root
command -v jq >/dev/null || skip_all "jq is not here"
leaks_before
policy_lab --hosts 1

target() { # d0, and d1 at its other end
	box ip link add d0 type veth peer name d1 && box ip link set d1 up && box ethtool -K d1 gro on && box ip link set d0 up
}
came() { box ip -j -s link show d1 | jq '.[0].stats64.rx.packets'; }
more() { [ $(($(came) - before)) = "$1" ]; }
arrives() { # PACKETS at d1
	before=$(came) && packets 5 && { [ "$1" = 0 ] && sleep 0.3 || wait_until 5 more "$1"; } && more "$1"
}
lost() { # STATE WORDS: what status says of d0
	sl status >"$T/out" && { cat "$T/out"; return 1; }
	sl status -j | jq -e --arg s "$1" '.lost_redirects == [{interface: "d0", ifindex: .lost_redirects[0].ifindex, state: $s}]' && grep -qE "^  d0  .*LOST: .* the interface $2\$" "$T/out"
}
redirected() {
	policy r.conf 'filter on to1 {
	redirect to d0 icmp
}'
	box sysctl -qw net.ipv6.conf.default.disable_ipv6=1 && target && sl apply "$T/r.conf" >"$T/out" 2>&1 && ! grep -q 'takes no' "$T/out" && arrives 5 &&
		sl status >/dev/null || { cat "$T/out"; return 1; }
	box ip link del d0 && lost gone 'is gone' && expect_fail 3 'redirects to d0: there is no such interface' sl apply "$T/r.conf" || return 1
	target && arrives 0 && lost made_anew 'was made anew; sluice restore' && sl apply "$T/r.conf" >"$T/out" 2>&1 && arrives 5 && sl status >/dev/null || { cat "$T/out"; return 1; }
	grep -qx 'd0: was made anew, rules redirect to it again' "$T/out" && sl apply "$T/r.conf" | grep -q '^nothing to do' || return 1
	box ip link del d0 && target && sl restore >/dev/null && arrives 5 && sl restore | grep -q 'in force on all its interfaces already' || return 1
	policy r2.conf 'filter on to1 {
	count udp
}'
	sl apply "$T/r2.conf" >/dev/null && box ip link del d0 && target && sl rollback >/dev/null && arrives 5 && sl status >/dev/null
}
case_ "an interface that rules redirect to is made anew" redirected
deaf() { # one that takes no redirected packets: its other end was switched on after it, and GRO on while it was off
	box ip link del d0 && sl down && box ip link add d0 type veth peer name d1 && box ip link set d0 up && box ethtool -K d1 gro on && box ip link set d1 up || return 1
	sl apply "$T/r.conf" >"$T/out" 2>&1 && grep -q "/r.conf:2: d0 takes no packets that are redirected to it, so these are lost; a veth does if .* set d0 down and up again" "$T/out" && arrives 0 || { cat "$T/out"; return 1; }
	box sh -c 'ip link set d0 down && ip link set d0 up' && arrives 5 && sl apply "$T/r2.conf" >/dev/null && sl apply "$T/r.conf" >"$T/out" 2>&1 && ! grep -q 'takes no' "$T/out"
}
case_ "an interface that takes no redirected packets is told" deaf
unsummed() { # what begins at the other end of a veth has no checksums: TCP is dropped behind another CPU, and that is told before
	policy cpu.conf 'filter on to1 {
	cpu 0 tcp to port 7777
}'
	policy generic.conf "interface to1 { mode generic }
$(cat "$T/cpu.conf")"
	serve="import socket; s = socket.create_server(('198.18.1.1', 7777)); s.settimeout(30); s.accept()"
	box python3 -c "$serve" &
	server=$!
	h1 ethtool -K eth0 tx on >/dev/null && sl down >/dev/null && sl apply "$T/cpu.conf" >/dev/null 2>"$T/err" &&
		grep -q '/cpu.conf:2: to1 is a veth: packets that begin at its other end are lost when they are sent to another CPU, since .*; ethtool -K eth0 tx off there$' "$T/err" || { cat "$T/err"; return 1; }
	asks() { h1 python3 -c "import socket; socket.create_connection(('198.18.1.1', 7777), 2)" 2>"$T/err"; }
	asks && { echo "it is not lost"; return 1; }
	h1 ethtool -K eth0 tx off >/dev/null && wait_until 5 asks && wait $server && sl apply "$T/r2.conf" >/dev/null && sl apply "$T/cpu.conf" >"$T/out" 2>&1 &&
		! grep -q 'is a veth' "$T/out" && h1 ethtool -K eth0 tx on >/dev/null && sl down >/dev/null && sl apply "$T/generic.conf" >"$T/out" 2>&1 &&
		grep -q '/generic.conf:3: to1 is a veth' "$T/out" || return 1
	grep -q '/generic.conf:3: to1 is in generic mode, in which the kernel loses packets that are sent to another CPU' "$T/out" || return 1
	box python3 -c "$serve" &
	server=$!
	h1 ethtool -K eth0 tx off >/dev/null && asks && echo "generic mode loses none on this kernel"
	kill $server 2>/dev/null
	wait $server
	sl down >/dev/null
}
if command -v python3 >/dev/null; then case_ "packets without checksums that go to other CPUs are told" unsummed; else skip "packets without checksums" "no python3"; fi
box ip link del d0

forget
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
rm -f /run/sluice/net"$netns"_*.lock
case_ "nothing is left: programs, maps, links, pins" leaks_after
done_
