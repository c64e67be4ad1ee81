# SPDX-License-Identifier: GPL-2.0-only
#
# Judge what gcov -b -c -t says of our kernel files, object after object.  What is taken in
# one of them is taken.  It is judged against a list of what is left, with its reasons:
#
#   awk -v top=FOLDER/ [-v lines_only=1] -f coverage.awk LIST GCOV
#
# What in the list begins with "? " is taken in some runs only.
#
# With lines_only, branches only matter for error returns, which are counted: lines that name an
# error, or hand one on.  In an optimized kernel most have no code of their own.  Such a line
# is taken if the line of code before it is, with all of its branches.
#
# Prints "0|1 NAME # REMARK" for each file, after what is to be said about it.  1: something
# is not taken that the list does not have, or what it has is taken.  The last such line is
# for all files, and wants 95 % of the branches.

function percent(part, all) { return sprintf("%.1f %% of %d", all ? 100 * part / all : 100, all) }
function said(line) { print "# " line }
function is_error(text) {
	return text ~ /(^|[^A-Za-z0-9_])-E[A-Z]|ERR_PTR|PTR_ERR|H_PARAMETER|H_TOO_HARD|return (ret|err);|goto err/
}

# How many branches of a line are not taken; each compiler numbers them as it likes.  With
# lines_only, more than three conditions are copies of an inline function: in one of them, one
# with both outcomes will do, as what is constant there differs.
function not_taken(at,  c, b, none, least) {
	least = -1
	for (c = 0; c <= compiler; c++) {
		if (!((at, c) in branches)) continue
		none = 0
		for (b = 1; b <= branches[at, c]; b++) none += !((at, c, b) in taken)
		for (b = 1; lines_only && branches[at, c] > 6 && b < branches[at, c]; b += 2)
			if ((at, c, b) in taken && (at, c, b + 1) in taken) none = 0
		if (least < 0 || none < least) least = none
	}
	return least < 0 ? 0 : least
}

# Something that is not taken: how many there are of the same text in a function
function miss(file, at, what, count,  id) {
	id = function_of[at] " " what ": " source[at]
	if (!(id in missed)) id_of[file, ++ids[file]] = id
	missed[id] += count
	where[id] = where[id] " " place[at]
}

BEGIN { compiler = 0 }
FILENAME == ARGV[1] {
	if (/^\t/) why[entry] = why[entry] " " substr($0, 2)
	else if (!/^(#|$)/) { entry = $0; if (sub(/^[?] /, "", entry)) may[entry] = 1; left[entry] = 1 }
	next
}
/^compiler$/ { compiler++; next }
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
/^function / { name = $2; last = "" }
# A line: its number differs between versions of a kernel, so it is known by its text.
/^ *[^ :]+: *[0-9]+:/ {
	at = ""
	split($0, field, ":")
	text = $0
	sub(/^[^:]*:[^:]*:[ \t]*/, "", text)
	if (/:}$/) last = ""
	error = lines_only && text !~ /^\/?\*/ && is_error(text)
	if (/^ *-:/ && (!error || last == "")) next
	at = file " " name " " text " " ++occurs[name, text]
	if (error && !(at in file_of)) error_at[++nr_errors] = at
	if (/^ *-:/) {
		if (!(at in key)) shares[at] = last
	} else {
		last = at
		delete shares[at]
		if (!(at in key)) { line_at[++nr] = at; key[at] = 1 }
	}
	if (!(at in file_of)) {
		file_of[at] = file
		place[at] = file ":" field[2] + 0
		function_of[at] = file " " name
		source[at] = text
	}
	if (field[1] + 0) taken[at] = 1
	branch = 0
}
/^branch / && at != "" {
	if (++branch > branches[at, compiler]) branches[at, compiler] = branch
	if ($3 == "taken" && $4) taken[at, compiler, branch] = 1
}

END {
	for (i = 1; i <= nr; i++) {
		at = line_at[i]; f = file_of[at]
		if (!lines[f]++) files[++nr_files] = f
		none = not_taken(at)
		all_branches[f] += branches[at, compiler]
		no_branch[f] += none
		if (!(at in taken)) { no_line[f]++; miss(f, at, "line", 1) }
		else if (none && !lines_only) miss(f, at, "branch", none)
	}
	for (i = 1; i <= nr_errors; i++) {
		at = error_at[i]; f = file_of[at]
		code = at in shares ? shares[at] : at
		errors[f]++
		if (!(code in taken) || not_taken(code)) { no_error[f]++; miss(f, at, "error", 1) }
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
		sum_errors += errors[f]; sum_no_error += no_error[f]
		print bad, f " # lines " percent(lines[f] - no_line[f], lines[f]) (lines_only ? \
			", error returns " percent(errors[f] - no_error[f], errors[f]) : \
			", branches " percent(all_branches[f] - no_branch[f], all_branches[f]))
	}
	for (entry in left) { bad_entry = 1; said("of no file: " entry) }
	bad = bad_entry || !nr || (!lines_only && sum_none > sum * 0.05)
	print bad + 0, "all of them # lines " percent(sum_lines - sum_no_line, sum_lines) (lines_only ? \
		", error returns " percent(sum_errors - sum_no_error, sum_errors) : \
		", branches " percent(sum - sum_none, sum))
}
