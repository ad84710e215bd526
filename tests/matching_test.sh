# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# pcap expressions in the packet path against libpcap's own filter and the oracle: the interpreter, the JIT, the kernel.
# SOAK=1: a hundred times as many packets.
. "$SRC/tests/lib.sh"

n=1
[ -z "${SOAK:-}" ] || n=100
list=$SRC/tests/policy/expressions
check() { timeout $((120 * n)) "$BUILD/tests/matching-check" "$@"; }
in_kernel() {
	if [ "$(id -u)" = 0 ]; then
		case_ "$@"
	else
		skip "$1" "needs root"
	fi
}

case_ "every expression, interpreted" check list interp "$list" 1 $((3000 * n))
case_ "every expression, compiled to machine code" check list jit "$list" 2 $((20000 * n))
in_kernel "every expression, in the kernel" check list kernel "$list" 3 $((4000 * n))
if [ "$(id -u)" = 0 ] && { check split "$list" 1 5 >/dev/null; [ $? = 4 ]; }; then
	skip "packets in several buffers" "this kernel's test run does not split packets"
else
	in_kernel "packets in several buffers" check split "$list" 4 $((4000 * n))
fi
case_ "random programs, interpreted" check programs interp 1 $((30 * n)) 500
case_ "random programs, compiled to machine code" check programs jit 1001 $((150 * n)) 2000
in_kernel "random programs, in the kernel" check programs kernel 2001 $((10 * n)) 500
cd "$T" || exit 1
"$BUILD/tests/capture" r.pcap random 5 2000
case_ "a capture" check capture jit "$list" r.pcap
in_kernel "a capture, in the kernel" check capture kernel "$list" r.pcap
case_ "another capture" check capture interp "$list" "$SRC/tests/policy/two.pcap"
chained() { # IPv6 off: nothing is on the wire but what the test sends
	ns=slm$$
	on_exit "ip netns del $ns 2>/dev/null"
	ip netns add $ns && nsenter --net=/run/netns/$ns sh -c '
		echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
		ip link add m0 type veth peer name m1 && ip link set m0 up && ip link set m1 up' || return 1
	timeout 60 nsenter --net=/run/netns/$ns "$BUILD/tests/matching-check" chain m0 m1 "$list" r.pcap
}
in_kernel "two filters with expressions in a chain" chained
done_
