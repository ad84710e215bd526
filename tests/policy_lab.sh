# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the scripts about changing the policy share; sourced after lib.sh and chain.sh.
#
#   policy_lab [OPTION...]   lab_start, and nothing of the policy's there; gone at the end, history too
#   policy_live N            live_lab N of balance_live.sh likewise, where it is gone at the end
#   forget                   no policy, no history: as on a fresh machine
#   policy FILE TEXT         writes $T/FILE
#   meets IF ADDR A|B|none   what the packets of a host meet: A drops ICMP in frames of 100 bytes, B those of 200
#   st PATH                  a value of `status --json`, by a jq path
#   gone_all                 all is gone that notes were taken of (forget takes them), and every file of this namespace
#   policy_ends NAME         another namespace: at the end its policy goes, and its state and history
#   rebooted                 what a boot leaves: programs, pins and /run are gone, /var/lib stays

policy_places() { # of $LAB's box, whose namespace is number $netns
	LIB=/var/lib/sluice/policy/netns-sluice-$LAB-box RUN=/run/sluice/policy-net$netns PINS=/sys/fs/bpf/sluice/net${netns}_policy
}

policy_lab() {
	lab_start "$@"
	policy_places
	on_exit 'forget'
	forget
	for d in a b; do
		[ $d = a ] && size=100 || size=200
		policy $d.conf "filter on to1 {
	count icmp as \"pings\"
	drop icmp length $size as \"dropped\"
	default pass
}"
		sed 's/on to1/on to1, to2/' "$T/$d.conf" >"$T/${d}2.conf"
	done
}

policy_live() {
	live_lab "$1"
	LAB=$LIVE netns=$(inns box stat -Lc %i /proc/self/ns/net)
	policy_places
	policy_ends "sluice-$LIVE-box"
}

forget() {
	ours_now >>"$T/ours"
	sl down --force >/dev/null 2>&1
	rm -rf "$LIB" "$RUN" "$PINS"
	rmdir /var/lib/sluice/policy /var/lib/sluice 2>/dev/null
	return 0
}

# the numbers of what is pinned of this namespace; the kernel gives none a second time
ours_now() {
	ls "$PINS"/* 2>/dev/null | sed -n 's/^m_/map /p'
	for l in /sys/fs/bpf/sluice/net"${netns}"_if*/link; do
		[ -e "$l" ] && bpftool -j link show pinned "$l" | jq -r '"link \(.id)", "prog \(.prog_id)"'
	done
}

# What of it is there still. Prog arrays are left out: see leaks() in chain.sh; a program in one holds maps that are not.
ours_left() { # INODE LIB...: of these namespaces
	{
		bpftool -j map show | jq -r '.[] | select(.type != "prog_array") | "map \(.id)"'
		bpftool -j prog show | jq -r '.[] | "prog \(.id)"'
		bpftool -j link show | jq -r '.[] | "link \(.id)"'
	} | sort >"$T/there"
	sort -u "$T/ours" | comm -12 - "$T/there"
	while [ $# -gt 1 ]; do
		ls -d /sys/fs/bpf/sluice/net"$1"_* /run/sluice/policy-net"$1" /run/sluice/net"$1"_*.lock "$2" 2>/dev/null
		shift 2
	done
}
_ours_gone() { ours_left "$@" >"$T/left" && [ ! -s "$T/left" ]; }
gone_all() { # [INODE LIB]...: of other namespaces, too
	for k in map prog link; do grep -q "^$k " "$T/ours" || { echo "no $k was ever seen"; return 1; }; done
	# (programs and maps are freed after a grace period or two of RCU, which others on this machine may delay)
	wait_until 45 _ours_gone "$netns" "$LIB" "$@" || { cat "$T/left"; return 1; }
	echo "$(sort -u "$T/ours" | wc -l) maps, programs and links are gone"
}

policy_ends() {
	on_exit "_policy_ends $1 $(stat -Lc %i "/run/netns/$1")"
}
_policy_ends() {
	nsenter --net="/run/netns/$1" "$SLUICE" down --force >/dev/null 2>&1
	rm -rf "/var/lib/sluice/policy/netns-$1" "/run/sluice/policy-net$2" "/sys/fs/bpf/sluice/net$2_policy"
	rm -f /run/sluice/net"$2"_*.lock
	rmdir /var/lib/sluice/policy /var/lib/sluice 2>/dev/null
}

policy() { printf '%s\n' "$2" >"$T/$1"; }

meets() { # HOST ADDRESS WANTED
	is "what packets of $1 meet" "$3" "$("$BUILD/tests/apply-kill" ask "sluice-$LAB-$1=$2")"
}
h2() { "$SLUICE" lab run --lab "$LAB" h2 -- "$@"; }

st() { sl status --json | jq -r "$1"; }

rebooted() {
	sl detach to1 --all --force >/dev/null 2>&1
	box ip link show to2 >/dev/null 2>&1 && sl detach to2 --all --force >/dev/null 2>&1
	rm -rf "$RUN" "$PINS"
}

in_force() { # NUMBER A|B
	is policy "$1" "$(st '.policy // "none"' | cut -d- -f1)" && meets h1 198.18.1.1 "$2"
}
