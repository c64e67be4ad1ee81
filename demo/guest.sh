# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Shared by what starts a guest inside a lab machine, which has QEMU in /qemu, and
# the guest's kernel and initramfs as vmlinux and guest.cpio.

# QEMU has its own C library; its loader finds everything in /qemu.
loader=$(find /qemu -name 'ld*.so.[12]' -type f | head -n 1)
libs=$(find /qemu -name '*.so*' -type f | sed 's|/[^/]*$||' | sort -u | tr '\n' ':')
qemu_path=$(find /qemu/usr/bin -name 'qemu-system-*')

# qemu ARG...: in place of this shell, so call it in the background or in a pipe
qemu() {
	exec "$loader" --library-path "$libs" "$qemu_path" "$@"
}

# start_guest ARG...: in the background, as $qemu_pid; fd 4 reads its console, which
# reads $guest_input, if that is set.
start_guest() {
	rm -f guest.console
	mkfifo guest.console
	qemu -L /qemu/usr/share/qemu -L /qemu/usr/share/seabios -nodefaults \
		-nographic -vga none -monitor none -serial stdio -no-reboot \
		-kernel vmlinux -initrd guest.cpio "$@" >guest.console 2>&1 \
		<"${guest_input:-/dev/null}" &
	# shellcheck disable=SC2034 # for the caller
	qemu_pid=$!
	exec 4<guest.console
}

# More for the kernel of an x86 guest.  QEMU 7.2 does not let KVM intercept XSETBV, so
# the guest finds another size of its FPU state than KVM tells it and turns XSAVE off;
# 7.x with CONFIG_X86_DEBUG_FPU dereferences NULL while it does that.
# shellcheck disable=SC2034 # for the caller
x86_guest_append=noxsave

# Set $pseries to the machine type of a POWER guest.  $OUTER_QEMU is the major version
# of the QEMU that emulates the lab machine.
pseries_machine() {
	pseries=pseries,accel=kvm,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken
	pseries=$pseries,cap-ccf-assist=off,cap-hpt-max-page-size=4k,x-vof=on
	# An outer QEMU before 8 does not emulate this property of the CPU; an inner one
	# before 8 does not need it.
	if [ "$OUTER_QEMU" -lt 8 ] && qemu -machine pseries,help | grep -q cap-ail-mode-3; then
		pseries=$pseries,cap-ail-mode-3=off
	fi
}
