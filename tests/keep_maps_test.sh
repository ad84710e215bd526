#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# replace: which maps the new program goes on with, and several interfaces at once. Packets: attach_test.sh.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
need_root
leaks_before
lab_start

on_exit 'rm -rf /sys/fs/bpf/rp$$'
prog x 2

# NAME MAP... : a program k that adds 1 to the first map, 100 to the second...; MAP is NAME[:ENTRIES[:FLAGS]]
tables() {
	file=$T/$1.o
	shift
	n=1
	{
		printf '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n'
		for m; do
			IFS=: read -r name entries flags <<END
$m
END
			echo "struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, ${entries:-1}); __uint(map_flags, ${flags:-0});"
			echo "__type(key, __u32); __type(value, __u64); } $name SEC(\".maps\");"
		done
		echo 'SEC("xdp") int k(struct xdp_md *ctx) { __u32 zero = 0; __u64 *v;'
		for m; do
			echo "if ((v = bpf_map_lookup_elem(&${m%%:*}, &zero))) *v += $n;"
			n=$((n * 100))
		done
		echo 'return XDP_PASS; } char _license[] SEC("license") = "GPL";'
	} | bpf_cc "$file"
}
# what the maps of k hold, in the order of its code
held() { for id in $(sl show to1 k | awk '$1 == "maps" { $1 = ""; print }'); do printf '%s ' "$(map_value "$id")"; done; }
kept() { # OLD-HELD NEW-OBJECT HELD-AFTER-ONE-MORE-PACKET [OPTION...]
	is before "$1" "$(held)" && { sl replace to1 k "$T/$2.o" --keep-maps >/dev/null || return 1; } && packets 1 && is after "$3" "$(held)"
}
tables both connection_table_v4 connection_table_v6 && tables only4 connection_table_v4 && tables only6 connection_table_v6 &&
	tables ab a b && tables ba b a && tables larger a:2 b && tables flags a:1:BPF_F_MMAPABLE b || exit 1

several() {
	sl attach to1 "$T/ab.o" >/dev/null && packets 3 && kept "3 300 " ab "4 400 " && kept "4 400 " ba "401 104 " && sl detach to1 k && empty to1
}
layout() { # another room, other flags: those maps start empty
	sl attach to1 "$T/ab.o" >/dev/null && packets 3 && kept "3 300 " larger "1 400 " && kept "1 400 " flags "1 500 " && sl detach to1 k && empty to1
}
long_names() { # one that the kernel's 15 characters would take for the other
	sl attach to1 "$T/only4.o" >/dev/null && packets 3 && kept "3 " only4 "4 " && kept "4 " only6 "1 " && kept "1 " both "1 101 " &&
		sl detach to1 k && empty to1
}
ambiguous() {
	sl attach to1 "$T/both.o" >/dev/null && packets 3 && is before "3 300 " "$(held)" || return 1
	state >"$T/before"
	expect_fail 2 "^sluice replace: --keep-maps: the running program has 2 maps that could be connection_table_v4: the kernel keeps 15 characters of a name; pin the right one and give it with --map connection_table_v4=PIN" \
		sl replace to1 k "$T/both.o" --keep-maps && state | cmp - "$T/before" || return 1
	mkdir /sys/fs/bpf/rp$$
	for id in $(sl show to1 k | awk '$1 == "maps" { $1 = ""; print }'); do
		bpftool map pin id "$id" "/sys/fs/bpf/rp$$/$id" || return 1
		pins="${pins:-} /sys/fs/bpf/rp$$/$id"
	done
	set -- $pins
	sl replace to1 k "$T/both.o" --keep-maps -M connection_table_v4="$1" -M connection_table_v6="$2" >/dev/null && packets 1 &&
		is after "4 400 " "$(held)" && rm -r /sys/fs/bpf/rp$$ && sl detach to1 k && empty to1
}
fresh "--keep-maps: each map by its name" several
fresh "--keep-maps: not one of other size or flags" layout
fresh "--keep-maps: names longer than the kernel's" long_names
fresh "--keep-maps: two that look alike are not mixed up" ambiguous

# --- several interfaces ---
box ip link add va type veth peer name vb && box ip link set va up && box ip link set vb up || exit 1
prog_id() { sl list "$1" --json | grep -o '"program_id":[0-9]*' | grep -o '[0-9]*$'; }
missing() {
	sl attach va "$T/ab.o" -n x >/dev/null && sl attach vb "$T/ab.o" -n y >/dev/null || return 1
	ids="$(prog_id va) $(prog_id vb)"
	expect_fail 3 "^sluice replace: vb: there is no program 'x' to replace; nothing was changed$" sl replace va,vb x "$T/x.o" &&
		is programs "$ids" "$(prog_id va) $(prog_id vb)" && sl detach va,vb --all >/dev/null && empty va && empty vb
}
later() {
	sl attach va,vb "$T/ab.o" -n x >/dev/null && sl detach vb x && sl attach vb "$T/ab.o" -n x --owner alice >/dev/null || return 1
	expect_fail 1 "^sluice replace: vb: x belongs to owner 'alice'" sl replace va,vb x "$T/x.o" || return 1
	grep -qx 'sluice replace: replaced on va before that, and left so' "$T/.err" || { cat "$T/.err"; return 1; }
	sl show va x | grep -q 'from *x.o' && sl show vb x | grep -q 'from *ab.o' && sl detach va,vb --all --force >/dev/null && empty va && empty vb
}
both() {
	sl attach va,vb "$T/ab.o" -n x >/dev/null && sl replace va,vb x "$T/x.o" -j >"$T/json" &&
		grep -qE '^\[\{"interface":"va",.*\},\{"interface":"vb",.*"program_id":[0-9]+\}\]$' "$T/json" || { cat "$T/json"; return 1; }
	sl show va x | grep -q 'from *x.o' && sl show vb x | grep -q 'from *x.o' && sl detach va,vb x >/dev/null && empty va && empty vb
}
fresh "no such member on the second: the first keeps its own" missing
fresh "a failure on the second names the first" later
fresh "on two interfaces" both

"$SLUICE" lab down "$LAB" >/dev/null
case_ "nothing is left behind" leaks_after
done_
