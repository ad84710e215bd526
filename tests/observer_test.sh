#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Observers: in front of whatever is on an interface, deciding nothing, and gone with their process.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
need_root
leaks_before
lab_start
on_exit 'rm -f /sys/fs/bpf/ct$$_*'
prog p1 2
prog drop 1
prog jumbo 2 xdp.frags
bpf_cc "$T/obs.o" <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } seen SEC(".maps");
SEC("xdp") int look(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&seen, &zero);

	if (n)
		__sync_fetch_and_add(n, 1);
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
END

watch_() { # NAME [IF]
	rm -f "/sys/fs/bpf/ct$$_$1" "$T/$1.in" "$T/$1.out"
	mkfifo "$T/$1.in"
	(exec "$SLUICE" lab run --lab "$LAB" box -- "$BUILD/tests/observe-tool" "${2:-to1}" "$T/obs.o" "/sys/fs/bpf/ct$$_$1") <"$T/$1.in" >"$T/$1.out" 2>&1 &
	eval "pid_$1=$!"
	case $1 in
	a) exec 7>"$T/a.in" ;;
	b) exec 8>"$T/b.in" ;;
	esac
	wait_until 10 test -s "$T/$1.out" && lines "$1" 1 ok
}
lines() { # NAME N TEXT: line N of its answers
	wait_until 5 sh -c "[ \$(wc -l <'$T/$1.out') -ge $2 ]" && is "answer $2 of $1" "$3" "$(sed -n "$2p" "$T/$1.out")"
}
seen() { bpftool map lookup pinned "/sys/fs/bpf/ct$$_$1" key 0 0 0 0 | grep -o '"value": *[0-9]*' | grep -o '[0-9]*$'; }
saw() { is "seen by $1" "$2" "$(seen "$1")"; }
close_() { # NAME
	case $1 in
	a) echo quit >&7; exec 7>&- ;;
	b) echo quit >&8; exec 8>&- ;;
	esac
	eval "wait \$pid_$1"
	rm -f "/sys/fs/bpf/ct$$_$1"
}
# The kernel empties the slot of a process that is gone from a work queue: a moment later.
kill_() {
	eval "kill -9 \$pid_$1"
	eval "wait \$pid_$1" 2>/dev/null
	case $1 in
	a) exec 7>&- ;;
	b) exec 8>&- ;;
	esac
}
settle() { sleep 0.3; }
observers() { sl list to1 --json | grep -o '"observers":[0-9]*' | grep -o '[0-9]*$'; }

alone() {
	watch_ a && packets 5 && answered 5 && saw a 5 && is observers 1 "$(observers)" && sl list to1 | grep -q '0 in the chain, 1 observer' || return 1
	close_ a && empty to1 && packets 2
}
alone_killed() {
	watch_ a && packets 5 && saw a 5 && kill_ a && wait_until 5 empty to1 && packets 3 && answered 3 && saw a 5 && rm -f "/sys/fs/bpf/ct$$_a"
}
before_chain() {
	sl attach to1 "$T/p1.o" "$T/drop.o" >/dev/null && packets 3 && watch_ a && packets 4 && answered 0 && saw a 4 && runs_are to1 p1 7 && ended to1 drop drop 7 || return 1
	close_ a && packets 2 && runs_are to1 p1 9 && is observers 0 "$(observers)" && sl detach to1 -a && empty to1
}
chain_comes() {
	# p1 has no multi-buffer support, the empty chain had: the observer is back in front with its next check
	watch_ a && packets 2 && saw a 2 && sl attach to1 "$T/p1.o" >/dev/null && echo check >&7 && lines a 2 ok &&
		packets 4 && answered 4 && saw a 6 && runs_are to1 p1 4 || return 1
	sl attach to1 "$T/drop.o" >/dev/null && packets 4 && answered 0 && saw a 10 && sl replace to1 drop "$T/p1.o" >/dev/null && packets 1 && answered 1 && saw a 11 || return 1
	# the process ends: the chain stays
	close_ a && packets 2 && answered 2 && runs_are to1 p1 11 && sl show to1 | grep -q '^  pinned ' && sl detach to1 -a && empty to1
}
chain_goes() {
	sl attach to1 "$T/p1.o" >/dev/null && watch_ a && packets 2 && saw a 2 && sl detach to1 p1 >/dev/null && echo check >&7 && lines a 2 ok &&
		packets 3 && answered 3 && saw a 5 && close_ a && empty to1
}
two() {
	sl attach to1 "$T/p1.o" >/dev/null && watch_ a && watch_ b && packets 3 && saw a 3 && saw b 3 && is observers 2 "$(observers)" || return 1
	close_ a && packets 2 && saw b 5 && is observers 1 "$(observers)" && kill_ b && settle && packets 2 && saw b 5 && runs_are to1 p1 7 || return 1
	# the empty slot goes with the next change
	sl attach to1 "$T/p1.o" -n more >/dev/null && is observers 0 "$(observers)" && sl detach to1 -a && empty to1 || return 1
	watch_ a && watch_ b && packets 3 && answered 3 && saw a 3 && saw b 3 && close_ a && echo check >&8 && lines b 2 ok &&
		packets 2 && saw b 5 && close_ b && empty to1
}
killed() { # kill -9 of an observer in front of a chain: no packets are counted any more, nothing is held
	sl attach to1 "$T/p1.o" >/dev/null && watch_ a && packets 2 && saw a 2 && kill_ a && settle && packets 2 && saw a 2 && runs_are to1 p1 4 || return 1
	rm -f "/sys/fs/bpf/ct$$_a"
	wait_until 5 sh -c '! bpftool prog show | grep -q " name look "' && sl detach to1 -a && empty to1
}
frags_change() { # the chain's multi-buffer support changes: its observer comes anew with the program that fits
	sl attach to1 "$T/jumbo.o" >/dev/null && watch_ a && packets 2 && saw a 2 && sl attach to1 "$T/p1.o" >/dev/null && echo check >&7 && lines a 2 ok &&
		packets 3 && saw a 5 && sl detach to1 p1 >/dev/null && echo check >&7 && lines a 3 ok && packets 1 && saw a 6 && close_ a && sl detach to1 -a && empty to1
}
gone() {
	box ip link add va type veth peer name vb && watch_ a va && box ip link del va && echo check >&7 && lines a 2 'the interface is gone' && close_ a
}
many() {
	sl attach to1 "$T/p1.o" >/dev/null && round=0
	while [ $round -lt 30 ]; do
		watch_ a && packets 1 && answered 1 && saw a 1 && kill_ a || { echo "round $round"; sl list to1; bpftool map show | grep -A1 observer; return 1; }
		round=$((round + 1))
	done
	[ "$(observers)" -le 1 ] && runs_are to1 p1 30 && sl detach to1 -a && rm -f "/sys/fs/bpf/ct$$_a" && empty to1
}
foreign() {
	box ip link set dev to1 xdpdrv obj "$T/p1.o" sec xdp || return 1
	watch_ a && return 1
	grep -q "a program that is not Sluice's is there" "$T/a.out" && exec 7>&-
	rc=$?
	rm -f "/sys/fs/bpf/ct$$_a"
	box ip link set dev to1 xdp off
	return $rc
}
fresh "on an empty interface, closed" alone
fresh "on an empty interface, kill -9: the link goes with it" alone_killed
fresh "in front of a chain" before_chain
fresh "a chain comes, changes, and outlives it" chain_comes
fresh "a chain goes while observed" chain_goes
fresh "two at the same time, one closed, one killed" two
fresh "kill -9 in front of a chain" killed
fresh "multi-buffer support comes and goes" frags_change
fresh "the interface is deleted" gone
fresh "thirty killed one after the other" many
fresh "somebody else's program is not touched" foreign
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
case_ "nothing is left: programs, maps, links, pins, locks" leaks_after
done_
