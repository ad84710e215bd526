// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Answers of HTTP servers, good and hostile, in one piece, byte by byte and in random pieces; echo replies. */
#include <stdio.h>

#include "base/test.h"
#include "health/http.h"
#include "health/icmp.h"

static struct http_want want(const char *body)
{
	struct http_want w = {.n_status = 2,
			      .status = {{200, 299}, {404, 404}},
			      .status_text = "200-299, 404"};

	if (body)
		http_want_body(&w, body);
	return w;
}

static enum http_verdict feed(const struct http_want *w, const char *data, size_t len, size_t piece,
			      char why[HEALTH_WHY])
{
	struct http_answer a = {0};
	enum http_verdict v = HTTP_MORE;

	why[0] = '\0';
	for (size_t at = 0; at < len && v == HTTP_MORE; at += piece) {
		/* an allocation of its own: reading past its end is seen by ASan */
		size_t n = len - at < piece ? len - at : piece;
		uint8_t *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, data + at, n);
		v = http_read(&a, w, copy, n, why, HEALTH_WHY);
		free(copy);
	}
	return v == HTTP_MORE ? http_end(&a, w, why, HEALTH_WHY) : v;
}

static void is(const char *body, const char *answer, bool good, const char *sentence)
{
	struct http_want w = want(body);
	char why[HEALTH_WHY];

	for (size_t piece = 1; piece <= strlen(answer) + 1; piece++) {
		assert_int_equal(feed(&w, answer, strlen(answer), piece, why), good ? HTTP_GOOD : HTTP_BAD);
		assert_string_equal(why, sentence);
	}
}

#define OK "HTTP/1.1 200 OK\r\n"

static void test_answers(void **state)
{
	(void)state;
	is(NULL, OK "\r\n", true, "status 200");
	is(NULL, "HTTP/1.0 204\n\n", true, "status 204");
	is(NULL, "HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n", true, "status 404");
	is(NULL, "HTTP/1.1 503 No\r\nA: b\r\n\r\n", false, "status 503, expected 200-299, 404");
	is(NULL, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: a\r\n\r\nHTTP/1.1 201 x\r\n\r\n", true,
	   "status 201");
	is(NULL, "HTTP/1.1 101 Switching Protocols\r\n\r\n", false, "status 101, expected 200-299, 404");
	is(NULL, "", false, "connection closed without an answer");
	is(NULL, "HTTP/1.1 2", false, "connection closed within the first line of the answer");
	is(NULL, OK "Server: x", false, "status 200, but connection closed within the headers");
	is(NULL, "SSH-2.0-OpenSSH_9.2\r\n", false, "no HTTP answer but 'SSH-2.0-OpenSSH_9.2'");
	is(NULL, "HTTP/2.0 200 OK\r\n", false, "no HTTP answer but 'HTTP/2.0 200 OK'");
	is(NULL, "HTTP/1.1 20 OK\r\n", false, "no HTTP answer but 'HTTP/1.1 20 OK'");
	is(NULL, "HTTP/1.1 2000 OK\r\n", false, "no HTTP answer but 'HTTP/1.1 2000 OK'");
	is(NULL, "HTTP/1.1 000 OK\r\n", false, "no HTTP answer but 'HTTP/1.1 000 OK'");
	is(NULL, "\r\n", false, "no HTTP answer but ''");
}

static void test_bodies(void **state)
{
	(void)state;
	is("needle", OK "Content-Length: 12\r\n\r\nneneedlexxxx", true, "status 200");
	is("needle", OK "content-length:6 \r\nContent-Length: 6\r\n\r\nneedle", true, "status 200");
	is("needle", OK "Content-Length: 5\r\n\r\nneedle", false,
	   "status 200, but 'needle' is not in the body (5 bytes)");
	is("needle", OK "Content-Length: 0\r\n\r\nneedle", false,
	   "status 200, but 'needle' is not in the body (0 bytes)");
	is("needle", OK "\r\nxxneedle", true, "status 200");
	is("needle", OK "\r\nxxneedl", false, "status 200, but 'needle' is not in the body (7 bytes)");
	is("needle", OK "Content-Length: 9\r\n\r\nneedl", false,
	   "status 200, but connection closed within the body");
	is("aab", OK "\r\naaab", true, "status 200");
	is("abab c", OK "\r\nababab c", true, "status 200");
	is("needle", "HTTP/1.1 204 x\r\n\r\nneedle", false,
	   "status 204, but 'needle' is not in the body (0 bytes)");
	is("needle", OK "Content-Length: 6\r\nContent-Length: 7\r\n\r\nneedle", false,
	   "the answer's Content-Length is '7'");
	is("needle", OK "Content-Length: -6\r\n\r\n", false, "the answer's Content-Length is '-6'");
	is("needle", OK "Content-Length: \r\n\r\n", false, "the answer's Content-Length is ''");
	is("needle", OK "Content-Length: 99999999999999999999\r\n\r\n", false,
	   "the answer's Content-Length is '99999999999999999999'");
}

#define CHUNKED OK "Transfer-Encoding: Chunked\r\n\r\n"

static void test_chunks(void **state)
{
	(void)state;
	is("needle", CHUNKED "3\r\nnee\r\n3;a=\"b\"\r\ndle\r\n0\r\n\r\n", true, "status 200");
	/* what is between chunks is not the body */
	is("nee\r\n3", CHUNKED "3\r\nnee\r\n3\r\ndle\r\n0\r\n\r\n", false,
	   "status 200, but 'nee\r\n3' is not in the body (6 bytes)");
	is("needle", CHUNKED "A\r\n0123456789\r\n0\r\n\r\n", false,
	   "status 200, but 'needle' is not in the body (10 bytes)");
	/* blanks around a value are not part of it */
	is("needle", OK "Transfer-Encoding: chunked \t \r\n\r\n6\r\nneedle\r\n0\r\n\r\n", true, "status 200");
	is("needle", OK "Transfer-Encoding:\tchunked\t\n\n6\r\nneedle\r\n0\r\n\r\n", true, "status 200");
	is(NULL, OK "Transfer-Encoding: gzip, chunked \r\n\r\n", false,
	   "the answer has Transfer-Encoding 'gzip, chunked', which was not asked for");
	is(NULL, OK "Transfer-Encoding: \r\n\r\n", false,
	   "the answer has Transfer-Encoding '', which was not asked for");
	is("needle", OK "Content-Length: 6 6\t\r\n\r\n", false, "the answer's Content-Length is '6 6'");
	is("needle", CHUNKED "g\r\n", false, "a chunk of the answer has the size 'g'");
	is("needle", CHUNKED "\r\n", false, "a chunk of the answer has the size ''");
	is("needle", CHUNKED "10000000000000000\r\n", false,
	   "a chunk of the answer has the size '10000000000000000'");
	is("needle", CHUNKED "2\r\nabc\r\n", false, "a chunk of the answer does not end where it should");
	is("needle", CHUNKED "5\r\nab", false, "status 200, but connection closed within the body");
	is("needle", OK "Transfer-Encoding: gzip\r\n\r\n", false,
	   "the answer has Transfer-Encoding 'gzip', which was not asked for");
	/* RFC 9112, 6.3: chunked counts, whatever the length says */
	is("needle", OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nneedle\r\n0\r\n\r\n",
	   true, "status 200");
}

/* Answers without end are read up to a bound, in whatever part they do not end. */
static void endless(const char *body, const char *front, const char *again, size_t bound,
		    const char *sentence)
{
	struct http_want w = want(body);
	struct http_answer a = {0};
	char why[HEALTH_WHY];
	size_t n = strlen(front);

	assert_int_equal(http_read(&a, &w, (const uint8_t *)front, n, why, sizeof(why)), HTTP_MORE);
	while (http_read(&a, &w, (const uint8_t *)again, strlen(again), why, sizeof(why)) == HTTP_MORE) {
		n += strlen(again);
		assert_true(n < 8 * bound);
	}
	assert_true(n >= bound / 4);
	assert_string_equal(why, sentence);
}

static void test_bounds(void **state)
{
	(void)state;
	endless(NULL, OK, "X-Y: z\r\n", HEALTH_HEADER_BYTES,
		"status 200, but more than 16384 bytes of headers");
	endless(NULL, OK, "xxxxxxxxxxxx", HEALTH_HEADER_BYTES,
		"status 200, but more than 16384 bytes of headers");
	endless(NULL, "", "HTTP/1.1 200 and so on ", HEALTH_HEADER_BYTES,
		"no HTTP answer within 16384 bytes");
	endless(NULL, "", "HTTP/1.1 100 a\r\n\r\n", HEALTH_HEADER_BYTES, "no HTTP answer within 16384 bytes");
	endless("needle", OK "\r\n", "a needl", HEALTH_BODY_BYTES,
		"status 200, but 'needle' is not in the first 65536 bytes of the body");
	endless("needle", CHUNKED, "400\r\n", HEALTH_BODY_BYTES,
		"status 200, but 'needle' is not in the first 65536 bytes of the body");
	endless("needle", CHUNKED, "1\r\na\r\n", HEALTH_HEADER_BYTES,
		"status 200, but more than 16384 bytes around the chunks of the body");
}

static uint64_t seed = 5;

static uint32_t chance(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

/* Random pieces of answers: the verdict does not depend on how they come, and every end has a sentence. */
static void test_random(void **state)
{
	static const char *const pieces[] = {
		"HTTP/1.1 ",
		"200",
		" OK",
		"\r\n",
		"\n",
		"\r",
		"Content-Length: ",
		"7",
		"Transfer-Encoding: chunked",
		"needle",
		"ne",
		"\r\n\r\n",
		"A: b",
		"0",
		"f",
		"\x01\xff",
		":",
		" ",
		"HTTP/1.1 200 OK\r\n",
		"100",
	};
	struct http_want wants[] = {want(NULL), want("needle"), want("\n")};
	char text[512], why[HEALTH_WHY], other[HEALTH_WHY];
	enum http_verdict v;
	size_t len;

	(void)state;
	for (int i = 0; i < 30000; i++) {
		const struct http_want *w = &wants[i % 3];

		len = (size_t)snprintf(text, sizeof(text), "%s", chance(4) ? OK : "");
		for (uint32_t n = chance(20); n; n--)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
						pieces[chance(sizeof(pieces) / sizeof(pieces[0]))]);
		v = feed(w, text, len, 1, why);
		assert_true(why[0]);
		assert_int_equal(feed(w, text, len, 1 + chance(40), other), v);
		assert_string_equal(why, other);
	}
}

static void test_echo(void **state)
{
	uint8_t request[ICMP_BYTES], packet[20 + 40 + ICMP_BYTES] = {0};
	uint16_t ident = 0x1234, wrong = 0x1235;
	const uint64_t nonce = UINT64_C(0x0123456789abcdef);
	uint32_t sum = 0;

	(void)state;
	icmp_request(request, false, ident, nonce);
	assert_int_equal(request[0], 8);
	for (int i = 0; i < ICMP_BYTES; i += 2)
		sum += (uint32_t)request[i] << 8 | request[i + 1];
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	/* its own request is no reply */
	assert_false(icmp_is_reply(request, ICMP_BYTES, false, false, &ident, nonce));
	request[0] = 0;
	assert_true(icmp_is_reply(request, ICMP_BYTES, false, false, &ident, nonce));
	assert_true(icmp_is_reply(request, ICMP_BYTES, false, false, NULL, nonce));
	assert_false(icmp_is_reply(request, ICMP_BYTES, false, false, &wrong, nonce));
	assert_false(icmp_is_reply(request, ICMP_BYTES, false, false, &ident, nonce + 1));
	assert_false(icmp_is_reply(request, ICMP_BYTES - 1, false, false, &ident, nonce));
	assert_false(icmp_is_reply(request, ICMP_BYTES, true, false, &ident, nonce));
	for (size_t options = 0; options <= 40; options += 4) {
		packet[0] = (uint8_t)(0x45 + options / 4);
		memcpy(packet + 20 + options, request, ICMP_BYTES);
		assert_true(icmp_is_reply(packet, 20 + options + ICMP_BYTES, false, true, &ident, nonce));
		for (size_t n = 0; n < 20 + options + ICMP_BYTES; n++)
			assert_false(icmp_is_reply(packet, n, false, true, &ident, nonce));
	}
	packet[0] = 0x44;
	assert_false(icmp_is_reply(packet, sizeof(packet), false, true, &ident, nonce));
	icmp_request(request, true, ident, nonce);
	assert_int_equal(request[0], 128);
	request[0] = 129;
	assert_true(icmp_is_reply(request, ICMP_BYTES, true, false, &ident, nonce));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers), cmocka_unit_test(test_bodies), cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_bounds),	cmocka_unit_test(test_random), cmocka_unit_test(test_echo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
