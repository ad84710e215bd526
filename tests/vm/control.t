# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Jumps, loops, calls.
== signed and unsigned comparison differ
result 0x6
r0 = 0
r1 = -1
r2 = 1
if r1 > r2 goto a
r0 = 1
a: r0 |= 2
if r1 s< r2 goto b
r0 = 1
b: r0 |= 4
exit
== 32-bit comparisons look at the lower half
result 1
r0 = 0
r1 = 0x7700000005
if w1 != 5 goto out
r0 = 1
out: exit
== 64-bit comparison with a negative immediate sign-extends it
result 1
r0 = 0
r1 = -5
if r1 != -5 goto out
r0 = 1
out: exit
== 32-bit signed comparison
result 1
r0 = 0
r1 = 0x80000000
if w1 s> 0 goto out
r0 = 1
out: exit
== jset
result 3
r0 = 0
r1 = 0x100000010
if r1 & 0x10 goto a
exit
a: r0 |= 1
r2 = 0x100000000
if w1 & w2 goto b
r0 |= 2
b: exit
== jset with a negative immediate in 64 bits
result 1
r0 = 0
r1 = 0x8000000000000000
if r1 & -2147483648 goto a
exit
a: r0 = 1
exit
== a loop
result 5050
r0 = 0
r1 = 100
again: r0 += r1
r1 -= 1
if r1 != 0 goto again
exit
== a loop that goes back by goto
result 55
r0 = 0
r1 = 0
again: r1 += 1
r0 += r1
if r1 >= 10 goto out
goto again
out: exit
== a long jump
result 2
r0 = 2
gotol out
r0 = 3
out: exit
kernel no unreachable code is refused there
== gotol backward
result 6
r0 = 0
r1 = 3
again: if r1 == 0 goto out
r0 += r1
r1 += -1
gotol again
out: exit
== a call keeps r6 to r9 and the frame of its caller
result 0x1111222233337788
r6 = 0x1111000000000000
r7 = 0x0000222200000000
r8 = 0x0000000033330000
r9 = 0x0000000000007700
r1 = 0x88
*(u64 *)(r10 -8) = r1
call spoil
r0 = *(u64 *)(r10 -8)
r0 |= r6
r0 |= r7
r0 |= r8
r0 |= r9
exit
spoil: r6 = 1
r7 = 2
r8 = 3
r9 = 4
*(u64 *)(r10 -8) = r6
r0 = 5
exit
== arguments and results of calls
result 61
r1 = 1
r2 = 2
r3 = 3
r4 = 4
r5 = 5
call f
r0 += 6
exit
f: r0 = r1
r2 *= 2
r0 += r2
r3 *= 3
r0 += r3
r4 *= 4
r0 += r4
r5 *= 5
r0 += r5
exit
== a callee reads its caller's frame through a pointer
result 0x2a
*(u64 *)(r10 -16) = 42
r1 = r10
r1 += -16
call f
exit
f: r0 = *(u64 *)(r1 +0)
exit
== seven calls deep
result 8
r1 = 1
call f1
exit
f1: r1 += 1
call f2
exit
f2: r1 += 1
call f3
exit
f3: r1 += 1
call f4
exit
f4: r1 += 1
call f5
exit
f5: r1 += 1
call f6
exit
f6: r1 += 1
call f7
exit
f7: r1 += 1
r0 = r1
exit
kernel no with the function around it these are nine frames
== eight calls deep
fault calls deeper than 8 functions
call f
exit
f: call f
exit
== arguments of a helper
result 55
r1 = 1
r2 = 2
r3 = 3
r4 = 4
r5 = 5
call sum#5000
exit
kernel no a helper of the test's own
== callbacks
result 110
r6 = 0
*(u64 *)(r10 -8) = 0
r1 = 10
r2 = subprog[f]
r3 = r10
r3 += -8
r4 = 0
call bpf_loop
r6 = r0
r0 = *(u64 *)(r10 -8)
r0 *= 2
r6 *= 2
r0 += r6
exit
f: r3 = *(u64 *)(r2 +0)
r3 += r1
*(u64 *)(r2 +0) = r3
r0 = 0
exit
kernel no this helper hands the callback a context as its second argument
== a callback that ends the loop
result 4
r1 = 10
r2 = subprog[f]
r3 = 0
call bpf_loop
exit
f: r0 = 0
if r1 < 4 goto out
r0 = 1
out: exit
kernel no the verifier wants a fourth argument
== may_goto is not taken while a loop is short
result 100
kernel new
r0 = 0
again: may_goto out
r0 += 1
if r0 != 100 goto again
out: exit
== may_goto ends a loop that would not end
result 8388608
kernel no the kernel of today counts time instead
r0 = 0
again: may_goto out
r0 += 1
goto again
out: exit
== may_goto that is exhausted is taken from then on, backward, too
result 8388617
kernel no the kernel of today counts time instead
r0 = 0
again: may_goto out
r0 += 1
goto again
out: r6 = 0
back: r6 += 1
if r6 == 10 goto end
r0 += 1
may_goto back
r0 = 0
end: exit
== may_goto counts for the whole run
result 8388608
kernel no the kernel of today counts time instead
r6 = 0
call f
r6 = r0
call f
r0 += r6
exit
f: r0 = 0
again: may_goto out
r0 += 1
goto again
out: exit
== a loop of nothing but may_goto has a budget
fault (e5) may_goto pc-1: ran longer than its budget of instructions
again: may_goto out
goto again
out: may_goto pc-1
exit
== a kernel function is called as a helper is
result 55
kernel no such kernel functions are the test's
r1 = 1
r2 = 2
r3 = 3
r4 = 4
r5 = 5
call kernel-function#5@+0
exit
== a kernel function of another object
memory 01 02
result 33
kernel no such kernel functions are the test's
call kernel-function#5@+3
exit
== what a kernel function reads is checked
memory 01 02
fault instruction 1, (85) call kernel-function#5@+3: argument 1 of take must point to 3 readable bytes
r2 = 3
call kernel-function#5@+3
exit
== an unknown kernel function is refused
fault instruction 1: there is no kernel function 6 of BTF 0 here
r0 = 0
call kernel-function#6@+0
exit
== gotol backward and forward
result 7
r0 = 0
gotol f
b: r0 += 4
gotol end
f: r0 += 3
gotol b
end: exit
