#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Addresses translated (forward nat) between namespaces: connections while backends are added, drained and killed, and in a trial;
# ICMP, fragments, ports that change, what the verbs say.
#
#     h1 clients ── to1 box (the balancer ─┬─ to2 ── h2 ┐
#                       on all of to*)     ├─ to3 ── h3 ├ backends, which know no virtual address; their default
#                                          ├─ to4 ── h4 │ route leads through the box, and so to the pool
#                                          └─ to5 ── h5 ┘
#
# All sums are computed and verified by the kernels of clients and backends.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
. "$(dirname "$0")/balance_live.sh"
. "$(dirname "$0")/balance_live_steps.sh"
need_root
for tool in nginx curl nc jq; do
	command -v $tool >/dev/null || skip_all "needs $tool (packages.txt)"
done
policy_live 5
POOL4=192.0.2.8/31 POOL6=2001:db8:99::8/127
ALL4=203.0.113.11 ALL6=2001:db8:ff::11

list() { # FORMAT HOST...: their addresses
	format=$1
	shift
	for host; do printf "$format, " "$host"; done | sed 's/, $//'
}
web() { # HOST...: a service of each family
	cat <<-X
	balance web on to* {
		virtual $VIP4 tcp port 80
		virtual $VIP4 udp port 80
		forward nat from $POOL4
		backend { $(list 10.9.%s.2 "$@") }
	}
	balance web6 on to* {
		virtual $VIP6 tcp port 80
		virtual $VIP6 udp port 80
		forward nat from $POOL6
		backend { $(list fd09:%s::2 "$@") }
	}
	X
}
put() { sl apply "$@" >"$T/applied" 2>&1 || { cat "$T/applied"; return 1; }; }
apply() { shift; web "$@" >"$T/web.conf" && put "$T/web.conf"; }
drain() { sl balance drain web "10.9.$1.2" -n >/dev/null && sl balance drain web6 "fd09:$1::2" -n >/dev/null; }
undrain() { sl balance undrain web "10.9.$1.2" >/dev/null && sl balance undrain web6 "fd09:$1::2" >/dev/null; }
network() {
	chmod 755 "$T" && mkdir "$T/www" && chmod 755 "$T/www" && head -c 8000000 /dev/urandom >"$T/www/large" || return 1
	for host in 1 2 3 4 5; do passing h$host eth0 || return 1; done
	for host in 2 3 4 5; do
		serve h$host "$TALK" serve 80 h$host
		eval "server_$host=$served"
	done
	for host in 2 3 4 5; do wait_until 5 listens h$host || return 1; done
}

# --- a trial ---
trial() {
	apply nat 2 3 && clients 100 && all "more 40" && unbroken || say opened || return 1
	web 3 4 >"$T/other.conf"
	put "$T/other.conf" --confirm 60s && all "more 40" && unbroken h2 && [ "$(connected h4)" -gt 10 ] || say "on trial" || return 1
	sl rollback >"$T/said" && all round && all round && unbroken h2 h4 || say "rolled back" || return 1
	result
}
rolled_back() { [ "$(st .trial_left)" = null ]; }
alone() { # it rolls back by itself; nothing of anybody breaks but of the one that was there for the trial alone
	apply nat 2 3 && clients 100 && all "more 40" && unbroken || say opened || return 1
	web 2 3 4 >"$T/other.conf"
	put "$T/other.conf" --confirm 3s && all "more 40" && unbroken h4 && wait_until 10 rolled_back || say "on trial" || return 1
	all round && all round && unbroken h4 && all "more 40" && unbroken h4 || say "rolled back" || return 1
	result
}

# --- one of each ---
one() { # NAME VIRTUAL POOL BACKEND
	printf 'balance %s on to* {\n\tvirtual %s\n\tforward nat from %s\n\tbackend %s\n}\n' "$@"
}
odd() {
	{
		web 2
		one large "$VIP4 tcp port 82" $POOL4 10.9.3.2
		one large6 "$VIP6 tcp port 82" $POOL6 fd09:3::2
		one other "$VIP4 tcp port 81" $POOL4 '10.9.2.2 port 80'
		one other6 "$VIP6 tcp port 81" $POOL6 'fd09:2::2 port 80'
		one third "$VIP4 udp port 83" $POOL4 '10.9.2.2 port 80'
		one third6 "$VIP6 udp port 83" $POOL6 'fd09:2::2 port 80'
		one shut "$VIP4 udp port 90" $POOL4 '10.9.2.2 port 9'
		one shut6 "$VIP6 udp port 90" $POOL6 'fd09:2::2 port 9'
		one all "$ALL4 all ports" $POOL4 10.9.4.2
		one all6 "$ALL6 all ports" $POOL6 fd09:4::2
	} >"$T/odd.conf"
	put "$T/odd.conf"
}
of() { sl balance stats -1 -j | jq -c --arg s "$1" '.services[] | select(.service == $s) | .backends[0] | [.packets, .new, .table, .slot]'; }
is() { [ "$2" = "$3" ] || { echo "$1: $3, should be $2"; return 1; }; }
echos() { inns "$1" nstat -asz "$2" 2>/dev/null | awk -v n="$2" '$1 == n { print $2 }'; }
pings() { # only a service for all protocols takes them
	before="$(echos h2 IcmpInEchos) $(echos h2 Icmp6InEchos)"
	inns h1 ping -n -c 3 -i 0.2 -W 2 $ALL4 >"$T/ping" && inns h1 ping -n -c 3 -i 0.2 -W 2 $ALL6 >>"$T/ping" &&
		is answered 2 "$(grep -c '^3 packets transmitted, 3 received, 0% packet loss' "$T/ping")" &&
		is "echo requests, IPv4" '[3,0,2,1]' "$(of all)" && is "echo requests, IPv6" '[3,0,2,1]' "$(of all6)" || { cat "$T/ping"; return 1; }
	inns h1 ping -n -c 1 -W 1 $VIP4 >"$T/ping"
	inns h1 ping -n -c 1 -W 1 $VIP6 >>"$T/ping"
	is "not answered" 2 "$(grep -cE '^1 packets transmitted, 0 received, .*100% packet loss' "$T/ping")" &&
		is "from the box" 2 "$(grep -cE '^From (10.9.1.1|fd09:1::1) icmp_seq=1 Destination (Net|unreachable: No route)' "$T/ping")" &&
		is "echo requests to h2" "$before" "$(echos h2 IcmpInEchos) $(echos h2 Icmp6InEchos)" || { cat "$T/ping"; return 1; }
}
# what ICMP says gets to the socket that it is about
REFUSED='exec 3<>/dev/udp/$1/90 && echo hello >&3 && IFS= read -r -t 3 -u 3 line'
refused() {
	for vip in $VIP4 $VIP6; do
		inns h1 bash -c "$REFUSED" ask $vip >"$T/said" 2>&1
		grep -q 'Connection refused$' "$T/said" || { echo "$vip:"; cat "$T/said"; return 1; }
	done
	is "to the closed port, IPv4" '[1,0,0,1]' "$(of shut)" && is "IPv6" '[1,0,0,1]' "$(of shut6)"
}
nginx_on() {
	cat >"$T/nginx" <<-N
	daemon off; worker_processes 1; pid $T/nginx.pid; error_log $T/nginx.err; user root;
	events { worker_connections 64; }
	http { access_log off; client_body_temp_path $T/b; proxy_temp_path $T/p; fastcgi_temp_path $T/f;
		uwsgi_temp_path $T/u; scgi_temp_path $T/s;
		server { listen 82; listen [::]:82; root $T/www; } }
	N
	serve "$1" nginx -c "$T/nginx"
	wait_until 10 inns "$1" sh -c "ss -Hltn 'sport = :82' | grep -q ."
}
large() {
	nginx_on h3 || return 1
	for vip in $VIP4 "[$VIP6]"; do
		inns h1 curl -gsS --max-time 20 "http://$vip:82/large" >"$T/got" && cmp "$T/got" "$T/www/large" || return 1
	done
	is "connections, IPv4" 1 "$(of large | jq '.[1]')" && is "IPv6" 1 "$(of large6 | jq '.[1]')"
}
fragments() { # and the datagrams come back with eight bytes more
	for vip in $VIP4 $VIP6; do
		begin frag h1 "$TALK" udp $vip 80 4000 50 && ask frag "more 20" >"$T/a" && ask frag round >"$T/a" && ask frag round >"$T/a"
		rc=$?
		stop frag
		[ $rc = 0 ] && is whole 20 "$(whole h2)" && unbroken || say "$vip" || return 1
	done
	[ "$(echos h2 IpReasmOKs)" -ge 60 ] && [ "$(echos h2 Ip6ReasmOKs)" -ge 60 ] && [ "$(echos h1 IpReasmOKs)" -ge 60 ] && [ "$(echos h1 Ip6ReasmOKs)" -ge 60 ] ||
		{ inns h2 nstat -as; return 1; }
}
# a client that begins many datagrams and ends none keeps nobody's from their way
flooded() {
	inns h1 python3 -c "
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for i in range(30000):
    s.sendto(struct.pack('>BBHHHBBH4s4sHHHH', 0x45, 0, 52, i & 0xffff, 0x2000, 64, 17, 0, socket.inet_aton('10.9.1.2'),
             socket.inet_aton('$ALL4'), 5353, 53, 1000, 0) + bytes(24), ('$ALL4', 0))" || return 1
	for a in $ALL4 $ALL6; do
		inns h1 ping -n -q -c 40 -i 0.02 -W 2 -s 3000 $a >"$T/ping" && grep -q ' 40 received' "$T/ping" || { cat "$T/ping"; return 1; }
	done
	echo "no_port: $(sl balance stats --once -j | jq -c '[.. | objects | .no_port? // empty] | add')"
}
# ports of the client's, two virtual ports, one port of the backend's: pairs of connections at the same time;
# below the ports that the kernel gives away, some of which connections of the cases before wait on
twice() {
	for vip in $VIP4 $VIP6; do
		for kind in tcp udp; do
			begin one h1 "$TALK" $kind $vip 80 300 50 21000 && begin two h1 "$TALK" $kind $vip $(other_port $kind) 300 50 21000 &&
				ask one "more 50" >"$T/a" && ask two "more 50" >"$T/a" && ask one round >"$T/a" && ask two round >>"$T/a"
			rc=$?
			stop one
			stop two
			[ $rc = 0 ] && is whole 100 "$(whole h2)" && unbroken || { echo "$kind $vip"; cat "$T/a" "$T"/one.err "$T"/two.err; return 1; }
		done
	done
}
other_port() { [ "$1" = tcp ] && echo 81 || echo 83; }

# --- the verbs ---
at=2
heard() { grep -q "^$1" "$T/$2.out"; }
said() { # datagrams of one socket, one after the other: the first finds its backend by the slot, the others are of a known flow
	sl down >/dev/null
	apply nat 2 3 && begin nc h1 nc -u -p 42000 $VIP4 80 || return 1
	for i in 1 2 3 4 5; do
		echo $i >"$T/nc.in"
		wait_until 5 heard "h[23]      $i\$" nc || { cat "$T/nc.out" "$T/nc.err"; sl balance stats -1; return 1; }
	done
	at=$(sed -n 's/^h\([23]\) *1$/\1/p' "$T/nc.out")
	sl balance stats -1 -j >"$T/said" && sl balance why "udp 10.9.1.2:42000 > $VIP4:80" >"$T/why" || return 1
	is "of the service" '[5,150,0,4,1]' "$(jq -c '[.services[0].total | .packets, .bytes, .new, .table, .slot]' "$T/said")" &&
		is "of its backend" '[5,150,0,4,1]' "$(jq -c --arg b 10.9.$at.2 '.services[0].backends[] | select(.backend == $b) | [.packets, .bytes, .new, .table, .slot]' "$T/said")" &&
		is "of all others" '[0,0,0]' "$(jq -c --arg b 10.9.$at.2 '[.services[].backends[] | select(.backend != $b) | .packets]' "$T/said")" &&
		is "active flows" '[[1,0]]' "$(jq -c '[.services[].backends[] | [.active_kept, .active_new] | select(. != [0, 0])]' "$T/said")" &&
		is flows "[\"web\",\"10.9.$at.2\",1,0]" "$(sl balance flows -j | jq -c '.backends[] | select(.kept + .new > 0) | [.service, .backend, .kept, .new]')" &&
		is "one flow" "web 10.9.$at.2 kept" "$(sl balance flows -e | awk 'NR == 2 { print $1, $2, $3 }')" &&
		is why "service web, backend 10.9.$at.2 (forward nat)" "$(sed -n 2p "$T/why")" && is slot 'by hash: slot 33326 of 65537 is settled' "$(sed -n 3p "$T/why")"
}
waits() { # for flows that go on, and not for others
	was=$(date +%s)
	sl balance drain web 10.9.$at.2 --idle 5s --wait 20s >"$T/said" &
	drains=$!
	for i in 6 7 8; do
		sleep 1
		echo $i >"$T/nc.in"
		wait_until 5 heard "h$at      $i\$" nc || return 1
	done
	wait $drains && grep -q '^drained: no flow had a packet for 5s$' "$T/said" && [ $(($(date +%s) - was)) -ge 7 ] || { date +%s; echo $was; cat "$T/said"; return 1; }
}
unclaimed() { sl balance stats -1 -j | jq .no_service.notes.unclaimed; }
strangers() { # to the pool, but of no flow: counted, and the kernel's as if there were no pool
	stop nc
	for try in 1 2 3 4 5; do # a backend may still be saying goodbye to connections of the cases before
		was=$(unclaimed)
		inns h2 bash -c 'echo hello >/dev/udp/192.0.2.8/5000; echo hello >/dev/udp/2001:db8:99::9/5000'
		now=$(unclaimed)
		[ $((now - was)) != 2 ] || return 0
	done
	echo "unclaimed: $was, then $now (try $try)"
	return 1
}
nothing_left() {
	ours_now >>"$T/ours"
	sl down >"$T/said" && empty to1 && empty to5 && forget && gone_all
}

cd "$T" || exit 1
case_ "the network" network
case_ "connections, IPv4 and IPv6: added, drained, killed, back" changes nat 2 3 4 5 60 150
WHAT=soak
case_ "changes one after the other" changes nat 2 3 4 5 60 150 2
WHAT=trial
case_ "a trial with other backends is rolled back" changes
WHAT=alone
case_ "a trial with one more rolls back by itself" changes
case_ "one service of each kind" odd
case_ "ping: of a service for all protocols alone" pings
case_ "a closed port says so to the client" refused
case_ "large transfers" large
case_ "datagrams in fragments, both ways" fragments
if command -v python3 >/dev/null; then case_ "pings in fragments behind 30,000 datagrams that never end" flooded; else skip "30,000 datagrams that never end" "no python3"; fi
case_ "the same ports of a client's to two virtual ports" twice
case_ "no sum was wrong" quiet_errors h1 h2 h3 h4 h5
case_ "what the verbs say" said
case_ "draining ends with the last flow" waits
case_ "what is of no flow" strangers
case_ "down: nothing is left" nothing_left
done_
