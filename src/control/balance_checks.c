// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the last checks of backends said, as text. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "control/balance_checks.h"
#include "control/balance_inside.h"
#include "control/files.h"

#define FILE_MOST (4u << 20) /* 4,000 backends of 350 bytes and more */

static void file_name(const struct balance_live *b, uint32_t service, char to[32])
{
	snprintf(to, 32, "balance_checks_%u", b->services[service].number);
}

static size_t head(const struct net_addr *addr, uint16_t port, char to[NET_ADDR_TEXT + 8])
{
	char text[NET_ADDR_TEXT];

	return (size_t)snprintf(to, NET_ADDR_TEXT + 8, "%s %u ", net_addr_format(addr, text, sizeof(text)), port);
}

void balance_checks_line(struct buf *to, const struct net_addr *addr, uint16_t port, bool asked, const char *why)
{
	char at[NET_ADDR_TEXT + 8];

	head(addr, port, at);
	buf_printf(to, "%s%s %.*s\n", at, asked ? "bad" : "unasked", BALANCE_CHECKS_WHY - 1, why);
}

int balance_checks_write(const struct balance_live *b, uint32_t service, const struct buf *lines, struct sluice_err *err)
{
	char name[32], path[PATH_MAX];
	int e;

	if (lines->failed)
		return err_nomem(err);
	file_name(b, service, name);
	if (lines->len)
		return files_write(b->dir, name, lines->data, lines->len, false, err);
	e = files_path(path, sizeof(path), b->dir, name, err);
	if (!e && unlink(path) && errno != ENOENT)
		e = err_set(err, -errno, "%s: %s", path, strerror(errno));
	return e;
}

int balance_checks_read(const struct balance_live *b, uint32_t service, struct buf *lines, struct sluice_err *err)
{
	char name[32];
	int e;

	file_name(b, service, name);
	e = files_read(b->dir, name, FILE_MOST, lines, err);
	if (e == -ENOENT)
		e = 0;
	if (!e && !lines->len)
		buf_printf(lines, "%s", "");
	return e ?: lines->failed ? err_nomem(err) : 0;
}

bool balance_checks_find(const struct buf *lines, const struct net_addr *addr, uint16_t port, struct balance_check_said *to)
{
	char want[NET_ADDR_TEXT + 8];
	size_t len = head(addr, port, want), n, i;
	const char *at = (const char *)lines->data, *end;

	for (; at && *at; at = *end ? end + 1 : end) {
		end = at + strcspn(at, "\n");
		if ((size_t)(end - at) < len || memcmp(at, want, len))
			continue;
		at += len;
		n = strcspn(at, " \n");
		to->asked = n != strlen("unasked") || memcmp(at, "unasked", n);
		at += n + (at[n] == ' ');
		n = at < end ? (size_t)(end - at) : 0;
		n = n < sizeof(to->why) ? n : sizeof(to->why) - 1;
		for (i = 0; i < n; i++)
			to->why[i] = at[i] >= ' ' && at[i] < 0x7f ? at[i] : '?';
		to->why[n] = '\0';
		return true;
	}
	return false;
}
