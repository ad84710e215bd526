#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice traffic between real namespaces:
#
#     namespace a   va ──────── vb   namespace b
#     (generator)   10.9.0.1    10.9.0.2   (receiver: kernel counters, tcpdump)
#
# IPv6 is off on both ends but where a case needs it: what the kernel sends by itself would spoil exact counts.
. "$(dirname "$0")/lib.sh"
none() { "$SLUICE" traffic lo "$@"; }
case_ "a CPU that is not there, before anything is sent" expect_fail 2 "cpu: there is no CPU 1023 here, 0 to [0-9]+ is possible" none udp --cpu 1023 --count 1
case_ "more than two tags" expect_fail 2 "vlan: '1,2,3' has too many: at most two are possible" none udp --vlan 1,2,3
case_ "an unknown field names the possible ones" expect_fail 2 "unknown word 'foo'; there are src, dst, sport, dport, order" none udp --random-only foo
case_ "an unknown flag names the possible ones" expect_fail 2 "unknown word 'foo'; there are fin, syn, rst, psh, ack, urg, ece, cwr, none" none tcp --flags foo
case_ "interface and protocol exchanged" expect_fail 2 "the interface comes first: sluice traffic lo udp" "$SLUICE" traffic udp lo
case_ "a negative count" expect_fail 2 "count: -1 is out of range" none udp --count -1
need_root
command -v tcpdump >/dev/null || skip_all "needs tcpdump"

a=slt$$a b=slt$$b
on_exit "ip netns del $a 2>/dev/null; ip netns del $b 2>/dev/null"
ina() { nsenter --net=/run/netns/$a "$@"; }
inb() { nsenter --net=/run/netns/$b "$@"; }
gen() { ina "$SLUICE" traffic va "$@"; }
gen_exec() { exec nsenter --net=/run/netns/$a $FOREGROUND "$SLUICE" traffic va "$@"; } # in the background: $! is the generator

set_up() {
	ip netns add $a && ip netns add $b || return 1
	for n in $a $b; do
		nsenter --net=/run/netns/$n sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
			ip link set lo up'
	done
	join
}
join() {
	ip link add va netns $a address 02:00:00:00:00:0a type veth peer name vb netns $b address 02:00:00:00:00:0b
	ip -n $a addr add 10.9.0.1/24 dev va
	ip -n $b addr add 10.9.0.2/24 dev vb
	ip -n $a link set va up
	ip -n $b link set vb up
	inb ethtool -K vb gro on >/dev/null
	ip -n $b neigh replace 10.9.0.1 lladdr 02:00:00:00:00:0a dev vb
	ip -n $a neigh replace 10.9.0.2 lladdr 02:00:00:00:00:0b dev va
}

num() { # KEY: its number in the JSON on stdin, the first of that name
	sed -n "s/.*[{,]\"$1\":\([0-9.e+-]*\).*/\1/p" | head -n 1
}
within() { # VALUE WANTED PERCENT
	awk -v v="$1" -v w="$2" -v p="$3" 'BEGIN { d = v - w; if (d < 0) d = -d; if (d > w * p / 100) {
		print v " is not within " p " % of " w; exit 1 } }'
}
rx_packets() { ip -n $b -s -j link show vb | sed 's/.*"rx":{[^}]*"packets":\([0-9]*\).*/\1/'; }
snmp() { # PROTOCOL COUNTER in b
	inb awk -v p="$1:" -v c="$2" '$1 == p { if (!n) { for (i = 2; i <= NF; i++) if ($i == c) n = i } else print $n }' \
		/proc/net/snmp
}
snmp6() { inb awk -v c="$1" '$1 == c { print $2 }' /proc/net/snmp6; }
capture() { # COUNT FILE [FILTER...]: in the background; wait for it with finish_capture
	n=$1 file=$2
	shift 2
	rm -f "$T/tcpdump"
	inb timeout 10 tcpdump -i vb -Q in -nn -s 0 -B 16384 -U -c "$n" -w "$file" "$@" 2>"$T/tcpdump" &
	tcpdump_pid=$!
	wait_until 5 grep -q 'listening on' "$T/tcpdump"
}
finish_capture() { wait $tcpdump_pid; }
read_capture() { tcpdump -nn -r "$@" 2>/dev/null; }

# what the generator says, what its peer option says, and what the interface itself counted, are one number
exact() {
	n=$1
	shift
	before=$(rx_packets)
	gen "$@" --dst-mac 02:00:00:00:00:0b --count "$n" --peer $b/vb -j >"$T/out" || return 1
	after=$(rx_packets)
	[ "$(num sent <"$T/out")" = "$n" ] && [ "$(num received <"$T/out")" = "$n" ] &&
		[ "$(num lost <"$T/out")" = 0 ] && [ $((after - before)) = "$n" ] && grep -q '"ended":"count"' "$T/out" && return 0
	cat "$T/out"
	echo "the interface counted $((after - before))"
	return 1
}
counts() {
	for dst in 198.18.0.9 2001:2::9; do
		for kind in udp tcp icmp; do
			exact 1 $kind --dst $dst && exact 63 $kind --dst $dst && exact 50021 $kind --dst $dst &&
				exact 5000 $kind --dst $dst --vlan 7 && exact 5000 $kind --dst $dst --vlan 7,4095 --size 1000 ||
				return 1
		done
	done
}
rates_of_pieces() { # every batch size and a count below it
	for batch in 1 2 16 128; do
		exact 1000 udp --batch $batch && exact 3 udp --batch $batch --cpu 0 || return 1
	done
	# a veth queues 256 frames at most: larger batches may lose some, but none without being counted
	gen udp --batch 256 --dst-mac 02:00:00:00:00:0b --count 100000 --peer $b/vb -j >"$T/out" 2>/dev/null || return 1
	[ "$(num sent <"$T/out")" = 100000 ] &&
		[ $(($(num received <"$T/out") + $(num tx_dropped <"$T/out"))) = 100000 ] || { cat "$T/out"; return 1; }
}

# tcpdump verifies every checksum; each packet must also look as wanted
checksums() { # PATTERN OPTION...
	want=$1
	shift
	capture 300 "$T/c.pcap"
	gen "$@" --dst-mac 02:00:00:00:00:0b --count 300 -q >/dev/null || return 1
	finish_capture
	read_capture "$T/c.pcap" -e -vv >"$T/c.txt"
	! grep -m 3 -E '[ (](bad|incorrect|wrong)|truncated|\[\|' "$T/c.txt" || return 1
	tr '\n' ' ' <"$T/c.txt" | sed 's/  */ /g' | grep -oE -e "$want" >"$T/hits"
	[ "$(wc -l <"$T/hits")" = 300 ] && return 0
	echo "$(wc -l <"$T/hits") packets fit: $want"
	head -n 6 "$T/c.txt"
	return 1
}
checksums_all() {
	checksums 'length 60: .{1,80}proto UDP \(17\), length 46\) 10\.[0-9.]+ > 198\.1[89]\.[0-9.]+: \[udp sum ok\] UDP, length 18' \
		udp --src 10.0.0.0/8 --dst 198.18.0.0/15 --sport 50000-60000 --dport 40000-41000 --random --payload sluice &&
	checksums 'length 60: .{1,80}proto UDP \(17\), length 46\) 10\.[0-9.]+ > 198\.18\.0\.2\.[0-9]+: \[udp sum ok\] UDP' \
		udp --src 10.0.0.250-10.0.1.5 --sport 65000-65535 --dport 40001-40007 &&
	checksums 'length 101: .{1,80}2001:db8:[0-9a-f:]+\.[0-9]+ > 2001:2::[0-9a-f:]*\.4053: \[udp sum ok\] UDP, length 39' \
		udp --src 2001:db8::/32 --dst 2001:2::/64 --sport 0-65535 --dport 4053 --random --size 101 --payload 0x0102ff &&
	checksums 'tos 0x10, ttl 7, .{1,60}proto TCP \(6\), length 40\) [0-9.]+ > [0-9.]+: Flags \[S\.E\], cksum 0x[0-9a-f]{4} \(correct\), .{1,40}length 0' \
		tcp --src 10.0.0.0/24 --dport 1-3 --flags syn,ack,ece --ttl 7 --tos 16 &&
	checksums 'length 1514: .{1,160}Flags \[none\], cksum 0x[0-9a-f]{4} \(correct\), .{1,40}length 1440' \
		tcp --dst 2001:2::2 --src 2001:db8::ffff:ffff:ffff:ff00-2001:db8:0:1::ff --flags none --size 1514 &&
	checksums '802.1Q-QinQ \(0x88a8\), length 1518: vlan 5, p 0, ethertype 802.1Q \(0x8100\), vlan 4094, p 0, ethertype IPv4.{1,200}sum ok' \
		udp --vlan 5,4094 --size 1518 --src 10.0.0.0/8 --random
}

# the receiving stack agrees: it counts what has a right checksum, by what it did with it
stack_udp() {
	no=$(snmp Udp NoPorts) bad=$(snmp Udp InCsumErrors) hdr=$(snmp Ip InHdrErrors)
	gen udp --dst 10.9.0.2 --src 10.9.0.100-10.9.0.200 --dport 2000-3000 --random --count 5000 -q >/dev/null || return 1
	wait_until 2 test_eq snmp Udp NoPorts $((no + 5000)) && test_eq snmp Udp InCsumErrors "$bad" &&
		test_eq snmp Ip InHdrErrors "$hdr"
}
test_eq() { # COMMAND ARG... WANTED
	for want; do :; done
	got=$("$@" 2>/dev/null)
	[ "$got" = "$want" ] || { echo "$*: $got"; return 1; }
}
stack_icmp() {
	in=$(snmp Icmp InEchos) out=$(snmp Icmp OutEchoReps) bad=$(snmp Icmp InCsumErrors)
	gen icmp --dst 10.9.0.2 --count 500 -q >/dev/null || return 1
	wait_until 2 test_eq snmp Icmp InEchos $((in + 500)) && test_eq snmp Icmp OutEchoReps $((out + 500)) &&
		test_eq snmp Icmp InCsumErrors "$bad"
}
stack_tcp() { # nobody listens: every SYN is answered by a reset
	out=$(snmp Tcp OutRsts) bad=$(snmp Tcp InCsumErrors)
	gen tcp --dst 10.9.0.2 --sport 1024-2023 --dport 81 --count 1000 -q >/dev/null || return 1
	wait_until 2 test_eq snmp Tcp OutRsts $((out + 1000)) && test_eq snmp Tcp InCsumErrors "$bad"
}
stack_v6() {
	for n in $a $b; do
		nsenter --net=/run/netns/$n sh -c 'echo 0 >/proc/sys/net/ipv6/conf/v'${n#slt$$}'/disable_ipv6'
	done
	ip -n $a addr add 2001:db8::1/64 dev va nodad
	ip -n $a -6 route add default via 2001:db8::2
	expect_fail 1 'va carries the default route of this host; --force' gen udp --count 1 || return 1
	ip -n $a -6 route del default
	ip -n $b addr add 2001:db8::2/64 dev vb nodad
	no=$(snmp6 Udp6NoPorts) in=$(snmp6 Icmp6InEchos)
	# the next hop is asked for: no --dst-mac here
	gen udp --dst 2001:db8::2 --sport 0-65535 --random --count 2000 -q >/dev/null &&
		gen icmp --dst 2001:db8::2 --count 300 -q >/dev/null || return 1
	wait_until 2 test_eq snmp6 Udp6NoPorts $((no + 2000)) && wait_until 2 test_eq snmp6 Icmp6InEchos $((in + 300)) &&
		test_eq snmp6 Udp6InCsumErrors 0 && test_eq snmp6 Icmp6InCsumErrors 0
	rc=$?
	for n in $a $b; do
		nsenter --net=/run/netns/$n sh -c 'echo 1 >/proc/sys/net/ipv6/conf/v'${n#slt$$}'/disable_ipv6'
	done
	return $rc
}

sources() { # OPTION...: the source addresses of 2560 packets, in order
	capture 2560 "$T/s.pcap"
	gen udp --src 10.7.0.0/24 "$@" --dst-mac 02:00:00:00:00:0b --count 2560 -q >/dev/null || return 1
	finish_capture
	read_capture "$T/s.pcap" -t | sed -n 's/^IP \(10\.7\.0\.[0-9]*\)\..*/\1/p'
}
sequential() {
	sources >"$T/seq" || return 1
	awk -F. '{ if ($4 != (NR - 1) % 256) { print "packet " NR " has " $0; exit 1 } } END { exit NR != 2560 }' "$T/seq"
}
random() {
	sources --random >"$T/r1" && sources --random >"$T/r2" && sources --random --seed 2 >"$T/r3" || return 1
	cmp "$T/r1" "$T/r2" || return 1 # the same seed, the same packets
	! cmp -s "$T/r1" "$T/r3" || return 1
	# 256 values, 10 of each expected: chi-square with 255 degrees of freedom, 99.98 % lie in 180..345
	for f in r1 r3; do
		awk -F. '{ n[$4]++; if ($4 == last + 1) steps++; last = $4 }
			END { for (i = 0; i < 256; i++) x += (n[i] - 10) ^ 2 / 10; print "chi-square " x ", steps of one " steps
			      exit !(NR == 2560 && x > 180 && x < 345 && steps < 40) }' "$T/$f" || return 1
	done
}
random_only() {
	capture 200 "$T/o.pcap"
	gen udp --src 10.7.0.0/24 --sport 1-100 --random-only sport --dst-mac 02:00:00:00:00:0b --count 200 -q >/dev/null ||
		return 1
	finish_capture
	read_capture "$T/o.pcap" -t | sed -n 's/^IP 10\.7\.0\.\([0-9]*\)\.\([0-9]*\) .*/\1 \2/p' |
		awk '{ if ($1 != NR - 1) exit 1; if ($2 == (NR - 1) % 100 + 1) same++; if ($2 < 1 || $2 > 100) exit 1 }
			END { exit !(NR == 200 && same < 20) }'
}

# a receiver that scribbles over what it got: frames come back to the generator as they are, and leave it right
scribbler() {
	bpf_cc "$T/scribble.o" <<-'END' || return 1
		#include <linux/bpf.h>
		#include <linux/types.h>
		#include <bpf/bpf_helpers.h>

		char scribble_license[] SEC("license") = "GPL";
		SEC("xdp") int scribble(struct xdp_md *ctx)
		{
			__u8 *p = (void *)(long)ctx->data;
			int i, sum = 0, verdict = XDP_DROP;

			if (p + 60 > (__u8 *)(long)ctx->data_end)
				return XDP_PASS;
			for (i = 14; i < 34; i += 2)
				sum += p[i] << 8 | p[i + 1];
			sum = (sum & 0xffff) + (sum >> 16);
			/* ours, with its IP checksum, TTL, ports and payload */
			if (p[5] != 0x0b || p[12] != 8 || p[14] != 0x45 || p[22] != 64 || sum != 0xffff || p[26] != 10 ||
			    p[37] != 9 || p[42] != 'x' || p[59] != 'x')
				verdict = XDP_PASS;
			for (i = 0; i < 60; i++)
				p[i] = 0xee;
			return verdict;
		}
	END
	inb ip link set vb xdp obj "$T/scribble.o" sec xdp || return 1
	for how in "--src 10.0.0.0/8 --random" "--src 10.0.0.0/24" "--src 10.1.1.1"; do
		drops=$(xdp_drops)
		gen udp $how --payload x --dst-mac 02:00:00:00:00:0b --count 20000 --peer $b/vb -j >"$T/out" &&
			[ "$(num received <"$T/out")" = 20000 ] && [ $(($(xdp_drops) - drops)) = 20000 ] ||
			{ echo "$how: $(($(xdp_drops) - drops)) right ones"; cat "$T/out"; break; }
	done
	rc=$?
	inb ip link set vb xdp off
	[ $rc = 0 ] && [ $(($(xdp_drops) - drops)) = 20000 ]
}
xdp_drops() { inb ethtool -S vb | awk '/xdp_drops/ { n += $2 } END { print n + 0 }'; }

pace() { # RATE PACKETS-A-SECOND
	gen udp --dst-mac 02:00:00:00:00:0b --pps "$1" --duration 2s --peer $b/vb -j >"$T/out" || return 1
	within "$(num sent <"$T/out")" $((2 * $2)) 3 && within "$(num pps <"$T/out")" "$2" 3 &&
		[ "$(num sent <"$T/out")" = "$(num received <"$T/out")" ] && grep -q '"ended":"duration"' "$T/out"
}
paces() { pace 50 50 && pace 10k/s 10000 && pace 0.2M 200000; }
beyond() { # rates that nothing reaches end in time all the same
	for pps in 90M 1G 100000G; do
		gen udp --dst-mac 02:00:00:00:00:0b --pps $pps --duration 0.5s -j >"$T/out" 2>/dev/null || return 1
		within "$(num seconds <"$T/out")" 0.52 10 || { cat "$T/out"; return 1; }
	done
}
even() { # no bursts at a low rate: 500 packets at 1000/s are 499 ms apart, and no two within 0.2 ms but few
	capture 500 "$T/e.pcap"
	gen udp --dst-mac 02:00:00:00:00:0b --pps 1000 --count 500 -q >/dev/null || return 1
	finish_capture
	read_capture "$T/e.pcap" -tt >"$T/e.txt"
	awk 'NR == 1 { first = $1 } NR > 1 && $1 - last < 0.0002 { near++ } { last = $1 }
		END { t = last - first; print NR " packets in " t " s, " near + 0 " in bursts"
		      exit !(NR == 500 && t > 0.484 && t < 0.514 && near < 100) }' "$T/e.txt"
}
# where no namespace can be made, system calls take 24 ms longer: the same packets, in larger bursts
unheld() {
	printf '#include <errno.h>\nint unshare(int flags) { (void)flags; errno = EPERM; return -1; }\n' |
		cc -shared -fPIC -x c - -o "$T/unshare.so" || return 1
	gen_unheld() { ina env LD_PRELOAD="$preload$T/unshare.so" "$SLUICE" traffic va udp --dst-mac 02:00:00:00:00:0b --peer $b/vb -j "$@"; }
	preload=$(ldd "$SLUICE" | awk '/libasan/ { printf "%s:", $3 }') # a sanitizer wants to be first
	gen_unheld --count 12345 >"$T/out" && [ "$(num sent <"$T/out")" = 12345 ] && [ "$(num received <"$T/out")" = 12345 ] &&
		gen_unheld --pps 10k --duration 2s >"$T/out" && within "$(num sent <"$T/out")" 20000 3 || { cat "$T/out"; return 1; }
}
lines() { # a line a second, and the summary
	gen udp --dst-mac 02:00:00:00:00:0b --pps 1000 --duration 2.5s >"$T/out" || return 1
	[ "$(grep -cE '^ +[12]\.0s +[0-9.k]+ pps +[0-9.]+k? +sent$' "$T/out")" = 2 ] &&
		[ "$(grep -cE '^va: 2[45][0-9]{2} packets \([0-9]+ bytes\) in 2\.5[0-9]* s: ' "$T/out")" = 1 ] &&
		[ "$(wc -l <"$T/out")" = 3 ] || { cat "$T/out"; return 1; }
}

make_captures() { # mixed.pcap: 300 frames of many lengths and kinds; long.pcap: with jumbo frames
	ip -n $a link set va mtu 9000 && ip -n $b link set vb mtu 9000
	capture 300 "$T/mixed.pcap"
	for size in 60 61 90 333 1514; do
		gen udp --size $size --payload abcdefg --src 10.1.0.0/16 --random --count 20 -q --dst-mac 02:00:00:00:00:0b &&
			gen tcp --size $((size + 4)) --dst 2001:2::2 --src 2001:2::/64 --random --count 20 -q --dst-mac 02:00:00:00:00:0b ||
			gen tcp --dst 2001:2::2 --src 2001:2::/64 --random --count 20 -q --dst-mac 02:00:00:00:00:0b
		gen udp --size $((size < 68 ? 68 : size)) --vlan 3,4 --payload 0x00ff --count 20 -q --dst-mac 02:00:00:00:00:0b
	done >/dev/null 2>&1
	finish_capture
	capture 15 "$T/long.pcap"
	{ gen udp --size 2000 --count 5 -q && gen udp --count 5 -q && gen udp --size 3408 --count 5 -q; } >/dev/null
	finish_capture
	ip -n $a link set va mtu 1500 && ip -n $b link set vb mtu 1500
	[ "$(read_capture "$T/mixed.pcap" | wc -l)" = 300 ] && [ "$(read_capture "$T/long.pcap" | wc -l)" = 15 ]
}
frames_of() { read_capture "$1" -t -xx | awk '/^[^\t]/ { if (NR > 1) print s; s = ""; next } { $1 = ""; s = s $0 } END { print s }'; }
replay_once() {
	capture 300 "$T/again.pcap"
	gen --pcap "$T/mixed.pcap" --once --peer $b/vb -j >"$T/out" || return 1
	finish_capture
	frames_of "$T/mixed.pcap" >"$T/f1"
	frames_of "$T/again.pcap" >"$T/f2"
	grep -q '"ended":"count"' "$T/out" && [ "$(wc -l <"$T/f1")" = 300 ] && cmp "$T/f1" "$T/f2" && [ "$(num received <"$T/out")" = 300 ] &&
		[ "$(num bytes <"$T/out")" = "$(awk '{ gsub(/ /, ""); n += length($0) / 2 } END { print n }' "$T/f1")" ]
}
replay_thrice() {
	capture 900 "$T/again.pcap"
	gen --pcap "$T/mixed.pcap" --count 900 -q >/dev/null || return 1
	finish_capture
	frames_of "$T/again.pcap" >"$T/f3"
	cat "$T/f1" "$T/f1" "$T/f1" | cmp - "$T/f3"
}
replay_random() { # every frame is one of the capture, most are drawn, not in the old order
	capture 2000 "$T/again.pcap"
	gen --pcap "$T/mixed.pcap" --random --count 2000 -q >/dev/null || return 1
	finish_capture
	frames_of "$T/again.pcap" >"$T/f4"
	sort -u "$T/f1" >"$T/u1"
	sort -u "$T/f4" >"$T/u4"
	[ "$(wc -l <"$T/f4")" = 2000 ] && [ -z "$(comm -13 "$T/u1" "$T/u4")" ] &&
		[ "$(comm -23 "$T/u1" "$T/u4" | wc -l)" -lt 10 ] && ! cmp -s "$T/f1" "$T/f4"
}
replay_long() {
	gen --pcap "$T/long.pcap" --once --peer $b/vb -j >"$T/out" || return 1
	grep -q '"capture":{"file":"[^"]*long.pcap","packets":5,"skipped_long":10,"skipped_short":0,"incomplete":0}' "$T/out" &&
		[ "$(num received <"$T/out")" = 5 ] || { cat "$T/out"; return 1; }
}
replay_damaged() {
	head -c 5000 "$T/mixed.pcap" >"$T/cut.pcap"
	echo "no capture" >"$T/none.pcap"
	expect_fail 1 'cut.pcap is damaged at packet [0-9]+: truncated dump file' gen --pcap "$T/cut.pcap" &&
		expect_fail 1 'none.pcap is not a capture \(pcap, pcapng\): ' gen --pcap "$T/none.pcap" &&
		expect_fail 3 'nowhere.pcap: No such file or directory$' gen --pcap "$T/nowhere.pcap" &&
		expect_fail 2 "options about their contents do not go with it" gen --pcap "$T/mixed.pcap" --dport 7
}

jumbo() {
	ip -n $a link set va mtu 9000 && ip -n $b link set vb mtu 9000
	exact 2000 udp --size 3408 --src 10.0.0.0/8 --random
	rc=$?
	ip -n $a link set va mtu 1500 && ip -n $b link set vb mtu 1500
	return $rc
}
default_route() {
	ip -n $a route add default via 10.9.0.2
	expect_fail 1 'va carries the default route of this host; --force sends there all the same$' gen udp --count 1 &&
		gen udp --count 1 --force -q >/dev/null
	rc=$?
	ip -n $a route del default
	[ $rc = 0 ] || return 1
	ip -n $a route add 128.0.0.0/1 dev va # half a default route, as VPN clients write it
	expect_fail 1 'va carries the default route' gen udp --count 1
	rc=$?
	ip -n $a route del 128.0.0.0/1
	[ $rc = 0 ] || return 1
	ip -n $a link add mv0 link va type macvlan && ip -n $a link set mv0 up && ip -n $a addr add 10.8.0.1/24 dev mv0 &&
		ip -n $a route add default via 10.8.0.2
	expect_fail 1 'va carries the default route of this host through mv0; --force' gen udp --count 1
	rc=$?
	ip -n $a link del mv0
	[ $rc = 0 ] || return 1
	ip -n $a link add br0 type bridge && ip -n $a link set br0 up && ip -n $a link set va master br0 &&
		ip -n $a addr add 10.8.0.1/24 dev br0 && ip -n $a route add default via 10.8.0.2
	expect_fail 1 'va carries the default route of this host through br0; --force' gen udp --count 1
	rc=$?
	ip -n $a link del br0
	[ $rc = 0 ] && gen udp --count 1 -q >/dev/null
}
interfaces() {
	expect_fail 3 "^sluice traffic: no interface 'nowhere'$" ina "$SLUICE" traffic nowhere udp &&
		expect_fail 3 "^sluice traffic: no interface 'a_name_beyond_15_characters'$" \
			ina "$SLUICE" traffic a_name_beyond_15_characters udp &&
		expect_fail 4 'lo takes no frames from XDP: its driver has no support for it; use a veth pair$' \
			ina "$SLUICE" traffic lo udp &&
		expect_fail 3 "peer $b/nowhere: no interface 'nowhere'$" gen udp --peer $b/nowhere &&
		expect_fail 3 "peer nowhere/vb: network namespace /run/netns/nowhere: No such file or directory$" \
			gen udp --peer nowhere/vb &&
		expect_fail 3 "peer /etc/passwd/vb: it is not a network namespace$" gen udp --peer /etc/passwd/vb || return 1
	ip -n $a link set va down
	expect_fail 1 'va is down; ip link set va up$' gen udp
	rc=$?
	ip -n $a link set va up
	ip -n $a neigh replace 10.9.0.2 lladdr 02:00:00:00:00:0b dev va
	[ $rc = 0 ]
}
no_napi() {
	inb ethtool -K vb gro off >/dev/null
	expect_fail 4 'va takes no frames from XDP as long as its peer has neither an XDP program nor GRO; ethtool -K PEER gro on' \
		gen udp --count 10
	rc=$?
	inb ethtool -K vb gro on >/dev/null
	[ $rc = 0 ]
}
peer_down() { # frames vanish: no counter of va moves
	ip -n $b link set vb down
	expect_fail 0 'the peer of va took none of these packets: it is down' gen udp --dst-mac 02:00:00:00:00:0b --count 10 --peer $b/vb
	rc=$?
	ip -n $b link set vb up
	ip -n $b neigh replace 10.9.0.1 lladdr 02:00:00:00:00:0a dev vb
	[ $rc = 0 ] && grep -q "^$b/vb: 0 received, 10 lost$" "$T/.out"
}
unresolved() {
	ip -n $a route add 203.0.113.0/24 via 10.9.0.77 dev va
	# nobody answers there, but a veth has only one neighbour
	gen udp --dst 203.0.113.1 --count 1 -j >"$T/out" && grep -q '"dst_mac":"02:00:00:00:00:0b"' "$T/out" || return 1
	gen udp --dst 239.1.2.3 --count 1 -j | grep -q '"dst_mac":"01:00:5e:01:02:03"' &&
		gen udp --dst ff02::1:2 --count 1 -j | grep -q '"dst_mac":"33:33:00:01:00:02"'
}
gone() {
	gen_exec udp --dst-mac 02:00:00:00:00:0b --pps 1000 --duration 20s -j >"$T/out" 2>"$T/err" &
	pid=$!
	sleep 0.7
	ip -n $a link del va
	wait $pid
	rc=$?
	join
	[ $rc = 3 ] && grep -qE '^sluice traffic: va disappeared after [0-9]+ packets$' "$T/err" && grep -q '"ended":"error"' "$T/out" &&
		[ "$(wc -l <"$T/err")" = 1 ] || { echo "exit $rc"; cat "$T/out" "$T/err"; return 1; }
}
taken_down() {
	gen_exec udp --dst-mac 02:00:00:00:00:0b --duration 20s -q >"$T/out" 2>"$T/err" &
	pid=$!
	sleep 0.7
	ip -n $a link set va down
	wait $pid
	rc=$?
	ip -n $a link set va up
	[ $rc = 1 ] && grep -qE '^sluice traffic: va was taken down; about [0-9]+ packets were sent before$' "$T/err" ||
		{ echo "exit $rc"; cat "$T/out" "$T/err"; return 1; }
}
interrupted() { # both while sending and while waiting for the next packet to be due
	for pps in 1G 1; do
		for sig in INT TERM; do
			gen_exec udp --dst-mac 02:00:00:00:00:0b --pps $pps --duration 20s -j >"$T/out" &
			pid=$!
			sleep 0.6
			kill -$sig $pid
			wait $pid || { echo "exit $?"; return 1; }
			grep -q '"ended":"signal"' "$T/out" && within "$(num seconds <"$T/out")" 0.5 70 || { cat "$T/out"; return 1; }
		done
	done
}
privilege() {
	expect_fail 4 'sending packets needs CAP_NET_ADMIN' ina setpriv --reuid 65534 --clear-groups "$SLUICE" traffic va udp --dst-mac 02:00:00:00:00:0b &&
		expect_fail 4 'sending packets needs CAP_NET_ADMIN' ina setpriv --reuid 65534 --clear-groups "$SLUICE" traffic va udp --dst 10.9.0.55
}
usage() {
	expect_fail 2 'which packets\? udp, tcp, icmp or --pcap FILE$' gen &&
		expect_fail 2 "unknown protocol 'icm', did you mean icmp\?$" gen icm &&
		expect_fail 2 "unknown protocol 'xyz'; udp, tcp or icmp$" gen xyz &&
		expect_fail 2 "source: '10.0.0.300' is not an IPv4 or IPv6 address$" gen udp --src 10.0.0.300 &&
		expect_fail 2 "'10.0.0.1/8' has bits beyond its length of 8; leave them 0$" gen udp --src 10.0.0.1/8 &&
		expect_fail 2 "source and destination are not of one address family$" gen udp --src 10.0.0.1 --dst ::1 &&
		expect_fail 2 "destination port: '9-1' ends before it begins$" gen udp --dport 9-1 &&
		expect_fail 2 "ICMP has no ports$" gen icmp --dport 9 &&
		expect_fail 2 "size: 3409 is out of range, 60 to 3408 is possible$" gen udp --size 3409 &&
		expect_fail 2 "a frame of 1519 bytes is too large: with the interface's MTU it can be 1518$" gen udp --size 1519 &&
		expect_fail 2 "a frame of 61 bytes is too small, these headers take 62$" gen udp --dst ::1 --size 61 &&
		expect_fail 2 "flags: unknown word 'sin', did you mean fin\?$" gen tcp --flags ack,sin &&
		expect_fail 2 "flags goes with tcp$" gen udp --flags syn &&
		expect_fail 2 "vlan: 4096 is out of range, 0 to 4095 is possible$" gen udp --vlan 4096 &&
		expect_fail 2 "vlan: '' is not a number$" gen udp --vlan 7, &&
		expect_fail 2 "random-only: unknown word 'spot', did you mean sport\?$" gen udp --random-only src,spot &&
		expect_fail 2 "payload: 0x wants an even number of hex digits" gen udp --payload 0x012 &&
		expect_fail 2 "batch: 257 is out of range, 1 to 256 is possible$" gen udp --batch 257 &&
		expect_fail 2 "cpu: there is no CPU 1023 here" gen udp --cpu 1023 --dst-mac 02:00:00:00:00:0b &&
		expect_fail 2 "pps: a rate of 0 sends nothing$" gen udp --pps 0 &&
		expect_fail 2 "unknown option --durations, did you mean --duration\?$" gen udp --durations 5
}
# what the generator's descriptors stood for is gone with it: by its own end, by a signal, by kill -9
ids() { sed -n "s/^$1_id:[[:space:]]*//p" /proc/$pid/fdinfo/* 2>/dev/null | sort -u; }
holds() { [ -n "$(ids prog)" ] && [ -n "$(ids link)" ] && [ -n "$(ids map)" ]; }
gone_id() { ! bpftool "$1" show id "$2"; }
nothing_left() {
	for sig in 0 TERM KILL; do
		gen_exec udp --dst-mac 02:00:00:00:00:0b --duration 2s -q >/dev/null &
		pid=$!
		wait_until 5 holds || return 1
		progs=$(ids prog) links=$(ids link) maps=$(ids map)
		[ $sig = 0 ] || kill -$sig $pid
		wait $pid 2>/dev/null
		for id in $progs; do wait_until 5 gone_id prog $id || return 1; done
		for id in $links; do wait_until 5 gone_id link $id || return 1; done
		for id in $maps; do wait_until 5 gone_id map $id || return 1; done
	done
}

set_up || skip_all "cannot make namespaces and veth pairs here"
case_ "sent = received to the packet: udp, tcp, icmp, IPv4, IPv6, tags" counts
case_ "every batch size sends the exact count" rates_of_pieces
case_ "checksums are right by tcpdump, whatever varies" checksums_all
case_ "the receiving stack counts every UDP datagram" stack_udp
case_ "the receiving stack answers every echo request" stack_icmp
case_ "the receiving stack resets every SYN" stack_tcp
case_ "the same for IPv6, next hop found by itself" stack_v6
case_ "addresses step in sequence" sequential
case_ "random addresses are evenly spread, and the same for one seed" random
case_ "one field at random, the others in sequence" random_only
case_ "frames leave right after a receiver wrote over them" scribbler
case_ "--pps keeps its rate" paces
case_ "--pps beyond reach" beyond
case_ "--pps sends without bursts" even
case_ "without a private namespace it is but less even" unheld
case_ "a line a second and a summary" lines
case_ "frames up to the limit of live frames" jumbo
case_ "captures to replay" make_captures
case_ "a capture arrives byte for byte" replay_once
case_ "a capture starts again when it is over" replay_thrice
case_ "a capture in random order" replay_random
case_ "packets too long for the interface are counted" replay_long
case_ "damaged captures are refused" replay_damaged
case_ "the default route's interface is refused" default_route
case_ "unknown, down and unable interfaces" interfaces
case_ "a veth whose peer polls nothing is refused, with the fix" no_napi
case_ "packets that vanish are reported" peer_down
case_ "MAC addresses: next hop, veth peer, multicast" unresolved
case_ "the interface disappears while sending" gone
case_ "the interface is taken down while sending" taken_down
case_ "signals end with the report" interrupted
case_ "no privilege" privilege
case_ "usage mistakes" usage
case_ "nothing stays behind, kill -9 included" nothing_left
done_
