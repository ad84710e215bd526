# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The engines of vm: text vectors and random programs on interpreter, compiler and kernel; sluice run --raw.
. "$SRC/tests/lib.sh"

# the cases of a file of vectors, each counted here
vectors() { # FILE
	"$BUILD/tests/vm-vectors" "$1" >"$T/tap" 2>&1
	rc=$?
	grep -E '^# |^not ok' "$T/tap" >&2
	n=$(grep -c '^ok' "$T/tap")
	skipped=$(grep -c '# SKIP' "$T/tap")
	echo "$n of $(grep -cE '^(not )?ok' "$T/tap") answers right"
	[ $rc = 0 ] && [ "$n" -gt "$skipped" ]
}

# interpreters and compilers agree on 100,000 programs; every 12th also runs in the kernel
random_programs() { # SEED N EVERY
	"$BUILD/tests/vm-random" "$@" | tee "$T/random"
	grep -q "^$2 programs" "$T/random"
}

insns='b7000000 2a000000 95000000 00000000'
raw() { # WANT INSNS [ARG...]
	want=$1 in=$2
	shift 2
	for engine in --interp --jit ''; do
		# shellcheck disable=SC2086
		got=$(echo "$in" | "$SLUICE" run --raw $engine "$@") || return 1
		[ "$got" = "$want" ] || { echo "$engine: $got, not $want"; return 1; }
	done
}
refuse() { # CODE TEXT INPUT [ARG...]
	code=$1 text=$2 input=$3
	shift 3
	for engine in --interp --jit; do
		printf '%s' "$input" >"$T/in"
		expect_fail "$code" "$text" sh -c 'in=$1; shift; exec "$@" <"$in"' - "$T/in" "$SLUICE" run --raw $engine "$@" || return 1
	done
}
if "$SLUICE" run --raw --jit <<-IN >/dev/null 2>&1
	$insns
	IN
then jit=1; else jit=; fi

for f in "$SRC"/tests/vm/*.t; do
	case_ "vectors of $(basename "$f")" vectors "$f"
done
if [ "$(id -u)" = 0 ]; then
	case_ "100,000 random programs, 8,334 of them in the kernel" random_programs 7 100000 12
else
	case_ "100,000 random programs" random_programs 7 100000 0
	skip "random programs in the kernel" "needs root"
fi

# programs that reach for the edges of what they may touch: interpreter, compiler, watched run agree on every fault
edges() { # SEED N
	"$BUILD/tests/vm-edges" "$@" | tee "$T/edges"
	grep -q "^$2 programs" "$T/edges" && ! grep -q " 0 of them faulty" "$T/edges"
}
case_ "100,000 programs at the edges of memory" edges 3 100000

if [ -n "$jit" ]; then
	case_ "raw: r0 in hex" raw 2a "$insns"
	case_ "raw: memory in r1, its length in r2" raw 8070605ffffffff "
		61 10 00 00 00 00 00 00  67 00 00 00 20 00 00 00
		18 03 00 00 ff ff ff ff  00 00 00 00 00 00 00 00
		4f 30 00 00 00 00 00 00  95 00 00 00 00 00 00 00" "05 06 07 08"
	case_ "raw: length" raw 3 'bf200000 00000000 95000000 00000000' aabbcc
	case_ "raw: no digits at all" refuse 2 'standard input: no instructions$' ''
	case_ "raw: odd digits" refuse 2 'standard input: an odd number of hex digits, 3$' 'b70'
	case_ "raw: not whole instructions" refuse 2 'standard input: 9 bytes, but an instruction is 8$' 'b70000002a00000095'
	case_ "raw: no hex" refuse 2 'standard input: character 3 is no hex digit$' 'b7xx'
	case_ "raw: memory that is no hex" refuse 2 'MEMORY: character 1 is no hex digit$' "$insns" zz
	case_ "raw: unknown instruction" refuse 2 'instruction 0, \(ff\) unknown: .*: there is no such instruction$' 'ff00000000000000'
	case_ "raw: no end" refuse 2 'the last instruction of a function must be exit or a jump$' 'b70000002a000000'
	case_ "raw: jump out" refuse 2 'there is no instruction 11 to jump to, only 0 to 0$' '05000a0000000000'
	case_ "raw: a fault" refuse 1 'instruction 0, \(71\) r0 = \*\(u8 \*\)\(r1 \+2\): reads 1 bytes at 0x[0-9a-f]*, 0 bytes behind the end of the memory \(2 bytes\)$' \
		'7110020000000000 9500000000000000' 0102
	case_ "raw: an endless loop" refuse 1 'instruction 0, \(05\) goto pc-1: ran longer than its budget of instructions$' \
		'0500ffff00000000' --limit 1000000
	case_ "raw: helpers" refuse 2 'instruction 0: there is no helper bpf_map_lookup_elem#1 here$' '8500000001000000 9500000000000000'
else
	skip "raw" "no compiler for this machine"
fi
case_ "without --raw" expect_fail 2 'say --raw' "$SLUICE" run
case_ "both engines" expect_fail 2 'exclude each other' "$SLUICE" run --raw --interp --jit
case_ "JSON" test "$(echo "$insns" | "$SLUICE" run --raw --json)" = '{"r0":"0x2a"}'
done_
