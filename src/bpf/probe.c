// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What this kernel can do, found out by trying. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "bpf/log.h"
#include "bpf/probe.h"

#define N_INSNS(insns) (sizeof(insns) / sizeof((insns)[0]))
#define TCX_INGRESS 46 /* BPF_TCX_INGRESS, younger than the oldest headers this is built with */

const struct probe_row probe_row[PROBE_IDS] = {
#define PROBE(id, n, need_, first_, what_) \
	[PROBE_ID_##id] = {.name = n, .first = first_, .what = what_, .need = PROBE_##need_},
#include "bpf/probe.def"
#undef PROBE
};

/* return RETURN; */
struct tiny {
	struct bpf_insn insn[2];
};

static struct tiny tiny(int verdict)
{
	return (struct tiny){{
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict},
		{.code = BPF_JMP | BPF_EXIT},
	}};
}

static int load(enum bpf_prog_type type, const struct tiny *prog, __u32 flags)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = flags);
	int fd = bpf_prog_load(type, "sluice_probe", "GPL", prog->insn, N_INSNS(prog->insn), &opts);

	return fd < 0 ? -errno : fd;
}

void probe_judge(int error, bool privileged, struct probe_result *result)
{
	*result = (struct probe_result){.answer = PROBE_NO};
	if (error >= 0) {
		result->answer = PROBE_YES;
		return;
	}
	switch (-error) {
	case EPERM:
	case EACCES:
		if (privileged) {
			result->refused = true;
			snprintf(result->why, sizeof(result->why),
				 "the kernel refuses it (%s), as under lockdown", strerror(-error));
			return;
		}
		result->answer = PROBE_UNKNOWN;
		snprintf(result->why, sizeof(result->why), "only a privileged process can try");
		return;
	case ENOMEM:
	case EAGAIN:
	case EMFILE:
	case ENFILE:
	case EINTR:
	case EBUSY:
		result->answer = PROBE_UNKNOWN;
		snprintf(result->why, sizeof(result->why), "trying it failed: %s", strerror(-error));
		return;
	default:
		/* 524 is ENOTSUPP, which the C library has no word for */
		snprintf(result->why, sizeof(result->why), "the kernel does not know it (%s)",
			 error == -524 ? "Operation not supported" : strerror(-error));
	}
}

void probe_judge_helper(int error, const char *log, bool privileged, struct probe_result *result)
{
	/* the verifier knows the helper if it complains of anything else: an argument, an unreleased reference */
	static const char *const unknown[] = {"invalid func ", "unknown func ",
					      "program of this type cannot use helper "};
	size_t i;

	probe_judge(error, privileged, result);
	if (result->answer != PROBE_NO)
		return;
	for (i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		if (strstr(log, unknown[i]))
			return;
	if (log[0])
		*result = (struct probe_result){.answer = PROBE_YES};
}

bool probe_lockdown(const char *text, char *to, size_t size)
{
	const char *from = strchr(text, '['), *end = from ? strchr(from, ']') : NULL;

	if (!end || end - from < 2 || (size_t)(end - from) > size)
		return false;
	snprintf(to, size, "%.*s", (int)(end - from - 1), from + 1);
	return true;
}

static void try_map(enum bpf_map_type type, __u32 key, __u32 value, __u32 n, bool privileged,
		    struct probe_result *r)
{
	int fd = bpf_map_create(type, "sluice_probe", key, value, n, NULL);

	probe_judge(fd < 0 ? -errno : 0, privileged, r);
	if (fd >= 0)
		close(fd);
}

static void try_helper(enum bpf_func_id id, bool privileged, struct probe_result *r)
{
	const struct bpf_insn call[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = (int)id},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	char log[4096] = "";
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_level = 1, .log_buf = log, .log_size = sizeof(log));
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "sluice_probe", "GPL", call, N_INSNS(call), &opts);

	probe_judge_helper(fd < 0 ? -errno : 0, log, privileged, r);
	if (fd >= 0)
		close(fd);
}

/* One frame is made and dropped: it meets no interface. */
static void try_live_frames(bool privileged, struct probe_result *r)
{
	struct tiny drop = tiny(XDP_DROP);
	int fd = load(BPF_PROG_TYPE_XDP, &drop, 0), e = fd;
	unsigned char frame[64] = {0};
	struct xdp_md ctx = {.data_end = sizeof(frame)};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	if (fd >= 0)
		e = bpf_prog_test_run_opts(fd, &opts) ? -errno : 0;
	probe_judge(e, privileged, r);
	if (fd >= 0)
		close(fd);
}

static void try_af_xdp(struct probe_result *r)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	/* CAP_NET_RAW is asked for, and nothing else refuses */
	probe_judge(fd < 0 ? -errno : 0, false, r);
	if (fd >= 0)
		close(fd);
}

static void no_scratch(struct probe_result *r)
{
	r->answer = PROBE_UNKNOWN;
	snprintf(r->why, sizeof(r->why), "can only be tried in a network namespace of its own");
}

static void try_link(enum bpf_prog_type type, enum bpf_attach_type where, __u32 flags, bool privileged,
		     struct probe_result *r)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	struct tiny pass = tiny(type == BPF_PROG_TYPE_XDP ? XDP_PASS : 0);
	int fd = load(type, &pass, 0), link = fd;

	if (fd >= 0) {
		link = bpf_link_create(fd, (int)if_nametoindex("lo"), where, &opts);
		link = link < 0 ? -errno : link;
	}
	probe_judge(link, privileged, r);
	if (link >= 0)
		close(link);
	if (fd >= 0)
		close(fd);
}

static void try_cls_bpf(bool privileged, struct probe_result *r)
{
	struct tiny ok = tiny(0);
	int fd = load(BPF_PROG_TYPE_SCHED_CLS, &ok, 0), e = fd;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("lo"), .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = fd);

	log_catch_start();
	if (fd >= 0) {
		e = bpf_tc_hook_create(&hook);
		if (!e)
			e = bpf_tc_attach(&hook, &opts);
	}
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS; /* both: the qdisc goes */
	(void)bpf_tc_hook_destroy(&hook);
	log_catch_stop();
	probe_judge(e, privileged, r);
	if (fd >= 0)
		close(fd);
}

void probe_all(bool scratch, struct probe_result result[PROBE_IDS])
{
	struct tiny pass = tiny(XDP_PASS);
	int fd = load(BPF_PROG_TYPE_XDP, &pass, 0);
	bool may = fd >= 0;

	probe_judge(fd, false, &result[PROBE_ID_XDP]);
	if (fd >= 0)
		close(fd);
	fd = load(BPF_PROG_TYPE_XDP, &pass, BPF_F_XDP_HAS_FRAGS);
	probe_judge(fd, may, &result[PROBE_ID_FRAGS]);
	if (fd >= 0)
		close(fd);
	try_live_frames(may, &result[PROBE_ID_LIVE_FRAMES]);
	try_map(BPF_MAP_TYPE_DEVMAP, 4, 4, 1, may, &result[PROBE_ID_DEVMAP]);
	try_map(BPF_MAP_TYPE_CPUMAP, 4, 4, 1, may, &result[PROBE_ID_CPUMAP]);
	try_map(BPF_MAP_TYPE_XSKMAP, 4, 4, 1, may, &result[PROBE_ID_XSKMAP]);
	try_map(BPF_MAP_TYPE_RINGBUF, 0, 0, (__u32)sysconf(_SC_PAGESIZE), may, &result[PROBE_ID_RINGBUF]);
	try_helper(BPF_FUNC_loop, may, &result[PROBE_ID_LOOP]);
	try_helper(BPF_FUNC_dynptr_from_mem, may, &result[PROBE_ID_DYNPTR]);
	/* came in the same version as the accounting, and can be asked for */
	try_helper(BPF_FUNC_ktime_get_coarse_ns, may, &result[PROBE_ID_MEMCG]);
	try_af_xdp(&result[PROBE_ID_AF_XDP]);
	probe_freplace(may, &result[PROBE_ID_FREPLACE]);
	probe_fentry(may, &result[PROBE_ID_FENTRY]);
	if (scratch) {
		try_link(BPF_PROG_TYPE_XDP, BPF_XDP, XDP_FLAGS_SKB_MODE, may, &result[PROBE_ID_XDP_LINK]);
		try_link(BPF_PROG_TYPE_SCHED_CLS, (enum bpf_attach_type)TCX_INGRESS, 0, may,
			 &result[PROBE_ID_TCX]);
		try_cls_bpf(may, &result[PROBE_ID_CLS_BPF]);
	} else {
		no_scratch(&result[PROBE_ID_XDP_LINK]);
		no_scratch(&result[PROBE_ID_TCX]);
		no_scratch(&result[PROBE_ID_CLS_BPF]);
	}
}

void probe_jit(struct probe_result *result)
{
	struct tiny pass = tiny(XDP_PASS);
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);
	int fd = load(BPF_PROG_TYPE_XDP, &pass, 0);

	if (fd < 0) {
		probe_judge(fd, false, result);
		result->answer = PROBE_UNKNOWN;
		return;
	}
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		probe_judge(-EAGAIN, true, result);
	else
		*result = (struct probe_result){.answer = info.jited_prog_len ? PROBE_YES : PROBE_NO};
	close(fd);
}
