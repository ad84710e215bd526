#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# kill -9 at every step, and at random moments, of apply, confirm, rollback, the end of a trial, and down, of policies with a
# filter and balance blocks: packets meet both of one policy. The driver: apply_kill.c.
#
#     h1 (198.18.1.2) eth0 ---- to1 (198.18.1.1) box (198.18.2.1) to2 ---- eth0 (198.18.2.2) h2
#     box has 198.19.1.1, whose packets A's balancer drops, and 198.19.2.1, whose packets B's drops
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
need_root
command -v jq >/dev/null || skip_all "jq is not here"
: "${SOAK:=1}" "${SEED:=20262}"
ONE=$((24 * SOAK)) TWO=$((10 * SOAK))
case $BUILD in *asan*) ONE=10 TWO=5 ;; esac # each takes several times as long
policy_lab --hosts 2
echo "# seed $SEED"
box ip addr add 198.19.1.1/32 dev lo
box ip addr add 198.19.2.1/32 dev lo
for p in a b; do
	[ $p = a ] && addr=198.19.1.1 other=198.18.2.7 || addr=198.19.2.1 other=198.18.2.9
	for n in "" 2; do
		[ -z "$n" ] && on=to1 || on="to1, to2"
		# (nobody may have packets: the only backend drains)
		printf 'balance common on %s {\n\tvirtual 198.19.3.1 tcp port 80\n\tforward ipip\n\tbackend { 198.18.2.8, %s }\n}\n' "$on" $other >>"$T/$p$n.conf"
		printf 'balance %s on %s {\n\tvirtual %s all ports\n\tforward ipip\n\tbackend 198.18.2.2 weight 0\n}\n' $p "$on" $addr >>"$T/$p$n.conf"
	done
done
kills() { # KILLS FILES PEER...
	n=$1 f=$2
	shift 2
	forget
	timeout 580 "$BUILD/tests/apply-kill" "sluice-$LAB-box" "$n" "$SEED" "$T/a$f.conf" "$T/b$f.conf" "$T/ids" "$@" >"$T/$n" 2>&1
	rc=$?
	cat "$T/$n"
	cat "$T/ids" >>"$T/ours"
	return $rc
}
case_ "$ONE kills on one interface: packets meet filter and balancer of one policy, status says of which" \
	kills $ONE "" "sluice-$LAB-h1=198.18.1.1=198.19.1.1=198.19.2.1"
sed 's/^/# /' "$T/$ONE"
case_ "$TWO kills on two interfaces: likewise, both have the same" \
	kills $TWO 2 "sluice-$LAB-h1=198.18.1.1=198.19.1.1=198.19.2.1" "sluice-$LAB-h2=198.18.2.1=198.19.1.1=198.19.2.1"
sed 's/^/# /' "$T/$TWO"
forget
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
rm -f /run/sluice/net"$netns"_*.lock
case_ "nothing is left of them: programs, maps, links, files" gone_all
sed 's/^/# /' "$T/.case"
done_
