#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Ways to backends as route and neighbour tables change: what is said, word for word.
#
#   box (ways-tool) to1 ──── eth0 h1
#                   to2 ──── eth0 h2
. "$(dirname "$0")/lib.sh"
need_root
L=ways$$
on_exit '"$SLUICE" lab down $L >/dev/null 2>&1'
"$SLUICE" lab up --name $L --hosts 2 >/dev/null || { echo "Bail out! no lab"; exit 1; }
TOOL=$BUILD/tests/ways-tool
H1=198.18.1.2 H1_6=2001:db8:1::2
in_() { h=$1; shift; "$SLUICE" lab run --lab $L "$h" -- "$@"; }
box() { in_ box "$@"; }
same() { [ "$1" = "$2" ] || { printf 'wanted:\n%s\ngot:\n%s\n' "$1" "$2"; return 1; }; }
now() { box timeout 20 "$TOOL" -s "${MS:-3000}" "$@" </dev/null; }
mac_of() { in_ "$1" ip -j link show "$2" | jq -r '.[0].address'; }
M1=$(mac_of h1 eth0) B1=$(mac_of box to1) M2=$(mac_of h2 eth0) B2=$(mac_of box to2)

# ---- once

case_ "in a network of the box's" same "$H1 ready to1 $M1 $B1 mtu 1500
$H1_6 ready to1 $M1 $B1 mtu 1500
direct:198.18.2.2 ready to2 $M2 $B2 mtu 1500" "$(now $H1 $H1_6 direct:198.18.2.2)"
box ip route add 192.0.2.0/24 via $H1 mtu 1400
box ip route add 192.0.2.8/32 via inet6 $H1_6
box ip route add blackhole 192.0.2.9/32
box ip route add unreachable 192.0.2.10/32
box ip -6 route add 2001:db8:f::/64 via 2001:db8:2::2
case_ "behind a router, with the route's MTU" same "192.0.2.1 ready to1 $M1 $B1 mtu 1400
192.0.2.8 ready to1 $M1 $B1 mtu 1500
2001:db8:f::9 ready to2 $M2 $B2 mtu 1500" "$(now 192.0.2.1 192.0.2.8 2001:db8:f::9)"
case_ "what cannot be reached" same "198.51.100.1 cannot be reached: there is no route to it
192.0.2.9 cannot be reached: there is no route to it
192.0.2.10 cannot be reached: there is no route to it
198.18.1.1 is an address of this host: packets do not leave it
direct:192.0.2.1 is behind the router $H1: 'forward l2' needs it in a network of this host's" \
	"$(now 198.51.100.1 192.0.2.9 192.0.2.10 198.18.1.1 direct:192.0.2.1)"
case_ "nobody there" same "198.18.1.77 cannot be reached: 198.18.1.77 does not answer on to1" "$(MS=500 now 198.18.1.77)"
learned() { # a neighbour that the kernel does not know yet is asked for
	box ip neigh del $H1 dev to1
	same "$H1 ready to1 $M1 $B1 mtu 1500" "$(now $H1)"
}
case_ "a neighbour is asked for" learned

# ---- as things change

mkfifo "$T/in"
box "$TOOL" -t 60s $H1 192.0.2.1 198.51.100.1 <"$T/in" >"$T/out" 2>&1 &
exec 9>"$T/in"
on_exit 'exec 9>&-'
said() { tail -n "$1" "$T/out" | grep -qxF -e "$2"; }
wait_said() { wait_until 10 said "$1" "$2" || { cat "$T/out"; return 1; }; }
case_ "a way each at the beginning" wait_until 5 eval '[ "$(wc -l <"$T/out")" = 3 ]'
address() {
	box ip neigh replace $H1 dev to1 lladdr 02:00:00:00:00:77 nud permanent
	wait_said 2 "$H1 ready to1 02:00:00:00:00:77 $B1 mtu 1500" && wait_said 2 "192.0.2.1 ready to1 02:00:00:00:00:77 $B1 mtu 1400" || return 1
	box ip neigh replace $H1 dev to1 lladdr "$M1" nud permanent
	wait_said 2 "$H1 ready to1 $M1 $B1 mtu 1500"
}
case_ "another MAC address" address
route() {
	box ip route add 198.51.100.0/24 via 198.18.2.2
	wait_said 1 "198.51.100.1 ready to2 $M2 $B2 mtu 1500" || return 1
	box ip route replace 198.51.100.0/24 via $H1
	wait_said 1 "198.51.100.1 ready to1 $M1 $B1 mtu 1500" || return 1
	box ip route del 198.51.100.0/24
	wait_said 1 "198.51.100.1 cannot be reached: there is no route to it"
}
case_ "a route comes, changes, goes" route
mtu() {
	box ip link set to1 mtu 1300
	wait_said 2 "$H1 ready to1 $M1 $B1 mtu 1300" || return 1
	box ip link set to1 mtu 1500
	wait_said 2 "$H1 ready to1 $M1 $B1 mtu 1500"
}
case_ "another MTU" mtu
thrown_away() { # the neighbour's entry is: the way stands while it is asked for again
	lines=$(wc -l <"$T/out")
	box ip neigh del $H1 dev to1
	wait_until 5 eval 'box ip neigh show $H1 dev to1 | grep -qE "REACHABLE|DELAY|STALE"' || return 1
	same "$lines" "$(wc -l <"$T/out")" || { cat "$T/out"; return 1; }
}
case_ "an entry that was thrown away drops nothing" thrown_away
silent() {
	in_ h1 ip link set eth0 down
	box ip neigh flush dev to1
	wait_said 2 "$H1 cannot be reached: $H1 does not answer on to1" || return 1
	in_ h1 ip link set eth0 up
	wait_said 2 "$H1 ready to1 $M1 $B1 mtu 1500"
}
case_ "a neighbour that is gone, and back" silent
down() {
	box ip link set to1 down
	wait_said 2 "$H1 cannot be reached: there is no route to it"
}
case_ "the interface is down" down
many() { # 4,000 addresses behind one router
	box ip link set to1 up
	box ip route replace 10.0.0.0/8 via 198.18.2.2
	start=$(date +%s%N)
	now '10.1.0.1*4000' >"$T/many" || return 1
	echo "4,000 ways: $((($(date +%s%N) - start) / 1000000)) ms" >&3
	same 4000 "$(grep -c "^10\..* ready to2 $M2 $B2 mtu 1500\$" "$T/many")"
}
exec 3>"$T/took"
case_ "4,000 backends" many
sed 's/^/# /' "$T/took"
done_
