#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The guard against locking oneself out, on real sockets and routes.
#
#     namespace peer                                     namespace box, where the policy would be
#     p0 192.0.2.7, 2001:db8::7 ────────── veth ───────── b0 192.0.2.1, 2001:db8::1   servers: 22, 2022 ("sshd")
#     p1                        ────────── veth ───────── b1 ── br0 198.51.100.1
#        198.51.100.7
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/policy_lab.sh"
need_root

B=guardb$$ P=guardp$$
for n in $B $P; do
	ip netns add $n || exit 1
	on_exit "ip netns del $n"
	ip -n $n link set lo up
done
IN="nsenter --net=/run/netns/$B" # becomes the command itself: $! is its pid
in_box() { $IN "$@"; }
in_peer() { nsenter --net=/run/netns/$P "$@"; }
for i in 0 1; do
	ip -n $B link add b$i type veth peer name p$i netns $P
	ip -n $B link set b$i up
	ip -n $P link set p$i up
done
ip -n $B addr add 192.0.2.1/24 dev b0
ip -n $P addr add 192.0.2.7/24 dev p0
ip -n $B addr add 2001:db8::1/64 dev b0 nodad
ip -n $P addr add 2001:db8::7/64 dev p0 nodad
ip -n $B link add br0 type bridge
ip -n $B link set b1 master br0
ip -n $B link set br0 up
ip -n $B addr add 198.51.100.1/24 dev br0
ip -n $P addr add 198.51.100.7/24 dev p1
ip -n $P route add 203.0.113.0/24 dev lo
ip -n $P addr add 203.0.113.7/32 dev lo
ip -n $B route add 203.0.113.0/24 via 192.0.2.7

guard() { # WANT RULES [SSH_CONNECTION]: "" it is let in
	printf 'filter on %s {\n%s\n}\n' "${ON:-b0}" "$2" >"$T/sluice.conf"
	cd "$T" || return 1
	in_box "$BUILD/tests/guard-tool" sluice.conf ${3:+"$3"} >said && rc=0 || rc=$?
	cat said
	[ -z "$1" ] && { [ $rc = 0 ]; return; }
	[ -z "${EITHER:-}" ] || sed -i 's/port 40003 (connected to port 22)/port 40002 (connected to port 2022)/' said
	[ $rc = 1 ] && [ "$(cat said)" = "sluice.conf:$1; use --force, or --confirm 60s to try" ]
}
S='192.0.2.7 50022 192.0.2.1 22' YOURS='your session from 192.0.2.7 port 50022 (SSH_CONNECTION)'
case_ "nobody is connected" guard "" 'default drop'
case_ "the session's prefix" guard "2: drop from 192.0.2.0/24 would cut off $YOURS" 'drop from 192.0.2.0/24' "$S"
case_ "another prefix" guard "" 'drop from 198.51.100.0/24' "$S"
case_ "another interface" guard "" 'drop in b1' "$S"
ON=b1
case_ "a filter where it does not come in" guard "" 'default drop' "$S"
ON='*'
case_ "a filter on everything" guard "2: default drop would cut off $YOURS" 'default drop' "$S"
ON=b0
case_ "ARP is needed too" guard "3: default drop would drop ARP, and so end $YOURS" 'pass tcp to port 22
default drop' "$S"
case_ "ARP passes" guard "" 'pass tcp to port 22
pass ether type arp
default drop' "$S"
DROPS_ARP="would drop ARP, and so end $YOURS"
case_ "ARP asks everybody" guard "2: drop ether to ff:ff:ff:ff:ff:ff $DROPS_ARP" 'drop ether to ff:ff:ff:ff:ff:ff' "$S"
case_ "ARP answers, too" guard "4: default drop $DROPS_ARP" 'pass tcp to port 22
pass ether to ff:ff:ff:ff:ff:ff
default drop' "$S"
b0=$(ip -n $B -o link show b0 | sed 's/.*ether \([0-9a-f:]*\) .*/\1/')
case_ "ARP: a question to this host alone is not needed" guard "" "pass tcp to port 22
pass ether to ff:ff:ff:ff:ff:ff
pass ether to $b0 ether type arp matching \"arp[6:2] = 2\"
default drop" "$S"
S6='2001:db8::7 50022 2001:db8::1 22' YOURS6='your session from 2001:db8::7 port 50022 (SSH_CONNECTION)'
case_ "IPv6" guard "2: drop tcp from 2001:db8::/32 would cut off $YOURS6" 'drop tcp from 2001:db8::/32' "$S6"
case_ "neighbour discovery is needed too" guard "3: default drop would drop neighbour discovery, and so end $YOURS6" 'pass tcp to port 22
default drop' "$S6"
case_ "neighbour discovery passes" guard "" 'pass tcp to port 22
pass icmp type { neighbor-solicitation, neighbor-advertisement }
default drop' "$S6"
DROPS_ND="would drop neighbour discovery, and so end $YOURS6"
case_ "neighbour discovery asks a group" guard "2: drop to ff00::/8 $DROPS_ND" 'drop to ff00::/8' "$S6"
case_ "which is of the address" guard "2: drop to ff02::1:ff00:1 $DROPS_ND" 'drop to ff02::1:ff00:1' "$S6"
case_ "and of no other" guard "" 'drop to ff02::1:ff00:2' "$S6"
case_ "on the link, too" guard "2: drop ether to 33:33:ff:00:00:01 $DROPS_ND" 'drop ether to 33:33:ff:00:00:01' "$S6"
case_ "what is to the address alone is not enough" guard "3: default drop $DROPS_ND" 'pass ip6 to 2001:db8::1
default drop' "$S6"
case_ "with the group it is" guard "" 'pass ip6 to { 2001:db8::1, ff02::1:ff00:0/104 }
default drop' "$S6"
case_ "neighbours answer, too" guard "4: default drop $DROPS_ND" 'pass tcp to port 22
pass icmp type neighbor-solicitation
default drop' "$S6"
case_ "with hop limit 255" guard "" 'drop icmp ttl < 255' "$S6"
ON=b1
SB='198.51.100.7 50022 198.51.100.1 22' YOURSB='your session from 198.51.100.7 port 50022 (SSH_CONNECTION)'
case_ "through a bridge" guard "2: drop tcp would cut off $YOURSB" 'drop tcp' "$SB"
ON=b0
case_ "not through a bridge" guard "" 'drop tcp' "$SB"
SR='203.0.113.7 50022 192.0.2.1 22' YOURSR='your session from 203.0.113.7 port 50022 (SSH_CONNECTION)'
case_ "through a router" guard "2: drop from 203.0.113.0/24 would cut off $YOURSR" 'drop from 203.0.113.0/24' "$SR"
case_ "no route: wherever the policy is" guard "2: default drop would cut off your session from 10.9.9.9 port 50022 (SSH_CONNECTION)" \
	'default drop' '10.9.9.9 50022 192.0.2.1 22'
case_ "a link-local address names its interface" guard "2: default drop would cut off your session from fe80::7 port 50022 (SSH_CONNECTION)" \
	'default drop' 'fe80::7%b0 50022 fe80::1%b0 22'
ON=b1
case_ "and no other" guard "" 'default drop' 'fe80::7%b0 50022 fe80::1%b0 22'
ON=b0
mac=$(ip -n $P -o link show p0 | sed 's/.*ether \([0-9a-f:]*\) .*/\1/')
in_peer ping -qc 1 -W 2 192.0.2.1 >/dev/null
case_ "its MAC address is known" guard "2: drop ether from $mac would cut off $YOURS" "drop ether from $mac" "$S"
case_ "another MAC address" guard "" 'drop ether from 02:00:00:00:99:99' "$S"

# --- through a tunnel: t0, of a process that is not there, and vx0, which says what it is on
NOT_LOOKED="a tunnel: whether the policy lets the tunnel's own packets in is not looked at"
warned() { # WANT RULES SSH_CONNECTION: it is let in; "" nothing else is said
	printf 'filter on %s {\n%s\n}\n' "${ON:-b0}" "$2" >"$T/sluice.conf"
	cd "$T" || return 1
	in_box "$BUILD/tests/guard-tool" sluice.conf "$3" >said 2>&1 && rc=0 || rc=$?
	cat said
	[ $rc = 0 ] && [ "$(cat said)" = "${1:+$1, $NOT_LOOKED}" ]
}
in_box ip link add vx0 type vxlan id 7 remote 192.0.2.7 dstport 4789 dev b0
in_box ip addr add 10.8.1.1/24 dev vx0
in_box ip link set vx0 up
SX='10.8.1.7 50022 10.8.1.1 22' YOURSX='your session from 10.8.1.7 port 50022 (SSH_CONNECTION)'
case_ "beneath a tunnel its own packets are" warned "$YOURSX comes in by vx0" 'pass udp to port 4789
default drop' "$SX"
case_ "and not those in it" warned "$YOURSX comes in by vx0" 'pass tcp to port 22
pass ether type arp
default drop' "$SX"
ON=vx0
case_ "on the tunnel they are" guard "2: drop tcp would cut off $YOURSX" 'drop tcp' "$SX"
case_ "where nothing else has a filter" warned "" 'drop udp' "$SX"
ON='{ vx0, b0 }'
case_ "where something has" warned "$YOURSX comes in by vx0" 'drop udp' "$SX"
ON=b0
case_ "not in a tunnel: not a word" warned "" 'drop udp' "$S"
if in_box ip tuntap add dev t0 mode tun 2>/dev/null; then
	in_box ip addr add 10.8.0.1/24 dev t0
	in_box ip link set t0 up
	case_ "an interface without Ethernet" warned "your session from 10.8.0.7 port 50022 (SSH_CONNECTION) comes in by t0" 'pass tcp to port 22
default drop' '10.8.0.7 50022 10.8.0.1 22'
else
	skip "an interface without Ethernet" "there is no /dev/net/tun"
fi

# --- who is connected: a listener on 22, and one whose program calls itself sshd
cp "$BUILD/tests/guard-tool" "$T/sshd"
$IN "$BUILD/tests/guard-tool" listen 192.0.2.1 22 &
pids=$!
$IN "$T/sshd" listen 192.0.2.1 2022 &
pids="$pids $!"
$IN "$BUILD/tests/guard-tool" listen 192.0.2.1 8080 &
pids="$pids $!"
on_exit 'kill $pids 2>/dev/null'
listening() { [ "$(in_box ss -Htln 'sport = :22 or sport = :2022 or sport = :8080' | wc -l)" = 3 ]; }
connected() { [ "$(in_box ss -Htn state established | wc -l)" = "$1" ]; }
case_ "three servers" wait_until 5 listening
connect() { # PORT FROM_PORT HOW_MANY
	nsenter --net=/run/netns/$P "$BUILD/tests/guard-tool" connect 192.0.2.7 "$2" 192.0.2.1 "$1" &
	pids="$pids $!"
	wait_until 5 connected "$3"
}
case_ "a connection to 8080" connect 8080 40001 1
case_ "it is nobody's session" guard "" 'default drop'
case_ "a connection to sshd" connect 2022 40002 2
case_ "it is" guard "2: default drop would cut off the session from 192.0.2.7 port 40002 (connected to port 2022)" 'default drop'
case_ "a connection to port 22" connect 22 40003 3
EITHER=1 # the order of the table is the kernel's
case_ "two are" guard "2: default drop would cut off the session from 192.0.2.7 port 40002 (connected to port 2022), and 1 other session" 'default drop'
EITHER=
case_ "with SSH_CONNECTION, three" guard "2: default drop would cut off $YOURS, and 2 other sessions" 'default drop' "$S"
case_ "the same one counts once" guard "2: default drop would cut off your session from 192.0.2.7 port 40003 (SSH_CONNECTION), and 1 other session" \
	'default drop' '192.0.2.7 40003 192.0.2.1 22'
case_ "one of them passes" guard "4: default drop would cut off the session from 192.0.2.7 port 40003 (connected to port 22)" \
	'pass tcp to port 2022
pass ether type arp
default drop'
nonsense() {
	in_box "$BUILD/tests/guard-tool" "$T/sluice.conf" nonsense >"$T/said" && return 1
	[ $? = 2 ] && grep -q "^SSH_CONNECTION does not say" "$T/said"
}
case_ "nonsense in the environment" nonsense

# --- and sluice apply
# shellcheck disable=SC2086
kill $pids 2>/dev/null
pids=
wait_until 5 connected 0
policy_ends "$B"
refused() { # WANT ARG...
	want=$1
	shift
	in_box env SSH_CONNECTION="$S" "$SLUICE" apply sluice.conf "$@" >out 2>err
	[ $? = 1 ] && [ "$(cat err)" = "sluice apply: sluice.conf:$want; use --force, or --confirm 60s to try" ] || { cat out err; return 1; }
}
in_force() { in_box "$SLUICE" rules >/dev/null 2>&1; }
echo 192.0.2.9 >blocked.netset
printf 'set blocked from "blocked.netset"\nset banned { } timeout 1h\nfilter on b0 {\n\tdrop from @blocked\n\tdrop from @banned\n}\n' >sluice.conf
applied() { in_box env SSH_CONNECTION="$S" "$SLUICE" apply sluice.conf "$@" >out 2>err || { cat out err; return 1; }; }
case_ "apply: nobody is cut off" applied
echo 192.0.2.0/28 >blocked.netset
case_ "apply: a file of addresses does it" refused "4: drop from @blocked would cut off $YOURS"
unchanged() { in_box "$SLUICE" status | head -n 1 | grep -q '^policy 1-'; }
case_ "apply: the policy before is in force" unchanged
case_ "apply --dry-run: it would" refused "4: drop from @blocked would cut off $YOURS" --dry-run
case_ "apply --force" applied --force
tunnelled() {
	printf 'filter on b0 {\n\tcount icmp\n}\n' >tunnel.conf
	in_box env SSH_CONNECTION="$SX" "$SLUICE" apply --dry-run tunnel.conf >out 2>err && [ "$(cat err)" = "sluice apply: $YOURSX comes in by vx0, $NOT_LOOKED" ] || { cat out err; return 1; }
}
case_ "apply: a session through a tunnel" tunnelled
trial() { # a warning; the same policy once more would be nothing to do
	echo 192.0.2.0/27 >blocked.netset
	applied --confirm 60s && [ "$(cat err)" = "sluice apply: sluice.conf:4: drop from @blocked would cut off $YOURS; tried all the same: it is taken back unless sluice confirm comes" ] || { cat out err; return 1; }
}
case_ "apply --confirm: a warning" trial
if "$SLUICE" ban --help >/dev/null 2>&1; then
	echo 192.0.2.9 >blocked.netset
	banned() { in_box "$SLUICE" down >out && applied && in_box "$SLUICE" ban 192.0.2.7 >out 2>err && sed -i 's/^}$/\tcount icmp\n}/' sluice.conf && refused "5: drop from @banned would cut off $YOURS"; }
	case_ "apply: an address that was banned at run time" banned
	group() { # of neighbour discovery, in a set that nobody's address is in
		printf 'set banned { } timeout 1h\nfilter on b0 {\n\tdrop to @banned\n}\n' >sluice.conf
		S=$S6
		in_box "$SLUICE" down >out && applied && in_box "$SLUICE" ban ff02::1:ff00:0/104 >out 2>err && sed -i 's/^}$/\tcount icmp\n}/' sluice.conf && refused "3: drop to @banned $DROPS_ND"
	}
	case_ "apply: a group that was" group
fi
done_
