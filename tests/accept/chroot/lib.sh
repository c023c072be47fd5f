# shellcheck shell=bash
# For tests in a bare Debian 12. Sourced with chroot_of set to the name of the test (and chroot_with to
# packages), it leaves a new root in $root, in which `inside FOLDER COMMAND` and `step NAME FOLDER
# COMMAND` run: no /proc, no /dev/pts. Needs root, debootstrap and a mirror (MIRROR=URL); ends with a
# reason otherwise. KEEP=1 leaves the folder for a look.
set -u
export LC_ALL=C.UTF-8
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
mirror=${MIRROR:-http://deb.debian.org/debian}

give_up() {
    echo "skip ${chroot_of:?}: $1"
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
debootstrap --variant=minbase --include="${chroot_with:-ca-certificates}" bookworm "$root" "$mirror" \
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
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/outside.crt"

extra=() # more of the environment
inside() {
    chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "${extra[@]}" \
        PIP_CERT=/etc/ssl/outside.crt ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        bash -c "cd $1 && $2"
}
step() {
    local name=$1 where=$2 what=$3 t=$SECONDS
    local ok=0
    inside "$where" "$what" >"$root/log" 2>&1 || ok=1
    if [ $ok = 0 ]; then echo "ok $name"; else echo "not ok $name: failed"; fi
    echo "$what: $(((SECONDS - t) / 60)) min $(((SECONDS - t) % 60)) s"
    tail -n 12 "$root/log" | sed 's/^/    /'
    return $ok
}
