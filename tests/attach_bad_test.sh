#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What goes wrong when attaching: each a clear sentence, its exit code, and everything as it was before.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
need_root
leaks_before
lab_start
chmod 755 "$T"
prog pass 2
prog other 2
sl attach to1 "$T/pass.o" >/dev/null || { echo "cannot even attach" >&2; exit 1; }

pinned() { ls /sys/fs/bpf/sluice/net"$netns"_* 2>&1; }

# refused CODE PATTERN ARG...: sluice ARG fails so, and the chain, its counters, its pins are what they were
refused() {
	before=$(state; pinned)
	expect_fail "$@" || return 1
	is "lines on stderr" 1 "$(grep -c '^sluice ' "$T/.err")" && is "state" "$before" "$(state; pinned)"
}

# one waits half a minute for a lock; it is looked at when the rest is done
box ip link add held type veth peer name held2
index=$(box ip -o link show held | cut -d: -f1)
lock=/run/sluice/net$(box stat -Lc %i /proc/self/ns/net)_if$index.lock
flock "$lock" sleep 33 &
holder=$!
on_exit "kill $holder 2>/dev/null"
wait_until 5 test -e "$lock"
start=$(date +%s)
(sl attach held "$T/pass.o" >"$T/held.out" 2>&1; echo "exit $? after $(($(date +%s) - start))" >>"$T/held.out") &

interfaces() {
	refused 3 "^sluice attach: .*nope" sl attach nope "$T/pass.o" && refused 3 "did you mean to1" sl attach to2 "$T/pass.o" &&
	refused 3 "x\*" sl attach 'x*' "$T/pass.o" && refused 3 nope sl detach nope --all && refused 3 nope sl list nope &&
	refused 3 nope sl replace nope a "$T/pass.o" && refused 2 "averyveryverylongname" sl attach averyveryverylongname "$T/pass.o" &&
	refused 2 "." sl attach 'to1,,to1' "$T/pass.o" && refused 2 "too few arguments" sl attach to1 && refused 2 "names, or --all" sl detach to1
}
case_ "unknown interfaces" interfaces

vanished() {
	box ip link add va type veth peer name vb && sl attach va "$T/pass.o" >/dev/null && pinned | grep -q link || return 1
	dir=$(sl show va | awk '$1 == "pinned" { print $2 }')
	[ -e "$dir" ] || { echo "no pin $dir"; return 1; }
	box ip link del va && [ -e "$dir" ] && refused 3 va sl show va && refused 3 va sl detach va pass || return 1
	sl attach to1 "$T/other.o" >/dev/null && sl detach to1 other >/dev/null || return 1
	[ ! -e "${dir%/link}" ] || { echo "$dir is still there"; return 1; }
}
case_ "an interface that goes away while attached: its pins go with the next change" vanished

not_bpf() {
	echo hello >"$T/text"
	: >"$T/empty"
	mkdir "$T/dir"
	cc -c -x c - -o "$T/x86.o" <<-END
	int f(void) { return 0; }
	END
	refused 3 "^sluice attach: $T/none.o: no such file$" sl attach to1 "$T/none.o" &&
	refused 1 "^sluice attach: $T/text: not an ELF object; clang -target bpf makes them$" sl attach to1 "$T/text" &&
	refused 1 "^sluice attach: $T/empty: not an ELF object" sl attach to1 "$T/empty" &&
	refused 1 "$T/dir is not a regular file" sl attach to1 "$T/dir" && refused 1 "/dev/zero is not a regular file" sl attach to1 /dev/zero &&
	refused 1 "x86.o: an ELF file, but not for BPF \(machine [0-9]+, wanted 247\)" sl attach to1 "$T/x86.o" &&
	refused 1 "/bin/sh: an ELF file, but not for BPF" sl attach to1 /bin/sh || return 1
	truncate -s 70M "$T/big" && refused 2 "has 73400320 bytes, an object may have" sl attach to1 "$T/big"
}
truncated() {
	size=$(stat -c %s "$T/pass.o") at=0
	while [ $at -lt "$size" ]; do
		head -c $at "$T/pass.o" >"$T/cut.o"
		refused 1 "^sluice attach: $T/cut.o: (not an ELF object|truncated|damaged|not a usable BPF object)" sl attach to1 "$T/cut.o" || { echo "cut at $at"; return 1; }
		at=$((at + size / 23))
	done
}
corrupted() { # garbage over each region; refused with a sentence, or loaded if nothing that matters was hit; never a crash
	size=$(stat -c %s "$T/pass.o") at=0 said=0
	before=$(state; pinned)
	while [ $at -lt "$size" ]; do
		cp "$T/pass.o" "$T/hurt.o"
		printf '\377\177\200\001\377\377\377\377' | dd of="$T/hurt.o" bs=1 seek=$at conv=notrunc 2>/dev/null
		sl attach to1 "$T/hurt.o" -n hurt >"$T/.out" 2>"$T/.err"
		rc=$?
		case $rc in
		0) sl detach to1 hurt >/dev/null || return 1 ;;
		1|2|3|4) said=$((said + 1)); grep -q '^sluice attach: ' "$T/.err" || { echo "at $at: exit $rc without a sentence"; return 1; } ;;
		*) echo "at $at: exit $rc"; cat "$T/.err"; return 1 ;;
		esac
		at=$((at + 41))
	done
	[ $said -gt 10 ] || { echo "only $said were refused"; return 1; }
	# what is the same is compared without the program's number, which a chain that was changed back has new
	is state "$(echo "$before" | sed 's/"program_id":[0-9]*//')" "$(state | sed 's/"program_id":[0-9]*//'; pinned)"
}
case_ "files that are no BPF object" not_bpf
case_ "an object cut off at 23 places" truncated
case_ "an object with bytes overwritten, at every 41st place" corrupted

contents() {
	bpf_cc "$T/tc.o" <<-'END'
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	SEC("tc") int t(struct __sk_buff *skb) { return 0; }
	END
	bpf_cc "$T/two.o" <<-'END'
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	SEC("xdp") int eins(struct xdp_md *ctx) { return 2; }
	SEC("xdp") int zwei(struct xdp_md *ctx) { return 2; }
	SEC("xdp/devmap") int behind(struct xdp_md *ctx) { return 2; }
	END
	bpf_cc "$T/type.o" <<-'END'
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	struct { __uint(type, 250); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); } strange SEC(".maps");
	SEC("xdp") int user(struct xdp_md *ctx) { __u32 z = 0; return bpf_map_lookup_elem(&strange, &z) ? 1 : 2; }
	END
	refused 1 'tc.o: a BPF object without an XDP program \(section "xdp" or "xdp.frags"\)' sl attach to1 "$T/tc.o" &&
	refused 2 'two.o has 2 XDP programs, name one of them: eins, zwei' sl attach to1 "$T/two.o" &&
	refused 3 "two.o has no XDP program 'drei'; it has eins, zwei" sl attach to1 "$T/two.o:drei" &&
	refused 4 "type.o: map strange is of type 250 .*which this kernel does not know" sl attach to1 "$T/type.o"
}
case_ "no XDP program, two and none named, a map type the kernel does not know" contents

verifier() {
	cat >"$T/read.c" <<-'END'
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	SEC("xdp") int reader(struct xdp_md *ctx)
	{
		unsigned char *data = (void *)(long)ctx->data;
		return data[14] == 0x45 ? XDP_PASS : XDP_DROP; /* beyond what was checked */
	}
	END
	clang -target bpf -mcpu=v3 -g -O2 -I"/usr/include/$(cc -print-multiarch)" -c "$T/read.c" -o "$T/read.o" || return 1
	refused 1 "read.o: the verifier refused program reader:" sl attach to1 "$T/read.o" && cp "$T/.err" "$T/short" &&
		grep -q '^  ; return data\[14\] == 0x45' "$T/short" && grep -q '^  invalid access to packet, off=14 size=1' "$T/short" &&
		grep -qE '^  [0-9]+: \(71\) r[0-9] = \*\(u8 \*\)' "$T/short" || { cat "$T/short"; return 1; }
	[ "$(wc -l <"$T/short")" -le 6 ] || { cat "$T/short"; return 1; }
	refused 1 "the verifier refused program reader" sl attach to1 "$T/read.o" -v && grep -q '^processed [0-9]* insns' "$T/.err" &&
		[ "$(wc -l <"$T/.err")" -gt "$(wc -l <"$T/short")" ]
}
case_ "the verifier's refusal: source line and complaint, with -v all of it" verifier

privilege() {
	nobody() { box setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$SLUICE" "$@"; }
	without() { caps=$1; shift; box setpriv --inh-caps="$caps" --bounding-set="$caps" "$SLUICE" "$@"; }
	refused 4 'needs a privilege that is missing: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON; run it as root' nobody attach to1 "$T/pass.o" &&
	refused 4 'missing: CAP_BPF, CAP_NET_ADMIN' nobody detach to1 pass && refused 4 'CAP_SYS_ADMIN' nobody list to1 &&
	refused 4 'missing: CAP_BPF' nobody replace to1 pass "$T/other.o" && refused 4 'CAP_SYS_ADMIN' nobody show to1 &&
	refused 4 'missing: CAP_NET_ADMIN; ' without -sys_admin,-net_admin attach to1 "$T/pass.o" &&
	refused 4 'missing: CAP_BPF; ' without -sys_admin,-bpf attach to1 "$T/pass.o" &&
	refused 4 'missing: CAP_SYS_ADMIN; ' without -sys_admin attach to1 "$T/pass.o"
}
case_ "no privilege: the capability is named" privilege

no_bpffs() {
	mkdir -p "$T/plain"
	refused 3 "$T/plain is not a bpffs; mount one with: mount -t bpf bpf $T/plain" sl attach to1 "$T/pass.o" --bpffs "$T/plain" || return 1
	# a machine without one: it is mounted
	box ip link add ba type veth peer name bb
	box unshare -m --fork --pid --mount-proc sh -c 'umount -l /sys/fs/bpf; "$0" attach ba "$1" && grep -q " /sys/fs/bpf bpf " /proc/mounts &&
		"$0" show ba | grep -q "pinned *  */sys/fs/bpf/sluice"' "$SLUICE" "$T/pass.o" >/dev/null || return 1
	box ip link del ba
	# and one of one's own
	mkdir "$T/own" && mount -t bpf bpf "$T/own" || return 1
	box ip link add ba type veth peer name bb
	sl attach ba "$T/pass.o" --bpffs "$T/own" >/dev/null && ls "$T/own"/sluice/net*/link >/dev/null && sl detach ba pass --bpffs "$T/own" >/dev/null &&
		! ls -d "$T"/own/sluice
	rc=$?
	box ip link del ba
	umount "$T/own"
	return $rc
}
read_only_run() {
	refused 1 'attach: to1: /run/sluice: Read-only file system' box unshare -m sh -c 'mount -t tmpfs -o ro none /run && "$0" attach to1 "$1"' "$SLUICE" "$T/pass.o"
}
case_ "no bpffs" no_bpffs
case_ "a /run that cannot be written" read_only_run

names() {
	n63=abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk
	refused 2 "cannot be a name, 1 to 63" sl attach to1 "$T/other.o" -n "${n63}l" && refused 2 "cannot be a name" sl attach to1 "$T/other.o" -n '' &&
	refused 2 "cannot be a name" sl attach to1 "$T/other.o" -n "a$(printf '\033')[2Jb" && refused 2 "cannot be a name" sl attach to1 "$T/other.o" -n "a b" &&
	refused 2 "cannot be a name, 1 to 63" sl replace to1 pass "$T/other.o" -n "${n63}l" &&
	refused 2 "owner .* is too long, at most 31" sl attach to1 "$T/other.o" -o abcdefghijklmnopqrstuvwxyzabcdef &&
	refused 2 "cannot be an owner" sl attach to1 "$T/other.o" -o "a$(printf '\007')" || return 1
	sl attach to1 "$T/other.o" -n "$n63" >/dev/null && sl attach to1 "$T/other.o" -n "$n63" >"$T/said" && sl list to1 | grep -q " $n63 " &&
		second=$(sl list to1 | awk 'NR == 4 { print $2 }') && [ "$second" != "$n63" ] && sl detach to1 "$n63" "$second" >/dev/null || return 1
	# the kernel's 15 characters of a map's name are enough to find it again
	bpf_cc "$T/long.o" <<-'END'
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } a_map_with_a_name_of_many_characters SEC(".maps");
	SEC("xdp") int a_program_with_a_name_of_many_characters(struct xdp_md *ctx)
	{
		__u32 z = 0;
		__u64 *n = bpf_map_lookup_elem(&a_map_with_a_name_of_many_characters, &z);
		if (n)
			++*n;
		return 2;
	}
	END
	p=a_program_with_a_name_of_many_characters
	sl attach to1 "$T/long.o" >/dev/null && packets 3 && runs_are to1 $p 3 && sl replace to1 $p "$T/long.o" --keep-maps >/dev/null && packets 2 &&
		runs_are to1 $p 5 && is map 5 "$(hits to1 $p)" && sl detach to1 $p
}
case_ "names at their limits" names

full() {
	i=1
	set --
	bpf_cc "$T/bare.o" <<-'END'
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	SEC("xdp") int bare(struct xdp_md *ctx) { return 2; }
	END
	while [ $i -lt 64 ]; do set -- "$@" "$T/bare.o"; i=$((i + 1)); done
	sl attach to1 "$@" >/dev/null && refused 1 "the chain is full: it has 64 programs" sl attach to1 "$T/bare.o" && packets 5 && runs_are to1 bare-63 5 || return 1
	refused 2 "65 objects, at most 64" sl attach to1 "$@" "$T/bare.o" "$T/bare.o" || return 1
	for i in $(sl list to1 | awk '$2 ~ /^bare/ { print $2 }'); do echo "$i"; done >"$T/bares"
	# shellcheck disable=SC2046
	sl detach to1 $(cat "$T/bares") >/dev/null || return 1
	set --
	i=0
	while [ $i -lt 40 ]; do set -- "$@" "$T/other.o"; i=$((i + 1)); done
	refused 1 "the chain's programs together use more than 63 maps, the kernel's limit for one program" sl attach to1 "$@"
}
case_ "64 programs, and not one more; not more maps than the kernel takes" full

at_once() {
	pids=
	for i in 1 2 3 4 5 6 7 8; do
		sl attach to1 "$T/other.o" >"$T/once.$i" 2>&1 &
		pids="$pids $!"
	done
	for p in $pids; do wait "$p" || { cat "$T"/once.*; return 1; }; done
	sl list to1 | awk 'NR > 2 { print $2 }' | sort >"$T/names"
	printf 'other\nother-2\nother-3\nother-4\nother-5\nother-6\nother-7\nother-8\n' | cmp - "$T/names" || { cat "$T/names"; return 1; }
	packets 4 && runs_are to1 other-8 4 && runs_are to1 other 4 || return 1
	pids=
	for i in other other-2 other-3 other-4 other-5 other-6 other-7 other-8; do
		sl detach to1 $i >"$T/once.$i" 2>&1 &
		pids="$pids $!"
	done
	for p in $pids; do wait "$p" || { cat "$T"/once.*; return 1; }; done
	is members 1 "$(sl list to1 | awk 'NR > 1' | wc -l)"
}
case_ "eight at the same time: all are in afterwards, and out again" at_once

locked() {
	wait_until 40 grep -q ^exit "$T/held.out" || { cat "$T/held.out"; return 1; }
	grep -q '^sluice attach: held: another sluice is changing this interface (it holds .*lock)$' "$T/held.out" &&
		grep -qE '^exit 1 after (29|30|31|32)$' "$T/held.out" || { cat "$T/held.out"; return 1; }
	sl list held | grep -q '^held *-$' || return 1
	wait $holder
	sl attach held "$T/pass.o" >/dev/null && sl detach held pass
}
case_ "a lock held for half a minute: it says so" locked

box ip link del held
case_ "and the first one is still as it was" runs_are to1 pass "$(number to1 pass runs)"
gone() { sl detach to1 pass >/dev/null && empty to1; }
case_ "detached" gone
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
case_ "nothing is left: programs, maps, links, pins, locks" leaks_after
done_
