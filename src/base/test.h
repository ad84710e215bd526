/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What every x_test.c includes: cmocka and the headers it wants before itself. */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
