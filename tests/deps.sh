#!/bin/bash
# `make deps`: installs the packages of docker/packages.txt that are missing; silent if none is.
# As root or with a sudo that asks no password; otherwise prints the line to run and fails.
set -u
cd "$(dirname "$0")/.." || exit 1

missing=()
while read -r name _; do
    case $name in '' | '#'*) continue ;; esac
    status=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)
    [ "$status" = installed ] || missing+=("$name")
done <docker/packages.txt
[ ${#missing[@]} -eq 0 ] && exit 0

echo "deps: installing ${missing[*]}" >&2
install=(apt-get -o Acquire::Retries=3 install -y --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -eq 0 ]; then
    apt-get -o Acquire::Retries=3 update -q && DEBIAN_FRONTEND=noninteractive "${install[@]}"
elif sudo -n true 2>/dev/null; then
    sudo -n apt-get -o Acquire::Retries=3 update -q &&
        sudo -n env DEBIAN_FRONTEND=noninteractive "${install[@]}"
else
    echo "deps: neither root nor a sudo without password; run this line, then make again:" >&2
    echo "sudo apt-get update && sudo ${install[*]}"
    exit 1
fi || {
    echo "deps: the installation failed; missing are: ${missing[*]}" >&2
    exit 1
}
