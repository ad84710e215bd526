# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the checked engines stop, and with which words.
== a load behind the end
memory 01 02 03 04
fault test: instruction 0, (61) r0 = *(u32 *)(r1 +1): reads 4 bytes at 0x
r0 = *(u32 *)(r1 +1)
exit
== names the memory
memory 01 02 03 04
fault , at offset 1 of the memory (4 bytes)
r0 = *(u32 *)(r1 +1)
exit
== a load right behind the end
memory 01 02 03 04
fault , 0 bytes behind the end of the memory (4 bytes)
r0 = *(u8 *)(r1 +4)
exit
== a store before the start
memory 01 02 03 04
fault writes 1 bytes at 0x
*(u8 *)(r1 -1) = 0
r0 = 0
exit
== an access that begins before the start
memory 01 02 03 04
fault , 1 bytes before the memory (4 bytes)
r0 = *(u32 *)(r1 -1)
exit
== an address that wraps around
fault reads 8 bytes at 0xfffffffffffffffc
r1 = -4
r0 = *(u64 *)(r1 +0)
exit
== null
fault instruction 1, (79) r0 = *(u64 *)(r1 +0): reads 8 bytes at 0x0
r1 = 0
r0 = *(u64 *)(r1 +0)
exit
== no memory
fault reads 1 bytes at 0x0
r0 = *(u8 *)(r1 +0)
exit
== above the frame
fault , 0 bytes behind the end of the stack (512 bytes)
r0 = *(u8 *)(r10 +0)
exit
== below the frame
fault , 1 bytes before the stack (512 bytes)
*(u8 *)(r10 -513) = 1
r0 = 0
exit
== across the lower edge of the frame
fault , 4 bytes before the stack (512 bytes)
*(u64 *)(r10 -516) = 1
r0 = 0
exit
== a frame that was left is gone
fault , 16 bytes before the stack (512 bytes)
call f
r0 = *(u64 *)(r0 +0)
exit
f: r0 = r10
r0 += -16
exit
== an instruction that hit one region is checked when it meets another
memory 01
fault , 3 bytes behind the end of the memory (1 bytes)
r2 = 4
*(u64 *)(r10 -8) = 0
r3 = r10
r3 += -8
next: r0 = *(u8 *)(r3 +0)
r3 = r1
r3 += r2
r2 -= 4
if r2 != -8 goto next
exit
== an atomic operation that is not aligned
memory 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
fault does an atomic operation on 8 bytes at
r2 = 1
lock *(u64 *)(r1 +1) += r2
r0 = 0
exit
== on the own frame, too
fault which is no multiple of its size
r2 = 1
*(u64 *)(r10 -16) = 0
*(u64 *)(r10 -8) = 0
lock *(u32 *)(r10 -14) += r2
r0 = 0
exit
== a loop without end
fault instruction 1, (05) goto pc-2: ran longer than its budget of instructions
again: r0 = 0
goto again
== a loop without end that jumps on a condition
fault ran longer than its budget of instructions
again: if r10 != 0 goto again
exit
== gotol, too
fault ran longer than its budget of instructions
again: r0 = 0
gotol again
== recursion without end
fault calls deeper than 8 functions
r0 = 0
call f
exit
f: r0 += 1
call f
exit
== loops within callbacks count
fault ran longer than its budget of instructions
r1 = 0xffffffff
r2 = subprog[f]
r3 = 0
call bpf_loop
exit
f: r0 = 0
exit
== a callback that is no function
memory 00 00 00 00 00 00 00 00
fault argument 2 of loop must be a function of the program but is 0x
r2 = r1
r1 = 2
call bpf_loop
exit
== memory that a helper would read
memory 01 02 03 04
fault instruction 1, (85) call unknown#5001: argument 1 of take must point to 5 readable bytes but is 0x
r2 = 5
call take#5001
exit
== an absurd size
memory 01 02 03 04
fault argument 1 of take is an absurd size, 18446744073709551615
r2 = -1
call take#5001
exit
== a helper may read what is there
memory 01 02 03 04
result 0x7c42
r2 = 4
call take#5001
exit
kernel no a helper of the test's own
== fault within a callback
fault reads 1 bytes at 0x10
r1 = 2
r2 = subprog[f]
r3 = 16
call bpf_loop
exit
f: r0 = *(u8 *)(r2 +0)
exit
== a helper that does not exist
fault instruction 0: there is no helper 4711 here
call no#4711
exit
== a map
fault instruction 0: there are no maps here
r1 = map[fd:3]
r0 = 0
exit
== an instruction that is refused
fault instruction 0, (8d) callx r1: calls through a register are not supported
callx r1
exit
== registers that were never set are 0
result 0
r0 += r6
r0 += r7
r0 += r8
r0 += r9
exit
kernel no the verifier refuses it
== load_acquire wants aligned addresses
memory 00 00 00 00 00 00 00 00
fault instruction 0, (c3) r0 = load_acquire((u32 *)(r1 +2)): does an atomic operation on 4 bytes at
r0 = load_acquire((u32 *)(r1 +2))
exit
== load_acquire behind the end
memory 00 00 00 00 00 00 00 00
fault instruction 0, (cb) r0 = load_acquire((u16 *)(r1 +8)): reads 2 bytes at
r0 = load_acquire((u16 *)(r1 +8))
exit
== store_release wants aligned addresses, on the stack, too
fault instruction 1, (db) store_release((u64 *)(r10 -12), r0): does an atomic operation on 8 bytes at
r0 = 1
store_release((u64 *)(r10 -12), r0)
exit
== store_release before the memory
memory 00
fault instruction 0, (d3) store_release((u8 *)(r1 -1), r2): writes 1 bytes at
store_release((u8 *)(r1 -1), r2)
exit
