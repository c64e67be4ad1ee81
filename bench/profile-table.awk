# SPDX-License-Identifier: GPL-2.0-only
#
# The table of bench/profile, from lines "NAME INSTRUCTIONS FUNCTION".
{
	count[$1, $3] = $2
	total[$1] += $2
	if (!($3 in seen)) {
		seen[$3] = 1
		functions[++n] = $3
	}
	sum[$3] += $2 / ($1 == "list" || $1 == "stuff" ? 512 : 1)
}

function cell(call, f) {
	return shown(call, count[call, f])
}

function shown(call, number) {
	if (call == "list" || call == "stuff")
		return sprintf("%.1f", number / 512)
	return number + 0
}

function line(text, f,  i, s) {
	s = "| " text " |"
	for (i = 1; i <= calls; i++)
		s = s " " (f == "" ? shown(call[i], total[call[i]]) : cell(call[i], f)) " |"
	print s
}

function others(  i, j) {
	for (i = 1; i <= n; i++)
		if (sum[functions[i]] < least)
			for (j = 1; j <= calls; j++)
				count[call[j], "rest"] += count[call[j], functions[i]]
	line("all others", "rest")
}

END {
	least = 10
	calls = split("put one list stuff put2 one2", call, " ")
	print "| instructions in | H_PUT_TCE, map | H_STUFF_TCE, 1 | H_PUT_TCE_INDIRECT, remapped, per TCE | H_STUFF_TCE, 512, per TCE | two tables: H_PUT_TCE, map | H_STUFF_TCE, 1 |"
	print "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
	for (;;) {
		best = ""
		for (i = 1; i <= n; i++)
			if (!done[functions[i]] && (best == "" || sum[functions[i]] > sum[best]))
				best = functions[i]
		if (best == "" || sum[best] < least)
			break
		done[best] = 1
		line(best, best)
	}
	others()
	line("all", "")
}
