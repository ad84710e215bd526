#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Health checks with real servers: what is told, word for word, and that nothing is left behind.
#
#   box (health-tool) to1 ──── eth0 h1 (nginx, openssl s_server, health-hostile, nc)
#                     to2 ──── eth0 h2
. "$(dirname "$0")/lib.sh"
need_root
L=health$$
on_exit '"$SLUICE" lab down $L >/dev/null 2>&1'
"$SLUICE" lab up --name $L --hosts 2 >/dev/null || { echo "Bail out! no lab"; exit 1; }
TOOL=$BUILD/tests/health-tool
H1=198.18.1.2 H1_6=2001:db8:1::2

in_() { h=$1; shift; "$SLUICE" lab run --lab $L "$h" -- "$@"; }
# a server in h1, killed at the end
serve() { "$SLUICE" lab run --lab $L h1 -- "$@" >>"$T/servers" 2>&1 & on_exit "kill $! 2>/dev/null"; }
listens() { in_ h1 ss -Hltn "sport = :$1" | grep -q .; }
# probe PROBE -- TARGET: lines of the tool in the box, without times
probe() { in_ box timeout 20 "$TOOL" -t 5s "$@" </dev/null; }
same() { [ "$1" = "$2" ] || { printf 'wanted:\n%s\ngot:\n%s\n' "$1" "$2"; return 1; }; }
# one verdict: first WANT PROBE -- TARGET
first() { want=$1; shift; same "$want" "$(probe -n 1 "$@")"; }

n=1000
for how in rst silence headers line slow chunks size length half cut early garbage close tlsflood body echo accept \
	"503 Service Unavailable" "302 Found"; do
	n=$((n + 1))
	serve "$BUILD/tests/health-hostile" "$how" $n
done
wait_until 10 listens 1019 || { echo "Bail out! no servers"; exit 1; }

# ---- tcp

case_ "tcp: connected" first "up 1 first: connected" tcp port=1017 -- $H1
case_ "tcp: IPv6" first "up 1 first: connected" tcp port=1017 -- $H1_6
case_ "tcp: refused" first "down 1 first: connection refused" tcp port=1 -- $H1
silent_host() { in_ h1 nft -f - <<-N
	table inet quiet { chain in { type filter hook input priority 0; tcp dport 7 drop; tcp dport 8 reject with icmpx type host-unreachable; icmp type echo-request ip daddr $H1 drop; }; }
	N
}
case_ "the network that is quiet" silent_host
case_ "tcp: no answer" first "down 1 first: no connection within 100ms" tcp timeout=100ms port=7 -- $H1
case_ "tcp: an ICMP error ends it at once" first "down 1 first: no route to host" tcp port=8 timeout=3s -- $H1
case_ "tcp: no route" first "down 1 first: network unreachable" tcp port=8 -- 192.0.2.1
time_wait() { # after many probes nothing is in TIME_WAIT on either side; closed as others do, there is
	probe -t 1s tcp every=100ms port=1017 -- $H1 || return 1
	same 0 "$(in_ box ss -Htan state time-wait "dport = :1017" | wc -l)" || return 1
	probe -t 1s tcp fin every=100ms port=1017 -- $H1
	[ "$({ in_ box ss -Htan state time-wait; in_ h1 ss -Htan state time-wait; } | grep -c :1017)" -gt 3 ]
}
case_ "tcp: RST leaves no TIME_WAIT" time_wait

# ---- http

http() { case_ "http: $1" first "$2" http port="$3" ${4:-} -- $H1; }
http "reset" "down 1 first: connection reset" 1001
http "silence" "down 1 first: connected, but no answer within 100ms" 1002 timeout=100ms
http "headers without end" "down 1 first: status 200, but more than 16384 bytes of headers" 1003
http "a line without end" "down 1 first: no HTTP answer within 16384 bytes" 1004
http "chunks without end" "down 1 first: status 200, but more than 16384 bytes around the chunks of the body" 1006 body=x
http "a chunk's size" "down 1 first: a chunk of the answer has the size 'ffffffffffffffffffff'" 1007 body=x
http "a length" "down 1 first: the answer's Content-Length is '99999999999999999999999'" 1008
http "half an answer" "down 1 first: connected, but no whole answer within 100ms (31 bytes came)" 1009 timeout=100ms
http "an answer cut off" "down 1 first: status 200, but connection closed within the headers" 1010
http "103 without end" "down 1 first: no HTTP answer within 16384 bytes" 1011
http "garbage" "down 1 first: no HTTP answer but 'Z[XY^_\\]RSPQVWTUJKHINOLMBC@AFGDEz{xy~?|}rspqvwtujkhinolmbc\`a'" 1012
http "503" "down 1 first: status 503, expected 200-399" 1018
http "302" "up 1 first: status 302" 1019
http "302 is not 200" "down 1 first: status 302, expected 200, 204-206" 1019 "status=200 status=204-206"
http "a word across chunks" "up 1 first: status 200" 1015 body=needle
slowloris() { probe -n 1 http timeout=100ms port=1005 -- $H1 | grep -qE '^down 1 first: connected, but no whole answer within 100ms \([1-6] bytes came\)$'; }
case_ "http: a byte now and then" slowloris
case_ "http: closed" first "down 1 first: connection closed without an answer" http port=1013 -- $H1_6
request() { # what the server got, by what is found in its echo
	first "up 1 first: status 200" http port=1016 path=/healthz host=www.example "body=GET /healthz HTTP/1.1
Host: www.example" -- $H1 && return 1 # a bare line feed is not what was sent
	cr=$(printf '\r')
	first "up 1 first: status 200" http port=1016 path=/healthz host=www.example "body=GET /healthz HTTP/1.1$cr
Host: www.example$cr
User-Agent: sluice$cr
Accept: */*$cr
Connection: close$cr
" -- $H1 || return 1
	first "up 1 first: status 200" http port=1016 "body=GET / HTTP/1.1$cr
Host: [$H1_6]:1016$cr" -- $H1_6
}
case_ "http: the request, byte by byte" request

# ---- nginx and TLS

nginx_up() {
	mkdir -p "$T/www" && chmod 755 "$T" "$T/www" && echo "all is well" >"$T/www/healthz" || return 1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=www.example \
		-addext subjectAltName=DNS:www.example,IP:$H1 \
		-keyout "$T/key" -out "$T/cert" 2>/dev/null || return 1
	cat >"$T/nginx.conf" <<-N
	daemon off; worker_processes 1; pid $T/nginx.pid; error_log $T/nginx.err; user root;
	events { worker_connections 256; }
	http { access_log off; client_body_temp_path $T/b; proxy_temp_path $T/p; fastcgi_temp_path $T/f;
		uwsgi_temp_path $T/u; scgi_temp_path $T/s;
		server { listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl; root $T/www;
			ssl_certificate $T/cert; ssl_certificate_key $T/key; } }
	N
	serve nginx -c "$T/nginx.conf"
	NGINX=$!
	wait_until 5 listens 443
}
if command -v nginx >/dev/null && command -v openssl >/dev/null; then
	case_ "nginx starts" nginx_up
	case_ "nginx: http" first "up 1 first: status 200" http path=/healthz "body=is well" -- $H1 port=80
	case_ "nginx: HEAD" first "up 1 first: status 200" http head path=/healthz -- $H1_6 port=80
	case_ "nginx: 404" first "down 1 first: status 404, expected 200-399" http path=/nothing -- $H1 port=80
	case_ "nginx: https" first "up 1 first: status 200" https timeout=2s path=/healthz body=well host=www.example -- $H1 port=443
	case_ "nginx: https, IPv6" first "up 1 first: status 200" https timeout=2s path=/healthz -- $H1_6 port=443
	case_ "nginx: a certificate that nobody signed" first \
		"down 1 first: TLS: The certificate is NOT trusted. The certificate issuer is unknown" \
		https timeout=2s verify host=www.example -- $H1 port=443
	nobody() { # not one authority
		same "untold 1: this host cannot check: TLS: there are no certificates of authorities" \
			"$(in_ box unshare -m sh -c 'mount --bind /dev/null /etc/ssl/certs/ca-certificates.crt && exec "$@"' - \
				"$TOOL" -t 1s -r https timeout=500ms every=600ms verify host=www.example -- $H1 port=443 </dev/null | head -n 1)"
	}
	trusting() { # among the system's authorities, for this command alone
		want=$1; shift
		same "$want" "$(in_ box unshare -m sh -c 'mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec "$@"' "$T/cert" \
			"$TOOL" -n 1 -t 5s https timeout=2s verify "$@" </dev/null)"
	}
	if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
		case_ "nginx: a certificate that is trusted" trusting "up 1 first: status 200" path=/healthz host=www.example -- $H1 port=443
		case_ "nginx: one of the address" trusting "up 1 first: status 200" path=/healthz -- $H1 port=443
		case_ "nginx: one of another name" trusting "down 1 first: TLS: The certificate is NOT trusted. The name in the certificate does not match the expected" \
			host=other.example -- $H1 port=443
		case_ "nginx: nobody to trust" nobody
	else
		skip "nginx: certificates that are trusted" "no ca-certificates.crt here"
	fi
	case_ "nginx: plain text at the TLS port" first "down 1 first: status 400, expected 200-399" http -- $H1 port=443
	case_ "nginx: TLS at the plain port" first "down 1 first: TLS: handshake: An unexpected TLS packet was received" \
		https timeout=2s -- $H1 port=80
	dies() { # up, stopped (silence), going on, killed (refused)
		in_ box "$TOOL" -n 4 -t 20s http every=200ms timeout=300ms rise=2 fall=3 path=/healthz -- $H1 port=80 </dev/null >"$T/dies" &
		tool=$!
		wait_until 5 grep -q '^up 1 first' "$T/dies" || return 1
		workers=$(ps -o pid= --ppid "$(cat "$T/nginx.pid")")
		# shellcheck disable=SC2086
		kill -STOP $workers
		wait_until 5 grep -q '^down' "$T/dies" || return 1
		# shellcheck disable=SC2086
		kill -CONT $workers
		wait_until 5 grep -q '^up 1: ' "$T/dies" || return 1
		kill "$(cat "$T/nginx.pid")"
		wait $tool || return 1
		same "up 1 first: status 200
down 1: connected, but no answer within 300ms
up 1: status 200
down 1: connection refused" "$(cat "$T/dies")"
	}
	case_ "nginx: stopped, going on, killed" dies
else
	skip "nginx and TLS" "nginx or openssl is not installed"
fi
tls() { case_ "https: $1" first "$2" https port="$3" ${4:-} -- $H1; }
tls "silence" "down 1 first: connected, but no TLS within 100ms" 1002 timeout=100ms
tls "reset" "down 1 first: connection reset" 1001
tls "garbage" "down 1 first: TLS: handshake: An unexpected TLS packet was received" 1012
tls "records without end" "down 1 first: TLS: handshake: An unexpected TLS handshake packet was received" 1014

# ---- icmp

case_ "icmp: a raw socket" first "up 1 first: echo reply" icmp -- 198.18.2.2
case_ "icmp: a raw socket, IPv6" first "up 1 first: echo reply" icmp -- $H1_6
case_ "icmp: no answer" first "down 1 first: no echo reply within 100ms" icmp timeout=100ms -- $H1
plain() { # as a user without capabilities
	cp "$TOOL" "$T/tool" && chmod 755 "$T" "$T/tool" || return 1
	in_ box sysctl -q -w "net.ipv4.ping_group_range=$1" || return 1
	shift
	in_ box setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all \
		"$T/tool" -n 1 -t 1s "$@" </dev/null
}
no_ping() { same "untold 1: this host cannot check: opening a raw socket: Operation not permitted" "$(plain "1 0" -r icmp every=800ms -- 198.18.2.2 | head -n 1)"; }
case_ "icmp: a ping socket without privilege" same "up 1 first: echo reply" "$(plain "0 65535" icmp -- 198.18.2.2)"
case_ "icmp: a ping socket without privilege, IPv6" same "up 1 first: echo reply" "$(plain "0 65535" icmp -- $H1_6)"
case_ "icmp: neither is allowed: nothing is said about the backend" no_ping
link_local() {
	addr=$(in_ h1 ip -o -6 addr show dev eth0 scope link | awk '{ sub("/.*", "", $4); print $4 }')
	index=$(in_ box ip -o link show dev to1 | cut -d: -f1)
	for kind in icmp "tcp port=1017" "http port=1019"; do
		for way in "scope=$index" "if=to1"; do
			# shellcheck disable=SC2086
			probe -n 1 $kind -- "$addr" "$way" | grep -q '^up 1 first' || { echo "$kind $way"; return 1; }
		done
	done
	same "refused 22: target 1, $addr: link-local: give the interface" "$(probe icmp -- "$addr")"
}
case_ "link-local addresses have an interface" link_local

# ---- commands

command_() { want=$1; shift; first "$want" command "$@" -- $H1 port=80; }
case_ "command: good" command_ "up 1 first: fine" arg=/bin/echo arg=fine
case_ "command: no shell" command_ 'up 1 first: $(id); echo "x"' arg=/bin/echo 'arg=$(id); echo "x"'
case_ "command: exit and its first line, printable" command_ "down 1 first: exit 3: oh?no" arg=/bin/sh arg=-c \
	'arg=printf "oh\001no\nmore\n"; exit 3'
case_ "command: a signal" command_ "down 1 first: killed by signal 9" arg=/bin/sh arg=-c 'arg=kill -9 $$'
case_ "command: too long" command_ "down 1 first: not over within 100ms, killed: begun" timeout=100ms arg=/bin/sh arg=-c "arg=echo begun; sleep 9$$"
case_ "command: output without end" command_ "down 1 first: more than 65536 bytes of output" timeout=5s arg=/usr/bin/yes
case_ "command: deaf and silent" command_ "down 1 first: exit 2" arg=/bin/sh arg=-c "arg=exec >&- 2>&-; sleep 0.02; exit 2"
case_ "command: its words" command_ "up 1 first: LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SLUICE_BACKEND=198.18.1.2 SLUICE_PORT=80" \
	arg=/bin/sh arg=-c "arg=env | grep -v PWD= | grep -v SHLVL= | grep -v _= | sort | tr '\\n' ' ' | sed 's/ \$//'"
# nothing that root's programs, or those whose file says so, would get; and no descriptor of the daemon's (ls has the folder at 3)
status_() { # PATTERN of /proc/self/status
	arg="grep -E '$1' /proc/self/status | tr -s '\\t\\n' '  ' | sed 's/ \$//'"
}
status_ '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|SigBlk):'
case_ "command: no privilege, no signal blocked" command_ "up 1 first: SigBlk: 0000000000000000 CapInh: 0000000000000000 \
CapPrm: 0000000000000000 CapEff: 0000000000000000 CapAmb: 0000000000000000 NoNewPrivs: 1" arg=/bin/sh arg=-c "arg=$arg"
case_ "command: no descriptor but its own" command_ "up 1 first: 0 1 2 3" arg=/bin/sh arg=-c \
	"arg=ls /proc/self/fd | tr '\\n' ' ' | sed 's/ \$//'"
orphan() { # the tool is killed, its command goes
	(cd / && in_ box "$TOOL" -t 30s command timeout=20s arg=/bin/sleep "arg=11$$" -- $H1 >/dev/null 2>&1) &
	wait_until 5 runs "^/bin/sleep 11$$\$" || return 1
	kill -9 "$(pgrep -f "^$TOOL .*arg.11$$ ")"
	wait_until 5 runs_not "^/bin/sleep 11$$\$"
}
runs() { pgrep -f "$1" >/dev/null; }
runs_not() { ! runs "$1"; }
case_ "command: killed with who started it" orphan
cp /bin/true "$T/held"
mkfifo "$T/ready"
"$BUILD/tests/hold-exec" "$T/held" 6 >"$T/ready" 2>"$T/hold" &
hold=$!
on_exit "kill $hold 2>/dev/null"
if read -r _ <"$T/ready"; then
	hangs() { # a program that cannot begin in time is told of in time, and keeps nobody else waiting
		since=$(date +%s)
		command_ "down 1 first: not over within 200ms, killed" timeout=200ms arg="$T/held" && [ $(($(date +%s) - since)) -lt 4 ]
	}
	case_ "command: one that hangs before it begins" hangs
else
	skip "command: one that hangs before it begins" "$(cat "$T/hold")"
fi
kill $hold 2>/dev/null
no_program() { same "untold 1: this host cannot check: starting /nonexistent: No such file or directory" "$(probe -t 1s -r command every=800ms arg=/nonexistent -- $H1 | head -n 1)"; }
case_ "command: none there says nothing about the backend" no_program
groups() { # what a command leaves running goes with it, whether it ends or is killed; so it does with the engine
	command_ "up 1 first: x" arg=/bin/sh arg=-c "arg=sleep 7$$ >/dev/null & echo x" || return 1
	probe -t 400ms command timeout=20s arg=/bin/sh arg=-c "arg=sleep 7$$ & sleep 9$$" -- $H1 || return 1
	! ps -eo args= | grep -E "^sleep [79]$$\$"
}
case_ "command: nothing of its group is left" groups
bounded() { # ten that take 300 ms with two at a time: never more than two
	probe -s -t 1500ms -c 2 command every=100ms timeout=2s arg=/bin/sh "arg=-c" \
		"arg=n=\$(ps -eo args= | grep -c '^sleep 0.3$$\$'); sleep 0.3$$; [ \$n -lt 2 ]" -- 198.18.1.2*10 >"$T/bounded" || return 1
	grep -q '^stats: probes [0-9]* good [1-9][0-9]* bad 0 ' "$T/bounded" || { cat "$T/bounded"; return 1; }
}
case_ "command: so many at a time, no more" bounded

# ---- the way packets go

marks() { # only marked packets get an answer
	in_ box nft 'table inet marks { chain out { type filter hook output priority 0; tcp dport 1017 mark != 77 reject with tcp reset; }; }' &&
		first "up 1 first: connected" tcp port=1017 -- $H1 mark=77 &&
		first "down 1 first: connection refused" tcp port=1017 -- $H1 &&
		in_ box nft delete table inet marks
}
source_() {
	in_ h1 nft 'table inet from { chain in { type filter hook input priority 0; tcp dport 1017 ip saddr != 198.18.2.1 reject with tcp reset; }; }' &&
		first "up 1 first: connected" tcp port=1017 -- $H1 from=198.18.2.1 &&
		first "down 1 first: connection refused" tcp port=1017 -- $H1 &&
		in_ h1 nft delete table inet from || return 1
	same "untold 1: this host cannot check: sending from 192.0.2.9: Cannot assign requested address" \
		"$(probe -t 1s -r tcp every=800ms port=1017 -- $H1 from=192.0.2.9 | head -n 1)"
}
device() {
	first "down 1 first: no connection within 100ms" tcp timeout=100ms port=1017 -- $H1 if=to2 &&
		first "down 1 first: interface to9: No such device" tcp port=1017 -- $H1 if=to9
}
case_ "packets have the mark" marks
case_ "packets have the source" source_
case_ "packets leave by the interface" device

# ---- sets of targets, bounds, time

change() { # state stays with those that stay
	mkfifo "$T/in" || return 1
	in_ box timeout 20 "$TOOL" -t 15s tcp rise=2 every=200ms port=1017 -- $H1 id=5 $H1 id=6 port=1 <"$T/in" >"$T/change" &
	tool=$!
	exec 7>"$T/in"
	wait_until 5 grep -q '^up 6 first' "$T/change" && wait_until 5 grep -q '^up 5 first' "$T/change" || return 1
	echo "targets $H1 id=6 port=1 $H1 id=9 known=d $H1 id=7 known=u" >&7
	wait_until 5 grep -q '^up 9 first' "$T/change" && wait_until 5 grep -q '^up 7 first' "$T/change" || return 1
	echo "probe port=1" >&7
	wait_until 5 grep -q '^down 6' "$T/change" && wait_until 5 grep -q '^down 7' "$T/change" &&
		wait_until 5 grep -q '^down 9' "$T/change" || return 1
	echo "targets $H1 id=6 $H1 id=6" >&7
	wait_until 5 grep -q '^refused' "$T/change" || return 1
	echo "look 5 6" >&7
	wait_until 5 grep -q '^look 6' "$T/change" || return 1
	echo quit >&7
	exec 7>&-
	wait $tool || return 1
	same "applied: added 0, removed 0, changed 3, same 0
applied: added 2, removed 1, changed 0, same 1
down 6: connection refused
down 7: connection refused
down 9: connection refused
look 5: none
look 6: down, 1 changes: connection refused
refused 22: health checks: two targets have the id 6
up 5 first: connected
up 6 first: connected
up 7 first: connected
up 9 first: connected" "$(sort "$T/change")"
}
case_ "targets change, state stays" change
stall() { # stopped longer than the timeout: servers that answered meanwhile are not blamed
	in_ box timeout 20 "$TOOL" -s -t 4s http every=100ms timeout=300ms port=1019 -- $H1 $H1 $H1 $H1 $H1 </dev/null >"$T/stall" &
	tool=$!
	wait_until 5 eval '[ "$(grep -c "^up" "$T/stall")" = 5 ]' || { cat "$T/stall"; return 1; }
	for _ in 1 2 3 4; do
		pid=$(pgrep -f "^$TOOL -s -t 4s" | head -n 1)
		kill -STOP "$pid" && sleep 0.7 && kill -CONT "$pid" && sleep 0.1
	done
	wait $tool || return 1
	! grep -q '^down' "$T/stall" && grep -q ' bad 0 ' "$T/stall" || { cat "$T/stall"; return 1; }
}
case_ "a standstill of the checker is nobody's fault" stall
flood() { # more than there are slots: all get their turn, nobody is blamed
	probe -s -t 3s -f 8 http every=500ms timeout=1s port=1019 -- $H1*1 $H1 $H1 $H1 $H1 $H1 $H1 $H1 $H1 $H1 $H1 $H1 $H1 >"$T/flood" &&
		same 13 "$(grep -c '^up .* first: status 302' "$T/flood")" && grep -q ' bad 0 untold 0 .* flights_max [1-8] ' "$T/flood"
}
case_ "more targets than slots" flood
half() { # half of 200 die at once: all told within interval + timeout, none of the others suffers
	in_ h1 ip route add local 10.9.0.0/24 dev lo && in_ box ip route add 10.9.0.0/24 via $H1 || return 1
	mkfifo "$T/half.in" || return 1
	in_ box timeout 30 "$TOOL" -T -t 25s tcp every=1s timeout=300ms rise=2 fall=3 jitter=10 port=1017 -- "10.9.0.1*200" \
		<"$T/half.in" >"$T/half" &
	tool=$!
	exec 7>"$T/half.in"
	wait_until 10 sh -c "[ \$(grep -c ' up .* first' $T/half) = 200 ]" || return 1
	in_ h1 nft 'table inet half { chain in { type filter hook input priority 0; ip daddr 10.9.0.0/26 drop; ip daddr 10.9.0.64/26 tcp dport 1017 reject with tcp reset; }; }'
	echo "time" >&7
	wait_until 10 sh -c "[ \$(grep -c ' down ' $T/half) = 127 ]" || { tail "$T/half"; return 1; }
	in_ h1 nft delete table inet half
	wait_until 10 sh -c "[ \$(grep -c ' up ' $T/half) = 327 ]" || { tail "$T/half"; return 1; }
	echo quit >&7
	exec 7>&-
	wait $tool || return 1
	# half a second for a machine that does other things, too
	awk '$2 == "time" { fault = $1 } { id = $3 + 0 }
		$2 == "down" && (id > 127 || (fault && $1 > fault + 1.3 + 0.5)) { print "fault at " fault ": " $0; e = 1 }
		$2 == "down" && id < 64 && !/no connection within 300ms/ { print; e = 1 }
		$2 == "down" && id > 63 && !/connection refused/ { print; e = 1 } END { exit e }' "$T/half"
}
case_ "half of them die at once" half
no_files() {
	in_ box sh -c "ulimit -n 128; '$TOOL' tcp port=1 -- $H1" </dev/null 2>&1 | grep -q \
		'^health-tool: new: health checks: the limit of open files is 128, more than 128 are needed: raise it (ulimit -n, LimitNOFILE=)$' || return 1
	# a limit that is lowered behind our back: nothing is said about backends
	in_ box sh -c "ulimit -n 140; exec '$TOOL' -s -t 2s tcp every=200ms port=7 -- 198.18.1.2*1 $(printf "$H1 %.0s" $(seq 40))" </dev/null >"$T/files"
	grep -q ' untold 0 .* flights_max 12 ' "$T/files" || { cat "$T/files"; return 1; }
}
case_ "descriptors are bounded by their limit" no_files
done_
