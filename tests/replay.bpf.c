// SPDX-License-Identifier: GPL-2.0-only
/* What `sluice run` is tested with: the last byte of the destination address says what becomes of a packet. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

struct seen {
	__u64 packets;
	__u8 mac[6];
	__u16 last;
	char name[8];
};

/* key: byte; value: what came with it; writer: verdicts; reader: tests; full: not counted */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct seen);
} seen SEC(".maps");

/* key: 0 and 1; value: interface; writer: tests; reader: verdicts */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

/* key: 0; value: packets; writer: verdicts; reader: tests */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} total SEC(".maps");

/* key: prefix; value: verdict; writer: tests; reader: nobody */
struct prefix {
	__u32 prefixlen;
	__u8 addr[4];
};
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} routes SEC(".maps");

const volatile __u32 target = 7;
__u64 first_ns, last_ns;
__u32 ingress, random;

static __noinline int count(__u32 what, __u8 last)
{
	struct seen fresh = {.packets = 1, .last = last, .name = "new"}, *s;
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&total, &zero);

	if (n)
		*n += 1;
	s = bpf_map_lookup_elem(&seen, &what);
	if (s)
		s->packets++;
	else
		bpf_map_update_elem(&seen, &what, &fresh, BPF_ANY);
	return what;
}

SEC("xdp")
int verdicts(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 now = bpf_ktime_get_ns();
	__u32 what;

	if (data + ETH_HLEN > end)
		return XDP_ABORTED;
	if (!first_ns)
		first_ns = now;
	last_ns = now;
	ingress = ctx->ingress_ifindex;
	random = bpf_get_prandom_u32();
	what = data[5];
	count(what, data[11]);
	switch (what) {
	case 4:
		return bpf_redirect(target, 0);
	case 6:
		return bpf_redirect_map(&ports, 0, XDP_DROP);
	case 7:
		return bpf_redirect_map(&ports, 0, BPF_F_BROADCAST);
	case 8:
		if (bpf_xdp_adjust_head(ctx, -4))
			return XDP_ABORTED;
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
		if (data + ETH_HLEN > end)
			return XDP_ABORTED;
		data[0] = 0xaa;
		return XDP_PASS;
	case 9:
		return 99;
	}
	return what < 4 ? what : XDP_PASS;
}

/* Reads where the kernel's verifier would not let it. */
SEC("xdp")
int overread(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;

	return data[5] == 5 ? data[200] : XDP_PASS;
}

/* Ends with a packet's own byte: what a chain goes on after. */
SEC("xdp")
int second(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + ETH_HLEN > end)
		return XDP_ABORTED;
	return data[4] & 3;
}

char LICENSE[] SEC("license") = "GPL";
