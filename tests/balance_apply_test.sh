#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# apply, confirm, rollback, down, status and restore of balance blocks, with real connections. The lab: balance_lab.sh.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
. "$(dirname "$0")/balance_lab.sh"
need_root
command -v jq >/dev/null || skip_all "jq is not here"
command -v nginx >/dev/null || skip_all "nginx is not here"
balance_lab

said() { grep -qE -e "$1" "$T/said" || { echo "not said: $1"; cat "$T/said"; return 1; }; }
unsaid() { ! grep -qE -e "$1" "$T/said" || { echo "said: $1"; cat "$T/said"; return 1; }; }
apply() { sl apply "$@" >"$T/said" 2>&1 || { cat "$T/said"; return 1; }; }
block() { # NAME ON PORT BACKENDS...: a block that is served by them
	printf 'balance %s on %s {\n\tvirtual %s tcp port %s\n\tforward ipip\n' "$1" "$2" $VIP "$3"
	shift 3
	printf '\tbackend %s\n' "$@"
	echo '}'
}
H2=198.18.2.2 H3=198.18.3.2 H2_6=2001:db8:2::2
both_answer() { # PORT [HOST]
	a=$(answers 30 "$@")
	case $a in "h2 "*" h3 "*) [ "$(echo "$a" | awk '{ print $2 + $4 }')" = 30 ] && return ;; esac
	echo "answers: $a"
	return 1
}
nobody() { is "answers on port $1" none "$(answers 3 "$1")"; }
only() { is "answers on port $2" "$1 10" "$(answers 10 "$2")"; }

policy web.conf "$(block web to1 80 "$H2 weight 10" "$H3 weight 10")"
policy web3.conf "$(block web to1 80 "$H3 weight 10")"
policy both.conf "filter on to1 {
	drop tcp to port 81 as \"no 81\"
	default pass
}
$(block web to1 80-82 "$H2" "$H3")"

# --- apply ---
first() {
	apply "$T/web.conf" || return 1
	cat >"$T/want" <<-END
	to1: gets the balancer
	balance: 1 service added
	  web: add service, forward ipip, table of 65537 slots
	  web: add virtual $VIP tcp port 80
	  web: add backend $H2 weight 10
	  web: add backend $H3 weight 10
	END
	grep -v -e '^policy 1-[0-9a-f]\{12\} is in force$' -e '^sluice apply: .*: balance web: packets from to1 may have 1500 bytes' "$T/said" |
		diff "$T/want" - && said '^policy 1-[0-9a-f]{12} is in force$' &&
		both_answer 80 && nobody 81 &&
		sl list to1 | grep -qE '^ +11 +balance +balance .*owner sluice-policy' || return 1
	sl status >"$T/said" && said '^  to1 +native, balancer, 1 service, 2 backends, [0-9.]+MB of tables$' || return 1
	is parts 'to1 balance runs true 1 1 2' "$(st '.interfaces[] | "\(.interface) \(.kind) \(.state) \(.in_force) \(.services) \(.virtual_addresses) \(.backends)"')"
}
again() {
	apply "$T/web.conf" && said '^nothing to do: policy 1-[0-9a-f]{12} is in force$'
}
one_goes() {
	apply "$T/web3.conf" && said "^  web: remove backend $H2\$" && said "^  web: flows of $H2 move to others" &&
		said '^  web: 327[0-9][0-9] of 65537 slots \((49|50)\.[0-9] %\) get another backend; other flows that are open stay' &&
		only h3 80
}
dry() {
	ls "$RUN" "$PINS" "$LIB/generations" >"$T/before"
	apply "$T/web.conf" --dry-run && said '^nothing was changed$' && said "^  web: add backend $H2 weight 10\$" && only h3 80 &&
		ls "$RUN" "$PINS" "$LIB/generations" | cmp - "$T/before" || return 1
	sl apply "$T/web.conf" --dry-run --json | jq -e '.plan.services == [{"name": "web", "change": "changed", "moved_slots": .plan.services[0].moved_slots,
		"slots": 65537, "lines": .plan.services[0].lines}] and .plan.services[0].moved_slots > 32000 and
		.plan.balancers == [{"name": "to1", "balancer": "keeps", "mode": "auto", "old_mode": "auto"}] and
		.plan.services[0].lines[0] == "web: add backend '$H2' weight 10"' >/dev/null
}
at_run_time() { # what was set there stays, so the weight in the text changes nothing
	policy heavier.conf "$(block web to1 80 "$H2 weight 10" "$H3 weight 30")"
	apply "$T/web.conf" && sl balance drain web $H3 -n >/dev/null && apply "$T/heavier.conf" --dry-run &&
		said "^  web: backend $H3: weight 10 -> 30\$" && unsaid 'get another backend' &&
		sl apply "$T/heavier.conf" --dry-run --json | jq -e '.plan.services[0].moved_slots == 0' >/dev/null || return 1
	sl balance undrain web $H3 >/dev/null && sl balance set-weight web $H3 10 >/dev/null && apply "$T/heavier.conf" --dry-run &&
		unsaid 'get another backend' && sl balance set-weight web $H3 policy >/dev/null && apply "$T/heavier.conf" --dry-run &&
		said 'web: 1[56][0-9]{3} of 65537 slots .* get another backend; flows' && apply "$T/web3.conf" && only h3 80
}
absent() {
	policy gone.conf "$(block web eth7 80 $H2)"
	policy gone2.conf "filter on eth8 {
	default pass
}
$(block web eth7 80 $H2)"
	expect_fail 3 'a balance block is on eth7: there is no such interface here$' sl apply "$T/gone.conf" &&
		expect_fail 3 'filters and balance blocks are on eth8, eth7: there are no such interfaces here$' sl apply "$T/gone2.conf" &&
		only h3 80
}
emptied() {
	echo '# nothing' >"$T/none.conf"
	policy nowhere.conf "$(block web 'x*' 80 $H2)"
	expect_fail 1 'the policy has no balance block: to1 would lose the balancer; sluice down does that, --force applies it all the same' \
		sl apply "$T/none.conf" &&
		expect_fail 1 'no interface fits a balance block of the policy: to1 would lose the balancer' sl apply "$T/nowhere.conf" &&
		apply "$T/nowhere.conf" --force && said 'balance web on x\*: no interface fits, it serves nobody' &&
		said '^to1: loses the balancer: packets to virtual addresses pass$' && nobody 80 && empty to1 &&
		sl rollback >"$T/said" && only h3 80
}
case_ "apply: plan, connections, status" first
without_filter() { # verbs about filters
	expect_fail 3 '^sluice log: the policy in force has no filter, so nothing is sampled$' timeout 5 "$SLUICE" lab run --lab "$LAB" box -- "$SLUICE" log &&
		expect_fail 3 '^sluice rules: the policy in force has no filter on to1$' sl rules to1 -1
}
case_ "the same again: nothing to do" again
case_ "verbs about filters say that there is none" without_filter
case_ "a backend goes: what that means is said" one_goes
case_ "--dry-run loads, and leaves nothing" dry
case_ "the plan counts with what was set at run time" at_run_time
case_ "interfaces that are not there" absent
case_ "a policy without blocks is hardly meant" emptied

# --- what is said before ---
warned() { said "^sluice apply: $T/care.conf:1: balance web: $1\$"; }
care() {
	policy care.conf "$(block web to1 80 $H2)"
	apply "$T/care.conf" --dry-run && warned "packets from to1 may have 1500 bytes, the tunnel adds 20, and 1500 fit on the way to $H2 \\(to2\\): senders of larger ones than 1480 are told by ICMP; an MTU of 1520 there lets all through" && unsaid 'cannot be reached|redirected|forwarding|of this host' || return 1
	box ip link set dev to2 mtu 1520
	apply "$T/care.conf" --dry-run && unsaid '^sluice apply'
	rc=$?
	box ip link set dev to2 mtu 1500
	[ $rc = 0 ] || return 1
	# several tunnels through one interface: what the largest needs
	printf 'balance web on to1 {\n\tvirtual 203.0.113.20 tcp port 80\n\tforward ipip\n\tbackend %s\n}\nbalance dns on to1 {\n\tvirtual 203.0.113.21 udp port 53\n\tforward gue\n\tbackend %s\n}\nbalance six on to1 {\n\tvirtual 203.0.113.22 udp port 53\n\tforward gue\n\tbackend %s\n}\nbalance last on to1 {\n\tvirtual 203.0.113.23 udp port 53\n\tforward gue\n\tbackend %s\n}\n' \
		"$H2" "$H2" "$H2_6" "$H2" >"$T/care.conf"
	apply "$T/care.conf" --dry-run && said "care.conf:11: balance six: packets from to1 may have 1500 bytes, the tunnel adds 48, and 1500 fit on the way to $H2_6 \\(to2\\): senders of larger ones than 1452 are told by ICMP; an MTU of 1548 there lets all through\$" &&
		unsaid 'the tunnel adds (20|28)' || return 1
	policy care.conf "$(block web to1 80 192.0.2.7 198.18.1.1 198.18.2.77)"
	apply "$T/care.conf" --dry-run && warned 'backend 192.0.2.7 cannot be reached: there is no route to it' &&
		warned 'backend 198.18.1.1 is an address of this host: packets do not leave it' &&
		warned 'backend 198.18.2.77 cannot be reached: 198.18.2.77 does not answer on to2' || return 1
	box ip neigh flush dev to2
	policy care.conf "$(block web to1 80 $H2)" # asked for, and it answers
	apply "$T/care.conf" --dry-run && said '^balance: ' && unsaid 'does not answer' || return 1
	sl down >/dev/null
	policy care.conf "$(block web to2 80 198.18.1.2)"
	h1 ethtool -K eth0 gro off
	apply "$T/care.conf" --dry-run
	h1 ethtool -K eth0 gro on
	warned 'to1 takes no packets that are redirected to it, so those to backends behind it are lost; a veth does if its peer has an XDP program or GRO \(ethtool -K PEER gro on; if it is on, set to1 down and up again\), others if they have a program of their own' || return 1
	policy care.conf "$(block web to1 80 $H2)"
	h1 ethtool -K eth0 tx on >/dev/null
	apply "$T/care.conf" --dry-run
	h1 ethtool -K eth0 tx off >/dev/null
	warned 'to1 is a veth: packets that begin at its other end are lost when they are balanced, since their checksums are left to hardware that there is not; ethtool -K eth0 tx off there' || return 1
	apply "$T/care.conf" --dry-run && unsaid 'is a veth' || return 1
	policy care.conf "balance web on to1 {
	virtual 198.18.1.1 tcp port { 22, 80 }
	forward l2
	backend $H2
}"
	apply "$T/care.conf" --dry-run && warned '198.18.1.1 tcp port 22 is an address of this host \(to1\): what listens here gets none of these packets from outside' &&
		apply "$T/web3.conf"
}
forwarding() {
	policy care.conf "$(block web to1 80 $H2)"
	box sh -c 'echo 0 >/proc/sys/net/ipv4/conf/to1/forwarding'
	apply "$T/care.conf" --dry-run
	box sh -c 'echo 1 >/proc/sys/net/ipv4/conf/to1/forwarding'
	said '^sluice apply: net.ipv4.conf.to1.forwarding is 0: without it, packets get to backends only while sluice serve runs and keeps their ways; sysctl net.ipv4.conf.to1.forwarding=1$'
}
guarded() {
	policy guard.conf "balance web on to1 {
	virtual 198.18.1.1 tcp port { 22, 80 }
	forward ipip
	backend $H2
}"
	SSH_CONNECTION='198.18.1.2 50022 198.18.1.1 22'
	export SSH_CONNECTION
	expect_fail 1 'guard.conf:1: balance web: virtual 198.18.1.1 tcp port 22 would send your session from 198.18.1.2 port 50022 to a backend; use --force, or --confirm 60s to try$' \
		sl apply "$T/guard.conf" && only h3 80 && sed 's/22, 80/23, 80/' "$T/guard.conf" >"$T/guard2.conf" && apply "$T/guard2.conf" --dry-run &&
		apply "$T/guard.conf" --confirm 60s && said 'would send your session .* to a backend; tried all the same' && sl rollback >/dev/null
	rc=$?
	unset SSH_CONNECTION
	return $rc
}
behind_router() { # h2 would take the packets, which stay for the virtual address; another router would send them back
	box ip route add 192.0.2.0/24 via $H2
	box ip -6 route add 2001:db8:f::/64 via $H2_6
	policy l2.conf "balance web on to1 {
	virtual $VIP tcp port 80
	forward l2
	backend 192.0.2.7
}"
	apply "$T/l2.conf" && said "backend 192.0.2.7 is behind the router $H2: 'forward l2' needs it in a network of this host's" && nobody 80 || return 1
	sed 's/192.0.2.7/2001:db8:f::7/' "$T/l2.conf" >"$T/l2six.conf" && apply "$T/l2six.conf" && nobody 80 || return 1
	sl balance stats -1 --json | jq -e '[.. | .no_route? | numbers] | add >= 6' >/dev/null || { sl balance stats -1; return 1; }
	sed "s/192.0.2.7/$H2/" "$T/l2.conf" >"$T/l2.direct.conf" && apply "$T/l2.direct.conf" && only h2 80
	rc=$?
	box ip route del 192.0.2.0/24
	box ip -6 route del 2001:db8:f::/64
	apply "$T/web3.conf" && return $rc
}
case_ "routes, neighbours, MTU, drivers, own addresses: what is amiss is said" care
case_ "without forwarding ways are not looked up" forwarding
case_ "forward l2: no packet goes to a router" behind_router
case_ "the guard: a virtual address would take the session away" guarded

# --- with a filter ---
with_filter() {
	forget
	apply "$T/both.conf" && said '^to1: gets the filter of ' && said '^to1: gets the balancer$' && both_answer 80 && nobody 81 && both_answer 82 &&
		is parts 'to1 filter runs 2 to1 balance runs 2' "$(st '[.interfaces[] | "\(.interface) \(.kind) \(.state) \(.programs)"] | join(" ")')" &&
		is order 'filter balance' "$(sl list to1 --json | jq -r '[.[0].members[].name] | join(" ")')" &&
		is dropped true "$([ "$("$BUILD/tests/apply-counts" "sluice-$LAB-box" 'no 81')" -ge 3 ] && echo true)"
}
filter_goes() {
	apply "$T/web.conf" && said '^to1: loses the filter of ' && said "is no longer served: its packets pass" && both_answer 80 && nobody 82 &&
		is members balance "$(sl list to1 --json | jq -r '[.[0].members[].name] | join(" ")')" && sl rollback >/dev/null && both_answer 82 && nobody 81 &&
		is members 'filter balance' "$(sl list to1 --json | jq -r '[.[0].members[].name] | join(" ")')"
}
balancer_goes() {
	apply "$T/a.conf" && said '^to1: loses the balancer: packets to virtual addresses pass$' && nobody 80 && in_force "$(st .policy | cut -d- -f1)" A &&
		is members filter "$(sl list to1 --json | jq -r '[.[0].members[].name] | join(" ")')" && sl down >"$T/said" && said '^to1: loses its filter$' && empty to1
}
case_ "a filter in front: what it drops is not balanced" with_filter
case_ "the filter goes, and comes back" filter_goes
case_ "the balancer goes, the filter stays" balancer_goes

# --- several interfaces ---
several() {
	forget
	policy two.conf "$(block web to1 80 $H3)
$(block more 'to1, to2' 81 $H3)"
	apply "$T/two.conf" && said '^to1: gets the balancer$' && said '^to2: gets the balancer$' && only h3 80 && only h3 81 &&
		is "services" '2 1' "$(st '[.interfaces[].services] | map(tostring) | join(" ")')" || return 1
	at h2 ip addr del $VIP/32 dev lo
	is "of h2, on port 80" none "$(answers 3 80 h2)" && is "of h2, on port 81" "h3 5" "$(answers 5 81 h2)"
	rc=$?
	at h2 ip addr add $VIP/32 dev lo
	[ $rc = 0 ] && apply "$T/both.conf" && said '^to2: loses the balancer' && both_answer 80 && nobody 81 && empty to2 && sl down >"$T/said" &&
		said '^to1: loses its balancer$' && empty to1 && nobody 80
}
case_ "services on one and on several interfaces" several

# --- trials ---
trial() {
	forget
	apply "$T/web3.conf" && apply "$T/both.conf" --confirm 60s && said 'is on trial for 60 s' && both_answer 82 && nobody 81 &&
		sl status >"$T/said" && said '^  to1 .*balancer, 1 service, 2 backends.*, on trial$' &&
		expect_fail 1 'is on trial' sl apply "$T/web.conf" && sl rollback >/dev/null && only h3 80 && nobody 82 &&
		apply "$T/both.conf" --confirm 60s && sl confirm >/dev/null && both_answer 82 && is left null "$(st .trial_left)"
}
on_trial() { [ "$(st '.trial_left != null')" = true ]; }
rolled_back() { [ "$(st '.rolled_back_at > 0')" = true ]; }
alone() { # the process that applied is killed, its terminal is gone: the kernel does it
	apply "$T/web3.conf" || return 1
	script -qec "$SLUICE lab run --lab $LAB box -- $SLUICE apply $T/both.conf --confirm 3s" /dev/null >/dev/null </dev/null &
	terminal=$!
	wait_until 10 on_trial && is "port 82" 1 "$(get 82 | wc -l)" || return 1
	kill -9 $terminal 2>/dev/null
	wait $terminal 2>/dev/null
	sleep 3
	wait_until 3 rolled_back && nobody 82 && only h3 80 && sl status | grep -q 'was on trial and rolled back by itself'
}
from_nothing() {
	forget
	apply "$T/web.conf" --confirm 2s && both_answer 80 && wait_until 5 nobody 80 && expect_fail 3 'rolled back by itself' sl confirm && empty to1
}
case_ "trial: rolled back, confirmed" trial
case_ "trial: nobody is alive, it rolls back by itself" alone
case_ "trial over no policy" from_nothing

# --- what goes on ---
# a connection that asks again and again until $T/stop is there: who answered, into $T/conn.N
HOLD='exec 3<>/dev/tcp/$1/80 || exit 1
until [ -e "$2/stop" ]; do
	printf "GET / HTTP/1.1\r\nHost: a\r\n\r\n" >&3
	got=
	while [ -z "$got" ] && read -r -t 5 line <&3; do case $line in h[0-9]*) got=$line ;; esac; done
	echo "${got:-broken}"
	sleep 0.1
done'
connections() {
	forget
	rm -f "$T"/conn.* "$T/stop"
	policy more.conf "$(block web to1 80 "$H2 weight 10" "$H3 weight 30")"
	policy drained.conf "$(block web to1 80 "$H2 weight 0" "$H3 weight 30")"
	apply "$T/web.conf" || return 1
	n=0 held=
	while [ $n -lt 12 ]; do
		at h1 bash -c "$HOLD" hold $VIP "$T" >"$T/conn.$n" 2>&1 &
		held="$held $!"
		n=$((n + 1))
	done
	sleep 1
	apply "$T/more.conf" && apply "$T/drained.conf" --confirm 60s && sl rollback >/dev/null && apply "$T/both.conf" && apply "$T/drained.conf" &&
		is "of new connections" "h3 10" "$(answers 10 80)"
	rc=$?
	sleep 0.5
	touch "$T/stop"
	# shellcheck disable=SC2086
	wait $held
	for c in "$T"/conn.*; do echo "$(sort -u "$c" | tr '\n' ' ') $(wc -l <"$c")"; done >"$T/held"
	cat "$T/held"
	[ $rc = 0 ] && is "connections that stayed where they were" 12 "$(awk '$1 ~ /^h[23]$/ && NF == 2 && $2 > 3' "$T/held" | wc -l)" &&
		is "backends of them" 2 "$(cut -d' ' -f1 "$T/held" | sort -u | wc -l)"
}
run_time() { # what was said at run time, and counters
	forget
	apply "$T/web.conf" && both_answer 80 && before=$(packets_of) && [ "$before" -gt 100 ] || { echo "packets: $before"; return 1; }
	sl balance drain web "$H2" -n >/dev/null || return 1
	only h3 80 && apply "$T/both.conf" && only h3 80 && is "no fewer packets than before" true "$([ "$(packets_of)" -ge "$before" ] && echo true)" &&
		sl balance undrain web "$H2" >/dev/null && both_answer 80
}
packets_of() { sl balance stats web -1 --json | jq '[.. | .packets? | numbers] | max'; }
case_ "connections stay where they are over apply, trial and rollback" connections
sed 's/^/# /' "$T/held" 2>/dev/null
case_ "what was said at run time, and counters, go on over apply" run_time

# --- restore ---
boot() {
	forget
	apply "$T/both.conf" && rebooted && nobody 80 && sl restore --boot >"$T/said" && said '^to1: gets the balancer' && both_answer 80 && nobody 81 &&
		sl restore >"$T/said" && said 'is in force on all its interfaces already'
}
taken() {
	sl detach to1 balance --owner sluice-policy >/dev/null || return 1
	sl status >"$T/said"
	is "exit of status" 1 $? && said 'NOT IN FORCE: somebody took the balancer off; sluice apply' && nobody 80 && apply "$T/both.conf" && said '^to1: gets the balancer again$' &&
		both_answer 80 && is parts 'runs runs' "$(st '[.interfaces[].state] | join(" ")')"
}
case_ "a boot: restore puts it back" boot
case_ "somebody takes the balancer off: status says so, apply puts it back" taken

forget
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
rm -f /run/sluice/net"$netns"_*.lock
case_ "nothing is left of it: programs, maps, links, files" gone_all
done_
