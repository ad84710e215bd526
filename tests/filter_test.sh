# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The compiled filter against the oracle: verdicts and counters on the interpreter, the JIT and the kernel. SOAK=1: a
# hundred times as many packets.
. "$SRC/tests/lib.sh"

n=1
[ -z "${SOAK:-}" ] || n=100
check() { timeout $((120 * n)) "$BUILD/tests/filter-check" "$@"; }
in_kernel() {
	if [ "$(id -u)" = 0 ]; then
		case_ "$@"
	else
		skip "$1" "needs root"
	fi
}

case_ "random policies, interpreted" check random interp 1 $((40 * n)) 2000
case_ "random policies, compiled to machine code" check random jit 10001 $((160 * n)) 4000
in_kernel "random policies, in the kernel" check random kernel 20001 $((8 * n)) 2000
case_ "sets that change between packets, interpreted" check sets interp 30001 $((20 * n)) 2000
case_ "sets that change between packets, compiled to machine code" check sets jit 31001 $((80 * n)) 4000
in_kernel "sets that change between packets, in the kernel" check sets kernel 32001 $((4 * n)) 2000
for kind in acl fw ipc; do
	case_ "$kind: 64 rules, some of which go on" check made jit $kind 64 $((20000 * n))
	case_ "$kind: 1,000 rules, some of which go on" check made jit $kind 1000 $((4000 * n))
	in_kernel "$kind: 300 rules, in the kernel" check made kernel $kind 300 $((4000 * n))
done
case_ "acl: 10,000 rules" check made jit acl 10000 $((500 * n))
case_ "as many rules as there are bits, and one more" check edges jit $((5000 * n))
in_kernel "as many rules as there are bits, in the kernel" check edges kernel $((1000 * n))
case_ "a limit for each flow, by ports that no rule asks for" check flows jit $((5000 * n))
in_kernel "a limit for each flow, in the kernel" check flows kernel $((2000 * n))
case_ "hostile frames, interpreted" check hostile interp
case_ "hostile frames, compiled to machine code" check hostile jit
in_kernel "hostile frames, in the kernel" check hostile kernel
case_ "limits: rate, burst, and a million sources beside" check rates
done_
