# mammovit: the only build description. `make help` lists the targets.
.DEFAULT_GOAL := all
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

BUILD ?= build
ROOMS ?= core dicom preprocess model train eval cli
SAN ?=
V ?= 0
CUDA ?= auto
CUDA_ARCH ?= 90
DATA ?=
CC := $(if $(filter default undefined,$(origin CC)),gcc,$(CC))
CXX := $(if $(filter default undefined,$(origin CXX)),g++,$(CXX))
Q := $(if $(filter 1,$(V)),,@)
say = @$(if $(filter 1,$(V)),true,printf '%s\n' "  $(1)")

VERSION := $(shell cat VERSION 2>/dev/null)
GIT_ID := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)

# ---- what the machine offers -------------------------------------------------------------------
PKGS := hdf5 libopenjp2 charls libdeflate libisal sqlite3 yaml-0.1 jansson libcrypto libxxhash libseccomp cairo \
        pangocairo libpng libtiff-4 libzip
NVCC := $(if $(filter 0,$(CUDA)),,$(shell command -v nvcc 2>/dev/null))
NVCC_VERSION := $(if $(NVCC),$(shell $(NVCC) --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p'))
CU_SRC := $(wildcard model/cuda/*.cu)
HAVE_CUDA := $(if $(and $(NVCC),$(CU_SRC),$(filter 13.%,$(NVCC_VERSION))),1,0)
ifeq ($(CUDA)$(HAVE_CUDA),10)
$(error CUDA=1 was asked for, but $(if $(CU_SRC),nvcc 13 was not found,this version has no CUDA backend))
endif
CUDA_WORD := $(if $(filter 1,$(HAVE_CUDA)),nvcc $(NVCC_VERSION),$(if $(CU_SRC),none (nvcc 13 not found),none (this version has the CPU backend only)))

# ---- flags -------------------------------------------------------------------------------------
OPT ?= -O2
WARN := -Wall -Wextra -Wshadow -Wvla -Wno-unused-parameter -Werror
WARN_C := -Wmissing-prototypes -Wstrict-prototypes
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all \
             -Wno-format-truncation)
# DCMTK and OpenCV are built without run-time type information for their classes
SAN_CXX := $(if $(findstring undefined,$(SAN)),-fno-sanitize=vptr)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
DEFS := -D_GNU_SOURCE -DMAMMOVIT_VERSION='"$(VERSION)"'
CFLAGS_ALL = -std=gnu17 $(OPT) -g -fPIC -fno-math-errno -ffp-contract=off $(WARN) $(WARN_C) \
             $(SAN_FLAGS) $(DEFS) -I. $(PKG_CFLAGS) -MMD -MP $(CFLAGS)
# no vptr check: it probes memory by system calls that the decoders' sandbox forbids
CXXFLAGS_ALL = -std=gnu++17 $(OPT) -g -fPIC $(WARN) $(SAN_FLAGS) $(if $(SAN),-fno-sanitize=vptr) $(DEFS) -I. \
               -isystem /usr/include/opencv4 -MMD -MP $(CXXFLAGS)
LIBS := -ldcmjpeg -lijg8 -lijg12 -lijg16 -ldcmdata -loflog -lofstd -lopencv_imgproc -lopencv_core \
        -ldnnl -lgomp $(PKG_LIBS) -lz -lstdc++ -lm -lpthread
# core and dicom parse foreign bytes: conversions are checked there.
$(BUILD)/obj/core/%.o $(BUILD)/obj/dicom/%.o: WARN_C += -Wconversion -Wno-sign-conversion

# ---- sources by folder -------------------------------------------------------------------------
SRC_C := $(foreach r,$(ROOMS),$(wildcard $(r)/*.c) $(wildcard $(r)/cpu/*.c))
SRC_CXX := $(foreach r,$(ROOMS),$(wildcard $(r)/*.cpp))
OBJ := $(SRC_C:%.c=$(BUILD)/obj/%.o) $(SRC_CXX:%.cpp=$(BUILD)/obj/%.o)
LIB_OBJ := $(filter-out $(BUILD)/obj/cli/main.o,$(OBJ))
LIB := $(BUILD)/libmammovit.a
TEST_SRC := $(foreach r,$(ROOMS),$(wildcard tests/unit/test_$(r)_*.c) $(wildcard tests/prop/test_$(r)_*.c))
TEST_BIN := $(TEST_SRC:tests/%.c=$(BUILD)/tests/%)
DEP := $(OBJ:.o=.d) $(TEST_BIN:=.d)

.PHONY: all deps demo test accept test-unit test-golden bench lint asan ubsan tsan hdr-check \
        format clean help banner FORCE
all: banner $(BUILD)/mammovit ## build build/mammovit

banner:
	$(Q)test -n "$$(pkg-config --version 2>/dev/null)" && pkg-config --exists $(PKGS) || \
	  { echo "make: libraries are missing; run 'make deps'" >&2; exit 1; }
	$(call say,mammovit $(VERSION) ($(GIT_ID)): $(CC) $(shell $(CC) -dumpversion 2>/dev/null), CUDA: $(CUDA_WORD)$(if $(SAN),$(comma) sanitizer: $(SAN)))
comma := ,

$(BUILD)/mammovit: $(BUILD)/obj/cli/main.o $(LIB)
	$(call say,LD    $@)
	$(Q)$(CXX) $(SAN_FLAGS) -rdynamic -o $@ $< -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive $(LIBS)
$(LIB): $(LIB_OBJ)
	$(call say,AR    $@)
	$(Q)rm -f $@ && ar rcs $@ $(LIB_OBJ)
$(BUILD)/obj/%.o: %.c Makefile
	$(call say,CC    $<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -include core/banned.h -c -o $@ $<
$(BUILD)/obj/%.o: %.cpp Makefile
	$(call say,CXX   $<)
	$(Q)mkdir -p $(@D) && $(CXX) $(CXXFLAGS_ALL) -c -o $@ $<
# the git id is compiled into one object only, rebuilt when it changes
$(BUILD)/git_id: FORCE
	$(Q)mkdir -p $(@D) && { test "$$(cat $@ 2>/dev/null)" = "$(GIT_ID)" || echo "$(GIT_ID)" > $@; }
$(BUILD)/obj/core/version.o: $(BUILD)/git_id
$(BUILD)/obj/core/version.o: DEFS += -DMAMMOVIT_GIT='"$(GIT_ID)"'
$(BUILD)/tests/%: tests/%.c $(LIB) Makefile
	$(call say,TEST  $<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -MF $@.d -o $@ $< $(LIB) $(LIBS) -lcmocka

deps: ## install the Debian packages of docker/packages.txt that are missing
	@tests/deps.sh

test-bins: $(TEST_BIN)
test-unit: $(if $(filter cli,$(ROOMS)),$(BUILD)/mammovit) $(TEST_BIN) ## unit and property tests only
	@BUILD=$(BUILD) DATA=$(DATA) tests/run.sh $(TEST_BIN)
test: deps ## everything CI runs; DATA=DIR adds the tests on real images
	@$(MAKE) --no-print-directory all test-bins
	@BUILD=$(BUILD) DATA=$(DATA) tests/run.sh $(TEST_BIN) $(wildcard tests/golden/test_*.sh)
test-golden: all ## the whole-program tests only
	@BUILD=$(BUILD) DATA=$(DATA) tests/run.sh $(wildcard tests/golden/test_*.sh)
accept: deps ## long campaigns; each part skips with a reason where its tool is missing
	@$(MAKE) --no-print-directory all test-bins
	@BUILD=$(BUILD) DATA=$(DATA) tests/run.sh $(wildcard tests/accept/test_*.sh)
demo: deps ## from a synthetic archive to a report, on the CPU; DATA=DIR adds real images
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) DATA=$(DATA) tests/demo.sh
bench: all ## the benchmarks, as ratios to a limit measured in the same run; DATA=DIR adds decoding, scan, prepare
	@for k in 1 0.25; do $(BUILD)/mammovit bench step --model deit_small_patch16_224 --keep-rate $$k || exit 1; done
	@$(BUILD)/mammovit bench step --model deit_base_patch16_224 --batch 8
	@$(BUILD)/mammovit bench step --model deit_small_patch16_224 --image-size 896 --keep-rate 0.25 --batch 1
	@$(BUILD)/mammovit bench infer --model deit_small_patch16_224
	@$(if $(DATA),for b in decode scan prepare; do $(BUILD)/mammovit bench $$b $(DATA)/mg_dicom || exit 1; done,true)

asan ubsan tsan: ## the tests under a sanitizer (own build folder)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-$@ SAN=$(if $(filter asan,$@),address,$(if $(filter ubsan,$@),undefined,thread)) OPT=-O1 CUDA=0 san-test
.PHONY: san-test test-bins
san-test: all test-bins
	@BUILD=$(BUILD) SAN=$(SAN) DATA=$(DATA) tests/run.sh $(TEST_BIN) $(wildcard tests/golden/test_*.sh)

lint: hdr-check ## layering, naming, formatting, scripts
	@tests/lint/lint.sh
hdr-check: ## every header compiles alone
	@tests/lint/headers.sh '$(CC)' '$(CXX)' '$(PKG_CFLAGS)'
format: ## rewrite the sources with clang-format
	@git ls-files '*.c' '*.h' '*.cpp' | xargs clang-format -i
clean: ## remove the build folders
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-ubsan $(BUILD)-tsan
help: ## this list
	@grep -hE '^[a-z][a-z -]*:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z -]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'
	@echo "  variables: DATA=DIR (real images), CUDA=auto|0|1, CUDA_ARCH=90, V=1, BUILD=build"
-include $(DEP)
