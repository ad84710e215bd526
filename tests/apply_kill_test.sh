#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# kill -9 at every step, and at random moments, of apply, confirm, rollback, the end of a trial, and down; and power cuts.
#
#     h1 (198.18.1.2) eth0 ---- to1 (198.18.1.1) box (198.18.2.1) to2 ---- eth0 (198.18.2.2) h2
#     the same again, with one host, for the changes of one interface (the other processor does those)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
need_root
command -v jq >/dev/null || skip_all "jq is not here"
: "${SOAK:=1}" "${SEED:=20261}"
ONE=$((340 * SOAK)) TWO=$((160 * SOAK))
case $BUILD in *asan*) ONE=60 TWO=30 ;; esac # each takes several times as long
policy_lab --hosts 2
echo "# seed $SEED"

kills() { # in the background: one interface, in a lab of its own
	other=${LAB}one
	"$SLUICE" lab up --hosts 1 --name "$other" >/dev/null || return 1
	"$BUILD/tests/apply-kill" "sluice-$other-box" $ONE "$SEED" "$T/a.conf" "$T/b.conf" "$T/ids.one" "sluice-$other-h1=198.18.1.1" >"$T/one" 2>&1 &
	one=$!
	on_exit "kill $one 2>/dev/null; $SLUICE lab down $other >/dev/null 2>&1; rm -rf /var/lib/sluice/policy/netns-sluice-$other-box"
	"$BUILD/tests/apply-kill" "sluice-$LAB-box" $TWO "$SEED" "$T/a2.conf" "$T/b2.conf" "$T/ids.two" "sluice-$LAB-h1=198.18.1.1" \
		"sluice-$LAB-h2=198.18.2.1" >"$T/two" 2>&1
	rc=$?
	wait $one || rc=1
	cat "$T/one" "$T/two"
	cat "$T/ids.one" "$T/ids.two" >>"$T/ours"
	inode=$(stat -Lc %i "/run/netns/sluice-$other-box")
	ip netns exec "sluice-$other-box" "$SLUICE" down >/dev/null || rc=1
	_policy_ends "sluice-$other-box" "$inode" || :
	"$SLUICE" lab down "$other" >/dev/null
	return $rc
}
case_ "$((ONE + TWO)) kills: packets meet the old policy or the new, status says which, the next change works" kills
sed 's/^/# /' "$T/one" "$T/two" 2>/dev/null

# --- power cuts: of all, /var/lib is left as it was at some step; what was written last may be torn ---
cut_at() { # FOLDER NEW: restores from there
	rebooted
	rm -rf "$LIB"
	cp -a "$1" "$LIB"
	sl restore --boot >"$T/restored" 2>&1 || { cat "$T/restored"; return 1; }
	sl status --json >"$T/json"
	file=$(jq -r '.file // "none"' "$T/json" | sed 's/.*\///; s/2*\.conf//')
	case $file in a) want=A ;; b) want=B ;; none) want=none ;; *) echo "what is $file?"; return 1 ;; esac
	case $file in "$2"|"$3") ;; *) echo "$file is neither $2 nor $3"; return 1 ;; esac
	[ "$file" = "$3" ] && new=$((new + 1)) || old=$((old + 1))
	meets h1 198.18.1.1 $want && meets h2 198.18.2.1 $want
}
power() { # WHAT OLD NEW
	old=0 new=0
	rm -rf "$T/steps"
	mkdir "$T/steps"
	"$BUILD/tests/apply-power" "sluice-$LAB-box" "$LIB" "$T/steps" "$1" "$T/${3}2.conf" || return 1
	last=
	for s in $(ls "$T/steps" | sort -n); do # (many steps write nothing there)
		[ "$last" ] && diff -r "$T/steps/$last" "$T/steps/$s" >/dev/null && continue
		last=$s
		cut_at "$T/steps/$s" "$2" "$3" || { echo "at step $s of $1"; return 1; }
	done
	echo "$1: after a power cut with different things written: $old times the old one, $new times the new one"
	[ $old -gt 0 ] && [ $new -gt 0 ]
}
powers() {
	forget
	sl apply "$T/a2.conf" >/dev/null && power apply a b && is policy b "$(st .file | sed 's/.*\///; s/2.conf//')" && power rollback b a &&
		sl apply "$T/b2.conf" --confirm 60s >/dev/null && power confirm a b && power down b none
}
torn() { # a file that was being written under its other name
	forget
	sl apply "$T/a2.conf" >/dev/null && mkdir "$LIB/generations/.2-0123456789ab" && echo half >"$LIB/generations/.2-0123456789ab/policy" &&
		echo 2-01 >"$LIB/.confirmed.new" && rebooted && sl restore --boot >/dev/null && meets h1 198.18.1.1 A &&
		is "left over" 0 "$(ls -A "$LIB/generations" | grep -c '^\.')" && sl apply "$T/b2.conf" >/dev/null && meets h2 198.18.2.1 B
}
case_ "power cut after each step of apply, rollback, confirm and down" powers
sed 's/^/# /' "$T/.case"
case_ "power cut in the middle of writing" torn

# --- under traffic ---
# dropped and passed by name: each policy drops the half of the ports that the other passes
traffic() {
	forget
	for p in a b; do
		[ $p = a ] && low=drop high=pass || low=pass high=drop
		for v in drop pass; do [ $low = $v ] && eval $v=1-32767 || eval $v=32768-65535; done
		policy port_$p.conf "filter on to1 {
	drop udp to port $drop as \"dropped\"
	pass udp to port $pass as \"passed\"
	default pass
}"
	done
	prog seen 2
	prog behind 1
	sl attach to1 "$T/seen.o" -P 1 >/dev/null && sl attach to1 "$T/behind.o" -P 90 >/dev/null && sl apply "$T/port_a.conf" >/dev/null || return 1
	h1 "$SLUICE" traffic eth0 udp --dst 198.18.1.1 --dport 1-65535 --random --pps 1M --duration "$((8 * SOAK))s" --json >"$T/traffic" 2>&1 &
	sender=$!
	n=0
	while kill -0 $sender 2>/dev/null; do
		sl apply "$T/port_b.conf" >/dev/null && sl apply "$T/port_a.conf" --confirm 150ms >/dev/null && sleep 0.2 &&
			sl apply "$T/port_a.conf" >/dev/null && sl rollback >/dev/null && sl apply "$T/port_a.conf" >/dev/null || return 1
		n=$((n + 6))
	done
	wait $sender || { cat "$T/traffic"; return 1; }
	d=$("$BUILD/tests/apply-counts" "sluice-$LAB-box" dropped) p=$("$BUILD/tests/apply-counts" "sluice-$LAB-box" passed)
	rest=$("$BUILD/tests/apply-counts" "sluice-$LAB-box" default) seen=$(number to1 seen runs)
	echo "$n switches, $seen packets: $d dropped, $p passed, $rest of other kinds; $(number to1 filter drop) drops of the filter, $(number to1 behind runs) behind it"
	is "packets that came in, and were judged" "$seen" $((d + p + rest)) && is "judged dropped, and dropped" "$d" "$(number to1 filter drop)" &&
		is "judged passed, and passed" $((p + rest)) "$(number to1 behind runs)" && [ "$seen" -gt 1000000 ] && [ $n -ge 12 ]
}
case_ "switching under traffic: every packet judged once, by the old policy or the new" traffic
sed 's/^/# /' "$T/.case"
sl detach to1 --all --force >/dev/null 2>&1
forget
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
rm -f /run/sluice/net"$netns"_*.lock
case_ "nothing is left of them: programs, maps, links, files" gone_all "$inode" "/var/lib/sluice/policy/netns-sluice-$other-box"
sed 's/^/# /' "$T/.case"
done_
