#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Run-time sets where there are two policies: on trial, smaller, without pins; and whose state is whose.
. "$(dirname "$0")/lib.sh"
need_root

A=trialsets$$
ip netns add $A || exit 1
on_exit "ip netns del $A"
IN="nsenter --net=/run/netns/$A"
number=$($IN stat -Lc %i /proc/self/ns/net) pins=/sys/fs/bpf/sluice/net${number}_policy
on_exit "rm -rf /var/lib/sluice/policy/netns-$A /run/sluice/policy-net$number $pins"
on_exit "$IN '$SLUICE' down --force >/dev/null 2>&1"
ip -n $A link add t0 type veth peer name t1
for i in t0 t1 lo; do ip -n $A link set $i up; done

s() { $IN "$SLUICE" "$@"; }
listed() { # SET ELEMENT...: just these are in it
	set=$1
	shift
	s -j set list "$set" | jq -r '.[].element' | sort >"$T/has"
	printf '%s\n' "$@" | sort | diff - "$T/has"
}
policy() { # FILE SETS: which a filter on t0 asks
	printf '%s\nfilter on t0 {\n\tdrop from @bl\n\tdefault pass\n}\n' "$2" >"$T/$1"
}
warned() { # TEXT COMMAND...: it goes well, and says TEXT on stderr
	want=$1
	shift
	"$@" 2>"$T/.warned" || return 1
	grep -qE -e "$want" "$T/.warned" || { cat "$T/.warned"; return 1; }
}
silent() { "$@" 2>"$T/.silent" && ! grep . "$T/.silent"; }

# --- a file belongs to the policy that names it ---
printf '203.0.113.0/24\n' >"$T/new.netset"
policy a.conf 'set bl { 198.18.71.50, 198.18.71.51 } size 100'
policy b.conf 'set bl from "new.netset"'
case_ "a policy with its own elements" s apply "$T/a.conf"
case_ "one with a file, on trial" s apply --confirm 60s "$T/b.conf"
case_ "read again" s set load bl
case_ "back" s rollback
case_ "the first has what its text says" listed bl 198.18.71.50 198.18.71.51
case_ "on trial again" s apply --confirm 60s "$T/b.conf"
$FOREGROUND $IN "$SLUICE" serve 2>"$T/serve" &
serve=$!
on_exit "kill -9 $serve 2>/dev/null"
case_ "serve watches" wait_until 8 grep -q '1 file of sets' "$T/serve"
printf '203.0.113.0/25\n' >"$T/new.netset"
case_ "and reads" wait_until 8 grep -q 'set bl: 1 added, 1 removed' "$T/serve"
kill -TERM $serve
wait $serve
case_ "back again" s rollback
case_ "the first has its elements still" listed bl 198.18.71.50 198.18.71.51
policy c.conf 'set bl from "new.netset"
set few { } size 3'
case_ "two of the same file" sh -c "$IN '$SLUICE' apply '$T/b.conf' && $IN '$SLUICE' apply --confirm 60s '$T/c.conf'"
printf '203.0.113.128/25\n' >"$T/new.netset"
case_ "read" s set load bl
case_ "and back" s rollback
case_ "both have read it" listed bl 203.0.113.128/25

# --- a file that is written during a trial that is over before serve has seen it ---
$FOREGROUND $IN "$SLUICE" serve 2>"$T/serve" &
serve=$!
on_exit "kill -9 $serve 2>/dev/null"
case_ "serve watches the first" wait_until 8 grep -q '1 file of sets' "$T/serve"
short_trials() { # each of them of 0.7 s and what two changes take; serve looks every 2 s
	for i in 1 2 3; do
		s apply --confirm 60s "$T/a.conf" >/dev/null || return 1
		printf '198.51.100.%s\n' $i >"$T/new.netset"
		sleep 0.7
		s rollback >/dev/null || return 1
		wait_until 6 listed bl 198.51.100.$i || { cat "$T/serve" "$T/has"; return 1; }
		sleep 1.$i
	done
}
case_ "what was written meanwhile is read" short_trials
kill -TERM $serve
wait $serve

# --- what the policy before has no room for is told ---
policy small.conf 'set bl { } size 2'
policy large.conf 'set bl { } size 9'
case_ "a small set" sh -c "$IN '$SLUICE' down && $IN '$SLUICE' apply '$T/small.conf' && $IN '$SLUICE' set flush bl"
case_ "a large one on trial" s apply --confirm 60s "$T/large.conf"
case_ "what both have room for" silent s set add bl 192.0.2.1 192.0.2.2
case_ "what the other has not" warned "^sluice set add: set 'bl' of policy [0-9]+-[0-9a-f]{12}, which may be in force again, is not changed: set 'bl' is full: it has the 2 elements of its size" \
	s set add bl 192.0.2.3
case_ "ban, too" warned "^sluice ban: set 'bl' of policy [0-9]+-[0-9a-f]{12}, which may be in force again, is not changed: " s ban 192.0.2.4 in bl
case_ "it is in the one in force" listed bl 192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4
case_ "over" s rollback
case_ "two are in the other" listed bl 192.0.2.1 192.0.2.2

# --- a smaller set keeps what was banned ---
policy size100.conf 'set bl { } size 100'
policy size4.conf 'set bl { } size 4'
case_ "room for all" sh -c "$IN '$SLUICE' apply '$T/size100.conf' && $IN '$SLUICE' set flush bl"
five="10.1.0.0/16 10.2.0.0/16 10.3.0.0/16 10.4.0.0/16 10.5.0.0/16"
case_ "five" s ban $five in bl
case_ "a size of four" s apply "$T/size4.conf"
case_ "all five stay" listed bl $five
case_ "no other comes" expect_fail 1 "^sluice ban: set 'bl' is full" s ban 10.6.0.0/16 in bl
case_ "one goes" s unban 10.1.0.0/16 in bl

# --- what a policy takes with it is told, and comes back with it ---
policy bans.conf 'set bl { 198.18.71.50 } timeout 10m
set kept { } timeout 10m'
sed -i 's/drop from @bl/drop from @bl\n\tdrop from @kept/' "$T/bans.conf"
printf 'set kept { } timeout 10m\nfilter on t0 {\n\tdrop from @kept\n\tdefault pass\n}\n' >"$T/nobans.conf"
printf 'set kept { 203.0.113.1, 203.0.113.2 }\nfilter on t0 {\n\tdrop from @kept\n\tdefault pass\n}\n' >"$T/constant.conf"
plans() { # LINE COMMAND...: the plan has it
	want=$1
	shift
	"$@" >"$T/plan" 2>&1 || { cat "$T/plan"; return 1; }
	grep -qxE -e "$want" "$T/plan" || { cat "$T/plan"; return 1; }
}
case_ "with bans" sh -c "$IN '$SLUICE' down; $IN '$SLUICE' apply '$T/bans.conf' && $IN '$SLUICE' set flush bl && $IN '$SLUICE' ban 10.1.0.0/16 10.2.0.1 2001:db8::1 for 1h in bl && $IN '$SLUICE' ban 203.0.113.1 203.0.113.9 for 1h in kept"
back="sluice rollback brings them back, unless something else is applied first"
case_ "a plan says what goes" plans "  warning: set bl goes, and 3 elements that were added at run time with it; $back" s apply --dry-run "$T/nobans.conf"
case_ "in JSON, too" sh -c "$IN '$SLUICE' -j apply --dry-run '$T/nobans.conf' | jq -e '.plan.sets | map({(.name): .lost_at_run_time}) | add == {\"bl\": 3}'"
case_ "of a set that becomes constants" plans "  warning: set kept loses 2 elements that were added at run time: it does not keep such any more; $back" s apply --dry-run "$T/constant.conf"
case_ "applied" s apply "$T/nobans.conf"
case_ "more of what goes on" s ban 203.0.113.77 for 1h in kept
case_ "and back" s rollback
case_ "with what it had" listed bl 10.1.0.0/16 10.2.0.1 198.18.71.50 2001:db8::1
case_ "and its time" sh -c "$IN '$SLUICE' -j set list bl | jq -e '[.[] | select(.expires_s > 3400 and .expires_s <= 3600)] | length == 3'"
case_ "and what came" listed kept 203.0.113.1 203.0.113.77 203.0.113.9
case_ "nothing goes, nothing is said" sh -c "! $IN '$SLUICE' apply --dry-run '$T/bans.conf' | grep warning"

# --- a set that has grown ---
policy grown.conf 'set bl { }'
policy grown2.conf 'set bl { }'
sed -i 's/default pass/count icmp\n\tdefault pass/' "$T/grown2.conf"
seq 1 100000 | awk '{ printf "10.%d.%d.%d\n", $1 / 65536, $1 / 256 % 256, $1 % 256 }' >"$T/many.netset"
case_ "an empty set" sh -c "$IN '$SLUICE' down; $IN '$SLUICE' apply '$T/grown.conf' && $IN '$SLUICE' set flush bl"
says() { # TEXT COMMAND...
	want=$1
	shift
	"$@" >"$T/said" 2>&1
	printf '%s\n' "$want" | diff - "$T/said"
}
case_ "many at once" says "bl: 100000 added, 0 removed, 0 kept" s set load bl "$T/many.netset"
count() { s -j set list | jq -e ".[] | select(.set == \"bl\") | .ipv4 == $1"; }
for i in 2 '' 2; do
	case_ "the next policy has them all" s apply "$T/grown$i.conf"
	case_ "all of them" count 100000
done
case_ "back, to code that knows its map" s rollback
case_ "all of them" count 100000
case_ "and more" s set add bl 192.0.2.1
case_ "back again" s rollback
case_ "with it" count 100001

# --- whose state is whose, for who may not look at other processes ---
BLIND="setpriv --bounding-set=-sys_ptrace,-sys_resource --inh-caps=-sys_ptrace,-sys_resource"
mkfifo "$T/hold" "$T/ready"
unshare -n sh -c "ip link add u0 type veth peer name u1; ip link set u0 up; echo >'$T/ready'; read x <'$T/hold'" &
holder=$!
on_exit "kill $holder 2>/dev/null"
read x <"$T/ready"
U="nsenter --net=/proc/$holder/ns/net"
inode=$($U stat -Lc %i /proc/self/ns/net)
printf 'filter on u0 {\n\tdefault pass\n}\n' >"$T/u.conf"
case_ "applied in a namespace without a name" $U $BLIND "$SLUICE" apply "$T/u.conf"
case_ "it is its own, not the host's" sh -c "[ -f /var/lib/sluice/policy/net$inode-*/confirmed ]"
# only the process holds it: no link of it is alive, no name
case_ "it is taken down" $U $BLIND "$SLUICE" down
case_ "another one's change, from a process that may not look" $IN $BLIND "$SLUICE" apply "$T/size4.conf"
case_ "leaves what a living one has" sh -c "[ -f /run/sluice/policy-net$inode/record ] && [ -f /var/lib/sluice/policy/net$inode-*/confirmed ]"
echo >"$T/hold"
wait $holder
rm -rf "/run/sluice/policy-net$inode" "/sys/fs/bpf/sluice/net${inode}_policy" /var/lib/sluice/policy/net$inode-*
# --- names of interfaces are somebody's ---
esc=$(printf '\033')
odd="e${esc}[31mx"
ip -n $A link add "$odd" type veth peer name e1
printf 'set bl { } size 4\nfilter on "e*x", t0 {\n\tdrop from @bl\n\tdefault pass\n}\n' >"$T/odd.conf"
shown() { # COMMAND...: the name is in what it says, without its escape sequence
	"$@" >"$T/shown" 2>&1
	grep -qF 'e?[31mx' "$T/shown" && ! grep -qF "$esc" "$T/shown" || { cat -v "$T/shown"; return 1; }
}
case_ "in a plan" shown s apply "$T/odd.conf"
for v in status rules list; do case_ "in $v" shown s $v; done
case_ "as it is lost" shown s apply "$T/size4.conf"
case_ "on again" s apply "$T/odd.conf"
case_ "taken down" shown s down
case_ "in an error" expect_fail 3 'e\?\[31my' s rules "e${esc}[31my"
case_ "and the policy of before" s apply "$T/size4.conf"

# --- pins that are gone ---
gen=$(ls -t "$pins" | head -1)
case_ "without pins" sh -c "rm -r '$pins/$gen'"
case_ "it is said that they are gone" expect_fail 3 "^sluice ban: the maps of policy $gen are not pinned any more: there is no $pins/$gen; sluice apply FILE pins them again\$" \
	s ban 10.6.0.0/16 in bl
done_
