# SPDX-License-Identifier: GPL-2.0-only
#
# Builds the tests of the KVM-VFIO device without the framework of this folder,
# which does not know every architecture: static programs for whatever CC makes.
#
#	make -f kvm_vfio.mk CC=powerpc64le-linux-gnu-gcc OUTPUT=<dir> \
#		KSRC=<kernel tree> KHDR_INCLUDES="-isystem <dir>/usr/include"
#
# run_tests runs the most important ones, as root, where there are devices to assign, which
# KVM_VFIO_BDFS lists: see kvm_vfio_test.c.

KVM_VFIO_DIR := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
KSRC ?= $(abspath $(KVM_VFIO_DIR)/../../../..)
KHDR_INCLUDES ?= -isystem $(KSRC)/usr/include
OUTPUT ?= $(CURDIR)

# Every kvm_vfio_*.c of this folder is a program of its own.
KVM_VFIO_TESTS := $(basename $(notdir $(sort $(wildcard $(KVM_VFIO_DIR)/kvm_vfio_*.c))))
KVM_VFIO_CFLAGS := -O2 -g -std=gnu11 -Wall -Wextra -Werror -D_GNU_SOURCE \
	-I$(KVM_VFIO_DIR)/include $(KHDR_INCLUDES) \
	-isystem $(KSRC)/tools/testing/selftests

KVM_VFIO_PROGS := $(addprefix $(OUTPUT)/,$(KVM_VFIO_TESTS))

KVM_VFIO_RUN := kvm_vfio_test
KVM_VFIO_RUN += $(if $(filter ppc64%,$(shell uname -m)),kvm_vfio_tce_test)

.PHONY: all run_tests clean
all: $(KVM_VFIO_PROGS)

# What more than one program is made of; each is told of a change in any header.
KVM_VFIO_HEADERS := $(wildcard $(KVM_VFIO_DIR)/include/*vfio*.h)
KVM_VFIO_HEADERS += $(KVM_VFIO_DIR)/include/ppc64_guest.h

$(OUTPUT)/kvm_vfio_lib_%.o: $(KVM_VFIO_DIR)/lib/vfio_%.c $(KVM_VFIO_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(KVM_VFIO_CFLAGS) $(CFLAGS) -c $< -o $@

$(OUTPUT)/kvm_vfio_lib_guest.o: $(KVM_VFIO_DIR)/lib/ppc64_guest.c $(KVM_VFIO_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(KVM_VFIO_CFLAGS) $(CFLAGS) -c $< -o $@

$(OUTPUT)/kvm_vfio_fuzz_test: $(OUTPUT)/kvm_vfio_lib_model.o $(OUTPUT)/kvm_vfio_lib_show.o
$(OUTPUT)/kvm_vfio_fdinfo_test $(OUTPUT)/kvm_vfio_tce_fdinfo_test $(OUTPUT)/kvm_vfio_iommufd_test: \
	$(OUTPUT)/kvm_vfio_lib_show.o
$(filter $(OUTPUT)/kvm_vfio_tce% $(OUTPUT)/kvm_vfio_lab%,$(KVM_VFIO_PROGS)): \
	$(OUTPUT)/kvm_vfio_lib_tce.o $(OUTPUT)/kvm_vfio_lib_guest.o

$(KVM_VFIO_PROGS): $(OUTPUT)/%: $(KVM_VFIO_DIR)/%.c $(OUTPUT)/kvm_vfio_lib_util.o \
		$(OUTPUT)/kvm_vfio_lib_probe.o \
		$(KVM_VFIO_HEADERS)
	$(CC) $(KVM_VFIO_CFLAGS) $(CFLAGS) -static -pthread $(LDFLAGS) \
		$(filter %.c %.o,$^) -o $@

run_tests: all
	$(if $(KVM_VFIO_BDFS),,$(error KVM_VFIO_BDFS lists no device))
	@for test in $(KVM_VFIO_RUN); do $(OUTPUT)/$$test || exit; done

clean:
	rm -f $(KVM_VFIO_PROGS) $(OUTPUT)/kvm_vfio_lib_*.o
