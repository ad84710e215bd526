#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Programs, pins and neighbours that mean no good, or just do the unexpected.
. "$(dirname "$0")/lib.sh"
need_root
. "$SRC/tests/chain.sh"

lab_start
leaks_before
prog pass XDP_PASS
prog drop XDP_DROP
bpffs=/sys/fs/bpf/sluice

# one program linked to interfaces of the same number in two namespaces: the links look alike
foreign() { # NETNS...
	"$BUILD/tests/foreign_link" to1 "$@" >"$T/foreign" 2>&1 &
	holder=$!
	wait_until 5 grep -q linked "$T/foreign" || { cat "$T/foreign"; return 1; }
}
drop_foreign() { kill "$holder" && wait "$holder" 2>/dev/null; wait_until 5 empty to1; }
xdp_of() { ip -n "$1" -o link show to1 | grep -o 'prog/xdp id [0-9]*'; }
two_namespaces() {
	"$SLUICE" lab up --hosts 1 --name "${LAB}b" >/dev/null || return 1
	on_exit '"$SLUICE" lab down "${LAB}b" >/dev/null 2>&1'
	foreign "/run/netns/sluice-${LAB}b-box" "/run/netns/sluice-$LAB-box" || return 1
	expect_fail 1 'has 2 links to interfaces number 2 of different network namespaces' sl detach to1 --all --force &&
		expect_fail 1 'has 2 links' sl attach to1 "$T/pass.o" --force || return 1
	[ -n "$(xdp_of "sluice-${LAB}b-box")" ] && [ -n "$(xdp_of "sluice-$LAB-box")" ] || return 1
	drop_foreign && "$SLUICE" lab down "${LAB}b" >/dev/null
}
fresh "--force does not reach into another namespace" two_namespaces

one_link() {
	foreign "/run/netns/sluice-$LAB-box" || return 1
	sl attach to1 "$T/pass.o" --force >/dev/null && packets 3 && runs_are to1 pass 3 && sl detach to1 pass && drop_foreign
}
fresh "--force takes the place of a link of somebody else's" one_link

put_back() {
	box ip link set to1 mtu 9000 && h1 ip link set eth0 mtu 9000 && foreign "/run/netns/sluice-$LAB-box" || return 1
	expect_fail 4 'MTU 9000 is too large.*; program [0-9]+ is back where it was, without the link that held it' \
		sl attach to1 "$T/pass.o" --force --mode native || return 1
	sl list to1 | grep -q 'other, program [0-9]* foreign' || { sl list to1; return 1; }
	sl detach to1 --all --force >/dev/null
	drop_foreign && box ip link set to1 mtu 1500 && h1 ip link set eth0 mtu 1500
}
fresh "--force that fails puts back what was there" put_back

several() {
	expect_fail 2 '^sluice attach: --force takes one interface at a time' sl attach to1,lo "$T/pass.o" --force && empty to1
}
fresh "--force takes one interface at a time" several

others_pins() {
	mkdir -p "$bpffs" && sl attach to1 "$T/pass.o" --pin "$bpffs/mine$$" >/dev/null && [ -e "$bpffs/mine$$/pass_hits" ] || return 1
	sl attach to1 "$T/drop.o" >/dev/null && sl detach to1 --all && [ -e "$bpffs/mine$$/pass_hits" ] || return 1
	rm "$bpffs/mine$$/pass_hits" && rmdir "$bpffs/mine$$"
	empty to1
}
fresh "pins of others below Sluice's folder stay" others_pins

impostor() {
	bpf_cc "$T/evil.o" <<-END || return 1
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64[64]); } sluice_state SEC(".maps");
	SEC("xdp") int evil(struct xdp_md *ctx) { __u32 k = 0; void *v = bpf_map_lookup_elem(&sluice_state, &k); return v ? XDP_PASS : XDP_DROP; }
	char _license[] SEC("license") = "GPL";
	END
	sl attach to1 "$T/evil.o" >/dev/null && sl attach to1 "$T/pass.o" >/dev/null && packets 4 && runs_are to1 evil 4 && runs_are to1 pass 4 &&
		sl detach to1 evil && sl detach to1 pass && empty to1
}
fresh "a map named as the chain's description is just a map" impostor

throws() {
	bpf_cc "$T/throw.o" <<-END || return 1
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	extern void bpf_throw(__u64 cookie) __ksym;
	SEC("xdp") int throws(struct xdp_md *ctx) { if (ctx->data == ctx->data_end) return XDP_DROP; bpf_throw(XDP_PASS); return XDP_PASS; }
	char _license[] SEC("license") = "GPL";
	END
	expect_fail 4 'program throws throws exceptions \(bpf_throw\)' sl attach to1 "$T/throw.o" && empty to1
}
if grep -q ' bpf_throw$' /proc/kallsyms; then
	fresh "a program that throws is refused" throws
else
	skip "a program that throws is refused" "this kernel has no bpf_throw"
fi

deep() {
	bpf_cc "$T/deep.o" <<-END || return 1
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	SEC("xdp") int deep(struct xdp_md *ctx)
	{
		volatile char b[504];
		for (int i = 0; i < 504; i += 8)
			*(volatile __u64 *)(b + i) = ctx->ingress_ifindex;
		return *(volatile __u64 *)(b + 8) == 77777 ? XDP_DROP : XDP_PASS;
	}
	char _license[] SEC("license") = "GPL";
	END
	sl attach to1 "$T/deep.o" >/dev/null && packets 3 && answered 3 && runs_are to1 deep 3 || return 1
	sl attach to1 "$T/pass.o" >/dev/null && packets 2 && answered 2 && runs_are to1 deep 5 && runs_are to1 pass 2 && sl detach to1 -a && empty to1
}
fresh "a program that needs nearly all of the stack" deep

watch() { # no function in front of what is to be ended: its process is the one that is started here
	rm -f "$T/top"
	"$SLUICE" lab run --lab "$LAB" box -- "$SLUICE" top to1 --lines --interval 100ms >"$T/top" 2>&1 &
	top=$!
	wait_until 5 grep -q KEY "$T/top"
}
unpinnable() { # the folder of the pins holds something that cannot be replaced
	watch || return 1
	mkdir -p "$bpffs/net${netns}_if2/link" || return 1
	expect_fail 1 'pinning the link' sl attach to1 "$T/drop.o" || return 1
	sl list to1 | grep -q '0 in the chain, 1 observer' || { sl list to1; return 1; }
	packets 3 && answered 3 || return 1
	kill "$top" && wait "$top"
	rmdir "$bpffs/net${netns}_if2/link" "$bpffs/net${netns}_if2" 2>/dev/null
	rmdir "$bpffs" 2>/dev/null
	empty to1
}
fresh "a link that cannot be pinned changes nothing" unpinnable

no_waiting() { # not when it ends, and not when it starts
	watch || return 1
	flock "/run/sluice/net${netns}_if2.lock" sleep 20 &
	lock=$!
	sleep 0.2
	began=$(date +%s)
	kill "$top" && wait "$top"
	took=$(($(date +%s) - began))
	pkill -P "$lock"; kill "$lock" 2>/dev/null; wait "$lock" 2>/dev/null
	rm -f "/run/sluice/net${netns}_if2.lock"
	[ "$took" -le 3 ] || { echo "top took $took s to end"; return 1; }
	empty to1 || return 1
	flock "/run/sluice/net${netns}_if2.lock" sleep 20 &
	lock=$!
	sleep 0.2
	began=$(date +%s)
	timeout -s TERM 4 "$SLUICE" lab run --lab "$LAB" box -- "$SLUICE" top to1 --lines >"$T/top" 2>&1
	took=$(($(date +%s) - began))
	pkill -P "$lock"; kill "$lock" 2>/dev/null; wait "$lock" 2>/dev/null
	rm -f "/run/sluice/net${netns}_if2.lock"
	[ "$took" -le 8 ] || { echo "top took $took s to end while it started"; return 1; }
	empty to1
}
fresh "top ends at once although somebody holds the lock" no_waiting

remembers() {
	mkdir "$T/fs" && mount -t bpf bpf "$T/fs" || return 1
	on_exit 'umount "$T/fs" 2>/dev/null'
	sl attach to1 "$T/pass.o" --bpffs "$T/fs" >/dev/null && sl attach to1 "$T/drop.o" >/dev/null || return 1
	[ -e "$T/fs/sluice/net${netns}_if2/link" ] && [ ! -e "$bpffs/net${netns}_if2" ] || return 1
	sl show to1 | grep -q "pinned *$T/fs/sluice" && sl detach to1 drop && packets 2 && answered 2 && runs_are to1 pass 2 || return 1
	sl detach to1 pass && [ ! -e "$T/fs/sluice" ] && umount "$T/fs" && empty to1
}
fresh "a chain's pins stay in the bpffs it was made in" remembers

huge_priority() {
	bpf_cc "$T/last.o" <<-END || return 1
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	struct { __uint(priority, 3000000000); } _last SEC(".xdp_run_config");
	SEC("xdp") int last(struct xdp_md *ctx) { return XDP_PASS; }
	char _license[] SEC("license") = "GPL";
	END
	sl attach to1 "$T/last.o" "$T/pass.o" >/dev/null && sl list to1 --json | jq -e '.[0].members | map(.priority) == [50, 3000000000]' &&
		packets 2 && runs_are to1 last 2 && sl detach to1 -a && empty to1
}
fresh "a priority beyond 31 bits" huge_priority

names_first() {
	sl attach to1 "$T/pass.o" "$T/drop.o" >/dev/null || return 1
	expect_fail 3 "no program 'nosuch'; it has pass, drop" sl detach to1 pass nosuch && sl list to1 | grep -q ' pass ' &&
		sl detach 'to*,lo' --all >"$T/said" && [ "$(cat "$T/said")" = "to1: detached" ] &&
		expect_fail 3 'nothing is attached to any of these' sl detach 'to*,lo' --all && empty to1
}
fresh "detach looks at all names first, and skips what is empty" names_first

unprivileged() {
	cp "$SLUICE" "$T/sluice" && chmod 755 "$T" "$T/sluice" && sl attach to1 "$T/pass.o" >/dev/null || return 1
	expect_fail 4 'to1: whose program it is and what it does takes CAP_SYS_ADMIN' \
		box setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$T/sluice" list || return 1
	grep -qE '^to1 +native +program [0-9]+, not readable' "$T/.out" && grep -q '^lo ' "$T/.out" && sl detach to1 pass
}
fresh "list without privilege shows what it can" unprivileged

case_ "nothing is left" leaks_after
done_
