#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# attach, replace, detach, list, show with packets that really arrive.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
need_root
leaks_before
lab_start

on_exit 'rm -rf /sys/fs/bpf/ct$$'
prog pass 2
prog drop 1
prog jumbo 2 xdp.frags
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do prog p$i 2; done

one() { # OPTION... : one counting program, packets pass and are counted, and it goes again
	sl attach to1 "$T/pass.o" "$@" >"$T/said" && packets 10 && answered 10 && runs_are to1 pass 10 &&
	ended to1 pass pass 10 && is "map" 10 "$(hits to1 pass)" && sl detach to1 pass && empty to1
}
native() { one --mode native && grep -q '^to1: attached pass in native mode$' "$T/said"; }
generic() { one -m generic && grep -q '^to1: attached pass in generic mode$' "$T/said"; }
auto() { one && grep -q '^to1: attached pass in native mode$' "$T/said"; }
offload() {
	expect_fail 4 'to1 does not run BPF programs itself|to1.*offload' sl attach to1 "$T/pass.o" --mode offload &&
		empty to1
}
synonyms() {
	for m in xdpdrv driver drv; do sl attach to1 "$T/pass.o" -m $m >"$T/said" && grep -q native "$T/said" && sl detach to1 -a || return 1; done
	for m in skb xdpgeneric; do sl attach to1 "$T/pass.o" -m $m >"$T/said" && grep -q generic "$T/said" && sl detach to1 -a || return 1; done
	expect_fail 2 "'fast' is no mode; there are auto, native, generic and offload" sl attach to1 "$T/pass.o" -m fast
}
fresh "native mode: 10 packets, 10 runs" native
fresh "generic mode" generic
fresh "auto is native on veth" auto
fresh "offload without such a card is one sentence, exit 4" offload
fresh "other words for the modes" synonyms

# --- chains ---
three() {
	sl attach to1 "$T/p1.o" "$T/drop.o" "$T/p2.o" >/dev/null && packets 10 && answered 0 &&
		runs_are to1 p1 10 && is passed 10 "$(number to1 p1 passed)" && runs_are to1 drop 10 &&
		ended to1 drop drop 10 && runs_are to1 p2 0 && is "map of p2" 0 "$(hits to1 p2)" &&
		is "map of p1" 10 "$(hits to1 p1)" || return 1
	# the one that dropped goes: the rest goes on, counters and maps go on
	sl detach to1 drop && packets 7 && answered 7 && runs_are to1 p1 17 && is "map of p1" 17 "$(hits to1 p1)" &&
		runs_are to1 p2 7 && is passed 17 "$(number to1 p1 passed)" && ended to1 p2 pass 7 &&
		sl detach to1 p1 && packets 3 && runs_are to1 p2 10 && sl detach to1 p2 && empty to1
}
twelve() { # drop in the middle, whichever way the members get in
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		v=2
		[ $i != 7 ] || v=1
		sl attach to1 "$T/p$i.o" --set verdict=$v -P $((100 - i % 2 * 50)) >/dev/null || return 1
	done
	# odd ones at 50, even ones at 100: 1 3 5 7(drop) 9 11 2 4 ...
	sl list to1 | awk 'NR > 1 { print $2 }' | tr '\n' ' ' >"$T/order"
	is order "p1 p3 p5 p7 p9 p11 p2 p4 p6 p8 p10 p12 " "$(cat "$T/order")" && packets 10 && answered 0 || return 1
	for i in 1 3 5; do runs_are to1 p$i 10 && is "passed on" 10 "$(number to1 p$i passed)" && is map 10 "$(hits to1 p$i)" || return 1; done
	ended to1 p7 drop 10 || return 1
	for i in 9 11 2 4 6 8 10 12; do runs_are to1 p$i 0 && is map 0 "$(hits to1 p$i)" || return 1; done
	sl replace to1 p7 "$T/p7.o" -k >/dev/null && packets 10 && answered 10 && ended to1 p7 drop 10 &&
		runs_are to1 p7 20 && ended to1 p12 pass 10 && runs_are to1 p12 10 && is map 20 "$(hits to1 p7)" || return 1
	# out in an order that is neither the way in nor its reverse
	left=10
	for i in 6 1 12 7 3 10 2 9 4; do
		sl detach to1 p$i >/dev/null && packets 1 && answered 1 || return 1
	done
	runs_are to1 p5 29 && runs_are to1 p11 19 && runs_are to1 p8 19 && sl detach to1 p5 p11 p8 && empty to1
}
go_on() {
	sl attach to1 "$T/drop.o" -g drop,pass -P 1 >/dev/null && sl attach to1 "$T/p1.o" -g none -P 2 >/dev/null &&
		sl attach to1 "$T/p2.o" -P 3 >/dev/null && packets 5 && answered 5 && runs_are to1 drop 5 &&
		is passed 5 "$(number to1 drop passed)" && ended to1 p1 pass 5 && runs_are to1 p2 0 || return 1
	sl list to1 | grep -q ' drop .*go on: drop,pass' && sl list to1 | grep -q ' p1 .*go on: none' || return 1
	expect_fail 2 "'fall' is no verdict; there are aborted, drop, pass, tx, redirect, or none" sl attach to1 "$T/p3.o" -g fall || return 1
	sl detach to1 --all && empty to1
}
fresh "chain of 3, DROP in the middle, counters and maps exact over changes" three
fresh "chain of 12, DROP in the middle, replaced by PASS, taken apart in any order" twelve
fresh "go-on sets: after drop, never" go_on

run_config() {
	bpf_cc "$T/cfg.o" <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>
struct { __uint(priority, 5); __uint(XDP_PASS, 1); __uint(XDP_DROP, 1); } XDP_RUN_CONFIG(first);
struct { __uint(priority, 70); __uint(XDP_PASS, 0); } XDP_RUN_CONFIG(last);
SEC("xdp") int first(struct xdp_md *ctx) { return XDP_DROP; }
SEC("xdp") int last(struct xdp_md *ctx) { return XDP_PASS; }
char _license[] SEC("license") = "GPL";
END
	sl attach to1 "$T/cfg.o:last" "$T/cfg.o:first" >/dev/null && sl list to1 >"$T/list" &&
		grep -qE '^ +5 +first .*go on: drop,pass ' "$T/list" && grep -qE '^ +70 +last .*go on: none ' "$T/list" &&
		packets 4 && answered 4 && ended to1 last pass 4 || { cat "$T/list"; return 1; }
	# the running program says it too, in libxdp's way
	id=$(sl list to1 --json | grep -o '"program_id":[0-9]*' | grep -o '[0-9]*$')
	bpftool btf dump prog id "$id" >"$T/btf" && grep -q "DATASEC '.xdp_run_config'" "$T/btf" && grep -q "VAR '_first'" "$T/btf" || return 1
	sl detach to1 -a && empty to1
}
fresh "XDP_RUN_CONFIG of the object is what counts, and is written into the chain" run_config

names() {
	sl attach to1 "$T/pass.o" -n front >/dev/null && sl attach to1 "$T/pass.o" >/dev/null && sl attach to1 "$T/pass.o" -P 60 >"$T/said" &&
		grep -q 'attached pass-2 in' "$T/said" && packets 3 && runs_are to1 front 3 && runs_are to1 pass 3 && runs_are to1 pass-2 3 &&
		sl detach to1 pass && sl list to1 | grep -q ' pass-2 ' && sl attach to1 "$T/pass.o" >"$T/said" && grep -q 'attached pass in' "$T/said" &&
		sl detach to1 --all && empty to1
}
owners() {
	sl attach to1 "$T/p1.o" --owner alice >/dev/null && sl attach to1 "$T/p2.o" >/dev/null || return 1
	sl list to1 | grep -q 'p1 .*owner alice' || return 1
	state >"$T/before"
	expect_fail 1 "to1: p1 belongs to owner 'alice'; give --owner alice, or --force" sl detach to1 p1 &&
	expect_fail 1 "p1 belongs to owner 'alice'" sl detach to1 --all &&
	expect_fail 1 "p1 belongs to owner 'alice'" sl detach to1 p1 --owner bob &&
	expect_fail 1 "p1 belongs to owner 'alice'" sl replace to1 p1 "$T/p3.o" || return 1
	state | cmp - "$T/before" || return 1
	sl replace to1 p1 "$T/p3.o" --owner alice >/dev/null && packets 2 && runs_are to1 p1 2 && sl detach to1 p2 &&
		expect_fail 1 "alice" sl detach to1 p1 && sl detach to1 p1 --force && empty to1
}
expected() {
	sl attach to1 "$T/p1.o" --json >"$T/json" || return 1
	id=$(grep -o '"program_id":[0-9]*' "$T/json" | grep -o '[0-9]*$')
	expect_fail 1 "program $id is attached, not 4000000000 as expected" sl attach to1 "$T/p2.o" --expect-id 4000000000 &&
		sl attach to1 "$T/p2.o" --expect-id "$id" >/dev/null &&
		expect_fail 1 "is attached, not $id as expected" sl detach to1 p1 --expect-id "$id" &&
		sl detach to1 --all && expect_fail 1 "nothing is attached, program $id was expected" sl attach to1 "$T/p1.o" --expect-id "$id" && empty to1
}
fresh "--name, and names made unique" names
fresh "--owner: only alice or --force" owners
fresh "--expect-id" expected

globs() {
	# without IPv6, whose announcements would be counted between two readings
	box ip link add va type veth peer name vb && box sh -c 'echo 1 >/proc/sys/net/ipv6/conf/va/disable_ipv6 &&
		echo 1 >/proc/sys/net/ipv6/conf/vb/disable_ipv6' && box ip link set va up && box ip link set vb up || return 1
	sl attach 'v*,to1' "$T/pass.o" >"$T/said" && is lines 3 "$(grep -c 'attached pass' "$T/said")" && packets 4 && runs_are to1 pass 4 &&
		runs_are va pass "$(number va pass pass)" && sl list -a | grep -cE '^(va|vb|to1) ' | grep -qx 3 || return 1
	expect_fail 3 'vc' sl attach to1,vc "$T/p1.o" && ! sl list to1 | grep -q ' p1 ' || return 1
	# a failure on the last takes it off the ones before: vb's chain runs in native mode
	box ip link set vb mtu 1500
	sl detach 'v*,to1' --all >/dev/null && sl attach vb "$T/pass.o" -m generic >/dev/null || return 1
	expect_fail 1 'vb: the chain runs in generic mode; detach it first' sl attach to1,va,vb "$T/p1.o" -m native || return 1
	sl list to1 | grep -q '^to1 *-$' && sl list va | grep -q '^va *-$' && sl detach vb pass && box ip link del va && empty to1
}
fresh "lists and globs of interfaces, undone as a whole" globs

# --- what programs are made of ---
cat >"$T/set.c" <<'END'
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
enum colour { RED, GREEN = 7 };
struct pair { __u16 a; __u8 b[2]; };
const volatile __u8 c_u8; const volatile __s16 c_s16; const volatile __u32 c_u32; const volatile __s64 c_s64; const volatile __u64 c_u64;
const volatile bool c_bool; const volatile enum colour c_enum; const volatile struct pair c_pair; const volatile __u8 c_mac[6];
const volatile char c_text[8];
__u32 d_data = 5;
__u64 b_bss;
static volatile __u32 hidden = 3;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } wrong SEC(".maps");
SEC("xdp") int check(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&wrong, &zero), bad = 0;

	bad |= (c_u8 != 200) << 0 | (c_s16 != -5) << 1 | (c_u32 != 0xdeadbeef) << 2 | (c_s64 != -6000000000ll) << 3;
	bad |= (c_u64 != 18446744073709551615ull) << 4 | (c_bool != true) << 5 | (c_enum != GREEN) << 6;
	bad |= (c_pair.a != 300 || c_pair.b[0] != 1 || c_pair.b[1] != 2) << 7;
	bad |= (c_mac[0] != 2 || c_mac[5] != 0xff) << 8 | (d_data != 77) << 9 | (b_bss < 1000) << 10 | (hidden != 3) << 11;
	bad |= (c_text[0] != 'h' || c_text[1] != 'i' || c_text[2]) << 12;
	b_bss++;
	if (n)
		*n |= bad | 1ull << 63;
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
END
sets() {
	bpf_cc "$T/set.o" <"$T/set.c" && sl attach to1 "$T/set.o" -s c_u8=200 -s c_s16=-5 -s c_u32=0xdeadbeef -s c_s64=-6000000000 \
		-s c_u64=18446744073709551615 -s c_bool=true -s c_enum=GREEN -s 'c_pair={a=300,b=[1,2]}' -s c_mac=02:00:00:00:00:ff \
		-s d_data=77 -s b_bss=1000 -s 'c_text="hi"' >/dev/null && packets 1 || return 1
	for m in $(sl show to1 check | awk '$1 == "maps" { $1 = ""; print }'); do
		bpftool map show id "$m" | grep -q 'name wrong' && got=$(map_value "$m")
	done
	is "bits of wrong values" 9223372036854775808 "$got" && sl detach to1 -a || return 1
	for what in c_u8=256 c_u8=-1 c_s16=40000 c_bool=maybe c_enum=BLUE c_mac=1:2 'c_pair={a=1,q=2}' c_u32= c_u32=12x; do
		expect_fail 2 "${what%%=*}" sl attach to1 "$T/set.o" -s "$what" || return 1
	done
	expect_fail 3 "has no variable 'c_u9', did you mean c_u8" sl attach to1 "$T/set.o" -s c_u9=1 &&
	expect_fail 3 "has no variable 'nonsense'; it has .*c_u8" sl attach to1 "$T/set.o" -s nonsense=1 &&
	expect_fail 2 'wanted NAME=VALUE' sl attach to1 "$T/set.o" -s c_u8 && empty to1
}
fresh "--set of every kind of type; wrong values change nothing" sets

parts() {
	bpf_cc "$T/parts.o" <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, __u32); __type(value, __u64); } seen SEC(".maps");
static __noinline int add(__u32 key, __u64 n) { __u64 *v = bpf_map_lookup_elem(&seen, &key); if (v) *v += n; return v ? 0 : -1; }
__noinline int global_add(struct xdp_md *ctx, __u32 key) { return add(key, ctx->data_end - ctx->data); }
static long each(__u32 i, void *arg) { __u64 *sum = arg; *sum += i; return 0; }
const char words[][8] = {"null", "one", "two"};
SEC("xdp") int parts(struct xdp_md *ctx)
{
	__u64 sum = 0;
	char on_stack[64];

	add(0, 1);
	global_add(ctx, 1);
	bpf_loop(10, each, &sum, 0);
	add(2, sum);
	__builtin_memset(on_stack, 1, sizeof(on_stack));
	bpf_get_current_task();
	add(3, words[bpf_get_smp_processor_id() & 1][0] != 0);
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
END
	sl attach to1 "$T/parts.o" "$T/p1.o" "$T/parts.o" >/dev/null && packets 3 -s 100 && answered 3 && runs_are to1 parts 3 &&
		runs_are to1 parts-2 3 && sl show to1 parts | grep -q inlined || return 1
	m=$(map_of to1 parts-2)
	bpftool map lookup id "$m" key 0 0 0 0 | grep -qw 3 && bpftool map lookup id "$m" key 1 0 0 0 | grep -qw $((3 * 142)) &&
		bpftool map lookup id "$m" key 2 0 0 0 | grep -qw 135 && bpftool map lookup id "$m" key 3 0 0 0 | grep -qw 3 || return 1
	sl detach to1 -a && empty to1
}
fresh "subprograms, global functions, callbacks, .rodata, twice in one chain" parts

tails() {
	bpf_cc "$T/tail.o" <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } tail_hits SEC(".maps");
SEC("xdp") int behind(struct xdp_md *ctx) { __u32 z = 0; __u64 *n = bpf_map_lookup_elem(&tail_hits, &z); if (n) ++*n; return XDP_PASS; }
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __type(key, __u32); __array(values, int(void *)); } next SEC(".maps") = {
	.values = {[1] = (void *)&behind},
};
SEC("xdp") int front(struct xdp_md *ctx) { bpf_tail_call(ctx, &next, 1); return XDP_DROP; }
char _license[] SEC("license") = "GPL";
END
	sl attach to1 "$T/tail.o:front" >/dev/null && packets 5 && answered 5 || return 1
	sl attach to1 "$T/p1.o" >/dev/null && sl attach to1 "$T/tail.o:front" -P 1 >/dev/null && packets 5 && answered 5 && runs_are to1 p1 5 &&
		runs_are to1 front 10 && runs_are to1 front-2 5 && sl show to1 front | grep -q 'called by the chain' || return 1
	sl detach to1 front && packets 5 && answered 5 && runs_are to1 front-2 10 && sl detach to1 front-2 p1 && empty to1
}
fresh "tail calls go on after the command has ended" tails

no_btf() {
	cat >"$T/plain.c" <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
static __noinline int verdict(__u32 len) { return len > 0 ? XDP_PASS : XDP_DROP; }
SEC("xdp") int plain(struct xdp_md *ctx) { return verdict(ctx->data_end - ctx->data); }
char _license[] SEC("license") = "GPL";
END
	clang -target bpf -O2 -I"/usr/include/$(cc -print-multiarch)" -c "$T/plain.c" -o "$T/plain.o" &&
		sl attach to1 "$T/plain.o" "$T/p1.o" "$T/plain.o" >/dev/null && packets 4 && answered 4 && runs_are to1 plain-2 4 && sl detach to1 -a || return 1
	bpf_cc "$T/strip.o" <"$T/plain.c" && llvm-objcopy -R .BTF -R .BTF.ext "$T/strip.o" && sl attach to1 "$T/strip.o" >/dev/null &&
		packets 4 && answered 4 && runs_are to1 plain 4 && sl detach to1 plain && empty to1
}
legacy() {
	for sec in xdp_prog xdp/sub prog; do
		prog old 2 "$sec" && sl attach to1 "$T/old.o" >/dev/null && sl attach to1 "$T/old.o:$sec" >/dev/null && packets 2 &&
			runs_are to1 old 2 && runs_are to1 old-2 2 && sl detach to1 -a || return 1
	done
	empty to1
}
fresh "objects without BTF" no_btf
fresh "older section names, and programs named by section" legacy

timers() {
	bpf_cc "$T/timer.o" <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct elem { struct bpf_timer t; __u64 started; __u64 ticks; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct elem); } clocks SEC(".maps");
static int tick(void *map, int *key, struct elem *e) { e->ticks++; bpf_timer_start(&e->t, 10000000, 0); return 0; }
SEC("xdp") int timer(struct xdp_md *ctx)
{
	__u32 z = 0;
	struct elem *e = bpf_map_lookup_elem(&clocks, &z);

	if (e && !__sync_fetch_and_add(&e->started, 1)) {
		bpf_timer_init(&e->t, &clocks, 1);
		bpf_timer_set_callback(&e->t, tick);
		bpf_timer_start(&e->t, 0, 0);
	}
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
END
	sl attach to1 "$T/timer.o" >/dev/null && packets 1 || return 1
	m=$(map_of to1 timer)
	ticks() { bpftool map dump id "$m" | grep -o '"ticks": [0-9]*' | grep -o '[0-9]*$'; }
	a=$(ticks); sleep 0.3; b=$(ticks)
	[ "$b" -gt $((a + 5)) ] || { echo "ticks $a, then $b"; return 1; }
	sl attach to1 "$T/p1.o" >/dev/null; a=$(ticks); sleep 0.3; b=$(ticks)
	[ "$b" -gt $((a + 5)) ] || { echo "after a change: ticks $a, then $b"; return 1; }
	sl detach to1 -a && empty to1
}
fresh "timers tick on after the command has ended" timers

replaced() {
	sl attach to1 "$T/p1.o" "$T/p2.o" >/dev/null && packets 5 && sl replace to1 p1 "$T/p1.o" >/dev/null && packets 2 &&
		runs_are to1 p1 7 && is "fresh map" 2 "$(hits to1 p1)" && sl replace to1 p1 "$T/p1.o" --keep-maps >/dev/null && packets 2 &&
		runs_are to1 p1 9 && is "kept map" 4 "$(hits to1 p1)" || return 1
	sl replace to1 p2 "$T/drop.o" -P 1 -n stop -g none >/dev/null && sl list to1 | awk 'NR == 2 { print $1, $2 }' | grep -qx '1 stop' &&
		packets 3 && answered 0 && runs_are to1 stop 12 && runs_are to1 p1 9 || return 1
	expect_fail 3 "the chain has no program 'p9'; it has stop, p1" sl replace to1 p9 "$T/p1.o" && sl detach to1 -a &&
	expect_fail 3 "to1: no program of Sluice is attached" sl replace to1 p9 "$T/p1.o" && empty to1
}
pins() {
	dir=ct$$
	sl attach to1 "$T/p1.o" "$T/p2.o" --pin "$dir" >/dev/null && packets 6 &&
		bpftool map dump pinned /sys/fs/bpf/$dir/p1_hits | grep -qw 6 && bpftool map dump pinned /sys/fs/bpf/$dir/p2_hits | grep -qw 6 || return 1
	sl attach to1 "$T/p1.o" -n again --map p1_hits=/sys/fs/bpf/$dir/p1_hits >/dev/null && packets 1 &&
		bpftool map dump pinned /sys/fs/bpf/$dir/p1_hits | grep -qw 8 || return 1
	before=$(state)
	expect_fail 1 '/p1_hits is there already: use it with --map p1_hits=' sl attach to1 "$T/p1.o" --pin "$dir" &&
	expect_fail 3 "/sys/fs/bpf/$dir/none is no pinned map" sl attach to1 "$T/p1.o" --map p1_hits=/sys/fs/bpf/$dir/none &&
	expect_fail 3 "p1.o has no map 'blah'; it has " sl attach to1 "$T/p1.o" --map blah=/sys/fs/bpf/$dir/p1_hits || return 1
	is "list" "$before" "$(state)" || return 1
	bpf_cc "$T/other.o" <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); } p1_hits SEC(".maps");
SEC("xdp") int other(struct xdp_md *ctx) { __u32 z = 0, *n = bpf_map_lookup_elem(&p1_hits, &z); return n ? XDP_PASS : XDP_DROP; }
char _license[] SEC("license") = "GPL";
END
	expect_fail 2 'key 4 and value 4 bytes; the map to share is type 2 with key 4 and value 8 bytes' \
		sl attach to1 "$T/other.o" --map p1_hits=/sys/fs/bpf/$dir/p1_hits || return 1
	sl detach to1 -a && empty to1 && rm -r /sys/fs/bpf/$dir
}
fresh "replace with fresh maps and with the old ones; place, name and go-on changed" replaced
fresh "--pin and --map" pins

# --- packets ---
vlan() { # the frame as it is: a tagged one is four bytes longer and has 0x8100 at 12
	bpf_cc "$T/vlan.o" <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 65536); __type(key, __u32); __type(value, __u64); } proto SEC(".maps");
SEC("xdp") int vlan(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 *n;
	__u32 key;

	if (data + 14 > end)
		return XDP_DROP;
	key = bpf_ntohs(*(__be16 *)(data + 12));
	n = bpf_map_lookup_elem(&proto, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
END
	bpf_cc "$T/tag.o" <<'END'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc") int tag(struct __sk_buff *skb) { bpf_skb_vlan_push(skb, 0x0081, 42); return 0; }
char _license[] SEC("license") = "GPL";
END
	h1 tc qdisc add dev eth0 clsact && h1 tc filter add dev eth0 egress bpf da obj "$T/tag.o" sec tc || return 1
	for mode in native generic; do
		sl attach to1 "$T/p1.o" "$T/vlan.o" -m $mode >/dev/null && packets 9 && runs_are to1 p1 9 && runs_are to1 vlan 9 || return 1
		bpftool map lookup id "$(map_of to1 vlan)" key 0x00 0x81 0 0 | grep -qE '"value": 9\b' || {
			bpftool map dump id "$(map_of to1 vlan)" | grep -vE '"value": 0' | grep -B1 '"value"'; return 1; }
		sl detach to1 -a || return 1
	done
	h1 tc qdisc del dev eth0 clsact && empty to1
}
ipv6() {
	ipv6_on || return 1
	for mode in native generic; do
		sl attach to1 "$T/p1.o" "$T/p2.o" -m $mode >/dev/null &&
			h1 ping -6 -n -q -c 8 -l 8 -W 0.5 2001:db8:1::1 >"$T/ping" && answered 8 && runs_are to1 p1 8 && ended to1 p2 pass 8 &&
			sl attach to1 "$T/drop.o" -P 1 >/dev/null || return 1
		h1 ping -6 -n -q -c 8 -l 8 -W 0.2 2001:db8:1::1 >"$T/ping"
		answered 0 && ended to1 drop drop 8 && runs_are to1 p1 8 && sl detach to1 -a || return 1
	done
	ipv6_off && empty to1
}
fresh "tagged frames, native and generic" vlan
fresh "IPv6, native and generic" ipv6

jumbo() {
	box ip link set to1 mtu 9000 && h1 ip link set eth0 mtu 9000 || return 1
	expect_fail 4 'to1: MTU 9000 is too large for native mode without multi-buffer support; build the program with SEC\("xdp.frags"\), lower the MTU, or use --mode generic' \
		sl attach to1 "$T/pass.o" -m native && empty to1 || return 1
	sl attach to1 "$T/pass.o" >"$T/said" && grep -q 'in generic mode (MTU 9000 is too large for native mode' "$T/said" &&
		packets 5 -s 8000 && answered 5 && runs_are to1 pass 5 && sl detach to1 pass || return 1
	sl attach to1 "$T/jumbo.o" "$T/jumbo.o" -m native >/dev/null && packets 5 -s 8000 && answered 5 && runs_are to1 jumbo-2 5 &&
		sl list to1 --json | grep -q '"multi_buffer":true' || return 1
	state >"$T/before"
	expect_fail 4 'to1: .*(multi-buffer|xdp.frags)' sl attach to1 "$T/pass.o" || return 1
	state | cmp - "$T/before" && packets 5 -s 8000 && answered 5 && runs_are to1 jumbo 10 && sl detach to1 -a || return 1
	box ip link set to1 mtu 1500 && h1 ip link set eth0 mtu 1500 && empty to1
}
fresh "jumbo frames: multi-buffer native, others generic with the reason" jumbo

# --- what is not Sluice's ---
foreign_netlink() {
	for mode in xdpdrv xdpgeneric; do
		box ip link set dev to1 $mode obj "$T/pass.o" sec xdp || return 1
		sl list to1 >"$T/list" && grep -qE '^to1 +(native|generic) +other, program [0-9]+ pass, attached without a link' "$T/list" || { cat "$T/list"; return 1; }
		box ip link show to1 >"$T/before"
		expect_fail 1 "to1: a program that is not Sluice's is there: program [0-9]+ \(pass\), .*take it off by ip link set dev to1 xdp[a-z]* off, or by sluice detach to1 --all --force" sl attach to1 "$T/p1.o" &&
		expect_fail 1 "not Sluice's" sl detach to1 --all && expect_fail 1 "not Sluice's" sl replace to1 pass "$T/p1.o" || return 1
		box ip link show to1 | cmp - "$T/before" || return 1
		sl attach to1 "$T/p1.o" --force >/dev/null && packets 3 && runs_are to1 p1 3 && sl detach to1 p1 && empty to1 || return 1
		box ip link set dev to1 $mode obj "$T/pass.o" sec xdp && sl detach to1 --all --force && empty to1 || return 1
	done
}
foreign_bpftool() {
	bpftool prog load "$T/pass.o" /sys/fs/bpf/ct$$p type xdp && box bpftool net attach xdpgeneric pinned /sys/fs/bpf/ct$$p dev to1 2>/dev/null ||
	box nsenter --mount=/proc/1/ns/mnt --net=/proc/self/ns/net bpftool net attach xdpgeneric pinned /sys/fs/bpf/ct$$p dev to1 || return 1
	rm -f /sys/fs/bpf/ct$$p
	sl list to1 | grep -qE '^to1 +generic +other, program [0-9]+ pass, attached without a link' &&
		expect_fail 1 "not Sluice's" sl attach to1 "$T/p1.o" && sl attach to1 "$T/p1.o" --force >/dev/null && packets 2 && runs_are to1 p1 2 &&
		sl detach to1 -a && empty to1
}
foreign_loader() {
	box xdp-loader load -m native to1 "$T/pass.o" || return 1
	sl list to1 | grep -qE '^to1 +native +(libxdp, dispatcher|other, program [0-9]+ pass)' && expect_fail 1 "(a libxdp dispatcher|a program that is not Sluice's) is (there|attached)" sl attach to1 "$T/p1.o" &&
		sl attach to1 "$T/p1.o" --force >/dev/null && packets 2 && runs_are to1 p1 2 && sl detach to1 -a && empty to1
}
fresh "a program of ip link: shown, refused, replaced and detached with --force" foreign_netlink
fresh "a program of bpftool net attach" foreign_bpftool
if command -v xdp-loader >/dev/null; then
	fresh "a program of xdp-loader" foreign_loader
else
	skip "a program of xdp-loader" "xdp-tools is not installed"
fi

# --- reading ---
shown() {
	sl attach to1 "$T/p1.o" "$T/p2.o" >/dev/null || return 1
	(sleep 0.2; packets 50) &
	sl list to1 -t 600ms >"$T/list"
	wait
	grep -qE '^to1 +native +sluice, program [0-9]+, 2 in the chain, [0-9.]+ ns per run' "$T/list" || { cat "$T/list"; return 1; }
	sl show to1 >"$T/show" && grep -q '^  pinned .*/sluice/net[0-9]*_if[0-9]*/link$' "$T/show" && grep -q '^p2$' "$T/show" &&
		sl show to1 p2 >"$T/show" && ! grep -q '^p1$' "$T/show" && expect_fail 3 "to1: the chain has no program 'q'" sl show to1 q || { cat "$T/show"; return 1; }
	sl list to1 --json >"$T/json" && grep -q '"members":\[{"name":"p1"' "$T/json" && grep -q '"runs":50' "$T/json" || { cat "$T/json"; return 1; }
	sl show to1 p2 --json >"$T/json" && grep -q '^\[{"interface":"to1",.*"members":\[{"name":"p2",' "$T/json" && ! grep -q '"name":"p1"' "$T/json" || { cat "$T/json"; return 1; }
	sl show to1,lo --json | grep -qE '^\[\{"interface":"(to1|lo)",.*\},\{"interface":"(to1|lo)",.*\}\]$' || return 1
	sl detach to1 -a && empty to1
}
steady() { # what list shows while the chain changes is always a chain of Sluice
	sl attach to1 "$T/p1.o" >/dev/null || return 1
	(i=0; while [ $i -lt 30 ]; do sl attach to1 "$T/p2.o" >/dev/null; sl detach to1 p2 >/dev/null; i=$((i + 1)); done; touch "$T/stop") &
	while [ ! -e "$T/stop" ]; do
		sl list to1 >"$T/list" 2>&1 && grep -q '^to1 *native *sluice.*in the chain' "$T/list" && grep -q ' p1 ' "$T/list" || { cat "$T/list"; wait; return 1; }
	done
	wait
	sl detach to1 -a && empty to1
}
fresh "list, show, statistics, JSON" shown
fresh "list during 60 changes shows a chain each time" steady

hidden_bpffs() { # ip netns exec mounts a /sys of its own
	sl list to1 >/dev/null
	box unshare -m sh -c 'mount --make-rprivate / && mount -t sysfs sysfs /sys && "$0" attach to1 "$1" && "$0" list to1' "$SLUICE" "$T/p1.o" >"$T/said" 2>&1 || { cat "$T/said"; return 1; }
	packets 2 && runs_are to1 p1 2 || return 1
	sl show to1 | grep -q '^  pinned  ' || return 1
	box unshare -m sh -c 'mount --make-rprivate / && mount -t sysfs sysfs /sys && "$0" detach to1 p1' "$SLUICE" && empty to1
}
fresh "from a mount namespace that hides /sys/fs/bpf, as of ip netns exec" hidden_bpffs

"$SLUICE" lab down "$LAB" >/dev/null 2>&1
case_ "nothing is left: programs, maps, links, pins, locks" leaks_after
done_
