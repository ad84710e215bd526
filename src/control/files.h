/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Small files that are whole or not there, and what is made of lines "KEY VALUE". */
#ifndef CONTROL_FILES_H
#define CONTROL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

#include "base/buf.h"

/*
 * files_write() writes DIR/NAME by a temporary file that is renamed: whoever reads sees the old or the new
 * contents, whole. durable: also after a power cut (fsync of file and folder).
 * errors:  -EPERM privilege missing; what open(2), write(2), fsync(2), rename(2) say, with the path
 */
int files_write(const char *dir, const char *name, const void *bytes, size_t len, bool durable,
		struct sluice_err *err);

/*
 * A durable files_write() in two steps, so that the second needs no room: files_ready() writes the temporary file,
 * files_finish() renames it. Without the first, or with other bytes, the second does all.
 */
int files_ready(const char *dir, const char *name, const void *bytes, size_t len, struct sluice_err *err);
int files_finish(const char *dir, const char *name, const void *bytes, size_t len, struct sluice_err *err);

/* files_read() appends a file of at most max bytes, and a NUL behind len. errors: -ENOENT, -EFBIG, ... */
int files_read(const char *dir, const char *name, size_t max, struct buf *to, struct sluice_err *err);

/* files_mkdir() makes a folder of mode 0700, and those above it, synced; one that is there must be the caller's. */
int files_mkdir(const char *path, struct sluice_err *err);
int files_sync(const char *dir, struct sluice_err *err);

/* files_remove() removes a folder with all that is in it; nothing happens if there is none. */
void files_remove(const char *path);

/* files_hidden() removes what begins with a dot: what killed processes left. */
void files_hidden(const char *dir);

/* files_each() calls each() with every name in a folder that does not begin with a dot, in no order. */
void files_each(const char *dir, void (*each)(void *ctx, const char *name), void *ctx);

/* files_path() joins them; -ENAMETOOLONG. */
int files_path(char *to, size_t size, const char *dir, const char *name, struct sluice_err *err);

/*
 * files_line() finds the value of a key: true if there is a line "KEY VALUE", copied without the line's end.
 * files_number() the same with a decimal number.
 */
bool files_line(const char *text, const char *key, char *to, size_t size);
bool files_number(const char *text, const char *key, uint64_t *to);

#endif
