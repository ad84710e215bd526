#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The demo, as root and as a user without any privilege; from a build that is there and from a fresh copy of the tree.
. "$(dirname "$0")/lib.sh"

as_nobody() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all "$@"
	else
		"$@"
	fi
}
same() { [ "$1" = "$2" ] || { printf 'wanted %s\ngot    %s\n' "$1" "$2"; return 1; }; }

engine_half() { # what was shown without the kernel
	same "  allowed                7200
  ARP                      40
  later fragment          200
  malformed                60
  wrong VLAN              350
  not IP                    0
  source not allowed     1500
  blocked port            500" "$(sed -n '/^for these reasons:$/,/^$/p' "$T/demo" | sed '1d;$d')" &&
		same 2 "$(grep -c '^all               9850        4823770$' "$T/demo")" &&
		grep -q '^A firewall on it: on the user-space engine, in this process, as user ' "$T/demo" &&
		grep -q 'map_lookup_elem(map blocked_ports, key 00 17) = value of blocked_ports+0$' "$T/demo" &&
		same "ok 1 - sources ok 2 - ports ok 3 - tags ok 4 - damaged" "$(grep '^ok' "$T/demo" | tr '\n' ' ' | sed 's/ $//')" ||
		{ cat "$T/demo"; return 1; }
}
plain_user() { # from a folder that anybody may read
	chmod 755 "$T" && mkdir -p "$T/public/build/src" "$T/public/build/examples" "$T/public/examples" || return 1
	cp "$SRC/examples/demo" "$SRC/examples/packets.txt" "$T/public/examples" && cp "$SLUICE" "$T/public/build" &&
		cp "$BUILD/src/libsluice.so.0" "$T/public/build/src" || return 1
	for f in firewall.bpf.o counter.bpf.o firewall_test packets; do cp "$BUILD/examples/$f" "$T/public/build/examples" || return 1; done
	as_nobody "$T/public/examples/demo" "$T/public/build/sluice" >"$T/demo" 2>&1
	same 0 $? && engine_half && grep -q '^As root the demo goes on in the kernel' "$T/demo"
}
fresh_tree() { # nothing built, nothing writable but the copy
	mkdir "$T/copy" && (cd "$SRC" && git ls-files -coz --exclude-standard | tar --null --ignore-failed-read -cf - -T -) | tar -xf - -C "$T/copy" || return 1
	[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$T/copy" || return 1
	as_nobody env -u BUILD HOME="$T/copy" sh -c 'cd "$1" && ./do demo' - "$T/copy" >"$T/demo" 2>&1
	same 0 $? && engine_half
}
root() {
	(cd "$BUILD/.." && "$SRC/examples/demo" "$(basename "$BUILD")/sluice") >"$T/demo" 2>&1 || { tail -20 "$T/demo"; return 1; } # a relative path, as ./do gives
	engine_half && grep -q "^All of that ran on Sluice's user-space engine. From here on: in the kernel$" "$T/demo" || return 1
	grep -q '^no packet was missed$' "$T/demo" && [ "$(grep -c '198.18.1.66 ' "$T/demo")" -ge 9 ] || { tail -40 "$T/demo"; return 1; }
}
nothing_left() { [ -z "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'tmp.*' -newer "$T/start" -user nobody 2>/dev/null)" ]; }

touch "$T/start"
case_ "without privilege: on the user-space engine" plain_user
case "$BUILD" in
*asan*) skip "a fresh tree" "built without sanitizers: ./do test shows it" ;;
*)
	if git -C "$SRC" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		case_ "a fresh tree, built and shown without privilege" fresh_tree
	else
		skip "a fresh tree" "what belongs to it is known only in a git tree"
	fi
	;;
esac
case_ "leaves no files behind" nothing_left
if [ "$(id -u)" = 0 ]; then
	case_ "as root: goes on in the kernel, and misses no packet" root
else
	skip "as root" "needs root"
fi
done_
