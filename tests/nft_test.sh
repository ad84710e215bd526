#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice export nft and sluice import: golden files both ways, the same normal form after both, and as root what nftables
# counts in a namespace of its own:
#
#     v0 ----veth---- v1: table netdev sluice     (unshare -n: gone with its last process)
. "$(dirname "$0")/lib.sh"
G=$SRC/tests/policy
cp -r "$G/nft" "$G/import" "$T"

# --- export
export_golden() { # NAME EXIT
	cd "$T/nft" || return 1
	"$SLUICE" export nft "$1.conf" >out 2>err && rc=0 || rc=$?
	[ "$rc" = "$2" ] || { echo "exit $rc"; cat err; return 1; }
	diff "$1.nft" out && diff "$1.said" err
}
case_ "export: everything that nft can say" export_golden all 0
case_ "export: what it cannot say is named" export_golden cannot 1
cd "$T/nft" || exit 1
partial() { "$SLUICE" export nft cannot.conf --partial 2>/dev/null | diff cannot.nft -; }
case_ "export: --partial exits 0" "$SLUICE" export nft cannot.conf --partial
case_ "export: --partial writes the same" partial
printf 'filter on veth* { drop tcp; }\nfilter on eth0 { drop udp; }\n' >two.conf
one_only() { # WANT NOT ARG...
	want=$1 not=$2
	shift 2
	"$SLUICE" export nft two.conf "$@" >out || return 1
	grep -q "$want" out && ! grep -q "$not" out
}
case_ "export: a pattern needs a name" expect_fail 1 \
	'^sluice export: the filter on veth\*: nft wants the name of an interface, give one with --on$' "$SLUICE" export nft two.conf
case_ "export: --on" one_only 'devices = { "veth7" }' 'l4proto udp' --on veth7
case_ "export: --filter" one_only 'devices = { "eth0" }' 'l4proto tcp' --filter eth0
case_ "export: no such filter" expect_fail 3 '^sluice export: no filter of the policy is on eth9$' "$SLUICE" export nft two.conf --on eth9
case_ "export: another form" expect_fail 2 "'pf' is no form to export to, expected nft" "$SLUICE" export pf two.conf
echo 'filter on eth0 { dorp; }' >bad.conf
case_ "export: a policy with mistakes" expect_fail 1 "bad.conf:1:18: error: unknown word 'dorp', did you mean 'drop'" "$SLUICE" export nft bad.conf
balanced() { # services are named and left out
	{ echo 'balance web on eth0 { virtual 203.0.113.10 tcp port 80; forward l2; backend 10.0.0.1; }'; cat all.conf; } >balanced.conf
	"$SLUICE" export nft balanced.conf >out 2>err || return 1
	{ echo '# Not here: balance web'; cat all.nft; } | diff - out
}
case_ "export: services are named" balanced
json() {
	"$SLUICE" export nft cannot.conf -j >j && return 1
	jq -r .ruleset j | head -n -1 | diff cannot.nft - && jq -e '.n_notes == 10' j
}
case_ "export: JSON" json

# --- import
cd "$T/import" || exit 1
import_golden() { # NAME ARG...
	name=$1
	shift
	"$SLUICE" import "$@" "$name" >out 2>err && rc=0 || rc=$?
	[ "$rc" = 1 ] || { echo "exit $rc"; cat err; return 1; }
	diff "$name.conf" out && diff "$name.said" err && "$SLUICE" check out
}
case_ "import: nft list ruleset" import_golden host.nft nft
case_ "import: iptables-save" import_golden host.save iptables-save
case_ "import: the form is found out" import_golden host.nft
v6() {
	printf '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 2001:db8::/32 -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j DROP\nCOMMIT\n' |
		"$SLUICE" import ip6tables-save --on eth0 >out || return 1
	grep -qx '	drop ip6 icmp6 type 128 from 2001:db8::/32  # line 3' out && grep -qx 'filter on eth0 {' out
}
case_ "import: ip6tables-save, one interface" v6
gives() { # TEXT RULE: a rule of a netdev chain becomes that
	printf 'table netdev t {\nchain c {\ntype filter hook ingress device "eth0" priority 0; policy accept;\n%s\n}\n}\n' "$1" |
		"$SLUICE" import nft --partial >out 2>err || return 1
	sed -n '/^	# chain/,/^	default/p' out | sed -e 's/  # line.*//' -e '1d;$d' -e 's/^	//' >got
	[ "$(cat got)" = "$2" ] || { cat out; return 1; }
}
case_ "import: bare flags mean any of them" gives 'tcp flags syn,ack drop' 'drop ip tcp flags not none/syn,ack'
case_ "import: a flag alone" gives 'tcp flags syn drop' 'drop ip tcp flags syn/syn'
case_ "import: a rate over which is dropped" gives 'ip saddr 192.0.2.1 limit rate over 10/second drop' 'limit ip4 from 192.0.2.1 to 10/s burst 5'
case_ "import: a rate under which is accepted is none" gives 'ip saddr 192.0.2.1 limit rate 10/second accept' \
	'# line 4 is not imported, a limit under which something is done has no counterpart: ip saddr 192.0.2.1 limit rate 10/second accept'
case_ "import: a condition behind a limit is not in front of it" gives 'limit rate over 10/second ip saddr 192.0.2.1 drop' \
	'# line 4 is not imported, a condition stands behind its limit or log: limit rate over 10/second ip saddr 192.0.2.1 drop'
case_ "import: rules that contradict themselves" gives 'ip saddr 192.0.2.1 ip6 daddr ::1 drop' \
	'# line 4 can never match: ip saddr 192.0.2.1 ip6 daddr ::1 drop'
circle() {
	printf 'table ip t {\nchain a {\njump b\n}\nchain b {\njump a\n}\nchain i {\ntype filter hook input priority 0; policy accept;\ntcp dport 1 jump a\n}\n}\n' >c.nft
	expect_fail 1 '^c.nft:6: the chains jump in a circle: jump a$' "$SLUICE" import c.nft
}
case_ "import: chains that jump in a circle" circle
explodes() { # 2^16 rules out of 16 chains
	{ echo 'table ip t {'; for i in $(seq 15); do printf 'chain c%d {\njump c%d\njump c%d\njump c%d\n}\n' $i $((i + 1)) $((i + 1)) $((i + 1)); done
	  printf 'chain c16 {\ndrop\n}\nchain i {\ntype filter hook input priority 0; policy accept;\njump c1\n}\n}\n'; } >e.nft
	expect_fail 1 '^sluice import: e.nft: more than 100000 rules, counting those of chains as often as they are jumped to$' timeout 10 "$SLUICE" import e.nft
}
case_ "import: chains that become too many rules" explodes
logged() { # what is logged on its way to another chain
	printf 'table ip t {\nchain s {\naccept\n}\nchain i {\ntype filter hook input priority 0; policy accept;\ntcp dport 22 log prefix "x" jump s\n}\n}\n' >l.nft
	"$SLUICE" import l.nft --on eth0 >l.conf && grep -qx "	log ip4 tcp to port 22  # line 7" l.conf && grep -qx "	pass ip4 tcp to port 22  # line 3" l.conf || { cat l.conf; return 1; }
}
case_ "import: a jump that logs" logged
drops() { # N rules in a chain that is jumped to
	awk -v n="$1" 'BEGIN { print "*filter\n:INPUT ACCEPT [0:0]\n:x - [0:0]\n-A INPUT -j x"
		for (i = 0; i < n; i++) printf "-A x -s 10.%d.%d.%d -j DROP\n", i / 65536, i / 256 % 256, i % 256; print "COMMIT" }' >n.save
}
bound() { # as many as are promised
	drops 100000 && timeout 60 "$SLUICE" import n.save >out && [ "$(grep -c drop out)" = 100000 ] || return 1
	drops 100001 && expect_fail 1 '^sluice import: n.save: more than 100000 rules, ' timeout 60 "$SLUICE" import n.save
}
case_ "import: the bound of rules" bound
comment() { # one that can be no name is none: what is printed is a policy
	printf 'table netdev t {\nchain i {\ntype filter hook ingress device "eth0" priority 0; policy accept;\ntcp dport 1 drop comment "caf\351"\ntcp dport 2 accept comment "caf\303\251"\n}\n}\n' >o.nft
	"$SLUICE" import o.nft >o.conf || return 1
	"$SLUICE" check o.conf -p | grep -v '^}' | sed 's/^\t//; 1d' >got
	printf '%s\n' 'drop ip tcp to port 1' "$(printf 'pass ip tcp to port 2 as "caf\303\251"')" 'default pass' | diff - got
}
case_ "import: a comment that is no UTF-8" comment
two_chains() { # what the first accepts is not done: the second chain is listed
	printf '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j ACCEPT\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p udp -j DROP\nCOMMIT\n' >2.save
	expect_fail 1 '^2.save:6: what a chain in front of it accepts would still have to go through it: chain INPUT of table ip filter, 1 rules$' "$SLUICE" import 2.save
}
case_ "import: two chains in a row" two_chains
case_ "import: no such file" expect_fail 3 '^sluice import: none.nft: No such file or directory$' "$SLUICE" import none.nft
echo 'hello world' >h.nft
case_ "import: another text" expect_fail 1 "^sluice import: h.nft:1: 'hello', expected table \(as nft list ruleset prints it\)$" "$SLUICE" import h.nft
printf 'table ip t {\0}\n' >z.nft
case_ "import: no text" expect_fail 1 '^sluice import: z.nft: a byte of value 0, expected text$' "$SLUICE" import z.nft

case_ "import: nothing" expect_fail 1 '^sluice import: <stdin>: nothing to import$' "$SLUICE" import </dev/null

# --- there and back
case_ "there and back: the same normal form" "$BUILD/tests/nft-round" "${SEED:-1}" 4000

# --- nftables itself
[ "$(id -u)" = 0 ] || { skip "nftables loads and counts" "needs root"; done_; }
ns() { unshare -n sh -c 'ip link add v0 mtu 9000 type veth peer name v1 mtu 9000 && ip link add eth0 type veth peer name eth1 || exit 1
	for i in v0 v1; do
		[ ! -e /proc/sys/net/ipv6/conf/$i ] || echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6
		ip link set $i up
	done
	exec "$@"' sh "$@"; }
ns nft list ruleset >/dev/null 2>&1 || { skip "nftables loads and counts" "no nftables in this kernel"; done_; }
case_ "nft loads everything" ns nft -c -f "$T/nft/all.nft"
case_ "nft loads the rest" ns nft -c -f "$T/nft/cannot.nft"
twice() { ns sh -c "nft -f '$T/nft/all.nft' && nft -f '$T/nft/all.nft' && nft list ruleset"; }
case_ "nft loads it twice: the second replaces the first" twice
cat >"$T/back.conf" <<'X'
filter on eth0 {
	pass ip4 tcp from { 192.0.2.0/28, 198.51.100.1-198.51.100.9 } to port { 22, 8000-8999 } as "admins"
	drop ip4 icmp4 type { 5, 13 }
	count ip6 from 2001:db8::/32 ttl < 5
	limit ip4 proto gre to 100/s burst 10 as "tunnels"
	redirect to eth1 ip4 to 203.0.113.99
	drop ip4 fragment later
	drop vlan 7
	default drop
}
X
back() { # what nft itself prints
	"$SLUICE" export nft "$T/back.conf" >"$T/back.nft" && ns sh -c "nft -f '$T/back.nft' && nft list ruleset" >"$T/listed" || return 1
	"$SLUICE" import nft "$T/listed" >"$T/imported" || return 1
	"$SLUICE" check "$T/back.conf" --print >"$T/want" || return 1
	"$SLUICE" check "$T/imported" --print 2>/dev/null | grep -v 'as "default"' | diff "$T/want" -
}
case_ "there and back through the kernel" back
mkdir "$T/m"
meaning() { ns timeout 300 "$BUILD/tests/nft-meaning" v0 v1 "$T/m" "${SEED:-1}" "${NFT_POLICIES:-200}" 500; }
case_ "nftables counts what the oracle counts, rule by rule" meaning
done_
