// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Workers: packets in and as they left, what the program is told, faults, targets, what is refused. And
 * source lines. */
#include <bpf/btf.h>

#include "vm/helper_test.h"
#include "vm/lines.h"
#include "vm/worker.h"

static struct vm_worker *worker_of(int fd, const struct vm_worker_config *config)
{
	struct vm_worker *w;
	struct sluice_err err;

	if (vm_worker_new(vm, fd, config, &w, &err))
		fail_msg("%s", err.text);
	return w;
}

static void packets(void **unused)
{
	/* r0 = length + 1000 * interface + 10000 * queue */
	int fd = load("r0 = *(u32 *)(r1 +4)\nr2 = *(u32 *)(r1 +0)\nr0 -= r2\nr3 = *(u32 *)(r1 +12)\nr3 *= "
		      "1000\nr0 += r3\n"
		      "r3 = *(u32 *)(r1 +16)\nr3 *= 10000\nr0 += r3\n*(u8 *)(r2 +1) = 9\nexit");
	struct vm_worker *w = worker_of(fd, NULL);
	uint8_t bytes[2000] = {1, 2, 3};
	struct vm_frame in = {.data = bytes, .ifindex = 2, .rx_queue = 3};
	struct vm_done out;

	(void)unused;
	for (in.len = 14; in.len < sizeof(bytes); in.len += 331) {
		vm_worker_run(w, &in, &in, &out);
		assert_int_equal(out.error, 0);
		assert_int_equal(out.verdict, in.len + 32000);
		assert_int_equal(out.len, in.len);
		assert_int_equal(out.meta_len, 0);
		assert_null(out.fault);
		assert_memory_equal(out.data, ((uint8_t[]){1, 9, 3, 0}), 4);
		assert_int_equal(bytes[1], 2); /* the caller's packet is the caller's */
	}
	vm_worker_free(w);
}

static void metadata(void **unused)
{
	/* takes 4 bytes of metadata more and writes there what the first 4 were */
	int fd = load("r6 = r1\nr2 = *(u32 *)(r1 +8)\nr7 = *(u32 *)(r2 +0)\nr2 = -4\ncall "
		      "bpf_xdp_adjust_meta\nr8 = r0\n"
		      "r2 = *(u32 *)(r6 +8)\n*(u32 *)(r2 +0) = r7\nr0 = r8\nexit");
	struct vm_worker *w = worker_of(fd, NULL);
	uint8_t bytes[4 + 60] = {5, 6, 7, 8, 99};
	struct vm_frame in = {.data = bytes, .len = sizeof(bytes), .meta_len = 4};
	struct vm_done out;

	(void)unused;
	vm_worker_run(w, &in, NULL, &out);
	assert_int_equal(out.error, 0);
	assert_int_equal(out.verdict, 0);
	assert_int_equal(out.len, 60);
	assert_int_equal(out.meta_len, 8);
	assert_memory_equal(out.data - 8, ((uint8_t[]){5, 6, 7, 8, 5, 6, 7, 8, 99}), 9);
	vm_worker_free(w);
}

/* What one packet left in its headroom is not there for the next. */
static void headroom(void **unused)
{
	int fd =
		load("r6 = r1\nr2 = -8\ncall bpf_xdp_adjust_head\nr2 = *(u32 *)(r6 +0)\nr0 = *(u8 *)(r2 +0)\n"
		     "*(u8 *)(r2 +0) = 7\nexit");
	struct vm_worker *w = worker_of(fd, NULL);
	uint8_t bytes[60] = {0};
	struct vm_frame in = {.data = bytes, .len = sizeof(bytes)};
	struct vm_done out;
	int i;

	(void)unused;
	for (i = 0; i < 3; i++) {
		vm_worker_run(w, &in, NULL, &out);
		assert_int_equal(out.verdict, 0);
		assert_int_equal(out.len, 68);
		assert_int_equal(out.data[0], 7);
	}
	vm_worker_free(w);
}

static void faults(void **unused)
{
	int fd = load("r2 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r2 +60)\nexit"), endless = load("goto pc-1");
	struct vm_worker *w = worker_of(fd, NULL), *e;
	struct vm_worker_config config = {.budget = 1000, .longest = 60};
	uint8_t bytes[61] = {0};
	struct vm_frame in = {.data = bytes, .len = 60};
	struct vm_done out;
	char text[512];

	(void)unused;
	vm_worker_run(w, &in, NULL, &out);
	assert_int_equal(out.error, -EFAULT);
	assert_int_equal(out.verdict, XDP_ABORTED);
	assert_int_equal(out.fault->pc, 1);
	assert_non_null(strstr(vm_fault_text(out.fault, text, sizeof(text)),
			       "0 bytes behind the end of the packet (60 bytes)"));
	in.len = 61; /* and the next one runs */
	vm_worker_run(w, &in, NULL, &out);
	assert_int_equal(out.error, 0);
	in.len = 60;
	e = worker_of(endless, &config);
	vm_worker_run(e, &in, NULL, &out);
	assert_int_equal(out.error, -EFAULT);
	assert_int_equal(out.fault->reason, VM_FAULT_BUDGET);
	vm_worker_free(w);
	vm_worker_free(e);
}

static uint32_t target_if;

static void deliver(void *arg, const struct vm_target *target, const struct vm_packet *p)
{
	assert_ptr_equal(arg, &target_if);
	assert_int_equal(target->kind, VM_TO_IF);
	assert_int_equal(p->ctx.data_end - p->ctx.data, 60);
	target_if = target->index;
}

static void targets(void **unused)
{
	/* by the first byte: redirect, or say so without having asked */
	int fd = load("r2 = *(u32 *)(r1 +0)\nr3 = *(u8 *)(r2 +0)\nif r3 == 0 goto pc+4\nr1 = 7\nr2 = 0\n"
		      "call bpf_redirect\nif r3 == 2 goto pc+1\nr0 = 4\nexit");
	struct vm_worker_config config = {.deliver = deliver, .arg = &target_if};
	struct vm_worker *w = worker_of(fd, &config);
	uint8_t bytes[60] = {1};
	struct vm_frame in = {.data = bytes, .len = sizeof(bytes)};
	struct vm_done out;

	(void)unused;
	vm_worker_run(w, &in, NULL, &out);
	assert_int_equal(out.error, 0);
	assert_int_equal(out.n_targets, 1);
	assert_int_equal(target_if, 7);
	bytes[0] = 0;
	vm_worker_run(w, &in, NULL, &out);
	assert_int_equal(out.verdict, XDP_REDIRECT);
	assert_int_equal(out.error, -EBADRQC);
	assert_int_equal(out.n_targets, 0);
	assert_null(out.fault);
	vm_worker_free(w);
}

static void refused(void **unused)
{
	int fd = load("r0 = 2\nexit"),
	    devmap = load_as("r0 = 2\nexit", BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, "GPL");
	struct vm_worker_config config = {.cpu = 4096};
	struct vm_worker *w;
	struct sluice_err err;

	(void)unused;
	assert_int_equal(vm_worker_new(vm, fd, &config, &w, &err), -EINVAL);
	assert_non_null(strstr(err.text, "CPU 4096: the engine has "));
	config = (struct vm_worker_config){.longest = 1 << 20};
	assert_int_equal(vm_worker_new(vm, fd, &config, &w, &err), -EINVAL);
	assert_string_equal(err.text, "packets of 1048576 bytes: at most 65536 are possible");
	assert_int_equal(vm_worker_new(vm, devmap, NULL, &w, &err), -EOPNOTSUPP);
	assert_int_equal(vm_worker_new(vm, 0, NULL, &w, &err), -EINVAL);
	assert_int_equal(vm_worker_new(vm, -1, NULL, &w, &err), -EBADF);
	assert_null(w);
}

/* BTF of one function and its source; *func its id, off[] where strings are. */
static struct btf *make_btf(int *func, uint32_t off[3])
{
	struct btf *btf = btf__new_empty();
	int id = btf__add_int(btf, "int", 4, BTF_INT_SIGNED), proto = btf__add_func_proto(btf, id);

	*func = btf__add_func(btf, "filter", BTF_FUNC_GLOBAL, proto);
	off[0] = (uint32_t)btf__add_str(btf, "f.c");
	off[1] = (uint32_t)btf__add_str(btf, "\tint x = 1;");
	off[2] = (uint32_t)btf__add_str(btf, "\treturn x;");
	return btf;
}

static void lines(void **unused)
{
	uint32_t off[3], pc;
	int func;
	struct btf *btf = make_btf(&func, off);
	struct bpf_line_info line[] = {{1, off[0], off[1], 10 << 10 | 3}, {3, off[0], off[2], 11 << 10 | 2}};
	struct bpf_func_info f = {0, (uint32_t)func};
	union bpf_attr a = {.insn_cnt = 5,
			    .line_info = (uintptr_t)line,
			    .line_info_cnt = 2,
			    .line_info_rec_size = sizeof(*line),
			    .func_info = (uintptr_t)&f,
			    .func_info_cnt = 1,
			    .func_info_rec_size = sizeof(f)};
	struct vm_lines l;
	struct vm_line at;

	(void)unused;
	assert_int_equal(lines_take(&l, &a, btf), 0);
	assert_false(lines_at(&l, 0, &at));
	assert_true(lines_at(&l, 2, &at));
	assert_int_equal(at.line, 10);
	assert_int_equal(at.col, 3);
	assert_string_equal(at.text, "\tint x = 1;");
	assert_true(lines_at(&l, 4, &at));
	assert_string_equal(at.file, "f.c");
	assert_int_equal(at.pc, 3);
	assert_string_equal(lines_func(&l, 0, &pc), "filter");
	assert_int_equal(lines_func_at(&l, 4), 0);
	lines_free(&l);
	line[1].insn_off =
		1; /* the kernel's rules: ascending, inside, strings that are there, whole records */
	assert_int_equal(lines_take(&l, &a, btf), -EINVAL);
	lines_free(&l);
	line[1] = (struct bpf_line_info){5, off[0], off[2], 0};
	assert_int_equal(lines_take(&l, &a, btf), -EINVAL);
	lines_free(&l);
	line[1] = (struct bpf_line_info){3, 1 << 20, off[2], 0};
	assert_int_equal(lines_take(&l, &a, btf), -EINVAL);
	lines_free(&l);
	line[1] = (struct bpf_line_info){3, off[0], off[2], 0};
	f.type_id = 1;
	assert_int_equal(lines_take(&l, &a, btf), -EINVAL);
	lines_free(&l);
	f.type_id = (uint32_t)func;
	a.line_info_rec_size = 12;
	assert_int_equal(lines_take(&l, &a, btf), -EINVAL);
	lines_free(&l);
	assert_int_equal(lines_take(&l, &a, NULL), -EINVAL);
	btf__free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(packets, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(metadata, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(headroom, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(faults, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(targets, fixture_new, fixture_free),
		cmocka_unit_test_setup_teardown(refused, fixture_new, fixture_free),
		cmocka_unit_test(lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
