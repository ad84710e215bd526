// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A TCP server that misbehaves: health-hostile HOW PORT; it says "ready" and serves until it is killed.
 * One child a connection. HOW:
 *
 *   rst       resets each connection as soon as it is there        silence   says nothing
 *   close     closes at once                                       garbage   says bytes of no protocol
 *   headers   headers without end                                  line      a first line without end
 *   slow      a byte of an answer every 20 ms                      chunks    a body of chunks without end
 *   size      a chunk of an impossible size                        length    a length that nobody believes
 *   half      the headers, then silence                            cut       half of the headers, then the end
 *   early     103 without end                                      tlsflood  TLS records without end
 *   body      a good answer, "needle" in the second chunk, cut     echo      the request as the body
 *   accept    closes at once, without a child: for many            STATUS    that status and nothing else
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		_exit(0);
}

static void for_ever(int fd, const char *text)
{
	for (;;)
		say(fd, text);
}

static void silence(int fd)
{
	char data[1024];

	while (read(fd, data, sizeof(data)) > 0)
		;
}

static void reset(int fd)
{
	struct linger l = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
	_exit(0);
}

static void slow(int fd, const char *text)
{
	for (; *text; text++) {
		if (write(fd, text, 1) < 0)
			return;
		usleep(20000);
	}
}

static void garbage(int fd)
{
	char data[256];

	for (int i = 0; i < 256; i++)
		data[i] = (char)(i ^ 0x5a);
	for (int i = 0; i < 4096 && write(fd, data, sizeof(data)) > 0; i++)
		;
}

static void tls_flood(int fd)
{
	/* handshake records of 16,000 bytes, of which each begins a message of the type "hello request", length 0 */
	static char record[5 + 16000] = {22, 3, 3, 16000 >> 8, (char)(16000 & 255)};

	while (write(fd, record, sizeof(record)) > 0)
		;
}

static void echo(int fd, const char *request)
{
	char answer[4096];

	snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(request),
		 request);
	say(fd, answer);
}

static void serve(int fd, const char *how)
{
	char request[2048], answer[128];
	ssize_t n;

	if (!strcmp(how, "rst"))
		reset(fd);
	if (!strcmp(how, "close")) {
		shutdown(fd, SHUT_WR);
		return silence(fd);
	}
	if (!strcmp(how, "silence"))
		return silence(fd);
	if (!strcmp(how, "garbage"))
		return garbage(fd);
	n = read(fd, request, sizeof(request) - 1);
	if (n <= 0)
		return;
	request[n] = '\0';
	if (!strcmp(how, "headers")) {
		say(fd, "HTTP/1.1 200 OK\r\n");
		for_ever(fd, "X-More: and more and more\r\n");
	} else if (!strcmp(how, "line")) {
		for_ever(fd, "HTTP/1.1 200 OK and so on");
	} else if (!strcmp(how, "early")) {
		for_ever(fd, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
	} else if (!strcmp(how, "slow")) {
		slow(fd, "HTTP/1.1 200 OK\r\nServer: slow\r\nContent-Length: 0\r\nX-A: "
			 "bbbbbbbbbbbbbbbbbbbbbbb\r\n\r\n");
	} else if (!strcmp(how, "chunks")) {
		say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		for_ever(fd, "10\r\n0123456789abcdef\r\n");
	} else if (!strcmp(how, "size")) {
		say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n");
	} else if (!strcmp(how, "length")) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n");
	} else if (!strcmp(how, "half")) {
		say(fd, "HTTP/1.1 200 OK\r\nServer: half\r\n");
		silence(fd);
	} else if (!strcmp(how, "cut")) {
		say(fd, "HTTP/1.1 200 OK\r\nServ");
	} else if (!strcmp(how, "body")) {
		say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nneene\r\n");
		usleep(10000);
		say(fd, "B\r\nedle is her\r\n0\r\n\r\n");
		silence(fd);
	} else if (!strcmp(how, "tlsflood")) {
		tls_flood(fd);
	} else if (!strcmp(how, "echo")) {
		echo(fd, request);
	} else {
		snprintf(answer, sizeof(answer), "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", how);
		say(fd, answer);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6};
	int one = 1, fd, peer;

	if (argc != 3)
		return 2;
	signal(SIGCHLD, SIG_IGN);
	addr.sin6_port = htons((unsigned short)strtoul(argv[2], NULL, 10));
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 4096)) {
		perror("health-hostile");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while ((peer = accept(fd, NULL, NULL)) >= 0 || errno == ECONNABORTED || errno == EINTR) {
		if (peer < 0)
			continue;
		if (!strcmp(argv[1], "accept")) { /* without a child: for many */
			close(peer);
			continue;
		}
		if (!fork()) {
			close(fd);
			serve(peer, argv[1]);
			_exit(0);
		}
		close(peer);
	}
	return 1;
}
