#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# sluice vm: other people's programs on the user-space engine, without privilege, sharing state, and leaving nothing.
#
#   sluice vm (engine, broker) ── sh ─┬─ bpftool, python3, ls, rm
#                                     └─ vm-client: libbpf.so, or libbpf.a
. "$(dirname "$0")/lib.sh"

chmod 755 "$T"
OBJ=$T/counter.o
cp "$BUILD/examples/counter.bpf.o" "$OBJ"
# the folder may be nobody else's, as root's home is
mkdir "$T/build" "$T/build/src" "$T/build/tests" && cp "$SLUICE" "$T/build/sluice" && cp "$BUILD/src/libsluice-vm.so" "$T/build/src" &&
	cp "$BUILD/tests/vm-client" "$BUILD/tests/vm-client-static" "$BUILD/tests/vm-misuse" "$T/build/tests" || exit 1
BUILD=$T/build SLUICE=$T/build/sluice
CLIENT=$BUILD/tests/vm-client STATIC=$BUILD/tests/vm-client-static
BPFTOOL=$(PATH=$PATH:/usr/sbin:/sbin command -v bpftool) || BPFTOOL=
export BPFTOOL OBJ T

# where sluice is sanitized: under itself something is preloaded in front of the sanitizer
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}:verify_asan_link_order=0"

# as somebody without privilege
if [ "$(id -u)" = 0 ]; then
	plain() { setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all env TMPDIR=/tmp "$@"; }
else
	plain() { env TMPDIR=/tmp "$@"; }
fi
vm() { plain "$SLUICE" vm "$@"; }
in_vm() { vm -- sh -euc "$1"; }
mkdir "$T/free" && chmod 777 "$T/free"

bpf_cc "$T/ring.o" <<'C'
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");
__u32 n;
SEC("xdp") int event(struct xdp_md *ctx)
{
	__u64 v = n++;
	bpf_ringbuf_output(&ring, &v, sizeof(v), 0);
	return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
C

# --- what happens to the command
exit_codes() {
	vm -- sh -c 'exit 7'; [ $? = 7 ] || return 1
	vm -- sh -c 'kill -TERM $$'; [ $? = 143 ] || return 1
	vm -- true || return 1
	[ "$(vm -- echo --cpus)" = --cpus ]
}
no_command() {
	expect_fail 127 '^sluice vm: cannot run /no/such/command: No such file or directory$' vm -- /no/such/command
}
not_executable() {
	expect_fail 126 '^sluice vm: cannot run /etc/passwd: Permission denied$' vm -- /etc/passwd
}
usage() { expect_fail 2 'COMMAND' "$SLUICE" vm; }
bad_if() {
	expect_fail 2 "'a/b' cannot be an interface's name" vm --if a/b -- true &&
		expect_fail 1 "the engine has an interface lo already" vm --if lo -- true
}
bad_cpus() { expect_fail 2 'cpus' "$SLUICE" vm --cpus 0 -- true && expect_fail 2 'cpus' "$SLUICE" vm --cpus 4097 -- true; }
bad_tmp() {
	expect_fail 3 "^sluice vm: directory $T/nowhere: cannot make one in it: No such file or directory$" \
		env TMPDIR="$T/nowhere" "$SLUICE" vm -- true
}
forwarded() {
	vm -- sh -c 'trap "echo got; exit 5" USR1; echo $$ >"$T/free/pid"; while :; do sleep 0.05; done' >"$T/free/out" &
	wait_until 10 test -s "$T/free/pid" || return 1
	kill -USR1 "$(ps -o ppid= -p "$(cat "$T/free/pid")")"
	wait $!
	[ $? = 5 ] && [ "$(cat "$T/free/out")" = got ]
}
static_elf() {
	printf 'int main(void){return 3;}' | cc -static -x c - -o "$T/static" || return 1
	expect_fail 3 "^sluice vm: $T/static is linked statically: it cannot be reached, and has run on the kernel$" \
		vm -- "$T/static"
}
case_ "the exit status is the command's" exit_codes
case_ "a command that is not there" no_command
case_ "a command that cannot be run" not_executable
case_ "usage" usage
case_ "names that no interface can have" bad_if
case_ "numbers of CPUs that cannot be" bad_cpus
case_ "no place for a socket" bad_tmp
case_ "signals are passed on" forwarded
case_ "a static program is named" static_elf

# --- bpftool
if [ -n "$BPFTOOL" ]; then
	maps() {
		in_vm '$BPFTOOL map create /sys/fs/bpf/m type hash key 4 value 8 entries 10 name mine
			$BPFTOOL map update pinned /sys/fs/bpf/m key 1 0 0 0 value 1 2 3 4 5 6 7 8
			$BPFTOOL map lookup pinned /sys/fs/bpf/m key 1 0 0 0
			$BPFTOOL map list
			$BPFTOOL map dump name mine
			$BPFTOOL map pin name mine /sys/fs/bpf/again
			$BPFTOOL map delete pinned /sys/fs/bpf/again key 1 0 0 0
			$BPFTOOL map dump pinned /sys/fs/bpf/m
			ls /sys/fs/bpf; rm /sys/fs/bpf/m /sys/fs/bpf/again
			$BPFTOOL map list; echo end' >"$T/out" || return 1
		printf '%s\n' 'key: 01 00 00 00  value: 01 02 03 04 05 06 07 08' '1: hash  name mine  flags 0x0' \
			'	key 4B  value 8B  max_entries 10' 'key: 01 00 00 00  value: 01 02 03 04 05 06 07 08' \
			'Found 1 element' 'Found 0 elements' again m end >"$T/want"
		sed -i 's/  memlock [0-9]*B//' "$T/out"
		diff "$T/want" "$T/out"
	}
	progs() {
		in_vm '$BPFTOOL prog load $OBJ /sys/fs/bpf/c pinmaps /sys/fs/bpf/maps
			$BPFTOOL -j prog show pinned /sys/fs/bpf/c
			$BPFTOOL -j prog list
			$BPFTOOL prog dump xlated pinned /sys/fs/bpf/c linum
			$BPFTOOL prog loadall $OBJ /sys/fs/bpf/all
			ls /sys/fs/bpf/all /sys/fs/bpf/maps' >"$T/out" || return 1
		sed -n 1p "$T/out" | jq -e '.type == "xdp" and .name == "counter" and .gpl_compatible and .bytes_xlated == 224 and
			(.map_ids | length) == 2 and .tag != "0000000000000000"' &&
			map=$(sed -n 1p "$T/out" | jq .map_ids[0]) && grep -q "= map\[id:$map\]" "$T/out" &&
			grep -q '^; .*ctx->data_end.* line_num:[0-9]* line_col:[0-9]*\]$' "$T/out" &&
			sed -n 2p "$T/out" | jq -e '[.[] | select(.name == "counter")] | length == 1' &&
			grep -q '^ *0: (61) r2 = \*(u32 \*)(r1 +4)$' "$T/out" &&
			[ "$(tail -n 6 "$T/out" | tr '\n' ' ')" = "/sys/fs/bpf/all: counter  /sys/fs/bpf/maps: counter_rodata seen " ]
	}
	prog_run() {
		head -c 100 /dev/zero >"$T/in"
		in_vm '$BPFTOOL prog load $OBJ /sys/fs/bpf/c
			$BPFTOOL -j prog run pinned /sys/fs/bpf/c data_in $T/in data_out $T/free/data' >"$T/out" || return 1
		jq -e '.retval == 2' "$T/out" && cmp "$T/in" "$T/free/data"
	}
	btf() {
		in_vm '$BPFTOOL prog load $OBJ /sys/fs/bpf/c
			id=$($BPFTOOL -j btf list | jq ".[-1].id"); $BPFTOOL btf dump id $id' >"$T/out" || return 1
		grep -q "INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED" "$T/out" && grep -q "DATASEC '.rodata'" "$T/out"
	}
	links() {
		vm --if eth0 -- sh -euc '"$0" basic $OBJ eth0; $BPFTOOL -j link list; "$1" link $OBJ eth0 /sys/fs/bpf/l
			$BPFTOOL -j link list; $BPFTOOL link show pinned /sys/fs/bpf/l; rm /sys/fs/bpf/l; $BPFTOOL -j link list' \
			"$STATIC" "$CLIENT" >"$T/out" || return 1
		[ "$(sed -n 2p "$T/out")" = '[]' ] && sed -n 4p "$T/out" | jq -e 'length == 1 and .[0].prog_id > 0' &&
			[ "$(tail -n 1 "$T/out")" = '[]' ]
	}
	scripts() { # bpftool below python3 below sh below env
		command -v python3 >/dev/null || { echo "no python3"; return 1; }
		in_vm 'env sh -c "python3 -c \"
import os, subprocess
subprocess.check_call([os.environ[\\\"BPFTOOL\\\"]] + \\\"map create /sys/fs/bpf/p type array key 4 value 4 entries 1 name py\\\".split())
print(os.listdir(\\\"/sys/fs/bpf\\\"), os.path.exists(\\\"/sys/fs/bpf/p\\\"), os.path.exists(\\\"/sys/fs/bpf/q\\\"))
\""; cd /sys/fs/bpf; $BPFTOOL -j map show pinned p | jq -r .name; stat -c "%F %a" p; mkdir d; rmdir d; rm p
			test ! -e p' >"$T/out" || return 1
		printf "['p'] True False\npy\nregular empty file 600\n" | diff - "$T/out"
	}
	gone() {
		in_vm '$BPFTOOL map create /sys/fs/bpf/m type array key 4 value 4 entries 1 name left' &&
			[ "$(in_vm '$BPFTOOL -j map list; ls /sys/fs/bpf')" = '[]' ] && ! ls /sys/fs/bpf/m 2>/dev/null
	}
	misuse() {
		expect_fail 255 'No such file or directory' vm -- "$BPFTOOL" map show pinned /sys/fs/bpf/none &&
			expect_fail 255 'Invalid argument' vm -- "$BPFTOOL" map create /sys/fs/bpf/m type hash key 0 value 8 entries 10 name m &&
			expect_fail 255 'not in bpf file system|not on BPF FS|Operation not permitted|mount' vm -- \
				"$BPFTOOL" map create "$T/free/m" type array key 4 value 4 entries 1 name m
	}
	names() { # what pins do not know is refused, and does not reach the kernel's bpffs
		in_vm '$BPFTOOL map create /sys/fs/bpf/m type array key 4 value 4 entries 1 name m
			for c in "ln -s m /sys/fs/bpf/s" "ln /etc/passwd /sys/fs/bpf/l" "chmod 777 /sys/fs/bpf/m" "chown 1 /sys/fs/bpf/m" \
				"mv /sys/fs/bpf/m /sys/fs/bpf/n"; do $c 2>&1 | grep -c "Operation not permitted"; done
			ls /sys/fs/bpf' >"$T/out"
		[ "$(tr '\n' ' ' <"$T/out")" = "1 1 1 1 1 m " ]
	}
	case_ "bpftool map: create, update, lookup, dump, list, pin, delete" maps
	case_ "bpftool prog: load, loadall, show, list, dump" progs
	case_ "bpftool prog run: data in and out" prog_run
	case_ "bpftool btf: list, dump" btf
	case_ "bpftool link list, links of both kinds of libbpf" links
	case_ "a chain of programs shares one engine" scripts
	case_ "links, modes, owners and new names of pins" names
	case_ "state is gone with the command" gone
	case_ "mistakes are answered as by the kernel" misuse
else
	skip "bpftool" "no bpftool"
fi

# --- programs with libbpf
for c in "$CLIENT" "$STATIC"; do
	n=$(basename "$c")
	basic() { [ "$(vm --if eth0 -- "$c" basic "$OBJ" eth0)" = ok ]; }
	mode() { [ "$(vm -- "$c" "$@")" = ok ]; }
	cpus() { [ "$(vm --cpus 7 -- "$c" cpus 7)" = ok ]; }
	case_ "$n: load, run, attach, update, pin" basic
	case_ "$n: bad addresses and descriptors" mode bad
	case_ "$n: descriptors as the kernel gives them, none left" mode fds
	case_ "$n: four processes of two threads on one map" mode together
	case_ "$n: a ring buffer from one process to another" mode ring "$T/ring.o"
	case_ "$n: calls from a signal's handler" mode signals
	case_ "$n: seven CPUs" cpus
done
sluice_in_vm() {
	[ "$(in_vm "\$BPFTOOL map create /sys/fs/bpf/m type hash key 4 value 8 entries 10 name mine
		$SLUICE map list -j" | jq -r '.[].name')" = mine ]
}
[ -z "$BPFTOOL" ] || case_ "sluice itself" sluice_in_vm

# --- those who mean harm, and those who are killed
harm() { [ "$(vm -- "$BUILD/tests/vm-misuse" "$@")" = ok ]; }
given_up() { # neither its thread nor its time is left
	vm -- sh -c 'broker=$(ps -o ppid= -p $$ | tr -d " ")
		"$0" endless; [ $? = 142 ] || exit 1
		n=0
		while [ $n -lt 100 ] && [ "$(ls /proc/$broker/task | wc -l)" -gt 2 ]; do sleep 0.05; n=$((n + 1)); done
		ls /proc/$broker/task | wc -l' "$BUILD/tests/vm-misuse" >"$T/out" 2>/dev/null && [ "$(cat "$T/out")" -le 2 ]
}
hostile() { [ "$(vm -- "$CLIENT" hostile)" = ok ]; }
other_user() { # only who started it is served
	vm -- sh -c 'echo $SLUICE_VM >"$T/free/address"; while [ -e "$T/free/address" ]; do sleep 0.05; done' &
	wait_until 10 test -s "$T/free/address" || return 1
	expect_fail 1 'errno 5' env SLUICE_VM="$(cat "$T/free/address")" LD_PRELOAD="$BUILD/src/libsluice-vm.so" \
		setpriv --reuid 65533 --clear-groups "$CLIENT" fds
	rc=$?
	rm "$T/free/address"
	wait
	return $rc
}
killed() { # 200 rounds of killing clients at work; then the engine is as it was, and serves on
	vm -- sh -c 'i=0
		while [ $i -lt 50 ]; do
			"$0" hammer & a=$!; "$0" hammer & b=$!; "$1" hammer & c=$!; "$0" hammer & d=$!
			sleep 0.0$((i % 5))1
			kill -9 $a $b $c $d
			wait $a $b $c $d 2>/dev/null
			i=$((i + 1))
		done
		broker=$(ps -o ppid= -p $$ | tr -d " ")
		n=0
		while [ $n -lt 100 ] && [ "$(ls /proc/$broker/task | wc -l)" -gt 2 ]; do sleep 0.05; n=$((n + 1)); done
		"$0" together && "$0" fds && ls /proc/$broker/task | wc -l && ls /proc/$broker/fd | wc -l' \
		"$CLIENT" "$STATIC" >"$T/out" 2>"$T/err" || { cat "$T/err"; return 1; }
	sed -n 3p "$T/out" | grep -qE '^[23]$' && [ "$(sed -n 4p "$T/out")" -lt 12 ] || { cat "$T/out"; return 1; }
}
broker_killed() { # the command goes on without it, and is told
	vm -- sh -c 'kill -9 $(ps -o ppid= -p $$); sleep 0.1; "$0" fds 2>"$T/free/said"; echo $? >"$T/free/code"' "$CLIENT"
	wait_until 10 test -s "$T/free/code" && [ "$(cat "$T/free/code")" = 1 ] && grep -q 'errno 5' "$T/free/said"
}
outlives() {
	vm -- "$CLIENT" outlive "$T/free/after" >/dev/null && wait_until 10 test -s "$T/free/after" &&
		[ "$(cat "$T/free/after")" = 5 ]
}
nothing_left() { [ -z "$(ls -d /tmp/sluice-?????? 2>/dev/null)" ] && ! pgrep -f "^$CLIENT|^$STATIC"; }
case_ "nonsense, hundreds of connections, answers that never come" hostile
case_ "headers and positions forged in a ring buffer's pages" harm forged
case_ "what is waited on cannot be filled" harm wakes
case_ "descriptors made while sweeps look who has any" harm reopened
case_ "the engine's descriptors opened by others" harm opened
case_ "maps in maps that change while they are read and run through" harm changing
case_ "an entry that many replace at once holds its program once" harm replaced
case_ "a ring buffer in an epoll set, changed and taken out" harm moved
case_ "a sandbox that forbids process_vm_writev" harm sandboxed
case_ "runs without end, of a client that is gone" given_up
if [ "$(id -u)" = 0 ]; then
	case_ "another user is not served" other_user
else
	skip "another user is not served" "needs root"
fi
case_ "200 clients killed under way" killed
case_ "the engine killed: -EIO" broker_killed
case_ "who outlives the command is told -EIO" outlives
case_ "no socket, no process left behind" nothing_left
done_
