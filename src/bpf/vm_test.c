// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Objects through libbpf on the user-space engine, and the same packets through the same object on both engines. Only the
 * comparison needs root.
 */
#include <dirent.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/test.h"
#include "bpf/seam.h"
#include "vm/vm.h"

static struct vm *vm;

static int silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level, (void)fmt, (void)args;
	return 0;
}

static int set_up(void **unused)
{
	const struct vm_config config = {.seed = 5};
	struct sluice_err err;

	(void)unused;
	libbpf_set_print(silent);
	return vm_new(&config, &vm, &err);
}

static int tear_down(void **unused)
{
	(void)unused;
	seam_engine(NULL);
	vm_free(vm);
	return 0;
}

static unsigned int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* Every object that the build made for programs of ours and for examples: opens, loads, leaves nothing behind. */
static void objects_load(void **unused)
{
	static const char *const where[] = {"examples/*.bpf.o", "bench/*.bpf.o", "datapath/*.bpf.o"};
	const char *build = getenv("BUILD");
	unsigned int before, n = 0, bad = 0, i;
	char pattern[512];
	glob_t g;
	size_t k;

	(void)unused;
	if (!build)
		skip();
	before = descriptors();
	seam_engine(vm);
	for (i = 0; i < 3; i++) {
		snprintf(pattern, sizeof(pattern), "%s/%s", build, where[i]);
		if (glob(pattern, 0, NULL, &g))
			continue;
		for (k = 0; k < g.gl_pathc; k++, n++) {
			struct bpf_object *o;

			/* asks for what only some kernels have; changes packets of the stack, which the engine has none of */
			if (strstr(g.gl_pathv[k], "/probe.") || strstr(g.gl_pathv[k], "/inner."))
				continue;
			o = bpf_object__open_file(g.gl_pathv[k], NULL);
			assert_non_null(o);
			if (bpf_object__load(o)) {
				fprintf(stderr, "%s: %s\n", g.gl_pathv[k], strerror(errno));
				bad++;
			}
			bpf_object__close(o);
		}
		globfree(&g);
	}
	seam_engine(NULL);
	assert_int_equal(bad, 0);
	assert_true(n >= 5);
	vm_free(vm);
	vm = NULL;
	assert_int_equal(descriptors(), before);
}

struct side {
	struct vm *vm;
	struct bpf_object *obj;
	int prog, bss;
	uint8_t out[4096], memory[4096];
	struct xdp_md ctx;
	long ret;
	uint32_t retval, size, bytes;
};

static void open_side(struct side *s, const char *path)
{
	uint32_t one = 1;
	int end, map;

	seam_engine(s->vm);
	s->obj = bpf_object__open_file(path, NULL);
	assert_non_null(s->obj);
	assert_int_equal(bpf_object__load(s->obj), 0);
	s->prog = bpf_program__fd(bpf_object__find_program_by_name(s->obj, "ask"));
	end = bpf_program__fd(bpf_object__find_program_by_name(s->obj, "end"));
	map = bpf_object__find_map_fd_by_name(s->obj, "progs");
	assert_int_equal(bpf_map_update_elem(map, &one, &end, 0), 0);
	map = bpf_object__find_map_fd_by_name(s->obj, "devs");
	assert_int_equal(bpf_map_update_elem(map, &one, &one, 0), 0);
	s->bss = -1;
	{
		struct bpf_map *m;

		bpf_object__for_each_map(m, s->obj)
			if (strstr(bpf_map__name(m), ".bss"))
				s->bss = bpf_map__fd(m), s->bytes = bpf_map__value_size(m);
	}
	assert_true(s->bss >= 0 && s->bytes <= sizeof(s->memory));
}

static uint64_t state = 11;

static uint32_t rnd(uint32_t n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(((state >> 33) * n) >> 31);
}

static void send(struct side *s, const uint8_t *data, uint32_t len, const struct xdp_md *ctx, uint32_t room)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = len, .data_out = s->out, .data_size_out = room,
		    .ctx_in = ctx, .ctx_size_in = ctx ? sizeof(*ctx) : 0, .ctx_out = ctx ? &s->ctx : NULL,
		    .ctx_size_out = ctx ? sizeof(s->ctx) : 0, .repeat = 1);
	uint32_t zero = 0;

	memset(s->out, 0xa5, sizeof(s->out));
	memset(&s->ctx, 0, sizeof(s->ctx));
	seam_engine(s->vm);
	s->ret = bpf_prog_test_run_opts(s->prog, &o);
	s->retval = o.retval;
	s->size = o.data_size_out;
	assert_int_equal(bpf_map_lookup_elem(s->bss, &zero, s->memory), 0);
}

static void both_engines_agree(void **unused)
{
	static struct side k, v;
	const char *build = getenv("BUILD");
	char path[512];
	uint8_t data[600];
	unsigned int i, bad = 0, refused = 0;
	bool has_ctx;
	cpu_set_t all, first;

	(void)unused;
	if (geteuid() != 0 || !build)
		skip();
	snprintf(path, sizeof(path), "%s/tests/helpers.bpf.o", build);
	CPU_ZERO(&first);
	CPU_SET(0, &first); /* values of every CPU: the engine runs on its CPU 0, so must the kernel */
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(first), &first), 0);
	v.vm = vm;
	open_side(&k, path);
	open_side(&v, path);
	for (i = 0; i < 12000; i++) {
		uint32_t len = rnd(20) ? 60 + rnd(200) : rnd(40), j, room = rnd(15) ? sizeof(k.out) : rnd(100);
		uint16_t op = (uint16_t)rnd(23), n = (uint16_t)(rnd(2) ? rnd(40) * 4 : rnd(65536));
		int32_t a = rnd(3) ? (int32_t)rnd(300) - 150 : rnd(2) ? (int32_t)rnd(8000) - 4000 : (int32_t)rnd(0x7fffffff);
		int32_t b = rnd(2) ? -(int32_t)rnd(20) * 4 : (int32_t)rnd(200) - 100;
		struct xdp_md ctx = {.data_end = len, .data = rnd(3) ? 0 : rnd(12) * 4 + !rnd(10)};

		if (rnd(30) == 0)
			ctx.data_end++;
		for (j = 0; j < sizeof(data); j++)
			data[j] = (uint8_t)rnd(256);
		memcpy(data + ctx.data % 64 + 14, &op, 2);
		memcpy(data + ctx.data % 64 + 16, &n, 2);
		memcpy(data + ctx.data % 64 + 18, &a, 4);
		memcpy(data + ctx.data % 64 + 22, &b, 4);
		has_ctx = rnd(2);
		send(&k, data, len, has_ctx ? &ctx : NULL, room);
		send(&v, data, len, has_ctx ? &ctx : NULL, room);
		if (k.ret != v.ret || (k.ret >= 0 && (k.retval != v.retval || k.size != v.size)) ||
		    memcmp(k.out, v.out, sizeof(k.out)) != 0 || memcmp(&k.ctx, &v.ctx, sizeof(k.ctx)) != 0 ||
		    memcmp(k.memory, v.memory, k.bytes) != 0) {
			const int64_t *sk = (const int64_t *)(const void *)k.memory, *sv = (const int64_t *)(const void *)v.memory;

			if (bad++ < 20)
				fprintf(stderr, "op %u len %u room %u n %u a %d b %d: %ld %ld, verdict %u %u, size %u %u; said %lld %lld, %lld %lld\n", op,
					len, room, n, a, b, k.ret, v.ret, k.retval, v.retval, k.size, v.size, (long long)sk[0], (long long)sv[0],
					(long long)sk[1], (long long)sv[1]);
		}
		refused += k.ret < 0;
	}
	sched_setaffinity(0, sizeof(all), &all);
	assert_int_equal(bad, 0);
	assert_true(refused > 100 && refused < 6000);
	seam_engine(NULL);
	bpf_object__close(k.obj);
	seam_engine(vm);
	bpf_object__close(v.obj);
	seam_engine(NULL);
}

struct got {
	unsigned int n;
	uint64_t bytes;
};

static int record(void *arg, void *data, size_t size)
{
	struct got *g = arg;

	(void)data;
	g->n++;
	g->bytes += size;
	return 0;
}

/* libbpf's own reader, with the wait that it does. */
static void ring_buffer_reader(void **unused)
{
	static struct side v;
	const char *build = getenv("BUILD");
	struct ring_buffer *rb;
	struct got got = {0, 0};
	char path[512];
	uint8_t data[64] = {0};
	uint16_t op = 19, n = 49;
	int i;

	(void)unused;
	if (!build)
		skip();
	snprintf(path, sizeof(path), "%s/tests/helpers.bpf.o", build);
	v.vm = vm;
	open_side(&v, path);
	rb = ring_buffer__new(bpf_object__find_map_fd_by_name(v.obj, "ring"), record, &got, NULL);
	assert_non_null(rb);
	memcpy(data + 14, &op, 2);
	memcpy(data + 16, &n, 2);
	for (i = 1; i <= 500; i++) {
		send(&v, data, sizeof(data), NULL, sizeof(v.out));
		assert_int_equal(v.ret, 0);
		assert_int_equal(ring_buffer__poll(rb, 1000), 1);
		assert_int_equal(got.n, i);
	}
	assert_int_equal(ring_buffer__poll(rb, 0), 0);
	assert_int_equal(got.bytes, 500 * 50);
	ring_buffer__free(rb);
	bpf_object__close(v.obj);
	seam_engine(NULL);
}

/* Runs are counted while somebody holds the descriptor, and only then; a program that its own map holds goes all the same. */
static void statistics_and_circles(void **unused)
{
	static struct side v;
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info), id = 0;
	const char *build = getenv("BUILD");
	char path[512];
	uint8_t data[64] = {0};
	int i, fd = -1;

	(void)unused;
	if (!build)
		skip();
	snprintf(path, sizeof(path), "%s/tests/helpers.bpf.o", build);
	v.vm = vm;
	open_side(&v, path);
	for (i = 0; i < 9; i++) {
		if (i == 3)
			fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
		if (i == 7)
			close(fd);
		send(&v, data, sizeof(data), NULL, sizeof(v.out));
		assert_int_equal(v.ret, 0);
	}
	assert_int_equal(bpf_obj_get_info_by_fd(v.prog, &info, &len), 0);
	assert_int_equal(info.run_cnt, 4);
	assert_string_equal(info.name, "ask");
	assert_true(info.nr_map_ids >= 8);
	bpf_object__close(v.obj);
	assert_int_equal(bpf_prog_get_next_id(0, &id), -ENOENT);
	assert_int_equal(bpf_map_get_next_id(0, &id), -ENOENT);
	seam_engine(NULL);
}

/* An unknown helper is refused by name, in the log where a verifier would say it. */
static void unknown_helper(void **unused)
{
	struct bpf_insn insns[] = {{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_stackid}, {.code = BPF_JMP | BPF_EXIT}};
	char log[512] = "";
	LIBBPF_OPTS(bpf_prog_load_opts, o, .log_buf = log, .log_size = sizeof(log), .log_level = 1);
	int fd;

	(void)unused;
	seam_engine(vm);
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "x", "GPL", insns, 2, &o);
	seam_engine(NULL);
	assert_int_equal(fd, -EINVAL);
	assert_non_null(strstr(log, "no helper bpf_get_stackid (number 27)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(objects_load, set_up, tear_down),
		cmocka_unit_test_setup_teardown(both_engines_agree, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ring_buffer_reader, set_up, tear_down),
		cmocka_unit_test_setup_teardown(statistics_and_circles, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unknown_helper, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
