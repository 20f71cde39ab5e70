#!/usr/bin/env bash
# Step 6: adapter and results in one zip, without the checkpoints.
# shellcheck source=tools/colab/common.sh
source "$(dirname "$0")/common.sh"
[[ -f $work/out/adapter_model.safetensors ]] ||
    fail "there is no adapter to pack" "Run the cell 'Train' to its end first."
command -v zip >/dev/null || install_missing zip ||
    fail "zip cannot be installed" "$(tail -n 3 "$work/apt.log")"
rm -f "$work/results.zip"
cd "$work"
zip -q -r results.zip out -x 'out/checkpoint-*' || fail "zip failed; is the disk full?"
say "$work/results.zip"
