# SPDX-License-Identifier: GPL-2.0-only
#
# kvm-vfio: 'make help' says what there is.

# Only the scripts run in parallel, each within itself.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

BUILD ?= build
# Nor must 'make clean'.
ifneq ($(words -$(CURDIR)$(BUILD)-)$(findstring :,$(CURDIR)$(BUILD)),1)
$(error '$(CURDIR)', BUILD='$(BUILD)': kbuild takes no path with a blank or a colon in it)
endif
export KVM_VFIO_BUILD := $(abspath $(BUILD))
export LAB_BUILD := $(KVM_VFIO_BUILD)

# The kernel of scripts/bases; the scripts have the same default.
B := $(KVM_VFIO_BUILD)/$(or $(BASE),6.12)
ARCH ?= x86_64 ppc64le
# What there is of ARCH, once it is fetched
there = $(filter $(ARCH),$(shell . $(B)/base.env && echo "$$FLAVOURS"))
# The tests are built as well for what may have a debug kernel only.
test-arches = $(sort $(there) $(if $(wildcard $(B)/debug-arm64),arm64) \
	$(if $(wildcard $(B)/debug-ppc64le-series),ppc64le))
MODULES ?= ours

cross-x86_64 := $(if $(filter x86_64,$(shell uname -m)),,x86_64-linux-gnu-)
cross-arm64 := aarch64-linux-gnu-
cross-ppc64le := $(if $(filter ppc64le,$(shell uname -m)),,powerpc64le-linux-gnu-)
karch-x86_64 := x86
karch-ppc64le := powerpc
karch-arm64 := arm64

.PHONY: help
help:
	@sed -n 's/^## //p' Makefile

## make demo           install what is missing, build, show it on x86 and POWER9
##   ARCH=x86_64         on one of them (or ppc64le); also for what follows
##   BASE=7.3            on another kernel than 6.12 (or 7.2); also for what follows
##   MODULES=stock       the same story on Debian's own modules
.PHONY: demo demo-there
demo:
	@scripts/deps demo
	@scripts/fetch qemu
	@$(MAKE) modules
	@$(MAKE) demo-there
demo-there:
	@flock $(B)/tests.lock $(MAKE) $(foreach a,$(there),$(B)/demo/$(a)/holder)
	@MODULES=$(MODULES) demo/demo $(there)

$(B)/demo/%/holder: demo/holder.c
	@mkdir -p $(@D)
	@$(cross-$*)gcc -O2 -Wall -Wextra -static -o $@ $<

## make check          build and run the tests, on ten lab machines: nearly all on 6.12,
##   and the most important ones on 7.2 and 7.3; says first what, and how long it took
##   ONLY=regex          just the runs whose names match: "PROGRAM on MACHINE (MODULES, BASE)"
##   BASE=7.3            just the runs on this kernel
##   SEED=n              of random tests (or random: another one each time)
##   FUZZ_S=seconds      a longer run of the fuzzer, 60 by default
.PHONY: check
check: deps
	@tests/check tests/lists/check

## make check-quick    the most important tests, after a change: 5 minutes
.PHONY: check-quick
check-quick: deps
	@tests/check tests/lists/check-quick

## make check-everything  all tests, once before a release: check, check-stock, the
##   same tests on all kernels, mutations, packages, each patch of the series; hours
.PHONY: check-everything
check-everything: deps
	@SEED=$${SEED:-random} tests/check tests/lists/check tests/lists/check-stock \
		tests/lists/check-everything

## make check-long     random tests for an hour each; many hours
.PHONY: check-long
check-long: deps
	@SEED=$${SEED:-random} tests/check tests/lists/long

## make check-hosted   our C files in user space, under sanitizers: no kernel, no machine
.PHONY: check-hosted
check-hosted: deps
	@DRIVER= tests/check tests/lists/hosted

## make coverage       which of our lines and branches these tests take; what is left is told
.PHONY: coverage
coverage: deps
	@tests/hosted/coverage

## make coverage-lab   which lines and error returns tests in lab machines take, in real kernels
.PHONY: coverage-lab
coverage-lab: deps
	@tests/lab/coverage

## make check-stock    the same tests on Debian's modules: known defects must show
.PHONY: check-stock
check-stock: deps
	@tests/check tests/lists/check-stock

## make evidence       what the last check said about each promise and defect:
##   docs/evidence.md; and the results of make check-long: docs/long-runs.md
.PHONY: evidence
evidence:
	@scripts/evidence

## make bench          what ADD, DEL and TCE hypercalls cost, stock and ours, where time
##   counts instructions; kept as docs/bench.md
.PHONY: bench
bench: deps
	@$(MAKE) modules tests
	@$(MAKE) modules tests BASE=7.2 ARCH=ppc64le
	@bench/bench

## make lint           checkpatch, sparse, kernel-doc, shellcheck, codespell
.PHONY: lint
lint: deps
	@$(MAKE) modules
	@scripts/lint

## make deb            the Debian packages kvm-vfio-dkms and kvm-vfio-utils: build/deb/
.PHONY: deb
deb:
	@scripts/deps cpio debhelper dpkg-dev gcc libc6-dev libjson-c-dev libkmod-dev make perl \
		util-linux
	@scripts/deb

## make install        without DKMS: the modules built for this kernel, or for KVER
## make uninstall      (DESTDIR and PREFIX as usual); take it away again
.PHONY: install uninstall
install uninstall:
	@scripts/install $@

## make patches        the series for the kernel, against 7.3: build/BASE/patches/
.PHONY: patches
patches: deps
	@scripts/series

## make modules        kvm.ko, vfio.ko, vfio_iommu_spapr_tce.ko: build/BASE/modules/
##   SOURCE=tree HEADERS=/lib/modules/KERNEL/build
##                       for a kernel of your own, or of another distribution
.PHONY: modules
modules:
	+@$(if $(SOURCE)$(HEADERS),scripts/own-modules "$(HEADERS)" "$(SOURCE)",scripts/modules)

## make debug-kernel   the kernel of the lab machines x86-*debug, 7.3: build/7.3/debug-x86_64/
##   DEBUG="ppc64le ppc64le-64k"
##                       those of power9-debug and power9-debug-64k, 6.12
##   DEBUG=ppc64le-series  that of power9-series, 7.3: the tree at the end of the series
##   DEBUG=x86_64-kcsan  that of x86-smp-kcsan, 7.3
##   DEBUG=x86_64-gcov   that of x86-gcov, 7.3; ppc64le-gcov that of power9-gcov, 6.12
##   DEBUG=arm64         that of arm64-debug, 7.3
DEBUG ?= x86_64
.PHONY: debug-kernel
debug-kernel:
	@scripts/debug-kernel $(DEBUG)

## make lab-module     the tests' own kernel module, never installed: build/BASE/lab-module/
.PHONY: lab-module
lab-module:
	@scripts/lab-module

## make tests          the programs that run in the lab machines: build/BASE/tests/
.PHONY: tests
tests:
	@scripts/overlay
	@$(MAKE) tests-there

.PHONY: tests-there
tests-there:
	@scripts/uapi $(test-arches)
	@flock $(B)/tests.lock $(MAKE) $(addprefix tests-,$(test-arches))

.PHONY: tests-%
tests-%:
	@mkdir -p $(B)/tests/$*
	@$(MAKE) -s -j$(shell nproc) -f tools/testing/selftests/kvm/kvm_vfio.mk all \
		CC=$(cross-$*)gcc OUTPUT=$(B)/tests/$* KSRC=$(B)/linux \
		KHDR_INCLUDES="-isystem $(B)/uapi/$(karch-$*)/usr/include"
	@$(MAKE) -s $(addprefix $(B)/tests/$*/command/,hold json kvm-vfio)

# Beside the command kvm-vfio in a lab machine: who holds a group, and what reads JSON
test-lib := tools/testing/selftests/kvm

$(B)/tests/%/command/hold: tools/kvm/kvm_vfio/tests/hold.c \
		$(wildcard $(test-lib)/include/vfio_*.h $(test-lib)/lib/*.c)
	@mkdir -p $(@D)
	@$(cross-$*)gcc -O2 -Wall -Wextra -Wno-unused-parameter -D_GNU_SOURCE -static \
		-pthread -I$(test-lib)/include -isystem $(B)/uapi/$(karch-$*)/usr/include \
		-isystem $(B)/linux/tools/testing/selftests -o $@ $< \
		$(addprefix $(B)/tests/$*/kvm_vfio_lib_,util.o probe.o tce.o guest.o)

$(B)/tests/%/command/json: tools/kvm/kvm_vfio/tests/json.c
	@mkdir -p $(@D)
	@$(cross-$*)gcc -O2 -Wall -Wextra -static -o $@ $<

# Static, with Debian's json-c of that architecture.  make in that folder knows what it needs.
.PHONY: FORCE
$(B)/tests/%/command/kvm-vfio: FORCE
	@. $(B)/base.env && $(MAKE) -s -C tools/kvm/kvm_vfio CC=$(cross-$*)gcc STATIC=1 \
		OUTPUT=$(@D) JSON_C="$$JSON_C_$*"

## make shell          a prompt in a lab machine (MACHINE=x86, or power9, ...)
MACHINE ?= x86
.PHONY: shell
shell:
	@tests/lab/run -m $(MACHINE) -k $(MODULES) --shell

## make deps           install the packages that are needed and missing
.PHONY: deps
deps:
	@scripts/deps

## make update-base    look for a newer version of the kernel in Debian's mirror
.PHONY: update-base
update-base:
	@scripts/fetch update

## make clean          remove what was built: all, or with BASE=7.3 what is for this kernel;
##   the results of make check stay (clean-cache: what was downloaded)
# By name, as BUILD may be a folder that has more.
.PHONY: clean clean-cache
bases = $(shell awk '/^[^#]/ { print $$1 }' scripts/bases | uniq)
clean:
	rm -rf $(if $(BASE),$(B),$(addprefix $(KVM_VFIO_BUILD)/,$(bases) command deb hosted \
		lab-coverage own own-kernel))
clean-cache:
	rm -rf "$${KVM_VFIO_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/kvm-vfio}"
