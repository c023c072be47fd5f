#!/bin/bash
# Shows that the model's tests have teeth: each row of planted_faults.tsv puts one fault into a copy
# of the sources, and the named test has to fail by its own assertion. A row that does not apply,
# does not compile or is not noticed is a failed test; so is a test that fails without any fault.
# With words on the command line, only rows whose name contains one of them.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
table=$here/tests/accept/planted_faults.tsv
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

cp -r "$here"/{Makefile,VERSION,core,model,tests} "$tmp"/ || exit 1
cd "$tmp" || exit 1
unset SAN
failed=0

declare -A program=(
    [fixture]=tests/unit/test_model_fixture
    [op]=tests/prop/test_model_op_gradient
    [net]=tests/prop/test_model_gradient
    [patch]=tests/prop/test_model_patch
)

# Build one test program against the sources as they stand.
build() { make -s BUILD=b ROOMS="core model" "b/${program[$1]}" >log.build 2>&1; }

# run TEST CASE: the cases whose name matches CASE, for the fixture; everything else takes no case.
run() {
    if [ "$1" = fixture ]; then
        timeout 600 "b/${program[$1]}" "$2" >log.run 2>&1
    else
        timeout 600 "b/${program[$1]}" >log.run 2>&1
    fi
}

bad() {
    echo "not ok $1: $2"
    failed=1
}

# Without a fault every test passes; otherwise nothing below would mean anything.
for t in fixture op net patch; do
    if ! build $t; then
        tail -n 20 log.build
        bad "no_fault_$t" "does not build"
    elif ! run $t 'rect_*'; then
        tail -n 20 log.run
        bad "no_fault_$t" "fails without a fault"
    else
        echo "ok no_fault_$t"
    fi
done
[ $failed -eq 0 ] || exit 1

# The same on older instruction sets, which have kernels of their own.
for isa in AVX2 SSE41; do
    for t in fixture op patch; do
        if ONEDNN_MAX_CPU_ISA=$isa run $t 'rect_*'; then
            echo "ok no_fault_${t}_$isa"
        else
            tail -n 20 log.run
            bad "no_fault_${t}_$isa" "fails without a fault"
        fi
    done
done

wanted() {
    [ $# -eq 1 ] && return 0
    local name=$1 word
    shift
    for word; do [[ $name == *"$word"* ]] && return 0; done
    return 1
}

rows=0
while IFS=$'\t' read -r name test file edit; do
    case $name in '' | '#'*) continue ;; esac
    wanted "$name" "$@" || continue
    rows=$((rows + 1))
    cp "$file" kept.source || exit 1
    sed -E -i "$edit" "$file"
    if cmp -s "$file" kept.source; then
        bad "$name" "the edit does not apply to $file any more"
        continue
    fi
    if ! build "$test"; then
        grep -m 1 'error' log.build
        bad "$name" "the faulty source does not compile"
    elif run "$test" 'rect_*'; then
        bad "$name" "$test does not notice it"
    elif ! grep -qE '^ERROR: .*(error|definition|is zero)' log.run; then
        tail -n 5 log.run
        bad "$name" "$test did not fail by its own measure"
    else
        echo "# $(sed -n '/^ERROR: /{s///;p;q}' log.run | cut -c 1-120)"
        echo "ok $name"
    fi
    cp kept.source "$file"
done <"$table"
[ $rows -gt 0 ] || bad planted_faults "no row of the table was run"
[ $failed -eq 0 ]
