# Sourced by each of the notebook's scripts. Everything that they make is in one folder, so that
# they can be run again: env.sh (with which later steps find the driver), program (a link),
# dataset.json, out (adapter and results).
# shellcheck shell=bash disable=SC2034 # each script uses some of the names
set -euo pipefail

work=${TINYSFT_COLAB:-/content/tinysft}
system=${TINYSFT_SYSTEM_ROOT:-} # the tests' own root
program=$work/program
# The repository, or share/tinysft-vk of an unpacked release.
home=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
mkdir -p "$work"
if [[ -f $work/env.sh ]]; then
    # shellcheck source=/dev/null
    source "$work/env.sh"
fi

say() { printf '%s\n' "$*"; }

fail() { # LINE...: says what happened and what to do, and exits
    printf 'FAILED: %s\n' "$1"
    shift
    (($# == 0)) || printf '  %s\n' "$@"
    exit 1
}

is_installed() {
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null || true) == installed ]]
}

# Installs the packages that are missing. False if apt or dpkg fails; their output goes to apt.log.
install_missing() {
    local missing=() package
    for package in "$@"; do
        is_installed "${package%%=*}" || missing+=("$package")
    done
    ((${#missing[@]} > 0)) || return 0
    say "installing ${missing[*]}"
    if [[ ! -f $work/apt.updated ]]; then
        apt-get update -q >>"$work/apt.log" 2>&1 || return 1
        touch "$work/apt.updated"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" \
        >>"$work/apt.log" 2>&1
}

need_program() {
    [[ -x $program ]] || fail "the program is not there yet" "Run the cell 'The program' first."
}
