# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What every tests/*_test.sh sources. Speaks TAP; cleans up what the test made, and fails if something is left.
#
#   case_ NAME COMMAND...   one test case: ok if COMMAND succeeds
#   skip NAME WHY           a case that cannot run here
#   skip_all WHY            the whole script cannot run here (one skipped case), exits
#   wait_until SECONDS COMMAND...   polls ten times a second
#   expect_fail CODE TEXT COMMAND...  COMMAND must exit CODE and say TEXT (a grep -E pattern) on stderr, no usage of other words
#   need_root               skip_all without root
#   $FOREGROUND CMD... &    a background command that SIGINT reaches; a script's shell starts them with it ignored
#   done_                   prints the plan; the script's last line
#   on_exit COMMAND         run at the end, last one first
set -u
: "${SLUICE:?run me through ./do test}" "${BUILD:?}" "${SRC:?}"
T=$(mktemp -d) || exit 1
cases=0 bad=0 exits= FOREGROUND='env --default-signal=INT'

_finish() {
	rc=$?
	trap - EXIT
	eval "$exits"
	rm -rf "$T"
	exit $rc
}
trap _finish EXIT
trap 'exit 130' INT TERM

on_exit() { exits="$*; $exits"; }

case_() {
	cases=$((cases + 1))
	name=$1
	shift
	if "$@" >"$T/.case" 2>&1; then
		echo "ok $cases - $name"
	else
		echo "not ok $cases - $name"
		sed 's/^/#   /' "$T/.case"
		bad=$((bad + 1))
	fi
}

skip() { cases=$((cases + 1)); echo "ok $cases - $1 # SKIP $2"; }

skip_all() { echo "1..1"; echo "ok 1 - $(basename "$0" _test.sh) # SKIP $*"; exit 0; }

need_root() { [ "$(id -u)" = 0 ] || skip_all "needs root"; }

wait_until() {
	n=$(($1 * 10))
	shift
	while [ $n -gt 0 ]; do
		"$@" >/dev/null 2>&1 && return 0
		n=$((n - 1))
		sleep 0.1
	done
	echo "waited in vain for: $*"
	return 1
}

expect_fail() {
	want=$1 text=$2
	shift 2
	"$@" >"$T/.out" 2>"$T/.err" && rc=0 || rc=$?
	if [ "$rc" != "$want" ] || ! grep -qE -e "$text" "$T/.err"; then
		echo "exit $rc (wanted $want) of: $*"
		cat "$T/.out" "$T/.err"
		return 1
	fi
}

# compile a BPF C file given on stdin into $1
bpf_cc() {
	clang -target bpf -mcpu=v3 -g -O2 -Wall -I"$SRC" -I"$SRC/datapath" -I/usr/include/"$(cc -print-multiarch 2>/dev/null)" \
		-x c -c - -o "$1"
}

done_() { echo "1..$cases"; [ $bad = 0 ]; exit $?; }
