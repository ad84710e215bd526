#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# kill -9 at random moments of attach, replace and detach, under traffic: what is on the interface afterwards is the
# chain from before or the one that was asked for, nothing is lost and nothing is left over.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
need_root
: "${KILLS:=450}" "${SEED:=20251}"
leaks_before
lab_start
for p in base x; do prog $p 2; done
for i in 1 2 3; do cp "$T/x.o" "$T/x$i.o"; done
cp "$T/x.o" "$T/y.o"
echo "# seed $SEED"

# NAME FILE of each member but the first; "none" if nothing is attached
members() {
	"$SLUICE" list to1 >"$T/list" 2>&1 || { echo broken; return; }
	awk 'NR == 1 { if ($2 == "-") print "none"; else if ($3 != "sluice,") print "foreign" } NR > 1 { print $2, $3 }' "$T/list" | tr '\n' ';'
}

# ATTEMPTS KEEP: in the box's network namespace; KEEP: a member that stays throughout
loop() {
	n=0 done=0 undone=0 killed=0 start=$(date +%s%N)
	for i in 1 2 3 4 5; do
		"$SLUICE" attach to1 "$T/x1.o" --name time >/dev/null && "$SLUICE" detach to1 time >/dev/null || return 1
	done
	awk -v seed="$SEED" -v n="$1" -v ns=$((($(date +%s%N) - start) / 10)) 'BEGIN { srand(seed); for (i = 0; i < n; i++)
		printf "%d %d %d\n", rand() * 3, 1 + rand() * 3, rand() * ns / 1e3 }' >"$T/plan"
	while read -r what which delay; do
		before=$(members)
		m=x$which
		case $what:$before in
		*:*"$m $m.o;"*) op="replace to1 $m $T/y.o" after=$(echo "$before" | sed "s/$m $m.o;/$m y.o;/") ;;
		0:*"$m y.o;"*|1:*"$m y.o;"*) op="replace to1 $m $T/$m.o" after=$(echo "$before" | sed "s/$m y.o;/$m $m.o;/") ;;
		*:*"$m y.o;"*) op="detach to1 $m" after=$(echo "$before" | sed "s/$m y.o;//") ;;
		*) op="attach to1 $T/$m.o --name $m" after=$(echo "$before" | sed 's/^none;//')"$m $m.o;" ;;
		esac
		[ -n "$after" ] || after="none;"
		# shellcheck disable=SC2086
		"$BUILD/tests/kill-after" "$delay" "$SLUICE" $op >"$T/op" 2>&1
		case $? in 0) killed=$((killed + 1)) ;; 1) ;; *) echo "cannot start $op"; return 1 ;; esac
		now=$(members)
		case $now in
		"$before") undone=$((undone + 1)) ;;
		"$after") done=$((done + 1)) ;;
		*) echo "killed $op after $delay us: was $before, wanted $after, is $now"; cat "$T/list"; return 1 ;;
		esac
		n=$((n + 1))
	done <"$T/plan"
	echo "$killed of $n killed at work; $undone times nothing had changed, $done times everything"
	[ $killed -ge $((n / 2)) ] && [ $undone -gt $((n / 20)) ] && [ $done -gt $((n / 20)) ]
}

under_traffic() {
	sl attach to1 "$T/base.o" -P 1 >/dev/null || return 1
	(exec "$SLUICE" lab run --lab "$LAB" h1 -- ping -n -q -i 0.002 198.18.1.1) >"$T/ping.all" 2>&1 &
	pinger=$!
	on_exit "kill $pinger 2>/dev/null"
	in_box "$KILLS"
	rc=$?
	kill -INT $pinger
	wait $pinger
	tail -3 "$T/ping.all" | grep transmitted
	sent=$(awk '/transmitted/ { print $1 }' "$T/ping.all") back=$(awk '/transmitted/ { print $4 }' "$T/ping.all")
	[ "$sent" -gt 1000 ] && [ "$sent" = "$back" ] && [ $rc = 0 ] && is "map of base" "$sent" "$(hits to1 base)"
}
# the loop in a shell of its own in there: one process less to kill
in_box() {
	{ echo "T=$T SLUICE=$SLUICE SEED=$SEED BUILD=$BUILD"; sed -n '/^members() {$/,/^}$/p; /^loop() {$/,/^}$/p' "$0"; echo "loop $1"; } >"$T/loop.sh"
	box sh "$T/loop.sh"
}
from_empty() { in_box 150; }
usable() {
	sl attach to1 "$T/base.o" -n fine >/dev/null && packets 5 && answered 5 && runs_are to1 fine 5 && sl detach to1 --all && empty to1
}
case_ "$KILLS kills under traffic: the old chain or the new one, no packet lost or counted twice" under_traffic
sed 's/^/# /' "$T/.case"
fresh "150 kills from an empty interface" from_empty
sed 's/^/# /' "$T/.case"
fresh "and everything works" usable
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
# locks of processes that were killed stay as empty files until the next change; there will be none
rm -f /run/sluice/net"$netns"_*.lock
case_ "nothing is left: programs, maps, links, pins" leaks_after
done_
