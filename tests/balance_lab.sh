# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A lab with two backends behind tunnels; sourced after lib.sh, chain.sh and policy_lab.sh.
#
#     h1 (198.18.1.2) eth0 ---- to1 box to2 ---- eth0 h2 (198.18.2.2)    h2 and h3 take packets out of tunnels, and have
#                                   to3 ---- eth0 h3 (198.18.3.2)    the virtual address 198.19.0.10 on lo
#
#   balance_lab            policy_lab with these; nginx answers "h2" and "h3" on ports 80 to 82 of the virtual address
#   get PORT [HOST]        asks there: which backend answers; nothing if none does
#   answers N PORT [HOST]  of N questions how many each answered: "h2 17 h3 15", "none" if nobody did

balance_lab() {
	policy_lab --hosts 3
	VIP=198.19.0.10
	chmod 755 "$T"
	for h in h2 h3; do
		at "$h" ip addr add $VIP/32 dev lo
		at "$h" "$BUILD/tests/decap-tool" attach eth0 >/dev/null || skip_all "no program on the backends"
		mkdir -p "$T/$h"
		echo $h >"$T/$h/index.html"
		cat >"$T/$h.nginx" <<-N
		daemon off; worker_processes 1; pid $T/$h.pid; error_log $T/$h.err; user root;
		events { worker_connections 256; }
		http { access_log off; client_body_temp_path $T/$h.b; proxy_temp_path $T/$h.p; fastcgi_temp_path $T/$h.f;
			uwsgi_temp_path $T/$h.u; scgi_temp_path $T/$h.s; keepalive_timeout 60s; keepalive_requests 100000;
			server { listen 80; listen 81; listen 82; listen [::]:80; root $T/$h; } }
		N
		"$SLUICE" lab run --lab "$LAB" "$h" -- nginx -c "$T/$h.nginx" >"$T/$h.out" 2>&1 &
		on_exit "kill $! 2>/dev/null"
		wait_until 10 listening "$h" || { cat "$T/$h.out"; exit 1; }
	done
}
at() { h=$1; shift; "$SLUICE" lab run --lab "$LAB" "$h" -- "$@"; }
listening() { at "$1" ss -Hltn 'sport = :82' | grep -q .; }

ASK='exec 3<>/dev/tcp/$1/$2 && printf "GET / HTTP/1.0\r\n\r\n" >&3 && sed -n "s/^\(h[0-9]\)$/\1/p" <&3'
get() { at "${2:-h1}" timeout 1 bash -c "$ASK" ask $VIP "$1" 2>/dev/null; }
answers() {
	at "${3:-h1}" bash -c 'for i in $(seq $0); do timeout 1 bash -c "$3" ask "$1" "$2" 2>/dev/null; done' "$1" $VIP "$2" "$ASK" |
		sort | uniq -c | awk '{ printf "%s%s %d", (NR > 1 ? " " : ""), $2, $1 } END { if (!NR) printf "none"; print "" }'
}
