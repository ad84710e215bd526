#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice map on real maps of every kind.
#
#     maps.bpf.o ──bpftool──> $B/maps/*       every kind, with BTF, pinned
#                ──sluice───> veth of a namespace   for IF:NAME
. "$(dirname "$0")/lib.sh"
need_root
command -v bpftool >/dev/null || skip_all "needs bpftool"

NS=smap-$$ IF=smap$$
B=/run/smap-$$ # libbpf makes underscores of the dots in a pin's path, so not below $T
mkdir "$B"
on_exit "rmdir $B"
mount -t bpf bpf "$B" || skip_all "cannot mount a bpffs"
on_exit "umount $B"
M=$B/maps
mkdir "$M"
CPUS=$(sed 's/.*-//' /sys/devices/system/cpu/possible)
CPUS=$((CPUS + 1))

bpf_cc "$T/maps.o" <<'SRC' || exit 1
#include <linux/bpf.h>
#include <linux/in6.h>
#include <bpf/bpf_helpers.h>
enum verdict { PASSED = 1, DROPPED = 2 };
struct key { __be32 saddr; __be16 dport; __u8 proto; __u8 flag:1, rest:7; };
struct val { __u64 packets; __s32 delta; enum verdict last; __u8 mac[6]; char name[8]; union { __u64 whole; struct { __u32 lo, hi; }; }; };
struct cnt { __u64 packets; __u32 small; __be32 last; };
struct lpm4 { __u32 prefixlen; __be32 addr; };
struct lpm6 { __u32 prefixlen; struct in6_addr addr; };
struct locked { struct bpf_spin_lock lock; __u32 hits; };
#define MAP(t, n, e, k, v) struct { __uint(type, BPF_MAP_TYPE_##t); __uint(max_entries, e); __type(key, k); __type(value, v); } n SEC(".maps")
#define FLAT(t, n, e, ks, vs) struct { __uint(type, BPF_MAP_TYPE_##t); __uint(max_entries, e); __uint(key_size, ks); __uint(value_size, vs); } n SEC(".maps")
MAP(HASH, flows, 4, struct key, struct val);
MAP(LRU_HASH, lru, 64, __u16, char[8]);
MAP(PERCPU_ARRAY, counts, 2, __u32, struct cnt);
MAP(PERCPU_HASH, perkey, 8, __be32, __u32);
MAP(ARRAY, table, 4, __u32, struct locked);
struct { __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(max_entries, 8); __uint(map_flags, 1); __type(key, struct lpm4); __type(value, __u32); } routes SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(max_entries, 8); __uint(map_flags, 1); __type(key, struct lpm6); __type(value, __u32); } routes6 SEC(".maps");
FLAT(PROG_ARRAY, jumps, 4, 4, 4);
FLAT(DEVMAP, ports, 4, 4, 8);
FLAT(DEVMAP_HASH, hports, 4, 4, 4);
FLAT(CPUMAP, cpus, 2, 4, 8);
FLAT(XSKMAP, xsks, 2, 4, 4);
FLAT(PERF_EVENT_ARRAY, events, 2, 4, 4);
struct { __uint(type, BPF_MAP_TYPE_QUEUE); __uint(max_entries, 3); __type(value, __u32); } fifo SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_STACK); __uint(max_entries, 3); __type(value, __be32); } pile SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_BLOOM_FILTER); __uint(max_entries, 100); __type(value, __be32); } bloom SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); } inner1 SEC(".maps"), inner2 SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS); __uint(max_entries, 4); __type(key, __u32); __array(values, struct inner); } outer SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4); __type(key, __u32); __array(values, struct inner); } aouter SEC(".maps") = { .values = { &inner1 } };
const volatile __u32 limit = 7;
__u64 seen = 3;
SEC("xdp") int maps_prog(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct cnt *c = bpf_map_lookup_elem(&counts, &zero);
	if (c)
		c->packets += limit;
	seen++;
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
SRC
bpftool prog load "$T/maps.o" "$B/prog" type xdp pinmaps "$M" >"$T/load" 2>&1 || { cat "$T/load" >&2; exit 1; }

eq() { # WANTED COMMAND...
	want=$1
	shift
	got=$("$@" 2>&1)
	[ "$got" = "$want" ] || { printf '%s\n' "of: $*" "wanted: $want" "got: $got"; return 1; }
}
json() { # PYTHON-EXPRESSION-ON-d WANTED COMMAND...
	expr=$1 want=$2
	shift 2
	got=$("$@" 2>&1 | python3 -c "import json,sys; d=json.load(sys.stdin); v=$expr; print(v)") || return 1
	[ "$got" = "$want" ] || { printf '%s\n' "of: $*" "wanted: $want" "got: $got"; return 1; }
}
id_of() { bpftool map show pinned "$M/$1" | sed -n '1s/:.*//p'; }
m() { verb=$1 map=$2; shift 2; "$SLUICE" map "$verb" "$M/$map" "$@"; }

KEY='{saddr: 192.0.2.1, dport: 53, proto: 17, flag: 1, rest: 0}'
VAL='{packets: 9007199254740993, delta: -5, last: DROPPED, mac: 02:00:00:00:00:01, name: "eth0", whole: 4294967298}'
structs() {
	eq "" m set flows "$KEY" "$VAL" &&
		eq "$VAL" m get flows "{192.0.2.1, 53, 17, 1, 0}" &&
		eq "$KEY = $VAL" m dump flows &&
		bpftool map lookup pinned "$M/flows" key hex c0 00 02 01 00 35 11 01 >/dev/null &&
		eq "$(printf '%s\n' "$VAL")" m get flows 'hex c0 00 02 01 00 35 11 01'
}
structs_json() {
	json 'd[0]["key"]' "{'saddr': '192.0.2.1', 'dport': 53, 'proto': 17, 'flag': 1, 'rest': 0}" m dump flows -j &&
		json 'd["value"]' "{'packets': '9007199254740993', 'delta': -5, 'last': 'DROPPED', 'mac': '02:00:00:00:00:01', 'name': 'eth0', 'whole': 4294967298}" m get flows "$KEY" -j
}
LAYOUT='struct key { __be32 saddr; __be16 dport; __u8 proto; __u8 flag : 1; __u8 rest : 7; } (8 bytes)'
half_typed() {
	eq "sluice map get: key: column 29: proto of struct key is missing; wanted: $LAYOUT" m get flows '{saddr: 192.0.2.1, dport: 53}' &&
		expect_fail 2 'column 2: .sadr. is not a member of struct key, did you mean saddr' m get flows '{sadr: 1}' &&
		expect_fail 2 'value: column 12: .100. is too much; wanted: __u32' m set routes 10.0.0.0/8 '0000000100 100' &&
		expect_fail 2 'value: column 1: 4294967296 does not fit __u32 .0 to 4294967295.' m set routes 10.0.0.0/8 4294967296 &&
		expect_fail 2 'key: column 5: 7 bytes of hex, 8 wanted' m set flows 'hex 1 2 3 4 5 6 7' "$VAL" &&
		eq "" m dump routes
}
how() {
	expect_fail 1 'map flows .id [0-9]*. has that entry already' m set flows "$KEY" "$VAL" --new &&
		expect_fail 3 'map flows .id [0-9]*. has no such entry' m set flows '{10.0.0.1, 1, 1, 0, 0}' "$VAL" --exist &&
		expect_fail 2 'exclude each other' m set flows "$KEY" "$VAL" --new --exist &&
		for i in 2 3 4; do m set flows "{10.0.0.$i, 1, 1, 0, 0}" "$VAL" --new || return 1; done &&
		expect_fail 1 'map flows .id [0-9]*. is full: it holds at most 4 entries' m set flows '{10.0.0.9, 1, 1, 0, 0}' "$VAL"
}
deletes() {
	expect_fail 2 'key 2: column 1' m del flows "$KEY" x &&
		eq 4 sh -c "'$SLUICE' map dump '$M/flows' | wc -l" &&
		eq "" m del flows "$KEY" '{10.0.0.2, 1, 1, 0, 0}' &&
		expect_fail 3 'has no such entry' m del flows "$KEY" &&
		json 'd["deleted"]' 2 m del flows --all -j &&
		eq "" m dump flows &&
		expect_fail 2 'too much beside it' m del flows --all "$KEY" &&
		expect_fail 4 'entries of map table .id [0-9]*, array. cannot be deleted, only overwritten' m del table 0
}
percpu() {
	m set counts 0 '{packets: 5, small: 4294967295, last: 192.0.2.9}' &&
		eq "{packets: $((5 * CPUS)), small: $((4294967295 * CPUS)), last: 192.0.2.9}" m get counts 0 --sum &&
		eq "0 = {packets: $((5 * CPUS)), small: $((4294967295 * CPUS)), last: 192.0.2.9}" m dump counts --sum --limit 1 &&
		json 'len(d["values"]), d["values"][0]["packets"]' "($CPUS, 5)" m get counts 0 -j &&
		eq "  cpu 0: {packets: 5, small: 4294967295, last: 192.0.2.9}" sh -c "'$SLUICE' map get '$M/counts' 0 | head -n 1" &&
		expect_fail 3 'key 2: map counts .id [0-9]*. ends at index 1' m get counts 2 &&
		expect_fail 3 'map counts .id [0-9]*. ends at index 1' m set counts 2 '{packets: 1, small: 1, last: 192.0.2.9}' &&
		expect_fail 2 "map counts: wanted is one for all CPUs or $CPUS, one each" m set counts 0 $(seq 0 "$CPUS") &&
		v=$(seq 1 "$CPUS") && eq "" m set perkey 10.1.2.3 $v && eq "$((CPUS * (CPUS + 1) / 2))" m get perkey 10.1.2.3 --sum &&
		bpftool map lookup pinned "$M/perkey" key 10 1 2 3 | grep -q '"value": 1'
}
prefixes() {
	m set routes 192.0.2.0/24 1 && m set routes 192.0.2.128/25 2 && m set routes6 2001:db8::/32 3 &&
		eq 2 m get routes 192.0.2.200 && eq 1 m get routes 192.0.2.1/32 &&
		eq "192.0.2.0/24 = 1
192.0.2.128/25 = 2" sh -c "'$SLUICE' map dump '$M/routes' | sort" &&
		eq "2001:db8::/32 = 3" m dump routes6 &&
		json 'd' "[{'key': '2001:db8::/32', 'value': 3}]" m dump routes6 -j &&
		expect_fail 2 "column 13: ./33. is not a prefix length, 0 to 32 is possible" m get routes 192.168.0.0/33 &&
		eq "" m del routes 192.0.2.0/24 && eq "192.0.2.128/25 = 2" m dump routes
}
programs() {
	id=$(bpftool prog show pinned "$B/prog" | sed -n '1s/:.*//p')
	m set jumps 2 "prog $id" && m set jumps 3 "pin $B/prog" && eq "2 = prog $id
3 = prog $id" m dump jumps && json 'd["value"]["prog_id"]' "$id" m get jumps 2 -j &&
		expect_fail 2 "'x' is no program; wanted: prog ID, or pin PATH" m set jumps 0 x &&
		expect_fail 3 'there is no prog with id 4294967295' m set jumps 0 4294967295 &&
		eq "" m del jumps 2 && eq "3 = prog $id" m dump jumps && m del jumps 3
}
map_in_map() {
	in1=$(id_of inner1) in2=$(id_of inner2)
	eq "0 = map $in1" m dump aouter && m set outer 77 "map $in2" && m set outer 78 "$M/inner1" &&
		eq "77 = map $in2
78 = map $in1" sh -c "'$SLUICE' map dump '$M/outer' | sort" && json 'd["value"]' "{'map_id': $in2}" m get outer 77 -j &&
		expect_fail 2 "'nope' is no map; wanted: map ID, or pin PATH" m set outer 1 nope &&
		expect_fail 2 "value: map [0-9]* does not fit map outer: an inner map must have" m set outer 1 "map $(id_of flows)"
}
devices() {
	id=$(bpftool prog show pinned "$B/prog" | sed -n '1s/:.*//p')
	m set ports 1 lo && eq "1 = lo" m dump ports &&
		json 'd["value"]' "{'ifindex': 1, 'ifname': 'lo', 'prog_id': None}" m get ports 1 -j &&
		m set hports 99 1 && eq "99 = lo" m dump hports &&
		expect_fail 3 "there is no interface 'nope0'; wanted: its name or number" m set ports 0 nope0 &&
		expect_fail 2 "is too much: this map's values of 4 bytes hold no program" m set hports 1 "lo prog $id" &&
		expect_fail 2 "value: lo prog $id does not fit map ports: the program must be of the kind" m set ports 1 "lo prog $id" &&
		m set cpus 0 192 && eq "0 = 192" m dump cpus && m del ports 1 && eq "" m dump ports
}
queues() {
	for i in 1 2 3; do m set fifo $i && m set pile 10.0.0.$i --as value:ip || return 1; done
	expect_fail 1 'map fifo .id [0-9]*. is full: it holds at most 3 entries' m set fifo 4 &&
		eq 1 m get fifo && eq 10.0.0.3 m get pile --as value:ip && eq 1 m del fifo && eq 2 m get fifo &&
		json 'd["taken"]' "['10.0.0.3', '10.0.0.2', '10.0.0.1']" m del pile --all -j --as value:ip &&
		expect_fail 3 'stack pile .id [0-9]*. is empty' m get pile &&
		expect_fail 2 'a queue has no keys' m get fifo 1 &&
		expect_fail 4 'cannot be listed: a queue has no keys' m dump fifo
}
bloom() {
	m set bloom 192.0.2.7 && eq "possibly there" m get bloom 192.0.2.7 &&
		expect_fail 3 'map bloom .id [0-9]*. has no such entry' m get bloom 192.0.2.8 &&
		expect_fail 4 'a bloom filter keeps no entries' m dump bloom
}
unlistable() {
	expect_fail 4 'a ring buffer holds records that its reader takes out once' m dump ring &&
		expect_fail 4 'a perf event array holds ring buffers' m dump events &&
		expect_fail 4 'the kernel does not let the sockets in an xskmap be read' m dump xsks
}
globals() {
	eq "0 = {limit: 7}" m dump maps_rodata &&
		expect_fail 4 'map maps.rodata .id [0-9]*. is frozen: user space may only read it' m set maps_rodata 0 8 &&
		eq "" m set maps_data 0 '{seen: 11}' && eq "{seen: 11}" m get maps_data 0
}
kernel_members() { m set table 1 '{hits: 4}' && eq "{hits: 4}" m get table 1 && eq "{hits: 4}" m get table 1; }
as() {
	m set lru 513 "two w" &&
		eq '513 = "two w"' m dump lru &&
		eq '0x0201' sh -c "'$SLUICE' map dump '$M/lru' --as be16,value:hex | sed 's/258 = hex:74776f2077000000/0x0201/'" &&
		eq "" m set flows "$KEY" "$VAL" &&
		eq "{saddr: 3221225985, dport: 53, proto: 17, flag: 1, rest: 0}" sh -c "'$SLUICE' map dump '$M/flows' --as saddr:be32 | sed 's/ = .*//'" &&
		expect_fail 2 '[-]-as: the key has 8 bytes, that kind has 6' m dump flows --as mac &&
		expect_fail 2 'there are ip, ip6, mac' m dump flows --as value:ipv4 &&
		m del flows --all
}
raw() {
	bpftool map create "$B/raw" type hash key 3 value 4 entries 4 name rawmap &&
		eq "" "$SLUICE" map set "$B/raw" 0x010203 192.0.2.1 --as value:ip &&
		eq "hex:010203 = 16908480" "$SLUICE" map dump rawmap &&
		eq "hex:010203 = 192.0.2.1" "$SLUICE" map dump rawmap --as value:ip &&
		expect_fail 2 'key: column 1: hex and 3 bytes wanted; wanted: 3 bytes of hex, there is no BTF' "$SLUICE" map get rawmap 7 &&
		expect_fail 3 "there is no map 'rawmpa', did you mean rawmap" "$SLUICE" map dump rawmpa &&
		bpftool map create "$B/raw2" type hash key 3 value 4 entries 4 name rawmap &&
		expect_fail 2 "2 maps are called 'rawmap': name one by its id, [0-9]*, [0-9]*" "$SLUICE" map dump rawmap &&
		rm "$B/raw" "$B/raw2"
}
not_found() {
	expect_fail 3 'there is no map with id 4294967295' "$SLUICE" map dump 4294967295 &&
		expect_fail 3 'there is no pin /nowhere/at-all' "$SLUICE" map dump /nowhere/at-all &&
		expect_fail 1 'is a pin, but not of a map' "$SLUICE" map dump "$B/prog" &&
		expect_fail 1 'is not a pin: it is not on a bpffs' "$SLUICE" map dump "$T/maps.o" &&
		expect_fail 2 "unknown word 'dmup', did you mean dump" "$SLUICE" map dmup
}
privilege() {
	expect_fail 4 'finding a*map.* needs CAP_SYS_ADMIN: run as root' setpriv --reuid 65534 --clear-groups --bounding-set -all "$SLUICE" map list &&
		expect_fail 4 'opening a map by its id needs CAP_SYS_ADMIN' setpriv --reuid 65534 --clear-groups --bounding-set -all "$SLUICE" map dump 1
}
lists() {
	json '[(e["type"], e["key_size"], e["value_size"], e["max_entries"], e["entries"], e["pins"], e["programs"][0]["name"]) for e in d if e["pins"] and e["name"]=="counts"]' \
		"[('percpu_array', 4, 16, 2, 2, ['$M/counts'], 'maps_prog')]" "$SLUICE" map list -j --bpffs "$B" &&
		"$SLUICE" map list --bpffs "$B" >"$T/list" && cat "$T/list" && grep -qE "lpm_trie +routes +8 +4 +1/8 .*pin $M/routes; no_prealloc" "$T/list" &&
		"$SLUICE" map show "$M/flows" >"$T/show" && grep -qxF "key      $LAYOUT" "$T/show" && grep -qx 'entries  0 of at most 4' "$T/show" &&
		json 'd["key_layout"], d["not_listable"]' "('$LAYOUT', None)" m show flows -j
}
watch() {
	m set routes 192.0.2.128/25 2 && m del routes6 --all
	"$SLUICE" map watch "$M/routes" --interval 300ms --count 4 >"$T/watch" 2>&1 &
	pid=$!
	sleep 0.1
	m set routes 192.0.2.128/25 12 && m set routes 10.0.0.0/8 1
	sleep 0.35
	m del routes 10.0.0.0/8
	wait $pid || return 1
	eq "+ 10.0.0.0/8 = 1
~ 192.0.2.128/25 = 12 (+10)
- 10.0.0.0/8" sh -c "grep -v changed '$T/watch'" || return 1
	"$SLUICE" map watch "$M/routes" --interval 60 >"$T/watch2" 2>&1 &
	pid=$!
	sleep 0.2
	kill -TERM $pid && wait $pid || { echo "watch ended with $?"; return 1; }
	eq "" cat "$T/watch2" && json 'd["changed"], d["entries"]' "(0, 1)" m watch routes --count 1 --interval 50ms -j
}
on_interface() {
	ip netns add "$NS" && on_exit "ip netns del $NS" &&
		ip -n "$NS" link add "$IF" type veth peer name "p$IF" && ip -n "$NS" link set "$IF" up || return 1
	in_ns() { nsenter --net="/run/netns/$NS" "$@"; }
	expect_fail 3 "nothing is attached to $IF" in_ns "$SLUICE" map dump "$IF:counts" || return 1
	in_ns "$SLUICE" attach "$IF" "$T/maps.o" --bpffs "$B" >/dev/null || return 1
	eq "{packets: 0, small: 0, last: 0.0.0.0}" in_ns "$SLUICE" map get "$IF:counts" 1 --sum &&
		expect_fail 3 "no program on $IF has a map .count., did you mean counts" in_ns "$SLUICE" map get "$IF:count" 1 &&
		expect_fail 3 "nope0" in_ns "$SLUICE" map get "nope0:counts" 1
	rc=$?
	in_ns "$SLUICE" detach "$IF" --all --bpffs "$B" >/dev/null || return 1
	[ $rc = 0 ] || return 1
	in_ns ip link set "$IF" xdpgeneric pinned "$B/prog" || return 1
	eq "0.0.0.0" sh -c "nsenter --net=/run/netns/$NS '$SLUICE' map get $IF:counts 1 --sum | sed 's/.*last: //; s/}//'"
}

case_ "structs, enums, bitfields, unions, addresses" structs
case_ "the same as JSON" structs_json
case_ "half-typed and ill-sized input is refused with the layout" half_typed
case_ "--new and --exist, and a full map" how
case_ "delete keys, all, and nothing by half" deletes
case_ "per-CPU values and their sum" percpu
case_ "LPM prefixes" prefixes
case_ "prog array" programs
case_ "maps in maps" map_in_map
case_ "devmap, cpumap" devices
case_ "queue and stack" queues
case_ "bloom filter" bloom
case_ "what cannot be listed says why" unlistable
case_ "globals; a frozen map" globals
case_ "the kernel's own members" kernel_members
case_ "--as" as
case_ "maps without BTF, by name" raw
case_ "maps that are not there" not_found
case_ "without privilege" privilege
case_ "list and show" lists
case_ "watch" watch
case_ "IF:NAME" on_interface
case_ "a directory is no pin" expect_fail 2 "/sys/fs/bpf is a directory, not a pin" "$SLUICE" map dump /sys/fs/bpf
done_
