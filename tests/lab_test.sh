#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice lab, with real packets, and that nothing of a lab outlives it.
#
#   h1 eth0 ──── to1 ┐ box
#   h2 eth0 ──── to2 ┘
#
# Other labs may be alive meanwhile: nothing here takes down, counts or names one it did not make.
. "$(dirname "$0")/lib.sh"

unprivileged() { setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all "$@"; }

case_ "unknown word gets a hint" expect_fail 2 "unknown word 'donw', did you mean down\?" "$SLUICE" lab donw
case_ "a bad name is explained" expect_fail 2 "'A-b' is no name for a lab: 1 to 24 of a-z, 0-9 and _" "$SLUICE" lab down A-b
case_ "hosts are bounded" expect_fail 2 "hosts: 65 is out of range, 1 to 64 is possible" "$SLUICE" lab up --hosts 65
case_ "MTU is bounded" expect_fail 2 "mtu: 1279 is out of range, 1280 to 65535 is possible" "$SLUICE" lab up --mtu 1279
case_ "--all and a name exclude each other" expect_fail 2 "exclude each other" "$SLUICE" lab down --all x
case_ "with wants a command" expect_fail 2 "too few arguments" "$SLUICE" lab with
if [ "$(id -u)" = 0 ]; then
	# an unprivileged user may not be able to reach the build
	cp "$SLUICE" "$T/sluice" && chmod 755 "$T" "$T/sluice"
	plain() { unprivileged "$T/sluice" "$@"; }
else
	plain() { "$SLUICE" "$@"; }
fi
case_ "up without root names the capability" expect_fail 4 "making a lab needs CAP_SYS_ADMIN: run as root" plain lab up
case_ "with without root does not run the command" expect_fail 4 "needs CAP_SYS_ADMIN" plain lab with -- touch "$T/ran"
case_ "list without root" expect_fail 4 "looking at labs needs CAP_SYS_ADMIN: run as root" plain lab list
case_ "run without root" expect_fail 4 "needs CAP_SYS_ADMIN" plain lab run h1 -- true
[ "$(id -u)" = 0 ] || { skip "everything that makes a lab" "needs root"; done_; exit; }

A=t$$a B=t$$b
mine() { { ls /run/netns /run/sluice/lab 2>/dev/null; grep /run/netns /proc/self/mountinfo; } | grep -E "t$$[a-z]" ; }
on_exit '"$SLUICE" lab down $A 2>/dev/null; "$SLUICE" lab down $B 2>/dev/null'
links_before=$(ip -o link | wc -l)

make_a() {
	"$SLUICE" lab up --name $A --queues 3 --mtu 3000 >"$T/up" || return 1
	grep -q "^lab $A is up: 2 hosts around a box, 3 queues an interface, MTU 3000\$" "$T/up" &&
		grep -q '^  h1  eth0  198.18.1.2/24 .* 2001:db8:1::1/64 .* to1 ─┐$' "$T/up" &&
		grep -q "sluice lab down $A" "$T/up" || { cat "$T/up"; return 1; }
}
in_a() { h=$1; shift; "$SLUICE" lab run --lab $A "$h" -- "$@"; }
ping_through() { # three packets, none lost, the box took one hop off
	in_a h1 ping -c 3 -i 0.05 -W 1 "$1" >"$T/ping" && grep -q "3 packets transmitted, 3 received, 0% packet loss" "$T/ping" &&
		[ "$(grep -c 'ttl=63' "$T/ping")" = 3 ] || { cat "$T/ping"; return 1; }
}
first_packet() { # nothing is lost while neighbours or addresses settle
	"$SLUICE" lab with -- sh -c '"$SLUICE" lab run h1 -- ping -c 1 -W 1 2001:db8:2::2 && "$SLUICE" lab run h2 -- ping -c 1 -W 1 198.18.1.2'
}
jumbo() { in_a h1 ping -c 1 -W 1 -M "do" -s 2972 198.18.2.2 && ! in_a h1 ping -c 1 -W 1 -M "do" -s 2973 198.18.2.2; }
queues() {
	for h in "box to1" "box to2" "h1 eth0" "h2 eth0"; do
		# shellcheck disable=SC2086
		set -- $h
		in_a "$1" ip -d -o link show "$2" | grep -q "mtu 3000 .*numtxqueues 3 numrxqueues 3" || return 1
	done
}
like_a_wire() {
	for h in "box to1" "h1 eth0"; do
		# shellcheck disable=SC2086
		set -- $h
		in_a "$1" ethtool -k "$2" >"$T/features" || return 1
		for want in "generic-receive-offload: on" "tx-checksumming: off" "	tx-tcp-segmentation: off" \
			"tx-vlan-offload: off"; do
			grep -q "^$want" "$T/features" || { echo "$h: not $want"; return 1; }
		done
	done
}
compile_xdp() {
	bpf_cc "$T/xdp.o" <<-'C'
	#include <linux/bpf.h>
	#include <linux/if_ether.h>
	#include <linux/ip.h>
	#include <bpf/bpf_helpers.h>
	struct icmp { __u8 type, code; __u16 checksum; };
	static struct icmp *echo(struct xdp_md *ctx)
	{
		void *end = (void *)(long)ctx->data_end;
		struct ethhdr *eth = (void *)(long)ctx->data;
		struct iphdr *ip = (void *)(eth + 1);
		struct icmp *icmp = (void *)(ip + 1);
		if ((void *)(icmp + 1) > end || eth->h_proto != __builtin_bswap16(ETH_P_IP) || ip->ihl != 5 ||
		    ip->protocol != 1 || icmp->type != 8)
			return 0;
		return icmp;
	}
	SEC("xdp/turn") int turn(struct xdp_md *ctx) /* answers every ping itself */
	{
		struct ethhdr *eth = (void *)(long)ctx->data;
		struct icmp *icmp = echo(ctx);
		if (!icmp || (void *)(eth + 1) > (void *)(long)ctx->data_end)
			return XDP_PASS;
		struct iphdr *ip = (void *)(eth + 1);
		if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
			return XDP_PASS;
		unsigned char mac[6];
		__builtin_memcpy(mac, eth->h_dest, 6);
		__builtin_memcpy(eth->h_dest, eth->h_source, 6);
		__builtin_memcpy(eth->h_source, mac, 6);
		__u32 addr = ip->daddr;
		ip->daddr = ip->saddr;
		ip->saddr = addr;
		icmp->type = 0;
		__u32 sum = icmp->checksum + 8;
		icmp->checksum = (sum & 0xffff) + (sum >> 16);
		return XDP_TX;
	}
	SEC("xdp/over") int over(struct xdp_md *ctx) /* carries pings from to1 (2) to h2 by to2 (3), past the box's stack */
	{
		struct ethhdr *eth = (void *)(long)ctx->data;
		if (!echo(ctx) || (void *)(eth + 1) > (void *)(long)ctx->data_end)
			return XDP_PASS;
		eth->h_dest[4] = 2;
		eth->h_dest[5] = 2;
		return bpf_redirect(3, 0);
	}
	char _license[] SEC("license") = "GPL";
	C
}
# 198.18.7.7 is nobody: only the program can answer
turned() {
	"$SLUICE" lab with --tx-ready sh -ec '
		"$SLUICE" lab run box ip link set to1 xdpdrv obj "$0" sec xdp/turn
		"$SLUICE" lab run h1 ping -c 3 -i 0.05 -W 1 198.18.7.7' "$T/xdp.o"
}
redirected() { # hop limit untouched, and the box's stack never saw the requests: only the replies
	"$SLUICE" lab with sh -ec '
		"$SLUICE" lab run box ip link set to1 xdpdrv obj "$0" sec xdp/over
		"$SLUICE" lab run h2 ip route add 198.18.1.2 via 198.18.2.1
		"$SLUICE" lab run h1 ping -c 5 -i 0.05 -W 1 198.18.2.2
		"$SLUICE" lab run box grep "^Ip: " /proc/net/snmp >"$1"' "$T/xdp.o" "$T/snmp" &&
		awk '/^Ip:/ && $7 ~ /^[0-9]+$/ { if ($7 != 5) { print "forwarded " $7; exit 1 } }' "$T/snmp"
}
code_of_cmd() { in_a h2 sh -c 'exit 37'; [ $? = 37 ]; }
env_in_run() { [ "$(in_a h1 sh -c 'echo $SLUICE_LAB')" = $A ]; }
no_command() { expect_fail 127 "cannot run /nonexistent/x: No such file" in_a h1 /nonexistent/x; }
not_executable() { expect_fail 126 "cannot run /etc/passwd: Permission denied" in_a h1 /etc/passwd; }
bpffs_stays() { [ "$(in_a box stat -c %i "$SRC/do")" = "$(stat -c %i "$SRC/do")" ] && [ "$(in_a box readlink /proc/self/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ]; }
default_shell() { [ "$(echo 'ip -o link show eth0 | wc -l' | SHELL=/bin/sh "$SLUICE" lab run --lab $A h2)" = 1 ]; }
ip_netns_sees() { ip netns list | grep -q "^sluice-$A-h2" && ip netns exec sluice-$A-h2 ip -o link show eth0 | grep -q "mtu 3000"; }

case_ "up draws what it made" make_a
case_ "ip netns sees it" ip_netns_sees
case_ "IPv4 through the box" ping_through 198.18.2.2
case_ "IPv6 through the box" ping_through 2001:db8:2::2
case_ "the very first packet arrives" first_packet
case_ "queues and MTU are as asked" queues
case_ "jumbo frames to the byte" jumbo
case_ "interfaces behave like a wire" like_a_wire
case_ "XDP programs compile" compile_xdp
case_ "frames redirected by XDP arrive" redirected
case_ "frames sent back by XDP arrive with --tx-ready" turned
case_ "exit code of the command" code_of_cmd
case_ "SLUICE_LAB is set in the command" env_in_run
case_ "no such command is 127" no_command
case_ "a file that cannot be run is 126" not_executable
case_ "the mount namespace stays" bpffs_stays
case_ "without a command, a shell" default_shell
case_ "an unknown host names the ones there are" expect_fail 3 "lab $A has no host 'h3': it has box and h1 to h2" in_a h3 true
case_ "a path is no host" expect_fail 3 "has no host '../x'" in_a ../x true
case_ "a name in use is refused" expect_fail 1 "there is a lab $A already" "$SLUICE" lab up --name $A
case_ "the lab in use still works" ping_through 198.18.2.2

two_at_once() { # same addresses, other namespaces: a packet in one is not seen in the other
	"$SLUICE" lab up --name $B --hosts 2 -q >"$T/b" && [ "$(cat "$T/b")" = $B ] || return 1
	rx() { in_a h2 cat /proc/net/dev | awk '/eth0/ { print $3 }'; }
	was=$(rx)
	"$SLUICE" lab run --lab $B h1 -- ping -c 5 -i 0.05 198.18.2.2 || return 1
	[ "$(rx)" = "$was" ] || { echo "packets of $B were seen in $A"; return 1; }
	ping_through 198.18.2.2
}
several() { expect_fail 2 "there are [0-9]+ labs, say which: .*$A, $B" "$SLUICE" lab run h1 -- true; }
listed() {
	"$SLUICE" lab list >"$T/list" && grep -qE "^$A +ready +2 +3 +3000 " "$T/list" && grep -qE "^$B +ready +2 +1 +1500 " "$T/list"
}
json() {
	"$SLUICE" lab list -j | jq -e --arg n $A '.[] | select(.name == $n) | .state == "ready" and .queues == 3 and .mtu == 3000 and
		.n_hosts == 2 and (.hosts | map(.name) == ["box", "h1", "h2"]) and .hosts[0].links[1].ifname == "to2" and
		.hosts[2].links[0].ipv4 == "198.18.2.2/24" and .hosts[2].links[0].peer == "box"'
}
json_is_true() { # what is printed is what is there
	"$SLUICE" lab list -j | jq -r --arg n $A '.[] | select(.name == $n) | .hosts[] | .netns as $ns | .links[] |
		"\($ns) \(.ifname) \(.mac) \(.ipv4) \(.ipv6)"' >"$T/ends"
	[ "$(wc -l <"$T/ends")" = 4 ] || return 1
	while read -r ns ifname mac v4 v6; do
		ip -n "$ns" addr show "$ifname" >"$T/real" && grep -q "ether $mac " "$T/real" && grep -q "inet $v4 " "$T/real" &&
			grep -q "inet6 $v6 " "$T/real" || { echo "$ns $ifname"; return 1; }
	done <"$T/ends"
}
case_ "two labs at once" two_at_once
case_ "with several, which one must be said" several
case_ "list" listed
if command -v jq >/dev/null; then
	case_ "list as JSON" json
	case_ "addresses and MACs are as printed" json_is_true
else
	skip "list as JSON" "no jq"
	skip "addresses and MACs are as printed" "no jq"
fi

down_with_process() { # the links go at once, the process stays and sees only lo
	"$SLUICE" lab run --lab $A h1 -- sleep 60 &
	pid=$!
	wait_until 5 grep -q sleep /proc/$pid/comm || return 1
	"$SLUICE" lab down $A || return 1
	left=$(nsenter --net=/proc/$pid/ns/net ip -o link | awk '{ print $2 }')
	kill -0 $pid && kill $pid
	wait $pid 2>/dev/null
	[ "$left" = lo: ] || { echo "interfaces left: $left"; return 1; }
}
case_ "down while a command runs" down_with_process
case_ "down again: there is none" expect_fail 3 "there is no lab $A: sluice lab list shows the ones there are" "$SLUICE" lab down $A
case_ "the other lab still works" "$SLUICE" lab run --lab $B h1 -- ping -c 1 -W 1 198.18.2.2
case_ "down of the other" "$SLUICE" lab down $B
nothing_left() { mine; [ -z "$(mine)" ] && [ "$(ip -o link | wc -l)" = "$links_before" ]; }
case_ "nothing is left" nothing_left

# up that fails midway takes back what it made: the 5th namespace is one too many
fails_midway() {
	unshare --user --map-root-user --mount --net sh -c '
		mount -t tmpfs none /run && echo 4 >/proc/sys/user/max_net_namespaces &&
		ip link >/dev/null; "$SLUICE" lab up --hosts 9 --name '$A' 2>/run/err; rc=$?
		cat /run/err; find /run -type f
		[ $rc = 1 ] && grep -q "no more network namespaces are allowed" /run/err &&
		[ -z "$(find /run/netns /run/sluice -type f)" ] && ! grep -q /run/netns/sluice-'$A' /proc/self/mountinfo'
}
if unshare --user --map-root-user --mount --net true 2>/dev/null; then
	case_ "up that fails midway leaves nothing" fails_midway
else
	skip "up that fails midway leaves nothing" "no user namespaces"
fi
foreign() { # a namespace that is not ours stays, and its name is not taken
	ip netns add sluice-$A-mine || return 1
	on_exit "ip netns del sluice-$A-mine 2>/dev/null"
	expect_fail 1 "namespaces sluice-$A-\* in /run/netns that no lab's record names" "$SLUICE" lab up --name $A &&
		expect_fail 3 "there is no lab $A" "$SLUICE" lab down $A && ip netns list | grep -q "sluice-$A-mine" && ip netns del sluice-$A-mine
}
case_ "a foreign namespace is left alone" foreign

# with: a lab around a command
with_env() {
	"$SLUICE" lab with --name $A -- sh -c 'echo $SLUICE_LAB; "$SLUICE" lab run h2 -- ip -o link show eth0 >/dev/null; exit 9' >"$T/with"
	[ $? = 9 ] && [ "$(cat "$T/with")" = $A ]
}
with_held() {
	"$SLUICE" lab with --name $A -- sh -c '
		"$SLUICE" lab list | grep -qE "^$SLUICE_LAB +held " || exit 1
		"$SLUICE" lab down $SLUICE_LAB 2>'"$T"'/busy; [ $? = 1 ]' && grep -qE "lab $A is in the hands of process [0-9]+" "$T/busy"
}
with_signal() { # told to stop: the command gets the signal, the lab goes
	"$SLUICE" lab with --name $A -- sh -c 'echo $$ >'"$T"'/pid; exec sleep 60' &
	pid=$!
	wait_until 5 test -s "$T/pid" || return 1
	kill -"$1" $pid
	wait $pid
	[ $? = "$2" ] && ! kill -0 "$(cat "$T/pid")" 2>/dev/null && rm "$T/pid" && [ -z "$(mine)" ]
}
with_killed() { # nobody can clean up after kill -9, but the lab can be seen and taken down
	"$SLUICE" lab with --name $A -- sh -c 'echo $$ >'"$T"'/pid; exec sleep 60' &
	pid=$!
	wait_until 5 test -s "$T/pid" || return 1
	kill -9 $pid
	wait $pid
	kill "$(cat "$T/pid")"
	"$SLUICE" lab list | grep -qE "^$A +ready " && "$SLUICE" lab down $A && [ -z "$(mine)" ]
}
killed_midway() { # at 40 random moments of up: what is left is listed and goes
	seen=0
	for i in $(seq 40); do
		"$SLUICE" lab up --name $A --hosts 30 -q >/dev/null 2>&1 &
		pid=$!
		sleep 0.0$(( (i * 7) % 50 + 10 ))
		kill -9 $pid 2>/dev/null
		wait $pid 2>/dev/null
		if "$SLUICE" lab list | grep -q "^$A "; then
			! "$SLUICE" lab list | grep -q "^$A *broken " || seen=$((seen + 1))
			"$SLUICE" lab down $A || return 1
		fi
		[ -z "$(mine)" ] || { echo "left after kill $i:"; mine; return 1; }
	done
	echo "$seen of 40 were caught half made"
	[ $seen -gt 0 ]
}
told_midway() { # at 40 random moments of up: told to end, it leaves nothing, or the whole lab
	n=0
	for i in $(seq 40); do
		"$SLUICE" lab up --name $A --hosts 30 -q >/dev/null 2>&1 &
		pid=$!
		sleep 0.0$(( (i * 7) % 50 + 10 ))
		kill -TERM $pid 2>/dev/null
		wait $pid 2>/dev/null
		case $? in
		0) "$SLUICE" lab down $A || return 1 ;;
		143) n=$((n + 1)) ;;
		*) echo "exit $?"; return 1 ;;
		esac
		[ -z "$(mine)" ] || { echo "left after signal $i:"; mine; return 1; }
	done
	echo "$n of 40 were told in time"
	[ $n -gt 0 ]
}
with_told_at_once() { # no moment at which with is deaf
	for i in $(seq 30); do
		"$SLUICE" lab with --name $A --hosts 1 sleep 60 &
		pid=$!
		sleep 0.0$(( (i * 3) % 40 + 10 ))
		kill -TERM $pid
		wait_until 5 no_process $pid || { kill -9 $pid; return 1; }
		wait $pid
		[ $? = 143 ] && [ -z "$(mine)" ] || return 1
	done
}
no_process() { ! grep -qs '^State:.[^Z]' "/proc/$1/status"; }
broken_run() { # a record whose maker never finished
	install -d -m 0700 /run/sluice/lab && printf 'state making\nhosts 2\nqueues 1\nmtu 1500\nipv6 1\nmaker 1\n' >/run/sluice/lab/$A &&
		expect_fail 3 "lab $A was never complete, its maker ended: take it down" "$SLUICE" lab run --lab $A h1 -- true &&
		"$SLUICE" lab list | grep -qE "^$A +broken " && "$SLUICE" lab down $A && [ -z "$(mine)" ]
}
damaged_record() {
	head -c 200 /dev/urandom >/run/sluice/lab/$A && "$SLUICE" lab list | grep -qE "^$A +broken " && "$SLUICE" lab down $A &&
		[ -z "$(mine)" ]
}
no_collision() { # eight at once, all different
	for i in 1 2 3 4 5 6 7 8; do "$SLUICE" lab up --hosts 1 -q >"$T/n$i" & pids="${pids-} $!"; done
	# shellcheck disable=SC2086
	wait $pids
	names=$(cat "$T"/n?)
	for n in $names; do "$SLUICE" lab down "$n" || return 1; done
	[ "$(echo "$names" | sort -u | wc -l)" = 8 ]
}
most_hosts() {
	"$SLUICE" lab with --hosts 64 -- "$SLUICE" lab run h1 -- ping -c 1 -W 1 198.18.64.2
}
case_ "with runs a command in its lab" with_env
case_ "with's lab is not anybody's to take down" with_held
case_ "with goes on SIGTERM" with_signal TERM 143
case_ "with goes on SIGHUP" with_signal HUP 129
case_ "with killed: the lab can be taken down" with_killed
case_ "up killed at any moment: nothing is out of reach" killed_midway
case_ "up told to end at any moment" told_midway
case_ "with told to end at any moment" with_told_at_once
case_ "a lab that was never complete" broken_run
case_ "a damaged record can be taken down" damaged_record
case_ "names do not collide" no_collision
case_ "64 hosts" most_hosts
case_ "nothing is left at the end" nothing_left

# what was attached in a lab goes with it, pins too
compile_pass() {
	bpf_cc "$T/pass.o" <<-'C'
	#include <linux/bpf.h>
	#include <bpf/bpf_helpers.h>
	SEC("xdp") int pass(struct xdp_md *ctx) { return XDP_PASS; }
	char _license[] SEC("license") = "GPL";
	C
}
pinned_then_gone() { # COMMAND... attaches to to1 of a lab, writes the folder to $T/folder, and takes the lab down
	rm -f "$T/folder"
	"$@" || return 1
	[ -s "$T/folder" ] || { echo "nothing was pinned while the lab was up"; return 1; }
	[ ! -e "$(cat "$T/folder")" ] || { echo "left: $(cat "$T/folder")"; return 1; }
}
ATTACH='n=$("$SLUICE" lab run --lab $SLUICE_LAB box -- readlink /proc/self/ns/net | tr -dc 0-9)
	"$SLUICE" lab run --lab $SLUICE_LAB box -- "$SLUICE" attach to1 "$0" >/dev/null || exit 1
	ls -d /sys/fs/bpf/sluice/net${n}_if* >"$1"'
attached_with() { "$SLUICE" lab with --name $A -- sh -c "$ATTACH" "$T/pass.o" "$T/folder"; }
attached_down() {
	"$SLUICE" lab up -q --name $A && SLUICE_LAB=$A sh -c "$ATTACH" "$T/pass.o" "$T/folder" && "$SLUICE" lab down $A
}
case_ "a passing program compiles" compile_pass
case_ "pins of chains go with the end of lab with" pinned_then_gone attached_with
case_ "pins of chains go with lab down" pinned_then_gone attached_down
done_
