/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where things are: what is attached to an interface and through which link, the folder of its pins on a bpffs,
 * and the lock that keeps two changes of one interface apart.
 */
#ifndef HOOK_PLACE_H
#define HOOK_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sluice/chain.h>

struct place_attached {
	enum sluice_mode mode; /* native before generic before offload, if there are several */
	uint32_t prog_id;      /* 0: nothing */
	uint32_t link_id;      /* 0: attached by netlink */
	uint32_t n_links;      /* that could be it: other namespaces have interfaces of this number, too */
	uint32_t n_more;       /* programs in further modes */
	uint64_t flags;	       /* XDP_FLAGS_*_MODE of mode */
};

/* place_query() tells what is attached. errors: -ENODEV, -EPERM */
int place_query(int ifindex, struct place_attached *a, struct sluice_err *err);
uint32_t place_mode_flags(enum sluice_mode mode);
uint64_t place_netns(void); /* inode of this thread's network namespace */

/*
 * place_lock() takes the lock of an interface; another process that has it is waited for, wait_ns at most.
 * place_unlock() gives it back; its file goes with it. errors: -EBUSY, -EPERM, -EINTR
 */
struct place_lock {
	int fd;
	char path[96];
};
int place_lock(int ifindex, uint64_t wait_ns, struct place_lock *lock, struct sluice_err *err);
void place_unlock(struct place_lock *lock);

/*
 * place_slot_hold() locks the slot of an observer for as long as its process lives; place_unlock() ends that.
 * place_slot_held() tells whether a process does.
 */
int place_slot_hold(uint32_t map_id, struct place_lock *lock, struct sluice_err *err);
bool place_slot_held(uint32_t map_id);

/*
 * place_bpffs() finds the bpffs to pin in: wanted if not NULL, /sys/fs/bpf, mounted if it is not and make is set; from a
 * mount namespace that hides it, that of the process it was entered from.
 * errors: -ENOENT no bpffs to be had, -EPERM
 */
int place_bpffs(const char *wanted, bool make, char *found, size_t size, struct sluice_err *err);

/*
 * place_dir() writes the folder for an interface's pins ("BPFFS/sluice/net4026531840_if7"); make creates it.
 * errors: -ENOENT no bpffs to be had, -EPERM
 */
int place_dir(const char *bpffs, int ifindex, bool make, char *to, size_t size, struct sluice_err *err);

/*
 * place_take_off() takes a program that is not Sluice's off an interface, and nothing else: -EBUSY if it is attached by
 * a link and links of other namespaces cannot be told from it.
 */
int place_take_off(int ifindex, const struct place_attached *a, int prog_fd, struct sluice_err *err);

/* place_remove() unlinks Sluice's pins in an interface's folder, and the folder if nothing else is in it. */
void place_remove(const char *dir);

/* place_keep() pins map id as DIR/keep_ID unless it is there; a prog array loses its programs with its last holder. */
int place_keep(const char *dir, uint32_t map_id, struct sluice_err *err);
/* place_unkeep() removes every keep pin whose map is not among ids. */
void place_unkeep(const char *dir, const uint32_t *ids, uint32_t n);
/* place_needs_keep(): a prog array, or a map with timers or work queues, which end with the last holder too. */
bool place_needs_keep(uint32_t map_id);

/* place_sweep() removes the folders of interfaces that are gone. */
void place_sweep(const char *bpffs);

#endif
