// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The guard: what SSH_CONNECTION may say, made-up tables of sockets, and what is refused with which words. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test.h"
#include "control/guard.h"

/* --- SSH_CONNECTION --- */

static void parse_good(void **state)
{
	struct control_session s;
	char text[NET_ADDR_TEXT];

	(void)state;
	assert_int_equal(control_session_parse("192.0.2.7 50022 198.51.100.1 22", &s, NULL), 0);
	assert_string_equal(net_addr_format(&s.peer, text, sizeof(text)), "192.0.2.7");
	assert_string_equal(net_addr_format(&s.local, text, sizeof(text)), "198.51.100.1");
	assert_int_equal(s.peer_port, 50022);
	assert_int_equal(s.local_port, 22);
	assert_true(s.own);
	assert_int_equal(control_session_parse("2001:db8::7 1 2001:db8::1 65535", &s, NULL), 0);
	assert_string_equal(net_addr_format(&s.peer, text, sizeof(text)), "2001:db8::7");
	assert_int_equal(s.local_port, 65535);
	/* a socket for both families */
	assert_int_equal(control_session_parse("::ffff:192.0.2.7 50022 ::ffff:198.51.100.1 22", &s, NULL), 0);
	assert_false(s.peer.v6);
	assert_string_equal(net_addr_format(&s.peer, text, sizeof(text)), "192.0.2.7");
	assert_int_equal(control_session_parse("fe80::7%eth0 50022 fe80::1%eth0 22", &s, NULL), 0);
	assert_string_equal(s.interface, "eth0");
}

static void parse_bad(void **state)
{
	static const char *const bad[] = {
		" ",
		"192.0.2.7",
		"192.0.2.7 50022 198.51.100.1",
		"192.0.2.7 50022 198.51.100.1 22 ",
		"192.0.2.7 50022 198.51.100.1 22 x",
		" 192.0.2.7 50022 198.51.100.1 22",
		"192.0.2.7  50022 198.51.100.1 22",
		"192.0.2.7\t50022 198.51.100.1 22",
		"192.0.2.7 0 198.51.100.1 22",
		"192.0.2.7 65536 198.51.100.1 22",
		"192.0.2.7 -1 198.51.100.1 22",
		"192.0.2.7 0x16 198.51.100.1 22",
		"192.0.2.7 50022 198.51.100.1 022",
		"192.0.2.7 50022 198.51.100.1 22\n",
		"192.0.2 50022 198.51.100.1 22",
		"192.0.2.256 50022 198.51.100.1 22",
		"host 50022 198.51.100.1 22",
		"UNKNOWN 65535 UNKNOWN 65535",
		"192.0.2.7 50022 2001:db8::1 22",
		"::ffff:192.0.2.7 50022 2001:db8::1 22",
		"192.0.2.7%eth0 50022 198.51.100.1 22",
		"fe80::1% 50022 fe80::2 22",
		"fe80::1%a234567890123456 50022 fe80::2 22",
		"fe80::1%../x 50022 fe80::2 22",
		"192.0.2.7 50022222222222222222 198.51.100.1 22",
		"192.0.2.7 500220 198.51.100.1 22",
	};
	struct sluice_err err;
	char text[400];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct control_session s = {.peer_port = 7};

		err.code = 0;
		if (control_session_parse(bad[i], &s, &err) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
		assert_int_equal(s.peer_port, 7);
		assert_string_equal(err.text,
				    "SSH_CONNECTION does not say 'CLIENT PORT SERVER PORT', so the session "
				    "it stands for cannot be guarded; correct or unset it, or use --force");
	}
	memset(text, '1', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(control_session_parse(text, &(struct control_session){.own = false}, NULL), -EINVAL);
}

/* --- tables --- */

static char root[64];

static void put_file(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	f = fopen(full, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void put_dir(const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_int_equal(mkdir(full, 0700), 0);
}

static void put_link(const char *path, const char *to)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_int_equal(symlink(to, full), 0);
}

#define HEAD \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
#define REST " 00000000:00000000 00:00000000 00000000     0        0 "
#define TAIL " 1 00000000116ec02a 100 0 0 10 0\n"

static int make_proc(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/sluice-guard-test-XXXXXX");
	assert_non_null(mkdtemp(root));
	put_dir("thread-self");
	put_dir("thread-self/net");
	put_dir("self");
	/* 7: sshd, listening on 2022 and with a connection out of it; 8: nginx; 9: a session on 2022 */
	put_dir("7");
	put_dir("7/fd");
	put_file("7/comm", "sshd\n");
	put_link("7/fd/3", "socket:[100]");
	put_link("7/fd/4", "socket:[102]");
	put_link("7/fd/5", "/dev/null");
	put_dir("8");
	put_dir("8/fd");
	put_file("8/comm", "nginx\n");
	put_link("8/fd/3", "socket:[103]");
	put_dir("9");
	put_file("9/comm", "sshd-session\n");
	return 0;
}

static int remove_proc(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", root);
	return system(command);
}

/* 192.0.2.9 is 090200C0, 198.51.100.1 016433C6; 2022 07E6, 22 0016, 443 01BB, 40000 9C40 */
static const char table4[] = HEAD
	"   0: 00000000:07E6 00000000:0000 0A" REST "100" TAIL "   1: 016433C6:07E6 090200C0:9C40 01" REST
	"101" TAIL "   2: 016433C6:9C41 0A0200C0:0016 01" REST "102" TAIL
	"   3: 00000000:01BB 00000000:0000 0A" REST "103" TAIL "   4: 016433C6:01BB 0B0200C0:9C40 01" REST
	"104" TAIL "   5: 016433C6:0016 0C0200C0:9C40 01" REST "0" TAIL
	"   6: 016433C6:0016 0D0200C0:9C40 06" REST "0" TAIL;
/* 2001:db8::9 to 2001:db8::1, and 192.0.2.14 in disguise */
static const char table6[] = HEAD
	"   0: B80D0120000000000000000001000000:0016 B80D0120000000000000000009000000:C366 01" REST "200" TAIL
	"   1: 0000000000000000FFFF0000016433C6:0016 0000000000000000FFFF00000E0200C0:C367 01" REST
	"201" TAIL;

static void tables(void **state)
{
	static const char *const want[] = {"192.0.2.7 port 50022", "192.0.2.9 port 40000",
					   "192.0.2.12 port 40000", "2001:db8::9 port 50022",
					   "192.0.2.14 port 50023"};
	struct control_sessions s;
	struct sluice_err err = {0};
	char said[SESSION_SAY];
	uint32_t i;

	(void)state;
	put_file("thread-self/net/tcp", table4);
	put_file("thread-self/net/tcp6", table6);
	assert_int_equal(control_sessions_read("192.0.2.7 50022 198.51.100.1 22", root, &s, &err), 0);
	assert_int_equal(s.n, 5);
	for (i = 0; i < s.n; i++) {
		assert_string_equal(control_session_say(&s.v[i], said, sizeof(said)), want[i]);
		assert_int_equal(s.v[i].own, !i);
	}
	assert_int_equal(s.v[1].local_port, 2022);
	control_sessions_free(&s);
	/* the own one is among them: once */
	assert_int_equal(control_sessions_read("192.0.2.12 40000 198.51.100.1 22", root, &s, &err), 0);
	assert_int_equal(s.n, 4);
	assert_true(s.v[0].own && !s.v[1].own);
	control_sessions_free(&s);
	assert_int_equal(control_sessions_read("", root, &s, &err), 0);
	assert_int_equal(s.n, 4);
	control_sessions_free(&s);
}

static void bad_table(const char *text, int code, const char *sentence)
{
	struct control_sessions s;
	struct sluice_err err = {0};
	char want[256];

	put_file("thread-self/net/tcp", text);
	assert_int_equal(control_sessions_read(NULL, root, &s, &err), code);
	control_sessions_free(&s);
	snprintf(want, sizeof(want), "%s%s", code == -E2BIG ? "" : root, sentence);
	assert_string_equal(err.text, want);
}

static void bad_tables(void **state)
{
	static const char line[] = "   0: 00000000:07E6 00000000:0000 0A" REST "100";
	char text[sizeof(HEAD) + sizeof(line)];
	struct control_sessions s;
	struct sluice_err err = {0};
	struct buf many = {0};
	size_t i;

	(void)state;
	put_file("thread-self/net/tcp6", HEAD);
	bad_table("", -EBADMSG, "/thread-self/net/tcp is empty");
	/* cut off behind any byte: a socket, or none, and nothing read that is not there */
	for (i = 1; i < sizeof(line) - 1; i++) {
		snprintf(text, sizeof(text), "%s%.*s", HEAD, (int)i, line);
		if (i < sizeof(line) - 4)
			bad_table(text, -EBADMSG, "/thread-self/net/tcp has a line that is no socket");
	}
	bad_table(HEAD "   0: 0000000G:07E6 00000000:0000 0A" REST "100\n", -EBADMSG,
		  "/thread-self/net/tcp has a line that is no socket");
	bad_table(HEAD "   0: 00000000:07E6 00000000:0000 0A" REST "99999999999999999999999\n", -EBADMSG,
		  "/thread-self/net/tcp has a line that is no socket");
	buf_printf(&many, HEAD);
	for (i = 0; i < SESSIONS_MAX + 1; i++)
		buf_printf(&many, "   0: 016433C6:0016 090200C0:%04X 01" REST "0" TAIL, (unsigned int)i + 1);
	bad_table((char *)many.data, -E2BIG,
		  "more than 1024 connections to ports for administration: whether the policy cuts one off "
		  "is not "
		  "looked at");
	buf_free(&many);
	assert_int_equal(control_sessions_read(NULL, "/nowhere", &s, &err), -ENOENT);
	assert_string_equal(err.text, "reading who is connected: /nowhere: No such file or directory");
	control_sessions_free(&s);
}

/* --- the session of a process --- */

static void put_process(const char *pid, const char *name, const char *parent)
{
	char path[64], text[128];

	snprintf(path, sizeof(path), "%s/stat", pid);
	snprintf(text, sizeof(text), "%s (%s) S %s 20 20 34816 0\n", pid, name, parent);
	put_file(path, text);
}

static void above(long pid, const char *want)
{
	char said[SESSION_SAY] = "";
	struct control_session s;
	struct sluice_err err = {0};
	int e = control_session_above(pid, root, &s, &err);

	if (!e)
		control_session_say(&s, said, sizeof(said));
	if (e != (want ? 0 : -ENOENT) || strcmp(said, want ? want : "") != 0)
		fail_msg("%ld: %d, %s, %s", pid, e, said, err.text);
}

/* init 1 - sshd 7 - sshd-session 9 - shell 20 - sudo 21; nginx 8 - 22; 30 and 31 turn in a circle */
static void ancestors(void **state)
{
	/* in front of 9's session on 2022: a port 8080 that it forwards for its client, and a connection to that */
	static const char forwards[] = HEAD "   0: 00000000:07E6 00000000:0000 0A" REST "100" TAIL
					    "   1: 016433C6:9C41 0A0200C0:0016 01" REST "102" TAIL
					    "   2: 00000000:1F90 00000000:0000 0A" REST "105" TAIL
					    "   3: 016433C6:1F90 0F0200C0:9C40 01" REST "106" TAIL
					    "   4: 016433C6:07E6 090200C0:9C40 01" REST "101" TAIL
					    "   5: 00000000:01BB 00000000:0000 0A" REST "103" TAIL
					    "   6: 016433C6:01BB 0B0200C0:9C40 01" REST "104" TAIL
					    "   7: 016433C6:0016 0C0200C0:9C40 01" REST "107" TAIL;
	static const char *const dirs[] = {"9/fd", "20", "21", "22", "23", "24", "24/fd", "30", "31"};
	size_t i;

	(void)state;
	put_file("thread-self/net/tcp", forwards);
	put_file("thread-self/net/tcp6", HEAD);
	for (i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		put_dir(dirs[i]);
	put_link("8/fd/4", "socket:[104]");
	put_link("9/fd/3", "socket:[101]");
	put_link("9/fd/5", "socket:[105]");
	put_link("9/fd/6", "socket:[106]");
	put_process("7", "sshd", "1");
	put_process("8", "nginx", "1");
	put_process("9", "sshd-session", "7");
	put_process("20", "a) S 8 (b", "9");
	put_process("21", "sudo", "20");
	put_process("22", "sluice", "8");
	put_process("30", "x", "31");
	put_process("31", "x", "30");
	above(21, "192.0.2.9 port 40000");
	above(20, "192.0.2.9 port 40000");
	above(9, NULL); /* below the server that listens: what it has is no session */
	above(22, NULL);
	above(30, NULL);
	above(1, NULL);
	/* port 22, where nobody listens any more */
	put_file("24/comm", "sshd\n");
	put_link("24/fd/0", "socket:[107]");
	put_process("24", "sshd", "1");
	put_process("23", "sh", "24");
	above(23, "192.0.2.12 port 40000");
	put_file("23/stat", "");
	above(23, NULL);
	put_file("23/stat", "23 (sh) S");
	above(23, NULL);
	put_process("23", "sh", "24");
	put_file("thread-self/net/tcp", HEAD); /* another network namespace */
	above(23, NULL);
	above(21, NULL);
}

/* --- what is refused --- */

static int read_text(void *ctx, const char *path, size_t max, struct buf *to, struct sluice_err *err)
{
	(void)path;
	(void)max;
	(void)err;
	buf_put(to, ctx, strlen(ctx));
	return 0;
}

static int in_set(void *ctx, const char *set, const struct net_addr *addr)
{
	char text[NET_ADDR_TEXT];

	if (strcmp(set, "live") != 0)
		return -ENOENT;
	return !strcmp(net_addr_format(addr, text, sizeof(text)), ctx);
}

static const char *ssh = "127.0.0.7 50022 127.0.0.1 22";
static char *banned;

/* want: NULL, or what is said in front of the advice */
static void check(const char *rules, const char *want)
{
	static const struct net_if lo[] = {{.index = 1, .name = "lo"}};
	struct control_guard_opts o = {.interfaces = lo, .n_interfaces = 1, .proc = root};
	struct policy_files files = {.read = read_text};
	struct sluice_err err = {0};
	struct policy *p;
	char text[1024];
	int e;

	snprintf(text, sizeof(text),
		 "set a { 127.0.0.0/24, ::1 }\nset live { 127.0.0.7 } timeout 1h\n"
		 "filter on lo {\n%s\n}\n",
		 rules);
	files.ctx = text;
	o.ssh_connection = ssh;
	o.in_set = banned ? in_set : NULL;
	o.ctx = banned;
	if (policy_read("sluice.conf", &files, &p, &err))
		fail_msg("%s: %s", rules, p && p->n_diags ? p->diags[0].text : err.text);
	e = control_guard(p, &o, &err);
	policy_free(p);
	if (!want && e)
		fail_msg("%s: refused: %s", rules, err.text);
	if (!want)
		return;
	snprintf(text, sizeof(text), "%s; use --force, or --confirm 60s to try", want);
	assert_string_equal(err.text, text);
	assert_int_equal(e, -EBUSY);
}

#define YOURS "your session from 127.0.0.7 port 50022 (SSH_CONNECTION)"

static void refusals(void **state)
{
	(void)state;
	put_file("thread-self/net/tcp", HEAD);
	put_file("thread-self/net/tcp6", HEAD);
	check("drop from 127.0.0.0/24", "sluice.conf:4: drop from 127.0.0.0/24 would cut off " YOURS);
	check("pass tcp to port 22\ndefault drop", NULL);
	check("pass tcp to port 23\ndefault drop", "sluice.conf:5: default drop would cut off " YOURS);
	check("drop from @a as \"all of them\"",
	      "sluice.conf:4: drop from @a as \"all of them\" would cut off " YOURS);
	check("drop tcp flags syn/syn,ack",
	      "sluice.conf:4: drop tcp flags syn/syn,ack would refuse another connection "
	      "like " YOURS);
	check("drop tcp length > 120", "sluice.conf:4: drop tcp length > 120 would cut off " YOURS);
	check("redirect to eth1 tcp", "sluice.conf:4: redirect to eth1 tcp would cut off " YOURS);
	check("cpu { 0 } tcp", NULL);
	check("drop tcp from port 50022", "sluice.conf:4: drop tcp from port 50022 would cut off " YOURS);
	check("drop tcp to port 50022", NULL); /* that is the other way round */
	check("drop from 127.0.0.0/24\nshadow", NULL);
	check("log drop from 127.0.0.0/24", "sluice.conf:4: log drop from 127.0.0.0/24 would cut off " YOURS);
	check("drop in eth0\ndrop udp", NULL);
	/* limits are within, unless they are too low for a single packet */
	check("limit tcp to 1/d per source burst 1", NULL);
	check("limit tcp to 8bit/s burst 8bit",
	      "sluice.conf:4: limit tcp to 8bit/s burst 8bit would cut off " YOURS);
	ssh = "::1 50022 ::1 22";
	check("drop ip6",
	      "sluice.conf:4: drop ip6 would cut off your session from ::1 port 50022 (SSH_CONNECTION)");
	check("drop ip4", NULL);
	ssh = "::ffff:127.0.0.7 50022 ::ffff:127.0.0.1 22";
	check("drop ip6", NULL);
	check("drop ip4", "sluice.conf:4: drop ip4 would cut off " YOURS);
	ssh = NULL;
	check("default drop", NULL);
	ssh = "127.0.0.7 50022 127.0.0.1 22";
}

static void live_sets(void **state)
{
	(void)state;
	check("drop from @live", "sluice.conf:4: drop from @live would cut off " YOURS);
	banned = "127.0.0.7";
	check("drop from @live", "sluice.conf:4: drop from @live would cut off " YOURS);
	check("drop from @a", "sluice.conf:4: drop from @a would cut off " YOURS);
	banned = "127.0.0.8";
	check("drop from @live", NULL);
	check("drop from not @live", "sluice.conf:4: drop from not @live would cut off " YOURS);
	banned = NULL;
}

static void several(void **state)
{
	(void)state;
	/* 127.0.0.9 and 127.0.0.10 are connected to port 22 */
	put_file("thread-self/net/tcp", HEAD "   1: 0100007F:0016 0900007F:9C40 01" REST "0" TAIL
					     "   1: 0100007F:0016 0A00007F:9C40 01" REST "0" TAIL);
	check("drop tcp", "sluice.conf:4: drop tcp would cut off " YOURS ", and 2 other sessions");
	check("pass from 127.0.0.7\npass from 127.0.0.9\ndrop tcp",
	      "sluice.conf:6: drop tcp would cut off the session from 127.0.0.10 port 40000 (connected to "
	      "port 22)");
	ssh = "nonsense";
	{
		struct control_guard_opts o = {.proc = root, .ssh_connection = ssh};

		assert_int_equal(control_guard(NULL, &o, NULL), -EINVAL);
	}
	ssh = NULL;
	check("pass from 127.0.0.9\ndefault drop",
	      "sluice.conf:5: default drop would cut off the session from 127.0.0.10 "
	      "port 40000 (connected to port 22)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_good), cmocka_unit_test(parse_bad), cmocka_unit_test(tables),
		cmocka_unit_test(bad_tables), cmocka_unit_test(ancestors), cmocka_unit_test(refusals),
		cmocka_unit_test(live_sets),  cmocka_unit_test(several),
	};

	return cmocka_run_group_tests(tests, make_proc, remove_proc);
}
