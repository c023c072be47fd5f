#!/bin/bash
# A fresh Debian 12 with git, make and ca-certificates only: `make demo` and, separately, `make test`
# from a clone of the last commit (chroot/lib.sh). Prints the minutes of each step.
# shellcheck source-path=SCRIPTDIR
chroot_of=chroot chroot_with=git,make,ca-certificates
. "$(dirname "$0")/chroot/lib.sh"

for d in demo test; do
    git clone -q --no-hardlinks "$top" "$root/srv/$d" || give_up "the clone failed"
done
step chroot_deps /srv/demo "make deps"
step chroot_build /srv/demo "make"
step chroot_demo /srv/demo "make demo"
step chroot_test /srv/test "make test"
step chroot_nothing_to_do /srv/demo "make 2>&1 | (! grep -E ' (CC|CXX|LD|AR) ')"
