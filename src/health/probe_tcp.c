// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* tcp: a connection that is made is a good answer. What the server does with it afterwards is not waited for. */
#include <sys/socket.h>

#include "health/inside.h"

static enum step start(struct health *h, struct flight *f)
{
	enum step step = socket_open(f, SOCK_STREAM, 0);

	return step == STEP_WAIT ? socket_connect(h, f) : step;
}

static enum step ready(struct health *h, struct flight *f, bool second)
{
	int error = socket_error(f);

	(void)h;
	(void)second;
	if (error)
		return socket_failed(f, error, NULL);
	flight_why(f, "connected");
	return STEP_GOOD;
}

static void silent(struct flight *f)
{
	char time[24];

	flight_timeout_text(f, time);
	flight_why(f, "no connection within %s", time);
}

static bool stop(struct health *h, struct flight *f)
{
	(void)h;
	(void)f;
	return false;
}

const struct kind kind_tcp = {start, ready, silent, stop};
