// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * bench-replay DIR SLUICE TMP: packets through programs on one core. From memory: the user-space engine,
 * checked and trusted, and the kernel's BPF_PROG_TEST_RUN, one call a packet, interleaved. End to end:
 * `sluice run` on a file of ten million packets of 64 bytes, and what of that is reading the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#define PCAP_DONT_INCLUDE_PCAP_BPF_H /* it has a struct bpf_insn of its own */
#include <pcap/pcap.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bpf/seam.h"
#include "replay/in.h"
#include "vm/worker.h"

#define ROUNDS 11
#define FLOWS 41000
#define PACKETS 65536 /* in memory */
#define FILE_PACKETS 10000000u
#define BYTES 64
#define KERNEL_PACKETS 16384
#define FILE_ROUNDS 5

extern char **environ;

enum way { CHECKED, TRUSTED, IN_KERNEL, N_WAYS };

static uint8_t (*packet)[BYTES];
static struct vm_frame *frame;

/* In the order of a generator with a fixed seed: what the next source is cannot be told from the last. */
static void make_packets(void)
{
	uint64_t s = 1;
	uint32_t i, addr;

	packet = calloc(PACKETS, BYTES);
	frame = calloc(PACKETS + 1, sizeof(*frame));
	if (!packet || !frame)
		die("out of memory");
	for (i = 0; i < PACKETS; i++) {
		s = s * 6364136223846793005ull + 1442695040888963407ull;
		addr = __builtin_bswap32(0x0a000000 + (uint32_t)(s >> 33) % FLOWS);
		bench_packet(packet[i], BYTES);
		memcpy(packet[i] + 26, &addr, 4);
		packet[i][36] = 0;
		packet[i][37] = 53;
		frame[i] = (struct vm_frame){.data = packet[i], .len = BYTES, .time_ns = 1 + i, .ifindex = 1};
	}
	frame[PACKETS] = frame[0];
}

struct loaded {
	struct vm *vm;
	struct bpf_object *obj;
	struct vm_worker *worker;
	int fd;
};

static void load(const char *dir, const char *name, enum way way, struct loaded *l)
{
	struct vm_config config = {.seed = 1, .trusted = way == TRUSTED};
	struct sluice_err err;
	char path[4096];

	if (way != IN_KERNEL && vm_new(&config, &l->vm, &err))
		die("%s", err.text);
	snprintf(path, sizeof(path), "%s/replay.bpf.o", dir);
	seam_engine(l->vm);
	l->obj = bpf_object__open(path);
	if (!l->obj || bpf_object__load(l->obj))
		die("cannot load %s", path);
	l->fd = bpf_program__fd(bpf_object__find_program_by_name(l->obj, name));
	if (way != IN_KERNEL && vm_worker_new(l->vm, l->fd, NULL, &l->worker, &err))
		die("%s", err.text);
	seam_engine(NULL);
}

static void unload(struct loaded *l)
{
	vm_worker_free(l->worker);
	seam_engine(l->vm);
	bpf_object__close(l->obj);
	seam_engine(NULL);
	vm_free(l->vm);
}

/* CPU time: what else runs on the machine takes none of it, and one core is what is asked for. */
static double vm_ns(const struct loaded *l)
{
	uint64_t start = clock_of(CLOCK_THREAD_CPUTIME_ID);
	struct vm_done done;
	uint32_t i, dropped = 0;

	for (i = 0; i < PACKETS; i++) {
		vm_worker_run(l->worker, &frame[i], &frame[i + 1], &done);
		dropped += done.verdict == XDP_DROP;
	}
	if (dropped != PACKETS)
		die("%u of %u packets dropped", dropped, PACKETS);
	return (double)(clock_of(CLOCK_THREAD_CPUTIME_ID) - start) / PACKETS;
}

static double kernel_ns(const struct loaded *l)
{
	uint64_t start = clock_of(CLOCK_THREAD_CPUTIME_ID);
	uint8_t out[256];
	uint32_t i;

	for (i = 0; i < KERNEL_PACKETS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet[i], .data_size_in = BYTES,
			    .data_out = out, .data_size_out = sizeof(out));

		if (bpf_prog_test_run_opts(l->fd, &o) || o.retval != XDP_DROP)
			die("BPF_PROG_TEST_RUN: %s", strerror(errno));
	}
	return (double)(clock_of(CLOCK_THREAD_CPUTIME_ID) - start) / KERNEL_PACKETS;
}

/* One program all ways: medians to ns. */
static void measure(const char *dir, const char *name, double ns[N_WAYS])
{
	struct loaded l[N_WAYS] = {0};
	double v[N_WAYS][ROUNDS];
	enum way w;
	int i;

	for (w = 0; w < N_WAYS; w++) {
		load(dir, name, w, &l[w]);
		w == IN_KERNEL ? kernel_ns(&l[w]) : vm_ns(&l[w]); /* maps are filled */
	}
	for (i = 0; i < ROUNDS; i++)
		for (w = 0; w < N_WAYS; w++)
			v[w][i] = w == IN_KERNEL ? kernel_ns(&l[w]) : vm_ns(&l[w]);
	for (w = 0; w < N_WAYS; w++) {
		ns[w] = bench_median(v[w], ROUNDS);
		unload(&l[w]);
	}
	printf("%-12s %10.1f %10.1f %12.1f   M/s: %6.1f %6.1f %6.2f\n", name, ns[CHECKED], ns[TRUSTED],
	       ns[IN_KERNEL], 1000 / ns[CHECKED], 1000 / ns[TRUSTED], 1000 / ns[IN_KERNEL]);
}

static void write_file(const char *path)
{
	uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1},
		 record[4] = {1000000000, 0, BYTES, BYTES}, i;
	FILE *f = fopen(path, "wbe");
	struct statvfs room;

	if (!f || statvfs(path, &room))
		die("%s: %s", path, strerror(errno));
	if (room.f_bavail * room.f_frsize < FILE_PACKETS * 100ull)
		die("%s: no room for %u packets", path, FILE_PACKETS);
	fwrite(head, 1, sizeof(head), f);
	for (i = 0; i < FILE_PACKETS; i++) {
		record[0] = 1000000000 + i / 1000000;
		record[1] = i % 1000000;
		fwrite(record, 1, sizeof(record), f);
		fwrite(packet[i % PACKETS], 1, BYTES, f);
	}
	if (ferror(f) | fclose(f))
		die("%s: cannot be written", path);
}

/* Seconds of CPU time that a process takes, user's and system's; *wall: of time. */
static double run_s(char *const *argv, double *wall)
{
	posix_spawn_file_actions_t fa;
	uint64_t start = clock_mono_ns();
	struct rusage used;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, argv[0], &fa, NULL, argv, environ))
		die("%s cannot be started", argv[0]);
	posix_spawn_file_actions_destroy(&fa);
	wait4(pid, &status, 0, &used);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		die("%s failed", argv[0]);
	*wall = (double)(clock_mono_ns() - start) / 1e9;
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* The same through libpcap, which sluice run takes for what is not the plain format. */
static double libpcap_ns(const char *path)
{
	char why[PCAP_ERRBUF_SIZE];
	uint64_t start = clock_of(CLOCK_THREAD_CPUTIME_ID), n = 0;
	pcap_t *p = pcap_open_offline(path, why);
	struct pcap_pkthdr *h;
	const u_char *bytes;

	if (!p)
		die("%s", why);
	while (pcap_next_ex(p, &h, &bytes) == 1)
		n++;
	pcap_close(p);
	if (n != FILE_PACKETS)
		die("%s: %llu packets", path, (unsigned long long)n);
	return (double)(clock_of(CLOCK_THREAD_CPUTIME_ID) - start) / (double)n;
}

/* Reading alone, as sluice run does. */
static double read_ns(const char *path)
{
	uint64_t start = clock_of(CLOCK_THREAD_CPUTIME_ID), n = 0;
	struct replay_packet p;
	struct replay_in *in;
	struct sluice_err err;

	if (replay_in_new(&path, 1, true, &in, &err))
		die("%s", err.text);
	while (replay_in_next(in, &p, &err) == 1)
		n++;
	replay_in_free(in);
	if (n != FILE_PACKETS)
		die("%s: %llu packets", path, (unsigned long long)n);
	return (double)(clock_of(CLOCK_THREAD_CPUTIME_ID) - start) / (double)n;
}

/* The least that reading can cost: the file mapped, each header looked at, the packet's bytes added up. */
static double mapped_ns(const char *path)
{
	uint64_t start = clock_of(CLOCK_THREAD_CPUTIME_ID), sum = 0, n = 0, at, word;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *p;
	uint32_t len, i;

	if (fd < 0 || fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	for (at = 24; at + 16 <= (uint64_t)st.st_size; at += 16 + len, n++) {
		memcpy(&len, p + at + 8, 4);
		for (i = 0; i + 8 <= len; i += 8) {
			memcpy(&word, p + at + 16 + i, 8);
			sum += word;
		}
	}
	munmap(p, (size_t)st.st_size);
	close(fd);
	if (n != FILE_PACKETS || !sum)
		die("%s: %llu packets", path, (unsigned long long)n);
	return (double)(clock_of(CLOCK_THREAD_CPUTIME_ID) - start) / (double)n;
}

static void end_to_end(const char *dir, const char *sluice, const char *tmp)
{
	double s[FILE_ROUNDS], wall[FILE_ROUNDS], read[FILE_ROUNDS], pcap[FILE_ROUNDS], mapped[FILE_ROUNDS],
		rate;
	char path[4096], prog[4096];
	char *argv[] = {(char *)sluice, "run", prog, "--in", path, "--expect", "drop=10000000", NULL};
	int i;

	snprintf(path, sizeof(path), "%s/replay.pcap", tmp);
	snprintf(prog, sizeof(prog), "%s/replay.bpf.o:parse_drop", dir);
	write_file(path);
	for (i = 0; i < FILE_ROUNDS; i++) {
		s[i] = run_s(argv, &wall[i]);
		read[i] = read_ns(path);
		pcap[i] = libpcap_ns(path);
		mapped[i] = mapped_ns(path);
	}
	unlink(path);
	rate = FILE_PACKETS / bench_median(s, FILE_ROUNDS) / 1e6;
	printf("\nsluice run on a file of %u M packets: %.2f s of CPU in %.2f s, %.0f ns a packet, of which "
	       "reading %.0f ns; libpcap\n"
	       "reads it in %.0f ns a packet, the least possible (mapped, touched) is %.0f ns\n",
	       FILE_PACKETS / 1000000, bench_median(s, FILE_ROUNDS), bench_median(wall, FILE_ROUNDS),
	       1000 / rate, bench_median(read, FILE_ROUNDS), bench_median(pcap, FILE_ROUNDS),
	       bench_median(mapped, FILE_ROUNDS));
	bench_figure("replay_file_mpps", rate, "M/s", ">=", 5);
	bench_note("replay_read", bench_median(read, FILE_ROUNDS), "ns");
	bench_note("replay_read_libpcap", bench_median(pcap, FILE_ROUNDS), "ns");
	bench_note("replay_read_mapped", bench_median(mapped, FILE_ROUNDS), "ns");
}

int main(int argc, char **argv)
{
	double drop[N_WAYS], sources[N_WAYS];

	if (argc != 4)
		die("usage: bench-replay DIR SLUICE TMP");
	bench_pin(0);
	make_packets();
	printf("%-12s %10s %10s %12s\n", "ns a packet", "checked", "trusted", "test_run");
	measure(argv[1], "parse_drop", drop);
	measure(argv[1], "per_source", sources);
	bench_figure("replay_parse_drop_mpps", 1000 / drop[CHECKED], "M/s", ">=", 20);
	bench_figure("replay_per_source_mpps", 1000 / sources[CHECKED], "M/s", ">=", 10);
	bench_note("replay_parse_drop_trusted_mpps", 1000 / drop[TRUSTED], "M/s");
	bench_note("replay_per_source_trusted_mpps", 1000 / sources[TRUSTED], "M/s");
	bench_note("replay_test_run_mpps", 1000 / drop[IN_KERNEL], "M/s");
	end_to_end(argv[1], argv[2], argv[3]);
	return 0;
}
