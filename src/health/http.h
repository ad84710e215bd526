/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An HTTP/1.1 answer (RFC 9112), read as it comes and kept nowhere: status, end of the headers, and whether the body
 * contains what is looked for. Pure; all bytes are hostile, all of them are counted.
 */
#ifndef HEALTH_HTTP_H
#define HEALTH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/health.h"

/* What makes an answer good. */
struct http_want {
	struct health_range status[HEALTH_STATUSES];
	size_t n_status;
	char status_text[64]; /* "200-399, 404" */
	bool head;	      /* no body follows */
	const char *body;     /* NULL: anything */
	size_t body_len;
	uint8_t borders[HEALTH_BODY_MAX +
			1]; /* of Knuth, Morris, Pratt, "Fast Pattern Matching in Strings", 1977 */
};

enum http_part {
	HTTP_STATUS,
	HTTP_HEADERS,
	HTTP_LENGTH,	/* a body of `left` bytes */
	HTTP_TO_END,	/* a body until the connection ends */
	HTTP_SIZE,	/* line of a chunk's size */
	HTTP_CHUNK,	/* its `left` bytes */
	HTTP_CHUNK_END, /* the line end behind it */
};

#define HTTP_LINE 256 /* of a line are kept; what matters in an answer is shorter */

struct http_answer {
	uint8_t part;
	bool chunked, has_length;
	uint16_t status;
	uint16_t n_line; /* bytes of the line, of which HTTP_LINE - 1 are kept */
	uint16_t matched;
	uint32_t header_bytes, body_bytes;
	uint64_t left;
	char line[HTTP_LINE];
};

enum http_verdict {
	HTTP_MORE, /* it is not decided yet */
	HTTP_GOOD,
	HTTP_BAD,
};

/* http_want_body() prepares the search; the text stays the caller's. At most HEALTH_BODY_MAX bytes. */
void http_want_body(struct http_want *w, const char *body);

/*
 * http_read() goes on with len more bytes of an answer that began zeroed; http_end() says that there are no more.
 *
 * out:     why  of size bytes: what is wrong, or "status 200"; it may hold bytes of the peer (flight_why() escapes)
 */
enum http_verdict http_read(struct http_answer *a, const struct http_want *w, const uint8_t *data, size_t len,
			    char *why, size_t size);
enum http_verdict http_end(const struct http_answer *a, const struct http_want *w, char *why, size_t size);

#endif
