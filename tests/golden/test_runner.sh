#!/bin/bash
# tests/run.sh counts what passes, fails and is skipped, and turns crashes, hangs and silence into
# failures. A test runner that forgives would make every other test worthless.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
top=$(mktemp -d) || exit 1
trap 'rm -rf "$top"' EXIT
bad=0

# program NAME BODY...
program() {
    local name=$1
    shift
    { echo '#!/bin/bash' && printf '%s\n' "$@"; } >"$top/$name"
    chmod +x "$top/$name"
}
# expect NAME STATUS LASTLINE [TEXT] PROGRAM...
expect() {
    local name=$1 want_rc=$2 want=$3 text=$4 out rc
    shift 4
    out=$(cd "$top" && TEST_TIMEOUT=2 SAN='' "$root/tests/run.sh" "$@" 2>&1)
    rc=$?
    if [ $rc -eq "$want_rc" ] && [ "$(tail -n 1 <<<"$out")" = "$want" ] &&
        grep -qF -- "$text" <<<"$out"; then
        echo "ok $name"
    else
        echo "not ok $name: status $rc, last line '$(tail -n 1 <<<"$out")'"
        printf '%s\n' "$out"
        bad=1
    fi
}

cm_ok='echo "[==========] 3 test(s) run."; echo "[  PASSED  ] 3 test(s)."'
program good "$cm_ok"
program mixed 'echo "[ RUN      ] a"; echo "skip: no card"; echo "[  SKIPPED ] a"' \
    'echo "[  PASSED  ] 2 test(s)."; echo "[  SKIPPED ] 1 test(s), listed below:"' \
    'echo "[  SKIPPED ] a"; echo "[  FAILED  ] 1 test(s), listed below:"; exit 1'
program crash "$cm_ok" 'kill -SEGV $$'
program hang "$cm_ok" 'sleep 60'
program silent 'exit 0'
program status "$cm_ok" 'exit 3'
program lenient 'echo "[  FAILED  ] 1 test(s), listed below:"' 'exit 0'
program good.sh 'echo "ok one"; echo "skip two: no tool"'
program bad.sh 'echo "ok one"; echo "not ok two: because"; exit 1'
program only_skips.sh 'echo "skip all: no tool"'

expect "all pass" 0 "3 passed, 0 failed, 0 skipped" "pass  " "$top/good"
expect "scripts count" 0 "4 passed, 0 failed, 1 skipped" "good.sh: two: no tool" "$top/good" \
    "$top/good.sh"
expect "failures and skips" 1 "2 passed, 1 failed, 1 skipped" "a: no card" "$top/mixed"
expect "a failing script" 1 "1 passed, 1 failed, 0 skipped" "not ok two: because" "$top/bad.sh"
expect "a crash fails" 1 "3 passed, 1 failed, 0 skipped" "died by signal 11" "$top/crash"
expect "a hang fails" 1 "3 passed, 1 failed, 0 skipped" "stopped after 2 s" "$top/hang"
expect "silence fails" 1 "0 passed, 1 failed, 0 skipped" "ran no test" "$top/silent"
expect "a status fails" 1 "3 passed, 1 failed, 0 skipped" "exit status 3" "$top/status"
expect "failures count whatever the status" 1 "0 passed, 1 failed, 0 skipped" "FAIL" "$top/lenient"
expect "an absent program fails" 1 "0 passed, 1 failed, 0 skipped" "exit status 127" "$top/none"
expect "skips alone are no failure" 0 "0 passed, 0 failed, 1 skipped" "all: no tool" \
    "$top/only_skips.sh"
expect "nothing to run fails" 1 "0 passed, 0 failed, 0 skipped" "0 passed"
expect "the slowest are named" 0 "6 passed, 0 failed, 0 skipped" "slowest:" "$top/good" "$top/good"
exit $bad
