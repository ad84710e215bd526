# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the scripts about the balancer between namespaces share; sourced after lib.sh. A lab of hosts h1, h2... around a box.
#
#   live_lab HOSTS        the lab; hN has 10.9.N.2 and fd09:N::2, the box .1 and ::1 towards it
#   inns HOST CMD...      runs there
#   passing HOST IF       a program that passes everything: what XDP sends back to IF's peer arrives only then (doc/lab.md)
#   begin NAME HOST CMD...   CMD (balance-talk) in the background, its input from ask
#   ask NAME LINE         gives it a line and prints the answer, which ends with "."; tell, hear: in two steps
#   stop NAME             ends its input and waits for it
#   serve HOST CMD...     a server, until the end of the script; $served is its pid
#   sum FIELD [NAME]      of an answer of balance-talk on standard input: the numbers behind FIELD added up, of a server or all
#   kernel_drops          what kernels there say that they dropped, a line each
#   quiet_errors HOST...  the kernels there saw no wrong checksum
LIVE=bl$$
TALK=$BUILD/tests/balance-talk
VIP4=203.0.113.10 VIP6=2001:db8:ff::10

inns() { ns=$1; shift; nsenter --net="/run/netns/sluice-$LIVE-$ns" "$@"; }

live_lab() {
	on_exit '"$SLUICE" lab down $LIVE >/dev/null 2>&1'
	"$SLUICE" lab up --name $LIVE --hosts "$1" >/dev/null || { echo "Bail out! no lab"; exit 1; }
	inns box sh -c 'for f in all default; do echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; done
		for f in /proc/sys/net/ipv4/conf/to*/rp_filter; do echo 0 >$f; done'
	i=1
	while [ $i -le "$1" ]; do
		inns box sh -c "ip addr flush dev to$i scope global; ip addr add 10.9.$i.1/24 dev to$i; ip addr add fd09:$i::1/64 dev to$i nodad"
		inns h$i sh -c "ip addr flush dev eth0 scope global; ip addr add 10.9.$i.2/24 dev eth0; ip addr add fd09:$i::2/64 dev eth0 nodad
			ip route add default via 10.9.$i.1; ip -6 route add default via fd09:$i::1
			for f in all default eth0; do echo 0 >/proc/sys/net/ipv4/conf/\$f/rp_filter; done
			echo 4096 >/proc/sys/net/core/somaxconn"
		i=$((i + 1))
	done
	i=1
	while [ $i -le "$1" ]; do # neighbours are known before the first packet
		wait_until 5 inns box ping -c 1 -W 1 10.9.$i.2 && wait_until 5 inns box ping -c 1 -W 1 fd09:$i::2 || exit 1
		wait_until 5 inns h$i ping -c 1 -W 1 fd09:$i::1 || exit 1
		i=$((i + 1))
	done
}
passing() {
	[ -s "$T/pass.o" ] || bpf_cc "$T/pass.o" <<-'C' || return 1
		#include <linux/bpf.h>
		#include <bpf/bpf_helpers.h>
		SEC("xdp.frags") int pass(struct xdp_md *ctx) { return XDP_PASS; }
		char _license[] SEC("license") = "GPL";
	C
	inns "$1" "$SLUICE" attach "$2" "$T/pass.o" >/dev/null
}

# a command with its input from a pipe that somebody holds open: not this shell, whose children would inherit it
begin() {
	who=$1 where=$2
	shift 2
	rm -f "$T/$who.in" "$T/$who.out"
	mkfifo "$T/$who.in" && : >"$T/$who.out" || return 1
	sleep infinity >"$T/$who.in" 2>/dev/null &
	eval "hold_$who=$!"
	nsenter --net="/run/netns/sluice-$LIVE-$where" "$@" <"$T/$who.in" >>"$T/$who.out" 2>"$T/$who.err" &
	eval "pid_$who=$!"
	on_exit "kill $! \$hold_$who 2>/dev/null"
}
answers() { grep -cx '[.]' "$T/$1.out"; }
answered() { [ "$(answers "$1")" -gt "$2" ]; }
tell() {
	eval "before_$1=\$(answers $1) lines_$1=\$(wc -l <\"\$T/$1.out\")"
	echo "$2" >"$T/$1.in"
}
hear() {
	eval "before=\$before_$1 lines=\$lines_$1"
	wait_until "${PATIENCE:-40}" answered "$1" "$before" >/dev/null || { echo "$1 does not answer:" >&2; cat "$T/$1.out" "$T/$1.err" >&2; return 1; }
	tail -n +$((lines + 1)) "$T/$1.out"
}
ask() { tell "$1" "$2" && hear "$1"; }
runs() { eval "[ -n \"\${pid_$1:-}\" ] && kill -0 \$pid_$1 2>/dev/null"; }
ended() { ! runs "$1"; }
stop() {
	eval "kill \${hold_$1:-} 2>/dev/null"
	runs "$1" || return 0
	wait_until 10 ended "$1" || eval "kill -9 \$pid_$1"
}
serve() {
	where=$1
	shift
	nsenter --net="/run/netns/sluice-$LIVE-$where" "$@" >>"$T/servers" 2>&1 &
	served=$!
	on_exit "kill $served 2>/dev/null"
}
sum() { awk -v f="$1" -v n="${2:-}" '$1 == n || n == "" { for (i = 2; i < NF; i++) if ($i == f) s += $(i + 1) } END { print s + 0 }'; }
kernel_drops() {
	for host in box $(cd /run/netns && ls | sed -n "s/^sluice-$LIVE-\(h.*\)/\1/p"); do
		inns $host nstat -asz 2>/dev/null | awk -v h=$host '$1 ~ /^Udp6?(Rcvbuf|Sndbuf)Errors$/ && $2 { print h, $1, $2 }'
		inns $host ip -s -j link | jq -r --arg h $host '.[] | select(.ifname != "lo") | .ifname as $i | .stats64 |
			{rx: .rx.dropped, tx: .tx.dropped} | to_entries[] | select(.value > 0) | "\($h) \($i) \(.key) dropped \(.value)"'
	done
}
quiet_errors() {
	for host; do
		inns "$host" nstat -asz 2>/dev/null | awk -v h="$host" '$1 ~ /InCsumErrors$|^IpInHdrErrors$/ { n++; if ($2) { print h, $0; e = 1 } }
			END { if (n < 5) print h, n + 0, "counters"; exit e || n < 5 }' || return 1
	done
}
