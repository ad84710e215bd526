#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The balancer: packets byte by byte on the interpreter, the JIT and in the kernel.
. "$(dirname "$0")/lib.sh"

check() { timeout 120 "$BUILD/tests/$@"; }
in_kernel() {
	if [ "$(id -u)" = 0 ]; then
		case_ "$@"
	else
		skip "$1" "needs root"
	fi
}

case_ "packets byte by byte, interpreted" check balance-check interp
case_ "packets byte by byte, compiled to machine code" check balance-check jit
in_kernel "packets byte by byte, in the kernel" check balance-check kernel
done_
