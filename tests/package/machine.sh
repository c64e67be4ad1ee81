# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154
#
# A lab machine in which modprobe chooses between stock modules and ours, as on a host.
# For the tests of the package, which source this and set
#
#   $machine   x86-bare or power9-bare
#   $dir       a folder to work in
#   $root      whose modprobe it is: / is below it; there COMMAND runs a command there
#   $tree      where lib/modules/KERNEL is; $modprobe is "modprobe", for that folder
# After that they may set
#
#   $guest     a folder that plain_guest of demo/lib.sh has filled: the guest gets a card

guest=

# It sets $replaced: modules that can be ours; $drivers: what a VM and its device need; and
# $above: others that can be above those, of mediated devices.
case $machine in
x86-bare)
	of=x86_64 cc=gcc replaced="kvm vfio" drivers="kvm_amd vfio_iommu_type1 vfio_pci" above=kvmgt
	;;
power9-bare)
	of=ppc64le cc=powerpc64le-linux-gnu-gcc replaced="kvm vfio vfio_iommu_spapr_tce"
	drivers="kvm_hv vfio_iommu_spapr_tce vfio_pci" above=
	;;
esac

# carry_program FILE AS: with its libraries, which are read there, where absolute links lead
# to what they mean
carry_program() {
	cp -L "$root$1" "$dir/carry/kmod/$2"
	there "ldd $1" | grep -o '/[^ ]*' | while read -r file; do
		to=$dir/carry${file#/usr}
		mkdir -p "${to%/*}"
		there "cat $file" >"$to"
		chmod 755 "$to"
	done
}

# carry KERNEL: pack modprobe with what it needs, and all modules that it can choose
# from; and what reads /etc/modules-load.d, where there is systemd
carry() {
	rm -rf "$dir/carry"
	mkdir -p "$dir/carry/kmod" "$dir/carry/lib/modules/$1" "$dir/carry/lib64" "$dir/carry/usr"
	ln -s ../lib "$dir/carry/usr/lib"
	carry_program /bin/kmod modprobe
	loads=/lib/systemd/systemd-modules-load
	[ ! -e "$root$loads" ] || carry_program $loads modules-load
	(
		cd "$tree/lib/modules/$1" || exit
		{
			find . -maxdepth 1 -name 'modules.*'
			for module in $replaced; do find . -name "$module.ko*"; done
			there "$modprobe -S $1 -D -a $drivers $above" |
				sed -n "/^insmod /{s|^insmod .*/lib/modules/$1/||; s| *\$||; p}"
		} | cpio -pdmL --quiet "$dir/carry/lib/modules/$1"
	)
	(cd "$dir/carry" && find . | cpio -o -H newc -R 0:0 --quiet >"$dir/carry.cpio")
}

# in_machine KIND FOLDER KERNEL IMAGE [APPEND]: modprobe must take the modules of FOLDER;
# none at all if KIND is none.
# With APPEND, the kernel's initramfs of the Debian comes first and is told this.
in_machine() {
	carry "$3"
	# If none is to be loaded, there may be none to look at: newer DKMS keeps Debian's
	# own elsewhere until ours are removed.
	modules=$replaced
	[ "$1" != none ] || modules=
	for module in $modules; do
		file=$(find "$tree/lib/modules/$3/$2" -name "$module.ko" -o -name "$module.ko.xz")
		case $file in
		*.xz) xz -dc "$file" >"$dir/$module.ko" ;;
		*) cp "$file" "$dir/$module.ko" ;;
		esac
		echo "$module $(readelf -n "$dir/$module.ko" | sed -n 's/^ *Build ID: //p')"
	done >"$dir/build-ids"
	eval "busybox=\$BUSYBOX_$of"
	cat >"$dir/base.env" <<-END
	KREL_$of='$3'
	KERNEL_$of='$4'
	MODULES_$of='$tree/lib/modules/$3'
	BUSYBOX_$of='$busybox'
	QEMU_POWER_PATH='$QEMU_POWER_PATH'
	END
	"$cc" -O2 -static -o "$dir/holder" "$top/demo/holder.c"
	# Defect 13: stock warns when a group goes without SET_SPAPR_TCE.  Another warning has a
	# line of its own, which is not allowed.
	cp "$top/tests/lab/allowed" "$dir/allowed"
	[ "$1:$machine" != stock:power9-bare ] ||
		printf '%s\tdefect 13 of stock\n' 'WARNING: .* kvm_spapr_tce_release_vfio_group' \
			'-\[ cut here \]-' 'Call Trace:' >>"$dir/allowed"
	kind=ours
	[ "$1" = ours ] || kind=stock
	command="./dkms.inside $1"
	[ $# -lt 5 ] || command="$command early"
	set -- -f "$dir/build-ids" --append "${5-} ${guest:+$nested_append}" \
		${5+--first "$tree/boot/initrd.img-$3"}
	seconds=100
	if [ "$guest" ]; then
		seconds=300
		set -- "$@" --initrd "$guest/qemu.cpio" -f "$guest/vmlinux" \
			-f "$guest/guest.cpio" -f "$top/demo/guest.sh" -f "$top/demo/story"
	fi
	LAB_BUILD=$out LAB_ALLOWED=$dir/allowed KVM_VFIO_BASE_ENV=$dir/base.env \
		"$top/tests/lab/run" -m "$machine" \
		-k "$kind" -t "$seconds" --initrd "$dir/carry.cpio" -f "$dir/holder" \
		-f "$top/tests/package/dkms.inside" -f "$top/debian/README.Debian" "$@" -- "$command"
}
