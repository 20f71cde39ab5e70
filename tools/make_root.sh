#!/usr/bin/env bash
# Installs another Debian or Ubuntu into a folder, to run tests in:
#     tools/make_root.sh SUITE FOLDER [PACKAGE...]
# SUITE is a release (bookworm, trixie, testing, jammy, ...), minimal except for the packages named.
# Ubuntu's need its keyring, or UBUNTU_KEYRING=FILE. An existing FOLDER is left as it is; a new one
# appears whole or not at all. Needs root's rights and a network.
set -euo pipefail

fail() {
    echo "make_root: $*" >&2
    exit 1
}

(($# >= 2)) || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
suite=$1 folder=$2 part=$2.part
shift 2
if [[ -e $folder ]]; then
    echo "make_root: $folder is there already"
    exit
fi
((EUID == 0)) || fail "only root can make $folder"
command -v debootstrap >/dev/null ||
    apt-get install -q -y --no-install-recommends debootstrap ||
    fail "needs the package debootstrap"

options=(--variant=minbase --force-check-gpg --components=main)
case $suite in
jammy | noble | questing)
    keyring=${UBUNTU_KEYRING:-/usr/share/keyrings/ubuntu-archive-keyring.gpg}
    [[ -f $keyring ]] || fail "$keyring is not here: Debian 13's package ubuntu-keyring has it" \
        "(UBUNTU_KEYRING names another place)"
    options+=("--components=main,universe" "--keyring=$keyring")
    ;;
esac

rm -rf --one-file-system "$part"
mkdir -p "$part"
debootstrap "${options[@]}" "$suite" "$part"
cp /etc/resolv.conf "$part/etc/resolv.conf"
cp /etc/apt/apt.conf.d/* "$part/etc/apt/apt.conf.d/" 2>/dev/null || true
if (($# > 0)); then
    chroot "$part" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "$@"
    chroot "$part" apt-get clean
fi
mv "$part" "$folder"
