#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The daemon beside `apply`, with connections that stay open: killed in a loop, trials, rollback, sets. Lab: balance_live.sh.
#
#     h1 clients ── to1 box (balancer, sluice serve) ─┬─ to2 ── h2 ┐ backends: the virtual address on lo,
#                                                     └─ to3 ── h3 ┘ decap on eth0
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/balance_live.sh"
need_root
live_lab 3
B2=10.9.2.2 B3=10.9.3.2
sl() { inns box "$SLUICE" "$@"; }
netns=$(inns box stat -Lc %i /proc/self/ns/net)
# shellcheck disable=SC2154 # netns is above
on_exit 'sl down --force >/dev/null 2>&1; rm -rf "/run/sluice/policy-net$netns" "/var/lib/sluice/policy/netns-sluice-$LIVE-box" "/sys/fs/bpf/sluice/net${netns}_policy"'
conf() { # NAME MORE BACKENDS...
	conf=$1 more=$2
	shift 2
	cat >"$T/$conf.conf" <<-X
	balance web on to1 {
		virtual $VIP4 tcp port 80
		forward ipip
		backend { $(echo "$*" | sed 's/ /, /g') }
		check tcp port 81 every 500ms timeout 200ms rise 2 fall 2
	}
	$more
	X
}
daemon() {
	nsenter --net="/run/netns/sluice-$LIVE-box" "$SLUICE" serve -v 2>>"$T/said" &
	daemon=$!
	on_exit "kill -9 $daemon 2>/dev/null"
}
says() { wait_until "$1" grep -qE -e "^sluice serve: $2\$" "$T/said" || { cat "$T/said"; return 1; }; }
says_not() { ! grep -E -e "$1" "$T/said"; }
quiet() { : >"$T/said"; }
state() { sl balance list --json | jq -r '.. | objects | select(has("address")) | "\(.address) \(.health // .state)"' | sort -u; }
state_is() { [ "$(state)" = "$1" ]; }
wait_state() { wait_until "$1" state_is "$2" || { printf 'wanted:\n%s\ngot:\n' "$2"; state; return 1; }; }
all() { # connections: nothing broken
	ask t4 "$1" >"$T/a" || return 1
	[ "$(sum broken <"$T/a")" = 0 ] || { cat "$T/a"; return 1; }
}
checked() { # HOST: what checks ask; $checks is its pid
	nsenter --net="/run/netns/sluice-$LIVE-$1" "$BUILD/tests/health-hostile" accept 81 >/dev/null 2>&1 &
	checks=$!
	on_exit "kill $checks 2>/dev/null"
	wait_until 5 inns "$1" sh -c "ss -Hltn 'sport = :81' | grep -q ."
}

network() {
	passing h1 eth0 || return 1
	for host in h2 h3; do
		inns $host ip addr add $VIP4/32 dev lo
		inns $host "$BUILD/tests/decap-tool" attach eth0 >/dev/null || return 1
		serve $host "$TALK" serve 80 $host
		wait_until 5 inns $host sh -c "ss -Hltn 'sport = :80' | grep -q ." || return 1
	done
	checked h2; c2=$checks
	checked h3; c3=$checks
	conf both "" $B2 $B3
	sl apply "$T/both.conf" >"$T/apply" 2>&1 || { cat "$T/apply"; return 1; }
	daemon
	says 5 "service web, $B2 is up: connected" && says 5 "service web, $B3 is up: connected" || return 1
	begin t4 h1 "$TALK" tcp $VIP4 80 700 20
	all "more 200" && [ "$(sum whole <"$T/a")" = 200 ] && [ "$(sum whole h2 <"$T/a")" -gt 60 ] && [ "$(sum whole h3 <"$T/a")" -gt 60 ] || { cat "$T/a"; return 1; }
	sl balance list --json >"$T/list"
}
case_ "two backends, 200 connections" network
killing() { # while they send all the time
	i=0
	while [ $i -lt 20 ]; do
		kill -9 $daemon
		wait $daemon 2>/dev/null
		daemon
		sleep 0.$((i % 7 * 11 + 10))
		i=$((i + 1))
	done
	all round && all "more 20" && [ "$(sum whole <"$T/a")" = 220 ]
}
case_ "killed 20 times: no connection is" killing
down() { # its checks fail, its server goes on: the flows of others stay, new ones go elsewhere
	before=$(sum whole h3 <"$T/a")
	kill $c2
	says 3 "service web, $B2 is down: connection refused" || return 1
	ask t4 round >"$T/a"
	ask t4 "more 20" >"$T/a"
	[ "$(sum whole h3 <"$T/a")" -ge $((before + 20)) ] && [ "$(sum broken h3 <"$T/a")" = 0 ] || { cat "$T/a"; return 1; }
}
case_ "one is down: connections to the other stay" down
up() {
	quiet
	checked h2; c2=$checks
	says 4 "service web, $B2 is up: connected" || return 1
	stop t4
	begin t4 h1 "$TALK" tcp $VIP4 80 700 20
	all "more 100" && [ "$(sum whole h2 <"$T/a")" -gt 25 ] || { cat "$T/a"; return 1; }
}
case_ "up again: it gets new ones" up
trial() { # with a third one that is not there: followed while it is on trial, and when it is taken back
	conf three "" $B2 $B3 10.9.2.77
	quiet
	sl apply --confirm 4s "$T/three.conf" >"$T/apply" 2>&1 || { cat "$T/apply"; return 1; }
	grep -q "1 backend out of reach: backend 10.9.2.77 cannot be reached: 10.9.2.77 does not answer on to2" "$T/apply" || { cat "$T/apply"; return 1; }
	says 2 "policy [^ ]*: 1 services, 3 of 3 backends checked" && says 3 "service web, 10.9.2.77 is down: .*" || return 1
	quiet
	kill $c3 # what is said meanwhile stays when the trial is over
	says 3 "service web, $B3 is down: connection refused" || return 1
	says 6 "policy [^ ]*: 1 services, 2 of 2 backends checked" || return 1
	says_not "$B2 is |$B3 is up|no policy" || return 1
	sl balance show web >"$T/show" 2>&1 || { cat "$T/show"; return 1; }
	grep -E "$B3.*down" "$T/show" && grep -E "$B2" "$T/show" | grep -v down || { cat "$T/show"; return 1; }
	checked h3; c3=$checks
	says 4 "service web, $B3 is up: connected" || return 1
	stop t4
	begin t4 h1 "$TALK" tcp $VIP4 80 700 20
	all "more 100" && [ "$(sum whole h3 <"$T/a")" -gt 25 ] || { cat "$T/a"; return 1; }
}
case_ "a trial, and its end" trial
rolled() {
	quiet
	conf one "" $B3
	sl apply "$T/one.conf" >/dev/null 2>&1 && says 2 "policy [^ ]*: 1 services, 1 of 1 backends checked" || return 1
	sl rollback >/dev/null 2>&1 && says 2 "policy [^ ]*: 1 services, 2 of 2 backends checked" || return 1
	says 3 "service web, $B2 is up: connected" || return 1
	ask t4 round >"$T/a"
	[ "$(sum broken h3 <"$T/a")" = 0 ] || { cat "$T/a"; return 1; }
	stop t4
	begin t4 h1 "$TALK" tcp $VIP4 80 700 20
	all "more 100"
}
case_ "another policy, rollback: connections of who stayed stay" rolled
sets() { # beside a filter, of the same policy
	quiet
	echo 192.0.2.1 >"$T/bad.txt"
	conf set "set bad from \"$T/bad.txt\"
	filter on to1 {
		drop from @bad
		default pass
	}" $B2 $B3
	sl apply "$T/set.conf" >"$T/apply" 2>&1 || { cat "$T/apply"; return 1; }
	says 4 "policy [^ ]*: 1 file of sets" && says 2 "policy [^ ]*: 1 services, 2 of 2 backends checked" || return 1
	printf '192.0.2.1\n192.0.2.2\n' >"$T/bad.txt"
	says 4 "set bad: 1 added, 0 removed, 1 kept" && all round
}
case_ "sets follow their files beside it" sets
left() {
	kill $daemon
	wait $daemon || return 1
	all round || return 1
	sl down >/dev/null 2>&1
	[ ! -e "/run/sluice/policy-net$netns/serve" ]
}
case_ "ended: packets go on" left
stop t4
done_
