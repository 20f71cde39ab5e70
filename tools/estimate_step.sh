#!/usr/bin/env bash
# Estimates from the compilers' listings what one training step costs on cards that are not here:
#     tools/estimate_step.sh [--sums] [--tokens N] [--precision NAME] [--root NAME=FOLDER]... [DRIVER:CARD,CARD...]...
# DRIVER is as tools/test_drivers.sh takes it, and so are roots. Default: trixie/radv:navi31,
# testing/radv:navi21, radv:polaris10, testing/anv:dg2, anv:tgl, testing/nvk:turing,ada, at 2048 tokens. The step is
# TinyLlama's, one sequence, rank 8 on q and v, every token bearing loss, in the precision that auto is there.
#
# `tinysft-vk devices --step` prints what the pass dispatches, how often each kernel's inner loop runs,
# and the listing. Of the loop the instructions are counted (multiply-adds, matrix operations, loads and
# stores, shared memory, the rest, scalars) whichever branch they are in, of the rest of the program
# once a workgroup. tools/cards.txt has what the card does in a cycle. A kernel takes as long as the
# busiest of a unit's parts (vector, matrix, shared memory, cache), as its longest workgroup, or as its
# tensors need through the card's memory, whichever is most ("bound by"). What it does not know: time
# that a subgroup waits, caches, clocks under load. So compare estimates of one card with each other.
#
# Prints a table by kernel for each card, or with --sums its last line only.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/device_tests.sh

folder=build/release tokens=2048 precision=auto sums=cat
declare -A roots=()
wanted=()
read -r -a given <<<"${TINYSFT_ROOTS:-}"
while (($# > 0)); do
    case $1 in
    --root) given+=("${2:?--root NAME=FOLDER}") && shift ;;
    --tokens) tokens=${2:?--tokens N} && shift ;;
    --precision) precision=${2:?--precision NAME} && shift ;;
    --sums) sums='tail -n 1' ;;
    *:*) wanted+=("$1") ;;
    *) sed -n '2,18s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    esac
    shift
done
for pair in "${given[@]}"; do
    roots[${pair%%=*}]=${pair#*=}
done
((${#wanted[@]} > 0)) ||
    wanted=(trixie/radv:navi31 testing/radv:navi21 radv:polaris10 testing/anv:dg2 anv:tgl testing/nvk:turing,ada)

tables=$folder/step
mkdir -p "$tables"
for one in "${wanted[@]}"; do
    driver=${one%%:*} root=''
    kind=${driver##*/}
    if [[ $driver == */* ]]; then
        root=${roots[${driver%%/*}]:-}
        if [[ -z $root || ! -d $root/usr ]]; then
            echo "$one: skipped, there is no root ${driver%%/*} (--root ${driver%%/*}=FOLDER)"
            continue
        fi
    fi
    icd=$(icd_of "$root" "$kind")
    for card in $(tr , ' ' <<<"${one#*:}"); do
        mapfile -t beneath < <(pretend "$kind" "$card" "$root")
        if ! inside "$root" env TINYSFT_CACHE_DIR=off VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd" \
            "${beneath[@]}" "$folder/tinysft-vk" devices --step "$tokens" --precision "$precision" \
            >"$tables/$card.txt" 2>"$tables/$card.err"; then
            tail -n 3 "$tables/$card.err"
            exit 1
        fi
        awk -v card="$card" -f tools/estimate_step.awk tools/cards.txt "$tables/$card.txt" | $sums
    done
done
