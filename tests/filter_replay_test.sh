# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice replay: counts per rule, verdicts, flows treated differently; captures and policies that are damaged.
. "$SRC/tests/lib.sh"
cd "$T" || exit 1

# UDP 10.0.0.1:9 > 10.0.0.2:53 three times, TCP SYN 10.0.0.1:9 > 10.0.0.2:22 twice, ARP once
eth=020000000001020000000002
udp=${eth}08004500002600000000401100000a0000010a000002000900350012000000000000000000000000
syn=${eth}08004500002800000000400600000a0000010a0000020009001600000000000000005002000000000000
arp=${eth}08060001
"$BUILD/tests/capture" a.pcap "$udp*3" "$syn*2" "$arp"
cat >new.conf <<'X'
filter on eth0 {
	count udp as "seen"
	limit udp to 1/m per source burst 2
	log drop tcp flags syn to port 22
	redirect to eth1 ether type arp
	default pass
}
X
cat >old.conf <<'X'
filter on eth0 {
	drop udp
	default pass
}
X
cat >want <<'X'
6 packets, 280 bytes, 0.000 s
     PACKETS          BYTES  RULE
           3            156  new.conf:2: count udp as "seen"
           2            104  new.conf:3: limit udp to 1/m per source burst 2
           1             52      over the limit
           2            108  new.conf:4: log drop tcp flags syn to port 22
           2                     logged
           1             16  new.conf:5: redirect to eth1 ether type arp
           2            104  new.conf:6: default pass
           3                 drop
           2                 pass
           1                 redirect
against old.conf: 5 packets of 3 flows treated differently
           2            108  pass -> drop  tcp 10.0.0.1:9 > 10.0.0.2:22
           2            104  drop -> pass  udp 10.0.0.1:9 > 10.0.0.2:53
           1             16  pass -> redirect  ether type arp
X
golden() { "$SLUICE" replay new.conf a.pcap --against old.conf | diff want -; }
case_ "rules, verdicts, differences" golden
stdin() { "$SLUICE" replay new.conf - --against old.conf <a.pcap | diff want -; }
case_ "a capture on standard input" stdin
json() {
	"$SLUICE" replay new.conf a.pcap --against old.conf -j |
		jq -e '.packets == 6 and .bytes == 280 and .pass == 2 and .drop == 3 and .redirect == 1 and .aborted == 0 and .cut == 0 and
			(.rules | length) == 5 and .rules[1].over_packets == 1 and .rules[0].name == "seen" and .rules[4].default and
			.rules[2] == {file: "new.conf", line: 4, rule: "log drop tcp flags syn to port 22", name: null, default: false,
				packets: 2, bytes: 108, over_packets: 0, over_bytes: 0, logged: 2} and
			.different_packets == 5 and (.different | length) == 3 and .different[1] ==
				{flow: "udp 10.0.0.1:9 > 10.0.0.2:53", before: "drop", after: "pass", packets: 2, bytes: 104}' >/dev/null
}
case_ "JSON" json
same() { # a policy against itself
	"$SLUICE" replay new.conf a.pcap --against new.conf | tail -n 1 | grep -qx 'against new.conf: 0 packets of 0 flows treated differently'
}
case_ "a policy against itself" same
cut_short() { # 42 of 1500 bytes: the length is that on the wire
	"$BUILD/tests/capture" cut.pcap snap=42 "$udp$(printf '%02920d' 0)"
	printf 'filter on eth0 {\n drop udp to port 53 length 1512\n}\n' >length.conf
	"$SLUICE" replay length.conf cut.pcap >out || return 1
	head -n 1 out | grep -qx '1 packets, 1512 bytes, 0.000 s; 1 cut short' && grep -q '^ *1  *drop$' out
}
case_ "a packet cut short" cut_short
shadow() {
	printf 'filter on eth0 {\n shadow\n drop udp\n}\n' >shadow.conf
	"$SLUICE" replay shadow.conf a.pcap | grep -q '^ *3  *drop$'
}
case_ "a filter in shadow" shadow
on() {
	printf 'filter on eth0 {\n drop in eth0\n}\nfilter on eth1 {\n drop in eth0\n}\n' >two.conf
	"$SLUICE" replay two.conf a.pcap --on eth0 | grep -q '^ *6  *drop$' && "$SLUICE" replay two.conf a.pcap --on eth1 | grep -q '^ *6  *pass$'
}
case_ "which interface" on
case_ "which of two filters?" expect_fail 2 'two.conf: the policy has 2 filters: say which interface, with --on IF' "$SLUICE" replay two.conf a.pcap
case_ "no filter there" expect_fail 3 'two.conf: no filter of the policy is on eth9' "$SLUICE" replay two.conf a.pcap --on eth9
case_ "no such capture" expect_fail 3 'none.pcap: no such file' "$SLUICE" replay new.conf none.pcap
case_ "no such policy" expect_fail 3 'none.conf: No such file or directory' "$SLUICE" replay none.conf a.pcap
case_ "without a capture" expect_fail 2 'too few arguments' "$SLUICE" replay new.conf
printf 'fliter on eth0 {\n}\n' >bad.conf
case_ "mistakes in the policy" expect_fail 1 "error: unknown word 'fliter'" "$SLUICE" replay bad.conf a.pcap
expression() { # as libpcap counts them
	printf 'filter on eth0 {\n drop matching "udp and greater 50"\n drop not matching "ip or ip6"\n}\n' >expr.conf
	"$BUILD/tests/capture" e.pcap random 11 500
	"$SLUICE" replay expr.conf e.pcap -j >expr.json
	n=$(tcpdump -r e.pcap --count 'udp and greater 50' 2>/dev/null | cut -d' ' -f1)
	m=$(tcpdump -r e.pcap --count 'not (udp and greater 50) and not (ip or ip6)' 2>/dev/null | cut -d' ' -f1)
	[ "$n" -gt 20 ] && jq -e ".drop == $((n + m))" expr.json >/dev/null
}
case_ "pcap expressions" expression
"$BUILD/tests/capture" broken.pcap cut=5 "$udp"
case_ "a damaged capture" expect_fail 1 'broken.pcap' "$SLUICE" replay new.conf broken.pcap
explained() { # what replay does to each packet is what explain says of it
	"$BUILD/tests/capture" r.pcap random 7 60
	grep -v limit new.conf >one.conf
	n=1 pass=0
	while [ $n -le 60 ]; do
		"$SLUICE" explain one.conf --pcap r.pcap -n $n | tail -n 1 | grep -q '^pass' && pass=$((pass + 1))
		n=$((n + 1))
	done
	"$SLUICE" replay one.conf r.pcap -j | jq -e ".pass == $pass" >/dev/null
}
case_ "replay does what explain says" explained
large() { # a list that would not fit if its prefixes were part of the rules, in two of them
	awk 'BEGIN { for (i = 0; i < 200000; i++) printf "%d.%d.%d.%d/31\n", 20 + i / 65536, i / 256 % 256, i % 256, i * 6 % 256 }' >large.netset
	printf '2001:db8::/32\n198.51.100.7\n' >>large.netset
	cat >large.conf <<-'X'
		set blocked from "large.netset"
		filter on eth0 {
			drop udp to @blocked port 53
			drop from { @blocked, 192.0.2.0/24 }
			default pass
		}
	X
	set --
	for a in 14000000 14000107 14000108 16ffffff 170d3f7a 170d407e c6336407 c0000205 0a000001; do # 20.0.0.0, ...
		set -- "$@" "${eth}0800450000260000000040110000${a}0a000002000900350012000000000000000000000000" \
			"${eth}08004500002600000000401100000a000002${a}000900350012000000000000000000000000" \
			"${eth}08004500002600000000401100000a000002${a}000900360012000000000000000000000000"
	done
	"$BUILD/tests/capture" large.pcap "$@"
	n=1 drop=0
	while [ $n -le $# ]; do
		"$SLUICE" explain large.conf --pcap large.pcap -n $n -j >one || return 1
		jq -e '.verdict == "drop"' one >/dev/null && drop=$((drop + 1))
		n=$((n + 1))
	done
	[ $drop -gt 6 ] || return 1
	"$SLUICE" replay large.conf large.pcap --against large.conf -j >all || return 1
	jq -e ".packets == $# and .drop == $drop and .different_packets == 0 and .rules[0].packets > 2 and .rules[1].packets > 2" all >/dev/null ||
		{ jq . all; return 1; }
}
case_ "sets of any size are looked up as in force" large
done_
