#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The one entrance to building, testing and trying Sluice.
# Installs what is missing from the distribution's packages (packages.txt), then does what was asked.
set -eu
cd "$(dirname "$0")"

: "${BUILD:=build}"

usage() {
	cat <<EOF
usage: ./do COMMAND [ARG...]

  demo            build, then Sluice at work on a capture, without privilege; as root also ten seconds in the
                  kernel, between namespaces of its own
  test [NAME...]  build, then every test (or those whose name contains NAME)
  build           build $BUILD/sluice
  bench [NAME...] measure against baselines in the same run; writes bench/README.md
  install [DIR]   install under DIR (default /usr/local)
  sanitize        the whole test suite under ASan and UBSan
  fuzz [SECONDS]  the fuzz targets, each for SECONDS (default 60)
  format [COMMIT] clang-format over the lines of C changed since COMMIT (default: HEAD)
  clean           remove the build folders
  help            this text

Each installs the packages it misses (packages.txt) when run as root; otherwise it names them.
EOF
}

die() { echo "do: $*" >&2; exit 1; }

# names of the packages of column $1 (1 Debian, 2 Fedora), only kinds in $2
packages() {
	sed -e 's/#.*//' packages.txt | awk -F'|' -v col="$1" -v kinds="$2" '
		NF >= 3 { gsub(/[ \t]/, "", $col); gsub(/[ \t]/, "", $3)
			  if (index(kinds, $3)) print $col }'
}

install_missing() {
	kinds=$1
	if command -v dpkg-query >/dev/null 2>&1; then
		col=1; have='dpkg-query -W -f=${db:Status-Status}'; want=installed
	elif command -v rpm >/dev/null 2>&1; then
		col=2; have='rpm -q --qf=installed'; want=installed
	else
		echo "do: neither dpkg nor rpm here; packages.txt names what is needed" >&2
		return 0
	fi
	missing=
	for p in $(packages $col "$kinds"); do
		[ "$($have "$p" 2>/dev/null || true)" = $want ] || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		# a package may be there under another name: let the build itself be the judge
		echo "do: not installed:$missing" >&2
		echo "do: if the build fails, run as root: ./do build" >&2
		return 0
	fi
	echo "do: installing$missing" >&2
	if [ $col = 1 ]; then
		export DEBIAN_FRONTEND=noninteractive
		# shellcheck disable=SC2086
		apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 || {
			apt-get update -q >&2 || die "apt-get update failed: is there a network and a package source?"
			# shellcheck disable=SC2086
			apt-get install -y -q --no-install-recommends $missing >&2 ||
				die "could not install:$missing"
		}
	else
		# shellcheck disable=SC2086
		dnf install -y -q $missing >&2 || die "could not install:$missing"
	fi
}

build() {
	install_missing "${1:-build}"
	if [ ! -f "$BUILD/build.ninja" ]; then
		# shellcheck disable=SC2086
		meson setup "$BUILD" ${MESON_ARGS:-} >"$BUILD.log" 2>&1 || {
			cat "$BUILD.log" >&2; rm -f "$BUILD.log"; rm -rf "$BUILD"; die "configuring failed"; }
		mv "$BUILD.log" "$BUILD/setup.log"
	fi
	ninja -C "$BUILD" --quiet >"$BUILD/build.log" 2>&1 || { cat "$BUILD/build.log" >&2; die "build failed"; }
}

cmd=${1:-help}
[ $# -eq 0 ] || shift
case $cmd in
build)	build; echo "built $BUILD/sluice" ;;
test)	build "build test"; exec tests/run "$BUILD" "$@" ;;
demo)	# a tree may be somebody else's, who has built it: what is there is shown
	[ -x "$BUILD/examples/packets" ] && [ ! -w "$BUILD" ] || build "build test"
	exec examples/demo "$BUILD/sluice" "$@" ;;
bench)	build "build test"; exec bench/run "$BUILD" "$@" ;;
sanitize)
	BUILD=build-asan
	MESON_ARGS="-Db_sanitize=address,undefined -Db_lundef=false --buildtype=debugoptimized"
	build "build test"; exec tests/run "$BUILD" "$@" ;;
fuzz)	build "build test"; exec tests/fuzz/run "$BUILD" "$@" ;;
install)
	build
	meson configure "$BUILD" -Dprefix="${1:-/usr/local}" && meson install -C "$BUILD" ;;
format)	git clang-format --force --extensions c,h "${1:-HEAD}" ;;
clean)	rm -rf build build-asan ;;
help|-h|--help) usage ;;
*)	usage >&2; exit 2 ;;
esac
