#!/usr/bin/env bash
# Step 4: fine-tunes.     train.sh MODEL [FLAGS OF tinysft-vk train]
# Continues an interrupted run from its last checkpoint; a finished run is not changed.
# shellcheck source=tools/colab/common.sh
source "$(dirname "$0")/common.sh"
need_program
model=${1:?"train.sh: a model is needed"}
shift
cd "$home" # assets/base is found from there
[[ -f $work/dataset.json ]] || fail "there is no data yet" "Run the cell 'Data' first."
out=$work/out

words=$(printf '%s\n' "$model" "$@" "$(sha256sum <"$work/dataset.json")")
if [[ -e $out && ! -f $work/run ]] || [[ -f $work/run && $words != "$(cat "$work/run")" ]]; then
    kept=1
    while [[ -e $out-$kept ]]; do kept=$((kept + 1)); done
    [[ ! -e $out ]] || mv "$out" "$out-$kept"
    [[ ! -e $out-$kept ]] || say "model, data or settings changed: the earlier run is now $out-$kept"
fi
printf '%s\n' "$words" >"$work/run"
if [[ -f $out/adapter_model.safetensors && -f $work/finished ]]; then
    say "this run is finished already; change the settings for another, or delete $out"
    exit 0
fi
rm -f "$work/finished"
resume=()
if compgen -G "$out/checkpoint-*" >/dev/null; then
    say "going on from the last checkpoint"
    resume=(--resume-from-checkpoint)
fi
code=0
"$program" train --model "$model" --data "$work/dataset.json" --output-dir "$out" \
    --save-steps 20 --save-total-limit 2 ${resume[@]+"${resume[@]}"} "$@" || code=$?
case $code in
0) touch "$work/finished" ;;
4) fail "reading, writing or downloading failed (see above)" "Run the cell again: what is there is kept." ;;
6) fail "memory does not suffice" "Add --max-length 512, or --batch-size 1 if it was more." ;;
7) fail "the device or its driver failed" "Run the cell again: it goes on from the last checkpoint." ;;
129 | 130 | 143) fail "stopped; run the cell again to go on" ;;
*) fail "training ended with exit code $code (see above)" ;;
esac
