#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What is set at run time in a balancer: it goes on over policies and trials, over processes that are killed while they
# set it, and files that are damaged or gone are told and mended. The lab: balance_lab.sh.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/chain.sh"
. "$(dirname "$0")/policy_lab.sh"
. "$(dirname "$0")/balance_lab.sh"
need_root
command -v jq >/dev/null || skip_all "jq is not here"
command -v nginx >/dev/null || skip_all "nginx is not here"
balance_lab

H2=198.18.2.2 H3=198.18.3.2
blocks() { # WEIGHT PORTS: web, with that weight of h2
	printf 'balance web on to1 {\n\tvirtual %s tcp port %s\n\tforward ipip\n\tbackend %s weight %s\n\tbackend %s weight 10\n}\n' \
		$VIP "$2" $H2 "$1" $H3
}
policy one.conf "$(blocks 10 80)"
policy two.conf "$(blocks 20 '{ 80, 81 }')"

apply() { sl apply "$@" >"$T/said" 2>&1 || { cat "$T/said"; return 1; }; }
said() { grep -qE -e "$1" "$T/said" || { echo "not said: $1"; cat "$T/said"; return 1; }; }
only() { is "answers on port $2" "$1 10" "$(answers 10 "$2")"; }
both_answer() {
	a=$(answers 30 "$1")
	case $a in "h2 "*" h3 "*) [ "$(echo "$a" | awk '{ print $2 + $4 }')" = 30 ] && return ;; esac
	echo "answers: $a"
	return 1
}
state() { # BACKEND: as `show` has it: weight, state
	sl balance show --json | jq -r '(.services? // .)[0].backends[] | select(.address == "'"$1"'") | "\(.weight) \(.state)"'
}
folder() { ls -d "$RUN"/*-*/ | sort -V | tail -n 1; }

over_policies() {
	apply "$T/one.conf" && both_answer 80 && sl balance drain $H2 -n >"$T/said" && only h3 80 && is h2 '10 draining' "$(state $H2)" &&
		apply "$T/two.conf" && only h3 80 && only h3 81 && is h2 '20 draining' "$(state $H2)" &&
		sl balance set-weight $H3 3 >"$T/said" && apply "$T/one.conf" && is h3 '3 up' "$(state $H3)" && is h2 '10 draining' "$(state $H2)" &&
		sl balance undrain $H2 >"$T/said" && both_answer 80 && sl balance set-weight $H3 policy >"$T/said" && is h3 '10 up' "$(state $H3)"
}
over_trials() {
	apply "$T/one.conf" >/dev/null
	apply "$T/two.conf" --confirm 60s && both_answer 81 && sl balance drain $H3 -n >"$T/said" && only h2 80 && only h2 81 &&
		sl rollback >"$T/said" && only h2 80 && is h3 '10 draining' "$(state $H3)" &&
		apply "$T/two.conf" --confirm 60s && only h2 81 && sl balance undrain $H3 >"$T/said" && both_answer 81 && sl confirm >"$T/said" &&
		both_answer 80 && is h3 '10 up' "$(state $H3)"
}

# Connections one after the other while weights are set by processes that are killed
asking() { answers 400 80 >"$T/asked"; }
killed() {
	apply "$T/one.conf" || return 1
	asking &
	asker=$!
	i=0 died=0
	while [ $i -lt 120 ]; do
		i=$((i + 1))
		"$SLUICE" lab run --lab "$LAB" box -- "$BUILD/tests/kill-after" $((500 + i * 97 % 9000)) "$SLUICE" balance set-weight $H2 $((1 + i % 40)) \
			>/dev/null 2>&1 && died=$((died + 1))
	done
	wait $asker
	is "questions that were answered" 400 "$(awk '{ for (i = 2; i <= NF; i += 2) n += $i } END { print n + 0 }' "$T/asked")" || return 1
	echo "$died of $i were killed"
	[ $died -gt 20 ] || return 1
	weight=$(state $H2)
	sl balance set-weight $H2 7 >"$T/said" && is h2 '7 up' "$(state $H2)" && both_answer 80 || { echo "was $weight"; return 1; }
	ls -A "$(folder)" | grep -c '^\.' >"$T/left"
	sl balance set-weight $H2 policy >"$T/said" && apply "$T/two.conf" && both_answer 81
}
damaged() {
	apply "$T/one.conf" && sl balance set-weight $H2 7 >"$T/said" || return 1
	file=$(ls "$(folder)"balance_[0-9]* | head -n 1)
	printf 'x' | dd of="$file" bs=1 seek=200 conv=notrunc 2>/dev/null
	expect_fail 1 "^sluice: balance show: $file is damaged; sluice apply FILE makes it anew\$|$file is damaged; sluice apply FILE makes it anew\$" \
		sl balance show && expect_fail 1 "$file is damaged; sluice apply FILE makes it anew\$" sl balance drain $H2 -n && both_answer 80 &&
		apply "$T/two.conf" && said "what was set at run time is lost.*$file is damaged" && both_answer 81 && is h2 '20 up' "$(state $H2)"
}
part_gone() { # files that are gone, no files, too large: as damaged
	for how in 'rm' 'mkdir' 'truncate -s 1T' 'ln -s /dev/null'; do
		apply "$T/one.conf" && sl balance set-weight $H2 7 >"$T/said" || return 1
		file=$(ls "$(folder)"balance_[0-9]* | head -n 1)
		[ "$how" = rm ] || rm "$file"
		$how "$file" && apply "$T/two.conf" && said "what was set at run time is lost.*$file" && both_answer 81 && is h2 '20 up' "$(state $H2)" ||
			{ echo "$how"; return 1; }
	done
}
unpinned() {
	apply "$T/one.conf" && sl balance drain $H2 -n >"$T/said" && only h3 80 || return 1
	name=$(basename "$(folder)")
	rm "$PINS/$name/balance_memory"
	expect_fail 3 "the maps of policy $name are not pinned any more: there is no $PINS/$name/balance_memory; sluice apply FILE pins them again\$" \
		sl balance show && only h3 80 && apply "$T/two.conf" && only h3 81 && is h2 '20 draining' "$(state $H2)" &&
		sl balance undrain $H2 >"$T/said" && both_answer 81
}
case_ "drained and with another weight, over policies" over_policies
case_ "over trials, in both policies" over_trials
case_ "set by processes that are killed: no connection is lost, the next one goes on" killed
case_ "a damaged file: said, and the next policy begins anew" damaged
case_ "a file that is gone, or none: the same" part_gone
case_ "maps that are not pinned any more: what was set goes on" unpinned

forget
"$SLUICE" lab down "$LAB" >/dev/null 2>&1
rm -f /run/sluice/net"$netns"_*.lock
case_ "nothing is left of it: programs, maps, links, files" gone_all
done_
