#!/usr/bin/env bash
# Step 5: base against fine-tuned, and the picture.     evaluate.sh MODEL [FLAGS OF tinysft-vk eval]
# shellcheck source=tools/colab/common.sh
source "$(dirname "$0")/common.sh"
need_program
model=${1:?"evaluate.sh: a model is needed"}
shift
cd "$home" # assets/base is found from there
[[ -f $work/out/adapter_model.safetensors ]] ||
    fail "there is no adapter yet" "Run the cell 'Train' to its end first."
"$program" eval --model "$model" --adapter "$work/out" --data "$home/data/eval.json" \
    --png "$work/out/evaluation_screenshot.png" "$@" ||
    fail "the evaluation ended with exit code $? (see above)" "Run the cell again."
