# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# For scripts that source ktap.sh, and have $top:
#
#   judge_coverage LIST GCOV [AWK-OPTION]...   what coverage.awk says, as results

judge_coverage() {
	list=$1 gcov=$2
	shift 2
	# shellcheck disable=SC2154 # the script has it
	awk -v top="$top/" "$@" -f "$top/tests/coverage.awk" "$list" "$gcov" >"$gcov.said"
	while IFS= read -r line; do
		case $line in
		'#'*) printf '%s\n' "$line" ;;
		*) ktap "${line%% *}" "${line#* }" ;;
		esac
	done <"$gcov.said"
}
