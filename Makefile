# mammovit: the only build description. `make help` lists the targets.
.DEFAULT_GOAL := all
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

BUILD ?= build
ROOMS ?= core dicom preprocess model train eval cli
SAN ?=
V ?= 0
CUDA ?= auto
CUDA_ARCH ?= 80 90 100
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
# The card's runtime is linked in, its driver and libraries are opened when a card is used.
CUDA_HOME := $(if $(NVCC),$(realpath $(dir $(NVCC))..))
NVCC_FLAGS = -std=c++17 -O3 -lineinfo -I. -ccbin $(lastword $(CXX)) -Xcompiler -fPIC,-Wall,-Wextra,-Wno-unused-parameter \
             -Werror all-warnings $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$(a),code=sm_$(a))
ifeq ($(HAVE_CUDA),1)
LIBS += -L$(CUDA_HOME)/lib64 -lcudart_static -ldl -lrt
$(BUILD)/obj/model/backend.o: DEFS += -DMAMMOVIT_CUDA
$(BUILD)/obj/model/cuda/%.o: PKG_CFLAGS += -isystem $(CUDA_HOME)/include
endif
# core and dicom parse foreign bytes: conversions are checked there.
$(BUILD)/obj/core/%.o $(BUILD)/obj/dicom/%.o: WARN_C += -Wconversion -Wno-sign-conversion

# ---- sources by folder -------------------------------------------------------------------------
# what tells the memory of a card is in every build
CARD_C := $(if $(filter model,$(ROOMS)),$(wildcard model/cuda/plan.c model/cuda/described.c))
SRC_C := $(foreach r,$(ROOMS),$(wildcard $(r)/*.c) $(wildcard $(r)/cpu/*.c)) $(CARD_C)
SRC_CXX := $(foreach r,$(ROOMS),$(wildcard $(r)/*.cpp))
CUDA_C := $(filter-out $(CARD_C),$(wildcard model/cuda/*.c))
CUDA_OBJ := $(if $(filter 1,$(HAVE_CUDA)),$(CUDA_C:%.c=$(BUILD)/obj/%.o) $(CU_SRC:%.cu=$(BUILD)/obj/%.o))
OBJ := $(SRC_C:%.c=$(BUILD)/obj/%.o) $(SRC_CXX:%.cpp=$(BUILD)/obj/%.o) $(CUDA_OBJ)
LIB_OBJ := $(filter-out $(BUILD)/obj/cli/main.o,$(OBJ))
LIB := $(BUILD)/libmammovit.a
TEST_SRC := $(foreach r,$(ROOMS),$(wildcard tests/unit/test_$(r)_*.c) $(wildcard tests/prop/test_$(r)_*.c))
TEST_BIN := $(TEST_SRC:tests/%.c=$(BUILD)/tests/%)
ACCEPT_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/accept/*.c)) # programs of the campaigns
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
# what the assembler says of each kernel stays beside the object, for tests/golden/test_cuda_code.sh
$(BUILD)/obj/%.o: %.cu Makefile
	$(call say,NVCC  $<)
	$(Q)mkdir -p $(@D) && $(NVCC) $(NVCC_FLAGS) -Xptxas -v -MMD -MP -MF $(@:.o=.d) -c -o $@ $< 2>$(@:.o=.ptxas) || \
	  { cat $(@:.o=.ptxas) >&2; exit 1; }
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

# ---- CUDA on the CPU (tests/cuda_on_cpu) ----------------------------------------------------------
# The kernels' own files through the host compiler; the scheduler itself is never instrumented.
# SHIM_SAN: kernels and tests under a sanitizer, the library behind them as it is.
SHIM := tests/cuda_on_cpu
SHIM_SAN ?=
SHIM_OUT := $(BUILD)/shim$(addprefix -,$(subst $(comma),-,$(SHIM_SAN)))
SHIM_BIN := $(BUILD)/tests/$(notdir $(SHIM_OUT))
SHIM_SAN_FLAGS := $(if $(SHIM_SAN),-O1 -fsanitize=$(SHIM_SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
SHIM_OBJ := $(patsubst %.cu,$(SHIM_OUT)/%.o,$(wildcard model/cuda/*.cu)) \
            $(addprefix $(SHIM_OUT)/,gemm_on_cpu.o flash_on_cpu.o shim.o memory.o launched.o streams.o backend.o \
            library.o cache.o nccl.o)
# tests of its own; flash_plan and gemm_choice need the toolkit; tests of ops that also run as DEVICE=cuda
SHIM_TEST := $(addprefix $(SHIM_BIN)/test_,streams cuda_step cuda_op cuda_gelu cuda_ends cuda_net cuda_sum cuda_curves cuda_cache \
             model_match model_map model_patch model_laps model_fixture \
             model_step model_pit model_recompute model_rollout train_networks train_room $(if $(filter 1,$(HAVE_CUDA)),flash_plan gemm_choice gemm_asked))
SHIM_FLAGS = -std=gnu++17 $(OPT) -g -fPIC -ffp-contract=off -Wall -Wextra -Wno-unused-parameter -Wno-unknown-pragmas \
             -Werror -I$(SHIM)/include -I. -MMD -MP
$(SHIM_OUT)/%.o: %.cu Makefile
	$(call say,SHIM  $<)
	$(Q)mkdir -p $(@D) && $(CXX) $(SHIM_FLAGS) $(SAN_FLAGS) $(SHIM_SAN_FLAGS) -x c++ -c -o $@ $<
$(SHIM_OUT)/%_on_cpu.o: $(SHIM)/%_on_cpu.cc Makefile
	$(Q)mkdir -p $(@D) && $(CXX) $(SHIM_FLAGS) $(SAN_FLAGS) $(SHIM_SAN_FLAGS) -c -o $@ $<
$(SHIM_OUT)/streams.o: $(SHIM)/streams.cc Makefile
	$(Q)mkdir -p $(@D) && $(CXX) $(SHIM_FLAGS) $(SAN_FLAGS) $(SHIM_SAN_FLAGS) -c -o $@ $<
$(addprefix $(SHIM_OUT)/,shim.o memory.o launched.o): $(SHIM_OUT)/%.o: $(SHIM)/%.cc Makefile
	$(Q)mkdir -p $(@D) && $(CXX) $(SHIM_FLAGS) -O2 -c -o $@ $<
$(addprefix $(SHIM_OUT)/,library.o cache.o nccl.o): $(SHIM_OUT)/%.o: model/cuda/%.c Makefile
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -c -o $@ $<
$(SHIM_OUT)/backend.o: model/backend.c Makefile
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -DMAMMOVIT_CUDA -c -o $@ $<
# the whole program with the kernels on the CPU; its own backend.o comes before the library's
$(SHIM_OUT)/mammovit: $(BUILD)/obj/cli/main.o $(SHIM_OBJ) $(LIB)
	$(call say,LD    $@)
	$(Q)$(CXX) $(SAN_FLAGS) -rdynamic -o $@ $^ $(LIBS)
# NCCL's place is taken by a library of its own, which gives its work to the emulator's streams
$(BUILD)/shim/nccl/libnccl.so.2: $(SHIM)/nccl_stand_in.cc Makefile
	$(Q)mkdir -p $(@D) && $(CXX) $(SHIM_FLAGS) $(SAN_FLAGS) -MF $@.d -fPIC -shared -Wl,-soname,libnccl.so.2 -o $@ $<
$(BUILD)/tests/shim/test_cuda_sum: $(BUILD)/shim/nccl/libnccl.so.2
# cuDNN's plans for a described card: its own file, the real library, a driver that stands in
$(BUILD)/shim/driver/libcuda.so.1: $(SHIM)/driver_stand_in.c Makefile
	$(Q)mkdir -p $(@D) && { cat $<; nm -D --defined-only $(CUDA_HOME)/lib64/stubs/libcuda.so 2>/dev/null | \
	  awk '$$2 == "T" && $$3 ~ /^cu[A-Z]/ { print $$3 }' | sort -u | while read -r f; do \
	  grep -q "^result $$f(" $< || echo "result $$f(void) { return REFUSED; }"; done; } >$@.c && \
	  $(lastword $(CC)) -shared -fPIC -O1 -w -Wl,-soname,libcuda.so.1 -o $@ $@.c
# in front of the compiler of cuDNN's kernels, to count; in place of cuBLASLt and of an old cuDNN
$(BUILD)/shim/driver/libnvrtc.so.13: $(SHIM)/nvrtc_stand_in.c Makefile
	$(Q)mkdir -p $(@D) && $(CC) -shared -fPIC -O1 -DNVRTC='"$(CUDA_HOME)/lib64/libnvrtc.so.13"' \
	  -Wl,-soname,libnvrtc.so.13 -o $@ $< -ldl
STAND_IN = $(abspath $(BUILD)/shim/stand_in)
$(BUILD)/shim/stand_in/libcudnn.so.9: $(SHIM)/cudnn_stand_in.c Makefile
	$(Q)mkdir -p $(@D) && $(CC) -shared -fPIC -O1 -o $@ $<
$(BUILD)/shim/stand_in/libcublasLt.so.13: $(SHIM)/cublaslt_stand_in.c $(SHIM)/cublaslt_stand_in.h Makefile
	$(Q)mkdir -p $(@D) && $(CC) -shared -fPIC -O1 -I. -isystem $(CUDA_HOME)/include -o $@ $<
DRIVER := $(BUILD)/shim/driver/libcuda.so.1 $(BUILD)/shim/driver/libnvrtc.so.13
$(BUILD)/tests/shim/test_flash_plan: $(SHIM)/test_flash_plan.c $(DRIVER) $(BUILD)/shim/stand_in/libcudnn.so.9 $(LIB) Makefile
	$(call say,TEST  $<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -DSTAND_IN_FOLDER='"$(STAND_IN)"' -MF $@.d -o $@ $< $(LIB) $(LIBS) \
	  -lcmocka -Wl,--no-as-needed $(DRIVER) -Wl,-rpath,$(abspath $(BUILD)/shim/driver)
# its own functions of the runtime come before those of the archive
$(BUILD)/tests/shim/test_gemm_choice: $(SHIM)/test_gemm_choice.c $(BUILD)/shim/stand_in/libcublasLt.so.13 $(LIB) Makefile
	$(call say,TEST  $<)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -isystem $(CUDA_HOME)/include -DSTAND_IN_FOLDER='"$(STAND_IN)"' -MF $@.d \
	  -o $@ $< $(LIB) $(LIBS) -lcmocka
# the real cuBLASLt behind a door; the test's own functions come before those of the emulator
$(BUILD)/shim/door/libcublasLt.so.13: $(SHIM)/cublaslt_door.c $(SHIM)/cublaslt_door.h Makefile
	$(Q)mkdir -p $(@D) && $(CC) -shared -fPIC -O1 $(WARN) -I. -isystem $(CUDA_HOME)/include -DCUBLASLT='"$(CUDA_HOME)/lib64/libcublasLt.so.13"' \
	  -o $@ $< $(wildcard $(CUDA_HOME)/lib64/libcublasLt.so.13) -Wl,-rpath,$(CUDA_HOME)/lib64 -ldl
$(BUILD)/shim/door/runtime.o: $(SHIM)/runtime_stand_in.c Makefile
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -isystem $(CUDA_HOME)/include -c -o $@ $<
$(SHIM_BIN)/test_gemm_asked: $(SHIM)/test_gemm_asked.cc $(BUILD)/shim/door/libcublasLt.so.13 $(BUILD)/shim/door/runtime.o $(SHIM_OBJ) $(LIB) Makefile
	$(call say,TEST  $<)
	$(Q)mkdir -p $(@D) && $(CXX) $(SHIM_FLAGS) $(SAN_FLAGS) $(SHIM_SAN_FLAGS) -DDOOR='"$(abspath $(BUILD)/shim/door)"' -MF $@.d -o $@ $< \
	  $(filter-out %/gemm_on_cpu.o,$(SHIM_OBJ)) $(BUILD)/shim/door/runtime.o $(LIB) $(LIBS) -lcmocka -Wl,-z,muldefs
SHIM_LINK = $(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(SHIM_SAN_FLAGS) -rdynamic -MF $@.d -o $@ $< $(SHIM_OBJ) $(LIB) $(LIBS) -lcmocka
$(SHIM_BIN)/%: $(SHIM)/%.c $(SHIM_OBJ) $(LIB) Makefile
	$(call say,TEST  $<)
	$(SHIM_LINK)
$(SHIM_BIN)/%: $(SHIM)/%.cc $(SHIM_OBJ) $(LIB) Makefile
	$(call say,TEST  $<)
	$(Q)mkdir -p $(@D) && $(CXX) $(SHIM_FLAGS) $(SAN_FLAGS) $(SHIM_SAN_FLAGS) -MF $@.d -o $@ $< $(SHIM_OBJ) $(LIB) $(LIBS) -lcmocka
$(SHIM_BIN)/%: tests/unit/%.c $(SHIM_OBJ) $(LIB) Makefile
	$(call say,TEST  $< on cuda)
	$(SHIM_LINK)
$(SHIM_BIN)/%: tests/prop/%.c $(SHIM_OBJ) $(LIB) Makefile
	$(call say,TEST  $< on cuda)
	$(SHIM_LINK)
DEP += $(BUILD)/shim/nccl/libnccl.so.2.d $(SHIM_OBJ:.o=.d) $(SHIM_TEST:=.d)

# ---- the bundle for a machine with a card (tests/gpu) ------------------------------------------------
# One shared library under the program and its tests; in its place the one with the kernels on the CPU.
GPU := $(BUILD)/gpu
# what needs a stand-in or the emulator's memory stays here
GPU_TEST := $(addprefix $(GPU)/tests/,$(filter-out test_streams test_flash_plan test_gemm_choice test_gemm_asked test_cuda_cache \
            test_train_room,$(notdir $(SHIM_TEST))) parity)
GPU_LINK = $(Q)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) -MF $@.d -o $@ $< -L$(GPU)/shim -lmammovit -Wl,--as-needed $(LIBS) -lcmocka
$(GPU)/lib/libmammovit.so: $(LIB)
	$(call say,LD    $@)
	$(Q)mkdir -p $(@D) && $(CXX) -shared -o $@ -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive $(LIBS)
$(GPU)/shim/libmammovit.so: $(filter-out $(CUDA_OBJ) $(BUILD)/obj/model/backend.o,$(LIB_OBJ)) $(SHIM_OBJ)
	$(call say,LD    $@)
	$(Q)mkdir -p $(@D) && $(CXX) -shared -o $@ $^ $(LIBS)
$(GPU)/bin/mammovit: $(BUILD)/obj/cli/main.o $(GPU)/lib/libmammovit.so
	$(Q)mkdir -p $(@D) && $(CXX) -o $@ $< -L$(GPU)/lib -lmammovit -Wl,--as-needed $(LIBS)
$(GPU)/tests/%: $(SHIM)/%.c $(GPU)/shim/libmammovit.so
	$(GPU_LINK)
$(GPU)/tests/%: tests/unit/%.c $(GPU)/shim/libmammovit.so
	$(GPU_LINK)
$(GPU)/tests/%: tests/prop/%.c $(GPU)/shim/libmammovit.so
	$(GPU_LINK)
$(GPU)/tests/%: tests/gpu/%.c $(GPU)/shim/libmammovit.so
	$(GPU_LINK)
DEP += $(GPU_TEST:=.d)
gpu-bundle: all $(GPU)/bin/mammovit $(GPU_TEST) ## one folder of at most 45 MiB: what gpu-check needs on a machine with a card
	@BUILD=$(BUILD) tests/gpu/bundle.sh $(BUILD)/gpu-bundle $(HAVE_CUDA)
gpu-check: gpu-bundle ## build the bundle and run it here; ARGS="--list", ARGS="--shim" (on the CPU)
	@$(BUILD)/gpu-bundle/gpu-check.sh --out $(if $(findstring --shim,$(ARGS)),$(BUILD),docs)/gpu-results $(ARGS)
.PHONY: gpu-bundle gpu-check

deps: ## install the Debian packages of docker/packages.txt that are missing
	@tests/deps.sh

test-bins: $(TEST_BIN) $(ACCEPT_BIN) $(SHIM_TEST) $(BUILD)/shim/mammovit
test-unit: $(if $(filter cli,$(ROOMS)),$(BUILD)/mammovit) $(TEST_BIN) ## unit and property tests only
	@BUILD=$(BUILD) DATA=$(DATA) tests/run.sh $(TEST_BIN)
test: deps ## everything CI runs; DATA=DIR adds the tests on real images
	@$(MAKE) --no-print-directory all test-bins
	@BUILD=$(BUILD) DATA=$(DATA) tests/run.sh $(TEST_BIN) $(SHIM_TEST) $(SHIM)/test_cuda_kernels.sh $(SHIM)/test_cuda_faults.sh $(wildcard tests/golden/test_*.sh)
test-golden: all ## the whole-program tests only
	@BUILD=$(BUILD) DATA=$(DATA) tests/run.sh $(wildcard tests/golden/test_*.sh)
accept: deps ## long campaigns; each part skips with a reason where its tool is missing
	@$(MAKE) --no-print-directory all test-bins
	@BUILD=$(BUILD) DATA=$(DATA) tests/run.sh $(wildcard tests/accept/test_*.sh)
demo: deps ## from a synthetic archive to a report, on the CPU; DATA=DIR adds real images
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) DATA=$(DATA) tests/demo.sh
bench: all ## the benchmarks, as ratios to a limit measured in the same run; DATA=DIR adds decoding, scan, prepare
	@step="$(BUILD)/mammovit bench step --warmup 1 --steps 3"; \
	for k in 1 0.25; do $$step --keep-rate $$k || exit 1; done; \
	$$step --model deit_base_patch16_224 --batch 8 && $$step --image-size 896 --keep-rate 0.25 --batch 1
	@$(BUILD)/mammovit bench infer --warmup 1 --steps 5
	@$(BUILD)/mammovit bench ops
	@$(if $(DATA),for b in decode scan prepare; do $(BUILD)/mammovit bench $$b $(DATA)/mg_dicom || exit 1; done,true)

asan ubsan tsan: ## the tests under a sanitizer (own build folder)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-$@ SAN=$(if $(filter asan,$@),address,$(if $(filter ubsan,$@),undefined,thread)) OPT=-O1 CUDA=0 san-test
shim-asan shim-tsan: ## the CUDA kernels on the CPU under ASan + UBSan, or with races looked for
	@$(MAKE) --no-print-directory SHIM_SAN=$(if $(filter %tsan,$@),thread,address$(comma)undefined) shim-test
shim-test: $(addprefix $(SHIM_BIN)/test_,streams cuda_op cuda_ends)
	@BUILD=$(BUILD) SAN=$(SHIM_SAN) tests/run.sh $^
# for tests/cuda_on_cpu/test_cuda_faults.sh: a kernel's file and a test compiled, a test linked; @ = a folder put first
shim-commands:
	@echo '$(CXX) -I@ $(filter-out -g -MMD -MP,$(SHIM_FLAGS)) -g1 -O1 -w -x c++ -c'
	@echo '$(CC) $(subst ','"'"',$(filter-out -MMD -MP,$(CFLAGS_ALL))) -c'
	@echo '$(CC) -rdynamic'
	@echo '$(LIB) $(LIBS) -lcmocka'
.PHONY: shim-commands san-test test-bins shim-test shim-asan shim-tsan
san-test: all $(TEST_BIN)
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
.SECONDARY:
