#!/usr/bin/env bash
# Makes the packages and tries them:
#
#   tools/test_package.sh                     on this machine, in a bare environment
#   tools/test_package.sh --root DIR ...      and in other systems' root folders, which are not
#                                             changed: each gets an overlay that is discarded
#   tools/test_package.sh --suite NAME ...    and in roots that tools/make_root.sh makes in
#                                             build/roots (bookworm, trixie, jammy)
#
# In a root the .tar.gz must run with nothing installed, and the .deb with the packages that apt
# installs for it. Roots need root's rights (chroot, mounts) and a network. BUILD names another
# build folder. Prints a line for each check. Writes "PASSED FAILED" to
# build/release/package-counts.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${BUILD:-build/release}
newest_glibc=2.35 # Ubuntu 22.04's
roots=()
while (($# > 0)); do
    case $1 in
    --root | --suite)
        (($# >= 2)) || { echo "test_package: $1 needs a value" >&2; exit 2; }
        roots+=("${1#--}=$2")
        shift 2
        ;;
    *)
        echo "test_package: unknown argument '$1' (--root DIR, --suite NAME)" >&2
        exit 2
        ;;
    esac
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

# check NAME COMMAND...: prints one line, and the command's output if it failed.
check() {
    local name=$1 code
    shift
    set +e # not `|| code=$?`, which would turn errexit off inside
    (set -e; "$@") >"$scratch/said" 2>&1 </dev/null
    code=$?
    set -e
    if ((code == 0)); then
        passed=$((passed + 1))
        echo "ok      $name"
    else
        failed=$((failed + 1))
        echo "FAILED  $name: exit code $code"
        tail -n 30 "$scratch/said" | sed 's/^/        /'
    fi
}

# ---- The contents of the archives

contents() { # of the program's package, below its prefix
    sort <<'END'
bin/tinysft-vk
share/bash-completion/completions/tinysft-vk
share/doc/tinysft-vk/README.md
share/doc/tinysft-vk/assets/evaluation_screenshot.png
share/doc/tinysft-vk/assets/sweep.png
share/doc/tinysft-vk/changelog.gz
share/doc/tinysft-vk/copyright
share/fish/vendor_completions.d/tinysft-vk.fish
share/man/man1/tinysft-vk.1.gz
share/tinysft-vk/assets/base/config.json
share/tinysft-vk/assets/base/generation_config.json
share/tinysft-vk/assets/base/model.safetensors
share/tinysft-vk/assets/base/special_tokens_map.json
share/tinysft-vk/assets/base/tokenizer.json
share/tinysft-vk/assets/base/tokenizer_config.json
share/tinysft-vk/data/dataset.json
share/tinysft-vk/data/eval.json
share/tinysft-vk/data/preferences.json
share/tinysft-vk/tools/colab/common.sh
share/tinysft-vk/tools/colab/data.sh
share/tinysft-vk/tools/colab/driver.sh
share/tinysft-vk/tools/colab/evaluate.sh
share/tinysft-vk/tools/colab/pack.sh
share/tinysft-vk/tools/colab/program.sh
share/tinysft-vk/tools/colab/train.sh
share/tinysft-vk/tools/demo.sh
share/tinysft-vk/tools/tinysft_vk_colab.ipynb
share/zsh/vendor-completions/_tinysft-vk
END
}

library_contents() {
    local version
    version=$("$prefix/bin/tinysft-vk" --version | cut -d' ' -f2)
    printf '%s\n' lib/libtinysft.so.0 "lib/libtinysft.so.$version" \
        share/doc/libtinysft0/{changelog.gz,copyright}
}

dev_contents() {
    printf '%s\n' include/tinysft/{status,tinysft}.h lib/libtinysft.so lib/pkgconfig/tinysft.pc \
        share/doc/libtinysft-dev/{changelog.gz,copyright,examples/example.c} \
        share/man/man3/tinysft.3.gz
}

mpi_contents() { # NAME: of the package of what is loaded for that MPI
    printf '%s\n' "lib/tinysft-vk/libtinysft-mpi-$1.so" \
        "share/doc/tinysft-vk-$1"/{changelog.gz,copyright}
}

mpis() { # for which the build found headers
    find "$build" -maxdepth 1 -name 'libtinysft-mpi-*.so' | sed 's/.*-mpi-//; s/\.so$//'
}

all_mpi_contents() {
    local mpi
    for mpi in $(mpis); do
        mpi_contents "$mpi"
    done
}

archive_holds_what_it_should() {
    diff <({ contents && library_contents && dev_contents && all_mpi_contents &&
        echo lib/tinysft-vk/libcjson.so.1; } | sort) \
        <(tar -tzf "$archive" | grep -v '/$' | cut -d/ -f2- | sort)
}

# deb_holds DEB FUNCTION: the package has the files that FUNCTION lists, and no others.
deb_holds() {
    diff <("$2" | sort) <(dpkg-deb --fsys-tarfile "$1" | tar -t | grep -v '/$' |
        sed 's,^\./usr/,,' | sort)
}

debs_hold_what_they_should() {
    deb_holds "$deb" contents
    deb_holds "$library_deb" library_contents
    deb_holds "$dev_deb" dev_contents
    local mpi
    for mpi in $(mpis); do
        deb_holds "$build/tinysft-vk-${mpi}_"*.deb "mpi_contents_$mpi"
    done
}
mpi_contents_openmpi() { mpi_contents openmpi; }
mpi_contents_mpich() { mpi_contents mpich; }

debs_name_what_they_need() {
    local package depends
    for package in "$deb" "$library_deb"; do
        depends=$(dpkg-deb --field "$package" Depends)
        echo "$depends"
        grep -q 'libvulkan1' <<<"$depends" && grep -q 'libcurl4t64 | libcurl4' <<<"$depends" &&
            grep -q 'libcjson1' <<<"$depends" && ! grep -q 'libmd' <<<"$depends"
    done
    dpkg-deb --field "$dev_deb" Depends | grep -q '^libtinysft0 (= [0-9.]*)$'
    [[ $(dpkg-deb --info "$library_deb" shlibs) == 'libtinysft 0 libtinysft0'* ]]
}

# The program starts without libraries that a bare system lacks.
program_needs_few_libraries() {
    objdump -p "$prefix/bin/tinysft-vk" "$prefix/lib/libtinysft.so.0" | sed -n 's/^ *NEEDED *//p' >"$scratch/needed"
    cat "$scratch/needed"
    [[ -s $scratch/needed ]] && ! grep -vxE 'lib(c|m|cjson)\.so\.[0-9]+|ld-linux.*' "$scratch/needed"
}

no_symbol_is_too_new() {
    local file versions newest
    for file in "$prefix/bin/tinysft-vk" "$prefix/lib/libtinysft.so.0" \
        "$prefix/lib/tinysft-vk/libcjson.so.1"; do
        versions=$(objdump -T "$file" | grep -o 'GLIBC_[0-9.]*' | sort -uV)
        newest=$(tail -n 1 <<<"$versions")
        echo "$file: $newest is its newest symbol, $newest_glibc is allowed"
        objdump -T "$file" | grep -F "$newest"
        [[ $(printf '%s\n' "${newest#GLIBC_}" "$newest_glibc" | sort -V | tail -n 1) == \
            "$newest_glibc" ]]
    done
}

# ---- Running it; these functions are also run inside the roots

# Expects that the program's exit code is CODE and that its output matches PATTERN.
expect() {
    local wanted=$1 pattern=$2 code=0 output
    shift 2
    output=$("$@" 2>&1) || code=$?
    if [[ $code != "$wanted" ]] || ! grep -qE -- "$pattern" <<<"$output"; then
        echo "$*: exit code $code (expected $wanted), and /$pattern/ is expected in:"
        tail -n 20 <<<"$output"
        return 1
    fi
}

answers() {
    local program=$1 command
    expect 0 '^tinysft-vk [0-9]' "$program" --version
    expect 0 'fine-tunes chat models' "$program" --help
    for command in $("$program" --help | sed -n 's/^  tinysft-vk \([a-z]*\) .*/\1/p'); do
        expect 0 "^tinysft-vk $command" "$program" "$command" --help
    done
}

tokenizes() { # with the model in the package, from any folder
    cd "$(mktemp -d)"
    echo '{"text": "What is the capital of Peru?"}' >line
    "$1" tokenize --model assets/base <line >ids
    cat ids
    grep -q '"ids": \[[0-9, ]*\], "decoded": ".*What is the capital of Peru?"' ids
}

prefers_what_is_here() {
    cd "$(mktemp -d)"
    mkdir -p assets/base
    expect 4 'assets/base' "$1" tokenize --model assets/base </dev/null
}

says_what_to_install() { # unless there is a device
    local code=0 output
    output=$("$1" devices 2>&1) || code=$?
    echo "$output"
    [[ $code == 0 ]] || { [[ $code == 7 ]] && grep -q 'apt install libvulkan1' <<<"$output"; }
}

lists_llvmpipe() { expect 0 '^chosen: .*llvmpipe' "$1" devices --device llvmpipe; }

trains_and_evaluates() {
    local program=$1
    cd "$(mktemp -d)"
    "$program" train --model assets/base --data data/dataset.json --output-dir out \
        --max-steps 2 --lr 5e-3 --batch-size 2 --device llvmpipe
    "$program" eval --model assets/base --adapter out --max-new-tokens 2 --device llvmpipe
    [[ -s out/adapter_model.safetensors && -s out/before_after.md ]]
    [[ $(head -c 4 out/evaluation_screenshot.png | tail -c 3) == PNG ]]
}

says_where_libcurl_is() {
    expect 4 'apt install libcurl4' env HF_HOME=/nowhere "$1" tokenize --model some/name
}

functions() { declare -f expect answers tokenizes prefers_what_is_here says_what_to_install \
    lists_llvmpipe trains_and_evaluates says_where_libcurl_is; }

# ---- Here: from the unpacked archive, with an environment that names nothing

bare() { # FUNCTION ARGUMENT... [with BARE=(NAME=VALUE ...) on top]
    env -i PATH=/usr/bin:/bin HOME="$scratch/home" TMPDIR="$scratch" "${BARE[@]}" \
        bash -euo pipefail -c "$(functions); \"\$@\"" bash "$@"
}

# To hide a library, a file with its name that is not a library comes first on the search path.
hide_libraries() {
    mkdir -p "$scratch/hidden"
    for name in libcurl.so.4 libcurl-gnutls.so.4 libvulkan.so.1 libvulkan.so; do
        echo "no library" >"$scratch/hidden/$name"
    done
}

without_loader() {
    expect 7 'apt install libvulkan1' \
        env -i LD_LIBRARY_PATH="$scratch/hidden" "$prefix/bin/tinysft-vk" devices
}

run_here() {
    local program=$prefix/bin/tinysft-vk
    BARE=()
    check "here: --version and --help" bare answers "$program"
    check "here: tokenizes from another folder" bare tokenizes "$program"
    check "here: a local folder comes first" bare prefers_what_is_here "$program"
    check "here: lists llvmpipe" bare lists_llvmpipe "$program"
    check "here: trains and evaluates" bare trains_and_evaluates "$program"
    hide_libraries
    check "here: starts without a Vulkan loader, and says so" without_loader
    BARE=(LD_LIBRARY_PATH="$scratch/hidden")
    check "here: starts without libcurl" bare answers "$program"
    check "here: says where libcurl is to be had" bare says_where_libcurl_is "$program"
}

# ---- In another root

# Mounts an overlay in memory over DIR, or copies it if that is impossible. Only inside `unshare`.
cover() {
    local lower=$1 top=$2
    mkdir -p "$top"
    mount -t tmpfs -o mode=755 tmpfs "$top"
    mkdir "$top/upper" "$top/work" "$top/root"
    if ! mount -t overlay overlay "$top/root" \
        -o "lowerdir=$lower,upperdir=$top/upper,workdir=$top/work" 2>/dev/null; then
        cp -a "$lower/." "$top/root"
    fi
    mkdir -p "$top/root/dev" "$top/root/proc" "$top/root/sys" "$top/root/opt"
    for folder in dev proc sys; do
        mount --rbind "/$folder" "$top/root/$folder"
    done
    rm -f "$top/root/etc/resolv.conf"
    cp /etc/resolv.conf "$top/root/etc/resolv.conf"
}

# Writes a line "ok NAME" or "FAILED NAME" for each check, after the check's output.
try_in() {
    local top=$1 archive=$2 deb=$3 root=$1/root
    inside() {
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
            chroot "$root" "$@"
    }
    try() {
        local name=$1
        shift
        if "$@" </dev/null 2>&1; then echo "ok $name"; else echo "FAILED $name"; fi
    }
    call() { inside bash -euo pipefail -c "$(functions); \"\$@\"" bash "$@"; }
    install_deb() {
        cp "$deb" "$root/opt/"
        inside apt-get update -q &&
            inside apt-get install -q -y --no-install-recommends mesa-vulkan-drivers \
                "/opt/$(basename "$deb")"
    }
    tar -xzf "$archive" -C "$root/opt"
    local unpacked
    unpacked=/opt/$(basename "$archive" .tar.gz)/bin/tinysft-vk
    inside sh -c '. /etc/os-release; echo "$PRETTY_NAME"; ldd --version | head -n 1'
    try ".tar.gz: --version and --help" call answers "$unpacked"
    try ".tar.gz: tokenizes" call tokenizes "$unpacked"
    try ".tar.gz: lists devices or says what to install" call says_what_to_install "$unpacked"
    if ! inside sh -c 'ldconfig -p | grep -q libcurl'; then
        try ".tar.gz: says where libcurl is to be had" call says_where_libcurl_is "$unpacked"
    fi
    try ".deb: installs with what apt finds" install_deb
    try ".deb: --version and --help" call answers /usr/bin/tinysft-vk
    try ".deb: tokenizes" call tokenizes /usr/bin/tinysft-vk
    try ".deb: lists llvmpipe" call lists_llvmpipe /usr/bin/tinysft-vk
    try ".deb: trains and evaluates" call trains_and_evaluates /usr/bin/tinysft-vk
    try ".tar.gz: trains and evaluates" call trains_and_evaluates "$unpacked"
    try ".deb: is removed" inside apt-get remove -q -y tinysft-vk
}

run_in() {
    local root=$1 log=$scratch/log good bad
    unshare --mount --propagation private bash -uo pipefail -c \
        "$(functions; declare -f functions cover try_in); cover \"\$1\" \"\$2\" &&
        try_in \"\$2\" \"\$3\" \"\$4\"" bash "$root" "$scratch/top" "$PWD/$archive" "$PWD/$deb" \
        >"$log" 2>&1 </dev/null || true
    good=$(grep -c '^ok ' "$log" || true)
    bad=$(grep -c '^FAILED ' "$log" || true)
    ((good + bad > 0)) || bad=1 # it ended before the first check
    ((bad == 0)) || tail -n 60 "$log" | sed 's/^/        /'
    echo "$root ($(head -n 1 "$log")): $good checks passed, $bad failed"
    passed=$((passed + good)) failed=$((failed + bad))
}

# ---- Running everything

rm -f "$build"/*.deb "$build"/tinysft-vk-*.tar.gz "$build/package-counts"
cmake --build "$build" --target package >"$scratch/said" 2>&1 || { tail -n 20 "$scratch/said"; exit 1; }
archive=$(echo "$build"/tinysft-vk-*.tar.gz)
deb=$(echo "$build"/tinysft-vk_*.deb)
library_deb=$(echo "$build"/libtinysft0_*.deb) dev_deb=$(echo "$build"/libtinysft-dev_*.deb)
[[ -f $archive ]] || { echo "test_package: no .tar.gz was made"; exit 1; }
mkdir "$scratch/un packed"
tar -xzf "$archive" -C "$scratch/un packed"
prefix=$(echo "$scratch/un packed"/*)

check "the .tar.gz holds what it should" archive_holds_what_it_should
check "the program needs few libraries" program_needs_few_libraries
if [[ -f $deb ]]; then
    check "the .debs hold what they should" debs_hold_what_they_should
    check "the .debs name what they need" debs_name_what_they_need
fi
here_glibc=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
if [[ $(printf '%s\n' "$here_glibc" 2.36 | sort -V | tail -n 1) == 2.36 ]]; then
    check "no symbol is newer than glibc $newest_glibc" no_symbol_is_too_new
else
    echo "skipped symbol versions: built with glibc $here_glibc, so for such systems only"
fi
run_here
for wanted in ${roots[@]+"${roots[@]}"}; do
    root=${wanted#*=}
    if ((EUID != 0)); then
        echo "FAILED  $root: only root can enter it"
        failed=$((failed + 1))
        continue
    elif [[ $wanted == suite=* ]]; then
        log=$build/root.log
        if ! tools/make_root.sh "$root" "build/roots/$root" >"$log" 2>&1; then
            echo "FAILED  $wanted: it cannot be made:"
            tail -n 3 "$log"
            failed=$((failed + 1))
            continue
        fi
        root=$PWD/build/roots/$root
    fi
    run_in "$root"
done

echo "$passed $failed" >"$build/package-counts"
echo "Synthesis: Tested: $((passed + failed)) | Passing: $passed | Failing: $failed"
((failed == 0))
