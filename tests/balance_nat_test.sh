#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Translated flows (forward nat): packets byte by byte against a slow translation, on the interpreter, the JIT and in the
# kernel, where the program asks a network of its own for the way to clients.
. "$(dirname "$0")/lib.sh"

check() { timeout 200 "$BUILD/tests/$@"; }
NS=sluice-bnat-$$

network() {
	ip netns add $NS || return
	on_exit "ip netns del $NS 2>/dev/null"
	nsenter --net=/run/netns/$NS sh -e -c '
		ip link set lo up
		ip link add c7 index 7 address 02:00:00:00:00:c2 type veth peer name d7
		ip link set c7 up
		ip link set d7 up
		sysctl -qw net.ipv4.conf.all.forwarding=1 net.ipv6.conf.all.forwarding=1
		ip addr add 10.9.0.2/24 dev c7
		ip addr add fd00:9::2/64 dev c7 nodad
		ip route add default via 10.9.0.1
		ip -6 route add default via fd00:9::1 dev c7
		ip route add 10.10.0.0/16 via 10.9.0.5
		ip -6 route add fd00:10::/32 via fd00:9::5 dev c7
		ip neigh add 10.9.0.1 lladdr 02:00:00:00:00:c1 dev c7
		ip neigh add fd00:9::1 lladdr 02:00:00:00:00:c1 dev c7'
}
in_kernel() {
	name=$1
	shift
	if [ "$(id -u)" = 0 ]; then
		case_ "$name" timeout 200 nsenter --net=/run/netns/$NS "$BUILD/tests/$@"
	else
		skip "$name" "needs root"
	fi
}

[ "$(id -u)" != 0 ] || network || exit 1
case_ "packets byte by byte, interpreted" check balance-nat interp
case_ "packets byte by byte, compiled to machine code" check balance-nat jit
in_kernel "packets byte by byte, in the kernel" balance-nat kernel
case_ "random flows, interpreted" check balance-nat interp "${SEED:-1}" 20000
case_ "random flows, compiled" check balance-nat jit "${SEED:-2}" 60000
in_kernel "random flows, in the kernel" balance-nat kernel "${SEED:-3}" 20000
done_
