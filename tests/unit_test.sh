#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The worked example of sluice/test.h as its reader builds it, from the installed library: both libraries, both engines,
# without privilege, under ASan, and with a firewall that is broken. What each call says: src/unit/unit_test.c.
. "$(dirname "$0")/lib.sh"

OBJECT=$BUILD/examples/firewall.bpf.o
CASES='sources ports tags damaged'

as_nobody() { # COMMAND... as a user without any privilege
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all "$@"
	else
		"$@"
	fi
}
all_pass() { # COMMAND...
	"$@" >"$T/tap" 2>"$T/err"
	rc=$?
	{ echo 1..4; n=0; for c in $CASES; do n=$((n + 1)); echo "ok $n - $c"; done; } | diff - "$T/tap" && [ $rc = 0 ] && [ ! -s "$T/err" ] ||
		{ echo "exit $rc"; cat "$T/err"; return 1; }
}
all_skipped() { # the kernel's engine without privilege is a skip of each case, and an exit code of its own
	as_nobody "$1" "$T/public/firewall.bpf.o" kernel >"$T/tap" 2>"$T/err"
	rc=$?
	[ $rc = 4 ] && [ ! -s "$T/err" ] && [ "$(grep -c '^ok .* # SKIP firewall.bpf.o: .*CAP_BPF' "$T/tap")" = 4 ] || { echo "exit $rc"; cat "$T/tap"; return 1; }
}
short_enough() {
	n=$(grep -cv -e '^ *$' -e '^ \*' -e '^/[/*]' "$SRC/examples/firewall_test.c")
	[ "$n" -le 60 ] || { echo "$n lines"; return 1; }
}

# the firewall without its look at the port, and what the test says of it
broken() { # PROGRAM ENGINE
	sed 's/? BLOCKED_PORT : ALLOWED/? ALLOWED : ALLOWED/' "$SRC/examples/firewall.bpf.c" >"$T/broken.bpf.c"
	cmp -s "$SRC/examples/firewall.bpf.c" "$T/broken.bpf.c" && { echo "nothing was broken"; return 1; }
	bpf_cc "$T/broken.bpf.o" <"$T/broken.bpf.c" || return 1
	"$1" "$T/broken.bpf.o" "$2" >"$T/tap" 2>"$T/err"
	rc=$?
	cat >"$T/want" <<-'WANT'
	1..4
	ok 1 - sources
	not ok 2 - ports
	# FILE:32: expect XDP_DROP
	#   packet    eth / vlan id 7 / ipv4 src 192.0.2.1 dst 198.51.100.1 / tcp sport 40000 dport 23 flags syn
	#   expected  XDP_DROP
	#   got       XDP_PASS
	# FILE:33: expect XDP_DROP
	#   packet    eth / vlan id 7 / ipv4 src 192.0.2.1 dst 198.51.100.1 options 01010101 / tcp sport 40000 dport 23 flags none
	#   expected  XDP_DROP
	#   got       XDP_PASS
	# FILE:34: expect XDP_DROP
	#   packet    eth / vlan id 7 / ipv6 src 2001:db8::1 dst 2001:db8::2 / hopopts / dstopts / udp sport 40000 dport 23
	#   expected  XDP_DROP
	#   got       XDP_PASS
	# FILE:37: value "reasons"
	#   key       BLOCKED_PORT
	#   expected  3
	#   got       0
	ok 3 - tags
	ok 4 - damaged
	WANT
	sed -E 's|^# [^ ]*firewall_test.c:|# FILE:|' "$T/tap" | diff "$T/want" - && [ $rc = 1 ] && [ ! -s "$T/err" ] || { echo "exit $rc"; cat "$T/err"; return 1; }
}
no_object() {
	"$1" "$T/nowhere.o" >"$T/tap"
	[ $? = 1 ] && [ "$(grep -c "^# $T/nowhere.o: no such file\$" "$T/tap")" = 4 ]
}
no_engine() {
	"$1" "$OBJECT" jit >"$T/tap"
	[ $? = 1 ] && [ "$(grep -c "^# there is no engine 'jit': vm and kernel are known\$" "$T/tap")" = 4 ]
}

installed() {
	DESTDIR=$T/root meson install -C "$BUILD" --no-rebuild >"$T/install.log" 2>&1 || { tail -5 "$T/install.log"; return 1; }
	lib=$(dirname "$(find "$T/root" -name libsluice.a)")
}
flags() { PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$T/root pkg-config "$@" sluice; }
build_shared() { # shellcheck disable=SC2046
	cc -Wall -Wextra -Werror "$SRC/examples/firewall_test.c" $(flags --cflags --libs) -Wl,-rpath,"$lib" -o "$T/public/shared"; }
build_static() { # OUT [CFLAGS...]
	to=$1
	shift
	# shellcheck disable=SC2046
	cc -Wall -Wextra -Werror "$@" "$SRC/examples/firewall_test.c" $(flags --cflags) "$lib/libsluice.a" \
		$(flags --static --libs | sed 's/-lsluice//') -o "$to"
}
# the library's own code is not instrumented here; ./do sanitize does that
asan() {
	build_static "$T/asan" -g -fsanitize=address,undefined && all_pass "$T/asan" "$OBJECT"
}

case_ "the example is a test of 60 lines" short_enough
own=$BUILD/examples/firewall_test
case_ "the firewall passes on the user-space engine" all_pass "$own" "$OBJECT"
if [ "$(id -u)" = 0 ]; then
	case_ "the firewall passes in the kernel" all_pass "$own" "$OBJECT" kernel
	case_ "a broken one fails in the kernel, to the letter" broken "$own" kernel
else
	skip "the firewall in the kernel" "needs root"
fi
case_ "a broken one fails on the engine, to the letter" broken "$own" vm
case_ "without an object every case fails" no_object "$own"
case_ "an unknown engine is named" no_engine "$own"
chmod 755 "$T" && mkdir "$T/public" && cp "$OBJECT" "$T/public"
case "$BUILD" in
*asan*) skip "against the installed library" "a library built with the sanitizers needs them in the program" ;;
*)
	case_ "installs" installed
	case_ "builds against the shared library" build_shared
	case_ "builds against the static library" build_static "$T/public/static"
	case_ "shared: passes without any privilege" all_pass as_nobody "$T/public/shared" "$T/public/firewall.bpf.o"
	case_ "static: passes without any privilege" all_pass as_nobody "$T/public/static" "$T/public/firewall.bpf.o"
	case_ "shared: skips in the kernel without privilege" all_skipped "$T/public/shared"
	case_ "passes with ASan in the test" asan
	;;
esac
done_
