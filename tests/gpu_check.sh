#!/usr/bin/env bash
# Rehearses tools/gpu_check.sh. First with the program that TINYSFT names, on this machine's device
# and at a small size. Then with a made-up program that claims to have a GPU, which is fast enough
# the first time and too slow the second time.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

die() {
    echo "$1" >&2
    cat "$scratch/report.md" >&2
    exit 1
}
has() { grep -qF "$1" "$scratch/report.md" || die "no '$1' in the report"; }

CASES=tests/golden/tiny_tied PYTHON=false tools/gpu_check.sh --rehearse "$scratch/report.md"
has "| PASS | golden case tiny_tied in f32 |"
has "| training step, 32 tokens |"
! grep -q '^| FAIL' "$scratch/report.md" || die "a check failed"

# Writes a program that claims a device of 100 GFLOP/s, and a step of 2048 tokens that takes two
# seconds for $1 floating-point operations.
pretend() {
    cat >"$scratch/program" <<EOF
#!/bin/sh
case \$1 in
devices) printf '0  A GPU\n   discrete GPU, Vulkan 1.3\n\nchosen: 0, A GPU\n' ;;
verify) echo "all within tolerance" ;;
bench)
    printf '{\n\t"flops_per_second":\t1e10,\n\t"half_flops_per_second":\t0,\n'
    printf '\t"product_flops_per_second":\t1e11,\n\t"bytes_per_second":\t1e9,\n'
    printf '\t"copy_bytes_per_second":\t1e9,\n\t"fill_bytes_per_second":\t1e9,\n\t"rows":\t[{\n'
    printf '\t\t"name":\t"training step, 512 tokens",\n\t\t"seconds":\t1,\n\t\t"flops":\t1e9\n'
    printf '\t}, {\n\t\t"name":\t"training step, 2048 tokens",\n\t\t"seconds":\t2,\n'
    printf '\t\t"flops":\t$1,\n\t\t"bytes":\t1e9,\n\t\t"floor_seconds":\t1\n\t}]\n}\n'
    ;;
esac
EOF
    chmod +x "$scratch/program"
    TINYSFT=$scratch/program CASES=tests/golden/tiny_tied PYTHON=false LLAMA_BENCH=/nowhere \
        tools/gpu_check.sh "$scratch/report.md"
}
pretend 1.2e11 || die "a GPU at 60 % of its peak has failed"
has "| PASS | a GPU | A GPU |"
has "| PASS | golden case tiny_tied in bf16 |"
has "| PASS | training step, 2048 tokens: part of the measured peak | 60.00 %, asked is 45 |"
has "| SKIPPED | PyTorch + PEFT, batch 1 of 512 tokens |"
! pretend 4e10 || die "a GPU at 20 % of its peak has passed"
has "| FAIL | training step, 2048 tokens: part of the measured peak | 20.00 %, asked is 45 |"
