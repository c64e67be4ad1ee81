# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2207
#
# Completion of kvm-vfio(8) for bash.

# Devices that are in an IOMMU group, and the groups
_kvm_vfio_devices() {
	local link
	for link in /sys/bus/*/devices/*/iommu_group; do
		[ ! -e "$link" ] || basename "$(dirname "$link")"
	done
	ls /sys/kernel/iommu_groups 2>/dev/null
	ls /sys/class/vfio-dev 2>/dev/null
}

_kvm_vfio() {
	local cur=${COMP_WORDS[COMP_CWORD]} cword=$COMP_CWORD command=${COMP_WORDS[1]-} words
	# A colon of a PCI address parts words for bash; bash-completion puts them together.
	if declare -F _get_comp_words_by_ref >/dev/null; then
		_get_comp_words_by_ref -n : cur cword
	fi
	if [ "$cword" = 1 ]; then
		words='list why watch status coherent --json --help --version'
	else
		words=--json
		case $command in
		why) words="$words $(_kvm_vfio_devices)" ;;
		watch) words="$words --interval" ;;
		esac
	fi
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
	if declare -F __ltrim_colon_completions >/dev/null; then
		__ltrim_colon_completions "$cur"
	fi
}

complete -F _kvm_vfio kvm-vfio
