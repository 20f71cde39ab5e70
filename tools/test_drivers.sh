#!/usr/bin/env bash
# Runs the tests that use the device on every Vulkan driver that works without its hardware, and has
# the compilers of AMD, Intel, NVIDIA and Qualcomm build every pipeline for cards that are not here:
#     tools/test_drivers.sh [--quick] [--root NAME=FOLDER]... [DRIVER]...
#     tools/test_drivers.sh --make-root SUITE FOLDER
# DRIVER is llvmpipe, swiftshader, radv, anv, nvk or turnip (anv:skl,dg2 means these cards only), or
# NAME/llvmpipe and so on for the driver in a root. Without any, all are run. A root is another
# Debian in a folder, with its own drivers (trixie has Mesa 25, testing has Mesa 26 with cooperative
# matrices); the programs built here run inside. Roots may also be given as
# TINYSFT_ROOTS="NAME=FOLDER ..."; --make-root makes one (tools/make_root.sh, 0.6 GB). Roots need
# root's rights. Drivers that are missing are skipped with a message.
#
# The tests run under a current validation layer of Khronos, whatever the Debian: it comes with the
# package of Chromium, as does its loader. Each driver has two runs: one validates every call and
# hazard, one has GPU-assisted checks of what shaders access. If the package cannot be downloaded,
# there is one run without it. With --quick there is one run, which validates kernels but not whole
# passes, with each kernel in a third of its shapes and without `bench`, which only times what others
# test. SwiftShader then has only few tests, because its compiler is slow.
#
# A card fails if a pipeline cannot be built, or if a shader has become worse than in
# tests/README.md (tools/pipeline_table.sh): it spills and did not before, or a figure grew by more
# than a tenth, or its code is larger than 64 KB.
#
# Prints a line for each driver. The pipelines' tables go to build/release/pipelines. Writes "PASSED
# FAILED" over all to build/release/driver-counts.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/device_tests.sh

folder=build/release
declare -A roots=()
passed=0 failed=0 quick=0
export TINYSFT_CACHE_DIR=off

# The folder with what comes with Debian's Chromium, downloaded once: SwiftShader and its ICD file;
# Khronos' loader and, in layers/, validation layer, which need only libc. The package has no
# manifest for the layer, so one is written; the loader requires a version in it.
chromium() {
    local folder=$PWD/build/chromium part=$PWD/build/chromium.part from=./usr/lib/chromium
    if [[ ! -e $folder ]]; then
        rm -rf "$part"
        mkdir -p "$part/layers"
        (
            cd "$part"
            apt-get download -q chromium-common >/dev/null 2>&1 &&
                dpkg-deb --fsys-tarfile chromium-common_*.deb | tar --extract --strip-components=4 \
                    "$from"/{vk_swiftshader_icd.json,libvk_swiftshader.so} \
                    "$from"/{libvulkan.so.1,libVkLayer_khronos_validation.so} &&
                rm chromium-common_*.deb
        ) || return 1
        cat >"$part/layers/validation.json" <<'JSON'
{"file_format_version": "1.2.0",
 "layer": {"name": "VK_LAYER_KHRONOS_validation", "type": "GLOBAL", "description": "Chromium's",
           "library_path": "../libVkLayer_khronos_validation.so",
           "api_version": "1.4.0", "implementation_version": "1",
           "instance_extensions": [{"name": "VK_EXT_debug_utils", "spec_version": "1"},
                                   {"name": "VK_EXT_layer_settings", "spec_version": "2"}]}}
JSON
        mv "$part" "$folder"
    fi
    echo "$folder"
}

# count NAME GOOD BAD WHAT: prints a driver's line and adds to the totals.
count() {
    echo "$1: $2 $4 passed, $3 failed"
    passed=$((passed + $2)) failed=$((failed + $3))
}

# run_tests NAME ROOT ICD VALIDATE TESTS...: VALIDATE is the value of TINYSFT_VALIDATE. With 1 or
# gpu a test fails if the validation layer reports anything.
run_tests() {
    local name=$1 root=$2 icd=$3 validate=$4 good=0 bad=0 started=$SECONDS newest tests
    local environment=("VK_DRIVER_FILES=$icd" "VK_ICD_FILENAMES=$icd" "TINYSFT_VALIDATE=$validate")
    if [[ $validate != 0 ]]; then
        newest=$(chromium)
        environment+=("LD_LIBRARY_PATH=$newest" "VK_LAYER_PATH=$newest/layers")
    fi
    for tests in "${@:5}"; do
        tally "$tests" inside "$root" env "${environment[@]}"
    done
    count "$name, $((SECONDS - started)) s" "$good" "$bad" tests
}

# run_assisted NAME ROOT ICD: GPU-assisted validation. It adds code to every access. For one shader
# older compilers then need minutes, and gigabytes for the long unrolled ones for CPU drivers (which
# need subgroup operations). With those compilers each kernel runs in a few shapes, in its other
# shader.
run_assisted() {
    local name=$1 root=$2 icd=$3 version
    version=$(inside "$root" env VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd" \
        "$folder/tinysft-vk" devices | sed -n 's/.*llvmpipe Mesa \([0-9]*\).*/\1/p') || true
    if ((${version:-0} >= 26)); then
        run_tests "$name, GPU-assisted validation" "$root" "$icd" gpu "${all_tests[@]}"
    else
        TINYSFT_MASK_CAPABILITIES=subgroup-operations TINYSFT_SHAPES=6 \
            run_tests "$name, GPU-assisted validation" "$root" "$icd" gpu gpu \
            'ops:kernels/against_mirror'
    fi
}

# run_compiler NAME ROOT ICD KIND CARDS: builds every pipeline for each of these cards.
run_compiler() {
    local name=$1 root=$2 icd=$3 kind=$4 cards card table worse
    read -ra cards <<<"$5"
    table_of() { echo "$folder/pipelines/${name//\//-}-$1.txt"; }
    build_for() {
        local beneath
        mapfile -t beneath < <(pretend "$kind" "$1" "$root")
        inside "$root" env VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd" "${beneath[@]}" \
            "$folder/tinysft-vk" devices --pipelines >"$(table_of "$1")" 2>&1 || touch "$(table_of "$1").failed"
    }
    mkdir -p "$folder/pipelines"
    rm -f "$folder"/pipelines/*.failed
    two_at_a_time build_for "${cards[@]}"
    for card in "${cards[@]}"; do
        table=$(table_of "$card")
        if [[ -e $table.failed ]]; then
            if grep -q 'Unknown family' "$table"; then
                echo "$name $card: skipped, this Mesa does not know it"
            else
                tail -n 3 "$table"
                count "$name $card" 0 1 cards
            fi
            continue
        fi
        worse=$(awk -f tools/pipelines.awk -v kind="$kind" -v card="$card" tests/README.md "$table")
        echo "$name $card: $(grep 'pipelines built' "$table")"
        if [[ -z $worse ]]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "$name $card is worse than tests/README.md has it:"$'\n'"$worse"
        fi
    done
}

# run_as_t4 NAME ROOT ICD: golden cases as a card with matrix units runs them.
run_as_t4() {
    local name=$1 root=$2 icd=$3 good=0 bad=0 started=$SECONDS
    local environment=("VK_DRIVER_FILES=$icd" "VK_ICD_FILENAMES=$icd")
    if inside "$root" env "${environment[@]}" "$folder/tinysft-vk" devices | grep -q ' has .*f16-matrices'; then
        in_f16 t4,cpu-driver all inside "$root" env "${environment[@]}"
        count "$name as a T4, in f16, $((SECONDS - started)) s" "$good" "$bad" 'golden cases'
    fi
}

run_driver() {
    local driver=${1%%:*} root='' icd kind wanted
    kind=${driver##*/}
    wanted=${cards[$kind]:-}
    [[ $1 != *:* ]] || wanted=${1#*:}
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
    swiftshader) icd=$(chromium) && icd+=/vk_swiftshader_icd.json || icd= ;;
    llvmpipe | radv | anv | nvk | turnip) icd=$(icd_of "$root" "$kind") ;;
    *)
        echo "test_drivers: no driver is named '$driver' (llvmpipe, swiftshader, radv, anv, nvk, turnip," \
            "ROOT/...)" >&2
        exit 2
        ;;
    esac
    if [[ -z $icd ]]; then
        echo "$driver: skipped, it is not installed and cannot be downloaded"
    elif [[ -n ${cards[$kind]:-} ]]; then
        run_compiler "$driver" "$root" "$icd" "$kind" "${wanted//,/ }"
    elif ! chromium >/dev/null; then
        run_tests "$driver, without validation, whose layer cannot be downloaded" "$root" "$icd" 0 \
            "${all_tests[@]}"
    elif ((quick)) && [[ $kind == swiftshader ]]; then # its compiler takes minutes for the whole suite
        run_tests "$driver, calls and hazards validated" "$root" "$icd" 1 "${few_tests[@]}"
    elif ((quick)); then # whole passes are validated on Debian's own llvmpipe (test.sh validation)
        run_tests "$driver, calls and hazards validated" "$root" "$icd" 1 "${all_tests[@]:0:2}"
        run_tests "$driver" "$root" "$icd" 0 "${all_tests[@]:2}"
    else
        run_tests "$driver, calls and hazards validated" "$root" "$icd" 1 "${all_tests[@]}"
        run_assisted "$driver" "$root" "$icd"
    fi
    if [[ $kind == llvmpipe && -n $icd ]]; then
        run_as_t4 "$driver" "$root" "$icd"
    fi
}

drivers=()
read -r -a given <<<"${TINYSFT_ROOTS:-}"
while (($# > 0)); do
    case $1 in
    --make-root)
        (($# == 3)) || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
        exec tools/make_root.sh "$2" "$3" mesa-vulkan-drivers libvulkan1 \
            libcriterion-dev libcjson1 libmd0 libcurl4
        ;;
    --quick)
        quick=1 all_tests=("${untimed_tests[@]}")
        export TINYSFT_SHAPES=9 # each type of weight once
        ;;
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
    drivers=(llvmpipe swiftshader radv anv:skl,tgl,adl,dg2)
    for name in "${!roots[@]}"; do
        drivers+=("$name"/{llvmpipe,radv,anv,nvk,turnip})
    done
fi

tools/install_packages.sh
cmake --preset release >/dev/null
cmake --build --preset release
for driver in "${drivers[@]}"; do
    run_driver "$driver"
done
echo "$passed $failed" >"$folder/driver-counts"
((failed == 0))
