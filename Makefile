# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The same words for people who type make.
.PHONY: all build test demo bench install sanitize fuzz format clean help
all: build
build test demo bench install sanitize fuzz format clean help:
	@./do $@
