# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Compiled rules against the search through all of them: made ones in ClassBench's manner, files of a folder that CLASSBENCH
# names, damaged images; the lookup as a BPF program on both engines.
. "$SRC/tests/lib.sh"

check() { "$BUILD/tests/classify-check" "$@"; }
kernel() {
	check engine kernel "$BUILD/bench/classify.bpf.o"
}

case_ "0 to 19 rules, what is refused, same rules same bytes" check edges
for kind in acl fw ipc; do
	case_ "$kind: 12 sets of 64 rules, IPv4" check made $kind 4 64 12
	case_ "$kind: 8 sets of 500 rules, IPv6" check made $kind 6 500 8
	case_ "$kind: 8 sets of 1,000 rules, both families" check made $kind 0 1000 8
	case_ "$kind: 4 sets of 3,000 rules, both families" check made $kind 0 3000 4
	case_ "$kind: 10,000 rules, IPv4" check made $kind 4 10000 1
	case_ "$kind: 10,000 rules, IPv6" check made $kind 6 10000 1
	case_ "$kind: 100,000 rules, both families" check made $kind 0 100000 1
done
for kind in acl fw ipc; do
	case_ "$kind: rules that go on, 40 sets of 30" check lists $kind 0 30 40
	case_ "$kind: rules that go on, 4 sets of 300" check lists $kind 0 300 4
	case_ "$kind: rules that go on, 4,000" check lists $kind 0 4000 1
done
case_ "damaged images answer anything, and touch nothing else" check damage
case_ "the lookup on the user-space engine" check engine vm "$BUILD/bench/classify.bpf.o"
if [ "$(id -u)" = 0 ]; then
	case_ "the lookup in the kernel" kernel
else
	skip "the lookup in the kernel" "needs root"
fi
if [ -n "${CLASSBENCH:-}" ] && [ -d "$CLASSBENCH" ]; then
	case_ "the sets of CLASSBENCH, IPv4" check given 4 "$CLASSBENCH"/*_*
	case_ "the sets of CLASSBENCH, stretched to IPv6" check given 6 "$CLASSBENCH"/*_*
else
	skip "the sets of CLASSBENCH" "CLASSBENCH names no folder"
fi
done_
