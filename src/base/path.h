/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths as words: nothing is looked up. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <limits.h>
#include <stdbool.h>

/*
 * path_clean() writes an absolute path without "//", "." and ".."; what a symbolic link would change is not seen.
 * errors:  -ENOENT path is not absolute, -ENAMETOOLONG
 */
int path_clean(char to[PATH_MAX], const char *path);

/* path_below(): is a clean path dir itself, or below it? */
bool path_below(const char *path, const char *dir);

#endif
