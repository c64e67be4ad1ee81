# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# For inside and inside.stock, which run in a lab machine, as root: the command kvm-vfio
# beside the real kernel.  With it come hold and json.
# shellcheck source=tests/ktap.sh
. ./ktap.sh

# ok WHAT STATUS: 0 is good
ok() {
	[ "$2" = 0 ] || sed 's/^/# /' out
	ktap "$2" "$1"
}

# ends STATUS ARG...: kvm-vfio ends with that status; err is what it says on stderr
ends() {
	want=$1
	shift
	./kvm-vfio "$@" >out 2>err </dev/null
	got=$?
	cat err >>out
	[ "$got" = "$want" ]
}

# run STATUS ARG...: the same, and it says nothing wrong
run() { ends "$@" && { [ "$want" = 2 ] || [ ! -s err ]; }; }

# flat: the output is JSON, and becomes lines of a path and a value
flat() { cp out text && ./json <text >out; }

# json STATUS ARG...
json() { run "$@" --json && flat; }

says() { grep -q "$1" out; }

# hold [HOW]: hold has the device.  $holder is its process, $fd its KVM-VFIO device, and $maker the
# process that made the VM if that is another one.
hold() {
	./hold "$bdf" "$@" <in >said &
	holder=$!
	exec 3>in 4<said
	# shellcheck disable=SC2034 # maker is used by inside
	read -r _ fd maker <&4
	fd=${fd#*-}
}

# let_go: hold has ended
let_go() {
	exec 3>&-
	wait "$holder"
}

# begin_watch BY COMMAND...: it says first by what it watches
begin_watch() {
	by=$1
	shift
	"$@" >events 2>watch.err &
	watcher=$!
	exec 5<events
	read -r line <&5
	echo "$line" >out
	[ "$line" = "watching, by $by" ]
}

# event NAME TEXT: the next events up to this one with the text; they are all in the pipe, or come
event() {
	: >out
	while read -r line <&5; do
		echo "$line" >>out
		echo "$line" >>seen
		case $line in *"  $1 "*"$2"*) return 0 ;; esac
	done
	return 1
}

# end_watch SIGNAL: it says nothing wrong, and nothing more
end_watch() {
	kill -s "$1" "$watcher"
	wait "$watcher" && [ ! -s watch.err ] || return 1
	cat <&5 >out
	[ ! -s out ]
}

# nobody WHEN: the group is free
nobody() {
	run 1 why "$group"
	ok "nobody holds the group $1" $?
}

# What needs no VM, and so is the same with any kernel
held_without_vm() {
	hold mapped
	run 0 why "$group" && says "^held" && says "PID $holder, hold: .*(mapped)"
	ok "the group is held by a mapping alone" $?
	let_go
	nobody "without the mapping"

	# Nobody has an fd of it, and it is busy all the same.
	hold sent
	run 0 why "$group" && says "PID $holder, hold: perhaps one of 1 files in flight"
	ok "the group is held by a file in flight" $?
	let_go
	nobody "once the socket is closed"

	# A jail has a node of its own, of any name.
	numbers=$(cat "/sys/class/vfio/$group/dev")
	mknod /tmp/null c "${numbers%:*}" "${numbers#*:}"
	sh -c 'exec 9<>/tmp/null && echo holding && read -r line' <in >said &
	holder=$!
	exec 3>in 4<said
	read -r _ <&4
	run 0 why "$group" && says "^held" && says "PID $holder, sh"
	ok "the group is held by a node of another name" $?
	let_go
	nobody "without that"
}

# shellcheck disable=SC2153 # the lab sets it
bdf=${LAB_BDFS%% *}
group=$(vfio-bind "$bdf" | sed -n 's/.* group //p')
mkfifo in said events
: >seen
ktap_begin
