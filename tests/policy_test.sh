#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The policy language as users meet it: sluice check and sluice explain, golden files, every mistake to the letter.
. "$(dirname "$0")/lib.sh"
G=$SRC/tests/policy
cp "$G"/*.conf "$G"/*.netset "$T" && cd "$T" || exit 1

# --- golden files: what is printed, what is said, and that the printed form prints itself
golden() { # NAME
	"$SLUICE" check "$1.conf" --print >"$1.out" 2>"$1.err" || return 1
	diff "$G/$1.print" "$1.out" && diff "$G/$1.said" "$1.err" || return 1
	cp "$1.out" again.conf
	"$SLUICE" check again.conf --print 2>/dev/null | diff "$1.out" -
}
for g in "$G"/*.print; do
	g=$(basename "$g" .print)
	case_ "golden: $g" golden "$g"
done

# --- mistakes: see the head of tests/policy/mistakes
mkdir cases
awk -v dir=cases '
	/^#/ && !n { next }
	/^=== / { close(f); d = sprintf("%s/%03d", dir, ++n); system("mkdir " d); print substr($0, 5) >(d "/title"); close(d "/title")
		  f = d "/case.conf"; next }
	/^--- / && n { close(f); f = d "/" $2; next }
	/^>>> / { close(f); print $2 >(d "/code"); close(d "/code"); f = d "/said"; printf "" >f; next }
	n { print >f }' "$G/mistakes"
mistake() { # DIR
	cd "$1" || return 1
	"$SLUICE" check case.conf >out 2>err && rc=0 || rc=$?
	cd - >/dev/null || return 1
	[ "$rc" = "$(cat "$1/code")" ] || { echo "exit $rc"; cat "$1/err"; return 1; }
	diff "$1/said" "$1/err"
}
for d in cases/*; do
	case_ "mistake: $(cat "$d/title")" mistake "$d"
done
many() { # kinds of mistakes: what differs in names and numbers alone is one
	[ "$(ls cases | wc -l)" -ge 150 ] && kinds=$(sed -nE "s/^[^:]*:[0-9]+:[0-9]+: error: //; T; s/'[^']*'/'X'/g; s/[0-9]+/N/g; p" cases/*/said | sort -u | wc -l)
	echo "$kinds kinds"
	[ "$kinds" -ge 150 ]
}
case_ "there are enough of them" many

# --- check
summary() {
	[ "$("$SLUICE" check sketch.conf)" = "sketch.conf: 14 rules in 1 filter, 4 sets of 9 elements (33.6M IPv4 addresses and IPv6); 0 warnings" ]
}
case_ "check: a summary" summary
case_ "check: no such file" expect_fail 3 '^sluice check: none.conf: No such file or directory$' "$SLUICE" check none.conf
case_ "check: a folder" expect_fail 1 '^sluice check: . is not a regular file$' "$SLUICE" check .
case_ "check: without a file" expect_fail 2 '^sluice check: too few arguments: ' "$SLUICE" check
json() {
	"$SLUICE" check sketch.conf -j >j || return 1
	jq -e '.ok and .errors == 0 and .rules == 14 and .filters == 1 and (.sets | length) == 4 and
		.sets[1] == {name: "blocked", spans_ipv4: 2, spans_ipv6: 1, addresses_ipv4: 257, addresses_ipv6: 79228162514264337593543950336}' j || return 1
	grep -q '"addresses_ipv4": *257,' j && grep -q '"addresses_ipv6": *0}' j && ! grep -q '"addresses_ipv[46]": *[0-9]*\.0[,}]' j || return 1
	"$SLUICE" check cases/001/case.conf -j >j && return 1
	jq -e '.ok == false and .errors == 1 and .diagnostics == [{severity: "error", file: "cases/001/case.conf", line: 1, column: 1,
		length: 6, text: "unknown word '\''fliter'\'', did you mean '\''filter'\''? Expected interface, set, filter, balance, define or include"}]' j || return 1
	"$SLUICE" check sketch.conf --print -j | jq -r .printed | diff - "$G/sketch.print" | grep -c '^[<>] .' | grep -qx 0
}
case_ "check: JSON" json
odd() { # strings are UTF-8 without control characters of either sort: each that is not is a mistake of its own
	printf 'filter on eth0 {\n\tcount udp as "caf\351"\n\tlog udp to port 7 as "caf\303\251"\n\tdrop tcp as "a\302\2332Jb"\n\tdrop icmp as "x\355\240\200"\n}\n' >odd.conf
	"$SLUICE" check odd.conf >out 2>&1 && return 1
	sed -n 's/^odd.conf:\([0-9:]*\): error: /\1 /p; $p' out >got
	printf '%s\n' '2:19 byte 0xe9 in a string is no UTF-8' '4:16 control character U+009B in a string' '5:17 byte 0xed in a string is no UTF-8' \
		'sluice check: odd.conf: 3 mistakes' | diff - got && LC_ALL=C grep -c "$(printf '[\200-\377]')" out | grep -qx 0
}
case_ "check: strings that are no UTF-8, and control characters" odd
odd_file() { # its name may be of any bytes, JSON is UTF-8
	f=$(printf 'na\351\302\233me.conf') && printf 'filter on eth0 {\n\tdrop tcp as "a"\n\tdrop udp as "\377"\n}\n' | sed 3d >"$f" || return 1
	"$SLUICE" check -p -j "$f" | jq -e '.file == "na???me.conf" and (.printed | startswith("filter on eth0"))' &&
		"$SLUICE" explain -j "$f" arp | jq -e '.looked_at[0].file == "na???me.conf"' &&
		"$SLUICE" replay -j "$f" "$G/two.pcap" | jq -e '(.rules | length) == 2 and .rules[0].file == "na???me.conf"' &&
		"$SLUICE" export nft -j "$f" | jq -e '.ruleset | length > 100'
}
case_ "JSON of a policy whose name is no UTF-8" odd_file
services() {
	[ "$("$SLUICE" check balance.conf)" = "balance.conf: 0 rules in 0 filters, 0 sets; 8 services, 17 virtual addresses, 14 backends; 0 warnings" ] || return 1
	"$SLUICE" check balance.conf -j | jq -e '(.services | length) == 8 and
		.services[1] == {name: "dns", virtuals: 3, backends: 3, slots: 4093}'
}
case_ "check: services" services
stdin() { # files that it names are in the current folder
	[ "$("$SLUICE" check - <sketch.conf)" = "<stdin>: 14 rules in 1 filter, 4 sets of 9 elements (33.6M IPv4 addresses and IPv6); 0 warnings" ] || return 1
	"$SLUICE" check -p - <sketch.conf | diff "$G/sketch.print" - || return 1
	echo 'filter on eth0 { dorp }' | expect_fail 1 '^<stdin>:1:18: error: unknown word' "$SLUICE" check - && expect_fail 1 '^sluice check: <stdin>: Bad file' "$SLUICE" check - <&-
}
case_ "check: standard input" stdin
fifo() { # as <(...) of a shell; a writer may come late, but has to come
	mkfifo late.fifo || return 1
	(sleep 0.5; cat sketch.conf >late.fifo) &
	"$SLUICE" check -p late.fifo | diff "$G/sketch.print" - || return 1
	(cat sketch.conf >late.fifo) &
	"$SLUICE" explain late.fifo 'arp on eth0' | grep -qx 'pass by default in late.fifo:25' || return 1
	(cat sketch.conf >late.fifo) &
	"$SLUICE" replay late.fifo "$G/two.pcap" >out || return 1
	(yes '# without an end' >late.fifo 2>yes.err) &
	expect_fail 1 '^sluice check: late.fifo is larger than 64 MiB' timeout 60 "$SLUICE" check late.fifo &&
		expect_fail 3 '^sluice check: late.fifo is a FIFO that nobody writes into$' "$SLUICE" check late.fifo &&
		expect_fail 1 '^sluice check: /dev/zero is not a regular file$' "$SLUICE" check /dev/zero
}
refused() { # what apply would refuse: tables that do not fit, rates that cannot be kept
	awk 'BEGIN { print "filter on eth0 {"; for (i = 1; i <= 33000; i++) print "\tdrop tcp to port " i; print "}" }' >services.conf
	expect_fail 1 '^services.conf:1:1: error: sluice apply would refuse it: IPv4: the rules name 33001 different services, at most 32768' "$SLUICE" check services.conf &&
		"$SLUICE" check -j services.conf | jq -e '.ok == false and .errors == 1 and .diagnostics[0].line == 1' || return 1
	printf 'filter on eth0 {\n\tredirect to v1 udp\n}\nfilter on eth1 {\n\tlimit to 200M/s\n}\n' >rate.conf
	expect_fail 1 '^rate.conf:4:1: error: sluice apply would refuse it: rule 1: a rate above 100 M packets' "$SLUICE" check rate.conf
}
case_ "check: what apply would refuse" refused
back() { # redirected to where it comes from
	printf 'filter on { v0, v1 } {\n\tredirect to v1 tcp\n\tredirect to v1 udp in v0\n\tredirect to v2 icmp\n}\n' >back.conf
	"$SLUICE" check back.conf 2>err | grep -q '; 1 warning$' && grep -qxF "back.conf:2:2: warning: this filter is on 'v1' itself: what comes in there is sent back" err
}
case_ "check: redirected to itself" back
bounded() { # a thousand mistakes are not printed
	{ echo "filter on eth0 {"; yes x | head -n 5000; echo "}"; } >many.conf
	"$SLUICE" check many.conf 2>err && return 1
	[ "$(grep -c ': error: ' err)" = 100 ] && grep -qx '\.\.\. and more than 900 more' err && grep -qx 'sluice check: many.conf: more than 1000 mistakes' err &&
		! grep -q 'is not closed' err || { tail -n 3 err; return 1; }
	{ echo "filter on eth0 {"; yes x | head -n 1000; echo "}"; } >many.conf
	"$SLUICE" check many.conf 2>err && return 1
	tail -n 2 err
	{ echo "filter on eth0 {"; yes x | head -n 999; echo "}"; } >many.conf
	"$SLUICE" check many.conf 2>err && return 1
	grep -qx '\.\.\. and 899 more' err && grep -qx 'sluice check: many.conf: 999 mistakes' err
}
case_ "check: a bounded number of mistakes is printed" bounded

long_texts() { # of a check: as long as one can be, and one byte more
	long=$(printf '%01023d' 0)
	check_of() {
		printf 'balance web on eth0 {\n\tvirtual 203.0.113.10 tcp port 80; forward l2; backend 10.0.0.1\n\tcheck %s\n}\n' "$1" >long.conf
		"$SLUICE" check long.conf >out 2>err
	}
	for c in "http \"/$long%s\"" "https \"/\" host \"x$long%s\"" "command \"true x$long%s y\"" "http \"/\" body \"$(printf '%0255d' 0)%s\""; do
		# shellcheck disable=SC2059
		check_of "$(printf "$c" "")" && ! check_of "$(printf "$c" x)" || { cut -c 1-200 err; return 1; }
		sed -n '1s/.*: error: //p' err >>said
	done
	[ "$(cat said)" = "a path has at most 1024 bytes, not 1025
a host's name has at most 1024 bytes, not 1025
a word of a command has at most 1024 bytes, not 1025
what is looked for in an answer has at most 255 bytes, not 256" ] || { cat said; return 1; }
	"$SLUICE" check long.conf -j | jq -e '.diagnostics[0] | .line == 3 and .column == 22'
}
case_ "check: the longest texts of checks" long_texts

# --- explain
says() { # WANT ARG...: the last line
	want=$1
	shift
	got=$("$SLUICE" explain sketch.conf "$@" 2>&1 | tail -n 1)
	[ "$got" = "$want" ] || { echo "got: $got"; return 1; }
}
case_ "explain: an early pass" says 'pass by the rule in sketch.conf:11 "admins"' 'tcp 192.0.2.5:1 > 203.0.113.10:443'
case_ "explain: a set of a file, IPv6" says 'drop by the rule in sketch.conf:13 "blocklist"' 'udp [2001:db8::1]:53 > [2001:db8:1::1]:4711'
case_ "explain: flags" says 'drop by the rule in sketch.conf:15 "nonsense flags"' 'tcp 198.18.0.1:1 > 203.0.113.10:443 syn,fin,psh'
case_ "explain: a length" says 'drop by the rule in sketch.conf:16 "amplification"' 'udp 198.18.0.1:53 > 203.0.113.10:4711 length 512'
case_ "explain: just not that long" says 'pass by default in sketch.conf:25' 'udp 198.18.0.1:53 > 203.0.113.10:4711 length 468'
case_ "explain: a port range" says 'pass by the rule in sketch.conf:19' 'tcp 198.18.0.1:1 > 203.0.113.10:8500 syn vlan 7 on eth0'
case_ "explain: a pcap expression" says 'drop by the rule in sketch.conf:20 "udp fragments"' 'udp 198.18.0.1:1 > 203.0.113.66:53 fragment first'
case_ "explain: a redirect" says 'redirect to eth1 by the rule in sketch.conf:23' 'udp 198.18.0.1:1 > 203.0.113.99:5'
case_ "explain: spread over CPUs" says 'cpu by the rule in sketch.conf:24' 'tcp 198.18.0.1:1 > 203.0.113.1:22'
case_ "explain: no IP" says 'pass by default in sketch.conf:25' 'arp on eth0'
cat >why.want <<'X'
tcp 198.18.0.1:4711 > 203.0.113.10:443 syn vlan 7 length 60
  - sketch.conf:11: pass from @admins as "admins"
        not from @admins: it is from 198.18.0.1
  - sketch.conf:12: drop from @bogons
        not from @bogons: it is from 198.18.0.1
  - sketch.conf:13: drop from @blocked as "blocklist"
        not from @blocked: it is from 198.18.0.1
  - sketch.conf:14: drop from @banned
        not from @banned: it is from 198.18.0.1
  - sketch.conf:15: drop tcp flags fin,syn as "nonsense flags"
        not flags fin,syn: it is flags syn
  - sketch.conf:16: drop udp from port { 19, 53, 123, 389, 1900, 11211 } length > 468 as "amplification"
        not udp: it is tcp
  - sketch.conf:17: limit udp to 203.0.113.10 port 53 to 1k/s per source burst 200 as "dns per source"
        not udp: it is tcp
  - sketch.conf:18: limit icmp to 100/s per source/24/48 burst 10
        not icmp: it is tcp
  + sketch.conf:19: pass tcp to 203.0.113.0/24 port { 80, 443, 8000-8999 }
        decides
pass by the rule in sketch.conf:19
X
case_ "explain: no capture" expect_fail 1 '^sluice explain: sketch.conf: unknown file format$' "$SLUICE" explain sketch.conf --pcap sketch.conf
case_ "explain: a capture that is not there" expect_fail 3 '^sluice explain: none.pcap: No such file or directory$' "$SLUICE" explain sketch.conf --pcap none.pcap
case_ "explain: a number without a capture" expect_fail 2 '^sluice explain: --packet is the number of one in a capture' "$SLUICE" explain sketch.conf --packet 3 arp
why() { "$SLUICE" explain sketch.conf 'tcp 198.18.0.1:4711 > 203.0.113.10:443 syn vlan 7 on eth0' | diff why.want -; }
case_ "explain: why not, rule by rule" why
cat >edges.conf <<'X'
filter on eth0 {
	drop tcp to port 22 flags syn
	drop icmp type echo-request
	drop vlan not 7
	drop ether type arp
	limit udp to 1/s burst 1
	log drop fragment later
	shadow
	default drop
}
filter on eth1 { }
X
edge() { # REASON PACKET...
	"$SLUICE" explain edges.conf --all "${2}" >out || return 1
	grep -qF "$1" out || { cat out; return 1; }
}
case_ "explain: later fragments have no ports" edge 'not flags syn: it is a later fragment, which has none' 'tcp 1.1.1.1:1 > 2.2.2.2:22 fragment later on eth0'
case_ "explain: ARP is no IP" edge 'not tcp: it is not IP' 'arp on eth0'
case_ "explain: udp has no type" edge 'not icmp: it is udp' 'udp 1.1.1.1:1 > 2.2.2.2:22 on eth0'
case_ "explain: no tag" edge 'not vlan not 7: it has no such VLAN tag' 'udp 1.1.1.1:1 > 2.2.2.2:22 on eth0'
case_ "explain: within a limit" edge 'within the limit, goes on' 'udp 1.1.1.1:1 > 2.2.2.2:22 on eth0'
case_ "explain: shadow" edge 'drop by default in edges.conf:9; but the filter is in shadow: it passes' 'udp 1.1.1.1:1 > 2.2.2.2:22 on eth0'
case_ "explain: which filter?" expect_fail 2 'the policy has 2 filters: say which interface, with on IF' "$SLUICE" explain edges.conf arp
case_ "explain: no filter there" expect_fail 3 'no filter of the policy is on eth7' "$SLUICE" explain edges.conf 'arp on eth7'
case_ "explain: no packet" expect_fail 2 'which packet\? Give it in words, or --pcap' "$SLUICE" explain edges.conf
case_ "explain: two packets" expect_fail 2 'a packet in words or --pcap, not both' "$SLUICE" explain edges.conf arp --pcap x
case_ "explain: a policy with mistakes" expect_fail 1 "error: unknown word 'fliter'" "$SLUICE" explain cases/001/case.conf arp
words() { # SENTENCE WORDS
	"$SLUICE" explain edges.conf "$2" >out 2>err && rc=0 || rc=$?
	[ "$rc" = 2 ] && [ "$(cat err)" = "sluice explain: packet: $1" ] && return 0
	echo "exit $rc"
	cat err
	return 1
}
case_ "words: nothing" words "expected a protocol (tcp, udp, icmp, proto 47) or an Ethernet type (arp) at the beginning behind ''" ''
case_ "words: no protocol" words "found 'tpc', expected a protocol (tcp, udp, icmp, proto 47) or an Ethernet type (arp) at the beginning" 'tpc 1.1.1.1'
case_ "words: no destination" words "expected '>' between source and destination behind '1.1.1.1:1'" 'tcp 1.1.1.1:1'
case_ "words: no address" words "found '1.1.1', expected an address (198.51.100.7:4711, [2001:db8::1]:53)" 'tcp 1.1.1 > 2.2.2.2'
case_ "words: no port" words "found '1.1.1.1:99999', expected a port from 0 to 65535 behind the address" 'tcp 1.1.1.1:99999 > 2.2.2.2'
case_ "words: two families" words "source and destination are of different families" 'tcp 1.1.1.1:1 > [::1]:2'
case_ "words: flags of udp" words "only tcp has flags" 'udp 1.1.1.1:1 > 2.2.2.2:2 syn'
case_ "words: type of tcp" words "only icmp has a type" 'tcp 1.1.1.1:1 > 2.2.2.2:2 echo-request'
case_ "words: type of the other family" words "ICMP has no type 'packet-too-big'" 'icmp 1.1.1.1 > 2.2.2.2 packet-too-big'
case_ "words: too short" words "a length of 40 is too little, its headers alone take 54" 'tcp 1.1.1.1:1 > 2.2.2.2:2 length 40'
case_ "words: too many tags" words "more than 4 VLAN tags" 'arp vlan 1 vlan 2 vlan 3 vlan 4 vlan 5'
case_ "words: something else" words "found 'please', expected TCP flags, type, code, length, ttl, dscp, vlan, fragment, ether or on" 'arp please'
own() { # what is said of a packet makes the same packet again
	for k in 'tcp [2001:db8::1]:4711 > [2001:db8::2]:443 syn,ack vlan 9 vlan 7 length 200' 'tcp 1.1.1.1:1 > 2.2.2.2:2 none length 60' \
		'icmp 1.1.1.1 > 2.2.2.2 type 3 code 1 length 60' 'proto 99 1.1.1.1 > 2.2.2.2 fragment first length 60' 'ether type lldp length 60' \
		'udp 1.1.1.1:1 > 2.2.2.2:2 length 1514'; do
		[ "$("$SLUICE" explain sketch.conf "$k" | head -n 1)" = "$k" ] || { "$SLUICE" explain sketch.conf "$k"; return 1; }
	done
}
case_ "words: a packet's own words make it again" own
case_ "a policy out of a FIFO" fifo
explain_json() {
	"$SLUICE" explain sketch.conf 'tcp 198.18.0.1:4711 > 203.0.113.10:443 syn' -j |
		jq -e '.verdict == "pass" and .default == false and .line == 19 and .shadow == false and (.looked_at | length) == 9 and
			.looked_at[0] == {file: "sketch.conf", line: 11, rule: "pass from @admins as \"admins\"", result: "no_match", name: "admins",
				why: "not from @admins: it is from 198.18.0.1"} and .looked_at[8].result == "decides"'
}
case_ "explain: JSON" explain_json

# --- a capture of two packets: ARP, and the first 42 of 514 bytes of UDP from 198.18.0.1:53
captured() { # WANT ARG...
	want=$1
	shift
	got=$("$SLUICE" explain sketch.conf --pcap "$G/two.pcap" "$@" | sed -n -e 1p -e '$p')
	[ "$got" = "$want" ] || { echo "got: $got"; return 1; }
}
case_ "capture: the first packet" captured 'ether type arp length 14
pass by default in sketch.conf:25'
case_ "capture: the second, by its length on the wire" captured 'udp 198.18.0.1:53 > 203.0.113.10:4711 length 514
drop by the rule in sketch.conf:16 "amplification"' --packet 2
case_ "capture: no third" expect_fail 3 'two.pcap has 2 packets, no packet 3$' "$SLUICE" explain sketch.conf --pcap "$G/two.pcap" -n 3
case_ "capture: no such file" expect_fail 3 'none.pcap: No such file or directory$' "$SLUICE" explain sketch.conf --pcap none.pcap
case_ "capture: no capture" expect_fail 1 'unknown file format$' "$SLUICE" explain sketch.conf --pcap sketch.conf

# --- random policies: printed and parsed, normal form against oracle, packets against the data path's parser
case_ "random policies and packets, seed ${SEED:-1}" "$BUILD/tests/policy-trees" "${SEED:-1}" 2000 200
done_
