// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The record of a lab: a file /run/sluice/lab/NAME, locked by whoever makes or holds the lab. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "lab/record.h"

#define RUN_DIR "/run/sluice"
#define LAB_DIR RUN_DIR "/lab"

/* the two states a file can say, of one length: the change is one write of one line */
static const char making_line[] = "state making\n";
static const char ready_line[] = "state ready \n";

int lab_record_format(const struct lab *lab, char *to, size_t size)
{
	int n = snprintf(to, size, "%shosts %u\nqueues %u\nmtu %u\nipv6 %d\nmaker %d\n",
			 lab->state == LAB_READY ? ready_line : making_line, lab->n_hosts, lab->n_queues,
			 lab->mtu, lab->ipv6, (int)lab->maker);

	return n > 0 && (size_t)n < size ? n : -ENOSPC;
}

int lab_record_parse(const char *text, struct lab *lab, struct sluice_err *err)
{
	unsigned int ipv6 = 2;
	char again[160];
	int maker = 0;

	lab->state = !strncmp(text, ready_line, sizeof(ready_line) - 1) ? LAB_READY : LAB_BROKEN;
	if (strlen(text) < sizeof(ready_line) ||
	    sscanf(text + sizeof(ready_line) - 1, "hosts %9u queues %9u mtu %9u ipv6 %1u maker %9d",
		   &lab->n_hosts, &lab->n_queues, &lab->mtu, &ipv6, &maker) != 5)
		return err_set(err, -EBADMSG, "the record of lab %s is damaged", lab->name);
	lab->ipv6 = ipv6 == 1;
	lab->maker = maker;
	/* only what would be written again just so is whole */
	if (lab_record_format(lab, again, sizeof(again)) < 0 || strcmp(again, text) != 0 ||
	    lab->n_hosts < 1 || lab->n_hosts > LAB_HOSTS_MAX)
		return err_set(err, -EBADMSG, "the record of lab %s is damaged", lab->name);
	return 0;
}

int lab_record_name_check(const char *name, struct sluice_err *err)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (n > 0 && n < LAB_NAME_MAX && !name[n])
		return 0;
	return err_set(err, -EINVAL, "'%.40s' is no name for a lab: 1 to %d of a-z, 0-9 and _", name,
		       LAB_NAME_MAX - 1);
}

static int make_dirs(struct sluice_err *err)
{
	if (mkdir(RUN_DIR, 0755) && errno != EEXIST)
		return err_set(err, -errno, "cannot make " RUN_DIR ": %s", strerror(errno));
	if (mkdir(LAB_DIR, 0700) && errno != EEXIST)
		return err_set(err, -errno, "cannot make " LAB_DIR ": %s", strerror(errno));
	return 0;
}

int lab_record_create(const struct lab *lab, int *fd, struct sluice_err *err)
{
	char text[160], path[64], self[64];
	int n = lab_record_format(lab, text, sizeof(text)), e = lab_record_name_check(lab->name, err);

	*fd = -1;
	if (e)
		return e;
	e = n < 0 ? err_set(err, n, "the record of lab %s does not fit", lab->name) : make_dirs(err);
	if (e)
		return e;
	/* nameless until it is written and locked: nobody ever sees less */
	*fd = open(LAB_DIR, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*fd < 0)
		return err_set(err, -errno, "cannot write in " LAB_DIR ": %s", strerror(errno));
	snprintf(path, sizeof(path), LAB_DIR "/%s", lab->name);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", *fd);
	if (write(*fd, text, (size_t)n) != n || flock(*fd, LOCK_EX | LOCK_NB) ||
	    linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW)) {
		e = errno == EEXIST
			    ? err_set(err, -EEXIST,
				      "there is a lab %s already: take it down first (sluice lab down "
				      "%s) or choose another name",
				      lab->name, lab->name)
			    : err_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
		close(*fd);
		*fd = -1;
	}
	return e;
}

int lab_record_ready(int fd, struct sluice_err *err)
{
	if (pwrite(fd, ready_line, sizeof(ready_line) - 1, 0) != sizeof(ready_line) - 1)
		return err_set(err, -errno, "cannot write the lab's record: %s", strerror(errno));
	return 0;
}

static int open_record(const char *name, int *fd, struct sluice_err *err)
{
	int e = lab_record_name_check(name, err);
	char path[64];

	*fd = -1;
	if (e)
		return e;
	snprintf(path, sizeof(path), LAB_DIR "/%s", name);
	*fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (*fd >= 0)
		return 0;
	if (errno == ENOENT)
		return err_set(err, -ENOENT, "there is no lab %s: sluice lab list shows the ones there are",
			       name);
	return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
}

int lab_record_read(const char *name, struct lab *lab, struct sluice_err *err)
{
	char text[160];
	ssize_t n;
	int fd, e = open_record(name, &fd, err);

	*lab = (struct lab){.state = LAB_BROKEN};
	if (e)
		return e;
	snprintf(lab->name, sizeof(lab->name), "%s", name);
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	/* a damaged record is a broken lab: it can still be listed and taken down */
	if (lab_record_parse(text, lab, NULL))
		lab->state = LAB_BROKEN;
	/* a shared lock, so that two readers do not take each other for the holder */
	if (flock(fd, LOCK_SH | LOCK_NB))
		lab->state = LAB_HELD;
	close(fd);
	return 0;
}

int lab_record_lock(const char *name, int *fd, struct sluice_err *err)
{
	struct lab lab;
	int e = open_record(name, fd, err), tries;
	struct stat st;

	if (e)
		return e;
	/* a reader holds the lock for an instant: try for half a second before calling it busy */
	for (tries = 0; flock(*fd, LOCK_EX | LOCK_NB); tries++) {
		if (tries == 50) {
			close(*fd);
			e = lab_record_read(name, &lab, err);
			return e ? e
				 : err_set(err, -EBUSY,
					   "lab %s is in the hands of process %d, which takes it down "
					   "when it ends",
					   name, (int)lab.maker);
		}
		usleep(10000);
	}
	/* whoever had the lock before may have removed the file: what is locked then is nobody's */
	if (fstat(*fd, &st) || st.st_nlink == 0) {
		close(*fd);
		return err_set(err, -ENOENT, "there is no lab %s: somebody else has just taken it down",
			       name);
	}
	return 0;
}

int lab_record_remove(const char *name, struct sluice_err *err)
{
	char path[64];

	snprintf(path, sizeof(path), LAB_DIR "/%s", name);
	if (unlink(path) && errno != ENOENT)
		return err_set(err, -errno, "cannot remove %s: %s", path, strerror(errno));
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int lab_record_names(char (**names)[LAB_NAME_MAX], size_t *n, struct sluice_err *err)
{
	DIR *dir = opendir(LAB_DIR);
	struct dirent *d;
	size_t cap = 0;
	void *more;

	*names = NULL;
	*n = 0;
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return err_set(err, -errno, "cannot read " LAB_DIR ": %s", strerror(errno));
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.' || strlen(d->d_name) >= LAB_NAME_MAX)
			continue;
		if (*n == cap) {
			cap = cap ? 2 * cap : 16;
			more = realloc(*names, cap * sizeof(**names));
			if (!more) {
				free(*names);
				*names = NULL;
				*n = 0;
				closedir(dir);
				return err_nomem(err);
			}
			*names = more;
		}
		snprintf((*names)[(*n)++], LAB_NAME_MAX, "%s", d->d_name);
	}
	closedir(dir);
	if (*n)
		qsort(*names, *n, sizeof(**names), by_name);
	return 0;
}
