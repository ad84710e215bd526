#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice log: samples of packets, on every engine and with a policy in force.
. "$(dirname "$0")/lib.sh"

check() { timeout 120 "$BUILD/tests/samples-check" "$@"; }
case_ "samples and what is lost, interpreted" check interp
case_ "samples and what is lost, compiled to machine code" check jit
case_ "two formats at once" expect_fail 2 '^sluice log: --pcapng and --json exclude each other$' "$SLUICE" log -j --pcapng x
need_root
case_ "samples and what is lost, in the kernel" check kernel
done_
