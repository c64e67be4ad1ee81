# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Completion of kvm-vfio(8) for bash.

# Devices that are in an IOMMU group, the groups, and the cdevs; quoted, as compgen expands words
_kvm_vfio_devices() {
	local root=${KVM_VFIO_ROOT-} path
	for path in "$root"/sys/bus/*/devices/*/iommu_group; do
		[ ! -e "$path" ] || printf '%q\n' "$(basename "$(dirname "$path")")"
	done
	for path in "$root"/sys/kernel/iommu_groups/* "$root"/sys/class/vfio-dev/*; do
		[ ! -e "$path" ] || printf '%q\n' "${path##*/}"
	done
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
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	if declare -F __ltrim_colon_completions >/dev/null; then
		__ltrim_colon_completions "$cur"
	fi
}

complete -F _kvm_vfio kvm-vfio
