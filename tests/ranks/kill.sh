#!/usr/bin/env bash
# Kills one of the ranks at random moments, and goes on each time from what is left: each kill must end the
# run within half a minute, and at the end there must be the bytes of a run that was never disturbed.
#
#   tests/ranks/kill.sh PROGRAM [TIMES] [SEED]
#
# Exit code 77: skipped, for the reason that it prints.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "$1") times=${2:-20}
RANDOM=${3:-1}
skip() { echo "skipped: $*"; exit 77; }
command -v mpirun.openmpi >/dev/null || skip "there is no mpirun.openmpi"
[[ -f $(dirname "$program")/libtinysft-mpi-openmpi.so ]] || skip "built without Open MPI's headers"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_orte_tmpdir_base=$work
settings=(train --model assets/base --data data/dataset.json --lr 5e-3 --batch-size 2 --grad-accum 3
    --device 0 --no-tune --max-steps $((15 * times)) --save-steps 1 --save-total-limit 2)
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
fail() { echo "$*"; tail -n 20 "$work/log"; exit 1; }

last_step() { { find "$1" -maxdepth 1 -name 'checkpoint-*' 2>/dev/null || true; } | sed 's/.*-//' | sort -n | tail -n 1; }

# How long a start and a step take tells between which moments to kill.
started=$(now_ms)
"$program" "${settings[@]}" --output-dir "$work/alone" >"$work/log" 2>&1 &
run=$!
until compgen -G "$work/alone/checkpoint-*" >/dev/null || ! kill -0 $run 2>/dev/null; do sleep 0.02; done
begun=$(now_ms)
wait $run || fail "the run of one rank fails"
start_ms=$((begun - started)) step_ms=$((($(now_ms) - begun) / (15 * times)))

for ((killed = 0; killed < times; killed++)); do
    rm -f "$work"/pid.*
    ranks=$((2 + RANDOM % 2)) victim=$((RANDOM % ranks))
    mpirun.openmpi --oversubscribe --bind-to none -n $ranks bash -c \
        'echo $$ >"$0/pid.$OMPI_COMM_WORLD_RANK"; exec "$@"' "$work" \
        "$program" "${settings[@]}" --output-dir "$work/out" --resume-from-checkpoint latest \
        >"$work/log" 2>&1 &
    run=$!
    until [[ -s $work/pid.$victim ]]; do
        kill -0 $run 2>/dev/null || fail "the launcher ended before it started rank $victim"
        sleep 0.02
    done
    # Every second kill hits somewhere in the start, the others somewhere in the steps.
    before=$(last_step "$work/out") delay=$((start_ms * RANDOM / 32768))
    if ((killed % 2 == 0)); then
        while [[ $(last_step "$work/out") == "$before" ]] && kill -0 $run 2>/dev/null; do sleep 0.02; done
        delay=$((10 * step_ms * RANDOM / 32768))
    fi
    sleep $((delay / 1000)).$(printf %03d $((delay % 1000)))
    kill -KILL "$(<"$work/pid.$victim")" || fail "only $killed of $times kills hit: the run was done before"
    since=$(now_ms) code=0
    wait $run || code=$?
    took=$(($(now_ms) - since))
    echo "rank $victim of $ranks killed: ended $took ms later with $code;" \
        "begun at step ${before:-0}, saved is $(last_step "$work/out")"
    ((code != 0 && took < 30000)) || fail "expected an exit code and an end within 30 s"
done
"$program" "${settings[@]}" --output-dir "$work/out" --resume-from-checkpoint latest >"$work/log" 2>&1 ||
    fail "what $times kills left cannot be gone on with"
cmp "$work"/{alone,out}/adapter_model.safetensors
echo "killed $times times: the bytes of a run that was never disturbed"
