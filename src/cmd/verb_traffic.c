// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sluice traffic: options, a line a second, the report. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sluice/traffic.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "cmd/cli.h"

#define SECOND UINT64_C(1000000000)

static struct sluice_traffic_opts opts = {.seed = 1, .cpu = -1};
static const char *random_text, *vlan_text, *flags_text, *icmp_text, *payload_text;
static uint64_t frame_bytes, ttl, tos, batch, cpu;
static bool random_all, cpu_given, count_given, duration_given, pps_given;
static bool quiet;

static const struct cli_opt options[] = {
	{.name = "src",
	 .letter = 's',
	 .kind = OPT_TEXT,
	 .arg = "ADDR",
	 .to = &opts.src,
	 .help = "source: ADDR, PREFIX/LEN or FIRST-LAST (default: the interface's)"},
	{.name = "dst",
	 .letter = 'd',
	 .kind = OPT_TEXT,
	 .arg = "ADDR",
	 .to = &opts.dst,
	 .help = "destination, the same (default: 198.18.0.2 or 2001:2::2)"},
	{.name = "sport",
	 .kind = OPT_TEXT,
	 .arg = "PORT",
	 .to = &opts.sport,
	 .help = "source port: N or FIRST-LAST (default 1024)"},
	{.name = "dport",
	 .kind = OPT_TEXT,
	 .arg = "PORT",
	 .to = &opts.dport,
	 .help = "destination port, the same (default 9)"},
	{.name = "ipv6",
	 .letter = '6',
	 .kind = OPT_FLAG,
	 .to = &opts.ipv6,
	 .help = "IPv6 where no address says so"},
	{.name = "random",
	 .letter = 'r',
	 .kind = OPT_FLAG,
	 .to = &random_all,
	 .help = "draw all of these (or the capture's packets) at random, not in turn"},
	{.name = "random-only",
	 .kind = OPT_TEXT,
	 .arg = "LIST",
	 .to = &random_text,
	 .help = "draw only these at random: src,dst,sport,dport,order"},
	{.name = "seed",
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &opts.seed,
	 .help = "another series of random values (default 1)"},
	{.name = "size",
	 .kind = OPT_U64,
	 .arg = "BYTES",
	 .to = &frame_bytes,
	 .min = 60,
	 .max = SLUICE_TRAFFIC_FRAME_MAX,
	 .help = "frame length from the Ethernet header on (default: smallest)"},
	{.name = "payload",
	 .kind = OPT_TEXT,
	 .arg = "TEXT",
	 .to = &payload_text,
	 .help = "fills the frame, repeated; 0x... for bytes (default: zeroes)"},
	{.name = "vlan",
	 .kind = OPT_TEXT,
	 .arg = "ID[,ID]",
	 .to = &vlan_text,
	 .help = "one tag, or two (outer first)"},
	{.name = "flags",
	 .kind = OPT_TEXT,
	 .arg = "LIST",
	 .to = &flags_text,
	 .help = "TCP flags: fin,syn,rst,psh,ack,urg,ece,cwr or none (default syn)"},
	{.name = "icmp-type",
	 .kind = OPT_TEXT,
	 .arg = "TYPE[/CODE]",
	 .to = &icmp_text,
	 .help = "ICMP type and code (default: echo request)"},
	{.name = "ttl",
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &ttl,
	 .min = 1,
	 .max = 255,
	 .help = "time to live, hop limit (default 64)"},
	{.name = "tos",
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &tos,
	 .max = 255,
	 .help = "type of service, traffic class (default 0)"},
	{.name = "src-mac",
	 .kind = OPT_TEXT,
	 .arg = "MAC",
	 .to = &opts.src_mac,
	 .help = "default: the interface's"},
	{.name = "dst-mac",
	 .kind = OPT_TEXT,
	 .arg = "MAC",
	 .to = &opts.dst_mac,
	 .help = "default: of the next hop to the first destination"},
	{.name = "pcap",
	 .kind = OPT_TEXT,
	 .arg = "FILE",
	 .to = &opts.pcap,
	 .help = "send the packets of a capture instead"},
	{.name = "once", .kind = OPT_FLAG, .to = &opts.once, .help = "with --pcap: every packet once"},
	{.name = "pps",
	 .letter = 'p',
	 .kind = OPT_RATE,
	 .arg = "RATE",
	 .to = &opts.pps,
	 .given = &pps_given,
	 .help = "packets a second, 10k, 1.5M (default: all that goes)"},
	{.name = "count",
	 .letter = 'n',
	 .kind = OPT_COUNT,
	 .arg = "N",
	 .to = &opts.count,
	 .min = 1,
	 .given = &count_given,
	 .help = "stop after just so many packets, 1000, 100k, 2M"},
	{.name = "duration",
	 .letter = 't',
	 .kind = OPT_TIME,
	 .arg = "TIME",
	 .to = &opts.duration_ns,
	 .given = &duration_given,
	 .help = "stop after that time (default 10s unless --count or --once)"},
	{.name = "peer",
	 .kind = OPT_TEXT,
	 .arg = "[NETNS/]IF",
	 .to = &opts.peer,
	 .help = "count received and lost at this interface"},
	{.name = "batch",
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &batch,
	 .min = 1,
	 .max = SLUICE_TRAFFIC_BATCH_MAX,
	 .help = "frames made at a time (default 64)"},
	{.name = "cpu",
	 .kind = OPT_U64,
	 .arg = "N",
	 .to = &cpu,
	 .max = 1023,
	 .given = &cpu_given,
	 .help = "run on this CPU"},
	{.name = "quiet", .letter = 'q', .kind = OPT_FLAG, .to = &quiet, .help = "only the summary"},
	{.name = "force",
	 .kind = OPT_FLAG,
	 .to = &opts.force,
	 .help = "also through the interface of the host's default route"},
	{0},
};

static const struct cli_verb verb = {
	.name = "traffic",
	.usage = "IF udp|tcp|icmp [OPTION...] | IF --pcap FILE [OPTION...]",
	.summary = "generate packets, millions a second",
	.text = "A range steps by one address or port with every packet unless it is drawn at random.\n\n"
		"  sluice traffic veth0 udp --dst 192.0.2.1 --count 1000\n"
		"  sluice traffic veth0 tcp -s 10.0.0.0/8 -r -d 192.0.2.1 --dport 80 --pps 1M\n"
		"  sluice traffic veth0 icmp -d 2001:db8::1 -t 5s --peer blue/veth1 --json\n"
		"  sluice traffic veth0 --pcap trace.pcapng --once\n",
	.opts = options,
	.min_args = 1,
	.max_args = 2,
};

struct word {
	const char *name;
	unsigned int bit;
};

/* A comma list of words into bits; returns 0 or the usage exit code. */
static int read_words(const char *option, const char *text, const char *all, const struct word *words,
		      size_t n, unsigned int *bits)
{
	const char *names[16];
	size_t i, len;
	char typed[32];
	int hit;

	for (*bits = 0;; text += len + 1) {
		len = strcspn(text, ",");
		for (i = 0; i < n && (strlen(words[i].name) != len || strncmp(words[i].name, text, len) != 0);
		     i++)
			names[i] = words[i].name;
		if (i == n) {
			snprintf(typed, sizeof(typed), "%.*s", (int)(len < 31 ? len : 31), text);
			hit = text_nearest(typed, names, n);
			return hit < 0 ? cli_usage(&verb, "%s: unknown word '%s'; there are %s", option, typed, all)
				       : cli_usage(&verb, "%s: unknown word '%s', did you mean %s?", option,
						   typed, names[hit]);
		}
		*bits |= words[i].bit;
		if (!text[len])
			return 0;
	}
}

static int read_random(void)
{
	static const struct word words[] = {
		{"src", SLUICE_RANDOM_SRC},	{"dst", SLUICE_RANDOM_DST},
		{"sport", SLUICE_RANDOM_SPORT}, {"dport", SLUICE_RANDOM_DPORT},
		{"order", SLUICE_RANDOM_ORDER},
	};
	unsigned int bits = random_all ? 31 : 0;
	int rc = random_text ? read_words("--random-only", random_text, "src, dst, sport, dport, order", words, 5, &bits) : 0;

	opts.random = bits;
	return rc;
}

static int read_flags(void)
{
	static const struct word words[] = {
		{"fin", 1},  {"syn", 2},  {"rst", 4},	{"psh", 8}, {"ack", 16},
		{"urg", 32}, {"ece", 64}, {"cwr", 128}, {"none", 0},
	};
	unsigned int bits = 0;
	int rc = flags_text ? read_words("--flags", flags_text, "fin, syn, rst, psh, ack, urg, ece, cwr, none", words, 9, &bits) : 0;

	opts.tcp_flags = (uint8_t)bits;
	opts.no_tcp_flags = flags_text && !bits;
	return rc;
}

/* N SEPARATOR M with both below max; returns how many there are, or 0. */
static unsigned int read_pair(const char *text, char separator, uint64_t max, uint64_t v[2],
			      struct sluice_err *err)
{
	const char *at = strchr(text, separator);
	char first[16];

	if (!at)
		return text_u64(text, 0, max, &v[0], err) ? 0 : 1;
	if (strchr(at + 1, separator)) {
		err_set(err, -EINVAL, "'%s' has too many: at most two are possible", text);
		return 0;
	}
	snprintf(first, sizeof(first), "%.*s", (int)(at - text < 15 ? at - text : 15), text);
	return text_u64(first, 0, max, &v[0], err) || text_u64(at + 1, 0, max, &v[1], err) ? 0 : 2;
}

static int read_vlan(void)
{
	struct sluice_err err;
	uint64_t id[2] = {0};

	if (!vlan_text)
		return 0;
	opts.n_vlan = read_pair(vlan_text, ',', 4095, id, &err);
	if (!opts.n_vlan)
		return cli_usage(&verb, "--vlan: %s", err.text);
	opts.vlan[0] = (uint16_t)id[0];
	opts.vlan[1] = (uint16_t)id[1];
	return 0;
}

static int read_icmp(void)
{
	struct sluice_err err;
	uint64_t v[2] = {0};

	if (!icmp_text)
		return 0;
	if (!read_pair(icmp_text, '/', 255, v, &err))
		return cli_usage(&verb, "--icmp-type: %s", err.text);
	opts.icmp = true;
	opts.icmp_type = (uint8_t)v[0];
	opts.icmp_code = (uint8_t)v[1];
	return 0;
}

/* 0x... becomes bytes, anything else is itself. */
static int read_payload(void)
{
	static uint8_t bytes[SLUICE_TRAFFIC_FRAME_MAX];
	size_t len = payload_text ? strlen(payload_text) : 0, i;
	char pair[3] = "";
	char *end;

	opts.payload = payload_text;
	opts.payload_len = len;
	if (!len || strncmp(payload_text, "0x", 2) != 0)
		return 0;
	if (len % 2 || len == 2 || strspn(payload_text + 2, "0123456789abcdefABCDEF") != len - 2 ||
	    len / 2 - 1 > sizeof(bytes))
		return cli_usage(&verb, "--payload: 0x wants an even number of hex digits, at most %zu",
				 2 * sizeof(bytes));
	for (i = 0; i < len / 2 - 1; i++) {
		memcpy(pair, payload_text + 2 + 2 * i, 2);
		bytes[i] = (uint8_t)strtoul(pair, &end, 16);
	}
	opts.payload = bytes;
	opts.payload_len = len / 2 - 1;
	return 0;
}

static int read_kind(const char *word)
{
	static const char *const names[] = {"udp", "tcp", "icmp"};
	size_t i;
	int hit;

	for (i = 0; word && i < 3; i++)
		if (!strcmp(word, names[i]))
			break;
	if (opts.pcap) {
		opts.kind = SLUICE_TRAFFIC_PCAP;
		if (word && strcmp(word, "pcap") != 0)
			return cli_usage(&verb, "'%s' does not go with --pcap: the capture has the packets",
					 word);
		return 0;
	}
	if (!word)
		return cli_usage(&verb, "which packets? udp, tcp, icmp or --pcap FILE");
	if (i == 3) {
		hit = text_nearest(word, names, 3);
		return cli_usage(&verb,
				 hit < 0 ? "unknown protocol '%s'; udp, tcp or icmp"
					 : "unknown protocol '%s', did you mean %s?",
				 word, hit < 0 ? "" : names[hit]);
	}
	opts.kind = (enum sluice_traffic_kind)i;
	return 0;
}

/* Options that would be ignored are mistakes. */
static int check_combination(void)
{
	bool replay = opts.kind == SLUICE_TRAFFIC_PCAP;

	if (replay &&
	    (opts.src || opts.dst || opts.sport || opts.dport || opts.ipv6 || frame_bytes || payload_text ||
	     vlan_text || flags_text || icmp_text || ttl || tos || opts.src_mac || opts.dst_mac))
		return cli_usage(&verb, "--pcap sends packets as they were captured; options about their "
					"contents do not go with it");
	if (!replay && opts.once)
		return cli_usage(&verb, "--once goes with --pcap; use --count");
	if (flags_text && opts.kind != SLUICE_TRAFFIC_TCP)
		return cli_usage(&verb, "--flags goes with tcp");
	if (icmp_text && opts.kind != SLUICE_TRAFFIC_ICMP)
		return cli_usage(&verb, "--icmp-type goes with icmp");
	if (pps_given && !opts.pps)
		return cli_usage(&verb, "--pps: a rate of 0 sends nothing");
	if (duration_given && !opts.duration_ns)
		return cli_usage(&verb, "--duration: no time at all");
	return 0;
}

static const char *kind_name(void)
{
	static const char *const names[] = {"udp", "tcp", "icmp", "pcap"};

	return names[opts.kind];
}

static double per(double v, double by)
{
	return by > 0 ? v / by : 0;
}

static void show_line(double at, uint64_t packets, uint64_t ns, uint64_t total)
{
	char pps[16], sent[16];

	printf("%7.1fs  %7s pps  %8s sent\n", at,
	       text_si(per((double)packets, (double)ns / 1e9), pps, sizeof(pps)),
	       text_si((double)total, sent, sizeof(sent)));
	cli_flush();
}

static void show_report(const char *ifname, const struct sluice_traffic_report *r)
{
	double s = (double)r->wall_ns / 1e9;
	char pps[16], bps[16], cost[16];

	printf("%s: %llu packets (%llu bytes) in %.3f s: %s pps, %sbit/s, %s packets per CPU-second\n",
	       ifname, (unsigned long long)r->sent, (unsigned long long)r->bytes, s,
	       text_si(per((double)r->sent, s), pps, sizeof(pps)),
	       text_si(per((double)r->bytes * 8, s), bps, sizeof(bps)),
	       text_si(per((double)r->sent, (double)r->cpu_ns / 1e9), cost, sizeof(cost)));
	if (r->frames)
		printf("capture: %llu packets in turn, %llu too long, %llu too short, %llu captured "
		       "incompletely\n",
		       (unsigned long long)r->frames, (unsigned long long)r->skipped_long,
		       (unsigned long long)r->skipped_short, (unsigned long long)r->cut);
	if (r->refused || r->tx_dropped || r->tx_errors)
		printf("not sent: %llu refused, %llu dropped and %llu in error by the interface\n",
		       (unsigned long long)r->refused, (unsigned long long)r->tx_dropped,
		       (unsigned long long)r->tx_errors);
	if (r->has_peer)
		printf("%s: %llu received, %llu lost\n", opts.peer, (unsigned long long)r->received,
		       (unsigned long long)r->lost);
}

static int show_json(const char *ifname, const struct sluice_traffic_report *r, const char *ended)
{
	double s = (double)r->wall_ns / 1e9, c = (double)r->cpu_ns / 1e9;
	char mac[18];
	json_t *j =
		json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:s}", "interface", ifname,
			  "traffic", kind_name(), "sent", (json_int_t)r->sent, "bytes", (json_int_t)r->bytes,
			  "seconds", s, "pps", per((double)r->sent, s), "bits_per_second",
			  per((double)r->bytes * 8, s), "cpu_seconds", c, "packets_per_cpu_second",
			  per((double)r->sent, c), "frame_bytes", (json_int_t)r->frame_bytes, "ended", ended);

	json_object_set_new(j, "not_sent",
			    json_pack("{s:I, s:I, s:I}", "refused", (json_int_t)r->refused, "tx_dropped",
				      (json_int_t)r->tx_dropped, "tx_errors", (json_int_t)r->tx_errors));
	if (opts.kind == SLUICE_TRAFFIC_PCAP) {
		json_object_set_new(j, "capture",
				    json_pack("{s:s, s:I, s:I, s:I, s:I}", "file", opts.pcap, "packets",
					      (json_int_t)r->frames, "skipped_long",
					      (json_int_t)r->skipped_long, "skipped_short",
					      (json_int_t)r->skipped_short, "incomplete",
					      (json_int_t)r->cut));
	} else {
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", r->dst_mac[0], r->dst_mac[1],
			 r->dst_mac[2], r->dst_mac[3], r->dst_mac[4], r->dst_mac[5]);
		json_object_set_new(j, "dst_mac", json_string(mac));
	}
	if (r->has_peer)
		json_object_set_new(j, "peer",
				    json_pack("{s:s, s:I, s:I}", "interface", opts.peer, "received",
					      (json_int_t)r->received, "lost", (json_int_t)r->lost));
	return cli_json(j);
}

/* Sends to the end, a line a second; returns 0 or the error of sluice_traffic_run(). */
static int send_all(struct sluice_traffic *t, struct sluice_err *err)
{
	uint64_t start = clock_mono_ns(), last = start, last_sent = 0, now, sent, next = start + SECOND;
	int e = 1;

	while (e == 1 && !cli_stop) {
		now = clock_mono_ns();
		e = sluice_traffic_run(t, next > now ? next - now : 1, err);
		now = clock_mono_ns();
		if (e == 1 && now < next)
			continue; /* a signal: of the ones that end us, or some other */
		sent = sluice_traffic_sent(t);
		if (e == 1 && !cli.json && !quiet)
			show_line((double)(now - start) / 1e9, sent - last_sent, now - last, sent);
		last_sent = sent;
		last = now;
		while (next <= now)
			next += SECOND;
	}
	return e < 0 ? e : 0;
}

static int run(const char *ifname)
{
	struct sluice_traffic_report report;
	struct sluice_err err = {0}, ignored;
	struct sluice_traffic *t;
	const char *ended;
	int e, rc = EXIT_DONE;

	if (sluice_traffic_open(ifname, &opts, &t, &err))
		return cli_fail(&verb, &err);
	cli_catch_signals();
	e = send_all(t, &err);
	sluice_traffic_report(t, &report, &ignored);
	ended = e						? "error"
		: report.wanted && report.sent >= report.wanted ? "count"
		: cli_stop					? "signal"
								: "duration";
	if (cli.json)
		rc = show_json(ifname, &report, ended);
	else
		show_report(ifname, &report);
	if (report.hint[0] && !e)
		cli_warn(&verb, "%s", report.hint);
	sluice_traffic_close(t);
	return e ? cli_fail(&verb, &err) : rc;
}

static bool is_kind(const char *word)
{
	return !strcmp(word, "udp") || !strcmp(word, "tcp") || !strcmp(word, "icmp");
}

/* Says so, before a packet is sent, if this process may not run on that CPU. */
static bool cpu_missing(void)
{
	long n = sysconf(_SC_NPROCESSORS_CONF);
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) || CPU_ISSET((size_t)cpu, &allowed))
		return false;
	if (n > 0 && cpu >= (uint64_t)n)
		cli_usage(&verb, "--cpu: there is no CPU %llu here, 0 to %ld is possible", (unsigned long long)cpu, n - 1);
	else
		cli_usage(&verb, "--cpu: this process may not run on CPU %llu", (unsigned long long)cpu);
	return true;
}

int verb_traffic(int argc, char **argv)
{
	char **args;
	int n_args, rc = cli_parse(&verb, argc, argv, &args, &n_args);

	if (rc >= 0)
		return rc;
	if (n_args > 1 && is_kind(args[0]) && !is_kind(args[1]))
		return cli_usage(&verb, "the interface comes first: sluice traffic %s %s", args[1], args[0]);
	if (cpu_given && cpu_missing())
		return EXIT_USAGE;
	rc = read_kind(n_args > 1 ? args[1] : NULL);
	if (!rc)
		rc = read_random();
	if (!rc)
		rc = read_flags();
	if (!rc)
		rc = read_vlan();
	if (!rc)
		rc = read_icmp();
	if (!rc)
		rc = read_payload();
	if (!rc)
		rc = check_combination();
	if (rc)
		return rc;
	opts.frame_bytes = (uint32_t)frame_bytes;
	opts.ttl = (uint8_t)ttl;
	opts.tos = (uint8_t)tos;
	opts.batch = (uint32_t)batch;
	opts.cpu = cpu_given ? (int)cpu : -1;
	return run(args[0]);
}
