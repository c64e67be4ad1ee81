# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154
#
# A clean Debian with kernels and DKMS, in a chroot, and how it is asked.  It is kept with
# the downloads.  Needs root, or sudo without a password.  For the tests of the package,
# which source this after scripts/lib.sh and base.env, and set what follows.  It sources
# machine.sh, for which they set $machine.
#
#   $own	the release of this machine, whose mirrors are taken
#   $release	that of the clean Debian
#   $debian	its architecture as Debian calls it
#   $flavour	the last part of the names of its kernels
#   $first	a kernel with its source, as "SERIES SUITE|SUITE..."
#   $second	another kernel, which has one of the two, or nothing
#   $later	what the second kernel does not have yet: source or headers; or none
#   $programs	more packages, or nothing

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo -n "$@"
	fi
}
as_root true 2>/dev/null || die "neither root nor sudo without a password" "run it as root"
for tool in debootstrap unshare tar cpio readelf modinfo depmod; do need_tool "$tool"; done
store=$cache/package
mkdir -p "$out/package"
dir=$(mktemp -d "$out/package/$release.XXXXXX")
root=$dir/root

# in_root COMMAND-LINE: run it in the root, in a separate mount namespace, so that
# nothing stays mounted.  It is a script because of set -x in steps().
# make_in_root [VARIABLE=VALUE]: make it
make_in_root() {
	cat >"$dir/in_root" <<-END
	#!/bin/sh
	set -- '$root' env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C ${1:-} \\
		DEBIAN_FRONTEND=noninteractive http_proxy='${http_proxy:-}' \\
		https_proxy='${https_proxy:-}' sh -c "\$1"
	[ "\$(id -u)" = 0 ] || sudo=sudo
	if \$sudo unshare -m true 2>/dev/null; then
		exec \$sudo unshare -m sh -c '
			mount -t proc proc "\$1/proc" 2>/dev/null || :
			exec chroot "\$@"' sh "\$@" </dev/null
	fi
	exec \$sudo chroot "\$@" </dev/null
	END
	chmod +x "$dir/in_root"
}

in_root() { "$dir/in_root" "$1"; }

there() { in_root "$1"; }
# shellcheck disable=SC2034 # for machine.sh
tree=$root modprobe=modprobe
# shellcheck source=tests/package/machine.sh
. "$top/tests/package/machine.sh"

# --- the clean Debian -------------------------------------------------------------

# mirror_of SUITE: the one that this host's apt has it from
mirror_of() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(RELEASE) $(CODENAME) $(REPO_URI)' \
		'Created-By: Packages' | awk -v s="$1" '$1 == s || $2 == s { print $NF; exit }'
}

sources_list() {
	mirror=$(mirror_of "$own")
	security=$(mirror_of "$own-security")
	case $mirror:$security in
	:* | *:) die "apt does not know both $own and $own-security" "apt-get update" ;;
	esac
	echo "deb $mirror $release main"
	echo "deb $mirror $release-backports main"
	echo "deb $security $release-security main"
}

# In the root: kernels and sources, as "SERIES SUITES", of our base's version if
# possible, otherwise the newest.  Packages to be installed later are in /later, those of the
# second kernel, to be installed again, in /again.
root_script() {
	cat <<-'END'
	#!/bin/sh
	# flavour programs base later: series suites, series suites
	set -e
	flavour=$1 programs=$2 base=$3 later=$4
	shift 4
	# What is missing because a list cannot be read is missed below.
	apt-get -q update || :
	# Not all packages of one source, because the source would be installed with the
	# other kernel.
	apt() {
		apt-get -q -y --no-install-recommends -o APT::Get::Upgrade-By-Source-Package=false "$@"
	}
	while [ $# -gt 0 ]; do
		version=$(apt-cache madison "linux-source-$1" |
			awk -v suites="^($2)/" -v base="$base" '
				$6 ~ suites { if (!v || $3 == base) v = $3 } END { print v }')
		headers=$(apt-cache --names-only search "^linux-headers-$1[.][^-]*-$flavour\$" | cut -d" " -f1)
		kernel=$(apt-cache madison $headers | awk -v v="$version" '
			$3 == v { sub("linux-headers-", "", $1); print $1; exit }')
		echo "$version $kernel" >>/kernels
		image=linux-image-$kernel=$version
		headers=linux-headers-$kernel=$version
		source=linux-source-$1=$version
		suite=${2%%|*}
		case $suite in *-backports) from="-t $suite" ;; *) from= ;; esac
		shift 2
		if [ $# -gt 0 ] || [ "$later" = none ]; then
			apt install $from $image $headers $source
		elif [ "$later" = source ]; then
			apt install $from $image $headers
		else
			apt install $from $image $source
		fi
	done
	apt install binutils dkms openssl pahole patch xz-utils $programs
	apt-get clean
	case $later in
	none) exit ;;
	source) last=$source ;;
	*) last=$headers ;;
	esac
	apt -d --allow-downgrades $from install $last
	mkdir /later /again
	mv /var/cache/apt/archives/*.deb /later/
	apt -d --reinstall $from install $(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' \
		"linux-*-$kernel" | sed -n 's/^ii //p')
	mv /var/cache/apt/archives/*.deb /again/
	END
}

new_root() {
	sources_list >"$dir/sources.list"
	logged "$out/logs/package-debootstrap.log" as_root debootstrap --variant=minbase \
		--arch="$debian" --include=ca-certificates "$release" "$root" "$mirror"
	apt-config dump | grep '^Acquire::' >"$dir/apt.conf" || :
	printf '#!/bin/sh\nexit 101\n' >"$dir/policy-rc.d"
	root_script >"$dir/make"
	as_root cp "$dir/sources.list" "$root/etc/apt/sources.list"
	as_root cp "$dir/apt.conf" "$root/etc/apt/apt.conf.d/99host"
	as_root install -m 755 "$dir/policy-rc.d" "$root/usr/sbin/policy-rc.d"
	as_root install -m 755 "$dir/make" "$root/make"
	as_root ln -sfn /proc/self/fd "$root/dev/fd"
	base_version=none
	# shellcheck disable=SC2153
	[ "$release" != "$own" ] || base_version=$BASE_VERSION
	# shellcheck disable=SC2086
	set -- $first $second
	# shellcheck disable=SC2016 # those quotes are inside of others
	logged "$out/logs/package-root.log" in_root \
		"/make $flavour '$programs' $base_version $later '$1' '$2' ${3:+'$3' '$4'}"
}

# Cached under a hash of its contents and of how it is made
unpack_root() {
	key=$({
		echo "$release $debian $flavour $first $second $later $programs $BASE_VERSION"
		sed -n '/^# --- the clean/,/^# Cached under/p' "$top/tests/package/root.sh" |
			grep -v '^[[:space:]]*#'
	} | sha256sum | cut -c1-12)
	tarball=$store/$release-$debian-$key.tar
	need_space "$dir" 4000
	as_root rm -rf "$root"
	mkdir -p "$root" "$store"
	# Making it must not take the time for an initramfs of each kernel.
	make_in_root INITRD=No
	take_lock "$store/lock-$release-$debian"
	if [ ! -e "$tarball" ]; then
		need_space "$store" 3000
		say "making a Debian $release for $debian with what DKMS needs, once"
		new_root
		as_root tar -C "$root" -cf "$tarball.new" .
		rm -f "$store/$release-$debian-"*.tar
		mv "$tarball.new" "$tarball"
	else
		as_root tar -C "$root" -xf "$tarball"
	fi
	exec 9>&-
	as_root cp /etc/resolv.conf "$root/etc/"
	make_in_root
	# shellcheck disable=SC2034 # for the tests
	{
		read -r version kernel
		read -r later_version later_kernel || later_kernel=$kernel
	} <"$root/kernels"
}

# --- what is there ----------------------------------------------------------------

# shellcheck disable=SC2317 # the trap calls it
leave() { as_root rm -rf --one-file-system "$dir"; }

# chosen PLACE KERNEL: modprobe takes each module that can be ours from this place
chosen() {
	for module in $replaced; do
		file=$(in_root "modinfo -k $2 -F filename $module")
		case ${file#/usr} in
		"/lib/modules/$2/$1/"*"/$module.ko.xz") ;;
		"/lib/modules/$2/$1/$module.ko.xz") ;;
		*) exit 1 ;;
		esac
	done
}

# apt COMMAND-LINE: run it; its output and DKMS's are in $dir/out
apt() {
	in_root "apt-get -q -y --no-install-recommends $1" >"$dir/out" 2>&1 || {
		cat "$dir/out"
		return 1
	}
	cat "$dir/out"
}

# lines TEXT: how many lines of our package in $dir/out contain this
lines() { grep -c "^kvm-vfio: $1" "$dir/out" || :; }

# A kernel would not load modules with the BTF of another build.
signed() {
	for module in $replaced; do
		in_root "xz -dc \$(modinfo -k $kernel -F filename $module)" >"$dir/$module.ko"
		tail -c 28 "$dir/$module.ko" | grep -q '~Module signature appended~'
		if readelf -SW "$dir/$module.ko" | grep ' [.]BTF '; then exit 1; fi
		in_root "modinfo -k $kernel -F signer $module" | grep 'DKMS module signing key'
	done
}

# As nearly every guide for passthrough says. What Debian's kernel gets so far is stock.
bound_early() {
	in_root "printf '%s\n' $drivers vfio >>/etc/initramfs-tools/modules"
	in_root "update-initramfs -c -k $later_kernel"
	initramfs_has kernel
}

# initramfs_has FOLDER [KERNEL]: its modules are from there; by the tool of initramfs-tools or of
# dracut
initramfs_has() {
	set -- "$1" "${2:-$later_kernel}"
	for module in $replaced; do
		in_root "\$(command -v lsinitrd || echo lsinitramfs) /boot/initrd.img-$2" |
			grep "/lib/modules/$2/$1/\(.*/\)*${module}[.]ko"
	done
}

# readme FILE TEXT: the command of FILE that begins so, without its remark and sudo
readme() { sed -n "s/^    //; s/  *#.*//; s/sudo //g; /^$2/p" "$top/$1"; }

# What README and README.Debian say to add to the kernel's command line
recovery() {
	line=$(cat "$top/README.md" "$top/debian/README.Debian" |
		grep -o 'module_blacklist=[^ ]*' | sort -u)
	[ "$(echo "$line" | wc -l)" = 1 ]
	echo "$line"
}

# boots KIND FOLDER KERNEL [APPEND], whose image is where its release of Debian has it
boots() {
	for image in "$root/boot/vmlinuz-$3" "$root/boot/vmlinux-$3" \
			"$root/usr/lib/modules/$3/vmlinuz"; do
		[ ! -e "$image" ] || break
	done
	in_machine "$1" "$2" "$3" "$image" ${4+"$4"}
}

# nothing_left KERNEL...: after removal
nothing_left() {
	for one; do
		chosen kernel "$one"
		[ -z "$(find "$root/lib/modules/$one/updates" -type f 2>/dev/null)" ]
	done
	initramfs_has kernel
	for gone in var/lib/kvm-vfio-dkms.changed var/lib/dkms/kvm-vfio usr/src/kvm-vfio-* usr/sbin/kvm-vfio usr/share/dkms/modules_to_force_install/kvm-vfio; do
		# shellcheck disable=SC2086,SC2144
		[ ! -e "$root"/$gone ]
	done
}
