#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Every fuzz target on its corpus: what was ever found stays found.
. "$(dirname "$0")/lib.sh"

replay() {
	"$BUILD/tests/fuzz-$1" "$SRC/tests/fuzz/corpus/$1" >"$T/out" || return 1
	want=$(find "$SRC/tests/fuzz/corpus/$1" -type f | wc -l)
	[ "$(cat "$T/out")" = "$want inputs" ] || { cat "$T/out"; return 1; }
}

for source in "$SRC"/tests/fuzz/*_fuzz.c; do
	name=$(basename "$source" _fuzz.c)
	case_ "corpus of $name" replay "$name"
done

# objects hurt in ways that depend on the seed alone
mutations() {
	cd "$T" && "$BUILD/tests/elf-mutate" "${SEED:-7}" 6000 "$SRC/tests/fuzz/corpus/elf/whole" "$@"
}
# shellcheck disable=SC2046
case_ "thousands of damaged objects are opened or refused" mutations $(find "$BUILD/datapath" -name '*.bpf.o' | sort | head -n 3)
# the same with all that follows: loaded into the user-space engine, packets run; ASan watches in ./do sanitize
loads() {
	cd "$T" && "$BUILD/tests/load-mutate" "${SEED:-7}" 2500 "$@"
}
# shellcheck disable=SC2046
case_ "thousands of damaged objects are loaded, run or refused" loads "$SRC"/tests/fuzz/corpus/load/* "$BUILD/datapath/top.bpf.o"
done_
