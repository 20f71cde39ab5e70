#!/usr/bin/env bash
# Compares the speed of tinysft-vk with other programs, on TinyLlama's shape and on the same
# machine, device and driver: llama.cpp's Vulkan backend (forward, decoding) with and without
# cooperative matrices, and PyTorch + PEFT's LoRA step where PEFT is installed. Random weights: no
# downloads.
#
#     tools/bench_peers.sh [PART ...]     the named parts in that order; without any, empties
#                                         $RESULTS and runs plain matrix ours theirs decode ours
#                                         theirs decode peft report
#
#   plain, matrix  llama.cpp's forward of the first length without and with cooperative matrices; the
#           faster of the two is what `theirs` and `decode` run
#   ours    forward and a LoRA training step at 128 and 512 tokens
#   theirs  llama.cpp's forward at the same lengths
#   decode  greedy decoding of 1 and of 32 sequences, ours and theirs
#   peft    PyTorch + PEFT's LoRA step at the same lengths
#   report  a Markdown table of the best of everything in $RESULTS; exit code 1 where a ratio is
#           missed
#
# The programs take turns, so that noise on the machine affects both. If the machine is needed in
# between, the parts can be run one by one. Variables, with their defaults:
#   TINYSFT              the program [built in build/peers]
#   LLAMA_BENCH, LLAMA_BATCHED_BENCH   [llama-bench, llama-batched-bench of PATH]
#   PYTHON               with gguf and numpy; for PEFT with torch, transformers and peft [python3]
#   DEVICE               number of the Vulkan device, as `tinysft-vk devices` counts [0]
#   TOKENS               lengths [128,512]
#   REPEAT               timings a part; one is enough only for slow devices [1]
#   RESULTS              folder of the single results [build/peers/results]
#   GGUF                 model for llama.cpp, made if it is not there (2.2 GB) [a temporary file]
set -euo pipefail
cd "$(dirname "$0")/.."

llama_bench=${LLAMA_BENCH:-llama-bench}
llama_batched=${LLAMA_BATCHED_BENCH:-llama-batched-bench}
python=${PYTHON:-python3}
device=${DEVICE:-0} tokens=${TOKENS:-128,512} repeat=${REPEAT:-1}
results=${RESULTS:-build/peers/results}
gguf=${GGUF:-}
program=${TINYSFT:-build/peers/tinysft-vk}

build() {
    [[ -z ${TINYSFT:-} ]] || return 0
    cmake -S . -B build/peers -DCMAKE_BUILD_TYPE=Release -DTINYSFT_TESTS=OFF >/dev/null
    cmake --build build/peers --parallel >/dev/null
}

# A name in $results that no earlier run of a part has taken: NAME-1.json, NAME-2.json, ...
fresh() {
    local number=1
    while [[ -e $results/$1-$number.json ]]; do number=$((number + 1)); done
    echo "$results/$1-$number.json"
}

need_gguf() {
    if [[ -z $gguf ]]; then
        scratch=$(mktemp -d)
        trap 'rm -r "$scratch"' EXIT
        gguf=$scratch/tinyllama.gguf
    fi
    [[ -e $gguf ]] || "$python" tools/peers/make_gguf.py "$gguf" >/dev/null
}

# Runs a program of llama.cpp's on the device, in a mode: "matrix" or "plain".
llama() {
    local mode=$1
    shift
    if [[ $mode == plain ]]; then
        set -- env GGML_VK_DISABLE_COOPMAT=1 GGML_VK_DISABLE_COOPMAT2=1 "$@"
    fi
    # Named, because ggml leaves drivers for CPUs out unless they are asked for.
    GGML_VK_VISIBLE_DEVICES=$device "$@" 2>"$results/llama.log" || {
        tail -n 20 "$results/llama.log" >&2
        return 1
    }
}

forward_of_llama() { # MODE LENGTHS REPETITIONS
    local out
    need_gguf
    out=$(fresh "llama-$1")
    echo "llama.cpp, $1: forward of $2 tokens" >&2
    llama "$1" "$llama_bench" -m "$gguf" -ngl 99 -p "$2" -n 0 -r "$3" --no-warmup -o json \
        >"$out.part"
    mv "$out.part" "$out"
}

faster_mode() {
    "$python" tools/peers/report.py --faster "$results"
}

measure_ours() {
    local out
    out=$(fresh ours)
    echo "tinysft-vk: forward and step of $tokens tokens" >&2
    "$program" bench --only passes --tokens "$tokens" --rounds "$repeat" --device "$device" \
        --json >"$out.part" 2>/dev/null
    mv "$out.part" "$out"
}

measure_decoding() {
    local mode out new_tokens=8
    mode=$(faster_mode)
    need_gguf
    out=$(fresh decode)
    echo "tinysft-vk: decoding 1 and 32 sequences" >&2
    "$program" bench --only decode --sequences 1,32 --prompt 16 --new-tokens $new_tokens \
        --rounds "$repeat" --device "$device" --json >"$out.part" 2>/dev/null
    mv "$out.part" "$out"
    out=$(fresh "batched-$mode")
    echo "llama.cpp, $mode: decoding 1 and 32 sequences" >&2
    llama "$mode" "$llama_batched" -m "$gguf" -ngl 99 -c 1024 -npp 16 -pps -ntg $new_tokens \
        -npl 1,32 --output-format jsonl | grep '^{' >"$out.part"
    mv "$out.part" "$out"
}

measure_peft() {
    local out code=0
    out=$(fresh peft)
    echo "PyTorch + PEFT: a LoRA step of $tokens tokens" >&2
    "$python" tools/peers/peft_step.py --tokens "$tokens" --repeat "$repeat" >"$out.part" ||
        code=$?
    if ((code == 3)); then
        rm "$out.part" # it has printed why
    elif ((code != 0)); then
        return $code
    else
        mv "$out.part" "$out"
    fi
}

if (($# == 0)); then
    rm -rf "$results"
    set -- plain matrix ours theirs decode ours theirs decode peft report
fi
mkdir -p "$results"
for part in "$@"; do
    case $part in
    # One more than asked for, because the driver compiles in the first. llama.cpp's own warm-up
    # would take as long.
    plain | matrix) forward_of_llama "$part" "${tokens%%,*}" $((repeat + 1)) ;;
    ours) build && measure_ours ;;
    theirs)
        mode=$(faster_mode)
        forward_of_llama "$mode" "$tokens" "$repeat"
        ;;
    decode) build && measure_decoding ;;
    peft) measure_peft ;;
    report) "$python" tools/peers/report.py "$results" ;;
    *)
        echo "bench_peers: no part is named '$part' (see the head of this script)" >&2
        exit 2
        ;;
    esac
done
