# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Loads, stores, atomics.
== u8
memory 80 01
result 0x80
r0 = -1
r0 = *(u8 *)(r1 +0)
exit
== u16, not aligned
memory 00 ff 80 00
result 0x80ff
r0 = -1
r0 = *(u16 *)(r1 +1)
exit
== u32
memory 01 02 03 f4
result 0xf4030201
r0 = -1
r0 = *(u32 *)(r1 +0)
exit
== u64
memory 01 02 03 04 05 06 07 08
result 0x0807060504030201
r0 = *(u64 *)(r1 +0)
exit
== sign-extending loads
memory 80 00 00 80 00 00 00 80
result 0xffffffff7fff7f80
r0 = *(s8 *)(r1 +0)
r2 = *(s16 *)(r1 +2)
r0 += r2
r2 = *(s32 *)(r1 +4)
r0 += r2
exit
== stores change no more than their width
memory 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
after  00 88 00 88 77 00 00 00 88 77 66 55 00 00 00 00
result 0
r2 = 0x1122334455667788
*(u8 *)(r1 +1) = r2
*(u16 *)(r1 +3) = r2
*(u32 *)(r1 +8) = r2
r0 = 0
exit
== stores of immediates
memory 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
after  ff fe ff 00 fd ff ff ff fc ff ff ff ff ff ff ff
result 0
*(u8 *)(r1 +0) = -1
*(u16 *)(r1 +1) = -2
*(u32 *)(r1 +4) = -3
*(u64 *)(r1 +8) = -4
r0 = 0
exit
== offsets of both directions and sizes
memory 00 01 02 03 04 05 06 07 08 09
result 0x0902
r3 = r1
r3 += 9
r0 = *(u8 *)(r3 +0)
r0 <<= 8
r2 = *(u8 *)(r3 -7)
r0 |= r2
exit
== the stack
result 0x55
*(u8 *)(r10 -512) = 0x55
r0 = *(u8 *)(r10 -512)
exit
kernel no with the function around it the stack is too large
== stores to every register as base
result 0x3f
r0 = r10
r0 += -8
*(u8 *)(r0 +0) = 1
r1 = r0
*(u8 *)(r1 +1) = 2
r4 = r0
*(u8 *)(r4 +2) = 4
r5 = r0
*(u8 *)(r5 +3) = 8
r7 = r0
*(u8 *)(r7 +4) = 16
r9 = r0
*(u8 *)(r9 +5) = 32
*(u16 *)(r9 +6) = 0
r2 = *(u64 *)(r10 -8)
r0 = 0
r3 = 8
next: r4 = r2
r4 &= 0xff
r0 |= r4
r2 >>= 8
r3 -= 1
if r3 != 0 goto next
exit
== atomics without fetch
memory 00 00 00 00 00 00 00 00 01 00 00 00 ff ff ff ff
after  05 00 00 00 00 00 00 00 f8 00 00 00 ff ff ff ff
result 5
r2 = 5
r0 = r1
lock *(u64 *)(r1 +0) += r2
r3 = 0xf0
lock *(u32 *)(r1 +8) |= r3
r3 = 0xf9
lock *(u32 *)(r1 +8) ^= r3
r3 = 0xf0
lock *(u32 *)(r1 +8) |= r3
r3 = 0xfffffff8
lock *(u32 *)(r1 +8) &= r3
r3 = 8
lock *(u32 *)(r1 +8) |= r3
r0 = r2
exit
kernel no atomics on packet memory are refused there
== fetch returns what was there
result 0x70a
*(u64 *)(r10 -8) = 7
r2 = 3
r2 = atomic64_fetch_add((u64 *)(r10 -8), r2)
r0 = *(u64 *)(r10 -8)
r2 <<= 8
r0 |= r2
exit
== 32-bit fetch clears the upper half
result 0x80000001
r0 = 0x8000000180000001
*(u64 *)(r10 -8) = r0
r0 = -1
r0 = atomic_fetch_and((u32 *)(r10 -8), r0)
exit
== fetch or through the register that returns
result 0xf0ff
*(u64 *)(r10 -8) = 0xf0
r0 = 0x0f
r0 = atomic64_fetch_or((u64 *)(r10 -8), r0)
r0 <<= 8
r1 = *(u64 *)(r10 -8)
r0 |= r1
exit
== fetch xor with base and operand in the same registers as the machine's
result 0x3c
*(u64 *)(r10 -8) = 0xff
r0 = r10
r0 += -8
r3 = 0xc3
r3 = atomic64_fetch_xor((u64 *)(r0 +0), r3)
r0 = *(u64 *)(r10 -8)
exit
== exchange
result 0x0107
*(u64 *)(r10 -8) = 7
r2 = 1
r2 = atomic64_xchg((u64 *)(r10 -8), r2)
r0 = *(u64 *)(r10 -8)
r0 <<= 8
r0 |= r2
exit
== 32-bit exchange leaves the neighbour alone
result 0xaaaaaaaa00000001
r0 = 0xaaaaaaaabbbbbbbb
*(u64 *)(r10 -8) = r0
r2 = 1
r2 = atomic_xchg((u32 *)(r10 -8), r2)
r0 = *(u64 *)(r10 -8)
exit
== compare and exchange that succeeds
result 0x0709
*(u64 *)(r10 -8) = 7
r0 = 7
r2 = 9
r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r2)
r0 <<= 8
r2 = *(u64 *)(r10 -8)
r0 |= r2
exit
== compare and exchange that fails
result 0x0707
*(u64 *)(r10 -8) = 7
r0 = 8
r2 = 9
r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r2)
r0 <<= 8
r2 = *(u64 *)(r10 -8)
r0 |= r2
exit
== 32-bit compare and exchange compares and returns the lower half
result 0x7
*(u64 *)(r10 -8) = 7
r0 = 0xffffffff00000007
r2 = 9
r0 = atomic_cmpxchg((u32 *)(r10 -8), r0, r2)
exit
== the whole frame is there, also for addresses that are computed
result 0x1f8
kernel no the verifier wants to know the offset
r1 = -512
r2 = r10
r2 += r1
*(u64 *)(r2 +0) = 0x1f8
r3 = r10
r1 += 8
r3 += r1
r0 = *(u64 *)(r3 +0)
r4 = *(u64 *)(r3 -8)
r0 += r4
exit
== a deep part of the frame is zero, what was written above stays
result 9
checked
kernel no the verifier wants to know the offset
*(u64 *)(r10 -8) = 9
r1 = r2
r1 *= 0
r1 -= 100
r3 = r10
r3 += r1
r0 = *(u32 *)(r3 +0)
r5 = *(u64 *)(r10 -8)
r0 += r5
exit
== a function's frame is zero however deep its caller's was
result 7
checked
kernel no the verifier wants to know the offset
r1 = -300
call fill
r1 = -400
call look
r0 += 7
exit
fill: r2 = r10
r2 += r1
*(u64 *)(r2 +0) = -1
*(u64 *)(r2 -100) = -1
r0 = 0
exit
look: r2 = r10
r2 += r1
r0 = *(u64 *)(r2 +0)
r3 = *(u64 *)(r2 +100)
r0 += r3
exit
== load_acquire of 8 and 4 bytes
result 0xf122334455667788
kernel new
r1 = 0xf122334455667788
*(u64 *)(r10 -8) = r1
r0 = 0
r2 = -1
r2 = load_acquire((u32 *)(r10 -4))
r0 = load_acquire((u64 *)(r10 -8))
if r2 == 0xf1223344 goto bad
r3 = 0xf1223344
if r2 != r3 goto bad
exit
bad: r0 = 0
exit
== load_acquire of 2 bytes and one zero-extends
result 0xf122f1
kernel new
r1 = 0xf122334455667788
*(u64 *)(r10 -8) = r1
r2 = -1
r0 = -1
r2 = load_acquire((u8 *)(r10 -1))
r0 = load_acquire((u16 *)(r10 -2))
r0 <<= 8
r0 |= r2
exit
== store_release of every width
result 0x0100020102030404
kernel new
r0 = 0
*(u64 *)(r10 -8) = r0
*(u64 *)(r10 -16) = r0
r2 = 0x0102030405060708
store_release((u64 *)(r10 -8), r2)
r1 = *(u64 *)(r10 -8)
if r1 != r2 goto bad
r2 = 0xffff000002030404
store_release((u32 *)(r10 -16), r2)
r2 = 0xffffffffffff0201
store_release((u16 *)(r10 -12), r2)
store_release((u8 *)(r10 -9), r2)
r0 = *(u64 *)(r10 -16)
bad: exit
