#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Sets that change while a policy is in force: sluice ban, unban, set, with packets between two namespaces.
#
#   A  p0 10.9.0.1/24, more addresses ──── q0 10.9.0.2/24  B   with the policy
#         fd09::1/64                          fd09::2/64
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/policy_lab.sh"

case_ "no address" expect_fail 2 "^sluice ban: '10.0.0.256' is not an address, a prefix or a range\$" "$SLUICE" ban 10.0.0.256
case_ "bits behind the prefix" expect_fail 2 "^sluice ban: '10.0.0.1/24' has bits beyond its length of 24; 10.0.0.0/24 is the prefix\$" \
	"$SLUICE" ban 10.0.0.1/24
case_ "a time too short" expect_fail 2 "^sluice ban: 'for 0s' is no time from 1s to 8760h\$" "$SLUICE" ban 10.0.0.1 for 0s
case_ "words in front" expect_fail 2 "^sluice ban: 'for' stands behind the addresses, once: ADDR... for TIME in SET\$" \
	"$SLUICE" ban for 1h 10.0.0.1
case_ "a time for unban" expect_fail 2 "^sluice unban: 'for' has no meaning here" "$SLUICE" unban 10.0.0.1 for 1h
case_ "made, opened, filled, carried over, damaged" timeout 120 "$BUILD/tests/rtsets-host"
need_root

A=rtsa$$ B=rtsb$$
for n in $A $B; do
	ip netns add $n || exit 1
	on_exit "ip netns del $n"
done
IN="nsenter --net=/run/netns/$B"
policy_ends "$B"
ip -n $A link add p0 type veth peer name q0 netns $B
for x in "$A p0 1" "$B q0 2"; do
	set -- $x
	ip -n $1 addr add 10.9.0.$3/24 dev $2
	ip -n $1 addr add fd09::$3/64 dev $2 nodad
	ip -n $1 link set $2 up
	ip -n $1 link set lo up
done
for i in 11 12 13; do ip -n $A addr add 10.9.0.$i/24 dev p0; done
ip -n $A addr add fd09:0:0:0:1::1/64 dev p0 nodad

s() { $IN "$SLUICE" "$@"; }
ping1() { nsenter --net=/run/netns/$A ping -nqc1 -W1 -I "$1" "$2" >/dev/null; }
pings() { ping1 "$1" "$2" || ping1 "$1" "$2"; }
no_ping() { ! ping1 "$1" "$2"; }
says() { # TEXT COMMAND...: its output, whole
	want=$1
	shift
	"$@" >"$T/got" 2>&1
	printf '%s\n' "$want" | diff - "$T/got"
}

printf '10.9.0.12 # one\n198.51.100.0/25\n198.51.100.128/25\n' >"$T/blocked.netset"
cat >"$T/p.conf" <<X
set banned  { 10.9.0.13 } timeout 10m counters
set blocked from "blocked.netset"
set few     { } size 3
set fixed   { 203.0.113.0/24 }
filter on q0 {
	drop from { @banned, @fixed }
	drop from @blocked
	drop to @few
	default pass
}
X
case_ "no policy" expect_fail 3 '^sluice ban: no policy is in force here; sluice apply FILE puts one in$' s ban 10.9.0.1
case_ "a policy" s apply "$T/p.conf"
case_ "packets pass" pings 10.9.0.1 10.9.0.2
case_ "IPv6, too" pings fd09::1 fd09::2
case_ "what the text says is in" no_ping 10.9.0.13 10.9.0.2
case_ "what the file says is in" no_ping 10.9.0.12 10.9.0.2

# --- ban, unban ---
case_ "ban an address" says "banned 10.9.0.11 in banned for 1h" s ban 10.9.0.11 for 1h
case_ "it is" no_ping 10.9.0.11 10.9.0.2
case_ "its neighbour is not" pings 10.9.0.1 10.9.0.2
case_ "unban it" says "unbanned 10.9.0.11 from banned" s unban 10.9.0.11
case_ "it is not any more" pings 10.9.0.11 10.9.0.2
case_ "unban it again" expect_fail 3 "^sluice unban: 10.9.0.11 is not in set 'banned'\$" s unban 10.9.0.11
case_ "ban for two seconds" s ban 10.9.0.11 for 2s
case_ "banned" no_ping 10.9.0.11 10.9.0.2
case_ "and back by itself" wait_until 5 ping1 10.9.0.11 10.9.0.2
case_ "nothing of it is listed" says "10.9.0.13" sh -c "$IN '$SLUICE' set list banned | sed 's/  .*//'"
case_ "ban prefixes" says "banned 10.9.0.10/31 in banned for 10m
banned fd09:0:0:0:1::/80 in banned for 10m" sh -c "$IN '$SLUICE' ban fd09:0:0:0:1::/80 10.9.0.10-10.9.0.11 | sed 's/fd09::1:0:0:0/fd09:0:0:0:1::/'"
case_ "IPv4" no_ping 10.9.0.11 10.9.0.2
case_ "IPv6" no_ping fd09:0:0:0:1::1 fd09::2
case_ "beside them" pings fd09::1 fd09::2
case_ "from standard input" says "banned 192.0.2.8/31 in banned for 10m
banned 192.0.2.77 in banned for 10m
banned 2001:db8::/32 in banned for 10m" sh -c "printf '# some\n192.0.2.8-192.0.2.9\n2001:db8::/32 # and one\n' | $IN '$SLUICE' ban - 192.0.2.77"
case_ "and out" sh -c "printf '192.0.2.8/31\n2001:db8::/32\n192.0.2.77\n' | $IN '$SLUICE' set del banned -"
case_ "with a mistake none" expect_fail 2 "^sluice ban: <stdin>:2: 'x' is not an address, a prefix or a range\$" sh -c "printf '192.0.2.8\nx\n' | $IN '$SLUICE' ban -"
case_ "a part of one" expect_fail 3 "^sluice unban: 10.9.0.11 is not in set 'banned'; 10.9.0.10/31 covers it\$" s unban 10.9.0.11
case_ "elements have counted" sh -c "$IN '$SLUICE' -j set list banned | jq -e '.[] | select(.element == \"10.9.0.10/31\") | .packets >= 1 and .bytes >= 98'"
case_ "the whole of them" s unban 10.9.0.10/31 fd09:0:0:0:1::/80
case_ "back" pings 10.9.0.11 10.9.0.2
case_ "for good stays for good" says "10.9.0.13 is in banned for good" s ban 10.9.0.13 for 1h
case_ "ban where times are not kept" expect_fail 2 "^sluice ban: set 'blocked' keeps no times, its elements are there for good; leave 'for' out, or give it a timeout in the policy\$" \
	s ban 10.9.0.11 for 1h in blocked
case_ "ban into a file's set" says "banned 192.0.2.9 in blocked until its file is read again" s ban 192.0.2.9 in blocked
case_ "and out" s unban 192.0.2.9 in blocked
case_ "a set that is not there" expect_fail 3 "^sluice ban: no set 'bannd' changes at run time, did you mean 'banned'\\?\$" s ban 10.9.0.11 in bannd
case_ "a set of constants" expect_fail 3 "^sluice set: no set 'fixed' changes at run time|^sluice set add: no set 'fixed' changes at run time; those do that have a file, timeout, size or counters, or are empty\$" \
	s set add fixed 10.9.0.11
case_ "ban one's own session" expect_fail 1 "^sluice ban: 10.9.0.0/24 has 10.9.0.1 in it, where this session comes from \\(SSH_CONNECTION\\); --force bans it all the same\$" \
	env SSH_CONNECTION="10.9.0.1 40000 10.9.0.2 22" $IN "$SLUICE" ban 10.9.0.0/24
case_ "with force" env SSH_CONNECTION="10.9.0.1 40000 10.9.0.2 22" $IN "$SLUICE" ban --force 10.9.0.0/24 for 1h
case_ "it is" no_ping 10.9.0.1 10.9.0.2
case_ "and not any more" s unban 10.9.0.0/24
case_ "one of two" sh -c "! $IN '$SLUICE' unban 10.9.0.77 10.9.0.13 2>/dev/null"
case_ "went" pings 10.9.0.13 10.9.0.2

# --- set ---
case_ "a set to its size" s set add few 10.9.0.2 198.51.100.1 2001:db8::/32
case_ "and one more" expect_fail 1 "^sluice set add: set 'few' is full: it has the 3 elements of its size; write a larger size into the policy and apply it\$" \
	s set add few 198.51.100.2
case_ "to it nothing gets" no_ping 10.9.0.1 10.9.0.2
case_ "flush" says "3 elements of few went" s set flush few
case_ "now it does" pings 10.9.0.1 10.9.0.2
case_ "test" says "198.51.100.200 is in blocked: 198.51.100.128/25" s set test blocked 198.51.100.200
case_ "not in it" sh -c "$IN '$SLUICE' set test blocked 192.0.2.1; [ \$? = 3 ]"
case_ "difference" sh -c "printf '10.9.0.11\n198.51.100.0/25\n' >'$T/blocked.netset'; $IN '$SLUICE' set load blocked >'$T/diff'"
case_ "what it was" says "blocked: 1 added, 2 removed, 1 kept" cat "$T/diff"
case_ "what went is back" pings 10.9.0.12 10.9.0.2
case_ "what came is out" no_ping 10.9.0.11 10.9.0.2
printf '10.9.0.1\n10.9.0.1x\n' >"$T/wrong.netset"
case_ "a file with a mistake" expect_fail 1 "^sluice set load: $T/wrong.netset:2: '10.9.0.1x' is not an address, a prefix or a range\$" \
	s set load blocked "$T/wrong.netset"
case_ "changes nothing" pings 10.9.0.1 10.9.0.2
case_ "no file" expect_fail 3 "^sluice set load: $T/none: No such file or directory\$" s set load blocked "$T/none"
case_ "a set without one" expect_fail 2 "^sluice set load: set 'few' has no file in the policy; say which: sluice set load few FILE\$" s set load few
case_ "save" says "2 elements of blocked in $T/saved" s set save blocked "$T/saved"
case_ "what is in it" says "# sluice set blocked
10.9.0.11
198.51.100.0/25" cat "$T/saved"
case_ "for its owner alone" says "600" stat -c %a "$T/saved"
ln -s "$T/elsewhere" "$T/.link.new"
case_ "no link is followed" sh -c "$IN '$SLUICE' set save blocked '$T/link' && [ ! -e '$T/elsewhere' ] && [ -f '$T/link' ] && [ ! -L '$T/link' ]"

# --- where it is saved ---
ln -s saved2 "$T/to2"
ln -s "$T/to2" "$T/to1"
printf x >"$T/saved2"
case_ "a link is followed" sh -c "$IN '$SLUICE' set save blocked '$T/to1' && [ -L '$T/to1' ] && [ -L '$T/to2' ] && cmp '$T/saved' '$T/saved2'"
ln -s new2 "$T/to3"
case_ "also where nothing is yet" sh -c "$IN '$SLUICE' set save blocked '$T/to3' && [ -L '$T/to3' ] && cmp '$T/saved' '$T/new2'"
mkfifo "$T/fifo"
case_ "a FIFO is left" expect_fail 2 "^sluice set save: $T/fifo is a FIFO, not a regular file; '-' in place of FILE writes to the output\$" \
	s set save blocked "$T/fifo"
case_ "it is one still" test -p "$T/fifo"
mknod "$T/null" c 1 3
ln -s null "$T/tonull"
case_ "a device is left" expect_fail 2 "^sluice set save: $T/tonull is a device, not a regular file" s set save blocked "$T/tonull"
case_ "it is one still" test -c "$T/null"
case_ "a folder, too" expect_fail 2 "^sluice set save: $T is a folder, not a regular file" s set save blocked "$T"
case_ "to the output" sh -c "$IN '$SLUICE' set save blocked - | cmp - '$T/saved'"
case_ "which is no JSON" expect_fail 2 "'-' writes the set itself to the output, not JSON" s -j set save blocked -

# --- what expires, saved and loaded ---
listed_times() { # what has a time, and which
	s -j set list banned | jq -r '.[] | "\(.element) \(if .expires_s == null then "good" elif .expires_s > 3500 then "hour" elif .expires_s > 500 then "ten" else "short" end)"' | tr '\n' ' '
}
is_times() { [ "$(listed_times)" = "$1" ] || { listed_times; return 1; }; }
printf '10.9.0.13\n' >"$T/good"
case_ "one for good" s set load banned "$T/good"
case_ "with times" s set add banned 192.0.2.1 2001:db8::/48 for 1h
case_ "saved" says "3 elements of banned in $T/timed" s set save banned "$T/timed"
case_ "as comments" sh -c "grep -qE '^192\.0\.2\.1 # for (3600|3599|3598)s\$' '$T/timed' && grep -qx 10.9.0.13 '$T/timed'"
case_ "all go" says "3 elements of banned went" s set flush banned
case_ "loaded" says "banned: 3 added, 0 removed, 0 kept" s set load banned "$T/timed"
case_ "with their times" is_times "10.9.0.13 good 192.0.2.1 hour 2001:db8::/48 hour "
sed -i 's/for 3[0-9]*s/for 600s/' "$T/timed"
case_ "loaded over them" says "banned: 0 added, 0 removed, 3 kept" s set load banned "$T/timed"
case_ "they get what the file says" is_times "10.9.0.13 good 192.0.2.1 ten 2001:db8::/48 ten "
printf '192.0.2.1 # for 600s\n192.0.2.2 # for 9 s more\n' >"$T/theirs"
case_ "comments of others are comments" sh -c "$IN '$SLUICE' set flush banned >/dev/null && $IN '$SLUICE' set load banned '$T/theirs'"
case_ "and what is in it stays" is_times "192.0.2.1 good 192.0.2.2 good "
printf '# sluice set banned\n192.0.2.1 # for 600s\n192.0.2.2 # for 600sx\n192.0.2.3 # for s\n192.0.2.4x # for 5s\n' >"$T/odd"
case_ "mistakes have their line" expect_fail 1 "^sluice set load: $T/odd:5: '192.0.2.4x' is not an address" s set load banned "$T/odd"
sed -i '$d' "$T/odd"
case_ "what is no time is a comment" s set load banned "$T/odd"
case_ "one has a time" is_times "192.0.2.1 ten 192.0.2.2 good 192.0.2.3 good "
case_ "a set without times says so" sh -c "$IN '$SLUICE' set load blocked '$T/odd' 2>&1 >/dev/null | grep -q \"odd has times behind 1 of its elements, and set 'blocked' keeps none\""
case_ "in it for good" sh -c "$IN '$SLUICE' set test blocked 192.0.2.1 | grep -qx '192.0.2.1 is in blocked: 192.0.2.1'"
case_ "back to what it was" sh -c "$IN '$SLUICE' set load blocked >/dev/null && $IN '$SLUICE' set flush banned >/dev/null"
case_ "a time is not cut" says "added 192.0.2.9 in banned for 2s" s set add banned 192.0.2.9 for 1.9s

# --- IPv4 in the form of IPv6 ---
case_ "ban what a socket of both families logs" says "banned 10.9.0.11 in banned for 1h" s ban ::ffff:10.9.0.11 for 1h
case_ "it is IPv4 on the wire" no_ping 10.9.0.11 10.9.0.2
case_ "set test" says "::ffff:10.9.0.11 is in banned: 10.9.0.11" sh -c "$IN '$SLUICE' set test banned ::ffff:10.9.0.11 | sed 's/  .*//'"
case_ "unban" says "unbanned 10.9.0.11 from banned" s unban ::ffff:10.9.0.11
case_ "set add of a prefix" says "added 10.9.0.0/28 in banned for 10m" s set add banned ::ffff:10.9.0.0/124
case_ "set del" says "deleted 10.9.0.0/28 from banned" s set del banned ::ffff:10.9.0.0/124
printf '::ffff:10.9.0.11\n::ffff:10.9.0.12 # x\n' >"$T/mapped"
case_ "set load" says "blocked: 1 added, 1 removed, 1 kept" s set load blocked "$T/mapped"
case_ "in force" no_ping 10.9.0.11 10.9.0.2
case_ "back to its file" says "blocked: 1 added, 1 removed, 1 kept" s set load blocked

# --- one's own session ---
SSH="env SSH_CONNECTION='10.9.0.1 40000 10.9.0.2 22' $IN $SLUICE"
own="10.9.0.0/24 has 10.9.0.1 in it, where this session comes from \(SSH_CONNECTION\); --force bans it all the same\$"
case_ "set add of one's own session" expect_fail 1 "^sluice set add: $own" sh -c "$SSH set add banned 10.9.0.0/24"
printf '10.9.0.0/24\n' >"$T/own"
printf '# sluice set banned\n10.9.0.0/24 # for 60s\n' >"$T/own2"
case_ "set load" expect_fail 1 "^sluice set load: $own" sh -c "$SSH set load banned '$T/own'"
case_ "with a time" expect_fail 1 "^sluice set load: $own" sh -c "$SSH set load banned '$T/own2'"
case_ "neither did anything" pings 10.9.0.1 10.9.0.2
case_ "where nothing from the set is dropped" sh -c "$SSH set add few 10.9.0.1"
case_ "with force" sh -c "$SSH set add --force banned 10.9.0.0/24 && $SSH set load --force banned '$T/own'"
case_ "it is" no_ping 10.9.0.1 10.9.0.2
case_ "and not any more" sh -c "$IN '$SLUICE' set flush banned && $IN '$SLUICE' set flush few"

# --- the same below sudo, which drops SSH_CONNECTION: whose server has run us ---
cp "$BUILD/tests/guard-tool" "$T/sshd"
cp "$BUILD/tests/guard-tool" "$T/httpd"
listens() { [ -n "$($IN ss -Htln "sport = :$1")" ]; }
below() { # SERVER PORT ARG...: sluice in a session from 10.9.0.1; a shell stands for sudo
	server=$1 port=$2
	shift 2
	timeout 60 $IN "$T/$server" session 10.9.0.2 "$port" env -u SSH_CONNECTION sh -c '"$@"; exit $?' sh "$SLUICE" "$@" >"$T/below" 2>&1 &
	server=$!
	wait_until 5 listens "$port"
	nsenter --net=/run/netns/$A "$BUILD/tests/guard-tool" connect 10.9.0.1 0 10.9.0.2 "$port" &
	client=$!
	wait $server && rc=0 || rc=$?
	kill $client
	wait $client 2>/dev/null
	cat "$T/below"
	return $rc
}
refused() { # VERB PORT ARG...
	verb=$1 port=$2
	shift 2
	below sshd "$port" "$@" && return 1
	[ $rc = 1 ] && grep -qxF "sluice $verb: 10.9.0.0/24 has 10.9.0.1 in it, where this session comes from (connected to port $port); --force bans it all the same" "$T/below"
}
case_ "ban below sshd" refused ban 22 ban 10.9.0.0/24
case_ "on another port" refused ban 2022 ban 10.9.0.0/24
case_ "set add" refused "set add" 22 set add banned 10.9.0.0/24
case_ "in the form of IPv6" refused ban 22 ban ::ffff:10.9.0.0/120
case_ "another address" below sshd 22 ban 10.9.0.77
case_ "nothing was done" pings 10.9.0.1 10.9.0.2
case_ "below another server" below httpd 22 ban 10.9.0.1
case_ "it is banned" no_ping 10.9.0.1 10.9.0.2
case_ "and not any more" s set flush banned
stranger() { # connected to sshd, while something that is not below it bans him
	$IN "$T/sshd" listen 10.9.0.2 22 &
	server=$!
	wait_until 5 listens 22
	nsenter --net=/run/netns/$A "$BUILD/tests/guard-tool" connect 10.9.0.1 0 10.9.0.2 22 &
	client=$!
	wait_until 5 sh -c "[ -n \"\$($IN ss -Htn state established 'sport = :22')\" ]" && s ban 10.9.0.1 && rc=0 || rc=$?
	kill $server $client
	wait $server $client 2>/dev/null
	return $rc
}
case_ "who tries passwords is banned" stranger
case_ "he is" no_ping 10.9.0.1 10.9.0.2
case_ "and not any more" s set flush banned

# --- what is listed ---
case_ "no element" expect_fail 2 "^sluice set add: no element is given for set 'few'" s set add few for 5s
case_ "three of three" s set add few 10.9.0.77 10.9.0.78 2001:db8::7
case_ "the room is the size" sh -c "$IN '$SLUICE' set list | grep -qE '^few +2 of 3 +1 of 3 '"
case_ "in JSON, too" sh -c "$IN '$SLUICE' -j set list | jq -e '.[] | select(.set == \"few\") | .room_ipv4 == 3 and .room_ipv6 == 3'"
case_ "empty again" s set flush few

# --- serve ---
# somebody has emptied the file and is about to write it
(sleep 0.3; printf '10.9.0.12\n') >"$T/blocked.netset" &
$FOREGROUND $IN "$SLUICE" serve --sweep 1s 2>"$T/serve" &
serve=$!
on_exit "kill -9 $serve 2>/dev/null"
said() { wait_until 8 grep -qE "$1" "$T/serve" || { cat "$T/serve"; return 1; }; }
case_ "serve watches" said '^sluice serve: policy 1-[0-9a-f]+: 1 file of sets$'
case_ "and reads what there is, when that is written" said '^sluice serve: set blocked: 1 added, 2 removed, 0 kept$'
case_ "in force" no_ping 10.9.0.12 10.9.0.2
case_ "what went passes" pings 10.9.0.11 10.9.0.2
replace() { cat >"$T/new" && mv "$T/new" "$T/blocked.netset"; }
printf '10.9.0.12\n10.9.0.11\n' | replace
case_ "replaced by a rename" said '^sluice serve: set blocked: 1 added, 0 removed, 1 kept$'
case_ "in force, too" no_ping 10.9.0.11 10.9.0.2
printf '10.9.0.12\n10.9.0.11\n10.9.0.1\nnonsense\n' | replace
case_ "a mistake is told" said "^sluice serve: set blocked stays as it is: $T/blocked.netset:4: 'nonsense' is not an address"
case_ "and changes nothing" pings 10.9.0.1 10.9.0.2
case_ "the old contents stay" no_ping 10.9.0.12 10.9.0.2
printf '10.9.0.11\n' | replace
case_ "mended" said '^sluice serve: set blocked: 0 added, 1 removed, 1 kept$'
prlimit --pid $serve --nofile=3:
printf '10.9.0.11\n203.0.113.0/24\n198.51.100.0/24\n' | replace
case_ "no descriptor for a moment is told" said "^sluice serve: set blocked stays as it is: .*Too many open files"
sleep 4
prlimit --pid $serve --nofile=1024:
case_ "and the file read afterwards" said '^sluice serve: set blocked: 2 added, 0 removed, 1 kept$'
case_ "it was told once" [ "$(grep -c 'set blocked stays as it is: .*Too many' "$T/serve")" = 1 ]
case_ "expired elements are swept" sh -c "$IN '$SLUICE' ban 192.0.2.77 for 1s >/dev/null; sleep 3.5; [ \$($IN '$SLUICE' -j set list | jq '.[] | select(.set == \"banned\") | .ipv4') = 0 ]"
kill -HUP $serve
case_ "SIGHUP reads again, and it lives" sh -c "sleep 1; kill -0 $serve"
ban_all() { i=0; while [ $i -lt 30 ]; do timeout -s KILL 0.0$((i % 10 + 1)) $IN "$SLUICE" ban 10.77.$i.0/24 10.78.$i.1 for 1h >/dev/null 2>&1; i=$((i + 1)); done; s set list banned >/dev/null; }
case_ "writers that are killed" ban_all
case_ "leave the set whole" sh -c "$IN '$SLUICE' ban 10.9.0.1 >/dev/null && $IN '$SLUICE' unban 10.9.0.1 >/dev/null"
kill -9 $serve
wait $serve 2>/dev/null
case_ "serve was killed: sets stay" no_ping 10.9.0.11 10.9.0.2
rm "$T/serve" # what the first one said is not what this one says
$FOREGROUND $IN "$SLUICE" serve 2>"$T/serve" &
serve=$!
on_exit "kill -9 $serve 2>/dev/null"
case_ "another one takes over" said '^sluice serve: policy 1-[0-9a-f]+: 1 file of sets$'
kill -TERM $serve
gone() { ! kill -0 $serve 2>/dev/null || [ "$(sed -n 's/^State:.//p' /proc/$serve/status | cut -c1)" = Z ]; }
ends() { wait_until 10 gone && wait $serve; }
case_ "SIGTERM ends it cleanly" ends
case_ "flush before the next" s set flush banned
case_ "and what the text says" s ban 10.9.0.13 for 1h

# --- across policies ---
case_ "ban, then apply again" s ban 10.9.0.11 2001:db8:9::/48 for 1h
sed -i 's/default pass/count icmp\n\tdefault pass/' "$T/p.conf"
case_ "another policy" s apply "$T/p.conf"
case_ "bans go on" no_ping 10.9.0.11 10.9.0.2
case_ "with their time" sh -c "$IN '$SLUICE' -j set list banned | jq -e '[.[] | select(.expires_s > 3500)] | length == 2'"
case_ "the text is in again" no_ping 10.9.0.13 10.9.0.2
case_ "on trial" s apply --confirm 60s "$T/p.conf"
case_ "ban meanwhile" s ban 10.9.0.1
case_ "it is" no_ping 10.9.0.1 10.9.0.2
case_ "and the one before has it" sh -c "$IN '$SLUICE' rollback >/dev/null"
case_ "still" no_ping 10.9.0.1 10.9.0.2

# --- where the policy was, its files are, wherever one stands ---
mkdir "$T/elsewhere.d"
printf '10.9.0.1\n' >"$T/elsewhere.d/blocked.netset"
number=$(stat -Lc %i /run/netns/$B)
away() { (cd "$T/elsewhere.d" && s "$@"); }
file_is() { got=$(away -j set list | jq -r '.[] | select(.set == "blocked").file'); [ "$got" = "$1" ] || { echo "$got"; return 1; }; }
boot() { s detach q0 --all --force && rm -rf "/run/sluice/policy-net$number" "/sys/fs/bpf/sluice/net${number}_policy"; }
case_ "back to what is loaded no more" away rollback 1
case_ "the file is that of the policy" file_is "$T/blocked.netset"
case_ "and it is read" says "blocked: 3 added, 3 removed, 0 kept" away set load blocked
case_ "applied in its folder" sh -c "cd '$T' && sed -i 's/count icmp/count udp/' p.conf && $IN '$SLUICE' apply p.conf"
case_ "it is whole" file_is "$T/blocked.netset"
case_ "a boot" boot
case_ "restored from another folder" away restore
case_ "the file is where it was" file_is "$T/blocked.netset"
case_ "and read" says "blocked: 0 added, 0 removed, 3 kept" away set load blocked
$FOREGROUND sh -c "cd '$T/elsewhere.d' && exec $IN '$SLUICE' serve" 2>"$T/serve" &
serve=$!
on_exit "kill -9 $serve 2>/dev/null"
case_ "serve watches" said ': 1 file of sets$'
printf '10.9.0.12\n' >"$T/elsewhere.d/blocked.netset"
printf '10.9.0.11\n' | replace
case_ "it, and no other" said '^sluice serve: set blocked: 0 added, 2 removed, 1 kept$'
kill -TERM $serve
case_ "to its end" ends

# --- a set that lets one in ---
printf '10.9.0.1\n' >"$T/admins"
cat >"$T/admins.conf" <<X
set admins from "admins" size 10
set others { } size 10
filter on q0 {
	pass from @admins
	pass from @others
	pass ether type arp
	default drop
}
X
out="admins lets in 10.9.0.1, where this session comes from \\(SSH_CONNECTION\\), by 10.9.0.1; --force takes it out all the same\$"
case_ "a policy that lets in a set" s apply --force "$T/admins.conf"
case_ "one comes in by it" pings 10.9.0.1 10.9.0.2
case_ "set del of one's own session" expect_fail 1 "^sluice set del: $out" sh -c "$SSH set del admins 10.9.0.1"
case_ "unban" expect_fail 1 "^sluice unban: $out" sh -c "$SSH unban 10.9.0.1 in admins"
case_ "set flush" expect_fail 1 "^sluice set flush: $out" sh -c "$SSH set flush admins"
below_out() { ! below sshd 22 set flush admins && [ $rc = 1 ] && grep -q "^sluice set flush: admins lets in 10.9.0.1, where this session comes from (connected to port 22), by 10.9.0.1; --force" "$T/below"; }
case_ "below sshd" below_out
case_ "set load" expect_fail 1 "^sluice set load: $out" sh -c "$SSH set load admins '$T/good'"
case_ "all of them left it" pings 10.9.0.1 10.9.0.2
case_ "another address goes" sh -c "$SSH set add admins 10.9.0.12 && $SSH set del admins 10.9.0.12"
case_ "a file that has it, too" sh -c "printf '10.9.0.0/24\n' >'$T/wide' && $SSH set load admins '$T/wide'"
case_ "who comes in by it" expect_fail 1 "^sluice set flush: admins lets in 10.9.0.1, .* by 10.9.0.0/24; --force" sh -c "$SSH set flush admins"
case_ "a set that one is not in" sh -c "$SSH set flush others"
case_ "with force" sh -c "$SSH set flush --force admins"
case_ "one is out" no_ping 10.9.0.1 10.9.0.2
printf 'filter on q0 {\n\tdefault pass\n}\n' >"$T/bare.conf"
case_ "a policy without sets" s apply "$T/bare.conf"
case_ "says so" expect_fail 3 "^sluice set list: the policy in force has no sets that change at run time" s set list
case_ "to a script it is an empty list" says "[]" s -j set list
case_ "down" s down
case_ "no policy is no list" expect_fail 3 '^sluice set list: no policy is in force here' s -j set list
case_ "all passes" pings 10.9.0.1 10.9.0.2
case_ "no more bans" expect_fail 3 '^sluice ban: no policy is in force here; sluice apply FILE puts one in$' s ban 10.9.0.1
done_
