#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice balance backend: what it prints, does and undoes on a backend's host.
#
#   host (10.1.0.11) eth0 ──── v1 peer (10.1.0.1)      the peer asks who has which address
. "$(dirname "$0")/lib.sh"

cat >"$T/lb.conf" <<'X'
balance web on eth0 {
	virtual 203.0.113.10 tcp port { 80, 443 }
	virtual 2001:db8::10 tcp port 80
	forward ipip
	backend { 10.1.0.11, 10.1.0.12, 2001:db8:1::11 }
}
balance dns on eth0 {
	virtual 203.0.113.53 udp port 53
	forward gue port 6081
	backend { 10.1.0.11, 10.1.0.13 }
}
balance lan on eth0 {
	virtual 10.1.0.100 tcp port 80
	virtual 2001:db8:1::100 tcp port 80
	forward l2
	backend { 10.1.0.11, 10.1.0.15 }
}
balance inside on eth0 {
	virtual 203.0.113.99 tcp port 80
	forward nat from 192.0.2.200
	backend 10.1.0.14 port 8080
}
X
printf 'balance web on eth0 {\n\tvirtual 203.0.113.10 tcp port 80\n}\n' >"$T/bad.conf"
printf 'filter on eth0 {\n}\n' >"$T/none.conf"
prints() { # WANT ARG...
	want=$1
	shift
	"$SLUICE" balance backend "$@" >"$T/out" && printf '%s\n' "$want" | diff - "$T/out"
}
case_ "ipip, both families" prints 'ip link add sluice-ipip0 up type ipip local 10.1.0.12
ip addr add 127.0.0.42/32 dev sluice-ipip0 scope host
sysctl -w net/ipv4/conf/sluice-ipip0/rp_filter=2
ip link add sluice-sit0 up type sit local 10.1.0.12
sysctl -w net/ipv4/conf/all/arp_ignore=1
sysctl -w net/ipv4/conf/all/arp_announce=2
ip addr add 203.0.113.10/32 dev lo scope host
ip addr add 2001:db8::10/128 dev lo preferred_lft 0' "$T/lb.conf" --address 10.1.0.12
case_ "a backend of IPv6" prints 'ip link add sluice-ip6tnl0 up type ip6tnl local 2001:db8:1::11 mode any
ip addr add 127.0.0.42/32 dev sluice-ip6tnl0 scope host
sysctl -w net/ipv4/conf/sluice-ip6tnl0/rp_filter=2
sysctl -w net/ipv4/conf/all/arp_ignore=1
sysctl -w net/ipv4/conf/all/arp_announce=2
ip addr add 203.0.113.10/32 dev lo scope host
ip addr add 2001:db8::10/128 dev lo preferred_lft 0' "$T/lb.conf" --address 2001:db8:1::11
case_ "gue" prints 'ip fou add port 6081 gue
ip link add sluice-ipip0 up type ipip local 10.1.0.13
ip addr add 127.0.0.42/32 dev sluice-ipip0 scope host
sysctl -w net/ipv4/conf/sluice-ipip0/rp_filter=2
sysctl -w net/ipv4/conf/all/arp_ignore=1
sysctl -w net/ipv4/conf/all/arp_announce=2
ip addr add 203.0.113.53/32 dev lo scope host' "$T/lb.conf" --address 10.1.0.13
case_ "several services of one backend, one of them" prints 'sysctl -w net/ipv4/conf/all/arp_ignore=1
sysctl -w net/ipv4/conf/all/arp_announce=2
ip addr add 10.1.0.100/32 dev lo scope host
ip addr add 2001:db8:1::100/128 dev lo preferred_lft 0' "$T/lb.conf" --address 10.1.0.11 --service lan
case_ "nat" prints '# forward nat: nothing is needed but that answers go back through the balancer' "$T/lb.conf" --address 10.1.0.14
json() {
	"$SLUICE" balance backend "$T/lb.conf" --address 10.1.0.15 --json >"$T/out" && jq -e 'length == 4 and
		.[0] == {step: "sysctl -w net/ipv4/conf/all/arp_ignore=1", state: "missing"} and
		.[3].step == "ip addr add 2001:db8:1::100/128 dev lo preferred_lft 0"' "$T/out" || { cat "$T/out"; return 1; }
}
case_ "JSON" json
fails() { # CODE SENTENCE ARG...
	code=$1 sentence=$2
	shift 2
	expect_fail "$code" "$sentence" "$SLUICE" balance backend "$@"
}
case_ "another host" fails 3 '^sluice balance backend: none of the backends of inside is an address of this host; --address says which one is meant$' "$T/lb.conf" --service inside
case_ "no such service" fails 3 "^sluice balance backend: no service 'wep', did you mean web\\?$" "$T/lb.conf" --service wep
case_ "no address" fails 2 "^sluice balance backend: '10.1' is no" "$T/lb.conf" --address 10.1
case_ "a policy with mistakes" fails 1 'bad.conf' "$T/bad.conf"
case_ "a policy without services" fails 3 '^sluice balance backend: .*/none.conf has no balance block$' "$T/none.conf"
case_ "no file" fails 3 '/nothing.conf' "$T/nothing.conf"
case_ "apply for another host" fails 3 '^sluice balance backend: 10.1.0.14 is no address of this host$' "$T/lb.conf" --address 10.1.0.14 --apply
case_ "undo with a file" fails 2 '^sluice balance backend: --undo undoes all that --apply has done; it stands alone$' --undo "$T/lb.conf"
need_root

NS=bb$$
ip netns add "$NS" && ip netns add "$NS-peer" || exit 1
on_exit "ip netns del $NS; ip netns del $NS-peer"
on_exit "nsenter --net=/run/netns/$NS $SLUICE balance backend --undo >/dev/null 2>&1"
netns=$(stat -Lc %i "/run/netns/$NS")
host() { nsenter --net="/run/netns/$NS" "$@"; }
peer() { nsenter --net="/run/netns/$NS-peer" "$@"; }
backend() { timeout 20 nsenter --net="/run/netns/$NS" "$SLUICE" balance backend "$@"; }
host ip link add eth0 type veth peer name v1
host ip link set v1 netns "$NS-peer"
host ip link set lo up
host ip link set eth0 up
host ip addr add 10.1.0.11/24 dev eth0
peer ip link set v1 up
peer ip addr add 10.1.0.1/24 dev v1
host sh -c 'cd /proc/sys/net/ipv4/conf && echo 0 >all/arp_ignore && echo 0 >all/arp_announce && echo 0 >all/rp_filter && echo 1 >eth0/rp_filter'
sysctl_is() { v=$(host cat "/proc/sys/net/ipv4/conf/$1"); [ "$v" = "$2" ] || { echo "$1 is $v, not $2"; return 1; }; }
state() {
	host ip -o addr show | grep -v fe80
	host ip -o link show | cut -d' ' -f2
	host sh -c 'head /proc/sys/net/ipv4/conf/*/arp_ignore /proc/sys/net/ipv4/conf/*/arp_announce /proc/sys/net/ipv4/conf/*/rp_filter'
}
state >"$T/state"
undone() { state | diff "$T/state" - && [ ! -e "/run/sluice/backend-net$netns" ]; }

does() { # WANT ARG...
	want=$1
	shift
	backend "$@" >"$T/out" 2>&1 || { cat "$T/out"; return 1; }
	printf '%s\n' "$want" | diff - "$T/out"
}
case_ "what is missing here" does 'sysctl -w net/ipv4/conf/eth0/rp_filter=2
sysctl -w net/ipv4/conf/all/arp_ignore=1
sysctl -w net/ipv4/conf/all/arp_announce=2
ip addr add 10.1.0.100/32 dev lo scope host
ip addr add 2001:db8:1::100/128 dev lo preferred_lft 0' "$T/lb.conf" --service lan
case_ "apply" does 'done:   sysctl -w net/ipv4/conf/eth0/rp_filter=2
done:   sysctl -w net/ipv4/conf/all/arp_ignore=1
done:   sysctl -w net/ipv4/conf/all/arp_announce=2
done:   ip addr add 10.1.0.100/32 dev lo scope host
done:   ip addr add 2001:db8:1::100/128 dev lo preferred_lft 0' "$T/lb.conf" --service lan --apply
there() {
	host ip -o addr show dev lo | grep -q 'inet 10.1.0.100/32 scope host lo' &&
		host ip -o addr show dev lo | grep -q 'inet6 2001:db8:1::100/128 scope global deprecated' &&
		sysctl_is eth0/rp_filter 2 && sysctl_is all/arp_ignore 1 && sysctl_is all/arp_announce 2 &&
		[ "$(stat -c %a "/run/sluice/backend-net$netns")" = 600 ]
}
case_ "it is so" there
silent() { # the peer gets an answer for the host's own address and none for the virtual one
	peer ping -c 1 -W 2 10.1.0.11 >/dev/null || { echo "10.1.0.11 does not answer"; return 1; }
	peer ping -c 1 -W 1 10.1.0.100 >/dev/null
	peer ip neigh show 10.1.0.100 | grep -q lladdr && { peer ip neigh; return 1; }
	peer ip neigh replace 10.1.0.100 lladdr "$(host ip -j link show eth0 | jq -r ".[0].address")" dev v1
	peer ping -c 1 -W 2 10.1.0.100 >/dev/null # who has the MAC address gets through
}
case_ "no answer to ARP for the virtual address, but it works" silent
case_ "again: all of it is there" does 'there:  sysctl -w net/ipv4/conf/eth0/rp_filter=2
there:  sysctl -w net/ipv4/conf/all/arp_ignore=1
there:  sysctl -w net/ipv4/conf/all/arp_announce=2
there:  ip addr add 10.1.0.100/32 dev lo scope host
there:  ip addr add 2001:db8:1::100/128 dev lo preferred_lft 0' "$T/lb.conf" --service lan --apply
case_ "printed again" does '# is so: sysctl -w net/ipv4/conf/eth0/rp_filter=2
# is so: sysctl -w net/ipv4/conf/all/arp_ignore=1
# is so: sysctl -w net/ipv4/conf/all/arp_announce=2
# is so: ip addr add 10.1.0.100/32 dev lo scope host
# is so: ip addr add 2001:db8:1::100/128 dev lo preferred_lft 0' "$T/lb.conf" --service lan
sed '/10.1.0.100/d' "$T/lb.conf" >"$T/less.conf"
case_ "by difference" does 'undone: ip addr del 10.1.0.100/32 dev lo
undone: sysctl -w net/ipv4/conf/all/arp_announce=0
undone: sysctl -w net/ipv4/conf/all/arp_ignore=0
undone: sysctl -w net/ipv4/conf/eth0/rp_filter=1
there:  ip addr add 2001:db8:1::100/128 dev lo preferred_lft 0' "$T/less.conf" --service lan --apply
case_ "and back" does 'done:   sysctl -w net/ipv4/conf/eth0/rp_filter=2
done:   sysctl -w net/ipv4/conf/all/arp_ignore=1
done:   sysctl -w net/ipv4/conf/all/arp_announce=2
done:   ip addr add 10.1.0.100/32 dev lo scope host
there:  ip addr add 2001:db8:1::100/128 dev lo preferred_lft 0' "$T/lb.conf" --service lan --apply
undo() {
	backend --undo --json >"$T/out" && jq -e 'length == 5 and all(.[]; .state == "undone")' "$T/out" >/dev/null || { cat "$T/out"; return 1; }
	undone
}
case_ "undo leaves nothing" undo
case_ "undo again" does 'nothing of sluice balance backend is here' --undo
enough() { # what is so is shown with the value that it has
	conf=/proc/sys/net/ipv4/conf
	host sh -c "echo 0 >$conf/eth0/rp_filter && echo 2 >$conf/all/arp_ignore"
	rest='sysctl -w net/ipv4/conf/all/arp_announce=2
ip addr add 10.1.0.100/32 dev lo scope host
ip addr add 2001:db8:1::100/128 dev lo preferred_lft 0'
	does "# is so: net/ipv4/conf/eth0/rp_filter=0, which is enough
# is so: net/ipv4/conf/all/arp_ignore=2, which is enough
$rest" "$T/lb.conf" --service lan || return 1
	host sh -c "echo 1 >$conf/eth0/rp_filter && echo 2 >$conf/all/rp_filter && echo 0 >$conf/all/arp_ignore"
	does "# is so: net/ipv4/conf/all/rp_filter=2, which is enough
sysctl -w net/ipv4/conf/all/arp_ignore=1
$rest" "$T/lb.conf" --service lan
	rc=$?
	host sh -c "echo 0 >$conf/all/rp_filter"
	return $rc
}
case_ "another value is enough" enough
locked() { # by somebody who may read the folder, and by another one who is at it
	(
		flock 9
		backend "$T/lb.conf" --service lan --apply >"$T/out" 2>&1 && backend --undo >"$T/out" 2>&1
	) 9</run/sluice || { cat "$T/out"; return 1; }
	[ "$(stat -c %a /run/sluice/backend.lock)" = 600 ] && (
		flock 9
		expect_fail 1 '^sluice balance backend: locking /run/sluice/backend.lock: another process is setting up a backend$' \
			nsenter --net="/run/netns/$NS" "$SLUICE" balance backend "$T/lb.conf" --service lan --apply
	) 9>>/run/sluice/backend.lock && undone
}
case_ "the lock is a file of root's, not the folder" locked
others() { # what somebody else has set meanwhile, or had before, stays
	host ip addr add 10.1.0.100/32 dev lo
	backend "$T/lb.conf" --service lan --apply >"$T/out" && grep -q '^there:  ip addr add 10.1.0.100/32' "$T/out" || { cat "$T/out"; return 1; }
	host sh -c 'echo 2 >/proc/sys/net/ipv4/conf/all/arp_ignore'
	backend --undo >"$T/out" || { cat "$T/out"; return 1; }
	grep -qx 'left:   net/ipv4/conf/all/arp_ignore is not 1 any more' "$T/out" && sysctl_is all/arp_ignore 2 &&
		host ip -o addr show dev lo | grep -q 'inet 10.1.0.100/32' || { cat "$T/out"; return 1; }
	host sh -c 'echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore'
	host ip addr del 10.1.0.100/32 dev lo
	undone
}
case_ "what is somebody else's stays" others
killed() { # a step that was recorded and not done: as if the process had been killed in between
	backend "$T/lb.conf" --service lan --apply >/dev/null && host ip addr del 10.1.0.100/32 dev lo &&
		backend "$T/lb.conf" --service lan --apply >"$T/out" && grep -qx 'done:   ip addr add 10.1.0.100/32 dev lo scope host' "$T/out" &&
		host ip addr del 10.1.0.100/32 dev lo && backend --undo >/dev/null && undone
}
case_ "recorded and not done" killed
strange() { # a name that a shell would take apart
	host ip link set eth0 down
	# shellcheck disable=SC2016
	host ip link set eth0 name 'a$(id)'
	backend "$T/lb.conf" --service lan >"$T/out"
	host ip link set 'a$(id)' name eth0
	host ip link set eth0 up
	# shellcheck disable=SC2016
	grep -qxF "sysctl -w 'net/ipv4/conf/a\$(id)/rp_filter=2'" "$T/out" || { cat "$T/out"; return 1; }
}
case_ "a name for a shell to fall over" strange
nobody() {
	expect_fail 4 '^sluice balance backend: setting up a backend needs CAP_NET_ADMIN' \
		nsenter --net="/run/netns/$NS" setpriv --reuid=65534 --regid=65534 --clear-groups "$SLUICE" balance backend "$T/lb.conf" --service lan --apply
}
chmod 755 "$T"
chmod 644 "$T/lb.conf"
case_ "without privilege" nobody
if host ip link add sluice-try type ipip local 10.1.0.11 2>/dev/null; then
	host ip link del sluice-try
	tunnels() {
		backend "$T/lb.conf" --service web --apply >"$T/out" 2>&1 || { cat "$T/out"; return 1; }
		host ip -o link show sluice-ipip0 && host ip -o link show sluice-sit0 && sysctl_is sluice-ipip0/rp_filter 2 &&
			backend --undo >/dev/null && ! host ip -o link show sluice-ipip0 2>/dev/null && undone
	}
	case_ "tunnels come and go" tunnels
else
	skip "tunnels come and go" "this kernel has no ipip"
	failed_json() { # a step that failed was not done, so it is not undone
		rc=0
		backend "$T/lb.conf" --apply --json >"$T/out" 2>/dev/null || rc=$?
		[ $rc = 4 ] && jq -e 'map(.step) | index("ip link del sluice-ipip0") == null' "$T/out" >/dev/null || { echo "exit $rc"; cat "$T/out"; return 1; }
		backend "$T/lb.conf" --service web --apply >"$T/out" 2>/dev/null
		! grep 'ip link del' "$T/out" || return 1
		# something is done before it
		host ip link add sluice-ipip0 type veth peer name sluice-peer || return 1
		printf 'balance a on eth0 {\n\tvirtual 10.1.0.101 tcp port 80\n\tforward l2\n\tbackend 10.1.0.11\n}\nbalance b on eth0 {\n\tvirtual 10.1.0.102 tcp port 80\n\tforward ipip\n\tbackend 10.1.0.11\n}\n' >"$T/order.conf"
		rc=0
		backend "$T/order.conf" --apply --json >"$T/out" 2>"$T/err" || rc=$?
		host ip link del sluice-ipip0
		[ $rc = 1 ] && jq -ec '[.[] | [.step, .state]] == [
			["sysctl -w net/ipv4/conf/eth0/rp_filter=2", "done"], ["sysctl -w net/ipv4/conf/all/arp_ignore=1", "done"],
			["sysctl -w net/ipv4/conf/all/arp_announce=2", "done"], ["sysctl -w net/ipv4/conf/all/arp_announce=0", "undone"],
			["sysctl -w net/ipv4/conf/all/arp_ignore=0", "undone"], ["sysctl -w net/ipv4/conf/eth0/rp_filter=1", "undone"]]' "$T/out" >/dev/null &&
			undone || { cat "$T/out" "$T/err"; return 1; }
	}
	case_ "what was done and undone before a failure, as JSON" failed_json
	refused() { # what was done before it failed is undone
		expect_fail 4 "^sluice balance backend: 'ip link add sluice-ipip0 up type ipip local 10.1.0.11' failed; has this kernel tunnels of type ipip \\(modprobe ipip\\)\\?" \
			nsenter --net="/run/netns/$NS" "$SLUICE" balance backend "$T/lb.conf" --service web --apply && undone
	}
	case_ "a kernel without tunnels" refused
fi
if host ip fou show >/dev/null 2>&1; then
	skip "a kernel without GUE" "this kernel has it"
else
	fou() {
		expect_fail 4 "^sluice balance backend: 'ip fou add port 6081 gue' failed; does this kernel take GUE off packets \\(modprobe fou\\)\\?" \
			nsenter --net="/run/netns/$NS" "$SLUICE" balance backend "$T/lb.conf" --service dns --apply && undone
	}
	case_ "a kernel without GUE" fou
fi
case_ "what --xdp needs" does '# program decap on eth0: --apply attaches it
sysctl -w net/ipv4/conf/eth0/rp_filter=2
sysctl -w net/ipv4/conf/all/arp_ignore=1
sysctl -w net/ipv4/conf/all/arp_announce=2
ip addr add 203.0.113.10/32 dev lo scope host
ip addr add 2001:db8::10/128 dev lo preferred_lft 0' "$T/lb.conf" --service web --xdp
xdp() {
	backend "$T/lb.conf" --xdp --apply >"$T/out" 2>&1 && grep -qx 'done:   program decap on eth0, GUE port 6081' "$T/out" || { cat "$T/out"; return 1; }
	host "$SLUICE" list eth0 --json | jq -e '[.[] | .. | .name? // empty] | index("decap")' >/dev/null || { host "$SLUICE" list eth0 --json; return 1; }
	backend "$T/lb.conf" --xdp --apply >"$T/out" 2>&1 && ! grep -v '^there: ' "$T/out" || { cat "$T/out"; return 1; }
	# without the service of GUE it is another program; without --xdp, none
	backend "$T/lb.conf" --xdp --service web --apply >"$T/out" 2>&1 && ! grep 'undone: program decap' "$T/out" &&
		grep -qx 'done:   program decap on eth0' "$T/out" || { cat "$T/out"; return 1; }
	backend "$T/lb.conf" --service lan --apply >"$T/out" 2>&1 && grep -qx 'undone: program decap on eth0' "$T/out" || { cat "$T/out"; return 1; }
	backend --undo >/dev/null && undone && host "$SLUICE" list eth0 | grep -q '^eth0 *-$'
}
case_ "--xdp comes and goes" xdp
header() { # WORD...: of IPv4, with its checksum (RFC 1071) for the 0 among the words
	s=0
	for w in "$@"; do s=$((s + 0x$w)); done
	s=$(((s & 0xffff) + (s >> 16)))
	s=$(printf '%04x' $((0xffff ^ ((s & 0xffff) + (s >> 16)))))
	for w in "$@"; do [ "$w" = 0 ] && printf '%s' "$s" || printf '%s' "$w"; done
}
tunnelled() { # COUNT: IPv4 in IPv4 from a balancer, to 203.0.113.10
	mac=$(host ip -j link show eth0 | jq -r ".[0].address" | tr -d :)
	peer "$BUILD/tests/frames" v1 "$1" "${mac}0200000000010800$(header 4500 0028 0001 0000 4004 0 c612 0101 0a01 000b)$(header 4500 0014 0001 0000 4006 0 0a01 0001 cb00 710a)"
}
counted() { host nft -j list chain inet count in | jq '[.nftables[].rule? | .expr? // [] | .[].counter? | .packets? // empty] | add'; }
replaced() { # while packets come: another port of GUE, and none, five times; all of them are taken out
	backend "$T/lb.conf" --xdp --service web --apply >"$T/out" || { cat "$T/out"; return 1; }
	host nft -f - <<-N || return 1
	table inet count { chain in { type filter hook prerouting priority -400; ip daddr 203.0.113.10 ip saddr 10.1.0.1 counter; }; }
	N
	: >"$T/go"
	(n=0; while [ -e "$T/go" ]; do tunnelled 20; n=$((n + 20)); done; echo $n >"$T/sent") &
	sender=$!
	for i in 1 2 3 4 5; do
		backend "$T/lb.conf" --xdp --apply >>"$T/out" && backend "$T/lb.conf" --xdp --service web --apply >>"$T/out" || { cat "$T/out"; rm -f "$T/go"; return 1; }
	done
	rm -f "$T/go"
	wait $sender
	sleep 0.3
	n=$(counted)
	host nft delete table inet count
	backend --undo >/dev/null && ! grep 'undone: program' "$T/out" || return 1
	[ "$(cat "$T/sent")" -gt 100 ] && [ "$n" = "$(cat "$T/sent")" ] || { echo "$(cat "$T/sent") were sent, $n came out"; return 1; }
}
case_ "another port of GUE: not a packet is lost" replaced
sed 's/10.1.0.100 tcp port 80/10.1.0.100 tcp port 80; forward gue/; s/\tforward l2//' "$T/lb.conf" >"$T/two.conf"
case_ "two ports of GUE for one program" expect_fail 4 '^sluice balance backend: services use GUE ports 6081 and 6080 on eth0, the XDP program takes one: leave one of them to the kernel, with --service and without --xdp$' backend "$T/two.conf" --xdp
case_ "--xdp of another host" expect_fail 4 "^sluice balance backend: --xdp has to know the interface: run it on the backend's host$" backend "$T/lb.conf" --xdp --address 10.1.0.12
foreign() { # an interface of the name that is somebody else's
	host ip link add sluice-ipip0 type veth peer name sluice-peer || return 1
	expect_fail 1 "^sluice balance backend: there is an interface sluice-ipip0 that this command has not made; 'ip link del sluice-ipip0' takes it away" \
		nsenter --net="/run/netns/$NS" "$SLUICE" balance backend "$T/lb.conf" --service web --apply
	rc=$?
	host ip link del sluice-ipip0
	[ $rc = 0 ] && undone
}
case_ "an interface of that name" foreign
done_
