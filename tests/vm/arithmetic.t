# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Arithmetic where implementations go wrong: division, shifts, widths, sign extension, byte order.
== 64-bit addition wraps
result 1
r0 = 0xffffffffffffffff
r1 = 2
r0 += r1
exit
== 32-bit operations clear the upper half
result 0x1
r0 = 0x1122334400000000
w0 += 1
exit
== a negative immediate is sign-extended in 64 bits
result 0xfffffffffffffff0
r0 = 0
r0 += -16
exit
== and not in 32
result 0xfffffff0
r0 = 0x5555555555555555
w0 = -16
exit
== unsigned division takes the immediate as a huge number
result 0
r0 = 5
r0 /= -1
exit
== 64-bit division by a zero register gives 0
result 0
r0 = 77
r1 = 0
r0 /= r1
exit
== 32-bit division by a register that is zero in its lower half gives 0
result 0
r0 = 77
r1 = 0x500000000
w0 /= w1
exit
== 64-bit remainder by zero leaves the dividend
result 0x1234567890
r0 = 0x1234567890
r1 = 0
r0 %= r1
exit
== 32-bit remainder by zero leaves the lower half
result 0x34567890
r0 = 0x1234567890
r1 = 0
w0 %= w1
exit
== division with its operands in every register that machines care about
result 0x20404
r0 = 1000
r3 = 0x60c12
r4 = 3
r3 /= r4
r4 = 7
r1 = r3
r0 %= r4
r0 -= 6
r0 += r3
r0 -= 2
exit
== signed division rounds toward zero
result 0xfffffffffffffffd
r0 = -7
r0 s/= 2
exit
== signed remainder takes the sign of the dividend
result 0xffffffffffffffff
r0 = -7
r0 s%= 2
exit
== the one signed quotient that does not fit wraps
result 0x8000000000000000
r0 = 0x8000000000000000
r1 = -1
r0 s/= r1
exit
== and its remainder is 0
result 0
r0 = 0x8000000000000000
r1 = -1
r0 s%= r1
exit
== the same in 32 bits
result 0x80000000
r0 = 0x80000000
r1 = -1
w0 s/= w1
exit
== its remainder
result 0
r0 = 0x80000000
r1 = -1
w0 s%= w1
exit
== signed 32-bit division by an immediate
result 0xfffffffd
r0 = -13
w0 s/= 4
exit
== signed division by zero gives 0
result 0
r0 = -7
r1 = 0
r0 s/= r1
exit
== signed remainder by zero, 32 bits
result 0xfffffff9
r0 = -7
r1 = 0
w0 s%= w1
exit
== shifts by register use the low six bits
result 0x2
r0 = 1
r1 = 65
r0 <<= r1
exit
== and the low five in 32 bits
result 0x80000000
r0 = 1
r1 = 63
w0 <<= w1
exit
== a 32-bit shift by 0 still clears the upper half
result 0x9abcdef0
r0 = 0x123456789abcdef0
r1 = 32
w0 >>= w1
exit
== shift whose count is in the register that shifts
result 0x300
r4 = 0x6
r4 <<= r4
r4 <<= 1
r0 = r4
exit
== shift of one register by the other way round
result 0x50
r0 = 5
r4 = 4
r0 <<= r4
exit
== arithmetic shift keeps the sign
result 0xffffffffffffffff
r0 = 0x8000000000000000
r0 s>>= 63
exit
== arithmetic 32-bit shift
result 0xf8000000
r0 = 0x80000000
w0 s>>= 4
exit
== movsx of 8 bits
result 0xffffffffffffff80
r1 = 0x1280
r0 = (s8)r1
exit
== movsx of 16 bits
result 0xffffffffffff8001
r1 = 0x128001
r0 = (s16)r1
exit
== movsx of 32 bits
result 0xffffffff80000000
r1 = 0x80000000
r0 = (s32)r1
exit
== movsx into 32 bits clears the upper half
result 0xffffffff
r0 = -1
r1 = 0xff
w0 = (s8)w1
exit
== negation
result 0xfffffffffffffffb
r0 = 5
r0 = -r0
exit
== 32-bit negation
result 0xfffffffb
r0 = 5
w0 = -w0
exit
== to big endian, 16 bits, the rest is gone
result 0x7788
r0 = 0x1122334455668877
r0 = be16 r0
exit
== to big endian, 32 bits
result 0x88776655
r0 = 0x1122334455667788
r0 = be32 r0
exit
== to big endian, 64 bits
result 0x8877665544332211
r0 = 0x1122334455667788
r0 = be64 r0
exit
== to little endian truncates on a little endian machine
result 0x7788
r0 = 0x1122334455667788
r0 = le16 r0
exit
== unconditional byte swap
result 0x8877665544332211
r0 = 0x1122334455667788
r0 = bswap64 r0
exit
== byte swap of 16 bits
result 0x8877
r0 = 0x1122334455667788
r0 = bswap16 r0
exit
== multiplication by immediates of both widths
result 0xffffffffd8f0
r0 = 0x100000000
r0 *= 0x10000
r1 = -10000
r0 += r1
exit
== constant shifts beyond the width are masked
result 0x1010
rfc
r0 = 1
r0 <<= -60
w1 = 1
w1 <<= 44
r0 |= r1
exit
== constant shifts to the right beyond the width are masked
result 0xfffffffcffff8000
rfc
r0 = 1
r0 <<= 63
r0 s>>= -3
r0 <<= 32
w1 = 0x80000000
w1 s>>= 48
r0 += r1
exit
== a constant shift of 32 bits by a multiple of 32 clears the upper half
result 0x22222222
rfc
r0 = 0x1111111122222222
w0 >>= 64
exit
== constant division by zero
result 0x305
rfc
r0 = 7
r0 /= 0
r1 = 0x700000003
w1 %= 0
r1 <<= 8
r0 += r1
w2 = 9
w2 s/= 0
r0 += r2
r3 = 5
r3 s%= 0
r0 += r3
exit
