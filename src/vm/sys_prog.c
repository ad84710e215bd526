// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs as objects. */
#include <errno.h>

#include "vm/sys.h"
#include "vm/sys_prog.h"

int prog_for_map(struct map *map, struct prog_shape *owner, int fd, struct obj **prog)
{
	(void)owner;
	return obj_of_fd(map->vm, fd, OBJ_PROG, prog);
}

int prog_of_fd(struct vm *vm, int fd, uint32_t type, uint32_t attach_type, struct obj **prog)
{
	(void)type, (void)attach_type;
	return obj_of_fd(vm, fd, OBJ_PROG, prog);
}
