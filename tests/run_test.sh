# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice run: captures through programs. Unprivileged but for what compares with the kernel.
. "$SRC/tests/lib.sh"
O=$BUILD/tests/replay.bpf.o
capture() { "$BUILD/tests/capture" "$@"; }
run() { "$SLUICE" run "$@"; }
# a frame of 60 bytes that gets what replay.bpf.c makes of byte $1
frame() { printf '0000000000%s02000000000188b5%092d' "$1" 0; }
# without the line that times are in
text() { grep -v ' ns a packet, '; }
same() { # WANT GOT
	[ "$1" = "$2" ] || { printf 'wanted:\n%s\ngot:\n%s\n' "$1" "$2"; return 1; }
}

# shellcheck disable=SC2046
capture "$T/all.pcap" $(for b in 00 01 02 03 04 06 07 08 09; do frame $b; echo; done) "$(frame 02)*3"
capture "$T/late.pcap" start=2000000000 "$(frame 01)"
capture "$T/early.pcap" start=900000000 "$(frame 03)"
capture "$T/mixed.pcap" random 11 3000
capture "$T/fault.pcap" "$(frame 02)" "$(frame 05)" "$(frame 02)" "$(frame 05)*7"
cat >"$T/ports.json" <<'IN'
[{"key":0,"value":{"ifindex":3,"ifname":null,"prog_id":null}},
{"key":1,"value":{"ifindex":7,"ifname":"x","prog_id":null}}]
IN
ifs="--if in0=2 --if out1=3 --if out2=7"

# packets of a capture, by somebody else
packets() { tcpdump -nr "$1" -tt 2>/dev/null | grep -cE '^[0-9]+\.'; }

# ---- counting, lines

summary() {
	# shellcheck disable=SC2086
	same "verdict        packets          bytes
aborted              1             60
drop                 1             60
pass                 5            304
tx                   1             60
redirect             3            180
other                1             60
all                 12            720" "$(run "$O:verdicts" --in "$T/all.pcap" --map ports="$T/ports.json" $ifs "$@" | text)"
}
lines() {
	# shellcheck disable=SC2086
	same "1 1000000000.000000000 aborted 60 60 -
2 1000000000.000001000 drop 60 60 -
3 1000000000.000002000 pass 60 60 -
4 1000000000.000003000 tx 60 60 -
5 1000000000.000004000 redirect 60 60 out2
6 1000000000.000005000 redirect 60 60 out1
7 1000000000.000006000 redirect 60 60 out1,out2
8 1000000000.000007000 pass 60 64 -
9 1000000000.000008000 other 60 60 -
10 1000000000.000009000 pass 60 60 -
11 1000000000.000010000 pass 60 60 -
12 1000000000.000011000 pass 60 60 -" \
		"$(run "$O:verdicts" --in "$T/all.pcap" --map ports="$T/ports.json" $ifs --verdicts "$@" | head -n 12)"
}
no_ports() { # what a map without entries does: the verdict in the flags; a broadcast reaches nobody
	run "$O:verdicts" --in "$T/all.pcap" --verdicts >"$T/lines" || return 1
	same "5 1000000000.000004000 redirect 60 60 if7
6 1000000000.000005000 drop 60 60 -
7 1000000000.000006000 redirect 60 60 -" "$(sed -n 5,7p "$T/lines")"
}
plain_user() {
	cp "$SLUICE" "$O" "$T/all.pcap" "$T/ports.json" "$T/open/" &&
		setpriv --reuid 65534 --regid 65534 --clear-groups "$T/open/sluice" run "$T/open/replay.bpf.o:verdicts" \
			--in "$T/open/all.pcap" --map ports="$T/open/ports.json" --expect pass=5,other=1
}
json() {
	# shellcheck disable=SC2086
	run "$O:verdicts" --in "$T/all.pcap" --map ports="$T/ports.json" $ifs --json --verdicts --dump total >"$T/json" || return 1
	same '12|12|720|[0,1,1,5,1]|out1,out2|1000000000000002000|vm|12' "$(jq -r '[(.packet|length), .packets, .bytes,
		([.faults, .verdicts[1].packets, .verdicts[0].packets, .verdicts[2].packets, .verdicts[5].packets]|tojson),
		.packet[6].targets, .packet[2].time_ns, .engine,
		([.maps.total[0].values[]]|add)] | map(tostring) | join("|")' "$T/json")"
}

# ---- captures

in_time() {
	run "$O:verdicts" --in "$T/late.pcap" --in "$T/all.pcap" --in "$T/early.pcap" --verdicts >"$T/lines" || return 1
	same "1 900000000.000000000 tx
2 1000000000.000000000 aborted
14 2000000000.000000000 drop" "$(sed -n '1,2p;14p' "$T/lines" | cut -d' ' -f1-3)" || return 1
	run "$O:verdicts" --in "$T/late.pcap" --in "$T/early.pcap" --in-order --verdicts >"$T/lines" || return 1
	same "1 2000000000.000000000 drop
2 900000000.000000000 tx" "$(head -n 2 "$T/lines" | cut -d' ' -f1-3)"
}
from_stdin() {
	same 5 "$(run "$O:verdicts" - --json <"$T/all.pcap" | jq '.verdicts[2].packets')" &&
		same 5 "$(cat "$T/all.pcap" | run "$O:verdicts" --in - --json | jq '.verdicts[2].packets')"
}
sizes() { # 0 to 65,535 bytes; what is shorter than a header is left out, what is longer than a frame, too
	capture "$T/sizes.pcap" z0 z13 z14 z1514 z9000 z65535 z65536 z65537 z100000 || return 1
	same "verdict        packets          bytes
aborted              5         141599
all                  5         141599
left out: 2 shorter than an Ethernet header
left out: 2 longer than 65536 bytes" "$(run "$O:verdicts" --in "$T/sizes.pcap" | text)"
}
snapped() {
	capture "$T/snap.pcap" snap=40 "$(frame 02)*2" || return 1
	same "verdict        packets          bytes
pass                 2             80
all                  2             80
captured incompletely: 2" "$(run "$O:verdicts" --in "$T/snap.pcap" --out pass="$T/snapped.pcap" | text)" &&
		same 2 "$(packets "$T/snapped.pcap")"
}
truncated() { # what came before is shown, written, and the end is said
	capture "$T/cut.pcap" cut=10 "$(frame 02)*3" "$(frame 01)" || return 1
	expect_fail 1 'cut.pcap is damaged at packet 4: the file ends within it$' \
		run "$O:verdicts" --in "$T/cut.pcap" --out pass="$T/kept.pcap" || return 1
	grep -q '^pass  *3  *180$' "$T/.out" && same 3 "$(packets "$T/kept.pcap")"
}
truncated_ng() {
	run "$O:second" --in "$T/all.pcap" --out all="$T/whole.pcapng" >/dev/null &&
		head -c -50 "$T/whole.pcapng" >"$T/cut.pcapng" || return 1
	expect_fail 1 'cut.pcapng is damaged at packet 12: truncated' run "$O:verdicts" --in "$T/cut.pcapng" || return 1
	grep -q '^all  *11 ' "$T/.out"
}
swapped() { # of a machine with the other byte order, with nanoseconds
	printf '\241\262\074\115\0\002\0\004\0\0\0\0\0\0\0\0\0\001\0\0\0\0\0\001' >"$T/be.pcap"
	printf '\0\0\0\005\0\0\0\007\0\0\0\020\0\0\0\021abcdefghijklmnop' >>"$T/be.pcap"
	same "1 5.000000007 pass 16 16 -" "$(run "$O:verdicts" --in "$T/be.pcap" --verdicts | head -n 1)" &&
		same "1 5.000000007 pass 16 16 -" "$(run "$O:verdicts" - --verdicts <"$T/be.pcap" | head -n 1)" &&
		same "1 5.000000007 pass 16 16 -" "$(cat "$T/be.pcap" | run "$O:verdicts" - --verdicts | head -n 1)"
}
readers() { # our own reader and libpcap read the same; a byte order, every field
	run "$O:verdicts" --in "$T/mixed.pcap" --verdicts | text >"$T/1" && cat "$T/mixed.pcap" | run "$O:verdicts" - --verdicts | text >"$T/2" &&
		cmp "$T/1" "$T/2"
}
ng_in() { # what was written as pcapng reads like what was written as pcap
	run "$O:second" --in "$T/mixed.pcap" --out all="$T/m.pcapng" >/dev/null &&
		run "$O:verdicts" --in "$T/mixed.pcap" --verdicts >"$T/1" && run "$O:verdicts" --in "$T/m.pcapng" --verdicts >"$T/2" &&
		same "$(text <"$T/1")" "$(text <"$T/2")"
}

# ---- packets out

out_files() {
	# shellcheck disable=SC2086
	run "$O:verdicts" --in "$T/all.pcap" --map ports="$T/ports.json" $ifs \
		--out pass="$T/pass.pcap",redirect="$T/redirect.pcapng" --out all="$T/every.pcapng" >/dev/null || return 1
	same 5 "$(packets "$T/pass.pcap")" || return 1
	# the header that was put in front: the first byte as set, the rest what was there
	tcpdump -nr "$T/pass.pcap" -xx -c 2 2>/dev/null | grep -q '0x0000:  aa00 0000 0000 0000 0008 0200' || return 1
	same 4 "$(packets "$T/redirect.pcapng")"
}
out_comments() {
	tshark -r "$T/every.pcapng" -T fields -e frame.interface_name -e frame.comment 2>/dev/null >"$T/comments"
	same "in0	aborted
in0	drop
in0	pass
in0	tx
out2	redirect to out2
out1	redirect to out1 by map ports
out1	redirect to out1 by map ports
out2	redirect to out2 by map ports
in0	pass
in0	verdict 99
in0	pass
in0	pass
in0	pass" "$(cat "$T/comments")"
}
identical() { # two runs over the same capture, byte by byte
	for i in 1 2; do
		run "$O:verdicts" --in "$T/mixed.pcap" --out all="$T/i$i.pcapng" --verdicts --dump seen --dump total \
			--coverage "$T/i$i.info" | text >"$T/i$i.text" || return 1
	done
	cmp "$T/i1.pcapng" "$T/i2.pcapng" && cmp "$T/i1.text" "$T/i2.text" && cmp "$T/i1.info" "$T/i2.info"
}

# ---- programs, maps, globals

settings() {
	run "$O:verdicts" --in "$T/all.pcap" --set target=9 --verdicts >"$T/lines" || return 1
	same "5 1000000000.000004000 redirect 60 60 if9" "$(sed -n 5p "$T/lines")"
}
dumps() {
	same "seen:
1 = {packets: 1, mac: 00:00:00:00:00:00, last: 1, name: \"new\"}" \
		"$(run "$O:verdicts" --in "$T/late.pcap" --dump seen | sed -n '/^seen/,$p')"
}
round_trip() { # what a dump says fills a map again
	cat >"$T/seen.json" <<-'IN'
	[{"key":1,"value":{"packets":"18446744073709551600","mac":"02:00:00:00:00:09","last":258,"name":"a\"b\\c"}},
	{"key":77,"value":{"packets":5,"mac":"ff:ff:ff:ff:ff:ff","last":0,"name":""}}]
	IN
	printf '[{"key":"10.1.0.0/16","value":2},{"key":"0.0.0.0/0","value":3}]' >"$T/routes.json"
	run "$O:verdicts" --in "$T/late.pcap" --map seen="$T/seen.json" --map routes="$T/routes.json" --dump seen --dump routes \
		--json >"$T/json" || return 1
	same '[{"key":1,"value":{"packets":"18446744073709551601","mac":"02:00:00:00:00:09","last":258,"name":"a\"b\\c"}},{"key":77,"value":{"packets":5,"mac":"ff:ff:ff:ff:ff:ff","last":0,"name":""}}]' \
		"$(jq -c '.maps.seen|sort_by(.key)' "$T/json")" &&
		same '[{"key":"0.0.0.0/0","value":3},{"key":"10.1.0.0/16","value":2}]' "$(jq -c '.maps.routes|sort_by(.key)' "$T/json")" &&
		jq .maps.seen "$T/json" >"$T/again.json" &&
		same 18446744073709551602 "$(run "$O:verdicts" --in "$T/late.pcap" --map seen="$T/again.json" --dump seen --json |
			jq -r '.maps.seen[]|select(.key == 1).value.packets')"
}
chain() { # second decides what the first lets pass; --go-on says after which verdicts it is asked
	capture "$T/chain.pcap" "0000000001$(frame 02 | cut -c11-)" "0000000003$(frame 01 | cut -c11-)" || return 1
	same "1 drop
2 drop" "$(run "$O:verdicts" "$O:second" --in "$T/chain.pcap" --verdicts | awk 'NF == 6 && $1 < 3 { print $1, $3 }')" &&
		same "1 drop
2 tx" "$(run "$O:verdicts" "$O:second" --in "$T/chain.pcap" --go-on pass,drop --verdicts | awk 'NF == 6 && $1 < 3 { print $1, $3 }')"
}
clock() {
	run "$O:verdicts" --in "$T/all.pcap" --in "$T/early.pcap" --in-order --verdicts --json --dump .bss >"$T/json" || return 1
	# the second capture is older: the clock stands still
	same "1000000000000000000 1000000000000011000" "$(jq -r '.maps[".bss"][0].value | "\(.first_ns) \(.last_ns)"' "$T/json")" || return 1
	before=$(date +%s)
	run "$O:verdicts" --in "$T/all.pcap" --clock real --json --dump .bss | jq -r '.maps[".bss"][0].value.first_ns' >"$T/ns"
	[ "$(wc -c <"$T/ns")" -gt 5 ] && [ "$(cat "$T/ns")" != 1000000000000000000 ] && [ "$before" -gt 0 ]
}
seeds() {
	for seed in 1 1 2; do
		run "$O:verdicts" --in "$T/late.pcap" --seed $seed --json --dump .bss | jq -r '.maps[".bss"][0].value.random'
	done >"$T/random"
	[ "$(sed -n 1p "$T/random")" = "$(sed -n 2p "$T/random")" ] && [ "$(sed -n 1p "$T/random")" != "$(sed -n 3p "$T/random")" ]
}
ingress() {
	same 12 "$(run "$O:verdicts" --in "$T/late.pcap" --if a=12 --json --dump .bss | jq '.maps[".bss"][0].value.ingress')"
}
cpus() { # in turn; more of them than the machine has
	same "[3,3,2,2,2]" "$(run "$O:verdicts" --in "$T/all.pcap" --cpus 5 --json --dump total | jq -c '.maps.total[0].values')"
}
repeat() { # the first time counts; maps go on
	run "$O:verdicts" --in "$T/all.pcap" --repeat 3 --expect pass=5 --dump total --out pass="$T/r.pcap" --json >"$T/json" || return 1
	same "12 36" "$(jq -r '"\(.packets) \([.maps.total[0].values[]]|add)"' "$T/json")" &&
		same 5 "$(packets "$T/r.pcap")"
}

network() {
	same "1 2000000000.000000000 redirect 60 60 out1" \
		"$(run "$T/fib.o" --in "$T/late.pcap" --net "$T/net" --if in0=2 --if out1=3 --verdicts | head -n 1)" || return 1
	same "1 2000000000.000000000 drop 60 60 -" "$(run "$T/fib.o" --in "$T/late.pcap" --if in0=2 --verdicts | head -n 1)" || return 1
	echo 'nexthop' >>"$T/net"
	expect_fail 2 '^sluice run: --net .*/net: line 5: ' run "$T/fib.o" --in "$T/late.pcap" --net "$T/net" || return 1
	expect_fail 3 '^sluice run: --net .*/nonet: No such file' run "$T/fib.o" --in "$T/late.pcap" --net "$T/nonet" || return 1
	run "$T/fib.o" --in "$T/late.pcap" --net host >/dev/null
}

# ---- what a program does wrong

faults() {
	for engine in --interp --jit; do
		expect_fail 1 'packet 2: overread: instruction 4, \(71\) r0 = \*\(u8 \*\)\(r1 \+200\): reads 1 bytes at 0x[0-9a-f]+, 140 bytes behind the end of the packet \(60 bytes\); at .*replay.bpf.c:[0-9]+: return data\[5\] == 5' \
			run "$O:overread" --in "$T/fault.pcap" $engine || return 1
		grep -q '3 more packets went wrong' "$T/.err" || return 1
		same "verdict        packets          bytes
aborted              8            480
pass                 2            120
all                 10            600" "$(text <"$T/.out")" || return 1
	done
	expect_fail 1 'packet 2: overread' run "$O:overread" --in "$T/fault.pcap" --stop-on-fault || return 1
	same "verdict        packets          bytes
aborted              1             60
pass                 1             60
all                  2            120
stopped before the end" "$(text <"$T/.out")"
}
budget() {
	expect_fail 1 'ran longer than its budget' run "$T/endless.o" --in "$T/late.pcap" --limit 100000
}

null_pointer() { # what is not found is a null pointer, and members of it lie behind
	for engine in --interp --jit; do
		expect_fail 1 'null: instruction [0-9]+, .*: reads 8 bytes at 0x8, 8 bytes behind a null pointer; at ' \
			run "$T/null.o" --in "$T/late.pcap" $engine || return 1
	done
}

devices() { # names are those of the run, without one the number
	printf '[{"key":0,"value":{"ifname":"out2"}},{"key":1,"value":{"ifindex":3}},{"key":2,"value":{"ifindex":77}}]' >"$T/dev.json"
	# shellcheck disable=SC2086
	same "ports:
0 = out2
1 = out1
2 = 77" "$(run "$O:verdicts" --in "$T/late.pcap" $ifs --map ports="$T/dev.json" --dump ports | sed -n '/^ports/,$p')" || return 1
	# shellcheck disable=SC2086
	same '["out2","out1",null]' "$(run "$O:verdicts" --in "$T/late.pcap" $ifs --map ports="$T/dev.json" --dump ports --json |
		jq -c '[.maps.ports[].value.ifname]')" || return 1
	expect_fail 3 "dev.json: entry 1: there is no interface 'out2'; wanted: its name or number" \
		run "$O:verdicts" --in "$T/late.pcap" --map ports="$T/dev.json" || return 1
	echo '[{"key":0,"value":{"ifindex":2,"nonsense":4}}]' >"$T/dev.json"
	expect_fail 2 'dev.json: entry 1: value: unknown member nonsense; wanted ifindex, ifname and prog_id$' \
		run "$O:verdicts" --in "$T/late.pcap" --map ports="$T/dev.json"
}

sockets() { # an entry of an xskmap, for which any number stands
	echo '[{"key":3,"value":1}]' >"$T/xsk.json"
	same "1 2000000000.000000000 redirect 60 60 xsk 3" \
		"$(run "$T/xsk.o" --in "$T/late.pcap" --map xsks="$T/xsk.json" --verdicts | head -n 1)" &&
		same "1 2000000000.000000000 drop 60 60 -" "$(run "$T/xsk.o" --in "$T/late.pcap" --verdicts | head -n 1)"
}

# ---- signals

# starts "$@" in the background, sends $1 once $2 (a command) succeeds, and wants exit status $3
signalled() {
	sig=$1 when=$2 want=$3
	shift 3
	$FOREGROUND "$@" >"$T/s.out" 2>"$T/s.err" <"$T/fifo" &
	pid=$!
	wait_until 10 eval "$when" || { kill -KILL $pid; return 1; }
	kill -"$sig" $pid
	wait $pid && rc=0 || rc=$?
	[ $rc = "$want" ] || { echo "exit $rc, wanted $want"; return 1; }
}
waiting() { # on a pipe: what came is shown, the end is no damage
	rm -f "$T/fifo" && mkfifo "$T/fifo" && { { cat "$T/all.pcap"; exec sleep 20; } >"$T/fifo" & } && writer=$!
	signalled "$1" 'grep -q "^State:.S" /proc/$pid/status && sleep 0.5' "$2" "$SLUICE" run "$O:verdicts" -
	rc=$?
	kill $writer 2>/dev/null
	[ $rc = 0 ] && [ ! -s "$T/s.err" ] && grep -q '^stopped before the end$' "$T/s.out" && grep -q '^all  *12 ' "$T/s.out" ||
		{ cat "$T/s.out" "$T/s.err"; return 1; }
}
endless_packet() { # the second signal ends the process, whatever the packet does
	$FOREGROUND "$SLUICE" run "$T/endless.o" --in "$T/late.pcap" --limit 9000G >"$T/s.out" 2>&1 &
	pid=$!
	sleep 0.7
	kill -INT $pid && sleep 0.3 && kill -0 $pid && kill -INT $pid || { kill -KILL $pid; return 1; }
	wait $pid && rc=0 || rc=$?
	[ $rc = 130 ] || { echo "exit $rc"; return 1; }
}
slow_packets() { # each runs into its limit: the first signal ends the run behind one of them
	capture "$T/slow.pcap" "$(frame 02)*200" || return 1
	$FOREGROUND "$SLUICE" run "$T/endless.o" --in "$T/slow.pcap" --limit 200M >"$T/s.out" 2>"$T/s.err" &
	pid=$!
	sleep 0.5 && kill -TERM $pid
	wait $pid && rc=0 || rc=$?
	[ $rc = 143 ] && grep -q '^stopped before the end$' "$T/s.out" || { echo "exit $rc"; cat "$T/s.out" "$T/s.err"; return 1; }
}

compressed() {
	gzip -c "$T/all.pcap" >"$T/all.pcap.gz"
	expect_fail 1 'all.pcap.gz is compressed by gzip; say zcat FILE \| sluice run ... -$' run "$O:verdicts" --in "$T/all.pcap.gz" || return 1
	printf '\050\265\057\375xxxxxxxxxxxx' >"$T/x.zst"
	zst() { run "$O:verdicts" - <"$T/x.zst"; }
	expect_fail 1 'standard input is compressed by zstd; say zstdcat FILE' zst
}
closed_input() {
	closed() { "$SLUICE" run "$O:verdicts" - <&-; }
	expect_fail 1 '^sluice run: standard input: Bad file descriptor$' closed
}
mixed_links() { # section, an Ethernet interface, one packet, an interface of link type 101
	run "$O:verdicts" --in "$T/late.pcap" --out all="$T/l.pcapng" >/dev/null || return 1
	printf '\001\0\0\0\024\0\0\0\145\0\0\0\0\0\004\0\024\0\0\0' >>"$T/l.pcapng"
	expect_fail 1 'l.pcapng has, behind packet 1, an interface of link type 101; a capture of Ethernet alone' \
		run "$O:verdicts" --in "$T/l.pcapng" && grep -q '^all  *1 ' "$T/.out"
}
units() {
	run "$O:verdicts" --in "$T/all.pcap" --limit 1M --repeat 1k --json | jq -e '.ns_per_packet|tostring|test("^[0-9]+([.][0-9])?$")' &&
		same "$(run "$O:verdicts" --in "$T/late.pcap" --seed 0 --json --dump .bss | jq -r '.maps[".bss"][0].value.random')" \
			"$(run "$O:verdicts" --in "$T/late.pcap" --seed 0 --json --dump .bss | jq -r '.maps[".bss"][0].value.random')"
}
full_disk() {
	expect_fail 1 '^sluice run: --coverage /dev/full: not everything could be written: No space left on device$' \
		run "$O:verdicts" --in "$T/all.pcap" --coverage /dev/full
}

# ---- expectations

expectations() {
	run "$O:verdicts" --in "$T/all.pcap" --expect pass=5,drop=2 --expect aborted=1 >/dev/null || return 1
	expect_fail 1 'expected pass=6, there were 5' run "$O:verdicts" --in "$T/all.pcap" --expect pass=6,tx=1
}
expected_capture() {
	run "$O:verdicts" --in "$T/all.pcap" --out pass="$T/want.pcap" >/dev/null || return 1
	run "$O:verdicts" --in "$T/all.pcap" --expect-pcap pass="$T/want.pcap" >/dev/null || return 1
	# byte 8 of the header that is put in front of packet 8 differs, and the last packet is missing
	capture "$T/wrong.pcap" "$(frame 02)" "aa0000000000080200000000$(frame 02 | cut -c21-)" "$(frame 02)*3" "$(frame 01)" || return 1
	expect_fail 1 'packet 2 \(packet 8 of the input, pass\): ' \
		run "$O:verdicts" --in "$T/all.pcap" --expect-pcap pass="$T/wrong.pcap" || return 1
	grep -q '^  -0000  aa 00 00 00 00 00 08 02' "$T/.err" && grep -q '^  +0000  aa 00 00 00 00 00 00 00' "$T/.err" &&
		grep -q '1 packet is missing, only the first 5 came' "$T/.err" || { cat "$T/.err"; return 1; }
	expect_fail 1 'has 1 packets; packet 8 of the input \(pass, 64 bytes\) is one too many' \
		run "$O:verdicts" --in "$T/all.pcap" --expect-pcap pass="$T/one.pcap"
}
capture "$T/one.pcap" "$(frame 02)"

# ---- looking on

trace() {
	run "$O:verdicts" --in "$T/all.pcap" --trace 2 | sed '/^verdict /,$d' >"$T/trace" || return 1
	head -n 1 "$T/trace" | grep -qx 'program verdicts:' &&
		grep -qE '^; if \(data \+ ETH_HLEN > end\) \[replay.bpf.c:[0-9]+\]$' "$T/trace" &&
		grep -qE '^ +[0-9]+: \(61\) r[0-9] = \*\(u32 \*\)\(r[0-9] \+4\) +4 bytes of ctx\+4 \(data_end\), r[0-9]=packet.s end$' "$T/trace" &&
		grep -qE 'call bpf_ktime_get_ns#5 +ktime_get_ns\(\) = 0xde0b6b3a76403e8$' "$T/trace" &&
		grep -qE '^  function count:$' "$T/trace" &&
		grep -qE 'map_lookup_elem\(map seen, key 01 00 00 00\) = 0$' "$T/trace" &&
		grep -qE 'map_update_elem\(map seen, key 01 00 00 00, value 01 00 .* \.\., 0\) = 0$' "$T/trace" &&
		tail -n 1 "$T/trace" | grep -qE '^ +[0-9]+: \(95\) exit$' || { cat "$T/trace"; return 1; }
	expect_fail 2 '^sluice run: --trace 13: packet 13 did not run; 12 did$' run "$O:verdicts" --in "$T/all.pcap" --trace 13
}
coverage() {
	run "$O:verdicts" --in "$T/all.pcap" --coverage "$T/c.info" >/dev/null || return 1
	line() { grep -n "$1" "$SRC/tests/replay.bpf.c" | cut -d: -f1 | head -n 1; }
	grep -qx 'FNDA:12,verdicts' "$T/c.info" && grep -qx 'FNDA:12,count' "$T/c.info" &&
		grep -qx "DA:$(line 'redirect(target'),1" "$T/c.info" && grep -qx "DA:$(line 'data\[0\] = 0xaa'),1" "$T/c.info" || { cat "$T/c.info"; return 1; }
	run "$O:verdicts" --in "$T/late.pcap" --coverage "$T/c2.info" >/dev/null && grep -qx "DA:$(line 'data\[0\] = 0xaa'),0" "$T/c2.info"
}
coverage_read() {
	lcov --summary "$T/c.info" >"$T/lcov" 2>&1 && grep -q 'functions\.*: 100.0% (2 of 2 functions)' "$T/lcov" &&
		genhtml --branch-coverage -q -o "$T/html" "$T/c.info" && [ -f "$T/html/index.html" ]
}
coverage_chain() { # functions that were joined are the same functions
	run "$O:verdicts" "$O:second" --in "$T/all.pcap" --coverage "$T/c3.info" >/dev/null &&
		grep -qx 'FNDA:12,verdicts' "$T/c3.info" && grep -qx 'FNDA:5,second' "$T/c3.info"
}

# ---- both engines

objects() { for o in "$BUILD"/datapath/*.bpf.o "$BUILD"/examples/*.bpf.o "$BUILD"/tests/*.bpf.o; do echo "$o"; done; }
# interpreter, compiler and kernel: the same verdicts and the same bytes, of every program that the kernel's verifier takes (but a clock)
engines() { # CAPTURE
	n=0
	for o in $(objects); do
		for p in $(readelf -sW "$o" | awk '$4 == "FUNC" && $5 == "GLOBAL" && $8 != "balance_ticks" { print $8 }'); do
			run "$o:$p" --in "$1" --engine kernel --verdicts --out all="$T/k.pcap" >"$T/k" 2>"$T/k.err" || continue
			awk '$2 ~ /^[0-9]+\.[0-9]+$/ { print $1, $3, $4, $5 }' "$T/k" >"$T/k.lines"
			for engine in --interp --jit; do
				run "$o:$p" --in "$1" $engine --verdicts --out all="$T/v.pcap" --if in0=1000000 --if out1=3 >"$T/v" || return 1
				awk '$2 ~ /^[0-9]+\.[0-9]+$/ { print $1, $3, $4, $5 }' "$T/v" | cmp - "$T/k.lines" || { echo "$p $engine"; return 1; }
				cmp "$T/v.pcap" "$T/k.pcap" || { echo "$p $engine"; return 1; }
			done
			[ "$(wc -l <"$T/k.lines")" -gt 0 ] && n=$((n + 1))
		done
	done
	echo "$n programs"
	[ $n -ge 8 ]
}
kernel_run() {
	run "$O:verdicts" --in "$T/late.pcap" --engine kernel --dump seen >"$T/k" 2>"$T/k.err" || return 1
	grep -q 'clocks are the machine.s' "$T/k.err" && same "$(run "$O:verdicts" --in "$T/late.pcap" --dump seen | text)" "$(text <"$T/k")"
}
kernel_chain() { # joined programs, on both
	run "$O:verdicts" "$O:second" --in "$T/mixed.pcap" --go-on pass,drop,tx --engine kernel --out all="$T/kc.pcap" 2>/dev/null | text >"$T/k" &&
		run "$O:verdicts" "$O:second" --in "$T/mixed.pcap" --go-on pass,drop,tx --out all="$T/vc.pcap" | text >"$T/v" &&
		cmp "$T/k" "$T/v" && cmp "$T/kc.pcap" "$T/vc.pcap"
}
trusted() {
	same "$(run "$O:verdicts" --in "$T/mixed.pcap" | text)" "$(run "$O:verdicts" --in "$T/mixed.pcap" --trusted | text)" &&
		run "$O:verdicts" --in "$T/mixed.pcap" --trusted | grep -q 'compiled, trusted$' &&
		expect_fail 1 '^sluice run: --trusted: replay.bpf.o: the verifier refused program overread' \
			run "$O:overread" --in "$T/all.pcap" --trusted
}

mkdir -m 755 "$T/open" && chmod 755 "$T"
printf '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nSEC("xdp") int endless(struct xdp_md *c)\n{ for (volatile int i = 0; ; i++) if (i < 0) return 2; }\nchar _license[] SEC("license") = "GPL";\n' |
	bpf_cc "$T/endless.o" || exit 1

bpf_cc "$T/null.o" <<'IN' || exit 1
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, __u32); __type(value, __u64[2]); } gone SEC(".maps");
SEC("xdp") int null(struct xdp_md *c)
{
	__u64 *v = bpf_map_lookup_elem(&gone, &(__u32){1});

	return v[1] == 7 ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
IN

bpf_cc "$T/xsk.o" <<'IN' || exit 1
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_XSKMAP); __uint(max_entries, 4); __type(key, __u32); __type(value, __u32); } xsks SEC(".maps");
SEC("xdp") int socket(struct xdp_md *c) { return bpf_redirect_map(&xsks, 3, XDP_DROP); }
char _license[] SEC("license") = "GPL";
IN

bpf_cc "$T/fib.o" <<'IN' || exit 1
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int fib(struct xdp_md *c)
{
	struct bpf_fib_lookup p = {.family = 2, .ifindex = c->ingress_ifindex, .ipv4_dst = 0x090200c0 /* 192.0.2.9 */};
	long rc = bpf_fib_lookup(c, &p, sizeof(p), 0);

	return rc ? XDP_DROP : bpf_redirect(p.ifindex, 0);
}
char _license[] SEC("license") = "GPL";
IN
cat >"$T/net" <<'IN'
2: in0: <BROADCAST,UP> mtu 1500 link/ether 02:00:00:00:00:02
3: out1: <BROADCAST,UP> mtu 1500 link/ether 02:00:00:00:00:03
192.0.2.0/24 dev out1
192.0.2.9 dev out1 lladdr 02:00:00:00:00:09 REACHABLE
IN

case_ "verdicts are counted" summary
case_ "... interpreted" summary --interp
case_ "a line a packet, with targets" lines
case_ "... interpreted" lines --interp
case_ "redirects without entries" no_ports
case_ "JSON" json
if [ "$(id -u)" = 0 ]; then case_ "as a plain user" plain_user; else case_ "as a plain user" summary; fi
case_ "several captures: by time, in order" in_time
case_ "standard input" from_stdin
case_ "packets of 0 to 65,535 bytes" sizes
case_ "snap length" snapped
case_ "a capture that ends too soon" truncated
case_ "... pcapng" truncated_ng
case_ "the other byte order" swapped
case_ "both readers read the same" readers
case_ "pcapng written and read" ng_in
case_ "packets out by verdict" out_files
if command -v tshark >/dev/null; then
	case_ "tshark shows verdict and interface" out_comments
else
	skip "tshark shows verdict and interface" "no tshark"
fi
case_ "two runs are the same bytes" identical
case_ "globals" settings
case_ "maps at the end" dumps
case_ "maps from JSON and back" round_trip
case_ "a chain" chain
case_ "the capture's clock, and the real one" clock
case_ "seeds" seeds
case_ "the ingress interface" ingress
case_ "CPUs take turns" cpus
case_ "a network to look up" network
case_ "repeating" repeat
case_ "faults are named with packet and source line" faults
case_ "a program that does not end" budget
case_ "interfaces in maps" devices
case_ "sockets in maps" sockets
case_ "a null pointer" null_pointer
for s in INT:130 TERM:143 HUP:129; do case_ "SIG$s while waiting for packets" waiting "${s%:*}" "${s#*:}"; done
case_ "an endless packet is interrupted" endless_packet
case_ "slow packets are interrupted" slow_packets
case_ "compressed captures" compressed
case_ "standard input that is closed" closed_input
case_ "link types mixed" mixed_links
case_ "numbers with units, and seed 0" units
case_ "a full disk" full_disk
case_ "expected counts" expectations
case_ "an expected capture" expected_capture
case_ "a trace" trace
case_ "coverage" coverage
if command -v lcov >/dev/null; then
	case_ "lcov and genhtml read coverage" coverage_read
else
	skip "lcov and genhtml read coverage" "no lcov"
fi
case_ "coverage of a chain" coverage_chain

# ---- misuse
case_ "no capture" expect_fail 2 'no packets: name a capture with --in FILE' run "$O:verdicts"
case_ "no program" expect_fail 2 'which programs\? Name an object' run --in "$T/all.pcap"
case_ "which program of several" expect_fail 2 'has .* XDP programs' run "$O" --in "$T/all.pcap"
case_ "a capture that is not there" expect_fail 3 'nowhere.pcap: no such file$' run "$O:verdicts" --in "$T/nowhere.pcap"
case_ "no capture inside" expect_fail 1 'ports.json is not a capture \(pcap, pcapng\): ' run "$O:verdicts" --in "$T/ports.json"
capture "$T/wlan.pcap" link=105 "$(frame 02)"
case_ "another link type" expect_fail 1 'wlan.pcap has packets of link type IEEE802_11; a capture of Ethernet is wanted$' \
	run "$O:verdicts" --in "$T/wlan.pcap"
capture "$T/odd.pcap" link=299 "$(frame 02)"
case_ "... that has no name" expect_fail 1 'odd.pcap has packets of link type 299; a capture' run "$O:verdicts" --in "$T/odd.pcap"
case_ "a capture as a program" expect_fail 2 'all.pcap looks like a capture; say --in .*all.pcap$' run "$O:verdicts" "$T/all.pcap"
case_ "an interface twice" expect_fail 2 '^sluice run: --if a=3: that interface is named twice' run "$O:verdicts" --in "$T/all.pcap" --if a --if a=3
case_ "two packets to trace" expect_fail 2 '--trace is named twice; it shows one packet' run "$O:verdicts" --in "$T/all.pcap" --trace 1 --trace 2
case_ "--raw with options of captures" expect_fail 2 '--raw runs bare instructions: --verdicts does not go with it' run --raw --verdicts
case_ "standard input twice" expect_fail 2 'standard input is named twice' run "$O:verdicts" - -
case_ "an unknown map to dump" expect_fail 3 '^sluice run: --dump: .*sen' run "$O:verdicts" --in "$T/all.pcap" --dump sen
case_ "an unknown map to fill" expect_fail 3 '^sluice run: --map: .*nix' run "$O:verdicts" --in "$T/all.pcap" --map nix="$T/ports.json"
case_ "a map from what is no JSON" expect_fail 1 'all.pcap is no JSON' run "$O:verdicts" --in "$T/all.pcap" --map ports="$T/all.pcap"
echo '[{"key":1,"value":{"packets":"many"}}]' >"$T/bad.json"
case_ "a map from JSON that does not fit" expect_fail 2 'bad.json: entry 1: .*many' run "$O:verdicts" --in "$T/all.pcap" --map seen="$T/bad.json"
case_ "the same file twice" expect_fail 2 'x.pcap is named twice; all=FILE' run "$O:verdicts" --in "$T/all.pcap" --out pass="$T/x.pcap",drop="$T/x.pcap"
case_ "writing what is read" expect_fail 2 'all.pcap is read in this run' run "$O:verdicts" --in "$T/all.pcap" --out pass="$T/all.pcap"
case_ "... as coverage" expect_fail 2 'all.pcap is read in this run' run "$O:verdicts" --in "$T/all.pcap" --coverage "$T/all.pcap"
case_ "... which is whole" summary
case_ "a name that is no capture's" expect_fail 2 'a capture is called NAME.pcap or NAME.pcapng' run "$O:verdicts" --in "$T/all.pcap" --out pass="$T/x.txt"
case_ "an unknown verdict" expect_fail 2 '--out passed=.*: wanted VERDICT=FILE' run "$O:verdicts" --in "$T/all.pcap" --out passed="$T/x.pcap"
case_ "an expectation without a number" expect_fail 2 '--expect pass: .*wanted VERDICT=NUMBER' run "$O:verdicts" --in "$T/all.pcap" --expect pass
case_ "an unknown engine" expect_fail 2 '--engine bsd: vm or kernel is wanted' run "$O:verdicts" --in "$T/all.pcap" --engine bsd
case_ "an unknown clock" expect_fail 2 '--clock sun: capture or real is wanted' run "$O:verdicts" --in "$T/all.pcap" --clock sun
case_ "what the kernel cannot" expect_fail 2 '--engine kernel goes without' run "$O:verdicts" --in "$T/all.pcap" --engine kernel --trace 1
case_ "an unknown global" expect_fail 3 'targt' run "$O:verdicts" --in "$T/all.pcap" --set targt=1
case_ "an interface's number that is none" expect_fail 2 '--if a=0: ' run "$O:verdicts" --in "$T/all.pcap" --if a=0

if [ "$(id -u)" = 0 ]; then
	case_ "the kernel's engine says what it cannot" kernel_run
	case_ "3,000 packets are the same on all engines, for every program" engines "$T/mixed.pcap"
	case_ "every verdict is the same on all engines" engines "$T/all.pcap"
	case_ "a chain is the same on both engines" kernel_chain
	case_ "trusted: the kernel's verifier first" trusted
	case_ "trusted without root" expect_fail 4 '--trusted: .*CAP_' \
		setpriv --reuid 65534 --regid 65534 --clear-groups "$T/open/sluice" run "$T/open/replay.bpf.o:verdicts" --in "$T/open/all.pcap" --trusted
	case_ "the kernel without root" expect_fail 4 'CAP_|root' \
		setpriv --reuid 65534 --regid 65534 --clear-groups "$T/open/sluice" run "$T/open/replay.bpf.o:verdicts" --in "$T/open/all.pcap" --engine kernel
else
	skip "the kernel's engine" "needs root"
	skip "trusted" "needs root"
fi
done_
