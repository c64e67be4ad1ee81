# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# KTAP of the test scripts, which source this, also those in a lab machine.
#
#   ktap_begin                 the header
#   ktap_plan N                how many there will be, if that is known
#   ktap STATUS NAME [REMARK]  the result of a test: passed if STATUS is 0
#   check NAME COMMAND...      one that passes if COMMAND prints nothing and returns 0
#                              (not run if NAME does not match $ktap_only)
#   steps NAME COMMAND...      one that passes if each step of the shell function COMMAND
#                              returns 0; what they say is shown if not
#   wrong TEXT                 something is not as it should be:
#   result NAME [REMARK]       a test that passes if there was none since the last one
#   ktap_end                   the plan unless ktap_plan told it; fails if a test failed
#
# What is said about a failure comes before its line.

ktap_number=0
ktap_failed=0
ktap_planned=
ktap_wrong=
ktap_only=.

ktap_begin() { echo "KTAP version 1"; }

ktap_plan() {
	ktap_planned=$1
	echo "1..$1"
}

ktap() {
	ktap_number=$((ktap_number + 1))
	if [ "$1" = 0 ]; then
		printf "%s\n" "ok $ktap_number - $2${3:+ # $3}"
	else
		ktap_failed=$((ktap_failed + 1))
		printf "%s\n" "not ok $ktap_number - $2${3:+ # $3}"
	fi
}

check() {
	ktap_name=$1
	shift
	printf "%s\n" "$ktap_name" | grep -qEe "$ktap_only" || return 0
	ktap_status=0
	ktap_said=$("$@" 2>&1) || ktap_status=1
	[ -z "$ktap_said" ] || ktap_status=1
	[ "$ktap_status" = 0 ] || printf '%s\n' "$ktap_said" | sed 's/^/# /'
	ktap "$ktap_status" "$ktap_name"
	return "$ktap_status"
}

# Not as a condition: there set -e would do nothing.
steps() {
	ktap_name=$1
	shift
	set +e
	ktap_said=$({ set -ex; "$@"; } 2>&1)
	ktap_status=$?
	set -e
	[ "$ktap_status" = 0 ] || printf '%s\n' "$ktap_said" | tail -n 25 | sed 's/^/# /'
	ktap "$ktap_status" "$ktap_name"
}

wrong() {
	ktap_wrong=yes
	printf '%s\n' "$*" | sed 's/^/# /'
}

result() {
	if [ "$ktap_wrong" ]; then ktap 1 "$@"; else ktap 0 "$@"; fi
	ktap_wrong=
}

ktap_end() {
	if [ -z "$ktap_planned" ]; then
		echo "1..$ktap_number"
	elif [ "$ktap_planned" != "$ktap_number" ]; then
		echo "# $ktap_number of $ktap_planned tests ran"
		return 1
	fi
	[ "$ktap_failed" = 0 ]
}
