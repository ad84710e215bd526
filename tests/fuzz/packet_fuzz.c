// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Fuzzes packets in words, both ways. An input that starts with 't' is text: it is understood or refused with
 * a sentence, and what it builds is what its own words expect. Everything else is a frame: its text builds
 * the same bytes, expects them, and its fragments fit into what was asked.
 */
#include <stdlib.h>
#include <string.h>
#include <sluice/packet.h>

#include "fuzz/fuzz.h"

static uint8_t room[SLUICE_PACKET_MAX], part[SLUICE_PACKET_MAX];

static void from_text(const uint8_t *data, size_t len)
{
	struct sluice_err err = {0};
	char *text = malloc(len + 1);
	size_t n = 0;

	if (!text)
		return;
	memcpy(text, data, len);
	text[len] = '\0';
	if (sluice_packet_build(text, room, sizeof(room), &n, &err) && !err.text[0])
		abort();
	sluice_packet_match(text, room, n, &err);
	free(text);
}

static void from_frame(const uint8_t *data, size_t len)
{
	char *text = sluice_packet_text(data, len);
	size_t n = 0, k;
	unsigned int i;

	if (!text)
		return;
	if (sluice_packet_build(text, room, sizeof(room), &n, NULL) || n != len ||
	    (n && memcmp(room, data, n) != 0))
		abort();
	for (i = 0; i < 4 && !sluice_packet_fragment(data, len, 100, 7, i, part, sizeof(part), &k, NULL); i++)
		if (k > len + 8)
			abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len && data[0] == 't')
		from_text(data + 1, len - 1);
	else
		from_frame(data, len);
	return 0;
}
