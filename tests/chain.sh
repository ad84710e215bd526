# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the scripts about chains share; sourced after lib.sh.
#
#     h1 (198.18.1.2) eth0 ---- to1 (198.18.1.1) box      programs run on to1
#
#   lab_start [OPTION...]    the lab above, h1 without IPv6 until ipv6_on; goes at the end of the script
#   box CMD, h1 CMD          run in the namespace; sl ARG... is sluice in the box
#   packets N [OPTION...]    N echo requests to the box, whether answered or not: nothing else is on the wire
#   number IF NAME WORD      what `show` says about a member: runs, or a verdict it ended with; 0 if not said
#   runs_are IF NAME N       fails, and says so, unless the member ran N times
#   prog NAME VERDICT        a counting program into $T/NAME.o: verdict a global, hits[0] counts, chain as in C
#   fresh NAME CMD           a case that starts with nothing on to1, whatever the one before left
#   empty IF                 nothing is attached and no pin is left
#   leaks_before, leaks_after  programs, maps, links and pins of the whole machine that are Sluice's
LAB=ct$$

lab_start() {
	"$SLUICE" lab up --hosts 1 --name "$LAB" "$@" >"$T/lab.up" 2>&1 || { cat "$T/lab.up" >&2; exit 1; }
	on_exit '"$SLUICE" lab down "$LAB" >/dev/null 2>&1'
	netns=$(box stat -Lc %i /proc/self/ns/net)
	h1 sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6'
	quiet
}

# IPv6 announces its groups a second or two long; after that nothing is on the wire but what a test sends
quiet() {
	still=0 seen=
	while [ $still -lt 12 ]; do
		now=$(box ip -s link show to1 | awk '/RX:/ { getline; print $2 }')
		[ "$now" = "$seen" ] && still=$((still + 1)) || still=0
		seen=$now
		sleep 0.1
	done
}

ipv6_on() {
	h1 sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6 && ip addr add 2001:db8:1::2/64 dev eth0 nodad &&
		ip neigh replace 2001:db8:1::1 lladdr 02:00:c6:12:01:01 dev eth0' && quiet
}
ipv6_off() { h1 sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6' && quiet; }

box() { "$SLUICE" lab run --lab "$LAB" box -- "$@"; }
h1() { "$SLUICE" lab run --lab "$LAB" h1 -- "$@"; }
sl() { box "$SLUICE" "$@"; }

packets() {
	n=$1
	shift
	h1 ping -n -q -c "$n" -l "$n" -W 0.2 "$@" 198.18.1.1 >"$T/ping" 2>&1
	grep -q "^$n packets transmitted" "$T/ping" || { cat "$T/ping"; return 1; }
}

answered() { grep -q "transmitted, $1 received" "$T/ping" || { cat "$T/ping"; return 1; }; }

number() {
	sl show "$1" "$2" | tr -d , | awk -v w="$3" '
		$1 == "runs" { if (w == "runs") { print $2; f = 1 } if (w == "passed") { print $5; f = 1 }
			for (i = 3; i <= NF; i++) if ($i == w && $(i - 1) == "with") { print $(i + 1); f = 1 } }
		END { if (!f) print 0 }'
}

# all that list says in JSON, without what is calculated from two clocks
state() { sl list to1 --json | sed 's/"loaded_at":[0-9.]*,//'; }

is() { # WHAT WANTED GOT
	[ "$2" = "$3" ] || { echo "$1: wanted $2, got $3"; return 1; }
}

runs_are() { is "runs of $2" "$3" "$(number "$1" "$2" runs)"; }
ended() { is "$2 ended with $3" "$4" "$(number "$1" "$2" "$3")"; }

prog() {
	bpf_cc "$T/$1.o" <<END
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } ${1}_hits SEC(".maps");
const volatile int verdict = $2;
SEC("${3:-xdp}") int $1(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&${1}_hits, &zero);

	if (n)
		__sync_fetch_and_add(n, 1);
	return verdict;
}
char _license[] SEC("license") = "GPL";
END
}

# MAPID: the only value of an array map
map_value() { bpftool map lookup id "$1" key 0 0 0 0 | grep -o '"value": *[0-9]*' | grep -o '[0-9]*$' ||
	bpftool map lookup id "$1" key 0 0 0 0; }
map_of() { sl show "$1" "$2" | awk '$1 == "maps" { print $2 }'; }
hits() { map_value "$(map_of "$1" "$2")"; }

empty() {
	sl list "$1" | grep -q "^$1 *-$" || { sl list "$1"; return 1; }
	sl list >/dev/null
	# (the numbers of namespaces are used again: another's folders may be there until somebody sweeps)
	ls -d "/sys/fs/bpf/sluice/net${netns}_if$(box ip -o link show "$1" | cut -d: -f1)" 2>/dev/null && return 1
	return 0
}

# Counts of what could leak. Slots of observers are left out: the kernel keeps a reference too many to a prog array that
# loses its last holder twice in a moment (prog_array_map_clear() counts before it queues), and listing maps does that.
# Others on this machine may hold something for a while: hence the patience.
leaks() {
	echo "programs $(bpftool prog show | grep -cE '^[0-9]+: xdp') links $(bpftool link show | grep -cE '^[0-9]+: xdp')" \
	     "maps $(bpftool map show | grep -E '^[0-9]+:' | grep -vc 'name sluice_observer')" \
	     "pins $(ls -d /sys/fs/bpf/sluice/net"${netns:-none}"_* 2>/dev/null | wc -l) locks $(ls /run/sluice/net"${netns:-none}"_*.lock 2>/dev/null | wc -l)"
}
leaks_before() { leaks >"$T/leaks"; }
# none is larger than before; programs of others may end meanwhile
_leaks_same() {
	leaks | cat "$T/leaks" - | awk 'NR == 1 { for (i = 2; i <= NF; i += 2) had[i] = $i }
		NR == 2 { for (i = 2; i <= NF; i += 2) more += $i > had[i]; exit more > 0 }'
}
leaks_after() { wait_until 45 _leaks_same || { echo "before: $(cat "$T/leaks"), after: $(leaks)"; return 1; }; }

fresh() {
	sl detach to1 --all --force >/dev/null 2>&1
	case_ "$@"
}
