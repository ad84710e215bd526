#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice rules: counters of rules: exact sums, rates, order, the screen and its keys.
#
#   one namespace:  a0 ──── a1   with the policy      frames are sent into a0, b0 and c0
#                   b0 ──── b1   with the policy
#                   c0 ──── c1   with another filter of it
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/policy_lab.sh"

case_ "no such interface" expect_fail 3 "^sluice rules: no interface 'loo', did you mean lo\\?" "$SLUICE" rules loo
case_ "nonsense to sort by" expect_fail 2 "^sluice rules: cannot sort by 'size': text, packets, bytes, pps or bps$" "$SLUICE" rules -s size
case_ "too short an interval" expect_fail 2 '--interval must be at least 10ms' "$SLUICE" rules -i 1ms
case_ "once and count" expect_fail 2 '--once and --count exclude each other' "$SLUICE" rules -1 -c 3
need_root

NS=rules$$
ip netns add $NS || exit 1
on_exit "ip netns del $NS"
IN="nsenter --net=/run/netns/$NS"
in_ns() { $IN "$@"; }
in_ns sysctl -qw net.ipv6.conf.default.disable_ipv6=1
for p in a b c; do
	in_ns ip link add ${p}0 type veth peer name ${p}1
	in_ns ip link set ${p}0 up
	in_ns ip link set ${p}1 up
done
policy_ends "$NS"
udp() { printf '0200000000010200000000020800450000%02x00010000401100000a0000010a00000203e8%04x00080000' 28 "$1"; } # PORT; 42 bytes
frames() { in_ns "$BUILD/tests/frames" "$@"; }
rules() { timeout 20 $IN "$SLUICE" rules "$@"; }

case_ "no policy" expect_fail 3 '^sluice rules: no policy is in force here; sluice apply FILE puts one in$' rules
policy() {
	cat >"$T/$1"
	in_ns "$SLUICE" apply "$T/$1" >/dev/null
}
case_ "a policy" policy one.conf <<'X'
filter on { a1, b1 } {
	count udp
	log max 1M/s drop udp to port 53 as "dns"
	limit udp to port 9 to 1/d burst 2
	drop tcp
	default pass
}
filter on c1 {
	shadow
	default drop
}
X
sent() { frames a0 5 "$(udp 53)" "$(udp 9)" && frames b0 2 "$(udp 53)" && frames c0 3 "$(udp 7)"; }
case_ "fifteen packets" sent
plain() { # WANT ARG...: without the line that says when, and blanks
	want=$1
	shift
	rules "$@" >"$T/out" 2>&1
	sed 1d "$T/out" | tr -s ' ' | sed 's/^ //' >"$T/got"
	printf '%s\n' "$want" | diff - "$T/got" && grep -qE '^# 20..-..-.. ..:..:.. policy 1-[0-9a-f]{12}$' "$T/out"
}
case_ "sums over interfaces" plain 'filter on a1, b1: 12 packets 504 bytes
RULE PACKETS BYTES OVER LOGGED SHARE TEXT
1 12 504 0 0 100.0% count udp
2 7 294 0 7 58.3% log max 1M/s drop udp to port 53 as "dns"
3 2 84 3 0 41.7% limit udp to port 9 to 1/d burst 2
4 0 0 0 0 never drop tcp
- 2 84 0 0 16.7% default pass
filter on c1 (in shadow: all pass): 3 packets 126 bytes
RULE PACKETS BYTES OVER LOGGED SHARE TEXT
- 3 126 0 0 100.0% default drop'
case_ "one interface" plain 'filter on b1: 2 packets 84 bytes
RULE PACKETS BYTES OVER LOGGED SHARE TEXT
1 2 84 0 0 100.0% count udp
2 2 84 0 2 100.0% log max 1M/s drop udp to port 53 as "dns"
3 0 0 0 0 never limit udp to port 9 to 1/d burst 2
4 0 0 0 0 never drop tcp
- 0 0 0 0 0.0% default pass' b1
case_ "each apart, the largest" plain 'filter on a1: 10 packets 420 bytes
RULE PACKETS BYTES OVER LOGGED SHARE TEXT
1 10 420 0 0 100.0% count udp
2 5 210 0 5 50.0% log max 1M/s drop udp to port 53 as "dns"
... and 3 more
filter on b1: 2 packets 84 bytes
RULE PACKETS BYTES OVER LOGGED SHARE TEXT
1 2 84 0 0 100.0% count udp
2 2 84 0 2 100.0% log max 1M/s drop udp to port 53 as "dns"
... and 3 more' --per-if -s bytes -n 2 a1,b1
case_ "an interface without" expect_fail 3 '^sluice rules: the policy in force has no filter on lo$' rules lo
json() {
	rules -j >"$T/j" || return 1
	jq -e '.interval_ns == null and .trial_ns == null and (.policy | startswith("1-")) and (.filters | length) == 2 and
		.filters[0].interfaces == ["a1", "b1"] and .filters[0].total == {packets: 12, bytes: 504, pps: null, bps: null} and
		.filters[0].n_rules == 4 and (.filters[0].rules | length) == 5 and
		.filters[0].rules[1] == {rule: 2, name: "dns", text: "log max 1M/s drop udp to port 53 as \"dns\"", default: false,
			packets: 7, bytes: 294, over_packets: 0, over_bytes: 0, logged: 7, pps: null, bps: null, share: (7 / 12), never: false} and
		.filters[0].rules[2].over_packets == 3 and .filters[0].rules[2].over_bytes == 126 and .filters[0].rules[3].never and
		.filters[0].rules[4].default and .filters[0].rules[4].rule == null and .filters[1].shadow and .filters[1].default == "drop"' "$T/j" ||
		{ cat "$T/j"; return 1; }
}
case_ "JSON" json
rates() { # 600 packets in what is measured, give or take what the machine is busy with
	rm -f "$T/j"
	rules a1 -j -i 100ms -c 30 >"$T/j" &
	pid=$!
	wait_until 5 test -s "$T/j" || return 1
	frames a0 600 "$(udp 53)"
	wait $pid || return 1
	# rate times time, summed over the reports, is what was sent
	jq -es 'length == 30 and (map(.filters[0].rules[1].pps * .interval_ns / 1e9) | add) as $n | $n > 590 and $n < 610' "$T/j" || { jq -c '[.interval_ns, .filters[0].rules[1].pps]' "$T/j"; return 1; }
	jq -es '[.[] | select(.filters[0].total.pps > 0)] | all(.[]; .filters[0].rules[1].share > 0.99 and .filters[0].rules[2].share == 0)' "$T/j"
}
case_ "rates" rates
lines() {
	rules a1 -i 50ms -c 3 >"$T/out" && [ "$(grep -cE '^# .* policy 1-[0-9a-f]{12}, rates of 0\.[0-9]{3}s$' "$T/out")" = 3 ] &&
		[ "$(grep -c 'PPS.*BIT/S' "$T/out")" = 3 ]
}
case_ "lines" lines
counted_on() {
	tail -n 1 "$T/j" | jq -e '.filters | length == 1 and .[0].rules[1].packets == 610 and .[0].rules[1].name == "dns" and .[0].rules[0].never'
}
change() { # another policy while it is read: rules go on, and are counted on
	rm -f "$T/j"
	timeout 60 $IN "$SLUICE" rules -j -i 100ms >"$T/j" 2>"$T/err" &
	pid=$!
	wait_until 5 test -s "$T/j" &&
		printf 'filter on { a1, b1 } {\n\tdrop tcp\n\tlog max 1M/s drop udp to port 53 as "dns"\n}\n' | policy two.conf &&
		wait_until 10 grep -q '"policy":"2-' "$T/j" && frames a0 3 "$(udp 53)" && wait_until 10 counted_on
	rc=$?
	kill $pid
	wait $pid
	[ $rc = 0 ] || { cat "$T/err"; rules -1; tail -n 1 "$T/j"; }
	return $rc
}
case_ "across a change of policy" change
off() { # the policy is taken off while it is read
	rm -f "$T/j"
	rules -j -i 50ms >"$T/j" 2>"$T/err" &
	pid=$!
	wait_until 5 test -s "$T/j" || return 1
	in_ns "$SLUICE" down >/dev/null
	wait $pid
	[ $? = 3 ] && [ "$(cat "$T/err")" = "sluice rules: no policy is in force here any more" ] || { cat "$T/err"; return 1; }
}
case_ "until the policy is taken off" off

# --- the screen
many() {
	{
		echo 'filter on a1 {'
		for i in $(seq 1 60); do echo "	drop udp to port $i as \"rule $i\""; done
		echo '}'
	} | policy many.conf && frames a0 9 "$(udp 7)" && frames a0 20 "$(udp 33)" && frames a0 4 "$(udp 60)"
}
case_ "sixty rules" many
screen() { # KEYS; what was drawn goes to $T/screen
	{ sleep 1; printf "$1"; sleep 1; printf q; } | in_ns env TERM=xterm script -qec "stty rows 24 cols 100; $SLUICE rules -i 200ms" /dev/null >"$T/screen" 2>&1
}
shows() { # KEYS TEXT...: each is drawn
	screen "$1" || return 1
	shift
	for t; do
		grep -aqF -- "$t" "$T/screen" || { echo "not there: $t"; tail -c 1500 "$T/screen"; return 1; }
	done
}
case_ "a screen" shows '' 'sluice rules  policy ' 'every 0.2s' 'filter on a1' '"rule 1"' '"rule 20"' 'never' 'q quit  s sort  r by rate'
only() { screen '' && ! grep -aq '"rule 22"' "$T/screen"; }
case_ "as many rules as fit" only
case_ "the end" shows '\033OF' '"rule 60"' 'default pass'
case_ "a page" shows '\033[6~' '"rule 33": drop'
by_packets() { # the most first: it is not on the screen in the order of the text; only what changes is drawn
	screen 2 && grep -aq '"rule 33"' "$T/screen" && screen '' && ! grep -aq '"rule 33"' "$T/screen"
}
case_ "by packets" by_packets
case_ "a filter" shows '/rule 6\n' 'filter: rule 6' '"rule 6"' '60": drop'
case_ "help" shows h 'by text or by rate' 'no packet has matched since the rule is in force'
case_ "paused" shows p '[paused]'
case_ "all keys" shows '12345ssrrhhpp/x\033\033OH\033OA\033OB\033[5~\033[6~' 'filter on a1'
narrow() { # COLUMNS: the longest line of a screen whose rules have long names; limits' drops are on it
	tmux -L "rules$$" -f /dev/null new-session -d -x "$1" -y 24 "$IN $SLUICE rules -i 200ms" || return 1
	wait_until 10 eval 'tmux -L "rules$$" capture-pane -p | grep -q "over it"'
	tmux -L "rules$$" send-keys / '"long'
	tmux -L "rules$$" send-keys Enter
	wait_until 10 eval '! tmux -L "rules$$" capture-pane -p | grep -q "over it"'
	tmux -L "rules$$" capture-pane -p >"$T/screen"
	tmux -L "rules$$" kill-server
	cat "$T/screen"
	grep -q ' OVER .*SHARE  RULE$' "$T/screen" && grep -qE '^ +3 .* 4 +(0 +)?[0-9.]+%  "long' "$T/screen" &&
		! sed 1,2d "$T/screen" | grep -vE '^$|^ +[-0-9]|^ {7}|^ ?q quit' | grep . && [ "$(sed 1,2d "$T/screen" | grep -c '[^ ]')" = 5 ]
}
wide_rules() {
	policy wide.conf <<-X
	filter on a1 {
		count udp as "over it"
		drop tcp as "long $(printf '%058d' 1)"
		limit udp to port 9 to 1/d burst 2 as "long $(printf '%058d' 2)"
		drop udp to port 9 as "long $(printf '%058d' 3)"
	}
	X
	frames a0 6 "$(udp 9)" && narrow 80 && narrow 120
}
if command -v tmux >/dev/null; then case_ "lines end at the edge" wide_rules; else skip "lines end at the edge" "no tmux"; fi
case_ "sixty rules once more" many
terminal() { # as it was before
	screen '' && tail -c 200 "$T/screen" | grep -aq "$(printf '\033')\[?1049l"
}
case_ "the terminal is as before" terminal
bogus() {
	in_ns env TERM=bogus script -qec "timeout 1 $SLUICE rules" /dev/null >"$T/screen" 2>&1 </dev/null
	grep -q "terminal type 'bogus' is not known here: lines instead" "$T/screen" && grep -q 'filter on a1' "$T/screen"
}
case_ "an unknown terminal gets lines" bogus
stdout_gone() {
	timeout 5 $IN "$SLUICE" rules -i 50ms 2>"$T/err" | head -n 1 >/dev/null
	[ ! -s "$T/err" ]
}
case_ "ends when nobody reads" stdout_gone
cp "$SLUICE" "$T/sluice" && chmod 755 "$T" "$T/sluice"
case_ "no privilege is named" expect_fail 4 "CAP_" in_ns setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all "$T/sluice" rules
done_
