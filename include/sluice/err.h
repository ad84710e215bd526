/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a failed call says: a number to branch on and a sentence to show.
 *
 * Calls that can fail return 0 or a negative errno and take a struct sluice_err as last parameter; it
 * lives on the caller's stack and may be NULL. The vocabulary of numbers is fixed:
 *
 *   -EINVAL     the caller's mistake           -EBADMSG    damaged input
 *   -ENOEXEC    wrong kind of file             -EACCES     the verifier said no
 *   -EPERM      a privilege is missing         -EOPNOTSUPP this kernel, driver or engine cannot
 *   -ENOENT     no such thing                  -EEXIST     is there already
 *   -ENODEV     no such interface              -EBUSY      somebody else holds it
 *   -ENOSPC     full                           -ENOMEM     out of memory
 */
#ifndef SLUICE_ERR_H
#define SLUICE_ERR_H

#define SLUICE_ERR_MAX 1536

#if defined(__GNUC__)
#define SLUICE_API __attribute__((visibility("default")))
#else
#define SLUICE_API
#endif

struct sluice_err {
	int code;		   /* negative errno, 0 while nothing failed */
	char text[SLUICE_ERR_MAX]; /* one sentence without a full stop; several lines only where a log is quoted */
};

#endif
