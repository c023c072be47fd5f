#!/bin/bash
# A fresh Debian 12 with git, make and ca-certificates only: `make demo` and, separately, `make test`
# from a clone of the last commit, in a bare chroot: no /proc, no /dev/pts. Prints the minutes of
# each step. Needs root, debootstrap and a mirror (MIRROR=URL); skips with a reason otherwise.
# KEEP=1 leaves the folder for a look.
set -u
export LC_ALL=C.UTF-8
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
mirror=${MIRROR:-http://deb.debian.org/debian}

give_up() {
    echo "skip chroot: $1"
    exit 0
}
[ "$(id -u)" -eq 0 ] || give_up "not root"
command -v debootstrap >/dev/null || give_up "debootstrap is not installed"
git -C "$top" rev-parse -q --verify HEAD >/dev/null || give_up "not a git checkout"

root=$(mktemp -d) || exit 1
chmod 755 "$root"
leave() {
    if [ -n "${KEEP:-}" ]; then echo "kept: $root"; else rm -rf --one-file-system "$root"; fi
}
trap leave EXIT

start=$SECONDS
debootstrap --variant=minbase --include=git,make,ca-certificates bookworm "$root" "$mirror" \
    >"$root.log" 2>&1 || {
    why=$(tail -n 1 "$root.log")
    rm -f "$root.log"
    give_up "debootstrap failed: $why"
}
rm -f "$root.log"
echo "debootstrap: $(((SECONDS - start + 59) / 60)) min"

# how this machine reaches the mirror
cat >"$root/etc/apt/sources.list" <<EOF
deb $mirror bookworm main
deb $mirror bookworm-updates main
EOF
[ "$mirror" = http://deb.debian.org/debian ] &&
    echo "deb $mirror-security bookworm-security main" >>"$root/etc/apt/sources.list"
grep -lsE '^ *Acquire' /etc/apt/apt.conf.d/* | while read -r f; do cp "$f" "$root/etc/apt/apt.conf.d/"; done
for f in resolv.conf hosts; do [ -f /etc/$f ] && cp -L /etc/$f "$root/etc/$f"; done

inside() {
    chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        bash -c "cd /srv/$1 && $2"
}
step() {
    local name=$1 where=$2 what=$3 t=$SECONDS
    if inside "$where" "$what" >"$root/log" 2>&1; then
        echo "ok $name"
    else
        echo "not ok $name: failed"
    fi
    echo "$what: $(((SECONDS - t) / 60)) min $(((SECONDS - t) % 60)) s"
    tail -n 12 "$root/log" | sed 's/^/    /'
}

for d in demo test; do
    git clone -q --no-hardlinks "$top" "$root/srv/$d" || give_up "the clone failed"
done
step chroot_deps demo "make deps"
step chroot_build demo "make"
step chroot_demo demo "make demo"
step chroot_test test "make test"
step chroot_nothing_to_do demo "make 2>&1 | (! grep -E ' (CC|CXX|LD|AR) ')"
