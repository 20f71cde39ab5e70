#!/usr/bin/env bash
# Runs the tests that use the device on every Vulkan driver that can be had without its hardware, and
# asks AMD's compiler (RADV, which needs no AMD hardware for that) to build every pipeline:
#     tools/test_drivers.sh [--quick] [--root NAME=FOLDER]... [DRIVER]...
#     tools/test_drivers.sh --make-root SUITE FOLDER
# DRIVER is llvmpipe, swiftshader, radv, or NAME/llvmpipe, NAME/radv of a root; all, unless named.
# A root is another Debian in a folder, with its own drivers, loader and validation layer (trixie has
# Mesa 25, testing has Mesa 26 with cooperative matrices); the programs built here run inside. Roots
# may also be given as TINYSFT_ROOTS="NAME=FOLDER ..."; --make-root makes one (tools/make_root.sh, 1 GB).
# Roots need root's rights. What is not there is skipped, and said; --quick leaves out GPU-assisted
# validation, for which LLVM compiles many times as long.
#
# Prints a line a driver; the pipelines' tables go to build/release/pipelines. Leaves "PASSED FAILED"
# over all in build/release/driver-counts.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/release
programs=(gpu ops model check)
families=(polaris10 vega10 navi10 navi21 navi31 gfx1150 gfx1200)
declare -A roots=()
passed=0 failed=0 quick=0
export TINYSFT_CACHE_DIR=off

# inside ROOT COMMAND...: runs it in that Debian, in this same folder, or here where ROOT is empty. The
# folder above is there too (../shared has reference cases). The mounts are of a namespace of their
# own, so that none outlives it.
inside() {
    local root=$1 above=${PWD%/*}
    shift
    if [[ -z $root ]]; then
        "$@"
        return
    fi
    mkdir -p "$root$above"
    unshare --mount --propagation private bash -c '
        for part in /dev /proc /sys "$1"; do mount --rbind "$part" "$0$part"; done
        exec chroot "$0" sh -c '\''cd "$1" && shift && exec "$@"'\'' sh "$PWD" "${@:2}"' \
        "$root" "$above" "$@"
}

# The folder that holds SwiftShader's library and its ICD file; downloaded once.
swiftshader() {
    local unpacked=$PWD/build/swiftshader
    if [[ ! -e $unpacked/usr/lib/chromium/vk_swiftshader_icd.json ]]; then
        mkdir -p "$unpacked"
        (cd "$unpacked" && apt-get download -q chromium-common >/dev/null 2>&1 &&
            dpkg-deb --extract chromium-common_*.deb . && rm chromium-common_*.deb) || return 1
    fi
    echo "$unpacked/usr/lib/chromium/vk_swiftshader_icd.json"
}

# count NAME GOOD BAD WHAT: a driver's line.
count() {
    echo "$1: $2 $4 passed, $3 failed"
    passed=$((passed + $2)) failed=$((failed + $3))
}

# run_programs NAME ROOT ICD VALIDATE PROGRAM...: the tests, each program as far as it comes; VALIDATE
# as TINYSFT_VALIDATE: with 1 or gpu a test fails where the validation layer says anything.
run_programs() {
    local name=$1 root=$2 icd=$3 validate=$4 good=0 bad=0 tested passing output program
    shift 4
    for program in "$@"; do
        output=$(inside "$root" env VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd" \
            TINYSFT_VALIDATE="$validate" "$folder/tests/test_$program" --jobs 2 --ascii 2>&1) || true
        tested=$(sed -n 's/.*Tested: \([0-9]*\).*/\1/p' <<<"$output" | tail -n 1)
        passing=$(sed -n 's/.*Passing: \([0-9]*\).*/\1/p' <<<"$output" | tail -n 1)
        if [[ -z $tested || $tested == 0 ]]; then
            bad=$((bad + 1)) # it crashed before it could count
            tail -n 3 <<<"$output"
        else
            good=$((good + passing)) bad=$((bad + tested - passing))
        fi
        if [[ $tested != "$passing" ]]; then
            grep -E '^\[(FAIL|----)' <<<"$output" | head -n 20 || true
        fi
    done
    count "$name" "$good" "$bad" tests
}

# run_validated NAME ROOT ICD PROGRAM...: the same under the validation layer of ROOT or, where that is
# empty, of this system: every call and hazard, then, in a second run, GPU-assisted checks of what
# shaders access, by layers whose code for that LLVM compiles in time (1.4.363; with 1.4.309 it takes
# minutes a shader, and before 1.3.275 they do not look at buffers bound one by one).
# Returns 1 where there is no layer.
run_validated() {
    local name=$1 root=$2 icd=$3 manifest version
    shift 3
    manifest=$(find "$root/usr/share/vulkan/explicit_layer.d" -name '*hronos_validation*' 2>/dev/null |
        head -n 1)
    if [[ -z $manifest ]]; then
        echo "$name, validated: skipped, there is no validation layer"
        return 1
    fi
    version=$(sed -n 's/.*"api_version": "\([0-9.]*\)".*/\1/p' "$manifest" | head -n 1)
    run_programs "$name, validation layer $version" "$root" "$icd" 1 "$@"
    [[ -n $root ]] || return 0 # nobody has tried the rest with SwiftShader
    if ((quick)); then
        echo "$name, GPU-assisted: left out"
    elif [[ $(printf '%s\n' 1.4.363 "$version" | sort -V | head -n 1) == 1.4.363 ]]; then
        run_programs "$name, GPU-assisted" "$root" "$icd" gpu "$@"
    else
        echo "$name, GPU-assisted: skipped, layer $version is too old for it"
    fi
}

# Every pipeline of every AMD family that this RADV knows. A family fails where one cannot be built or
# keeps registers in memory; of the others the one with the least occupancy is named.
run_radv() {
    local name=$1 root=$2 icd=$3 family table spilling
    mkdir -p "$folder/pipelines"
    for family in "${families[@]}"; do
        table=$folder/pipelines/${name//\//-}-$family.txt
        if ! inside "$root" env VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd" \
            RADV_FORCE_FAMILY="$family" "$folder/tinysft-vk" devices --pipelines >"$table" 2>&1; then
            if grep -q 'RADV_FORCE_FAMILY.*removed' "$table"; then
                echo "$name: skipped, this Mesa has no null hardware any more"
                return
            elif grep -q 'Unknown family' "$table"; then
                echo "$name $family: skipped, this Mesa does not know it"
            else
                tail -n 3 "$table"
                count "$name $family" 0 1 families
            fi
            continue
        fi
        spilling=$(awk '/pipelines built, / { print $4 }' "$table")
        awk -v name="$name $family" '
            /pipelines built/ { print name ": " $0 "; fewest waves: " least " (" which ")" }
            $7 ~ /^[0-9]+$/ && $1 ~ /^[0-9]+$/ && (least == "" || $7 + 0 < least) {
                least = $7 + 0
                which = $10 " with " $1 " VGPRs and " $5 " bytes shared"
            }' "$table"
        if [[ $spilling == 0 ]]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    done
}

# The file that names the driver LIBRARY (lvp, radeon) in ROOT, as seen inside it; nothing: none.
icd_of() {
    local root=$1 found
    found=$(find "$root/usr/share/vulkan/icd.d" -name "$2_icd*.json" 2>/dev/null | head -n 1)
    echo "${found#"$root"}"
}

run_driver() {
    local driver=$1 root='' kind=${1##*/} icd
    if [[ $driver == */* ]]; then
        root=${roots[${driver%%/*}]:-}
        if [[ -z $root || ! -d $root/usr ]]; then
            echo "$driver: skipped, there is no root ${driver%%/*} (--root ${driver%%/*}=FOLDER)"
            return
        elif ((EUID != 0)); then
            echo "$driver: skipped, only root may enter $root"
            return
        elif ! inside "$root" true; then
            echo "$driver: skipped, $root cannot be entered here (by unshare, mount and chroot)"
            return
        fi
    fi
    case $kind in
    swiftshader) icd=$(swiftshader) || icd= ;;
    llvmpipe) icd=$(icd_of "$root" lvp) ;;
    radv) icd=$(icd_of "$root" radeon) ;;
    *)
        echo "test_drivers: no driver is named '$driver' (llvmpipe, swiftshader, radv, ROOT/...)" >&2
        exit 2
        ;;
    esac
    if [[ -z $icd ]]; then
        echo "$driver: skipped, it is not installed and cannot be downloaded"
    elif [[ $kind == radv ]]; then
        run_radv "$driver" "$root" "$icd"
    elif [[ -n $root ]]; then
        run_validated "$driver" "$root" "$icd" "${programs[@]}" ||
            run_programs "$driver" "$root" "$icd" 0 "${programs[@]}"
    else
        run_programs "$driver" "" "$icd" 0 "${programs[@]}"
        if [[ $kind == swiftshader ]]; then # all takes minutes; llvmpipe has a preset of its own
            run_validated "$driver" "" "$icd" gpu ops || true
        fi
    fi
}

drivers=()
read -r -a given <<<"${TINYSFT_ROOTS:-}"
while (($# > 0)); do
    case $1 in
    --make-root)
        (($# == 3)) || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
        exec tools/make_root.sh "$2" "$3" mesa-vulkan-drivers vulkan-validationlayers libvulkan1 \
            libcriterion-dev libcjson1 libmd0 libcurl4
        ;;
    --quick) quick=1 ;;
    --root)
        given+=("${2:?--root NAME=FOLDER}")
        shift
        ;;
    *) drivers+=("$1") ;;
    esac
    shift
done
for pair in "${given[@]}"; do
    roots[${pair%%=*}]=${pair#*=}
done
if ((${#drivers[@]} == 0)); then
    drivers=(llvmpipe swiftshader radv)
    for name in "${!roots[@]}"; do
        drivers+=("$name/llvmpipe" "$name/radv")
    done
fi

tools/install_packages.sh
cmake --preset release >/dev/null
cmake --build --preset release -- --quiet
for driver in "${drivers[@]}"; do
    run_driver "$driver"
done
echo "$passed $failed" >"$folder/driver-counts"
((failed == 0))
