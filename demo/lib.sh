# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154
#
# Shared by what runs a real guest in a lab machine: archives to append to the
# machine's initramfs.  Comes after scripts/lib.sh and base.env.

# make_cpio DIR FILE: make an initramfs archive, completely or not at all
make_cpio() {
	(cd "$1" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$2.$$"
	mv "$2.$$" "$2"
}

# new_tmp DIR: make a folder in it, and remove what an interrupted run left there
new_tmp() {
	find "$1" -maxdepth 1 -name 'tmp.*' -mmin +60 -exec rm -rf {} +
	mktemp -d "$1/tmp.XXXXXX"
}

# closure ROOT PROGRAM: the program and all libraries it links to, as paths
closure() (
	cd "$1" || exit
	find . -path '*/lib*' -name '*.so*' | awk -F/ '{ print $NF, $0 }' >"$tmp/libs"
	echo "./$2" >"$tmp/todo"
	: >"$tmp/done"
	while [ -s "$tmp/todo" ]; do
		cat "$tmp/todo" >>"$tmp/done"
		xargs readelf -d <"$tmp/todo" 2>/dev/null |
			sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u |
			awk 'NR == FNR { if (!($1 in at)) at[$1] = $2; next }
				$1 in at { print at[$1] }' "$tmp/libs" - |
			grep -vxFf "$tmp/done" >"$tmp/next" || :
		mv "$tmp/next" "$tmp/todo"
	done
	awk '/\/ld[^\/]*\.so\.[12]$/' "$tmp/libs" | cut -d' ' -f2 | head -n 1 >>"$tmp/done"
	cat "$tmp/done"
)

# qemu_archive ROOT PROGRAM ARCHIVE: pack Debian's QEMU, unpacked in ROOT, with its
# libraries, for /qemu of the lab machine.  It has only what is used, because an
# initramfs of powernv is limited to 128 MiB.
qemu_archive() (
	[ ! -e "$3" ] || exit 0
	tmp=$(new_tmp "${3%/*}")
	closure "$1" "usr/bin/$2" >"$tmp/files"
	(cd "$1" && find ./usr/share/qemu ./usr/share/seabios \( -name 'vof*' \
		-o -name 'bios-256k*' -o -name 'kvmvapic*' -o -name 'linuxboot*' \
		-o -name 'multiboot*' \) 2>/dev/null) >>"$tmp/files" || :
	while read -r file; do
		mkdir -p "$tmp/root/qemu/${file%/*}"
		cp -L "$1/$file" "$tmp/root/qemu/$file"
	done <"$tmp/files"
	make_cpio "$tmp/root" "$3"
	rm -rf "$tmp"
)

# guest_archive ARCH ARCHIVE [FILE]...: pack a whole guest: busybox, the driver of the
# card, an init and these programs.
guest_archive() (
	stock=""
	busybox=""
	eval "stock=\$MODULES_$1 busybox=\$BUSYBOX_$1"
	tmp=$(new_tmp "${2%/*}")
	mkdir -p "$tmp/bin"
	cp "$busybox" "$tmp/bin/busybox"
	ln -s busybox "$tmp/bin/sh"
	cp "$top/demo/guest-init" "$tmp/init"
	chmod +x "$tmp/init"
	archive=$2
	shift 2
	for file; do
		install -m 755 "$file" "$tmp/${file##*/}"
	done
	: >"$tmp/modules"
	# in the order of their dependencies; what is missing is built in
	for m in drivers/pps/pps_core drivers/ptp/ptp \
			drivers/net/ethernet/intel/e1000e/e1000e \
			net/core/failover drivers/net/net_failover drivers/net/virtio_net; do
		ko=$stock/kernel/$m.ko.xz
		[ -e "$ko" ] || continue
		xz -dc "$ko" >"$tmp/${m##*/}.ko"
		echo "${m##*/}.ko" >>"$tmp/modules"
	done
	make_cpio "$tmp" "$archive"
	rm -rf "$tmp"
)

# plain_guest ARCH DIR: pack QEMU and a guest that only gets a lease, as all that a lab machine of
# this architecture needs for demo/story
plain_guest() (
	eval "root=\$QEMU_ROOT_$1 kernel=\$KERNEL_$1"
	program=qemu-system-x86_64
	[ "$1" = x86_64 ] || program=qemu-system-ppc64
	mkdir -p "$2"
	qemu_archive "$root" "$program" "$2/qemu.cpio"
	guest_archive "$1" "$2/guest.cpio"
	ln -sf "$kernel" "$2/vmlinux"
)

# More for the kernel of an x86 lab machine in which QEMU runs a guest: a periodic tick.
# QEMU before 10.2 can lose a timer interrupt of the emulated CPU: VMRUN sets the bit for
# a virtual interrupt in interrupt_request without the lock, and what another thread
# sets there at that moment is gone.  Linux sets a one-shot timer again in its interrupt
# only, so with NO_HZ or high resolution the machine and its guest would hang for ever,
# while a periodic one makes up for it 4 ms later.
# shellcheck disable=SC2034 # for what runs the machine
nested_append="nohz=off highres=off"

# outer_qemu: the major version of the QEMU that emulates power9, for $OUTER_QEMU of guest.sh
outer_qemu() {
	program=${QEMU_POWER_PATH:+$QEMU_POWER_PATH/}qemu-system-ppc64
	command -v "$program" >/dev/null || "$top/scripts/fetch" qemu-power >&2
	"$program" -version | sed -n "s/.*version \([0-9]*\).*/\1/p"
}

# power_guest DIR SCRIPT [SOURCE]: prepare what the lab machine power9 needs for a guest
# that runs this script once it has a lease, with packets and another program
power_guest() {
	dir=$1
	mkdir -p "$dir"
	cp "$2" "$dir/after"
	set -- "$top/demo/packets.c" ${3:+"$3"}
	for source; do
		shift
		program=$dir/$(basename "$source" .c)
		powerpc64le-linux-gnu-gcc -O2 -Wall -Wextra -static -o "$program" "$source"
		set -- "$@" "$program"
	done
	qemu_archive "$QEMU_ROOT_ppc64le" qemu-system-ppc64 "$dir/qemu.cpio"
	guest_archive ppc64le "$dir/guest.cpio" "$dir/after" "$@"
	ln -sf "$KERNEL_ppc64le" "$dir/vmlinux"
}

# x86_guest DIR SCRIPT: the same for the lab machine x86, with packets
x86_guest() {
	dir=$1
	mkdir -p "$dir"
	cp "$2" "$dir/after"
	gcc -O2 -Wall -Wextra -static -o "$dir/packets" "$top/demo/packets.c"
	qemu_archive "$QEMU_ROOT_x86_64" qemu-system-x86_64 "$dir/qemu.cpio"
	guest_archive x86_64 "$dir/guest.cpio" "$dir/after" "$dir/packets"
	ln -sf "$KERNEL_x86_64" "$dir/vmlinux"
}

# guest_test NAME OPTION... [-- COMMAND]: run tests/qemu/NAME.inside, or this, in a lab machine
# with these options, which has what is in $dir: QEMU and a guest
guest_test() {
	name=$1
	shift
	case " $* " in *" -- "*) ;; *) set -- "$@" -- "./$name.inside" ;; esac
	"$top/tests/lab/run" --initrd "$dir/qemu.cpio" \
		-f "$dir/vmlinux" -f "$dir/guest.cpio" -f "$top/demo/guest.sh" \
		-f "$top/tests/ktap.sh" -f "$top/tests/qemu/inside.sh" \
		-f "$top/tests/qemu/$name.inside" "$@"
}

# virtio_card NETDEV-OPTIONS: QEMU's arguments for a third card of an x86 or arm64 machine,
# 0000:03:00.0.  It has a function level reset, and the cloud kernels a driver for it.
virtio_card() {
	echo "-device pcie-root-port,id=port2,bus=pcie.0,addr=5,chassis=3,slot=3" \
		"-netdev user,id=net2${1:+,$1}" \
		"-device virtio-net-pci,netdev=net2,bus=port2,iommu_platform=on,romfile="
}

# power_test MACHINE NAME MODULES SECONDS [PROGRAM [ARGUMENT]...]: run tests/qemu/NAME.inside in the
# machine for which power_guest was called last, with a program and these arguments.  Its
# emulated host bridges tell of DMA for which they find no entry; there must be none.
power_test() {
	refused=$dir/refused
	status=0
	rm -f "$refused"
	machine=$1 name=$2 modules=$3 seconds=$4 file=${5:-}
	shift "$(($# < 5 ? 4 : 5))"
	guest_test "$name" -m "$machine" -k "$modules" -t "$seconds" ${file:+-f "$file"} \
		--qemu "-d guest_errors -D $refused" \
		-- "OUTER_QEMU=$(outer_qemu) ./$name.inside $*" ||
		status=$?
	[ -s "$refused" ] || die "QEMU wrote no log" "see $refused"
	! grep 'TCE access fault' "$refused" >&2 ||
		die "DMA of the guest's card found no entry" "see $refused"
	return $status
}
