// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice run --raw: instructions from standard input, run in user space; the plug-in protocol of
 * bpf_conformance. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cmd/run_verb.h"
#include "vm/run.h"

#define INPUT_MAX (64u << 20)

/* Hex digits with blanks anywhere; what names them in errors. */
static int unhex(
	const char *what, const char *text, size_t len, struct buf *to, struct sluice_err *err)
{
	uint8_t byte = 0, digit;
	size_t i, n = 0;
	int c;

	for (i = 0; i < len; i++) {
		c = (unsigned char)text[i];
		if (isspace(c))
			continue;
		if (!isxdigit(c))
			return err_set(
				err, -EINVAL, "%s: character %zu is no hex digit", what, i + 1);
		digit = (uint8_t)(isdigit(c) ? c - '0' : (c | 32) - 'a' + 10);
		byte = (uint8_t)(byte << 4 | digit);
		if (++n % 2 == 0)
			buf_put(to, &byte, 1);
	}
	if (n % 2)
		return err_set(err, -EINVAL, "%s: an odd number of hex digits, %zu", what, n);
	return to->failed ? err_nomem(err) : 0;
}

static int read_all(struct buf *to, struct sluice_err *err)
{
	char piece[65536];
	size_t n;

	while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0) {
		if (to->len + n > INPUT_MAX)
			return err_set(
				err, -E2BIG, "standard input: more than %u bytes", INPUT_MAX);
		buf_put(to, piece, n);
	}
	if (ferror(stdin))
		return err_set(err, -EIO, "standard input: %s", strerror(errno));
	return to->failed ? err_nomem(err) : 0;
}

static int load(const struct buf *code, struct vm_prog **prog, struct sluice_err *err)
{
	struct vm_prog_spec spec = {
		.rfc = true, /* what judges it by the RFC must not meet what only Linux wants */
		.insns = (const void *)code->data,
		.n_insns = (uint32_t)(code->len / sizeof(struct bpf_insn)),
		.engine = run_engine(),
	};

	if (!code->len)
		return err_set(err, -EINVAL, "standard input: no instructions");
	if (code->len % sizeof(struct bpf_insn))
		return err_set(err, -EINVAL, "standard input: %zu bytes, but an instruction is 8",
			code->len);
	return vm_prog_new(&spec, prog, err);
}

static int run_it(
	const struct vm_prog *prog, const struct buf *memory, uint64_t *r0, struct sluice_err *err)
{
	struct vm_run *run = malloc(sizeof(*run));
	char text[512];
	int e;

	if (!run)
		return err_nomem(err);
	vm_run_init(run, NULL, NULL);
	if (run_opts.limit)
		run->budget = (int64_t)run_opts.limit;
	vm_run_region(run, VM_REGION_MORE, memory->data, memory->len, true);
	e = vm_exec(run, prog, (uintptr_t)memory->data, memory->len, r0);
	if (e)
		err_set(err, e, "%s", vm_fault_text(&run->fault, text, sizeof(text)));
	free(run);
	return e;
}

/* An option that --raw would pass over; NULL: there is none. */
static const char *not_raw(void)
{
	const struct run_opts *r = &run_opts;
	const struct {
		bool given;
		const char *name;
	} all[] = {{r->in.n > 0, "in"},
		   {r->in_order, "in-order"},
		   {r->out.n > 0, "out"},
		   {r->verdicts, "verdicts"},
		   {r->dump.n > 0, "dump"},
		   {r->set.n > 0, "set"},
		   {r->maps.n > 0, "map"},
		   {r->expect.n > 0, "expect"},
		   {r->expect_pcap.n > 0, "expect-pcap"},
		   {r->engine, "engine"},
		   {r->trusted, "trusted"},
		   {r->ifs.n > 0, "if"},
		   {r->net, "net"},
		   {r->have_priority, "priority"},
		   {r->go_on, "go-on"},
		   {r->have_cpus, "cpus"},
		   {r->have_seed, "seed"},
		   {r->clock, "clock"},
		   {r->repeat, "repeat"},
		   {r->stop_on_fault, "stop-on-fault"},
		   {r->trace_texts.n > 0, "trace"},
		   {r->coverage, "coverage"}};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i].given)
			return all[i].name;
	return NULL;
}

int run_raw(const struct cli_verb *verb, char **args, int n_args)
{
	struct buf text = {0}, code = {0}, memory = {0};
	struct sluice_err err = {0};
	struct vm_prog *prog = NULL;
	uint64_t r0 = 0;
	int e;

	if (not_raw())
		return cli_usage(verb, "--raw runs bare instructions: --%s does not go with it", not_raw());
	if (n_args > 1)
		return cli_usage(verb, "--raw takes one MEMORY, '%s' is too much beside it", args[1]);
	e = n_args ? unhex("MEMORY", args[0], strlen(args[0]), &memory, &err) : 0;
	e = e ? e : read_all(&text, &err);
	e = e ? e : unhex("standard input", (const char *)text.data, text.len, &code, &err);
	e = e ? e : load(&code, &prog, &err);
	e = e ? e : run_it(prog, &memory, &r0, &err);
	vm_prog_free(prog);
	buf_free(&text);
	buf_free(&code);
	buf_free(&memory);
	if (e)
		return cli_fail(verb, &err);
	if (cli.json)
		return cli_json(json_pack("{s:o}", "r0", json_sprintf("0x%" PRIx64, r0)));
	printf("%" PRIx64 "\n", r0);
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}
