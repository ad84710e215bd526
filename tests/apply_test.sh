#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# apply, confirm, rollback, down, status, restore: with packets that really arrive.
#
#     h1 (198.18.1.2) eth0 ---- to1 (198.18.1.1) box (198.18.2.1) to2 ---- eth0 (198.18.2.2) h2
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
need_root
command -v jq >/dev/null || skip_all "jq is not here"
policy_lab --hosts 2
prog other 2
prog plain 2

# --- apply ---
first() {
	sl apply "$T/a.conf" >"$T/said" && grep -q '^to1: gets the filter of ' "$T/said" &&
		grep -qE '^policy 1-[0-9a-f]{12} is in force$' "$T/said" && in_force 1 A &&
		sl list to1 | grep -qE '^ +10 +filter +policy .*owner sluice-policy' &&
		is "mode" native "$(st '.interfaces[0].mode')" && is "rules" 2 "$(st '.interfaces[0].rules')" &&
		is "at boot" true "$(st '.history[0].at_boot')"
}
second() {
	sl apply "$T/b.conf" >"$T/said" && grep -q '1 rule changed' "$T/said" && in_force 2 B &&
		is history "2 1" "$(st '[.history[].number] | map(tostring) | join(" ")')"
}
mistakes() {
	policy bad.conf 'filter on to1 {
	dorp icmp
	pass tcp to prot 22
}'
	expect_fail 1 "bad.conf:2:2: error: unknown word 'dorp'" sl apply "$T/bad.conf" && grep -q 'bad.conf:3:14: error' "$T/.err" &&
		grep -q '2 mistakes' "$T/.err" && in_force 2 B
}
absent() {
	policy gone.conf 'filter on to1, eth7, eth8 {
	default drop
}'
	expect_fail 3 'a filter is on eth7, eth8: there are no such interfaces here' sl apply "$T/gone.conf" && in_force 2 B &&
		expect_fail 3 'nothing.conf: No such file or directory' sl apply "$T/nothing.conf" &&
		is "history" 2 "$(st '.history | length')"
}
twice() {
	policy twice.conf 'filter on to1 {
	default pass
}
filter on to* {
	default drop
}'
	expect_fail 1 'to1 is in two filters, .*twice.conf:1 and .*twice.conf:4: an interface has one' sl apply "$T/twice.conf" && in_force 2 B
}
dry() {
	ls "$RUN" "$PINS" "$LIB/generations" >"$T/before"
	sl apply "$T/a.conf" --dry-run >"$T/said" && grep -q '^nothing was changed$' "$T/said" && in_force 2 B &&
		ls "$RUN" "$PINS" "$LIB/generations" | cmp - "$T/before"
}
guarded() {
	policy lockout.conf 'filter on to1 {
	drop tcp to port 22
	default pass
}'
	SSH_CONNECTION='198.18.1.2 50022 198.18.1.1 22'
	export SSH_CONNECTION
	expect_fail 1 'would cut off your session from 198.18.1.2 port 50022' sl apply "$T/lockout.conf" && in_force 2 B &&
		is "history" 2 "$(st '.history | length')" && sl apply "$T/lockout.conf" --force >/dev/null && meets h1 198.18.1.1 none
	rc=$?
	unset SSH_CONNECTION
	sl apply "$T/b.conf" >/dev/null && return $rc
}
case_ "apply: plan, packets, status" first
case_ "another policy in its place" second
case_ "mistakes are all told, and nothing happens" mistakes
case_ "interfaces and files that are not there" absent
case_ "an interface in two filters by a glob" twice
case_ "--dry-run loads, and leaves nothing" dry
case_ "the guard refuses what cuts the session off; --force" guarded

# --- counters and limits ---
# the value of a rule's packets, by its name
counted() { "$BUILD/tests/apply-counts" "sluice-$LAB-box" "$1"; }
counters() {
	forget
	sl apply "$T/a.conf" >/dev/null && h1 ping -n -q -c 5 -i 0.01 -s 258 198.18.1.1 >/dev/null && is pings 5 "$(counted pings)" &&
		sl apply "$T/b.conf" >/dev/null && h1 ping -n -q -c 7 -i 0.01 -s 258 198.18.1.1 >/dev/null && is pings 12 "$(counted pings)" &&
		sl rollback >/dev/null && h1 ping -n -q -c 3 -i 0.01 -s 258 198.18.1.1 >/dev/null && is pings 15 "$(counted pings)" &&
		sl apply "$T/b.conf" --confirm 1s >/dev/null && h1 ping -n -q -c 2 -i 0.01 -s 258 198.18.1.1 >/dev/null &&
		is "pings on trial" 17 "$(counted pings)" && sleep 1.1 && h1 ping -n -q -c 1 -s 258 198.18.1.1 >/dev/null || return 1
	is "before anybody tidied up" 18 "$(sl rules -j --once 2>/dev/null | jq '[.. | objects | select(.name? == "pings") | .packets][0]')" &&
		expect_fail 3 'rolled back by itself' sl confirm && is "pings after the trial" 18 "$(counted pings)" &&
		is "one more mending adds nothing" 18 "$(sl restore >/dev/null; counted pings)"
}
limits() { # 10 at once, then one in 1000 s: who has used that up has none after the switch either
	forget
	for i in 1 2 3; do
		policy limit$i.conf "filter on to1 {
	limit icmp to 4/h per source burst 10 as \"slow\"
$([ $i = 1 ] || echo '	limit udp to 5/s per source burst 10')
$([ $i = 3 ] && echo '	limit tcp to 5/s per destination burst 10')
	default pass
}"
	done
	sl apply "$T/limit1.conf" >/dev/null && packets 14 && answered 10 && sl apply "$T/limit1.conf" >/dev/null && packets 5 && answered 0 || return 1
	echo "the map went on; now its cells are copied"
	for i in 2 3 2 1; do sl apply "$T/limit$i.conf" >/dev/null && packets 3 && answered 0 || return 1; done
	sl rollback >/dev/null && packets 3 && answered 0 || return 1
	sed -i 's/burst 10/burst 11/' "$T/limit1.conf"
	echo "another limit begins anew"
	sl apply "$T/limit1.conf" >/dev/null && packets 14 && answered 11
}
case_ "counters of the same rules go on: apply, rollback, a trial and its end" counters
default_counts() { # a default that says something else begins anew
	forget
	for d in pass drop; do
		policy default-$d.conf "filter on to1 {
	count icmp type echo-request as \"pings\"
	pass ether type arp
	drop icmp type echo-reply
	default $d
}"
	done
	sl apply "$T/default-drop.conf" >/dev/null && packets 7 && is dropped 7 "$(counted default)" &&
		sl apply "$T/default-pass.conf" >/dev/null && is "none passed yet" 0 "$(counted default)" && packets 3 &&
		is passed 3 "$(counted default)" && is pings 10 "$(counted pings)" &&
		sed -i 's/drop icmp.*/pass icmp type echo-reply/' "$T/default-pass.conf" && sl apply "$T/default-pass.conf" >/dev/null &&
		is "the same goes on" 3 "$(counted default)"
}
case_ "the default's counters go on while it says the same" default_counts
limits_of_second() { # a filter in front that is on no interface changes nothing of that
	forget
	for i in 1 2; do
		policy second$i.conf "filter on nowhere* {
	default drop
}
filter on to1 {
	limit icmp to 4/h per source burst 10
$([ $i = 1 ] || echo '	limit udp to 5/s per source burst 10')
	default pass
}"
	done
	sl apply "$T/second1.conf" >/dev/null 2>&1 && packets 14 && answered 10 && sl apply "$T/second2.conf" >/dev/null 2>&1 && packets 3 && answered 0
}
case_ "what limits know goes on where the limit is the same" limits
case_ "also behind a filter that is on no interface" limits_of_second

# --- trials ---
trial() {
	forget
	sl apply "$T/a.conf" >/dev/null && sl apply "$T/b.conf" --confirm 60s >"$T/said" && grep -q 'is on trial for 60 s' "$T/said" &&
		in_force 2 B && is "left" true "$(st '.trial_left > 50')" && is "at boot" 1 "$(st '.history[] | select(.at_boot) | .number')" || return 1
	expect_fail 1 'is on trial for another 5[0-9] s; sluice confirm or sluice rollback before another apply' sl apply "$T/a.conf" &&
		expect_fail 2 'confirm takes a time from 100ms to 168h' sl apply "$T/a.conf" --confirm 0 &&
		expect_fail 2 'takes a time from' sl rollback --confirm 200h &&
		sl confirm >/dev/null && in_force 2 B && is "left" null "$(st .trial_left)" && is detour runs "$(st '.interfaces[0].state')" &&
		is "at boot" 2 "$(st '.history[] | select(.at_boot) | .number')" &&
		sl confirm >"$T/said" && grep -qE '^nothing to confirm: policy 2-[0-9a-f]{12} is in force$' "$T/said" && in_force 2 B
}
scripted() { # apply --confirm, test, confirm: also of the policy that is in force already, whatever was tried before
	forget
	expect_fail 3 'no policy is on trial' sl confirm && sl apply "$T/b.conf" >/dev/null && sl apply "$T/a.conf" --confirm 100ms >/dev/null &&
		sleep 0.2 && expect_fail 3 'rolled back by itself' sl confirm && sl apply "$T/b.conf" --confirm 60s >"$T/said" &&
		grep -q '^nothing to do: policy 1-' "$T/said" && sl confirm >"$T/said" && grep -q '^nothing to confirm: policy 1-' "$T/said" &&
		is "JSON" "true 1" "$(sl confirm --json | jq -r '"\(.nothing_to_do) \(.policy | split("-")[0])"')" && in_force 1 B &&
		sl apply "$T/a.conf" --confirm 60s >/dev/null && sl rollback >/dev/null && expect_fail 3 'no policy is on trial: the trial of policy 3-.* was ended by sluice rollback' sl confirm || return 1
	sl down >/dev/null && expect_fail 3 'no policy is on trial' sl confirm
}
trial_back() {
	sl apply "$T/a.conf" --confirm 60s >/dev/null && in_force 3 A && sl rollback >/dev/null && in_force 2 B &&
		expect_fail 3 'no policy is on trial' sl confirm
}
applied() { [ "$(st '.trial_left != null and (.busy | not)')" = true ]; } # and noted
alone() { # the process that applied is killed, its terminal is gone: the kernel does it
	script -qec "$SLUICE lab run --lab $LAB box -- $SLUICE apply $T/a.conf --confirm 1500ms" /dev/null >/dev/null </dev/null &
	terminal=$!
	wait_until 5 applied && meets h1 198.18.1.1 A || return 1
	kill -9 $terminal 2>/dev/null
	wait $terminal 2>/dev/null
	sleep 1.6
	meets h1 198.18.1.1 B && is policy 2 "$(st '.policy' | cut -d- -f1)" && is "by itself" true "$(st '.rolled_back_at > 0')" &&
		sl status | grep -qE '^  policy 4-[0-9a-f]{12} was on trial and rolled back by itself at 20' || return 1
	sl apply "$T/a.conf" >/dev/null && in_force 5 A
}
late() { # confirmed when there was no time left: while the disk was written, and then at the last moment
	forget
	sl apply "$T/a.conf" >/dev/null && sl apply "$T/b.conf" --confirm 1s >/dev/null && in_force 2 B &&
		expect_fail 1 'the time of the trial is up: it rolled back by itself' "$BUILD/tests/apply-counts" "sluice-$LAB-box" confirm 2 ready &&
		meets h1 198.18.1.1 A && expect_fail 3 'rolled back by itself' sl confirm && in_force 1 A &&
		is "at boot" 1 "$(st '.history[] | select(.at_boot) | .number')" || return 1
	sl apply "$T/b.conf" --confirm 1s >/dev/null && "$BUILD/tests/apply-counts" "sluice-$LAB-box" confirm 2 'in time' 2>"$T/err" && in_force 3 B &&
		grep -q '^confirmed, but late: the time of the trial had been over for [0-9]* ms at most' "$T/err" &&
		is "on trial" null "$(st .trial_left)" && is "at boot" 3 "$(st '.history[] | select(.at_boot) | .number')" || { cat "$T/err"; return 1; }
}
on_trial() { [ "$(st '.trial_left != null')" = true ]; }
from_nothing() {
	forget
	sl apply "$T/a.conf" --confirm 700ms >/dev/null && meets h1 198.18.1.1 A && sleep 0.8 && meets h1 198.18.1.1 none &&
		expect_fail 3 'rolled back by itself' sl confirm && empty to1 && meets h1 198.18.1.1 none
}
several() {
	forget
	sl apply "$T/a2.conf" >/dev/null && meets h1 198.18.1.1 A && meets h2 198.18.2.1 A &&
		sl apply "$T/b.conf" --confirm 60s >/dev/null && meets h1 198.18.1.1 B && meets h2 198.18.2.1 none &&
		sl rollback >/dev/null && meets h1 198.18.1.1 A && meets h2 198.18.2.1 A &&
		sl apply "$T/b.conf" >/dev/null && meets h1 198.18.1.1 B && meets h2 198.18.2.1 none && empty to2 &&
		sl apply "$T/b2.conf" --confirm 500ms >/dev/null && meets h2 198.18.2.1 B && sleep 0.6 && meets h1 198.18.1.1 B && meets h2 198.18.2.1 none &&
		expect_fail 3 . sl confirm && empty to2 && sl apply "$T/a2.conf" >/dev/null && sl down >/dev/null && empty to1 && empty to2 &&
		sl rollback >/dev/null && meets h1 198.18.1.1 A && meets h2 198.18.2.1 A
}
case_ "--confirm: until confirmed it is on trial, and not what comes back at boot" trial
case_ "rollback ends a trial" trial_back
case_ "the applying process killed -9, its terminal gone: it rolls back by itself" alone
case_ "confirm of what is in force for good" scripted
case_ "confirm when the time is up, before and after the last look at the clock" late
case_ "a trial from no policy at all" from_nothing
case_ "two interfaces: trial, filters that come and go" several

# --- rollback, down ---
history() {
	forget
	for i in 1 2 4; do
		policy n$i.conf "filter on to1 {
	drop icmp length $((i * 100))
	default pass
}"
		sl apply "$T/n$i.conf" >/dev/null || return 1
	done
	sl rollback 1 >/dev/null && in_force 4 A && is again 1 "$(st '.history[0].again' | cut -d- -f1)" &&
		sl rollback >"$T/said" && is policy 5 "$(st .policy | cut -d- -f1)" && meets h1 198.18.1.1 none &&
		expect_fail 3 'there is no policy 77 in the history' sl rollback 77 && expect_fail 2 "'0'|1 to" sl rollback 0
}
old_files() { # the file of the set is what it was, not what it is
	forget
	echo 198.18.1.2 >"$T/one.netset"
	policy set.conf 'set who from "one.netset"
filter on to1 {
	drop icmp from @who length 100
	default pass
}'
	sl apply "$T/set.conf" >/dev/null && in_force 1 A && echo 192.0.2.1 >"$T/one.netset" && sl apply "$T/set.conf" >"$T/said" &&
		grep -q 'set who: 1 range added, 1 removed' "$T/said" && meets h1 198.18.1.1 none && rm "$T/one.netset" &&
		sl rollback >/dev/null && meets h1 198.18.1.1 A && sl apply "$T/b.conf" >/dev/null && sl rollback 2 >/dev/null && meets h1 198.18.1.1 none
}
down() {
	sl apply "$T/a.conf" >/dev/null && sl down >"$T/said" && grep -q '^to1: loses its filter$' "$T/said" && empty to1 && meets h1 198.18.1.1 none &&
		expect_fail 3 'no policy is in force' sl down && is status 3 "$(sl status >/dev/null; echo $?)" &&
		expect_fail 3 'the policy was taken down' sl restore && sl restore --boot >/dev/null && empty to1 &&
		sl rollback >/dev/null && meets h1 198.18.1.1 A && forget && sl down --force >/dev/null &&
		expect_fail 3 'no policy was ever confirmed here; there is nothing to restore' sl restore
}
sixteen() {
	forget
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
		policy many.conf "filter on to1 {
	drop udp to port $i
	default pass
}"
		sl apply "$T/many.conf" >/dev/null || return 1
	done
	n=$(st '.history | length')
	[ "$n" -ge 16 ] && [ "$n" -le 17 ] && is generations "$n" "$(ls "$LIB/generations" | wc -l)" && is kept 2 "$(ls -d "$PINS"/* | wc -l)"
}
case_ "rollback N, and back" history
case_ "sets' files of the history are kept with it" old_files
case_ "down, and up again" down
case_ "the history ends somewhere" sixteen

# --- restore ---
restore() {
	forget
	sl apply "$T/a2.conf" >/dev/null && sl apply "$T/b2.conf" --confirm 60s >/dev/null && rebooted && empty to1 || return 1
	sl restore --boot >/dev/null && meets h1 198.18.1.1 A && meets h2 198.18.2.1 A && is policy 1 "$(st .policy | cut -d- -f1)" &&
		sl restore >"$T/said" && grep -q 'is in force on all its interfaces already' "$T/said"
}
later() { # an interface that comes after the boot
	policy late.conf 'filter on to1, late {
	drop icmp length 100
	default pass
}'
	box ip link add late type veth peer name etal && sl apply "$T/late.conf" >/dev/null && box ip link del late && rebooted || return 1
	sl restore --boot >"$T/said" 2>"$T/err" && grep -q 'a filter is on late: there is no such interface here; they are left for later' "$T/err" &&
		meets h1 198.18.1.1 A && is missing missing "$(st '.interfaces[] | select(.interface == "late") | .state')" || return 1
	box ip link add late type veth peer name etal && is new new "$(st '.interfaces[] | select(.interface == "late") | .state')" &&
		sl restore >/dev/null && is runs runs "$(st '.interfaces[] | select(.interface == "late") | .state')" && meets h1 198.18.1.1 A && box ip link del late
}
few_privileges() {
	rebooted
	box setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon,+sys_admin --inh-caps=-all "$SLUICE" restore --boot >/dev/null 2>&1 && meets h1 198.18.1.1 A
}
no_privilege() {
	expect_fail 4 'needs a privilege that is missing: CAP_SYS_ADMIN' box setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon --inh-caps=-all "$SLUICE" apply "$T/a.conf" &&
		expect_fail 4 'privilege that is missing: CAP_BPF, CAP_NET_ADMIN' box setpriv --bounding-set=-all --inh-caps=-all "$SLUICE" apply "$T/a.conf" &&
		expect_fail 4 'privilege' box setpriv --bounding-set=-all --inh-caps=-all "$SLUICE" status && meets h1 198.18.1.1 A || return 1
	for v in down confirm rollback restore "apply $T/a.conf" "apply -n $T/a.conf"; do # the folders are root's, which is as it should be
		# shellcheck disable=SC2086
		expect_fail 4 "^sluice ${v%% *}: .* needs a privilege that is missing: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON; run it as root$" \
			nsenter --net="/run/netns/sluice-$LAB-box" setpriv --reuid=65534 --regid=65534 --clear-groups "$SLUICE" $v || return 1
	done
}
case_ "restore: the last confirmed policy; saying it again changes nothing" restore
case_ "restore: interfaces that come later" later
case_ "restore with the service's four capabilities" few_privileges
case_ "without them: exit 4 and their names" no_privilege

# --- beside others ---
beside() {
	forget
	sl attach to1 "$T/other.o" --name other >/dev/null && sl apply "$T/a.conf" >/dev/null && h1 ping -n -q -c 4 -i 0.01 -s 258 198.18.1.1 >/dev/null &&
		sl list to1 | awk 'NR > 1 { print $2 }' | tr '\n' ' ' | grep -qx 'filter other ' && runs_are to1 other 4 && meets h1 198.18.1.1 A &&
		runs_are to1 other 6 && sl apply "$T/b.conf" --confirm 60s >/dev/null && meets h1 198.18.1.1 B && sl confirm >/dev/null && meets h1 198.18.1.1 B &&
		sl down >/dev/null && sl list to1 | awk 'NR > 1 { print $2 }' | grep -qx other && sl detach to1 other && empty to1
}
modes() {
	forget
	policy generic.conf "interface to1 { mode generic }
$(cat "$T/a.conf")"
	sl apply "$T/generic.conf" >/dev/null && is mode generic "$(st '.interfaces[0].mode')" && meets h1 198.18.1.1 A &&
		sl apply "$T/b.conf" --confirm 60s >/dev/null && meets h1 198.18.1.1 B && sl confirm >/dev/null && is mode generic "$(st '.interfaces[0].mode')" &&
		is why "its chain was there before the policy, in that mode" "$(st '.interfaces[0].why')" || return 1
	policy native.conf "interface to1 { mode native }
$(cat "$T/a.conf")"
	expect_fail 1 'to1: it runs in generic mode, and the policy wants native mode: that takes sluice down first, and' sl apply "$T/native.conf" && meets h1 198.18.1.1 B &&
		sl down >/dev/null && sl apply "$T/native.conf" >/dev/null && is mode native "$(st '.interfaces[0].mode')" && meets h1 198.18.1.1 A || return 1
	policy lo.conf 'filter on lo {
	default pass
}'
	sl apply "$T/lo.conf" >/dev/null && is mode generic "$(st '.interfaces[] | select(.interface == "lo") | .mode')" &&
		st '.interfaces[] | select(.interface == "lo") | .why' | grep -q 'lo has no XDP in native mode' && sl status | grep -q '^  lo .*generic (lo has no XDP in native mode)' && sl down >/dev/null
}
taken() { # status asks the kernel
	forget
	sl apply "$T/a.conf" >/dev/null && sl detach to1 --all --force && is state taken_off "$(st '.interfaces[0].state')" &&
		is exit 1 "$(sl status >/dev/null; echo $?)" && sl status | grep -q 'to1 .*NOT IN FORCE: somebody took the filter off' || return 1
	box ip link set dev to1 xdp obj "$T/plain.o" sec xdp && is state foreign "$(st '.interfaces[0].state')" &&
		sl status | grep -q 'to1 .*NOT IN FORCE: program plain is there' || return 1
	expect_fail 1 "to1: a program that is not Sluice's is there" sl apply "$T/a.conf" && box ip link set dev to1 xdp off &&
		sl restore >/dev/null && in_force "$(st .policy | cut -d- -f1)" A
}
made_anew() {
	box ip link add va type veth peer name vb && policy va.conf 'filter on va {
	default drop
}' && sl apply "$T/va.conf" >/dev/null && box ip link del va && is state gone "$(st '.interfaces[] | select(.interface == "va") | .state')" &&
		box ip link add va type veth peer name vb && is state made_anew "$(st '.interfaces[] | select(.interface == "va") | .state')" &&
		sl restore >/dev/null && is state runs "$(st '.interfaces[] | select(.interface == "va") | .state')" &&
		box ip link set va name wa && is state runs "$(st '.interfaces[] | select(.interface == "wa") | .state')" && box ip link del wa
}
renamed() { # what is on it stays, though no policy has its new name; an interface that comes gets its own all the same
	forget
	policy two.conf 'interface va { mode generic }
filter on { va, eth7 } {
	drop icmp
	default pass
}'
	box ip link add va type veth peer name vb && box ip link add eth7 type veth peer name vd && sl apply "$T/two.conf" >/dev/null &&
		box ip link del eth7 && box ip link set va name wa && sl restore >"$T/said" 2>"$T/err" &&
		is state "runs va generic" "$(st '.interfaces[] | select(.interface == "wa") | "\(.state) \(.was) \(.mode)"')" &&
		grep -q '^sluice restore: wa was va: what the policy has on va stays there' "$T/err" &&
		sl status | grep -q '^  wa  *generic.*, put there when it was va$' && box ip link add eth7 type veth peer name vd &&
		sl restore >/dev/null 2>&1 && is state runs "$(st '.interfaces[] | select(.interface == "eth7") | .state')" &&
		is state "runs va generic" "$(st '.interfaces[] | select(.interface == "wa") | "\(.state) \(.was) \(.mode)"')" &&
		sl restore | grep -q 'in force on all its interfaces already' || { cat "$T/said" "$T/err"; sl status; return 1; }
	box ip link set wa down && box ip link set wa name va && sl apply "$T/two.conf" | grep -q 'nothing to do' || return 1
	# another filter of the same policy is what its new name stands for
	policy other.conf 'filter on va {
	default pass
}
filter on wa {
	drop udp
	default pass
}'
	box ip link add wa type veth peer name vf && sl apply "$T/other.conf" >/dev/null && box ip link del wa && box ip link set va name wa &&
		sl restore >/dev/null 2>&1 && is state 'runs null 1' "$(st '.interfaces[] | select(.interface == "wa") | "\(.state) \(.was) \(.filter)"')" &&
		box ip link del wa && box ip link del eth7
}
unread() { # whoever reads the plan leaves
	forget
	sl apply "$T/a.conf" >/dev/null || return 1
	for d in b a b; do
		{ sl apply "$T/$d.conf" 2>"$T/err"; echo $? >"$T/rc"; } | true
		is rc 0 "$(cat "$T/rc")" && is said "" "$(cat "$T/err")" && grep -q . "$T/$d.conf" || return 1
	done
	in_force 4 B && { sl rollback; echo $? >"$T/rc"; } | true && is rc 0 "$(cat "$T/rc")" && in_force 5 A
}
ways_in() { # other ways into the namespace: without the machine's /sys/fs/bpf, and with it
	forget
	nsenter --net=/run/netns/sluice-$LAB-box "$SLUICE" apply "$T/a.conf" >/dev/null && in_force 1 A &&
		ip netns exec sluice-$LAB-box "$SLUICE" apply "$T/b.conf" >/dev/null && in_force 2 B && ip netns exec sluice-$LAB-box "$SLUICE" rollback >/dev/null && in_force 3 A
}
two_at_once() {
	for i in 1 2 3 4; do
		[ $((i % 2)) = 0 ] && f=a || f=b
		sl apply "$T/$f.conf" >"$T/at.$i" 2>&1 &
	done
	wait
	is done 4 "$(grep -l 'is in force$' "$T"/at.* | wc -l)" &&
		is policy $((7 - $(grep -l '^nothing to do' "$T"/at.* | wc -l))) "$(st .policy | cut -d- -f1)" && meets h1 198.18.1.1 "$(st .file | grep -q a.conf && echo A || echo B)"
}
busy() { [ "$(st .busy)" = true ]; }
locked() {
	"$BUILD/tests/apply-counts" "sluice-$LAB-box" lock 2 & holder=$!
	wait_until 5 busy && expect_fail 1 "process $holder is changing the policy" "$BUILD/tests/apply-counts" "sluice-$LAB-box" lock 0
	rc=$?
	wait $holder
	return $rc
}
damaged() {
	echo rubbish >"$RUN/record"
	expect_fail 1 'record is damaged; sluice down --force begins anew' sl apply "$T/a.conf" && expect_fail 1 'is damaged' sl status &&
		sl down --force >/dev/null && empty to1 && sl apply "$T/a.conf" >/dev/null && meets h1 198.18.1.1 A || return 1
	damaged=$(st .policy)
	echo "# more" >>"$LIB/generations/$damaged/policy"
	sed -i 's/length 100/length 101/' "$LIB/generations/$damaged/policy"
	rebooted
	expect_fail 1 "$damaged is damaged: it is not the policy that was applied" sl restore
}
case_ "beside another member of the chain" beside
case_ "modes, and why not native" modes
case_ "somebody else takes the filter off, or puts something there" taken
case_ "an interface that goes, comes again, and gets another name" made_anew
case_ "restore: an interface that got another name keeps what it has" renamed
case_ "a plan whose reader leaves stops nothing" unread
case_ "from ip netns exec and nsenter" ways_in
case_ "four applies at once come one after the other" two_at_once
case_ "the lock's holder is named" locked
case_ "damaged files are refused, not followed" damaged
forget
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
rm -f /run/sluice/net"$netns"_*.lock
case_ "nothing is left of it: programs, maps, links, files" gone_all
done_
