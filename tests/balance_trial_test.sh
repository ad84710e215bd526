#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Connections that live long while a policy is on trial and rolls back: those that were there before, and those that are
# opened while the other policy sends them elsewhere. The lab: balance_lab.sh; the connections: balance_talk.c.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
. "$(dirname "$0")/balance_lab.sh"
. "$(dirname "$0")/balance_live.sh"
need_root
command -v jq >/dev/null || skip_all "jq is not here"
command -v nginx >/dev/null || skip_all "nginx is not here"
balance_lab
LIVE=$LAB
H2=198.18.2.2 H3=198.18.3.2

blocks() { # WEIGHT of h2
	printf 'balance web on to1 {\n\tvirtual %s tcp port 83\n\tforward ipip\n\tbackend %s weight %s\n\tbackend %s weight 10\n}\n' \
		$VIP $H2 "$1" $H3
}
policy one.conf "$(blocks 10)"
policy two.conf "$(blocks 40)"
policy three.conf "$(blocks 40 | grep -v $H3)"
apply() { sl apply "$@" >"$T/said" 2>&1 || { cat "$T/said"; return 1; }; }
here() { at "$1" ss -Hltn 'sport = :83' | grep -q .; }

total=0
more() { # N of them; all of all are whole
	total=$((total + $1))
	ask talk "more $1" >"$T/a" && all_whole
}
round() { ask talk round >"$T/a" && all_whole; }
all_whole() {
	[ "$(sum whole <"$T/a")" = $total ] && [ "$(sum broken <"$T/a")" = 0 ] && return
	echo "of $total:"
	cat "$T/a"
	return 1
}
share() { sum whole "$1" <"$T/a"; }

before() {
	apply "$T/one.conf" && begin talk h1 "$TALK" tcp $VIP 83 300 50 && more 300 || return 1
	[ "$(share h2)" -gt 110 ] && [ "$(share h3)" -gt 110 ] || { cat "$T/a"; return 1; }
}
by_hand() {
	was=$(share h2)
	apply "$T/two.conf" --confirm 60s && round && more 300 || return 1
	[ $(($(share h2) - was)) -gt 200 ] || { echo "h2 had $was"; cat "$T/a"; return 1; }
	sl rollback >"$T/said" && round && round && more 100 && round
}
by_itself() {
	apply "$T/two.conf" --confirm 3s && more 200 && wait_until 10 rolled_back && round && round && more 100 && round
}
rolled_back() { [ "$(st '.trial_left')" = null ]; }
drained() {
	apply "$T/two.conf" --confirm 60s && more 100 && sl balance drain $H3 -n >"$T/said" && round && more 100 && had=$(share h3) &&
		sl rollback >"$T/said" && round && more 100 && is "new ones of h3" "$had" "$(share h3)" &&
		sl balance undrain $H3 >"$T/said" && round && more 200 && round || return 1
	[ "$(share h3)" -gt $((had + 50)) ] || { echo "h3 had $had"; cat "$T/a"; return 1; }
}
removed() { # with connections of its own: those of h3 that are there break
	stop talk
	total=0
	forget # no slot asks the flow table yet
	apply "$T/one.conf" && begin talk h1 "$TALK" tcp $VIP 83 300 50 && apply "$T/three.conf" --confirm 60s && more 200 && is h2 200 "$(share h2)" &&
		sl rollback >"$T/said" && round && round && more 100 && round && [ "$(share h3)" -gt 20 ]
}
confirmed() {
	apply "$T/two.conf" --confirm 60s && more 100 && sl confirm >"$T/said" && round && more 100 && apply "$T/one.conf" && round && more 100 && round
}
serve h2 "$TALK" serve 83 h2
serve h3 "$TALK" serve 83 h3
wait_until 10 here h2 && wait_until 10 here h3 || exit 1
case_ "before" before
case_ "a trial with other weights, rolled back: all connections stay" by_hand
case_ "a trial that rolls back by itself" by_itself
case_ "a backend drains in a trial, and after it" drained
case_ "a trial without a backend: what is opened meanwhile stays" removed
case_ "confirmed, and another policy after it" confirmed
stop talk

forget
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
rm -f /run/sluice/net"$netns"_*.lock
case_ "nothing is left of it: programs, maps, links, files" gone_all
done_
