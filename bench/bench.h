/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the benchmarks share: medians, one line per figure, programs run through BPF_PROG_TEST_RUN.
 *
 * A figure is a line of words, "figure NAME VALUE UNIT target RELATION LIMIT", read by bench/run, which writes
 * bench/README.md; everything else a benchmark prints is for people.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stddef.h>
#include <stdint.h>

double bench_median(double *values, size_t n); /* sorts values */

/* relation: ">=" or "<="; says whether the target was met, too. */
void bench_figure(const char *name, double value, const char *unit, const char *relation, double limit);
/* The same without a target. */
void bench_note(const char *name, double value, const char *unit);

/* Nanoseconds per run of a loaded program on packet, over repeat runs; exits with a message on failure. */
double bench_run_ns(int prog_fd, const void *packet, size_t len, uint32_t repeat);

/*
 * Nanoseconds per run of a program over those of a base, run by turns, so many rounds (4 to 32) after some that do not count: the mean of
 * the fastest quarter of each, since whatever else the machine does only adds to both, and what the kernel says are whole nanoseconds.
 * *median: of the rounds' differences.
 */
double bench_over(int base_fd, int prog_fd, const void *packet, size_t len, uint32_t repeat, int rounds,
		  int warm, double *median);

/* An Ethernet/IPv4/UDP packet of len bytes with a valid IP checksum. */
void bench_packet(uint8_t *to, size_t len);

/* The bytes of DIR/NAME, for free(). bench_prog() is the descriptor of a loaded object's program. Both die if there is none. */
void *bench_read(const char *dir, const char *name, size_t *len);
struct bpf_object;
int bench_prog(const struct bpf_object *object, const char *name);

/* A loaded object's .bss, *len bytes, for munmap(). Dies if there is none. */
void *bench_bss(const struct bpf_object *object, size_t *len);

/* Pins the process to a CPU; die() prints and exits. */
void bench_pin(int cpu);
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
