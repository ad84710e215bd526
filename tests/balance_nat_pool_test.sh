#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Addresses that services translate to change (forward nat from ...) under connections of services whose addresses stay.
#
#     h1 clients ── to1 box (the balancer ─┬─ to2 ── h2 ┐ backends; their default route leads through the box,
#                       on all of to*)     └─ to3 ── h3 ┘ and so to all pools
#
# The addresses that stay are the box's own, with 1,024 ports each: in so full a table a flow that is not known any more hardly gets
# the port again that it had.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
. "$(dirname "$0")/balance_live.sh"
. "$(dirname "$0")/balance_live_steps.sh"
need_root
for tool in jq bpftool; do
	command -v $tool >/dev/null || skip_all "needs $tool (packages.txt)"
done
policy_live 3

service() { # NAME VIRTUAL PORT POOL BACKEND...
	name=$1 virtual=$2 port=$3 pool=$4
	shift 4
	printf 'balance %s on to* {\n\tvirtual %s tcp port %s\n\tvirtual %s udp port %s\n\tforward nat from %s\n' \
		"$name" "$virtual" "$port" "$virtual" "$port" "$pool"
	printf '\tbackend %s port 80\n' "$@"
	echo "}"
}
stays() { # services with all the connections, a second one that has the same addresses, too
	service web $VIP4 80 192.0.2.8 10.9.2.2 10.9.3.2
	service web6 $VIP6 80 2001:db8:99::8 fd09:2::2 fd09:3::2
	service same $VIP4 82 192.0.2.8 10.9.2.2
}
other() { # POOL [POOL6]: a service whose addresses change
	service other $VIP4 81 "$1" 10.9.2.2
	[ $# = 1 ] || service other6 $VIP6 81 "$2" fd09:2::2
}
put() { # [OPTION...]: what comes in, and some connections of it
	cat >"$T/pool.conf"
	sl apply "$T/pool.conf" "$@" >"$T/applied" 2>&1 || { cat "$T/applied"; return 1; }
}
newest() { ls -d "$PINS"/*-*/ | sort -V | tail -n 1; }
bytes() { bpftool -j map show pinned "$(newest)balance_nat$1" | jq .bytes_value; }
places() { # IPv4 IPv6: for so many addresses
	[ "$(bytes 4)" = $(($1 * 8192 * 256)) ] && [ "$(bytes 6)" = $(($2 * 8192 * 512)) ] || { echo "$(bytes 4) $(bytes 6) bytes"; return 1; }
}
whole_() { all round && unbroken && opened "$(whole)" 800 || say "$1"; }
talks() { # a connection of the service whose addresses change
	begin o h1 "$TALK" tcp $VIP4 81 500 50 && ask o "more 20" >"$T/o" && ask o round >"$T/o"
	rc=$?
	stop o
	[ $rc = 0 ] && is "whole of other" 20 "$(sum whole <"$T/o")"
}
is() { [ "$2" = "$3" ] || { echo "$1: $3, should be $2"; return 1; }; }

network() {
	for host in 1 2 3; do passing h$host eth0 || return 1; done
	inns box sh -c "ip addr add 192.0.2.8/32 dev lo; ip addr add 2001:db8:99::8/128 dev lo nodad
		echo 2048 60999 >/proc/sys/net/ipv4/ip_local_port_range"
	for host in 2 3; do serve h$host "$TALK" serve 80 h$host; done
	for host in 2 3; do wait_until 5 listens h$host || return 1; done
	{ stays && other 192.0.2.9; } | put && clients 100 && all "more 200" && whole_ opened && talks && places 2 1
}
again() { # the same size in the end, however often
	for last in 10 11 12 13 14 15 16 17 18; do
		{ stays && other 192.0.2.$last; } | put && whole_ "192.0.2.$last" && places 4 1 && talks || return 1
	done
}
grows() { # by turns; by then what is known moves into more memory
	for n in 2 5 11 30; do
		{ stays && other "192.0.2.32-192.0.2.$((31 + n))" "2001:db8:99::20-2001:db8:99::$(printf %x $((31 + n)))"; } | put &&
			whole_ "$n addresses" && talks || return 1
	done
	places 64 64
}
trial() { # of more addresses: back, and for good
	{ stays && other 192.0.2.9; } | put && whole_ before || return 1
	sl down >"$T/said" && { stays && other 192.0.2.9; } | put && all "more 30" || return 1
	places 2 1 || return 1
	{ stays && other 192.0.2.40-192.0.2.60; } | put --confirm 60s && places 32 1 && all "more 30" && settled || return 1
	sl rollback >"$T/said" && settled && places 2 1 || { cat "$T/said"; return 1; }
	{ stays && other 192.0.2.40-192.0.2.60; } | put --confirm 60s && all "more 30" && settled && sl confirm >"$T/said" && settled && places 32 1
}
# the connections before `down` are broken by then; the others are not
settled() {
	all round || return 1
	now=$(sum broken <"$T/a")
	[ "$now" = "${broken:-$now}" ] || say "$now broken, were $broken" || return 1
	broken=$now
}
fewer() { # a family that nobody translates any more has no memory; a policy without any has none
	{ service web6 $VIP6 80 2001:db8:99::8 fd09:2::2 fd09:3::2; } | put && [ "$(bytes 4)" = 256 ] && [ "$(bytes 6)" = $((8192 * 512)) ] ||
		{ echo "$(bytes 4) $(bytes 6)"; return 1; }
	sed 's/forward nat.*/forward l2/; s/\(backend.*\) port 80$/\1/' "$T/pool.conf" >"$T/l2.conf" && put <"$T/l2.conf" || return 1
	[ -e "$(newest)balance_flows" ] && [ ! -e "$(newest)balance_nat4" ] || { ls "$PINS"/*; return 1; }
}
nothing_left() {
	ours_now >>"$T/ours"
	sl down >"$T/said" && empty to1 && empty to3 && forget && gone_all
}

cd "$T" || exit 1
case_ "the network, connections of services that stay" network
case_ "another service's address changes, again and again" again
case_ "another service has more and more addresses" grows
case_ "a trial, rolled back and confirmed" trial
case_ "what nobody needs goes" fewer
case_ "down: nothing is left" nothing_left
done_
