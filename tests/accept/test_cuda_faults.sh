#!/bin/bash
# All planted faults of the CUDA kernels and all their barriers, of which make test takes a sample.
cd "$(dirname "$0")/../.." || exit 1
FAULTS=all exec tests/cuda_on_cpu/test_cuda_faults.sh "$@"
