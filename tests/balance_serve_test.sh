#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The daemon and the balancer in force: what it says, and what packets meet after it. Without packets: what is in force is put
# there by serve-place. Backends are real servers that take nothing out of tunnels: their checks are direct.
#
#   box (sluice serve) to1 ──── eth0 h1 (8080, 8081: connections; 8082: reset; 10.9/16: as many hosts as one likes)
#                      to2 ──── eth0 h2 (8080)
. "$(dirname "$0")/lib.sh"
need_root
L=serve$$
on_exit '"$SLUICE" lab down $L >/dev/null 2>&1'
"$SLUICE" lab up --name $L --hosts 2 >/dev/null || { echo "Bail out! no lab"; exit 1; }
H1=198.18.1.2 H2=198.18.2.2
in_() { h=$1; shift; "$SLUICE" lab run --lab $L "$h" -- "$@"; }
box() { in_ box "$@"; }
place() { box "$BUILD/tests/serve-place" "$@"; }
same() { [ "$1" = "$2" ] || { printf 'wanted:\n%s\ngot:\n%s\n' "$1" "$2"; return 1; }; }
netns=$(box stat -Lc %i /proc/self/ns/net)
RUN=/run/sluice/policy-net$netns
on_exit 'rm -rf "$RUN" /var/lib/sluice/policy/netns-sluice-$L-box "/sys/fs/bpf/sluice/net${netns}_policy"'
ms() { echo $(($(date +%s%N) / 1000000)); }

# server HOST PORT: $server is its pid, until server_end
listens() { in_ "$1" ss -Hltn "sport = :$2" | grep -q .; }
server() {
	"$SLUICE" lab run --lab $L "$1" -- "$BUILD/tests/health-hostile" accept "$2" >/dev/null 2>&1 &
	server=$!
	on_exit "kill $server 2>/dev/null"
	wait_until 5 listens "$1" "$2"
}
# daemon [OPTION...]: $daemon is its pid, $T/said what it says
daemon() {
	"$SLUICE" lab run --lab $L box -- "$SLUICE" serve "$@" 2>>"$T/said" &
	daemon=$!
	on_exit "kill -9 $daemon 2>/dev/null"
}
says() { wait_until "$1" grep -qxF -e "sluice serve: $2" "$T/said" || { cat "$T/said"; return 1; }; }
quiet() { : >"$T/said"; }
says_not() { ! grep -E -e "$1" "$T/said"; }
shows() { same "$1" "$(place show)"; }
is_shown() { [ "$(place show)" = "$1" ]; }
wait_shows() { wait_until "$1" is_shown "$2" || shows "$2"; }
conf() { # NAME BACKENDS [CHECK [MORE]]
	printf 'balance web on to1 {\n\tvirtual 203.0.113.10 tcp port 8080\n\tforward ipip\n%s\n\t%s\n}\n%s\n' \
		"$(for b in $2; do echo "	backend $b"; done)" "${3-check tcp every 500ms timeout 200ms rise 2 fall 2 direct}" "${4-}" >"$T/$1.conf"
}

conf two "$H1 $H2"
server h1 8080; s1=$server
server h2 8080; s2=$server
quiet

# ---- up and down

begin() {
	place put "$T/two.conf" || return 1
	shows "web $H1 up nobody slots -
web $H2 up nobody slots -" || return 1
	daemon -v
	says 5 "service web, $H1 is up: connected" && says 5 "service web, $H2 is up: connected" || return 1
	wait_shows 2 "web $H1 up health slots to1
web $H2 up health slots to2"
}
case_ "what is found up is noted, ways are found" begin
down() { # the promise is interval + timeout from the moment it happens: 700 ms; polls of 100 ms on top
	start=$(ms)
	kill $s1
	wait_until 3 grep -q "service web, $H1 is down: connection refused" "$T/said" || return 1
	took=$(($(ms) - start))
	wait_shows 1 "web $H1 down health none to1
web $H2 up health slots to2" || return 1
	echo "# down after $took ms"
	[ $took -lt 2500 ] # and what two looks at the state take
}
case_ "a backend that is gone gets no slots, within an interval" down
failed_checks() { box "$SLUICE" balance show -j | jq -c '[.services[].backends[].failed_check]'; }
is_failed() { [ "$(failed_checks)" = "$1" ]; }
why_down() {
	wait_until 3 is_failed '[{"asked":true,"why":"connection refused"},null]' || { failed_checks; return 1; }
	box "$SLUICE" balance show | grep -Eq "^  $H1 .* down .* down by health checks since .*, last check: connection refused\$"
}
case_ "why is shown" why_down
all_down() {
	kill $s2
	says 3 "service web: no backend is up, its packets are dropped" || return 1
	# services come and go around it
	{ printf 'balance front on to1 {\n\tvirtual 203.0.113.9 tcp port 80\n\tforward ipip\n\tbackend %s\n}\n' "$H1"; cat "$T/two.conf"; } >"$T/front.conf"
	quiet
	place put "$T/front.conf" || return 1
	wait_until 3 grep -q "2 services, 2 of 3 backends checked" "$T/said" || return 1
	wait_shows 2 "front $H1 up nobody slots to1
web $H1 down health none to1
web $H2 down health none to2" || return 1
	place put "$T/two.conf" || return 1
	wait_until 3 grep -q "1 services, 2 of 2 backends checked" "$T/said" || return 1
	server h2 8080; s2=$server
	says 4 "service web has backends again" || return 1
	says_not "service front has|no backend is up"
}
case_ "all down, and what becomes of packets" all_down
up() {
	server h1 8080; s1=$server
	wait_shows 4 "web $H1 up health slots to1
web $H2 up health slots to2"
}
case_ "up after two good answers" up

# ---- the daemon itself

killed() { # what it said stays; the next one begins with it
	kill $s1
	wait_shows 3 "web $H1 down health none to1
web $H2 up health slots to2" || return 1
	kill -9 $daemon
	wait $daemon 2>/dev/null
	shows "web $H1 down health none to1
web $H2 up health slots to2" || return 1
	quiet
	daemon -v
	says 3 "service web, $H1 is down as before: connection refused" || return 1
	says 3 "service web, $H2 is up: connected" || return 1
	says_not "has backends again|, $H1 is up|, $H2 is down" || return 1
	shows "web $H1 down health none to1
web $H2 up health slots to2"
}
case_ "killed: what was said stays, and is taken over" killed
meanwhile() { # changed while nobody looked
	kill -9 $daemon
	wait $daemon 2>/dev/null
	server h1 8080; s1=$server
	kill $s2
	daemon -v
	wait_shows 4 "web $H1 up health slots to1
web $H2 down health none to2" || return 1
	server h2 8080; s2=$server
	wait_shows 4 "web $H1 up health slots to1
web $H2 up health slots to2"
}
case_ "what changed while it was dead" meanwhile
stopped() { # 6 s are 12 intervals
	quiet
	kill -STOP $daemon
	sleep 6
	kill -CONT $daemon
	sleep 2
	says_not "down" || return 1
	kill $s1
	says 3 "service web, $H1 is down: connection refused" || return 1
	server h1 8080; s1=$server
	says 4 "service web, $H1 is up: connected"
}
case_ "stopped for 6 s: nobody is down for that" stopped
loop_kill() { # in a loop: at no moment does anybody lose slots
	i=0
	while [ $i -lt 15 ]; do
		kill -9 $daemon
		wait $daemon 2>/dev/null
		daemon
		sleep 0.$((i % 5 * 15 + 5))
		shows "web $H1 up health slots to1
web $H2 up health slots to2" || return 1
		i=$((i + 1))
	done
}
case_ "killed 15 times, any moment" loop_kill
second() {
	quiet
	"$SLUICE" lab run --lab $L box -- "$SLUICE" serve 2>"$T/second" &
	other=$!
	on_exit "kill -9 $other 2>/dev/null"
	wait_until 3 grep -qxF "sluice serve: another sluice serve checks the backends here; this one takes over when it ends" "$T/second" || return 1
	# it asks twice a second whether the first is still there, and opens nothing of a balancer meanwhile
	timeout 2 strace -p $other -e trace=flock,bpf -o "$T/waits" >/dev/null 2>&1
	grep -q "^flock(.*EAGAIN" "$T/waits" && ! grep "^bpf(" "$T/waits" || { cat "$T/waits"; return 1; }
	kill $daemon
	wait $daemon || return 1
	daemon=$other
	cat "$T/second" >>"$T/said"
	wait_until 3 grep -q "1 services, 2 of 2 backends checked" "$T/second" || return 1
	kill $s1
	wait_until 3 grep -qxF "sluice serve: service web, $H1 is down: connection refused" "$T/second" || return 1
	server h1 8080; s1=$server
	wait_until 4 grep -qxF "sluice serve: service web, $H1 is up: connected" "$T/second" || return 1
	kill $daemon
	wait $daemon
	[ ! -e "$RUN/serve" ]
}
case_ "a second one takes over when the first ends" second

# ---- other policies

policy() { # backends come and go; who stays keeps what is known of it
	daemon -v
	says 5 "service web, $H1 is up: connected" && says 5 "service web, $H2 is up: connected" || return 1
	conf three "$H1 $H2 198.18.1.77"
	quiet
	place put "$T/three.conf" || return 1
	wait_until 2 grep -q "1 services, 3 of 3 backends checked" "$T/said" || return 1
	says 4 "service web, 198.18.1.77 is down: no connection within 200ms" || says 1 "service web, 198.18.1.77 is down: no route to host" || return 1
	says 5 "backend 198.18.1.77 cannot be reached: 198.18.1.77 does not answer on to1" || return 1
	says_not "$H1 is|$H2 is" || return 1
	place show | grep -qx "web 198.18.1.77 down health none -"
}
case_ "another policy: who stays is not asked anew" policy
unchecked() { # without a check nobody is down
	conf none "$H1 $H2 198.18.1.77" ""
	place put "$T/none.conf" || return 1
	wait_shows 3 "web $H1 up nobody slots to1
web $H2 up nobody slots to2
web 198.18.1.77 up nobody slots -"
}
case_ "nobody checks any more: what checks said is taken back" unchecked
none() {
	place down
	says 3 "no services are in force any more" || return 1
	place put "$T/two.conf" || return 1
	wait_shows 4 "web $H1 up health slots to1
web $H2 up health slots to2"
}
case_ "no policy, and one again" none
reloads() { # twenty policies a second for 3 s, of which two backends are always the same
	quiet
	conf a "$H1 $H2" "check tcp every 500ms timeout 200ms rise 2 fall 2 direct" "# a"
	conf b "$H1 $H2 10.9.0.7" "check tcp every 600ms timeout 200ms rise 2 fall 2 direct" "# b"
	i=0
	while [ $i -lt 12 ]; do
		place put "$T/a.conf" "$T/b.conf" || return 1
		i=$((i + 1))
	done
	place put "$T/two.conf" || return 1
	says_not "$H1 is down|$H2 is down" || return 1
	wait_shows 4 "web $H1 up health slots to1
web $H2 up health slots to2"
}
case_ "policies come faster than checks" reloads
locked() { # somebody changes the policy for 2 s: the verdict waits for that, and no longer
	place lock 2 >"$T/lock" &
	holder=$!
	wait_until 2 grep -q locked "$T/lock" || return 1
	kill $s1
	says 2 "service web, $H1 is down: connection refused" || return 1
	shows "web $H1 up health slots to1
web $H2 up health slots to2" || return 1
	wait $holder
	wait_shows 1 "web $H1 down health none to1
web $H2 up health slots to2" || return 1
	server h1 8080; s1=$server
	wait_shows 4 "web $H1 up health slots to1
web $H2 up health slots to2"
}
case_ "the lock is somebody else's: later" locked

told_once() { # who has the lock, however long it takes
	place put "$T/two.conf" || return 1
	wait_shows 4 "web $H1 up health slots to1
web $H2 up health slots to2" || return 1
	quiet
	place lock 9 >"$T/lock" &
	holder=$!
	wait_until 2 grep -q locked "$T/lock" || return 1
	kill $s1
	wait $holder
	wait_shows 3 "web $H1 down health none to1
web $H2 up health slots to2" || return 1
	same 1 "$(grep -c 'is changing the policy (it holds ' "$T/said")" || { cat "$T/said"; return 1; }
	server h1 8080; s1=$server
	wait_shows 4 "web $H1 up health slots to1
web $H2 up health slots to2"
}
case_ "who has the lock for long is told once" told_once
said_nothing() { ! box "$SLUICE" balance show web | grep -q 'last check'; }
shown() { # up by health checks is how every backend is: nothing is said of it (the daemon writes what checks say twice a second)
	wait_until 3 said_nothing || return 1
	box "$SLUICE" balance show web >"$T/show" || return 1
	same 2 "$(sed -n '/^  BACKEND/,$p' "$T/show" | grep -cE '^  198\.18\.[12]\.2 +1 +[0-9.]+%  up +to[12] [0-9a-f:]{17} mtu 1500 *$')" &&
		same 0 "$(sed -n '/^  BACKEND/,$p' "$T/show" | awk 'length > 85' | wc -l)" || { cat "$T/show"; return 1; }
}
case_ "show says only what is not as it should be" shown
elsewhere() { # a bpffs of its own, or none, in place of the one with the policy
	name=$(sed -n 's/^live //p' "$RUN/record")
	why="policy $name is in force, but there is no bpffs with it in this mount namespace; nsenter --net=/run/netns/NAME \\(not ip netns exec\\) stays where it is, --bpffs DIR says where\$"
	other() { box unshare -m sh -c 'mount -t bpf bpf /sys/fs/bpf && exec timeout 10 "$0" "$@"' "$SLUICE" "$@"; }
	expect_fail 1 "^sluice serve: $why" other serve && same 1 "$(wc -l <"$T/.err")" &&
		expect_fail 1 "^sluice serve: $why" box timeout 10 "$SLUICE" serve --bpffs "$T" || return 1
	for v in list stats "drain $H1"; do
		# shellcheck disable=SC2086
		expect_fail 3 "^sluice balance ${v%% *}: $why" other balance $v && expect_fail 3 "^sluice balance ${v%% *}: $why" box "$SLUICE" --bpffs "$T" balance $v || return 1
	done
}
case_ "the policy's bpffs is not in this mount namespace" elsewhere
first_line() {
	kill $daemon
	wait $daemon
	quiet
	daemon
	wait_until 5 test -s "$T/said" || return 1
	sleep 1
	sed -n 1p "$T/said" | grep -qE '^sluice serve: policy [0-9]+-[0-9a-f]{12}: 1 services, 2 of 2 backends checked$' && same 1 "$(wc -l <"$T/said")" || { cat "$T/said"; return 1; }
	kill $daemon
	wait $daemon
	place down
	quiet
	daemon
	says 3 "neither services nor sets that change are in force; waiting for some" || return 1
	place put "$T/two.conf"
	wait_until 5 grep -q "backends checked" "$T/said" || return 1
	kill $daemon
	wait $daemon
	daemon -v
	wait_shows 4 "web $H1 up health slots to1
web $H2 up health slots to2"
}
case_ "with a balancer alone it speaks of services" first_line

# ---- what is asked

resets() {
	"$SLUICE" lab run --lab $L h1 -- "$BUILD/tests/health-hostile" rst 8082 >/dev/null 2>&1 &
	on_exit "kill $! 2>/dev/null"
	wait_until 5 listens h1 8082 || return 1
	conf rst "$H1 $H2" 'check http "/x" every 500ms timeout 200ms rise 2 fall 2 port 8082 direct'
	place put "$T/rst.conf" || return 1
	says 4 "service web, $H1 is down: connection reset" && says 4 "service web, $H2 is down: connection refused" &&
		says 2 "service web: no backend is up, its packets are dropped"
}
case_ "resets to everything are no answer" resets
command() { # words of a command; its limit of open files is what it was
	printf '#!/bin/sh\nsleep 0.2\n[ "$1" = two ] && [ "$2" = words-'"$H1"':8080 ] || exit 3\necho "$SLUICE_BACKEND $SLUICE_PORT $(ulimit -Sn)"\nexit 0\n' >"$T/check"
	chmod +x "$T/check"
	kill $daemon
	wait $daemon
	quiet
	conf command "$H1" "check command \"$T/check  two words-\$ADDRESS:\$PORT\" every 900ms timeout 900ms"
	place put "$T/command.conf" || return 1
	(ulimit -Sn 300 && exec "$SLUICE" lab run --lab $L box -- "$SLUICE" serve -v 2>>"$T/said") &
	daemon=$!
	on_exit "kill -9 $daemon 2>/dev/null"
	says 12 "service web, $H1 is up: $H1 8080 300" || return 1
	conf command "$H1" 'check command "test $ADDRESS = 192.0.2.1" every 900ms timeout 900ms'
	place put "$T/command.conf" || return 1
	says 12 "service web, $H1 is down: exit 1" || return 1
	conf command "$H1" 'check command "no-such-program" every 900ms timeout 900ms'
	place put "$T/command.conf" || return 1
	says 12 "service web, $H1 cannot be checked: there is no such program in /usr/local/sbin and so on; give its path"
}
case_ "a command: words, environment, limits" command
many() { # 2,000 backends, of which half fail at once: all are told within interval + timeout, the others stay
	in_ h1 ip route add local 10.9.0.0/16 dev lo
	box ip route add 10.9.0.0/16 via $H1
	server h1 9090
	{
		echo 'balance many on to1 {'
		echo '	virtual 203.0.113.11 tcp port 9090'
		echo '	forward ipip'
		for a in 0 1 2 3 4 5 6 7; do
			seq -f "	backend 10.9.$a.%g" 1 250
		done
		echo '	check tcp every 2s timeout 500ms direct'
		echo '}'
	} >"$T/many.conf"
	place put "$T/many.conf" || return 1
	wait_until 3 grep -q "1 services, 2000 of 2000 backends checked" "$T/said" || return 1
	wait_until 8 eval '[ "$(place show | grep -c "up health slots to1")" = 2000 ]' || { place show | sort | uniq -c | head; return 1; }
	start=$(ms)
	in_ h1 nft -f - <<-N || return 1
	table inet half { chain in { type filter hook input priority 0; ip daddr 10.9.0.0/22 drop; }; }
	N
	wait_until 15 eval '[ "$(place show | grep -c "down health none")" = 1000 ]' || { place show | cut -d" " -f3- | sort | uniq -c; return 1; }
	took=$(($(ms) - start))
	echo "# 1000 of 2000 down after $took ms"
	[ "$(place show | grep -c "up health slots to1")" = 1000 ] || return 1
	in_ h1 nft delete table inet half
	wait_until 8 eval '[ "$(place show | grep -c "up health slots to1")" = 2000 ]' || return 1
	[ $took -lt 6000 ] # 2.5 s, and how long the daemon and the polls above wait for a CPU
}
case_ "2,000 backends, half of them fail at once" many

# ---- as a service

service() {
	kill $daemon
	wait $daemon
	place put "$T/two.conf" || return 1
	: >"$T/notes"
	nc -lkUu "$T/socket" >"$T/notes" 2>/dev/null &
	on_exit "kill $! 2>/dev/null"
	wait_until 3 [ -S "$T/socket" ] || return 1
	NOTIFY_SOCKET=$T/socket WATCHDOG_USEC=400000 daemon
	wait_until 5 grep -qa "READY=1" "$T/notes" || return 1
	wait_until 5 grep -qa "STATUS=1 services, 2 backends, 2 of them checked, 0 down" "$T/notes" || return 1
	wait_until 3 eval '[ "$(grep -oa WATCHDOG=1 "$T/notes" | wc -l)" -ge 5 ]' || return 1
	kill -HUP $daemon
	wait_until 3 grep -qa "RELOADING=1" "$T/notes" || return 1
	kill $daemon
	wait $daemon || return 1
	wait_until 3 grep -qa "STOPPING=1" "$T/notes"
}
case_ "systemd hears of it" service
unit() { # SECTION KEY: of the unit
	sed -n "/^\[$1\]/,/^\[/s/^$2=//p" "$SRC/units/sluice-serve.service.in"
}
again() { # by default it would stay failed after five ends within 10 s
	same 0 "$(unit Unit StartLimitIntervalSec)" && same always "$(unit Service Restart)" && same 1s "$(unit Service RestartSec)"
}
case_ "systemd begins it again however often it ends" again
capabilities() { # those of the unit are enough
	caps=$(sed -n 's/^CapabilityBoundingSet=//p' "$SRC/units/sluice-serve.service.in" | tr A-Z a-z | sed 's/cap_/+/g; s/ /,/g')
	quiet
	"$SLUICE" lab run --lab $L box -- setpriv --bounding-set "-all,$caps" --no-new-privs "$SLUICE" serve -v 2>>"$T/said" &
	daemon=$!
	on_exit "kill -9 $daemon 2>/dev/null"
	says 4 "service web, $H1 is up: connected" || return 1
	kill $s1
	wait_shows 4 "web $H1 down health none to1
web $H2 up health slots to2" || return 1
	says_not "CAP_|privilege|ermi" || return 1
	same "$(printf "CapBnd:\t%016x" $((1 << 12 | 1 << 13 | 1 << 19 | 1 << 21 | 1 << 39 | 1 << 2)))" "$(grep CapBnd /proc/$daemon/status)" || return 1
	kill $daemon
	wait $daemon
}
case_ "with the capabilities of the unit" capabilities
unprivileged() {
	cp "$SLUICE" "$T/sluice" && chmod 755 "$T" "$T/sluice"
	box setpriv --reuid 65534 --regid 65534 --clear-groups "$T/sluice" serve >"$T/out" 2>"$T/err"
	same 4 $? && grep -qE "^sluice serve: .*(CAP_|privilege)" "$T/err" || { cat "$T/err"; return 1; }
}
case_ "without privilege" unprivileged
done_
