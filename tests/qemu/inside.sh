# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154
#
# Shared by what runs inside the lab machines.  Comes after guest.sh and ktap.sh.

tracing=/sys/kernel/tracing
[ -e $tracing/kprobe_events ] || tracing=/sys/kernel/debug/tracing

# checked NAME: print the result with the machine's time
checked() {
	read -r up _ </proc/uptime
	result "$1" "at $up s"
}

# For the kernel of an x86 guest.  Its clock tick is made cheap, because on a busy host a nested
# guest under KASAN could spend all its time in it.
# shellcheck disable=SC2034 # for the tests
x86_append="console=ttyS0 panic=-1 quiet nohz=off highres=off lapic=notscdeadline $x86_guest_append"

# bind BDF...: to vfio-pci; $group is that of the last one
bind() {
	for bdf; do
		group=$(vfio-bind "$bdf" | sed -n 's/.* group //p')
		[ "$group" ] || wrong "$bdf cannot be bound to vfio-pci"
	done
}

# in_use yes|no: can another process open the group?
in_use() {
	if (exec 3<>"/dev/vfio/$group") 2>/dev/null; then said=no; else said=yes; fi
	[ $said = "$1" ] || wrong "the group is in use: $said"
}

# holders: the processes in whose fdinfo there is a KVM-VFIO device, and how many files it holds
holders() {
	for info in /proc/[0-9]*/fdinfo/*; do
		sed -n "s|^files:\t|${info#/proc/} |p" "$info" 2>/dev/null
	done | sed 's|/fdinfo/[0-9]*||'
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

# echoes NUMBER: so many packets of the guest come back
echoes() {
	echo "echo $1" >&5
	console guest-echo
	echo "# $said"
	case $said in
	*"guest-echo $1 of $1,"*) ;;
	*) wrong "${said:-no echo}" ;;
	esac
}

# lease NAME: the guest has one over this card
lease() {
	echo "lease $1" >&5
	console guest-lease
}

poweroff_guest() {
	echo poweroff >&5
	console end
	wait "$qemu_pid" || wrong "QEMU ends with status $?"
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
