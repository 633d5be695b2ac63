#!/usr/bin/env bash
# Tries a target of the Dockerfile without Docker: makes a clean Debian root with debootstrap, carries out the
# target's instructions in it in their order, and runs the demo's job there as the image's user.
#
#   sudo deploy/try_image.sh [--target cpu] [--root DIR] [--bind PATH[:PLACE]]… [--env NAME[=VALUE]]…
#
#   --target NAME          a stage of the Dockerfile (default: cpu)
#   --root DIR             make the root in this folder, which must be empty or absent, and leave it there
#                          (default: a folder in $TMPDIR or /tmp that is removed at the end)
#   --bind PATH[:PLACE]    show this file or folder of this machine in the root, read-only: for pip's
#                          configuration, certificates, or a folder of wheels, where this machine needs them
#   --env NAME[=VALUE]     an environment variable for every RUN; without a value, this machine's
#
# What it cannot try: the base image itself (Debian 12's own Python 3.11 stands in for python:3.11-slim-bookworm),
# and the size of Docker's layers. Needs root, debootstrap, and about 3 GB of disk (gpu: 15 GB).
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
refuse() { echo "try_image.sh: $*" >&2; exit 2; }

target=cpu root="" binds=() variables=()
for word in "$@"; do case $word in -h | --help) sed -n '2,17s/^# \?//p' "$0"; exit ;; esac; done
given=("$@")
while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || refuse "$1 needs a value; see --help"
    case $1 in
        --target) target=$2 ;;
        --root) root=$2 ;;
        --bind) binds+=("$2") ;;
        --env) variables+=("$2") ;;
        *) refuse "there is no option $1; see --help" ;;
    esac
    shift 2
done
[ "$(id -u)" = 0 ] || refuse "run it as root: it makes a root file system"
command -v debootstrap > /dev/null || refuse "install debootstrap first: apt-get install debootstrap"

# Everything is mounted in a name space of an inner run of this script, so that it is gone when that ends, however
# it ends, and nothing of this machine is mounted any more where the root is removed.
if [ -z "${RUSHES_TRY_ROOT:-}" ]; then
    [ -z "$root" ] || [ ! -e "$root" ] || [ -z "$(ls -A "$root")" ] || refuse "$root is not empty"
    place=${root:-$(mktemp -d "${TMPDIR:-/tmp}/rushes-image.XXXXXX")}
    mkdir -p "$place"
    code=0
    RUSHES_TRY_ROOT=$(realpath "$place") unshare --mount --propagation private "$0" ${given[@]+"${given[@]}"} || code=$?
    [ -n "$root" ] || rm -rf "$place"
    exit $code
fi
root=$RUSHES_TRY_ROOT
log=$(mktemp)
trap 'rm -f "$log"' EXIT
instructions=$(python3 "$here/deploy/dockerfile.py" "$target")

tell() {  # WORDS: seconds so far, and megabytes of the root without what is bound into it
    local hidden=() bind
    for bind in ${binds[@]+"${binds[@]}"}; do hidden+=("--exclude=$root${bind#*:}"); done
    printf '%5d s  %6s MB  %s\n' "$SECONDS" "$(du -sxm ${hidden[@]+"${hidden[@]}"} "$root" | cut -f1)" "$*"
}

show() {  # PATH[:PLACE]: bind a file or folder of this machine into the root, read-only
    local from=${1%%:*} to=$root${1#*:}
    [ -e "$from" ] || refuse "--bind $1: there is no such file or folder"
    mkdir -p "$(dirname "$to")"
    if [ -d "$from" ]; then mkdir -p "$to"; elif [ ! -e "$to" ]; then touch "$to"; fi
    mount --bind "$from" "$to"
    mount -o remount,bind,ro "$to"
}

environment=(LANG=C.UTF-8)
for variable in ${variables[@]+"${variables[@]}"}; do
    case $variable in *=*) ;; *) variable=$variable=${!variable} ;; esac
    environment+=("$variable")
done
workdir=/ user=root path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

inside() {  # COMMAND…: in the root, as the image's user, in its folder, with its environment only
    chroot --userspec="$user" "$root" /usr/bin/env -i "PATH=$path" "${environment[@]}" \
        /bin/sh -c 'cd "$1" && shift && exec "$@"' sh "$workdir" "$@"
}

step() {  # NAME WORDS: one instruction
    case $1 in
        FROM)
            debootstrap --variant=minbase --include=python3,python3-venv bookworm "$root" > "$log" 2>&1 \
                || { tail -5 "$log" >&2; exit 1; }
            mount -t proc proc "$root/proc"
            mount -t sysfs -o ro sysfs "$root/sys"
            mount --rbind /dev "$root/dev"
            mkdir -p "$root/dev/shm"
            for file in /etc/resolv.conf /etc/hosts ${binds[@]+"${binds[@]}"}; do show "$file"; done
            ;;
        ENV)
            local value=${2#*=}
            value=${value//\$PATH/$path}
            if [ "${2%%=*}" = PATH ]; then path=$value; else environment+=("${2%%=*}=$value"); fi
            ;;
        ARG) environment+=("$2") ;;
        WORKDIR) workdir=$2; mkdir -p "$root$workdir" ;;
        COPY)
            local words; read -ra words <<< "$2"
            local last=${words[-1]} source to
            unset 'words[-1]'
            for source in "${words[@]}"; do
                case $last in
                    */) to=$root$workdir/$last$(basename "$source") ;;
                    *) to=$root$workdir/$last ;;
                esac
                mkdir -p "$(dirname "$to")"
                cp -r --no-target-directory "$here/$source" "$to"
                find "$to" -name __pycache__ -prune -exec rm -rf {} +
            done
            ;;
        USER) user=$2 ;;
        RUN) inside /bin/sh -c "$2" >> "$log" 2>&1 || { tail -20 "$log" >&2; echo "failed: RUN $2" >&2; exit 1; } ;;
    esac
}

while IFS=$'\t' read -r name words; do
    step "$name" "$words"
    tell "$name $words"
done <<< "$instructions"

[ "$user" != root ] || { echo "the target runs as root" >&2; exit 1; }
if inside test -w /opt/rushes/venv; then echo "the user may write to the packages" >&2; exit 1; fi
# Ray's launcher works in login shells.
[ "$(inside bash --login -c 'command -v ray')" = /opt/rushes/venv/bin/ray ] || { echo "a login shell has no ray" >&2; exit 1; }
inside python -m jobs.mmtrail --help > /dev/null
tell "python -m jobs.mmtrail --help, as $user"
mkdir -p "$root/home/rushes/videos"
cp "$here"/samples/videos/*.mp4 "$root/home/rushes/videos/"
inside python -m jobs.mmtrail --input videos --output out
inside python -m jobs.verify --output out
inside ray --version
tell "the demo's job, as $user"
