# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034
#
# Shared by the scripts, which set $top to the root of the repository.
#
# BASE            a kernel of scripts/bases, 6.12 by default
# ARCH            x86_64, ppc64le, or both, which is the default
# FLAVOUR         of their kernels only these: x86_64, ppc64le, ppc64le-64k
# KVM_VFIO_CACHE  downloads and unpacked packages, shared by all clones
# KVM_VFIO_BUILD  everything built from this clone

: "${top:?}"

say() { echo "kvm-vfio: $*" >&2; }

# die WHAT-IS-WRONG [WHAT-TO-DO]
die() {
	echo "kvm-vfio: error: $1" >&2
	[ -z "${2:-}" ] || echo "kvm-vfio: to do: $2" >&2
	exit 1
}

base=${BASE:-6.12}
arches=${ARCH:-x86_64 ppc64le}
flavours='x86_64 ppc64le ppc64le-64k'
out=${KVM_VFIO_BUILD:-$top/build}
# What depends on the base is below $build, what does not is beside it in $out.
build=$out/$base
cache=${KVM_VFIO_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/kvm-vfio}

# The lines of the table for this base
base_lines() { awk -v base="$base" '$1 == base' "$top/scripts/bases"; }

check_settings() {
	for path in "$top" "$out" "$cache"; do
		case $path in
		*[[:space:]:]*) die "'$path': kbuild takes no path with a blank or a colon in it" ;;
		esac
	done
	[ -n "$(base_lines)" ] ||
		die "no base $base: there are $(awk '/^[^#]/ { print $1 }' "$top/scripts/bases" | uniq | paste -sd ' ')"
	for arch in $arches; do
		case $arch in
		x86_64 | ppc64le) ;;
		*) die "no architecture $arch: there are x86_64 and ppc64le" ;;
		esac
	done
	for one in ${FLAVOUR:-}; do
		case " $flavours " in
		*" $one "*) ;;
		*) die "no kernel FLAVOUR=$one: there are $flavours" ;;
		esac
	done
}
check_settings

# base_patches SUFFIX: the patches of the base, in the order in which they are applied; with
# a suffix those of its folders with that, say -series
base_patches() {
	base_lines | awk 'NR == 1 { print $2 }' | tr , '\n' | while read -r folder; do
		find "$top/patches/$folder$1" -name '*.patch' 2>/dev/null || :
	done | awk -F/ '{ print $NF "\t" $0 }' | LC_ALL=C sort | cut -f2
}

# The kernel files that the patches on standard input change
patched_files() { sed -n "s|^+++ b/\([^[:space:]]*\).*|\1|p" | sort -u; }

# base_suites RELEASE: where a machine of that Debian release finds the base
base_suites() {
	base_lines | awk -v host="$1" '$4 == host || $4 == "*" { gsub(",", " ", $5); print $5; exit }'
}

# The oldest gcc that builds the base for ppc64le.
base_gcc() { base_lines | awk 'NR == 1 { print $3 }'; }

# The names that Debian and kbuild have for our flavours, and for arm64, of which there is
# a debug kernel only.
flavour_arch() { echo "${1%-64k}"; }
arch_flavours() {
	case $1 in x86_64) set -- x86_64 ;; *) set -- ppc64le ppc64le-64k ;; esac
	for one; do
		case " ${FLAVOUR:-$flavours} " in *" $one "*) echo "$one" ;; esac
	done
}
flavour_deb_arch() { case $1 in x86_64) echo amd64 ;; arm64) echo arm64 ;; *) echo ppc64el ;; esac; }
flavour_image() {
	case $1 in
	x86_64) echo amd64 ;;
	ppc64le) echo powerpc64le ;;
	ppc64le-64k) echo powerpc64le-64k ;;
	esac
}
flavour_karch() { case $1 in x86_64) echo x86 ;; arm64) echo arm64 ;; *) echo powerpc ;; esac; }
flavour_cross() {
	case $1 in
	x86_64) [ "$(uname -m)" = x86_64 ] || echo x86_64-linux-gnu- ;;
	arm64) echo aarch64-linux-gnu- ;;
	*) [ "$(uname -m)" = ppc64le ] || echo powerpc64le-linux-gnu- ;;
	esac
}
flavour_var() { echo "$1" | tr - _; }

need_tool() {
	command -v "$1" >/dev/null 2>&1 ||
		die "$1 is not installed" "make deps (installs what is missing through apt)"
}

# need_space DIR MIB
need_space() {
	mkdir -p "$1"
	free=$(($(df -Pk "$1" | awk 'NR == 2 { print $4 }') / 1024))
	[ "$free" -ge "$2" ] ||
		die "only $free MiB free in $1, $2 MiB are needed" \
		    "free some space, or set KVM_VFIO_CACHE and KVM_VFIO_BUILD to another disk"
}

# If there are two runs at once, the second one waits.  The lock is held until the
# script ends.
take_lock() {
	mkdir -p "$(dirname "$1")"
	exec 9>"$1"
	flock -n 9 && return
	say "waiting for another run to finish with $(dirname "$1")"
	flock 9
}

# Run a command with its output in a log; show the end of it if it fails.
logged() {
	log=$1
	shift
	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 </dev/null && return
	tail -n 20 "$log" >&2
	die "'$*' failed" "read $log"
}

# The prefix of the compiler for modules; some bases need another one than this
# machine's.
kbuild_cross() {
	kbuild_prefix=""
	eval "kbuild_prefix=\${CROSS_$(flavour_arch "$1"):-}"
	echo "${kbuild_prefix:-$(flavour_cross "$1")}"
}

# kbuild_cc FLAVOUR: the compiler for modules.  A newer one than that of Debian's kernel can make
# another configuration of it, and so other CRCs: gcc 15 has counted_by.  So it is that one, if
# this machine has it.
kbuild_cc() {
	kbuild_gcc=$(kbuild_cross "$1")gcc
	kbuild_config=""
	eval "kbuild_config=\$HEADERS_$(flavour_var "$1")/.config"
	kbuild_version=$(sed -n 's/^CONFIG_GCC_VERSION=\(.*\)....$/\1/p' "$kbuild_config")
	command -v "$kbuild_gcc-$kbuild_version" || echo "$kbuild_gcc"
}

# kbuild FLAVOUR ARGUMENT...: make in the overlaid tree, for Debian's kernel
kbuild() {
	kbuild_krel=""
	kbuild_karch=$(flavour_karch "$1")
	eval "kbuild_krel=\$KREL_$(flavour_var "$1")"
	kbuild_flavour=$1
	shift
	make -C "$build/linux" O="$build/obj/$kbuild_flavour" ARCH="$kbuild_karch" \
		CROSS_COMPILE="$(kbuild_cross "$kbuild_flavour")" CC="$(kbuild_cc "$kbuild_flavour")" \
		KERNELRELEASE="$kbuild_krel" \
		KCFLAGS="-I$build/linux/arch/$kbuild_karch/kvm -I$build/linux/virt/kvm" \
		-j"$(nproc)" "$@"
}

# kbuild_modules FLAVOUR ARGUMENT...: build only our modules; the others stay Debian's
kbuild_modules() {
	kbuild "$@" M="$build/work/$1" CONFIG_KVM_INTEL= CONFIG_KVM_AMD= \
		CONFIG_KVM_BOOK3S_64_HV= CONFIG_KVM_BOOK3S_64_PR= \
		CONFIG_VFIO_PCI_CORE= CONFIG_VFIO_MDEV= CONFIG_VFIO_PLATFORM_BASE= \
		CONFIG_VFIO_FSL_MC= CONFIG_VFIO_CDX= CONFIG_VFIO_IOMMU_TYPE1= modules
}

# configure OBJ KMAKE: allnoconfig with the options of OBJ/fragment; fails if one cannot
# be set
configure() {
	cmp -s "$1/fragment" "$1/fragment.done" && return
	rm -f "$1/fragment.done"
	"$2" KCONFIG_ALLCONFIG="$1/fragment" allnoconfig || return
	sed -n 's/^\(CONFIG_[A-Z0-9_]*=.*\)/\1/p' "$1/fragment" |
	while read -r wanted; do
		grep -qxF "$wanted" "$1/.config" || {
			echo "not to be had: $wanted"
			return 1
		}
	done || return
	cp "$1/fragment" "$1/fragment.done"
}

# The release of this machine: testing has the name that its release will have.
host_release() {
	# shellcheck source=/dev/null
	. "${KVM_VFIO_OS_RELEASE:-/etc/os-release}"
	case ${VERSION_CODENAME:-} in
	bookworm | trixie | forky) echo "$VERSION_CODENAME" ;;
	*) die "this is ${PRETTY_NAME:-not Debian}: there has to be, at least in a chroot, Debian 12 (bookworm), 13 (trixie) or testing (forky)" ;;
	esac
}
