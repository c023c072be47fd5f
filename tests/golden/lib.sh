# Sourced by the whole-program tests: where the program is, a work folder, and how a test reports.
# shellcheck shell=bash
set -u
export LC_ALL=C.UTF-8
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 1
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$top/$BUILD ;; esac
mammovit=$BUILD/mammovit
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
n_bad=0

ok() { echo "ok $1"; }
bad() {
    echo "not ok $1: $2"
    n_bad=$((n_bad + 1))
}
skip() { echo "skip $1: $2"; }

# check NAME WHY COMMAND...: ok if the command succeeds
check() {
    local name=$1 why=$2
    shift 2
    if "$@" >"$work/check.out" 2>&1; then ok "$name"; else
        bad "$name" "$why"
        tail -n 20 "$work/check.out" | sed 's/^/    /'
    fi
}

# expect NAME STATUS TEXT WORDS...: run the program; wanted are this exit status and this text in
# what it prints (stdout or stderr). TEXT may be empty.
expect() {
    local name=$1 status=$2 text=$3 got
    shift 3
    "$mammovit" "$@" >"$work/out" 2>&1 </dev/null
    got=$?
    if [ "$got" -ne "$status" ]; then
        bad "$name" "exit status $got, wanted $status"
    elif [ -n "$text" ] && ! grep -qF -- "$text" "$work/out"; then
        bad "$name" "the output lacks '$text'"
    else
        ok "$name"
        return 0
    fi
    tail -n 5 "$work/out" | sed 's/^/    /'
    return 1
}

# must WORDS...: a step without which the rest makes no sense
must() {
    if ! "$mammovit" "$@" >"$work/must.out" 2>&1 </dev/null; then
        bad "$1" "failed: mammovit $*"
        tail -n 20 "$work/must.out" | sed 's/^/    /'
        exit 1
    fi
}

# tree_sum DIR: name and SHA-256 of every file below it, without locks and the log of looks at the test
# exams, which holds the time of day
tree_sum() {
    (cd "$1" && find . -type f ! -name .lock ! -name final.log -print0 | sort -z | xargs -0 -r sha256sum)
}

# same NAME FILE_OR_DIR FILE_OR_DIR
same() {
    if [ -d "$2" ] && [ -d "$3" ]; then
        tree_sum "$2" >"$work/sum.a"
        tree_sum "$3" >"$work/sum.b"
    else
        sha256sum <"$2" >"$work/sum.a" || return
        sha256sum <"$3" >"$work/sum.b" || return
    fi
    if [ ! -s "$work/sum.a" ]; then
        bad "$1" "nothing to compare"
    elif cmp -s "$work/sum.a" "$work/sum.b"; then ok "$1"; else
        bad "$1" "the bytes differ"
        diff "$work/sum.a" "$work/sum.b" | head -n 8 | sed 's/^/    /'
    fi
}

if [ ! -x "$mammovit" ]; then
    bad program "$mammovit is not built"
    exit 1
fi
