#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Two balancers behind a router that splits packets between them, with one arm each; servers of the distribution.
#
#     h1 clients ── to1 ┌────────┐ to2 ── eth0 h2 balancer, sends back by eth0 what comes in there
#                       │  box,  │ to3 ── eth0 h3 balancer
#                       │ router │ to4 ── eth0 h4 ┐
#                       └────────┘ to5 ── eth0 h5 ├ backends, decap on eth0: nginx, iperf3, nc
#                                  to6 ── eth0 h6 ┘
#
# What leaves a balancer crosses the router in a tunnel. Nothing is shared between the two.
. "$(dirname "$0")/lib.sh"
. "$SRC/tests/policy_lab.sh"
. "$SRC/tests/balance_live.sh"
. "$SRC/tests/balance_live_steps.sh"
need_root
for tool in nginx iperf3 nc nft jq; do
	command -v $tool >/dev/null || skip_all "needs $tool (packages.txt)"
done
live_lab 6
policy_ends sluice-$LIVE-h2
policy_ends sluice-$LIVE-h3

balancers() {
	cat >"$T/two.conf" <<-X
	balance web on eth0 {
		virtual { $VIP4, $VIP6 } tcp port { 80, 8080, 8081 }
		virtual { $VIP4, $VIP6 } udp port 8080
		forward ipip
		backend { 10.9.4.2, 10.9.5.2, 10.9.6.2 }
	}
	balance iperf on eth0 {
		virtual { $VIP4, $VIP6 } tcp port 5201
		virtual { $VIP4, $VIP6 } udp port 5201
		forward ipip
		affinity source
		backend { 10.9.4.2, 10.9.5.2, 10.9.6.2 }
	}
	X
	both apply "$T/two.conf"
}
both() { # the same on either balancer
	inns h2 "$SLUICE" "$@" >"$T/said" 2>&1 && inns h3 "$SLUICE" "$@" >"$T/said" 2>&1 || { cat "$T/said"; return 1; }
}
seen() { inns "$1" "$SLUICE" balance stats -1 -j | jq '[.. | .total? | objects | .packets] | add'; }
reasons() { for lb in h2 h3; do inns $lb "$SLUICE" balance stats -1 -j; done | jq -s "[.. | .dropped? | objects | $1] | add // 0"; }
nginx_on() {
	cat >"$T/nginx.$1" <<-N
	daemon off; worker_processes 1; pid $T/nginx.pid.$1; error_log $T/nginx.err.$1; user root;
	events { worker_connections 512; }
	http { access_log off; client_body_temp_path $T/b; proxy_temp_path $T/p; fastcgi_temp_path $T/f;
		uwsgi_temp_path $T/u; scgi_temp_path $T/s;
		server { listen 80; listen [::]:80; root $T/www; } }
	N
	serve "$1" nginx -c "$T/nginx.$1"
}
network() {
	mkdir "$T/www" && chmod 755 "$T" "$T/www" && head -c 8000000 /dev/urandom >"$T/www/large" && echo all is well >"$T/www/small" || return 1
	for b in 2 3; do
		passing box to$b && inns h$b sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
			ip -6 route replace default via fd09:'$b'::1' || return 1
		wait_until 5 inns h$b ping -c 1 -W 1 10.9.$b.1 && wait_until 5 inns h$b ping -c 1 -W 1 fd09:$b::1 || return 1
	done
	for b in 4 5 6; do
		inns h$b sh -c "ip addr add $VIP4/32 dev lo; ip addr add $VIP6/128 dev lo"
		inns h$b "$BUILD/tests/decap-tool" attach eth0 >/dev/null || return 1
		nginx_on h$b
		serve h$b "$TALK" serve 8080 h$b
		serve h$b iperf3 -s -B $VIP4
		serve h$b iperf3 -s -B $VIP6
	done
	for b in 4 5 6; do
		for port in 80 8080 5201; do
			wait_until 10 inns h$b sh -c "ss -Hltn 'sport = :$port' | grep -q ." || { cat "$T/servers"; return 1; }
		done
	done
	balancers
}
# each flow by one of them, as routers with several next hops do
by_flow() {
	inns box sh -c "echo 1 >/proc/sys/net/ipv4/fib_multipath_hash_policy; echo 1 >/proc/sys/net/ipv6/fib_multipath_hash_policy
		ip route replace $VIP4 nexthop via 10.9.2.2 nexthop via 10.9.3.2
		ip -6 route replace $VIP6 nexthop via fd09:2::2 nexthop via fd09:3::2"
}
only() { # one of them has gone
	inns box sh -c "ip route replace $VIP4 via 10.9.$1.2; ip -6 route replace $VIP6 via fd09:$1::2"
}
# packets by turns
by_packet() {
	only 2
	inns box sh -c "ip route add $VIP4 via 10.9.3.2 table 3; ip -6 route add $VIP6 via fd09:3::2 table 3
		ip rule add fwmark 3 table 3; ip -6 rule add fwmark 3 table 3"
	inns box nft -f - <<-N
	table inet split { chain pre { type filter hook prerouting priority mangle;
		ip daddr $VIP4 numgen inc mod 2 == 0 meta mark set 3
		ip6 daddr $VIP6 numgen inc mod 2 == 0 meta mark set 3; }; }
	N
}
not_by_packet() {
	inns box sh -c "nft delete table inet split; ip rule del fwmark 3; ip -6 rule del fwmark 3"
}

counts() { inns h2 "$SLUICE" balance stats -1; inns h3 "$SLUICE" balance stats -1; }
clients() {
	begin t4 h1 "$TALK" tcp $VIP4 8080 600 300
	begin t6 h1 "$TALK" tcp $VIP6 8080 600 300
	begin u4 h1 "$TALK" udp $VIP4 8080 300 300
	begin u6 h1 "$TALK" udp $VIP6 8080 300 300
}
routed() { # each of them gets its half of the flows; then the router knows one alone, then the other
	by_flow && clients && all "more 100" && all round && unbroken || say opened || return 1
	two=$(seen h2) three=$(seen h3)
	[ "$two" -gt 300 ] && [ "$three" -gt 300 ] || say "$two by one, $three by the other" || return 1
	only 3 && all round && all "more 50" && all round && unbroken || say "the other alone" || return 1
	only 2 && all round && all round && unbroken || say "one alone" || return 1
	by_flow && all round && unbroken || say "both again"
}
turns() { # every packet of a flow by another one than the packet before
	by_packet && two=$(seen h2) three=$(seen h3) && all round && all "more 100" && all round && all round && unbroken || say "by turns" || return 1
	two=$(($(seen h2) - two)) three=$(($(seen h3) - three))
	echo "$two and $three packets"
	# halves, as far as two counters can be read at once under traffic
	[ $two -gt 1000 ] && [ $((two * 3)) -gt $((three * 2)) ] && [ $((three * 3)) -gt $((two * 2)) ]
}
drained() { # both are told, one after the other: what is open stays, whoever gets it
	both balance drain web 10.9.5.2 --no-wait && all round && unbroken && all round && unbroken || say "drained" || return 1
	awk '$1 != "." { w += $3; b += $5; r += $7 } END { print w, "whole,", b + 0, "broken,", r, "exchanges" }' "$T/a"
	for client in t4 t6 u4 u6; do
		stop $client
	done
	not_by_packet
	by_flow
	both balance undrain web 10.9.5.2
}
fetch() { # ADDRESS FILE
	printf 'GET /%s HTTP/1.0\r\n\r\n' "$2" | inns h1 timeout 30 nc -w 10 "$1" 80 | sed '1,/^\r$/d'
}
pages() {
	want=$(sha256sum <"$T/www/large")
	for vip in $VIP4 $VIP6; do
		i=0
		while [ $i -lt 12 ]; do # other ports, other backends
			[ "$(fetch $vip small)" = "all is well" ] || { echo "small from $vip"; return 1; }
			i=$((i + 1))
		done
		[ "$(fetch $vip large | sha256sum)" = "$want" ] || { echo "large from $vip"; return 1; }
	done
}
# What the clients send does not fit with the tunnel's header: they are told, and send less. LARGEST: 1500 - 20
uploads() {
	inns h1 ip route flush cache
	inns h1 ip -6 route flush cache
	rm -f "$T"/up.*
	for b in 4 5 6; do
		serve h$b sh -c "exec nc -4 -l -k 8081 >$T/up.4.$b"
		serve h$b sh -c "exec nc -6 -l -k 8081 >$T/up.6.$b"
	done
	for b in 4 5 6; do
		wait_until 10 inns h$b sh -c "ss -Hltn 'sport = :8081' | grep -c . | grep -q 2" || return 1
	done
	told=$(told)
	for vip in $VIP4 $VIP6; do
		inns h1 timeout 30 nc -N -w 10 $vip 8081 <"$T/www/large" || { echo "nc to $vip failed"; return 1; }
	done
	wait_until 10 came 16000000 || { ls -l "$T"/up.*; return 1; }
	cat "$T"/up.4.* | cmp - "$T/www/large" && cat "$T"/up.6.* | cmp - "$T/www/large" || return 1
	[ "$(told)" -gt "$told" ] || { echo "nobody was told"; return 1; }
	inns h1 ip route get $VIP4 | grep -q 'mtu 1480' && inns h1 ip -6 route get $VIP6 | grep -q 'mtu 1480' || { inns h1 ip route get $VIP4; inns h1 ip -6 route get $VIP6; return 1; }
}
told() { reasons .too_big_told; }
came() { [ "$(cat "$T"/up.* | wc -c)" -ge "$1" ]; }
# The way to the client is narrower than the backends think: the router's errors reach the backend that has the flow, through
# either balancer.
narrow() {
	inns box ip link set to1 mtu 1400
	want=$(sha256sum <"$T/www/large")
	for vip in $VIP4 $VIP6; do
		[ "$(fetch $vip large | sha256sum)" = "$want" ] || { echo "large from $vip"; inns box ip link set to1 mtu 1500; return 1; }
	done
	inns box ip link set to1 mtu 1500
	for b in 4 5 6; do
		inns h$b sh -c 'ip route get 10.9.1.2; ip -6 route get fd09:1::2'
	done | grep -c 'mtu 1400' >"$T/learnt"
	[ "$(cat "$T/learnt")" -ge 2 ] || { echo "$(cat "$T/learnt") routes have learnt"; return 1; }
}
# Control connection and data go to one backend, by the source. A server that gets no CPU loses datagrams; the balancer none, below.
iperf() {
	for vip in $VIP4 $VIP6; do
		inns h1 timeout 20 iperf3 -c $vip -t 1 -P 4 -J >"$T/tcp" && jq -e '.end.sum_received.bytes > 1000000' "$T/tcp" >/dev/null || { cat "$T/tcp"; return 1; }
		inns h1 timeout 20 iperf3 -c $vip -u -b 20M -l 1000 -w 1M -t 1 -J >"$T/udp" && jq -e '.end.sum | .packets > 1000 and .lost_packets * 2 < .packets' "$T/udp" >/dev/null || { cat "$T/udp"; return 1; }
	done
	echo "$(jq .end.sum_received.bits_per_second "$T/tcp") bit/s"
}

cd "$T" || exit 1
case_ "the network" network
case_ "the router splits by flow; each balancer fails once" routed
case_ "packets of a flow by turns: both send them to the same backend" turns
case_ "a backend drains on both" drained
case_ "nginx through either" pages
case_ "what does not fit into the tunnel" uploads
case_ "errors of the clients' way reach the backend" narrow
case_ "iperf3, TCP and UDP" iperf
case_ "no kernel saw a wrong checksum" quiet_errors h1 h4 h5 h6
only_told() { [ "$(reasons '(add - .too_big_told)')" = 0 ] || { inns h2 "$SLUICE" balance stats -1; inns h3 "$SLUICE" balance stats -1; return 1; }; }
case_ "nothing was dropped for another reason" only_told
done_
