#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What all verbs share: output that cannot be written, and where the common options go.
. "$(dirname "$0")/lib.sh"

[ -c /dev/full ] || skip_all "no /dev/full"
# the reason is lost where stdio's buffer ran over in the middle of a table
NOSPACE='^sluice: writing to standard output(: No space left on device| failed)$'
full() { # COMMAND... >/dev/full: one sentence, exit 1
	"$@" >/dev/full 2>"$T/err" && rc=0 || rc=$?
	grep -v -e ': counting in ' "$T/err" >"$T/said"
	[ $rc = 1 ] && [ "$(wc -l <"$T/said")" = 1 ] && grep -qE "$NOSPACE" "$T/said" && return 0
	echo "exit $rc of: $*"
	cat "$T/err"
	return 1
}
every_help_full() {
	full "$SLUICE" --version && full "$SLUICE" --help || return 1
	for v in top list attach detach replace traffic doctor map lab "map dump" "lab up"; do
		# shellcheck disable=SC2086
		full "$SLUICE" $v --help || return 1
	done
}
closed() { # the same with no standard output at all
	"$SLUICE" "$@" >&- 2>"$T/err" && rc=0 || rc=$?
	[ $rc = 1 ] && [ "$(cat "$T/err")" = "sluice: writing to standard output: Bad file descriptor" ] && return 0
	echo "exit $rc of: $*"
	cat "$T/err"
	return 1
}
case_ "help and version on a full disk" every_help_full
narrow() { # no line of any help is longer than a terminal is wide
	"$SLUICE" --help >"$T/help" && verbs=$(sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p' "$T/help") && [ "$(echo "$verbs" | wc -l)" -gt 25 ] || return 1
	for v in $verbs; do
		"$SLUICE" "$v" --help >"$T/one" || return 1
		cat "$T/one" >>"$T/help"
		grep -q '^usage: ' "$T/one" && continue
		for s in $(sed -n "s/^  sluice $v \([a-z-]*\) .*/\1/p" "$T/one"); do
			"$SLUICE" "$v" "$s" --help >>"$T/help" || return 1
			subs=$((${subs:-0} + 1))
		done
	done
	[ "${subs:-0}" -gt 20 ] || { echo "$subs sub-verbs"; return 1; }
	! grep -E '^.{81}' "$T/help"
}
case_ "no help is wider than 80 columns" narrow
case_ "doctor on a full disk" full "$SLUICE" doctor
case_ "doctor --json on a full disk" full "$SLUICE" doctor --json
case_ "version without standard output" closed --version
case_ "help of a verb without standard output" closed list --help
first() { # the common options in front of the verb do what they do behind it
	"$SLUICE" doctor -j | head -c 2 >"$T/behind"
	for o in -j --json "-v -j" "--bpffs /x -j" "--bpffs=/x --json"; do
		# shellcheck disable=SC2086
		"$SLUICE" $o doctor 2>/dev/null | head -c 2 | cmp - "$T/behind" || { echo "$o"; return 1; }
	done
	[ "$(head -c 1 "$T/behind")" = '[' ]
}
case_ "common options in front of the verb" first
case_ "--bpffs in front wants its folder" expect_fail 2 "^sluice: --bpffs wants a value" "$SLUICE" --bpffs
bounds() { # of times, as the manual has them
	for t in 0s 1ms 2h; do
		expect_fail 2 "^sluice serve: --sweep: $t is out of range, 1s to 1h is possible\$" timeout 5 "$SLUICE" serve --sweep $t || return 1
	done
}
case_ "an option's least and most time" bounds
need_root_for() { [ "$(id -u)" = 0 ] || { skip "$1" "needs root"; return 1; }; }
need_root_for "verbs on a full disk" || { done_; exit; }

L=c$$
on_exit '"$SLUICE" lab down $L 2>/dev/null'
"$SLUICE" lab up -q --name $L >/dev/null || exit 1
in_box() { "$SLUICE" lab run --lab $L box -- "$@"; }
bpf_cc "$T/pass.o" <<'C'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, __u32); __type(value, __u64); } seen SEC(".maps");
SEC("xdp") int pass(struct xdp_md *ctx) { __u32 k = 0; return bpf_map_lookup_elem(&seen, &k) ? XDP_PASS : XDP_DROP; }
char _license[] SEC("license") = "GPL";
C
full_box() { full in_box "$SLUICE" "$@"; }
verbs_full() {
	full_box attach to1 "$T/pass.o" && full_box list && full_box list -j && full_box map list && full_box map list -j &&
		full_box map dump to1:seen && full_box map dump -j to1:seen && full_box map get to1:seen 0 &&
		full_box map show to1:seen && full_box replace to1 pass "$T/pass.o" && full_box lab list &&
		full_box traffic to2 udp --count 10 && full_box traffic to2 udp --count 10 -j &&
		full_box top to1 --once -i 20ms && full_box top to1 --once -i 20ms -j && full_box top to1 -i 20ms --lines &&
		full_box detach to1 --all
}
case_ "every verb says that its output is lost" verbs_full
case_ "list without standard output" in_box sh -c '"$SLUICE" list >&- 2>"$0"; [ $? = 1 ] && grep -q "Bad file descriptor" "$0"' "$T/err"

reader_gone() { # the reader of a pipe leaves: nothing is said, and it is no failure
	in_box sh -c '{ "$SLUICE" "$@" 2>"$0.err"; echo $? >"$0.rc"; } | head -n 1 >/dev/null' "$T/pipe" "$@" || return 1
	[ "$(cat "$T/pipe.rc")" = 0 ] && ! grep -v -e ': counting in ' "$T/pipe.err" && return 0
	echo "exit $(cat "$T/pipe.rc") of: $*"
	return 1
}
case_ "top ends in silence when its reader is gone" reader_gone top to1 -i 20ms --lines
case_ "top -j too" reader_gone top to1 -i 20ms -j
done_
