#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The balancer: packets byte by byte, and choices against the oracle, on the interpreter, the JIT and in the kernel.
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
case_ "random packets and changes against the oracle, two balancers, interpreted" check balance-flows interp random "${SEED:-1}" 20000
case_ "random packets and changes against the oracle, two balancers, compiled" check balance-flows jit random "${SEED:-2}" 60000
in_kernel "random packets and changes against the oracle, two balancers, in the kernel" check balance-flows kernel random "${SEED:-3}" 20000
case_ "QUIC connection ids with server ids, against the oracle, interpreted" check balance-quic interp "${SEED:-4}" 10000
case_ "QUIC connection ids with server ids, against the oracle, compiled" check balance-quic jit "${SEED:-5}" 60000
in_kernel "QUIC connection ids with server ids, against the oracle, in the kernel" check balance-quic kernel "${SEED:-6}" 20000
case_ "drops are foretold with their reasons, interpreted" check balance-why interp "${SEED:-7}" 5000
case_ "drops are foretold with their reasons, compiled" check balance-why jit "${SEED:-8}" 60000
in_kernel "drops are foretold with their reasons, in the kernel" check balance-why kernel "${SEED:-9}" 20000
case_ "300 services with ranges of ports" check balance-flows jit large
in_kernel "300 services with ranges of ports, in the kernel" check balance-flows kernel large
case_ "a flood of SYNs moves no known flow" check balance-flows jit flood
in_kernel "a flood of SYNs moves no known flow, in the kernel" check balance-flows kernel flood
done_
