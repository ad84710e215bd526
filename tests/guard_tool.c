// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * guard-tool FILE [SSH_CONNECTION]    would the policy cut somebody off? The sentence, and 0 no, 1 yes, 2 anything else
 * guard-tool listen ADDR PORT         a server that takes every connection and keeps it
 * guard-tool session ADDR PORT COMMAND...    a server that takes one connection, and runs a command in it
 * guard-tool connect FROM PORT TO PORT    a client that stays
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/guard.h"

static struct sockaddr_in place(const char *addr, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};

	if (inet_pton(AF_INET, addr, &a.sin_addr) != 1)
		exit(2);
	return a;
}

static int bound(const char *addr, const char *port)
{
	struct sockaddr_in a = place(addr, port);
	int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(s, (struct sockaddr *)&a, sizeof(a)))
		exit(2);
	return s;
}

static int serve(char **argv)
{
	int s = bound(argv[2], argv[3]);

	if (listen(s, 8))
		return 2;
	while (accept(s, NULL, NULL) >= 0)
		;
	return 2;
}

/* As sshd does it: the process that has the connection does not listen, and waits for the command, which has none of both. */
static int run_session(char **argv)
{
	int s = bound(argv[2], argv[3]), c, status;

	if (listen(s, 8) || (c = accept(s, NULL, NULL)) < 0)
		return 2;
	if (fork()) {
		close(c);
		return wait(&status) > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
	}
	close(s);
	if (!fork()) {
		close(c);
		execvp(argv[4], argv + 4);
		return 2;
	}
	return wait(&status) > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static int stay(char **argv)
{
	struct sockaddr_in to = place(argv[4], argv[5]);

	if (connect(bound(argv[2], argv[3]), (struct sockaddr *)&to, sizeof(to)))
		return 2;
	return pause();
}

static void warn(void *ctx, const char *sentence)
{
	(void)ctx;
	fprintf(stderr, "%s\n", sentence);
}

int main(int argc, char **argv)
{
	struct control_guard_opts o = {.ssh_connection = argc > 2 ? argv[2] : NULL, .warn = warn};
	struct sluice_err err = {0};
	struct policy *p = NULL;
	int e;

	if (argc == 4 && !strcmp(argv[1], "listen"))
		return serve(argv);
	if (argc > 4 && !strcmp(argv[1], "session"))
		return run_session(argv);
	if (argc == 6 && !strcmp(argv[1], "connect"))
		return stay(argv);
	e = argc < 2 ? -EINVAL : policy_read(argv[1], NULL, &p, &err);
	if (!e)
		e = control_guard(p, &o, &err);
	if (e)
		printf("%s\n", err.text);
	policy_free(p);
	return e == -EBUSY ? 1 : e ? 2 : 0;
}
