// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Writing into a struct sluice_err. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

int err_set(struct sluice_err *err, int code, const char *fmt, ...)
{
	if (err) {
		va_list ap;

		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
		err->code = code;
	}
	return code;
}

int err_prefix(struct sluice_err *err, const char *fmt, ...)
{
	char text[SLUICE_ERR_MAX];
	va_list ap;
	int n;

	if (!err)
		return -EIO;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(text)) {
		/* what does not fit is cut */
		snprintf(text + n, sizeof(text) - (size_t)n, ": %.*s", (int)sizeof(text) - n, err->text);
		memcpy(err->text, text, sizeof(text));
	}
	return err->code ? err->code : -EIO;
}

int err_nomem(struct sluice_err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}
