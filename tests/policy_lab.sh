# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the scripts about changing the policy share; sourced after lib.sh and chain.sh.
#
#   policy_lab [OPTION...]   lab_start, and nothing of the policy's there; gone at the end, history too
#   forget                   no policy, no history: as on a fresh machine
#   policy FILE TEXT         writes $T/FILE
#   meets IF ADDR A|B|none   what the packets of a host meet: A drops ICMP in frames of 100 bytes, B those of 200
#   st PATH                  a value of `status --json`, by a jq path
#   rebooted                 what a boot leaves: programs, pins and /run are gone, /var/lib stays

policy_lab() {
	lab_start "$@"
	LIB=/var/lib/sluice/policy/netns-sluice-$LAB-box RUN=/run/sluice/policy-net$netns PINS=/sys/fs/bpf/sluice/net${netns}_policy
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

forget() {
	sl down --force >/dev/null 2>&1
	rm -rf "$LIB" "$RUN" "$PINS"
	rmdir /var/lib/sluice/policy /var/lib/sluice 2>/dev/null
	return 0
}

policy() { printf '%s\n' "$2" >"$T/$1"; }

meets() { # HOST ADDRESS WANTED
	got=
	"$1" ping -n -q -c 1 -W 1 -s 258 "$2" >/dev/null || { echo "$1 is not answered at all"; return 1; }
	"$1" ping -n -q -c 1 -W 0.2 -s 58 "$2" >/dev/null || got=A
	"$1" ping -n -q -c 1 -W 0.2 -s 158 "$2" >/dev/null || got=${got}B
	is "what packets of $1 meet" "$3" "${got:-none}"
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
