#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice doctor tells the truth: what it says is compared with what the kernel does, and its fixes are run.
#
#   namespace a                       namespace b
#   br0 ── p0 ══ p1      va ═════════ vb
#                        mv0 on va
. "$(dirname "$0")/lib.sh"

NA=sld$$a NB=sld$$b
unprivileged() { setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all "$@"; }
# the line of check $2 in the output file $1, of the section $3 (default: the machine)
line() { awk -v c="$2" -v s="${3:-this machine}" '/^[^ ]/ { in_s = $0 == s } in_s && $2 == c' "$1"; }
fix() { # the command under that line
	awk -v c="$2" -v s="${3:-this machine}" '/^[^ ]/ { in_s = $0 == s } in_s && $1 == "$" { if (hit) { sub(/^ *\$ /, ""); print }; next }
		{ hit = in_s && $2 == c }' "$1"
}
says() { # FILE CHECK LEVEL TEXT [SECTION]
	line "$1" "$2" "${5:-}" >"$T/line"
	grep -qE "^  $3 +$2 .*$4" "$T/line" || { echo "wanted $3 $2 $4, got: $(cat "$T/line")"; return 1; }
}

case_ "unknown interface" expect_fail 3 "no interface 'nosuch'" "$SLUICE" doctor nosuch
case_ "two arguments" expect_fail 2 "one argument too many" "$SLUICE" doctor lo lo

# without any privilege: it says so, and never takes "I may not" for "the kernel cannot"
cp "$SLUICE" "$T/sluice" && chmod 755 "$T" "$T/sluice"
if [ "$(id -u)" = 0 ]; then nobody() { unprivileged "$T/sluice" "$@"; }; else nobody() { "$T/sluice" "$@"; }; fi
nobody_machine() {
	nobody doctor lo >"$T/nobody" && return 1
	says "$T/nobody" capabilities error "missing: CAP_BPF \(loading programs\), CAP_NET_ADMIN" &&
		says "$T/nobody" kernel ok "$(uname -r) on $(uname -m)" && says "$T/nobody" link ok "on" lo || return 1
	for c in xdp xdp_link multi_buffer live_frames devmap ringbuf tcx freplace fentry; do
		says "$T/nobody" $c unknown "could not tell" || return 1
	done
	grep -q '^not ready: ' "$T/nobody"
}
if [ "$(id -u)" = 0 ] || ! grep -q '^CapEff:.*[1-9a-f]' /proc/self/status; then
	case_ "without privilege, what cannot be told is not told" nobody_machine
else
	skip "without privilege, what cannot be told is not told" "this user has capabilities"
fi
if [ "$(id -u)" != 0 ]; then
	skip "what the kernel can do, and interfaces" "needs root"
	done_
	exit
fi

no_probes() { ! bpftool prog show | grep sluice_probe && ! bpftool map show | grep sluice_probe; }
machine() {
	"$SLUICE" doctor >"$T/machine"
	rc=$?
	cat "$T/machine"
	# a TC program goes only after the qdisc's grace period
	wait_until 5 no_probes || return 1
	# exit code 1 exactly if there is a line of error
	if grep -q '^  error ' "$T/machine"; then [ $rc = 1 ] && grep -q '^not ready' "$T/machine"; else [ $rc = 0 ] && grep -q '^ready: ' "$T/machine"; fi
}
stable() { "$SLUICE" doctor >"$T/again"; cmp "$T/machine" "$T/again"; }
true_maps() { # bpftool probes the same on its own
	bpftool feature probe kernel >"$T/features" 2>/dev/null
	for pair in devmap:devmap cpumap:cpumap xskmap:xskmap ringbuf:ringbuf; do
		want="no "
		! grep -q "eBPF map_type ${pair#*:} is available" "$T/features" || want=yes
		says "$T/machine" "${pair%:*}" "(ok|warning)" "$want" || return 1
	done
	want="no "
	! sed -n '/eBPF helpers supported for program type xdp:/,/^eBPF helpers/p' "$T/features" | grep -qw bpf_loop || want=yes
	says "$T/machine" bpf_loop "(ok|warning)" "$want" || return 1
	grep -q "JIT compiler is enabled" "$T/features" && want=ok || want=warning
	says "$T/machine" jit $want "programs are"
}
trampolines() { # what it says about freplace and fentry is what a loader meets
	cat >"$T/tr.c" <<-'C'
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	SEC("fentry/bpf_fentry_test1") int tr(void *ctx) { return 0; }
	char _license[] SEC("license") = "GPL";
	C
	bpf_cc "$T/tr.o" <"$T/tr.c" || return 1
	if bpftool prog load "$T/tr.o" /sys/fs/bpf/sld$$ 2>"$T/tr.err"; then
		rm /sys/fs/bpf/sld$$
		says "$T/machine" fentry ok yes
	else
		says "$T/machine" fentry warning "no "
	fi
}
levels() { # every line has a level, and the last one counts them
	awk '/^  (ok|unknown|warning|error) / { n[$1]++ } /ready: / { sub(/.*ready: /, ""); gsub(/[,;]/, ""); got = $1 " " $3 " " $5 " " $7 }
		END { want = n["ok"] + 0 " " n["unknown"] + 0 " " n["warning"] + 0 " " n["error"] + 0
		      if (got != want) { print "counted " want ", said " got; exit 1 } }' "$T/machine"
}
facts() {
	says "$T/machine" kernel ok "Linux $(uname -r) on $(uname -m)" && says "$T/machine" capabilities "(ok|warning)" CAP_NET_ADMIN || return 1
	[ ! -r /sys/kernel/btf/vmlinux ] || says "$T/machine" btf ok "$(($(stat -c %s /sys/kernel/btf/vmlinux) / 1000)) kB" || return 1
	[ "$(cat /proc/sys/kernel/bpf_stats_enabled)" != 0 ] || says "$T/machine" bpf_stats ok "on demand" || return 1
	says "$T/machine" memlock "(ok|warning)" "RLIMIT_MEMLOCK"
}
userns() {
	unshare --user --map-root-user "$SLUICE" doctor >"$T/userns" && return 1
	says "$T/userns" user_namespace error "in a user namespace" && says "$T/userns" capabilities ok "all there" &&
		says "$T/userns" xdp unknown "could not tell"
}
hidden_bpffs() {
	ip netns exec $NA "$SLUICE" doctor >"$T/hidden" && says "$T/hidden" bpffs warning "ip netns exec. (does|hides)"
}
case_ "the machine, and nothing left of the probes" machine
case_ "the same twice" stable
case_ "maps, helpers and JIT as bpftool finds them" true_maps
case_ "fentry as a loader meets it" trampolines
case_ "the last line counts" levels
case_ "facts are as the system has them" facts
if unshare --user --map-root-user true 2>/dev/null; then
	case_ "a user namespace is seen through" userns
else
	skip "a user namespace is seen through" "no user namespaces"
fi

network() {
	ip netns add $NA && ip netns add $NB && ip -n $NA link add br0 type bridge && ip -n $NA link set br0 up &&
		ip -n $NA link add p0 numrxqueues 2 numtxqueues 2 type veth peer name p1 numrxqueues 2 numtxqueues 2 &&
		ip -n $NA link set p0 master br0 && ip -n $NA link set p0 up && ip -n $NA link set p1 up &&
		ip -n $NA link add va numrxqueues 2 numtxqueues 2 type veth peer name vb netns $NB numrxqueues 2 numtxqueues 2 &&
		ip -n $NA link set va up && ip -n $NB link set vb up && ip -n $NA link set lo up &&
		ip -n $NA link add link va name mv0 type macvlan && ip -n $NA link set mv0 up
}
on_exit "ip netns del $NA 2>/dev/null; ip netns del $NB 2>/dev/null"
in_a() { nsenter --net=/run/netns/$NA "$@"; }
look() { in_a "$SLUICE" doctor "$@" >"$T/if"; }
run_fix() { # runs the command it gives under CHECK of IF
	cmd=$(fix "$T/if" "$1" "$2")
	[ -n "$cmd" ] || { echo "no fix for $1 of $2"; cat "$T/if"; return 1; }
	echo "$cmd"
	in_a env PATH="$(dirname "$SLUICE"):$PATH" sh -c "$cmd"
}
lo() {
	look lo && says "$T/if" native warning "driver loopback has no native XDP" lo && says "$T/if" programs ok "none attached" lo &&
		grep -q "; generic mode only on lo$" "$T/if"
}
bridge() {
	look br0 && says "$T/if" native warning "driver bridge has no native XDP" br0 &&
		says "$T/if" stacking warning "attach to its ports" br0 && [ "$(fix "$T/if" stacking br0)" = "sluice doctor p0" ] &&
		look p0 && says "$T/if" stacking ok "port of bridge br0" p0
}
macvlan() {
	look mv0 && says "$T/if" stacking warning "stands on va: attach there" mv0 && [ "$(fix "$T/if" stacking mv0)" = "sluice doctor va" ] &&
		look va && says "$T/if" stacking ok "mv0 stands on it" va
}
veth_target() { # the peer is in another namespace: the fix goes there
	look va && says "$T/if" native ok "driver veth runs XDP natively" va &&
		says "$T/if" redirect_target warning "the other end \(vb\) has neither GRO nor an XDP program" va &&
		[ "$(fix "$T/if" redirect_target va)" = "ip netns exec $NB ethtool -K vb gro on" ] && run_fix redirect_target va &&
		look va && says "$T/if" redirect_target ok "frames can be redirected to it" va
}
late() { # GRO came when the other end was up already, and this one too late: the command is true
	for order in "va vb" "vb va"; do
		in_a ip link set va down && ip -n $NB link set vb down && ip netns exec $NB ethtool -K vb gro off || return 1
		in_a ip link set va up && { [ "$order" = "va vb" ] || ip -n $NB link set vb up; } && ip netns exec $NB ethtool -K vb gro on && ip -n $NB link set vb up || return 1
		look va
		[ "$order" = "va vb" ] || { says "$T/if" redirect_target ok "frames can be redirected to it" va; continue; }
		says "$T/if" redirect_target warning "the other end \(vb\) has GRO only since this one was set up" va &&
			[ "$(fix "$T/if" redirect_target va)" = "ip link set va down && ip link set va up" ] && run_fix redirect_target va &&
			look va && says "$T/if" redirect_target ok "frames can be redirected to it" va || return 1
	done
	ip netns exec $NB ethtool -K vb gro off && ip -n $NB link set vb down && look va && run_fix redirect_target va && ip -n $NB link set vb up &&
		look va && says "$T/if" redirect_target ok "frames can be redirected to it" va
}
veth_target_here() { look p0 && run_fix redirect_target p0 && look p0 && says "$T/if" redirect_target ok "can be redirected" p0; }
compile() { printf '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nSEC("xdp") int plain(struct xdp_md *c) { return XDP_PASS; }\nchar _license[] SEC("license") = "GPL";\n' | bpf_cc "$T/plain.o"; }
xdp_tx() {
	look va && says "$T/if" xdp_tx warning "other end \(vb\): it has no XDP program" va &&
		ip -n $NB link set vb xdpdrv obj "$T/plain.o" sec xdp && look va && says "$T/if" xdp_tx ok "\(vb\) has a program" va &&
		ip -n $NB link set vb xdpdrv off
}
down() {
	ip -n $NA link set p1 down && look p0,p1 && says "$T/if" link warning "without carrier" p0 &&
		says "$T/if" link warning "switched off" p1 && run_fix link p1 && look p1 && says "$T/if" link ok "on" p1
}
mtu_limit() { # the number it gives is where the kernel begins to refuse
	look va && limit=$(line "$T/if" mtu va | sed -n 's/.*fits one buffer (up to \([0-9]*\) does).*/\1/p')
	[ -n "$limit" ] && ip -n $NB link set vb mtu "$limit" && in_a ip link set va xdpdrv obj "$T/plain.o" sec xdp &&
		in_a ip link set va xdpdrv off && look va && says "$T/if" mtu ok "^|$limit: fits" va || return 1
	ip -n $NB link set vb mtu $((limit + 1)) && ! in_a ip link set va xdpdrv obj "$T/plain.o" sec xdp && look va &&
		says "$T/if" mtu warning "$((limit + 1)) does not fit one buffer \($limit\): in native mode only multi-buffer" va &&
		run_fix mtu va && look va && says "$T/if" mtu ok "1500: fits" va
}
queues() {
	[ "$(nproc)" -ge 2 ] || return 0
	in_a ethtool -L p0 rx 1 && look p0 && says "$T/if" queues warning "1 receive queue for $(nproc) CPUs" p0 && run_fix queues p0 &&
		look p0 && says "$T/if" queues ok "2 receive queues" p0
}
queue_mismatch() { # the kernel takes native XDP away where the peer sends on more queues
	in_a ethtool -L p1 tx 2 rx 2 && in_a ethtool -L p0 rx 1 tx 1 && look p0 || return 1
	if in_a ip link set p0 xdpdrv obj "$T/plain.o" sec xdp 2>"$T/err"; then
		in_a ip link set p0 xdpdrv off
		echo "the kernel let it in"
		return 1
	fi
	says "$T/if" native warning "the other end of the veth sends on more queues than the 1 received here" p0 && run_fix native p0 && look p0 &&
		says "$T/if" native ok "runs XDP natively" p0 && in_a ip link set p0 xdpdrv obj "$T/plain.o" sec xdp && in_a ip link set p0 xdpdrv off
}
foreign() {
	in_a ip link set va xdpgeneric obj "$T/plain.o" sec xdp || return 1
	id=$(in_a ip link show va | sed -n 's/.*prog\/xdp id \([0-9]*\).*/\1/p')
	look va && says "$T/if" programs warning "not Sluice's: plain \(id $id\) in generic mode, attached by netlink" va &&
		[ "$(fix "$T/if" programs va)" = "sluice show va" ] && run_fix programs va >/dev/null || return 1
	in_a setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all "$T/sluice" doctor va >"$T/if" && return 1
	says "$T/if" programs unknown "id $id in generic mode; whose, cannot be told" va && in_a ip link set va xdpgeneric off
}
chain() {
	in_a "$SLUICE" attach va "$T/plain.o" >/dev/null && look va && says "$T/if" programs ok "a Sluice chain of 1 program in native mode" va
	rc=$?
	in_a "$SLUICE" detach va --all >/dev/null && look va && says "$T/if" programs ok "none attached" va && return $rc
}
hostile() { # a name that would be a command, and one that would clear the screen
	esc=$(printf 'e\033[2Jx')
	ip -n $NA link add 'x;id' type bridge && ip -n $NA link add "$esc" type bridge && look 'x;id,e*x' || return 1
	says "$T/if" link warning "switched off" 'x;id' && ! grep -q '\$.*x;id' "$T/if" && ! grep -q "$(printf '\033')" "$T/if"
	rc=$?
	ip -n $NA link del 'x;id'
	ip -n $NA link del "$esc"
	return $rc
}
json() {
	in_a "$SLUICE" doctor -j lo,va >"$T/json" && in_a "$SLUICE" doctor lo,va >"$T/if" || return 1
	[ "$(jq length "$T/json")" = "$(grep -cE '^  (ok|unknown|warning|error) ' "$T/if")" ] &&
		jq -e 'all(.[]; keys == ["check", "fix", "interface", "level", "reason"] and (.level | IN("ok", "unknown", "warning", "error")) and
			(.reason | length) > 0) and (map(.interface) | unique == [null, "lo", "va"])' "$T/json" &&
		jq -e 'any(.[]; .interface == "va" and .check == "native" and .level == "ok" and .fix == null)' "$T/json"
}
quiet() { in_a "$SLUICE" doctor -q lo >"$T/q" && ! grep -q '^  ok ' "$T/q" && grep -q '^  warning  native ' "$T/q" && grep -q '^ready: [1-9]' "$T/q"; }
unchanged() { # looking changes nothing
	state() { in_a ip link; in_a ethtool -k va; in_a ethtool -l va; } && state >"$T/was" && look '*' && state >"$T/is" && cmp "$T/was" "$T/is"
}

case_ "a network of its own" network
case_ "ip netns exec hides the bpffs" hidden_bpffs
case_ "lo" lo
case_ "a bridge and its port" bridge
case_ "what stands on another" macvlan
case_ "the veth trap, across namespaces, and its fix" veth_target
case_ "a veth whose other end got GRO too late" late
case_ "the veth trap in one namespace, and its fix" veth_target_here
case_ "a program compiles" compile
case_ "XDP_TX needs a program at the other end" xdp_tx
case_ "no link, no carrier, and the fix" down
case_ "the MTU limit is the kernel's" mtu_limit
case_ "queues and CPUs, and the fix" queues
case_ "too few queues for native mode, and the fix" queue_mismatch
case_ "somebody else's program" foreign
case_ "a Sluice chain" chain
case_ "names that would do harm" hostile
if command -v jq >/dev/null; then case_ "JSON" json; else skip "JSON" "no jq"; fi
case_ "quiet" quiet
case_ "looking changes nothing" unchanged
case_ "probes left nothing" wait_until 5 no_probes
done_
