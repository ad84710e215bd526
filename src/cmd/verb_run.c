// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice run: captures through programs, in user space or in the kernel. Its parts: run_*.c. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/run_verb.h"
#include "replay/coverage.h"
#include "replay/trace.h"

struct run_opts run_opts;
static bool have_limit;

static const struct cli_opt opts[] = {
	{.name = "in",
	 .letter = 'i',
	 .kind = OPT_LIST,
	 .arg = "FILE",
	 .to = &run_opts.in,
	 .help = "packets: pcap or pcapng, - is standard input; several are merged by time"},
	{.name = "in-order",
	 .kind = OPT_FLAG,
	 .to = &run_opts.in_order,
	 .help = "one capture behind the other instead"},
	{.name = "out",
	 .letter = 'o',
	 .kind = OPT_LIST,
	 .arg = "VERDICT=FILE,...",
	 .to = &run_opts.out,
	 .help = "write packets as they left, to NAME.pcap or NAME.pcapng; all=FILE: every verdict"},
	{.name = "verdicts", .kind = OPT_FLAG, .to = &run_opts.verdicts, .help = "a line a packet"},
	{.name = "dump",
	 .letter = 'd',
	 .kind = OPT_LIST,
	 .arg = "MAP",
	 .to = &run_opts.dump,
	 .help = "show the entries of a map at the end"},
	{.name = "set",
	 .letter = 's',
	 .kind = OPT_LIST,
	 .arg = "NAME=VALUE",
	 .to = &run_opts.set,
	 .help = "write a global variable before loading, by its type"},
	{.name = "map",
	 .letter = 'M',
	 .kind = OPT_LIST,
	 .arg = "NAME=FILE",
	 .to = &run_opts.maps,
	 .help = "fill a map with JSON as sluice map dump --json writes it"},
	{.name = "expect",
	 .letter = 'e',
	 .kind = OPT_LIST,
	 .arg = "VERDICT=N,...",
	 .to = &run_opts.expect,
	 .help = "exit 1 unless that many packets got the verdict"},
	{.name = "expect-pcap",
	 .kind = OPT_LIST,
	 .arg = "[VERDICT=]FILE",
	 .to = &run_opts.expect_pcap,
	 .help = "exit 1 unless just these packets left (pass, tx and redirect), or got the verdict"},
	{.name = "engine",
	 .kind = OPT_TEXT,
	 .arg = "vm|kernel",
	 .to = &run_opts.engine,
	 .help = "user space (default), or BPF_PROG_TEST_RUN packet by packet"},
	{.name = "interp", .kind = OPT_FLAG, .to = &run_opts.interp, .help = "interpret"},
	{.name = "jit",
	 .kind = OPT_FLAG,
	 .to = &run_opts.jit,
	 .help = "compile (default where there is a compiler)"},
	{.name = "trusted",
	 .kind = OPT_FLAG,
	 .to = &run_opts.trusted,
	 .help = "let the kernel verify the programs, then run them without checks (root)"},
	{.name = "if",
	 .kind = OPT_LIST,
	 .arg = "NAME[=NUMBER]",
	 .to = &run_opts.ifs,
	 .help = "interface that packets come in on; further ones are targets of redirects"},
	{.name = "net",
	 .kind = OPT_TEXT,
	 .arg = "FILE|host",
	 .to = &run_opts.net,
	 .help = "routes and neighbours for bpf_fib_lookup(), as ip -details prints them, or this host's"},
	{.name = "priority",
	 .letter = 'P',
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &run_opts.priority,
	 .max = 1000000,
	 .given = &run_opts.have_priority,
	 .help = "place in the chain (default: the program's XDP_RUN_CONFIG, or 50)"},
	{.name = "go-on",
	 .letter = 'g',
	 .kind = OPT_TEXT,
	 .arg = "VERDICTS",
	 .to = &run_opts.go_on,
	 .help = "verdicts after which the next program runs (default: XDP_RUN_CONFIG, or pass)"},
	{.name = "cpus",
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &run_opts.cpus,
	 .min = 1,
	 .max = 4096,
	 .given = &run_opts.have_cpus,
	 .help = "CPUs of the engine: packets take turns on them (default: all on the first)"},
	{.name = "seed",
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &run_opts.seed,
	 .max = UINT64_MAX,
	 .given = &run_opts.have_seed,
	 .help = "of random numbers and hashes (1)"},
	{.name = "clock",
	 .kind = OPT_TEXT,
	 .arg = "capture|real",
	 .to = &run_opts.clock,
	 .help = "what time programs are told: the packet's (default), or the machine's"},
	{.name = "limit",
	 .kind = OPT_COUNT,
	 .arg = "N",
	 .to = &run_opts.limit,
	 .min = 1,
	 .max = INT64_MAX,
	 .given = &have_limit,
	 .help = "stop a run after about N instructions (1 G)"},
	{.name = "repeat",
	 .kind = OPT_COUNT,
	 .arg = "N",
	 .to = &run_opts.repeat,
	 .min = 1,
	 .max = UINT32_MAX,
	 .help = "run all packets N times to measure; only the first time counts otherwise"},
	{.name = "stop-on-fault",
	 .kind = OPT_FLAG,
	 .to = &run_opts.stop_on_fault,
	 .help = "end at the first packet on which a program does wrong"},
	{.name = "trace",
	 .letter = 't',
	 .kind = OPT_LIST,
	 .arg = "N",
	 .to = &run_opts.trace_texts,
	 .help = "show packet N instruction by instruction"},
	{.name = "coverage",
	 .kind = OPT_TEXT,
	 .arg = "FILE",
	 .to = &run_opts.coverage,
	 .help = "write which source lines ran, as lcov's tracefile"},
	{.name = "raw",
	 .kind = OPT_FLAG,
	 .to = &run_opts.raw,
	 .help = "read instructions as hex digits from standard input; the argument is their memory"},
	{0},
};

static const struct cli_verb verb = {
	.name = "run",
	.usage = "OBJ[:PROG]... --in FILE... [OPTION...]   or   --raw [MEMORY] < INSTRUCTIONS",
	.summary = "run packets of captures through XDP programs, without privilege",
	.text = "Several objects are a chain, as sluice attach makes it. Every access is checked; a program "
		"that touches\n"
		"other memory or does not end is stopped, its packet counts as aborted, and the exit status "
		"is 1.\n"
		"\n"
		"  sluice run firewall.o --in day.pcap --expect drop=12 --out pass=passed.pcapng\n"
		"  sluice run limit.o --in flood.pcap --set max_pps=1000 --coverage out.info\n"
		"  zcat day.pcap.gz | sluice run firewall.o - --trace 17\n"
		"  echo 'b7000000 2a000000 95000000 00000000' | sluice run --raw      prints 2a\n",
	.opts = opts,
	.min_args = 0,
	.max_args = -1,
};

/* Everything that is on while packets run. */
struct session {
	struct run_loaded loaded;
	struct replay_in *in;
	struct run_show *show;
	struct buf trace_text;
	struct replay_trace *trace;
	struct coverage *coverage;
	FILE *coverage_file;
	struct coverage_sum covered;
	struct replay_stats stats;
	uint64_t last; /* packet's number */
};

static int check_words(struct sluice_err *err)
{
	const char *e = run_opts.engine, *c = run_opts.clock;
	bool kernel = e && !strcmp(e, "kernel");

	if (run_opts.trace_texts.n > 1)
		return err_set(err, -EINVAL, "--trace is named twice; it shows one packet");
	if (run_opts.trace_texts.n && text_u64(run_opts.trace_texts.item[0], 1, UINT64_MAX, &run_opts.trace, err))
		return err_prefix(err, "--trace");
	if (e && !kernel && strcmp(e, "vm") != 0)
		return err_set(err, -EINVAL, "--engine %s: vm or kernel is wanted", e);
	if (c && strcmp(c, "capture") != 0 && strcmp(c, "real") != 0)
		return err_set(err, -EINVAL, "--clock %s: capture or real is wanted", c);
	if (kernel &&
	    (run_opts.interp || run_opts.jit || run_opts.trusted || run_opts.coverage || run_opts.trace ||
	     have_limit || run_opts.have_cpus || run_opts.have_seed || run_opts.net || c))
		return err_set(err, -EINVAL,
			       "--engine kernel goes without --interp, --jit, --trusted, --coverage, "
			       "--trace, "
			       "--limit, --cpus, --seed, --net and --clock: the kernel runs programs in its "
			       "own way");
	if (!run_opts.in.n)
		return err_set(err, -EINVAL,
			       "no packets: name a capture with --in FILE, or - for standard input");
	return 0;
}

/* "-" among the objects is a capture. */
static size_t take_stdin(char **args, size_t n)
{
	size_t i, kept = 0;

	for (i = 0; i < n; i++)
		if (!strcmp(args[i], "-") &&
		    run_opts.in.n < sizeof(run_opts.in.item) / sizeof(*run_opts.in.item))
			run_opts.in.item[run_opts.in.n++] = "-";
		else
			args[kept++] = args[i];
	return kept;
}

static int open_watchers(struct session *s, struct sluice_err *err)
{
	int e = 0;

	if (run_opts.trace)
		e = replay_trace_new(&s->trace_text, &s->trace, err);
	if (e || !run_opts.coverage)
		return e;
	e = coverage_new(s->loaded.vm, &s->coverage, err);
	if (e)
		return err_prefix(err, "--coverage");
	if (run_is_input(run_opts.coverage))
		return err_set(err, -EINVAL,
			       "--coverage: %s is read in this run, it cannot be written as well",
			       run_opts.coverage);
	s->coverage_file = fopen(run_opts.coverage, "we");
	if (!s->coverage_file)
		return err_set(err, errno == ENOENT ? -ENOENT : -EACCES, "--coverage %s: %s",
			       run_opts.coverage, strerror(errno));
	return 0;
}

static int open_session(struct session *s, char **specs, size_t n, struct sluice_err *err)
{
	int e = replay_in_new(run_opts.in.item, run_opts.in.n, run_opts.in_order, &s->in, err);

	if (!e)
		e = run_load(&verb, specs, n, &s->loaded, err);
	if (!e)
		e = run_fill_maps(&s->loaded, err);
	if (!e)
		e = run_check_dumps(&s->loaded, err);
	if (!e)
		e = run_show_new(&verb, &s->loaded, &s->show, err);
	return e ? e : open_watchers(s, err);
}

static void close_session(struct session *s)
{
	run_show_free(s->show);
	replay_trace_free(s->trace);
	coverage_free(s->coverage);
	if (s->coverage_file)
		fclose(s->coverage_file);
	buf_free(&s->trace_text);
	run_unload(&s->loaded);
	replay_in_free(s->in);
}

static int run_packets(struct session *s, struct sluice_err *err)
{
	struct replay_config config = {
		.vm = s->loaded.vm,
		.prog_fd = s->loaded.prog_fd,
		.ifindex = s->loaded.ifindex,
		.n_cpus = (uint32_t)run_opts.cpus,
		.real_clock = run_opts.clock && !strcmp(run_opts.clock, "real"),
		.budget = (int64_t)run_opts.limit,
		.repeat = run_opts.repeat,
		.stop_on_fault = run_opts.stop_on_fault,
		.sink = run_show_sink(s->show),
	};

	if (s->coverage)
		config.watch = coverage_watch(s->coverage);
	if (s->trace) {
		config.look = replay_trace_watch(s->trace);
		config.look_packet = run_opts.trace;
	}
	return replay_run(s->in, &config, &s->stats, err);
}

static int end_watchers(struct session *s, struct sluice_err *err)
{
	int e = 0;

	if (s->trace) {
		replay_trace_end(s->trace);
		if (!s->trace_text.len)
			e = err_set(err, -EINVAL,
				    "--trace %" PRIu64 ": packet %" PRIu64 " did not run; %" PRIu64 " did",
				    run_opts.trace, run_opts.trace, s->stats.packets);
	}
	if (!s->coverage)
		return e;
	if (coverage_write(s->coverage, s->coverage_file, &s->covered, e ? NULL : err))
		e = e ? e : -ENOMEM;
	errno = 0;
	if ((fflush(s->coverage_file) | ferror(s->coverage_file)) && !e)
		e = err_set(err, -EIO, "--coverage %s: not everything could be written: %s",
			    run_opts.coverage, strerror(errno ? errno : EIO));
	if (fclose(s->coverage_file) && !e)
		e = err_set(err, -EIO, "--coverage %s: not everything could be written: %s",
			    run_opts.coverage, strerror(errno));
	s->coverage_file = NULL;
	return e;
}

static const char *engine_words(const struct session *s)
{
	if (!s->loaded.vm)
		return "in the kernel";
	if (s->coverage || s->trace)
		return "interpreted, watched";
	if (run_opts.interp || !vm_engine_has_jit())
		return run_opts.trusted ? "interpreted, trusted" : "interpreted, checked";
	return run_opts.trusted ? "compiled, trusted" : "compiled, checked";
}

static double ns_a_packet(const struct replay_stats *st)
{
	return st->runs ? (double)st->run_ns / (double)st->runs : 0;
}

static void print_rest(const struct session *s)
{
	const struct replay_in_stats *in = replay_in_stats(s->in);
	const struct replay_stats *st = &s->stats;
	const struct coverage_sum *c = &s->covered;

	if (in->too_short)
		printf("left out: %" PRIu64 " shorter than an Ethernet header\n", in->too_short);
	if (in->too_long)
		printf("left out: %" PRIu64 " longer than %u bytes\n", in->too_long, REPLAY_LONGEST);
	if (st->refused)
		printf("left out: %" PRIu64 " that the kernel's test run does not take\n", st->refused);
	if (in->cut)
		printf("captured incompletely: %" PRIu64 "\n", in->cut);
	if (st->lost)
		printf("redirected nowhere: %" PRIu64 "\n", st->lost);
	if (s->coverage)
		printf("lines: %u of %u, functions: %u of %u, branches: %u of %u\n", c->lines_hit, c->lines,
		       c->funcs_hit, c->funcs, c->branches_hit, c->branches);
	if (st->stopped)
		printf("stopped before the end\n");
}

static void print_text(const struct session *s)
{
	const struct replay_stats *st = &s->stats;
	uint32_t v;

	printf("%-9s %12s %14s\n", "verdict", "packets", "bytes");
	for (v = 0; v < REPLAY_VERDICTS; v++)
		if (st->verdict[v])
			printf("%-9s %12" PRIu64 " %14" PRIu64 "\n", replay_verdict(v), st->verdict[v],
			       st->verdict_bytes[v]);
	printf("%-9s %12" PRIu64 " %14" PRIu64 "\n", "all", st->packets, st->bytes);
	print_rest(s);
	if (st->runs)
		printf("%.1f ns a packet, %s\n", ns_a_packet(st), engine_words(s));
}

static json_t *verdicts_json(const struct replay_stats *st)
{
	json_t *list = json_array();
	uint32_t v;

	for (v = 0; v < REPLAY_VERDICTS; v++)
		json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "verdict", replay_verdict(v),
						      "packets", (json_int_t)st->verdict[v], "bytes",
						      (json_int_t)st->verdict_bytes[v]));
	return list;
}

static void fill_json(const struct session *s, json_t *to)
{
	const struct replay_in_stats *in = replay_in_stats(s->in);
	const struct replay_stats *st = &s->stats;
	const struct coverage_sum *c = &s->covered;
	char *line, *save;

	json_object_set_new(to, "engine", json_string(s->loaded.vm ? "vm" : "kernel"));
	json_object_set_new(to, "profile", json_string(engine_words(s)));
	json_object_set_new(to, "packets", json_integer((json_int_t)st->packets));
	json_object_set_new(to, "bytes", json_integer((json_int_t)st->bytes));
	json_object_set_new(to, "verdicts", verdicts_json(st));
	json_object_set_new(to, "faults", json_integer((json_int_t)st->faults));
	json_object_set_new(to, "redirected_nowhere", json_integer((json_int_t)st->lost));
	json_object_set_new(to, "left_out",
			    json_pack("{s:I, s:I, s:I}", "short", (json_int_t)in->too_short, "long",
				      (json_int_t)in->too_long, "refused", (json_int_t)st->refused));
	json_object_set_new(to, "cut", json_integer((json_int_t)in->cut));
	json_object_set_new(to, "stopped", json_boolean(st->stopped));
	if (s->coverage)
		json_object_set_new(to, "coverage",
				    json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "lines", (int)c->lines,
					      "lines_hit", (int)c->lines_hit, "functions", (int)c->funcs,
					      "functions_hit", (int)c->funcs_hit, "branches",
					      (int)c->branches, "branches_hit", (int)c->branches_hit));
	if (!s->trace_text.len)
		return;
	json_object_set_new(to, "trace", json_array());
	for (line = strtok_r((char *)s->trace_text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		json_array_append_new(json_object_get(to, "trace"), json_string(line));
}

/* One object on one line; behind the packets, which are printed already, the rest of it. The nanoseconds have one
 * digit behind the point, which a double cannot have. */
static int print_json(json_t *json, double ns)
{
	bool open = json_is_true(json_object_get(json, "packet"));
	char *text;

	if (open)
		json_object_del(json, "packet");
	text = json_lost() ? NULL : json_dumps(json, JSON_COMPACT);
	if (!text) {
		cli_warn(&verb, "out of memory");
		return EXIT_FAILED;
	}
	printf("%.*s,\"ns_per_packet\":%.1f}\n", (int)strlen(text) - 1 - open, text + open, ns);
	free(text);
	return cli_flush() ? EXIT_DONE : EXIT_FAILED;
}

static int say_kernel_limits(const struct session *s)
{
	if (!s->loaded.vm)
		cli_warn(&verb, "the kernel's test run knows no capture time and no redirect targets: clocks "
				"are the machine's, "
				"redirected packets are shown without where to");
	return 0;
}

/* The whole run. What went wrong on the way is said at the end, behind what there is. */
static int session(char **specs, size_t n)
{
	struct session s = {.loaded.prog_fd = -1};
	struct sluice_err err = {0}, later = {0};
	json_t *json = json_object();
	bool bad = false;
	int e, code = EXIT_DONE;

	e = open_session(&s, specs, n, &err);
	if (e) {
		code = e == -EINTR && cli_stop ? EXIT_FAILED : cli_fail(&verb, &err);
		goto out;
	}
	say_kernel_limits(&s);
	e = run_packets(&s, &err);
	if (end_watchers(&s, &later) && !e) {
		e = later.code;
		err = later;
	}
	if (run_show_end(s.show, &s.stats, json, &bad, &later) && !e) {
		e = later.code;
		err = later;
	}
	if (cli.json)
		fill_json(&s, json);
	else if (s.trace_text.len)
		fwrite(s.trace_text.data, 1, s.trace_text.len, stdout);
	if (!cli.json)
		print_text(&s);
	if (run_dump_maps(&s.loaded, cli.json ? json : NULL, &later) && !e) {
		e = later.code;
		err = later;
	}
	if (cli.json)
		code = print_json(json, ns_a_packet(&s.stats));
	cli_flush();
	if (e && !(e == -EINTR && cli_stop))
		code = cli_fail(&verb, &err);
	else if (bad || s.stats.faults)
		code = EXIT_FAILED;
out:
	json_decref(json);
	close_session(&s);
	return cli_stop ? 128 + cli_stop : code;
}

/* The first signal ends the run between two packets; the second, the process: a packet may take for ever. */
static void catch_once(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa;
	size_t i;

	cli_catch_signals();
	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		if (sigaction(signals[i], NULL, &sa) || sa.sa_handler == SIG_IGN)
			continue;
		sa.sa_flags |= (int)SA_RESETHAND;
		sigaction(signals[i], &sa, NULL);
	}
}

int verb_run(int argc, char **argv)
{
	struct sluice_err err = {0};
	int n_args, code;
	char **args;
	size_t n, i;

	code = cli_parse(&verb, argc, argv, &args, &n_args);
	if (code >= 0)
		return code;
	if (run_opts.interp && run_opts.jit)
		return cli_usage(&verb, "--interp and --jit exclude each other");
	if (run_opts.raw)
		return run_raw(&verb, args, n_args);
	n = take_stdin(args, (size_t)n_args);
	if (!n)
		return cli_usage(&verb, "which programs? Name an object, or say --raw for instructions from "
					"standard input");
	for (i = 0; i < n; i++)
		if (run_is_capture(args[i]))
			return cli_usage(&verb, "%s looks like a capture; say --in %s", args[i], args[i]);
	if (check_words(&err))
		return cli_usage(&verb, "%s", err.text);
	catch_once();
	return session(args, n);
}
