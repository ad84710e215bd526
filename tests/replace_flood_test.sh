#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Replacing under a million packets a second: every packet that was sent is counted by the old program or by the new one, once.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
need_root
leaks_before
lab_start
on_exit 'rm -rf /sys/fs/bpf/ct$$'
: "${PACKETS:=6000000}"
prog old 1
prog side 2
cp "$T/old.o" "$T/new.o"

flood() { # COUNT
	(exec "$SLUICE" lab run --lab "$LAB" h1 -- "$SLUICE" traffic eth0 udp --dst 198.18.1.1 --count "$1" --pps 1M --json >"$T/sent" 2>"$T/sent.err") &
	flooder=$!
}
sent() { sed -n 's/.*[{,]"sent":\([0-9]*\).*/\1/p' "$T/sent" | head -n 1; }
pps() { sed -n 's/.*[{,]"pps":\([0-9]*\).*/\1/p' "$T/sent" | head -n 1; }

exact() { # replacing with fresh maps and counters of the chain, with kept maps, and with members that come and go
	sl attach to1 "$T/old.o" -n drop -P 60 --pin "ct$$" >/dev/null || return 1
	flood "$PACKETS"
	n=0 others=0
	while kill -0 $flooder 2>/dev/null; do
		sl replace to1 drop "$T/new.o" --keep-maps >/dev/null || return 1
		n=$((n + 1))
		[ "$1" = alone ] || { sl attach to1 "$T/side.o" -P $((n % 2 * 50 + 40)) >/dev/null && sl detach to1 side >/dev/null &&
			others=$((others + 2)) || return 1; }
	done
	wait $flooder || { cat "$T/sent.err"; return 1; }
	echo "$(sent) packets, $(pps) a second, $n replacements, $others other changes"
	[ $((n + others)) -ge 24 ] && [ "$n" -ge 8 ] && is "sent" "$PACKETS" "$(sent)" && is "counted by the programs" "$PACKETS" "$(hits to1 drop)" &&
		is "counted by the chain" "$PACKETS" "$(number to1 drop runs)" && ended to1 drop drop "$PACKETS" &&
		is "pinned map" "$PACKETS" "$(bpftool map lookup pinned "/sys/fs/bpf/ct$$/old_hits" key 0 0 0 0 | grep -o '"value": *[0-9]*' | grep -o '[0-9]*$')" &&
		sl detach to1 --all >/dev/null && empty to1
	rc=$?
	rm -rf "/sys/fs/bpf/ct$$"
	return $rc
}
# the old program's own map and the new one's, added up by hand
two_maps() {
	sl attach to1 "$T/old.o" -n drop --pin "ct$$" >/dev/null || return 1
	flood $((PACKETS / 4))
	sleep 0.1
	sl replace to1 drop "$T/new.o" >/dev/null || return 1
	wait $flooder
	a=$(bpftool map lookup pinned "/sys/fs/bpf/ct$$/old_hits" key 0 0 0 0 | grep -o '"value": *[0-9]*' | grep -o '[0-9]*$') b=$(hits to1 drop)
	echo "old $a + new $b"
	[ "$a" -gt 0 ] && [ "$b" -gt 0 ] && is "old + new" $((PACKETS / 4)) $((a + b)) && sl detach to1 drop
	rc=$?
	rm -rf "/sys/fs/bpf/ct$$"
	return $rc
}
alone() { exact alone; }
with_others() { exact others; }
fresh "one replacement: the old program's map and the new one's add up to what was sent" two_maps
sed 's/^/# /' "$T/.case"
fresh "replacing all the time under $PACKETS packets: none missed, none counted twice" alone
sed 's/^/# /' "$T/.case"
fresh "the same while other members come and go in front of it and behind" with_others
sed 's/^/# /' "$T/.case"
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
case_ "nothing is left: programs, maps, links, pins, locks" leaks_after
done_
