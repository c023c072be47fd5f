#!/bin/bash
# Every header compiles alone, as C and, where it declares extern "C", as C++. Not those that stand in for
# the CUDA toolkit: they are C++ and for one use.
# Usage: headers.sh CC CXX 'flags of the packages'
set -u
cd "$(dirname "$0")/../.." || exit 1
read -r -a cc <<<"${1:-gcc}" # may be two words, such as ccache gcc
read -r -a cxx <<<"${2:-g++}"
read -r -a flags <<<"${3:-}"
flags+=(-I. -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Wno-unused-parameter -Werror)
top=$(mktemp -d) || exit 1
trap 'rm -rf "$top"' EXIT

n=0 bad=0
compile() {
    n=$((n + 1))
    # The header is included, not compiled itself: #pragma once and main-file warnings differ.
    printf '#include "%s"\n' "$1" >"$top/one.$2"
    shift 2
    "$@" || bad=$((bad + 1))
}
while read -r h; do
    [ -f "$h" ] || continue
    compile "$h" c "${cc[@]}" -std=gnu17 -include core/banned.h "${flags[@]}" "$top/one.c"
    if grep -q '^extern "C"' "$h"; then
        compile "$h" cpp "${cxx[@]}" -std=gnu++17 "${flags[@]}" "$top/one.cpp"
    fi
done <<<"$(git ls-files -- '*.h' ':!tests/fixtures/*' ':!tests/cuda_on_cpu/include/*')"
echo "lint: headers: $n compilations of single headers, $bad findings"
[ "$bad" -eq 0 ] && [ "$n" -gt 0 ]
