/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A growable byte buffer. After an allocation failure it stays failed and ignores further writes: check once, at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t len, cap;
	bool failed;
};

void *buf_add(struct buf *b, size_t len); /* room for len more bytes, zeroed; NULL once failed */
void buf_put(struct buf *b, const void *data, size_t len);
void buf_u32(struct buf *b, uint32_t v); /* host order */
void buf_u64(struct buf *b, uint64_t v);
void buf_str(struct buf *b, const char *s); /* u32 length, then the bytes without NUL */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* keeps a NUL behind len */
void buf_free(struct buf *b);

#endif
