# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Programs that mean harm, on the user-space engine: each ends as it should, and soon.
. "$SRC/tests/lib.sh"
O=$BUILD/tests/hostile.bpf.o
"$BUILD/tests/capture" "$T/one.pcap" "$(printf '%0120d' 0)"

run() { timeout -s KILL 60 "$SLUICE" run "$O:$1" --in "$T/one.pcap" "$2" --limit "${3:-100000000}"; }
passes() { # PROGRAM
	for e in --interp --jit; do
		run "$1" $e | grep -q '^pass  *1 ' || { echo "$1 $e: no pass"; return 1; }
	done
}
faults() { # WHY PROGRAM [LIMIT]
	for e in --interp --jit; do
		expect_fail 1 "$1" run "$2" $e "${3:-}" || { echo "$2 $e"; return 1; }
	done
}
case_ "a lock's word is only a name" passes scribbled
case_ "a walk within a walk" passes nested
case_ "a lock within a lock" faults 'updates under a lock while it holds one' twice
case_ "a lock at a crooked address" faults 'takes a lock at an address that is no multiple of 4' crooked
case_ "an endless walk over nothing" faults 'ran longer than its budget' ghosts
case_ "work of helpers counts: reading" faults 'ran longer than its budget' heavy
case_ "work of helpers counts: one instruction" faults 'ran longer than its budget' heavy 1
case_ "work of helpers counts: writing" faults 'ran longer than its budget' wide
case_ "values that may only be written" faults 'reads 8 bytes' peeking
done_
