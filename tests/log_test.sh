#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice log: samples of packets, on every engine and with a policy in force.
#
#   one namespace:  a0 ──── a1   with the policy      frames are sent into a0 and b0
#                   b0 ──── b1   with the policy
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/policy_lab.sh"

check() { timeout 120 "$BUILD/tests/samples-check" "$@"; }
case_ "samples and what is lost, interpreted" check interp
case_ "samples and what is lost, compiled to machine code" check jit
case_ "two formats at once" expect_fail 2 '^sluice log: --pcapng and --json exclude each other$' "$SLUICE" log -j --pcapng x
case_ "no such interface" expect_fail 3 "^sluice log: no interface 'loo', did you mean lo\\?" "$SLUICE" log loo
need_root
case_ "samples and what is lost, in the kernel" check kernel

NS=log$$
ip netns add $NS || exit 1
on_exit "ip netns del $NS"
IN="nsenter --net=/run/netns/$NS"
in_ns() { $IN "$@"; }
in_ns sysctl -qw net.ipv6.conf.default.disable_ipv6=1
for p in a b; do
	in_ns ip link add ${p}0 type veth peer name ${p}1
	in_ns ip link set ${p}0 up
	in_ns ip link set ${p}1 up
done
policy_ends "$NS"
unprivileged() { setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all "$@"; }
udp() { printf '0200000000010200000000020800450000%02x00010000401100000a0000010a00000203e8%04x00080000' 28 "$1"; } # PORT; 42 bytes
icmp=0200000000010200000000020800450000540001000040010000c00002070a0000020800000000010001$(printf '%0112d' 0) # 98
evil=0200000000010200000000029999$(printf '1b5b324a%.0s' 1 2 3 4 5 6 7 8 9 10 11 12) # 62: "clear the screen", twelve times
frames() { in_ns "$BUILD/tests/frames" "$@"; }
policy() {
	cat >"$T/$1"
	in_ns "$SLUICE" apply "$T/$1" >/dev/null
}
log() { timeout 20 $IN "$SLUICE" log "$@"; }

case_ "no policy" expect_fail 3 '^sluice log: no policy is in force here; sluice apply FILE puts one in$' log
case_ "a policy" policy one.conf <<'X'
filter on { a1, b1 } {
	log max 1M/s  drop udp to port 53 as "d'n\"s ü"
	log max 1M/s  count udp to port 7
	log max 1M/s  limit icmp to 1/d burst 2
	log max 1M/s  pass ether type 0x9999
	default drop
}
X
lines() { # WANT LOG_ARG...: lines without the date
	want=$1
	shift
	log -1 "$@" 2>&1 | sed 's/^20..-..-.. ..:..:..\.[0-9]\{6\} //' >"$T/got"
	printf '%s' "$want" | diff - "$T/got"
}
case_ "nothing yet" lines ''
sent() { frames a0 1 "$(udp 53)" "$(udp 7)" "$icmp" "$icmp" "$icmp" && frames b0 1 "$(udp 53)"; }
case_ "six packets" sent
case_ "and what became of them" lines "a1 drop udp 10.0.0.1:1000 > 10.0.0.2:53 length 42 (rule 1: \"d'n\"s ü\")
a1 goes on udp 10.0.0.1:1000 > 10.0.0.2:7 length 42 (rule 2: log max 1M/s count udp to port 7)
a1 drop over the limit icmp 192.0.2.7 > 10.0.0.2 type 8 code 0 length 98 (rule 3: log max 1M/s limit icmp to 1/d burst 2)
b1 drop udp 10.0.0.1:1000 > 10.0.0.2:53 length 42 (rule 1: \"d'n\"s ü\")
"
case_ "what was read is gone" lines ''
hostile() { frames a0 1 "$evil" && lines 'a1 pass ether type 0x9999 length 62 (rule 4: log max 1M/s pass ether type 0x9999)
' && frames a0 1 "$evil" && log -1 -v >"$T/got" && grep -q '^    eth dst 02:00:00:00:00:01 src 02:00:00:00:00:02 type 0x9999 / ' "$T/got" && ! grep -q "$(printf '\033')" "$T/got"; }
case_ "bytes that a terminal would obey" hostile
one_interface() { frames a0 2 "$(udp 7)" && frames b0 1 "$(udp 53)" && lines "b1 drop udp 10.0.0.1:1000 > 10.0.0.2:53 length 42 (rule 1: \"d'n\"s ü\")
" 'b*1'; }
case_ "one interface" one_interface
json() {
	now=$(date +%s)
	frames a0 1 "$icmp"
	log -1 -j >"$T/j" || return 1
	jq -e --argjson now "$now" '(.time - $now | fabs) < 5 and .interface == "a1" and .rule == 3 and .name == null and .over and
		.verdict == "drop" and (.shadow | not) and .text == "log max 1M/s limit icmp to 1/d burst 2" and .length == 98 and .captured == 98 and
		.packet == "icmp 192.0.2.7 > 10.0.0.2 type 8 code 0 length 98" and (.bytes | length) == 196 and .generation == 1' "$T/j" || { cat "$T/j"; return 1; }
	frames a0 1 "$(udp 53)"
	log -1 -j | jq -e '.name == "d'"'"'n\"s ü" and (.over | not)'
}
case_ "JSON" json
no_samples() { # a capture of nothing is one, and begins before there is anything
	log -1 --pcapng "$T/none" && tcpdump -nr "$T/none" >"$T/got" 2>"$T/err" || { cat "$T/err"; return 1; }
	[ ! -s "$T/got" ] && grep -q 'link-type EN10MB' "$T/err" || { cat "$T/err"; return 1; }
	$IN $FOREGROUND "$SLUICE" log --pcapng "$T/begun" &
	reader=$!
	wait_until 5 tcpdump -nr "$T/begun" 2>"$T/err"
	rc=$?
	kill -KILL $reader
	wait $reader
	return $rc
}
case_ "a capture without samples" no_samples
capture() {
	frames a0 2 "$(udp 53)" && frames b0 1 "$icmp" "$icmp" "$icmp"
	log -1 --pcapng "$T/x" || return 1
	[ "$(stat -c %a "$T/x")" = 600 ] || { stat "$T/x"; return 1; }
	tshark -r "$T/x" -T fields -e frame.interface_name -e frame.len -e frame.comment -e frame.protocols 2>/dev/null >"$T/got"
	diff - "$T/got" <<-X
	a1	42	drop by rule 1: "d'n"s ü"	eth:ethertype:ip:udp
	a1	42	drop by rule 1: "d'n"s ü"	eth:ethertype:ip:udp
	b1	98	drop over the limit by rule 3: log max 1M/s limit icmp to 1/d burst 2	eth:ethertype:ip:icmp:data
	b1	98	drop over the limit by rule 3: log max 1M/s limit icmp to 1/d burst 2	eth:ethertype:ip:icmp:data
	b1	98	drop over the limit by rule 3: log max 1M/s limit icmp to 1/d burst 2	eth:ethertype:ip:icmp:data
	X
}
case_ "a capture" capture
streams() { # each packet at once, while log goes on
	$IN $FOREGROUND "$SLUICE" log --pcapng - 2>"$T/err" | tcpdump -lnr - >"$T/got" 2>/dev/null &
	wait_until 5 held || return 1
	frames a0 1 "$(udp 53)"
	wait_until 5 grep -q '10.0.0.1.1000 > 10.0.0.2.53' "$T/got" || { cat "$T/got" "$T/err"; return 1; }
	kill -INT "$(cat "$T/pid")"
	wait $!
}
held() { # the ring is read by somebody, whose number goes to $T/pid
	pgrep -f "^$SLUICE log" >"$T/pid" && ! timeout 5 $IN "$SLUICE" log -1 >/dev/null 2>"$T/second" &&
		grep -q '^sluice log: another process reads the samples of this network namespace, and only one can$' "$T/second"
}
case_ "a capture for a pipe, packet by packet; no second reader" streams
terminal() {
	in_ns script -qec "$SLUICE log --pcapng -" /dev/null >"$T/got" </dev/null
	[ $? = 2 ] && grep -q 'a capture is nothing for a terminal: --pcapng FILE, or a pipe behind it' "$T/got"
}
case_ "a capture for a terminal" terminal
count() { frames a0 9 "$(udp 53)" && [ "$(log -n 4 | wc -l)" = 4 ] && [ "$(log -1 | wc -l)" = 5 ]; }
case_ "so many, and no more" count
free() { ! pgrep -f "^$SLUICE log"; }
gone() { # the reader of the pipe goes away
	frames a0 3 "$(udp 53)"
	log | head -n 1 >"$T/got"
	[ "$(wc -l <"$T/got")" = 1 ] && wait_until 3 free && log -1 >/dev/null
}
case_ "nobody reads any more" gone
lost() { # more than the ring holds, while nobody reads; and while log does
	log -1 >/dev/null
	timeout 30 $IN $FOREGROUND "$SLUICE" log >"$T/got" &
	wait_until 5 held || return 1
	kill -STOP "$(cat "$T/pid")"
	frames a0 2000 "$(udp 53)"
	kill -CONT "$(cat "$T/pid")"
	wait_until 5 grep -q 'lost: the ring was full' "$T/got" || { tail -n 2 "$T/got"; return 1; }
	kill -INT "$(cat "$T/pid")"
	wait $!
	n=$(grep -c 'drop udp' "$T/got") l=$(sed -n 's/^\.\.\. \([0-9]*\) samples* lost: the ring was full$/\1/p' "$T/got" | awk '{ s += $1 } END { print s }')
	echo "$n read, $l lost"
	[ $((n + l)) = 2000 ] && [ "$l" -gt 300 ]
}
case_ "samples that found no room are counted" lost
change() { # a sample keeps its rule
	frames a0 1 "$(udp 53)"
	printf 'filter on { a1, b1 } {\n\tlog max 1M/s drop udp as "new"\n\tshadow\n}\n' | policy two.conf || return 1
	frames a0 1 "$(udp 53)"
	lines "a1 drop udp 10.0.0.1:1000 > 10.0.0.2:53 length 42 (rule 1: \"d'n\"s ü\")
a1 drop in shadow udp 10.0.0.1:1000 > 10.0.0.2:53 length 42 (rule 1: \"new\")
"
}
case_ "across a change of policy" change
meanwhile() { # the policy changes while it is read
	$IN $FOREGROUND timeout 30 "$SLUICE" log >"$T/got" &
	wait_until 5 held || return 1
	printf 'filter on { a1, b1 } {\n\tlog max 1M/s drop udp as "newer"\n}\n' | policy three.conf || return 1
	frames a0 1 "$(udp 53)"
	wait_until 5 grep -q 'rule 1: "newer"' "$T/got" || { cat "$T/got"; return 1; }
	kill -INT "$(cat "$T/pid")"
	wait $!
}
case_ "while it is read" meanwhile
cp "$SLUICE" "$T/sluice" && chmod 755 "$T" "$T/sluice"
case_ "no privilege is named" expect_fail 4 "CAP_" in_ns setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all "$T/sluice" log -1
done_
