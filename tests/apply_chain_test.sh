#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A policy's filter beside other programs on one interface: the firewall of examples (not multi-buffer aware) and the
# counter (it is), in both orders, each taken off again; with packets that really arrive.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
need_root
command -v jq >/dev/null || skip_all "jq is not here"
leaks_before
policy_lab
policy p.conf 'set banned { } timeout 10m size 100
filter on to1 {
	drop from @banned
	drop matching "icmp and greater 300"
	log max 100/s limit icmp to 4/h per source burst 1000
	cpu { 0 } icmp length 242
	default pass
}'
firewall() { sl attach to1 "$BUILD/examples/firewall.bpf.o"; }
counter() { sl attach to1 "$BUILD/examples/counter.bpf.o"; }
members() { is members "$1" "$(sl list to1 --json | jq -r '[.. | .members? // empty | .[].name] | join(" ")')"; }

ping_is() { packets 1 -s "$1" && answered "$2" || { echo "a ping of $1 bytes: answered is not $2"; return 1; }; }
# both decide: the firewall knows nobody, then h1; the filter its set, its expression, its CPU
both_decide() {
	ping_is 56 0 && ping_is 200 1 && is "firewall dropped" 1 "$(number to1 firewall drop)" &&
		is "filter redirected" 1 "$(number to1 filter redirect)" &&
		sl map set to1:allowed4 198.18.1.0/24 1 >/dev/null && ping_is 56 1 && ping_is 300 0 &&
		is "filter dropped" 1 "$(number to1 filter drop)" &&
		sl ban 198.18.1.2 >/dev/null && ping_is 56 0 && sl unban 198.18.1.2 >/dev/null && ping_is 56 1 &&
		is "filter dropped" 2 "$(number to1 filter drop)" && is "firewall dropped" 1 "$(number to1 firewall drop)"
}
one_buffer() { is multi-buffer "$1" "$(sl show to1 | awk '$1 == "multi-buffer" { print $2 }')"; }

filter_first() {
	sl apply "$T/p.conf" >/dev/null && one_buffer yes && firewall && counter && members "filter firewall counter" && one_buffer no
}
filter_last() {
	firewall && counter && sl apply "$T/p.conf" >/dev/null && members "filter firewall counter" && one_buffer no
}
without_firewall() {
	sl detach to1 firewall >/dev/null && members "filter counter" && one_buffer yes && ping_is 56 1 && ping_is 300 0 && ping_is 200 1
}
without_counter() {
	sl detach to1 counter >/dev/null && members filter && ping_is 56 1 && ping_is 300 0
}
without_filter() {
	firewall && counter && sl down >/dev/null && members "firewall counter" && ping_is 56 0 &&
		sl map set to1:allowed4 198.18.1.0/24 1 >/dev/null && ping_is 56 1 && ping_is 300 1
}
on_trial() { # what a trial needs stands there too
	firewall && sl apply "$T/p.conf" --confirm 60s >/dev/null && ping_is 56 0 && ping_is 200 1 && sl confirm >/dev/null && ping_is 200 1
}

case_ "the filter, then firewall and counter" filter_first
case_ "the filter and the firewall decide" both_decide
case_ "the firewall goes" without_firewall
case_ "the counter goes" without_counter
case_ "they come again, and the filter goes" without_filter
forget
fresh "firewall and counter, then the filter" filter_last
case_ "the filter and the firewall decide" both_decide
case_ "the firewall goes" without_firewall
case_ "the counter goes" without_counter
forget
fresh "a policy on trial beside the firewall" on_trial

# --- a member whose map takes one kind only: the kernel says EINVAL and nothing else ---
bpf_cc "$T/tied.o" <<'C'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_DEVMAP); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); } ports SEC(".maps");
SEC("xdp.frags") int tied(struct xdp_md *ctx) { return bpf_redirect_map(&ports, 0, XDP_PASS); }
char _license[] SEC("license") = "GPL";
C
tied() {
	sl attach to1 "$T/tied.o" && expect_fail 4 'tied is multi-buffer aware, and so must be all that share its map ports; firewall is not: build it with SEC\("xdp.frags"\), or tied with SEC\("xdp"\)$' firewall &&
		members tied
}
forget
fresh "a map of one kind is named" tied
sl detach to1 --all >/dev/null
forget
case_ "nothing is left" leaks_after
done_
