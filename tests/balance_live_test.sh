#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Real TCP and UDP through the balancer, every way of forwarding: connections while backends are added, drained and killed.
#
#     h1 clients ── to1 box (the balancer on to1) ─┬─ to2 ── h2 ┐
#                                                  ├─ to3 ── h3 ├ backends: virtual addresses on lo,
#                                                  ├─ to4 ── h4 │ decap on eth0 with tunnels
#                                                  └─ to5 ── h5 ┘
#
# Who sends UDP cannot say that a flow is new: for as long as the service holds unknown flows where they were, new ones go there,
# too. So where new flows go is asked of TCP; of UDP, that none moves and none is lost.
#
# Answers go from the backends through the box as the routes lead, past the balancer. All sums are computed and verified by
# the kernels of clients and backends. SOAK=3600 TEST_TIMEOUT=4000: changes one
# after the other for so many seconds, instead of all this; what became of the connections is said on standard error.
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/policy_lab.sh"
. "$SRC/tests/balance_live.sh"
. "$SRC/tests/balance_live_steps.sh"
need_root
live_lab 5
policy_ends sluice-$LIVE-box

apply() { # FORWARD ADDRESSES...
	mode=$1
	shift
	cat >"$T/web.conf" <<-X
	balance web on to1 {
		virtual { $VIP4, $VIP6 } tcp port 80
		virtual { $VIP4, $VIP6 } udp port 80
		forward $mode
		backend { $(echo "$*" | sed 's/ /, /g') }
		${CHECK:-}
	}
	X
	inns box "$SLUICE" apply "$T/web.conf" >"$T/applied" 2>&1 || { cat "$T/applied"; return 1; }
}
network() {
	passing h1 eth0 || return 1
	for host in 2 3 4 5; do
		inns h$host sh -c "ip addr add $VIP4/32 dev lo; ip addr add $VIP6/128 dev lo"
		serve h$host "$TALK" serve 80 h$host
		eval "server_$host=$served"
	done
	for host in 2 3 4 5; do
		wait_until 5 listens h$host || return 1
	done
}
tunnels() { # the same with decap on the backends
	for host in 2 3 4 5; do
		inns h$host "$BUILD/tests/decap-tool" attach eth0 >/dev/null || return 1
	done
	changes "$@"
	rc=$?
	for host in 2 3; do
		inns h$host "$BUILD/tests/decap-tool" read eth0 >"$T/decap"
		grep -q "^taken out of $TAKEN: " "$T/decap" && ! grep -vE "^(no tunnel|taken out of $TAKEN): " "$T/decap" || { cat "$T/decap"; rc=1; }
	done
	for host in 2 3 4 5; do
		inns h$host "$BUILD/tests/decap-tool" detach eth0
	done
	return $rc
}

cd "$T" || exit 1
case_ "the network" network
TAKEN=IP
if [ -n "${SOAK:-}" ]; then
	WHAT=soak
	case_ "connections through $SOAK s of changes" tunnels ipip 10.9.2.2 10.9.3.2 10.9.4.2 10.9.5.2 300 800 "$SOAK"
	cat "$T/results" >&2
	done_
fi
case_ "layer 2" changes l2 10.9.2.2 10.9.3.2 10.9.4.2 10.9.5.2 60 150
case_ "IPv4 and IPv6 in IPv4, thousands" tunnels ipip 10.9.2.2 10.9.3.2 10.9.4.2 10.9.5.2 300 800
case_ "IPv4 and IPv6 in IPv6" tunnels ipip fd09:2::2 fd09:3::2 fd09:4::2 fd09:5::2 60 150
WHAT=soak
case_ "changes one after the other, IPIP" tunnels ipip 10.9.2.2 10.9.3.2 10.9.4.2 10.9.5.2 60 150 5
WHAT=served
case_ "the daemon finds backends dead and alive, IPIP" tunnels ipip 10.9.2.2 10.9.3.2 10.9.4.2 60 150
WHAT=steps
TAKEN=GUE
case_ "IPv4 and IPv6 in GUE over IPv4" tunnels gue 10.9.2.2 10.9.3.2 10.9.4.2 10.9.5.2 60 150
case_ "IPv4 and IPv6 in GUE over IPv6" tunnels gue fd09:2::2 fd09:3::2 fd09:4::2 fd09:5::2 60 150
done_
