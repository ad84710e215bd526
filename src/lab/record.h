/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The record of a lab: a file /run/sluice/lab/NAME that appears whole and locked, before anything of the lab exists,
 * and goes after everything else. Who makes or holds a lab has the lock (flock); the kernel drops it with the process,
 * which is how a lab left behind is told from one in the making.
 */
#ifndef LAB_RECORD_H
#define LAB_RECORD_H

#include "lab/lab.h"

/* lab_record_name_check(): -EINVAL for what cannot name a lab. No '-', so that sluice-NAME- begins no other lab's names. */
int lab_record_name_check(const char *name, struct sluice_err *err);

/*
 * lab_record_create() claims lab->name and writes the rest of *lab, state LAB_BROKEN until record_ready().
 *
 * out:     *fd    holds the lock; the caller closes it
 * errors:  -EEXIST there is a lab of that name
 */
int lab_record_create(const struct lab *lab, int *fd, struct sluice_err *err);
int lab_record_ready(int fd, struct sluice_err *err);

/* lab_record_read() reads one record; its state is LAB_HELD while somebody has the lock. -ENOENT if there is none. */
int lab_record_read(const char *name, struct lab *lab, struct sluice_err *err);

/* lab_record_lock() takes the lock of an existing record; -ENOENT, or -EBUSY while another process has it (named). */
int lab_record_lock(const char *name, int *fd, struct sluice_err *err);

/* lab_record_remove() takes the file away; the lock must be held. */
int lab_record_remove(const char *name, struct sluice_err *err);

/* lab_record_names() lists the records, sorted. The caller frees *names with free(). */
int lab_record_names(char (**names)[LAB_NAME_MAX], size_t *n, struct sluice_err *err);

/* The text form, for the two above and the tests. lab_record_parse() is -EBADMSG for anything it would not write. */
int lab_record_format(const struct lab *lab, char *to, size_t size);
int lab_record_parse(const char *text, struct lab *lab, struct sluice_err *err);

#endif
