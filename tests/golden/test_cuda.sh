#!/bin/bash
# The CUDA backend as it is built here: code for every architecture, no library of NVIDIA's linked,
# and a plain answer on a machine without a card. Skipped, with the reason, without nvcc 13.
# shellcheck source=tests/golden/lib.sh
. "$(dirname "$0")/lib.sh"

nvcc=$(command -v nvcc || true)
if [ -z "$nvcc" ] || ! "$nvcc" --version | grep -q 'release 13\.' || [ -n "${SAN:-}" ]; then
    skip cuda_build "nvcc 13 was not found, or this is a build for a sanitizer: the CPU backend alone"
    exit 0
fi

dump=$(dirname "$nvcc")/cuobjdump
if [ -x "$dump" ]; then
    found=$("$dump" --list-elf "$mammovit" | grep -oE 'sm_[0-9]+' | sort -u | tr '\n' ' ')
    if [ "$found" = "sm_100 sm_80 sm_90 " ]; then ok cuda_architectures; else bad cuda_architectures "$found"; fi
else
    skip cuda_architectures "this toolkit has no cuobjdump"
fi

linked=$(ldd "$mammovit" | grep -E 'libcuda\.|libcublas|libcudnn')
if [ -z "$linked" ]; then ok cuda_links_no_library; else bad cuda_links_no_library "$linked"; fi

if nvidia-smi -L >/dev/null 2>&1; then
    skip cuda_without_a_card "this machine has a card: make gpu-check"
else
    expect cuda_without_a_card 3 "this machine has no NVIDIA" bench step \
        --model deit_tiny_patch16_224 --device cuda
fi
[ "$n_bad" -eq 0 ]
