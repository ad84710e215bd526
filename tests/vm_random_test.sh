#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Random XDP programs with random packets: the same verdict, packet and maps from every engine, and as root from the
# kernel. Longer, with other seeds: ./do fuzz, or build/tests/vm-random-xdp SEED PROGRAMS KERNEL.
. "$(dirname "$0")/lib.sh"

agree() { # SEED PROGRAMS KERNEL
	"$BUILD/tests/vm-random-xdp" "$@" >"$T/out" 2>&1 || { head -n 300 "$T/out"; return 1; }
	[ "$(cat "$T/out")" = "$2 programs, $(($2 * $3)) of them in the kernel" ] || { cat "$T/out"; return 1; }
}
if [ "$(id -u)" = 0 ]; then
	case_ "6,000 random XDP programs, all of them in the kernel" agree "${SEED:-7}" 6000 1
else
	case_ "6,000 random XDP programs" agree "${SEED:-7}" 6000 0
	skip "random XDP programs in the kernel" "needs root"
fi
done_
