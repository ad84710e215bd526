#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The tree's own rules: includes follow src/LAYERS, files stay small, scripts parse.
. "$(dirname "$0")/lib.sh"
cd "$SRC" || exit 1

sizes() {
	find src include abi datapath tests bench examples tools \( -name '*.[ch]' -o -name '*.sh' \) -exec wc -l {} + |
		awk '$2 != "total" { max = ($2 ~ /^include/) ? 300 : 600
			if ($1 > max) { print $2 ": " $1 " lines, at most " max; e = 1 } } END { exit e }'
}
scripts() {
	for f in do .ci/run tests/run tests/*.sh tools/*; do
		[ -f "$f" ] || continue
		case $(head -n 1 "$f") in *sh) sh -n "$f" || return 1 ;; esac
	done
}
licences() {
	for f in $(find src include abi datapath tests bench examples -name '*.[ch]'); do
		head -n 2 "$f" | grep -q SPDX-License-Identifier || { echo "$f: no SPDX line"; return 1; }
	done
}

case_ "includes follow src/LAYERS" tools/check-layers
case_ "no file grows too large" sizes
case_ "scripts parse" scripts
case_ "every file names its licence" licences
done_
