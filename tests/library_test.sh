#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# libsluice as others meet it: installed, found by pkg-config, linked shared and static, its example at work.
#
#     h1 eth0 ──── to1 box      the example counts who sends to the box
. "$(dirname "$0")/lib.sh"
need_root

installed() {
	DESTDIR=$T/root meson install -C "$BUILD" --no-rebuild >"$T/install.log" 2>&1 || { tail -5 "$T/install.log"; return 1; }
	lib=$(dirname "$(find "$T/root" -name libsluice.a)")
	[ -f "$lib/libsluice.so.0" ] && [ -f "$lib/pkgconfig/sluice.pc" ] && [ -f "$T/root/usr/local/include/sluice/chain.h" ]
}
flags() { # for the installed tree under another root
	PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$T/root pkg-config "$@" sluice
}
build_shared() { cc -Wall -Werror "$SRC/examples/sources.c" $(flags --cflags --libs) -Wl,-rpath,"$lib" -o "$T/shared"; }
build_static() {
	cc -Wall -Werror "$SRC/examples/sources.c" $(flags --cflags) "$lib/libsluice.a" \
		$(flags --static --libs | sed 's/-lsluice//') -o "$T/static"
}
# the example prints a source and just as many packets as were sent from it, then leaves nothing
example() { # PROGRAM
	"$SLUICE" lab with --hosts 1 -- sh -c '
		wait_for() { n=0; until grep -q "$1" "$2" || [ $n = 150 ]; do sleep 0.1; n=$((n + 1)); done; }
		"$SLUICE" lab run box -- "$1" to1 "$2" 60 >"$3" 2>&1 &
		pid=$!
		wait_for "runs on to1" "$3"
		"$SLUICE" lab run h1 -- "$SLUICE" traffic eth0 udp --src 198.18.1.77 --dst 198.18.1.1 --count 1234 --quiet
		wait_for "^198.18.1.77 *-> 1234 packets\$" "$3"
		kill -TERM $pid
		wait $pid || exit 1
		"$SLUICE" lab run box -- "$SLUICE" list to1' - "$1" "$BUILD/examples/sources.bpf.o" "$T/out" >"$T/list" || { cat "$T/out" "$T/list"; return 1; }
	cat "$T/out" "$T/list"
	grep -q '^198.18.1.77 *-> 1234 packets$' "$T/out" && grep -q '^to1  *-$' "$T/list"
}
no_such_interface() { "$1" nosuch0 "$BUILD/examples/sources.bpf.o" 1 2>"$T/err"; [ $? = 1 ] && grep -q "no interface" "$T/err"; }
exports() { # the interface of the shared library is what the headers declare, and the seam
	nm -D --defined-only "$lib/libsluice.so.0" | awk '$2 == "T" || $2 == "B" || $2 == "D" || $2 == "R" { print $3 }' | sort >"$T/have"
	{ sed -nE 's/.*(^|[ *])(sluice_[a-z0-9_]+)\(.*/\2/p' "$T"/root/usr/local/include/sluice/*.h | grep -vE '^sluice_.*_t$'; printf 'syscall\nepoll_ctl\nioctl\n'; } | sort -u >"$T/declared"
	comm -23 "$T/have" "$T/declared" >"$T/extra"
	cat "$T/extra"
	[ ! -s "$T/extra" ] && grep -q sluice_chain_attach "$T/have"
}
static_names() {
	nm -g --defined-only "$lib/libsluice.a" | awk 'NF == 3 { print $3 }' | grep -vE '^(sluice_|syscall$|epoll_ctl$|ioctl$)' >"$T/extra"
	cat "$T/extra"
	[ ! -s "$T/extra" ]
}
export SLUICE

case "$BUILD" in
*asan*) skip "installed" "a library built with the sanitizers needs them in the program" ;;
*)
	case_ "installs library, headers and pkg-config file" installed
	case_ "the shared library exports its interface and nothing else" exports
	case_ "the static library has no inner names to clash with" static_names
	case_ "the example builds against the shared library" build_shared
	case_ "the example builds against the static library" build_static
	case_ "shared: counts sources and cleans up" example "$T/shared"
	case_ "static: counts sources and cleans up" example "$T/static"
	case_ "the example names an unknown interface" no_such_interface "$T/static"
	;;
esac
done_
