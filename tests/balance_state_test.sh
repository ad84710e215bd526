#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The balancer's state in files beside its memory: processes that change it, die, come back, and find what others left.
. "$(dirname "$0")/lib.sh"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
check() {
	rm -rf "$dir/state" && mkdir -m 700 "$dir/state" || return 1
	engine=$1
	shift
	timeout 120 "$BUILD/tests/balance-state" "$engine" "$dir/state" "$@"
}
in_kernel() {
	if [ "$(id -u)" = 0 ]; then
		case_ "$@"
	else
		skip "$1" "needs root"
	fi
}

case_ "opened anew for every change, packets go where the oracle says, interpreted" check interp random "${SEED:-1}" 60
case_ "the same, compiled" check jit random "${SEED:-2}" 200
in_kernel "the same, in the kernel" check kernel random "${SEED:-3}" 60
case_ "processes that die while they change something are finished by who comes next" check jit killed "${SEED:-4}" 150
in_kernel "the same, in the kernel" check kernel killed "${SEED:-5}" 100
case_ "generations follow each other under one flow table" check jit next "${SEED:-7}" 120
in_kernel "the same, in the kernel" check kernel next "${SEED:-8}" 30
case_ "damaged files are refused" check jit damaged "${SEED:-6}" 2000
case_ "slots settle when no flow is elsewhere" check jit settle
case_ "the flow table's clock" check jit ticks
in_kernel "the flow table's clock, in the kernel" check kernel ticks
done_
