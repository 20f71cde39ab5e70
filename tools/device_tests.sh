# Sourced by tools/test_drivers.sh, test_masks.sh, pipeline_table.sh and estimate_step.sh. It has the
# tests that use the device, as PROGRAM or PROGRAM:PATTERN (of shopt -s extglob), how they are run and
# counted, the cards whose compilers are tested, and how a driver in another Debian is run.

all_tests=(gpu ops model check)
untimed_tests=(gpu ops model 'check:!(bench*)/*')
few_tests=( # they cover each kernel, transfer and pass, and a golden case
    'gpu:!(cache|validation)/*'
    'ops:@(kernels|rounded|partials)/*'
    'model:@(llama/device*|passes/three*|precision/*|decode/@(equals_full_passes|fits*))'
    'check:own_cases/tiny_tied'
)

# The drivers that can compile for cards that this machine does not have: AMD, Intel, NVIDIA,
# Qualcomm.
compilers=(radv anv nvk turnip)
declare -A cards=(
    [radv]='polaris10 vega10 navi10 navi21 navi31 gfx1150 gfx1200'
    [anv]='skl tgl adl dg2 mtl lnl bmg'
    [nvk]='turing ampere ada'
    [turnip]='a660 a740'
)

# tally TESTS COMMAND...: runs TESTS of the build in $folder with COMMAND as a prefix, adds to the
# caller's variables good and bad, and prints what failed.
tally() {
    local tests=$1 pattern='*' output tested passing
    shift
    [[ $tests != *:* ]] || pattern=${tests#*:}
    output=$("$@" "$folder/tests/test_${tests%%:*}" --filter "$pattern" --jobs 2 --ascii 2>&1) || true
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
}

# two_at_a_time FUNCTION ARGUMENT...: calls FUNCTION with each argument in a process of its own, two of them
# beside each other: a compiler uses one core.
two_at_a_time() {
    local function=$1 argument
    shift
    for argument in "$@"; do
        while (($(jobs -pr | wc -l) >= 2)); do
            wait -n || true
        done
        "$function" "$argument" &
    done
    wait
}

few_golden=(tiny_tied tiny_wide_heads tiny_gemma3 tiny_llama3 tiny_long)

# in_f16 MASK CASES COMMAND...: verifies golden cases in f16, all or `few`, with MASK hidden; COMMAND is a
# prefix. With t4,cpu-driver hidden a CPU driver takes the shaders and tiles of a Tesla T4; one without matrix
# units takes RDNA 2's then, but for the instruction (gemm_half, attention_half). Adds to the caller's variables
# good and bad, and prints what failed.
in_f16() {
    local mask=$1 names=("${few_golden[@]}") golden out
    if [[ $2 == all ]]; then
        names=(tests/golden/*/golden.safetensors)
        names=("${names[@]%/golden.safetensors}")
        names=("${names[@]##*/}")
    fi
    shift 2
    local command=("$@")
    out=$(mktemp -d)
    verify_golden() {
        if "${command[@]}" "$folder/tinysft-vk" verify "tests/golden/$1" --precision f16 \
            --mask-capability "$mask" --device 0 >"$out/$1" 2>&1; then
            touch "$out/$1.held"
        fi
    }
    two_at_a_time verify_golden "${names[@]}"
    for golden in "${names[@]}"; do
        if [[ -e $out/$golden.held ]] && grep -q 'products.* in f16' "$out/$golden"; then
            good=$((good + 1))
        else
            bad=$((bad + 1))
            cat "$out/$golden"
        fi
    done
    rm -r "$out"
}

declare -A libraries=([llvmpipe]=lvp [radv]=radeon [anv]=intel [nvk]=nouveau [turnip]=freedreno)

# pretend KIND CARD ROOT: the environment, a line a variable, in which that driver in ROOT finds that
# card. RADV until Mesa 25 can itself pretend to have one, all others find it through tests/null_gpu.
pretend() {
    if [[ $1 == radv ]] &&
        ! grep -qs 'FORCE_FAMILY=<family> has been removed' "$3"/usr/lib/*/libvulkan_radeon.so; then
        echo "RADV_FORCE_FAMILY=$2"
    else
        echo "NULL_GPU=$2"
        echo "LD_PRELOAD=$PWD/$folder/tests/libnull_gpu.so"
    fi
}

# inside ROOT COMMAND...: runs it in that Debian, in this same folder, or here if ROOT is empty. The
# parent folder is mounted too (../shared has reference cases). The mounts are in a namespace of
# their own, so that none is left behind.
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

# icd_of ROOT KIND: the file that names that driver in ROOT, as seen inside it; empty if there is
# none.
icd_of() {
    local root=$1 found
    found=$(find "$root/usr/share/vulkan/icd.d" -name "${libraries[$2]}_icd*.json" 2>/dev/null | head -n 1)
    echo "${found#"$root"}"
}
