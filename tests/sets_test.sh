# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Sets of addresses and prefixes: against a sorted array with readers running, killed writers, damage, and the lookups
# as programs on both engines. SOAK=1: ten million operations and ten times the rest.
. "$SRC/tests/lib.sh"

run() { # WANTED LAST LINE, COMMAND...
	want=$1
	shift
	"$@" >"$T/out" 2>&1
	rc=$?
	cat "$T/out"
	[ $rc = 0 ] && tail -n 1 "$T/out" | grep -qE "$want"
}

n=400000 kills=200 damaged=100
[ -z "${SOAK:-}" ] || n=10000000 kills=2000 damaged=2400
case_ "$n random operations and a sorted array, two readers" run "^$n operations agree$" "$BUILD/tests/sets-model" 1 $n
case_ "$kills killed writers" run "^$kills writers killed after " "$BUILD/tests/sets-kill" 2 $kills
case_ "$damaged damaged sets" run "^$damaged damaged sets, .* none left its memory$" "$BUILD/tests/sets-damage" 3 $damaged
case_ "lists, plans, errors" run '^all right$' "$BUILD/tests/sets-calls"
if [ "$(id -u)" = 0 ]; then
	case_ "programs on both engines" run 'in the kernel; and while they change$' \
		"$BUILD/tests/sets-engines" "$BUILD/tests/sets_lookup.bpf.o" kernel
else
	case_ "programs on the user-space engine" run 'on the user-space engine$' \
		"$BUILD/tests/sets-engines" "$BUILD/tests/sets_lookup.bpf.o"
	skip "programs in the kernel" "needs root"
fi
done_
