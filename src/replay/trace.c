// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One run as text. An instruction is written when the next one starts: only then it is known what it changed. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "isa/isa.h"
#include "replay/trace.h"
#include "vm/helper.h"
#include "vm/lines.h"

#define TEXT_MAX (64u << 20)
#define SHOWN_BYTES 16 /* of keys, values and memory that helpers get */

struct replay_trace {
	struct vm_watch watch;
	struct buf *to;
	bool cut;
	/* the instruction that is running */
	bool pending;
	const struct vm_prog *prog;
	uint32_t pc, depth;
	uint64_t reg[11];
	char note[512];
	/* where the text is */
	const struct vm_prog *shown_prog;
	uint32_t shown_line, shown_depth;
	const char *shown_file;
};

static __attribute__((format(printf, 2, 3))) void say(struct replay_trace *t, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (t->to->len > TEXT_MAX) {
		if (!t->cut)
			buf_printf(t->to, "... cut after %u MiB\n", TEXT_MAX >> 20);
		t->cut = true;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_printf(t->to, "%s", text);
}

static const char *ctx_member(uint64_t off)
{
	static const char *const names[] = {"data",	      "data_end",      "data_meta", "ingress_ifindex",
					    "rx_queue_index", "egress_ifindex"};

	return off % 4 == 0 && off / 4 < sizeof(names) / sizeof(*names) ? names[off / 4] : "inside a member";
}

static bool in(const struct vm_region *r, uint64_t addr)
{
	return r->len && addr - r->start <= r->len; /* its end is one of its addresses */
}

/* "packet+14", "ctx+4 (data_end)", "fp-8", "value of map hits+0"; "" if it is nowhere. */
static const char *place(struct vm_run *run, uint64_t addr, uint64_t fp, char *to, size_t size)
{
	const struct vm_packet *p = ((struct vm_host *)run->host)->packet;
	struct vm_region more;
	uint32_t key, value;

	*to = '\0';
	if (in(&run->region[VM_REGION_CTX], addr))
		snprintf(to, size, "ctx+%" PRIu64 " (%s)", addr - run->ctx, ctx_member(addr - run->ctx));
	else if (in(&run->region[VM_REGION_PACKET], addr) && addr == p->ctx.data_end)
		snprintf(to, size, "packet's end");
	else if (in(&run->region[VM_REGION_PACKET], addr) && addr < p->ctx.data)
		snprintf(to, size, "metadata+%" PRIu64, addr - p->ctx.data_meta);
	else if (in(&run->region[VM_REGION_PACKET], addr))
		snprintf(to, size, "packet+%" PRIu64, addr - p->ctx.data);
	else if (addr <= fp && fp - addr <= VM_FRAME_BYTES)
		snprintf(to, size, fp == addr ? "fp" : "fp-%" PRIu64, fp - addr);
	else if (in(&run->region[VM_REGION_STACK], addr))
		snprintf(to, size, "a caller's stack");
	else if (addr < 4096)
		return to;
	else if (run->env->map_sizes && run->env->map_sizes(run, addr, &key, &value))
		snprintf(to, size, "map %s", ((const struct map *)(uintptr_t)addr)->name);
	else if (run->env->region && run->env->region(run, addr, &more))
		snprintf(to, size, "%s of %s+%" PRIu64, more.kind == VM_REGION_RECORD ? "record" : "value",
			 more.name ? more.name : "a map", addr - more.start);
	return to;
}

static void number(struct vm_run *run, uint64_t v, uint64_t fp, char *to, size_t size)
{
	char where[128];

	if (*place(run, v, fp, where, sizeof(where)))
		snprintf(to, size, "%s", where);
	else if (v < 1024 || -v < 1024)
		snprintf(to, size, "%" PRId64, (int64_t)v);
	else
		snprintf(to, size, "0x%" PRIx64, v);
}

static void note(struct replay_trace *t, const char *text)
{
	size_t n = strlen(t->note);

	snprintf(t->note + n, sizeof(t->note) - n, "%s%s", n ? ", " : "", text);
}

/* The registers that are not what they were; a helper leaves r1 to r5 to chance. */
static void changes(struct replay_trace *t, struct vm_run *run, const uint64_t reg[11])
{
	uint32_t n, i;
	const struct bpf_insn *insn = &vm_prog_insns(t->prog, &n)[t->pc];
	bool call = insn->code == (BPF_JMP | BPF_CALL);
	char text[192], v[160];

	for (i = 0; i < 10 && !(call && i); i++) {
		if (reg[i] == t->reg[i])
			continue;
		number(run, reg[i], reg[10], v, sizeof(v));
		snprintf(text, sizeof(text), "r%u=%s", i, v);
		note(t, text);
	}
}

/* Writes the instruction under way; reg: as it left them, NULL: nobody knows. */
static void finish(struct replay_trace *t, struct vm_run *run, const uint64_t *reg)
{
	char text[192];
	const struct bpf_insn *insns;
	uint32_t n;

	if (!t->pending)
		return;
	t->pending = false;
	if (reg)
		changes(t, run, reg);
	insns = vm_prog_insns(t->prog, &n);
	isa_print(&insns[t->pc], n - t->pc, text, sizeof(text));
	say(t, "%*s%5u: %s", (int)(t->depth - 1) * 2, "", t->pc, text);
	if (t->note[0])
		say(t, "%*s  %s", (int)(strlen(text) < 40 ? 40 - strlen(text) : 0), "", t->note);
	say(t, "\n");
}

/* What memory the instruction is about to touch. */
static void accesses(struct replay_trace *t, struct vm_run *run, const struct bpf_insn *i,
		     const uint64_t *reg)
{
	static const char *const bytes[] = {"4 bytes", "2 bytes", "1 byte", "8 bytes"}; /* BPF_SIZE() >> 3 */
	uint8_t class = BPF_CLASS(i->code);
	const char *size = bytes[BPF_SIZE(i->code) >> 3];
	bool load = class == BPF_LDX, atomic = class == BPF_STX && BPF_MODE(i->code) == BPF_ATOMIC;
	uint64_t addr = reg[load ? i->src_reg : i->dst_reg] + (uint64_t)(int64_t)i->off;
	char where[128], v[160], text[400];

	if (!load && class != BPF_STX && class != BPF_ST)
		return;
	if (!*place(run, addr, reg[10], where, sizeof(where)))
		snprintf(where, sizeof(where), "0x%" PRIx64, addr);
	if (load) {
		snprintf(text, sizeof(text), "%s of %s", size, where);
	} else {
		number(run, class == BPF_ST ? (uint64_t)(int64_t)i->imm : reg[i->src_reg], reg[10], v,
		       sizeof(v));
		snprintf(text, sizeof(text), "%s%s of %s %s %s", atomic ? "atomic: " : "", size, where,
			 atomic ? "with" : "=", v);
	}
	note(t, text);
}

static const char *prog_name(const struct vm_prog *prog)
{
	return vm_prog_name(prog)[0] ? vm_prog_name(prog) : "without a name";
}

/* The line of source, and the function, where they change. */
static void headings(struct replay_trace *t, struct vm_run *run, const struct vm_prog *prog, uint32_t pc)
{
	const struct vm_lines *l = lines_of(prog);
	const char *func, *slash;
	struct vm_line line;
	uint32_t start = 0;
	int indent = (int)(run->depth - 1) * 2;

	if (t->shown_prog != prog)
		say(t, "%sprogram %s:\n", t->shown_prog ? "tail call into " : "", prog_name(prog));
	func = lines_func(l, (uint32_t)lines_func_at(l, pc), &start);
	if (func && start == pc && run->depth > 1)
		say(t, "%*sfunction %s:\n", indent, "", func);
	if (lines_at(l, pc, &line) && line.line && /* 0: the compiler's own */
	    (t->shown_prog != prog || t->shown_line != line.line || t->shown_file != line.file ||
	     t->shown_depth != run->depth)) {
		slash = strrchr(line.file, '/');
		say(t, "%*s; %s [%s:%u]\n", indent, "", line.text + strspn(line.text, " \t"),
		    slash ? slash + 1 : line.file, line.line);
		t->shown_line = line.line;
		t->shown_file = line.file;
	}
	t->shown_prog = prog;
	t->shown_depth = run->depth;
}

static void step(struct vm_watch *watch, struct vm_run *run, const struct vm_prog *prog, uint32_t pc,
		 const uint64_t reg[11])
{
	struct replay_trace *t = (struct replay_trace *)watch;
	uint32_t n;

	/* what a call into a function changed is seen in the function, a return changes r6 to r9 back */
	finish(t, run, t->prog == prog && t->depth == run->depth ? reg : NULL);
	headings(t, run, prog, pc);
	t->pending = true;
	t->prog = prog;
	t->pc = pc;
	t->depth = run->depth;
	t->note[0] = '\0';
	memcpy(t->reg, reg, sizeof(t->reg));
	accesses(t, run, &vm_prog_insns(prog, &n)[pc], reg);
}

/* How many arguments a helper has: its description tells of those that are checked, this of the others. */
static unsigned int arity(const struct vm_helper *h)
{
	static const struct {
		const char *name;
		unsigned int n;
	} more[] = {{"map_update_elem", 4},
		    {"map_push_elem", 3},
		    {"map_lookup_percpu_elem", 3},
		    {"for_each_map_elem", 4},
		    {"loop", 4},
		    {"ringbuf_output", 4},
		    {"ringbuf_reserve", 3},
		    {"ringbuf_submit", 2},
		    {"ringbuf_discard", 2},
		    {"ringbuf_query", 2},
		    {"redirect", 2},
		    {"redirect_map", 3},
		    {"xdp_adjust_head", 2},
		    {"xdp_adjust_tail", 2},
		    {"xdp_adjust_meta", 2},
		    {"csum_diff", 5},
		    {"tail_call", 3},
		    {"spin_lock", 1},
		    {"spin_unlock", 1},
		    {"fib_lookup", 4},
		    {"timer_start", 3},
		    {"perf_event_output", 5},
		    {"check_mtu", 5},
		    {"trace_printk", 5},
		    {"skb_load_bytes", 4}};
	unsigned int n = 5, i;

	while (n && h->arg[n - 1] == VM_ARG_ANY)
		n--;
	for (i = 0; i < sizeof(more) / sizeof(*more); i++)
		if (!strcmp(h->name, more[i].name) && more[i].n > n)
			n = more[i].n;
	return n;
}

static void hex(const void *p, uint64_t len, char *to, size_t size)
{
	const uint8_t *b = p;
	size_t i, at = strlen(to);

	for (i = 0; i < len && i < SHOWN_BYTES && at + 4 < size; i++)
		at += (size_t)snprintf(to + at, size - at, " %02x", b[i]);
	if (len > SHOWN_BYTES && at + 4 < size)
		snprintf(to + at, size - at, " ..");
}

/* One argument: what it points to, for what the helper reads there; it was checked before the call. */
static void argument(struct vm_run *run, const struct vm_helper *h, const uint64_t args[5], unsigned int i,
		     uint64_t fp, char *to, size_t size)
{
	uint32_t key = 0, value = 0;
	uint64_t len = 0;

	if (i && run->env->map_sizes)
		run->env->map_sizes(run, args[0], &key, &value);
	switch ((enum vm_arg)h->arg[i]) {
	case VM_ARG_KEY:
		snprintf(to, size, "key");
		len = key;
		break;
	case VM_ARG_VALUE:
		snprintf(to, size, "value");
		len = value;
		break;
	case VM_ARG_FIXED:
		snprintf(to, size, "bytes");
		len = h->size[i];
		break;
	case VM_ARG_MEM:
	case VM_ARG_MEM_OR_NULL:
		snprintf(to, size, "bytes");
		len = i < 4 ? args[i + 1] : 0;
		break;
	default:
		number(run, args[i], fp, to, size);
		return;
	}
	if (args[i])
		hex((const void *)(uintptr_t)args[i], len, to, size);
}

static void called(struct vm_watch *watch, struct vm_run *run, const struct vm_helper *helper,
		   const uint64_t args[5], uint64_t ret)
{
	struct replay_trace *t = (struct replay_trace *)watch;
	char text[480], one[128], v[160];
	unsigned int i, n = arity(helper);
	size_t at = (size_t)snprintf(text, sizeof(text), "%s(", helper->name);

	for (i = 0; i < n; i++) {
		one[0] = '\0';
		argument(run, helper, args, i, t->reg[10], one, sizeof(one));
		if (at + 16 < sizeof(text))
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.*s", i ? ", " : "",
					       (int)(sizeof(text) - at - 16), one);
	}
	number(run, ret, t->reg[10], v, sizeof(v));
	if (at < sizeof(text))
		snprintf(text + at, sizeof(text) - at, ") = %s", v);
	if (t->pending && t->prog == run->prog && t->pc == run->pc) {
		note(t, text);
		t->reg[0] = ret; /* said already */
	} else {		 /* functions of the program ran meanwhile */
		finish(t, run, NULL);
		say(t, "%*s       %s\n", (int)(run->depth - 1) * 2, "", text);
	}
}

int replay_trace_new(struct buf *to, struct replay_trace **t, struct sluice_err *err)
{
	*t = calloc(1, sizeof(**t));
	if (!*t)
		return err_nomem(err);
	(*t)->watch = (struct vm_watch){step, called};
	(*t)->to = to;
	return 0;
}

void replay_trace_free(struct replay_trace *t)
{
	free(t);
}

struct vm_watch *replay_trace_watch(struct replay_trace *t)
{
	return &t->watch;
}

void replay_trace_end(struct replay_trace *t)
{
	finish(t, NULL, NULL);
}
