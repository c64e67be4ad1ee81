# SPDX-License-Identifier: GPL-2.0-only
#
# Judge what gcov -b -c -t says of our kernel files, object after object.  What is taken in
# one of them is taken.  It is judged against a list of what is left, with its reasons:
#
#   awk -v top=FOLDER/ [-v lines_only=1] -f coverage.awk LIST GCOV
#
# What in the list begins with "? " is taken in some runs only.
#
# Prints "0|1 NAME # REMARK" for each file, after what is to be said about it.  1: something
# is not taken that the list does not have, or what it has is taken.  The last such line is
# for all files, and wants 95 % of the branches.

function percent(part, all) { return sprintf("%.1f %% of %d", all ? 100 * part / all : 100, all) }
function said(line) { print "# " line }

# Something that is not taken: how many there are of the same text in a function
function miss(file, at, what, count,  id) {
	id = key[at] " " what ": " source[at]
	if (!(id in missed)) id_of[file, ++ids[file]] = id
	missed[id] += count
	where[id] = where[id] " " place[at]
}

FILENAME == ARGV[1] {
	if (/^\t/) why[entry] = why[entry] " " substr($0, 2)
	else if (!/^(#|$)/) { entry = $0; if (sub(/^[?] /, "", entry)) may[entry] = 1; left[entry] = 1 }
	next
}
# A file, and whether it is ours
/^ *-: +0:Source:/ {
	file = $0
	sub(/.*:Source:/, "", file)
	if (!sub(/^(\.\.\/)+/, "", file) && index(file, top) == 1)
		file = substr(file, length(top) + 1)
	# Files of tests are not, nor are others of the kernel.  In a real one, what tracepoints are
	# made of is the kernel's.
	ours = file ~ (lines_only ? "^(virt|drivers|arch)/" : "^(virt|drivers|arch|include/trace)/") &&
		(getline line <(top file)) > 0
	close(top file)
	split("", occurs)
}
!ours { next }
/^function / { name = $2 }
# A line: its number differs between versions of a kernel, so it is known by its text.
/^ *[^ :]+: *[0-9]+:/ {
	at = ""
	if (/^ *-:/) next
	split($0, field, ":")
	text = $0
	sub(/^[^:]*:[^:]*:[ \t]*/, "", text)
	at = file " " name " " text " " ++occurs[name, text]
	if (!(at in key)) {
		line_at[++nr] = at
		file_of[at] = file
		place[at] = file ":" field[2] + 0
		key[at] = file " " name
		source[at] = text
	}
	if (field[1] + 0) taken[at] = 1
	branch = 0
}
/^branch / && at != "" && !lines_only {
	if (++branch > branches[at]) branches[at] = branch
	if ($3 == "taken" && $4) taken[at, branch] = 1
}

END {
	for (i = 1; i <= nr; i++) {
		at = line_at[i]; f = file_of[at]
		if (!lines[f]++) files[++nr_files] = f
		none = 0
		for (b = 1; b <= branches[at]; b++) {
			all_branches[f]++
			if (!((at, b) in taken)) none++
		}
		no_branch[f] += none
		if (!(at in taken)) { no_line[f]++; miss(f, at, "line", 1) }
		else if (none) miss(f, at, "branch", none)
	}
	for (i = 1; i <= nr_files; i++) {
		f = files[i]; bad = 0
		for (k = 1; k <= ids[f]; k++) {
			id = id_of[f, k]
			entry = missed[id] " " id
			if (entry in left) said("left" where[id] ":" why[entry])
			else { bad = 1; said("not taken, " where[id] ":"); said(entry) }
			delete left[entry]
		}
		for (entry in left)
			if (index(entry, " " f " ")) {
				if (!(entry in may)) { bad = 1; said("taken: " entry) }
				delete left[entry]
			}
		sum_lines += lines[f]; sum_no_line += no_line[f]
		sum += all_branches[f]; sum_none += no_branch[f]
		print bad, f " # lines " percent(lines[f] - no_line[f], lines[f]) (lines_only ? "" : \
			", branches " percent(all_branches[f] - no_branch[f], all_branches[f]))
	}
	for (entry in left) { bad_entry = 1; said("of no file: " entry) }
	bad = bad_entry || !nr || sum_none > sum * 0.05
	print bad + 0, "all of them # lines " percent(sum_lines - sum_no_line, sum_lines) (lines_only ? "" : \
		", branches " percent(sum - sum_none, sum))
}
