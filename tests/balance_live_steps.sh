# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Connections while backends are added, drained and killed; sourced after balance_live.sh, by scripts whose h1 has the clients, and h2
# to h5 the backends, with balance-talk on port 80. Who sources it says how a policy is put into force: apply FORWARD BACKEND...,
# and if the service has another name than web, drain BACKEND and undrain BACKEND.
#
#   changes FORWARD BACKEND2... CONNECTIONS EVERY_MS   steps, or what $WHAT names; then all ends, and the policy goes
#   all LINE               to each client; then whole, connected, unbroken are about the answers
#   say WHAT               the answers and counters; fails
drain() { inns box "$SLUICE" balance drain web "$1" --no-wait >/dev/null; }
undrain() { inns box "$SLUICE" balance undrain web "$1" >/dev/null; }
counts() { inns box "$SLUICE" balance stats -1 "$@"; }
opened() { [ "$1" = "$2" ] || { echo "$1 whole, should be $2"; return 1; }; }
# all clients: LINE to each; answers in $T/a.*, all together in $T/a
all() {
	for client in t4 t6 u4 u6; do
		tell $client "$1"
	done
	for client in t4 t6 u4 u6; do
		hear $client >"$T/a.$client" || return 1
	done
	cat "$T"/a.* >"$T/a"
}
whole() { sum whole "${1:-}" <"$T/a"; }
connected() { cat "$T/a.t4" "$T/a.t6" | sum whole "$1"; }
# datagrams that kernels counted as dropped, where an interface's or a socket's queue was full and no sender was told
queues_full() { kernel_drops | awk '/^box .* tx dropped / || / Udp6?RcvbufErrors / { n += $NF } END { print n + 0 }'; }
unbroken() { # nothing is broken, moved, or lost but by queues that were full, but of the servers named
	awk -v but=" $* " '$1 == "." || index(but, " " $1 " ") { next } { lost += $9 } $5 || $11 { print; e = 1 }
		END { print "lost", lost + 0 >"'"$T/lost"'"; exit e }' "$T/a" || return 1
	lost=$(sed 's/lost //' "$T/lost")
	[ "$lost" = 0 ] || [ "$lost" -le "$(queues_full)" ] || { echo "$lost lost, $(queues_full) dropped by full queues"; return 1; }
}
say() {
	echo "$*:"
	cat "$T/a"
	sort "$T"/[tu][46].err | uniq -c
	counts
	kernel_drops
	sort "$T/servers" | uniq -c | tail -n 20
	return 1
}
clients() { # EVERY_MS
	begin t4 h1 "$TALK" tcp $VIP4 80 700 "$1"
	begin t6 h1 "$TALK" tcp $VIP6 80 700 "$1"
	begin u4 h1 "$TALK" udp $VIP4 80 500 "$1"
	begin u6 h1 "$TALK" udp $VIP6 80 500 "$1"
}
result() { # what became of all, by server; nothing was dropped
	awk '$1 == "." { next } { w[$1] += $3; b[$1] += $5; r[$1] += $7; l[$1] += $9 }
		END { for (n in w) print n, "whole", w[n], "broken", b[n], "exchanges", r[n], "lost", l[n] }' "$T/a" | tee -a "$T/results"
	counts -j >"$T/counts" && jq -e '[.. | .dropped? | objects] | length > 0 and ([.[][]] | add // 0) == 0' "$T/counts" >/dev/null || { counts; return 1; }
	quiet_errors h1 h2 h3 h4 h5
}

steps() { # FORWARD BACKEND2 BACKEND3 BACKEND4 BACKEND5 CONNECTIONS EVERY_MS
	mode=$1 b2=$2 b3=$3 b4=$4 b5=$5 each=$6
	apply "$mode" $b2 $b3 $b4 && clients $7 || return 1
	all "more $each" && unbroken && opened $(whole) $((each * 4)) || say opened || return 1
	for host in h2 h3 h4; do
		[ "$(whole $host)" -gt $((each / 2)) ] || say "$host has too few" || return 1
	done
	# another one comes: it gets its share of those that are new, and nothing else
	apply "$mode" $b2 $b3 $b4 $b5 && all round && unbroken && opened $(whole) $((each * 4)) && [ "$(whole h5)" = 0 ] || say added || return 1
	all "more $each" && unbroken && opened $(whole) $((each * 8)) && [ "$(connected h5)" -gt $((each / 4)) ] || say "new ones" || return 1
	# one drains: it keeps those it has and gets no other
	drain $b3 && all round && unbroken || say drained || return 1
	had=$(connected h3)
	all "more $each" && unbroken && opened $(whole) $((each * 12)) && [ "$(connected h3)" = "$had" ] || say "drained with $had" || return 1
	# one dies and is removed: only what it had breaks
	kill $server_4
	apply "$mode" $b2 $b3 $b5 && all round && all "more $each" && unbroken h4 && all round && unbroken h4 || say died || return 1
	opened $(($(whole) + $(sum broken h4 <"$T/a"))) $((each * 16)) && [ "$(connected h3)" = "$had" ] || say died || return 1
	# the one that drained is back
	undrain $b3 && all round && all "more $each" && unbroken h4 && [ "$(connected h3)" -gt "$had" ] || say back || return 1
	result
}
# Policies follow each other under connections that live as long; new ones come all the time. What h4 and h5 have may break,
# for they are removed, nothing of h2 and h3.
soak() { # FORWARD BACKEND2 BACKEND3 BACKEND4 BACKEND5 CONNECTIONS EVERY_MS SECONDS
	mode=$1 b2=$2 b3=$3 b4=$4 b5=$5 passes=0
	apply "$mode" $b2 $b3 $b4 $b5 && clients $7 && all "more $6" && unbroken || say opened || return 1
	end=$(($(date +%s) + $8))
	while [ "$(date +%s)" -lt $end ]; do
		case $((passes % 6)) in
		0) apply "$mode" $b2 $b3 $b4 ;;
		1) drain $b3 ;;
		2) apply "$mode" $b2 $b3 ;;
		3) apply "$mode" $b5 $b3 $b2 ;;
		4) undrain $b3 ;;
		5) apply "$mode" $b2 $b3 $b4 $b5 ;;
		esac && all round && all "more 2" && unbroken h4 h5 || say "pass $passes" || return 1
		passes=$((passes + 1))
	done
	echo "$passes changes" | tee -a "$T/results"
	result
}
# The daemon finds that a backend is dead, and alive again; killed, it is not missed until then.
served() { # FORWARD BACKEND2 BACKEND3 BACKEND4 CONNECTIONS EVERY_MS
	mode=$1 b2=$2 b3=$3 b4=$4 each=$5
	CHECK='check tcp every 300ms timeout 200ms rise 2 fall 2'
	apply "$mode" $b2 $b3 $b4
	rc=$?
	CHECK=
	[ $rc = 0 ] || return 1
	daemon && clients $6 && all "more $each" && unbroken || say opened || return 1
	kill $server_4
	wait_until 10 state_is $b4 down || say "not found dead" || return 1
	all round && all "more $each" && unbroken h4 && [ "$(connected h4)" = 0 ] || say dead || return 1
	opened $(($(whole) + $(sum broken h4 <"$T/a"))) $((each * 8)) || say dead || return 1
	kill -9 $daemon
	all round && all "more $each" && unbroken h4 && [ "$(connected h4)" = 0 ] || say "without the daemon" || return 1
	serve h4 "$TALK" serve 80 h4
	server_4=$served
	daemon && wait_until 10 state_is $b4 up && all round && all "more $each" && unbroken h4 && [ "$(connected h4)" -gt 0 ] || say "alive again" || return 1
	kill $daemon
	result
}
daemon() {
	nsenter --net="/run/netns/sluice-$LIVE-box" "$SLUICE" serve >>"$T/daemon" 2>&1 &
	daemon=$!
	on_exit "kill $daemon 2>/dev/null"
}
state_is() { inns box "$SLUICE" balance show -j | jq -e --arg a "$1" --arg s "$2" '.. | .backends? | arrays | .[] | select(.address == $a) | .state == $s' >/dev/null; }
ended_all() {
	for client in t4 t6 u4 u6; do
		stop $client
	done
	inns box "$SLUICE" down >/dev/null 2>&1
	kill -0 $server_4 2>/dev/null || { serve h4 "$TALK" serve 80 h4; server_4=$served; wait_until 5 listens h4; }
}
listens() { inns "$1" ss -Hltn 'sport = :80' | grep -q .; }
changes() {
	"${WHAT:-steps}" "$@"
	rc=$?
	ended_all
	return $rc
}
