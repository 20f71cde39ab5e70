#!/usr/bin/env bash
# Builds the fuzz targets of tests/fuzz and runs each for SECONDS:
#     tools/fuzz.sh [SECONDS] [TARGET...]
# First it runs every input of tests/fuzz/corpus/TARGET, which holds seeds and inputs that once
# failed. Then it runs mutations of those and of what earlier runs found (build/fuzz/corpus/TARGET).
# An input that breaks a target is left in build/fuzz/found. FUZZ_JOBS targets run at once, as many
# as there are processors unless it is set. FUZZ_SEED=N gives the same mutations each time. Installs
# clang if it is missing, because only this script needs it. Writes "PASSED FAILED", counted in
# targets, to build/fuzz/test-counts.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
folder=build/fuzz
rm -f "$folder/test-counts"

tools/install_packages.sh
if ! command -v clang >/dev/null; then
    tools/install_packages.sh clang
fi
runtime=$(clang -print-runtime-dir)
if ! compgen -G "$runtime/libclang_rt.fuzzer*" >/dev/null && ! compgen -G "${runtime%/*}/*/libclang_rt.fuzzer*" >/dev/null; then
    tools/install_packages.sh "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
fi

cmake --preset fuzz >/dev/null
targets=("$@")
if ((${#targets[@]} == 0)); then
    for source in tests/fuzz/*.c; do
        targets+=("$(basename "$source" .c)")
    done
fi
cmake --build "$folder" --target "${targets[@]/#/fuzz_}" | tail -n 1

mkdir -p "$folder/found"
temporary=$(mktemp -d /dev/shm/tinysft-fuzz-XXXXXX 2>/dev/null || mktemp -d)
trap 'rm -rf "$temporary"' EXIT

# run TARGET: writes its output to its log, and 1 or 0 to its outcome.
run() {
    local target=$1 own=$folder/corpus/$1 seeds=tests/fuzz/corpus/$1 log=$folder/$1.log good=1
    local options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -max_len=16384
        -print_final_stats=1 -artifact_prefix="$folder/found/$target-")
    [[ -z ${FUZZ_SEED:-} ]] || options+=(-seed="$FUZZ_SEED")
    [[ -f tests/fuzz/$target.dict ]] && options+=(-dict="tests/fuzz/$target.dict")
    mkdir -p "$own" "$seeds"
    TMPDIR=$temporary "$folder/tests/fuzz/fuzz_$target" "${options[@]}" "$own" "$seeds" \
        >"$log" 2>&1 || good=0
    echo "$good" >"$folder/$target.outcome"
    if ((good)); then
        sed -n "s/^stat::number_of_executed_units: */$target: passed, executions: /p" "$log"
    else
        echo "$target: FAILED"
        grep -vE '^#[0-9]+\s|^INFO: ' "$log" | head -60
    fi
}

for target in "${targets[@]}"; do
    rm -f "$folder/$target.outcome"
    while (($(jobs -rp | wc -l) >= ${FUZZ_JOBS:-$(nproc)})); do
        wait -n || true
    done
    run "$target" &
done
wait
passed=0
for target in "${targets[@]}"; do
    passed=$((passed + $(cat "$folder/$target.outcome" 2>/dev/null || echo 0)))
done
failed=$((${#targets[@]} - passed))
echo "$passed $failed" >"$folder/test-counts"
echo "$passed targets passed, $failed failed"
((failed == 0 && passed > 0))
