/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An XDP object: an ELF file from clang (or its bytes), opened, adjusted, loaded into the kernel.
 *
 *     open -> set globals, share maps -> program(s) chosen -> load -> attach (sluice/chain.h), read maps -> free
 *
 * Freeing an object closes its descriptors; what is attached, pinned or shared lives on.
 *
 * What the library installs in the process: libbpf has one print callback for all threads, and the first call that
 * has libbpf open, load or attach something replaces it (libbpf_set_print()), once. What libbpf says on a thread during
 * such a call becomes part of the call's err; everything else goes to the callback that was there before. Whoever sets
 * one later gets libbpf's words instead of err; nothing else changes. The library also defines syscall(2): it passes
 * every call on to the kernel unchanged, and notes what sluice_object_load() loads on its thread.
 */
#ifndef SLUICE_OBJECT_H
#define SLUICE_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>

struct sluice_object;
struct sluice_program; /* one XDP program of an object; lives as long as the object */
struct bpf_object;

#define SLUICE_DEFAULT_PRIORITY 50 /* as libxdp's XDP_DEFAULT_RUN_PRIO */
#define SLUICE_DEFAULT_GO_ON (1u << 2) /* go on after XDP_PASS, as libxdp's XDP_DEFAULT_CHAIN_CALL_ACTIONS */

/*
 * sluice_object_open() reads an ELF object; nothing is in the kernel yet.
 * sluice_object_open_mem() does the same with bytes that need to live only during the call; name is for messages.
 *
 * out:     *obj   on success, NULL on failure
 * owns:    the caller frees *obj
 * errors:  -ENOENT no such file, -ENOEXEC not a BPF object or without an XDP program,
 *          -EBADMSG truncated or damaged, -EINVAL larger than 64 MiB
 */
SLUICE_API int sluice_object_open(const char *path, struct sluice_object **obj, struct sluice_err *err);
SLUICE_API int sluice_object_open_mem(const void *bytes, size_t len, const char *name, struct sluice_object **obj,
				      struct sluice_err *err);
SLUICE_API void sluice_object_free(struct sluice_object *obj);

/*
 * sluice_object_set() writes a typed global (const volatile or .data/.bss) before load. text is checked against
 * the variable's BTF type as sluice_value_parse() does (sluice/value.h): numbers, true/false, enum names,
 * IPv4/IPv6/MAC for members and arrays of that shape, {a=1, b=[1,2]} for structs and arrays.
 *
 * errors:  -ENOENT no such variable (err names the ones there are), -EINVAL text does not fit the type
 */
SLUICE_API int sluice_object_set(struct sluice_object *obj, const char *variable, const char *text,
				 struct sluice_err *err);
/* sluice_object_set_bytes() does the same with raw bytes; len must be the variable's size. */
SLUICE_API int sluice_object_set_bytes(struct sluice_object *obj, const char *variable, const void *value,
				       size_t len, struct sluice_err *err);

/*
 * sluice_object_resize() sets max_entries of a map before load.
 * sluice_object_share_map() makes the object use a map that exists already, by descriptor (kept open by the
 * object as a duplicate) or by pin path; type, key and value size must agree.
 *
 * errors:  -ENOENT no such map or pin, -EINVAL layouts differ (err has both)
 */
SLUICE_API int sluice_object_resize(struct sluice_object *obj, const char *map, uint32_t max_entries,
				    struct sluice_err *err);
SLUICE_API int sluice_object_share_map(struct sluice_object *obj, const char *map, int map_fd, struct sluice_err *err);
SLUICE_API int sluice_object_share_pin(struct sluice_object *obj, const char *map, const char *pin,
				       struct sluice_err *err);

/*
 * sluice_object_set_device() makes the object's maps and programs live on a network card (offload); before load.
 */
SLUICE_API void sluice_object_set_device(struct sluice_object *obj, int ifindex);

/*
 * sluice_object_program() finds an XDP program by function name (or section name); name NULL takes the only one.
 * The program is marked for loading; programs never asked for are loaded only if the object has a prog array.
 *
 * errors:  -ENOENT no such program, -EINVAL several and none named (err lists them)
 */
SLUICE_API int sluice_object_program(struct sluice_object *obj, const char *name, struct sluice_program **prog,
				     struct sluice_err *err);

/* Names of the XDP programs, in file order; returns NULL past the last. */
SLUICE_API const char *sluice_object_program_name(const struct sluice_object *obj, size_t i);

/*
 * sluice_program_set_frags() says whether the program is loaded as multi-buffer aware (BPF_F_XDP_HAS_FRAGS);
 * without it, the section name decides ("xdp.frags").
 * sluice_program_fd() is the loaded program's descriptor (owned by the object), -1 before load.
 * sluice_program_run_config() is what XDP_RUN_CONFIG(prog) in the object says, libxdp's defaults where silent:
 * *priority, and *go_on as a set of bits 1 << verdict.
 */
SLUICE_API void sluice_program_set_frags(struct sluice_program *prog, bool frags);
SLUICE_API int sluice_program_fd(const struct sluice_program *prog);
SLUICE_API const char *sluice_program_name(const struct sluice_program *prog);
SLUICE_API void sluice_program_run_config(const struct sluice_program *prog, uint32_t *priority, uint32_t *go_on);

/*
 * sluice_object_load() creates the maps and loads the chosen programs.
 *
 * errors:  -EACCES the verifier refused: err has the program, the source line and the lines of the log that
 *          matter, sluice_object_log() the whole log; -EPERM privilege missing (named);
 *          -EOPNOTSUPP a map type, helper or instruction this kernel does not know (named)
 */
SLUICE_API int sluice_object_load(struct sluice_object *obj, struct sluice_err *err);
SLUICE_API const char *sluice_object_log(const struct sluice_object *obj); /* "" when there is none */

/* Descriptor of a map after load, owned by the object; -ENOENT if there is none of that name. */
SLUICE_API int sluice_object_map_fd(const struct sluice_object *obj, const char *map, struct sluice_err *err);

/* The libbpf object inside, for what is not wrapped here. */
SLUICE_API struct bpf_object *sluice_object_libbpf(struct sluice_object *obj);

#endif
