#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice top: exact counts of odd packets, floods, several interfaces, and that it leaves nothing behind.
#
#   one namespace, no addresses, no IPv6, so that no packet is there that we did not send:
#     a0 ──── a1   counted        frames are sent into a0 and b0
#     b0 ──── b1   counted
. "$(dirname "$0")/lib.sh"

case_ "unknown interface" expect_fail 3 "sluice top: no interface 'loo', did you mean lo\?" "$SLUICE" top loo
case_ "a glob that fits nothing" expect_fail 3 "no interface fits 'zz\*'" "$SLUICE" top 'zz*'
case_ "nonsense to count by" expect_fail 2 "cannot count by 'scr'.*src, dst, prefix/N" "$SLUICE" top lo --by scr
case_ "nonsense of a prefix" expect_fail 2 "'prefix/33/64' is not a prefix" "$SLUICE" top lo --by prefix/33/64
case_ "a prefix that only IPv6 has" expect_fail 2 "'prefix/33' is too long for IPv4 .say both: prefix/24/33 counts IPv4 by /24" "$SLUICE" top lo --by prefix/33 --once
case_ "nonsense to sort by" expect_fail 2 "cannot sort by 'size'" "$SLUICE" top lo --sort size
case_ "nonsense of a mode" expect_fail 2 "mode" "$SLUICE" top lo --mode fast
case_ "too short an interval" expect_fail 2 "at least 10ms" "$SLUICE" top lo --interval 1ms
case_ "once and count" expect_fail 2 "exclude each other" "$SLUICE" top lo --once --count 2
case_ "no interface" expect_fail 2 "too few arguments" "$SLUICE" top
need_root

NS=top$$
ip netns add $NS || exit 1
on_exit "ip netns del $NS"
IN="nsenter --net=/run/netns/$NS" # becomes the command itself: $! is its pid
in_ns() { $IN "$@"; }
in_ns sysctl -qw net.ipv6.conf.default.disable_ipv6=1
for p in a b; do
	in_ns ip link add ${p}0 type veth peer name ${p}1
	in_ns ip link set ${p}0 up
	in_ns ip link set ${p}1 up
done
frames() { in_ns "$BUILD/tests/frames" "$@"; }

unprivileged() { setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all "$@"; }
cp "$SLUICE" "$T/sluice" && chmod 755 "$T" "$T/sluice"
case_ "no privilege is named" expect_fail 4 "CAP_(BPF|NET_ADMIN|SYS_ADMIN)" unprivileged "$T/sluice" top lo --once

# frames in hex; addresses 10.0.0.1 and 2001:db8::1 to 10.0.0.2 and 2001:db8::2
MAC=020000000001020000000002
ip4() { printf '4500%04x0001%s40%s00000a0000010a000002' "$1" "$2" "$3"; } # TOTAL_LENGTH FRAGMENT PROTOCOL
ip6() { printf '60000000%04x%s4020010db800000000000000000000000120010db8000000000000000000000002' "$1" "$2"; }
UDP=03e8003500080000 # 1000 -> 53
TCP=03e9005000000000000000005002000000000000 # 1001 -> 80
UDP4=${MAC}0800$(ip4 28 0000 11)$UDP          # 42 bytes
TCP4=${MAC}0800$(ip4 40 0000 06)$TCP          # 54
TAGGED=${MAC}8100000a0800$(ip4 28 0000 11)$UDP # 46
QINQ=${MAC}88a8000a810000140800$(ip4 28 0000 11)$UDP # 50
DEEP=${MAC}810000018100000281000003810000048100000586dd # 34: five tags
LATER=${MAC}0800$(ip4 28 0003 11)$UDP         # 42
UDP6=${MAC}86dd$(ip6 16 00)1100000000000000$UDP # 70: hop-by-hop in front
LATER6=${MAC}86dd$(ip6 16 2c)1100000800000001$UDP # 70
ARP=${MAC}0806$(printf '%056d' 0)             # 42
CUT=${MAC}08004500                            # 16
SHORT=${MAC}8100                              # 14
ALL="$UDP4 $TCP4 $TAGGED $QINQ $DEEP $LATER $UDP6 $LATER6 $ARP $CUT $SHORT"
ALL_BYTES=$((42 + 54 + 46 + 50 + 34 + 42 + 70 + 70 + 42 + 16 + 14))

seen() { tail -n 1 "$T/json" | sed -n 's/.*"total":{"seen":{"packets":\([0-9]*\),"bytes":\([0-9]*\)}.*/\1 \2/p'; }
seen_is() { [ "$(seen)" = "$*" ]; }
ready() { [ -s "$T/json" ]; }
start() { # top --json in the background; its pid in $pid
	: >"$T/json"
	$IN $FOREGROUND "$SLUICE" top "$@" --json --interval 100ms >"$T/json" 2>"$T/top.err" &
	pid=$!
	wait_until 5 ready || { cat "$T/top.err"; return 1; }
}
stop() { # it, by a signal; wants exit code 0
	kill "${1:--TERM}" $pid
	wait $pid || { echo "exit $?"; cat "$T/top.err"; return 1; }
}
# packets and bytes of a key, summed over all reports
row() {
	grep -oF "{\"key\":\"$1\"" "$T/json" >/dev/null || { echo none; return; }
	sed 's/{"key"/\n{"key"/g' "$T/json" | grep -F "{\"key\":\"$1\"," |
		sed 's/"total".*//; s/.*"packets":\([0-9]*\),"bytes":\([0-9]*\).*/\1 \2/' |
		awk '{ p += $1; b += $2 } END { print p, b }'
}
row_is() { # KEY PACKETS BYTES
	[ "$(row "$1")" = "$2 $3" ] || { echo "$1: wanted $2 $3, got $(row "$1")"; tail -n 3 "$T/json"; return 1; }
}
n_keys() { sed 's/{"key"/\n{"key"/g' "$T/json" | grep -o '^{"key":"[^"]*"' | sort -u | wc -l; }

# all odd frames, seven times each, counted by $1; then KEY PACKETS BYTES... that must come out, and no others
exact() {
	by=$1 mode=$2
	shift 2
	start a1 --by "$by" --mode "$mode" || return 1
	# shellcheck disable=SC2086
	frames a0 7 $ALL || return 1
	wait_until 5 seen_is 77 $((7 * ALL_BYTES)) || { seen; stop; return 1; }
	stop || return 1
	n=0 sum=0
	while [ $# -gt 0 ]; do
		row_is "$1" $((7 * $2)) $((7 * $3)) || return 1
		n=$((n + 1)) sum=$((sum + $2))
		shift 3
	done
	[ $sum = 11 ] && [ "$(n_keys)" = $n ] || { echo "keys: $n wanted, $(n_keys) there; packets $sum"; return 1; }
}
for mode in native generic; do
	case_ "by source, $mode" exact src $mode 10.0.0.1 5 234 2001:db8::1 2 140 arp 1 42 "damaged ipv4" 1 16 \
		"frame cut short" 1 14 "too many vlan tags" 1 34
	case_ "by flow, $mode" exact flow $mode "udp 10.0.0.1:1000 > 10.0.0.2:53" 3 138 "tcp 10.0.0.1:1001 > 10.0.0.2:80" 1 54 \
		"udp fragment 10.0.0.1 > 10.0.0.2" 1 42 "udp [2001:db8::1]:1000 > [2001:db8::2]:53" 1 70 \
		"udp fragment 2001:db8::1 > 2001:db8::2" 1 70 arp 1 42 "damaged ipv4" 1 16 "frame cut short" 1 14 "too many vlan tags" 1 34
done
case_ "by destination" exact dst native 10.0.0.2 5 234 2001:db8::2 2 140 arp 1 42 "damaged ipv4" 1 16 \
	"frame cut short" 1 14 "too many vlan tags" 1 34
case_ "by prefix" exact prefix/8/32 native 10.0.0.0/8 5 234 2001:db8::/32 2 140 arp 1 42 "damaged ipv4" 1 16 \
	"frame cut short" 1 14 "too many vlan tags" 1 34
case_ "by port" exact port native udp/53 4 208 tcp/80 1 54 "udp fragment" 2 112 arp 1 42 "damaged ipv4" 1 16 \
	"frame cut short" 1 14 "too many vlan tags" 1 34
case_ "by protocol" exact proto native udp 6 320 tcp 1 54 arp 1 42 "damaged ipv4" 1 16 "frame cut short" 1 14 \
	"too many vlan tags" 1 34
case_ "by VLAN" exact vlan native untagged 7 336 "vlan 10" 1 46 "vlan 10.20" 1 50 "vlan 1.2 and more" 1 34 "frame cut short" 1 14
case_ "by interface" exact if native a1 11 $ALL_BYTES

several() {
	start a1 'b*1' --per-if || return 1
	frames a0 10 "$UDP4" && frames b0 20 "$UDP4" || return 1
	wait_until 5 seen_is 30 1260 || { seen; stop; return 1; }
	stop -INT && row_is "a1 10.0.0.1" 10 420 && row_is "b1 10.0.0.1" 20 840
}
together() {
	start a1,b1,a1 || return 1
	frames a0 10 "$UDP4" && frames b0 20 "$UDP4" || return 1
	wait_until 5 seen_is 30 1260 || { seen; stop; return 1; }
	stop && row_is 10.0.0.1 30 1260
}
case_ "several interfaces, apart" several
case_ "several interfaces, together" together

jumbo() { # frames in several buffers: all their bytes count
	for i in a0 a1; do in_ns ip link set $i mtu 9000; done
	start a1 || return 1
	frames a0 10 "$UDP4$(printf '%015916d' 0)"
	wait_until 5 seen_is 10 80000 && stop && row_is 10.0.0.1 10 80000
	rc=$?
	for i in a0 a1; do in_ns ip link set $i mtu 1500; done
	return $rc
}
case_ "jumbo frames" jumbo

two_at_once() {
	start a1 || return 1
	first=$pid
	$IN "$SLUICE" top a1 --by proto --count 2 --interval 500ms >"$T/out" &
	pid=$!
	wait_until 5 grep -q native "$T/out" && frames a0 30 "$UDP4"
	wait $pid
	pid=$first
	wait_until 5 seen_is 30 1260 || { seen; stop; return 1; }
	stop && grep -qE '^udp +30 +1260 ' "$T/out"
}
case_ "two at once on one interface" two_at_once

# what the process holds in the kernel, so that we can see it gone
held() { cat /proc/"$1"/fdinfo/* 2>/dev/null | awk '/^(prog|map|link)_id:/ { sub("_id:", "", $1); print $1, $2 }' | sort -u; }
gone() {
	while read -r kind id; do
		bpftool "$kind" show id "$id" >/dev/null 2>&1 && return 1
	done <"$T/held"
	! in_ns ip link | grep -q xdp && [ "$(find /sys/fs/bpf/sluice -mindepth 1 -newer "$T/held" -path "*net$(stat -Lc %i /run/netns/$NS)*" 2>/dev/null | wc -l)" = 0 ]
}
leaves_nothing() { # SIGNAL
	start a1 b1 || return 1
	held $pid >"$T/held"
	[ "$(grep -c prog "$T/held")" -ge 2 ] && grep -q map "$T/held" && in_ns ip link | grep -q xdp ||
		{ echo "nothing held?"; cat "$T/held"; return 1; }
	kill "$1" $pid
	wait $pid
	rc=$?
	[ $rc = "$2" ] || { echo "exit $rc"; return 1; }
	wait_until 5 gone || { cat "$T/held"; in_ns ip link; return 1; }
}
case_ "SIGINT leaves nothing" leaves_nothing -INT 0
case_ "SIGTERM leaves nothing" leaves_nothing -TERM 0
case_ "SIGHUP leaves nothing" leaves_nothing -HUP 0
case_ "kill -9 leaves nothing" leaves_nothing -KILL 137

quick() {
	start_ns=$(date +%s%N)
	$IN "$SLUICE" top a1 --count 1 >"$T/out" 2>&1 &
	pid=$!
	while ! [ -s "$T/out" ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
	took=$((($(date +%s%N) - start_ns) / 1000000))
	wait $pid || return 1
	head -n 1 "$T/out"
	[ "$(head -n 1 "$T/out")" = "# sluice top on a1 (native): by src, every 1s" ] && [ $took -lt 500 ] ||
		{ echo "first line after $took ms"; return 1; }
}
case_ "the first line comes within half a second" quick

lines() {
	$IN "$SLUICE" top a1 --count 3 --interval 500ms >"$T/out" &
	pid=$!
	wait_until 3 grep -q native "$T/out" || return 1
	frames a0 50 "$UDP4"
	wait $pid || return 1
	cat "$T/out"
	[ "$(grep -c '^# ..:..:..  ' "$T/out")" = 3 ] && grep -qE '^10\.0\.0\.1 +50 +2100 +[0-9]+ +[0-9]+ +100\.0%$' "$T/out"
}
case_ "plain lines" lines

stdout_gone() { # the reader of the pipe goes away: it ends by itself
	in_ns timeout 5 "$SLUICE" top a1 --interval 50ms 2>"$T/err" | head -n 1 >/dev/null
	wait_until 2 sh -c "! nsenter --net=/run/netns/$NS ip link | grep -q xdp"
}
case_ "ends when nobody reads" stdout_gone

vanishes() {
	in_ns ip link add c0 type veth peer name c1
	in_ns ip link set c1 up
	start a1 c1 || return 1
	in_ns ip link del c0
	wait_until 5 grep -q "^sluice top: interface c1 is gone, going on with the other$" "$T/top.err" || { stop; return 1; }
	frames a0 5 "$UDP4"
	wait_until 5 seen_is 5 210 && tail -n 1 "$T/json" | grep -q '"name":"c1","ifindex":[0-9]*,"mode":"native","attached":false' &&
		stop
}
last_vanishes() {
	in_ns ip link add c0 type veth peer name c1
	in_ns ip link set c1 up
	start c1 || return 1
	in_ns ip link del c0
	wait $pid
	[ $? = 3 ] && grep -q "interface c1 is gone, none is left to watch" "$T/top.err" || { cat "$T/top.err"; return 1; }
}
case_ "an interface goes away, the others go on" vanishes
case_ "the last interface goes away" last_vanishes

by_said() { # what is counted, with nothing left out
	in_ns "$SLUICE" top a1 --by prefix/20 --once -i 20ms 2>/dev/null | grep -q "^# sluice top on a1 (native): by prefix/20/64, every" &&
		in_ns "$SLUICE" top a1 --by prefix/20/48 --once -i 20ms -j | grep -q '"by":"prefix/20/48"' &&
		in_ns "$SLUICE" top a1 --by src --once -i 20ms -j | grep -q '"by":"src"'
}
case_ "both lengths of a prefix are said" by_said
one_key() { # in the singular, and when: in seconds that any reader of JSON can hold
	frames a0 3 "$UDP4" & in_ns "$SLUICE" top a1 --by if --once -i 300ms >"$T/one" 2>/dev/null
	wait $!
	grep -qE "s, (1 key|0 keys)\$" "$T/one" || { cat "$T/one"; return 1; }
	now=$(date +%s)
	at=$(in_ns "$SLUICE" top a1 --once -i 20ms -j 2>/dev/null | sed -n 's/^{"time":\([0-9]*\)\.[0-9]*,.*/\1/p')
	[ "$at" -ge $((now - 1)) ] && [ "$at" -le $((now + 5)) ]
}
case_ "when, and how many keys" one_key
bogus() {
	in_ns env TERM=bogus script -qec "timeout 1 $SLUICE top a1" /dev/null >"$T/screen" 2>&1
	grep -q "terminal type 'bogus' is not known here: lines instead" "$T/screen" && grep -q "^# sluice top on a1" "$T/screen"
}
case_ "an unknown terminal gets lines, and is told" bogus
tall() { # a screen shows what fits
	{ sleep 2.5; printf q; } | in_ns env TERM=xterm script -qec "stty rows 50 cols 160; $SLUICE top a1" /dev/null >"$T/screen" 2>&1 &
	sleep 0.7
	in_ns "$SLUICE" traffic a0 udp --dst 10.9.9.9 --dst-mac 02:00:00:00:00:01 --src 10.7.0.1-10.7.0.200 --pps 2k --duration 1s --quiet >/dev/null
	wait $!
	n=$(grep -ao '10\.7\.0\.[0-9]*' "$T/screen" | sort -u | wc -l)
	[ "$n" -ge 45 ] || { echo "$n rows"; return 1; }
}
case_ "a tall screen is filled" tall
screen() { # KEY or signal ends it; the terminal is as before
	{ sleep 1.5; printf "$1"; sleep 1; } | in_ns env TERM=xterm script -qec "$SLUICE top a1" /dev/null >"$T/screen" 2>&1
	rc=$?
	esc=$(printf '\033')
	[ $rc = 0 ] && grep -q "sluice top  a1 (native)  by src  every 1s" "$T/screen" && grep -q "$esc\[?1049h" "$T/screen" &&
		tail -c 200 "$T/screen" | grep -q "$esc\[?1049l" || { echo "exit $rc"; tail -c 300 "$T/screen"; return 1; }
}
screen_signal() {
	sleep 10 | $IN env TERM=xterm script -qec "echo \$\$ >$T/spid; exec $SLUICE top a1" /dev/null >"$T/screen" 2>&1 &
	script=$!
	wait_until 5 grep -q "sluice top  a1" "$T/screen" || { kill $script; return 1; }
	kill -TERM "$(cat "$T/spid")"
	wait_until 5 sh -c "tail -c 200 '$T/screen' | grep -q '$(printf '\033')\[?1049l'" || { tail -c 300 "$T/screen"; return 1; }
	wait_until 5 sh -c "! kill -0 $(cat "$T/spid")"
}
case_ "a screen, ended by q" screen q
case_ "a screen: all keys, then q" screen '12345shh/10.\nffppq'
case_ "a screen, ended by SIGTERM" screen_signal

# in a chain: everybody counts, and the chain goes on when top is killed
chain() {
	printf '%s\n' '#include <linux/bpf.h>' '#include <bpf/bpf_helpers.h>' \
		'struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, __u32); __type(value, __u64); __uint(max_entries, 1); } hits SEC(".maps");' \
		'SEC("xdp") int member(struct xdp_md *c) { __u32 k = 0; __u64 *v = bpf_map_lookup_elem(&hits, &k); if (v) __sync_fetch_and_add(v, 1); (void)c; return XDP_DROP; }' \
		'char _license[] SEC("license") = "GPL";' | bpf_cc "$T/member.o" || return 1
	in_ns "$SLUICE" attach a1 "$T/member.o" || return 1
	start a1 || return 1
	frames a0 40 "$UDP4"
	wait_until 5 seen_is 40 1680 || { seen; return 1; }
	kill -KILL $pid
	wait $pid
	frames a0 2 "$UDP4"
	in_ns "$SLUICE" show a1 >"$T/out" 2>&1
	in_ns "$SLUICE" detach a1 --all || return 1
	grep -E 'member.* 42( |$)' "$T/out" || grep -qw 42 "$T/out" || { cat "$T/out"; return 1; }
}
case_ "in front of a chain that drops" chain

foreign() { # somebody else's program stays, and is named
	echo '#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int theirs(struct xdp_md *c) { (void)c; return XDP_PASS; }
char _license[] SEC("license") = "GPL";' | bpf_cc "$T/theirs.o" || return 1
	in_ns ip link set a1 xdpdrv obj "$T/theirs.o" sec xdp || return 1
	expect_fail 1 "attaching to a1: .*theirs" in_ns "$SLUICE" top a1 --once
	rc=$?
	in_ns ip link show a1 | grep -q "prog/xdp id" || rc=1
	in_ns ip link set a1 xdpdrv off
	return $rc
}
case_ "a program that is not ours stays" foreign

# A flood of random sources, and among them one that sends steadily: its rate must show, and nothing may be lost.
# Both on one CPU, which then also receives, batch by batch: so no queue runs over and sent is received.
flood() {
	start a1 --by src --limit 3 || return 1
	$IN "$SLUICE" traffic a0 udp --src 11.0.0.0/8 --random-only src --dst 10.0.0.2 --count 2000000 --cpu 0 --quiet >"$T/flood" 2>&1 &
	f=$!
	in_ns "$SLUICE" traffic a0 udp --src 192.0.2.7 --dst 10.0.0.2 --pps 20k --count 40000 --cpu 0 --quiet >"$T/steady" 2>&1 || { cat "$T/steady"; return 1; }
	wait $f || { cat "$T/flood"; return 1; }
	enough() { set -- $(seen); [ "$1" = 2040000 ]; }
	wait_until 10 enough || { echo "seen: $(seen)"; stop; return 1; }
	stop || return 1
	sums=$(tail -n 1 "$T/json" | sed 's/.*"total":{"seen"/"seen"/; s/,"n_keys".*//' | grep -o '"packets":[0-9]*' | cut -d: -f2 | tr '\n' ' ')
	# shellcheck disable=SC2086
	set -- $sums
	echo "seen $1 = keys $2 + overflow $3 + untracked $4; the steady one: $(row 192.0.2.7)"
	[ "$1" = $(($2 + $3 + $4)) ] || return 1
	set -- $(row 192.0.2.7)
	[ "$1" -ge 39000 ] && [ "$1" -le 40000 ] && [ "$2" = $(($1 * 60)) ] || return 1
	rate=$(sed 's/{"key"/\n{"key"/g' "$T/json" | grep -F '{"key":"192.0.2.7",' | sed 's/.*"pps":\([0-9]*\).*/\1/' | sort -n |
		awk '{ r[NR] = $1 } END { print r[int((NR + 1) / 2)] }')
	echo "median rate $rate"
	[ "$rate" -ge 14000 ] && [ "$rate" -le 26000 ]
}
case_ "a steady sender shows in a flood of random sources" flood
done_
