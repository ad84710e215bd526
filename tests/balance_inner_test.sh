#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Checks that go through tunnels: real backends with the decapsulating program, and what is told when they take no tunnels.
# Each server listens at the virtual address alone, so nothing but a packet out of the tunnel reaches it.
#
#   box (sluice serve) to1 ──── eth0 h1
#                      to2 ──── eth0 h2
#                      to3 ──── eth0 h3: a client
. "$(dirname "$0")/lib.sh"
need_root
L=inner$$
on_exit '"$SLUICE" lab down $L >/dev/null 2>&1'
"$SLUICE" lab up --name $L --hosts 3 >/dev/null || { echo "Bail out! no lab"; exit 1; }
H1=198.18.1.2 H2=198.18.2.2 H1_6=2001:db8:1::2 V4=203.0.113.10 V6=2001:db8:10::10
in_() { h=$1; shift; "$SLUICE" lab run --lab $L "$h" -- "$@"; }
box() { in_ box "$@"; }
netns=$(box stat -Lc %i /proc/self/ns/net)
RUN=/run/sluice/policy-net$netns
on_exit 'box "$SLUICE" down >/dev/null 2>&1; rm -rf "$RUN" /var/lib/sluice/policy/netns-sluice-$L-box "/sys/fs/bpf/sluice/net${netns}_policy"'
on_exit 'in_ h1 "$SLUICE" balance backend --undo >/dev/null 2>&1; in_ h2 "$SLUICE" balance backend --undo >/dev/null 2>&1'

said() { grep -qxF -e "sluice serve: $1" "$T/said"; }
says() { wait_until "$1" said "$2" || { cat "$T/said"; return 1; }; }
says_not() { ! grep -E -e "$1" "$T/said"; }
daemon=
daemon() {
	[ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
	: >"$T/said"
	"$SLUICE" lab run --lab $L box -- "$@" "$SLUICE" serve -v 2>>"$T/said" &
	daemon=$!
	on_exit "kill -9 $daemon 2>/dev/null"
}
stop() { kill "$daemon" && wait "$daemon"; }
listens() { in_ "$1" ss -Hltn "sport = :$2" | grep -q .; }
conf() { # NAME LINE...
	file=$T/$1.conf
	shift
	printf '%s\n' "$@" >"$file"
	box "$SLUICE" apply "$file" >"$T/applied" 2>&1 || { cat "$T/applied"; return 1; }
}
check='every 500ms timeout 400ms rise 2 fall 2'
web() { # FORWARD CHECK: two addresses, three backends
	cat <<-C
		balance web on to1 {
			virtual $V4 tcp port 8080
			virtual $V6 tcp port 8080
			forward $1
			backend $H1
			backend $H2
			backend $H1_6
			check $2 $check
		}
	C
}
backend() { in_ "$1" "$SLUICE" balance backend "$T/web.conf" --apply --xdp >"$T/done" 2>&1 || { cat "$T/done"; return 1; }; }
serve_at() { # HOST ADDRESS: answers requests there with 200
	printf 'daemon off;\npid %s/nginx-%s-%s.pid;\nerror_log /dev/null;\nevents { }\nhttp { access_log off; server { listen %s:8080; return 200 "ok\\n"; } }\n' \
		"$T" "$1" "${#2}" "$2" >"$T/nginx-$1-${#2}.conf"
	"$SLUICE" lab run --lab $L "$1" -- nginx -c "$T/nginx-$1-${#2}.conf" -p "$T" >/dev/null 2>&1 &
	on_exit "kill $! 2>/dev/null"
}

begin() {
	web ipip tcp >"$T/web.conf"
	backend h1 && backend h2 || return 1
	serve_at h1 $V4
	serve_at h1 "[$V6]"
	serve_at h2 $V4
	wait_until 5 listens h1 8080 && wait_until 5 listens h2 8080 || return 1
	! box curl -sm 1 "http://$H1:8080/" # nobody listens there
}
case_ "servers at the virtual address" begin
all_up() { # WHY
	says 6 "service web, $H1 is up: $1" && says 6 "service web, $H2 is up: $1" && says 6 "service web, $H1_6 is up: $1" &&
		says_not 'past|is down'
}
through() { # FORWARD CHECK WHY
	conf web "$(web "$1" "$2")" && backend h1 && backend h2 || return 1
	daemon
	all_up "$3" && stop
}
case_ "IP in IP, tcp; IPv4 and IPv6" through ipip tcp connected
case_ "IP in IP, http" through ipip 'http "/"' "status 200"
case_ "IP in IP, icmp" through ipip icmp "echo reply"
case_ "GUE, tcp" through gue tcp connected
case_ "GUE, http" through gue 'http "/" body "ok"' "status 200"
case_ "GUE, icmp" through gue icmp "echo reply"

no_tunnel() { # the host answers as before, its tunnel does not
	conf web "$(web ipip icmp)" && backend h1 && backend h2 || return 1
	daemon
	all_up "echo reply" || return 1
	in_ h1 "$SLUICE" detach eth0 decap --force >/dev/null || return 1
	box ping -c 1 -W 1 $H1 >/dev/null || return 1
	says 4 "service web, $H1 is down: no echo reply within 400ms" || return 1
	backend h1
	: >"$T/said"
	says 6 "service web, $H1 is up: echo reply"
}
case_ "a backend that takes no tunnels is down" no_tunnel
no_address() {
	in_ h2 ip addr del $V4/32 dev lo || return 1
	says 4 "service web, $H2 is down: no echo reply within 400ms" || return 1
	in_ h2 ip addr add $V4/32 dev lo
	stop
}
case_ "a backend without the virtual address is down" no_address
links() { grep -l '^link_type:.*tcx' /proc/$daemon/fdinfo/* 2>/dev/null | wc -l; }
ids() { grep -h '^prog_id:' /proc/$daemon/fdinfo/* 2>/dev/null | awk '{ print $2 }' | sort -u; }
all_gone() { for i in $ids; do ! bpftool prog show id "$i" >/dev/null 2>&1 || return 1; done; }
killed() {
	daemon
	all_up "echo reply" || return 1
	ids=$(ids)
	[ "$(links)" = 6 ] && [ "$(echo "$ids" | wc -l)" -ge 2 ] && ! all_gone || return 1
	kill -9 $daemon
	wait $daemon 2>/dev/null
	wait_until 5 all_gone
}
case_ "killed: nothing of the programs is left" killed
own_address() { # the balancer's host has the virtual address itself
	box ip addr add $V4/32 dev lo && box ip addr add $V6/128 dev lo || return 1
	daemon
	all_up "echo reply"
	rc=$?
	box ip addr del $V4/32 dev lo
	box ip addr del $V6/128 dev lo
	stop
	return $rc
}
case_ "the balancer's host has the virtual address, too" own_address
capabilities() { # those of the unit are enough
	caps=$(sed -n 's/^CapabilityBoundingSet=//p' "$SRC/units/sluice-serve.service.in" | tr A-Z a-z | sed 's/cap_/+/g; s/ /,/g')
	daemon setpriv --bounding-set "-all,$caps" --no-new-privs
	all_up "echo reply" && stop
}
case_ "the unit's capabilities are enough" capabilities

case_ "marks: the new ones at once, those that stay when it is settled" box timeout 60 "$BUILD/tests/inner-put"
direct() { # to the backend's own address, where nobody listens
	conf web "$(web ipip "tcp direct")" || return 1
	daemon
	says 6 "service web, $H1 is down: connection refused" && says_not past && [ "$(links)" = 0 ] && stop
}
case_ "direct: past the tunnel" direct
which() { # of several virtual addresses the one that the check is for
	conf web "balance web on to1 {" "virtual 203.0.113.99 udp port 53" "virtual 203.0.113.98 tcp port 443" "virtual $V4 tcp port 8000-8100" \
		"forward ipip" "backend $H1" "backend $H2" "check tcp port 8080 $check" "}" || return 1
	daemon
	says 6 "service web, $H1 is up: connected" && says 6 "service web, $H2 is up: connected" || return 1
	conf web "balance web on to1 {" "virtual 203.0.113.99 udp port 53" "virtual $V4 tcp port 8080" "forward ipip" "backend $H1" "check tcp $check" "}" || return 1
	sleep 2
	says_not 'is down' && stop
}
case_ "the virtual address of the check's port, or of TCP" which
clients() { # an answer to somebody else's packet from a port that a check had
	conf web "$(web ipip tcp | sed 's/on to1/on to3/')" && backend h1 && backend h2 || return 1
	in_ h3 ip route replace $V4 via 198.18.3.1 || return 1
	daemon
	all_up connected || return 1
	port=$(timeout 5 "$SLUICE" lab run --lab $L box -- tcpdump -nni to1 -c 1 "src host $V4 and tcp" 2>/dev/null | sed -n 's/.* > 198\.18\.1\.1\.\([0-9]*\): .*/\1/p')
	[ -n "$port" ] || { echo "no check seen"; return 1; }
	[ "$(in_ h3 curl -sm 3 --local-port "$port" http://$V4:8080/)" = ok ] && stop
}
case_ "a client's connection from a port that a check had" clients
vanish() { # interfaces come and go
	conf web "$(web ipip tcp)" || return 1
	daemon
	all_up connected || return 1
	i=0
	while [ $i -lt 70 ]; do
		box ip link add v$i type veth peer name w$i && box ip link set v$i up && box ip link del v$i || return 1
		i=$((i + 1))
	done
	conf web "$(web ipip tcp | sed 's/rise 2/rise 1/')" || return 1
	sleep 2
	[ "$(links)" = 6 ] && says_not 'past|is down|interfaces' && stop
}
case_ "seventy interfaces come and go" vanish
small() { # what is sent fits, tunnel included
	box ip link set to1 mtu 1280 && in_ h1 ip link set eth0 mtu 1280 || return 1
	conf web "$(web gue "http \"/$(printf '%0900d' 0)\" host \"$(printf '%060d.%060d.%060d.%050d' 1 2 3 4)\"" | grep -v "$H2\$")" && backend h1 || return 1
	daemon
	says 6 "service web, $H1 is up: status 200" && says 6 "service web, $H1_6 is up: status 200"
	rc=$?
	box ip link set to1 mtu 1500 && in_ h1 ip link set eth0 mtu 1500
	stop
	return $rc
}
case_ "a request of a full segment, MTU 1280" small
other_family() { # an IPv4 packet is nothing that an IPv6 socket could send
	conf web "balance web on to1 {" "virtual $V4 tcp port 8080" "forward ipip" "backend $H1" "backend $H1_6" "check icmp $check" "}" || return 1
	daemon
	says 6 "service web, $H1_6 is checked past its tunnel: its service has no virtual address of its family" &&
		says 6 "service web, $H1 is up: echo reply" && says 6 "service web, $H1_6 is up: echo reply" || return 1
	in_ h1 ip addr del $V4/32 dev lo || return 1
	says 4 "service web, $H1 is down: no echo reply within 400ms" && says_not "$H1_6 is down"
	rc=$?
	in_ h1 ip addr add $V4/32 dev lo
	stop
	return $rc
}
case_ "a backend of another family than all virtual addresses" other_family
move() { # FROM TO N: the addresses on the way to host N, and its neighbours
	box ip addr flush dev "$1" scope global && box ip addr add 198.18.$3.1/24 dev "$2" &&
		box ip addr add 2001:db8:$3::1/64 dev "$2" nodad &&
		box ip neigh replace 198.18.$3.2 lladdr 02:00:c6:12:0$3:02 dev "$2" &&
		box ip neigh replace 2001:db8:$3::2 lladdr 02:00:c6:12:0$3:02 dev "$2"
}
apart() { move upon1 to1 1; move upon2 to2 2; box ip link del upon1; box ip link del upon2; }
# An interface upon another: packets pass the programs of both, and those upon a bridge or a bond likewise. VLAN devices, which hand
# packets down by the same dev_queue_xmit(), are not in the build machines' kernel.
stacked() {
	box ip link add link to1 name upon1 type macvlan mode passthru && box ip link set upon1 up &&
		box ip link add upon2 address 02:00:c6:12:02:01 type bridge && box ip link set to2 master upon2 &&
		box ip link set upon2 up && move to1 upon1 1 && move to2 upon2 2 || return 1
	for forward in ipip gue; do
		for kind in tcp 'http "/"' icmp; do
			conf web "$(web $forward "$kind")" && backend h1 && backend h2 || return 1
			daemon
			case $kind in tcp) why=connected ;; icmp) why="echo reply" ;; *) why="status 200" ;; esac
			all_up "$why" && [ "$(links)" = 10 ] || { echo "$forward $kind"; apart; return 1; }
			stop
		done
	done
	apart
}
case_ "interfaces upon others: a macvlan, a bridge" stacked
many() { # 100 services behind two hosts: each answer finds its own
	{
		i=0
		while [ $i -lt 100 ]; do
			echo "balance s$i on to1 {"
			echo "virtual 203.0.113.$i tcp port 8080"
			echo "forward ipip"
			echo "backend $H1"
			echo "backend $H2"
			echo "check tcp every 2s timeout 1s"
			echo "}"
			i=$((i + 1))
		done
	} >"$T/many.conf"
	box "$SLUICE" apply "$T/many.conf" >"$T/applied" 2>&1 || { tail -3 "$T/applied"; return 1; }
	daemon
	# of a hundred addresses the hosts have one
	says 12 "service s10, $H1 is up: connected" && says 12 "service s10, $H2 is up: connected" || return 1
	wait_until 20 eval '[ "$(grep -c " is down" "$T/said")" -ge 198 ]' || { grep -c " is down" "$T/said"; return 1; }
	sleep 3
	[ "$(grep -c " is down" "$T/said")" = 198 ] && says_not "s10, .* is down" || return 1
	stop
}
case_ "a hundred services with two backends, of which one has its address there" many
done_
