#!/usr/bin/env bash
# Checks on a machine with a GPU what this program promises for GPUs, and writes a Markdown report:
#
#     tools/gpu_check.sh [--rehearse] [REPORT]      gpu_check.md unless named
#     tools/gpu_check.sh --pack FILE.tar.gz         packs what the above needs on another machine
#
# It runs golden cases in f32, f16 and bf16. It measures the device's peaks, and which part of them
# each kernel and whole steps of TinyLlama's shape reach. It compares with PyTorch + PEFT and
# llama.cpp where they are installed. It needs a built program and a Vulkan driver, but no compiler,
# header or download. Each check says PASS, FAIL or SKIPPED and why; exit code 1 if one failed. With
# --rehearse (or where there is no GPU) only what a CPU can reach too is judged, and everything is
# small: a model of assets/, short sequences.
#
# Variables, with their defaults:
#   TINYSFT   the program [of this folder's build or package, else of PATH]
#   CASES     folders of reference cases [tests/golden, ../shared/golden]
#   DEVICE    number of the Vulkan device, as `tinysft-vk devices` counts [the best]
#   PYTHON    with torch, transformers and peft [python3]
set -uo pipefail
here=$PWD
cd "$(dirname "$0")/.." || exit

absolute() { if [[ $1 == /* ]]; then echo "$1"; else echo "$here/$1"; fi; }

rehearse=false report=gpu_check.md pack=
while (($# > 0)); do
    case $1 in
    --rehearse) rehearse=true ;;
    --pack)
        pack=${2:?--pack FILE.tar.gz}
        shift
        ;;
    -*)
        echo "gpu_check: unknown flag $1 (--rehearse, --pack)" >&2
        exit 2
        ;;
    *) report=$1 ;;
    esac
    shift
done

report=$(absolute "$report")
[[ -z $pack ]] || pack=$(absolute "$pack")
program=${TINYSFT:+$(absolute "$TINYSFT")}
for candidate in build/release/tinysft-vk build/peers/tinysft-vk bin/tinysft-vk; do
    [[ -n $program || ! -x $candidate ]] || program=$PWD/$candidate
done
program=${program:-$(command -v tinysft-vk)} || {
    echo "gpu_check: no tinysft-vk here: build it, or name it in TINYSFT" >&2
    exit 2
}
[[ ! -d lib ]] || export LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
python=${PYTHON:-python3}
device=() number=${DEVICE:-}
[[ -z $number ]] || device=(--device "$number")

scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

cases() {
    local folder
    for folder in ${CASES:-tests/golden ../shared/golden}; do
        find "$folder" -name case.json -printf '%h\n' 2>/dev/null
    done | sort
}

# Packs the program, the libraries that a bare system lacks, the cases and the scripts.
make_pack() {
    local top=$scratch/tinysft-vk-gpu-check folder library
    mkdir -p "$top"/{bin,lib,tools,tests/golden}
    cp "$program" "$top/bin/tinysft-vk"
    while read -r library; do
        case ${library##*/} in
        libc.so* | libm.so* | libdl.so* | libpthread.so* | libresolv.so* | librt.so*) ;;
        *) cp -L "$library" "$top/lib/" ;;
        esac
    done < <(ldd "$program" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p')
    while read -r folder; do
        cp -r "$folder" "$top/tests/golden/"
    done < <(cases)
    cp -r tools/gpu_check.sh tools/bench_peers.sh tools/peers "$top/tools/"
    cp -r assets data "$top/"
    tar -C "$scratch" -czf "$pack" tinysft-vk-gpu-check
    echo "packed: $pack; unpack it there, then run tinysft-vk-gpu-check/tools/gpu_check.sh"
}

if [[ -n $pack ]]; then
    make_pack
    exit
fi

# ---- The report

failed=0
: >"$scratch/body"
check() { # PASS|FAIL|SKIPPED WHAT WHY
    echo "$1: $2 ($3)"
    echo "| $1 | $2 | $3 |" >>"$scratch/checks"
    [[ $1 != FAIL ]] || failed=$((failed + 1))
}
section() { printf '\n## %s\n\n' "$1" >>"$scratch/body"; }
verbatim() { printf "\`\`\`\n%s\n\`\`\`\n" "$(cat "$1")" >>"$scratch/body"; }

# PASS if VALUE is at least LEAST, else FAIL; SKIPPED on a CPU.
judge() { # WHAT VALUE LEAST UNIT
    if ! $on_gpu; then
        check SKIPPED "$1" "no GPU: $2 $4 here, asked of GPUs is $3"
    elif awk "BEGIN { exit !($2 >= $3) }"; then
        check PASS "$1" "$2 $4, asked is $3"
    else
        check FAIL "$1" "$2 $4, asked is $3"
    fi
}

# A number from the output of `bench --json`: KEY of the whole, or KEY of the row named ROW.
number_of() { # FILE KEY [ROW]
    awk -v key="\"$2\":" -v row="${3:-}" '
        BEGIN { inside = row == "" }
        $1 == "\"name\":" { name = $0; sub(/^[^:]*:[ \t]*"/, "", name); sub(/",?$/, "", name)
                            inside = name == row }
        $1 == key && inside { gsub(/[,"]/, "", $2); print $2; exit }' "$1"
}
tokens_per_second() { # FILE ROW
    local seconds tokens
    seconds=$(number_of "$1" seconds "$2")
    tokens=$(number_of "$1" tokens "$2")
    [[ -z $seconds || $(number_of "$1" left_out "$2") == true ]] ||
        awk "BEGIN { printf \"%.2f\", $tokens / $seconds }"
}
ratio() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }

# ---- The checks

check_device() {
    section "Device"
    "$program" devices >"$scratch/devices" 2>&1 || {
        check FAIL "a Vulkan device" "$(tail -n 1 "$scratch/devices")"
        return 1
    }
    verbatim "$scratch/devices"
    local chosen=$number
    [[ $chosen =~ ^[0-9]+$ ]] || chosen=$(sed -n 's/^chosen: \([0-9]*\).*/\1/p' "$scratch/devices")
    on_gpu=true
    if grep -A1 "^$chosen  " "$scratch/devices" | grep -q '^ *CPU,'; then
        on_gpu=false rehearse=true
        check SKIPPED "a GPU" "the device is a CPU driver: a rehearsal"
    elif $rehearse; then
        on_gpu=false
    else
        check PASS "a GPU" "$(sed -n "s/^$chosen  //p" "$scratch/devices")"
    fi
}

check_case() { # FOLDER PRECISION
    local out=$scratch/verify what="golden case ${1##*/} in $2"
    if "$program" verify "$1" --precision "$2" "${device[@]}" >"$out" 2>&1; then
        if [[ $2 != f32 ]] && grep -q '^precision: f32:.*has no shader for products' "$out"; then
            check SKIPPED "$what" "the device has no shader for it"
        elif grep -q '^precision: f32:' "$out"; then
            check FAIL "$what" "$(grep '^precision: f32:' "$out")"
        else
            check PASS "$what" "$(tail -n 1 "$out")"
        fi
    else
        check FAIL "$what" "$(tail -n 1 "$out")"
        verbatim "$out"
    fi
}

check_cases() {
    local folder precision all=()
    section "Golden cases"
    mapfile -t all < <(cases)
    if ((${#all[@]} == 0)); then
        check SKIPPED "golden cases" "none in ${CASES:-tests/golden ../shared/golden}"
    fi
    $rehearse && all=("${all[@]:0:1}")
    for folder in "${all[@]}"; do
        for precision in f32 f16 bf16; do
            check_case "$folder" "$precision"
        done
    done
}

# Runs bench with FLAGS and writes its JSON to FILE.
bench() { # FILE FLAGS...
    local out=$1
    shift
    "$program" bench --json "${device[@]}" "$@" >"$out" 2>"$scratch/log" || {
        check FAIL "bench $*" "$(tail -n 1 "$scratch/log")"
        return 1
    }
}

table_of() { # FILE
    awk -v product="$(peak_of "$1")" '
        function value() { v = $0; sub(/^[^:]*:[ \t]*/, "", v); gsub(/[",]/, "", v); return v }
        BEGIN { print "\n| | ms | GFLOP/s | of peak | GB/s | of floor |\n|---|---|---|---|---|---|" }
        $1 == "\"name\":" { name = $0; sub(/^[^:]*:[ \t]*"/, "", name); sub(/",?$/, "", name) }
        $1 == "\"seconds\":" { seconds = value() }
        $1 == "\"flops\":" { flops = value() }
        $1 == "\"bytes\":" { bytes = value() }
        $1 == "\"floor_seconds\":" {
            printf "| %s | %.3f | %.1f | %.1f %% | %.1f | %.1f %% |\n", name, seconds * 1e3,
                flops / seconds / 1e9, 100 * flops / seconds / product, bytes / seconds / 1e9,
                100 * value() / seconds
        }' "$1" >>"$scratch/body"
}

# The peak for products: that of matrix units or dot products, or of f32 where they are not used.
peak_of() { # FILE
    local matrix
    matrix=$(number_of "$1" product_flops_per_second)
    if [[ $matrix != 0 ]]; then echo "$matrix"; else number_of "$1" flops_per_second; fi
}

check_kernels() {
    section "Peaks and kernels"
    local key
    if $rehearse; then
        bench "$scratch/kernels" --only peaks --rounds 1 || return
        check SKIPPED "every kernel's time" "a rehearsal"
    else
        bench "$scratch/kernels" --only kernels || return
        check PASS "every kernel was timed" "see the table"
    fi
    for key in flops half_flops product_flops bytes copy_bytes fill_bytes; do
        awk "BEGIN { printf \"- $key: %.1f G/s\\n\", $(number_of "$scratch/kernels" \
            ${key}_per_second) / 1e9 }" >>"$scratch/body"
    done
    table_of "$scratch/kernels"
    $rehearse && return
    bench "$scratch/products" --only products || return
    table_of "$scratch/products"
}

check_passes() {
    local lengths=128,512,2048 model=()
    section "Whole passes"
    if $rehearse; then
        lengths=16,32 model=(--model assets/base --rounds 1)
    fi
    bench "$scratch/passes" --only passes --tokens "$lengths" "${model[@]}" || return
    table_of "$scratch/passes"
    local step="training step, ${lengths##*,} tokens" peak pace
    peak=$(peak_of "$scratch/passes")
    pace=$(ratio "$(number_of "$scratch/passes" flops "$step")" \
        "$(number_of "$scratch/passes" seconds "$step")")
    judge "$step: part of the measured peak" "$(ratio "$(ratio "$pace" 0.01)" "$peak")" 45 "%"
}

check_peft() { # BATCH TOKENS LEAST
    local what="PyTorch + PEFT, batch $1 of $2 tokens" code=0 theirs ours row why
    row="training step, $2 tokens"
    (($1 == 1)) || row="training step, $1 x $2 tokens"
    if $rehearse; then
        check SKIPPED "$what" "a rehearsal"
        return
    fi
    "$python" tools/peers/peft_step.py --tokens "$2" --batch "$1" >"$scratch/peft" \
        2>"$scratch/log" || code=$?
    if ((code != 0)); then
        why=$(tail -n 1 "$scratch/log")
        check SKIPPED "$what" "${why:-Python with torch, transformers and peft is not installed}"
        return
    fi
    bench "$scratch/ours" --only passes --batch "$1" --tokens "$2" || return
    theirs=$(sed 's/.*"tokens_per_second": \([0-9.e+]*\).*/\1/' "$scratch/peft")
    ours=$(tokens_per_second "$scratch/ours" "$row")
    {
        printf '\n%s: %s tokens/s; tinysft-vk: %s\n\n' "$what" "$theirs" "$ours"
        sed 's/.*"about": "\([^"]*\)".*/\1/' "$scratch/peft"
    } >>"$scratch/body"
    judge "$what" "$(ratio "$ours" "$theirs")" "$3" "times its tokens/s"
}

check_llama() {
    local what="llama.cpp's Vulkan"
    if $rehearse; then
        check SKIPPED "$what" "a rehearsal"
    elif ! command -v "${LLAMA_BENCH:-llama-bench}" >/dev/null ||
        ! "$python" -c 'import gguf' 2>/dev/null; then
        check SKIPPED "$what" "llama-bench or Python's gguf is not installed"
    else
        TINYSFT=$program REPEAT=3 RESULTS=$scratch/peers DEVICE=${number:-0} PYTHON=$python \
            tools/bench_peers.sh >"$scratch/llama" 2>"$scratch/log"
        cat "$scratch/llama" >>"$scratch/body"
        if [[ -s $scratch/llama ]]; then
            check PASS "$what was measured" "see the table; its ratios are asked of CPU drivers"
        else
            check FAIL "$what" "$(tail -n 1 "$scratch/log")"
        fi
    fi
}

on_gpu=false
if check_device; then
    check_cases
    check_kernels
    check_passes
    section "Others beside it"
    check_peft 1 512 5
    check_peft 8 2048 1
    check_llama
fi
{
    printf '# tinysft-vk on a GPU\n\n%s, %s, by %s\n\n| | check | |\n|---|---|---|\n' \
        "$(date -u +%F)" "$("$program" --version)" tools/gpu_check.sh
    cat "$scratch/checks" "$scratch/body"
} >"$report"
echo "report: $report"
((failed == 0))
