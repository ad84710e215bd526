#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What goes wrong while a policy is changed or mended: a full disk, pins that are gone, a foreign program, damaged
# files, another name of the namespace.
#
#     h1 (198.18.1.2) eth0 ---- to1 (198.18.1.1) box
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
need_root
command -v jq >/dev/null || skip_all "jq is not here"
leaks_before
policy_lab --hosts 1
prog plain 2

# --- the history ---
boot_kept() { # trials that end stay in the history, and there are more of them than it has room for
	sl apply "$T/a.conf" >/dev/null || return 1
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do
		policy trial.conf "filter on to1 {
	drop udp to port $i
	default pass
}"
		sl apply "$T/trial.conf" --confirm 60s >/dev/null && sl rollback >/dev/null || return 1
	done
	rebooted
	sl restore --boot >/dev/null && in_force 1 A && rebooted && rm "$LIB/confirmed" && mkdir "$LIB/confirmed" &&
		ls "$LIB/generations" >"$T/before" || return 1
	expect_fail 1 'confirmed is not a regular file' sl restore --boot && ls "$LIB/generations" | cmp - "$T/before"
}
case_ "what restore puts back is in the history, whatever was tried since" boot_kept

numbers() { st '[.history[].number] | map(tostring) | join(" ")'; }
anew() { box ip link del va; box ip link add va type veth peer name vb; }
put_back() { # an interface made anew: the policy is put back there, and what was before it is before it still
	forget
	box ip link add va type veth peer name vb && sed 's/on to1/on to1, va/' "$T/b.conf" >"$T/bv.conf" &&
		sl apply "$T/a.conf" >/dev/null && sl apply "$T/bv.conf" >/dev/null && anew && sl restore >/dev/null &&
		in_force 3 B && is history "3 1" "$(numbers)" || return 1
	for i in 1 2 3 4 5 6 7 8 9; do
		anew
		[ $((i % 2)) = 0 ] && { sl apply "$T/bv.conf" >/dev/null || return 1; continue; }
		sl restore >/dev/null || return 1
	done
	sl apply "$T/bv.conf" >"$T/said" && grep -q '^nothing to do' "$T/said" && in_force 12 B && is history "12 1" "$(numbers)" &&
		is "at boot" 12 "$(st '.history[] | select(.at_boot) | .number')" && is pinned 3 "$(ls "$PINS" | wc -l)" &&
		sl rollback >"$T/said" && in_force 13 A && is history "13 12 1" "$(numbers)" &&
		is generations 4 "$(ls "$LIB/generations" | wc -l)" && sl rollback >/dev/null && in_force 14 B && sl rollback 1 >/dev/null && in_force 15 A
}
put_back_tried() { # on trial, too, and what was tried between is not what was before
	forget
	sl apply "$T/a.conf" >/dev/null && sl apply "$T/bv.conf" >/dev/null && policy c.conf 'filter on to1 {
	drop icmp
	default pass
}' && sl apply "$T/c.conf" --confirm 60s >/dev/null && sl rollback >/dev/null && anew &&
		sl apply "$T/bv.conf" --confirm 60s >/dev/null && in_force 4 B && sl rollback >/dev/null && in_force 2 B &&
		is history "3 2 1" "$(numbers)" && sl apply "$T/bv.conf" --confirm 60s >/dev/null && sl confirm >/dev/null && in_force 4 B &&
		is history "4 3 1" "$(numbers)" && sl rollback >/dev/null && in_force 5 A
}
put_back_down() {
	forget
	sl apply "$T/a.conf" >/dev/null && sl apply "$T/b.conf" >/dev/null && sl down >/dev/null && sl rollback >/dev/null &&
		in_force 3 B && is history "3 1" "$(numbers)" && rebooted && sl apply "$T/b.conf" >/dev/null && in_force 4 B &&
		is history "4 1" "$(numbers)" && sl rollback >/dev/null && in_force 5 A && box ip link del va
}
case_ "a policy that is put back in its place leaves the history as it is, and rollback goes to another one" put_back
case_ "on trial, too" put_back_tried
case_ "behind down and a boot, too" put_back_down

# --- a disk without room: a small one lies on $LIB, and sluice sees it through a shell that stays in there ---
small() { # BYTES: files of the history so far move there
	cp -a "$LIB" "$T/lib" && mount -t tmpfs -o "size=$1,mode=700" none "$LIB" && cp -a "$T/lib/." "$LIB" && rm -rf "$T/lib"
}
large() { # what was there before comes back
	umount "$LIB"
}
fill() { dd if=/dev/zero of="$LIB/fill" bs=4k 2>/dev/null; return 0; }
on_exit 'umount "$LIB" 2>/dev/null'

confirm_full() {
	forget
	sl apply "$T/a.conf" >/dev/null && small 256k && sl apply "$T/b.conf" --confirm 3s >/dev/null && fill || return 1
	expect_fail 1 'No space left on device' sl confirm && in_force 2 B && is "on trial" true "$(st '.trial_left != null')" &&
		sleep 3 && meets h1 198.18.1.1 A && expect_fail 3 'rolled back by itself' sl confirm && in_force 1 A &&
		is "at boot" 1 "$(st '.history[] | select(.at_boot) | .number')"
	rc=$?
	large
	return $rc
}
apply_full() { # room for the policy, but not for its name in `confirmed`
	forget
	told=0
	sl apply "$T/a.conf" >/dev/null && small 256k && fill || return 1
	tries=0 rc=1
	while [ $tries -lt 16 ]; do # with each page more it gets further
		truncate -s -4k "$LIB/fill"
		sl apply "$T/b.conf" >/dev/null 2>"$T/err" && rc=0 && break
		tries=$((tries + 1))
		grep -q 'No space left on device' "$T/err" && in_force 1 A && is history 1 "$(st '.history | length')" || { cat "$T/err"; break; }
		grep -q confirmed "$T/err" && told=1
	done
	echo "$tries tries"
	[ $rc = 0 ] && in_force 2 B && [ "$told" = 1 ] && is "at boot" 2 "$(st '.history[] | select(.at_boot) | .number')"
	rc=$?
	large
	return $rc
}
down_full() {
	forget
	sl apply "$T/a.conf" >/dev/null && small 256k && fill || return 1
	expect_fail 1 'No space left on device' sl down && in_force 1 A && sl down --force >/dev/null 2>"$T/err" && empty to1 &&
		meets h1 198.18.1.1 none && grep -q '^sluice down: .*not noted.*No space left on device' "$T/err"
	rc=$?
	large
	return $rc
}
run_full() { # there is no room for the record either
	forget
	sl apply "$T/a.conf" >/dev/null && cp -a "$RUN" "$T/run" && mount -t tmpfs -o size=1m,mode=700 none "$RUN" && cp -a "$T/run/." "$RUN" || return 1
	dd if=/dev/zero of="$RUN/fill" bs=4k 2>/dev/null
	expect_fail 1 'No space left on device' sl down && in_force 1 A && sl down --force >/dev/null 2>"$T/err" && empty to1 &&
		meets h1 198.18.1.1 none && grep -q '^sluice down: done, but not noted: .*No space left on device' "$T/err" &&
		expect_fail 3 'no policy is in force' sl down
	rc=$?
	umount "$RUN"
	rm -rf "$T/run"
	cat "$T/err"
	return $rc
}
on_exit 'umount "$RUN" 2>/dev/null'
case_ "down with /run full; with --force it goes off all the same" run_full
case_ "confirm on a full disk fails, and the trial goes on" confirm_full
case_ "apply without room for 'confirmed' leaves the old policy in force" apply_full
case_ "down on a full disk; with --force it goes off all the same" down_full

# --- what is kept ---
lost() { # /var/lib/sluice goes while a policy is in force: the same file keeps it again
	forget
	sl apply "$T/a.conf" >/dev/null && sl status >/dev/null && rm -rf "$LIB" && ! sl status >"$T/out" && grep -q '^  NOT KEPT: its text is not in ' "$T/out" &&
		is JSON "false 0" "$(st '"\(.kept) \(.history | length)"')" && meets h1 198.18.1.1 A || { cat "$T/out"; return 1; }
	expect_fail 3 "is gone, which has the policy's text; while it is in force, sluice apply of the same file writes it again" sl rules --once &&
		sl apply "$T/a.conf" >"$T/out" 2>&1 && grep -q '^nothing to do: policy 1-' "$T/out" &&
		grep -q '^sluice apply: 1-[0-9a-f]*: what was kept of it was lost or damaged; it is kept again$' "$T/out" && sl status >/dev/null && sl rules --once >/dev/null &&
		is JSON "true 1 1" "$(st '"\(.kept) \(.history | length) \(.history[] | select(.at_boot) | .number)"')" || { cat "$T/out"; return 1; }
	echo x >>"$LIB/generations/$(st .policy)/policy"
	sl apply "$T/a.conf" 2>&1 | grep -q 'it is kept again' && sl apply "$T/a.conf" >"$T/out" 2>&1 && is said "nothing to do: policy $(st .policy) is in force" "$(cat "$T/out")" &&
		rebooted && sl restore >/dev/null && in_force 1 A && rm -rf "$LIB" && sl apply "$T/b.conf" >/dev/null 2>"$T/out" && meets h1 198.18.1.1 B &&
		grep -q '^sluice apply: the plan told of all rules as new: ' "$T/out" || { cat "$T/out"; return 1; }
	sl apply "$T/a.conf" --confirm 60s >/dev/null && rm -rf "$LIB" && expect_fail 3 'is gone, so no boot would bring it back; sluice rollback, then apply it again' sl confirm &&
		meets h1 198.18.1.1 A && sl rollback >/dev/null && meets h1 198.18.1.1 B
}
case_ "what was kept of the policy in force is lost" lost

# --- pins ---
pins_gone() {
	forget
	sl apply "$T/a.conf" >/dev/null && rm -rf "$PINS" && sl apply "$T/b.conf" >/dev/null 2>"$T/err" && in_force 2 B &&
		grep -q '^sluice apply: counters do not go on: ' "$T/err" && sl apply "$T/a.conf" >/dev/null && in_force 3 A && sl down >/dev/null && empty to1
}
pins_gone_on_trial() {
	forget
	sl apply "$T/a.conf" >/dev/null && sl apply "$T/b.conf" --confirm 60s >/dev/null && rm -rf "$PINS" || return 1
	expect_fail 3 'sluice down --force begins anew' sl confirm && sl down --force >/dev/null && empty to1 && meets h1 198.18.1.1 none &&
		sl apply "$T/a.conf" >/dev/null && meets h1 198.18.1.1 A
}
parts_damaged() { # it does not wait for its own lock
	forget
	sl apply "$T/a.conf" >/dev/null && sl apply "$T/b.conf" --confirm 100ms >/dev/null && sleep 0.2 || return 1
	for f in "$RUN"/*/parts; do echo x >"$f"; done
	at=$(date +%s)
	sl down --force >/dev/null && empty to1 && meets h1 198.18.1.1 none && [ $(($(date +%s) - at)) -lt 10 ] && sl apply "$T/a.conf" >/dev/null &&
		meets h1 198.18.1.1 A
}
foreign() {
	forget
	sl apply "$T/a.conf" >/dev/null && sl apply "$T/b.conf" --confirm 100ms >/dev/null && sleep 0.2 && sl detach to1 --all --force &&
		box ip link set dev to1 xdpdrv obj "$T/plain.o" sec xdp || return 1
	expect_fail 3 'rolled back by itself' sl confirm && sl down --force >/dev/null && expect_fail 3 'no policy is in force' sl down &&
		box ip link show to1 | grep -q 'xdp' && box ip link set dev to1 xdp off && sl apply "$T/a.conf" >/dev/null && meets h1 198.18.1.1 A
}
case_ "pins of the policy in force are gone: the next one is in force without its counters" pins_gone
case_ "pins are gone during a trial: down --force" pins_gone_on_trial
case_ "damaged files of a trial that is over: down --force" parts_damaged
case_ "a foreign program where a trial was" foreign

# --- names ---
renamed() {
	forget
	box=sluice-$LAB-box other=/var/lib/sluice/policy/netns-$LAB-other
	sl apply "$T/a.conf" >/dev/null && sl apply "$T/b.conf" --confirm 60s >/dev/null || return 1
	touch "/run/netns/$LAB-other" && mount --bind "/run/netns/$box" "/run/netns/$LAB-other" && umount "/run/netns/$box" && rm "/run/netns/$box" || return 1
	nsenter --net="/run/netns/$LAB-other" "$SLUICE" confirm >"$T/said" 2>&1
	rc=$?
	kept=$(cat "$other/confirmed")
	ls "$other/generations"
	touch "/run/netns/$box" && mount --bind "/run/netns/$LAB-other" "/run/netns/$box" && umount "/run/netns/$LAB-other" && rm "/run/netns/$LAB-other" &&
		is "exit of confirm" 0 $rc && [ -s "$other/generations/$kept/policy" ] && cmp "$other/generations/$kept/policy" "$LIB/generations/$kept/policy"
}
on_exit 'rm -rf "/var/lib/sluice/policy/netns-$LAB-other"'
case_ "a namespace that gets another name during a trial keeps its policy under that" renamed

# --- folders ---
synced() {
	command -v strace >/dev/null || { echo "no strace"; return 1; }
	rm -rf "/var/lib/sluice/policy/netns-$LAB-other"
	forget
	# the leak check of a sanitized build cannot run under a tracer
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 box strace -f -y -o "$T/trace" -e trace=mkdir,mkdirat,fsync "$SLUICE" apply "$T/a.conf" >/dev/null || return 1
	grep -E "$(basename "$LIB")|fsync" "$T/trace" | head -20
	awk -v made="\"$LIB\"" -v up="<${LIB%/*}>" 'index($0, "mkdir") && index($0, made) && / = 0$/ { m = NR } m && index($0, "fsync") && index($0, up) { f = 1 } END { exit !f }' "$T/trace"
}
case_ "folders that are made are synced" synced

forget
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
rm -f /run/sluice/net"$netns"_*.lock
case_ "nothing is left: programs, maps, links, pins" leaks_after
done_
