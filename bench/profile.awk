# SPDX-License-Identifier: GPL-2.0-only
#
# From sorted symbols, and from the blocks that bench/profile.c wrote: "NAME INSTRUCTIONS
# FUNCTION" for each function of each call.  A call ends where its caller goes on.  What
# is not in the kernel is the firmware.
FNR == NR { address[++n] = $1; symbol[n] = $3; next }

# Addresses have the same length, so they compare as text.
function function_at(a,  low, high, middle) {
	if (a !~ /^c/)
		return "firmware"
	low = 1
	high = n
	while (low < high) {
		middle = int((low + high + 1) / 2)
		if (("x" address[middle]) <= ("x" a))
			low = middle
		else
			high = middle - 1
	}
	return symbol[low]
}

{
	if (!($2 in at))
		at[$2] = function_at($2)
	f = at[$2]
	if ($1 != name) {
		name = $1
		over = 0
	}
	if (f ~ /^kvmppc_pseries_do_hcall/)
		over = 1
	if (!over)
		count[name, f] += $3
}

END {
	for (key in count) {
		split(key, part, SUBSEP)
		print part[1], count[key], part[2]
	}
}
