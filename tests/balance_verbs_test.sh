#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice balance list, show, stats, flows, drain, undrain, set-weight, why: on a policy in force, with real connections.
#
#     h1 (198.18.1.2) eth0 ──── to1 box to2 ──── eth0 h2 (198.18.2.2)     h1 asks for 203.0.113.10; the box is the
#                                       to3 ──── eth0 h3 (198.18.3.2)     balancer, h2 and h3 answer h1 directly
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"

b() { "$SLUICE" balance "$@"; }
case_ "no word" expect_fail 2 '^sluice balance: what\? One of: list show stats flows drain undrain set-weight why backend$' b
case_ "an unknown word" expect_fail 2 "^sluice balance: unknown word 'drian', did you mean drain\\?" b drian
case_ "nonsense to sort by" expect_fail 2 "^sluice balance stats: cannot sort by 'size': policy, packets, bytes, pps, bps, new or flows$" b stats -s size
case_ "too short an interval" expect_fail 2 '^sluice balance stats: --interval must be at least 10ms$' b stats -i 1ms
case_ "once and count" expect_fail 2 '^sluice balance stats: --once and --count exclude each other$' b stats -1 -c 3
case_ "waiting and not" expect_fail 2 '^sluice balance drain: --wait and --no-wait exclude each other$' b drain 10.1.0.11 -w 1s -n
case_ "too short a silence" expect_fail 2 '^sluice balance drain: --idle is from 5s to 50m$' b drain 10.1.0.11 --idle 1s
case_ "no packet" expect_fail 2 "^sluice balance why: packet: " b why 'tcp 1.2.3.4'
case_ "no IP" expect_fail 2 '^sluice balance why: the packet is not IP: only IP packets are balanced$' b why 'arp'
case_ "an ICMP error" expect_fail 2 '^sluice balance why: an ICMP error goes where the flow goes whose packet it quotes: ask about that flow$' b why 'icmp 198.51.100.7 > 203.0.113.10 type 3'
need_root

policy_lab --hosts 3
h3() { "$SLUICE" lab run --lab "$LAB" h3 -- "$@"; }
bal() { timeout 60 "$SLUICE" lab run --lab "$LAB" box -- "$SLUICE" balance "$@"; }
for v in list show 'stats -1' flows 'drain 10.1.0.11' 'undrain 10.1.0.11' 'set-weight 10.1.0.11 3' 'why tcp,198.18.1.2:9,>,203.0.113.10:80'; do
	# shellcheck disable=SC2046,SC2086
	set -- $v
	word=$1
	shift
	case_ "$word with nothing in force" expect_fail 3 "^sluice balance $word: no policy is in force here; sluice apply FILE puts one in$" \
		bal "$word" "$(echo "${1:--j}" | tr , ' ')" ${2:+"$2"}
done
case_ "a policy without services" sl apply "$T/a.conf"
case_ "list without services" expect_fail 3 '^sluice balance list: .*no balance block' bal list

policy lb.conf 'balance web on to1 {
	virtual 203.0.113.10 tcp port 80
	virtual 203.0.113.10 udp port 5000
	forward l2
	backend 198.18.2.2 weight 10
	backend 198.18.3.2 weight 10
	table-size 251
}
balance dns on to1 {
	virtual 203.0.113.53 udp port 53
	forward l2
	backend 198.18.3.2 weight 1
	affinity source
}'
for i in 2 3; do
	"h$i" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6'
done
box sh -c 'for i in all default to1 to2 to3; do echo 0 >/proc/sys/net/ipv4/conf/$i/rp_filter; done'
h1 ip route add 203.0.113.0/24 via 198.18.1.1
case_ "apply" sl apply "$T/lb.conf"

# --- what there is
out() { # WANT ARG...: but for the line that says which policy, and blanks
	want=$1
	shift
	bal "$@" >"$T/out" 2>&1 || { cat "$T/out"; return 1; }
	head -n 1 "$T/out" | grep -qE '^# policy [0-9]+-[0-9a-f]{12}$' || { cat "$T/out"; return 1; }
	sed 1d "$T/out" | tr -s ' ' | sed 's/^ //; s/ $//' >"$T/got"
	printf '%s\n' "$want" | diff - "$T/got"
}
case_ "list" out 'SERVICE FORWARD UP DRAINING DOWN VIRTUAL
web l2 2 0 0 203.0.113.10 tcp port 80, 203.0.113.10 udp port 5000
dns l2 1 0 0 203.0.113.53 udp port 53' list
list_json() {
	bal list -j >"$T/j" && jq -e '(.policy | test("^[0-9]+-[0-9a-f]{12}$")) and .file == null and .trial_ns == null and (.services | length) == 2 and
		.services[0] == {service: "web", interfaces: ["to1"], forward: "l2", gue_port: null, pool: null, virtuals: [
			{address: "203.0.113.10", protocol: "tcp", first_port: 80, last_port: 80},
			{address: "203.0.113.10", protocol: "udp", first_port: 5000, last_port: 5000}],
			all_down: "drop", table_size: 251, affinity: false, stateless: false, quic: null, hold_s: 300, check: null,
			states: {up: 2, draining: 0, down: 0}} and .services[1].affinity' "$T/j" >/dev/null || { cat "$T/j"; return 1; }
}
case_ "list as JSON" list_json
show() { # ways may be known already or not
	bal show web >"$T/out" || return 1
	sed -e 1d -e 's/ to[23] 02:00:c6:12:0[23]:02 mtu 1500/ looked up/' "$T/out" | tr -s ' ' | sed 's/ $//' >"$T/got"
	printf '%s\n' 'balance web on to1 {
	virtual 203.0.113.10 tcp port 80
	virtual 203.0.113.10 udp port 5000
	forward l2
	table-size 251
	251 slots: 0 changed, 0 with a previous backend
 BACKEND WEIGHT SHARE STATE WAY SAID
 198.18.2.2 10 50.2% up looked up
 198.18.3.2 10 49.8% up looked up
}' >"$T/want"
	diff "$T/want" "$T/got" && return 0
	# which of the two has one slot more is the hash's business
	sed -i -e 's/198.18.2.2 10 50.2%/198.18.2.2 10 49.8%/' -e 's/198.18.3.2 10 49.8%/198.18.3.2 10 50.2%/' "$T/want"
	diff "$T/want" "$T/got"
}
case_ "show" show
show_json() {
	bal show -j >"$T/j" && jq -e '.services[0].slots == {changed: 0, previous: 0} and ([.services[0].backends[].slots] | add) == 251 and
		(.services[0].backends[0] | .address == "198.18.2.2" and .port == null and .weight == 10 and .policy_weight == 10 and
			.state == "up" and .said == []) and .services[1].backends[0].slots == 65537' "$T/j" >/dev/null || { cat "$T/j"; return 1; }
}
case_ "show as JSON" show_json
check_json() {
	printf 'balance web on to1 {\n\tvirtual 203.0.113.10 tcp port 80\n\tforward ipip\n\tbackend 198.18.2.2\n\tcheck %s every 2s timeout 500ms rise 2 fall 3\n}\n' \
		"$1" >"$T/check.conf"
	bal show -f "$T/check.conf" -j >"$T/j" && jq -e ".services[0].check == {kind: $2, every_ns: 2000000000, timeout_ns: 500000000,
		rise: 2, fall: 3}" "$T/j" >/dev/null || { cat "$T/j"; return 1; }
}
checks_json() {
	check_json 'https "/" verify body "a b"' '"https", text: "/", host: null, body: "a b", verify: true, port: null, first_status: 200, last_status: 399, direct: false' &&
		check_json 'https "/ok" host "h" port 8080 status 200-204 direct' '"https", text: "/ok", host: "h", body: null, verify: false, port: 8080, first_status: 200, last_status: 204, direct: true' &&
		check_json tcp '"tcp", text: null, host: null, body: null, verify: false, port: null, first_status: null, last_status: null, direct: false'
}
case_ "checks as JSON" checks_json
odd_bytes() { # JSON is UTF-8, names of files need not be; a policy's strings are
	odd=$(printf '%s/\377.conf' "$T")
	printf 'balance web on to1 {\n\tvirtual 203.0.113.10 tcp port 80\n\tforward l2\n\tbackend 198.18.2.2\n\tcheck http "/a\303\251b" every 2s timeout 500ms rise 2 fall 3\n}\n' >"$odd"
	for v in list show; do
		bal $v -f "$odd" -j >"$T/j" && jq -e '(.services | length) == 1 and .services[0].service == "web" and .services[0].check.text == "/a\u00e9b" and
			(.file | endswith("/?.conf"))' "$T/j" >/dev/null || { echo "$v"; cat "$T/j"; return 1; }
	done
}
case_ "bytes that are no UTF-8" odd_bytes
case_ "no such service" expect_fail 3 "^sluice balance show: no service 'wep', did you mean web\\?$" bal show wep
case_ "no such service, nothing near" expect_fail 3 "^sluice balance stats: no service 'mailserver'; there are 2: web, dns\$" bal stats mailserver
case_ "no such backend" expect_fail 3 '^sluice balance drain: web has no backend 198.18.2.3, did you mean 198.18.2.2\?$' bal drain web 198.18.2.3
case_ "no such backend, nothing near" expect_fail 3 '^sluice balance flows: dns has no backend 10.99.99.99; sluice balance show dns lists them$' bal flows dns 10.99.99.99
case_ "a backend of no service" expect_fail 3 '^sluice balance undrain: no service has a backend 10.99.99.99; sluice balance show lists them$' bal undrain 10.99.99.99
case_ "no address" expect_fail 2 "^sluice balance set-weight: '10.9' is no" bal set-weight 10.9 3
case_ "no weight" expect_fail 2 "^sluice balance set-weight: .*70000" bal set-weight web 198.18.2.2 70000
file() {
	"$SLUICE" balance list -f "$T/lb.conf" >"$T/out" && head -n 1 "$T/out" | grep -qx "# $T/lb.conf, not in force" && grep -q '^dns ' "$T/out" || { cat "$T/out"; return 1; }
}
case_ "of a file" file
nobody() { # VERB ARG...
	expect_fail 4 "^sluice balance $1: " nsenter --net="/run/netns/sluice-$LAB-box" setpriv --reuid=65534 --regid=65534 --clear-groups "$SLUICE" balance "$@"
}
case_ "show without privilege" nobody show
case_ "drain without privilege" nobody drain web 198.18.2.2 -n

# --- backends, and connections
for i in 2 3; do
	on_exit "rm -f /run/sluice/backend-net$(stat -Lc %i "/run/netns/sluice-$LAB-h$i")"
	case_ "backend h$i" "h$i" "$SLUICE" balance backend "$T/lb.conf" --apply
done
web() { # HOST: a server there; /slow is 30 kB at 3 kB/s, /slower 75 kB
	mkdir -p "$T/$1/www" && echo "$1" >"$T/$1/www/who" && head -c 30000 /dev/zero >"$T/$1/www/slow" &&
		head -c 75000 /dev/zero >"$T/$1/www/slower" && chmod -R a+rX "$T"
	cat >"$T/$1/nginx.conf" <<-N
		daemon off; worker_processes 1; pid $T/$1/pid; error_log $T/$1/err; user root;
		events { worker_connections 256; }
		http { access_log off; client_body_temp_path $T/$1/b; proxy_temp_path $T/$1/p; fastcgi_temp_path $T/$1/f;
			uwsgi_temp_path $T/$1/u; scgi_temp_path $T/$1/s;
			server { listen 80; root $T/$1/www; location /slow { limit_rate 3k; } } }
	N
	nsenter --net="/run/netns/sluice-$LAB-$1" nginx -c "$T/$1/nginx.conf" >"$T/$1/said" 2>&1 &
	on_exit "kill $! 2>/dev/null"
	wait_until 10 "$1" sh -c 'ss -Htln sport = :80 | grep -q .' || { cat "$T/$1/said"; return 1; }
}
if ! command -v nginx >/dev/null || ! command -v curl >/dev/null; then
	skip "connections" "no nginx or no curl here"
	done_
fi
case_ "a server in h2" web h2
case_ "a server in h3" web h3
get() { nsenter --net="/run/netns/sluice-$LAB-h1" curl -sS -m 60 "$@"; }
curls() { # both answer, directly: the box has nothing of the answers' way but forwarding
	for i in $(seq 1 40); do get http://203.0.113.10/who || return 1; done | sort | uniq -c | tr -s ' ' >"$T/who"
	[ "$(awk '{ n += $1 } END { print n }' "$T/who")" = 40 ] && grep -q h2 "$T/who" && grep -q h3 "$T/who" || { cat "$T/who"; return 1; }
}
case_ "connections through the balancer" curls

# --- counters
stat() { # JQ ARG...
	q=$1
	shift
	bal stats -1 -j "$@" | jq -r "$q"
}
opened() { is "connections that were opened" 40 "$(stat '.services[0].total.new')"; }
case_ "they are counted" opened
who() { # WORDS: the backend that gets it
	bal why "$1" -j | jq -r .backend
}
udp() { # SPORT: a frame from h1 to 203.0.113.10 port 5000, 50 bytes of IP
	printf '0200c61201010200c6120102080045000032000100004011%04xc6120102cb00710a%04x1388001e0000%044x' "$(udp_sum)" "$1" 0
}
udp_sum() { # of the IPv4 header above: RFC 1071
	s=$((0x4500 + 0x0032 + 0x0001 + 0x0000 + 0x4011 + 0xc612 + 0x0102 + 0xcb00 + 0x710a))
	s=$(((s & 0xffff) + (s >> 16)))
	echo $((0xffff ^ ((s & 0xffff) + (s >> 16))))
}
exact() { # what why says is where packets go, and they are counted to the byte
	for port in 1000 1001 1002 1003 1004 1005; do
		to=$(who "udp 198.18.1.2:$port > 203.0.113.10:5000")
		q=".services[0].backends[] | select(.backend == \"$to\") | \"\\(.packets) \\(.bytes)\""
		# shellcheck disable=SC2046
		set -- $(stat "$q")
		[ $# = 2 ] || { echo "port $port goes to '$to', of which there is: $*"; bal stats -1; return 1; }
		nsenter --net="/run/netns/sluice-$LAB-h1" "$BUILD/tests/frames" eth0 7 "$(udp $port)" || return 1
		is "packets and bytes of $to, port $port" "$(($1 + 7)) $(($2 + 350))" "$(stat "$q")" || return 1
	done
}
case_ "why and the counters agree" exact
text() {
	bal stats -1 dns >"$T/out" || return 1
	sed 1d "$T/out" | tr -s ' ' | sed 's/^ //' >"$T/got"
	head -n 1 "$T/out" | grep -qE '^# 20..-..-.. ..:..:.. policy [0-9]+-[0-9a-f]{12}$' && printf '%s\n' 'service dns: 0 packets 0 bytes
BACKEND STATE WEIGHT PACKETS BYTES NEW ACTIVE TABLE SLOT SHARE
198.18.3.2 up 1 0 0 0 0 0 0 0.0%' | diff - "$T/got"
}
case_ "stats as text" text
dropped() { # a later fragment of which the first was not seen
	before=$(stat '.services[0].dropped.no_first + .no_service.dropped.no_first')
	frag=$(printf '0200c61201010200c612010208004500003200010008401100%02xc6120102cb00710a%060x' 0 0)
	nsenter --net="/run/netns/sluice-$LAB-h1" "$BUILD/tests/frames" eth0 3 "$frag" || return 1
	is "fragments without their first one" $((before + 3)) "$(stat '.services[0].dropped.no_first + .no_service.dropped.no_first')"
}
case_ "drops by reason" dropped
rates() { # 600 packets in what is measured
	rm -f "$T/j"
	bal stats web -j -i 100ms -c 30 >"$T/j" &
	pid=$!
	wait_until 5 test -s "$T/j" || return 1
	nsenter --net="/run/netns/sluice-$LAB-h1" "$BUILD/tests/frames" eth0 600 "$(udp 1000)"
	wait $pid || return 1
	jq -es 'length == 30 and (map(.services[0].total.pps * .interval_ns / 1e9) | add) as $n | $n > 590 and $n < 610' "$T/j" || { jq -c '[.interval_ns, .services[0].total.pps]' "$T/j"; return 1; }
}
case_ "rates" rates

# --- why
why() { # WANT WORDS: the lines behind the first
	bal why "$2" >"$T/out" || { cat "$T/out"; return 1; }
	sed 1d "$T/out" | sed 's/slot [0-9]*/slot N/' >"$T/got"
	printf '%s\n' "$1" | diff - "$T/got"
}
case_ "by hash" why "service web, backend $(who 'tcp 198.18.1.2:4711 > 203.0.113.10:80') (forward l2)
by hash: slot N of 251 is settled" 'tcp 198.18.1.2:4711 > 203.0.113.10:80'
case_ "by affinity" why 'service dns, backend 198.18.3.2 (forward l2)
by affinity: slot N of its source address of 65537 is settled' 'udp 198.18.1.2:4711 > 203.0.113.53:53'
nowhere() {
	bal why 'tcp 198.18.1.2:4711 > 203.0.113.99:80' >"$T/out"
	[ $? = 3 ] && sed 1d "$T/out" | grep -qx 'no service: 203.0.113.99 with this port is none of the virtual addresses; the packet passes to this host' || { cat "$T/out"; return 1; }
	bal why 'tcp 198.18.1.2:4711 > 203.0.113.10:80 on to2' >"$T/out"
	[ $? = 3 ] && sed 1d "$T/out" | grep -qx 'no service: 203.0.113.10 with this port is none of the virtual addresses on this interface; the packet passes to this host' || { cat "$T/out"; return 1; }
}
forgotten() { # what is missing is said
	expect_fail 2 '^sluice balance set-weight: which weight\? sluice balance set-weight web 198.18.2.2 WEIGHT\|policy$' bal set-weight web 198.18.2.2 &&
		expect_fail 2 '^sluice balance drain: web is a service; say which of its backends, too \(sluice balance show web lists them\)$' bal drain web -n &&
		expect_fail 3 "^sluice balance show: no service 'nope'; there are 2: web, dns$" bal show nope || return 1
	bal why 'udp 198.18.1.2:4711 > 203.0.113.10:80' >"$T/out"
	[ $? = 3 ] && sed 1d "$T/out" | grep -qx 'no service: 203.0.113.10 port 80 is a virtual address of TCP alone; the packet passes to this host' || { cat "$T/out"; return 1; }
}
case_ "what was forgotten, or does not fit" forgotten
case_ "no service" nowhere
late() { # a fragment whose first one nobody saw is dropped where the address has services, and passes elsewhere
	f='udp 198.18.1.2 > 203.0.113.10 fragment later'
	bal why "$f" >"$T/out"
	is "exit" 3 $? && sed 1d "$T/out" | grep -qx 'a fragment whose first one was not seen: it is dropped and counted (no_first)' || { cat "$T/out"; return 1; }
	is json '[null,null,"no_first"]' "$(bal why "$f" -j | jq -c '[.service, .backend, .why]')" &&
		is elsewhere '[null,null,"no_service"]' "$(bal why "$f on to2" -j | jq -c '[.service, .backend, .why]')" &&
		is "no address" '[null,null,"no_service"]' "$(bal why 'udp 198.18.1.2 > 203.0.113.11 fragment later' -j | jq -c '[.service, .backend, .why]')"
}
case_ "a fragment without its first one" late
drops() { # LINE JSON WORDS: the last line, and what JSON says
	bal why "$3" >"$T/out"
	is "exit" 3 $? && is "why" "$1" "$(tail -n 1 "$T/out" | sed 's/to 198.18.[23].2/to H/')" && is JSON "$2" "$(bal why "$3" -j | jq -c '[.service, .backend, .why, .drop]')"
}
case_ "too long for the way" drops 'of its 1501 bytes 1500 would fit on the way to H: it is dropped, and its sender told by ICMP (too_big_told)' \
	'["web",null,"hash","too_big_told"]' 'udp 198.18.1.2:1000 > 203.0.113.10:5000 length 1515'
case_ "not dropped" is JSON '["hash",null]' "$(bal why 'udp 198.18.1.2:1000 > 203.0.113.10:5000 length 1514' -j | jq -c '[.why, .drop]')"

# --- weights
weight() { # WANT ARG...
	want=$1
	shift
	bal set-weight "$@" >"$T/out" 2>&1 && is "what set-weight says" "$want" "$(cat "$T/out")"
}
said() { bal show -j | jq -c '[.services[] | .service as $s | .backends[] | [$s, .address, .weight, .state, (.said | map([.what, .value, .by]))]]'; }
case_ "another weight" weight '198.18.2.2 of web has weight 40, before 10' web 198.18.2.2 40
case_ "it counts" is "what was said" '[["web","198.18.2.2",40,"up",[["weight",40,"operator"]]],["web","198.18.3.2",10,"up",[]],["dns","198.18.3.2",1,"up",[]]]' "$(said)"
share() {
	n=$(bal show web -j | jq '.services[0].backends[0].slots')
	[ "$n" -ge 200 ] && [ "$n" -le 202 ] || { echo "$n of 251 slots, 200.8 were wanted"; return 1; }
}
case_ "and in slots" share
case_ "of all services" weight '198.18.3.2 of web has weight 5, before 10
198.18.3.2 of dns has weight 5, before 1' 198.18.3.2 5
case_ "that of the policy again" weight '198.18.3.2 of web has weight 10, before 5
198.18.3.2 of dns has weight 1, before 5' 198.18.3.2 policy
weight_json() {
	is JSON '[{"service":"web","backend":"198.18.2.2","changed":true,"weight":10,"before":40}]' "$(bal set-weight web 198.18.2.2 policy -j)"
}
case_ "as JSON" weight_json
case_ "nothing is left of it" is "what was said" '[["web","198.18.2.2",10,"up",[]],["web","198.18.3.2",10,"up",[]],["dns","198.18.3.2",1,"up",[]]]' "$(said)"

# --- draining, under connections
port=21000
slow() { # N [slower]: as many connections to each, that take ten or 25 seconds; why says from which ports
	pids='' n2=0 n3=0 what=${2:-slow} size=30000
	[ "$what" = slow ] || size=75000
	while [ $n2 -lt "$1" ] || [ $n3 -lt "$1" ]; do
		port=$((port + 1))
		case $(who "tcp 198.18.1.2:$port > 203.0.113.10:80 syn") in
		198.18.2.2) n2=$((n2 + 1)); [ $n2 -le "$1" ] || continue ;;
		198.18.3.2) n3=$((n3 + 1)); [ $n3 -le "$1" ] || continue ;;
		*) echo "port $port goes nowhere"; return 1 ;;
		esac
		get -o "$T/slow.$port" --local-port "$port" "http://203.0.113.10/$what" &
		pids="$pids $!"
	done
	wait_until 10 sh -c '[ "$(ls "$1"/slow.* | wc -l)" = "$2" ]' - "$T" $((2 * $1))
}
slow_end() { # none of them broke
	n=0
	for p in $pids; do
		wait "$p" || { echo "connection $p broke"; n=$((n + 1)); }
	done
	for f in "$T"/slow.*; do [ "$(wc -c <"$f")" = $size ] || { echo "$f: $(wc -c <"$f") bytes"; n=$((n + 1)); }; done
	rm -f "$T"/slow.*
	[ $n = 0 ]
}
established() { "$1" ss -Htn state established sport = :80 | wc -l; }
drain() {
	slow 6 || return 1
	is "connections of h2" 6 "$(established h2)" && is "connections of h3" 6 "$(established h3)" || return 1
	start=$(date +%s)
	bal drain web 198.18.2.2 --idle 5s >"$T/out" 2>&1
	rc=$?
	slow_end && is "exit code" 0 $rc && sed -n 1p "$T/out" | grep -qx '198.18.2.2 of web drains: no new flows' &&
		tail -n 1 "$T/out" | grep -qx 'drained: no flow had a packet for 5s' && grep -qx "6 flows left" "$T/out" || { cat "$T/out"; return 1; }
	[ $(($(date +%s) - start)) -ge 5 ]
}
case_ "drain waits for connections, and none breaks" drain
only() {
	for i in $(seq 1 20); do get http://203.0.113.10/who || return 1; done | sort -u >"$T/who"
	is "who answers" h3 "$(cat "$T/who")"
}
case_ "no new ones get there" only
case_ "it is shown" is "what was said" '[["web","198.18.2.2",10,"draining",[["drain",true,"operator"]]],["web","198.18.3.2",10,"up",[]],["dns","198.18.3.2",1,"up",[]]]' "$(said)"
again() {
	bal drain web 198.18.2.2 -n >"$T/out" && is "what drain says" '198.18.2.2 of web is draining already' "$(cat "$T/out")"
}
case_ "again" again
undrain() {
	bal undrain 198.18.2.2 >"$T/out" && is "what undrain says" '198.18.2.2 of web gets new flows again' "$(cat "$T/out")" &&
		bal undrain 198.18.2.2 -j >"$T/out" && is JSON '[{"service":"web","backend":"198.18.2.2","changed":false}]' "$(cat "$T/out")"
}
case_ "undrain" undrain
case_ "both get connections again" curls
stopped() { # Ctrl-C ends the waiting alone
	slow 4 slower || return 1
	$FOREGROUND nsenter --net="/run/netns/sluice-$LAB-box" "$SLUICE" balance drain web 198.18.2.2 >"$T/out" 2>&1 &
	pid=$!
	wait_until 10 grep -q 'left$' "$T/out" || return 1
	kill -INT $pid
	wait $pid
	is "exit code" 1 $? && tail -n 1 "$T/out" | grep -qE '^[0-9]+ flows? left; it goes on draining; sluice balance undrain takes that back$' || { cat "$T/out"; return 1; }
	is "state" draining "$(bal show web -j | jq -r '.services[0].backends[0].state')"
}
case_ "Ctrl-C" stopped
waited() {
	bal drain web 198.18.2.2 --wait 1s -j >"$T/out"
	is "exit code" 1 $? && jq -e '.result == "time" and .flows > 0 and .backends == [{service: "web", backend: "198.18.2.2", changed: false, flows: .flows}]' "$T/out" >/dev/null || { cat "$T/out"; return 1; }
}
case_ "waiting for a time" waited
flows() { # the table has those of the changed slots, by backend
	n=$(established h2)
	bal flows web -j >"$T/out" && jq -e --argjson n "$n" '[.backends[] | select(.backend == "198.18.2.2") | .ages.under_10s] | add >= $n' "$T/out" >/dev/null || { echo "$n"; cat "$T/out"; return 1; }
	bal flows web 198.18.2.2 >"$T/out" && sed -n 1p "$T/out" | tr -s ' ' | grep -qx 'SERVICE BACKEND KEPT NEW <10s <1m <10m OLDER' && is lines 2 "$(wc -l <"$T/out")" || { cat "$T/out"; return 1; }
	bal flows web 198.18.2.2 -e -n 1 >"$T/out" && grep -qE '^web +198.18.2.2 +(kept|new) +[0-9]+s  [0-9a-f]{8}$' "$T/out" || { cat "$T/out"; return 1; }
}
case_ "flows" flows
known() { # a connection of the backend that drains: by the table; a new one from the same port would go elsewhere
	port=$(h2 ss -Htn state established sport = :80 | awk '{ n = split($4, p, ":"); print p[n]; exit }')
	bal why "tcp 198.18.1.2:$port > 203.0.113.10:80" -j >"$T/out" && jq -e '.backend == "198.18.2.2" and .why == "flow_table"' "$T/out" >/dev/null || { cat "$T/out"; return 1; }
	bal why "tcp 198.18.1.2:$port > 203.0.113.10:80" | sed -n 3p | grep -qE '^by the flow table: the flow is known there; its slot [0-9]+ has changed$' || { cat "$T/out"; return 1; }
	for p in $(seq 20000 20040); do
		bal why "tcp 198.18.1.2:$p > 203.0.113.10:80 syn" -j >"$T/out"
		jq -e 'if .why == "new" then .backend == "198.18.3.2" else .why == "hash" end' "$T/out" >/dev/null || { cat "$T/out" >&2; return 1; }
		bal why "tcp 198.18.1.2:$p > 203.0.113.10:80" -j >"$T/out"
		jq -e 'if .why == "previous" then .until_ns > 0 and .backend == "198.18.2.2" elif .why == "current" then
			.until_ns == null and .backend == "198.18.3.2" else .why == "hash" end' "$T/out" >/dev/null || { cat "$T/out" >&2; return 1; }
		cat "$T/out"
	done >"$T/whys" || return 1
	jq -se 'map(.why) | index("previous") != null and index("hash") != null' "$T/whys" >/dev/null || { cat "$T/whys"; return 1; }
}
case_ "why: flow table, previous backend, hash" known
case_ "none broke" slow_end
unknown() { # nothing is known of flows before --idle is over
	bal drain dns 198.18.3.2 --wait 1s >"$T/out"
	is "exit code" 1 $? && printf '%s\n' '198.18.3.2 of dns drains: no new flows' \
		'not known yet how many flows are left: --idle 1m is not over; it goes on draining; sluice balance undrain takes that back' | diff - "$T/out" || return 1
	bal drain dns 198.18.3.2 --wait 1s -j >"$T/out"
	is "exit code" 1 $? && is JSON '{"result":"time","flows":null,"backends":[{"service":"dns","backend":"198.18.3.2","changed":false,"flows":null}]}' "$(cat "$T/out")" || return 1
	bal drain dns 198.18.3.2 --idle 5s >"$T/out" && tail -n 1 "$T/out" | grep -qx 'drained: no flow had a packet for 5s' && bal undrain dns 198.18.3.2 >/dev/null
}
case_ "how many are left is not known at once" unknown
case_ "undrain once more" bal undrain web 198.18.2.2

# --- a trial: what is said counts for the policy before it, too
trial() {
	sed 's/203.0.113.53 udp port 53/203.0.113.54 udp port 53/' "$T/lb.conf" >"$T/lb2.conf"
	sl apply "$T/lb2.conf" --confirm 60s >/dev/null || return 1
	bal list >"$T/out" && sed -n 1p "$T/out" | grep -qE '^# policy [0-9]+-[0-9a-f]{12}, on trial for ([0-9]+s|1m) more$' && grep -q 203.0.113.54 "$T/out" || { cat "$T/out"; return 1; }
	bal drain web 198.18.3.2 -n >/dev/null && bal set-weight web 198.18.2.2 7 >/dev/null || return 1
	is "on trial" '[["web","198.18.2.2",7,"up",[["weight",7,"operator"]]],["web","198.18.3.2",10,"draining",[["drain",true,"operator"]]],["dns","198.18.3.2",1,"up",[]]]' "$(said)" || return 1
	sl rollback >/dev/null && bal list | grep -q 203.0.113.53 &&
		is "back" '[["web","198.18.2.2",7,"up",[["weight",7,"operator"]]],["web","198.18.3.2",10,"draining",[["drain",true,"operator"]]],["dns","198.18.3.2",1,"up",[]]]' "$(said)"
}
case_ "on trial, and back" trial
goes_on() { # over apply
	sl apply "$T/lb2.conf" >/dev/null && is "after apply" '[["web","198.18.2.2",7,"up",[["weight",7,"operator"]]],["web","198.18.3.2",10,"draining",[["drain",true,"operator"]]],["dns","198.18.3.2",1,"up",[]]]' "$(said)" &&
		bal undrain 198.18.3.2 >/dev/null && bal set-weight 198.18.2.2 policy >/dev/null
}
case_ "over apply" goes_on
case_ "all get connections at the end" curls
NO_NEW='has no backend left that takes new flows'
none() { # nobody is left: dropped, counted, and said so
	bal drain 198.18.2.2 -n >/dev/null 2>"$T/err" && is "of the first" '' "$(cat "$T/err")" && bal drain 198.18.3.2 -n >"$T/out" 2>"$T/err" &&
		printf '%s\n' "sluice balance drain: web $NO_NEW: they are dropped; sluice balance show web has all" \
			"sluice balance drain: dns $NO_NEW: they are dropped; sluice balance show dns has all" | diff - "$T/err" && is "what drain says" '198.18.3.2 of web drains: no new flows
198.18.3.2 of dns drains: no new flows' "$(cat "$T/out")" || return 1
	bal why 'tcp 198.18.1.2:9 > 203.0.113.10:80 syn' >"$T/out"
	is "exit code" 3 $? && sed 1d "$T/out" >"$T/got" && printf '%s\n' 'service web, no backend' \
		'no backend takes it, all are down or draining: it is dropped and counted (no_backend)' | diff - "$T/got" || return 1
	bal undrain 198.18.2.2 >/dev/null && bal undrain 198.18.3.2 >/dev/null && bal why 'tcp 198.18.1.2:9 > 203.0.113.10:80 syn' >/dev/null || return 1
	bal set-weight dns 198.18.3.2 0 2>"$T/err" && grep -q "^sluice balance set-weight: dns $NO_NEW: they are dropped" "$T/err" && bal set-weight dns 198.18.3.2 policy 2>"$T/err" && is "said" '' "$(cat "$T/err")"
}
case_ "none is left" none
quic_sends() { # short headers: configuration 0, server id 1
	h1 bash -c 'exec 3<>/dev/udp/203.0.113.10/443; while sleep 0.3; do printf "\x40\x00\x00\x01and sixteen more" >&3; done' >/dev/null 2>&1
}
quic() { # its connections are in no table, but their packets are counted
	printf 'balance quic on to1 {\n\tvirtual 203.0.113.10 udp port 443\n\tforward l2\n\tquic server-id 2 bytes\n\tbackend 198.18.2.2 id 1\n\tbackend 198.18.3.2 id 2\n}\n' >"$T/lbq.conf"
	sl apply "$T/lbq.conf" --force >"$T/out" 2>&1 || { cat "$T/out"; return 1; }
	bal show quic | sed 's/  */ /g' | grep -q '^ 198.18.3.2 id 2 1 ' &&
		is "what show has" '[{"server_id_bytes":2,"config":0},null,[1,2]]' "$(bal show quic -j | jq -c '.services[0] | [.quic, .pool, [.backends[].server_id]]')" || return 1
	words='udp 198.18.1.2:9 > 203.0.113.10:443'
	bal why "$words" >"$T/out" && is "why" "unless its connection id names a backend's server id: that one gets it then" "$(tail -n 1 "$T/out")" &&
		is JSON '[true,null]' "$(bal why "$words" -j | jq -c '[has("server_id"), .server_id]')" || return 1
	quic_sends &
	sender=$!
	bal drain quic 198.18.2.2 --idle 5s --wait 9s >"$T/out"
	rc=$?
	# shellcheck disable=SC2046
	kill $(pgrep -P $sender) $sender
	wait $sender
	is "exit code" 1 $rc && printf '%s\n' '198.18.2.2 of quic drains: no new flows' \
		'no flow left that is counted, but 198.18.2.2 of quic still gets packets: of connections whose ids name it' \
		'not known how many flows are left: 198.18.2.2 of quic had packets within --idle 5s; it goes on draining; sluice balance undrain takes that back' |
		diff - "$T/out" || return 1
	bal drain quic 198.18.2.2 --idle 5s --wait 30s >"$T/out" && tail -n 1 "$T/out" | grep -qx 'drained: no flow had a packet for 5s' || { cat "$T/out"; return 1; }
	sl apply "$T/lb2.conf" --force >/dev/null 2>&1
}
case_ "drain waits for connections whose ids name the backend" quic
shares() { # a small one is not none
	printf 'balance web on to1 {\n\tvirtual 203.0.113.10 tcp port 80\n\tforward l2\n\tbackend 198.18.2.2 weight 60000\n\tbackend 198.18.3.2 weight 1\n\tbackend { 198.18.2.77, 198.18.3.77 } weight 30\n\tbackend 198.18.2.78 weight 0\n}\n' >"$T/lbs.conf"
	sl apply "$T/lbs.conf" --force >"$T/out" 2>&1 || { cat "$T/out"; return 1; }
	bal show web | awk '$1 ~ /^198\.18/ { printf "%s%s", n++ ? " " : "", $3 }' >"$T/got"
	grep -qxE '99\.9% <0\.01% (0\.0(49|50)% ){2}0\.0%' "$T/got" || { cat "$T/got"; return 1; }
}
case_ "small shares" shares
nat() { # what is not translated: said, and counted when it comes
	printf 'balance web on to1 {\n\tvirtual 203.0.113.10 all ports\n\tforward nat from 192.0.2.8\n\tbackend 198.18.2.2\n}\n' >"$T/lbn.conf"
	sl apply "$T/lbn.conf" --force >"$T/out" 2>&1 || { cat "$T/out"; return 1; }
	is "what show has" '[null,["192.0.2.8"],null]' "$(bal show -j | jq -c '.services[0] | [.quic, .pool, .backends[0].server_id]')" &&
		is "of the file" '["192.0.2.8"]' "$(bal list -f "$T/lbn.conf" -j | jq -c '.services[0].pool')" || return 1
	drops 'forward nat translates TCP, UDP and ICMP echo requests alone: it is dropped and counted (mode)' '["web",null,null,"mode"]' 'sctp 198.18.1.2:9 > 203.0.113.10:5000' &&
		drops 'it is dropped and counted (damaged)' '["web",null,null,"damaged"]' 'udp 127.0.0.1:1000 > 203.0.113.10:5000' &&
		drops 'with a TTL of 1 it has come as far as it may: it is dropped and counted (ttl)' '["web",null,"hash","ttl"]' 'udp 198.18.1.2:1000 > 203.0.113.10:5000 ttl 1' || return 1
	frame() { nsenter --net="/run/netns/sluice-$LAB-h1" "$BUILD/tests/frames" eth0 3 "$(udp 1000 | sed "$1")"; }
	before=$(stat '.services[0].dropped | [.mode, .damaged, .ttl] | tojson')
	frame 's/4011/4084/' && frame 's/c6120102cb/7f000001cb/' && frame 's/4011/0111/' || return 1
	is "counted before, and now" "$before [3,3,3]" "$before $(stat '.services[0].dropped | [.mode, .damaged, .ttl] | tojson' | jq -c --argjson b "$before" '[.[0] - $b[0], .[1] - $b[1], .[2] - $b[2]]')" || return 1
	sl apply "$T/lb2.conf" --force >/dev/null 2>&1
}
case_ "why a packet is not translated" nat
tunnels() { # the same through IP in IP, taken off by the program on each backend
	sed 's/forward l2/forward ipip/' "$T/lb2.conf" >"$T/lb3.conf"
	for h in h2 h3; do
		$h "$SLUICE" balance backend "$T/lb3.conf" --xdp --apply >"$T/out" 2>&1 &&
			grep -qx 'done:   program decap on eth0' "$T/out" || { cat "$T/out"; return 1; }
	done
	sl apply "$T/lb3.conf" >"$T/out" 2>&1 || { cat "$T/out"; return 1; }
	is forward ipip "$(bal why 'tcp 198.18.1.2:4711 > 203.0.113.10:80' -j | jq -r .forward)" && curls
}
case_ "through tunnels" tunnels
screen() { # the keys of the full screen; what is seen is whatever the last picture has
	(sleep 1.5; printf 's'; sleep 0.3; printf 'h'; sleep 0.3; printf 'h'; sleep 0.3; printf 'q') |
		TERM=xterm timeout 20 nsenter --net="/run/netns/sluice-$LAB-box" script -qec "$SLUICE balance stats -i 100ms" /dev/null >"$T/screen" 2>&1 || { cat "$T/screen"; return 1; }
	grep -q 'sluice balance stats' "$T/screen" && grep -q '198.18.2.2' "$T/screen" && grep -q 'SHARE' "$T/screen" && grep -q 'q quit' "$T/screen"
}
case_ "the screen" screen
# what is on a screen of 80 columns after keys: TERM=vt52 has few sequences, and lines that run over would be seen
picture() { # KEYS: $T/picture
	(sleep 1; { printf '%b' "$1"; echo; } | sed 's/~/\n~/g' | while IFS= read -r k; do printf '%s' "${k#"~"}"; sleep 0.4; done; sleep 0.6; printf q) |
		TERM=vt52 timeout 20 nsenter --net="/run/netns/sluice-$LAB-box" script -qec "stty cols 80 rows 24; $SLUICE balance stats -i 100ms" /dev/null >"$T/screen" 2>&1
	# the last clearing of the screen is its end
	LC_ALL=C od -An -v -tu1 -w1 "$T/screen" | awk '
		function keep() { for (i = 0; i < 24; i++) { shot[i] = ""; for (k = 0; k < 80; k++) shot[i] = shot[i] ((i, k) in c ? c[i, k] : " ") } }
		{ b = $1 }
		want == 1 { y = b - 32; want = 2; next }
		want == 2 { x = b - 32; want = 0; next }
		esc { esc = 0
			if (b == 89) want = 1
			else if (b == 72) x = y = 0
			else if (b == 65) y--; else if (b == 66) y++; else if (b == 67) x++; else if (b == 68) x--
			else if (b == 75) for (k = x; k < 80; k++) delete c[y, k]
			else if (b == 74) { if (!x && !y) keep(); for (k = x; k < 80; k++) delete c[y, k]; for (i = y + 1; i < 24; i++) for (k = 0; k < 80; k++) delete c[i, k] }
			next }
		b == 27 { esc = 1; next }
		b == 13 { x = 0; next } b == 10 { y++; next } b == 8 { x--; next }
		b >= 32 { c[y, x++] = sprintf("%c", b) }
		END { for (k = 0; k < 80; k++) if ((0, k) in c) { keep(); break }
			for (i = 0; i < 24; i++) { sub(/ +$/, "", shot[i]); print shot[i] } }' >"$T/picture"
}
narrow() {
	has() { grep -qE -e "$1" "$T/picture" || { echo "not seen: $1"; cat "$T/picture"; return 1; }; }
	hasnt() { ! grep -E -e "$1" "$T/picture" || { cat "$T/picture"; return 1; }; }
	picture '' && has '^\*BACKEND +STATE +PKTS +BYTES +PPS +BIT/S +NEW +ACTIVE +SHARE$' && has '^  198.18.2.2 +up( +[0-9.]+[kMG]?){6} +[0-9.]+%$' && has '^dns' || return 1
	picture '\033C~\033C' && has '^\*BACKEND +STATE +PPS +BIT/S +NEW +ACTIVE +SHARE +TABLE +SLOT$' || return 1
	picture h && has 'filter' && has ' contain a text; Enter keeps$' && has '^ +it, Esc drops it$' && has '^  h +this help' || return 1
	picture '/~d~n~s~\r' && has '^dns' && has '^  198.18.3.2' && hasnt '^web|198.18.2.2'
}
case_ "80 columns: all columns, help, the filter" narrow
off() { # the policy is taken off while it is read
	rm -f "$T/j"
	bal stats -j -i 50ms >"$T/j" 2>"$T/err" &
	pid=$!
	wait_until 5 test -s "$T/j" || return 1
	ours_now >>"$T/ours"
	sl down >/dev/null || return 1
	wait $pid
	is "exit code" 3 $? && is "what it says" 'sluice balance stats: no policy is in force here any more' "$(cat "$T/err")"
}
case_ "until the policy is taken off" off
undo() {
	for h in h2 h3; do
		n=$(stat -Lc %i "/run/netns/sluice-$LAB-$h")
		$h "$SLUICE" balance backend --undo >/dev/null && [ ! -e "/run/sluice/backend-net$n" ] &&
			! $h ip -o addr show dev lo | grep 203.0.113 && $h "$SLUICE" list eth0 | grep -q '^eth0 *-$' || return 1
	done
}
case_ "backends as they were" undo
forget
case_ "nothing is left" gone_all
done_
