# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Shared by what runs inside the lab machines.  Comes after ktap.sh.

tracing=/sys/kernel/tracing
[ -e $tracing/kprobe_events ] || tracing=/sys/kernel/debug/tracing

# checked NAME: print the result with the machine's time
checked() {
	read -r up _ </proc/uptime
	result "$1" "at $up s"
}

# For answered, if there is no other probe
probe() {
	# shellcheck disable=SC2016 # $arg2 is the probe's
	echo 'r:kvm_vfio_attr kvm_vfio_set_attr attr=+8($arg2):u64 ret=$retval:s32' \
		>$tracing/kprobe_events &&
		echo 1 >$tracing/events/kprobes/kvm_vfio_attr/enable
}

# answered "ADD 0...": check what KVM-VFIO was asked since the last time, by the probe
# kvm_vfio_attr
answered() {
	said=$(sed -n 's/.* attr=1 ret=/ADD /p; s/.* attr=2 ret=/DEL /p
		s/.* attr=3 ret=/SET /p' $tracing/trace | tr '\n' ' ')
	: >$tracing/trace
	[ "$said" = "${1:+$1 }" ] || wrong "KVM-VFIO was asked, and answered: ${said:-nothing}"
}

# console WORD: read the guest's console up to a line with this word, which becomes $said
console() {
	while IFS= read -r said; do
		case $said in
		*"$1"*)
			said=$(echo "$said" | tr -d '\r')
			return
			;;
		*qemu-system-*": warning:"*) ;;
		*guest-no-lease* | *guest-failed* | *qemu-system-*:* | *'Kernel panic'*)
			wrong "$said"
			return
			;;
		esac
	done <&4
	said=
	[ "$1" = end ] || wrong "the guest's console ends before $1"
}

# event WORD: read what the monitor says up to this word
event() {
	while IFS= read -r said; do
		case $said in
		*"$1"*) return ;;
		*'"error"'* | *'"failed"'* | *_ERROR\"*)
			wrong "$said"
			return
			;;
		esac
	done <&7
	wrong "the monitor ends"
}

# monitor COMMAND [ARGUMENTS]
monitor() {
	echo "{ \"execute\": \"$1\", \"arguments\": { ${2:-} } }" >&6
	event '"return"'
}

# monitor_of NAME: from here on; QEMU keeps what it has said for whoever comes
monitor_of() {
	exec 6<>"$1.in" 7<>"$1.out"
	event '"QMP"'
	monitor qmp_capabilities
}
