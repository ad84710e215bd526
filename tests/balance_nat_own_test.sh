#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Addresses that packets are translated to and that are the balancer's own: they share ports with what Linux opens from there.
#
#     h1 client ── to1 box to2 ── h2 backend: its default route leads to the box, and so to the pool, which is on lo there or not
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
. "$(dirname "$0")/balance_live.sh"
need_root
for tool in nc jq tcpdump; do
	command -v $tool >/dev/null || skip_all "needs $tool (packages.txt)"
done
policy_live 2
POOL4=192.0.2.8 POOL6=2001:db8:99::8

for v in 4 6; do
	eval "vip=\$VIP$v pool=\$POOL$v"
	[ $v = 4 ] && backend=10.9.2.2 || backend=fd09:2::2
	cat <<-X
	balance web$v on to* {
		virtual $vip udp port 80
		virtual $vip tcp port 80
		forward nat from $pool
		backend $backend
	}
	X
done >"$T/web.conf"
put() { sl apply "$T/web.conf" >"$T/applied" 2>&1 || { cat "$T/applied"; return 1; }; }
range() { inns box sh -c "echo $1 60999 >/proc/sys/net/ipv4/ip_local_port_range"; }
ours() { inns box sh -c "ip addr $1 $POOL4/32 dev lo; ip addr $1 $POOL6/128 dev lo nodad"; }
network() {
	for host in 1 2; do passing h$host eth0 || return 1; done
	serve h2 "$TALK" serve 80 h2
	wait_until 5 inns h2 sh -c "ss -Hlun 'sport = :80' | grep -q ." && inns box sh -c "ip route | grep -q ." && range 32768
}
# ports of the pool that come to h2 for 300 flows of each family, one in a line: $T/ports4, $T/ports6
full() { [ "$(wc -l <"$T/seen")" -ge 600 ]; }
flows() {
	: >"$T/dump"
	inns h2 tcpdump -nn -l -q -i eth0 "udp and dst port 80 and (src $POOL4 or src $POOL6)" >"$T/seen" 2>"$T/dump" &
	dump=$!
	wait_until 5 grep -q listening "$T/dump" || return 1
	inns h1 bash -c 'for i in $(seq 300); do echo hello >"/dev/udp/$0/80"; echo hello >"/dev/udp/$1/80"; done' $VIP4 $VIP6
	wait_until 10 full
	rc=$?
	kill $dump
	wait $dump 2>/dev/null
	[ $rc = 0 ] || { wc -l "$T/seen"; sl balance stats -1; return 1; }
	for v in 4 6; do
		eval "pool=\$POOL$v"
		awk -v a="$pool." 'index($3, a) == 1 { print substr($3, length(a) + 1) }' "$T/seen" | sort -n >"$T/ports$v"
	done
}
all_below() { # PORT
	for v in 4 6; do
		[ "$(wc -l <"$T/ports$v")" -ge 300 ] && [ "$(head -n 1 "$T/ports$v")" -ge 1024 ] && [ "$(tail -n 1 "$T/ports$v")" -lt "$1" ] ||
			{ echo "ports $(head -n 1 "$T/ports$v") to $(tail -n 1 "$T/ports$v")"; return 1; }
	done
}
hello() { inns box sh -c "echo hello | nc -u -w 2 -s $1 -p $2 $3 80" >"$T/said" 2>&1; grep -q '^h2 *hello$' "$T/said" || { echo "from $1 port $2:"; cat "$T/said"; return 1; }; }

routed() { # somebody else's address, as far as Linux is concerned
	put && flows || return 1
	for v in 4 6; do
		eval "high_$v=\$(tail -n 1 \"\$T/ports$v\")"
		[ "$(tail -n 1 "$T/ports$v")" -gt 50000 ] || { cat "$T/ports$v"; return 1; }
	done
}
becomes_own() {
	ours add && put && ! grep -q '^nothing to do' "$T/applied" && flows && all_below 32768 && put && grep -q '^nothing to do' "$T/applied" || { cat "$T/applied"; return 1; }
}
answered() { # what Linux opens from a port that a flow had before
	hello $POOL4 "$high_4" 10.9.2.2 && hello $POOL6 "$high_6" fd09:2::2
}
shorter() {
	range 9000 && put && flows && all_below 9000
}
too_few() {
	range 2000
	expect_fail 1 "balance web4: $POOL4 is this host's, which takes ports from 2000 on for itself \(net.ipv4.ip_local_port_range\), so that 976 are left from 1024 on, less than 1024;" \
		sl apply "$T/web.conf" && flows && all_below 9000 || return 1
	range 32768
}
on_the_way() { # the address of the interface towards the backends
	sed -e "s/from $POOL4/from 10.9.2.1/; s/from $POOL6/from fd09:2::1/" -i "$T/web.conf"
	POOL4=10.9.2.1 POOL6=fd09:2::1
	put && flows && all_below 32768 && hello 10.9.2.1 40000 10.9.2.2 && hello fd09:2::1 40000 fd09:2::2 &&
		is "unclaimed" 0 "$(sl balance stats -1 -j | jq .no_service.notes.unclaimed)"
}
nothing_left() {
	ours_now >>"$T/ours"
	sl down >"$T/said" && empty to1 && empty to2 && forget && gone_all
}

case_ "the network" network
case_ "an address that is not the host's: ports up to 65535" routed
case_ "it becomes the host's, and the same policy is applied: ports below Linux's" becomes_own
case_ "what Linux opens from there is answered, also from a port of a flow before" answered
case_ "Linux's ports begin earlier" shorter
case_ "Linux leaves next to none" too_few
case_ "the address of the interface towards the backend" on_the_way
case_ "down: nothing is left" nothing_left
done_
