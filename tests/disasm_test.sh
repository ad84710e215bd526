# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The disassembler against llvm-objdump: every instruction of every BPF object of the build, and one of each form.
. "$SRC/tests/lib.sh"

objdump=
for o in llvm-objdump llvm-objdump-14 llvm-objdump-15 llvm-objdump-16 llvm-objdump-19; do
	if command -v $o >/dev/null; then objdump=$o; break; fi
done

same() { # OBJECT
	$objdump -d --no-show-raw-insn "$1" >"$T/there" || return 1
	"$BUILD/tests/isa-compare" "$1" <"$T/there"
}
# it must be able to fail
differs() { # OBJECT
	$objdump -d --no-show-raw-insn "$1" | sed 's/\* *(\(u[0-9]*\) \*)(r1/*(\1 *)(r3/' >"$T/there"
	! "$BUILD/tests/isa-compare" "$1" <"$T/there" >"$T/out" && grep -q ' [1-9][0-9]* differ' "$T/out"
}
each_form() {
	"$BUILD/tests/isa-compare" --forms >"$T/forms.s" && clang -target bpf -c "$T/forms.s" -o "$T/forms.o" || return 1
	same "$T/forms.o" >"$T/out"
	rc=$?
	cat "$T/out"
	# an LLVM that knows hardly anything proves nothing
	[ $rc = 0 ] && [ "$(sed -n 's/ instructions.*//p' "$T/out")" -ge 200 ]
}

if [ -n "$objdump" ]; then
	for obj in $(find "$BUILD" -name '*.bpf.o' | sort); do
		case_ "${obj#"$BUILD"/}" same "$obj"
	done
	case_ "a difference is seen" differs "$BUILD/datapath/top.bpf.o"
	case_ "one of each form" each_form
else
	skip "the disassembler against llvm-objdump" "there is no llvm-objdump"
fi
done_
