/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* In front of every file: functions that have no safe use. The system's headers come first, they may name them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC poison strcpy strcat sprintf strtok gets atoi
