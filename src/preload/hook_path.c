// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Functions of libc that take a path, for paths below /sys/fs/bpf: pins and their directories exist in the engine only.
 * Everything else goes to libc.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <sluice/err.h>

#include "preload/client.h"
#include "preload/hook_path.h"

#define BPF_FS 0xcafe4a11 /* BPF_FS_MAGIC of linux/magic.h */
#define DEVICE makedev(0, 0xbf)
#define BLOCK 4096

static int result(int e)
{
	if (!e)
		return 0;
	errno = -e;
	return -1;
}

void hook_stat(const struct wire_about *about, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = about->is_dir ? S_IFDIR | 0700 : S_IFREG | 0600;
	st->st_ino = about->ino;
	st->st_dev = DEVICE;
	st->st_nlink = about->is_dir ? 2 : 1;
	st->st_uid = geteuid();
	st->st_gid = getegid();
	st->st_blksize = BLOCK;
}

static int pin_stat(const char *clean, struct stat *st)
{
	struct wire_about about;
	int e = client_path(WIRE_ABOUT, 0, clean, &about);

	if (!e)
		hook_stat(&about, st);
	return result(e);
}

static int pin_exists(const char *clean)
{
	struct wire_about about;

	return result(client_path(WIRE_ABOUT, 0, clean, &about));
}

static int pin_do(enum wire_path_op op, const char *clean)
{
	return result(client_path(op, 0, clean, NULL));
}

#define PIN(dirfd, path)      \
	char clean[PATH_MAX]; \
	bool pin = client_pin_path(dirfd, path, clean)

SLUICE_API int stat(const char *path, struct stat *st)
{
	PIN(AT_FDCWD, path);
	return pin ? pin_stat(clean, st) : NEXT(stat)(path, st);
}

SLUICE_API int lstat(const char *path, struct stat *st)
{
	PIN(AT_FDCWD, path);
	return pin ? pin_stat(clean, st) : NEXT(lstat)(path, st);
}

SLUICE_API int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	PIN(dirfd, path);
	return pin ? pin_stat(clean, st) : NEXT(fstatat)(dirfd, path, st, flags);
}

/* On 64-bit machines the same as the above. */
SLUICE_API int stat64(const char *path, struct stat64 *st)
{
	PIN(AT_FDCWD, path);
	return pin ? pin_stat(clean, (struct stat *)st) : NEXT(stat64)(path, st);
}

SLUICE_API int lstat64(const char *path, struct stat64 *st)
{
	PIN(AT_FDCWD, path);
	return pin ? pin_stat(clean, (struct stat *)st) : NEXT(lstat64)(path, st);
}

SLUICE_API int fstatat64(int dirfd, const char *path, struct stat64 *st, int flags)
{
	PIN(dirfd, path);
	return pin ? pin_stat(clean, (struct stat *)st) : NEXT(fstatat64)(dirfd, path, st, flags);
}

/* What programs call that were built with a glibc before 2.33. */
int __xstat(int version, const char *path, struct stat *st);
int __lxstat(int version, const char *path, struct stat *st);

SLUICE_API int __xstat(int version, const char *path, struct stat *st)
{
	PIN(AT_FDCWD, path);
	(void)version; /* there is one layout */
	return pin ? pin_stat(clean, st) : NEXT(stat)(path, st);
}

SLUICE_API int __lxstat(int version, const char *path, struct stat *st)
{
	PIN(AT_FDCWD, path);
	(void)version;
	return pin ? pin_stat(clean, st) : NEXT(lstat)(path, st);
}

SLUICE_API int statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *to)
{
	struct stat st;

	PIN(dirfd, path);
	if (!pin)
		return NEXT(statx)(dirfd, path, flags, mask, to);
	if (pin_stat(clean, &st))
		return -1;
	*to = (struct statx){.stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID | STATX_INO | STATX_SIZE,
			     .stx_blksize = BLOCK,
			     .stx_nlink = (uint32_t)st.st_nlink,
			     .stx_uid = st.st_uid,
			     .stx_gid = st.st_gid,
			     .stx_mode = (uint16_t)st.st_mode,
			     .stx_ino = st.st_ino,
			     .stx_dev_major = major(DEVICE),
			     .stx_dev_minor = minor(DEVICE)};
	return 0;
}

SLUICE_API int statfs(const char *path, struct statfs *to)
{
	PIN(AT_FDCWD, path);
	if (!pin)
		return NEXT(statfs)(path, to);
	if (pin_exists(clean))
		return -1;
	*to = (struct statfs){.f_type = BPF_FS, .f_bsize = BLOCK, .f_namelen = NAME_MAX, .f_frsize = BLOCK};
	return 0;
}

SLUICE_API int statfs64(const char *path, struct statfs64 *to)
{
	return statfs(path, (struct statfs *)to);
}

SLUICE_API int access(const char *path, int mode)
{
	PIN(AT_FDCWD, path);
	return pin ? pin_exists(clean) : NEXT(access)(path, mode);
}

SLUICE_API int faccessat(int dirfd, const char *path, int mode, int flags)
{
	PIN(dirfd, path);
	return pin ? pin_exists(clean) : NEXT(faccessat)(dirfd, path, mode, flags);
}

SLUICE_API int euidaccess(const char *path, int mode)
{
	PIN(AT_FDCWD, path);
	return pin ? pin_exists(clean) : NEXT(euidaccess)(path, mode);
}

SLUICE_API int eaccess(const char *path, int mode)
{
	PIN(AT_FDCWD, path);
	return pin ? pin_exists(clean) : NEXT(eaccess)(path, mode);
}

SLUICE_API int mkdir(const char *path, mode_t mode)
{
	PIN(AT_FDCWD, path);
	return pin ? pin_do(WIRE_MKDIR, clean) : NEXT(mkdir)(path, mode);
}

SLUICE_API int mkdirat(int dirfd, const char *path, mode_t mode)
{
	PIN(dirfd, path);
	return pin ? pin_do(WIRE_MKDIR, clean) : NEXT(mkdirat)(dirfd, path, mode);
}

SLUICE_API int rmdir(const char *path)
{
	PIN(AT_FDCWD, path);
	return pin ? pin_do(WIRE_RMDIR, clean) : NEXT(rmdir)(path);
}

SLUICE_API int unlink(const char *path)
{
	PIN(AT_FDCWD, path);
	return pin ? pin_do(WIRE_UNLINK, clean) : NEXT(unlink)(path);
}

SLUICE_API int unlinkat(int dirfd, const char *path, int flags)
{
	PIN(dirfd, path);
	return pin ? pin_do(flags & AT_REMOVEDIR ? WIRE_RMDIR : WIRE_UNLINK, clean) : NEXT(unlinkat)(dirfd, path, flags);
}

SLUICE_API int remove(const char *path)
{
	PIN(AT_FDCWD, path);
	if (!pin)
		return NEXT(remove)(path);
	if (!pin_do(WIRE_UNLINK, clean))
		return 0;
	return errno == EISDIR ? pin_do(WIRE_RMDIR, clean) : -1;
}

/* What the engine's pins do not know. To libc they would be names in the kernel's own bpffs, which is nobody's business here. */
SLUICE_API int symlink(const char *target, const char *path)
{
	PIN(AT_FDCWD, path);
	return pin ? result(-EPERM) : NEXT(symlink)(target, path);
}

SLUICE_API int symlinkat(const char *target, int dirfd, const char *path)
{
	PIN(dirfd, path);
	return pin ? result(-EPERM) : NEXT(symlinkat)(target, dirfd, path);
}

SLUICE_API int linkat(int olddirfd, const char *old, int dirfd, const char *path, int flags)
{
	PIN(dirfd, path);
	return pin ? result(-EPERM) : NEXT(linkat)(olddirfd, old, dirfd, path, flags);
}

SLUICE_API int link(const char *old, const char *path)
{
	PIN(AT_FDCWD, path);
	return pin ? result(-EPERM) : NEXT(link)(old, path);
}

SLUICE_API int renameat2(int olddirfd, const char *old, int dirfd, const char *path, unsigned int flags)
{
	bool from;

	{
		PIN(olddirfd, old);
		from = pin;
	}
	PIN(dirfd, path);
	return pin || from ? result(-EPERM) : NEXT(renameat2)(olddirfd, old, dirfd, path, flags);
}

SLUICE_API int renameat(int olddirfd, const char *old, int dirfd, const char *path)
{
	return renameat2(olddirfd, old, dirfd, path, 0);
}

SLUICE_API int rename(const char *old, const char *path)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, path, 0);
}

SLUICE_API int chmod(const char *path, mode_t mode)
{
	PIN(AT_FDCWD, path);
	return pin ? result(-EPERM) : NEXT(chmod)(path, mode);
}

SLUICE_API int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	PIN(dirfd, path);
	return pin ? result(-EPERM) : NEXT(fchmodat)(dirfd, path, mode, flags);
}

SLUICE_API int fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	PIN(dirfd, path);
	return pin ? result(-EPERM) : NEXT(fchownat)(dirfd, path, uid, gid, flags);
}

SLUICE_API int chown(const char *path, uid_t uid, gid_t gid)
{
	return fchownat(AT_FDCWD, path, uid, gid, 0);
}

SLUICE_API int lchown(const char *path, uid_t uid, gid_t gid)
{
	return fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}
