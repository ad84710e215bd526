// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Kernel functions and dynamic pointers: which are found, forged ones, and programs that write over their
 * own. */
#include <bpf/btf.h>

#include "vm/helper_test.h"

static int btf_fd;
static int32_t ids[16];
static const char *const names[16] = {"bpf_iter_num_new",	  "bpf_iter_num_next",
				      "bpf_dynptr_from_xdp",	  "bpf_dynptr_slice",
				      "bpf_dynptr_slice_rdwr",	  "bpf_xdp_metadata_rx_timestamp",
				      "bpf_xdp_metadata_rx_hash", "bpf_xdp_metadata_rx_vlan_tag",
				      "bpf_xdp_ct_lookup",	  "bpf_dynptr_size"};

enum { NEW, NEXT, FROM_XDP, SLICE, SLICE_RDWR, TIMESTAMP, HASH, VLAN, UNKNOWN, SIZE };

/* A BTF of this engine's that names the functions: place 1 of fd_array. */
static int with_btf(void **state)
{
	struct btf *btf = btf__new_empty();
	int proto, i;
	uint32_t bytes;
	const void *raw;
	union bpf_attr a = {.btf = 0};

	fixture_new(state);
	proto = btf__add_func_proto(btf, 0);
	for (i = 0; i < 16 && names[i]; i++)
		ids[i] = btf__add_func(btf, names[i], BTF_FUNC_EXTERN, proto);
	raw = btf__raw_data(btf, &bytes);
	a.btf = (uintptr_t)raw;
	a.btf_size = bytes;
	btf_fd = (int)vm_bpf(vm, BPF_BTF_LOAD, &a, sizeof(a));
	assert_true(btf_fd >= 0);
	btf__free(btf);
	return 0;
}

static int load_with(const char *text)
{
	const int fds[2] = {-1, btf_fd};
	union bpf_attr a = {.prog_type = BPF_PROG_TYPE_XDP,
			    .expected_attach_type = BPF_XDP,
			    .license = (uintptr_t) "GPL",
			    .log_level = 1,
			    .log_size = sizeof(load_log),
			    .log_buf = (uintptr_t)load_log,
			    .fd_array = (uintptr_t)fds};
	struct bpf_insn *insns;
	struct sluice_err err;
	int fd;

	if (isa_parse(text, &insns, &a.insn_cnt, &err))
		fail_msg("%s", err.text);
	a.insns = (uintptr_t)insns;
	fd = (int)vm_bpf(vm, BPF_PROG_LOAD, &a, sizeof(a));
	free(insns);
	return fd;
}

static int with(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int with(const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	int fd;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = load_with(text);
	if (fd < 0)
		fail_msg("%s", load_log);
	return fd;
}

#define CALL "call kernel-function#%d@1\n"
#define DYN(off) "r1 = r10\nr1 += " #off "\n"

static void refused(void **unused)
{
	char text[64];

	(void)unused;
	snprintf(text, sizeof(text), CALL "exit", ids[UNKNOWN]);
	assert_int_equal(load_with(text), -EINVAL);
	assert_string_equal(load_log, "instruction 0: the user-space engine has no kernel function "
				      "bpf_xdp_ct_lookup\n");
	assert_int_equal(load_with("call kernel-function#1@1\nexit"), -EINVAL); /* the prototype's number */
	assert_string_equal(load_log, "instruction 0: BTF id 1 is no kernel function's\n");
	assert_int_equal(load_with("call kernel-function#5@-2\nexit"), -EFAULT);
	assert_string_equal(load_log, "instruction 0: fd_array has no place -2\n");
	assert_int_equal(load_with("call kernel-function#5@0\nexit") < 0, 1);
	/* a weak one that libbpf did not find may be there as long as it is not called */
	assert_int_equal(say(with("r0 = 3\nif r0 == 0x3 goto +1\ncall kernel-function#0@0\nexit")), 3);
	assert_non_null(strstr(fault(with("call kernel-function#0@0\nexit")),
			       "calls a kernel function that was not there when it was loaded"));
}

static void counts(void **unused)
{
	int prog = with("r6 = 0\n" DYN(-8) "r2 = -3\nr3 = 5\n" CALL "loop: " DYN(-8) CALL
			"if r0 == 0x0 goto done\nr1 = *(s32 *)(r0 +0)\nr6 += r1\nr6 += 100\n"
			"goto loop\ndone: r0 = r6\nexit",
			ids[NEW], ids[NEXT]);

	(void)unused;
	assert_int_equal(say(prog), 804); /* -3 ... 4 */
	/* never ends: the program sets it back each time */
	prog = with("loop: r1 = 5\n*(u64 *)(r10 -8) = r1\n" DYN(-8) CALL "goto loop\nexit", ids[NEXT]);
	budget = 100000;
	assert_non_null(strstr(fault(prog), "ran longer than its budget of instructions"));
	budget = VM_BUDGET;
	assert_non_null(strstr(fault(with("r1 = 64\n" CALL "exit", ids[NEXT])),
			       "argument 1 of bpf_iter_num_next must point to 8 writable bytes"));
}

/* What lies in the 16 bytes is the program's word, not ours. */
static void forged(void **unused)
{
	int read = with("r1 = 4096\n*(u64 *)(r10 -16) = r1\nr1 = 0x10000064\n*(u32 *)(r10 -8) = r1\nr1 = "
			"0\n*(u32 *)(r10 -4) = r1\n"
			"r1 = r10\nr1 += -32\nr2 = 8\nr3 = r10\nr3 += -16\nr4 = 0\nr5 = 0\ncall "
			"bpf_dynptr_read\nexit");
	int ring = with(
		"r1 = r10\nr1 += -64\n*(u64 *)(r10 -16) = r1\nr1 = 0x20000008\n*(u64 *)(r10 -8) = r1\n" DYN(
			-16) "r2 = 0\ncall bpf_ringbuf_submit_dynptr\nexit");
	/* a packet's, with an offset that makes the sum small again */
	int packet_end =
		with("r1 = 1\n*(u64 *)(r10 -16) = r1\nr1 = 0x30ffffff\n*(u32 *)(r10 -8) = r1\nr1 = "
		     "0xfffffff0\n*(u32 *)(r10 -4) = r1\n" DYN(-16) "r2 = 80\nr3 = 0\nr4 = 4\n" CALL "exit",
		     ids[SLICE]);

	(void)unused;
	assert_non_null(strstr(fault(read), "argument 0 of dynptr_read must point to 8 readable bytes"));
	assert_non_null(strstr(fault(ring), "that is no record of a ring buffer"));
	assert_int_equal(say(packet_end), 0);
	/* an address that is no dynamic pointer's */
	assert_non_null(strstr(fault(with("r1 = 0\n" CALL "exit", ids[SIZE])),
			       "argument 1 of bpf_dynptr_size must point to 16 readable bytes"));
}

static void packets(void **unused)
{
	int prog = with("r2 = 0\nr3 = r10\nr3 += -16\n" CALL DYN(
				-16) "r2 = 60\nr3 = 0\nr4 = 4\n" CALL
				     "if r0 == 0x0 goto out\nr1 = 0xaabbccdd\n*(u32 *)(r0 +0) = r1\nr0 = "
				     "1\nout: exit",
			ids[FROM_XDP], ids[SLICE_RDWR]);
	/* the packet shrinks behind the pointer's back */
	int shrunk =
		with("r6 = r1\nr2 = 0\nr3 = r10\nr3 += -16\n" CALL
		     "r1 = r6\nr2 = -32\ncall bpf_xdp_adjust_tail\n" DYN(-16) "r2 = 30\nr3 = 0\nr4 = 4\n" CALL
									      "exit",
		     ids[FROM_XDP], ids[SLICE]);

	(void)unused;
	assert_int_equal(say(prog), 1);
	assert_int_equal(packet->frame[HELPER_HEADROOM + 60], 0xdd);
	packet_new(63);
	assert_int_equal(say(prog), 0);
	packet_new(64);
	assert_int_equal(say(shrunk), 0);
}

static void devices_know_nothing(void **unused)
{
	(void)unused;
	assert_int_equal(say(with("r2 = r10\nr2 += -8\n" CALL "exit", ids[TIMESTAMP])), -EOPNOTSUPP);
	assert_int_equal(say(with("r2 = r10\nr2 += -8\nr3 = r2\nr3 += 4\n" CALL "exit", ids[HASH])),
			 -EOPNOTSUPP);
	assert_int_equal(say(with("r2 = r10\nr2 += -8\nr3 = r2\nr3 += 4\n" CALL "exit", ids[VLAN])),
			 -EOPNOTSUPP);
	assert_non_null(strstr(fault(with("r2 = 0\n" CALL "exit", ids[TIMESTAMP])),
			       "argument 2 of bpf_xdp_metadata_rx_timestamp"));
	assert_non_null(strstr(fault(with("r1 += 4\nr2 = r10\nr2 += -8\n" CALL "exit", ids[TIMESTAMP])),
			       "argument 1 of bpf_xdp_metadata_rx_timestamp must be the context"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(refused, with_btf, fixture_free),
		cmocka_unit_test_setup_teardown(counts, with_btf, fixture_free),
		cmocka_unit_test_setup_teardown(forged, with_btf, fixture_free),
		cmocka_unit_test_setup_teardown(packets, with_btf, fixture_free),
		cmocka_unit_test_setup_teardown(devices_know_nothing, with_btf, fixture_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
