// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * HTTP/1.1 answers, byte by byte. libevent's client makes its socket itself, so it cannot be given a mark or an
 * interface before it connects, and it keeps bodies; a check needs neither more than this.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "health/http.h"

void http_want_body(struct http_want *w, const char *body)
{
	size_t k = 0;

	w->body = body;
	w->body_len = strlen(body);
	w->borders[0] = 0;
	for (size_t i = 1; i < w->body_len; i++) {
		while (k && body[k] != body[i])
			k = w->borders[k - 1];
		k += body[k] == body[i];
		w->borders[i] = (uint8_t)k;
	}
}

static bool wanted(const struct http_want *w, uint16_t status)
{
	for (size_t i = 0; i < w->n_status; i++)
		if (status >= w->status[i].lo && status <= w->status[i].hi)
			return true;
	return false;
}

static bool digits(const char *s, unsigned int n)
{
	for (; n; n--, s++)
		if (*s < '0' || *s > '9')
			return false;
	return true;
}

/* status-line = HTTP-version SP status-code SP [ reason-phrase ]; servers omit the last blank, too */
static enum http_verdict status_line(struct http_answer *a, char *why, size_t size)
{
	const char *s = a->line;

	if (strncmp(s, "HTTP/1.", 7) != 0 || !digits(s + 7, 1) || s[8] != ' ' || !digits(s + 9, 3) ||
	    s[9] == '0' || (s[12] && s[12] != ' ')) {
		snprintf(why, size, "no HTTP answer but '%.60s'", s);
		return HTTP_BAD;
	}
	a->status = (uint16_t)((s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0'));
	a->part = HTTP_HEADERS;
	return HTTP_MORE;
}

/* The value of a header line if it is of that name; blanks around it are not part of it (RFC 9110, 5.5), and are cut off. */
static const char *header(char *line, const char *name)
{
	size_t n = strlen(name), end;

	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	for (line += n + 1; *line == ' ' || *line == '\t'; line++)
		;
	for (end = strlen(line); end && (line[end - 1] == ' ' || line[end - 1] == '\t'); end--)
		;
	line[end] = '\0';
	return line;
}

/* A number that is the whole of the text, but for blanks behind it and what may follow ';' */
static bool number(const char *s, unsigned int base, uint64_t *to)
{
	static const char all[] = "0123456789abcdef";
	const char *start = s, *digit;
	uint64_t v = 0;

	for (; *s && (digit = memchr(all, *s >= 'A' && *s <= 'F' ? *s | 0x20 : *s, base)); s++) {
		if (v >> 58)
			return false;
		v = v * base + (uint64_t)(digit - all);
	}
	*to = v;
	for (; s > start && (*s == ' ' || *s == '\t'); s++)
		;
	return s > start && (!*s || (base == 16 && *s == ';'));
}

static enum http_verdict header_line(struct http_answer *a, char *why, size_t size)
{
	const char *value = header(a->line, "content-length");
	uint64_t v;

	if (value) {
		if (!number(value, 10, &v) || (a->has_length && v != a->left)) {
			snprintf(why, size, "the answer's Content-Length is '%.40s'", value);
			return HTTP_BAD;
		}
		a->has_length = true;
		a->left = v;
	}
	value = header(a->line, "transfer-encoding");
	if (value) {
		if (strcasecmp(value, "chunked") != 0) {
			snprintf(why, size,
				 "the answer has Transfer-Encoding '%.40s', which was not asked for", value);
			return HTTP_BAD;
		}
		a->chunked = true;
	}
	return HTTP_MORE;
}

static enum http_verdict good(const struct http_answer *a, char *why, size_t size)
{
	snprintf(why, size, "status %u", a->status);
	return HTTP_GOOD;
}

static enum http_verdict not_found(const struct http_answer *a, const struct http_want *w, char *why,
				   size_t size)
{
	snprintf(why, size, "status %u, but '%.60s' is not in the body (%u bytes)", a->status, w->body,
		 a->body_bytes);
	return HTTP_BAD;
}

static enum http_verdict headers_over(struct http_answer *a, const struct http_want *w, char *why,
				      size_t size)
{
	/* 100 Continue, 103 Early Hints: another answer follows; 101 would be the last */
	if (a->status < 200 && a->status != 101) {
		*a = (struct http_answer){.header_bytes = a->header_bytes};
		return HTTP_MORE;
	}
	if (!wanted(w, a->status)) {
		snprintf(why, size, "status %u, expected %s", a->status, w->status_text);
		return HTTP_BAD;
	}
	if (!w->body)
		return good(a, why, size);
	if (a->chunked)
		a->part = HTTP_SIZE;
	else if (a->has_length)
		a->part = HTTP_LENGTH;
	else
		a->part = HTTP_TO_END;
	if (w->head || a->status == 204 || a->status == 304 || a->status == 101 ||
	    (a->part == HTTP_LENGTH && !a->left))
		return not_found(a, w, why, size);
	return HTTP_MORE;
}

static enum http_verdict line_over(struct http_answer *a, const struct http_want *w, char *why, size_t size)
{
	enum http_verdict v = HTTP_MORE;
	uint16_t n = a->n_line < HTTP_LINE - 1 ? a->n_line : HTTP_LINE - 1;

	if (n == a->n_line && n && a->line[n - 1] == '\r')
		n--;
	a->line[n] = '\0';
	a->n_line = 0;
	switch ((enum http_part)a->part) {
	case HTTP_STATUS:
		return status_line(a, why, size);
	case HTTP_HEADERS:
		return n ? header_line(a, why, size) : headers_over(a, w, why, size);
	case HTTP_SIZE:
		if (!number(a->line, 16, &a->left)) {
			snprintf(why, size, "a chunk of the answer has the size '%.40s'", a->line);
			return HTTP_BAD;
		}
		a->part = HTTP_CHUNK;
		if (!a->left)
			v = not_found(a, w, why, size);
		return v;
	case HTTP_CHUNK_END:
		a->part = HTTP_SIZE;
		if (n) {
			snprintf(why, size, "a chunk of the answer does not end where it should");
			v = HTTP_BAD;
		}
		return v;
	default:
		return v;
	}
}

static enum http_verdict line_byte(struct http_answer *a, const struct http_want *w, uint8_t byte, char *why,
				   size_t size)
{
	if (++a->header_bytes > HEALTH_HEADER_BYTES) {
		if (a->part == HTTP_STATUS)
			snprintf(why, size, "no HTTP answer within %u bytes", HEALTH_HEADER_BYTES);
		else if (a->part != HTTP_HEADERS)
			snprintf(why, size, "status %u, but more than %u bytes around the chunks of the body",
				 a->status, HEALTH_HEADER_BYTES);
		else
			snprintf(why, size, "status %u, but more than %u bytes of headers", a->status,
				 HEALTH_HEADER_BYTES);
		return HTTP_BAD;
	}
	if (byte == '\n')
		return line_over(a, w, why, size);
	if (a->n_line < HTTP_LINE - 1)
		a->line[a->n_line] = byte ? (char)byte : '?';
	a->n_line++;
	return HTTP_MORE;
}

/* true: found */
static bool search(struct http_answer *a, const struct http_want *w, uint8_t byte)
{
	size_t k = a->matched;

	while (k && (uint8_t)w->body[k] != byte)
		k = w->borders[k - 1];
	k += (uint8_t)w->body[k] == byte;
	a->matched = (uint16_t)k;
	return k == w->body_len;
}

static enum http_verdict body_byte(struct http_answer *a, const struct http_want *w, uint8_t byte, char *why,
				   size_t size)
{
	a->body_bytes++;
	if (search(a, w, byte))
		return good(a, why, size);
	if (a->body_bytes >= HEALTH_BODY_BYTES) {
		snprintf(why, size, "status %u, but '%.60s' is not in the first %u bytes of the body",
			 a->status, w->body, HEALTH_BODY_BYTES);
		return HTTP_BAD;
	}
	if (a->part == HTTP_TO_END || --a->left)
		return HTTP_MORE;
	if (a->part == HTTP_LENGTH)
		return not_found(a, w, why, size);
	a->part = HTTP_CHUNK_END;
	return HTTP_MORE;
}

enum http_verdict http_read(struct http_answer *a, const struct http_want *w, const uint8_t *data, size_t len,
			    char *why, size_t size)
{
	enum http_verdict v = HTTP_MORE;

	for (size_t i = 0; i < len && v == HTTP_MORE; i++) {
		if (a->part == HTTP_LENGTH || a->part == HTTP_TO_END || a->part == HTTP_CHUNK)
			v = body_byte(a, w, data[i], why, size);
		else
			v = line_byte(a, w, data[i], why, size);
	}
	return v;
}

enum http_verdict http_end(const struct http_answer *a, const struct http_want *w, char *why, size_t size)
{
	if (a->part == HTTP_TO_END)
		return not_found(a, w, why, size);
	if (a->part == HTTP_STATUS && !a->header_bytes)
		snprintf(why, size, "connection closed without an answer");
	else if (a->part == HTTP_STATUS)
		snprintf(why, size, "connection closed within the first line of the answer");
	else if (a->part == HTTP_HEADERS)
		snprintf(why, size, "status %u, but connection closed within the headers", a->status);
	else
		snprintf(why, size, "status %u, but connection closed within the body", a->status);
	return HTTP_BAD;
}
