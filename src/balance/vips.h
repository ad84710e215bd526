/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Virtual addresses as a data path looks them up: blocks of ports in buckets (abi/balance.h). */
#ifndef BALANCE_VIPS_H
#define BALANCE_VIPS_H

#include "abi/balance.h"
#include "balance/balance.h"

struct vips {
	struct balance_vip *v; /* sorted by address and key; `more` is not set */
	uint32_t n, levels;
};

/* vips_blocks() is how many entries a service makes, at most. */
uint32_t vips_blocks(const struct balance_service *s);

/*
 * vips_of() makes the entries of a model.
 *
 * in:      numbers  of the services; on  bits of their interfaces, NULL: all of all
 * out:     *v       freed by vips_free()
 * errors:  -ENOMEM
 */
int vips_of(const struct balance_model *m, const uint32_t *numbers, const uint32_t *on, struct vips *v,
	    struct sluice_err *err);
void vips_free(struct vips *v);
bool vips_same(const struct vips *a, const struct vips *b);

/*
 * vips_write() fills one half (0 or 1) of the buckets at `to`; vips_fit() only looks whether it can.
 * errors: -ENOSPC, -ENOMEM
 */
int vips_write(const struct vips *v, const struct balance_config *c, uint32_t half, struct balance_vip *to,
	       struct sluice_err *err);
int vips_fit(const struct vips *v, const struct balance_config *c, struct sluice_err *err);

#endif
