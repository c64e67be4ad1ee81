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

# answered "ADD 0...": check what KVM-VFIO was asked since the last time, by the probe
# kvm_vfio_attr
answered() {
	said=$(sed -n 's/.* attr=1 ret=/ADD /p; s/.* attr=2 ret=/DEL /p
		s/.* attr=3 ret=/SET /p' $tracing/trace | tr '\n' ' ')
	: >$tracing/trace
	[ "$said" = "${1:+$1 }" ] || wrong "KVM-VFIO was asked, and answered: ${said:-nothing}"
}
