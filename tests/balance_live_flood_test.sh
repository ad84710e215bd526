#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A flood of SYNs from forged sources beside 10,000 established connections, whose slots have changed, so that the flow table
# alone knows where they belong. CONNECTIONS=N: another number of them.
#
#     h1 clients, flood ── to1 box (the balancer on to1) ┬ to2 ── h2 ┐
#                                                        ├ to3 ── h3 ├ backends, decap on eth0
#                                                        └ to4 ── h4 ┘
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/policy_lab.sh"
. "$SRC/tests/balance_live.sh"
need_root
: "${CONNECTIONS:=10000}"
live_lab 4
policy_ends sluice-$LIVE-box

apply() { # BACKENDS
	cat >"$T/web.conf" <<-X
	balance web on to1 {
		virtual $VIP4 tcp port 80
		forward ipip
		backend { $1 }
	}
	X
	inns box "$SLUICE" apply "$T/web.conf" >"$T/applied" 2>&1 || { cat "$T/applied"; return 1; }
}
listens() { inns "$1" ss -Hltn 'sport = :80' | grep -q .; }
network() {
	for b in 2 3 4; do
		# what forged sources are answered goes nowhere, and nobody answers that in turn
		inns h$b sh -c "ip addr add $VIP4/32 dev lo; ip route add blackhole 172.16.0.0/12; echo 1 >/proc/sys/net/ipv4/tcp_syncookies"
		inns h$b "$BUILD/tests/decap-tool" attach eth0 >/dev/null || return 1
		serve h$b "$TALK" serve 80 h$b
	done
	for b in 2 3 4; do
		wait_until 10 listens h$b || return 1
	done
	apply "10.9.2.2, 10.9.3.2"
}
unbroken() { awk '$1 != "." && $5 { print; e = 1 } END { exit e }' "$T/a"; }
say() { echo "$*:"; cat "$T/a"; sort "$T/t.err" | uniq -c; inns box "$SLUICE" balance stats -1; return 1; }
many() {
	begin t h1 "$TALK" tcp $VIP4 80 100 2000
	PATIENCE=60 ask t "more $CONNECTIONS" >"$T/a" && [ "$(sum whole <"$T/a")" = "$CONNECTIONS" ] || say opened
}
changed() { # a third of the slots changes; every connection has been heard of since
	apply "10.9.2.2, 10.9.3.2, 10.9.4.2" && ask t round >"$T/a" && unbroken && [ "$(sum whole h4 <"$T/a")" = 0 ] || say changed
}
flood() {
	opened=$(opened)
	inns h1 timeout 60 "$SLUICE" traffic eth0 tcp --random --src 172.16.0.0/12 --sport 1024-65535 --dst $VIP4 --dport 80 --flags syn --pps 50k --duration 6s --force >"$T/flood" 2>&1 &
	flood=$!
	ask t round >"$T/a" && unbroken && ask t round >"$T/a" && unbroken || say flooded || return 1
	wait $flood || { cat "$T/flood"; return 1; }
	opened=$(($(opened) - opened))
	echo "$opened SYNs of the flood"
	[ $opened -gt 100000 ]
}
opened() { inns box "$SLUICE" balance stats -1 -j | jq '[.services[].total.new] | add'; }
after() {
	ask t round >"$T/a" && unbroken && [ "$(sum whole <"$T/a")" = "$CONNECTIONS" ] && cat "$T/a" && quiet_errors h1 h2 h3 h4 || say after
}
known() { # it was the flow table that knew them
	n=$(inns box "$SLUICE" balance stats -1 -j | jq '[.services[].total.table] | add')
	[ "$n" -gt $((CONNECTIONS / 3)) ] || { echo "$n packets"; return 1; }
}

cd "$T" || exit 1
case_ "the network" network
case_ "$CONNECTIONS connections" many
case_ "a backend comes, every connection stays" changed
case_ "a flood of SYNs breaks none of them" flood
case_ "nor is one broken after it" after
case_ "the flow table knew them" known
stop t
done_
