/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Typed values as text: what people type becomes the bytes of a map's key, a map's value or a global
 * variable, and bytes become text that parses back to the same bytes.
 *
 *     {saddr: 192.0.2.1, dport: 53, proto: IPPROTO_UDP, mac: 02:00:00:00:00:01, hits: [0*4], name: "eth0"}
 *
 * The types are BTF's; the text follows from them:
 *   integers, enums    10, -3, 0x1f, 0b101, 017 (octal, as in C), 'c' (one byte), true/false (bool), an
 *                      enumerator's name; a bool that is neither 0 nor 1 is 0xNN; __int128 prints as hex
 *   float, double      1.5, inf, nan, or the bits as 0x...
 *   __be16 .. __be64   the number as people mean it, stored in wire order; __be32 prints as IPv4 and takes
 *                      both
 *   addresses          __be32, struct in_addr, __u8[4] (input): IPv4; __u8[16], __be32[4], struct
 *                      in6_addr: IPv6; __u8[6]: MAC
 *   char[N]            "text" with \n \t \" \\ \xNN, or a bare word; the rest is zeroes
 *   other byte arrays  hex:00ff...
 *   arrays             [1, 2, 3] or {1, 2, 3}; VALUE*N stands for N equal elements; never too few
 *   structs            {member: value, ...}, = does for :, or all values in order; members of anonymous
 *                      structs and unions are the outer struct's; a struct of one member takes that
 *                      member's text
 *   unions             one member by name
 *   padding            zero; when bytes that no member covers are not zero, they print as @OFFSET: hex:...
 *   pointers           only 0: an address means nothing from outside
 *   kernel's members   struct bpf_spin_lock, bpf_timer and their like are the kernel's: not printed, not
 *                      typed
 * A word may stand in quotation marks, and so may the digits of byte arrays without their hex: in front, as JSON writes
 * both.
 * Anything takes hex:BYTES of its exact size. Without BTF: sizes 1, 2, 4, 8 are unsigned integers in host
 * order, everything else is `hex 01 02 ...` (or 0x0102... with exactly as many digits as bytes need).
 */
#ifndef SLUICE_VALUE_H
#define SLUICE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

struct btf;

/* An interpretation that overrides the type; the size must agree. */
enum sluice_as {
	SLUICE_AS_TYPE, /* what BTF says */
	SLUICE_AS_HEX,
	SLUICE_AS_TEXT, /* as char[N] */
	SLUICE_AS_IP,
	SLUICE_AS_IP6,
	SLUICE_AS_MAC,
	SLUICE_AS_U8,
	SLUICE_AS_U16,
	SLUICE_AS_U32,
	SLUICE_AS_U64,
	SLUICE_AS_S8,
	SLUICE_AS_S16,
	SLUICE_AS_S32,
	SLUICE_AS_S64,
	SLUICE_AS_BE16,
	SLUICE_AS_BE32, /* a number; SLUICE_AS_IP prints the address */
	SLUICE_AS_BE64,
};

/* The same for every struct member of a name. */
struct sluice_as_member {
	const char *name;
	enum sluice_as as;
};

/* What a value is. Zeroed but for size: no BTF. */
struct sluice_type {
	const struct btf *btf; /* NULL: none */
	uint32_t id;	       /* in btf; 0: none */
	uint32_t size;	       /* bytes */
	enum sluice_as as;
	bool prefix; /* key of an LPM trie: 192.0.2.0/24 where it has that shape */
	const struct sluice_as_member *member;
	size_t n_members;
};

/* ip, ip6, mac, hex, text, u8..u64, s8..s64, be16..be64; -EINVAL otherwise (err lists them). */
SLUICE_API int sluice_as_parse(const char *text, enum sluice_as *as, struct sluice_err *err);

/*
 * sluice_type_parse() turns text into the bytes of a type.
 * sluice_value_parse() is the short form for a BTF type.
 *
 * in:      text   NUL-terminated; all of it must be used up
 * out:     value  size bytes (type->size), untouched on failure
 * errors:  -EINVAL text does not fit the type: err has the column, what was found, and the expected layout
 *          -EBADMSG the BTF is damaged or its size of the type is not the size given
 * thread:  any
 */
SLUICE_API int sluice_type_parse(
	const struct sluice_type *type, const char *text, void *value, struct sluice_err *err);
SLUICE_API int sluice_value_parse(const struct btf *btf, uint32_t type_id, const char *text, void *value,
	size_t size, struct sluice_err *err);

/*
 * sluice_type_print() turns bytes into one line of text that sluice_type_parse() turns into the same bytes.
 * sluice_value_print() is the short form for a BTF type.
 *
 * out:     *text  NULL on failure
 * owns:    the caller frees *text with free()
 * errors:  -EBADMSG as above, -ENOMEM, -EINVAL an override's size is not the value's
 */
SLUICE_API int sluice_type_print(
	const struct sluice_type *type, const void *value, char **text, struct sluice_err *err);
SLUICE_API int sluice_value_print(const struct btf *btf, uint32_t type_id, const void *value, size_t size,
	char **text, struct sluice_err *err);

/*
 * sluice_type_layout() says what is expected: "struct key { __be32 saddr; __be16 dport; } (8 bytes)".
 *
 * out:     *text  NULL on failure; cut with ... beyond some 900 characters
 * owns:    the caller frees *text with free()
 */
SLUICE_API int sluice_type_layout(const struct sluice_type *type, char **text, struct sluice_err *err);

#endif
