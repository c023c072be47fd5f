#!/bin/bash
# Shows that the tests have teeth: each row of planted_faults.tsv puts one fault into a copy of the
# sources, and the named test has to fail by its own assertion. A row that does not apply, does not
# compile or is not noticed is a failed test; so is a test that fails without any fault.
# With words on the command line, only rows whose name, test or file contains one of them.
# LANES copies of the sources work side by side, each row in one of them.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
table=$here/tests/accept/planted_faults.tsv
lanes=${LANES:-2}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
unset MAMMOVIT_TEST_KILL MAMMOVIT_TEST_REPORTS

declare -A model=(
    [fixture]=tests/unit/test_model_fixture
    [op]=tests/prop/test_model_op_gradient
    [net]=tests/prop/test_model_gradient
    [patch]=tests/prop/test_model_patch
    [eval_report_prop]=tests/prop/test_eval_report
)

# A test is one of the above, or PROGRAM.CASE: the case of tests/unit/test_PROGRAM.c, or of one of the
# above. CASE is a regular expression.
program() { echo "${model[${1%%.*}]:-tests/unit/test_${1%%.*}}"; }

# Does the program of a test take the name of one case? (Then only the named cases are run.)
takes_case() { [[ $1 == *.* ]] && grep -q cmocka_set_test_filter "$here/$(program "$1").c"; }

wanted() {
    [ $# -eq 1 ] && return 0
    local row=$1 word
    shift
    for word; do [[ $row == *"$word"* ]] && return 0; done
    return 1
}

# ---- one lane: a copy of the sources, and of the objects where they are at hand --------------------
lane_new() {
    mkdir -p "$1/build" || exit 1
    cp -rp "$here"/{Makefile,VERSION,configs,core,dicom,preprocess,model,eval,tests} "$1"/ || exit 1
    if [ -z "${SAN:-}" ] && [ "${BUILD:-build}" = build ] && [ -d "$here/build/obj" ]; then
        cp -rp "$here/build/obj" "$1/build/" || exit 1
    fi
}

# Build one test program against the sources as they stand.
build() {
    env -u SAN make -s BUILD=build ROOMS="core dicom preprocess model eval" "build/$(program "$1")" \
        >log.build 2>&1
}

# The fixture runs the cases whose name matches rect_*, a program that takes a case runs that alone,
# everything else runs whole.
run() {
    local only=()
    case $1 in
    fixture) only=('rect_*') ;;
    *) takes_case "$1" && only=("${1#*.}") ;;
    esac
    timeout -k 10 600 "build/$(program "$1")" "${only[@]}" >log.run 2>&1
}

# Did the test fail by its own measure, and not by an accident of the fault?
own_failure() {
    case $1 in
    *.*) grep -qa "^\[  FAILED  \] ${1#*.}\$" log.run &&
        ! grep -qa 'Test failed with exception' log.run ;;
    *) grep -qE '^ERROR: .*(error|definition|is zero)' log.run ;;
    esac
}

good() { echo "ok $1${2:+: $2}"; }
bad() {
    echo "not ok $1: $2"
    : >"$tmp/failed"
}

# Without a fault every test passes; otherwise nothing below would mean anything.
no_fault() {
    local t=$1 name=no_fault_$1 isa
    if ! build "$t"; then
        tail -n 20 log.build
        bad "$name" "does not build"
    elif ! run "$t"; then
        tail -n 20 log.run
        bad "$name" "fails without a fault"
    else
        good "$name"
        # the same on older instruction sets, which have kernels of their own
        case $t in fixture | op | patch) ;; *) return ;; esac
        for isa in AVX2 SSE41; do
            if ONEDNN_MAX_CPU_ISA=$isa run "$t"; then
                good "${name}_$isa"
            else
                tail -n 20 log.run
                bad "${name}_$isa" "fails without a fault"
            fi
        done
    fi
}

# What the failing test says, for people.
first_words() { sed -nE '/^(ERROR:|\[  ERROR   \] ---) */{s///;p;q}' log.run | cut -c 1-120; }

# The source comes back with its time of change, and so does its object: only the next fault is
# compiled. A header comes back as new, so that all that read it are built again.
plant() {
    local name=$1 test=$2 file=$3 edit=$4 object=build/obj/${3%.c}.o
    cp -p "$file" kept.source || exit 1
    rm -f kept.object
    [[ $file == *.c && -e $object ]] && cp -p "$object" kept.object
    sed -E -i "$edit" "$file"
    if cmp -s "$file" kept.source; then
        bad "$name" "the edit does not apply to $file any more"
    elif ! build "$test"; then
        grep -m 1 'error' log.build
        bad "$name" "the faulty source does not compile"
    elif run "$test"; then
        bad "$name" "$test does not notice it"
    elif ! own_failure "$test"; then
        tail -n 5 log.run
        bad "$name" "$test did not fail by its own measure"
    else
        good "$name" "$(first_words)"
    fi
    if [ -e kept.object ]; then
        cp -p kept.object "$object"
        cp -p kept.source "$file"
        # the library still holds the faulty object
        rm -f build/libmammovit.a
    else
        cp kept.source "$file"
    fi
}

# The tasks of one lane: every n-th line of a list.
lane() {
    local i=-1 what a b c d
    cd "$tmp/$1" || exit 1
    while IFS=$'\t' read -r what a b c d; do
        i=$((i + 1))
        [ $((i % lanes)) -eq "$1" ] && "$what" "$a" "$b" "$c" "$d"
    done <"$2"
}

side_by_side() {
    local k
    for ((k = 0; k < lanes; k++)); do lane "$k" "$1" & done
    wait
}

# ---- the table -------------------------------------------------------------------------------------
while IFS=$'\t' read -r name test file edit; do
    case $name in '' | '#'*) continue ;; esac
    wanted "$name $test $file" "$@" || continue
    printf 'plant\t%s\t%s\t%s\t%s\n' "$name" "$test" "$file" "$edit" >>"$tmp/rows"
    takes_case "$test" || test=${test%%.*}
    printf 'no_fault\t%s\n' "$test" >>"$tmp/tests"
done <"$table"
if [ ! -s "$tmp/rows" ]; then
    bad planted_faults "no row of the table was chosen"
    exit 1
fi
for ((k = 0; k < lanes; k++)); do lane_new "$tmp/$k"; done
sort -u -o "$tmp/tests" "$tmp/tests"
side_by_side "$tmp/tests"
[ ! -e "$tmp/failed" ] || exit 1
side_by_side "$tmp/rows"
[ ! -e "$tmp/failed" ]
