/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A lab: a namespace "box" in the middle with one veth to1..toN to each host h1..hN, whose end is eth0.
 *
 * Host I has 198.18.I.2/24 and 2001:db8:I::2/64, the box .1 and ::1 towards it (I is written the same in both: host
 * 12 is 2001:db8:12::2). The box forwards, hosts route through it. Everything works as soon as lab_up() returns: no
 * duplicate address detection, neighbours known for good, no router solicitation.
 */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sluice/err.h>

#define LAB_HOSTS_MAX 64
#define LAB_QUEUES_MAX 64
#define LAB_NAME_MAX 25	 /* with the NUL */
#define LAB_MTU_MIN 1280 /* what IPv6 asks for */
#define LAB_MTU_MAX 65535

struct lab_spec {
	const char *name; /* NULL: a random one that is free */
	uint32_t n_hosts, n_queues, mtu;
	bool tx_ready; /* put a program that passes everything on each host's eth0: what XDP_TX in the box sends needs it */
};

enum lab_state {
	LAB_READY,
	LAB_HELD,   /* a running process is making it, or holds it (lab_hold) */
	LAB_BROKEN, /* its maker ended before it was complete */
};

struct lab {
	char name[LAB_NAME_MAX];
	uint32_t n_hosts, n_queues, mtu;
	bool ipv6; /* false where the kernel has none */
	enum lab_state state;
	pid_t maker; /* process that made it */
};

/* A lab that this process holds: nobody else takes it down until lab_release(), or the process ends. */
struct lab_hold {
	int fd;
};

/*
 * lab_up() makes a lab. On failure nothing of it is left.
 *
 * in:      spec   1..LAB_HOSTS_MAX hosts, 1..LAB_QUEUES_MAX queues, name of [a-z0-9_]
 * out:     *lab, *hold  on success; hold may be NULL: the lab is then anybody's
 * errors:  -EINVAL spec, -EEXIST a lab or namespaces of that name, -EPERM (names the capability),
 *          -EOPNOTSUPP the kernel has no network namespaces or no veth
 * thread:  the calling thread visits the new namespaces and comes back
 */
int lab_up(const struct lab_spec *spec, struct lab *lab, struct lab_hold *hold, struct sluice_err *err);
void lab_release(struct lab_hold *hold);

/*
 * lab_down() removes a lab, whole or half made: its links at once, its namespaces as soon as no process is in them.
 *
 * in:      hold   of this lab, NULL if this process does not hold it; released in any case
 * errors:  -ENOENT no lab of that name, -EBUSY another process holds it (err names it), -EPERM
 */
int lab_down(const char *name, struct lab_hold *hold, struct sluice_err *err);

/* lab_list() lists the labs by name. The caller frees *labs with free(). */
int lab_list(struct lab **labs, size_t *n, struct sluice_err *err);

/* lab_find() is the lab of that name, or with name NULL the only one; -ENOENT none, -EINVAL several (err names them). */
int lab_find(const char *name, struct lab *lab, struct sluice_err *err);

/*
 * lab_enter() moves the calling thread into the network namespace of a host ("box", "h1", ...) of a lab.
 * The mount namespace stays: /sys/fs/bpf remains visible, /sys/class/net remains the old namespace's.
 *
 * errors:  -ENOENT no such host (err names the ones there are), -EPERM
 */
int lab_enter(const struct lab *lab, const char *host, struct sluice_err *err);

/* Address texts of one end of link i (1..n_hosts), box's or the host's, with prefix length; and its MAC address. */
struct lab_end {
	char netns[64], ifname[16], ipv4[24], ipv6[48], mac[18];
};
void lab_end(const struct lab *lab, uint32_t i, bool box, struct lab_end *end);

#endif
