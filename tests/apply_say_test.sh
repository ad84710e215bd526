#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# apply says what it does not do, and does not do what was hardly meant; restore says what it does.
#
#     h1 (198.18.1.2) eth0 ---- to1 (198.18.1.1) box to2 ---- eth0 h2
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
need_root
command -v jq >/dev/null || skip_all "jq is not here"
leaks_before
policy_lab --hosts 2
prog other 2

said() { grep -qE -e "$1" "$T/said" || { echo "not said: $1"; cat "$T/said"; return 1; }; }
unsaid() { ! grep -qE -e "$1" "$T/said" || { echo "said: $1"; cat "$T/said"; return 1; }; }
apply() { sl apply "$@" >"$T/said" 2>&1 || { cat "$T/said"; return 1; }; }

# --- restore ---
gone_interface() {
	forget
	box ip link add d0 type veth peer name d1 && sed 's/on to1/on to1, d0/' "$T/a.conf" >"$T/d.conf" && apply "$T/d.conf" &&
		box ip link del d0 && sl restore >"$T/said" 2>&1 && said 'a filter is on d0: there is no such interface here; they are left for later' &&
		unsaid 'd0: loses' && unsaid 'every packet passes' && meets h1 198.18.1.1 A && sl restore >"$T/said" 2>&1 && said 'is in force on all its interfaces already'
}
case_ "restore says nothing of filters on interfaces that are not there" gone_interface

# --- what a policy has and apply does not do ---
balanced() {
	policy balance.conf 'filter on to1 {
	drop icmp length 200
	default pass
}
balance web on to1 {
	virtual 203.0.113.1 tcp port 80
	forward nat
	backend 198.18.2.2
}'
	forget
	expect_fail 1 'balance.conf:7:10: error: forward nat needs addresses that packets come from: forward nat from ADDRESSES$' \
		sl apply "$T/balance.conf" && is policy null "$(st .policy)" && is history 0 "$(st '.history | length')" &&
		expect_fail 1 'error: forward nat needs' sl apply "$T/balance.conf" --dry-run &&
		expect_fail 1 'error: forward nat needs' sl apply "$T/balance.conf" --force && is policy null "$(st .policy)" && empty to1
}
without_filter() {
	forget
	: >"$T/none.conf"
	echo '# all is commented out' >"$T/comment.conf"
	sl check "$T/none.conf" 2>&1 | grep -q 'none.conf:1:1: warning: no filter: nothing is examined' || return 1
	apply "$T/a2.conf" || return 1
	for f in none comment; do
		expect_fail 1 'the policy has no filter: to1 and to2 would lose theirs; sluice down does that, --force applies it all the same' \
			sl apply "$T/$f.conf" && expect_fail 1 'the policy has no filter' sl apply "$T/$f.conf" --dry-run &&
			in_force 1 A && is history 1 "$(st '.history | length')" || return 1
	done
	policy nowhere.conf 'filter on nothing* {
	default drop
}'
	expect_fail 1 'no interface fits a filter of the policy: to1 and to2 would lose theirs' sl apply "$T/nowhere.conf" &&
		apply "$T/none.conf" --force && said 'the policy has no filter' && meets h1 198.18.1.1 none
}
unfit() {
	forget
	policy glob.conf 'filter on to1 {
	drop icmp length 100
	default pass
}
filter on x* {
	default drop
}'
	apply "$T/glob.conf" && said 'filter on x\*: no interface fits, it protects nothing' && in_force 1 A
}
case_ "a balance block that cannot be put into force is refused" balanced
case_ "a policy without filters takes nothing off by itself" without_filter
case_ "a filter whose pattern fits nothing is named" unfit

# --- dry-run refuses what apply refuses ---
modes() {
	forget
	apply "$T/a.conf" || return 1
	for mode in generic offload; do
		policy $mode.conf "interface to1 { mode $mode }
$(cat "$T/b.conf")"
	done
	for how in '' --dry-run '--confirm 60s'; do
		expect_fail 1 'to1: it runs in native mode, and the policy wants generic mode: that takes sluice down first, and until the next apply nothing is filtered' \
			sl apply "$T/generic.conf" $how &&
			expect_fail 1 'offload.conf:1:22: error: a policy does not run on a card; expected auto, native or generic' sl apply "$T/offload.conf" $how &&
			in_force 1 A || return 1
	done
	sl down >/dev/null && sl attach to1 "$T/other.o" >/dev/null &&
		expect_fail 1 'that takes sluice detach to1 --all first, and' sl apply "$T/generic.conf" --dry-run && sl detach to1 --all >/dev/null &&
		apply "$T/generic.conf" --dry-run && apply "$T/generic.conf" && is mode generic "$(st '.interfaces[0].mode')"
}
case_ "--dry-run asks for the mode of what runs" modes

# --- mistakes that no parser sees exit 1, as those do that it sees ---
rates() {
	forget
	policy rate.conf 'filter on to1 {
	limit icmp to 200M/s
}'
	expect_fail 1 'the filter on to1: rule 1: a rate above 100 M packets a second cannot be measured' sl apply "$T/rate.conf" &&
		expect_fail 1 'a rate above' sl apply "$T/rate.conf" --dry-run && expect_fail 1 'a rate above' sl check "$T/rate.conf"
}
in_two() {
	forget
	policy two.conf 'filter on to1, x* {
	drop icmp length 100
	default pass
}
filter on *9 {
	default pass
}'
	apply "$T/two.conf" && apply "$T/b.conf" && box ip link add x9 type veth peer name x8 || return 1
	expect_fail 1 'x9 is in two filters, .*: an interface has one' sl rollback && expect_fail 1 'x9 is in two filters' sl apply "$T/two.conf" &&
		expect_fail 2 "'x' is not a number" sl rollback x && in_force 2 B && rebooted && echo "$(cd "$LIB/generations" && echo 1-*)" >"$LIB/confirmed" &&
		expect_fail 1 'x9 is in two filters' sl restore
	rc=$?
	box ip link del x9
	return $rc
}
case_ "a rate that cannot be kept" rates
case_ "an interface that came into two filters" in_two

# --- another name of an interface ---
other_name() { # wherever a policy has it
	forget
	sed 's/on to1/on to1, enp3s0/' "$T/a.conf" >"$T/on.conf"
	policy in.conf 'filter on to1 {
	drop in { to1, enp3s0 } icmp length 100
}'
	policy mode.conf 'interface enp3s0 { mode generic }
filter on to* {
	default drop
}'
	policy redirect.conf 'filter on to1 {
	redirect to enp3s0 icmp
}'
	policy served.conf 'filter on to1 {
	default pass
}
balance web on enp3s0 {
	virtual 203.0.113.1 tcp port 80
	forward nat from 198.18.1.9
	backend 198.18.2.2
}'
	policy twice.conf 'filter on enp3s0, enp4s0, d7 {
	default drop
}'
	for f in on in mode redirect served; do
		expect_fail 1 'sluice apply: enp3s0 is another name of to2; write to2$' sl apply "$T/$f.conf" &&
			expect_fail 1 'write to2$' sl apply "$T/$f.conf" --dry-run && is policy null "$(st .policy)" || { echo "$f.conf"; return 1; }
	done
	expect_fail 1 'sluice apply: enp3s0 is another name of to2, enp4s0 of to1; write to2, to1$' sl apply "$T/twice.conf"
}
became_other_name() { # of an interface that the policy is on: all is well; of another: nothing filters there
	forget
	box ip link add d5 type veth peer name d6 && sed 's/on to1/on to1, d5/' "$T/a.conf" >"$T/d5.conf" && apply "$T/d5.conf" && box ip link set d5 name d7 &&
		box ip link property add dev d7 altname d5 && sl status >"$T/said" && said '^  d7 ' && unsaid '^  d5 ' || return 1
	rebooted
	sl detach d7 --all --force
	sl restore >"$T/said" 2>&1 && said '^sluice restore: d5 is another name of d7; write d7$' && meets h1 198.18.1.1 A || return 1
	sl status >"$T/said" && return 1
	said '^  d5 .*NOT IN FORCE: it is another name of d7; write that into the policy' &&
		is state "other_name d7" "$(st '.interfaces[] | select(.interface == "d5") | "\(.state) \(.own_name)"')" &&
		apply "$T/b.conf" && expect_fail 1 'd5 is another name of d7; write d7$' sl rollback && in_force 2 B
	rc=$?
	box ip link del d7
	return $rc
}
box ip link property add dev to2 altname enp3s0
box ip link property add dev to1 altname enp4s0
case_ "another name of an interface is a mistake" other_name
box ip link property del dev to2 altname enp3s0
box ip link property del dev to1 altname enp4s0
case_ "an interface that goes by another name than the policy's" became_other_name

# --- whoever is slow keeps nobody waiting ---
asleep() { # in a pipe, read or write
	grep -q pipe "/proc/$(cat "$T/pid")/task"/*/wchan
}
typing() {
	forget
	mkfifo "$T/typed"
	# (opened for both, so that nobody waits for the other end; what runs must not hold it, or it never ends)
	exec 9<>"$T/typed"
	{
		exec 9>&-
		box timeout 60 sh -c "echo \$\$ >'$T/pid'; exec '$SLUICE' apply - <'$T/typed'" >"$T/said" 2>&1
	} &
	job=$!
	wait_until 10 asleep && timeout 10 "$SLUICE" lab run --lab "$LAB" box -- "$SLUICE" apply "$T/a.conf" >/dev/null 9>&- && in_force 1 A &&
		cat "$T/b.conf" >&9
	rc=$?
	exec 9>&-
	wait $job && [ $rc = 0 ] && in_force 2 B || { cat "$T/said"; return 1; }
	printf 'set x from "<stdin>"\n' | expect_fail 1 'no file of a policy has that name' sl apply -
}
reading() { # a plan of more than a pipe holds
	forget
	{
		echo 'filter on to1 {'
		i=0
		while [ $i -lt 4000 ]; do echo "	drop udp to port $((i + 1)) length 100"; i=$((i + 1)); done
		echo '	default pass
}'
	} >"$T/long.conf"
	mkfifo "$T/read"
	rm -f "$T/pid"
	exec 9<>"$T/read"
	{
		exec 9>&-
		box timeout 60 sh -c "echo \$\$ >'$T/pid'; exec '$SLUICE' apply -v '$T/long.conf' >'$T/read'"
		echo $? >"$T/exit"
	} &
	job=$!
	wait_until 20 asleep && timeout 10 "$SLUICE" lab run --lab "$LAB" box -- "$SLUICE" apply "$T/b.conf" >/dev/null 9>&- && in_force 2 B
	rc=$?
	cat "$T/read" 9>&- >"$T/said" &
	cat=$!
	wait $job
	exec 9>&-
	wait $cat
	[ $rc = 0 ] && is exit 0 "$(cat "$T/exit")" && is rules 4000 "$(grep -c '^  + .*drop udp to port' "$T/said")" &&
		is "the last line" 1 "$(tail -1 "$T/said" | grep -c '^policy 1-.* is in force$')"
}
case_ "a policy that is still typed" typing
case_ "a plan that nobody reads" reading

# --- the same policy once more ---
same() {
	forget
	apply "$T/a2.conf" && apply "$T/a2.conf" && is said "nothing to do: policy $(st .policy) is in force" "$(cat "$T/said")" &&
		sl apply "$T/a2.conf" --json | jq -e '.nothing_to_do and .policy == .before' >/dev/null &&
		apply "$T/a2.conf" --dry-run && said '^nothing to do' && apply "$T/a2.conf" --confirm 1s && said '^nothing to do' &&
		is history 1 "$(st '.history | length')" && in_force 1 A || return 1
	sl detach to2 --all --force >/dev/null && apply "$T/a2.conf" && said '^to2: gets the filter again$' && unsaid 'nothing changes' &&
		unsaid '^to1: gets' && meets h2 198.18.2.1 A && is history 2 "$(st '[.history[].number] | map(tostring) | join(" ")')"
}
from_file() {
	forget
	echo 203.0.113.7 >"$T/bad.netset"
	policy set.conf "set bad from \"$T/bad.netset\"
filter on to1 {
	drop from @bad
	drop icmp length 100
	default pass
}"
	apply "$T/set.conf" && apply "$T/set.conf" && said '^nothing to do' || return 1
	echo 203.0.113.9 >>"$T/bad.netset"
	apply "$T/set.conf" && said '~ set bad: 1 range added, 1 unchanged' && in_force 2 A
}
restored() {
	forget
	box ip link add d0 type veth peer name d1 && policy d.conf 'filter on d0 {
	default drop
}' && apply "$T/d.conf" && box ip link del d0 && box ip link add d0 type veth peer name d1 &&
		sl restore >"$T/said" && said '^d0: gets the filter again$' && unsaid 'nothing changes' &&
		is "in force" true "$(st '.interfaces[0].in_force // .interfaces[0].state // true' | sed 's/in_force/true/')" || return 1
	sl restore >"$T/said" && said 'is in force on all its interfaces already'
	rc=$?
	box ip link del d0
	return $rc
}
case_ "the same policy again is nothing to do; what is missing is put back" same
case_ "a set's file that changed is a change" from_file
case_ "restore says which interface gets the filter" restored

# --- check ---
binary() {
	{ sl check "$SLUICE" 2>&1; echo "exit $?"; } >"$T/said"
	said ':1:1: error: not a text file: byte 0x7f$' && said ': 1 mistake$' && said '^exit 1$' && is lines 5 "$(wc -l <"$T/said")"
}
marked() {
	printf '\357\273\277filter on to1 {\n# gr\303\274n\n\tdrop icmp as "gr\303\274n"\n}\n' >"$T/bom.conf"
	sl check "$T/bom.conf" >"$T/said" 2>&1 && said ': 1 rule in 1 filter, 0 sets; 0 warnings' || return 1
	printf '\357\273\277fliter\n' >"$T/bom.conf"
	expect_fail 1 "bom.conf:1:1: error: unknown word 'fliter'" sl check "$T/bom.conf"
}
case_ "a program is no policy: one mistake" binary
case_ "a byte order mark and UTF-8 are fine" marked

# --- rules on 80 columns ---
narrow() {
	forget
	policy names.conf 'filter on to1 {
	drop udp from port { 19, 53, 123, 389 } length > 468 as "amplification"
	default pass
}'
	apply "$T/names.conf" || return 1
	for cols in 80 120; do
		{ sleep 1; printf h; sleep 0.5; printf q; } | box env TERM=xterm script -qec "stty rows 24 cols $cols; $SLUICE rules -i 200ms" /dev/null >"$T/said" 2>&1
		grep -aqF '"amplification": drop udp' "$T/said" || { tail -c 800 "$T/said"; return 1; }
		[ $cols = 80 ] && unsaid 'LOGGED *SHARE' || said 'LOGGED' || return 1
	done
}
if command -v script >/dev/null; then
	case_ "rules: the name first, also on 80 columns" narrow
else
	skip "rules: the name first, also on 80 columns" "script(1) is not here"
fi

forget
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
rm -f /run/sluice/net"$netns"_*.lock
case_ "nothing is left: programs, maps, links, pins" leaks_after
done_
