#!/usr/bin/env bash
# Runs the tests that use the device with each of its optional features hidden in turn, then with
# all of them hidden at once:
#     tools/test_masks.sh [--quick] [BUILD_FOLDER [MASK ...]]
# The defaults are build/release and every mask of a feature that the device has. With --quick only
# kernels, in a third of their shapes, transfers, passes and golden cases run under each mask; the other tests
# cost as much and show no more. Masks that do not change how kernels run are then hidden together.
# Prints a line for each mask. Writes "PASSED FAILED" over all to
# BUILD_FOLDER/mask-counts.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/device_tests.sh

quick=0 selected=("${all_tests[@]}") folder=build/release
if [[ ${1:-} == --quick ]]; then
    quick=1 selected=("${few_tests[@]}")
    export TINYSFT_SHAPES=9 # each type of weight once
    shift
fi
if (($# > 0)); then
    folder=$1
    shift
fi

# The features that `devices` lists for the first device. The last one, t4, combines several others.
masks_that_bite() {
    "$folder/tinysft-vk" devices | sed -n 's/^ *has //p' | head -n 1 | tr -d ','
}

# Those of the masks A,B,... that do not change how kernels run.
memory_and_time() {
    tr , '\n' <<<"$1" | grep -Ex 'timestamps|unified-memory|memory-budget|cached-memory' | paste -sd, || true
}

passed=0 failed=0
run_under() {
    local mask=$1 good=0 bad=0 tests
    for tests in "${selected[@]}"; do
        if [[ $tests == ops:* && $mask == "$(memory_and_time "$mask")" ]]; then
            continue # of --quick
        fi
        tally "$tests" env TINYSFT_MASK_CAPABILITIES="$mask"
    done
    echo "without $mask: $good tests passed, $bad failed"
    passed=$((passed + good)) failed=$((failed + bad))
}

good=0 bad=0 how='pair by pair' cases=all
[[ " $(masks_that_bite) " != *" f16-matrices "* ]] || how='as a T4'
((quick == 0)) || cases=few
in_f16 t4,cpu-driver "$cases" env
echo "$how, in f16: $good golden cases hold, $bad do not"
passed=$((passed + good)) failed=$((failed + bad))
if (($# == 0)); then
    read -ra bite <<<"$(masks_that_bite)"
    all=$(IFS=,; echo "${bite[*]}")
    together=$(memory_and_time "$all")
    if ((quick)) && [[ -n $together ]]; then
        mapfile -t bite < <(printf '%s\n' "${bite[@]}" | grep -vxF "${together//,/$'\n'}")
        bite+=("$together")
    fi
    set -- "${bite[@]}" "$all"
fi
for mask in "$@"; do
    run_under "$mask"
done
echo "$passed $failed" >"$folder/mask-counts"
((failed == 0))
