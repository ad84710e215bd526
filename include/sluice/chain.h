/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The chain of an interface: several independent XDP programs, run in order of priority.
 *
 * Sluice joins the members into one program and swaps it in with one atomic link update, so no packet ever sees
 * half a chain. The joined program carries the description of its chain in a map bound to it: the chain that runs
 * is the chain that is recorded, whatever happens to the process that made it. The link is pinned, so a chain
 * outlives its maker until its last member is detached or the interface goes away.
 *
 * An observer (sluice top) runs in front of the members, decides nothing, and leaves when its process ends.
 *
 * All calls work in the network namespace of the calling thread, and hold a lock per interface while they change it.
 */
#ifndef SLUICE_CHAIN_H
#define SLUICE_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sluice/err.h>
#include <sluice/object.h>

#define SLUICE_CHAIN_MAX 64	 /* members in one chain */
#define SLUICE_MEMBER_NAME_MAX 64 /* with the NUL */
#define SLUICE_OWNER_MAX 32

enum sluice_mode { SLUICE_MODE_AUTO, SLUICE_MODE_NATIVE, SLUICE_MODE_GENERIC, SLUICE_MODE_OFFLOAD };

/* native|driver|drv|xdpdrv, generic|skb|xdpgeneric, offload|hw|xdpoffload, auto; -EINVAL otherwise. */
SLUICE_API int sluice_mode_parse(const char *text, enum sluice_mode *mode, struct sluice_err *err);
SLUICE_API const char *sluice_mode_name(enum sluice_mode mode);

/* A set of verdicts as text, "pass,tx": ABORTED 0, DROP 1, PASS 2, TX 3, REDIRECT 4; "none" is the empty set. */
SLUICE_API int sluice_verdicts_parse(const char *text, uint32_t *set, struct sluice_err *err);
SLUICE_API char *sluice_verdicts_name(uint32_t set, char *to, size_t size);
SLUICE_API const char *sluice_verdict_name(unsigned int verdict); /* "pass"; NULL beyond redirect */

struct sluice_attach_opts {
	enum sluice_mode mode;	 /* a chain that runs already keeps its mode; another one asked for is -EBUSY */
	const char *owner;	 /* who may change this member later, NULL: anybody */
	const char *bpffs;	 /* where the link is pinned, NULL: /sys/fs/bpf, also from `ip netns exec` */
	bool force;		 /* replace a program that is not Sluice's, or another owner's member */
	uint32_t expect_prog_id; /* fail with -EBUSY unless just this program is attached now; 0: do not ask */
};

/* One member to put into a chain. */
struct sluice_member {
	struct sluice_program *prog; /* loaded */
	const char *name;	     /* NULL: the program's; made unique as name-2, name-3 */
	int64_t priority;	     /* lower runs first, same priority in order of attaching; -1: the program's own */
	int64_t go_on;		     /* verdicts after which the next member runs; -1: the program's own */
};

/* What attaching got: the mode, and for SLUICE_MODE_AUTO why not native (empty if native). */
struct sluice_attached {
	enum sluice_mode mode;
	uint32_t prog_id;
	char why[256];
	char name[SLUICE_CHAIN_MAX][SLUICE_MEMBER_NAME_MAX]; /* of the new members, as made unique */
};

/*
 * sluice_chain_attach() adds members to the chain of an interface, making the chain if there is none.
 *
 * in:      members  n of them, 1..SLUICE_CHAIN_MAX, objects loaded; not kept
 * out:     *got     may be NULL
 * errors:  -ENODEV no such interface, -EBUSY another owner's program is there (err names it) or expect_prog_id
 *          does not hold, -EACCES the verifier refused the joined program, -EOPNOTSUPP the driver has not the mode
 *          asked for, -ENOSPC chain full, -ERANGE MTU too large for native mode without multi-buffer,
 *          -EPERM privilege missing (named), -ENOENT no bpffs to pin in
 * thread:  any; a second caller on the same interface waits (30 s, then -EBUSY)
 */
SLUICE_API int sluice_chain_attach(int ifindex, const struct sluice_member *members, size_t n,
				   const struct sluice_attach_opts *opts, struct sluice_attached *got,
				   struct sluice_err *err);

/*
 * sluice_chain_replace() puts a program in the place of a member, keeping name, priority and go-on set unless
 * member gives others. The change is atomic: every packet is seen by the old or the new one.
 *
 * errors:  as attach; -ENOENT no member of that name (err lists them), -EBUSY another owner's member
 */
SLUICE_API int sluice_chain_replace(int ifindex, const char *name, const struct sluice_member *member,
				    const struct sluice_attach_opts *opts, struct sluice_attached *got,
				    struct sluice_err *err);

/*
 * sluice_chain_detach() takes members out by name; n 0 takes all. With the last one the link and its pin go.
 * With opts->force and n 0 a program that is not Sluice's is taken off too.
 *
 * errors:  -ENOENT no such member, or nothing attached; -EBUSY the program there is not Sluice's,
 *          or the member another owner's
 */
SLUICE_API int sluice_chain_detach(int ifindex, const char *const *names, size_t n,
				   const struct sluice_attach_opts *opts, struct sluice_err *err);

enum sluice_owner {
	SLUICE_OWNER_NONE, /* nothing is attached */
	SLUICE_OWNER_SLUICE,
	SLUICE_OWNER_LIBXDP,
	SLUICE_OWNER_OTHER,
	SLUICE_OWNER_UNKNOWN, /* a program is attached; more than its id and mode takes CAP_SYS_ADMIN */
};

struct sluice_member_info {
	char name[SLUICE_MEMBER_NAME_MAX];
	char owner[SLUICE_OWNER_MAX]; /* "" if anybody's */
	char object[128];	      /* file it came from */
	uint8_t tag[8];		      /* the kernel's tag of the program as loaded alone */
	uint32_t priority, go_on;
	uint32_t n_insns;
	bool inlined;	   /* joined without a call */
	uint64_t attached_ns; /* CLOCK_REALTIME */
	uint32_t n_maps, map_ids[64];
	uint64_t runs;	     /* since it was attached; they go on when the chain changes or the member is replaced */
	uint64_t verdict[6]; /* of those, how it ended the chain: by verdict, [5] any other value */
	uint64_t passed_on;  /* of those, how often the next one ran */
};

struct sluice_chain_info {
	int ifindex;
	char ifname[16];
	enum sluice_owner owner;
	enum sluice_mode mode; /* of what is attached */
	uint32_t prog_id, link_id; /* link_id 0: attached by netlink (ip link, libxdp) */
	char prog_name[64];
	uint8_t prog_tag[8];
	uint64_t loaded_ns; /* CLOCK_REALTIME */
	uint32_t loaded_by_uid;
	bool frags;
	bool pinned;
	char pin[256];
	uint64_t run_cnt, run_time_ns; /* the kernel's, counted while BPF statistics are on */
	char holder[64];	       /* of a link that is not Sluice's: "pid (comm)" if one was found */
	uint32_t n_observers;
	uint32_t n_members;
	struct sluice_member_info *member; /* n_members of them, in order of running */
	uint32_t n_more;		    /* further programs on this interface in other modes */
};

/*
 * sluice_chain_read() tells what is attached to an interface, Sluice's or not; without privilege only program id and
 * mode (owner UNKNOWN).
 *
 * out:     *info  on success; NULL on failure
 * owns:    the caller frees it with sluice_chain_info_free()
 * errors:  -ENODEV, -EPERM
 */
SLUICE_API int sluice_chain_read(int ifindex, struct sluice_chain_info **info, struct sluice_err *err);
SLUICE_API void sluice_chain_info_free(struct sluice_chain_info *info);

/*
 * An observer: a program that runs in front of the chain on every packet and decides nothing. It is gone when
 * closed or when its process ends, kill -9 included: its slot is a prog array that only this process holds, and the
 * kernel empties a prog array when the last holder is gone.
 *
 * sluice_observer_open() puts the program in front of whatever Sluice chain the interface has; without one it
 * attaches an empty chain that nobody pins, and the program's own verdict counts.
 * sluice_observer_check() mends the observer after somebody else changed the chain (call it once a second).
 *
 * in:      prog, prog_frags  the same program loaded without and with multi-buffer support (the kernel wants the one
 *          that matches the chain); both must live until close
 * errors:  as attach; check: -ENODEV once the interface is gone
 */
struct sluice_observer;
SLUICE_API int sluice_observer_open(int ifindex, struct sluice_program *prog, struct sluice_program *prog_frags,
				    const struct sluice_attach_opts *opts, struct sluice_observer **obs,
				    struct sluice_attached *got, struct sluice_err *err);
SLUICE_API int sluice_observer_check(struct sluice_observer *obs, struct sluice_err *err);
SLUICE_API void sluice_observer_close(struct sluice_observer *obs);

#endif
