// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fuzzes what health checks read from peers. The first byte says what is wanted and into what pieces the rest is cut:
 * the verdict and its sentence do not depend on the pieces, and nothing is read past what is allowed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "health/http.h"
#include "health/icmp.h"

static enum http_verdict feed(const struct http_want *w, const uint8_t *data, size_t len, size_t piece,
			      char *why)
{
	enum http_verdict v = HTTP_MORE;
	struct http_answer a = {0};

	for (size_t at = 0; at < len && v == HTTP_MORE; at += piece) {
		v = http_read(&a, w, data + at, len - at < piece ? len - at : piece, why, HEALTH_WHY);
		if (a.header_bytes > HEALTH_HEADER_BYTES + 1 || a.body_bytes > HEALTH_BODY_BYTES)
			abort();
	}
	return v == HTTP_MORE ? http_end(&a, w, why, HEALTH_WHY) : v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http_want w = {.n_status = 1, .status = {{200, 399}}, .status_text = "200-399"};
	char why[HEALTH_WHY] = "", other[HEALTH_WHY] = "";
	uint64_t nonce = 0;
	uint8_t *copy;

	if (!len)
		return 0;
	if (data[0] & 1)
		http_want_body(&w, data[0] & 2 ? "needle" : "aab");
	w.head = data[0] & 4;
	copy = malloc(len); /* ends where the input ends */
	if (!copy)
		abort();
	memcpy(copy, data + 1, len - 1);
	if (feed(&w, copy, len - 1, 1, why) != feed(&w, copy, len - 1, 1 + (data[0] >> 3), other) ||
	    !why[0] || strcmp(why, other) != 0)
		abort();
	icmp_is_reply(copy, len - 1, data[0] & 1, data[0] & 2, NULL, nonce);
	free(copy);
	return 0;
}
