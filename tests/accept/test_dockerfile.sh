#!/bin/bash
# Does a Dockerfile do what it says? Its lines run in a fresh Debian 12 (chroot/lib.sh), which no docker is
# needed for: FROM debian:12, ENV, COPY, WORKDIR and RUN are known, any other line fails. Arguments:
# the files; without any, both of docker/. Then the program that was built must answer.
# shellcheck source-path=SCRIPTDIR
chroot_of=dockerfile
. "$(dirname "$0")/chroot/lib.sh"

# stdin: a Dockerfile; one line for each instruction.
joined() { sed -e '/^ *#/d' -e ':a' -e '/\\$/{N;s/ *\\\n */ /;ba' -e '}' | sed '/^ *$/d'; }

copy() { # what where
    if [ "$1" = . ]; then
        git clone -q --no-hardlinks "$top" "$root$2"
    else
        install -D -m 644 "$top/$1" "$root$2"
    fi
}

build() { # a Dockerfile
    local word rest at=/ n=0 name
    name=$(basename "$1" .Dockerfile)
    while read -r word rest; do
        n=$((n + 1))
        case $word in
        FROM) [ "$rest" = debian:12 ] || give_up "$1 starts from $rest" ;;
        ENV) extra+=("$(eval "echo $rest")") ;;
        WORKDIR) at=$rest ;;
        COPY) copy "${rest% *}" "${rest#* }" || return 1 ;;
        RUN) step "dockerfile_${name}_$n" "$at" "$rest" || return 1 ;;
        *) echo "not ok dockerfile_${name}_$n: '$word' is not known here"; return 1 ;;
        esac
    done < <(joined <"$1")
    step "dockerfile_${name}_answers" "$at" "build/mammovit --version" || return 1
    [ "$name" != cuda ] || step dockerfile_cuda_wants_a_card "$at" \
        "build/mammovit bench step --device cuda 2>&1 | tee /tmp/said; grep 'has no NVIDIA driver' /tmp/said"
}

[ $# -gt 0 ] || set -- "$top"/docker/*.Dockerfile
bad=0
for file; do
    build "$file" || bad=1
    find "$root/opt" -mindepth 1 -delete # the next one starts afresh, but for its packages
    extra=()
done
exit $bad
