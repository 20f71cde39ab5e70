#!/usr/bin/env bash
# Step 3: the data.     data.sh [FILE]     (the default is the repository's own)
# It is read as training will read it, so that errors, which name file, line and key, come early.
# shellcheck source=tools/colab/common.sh
source "$(dirname "$0")/common.sh"
need_program
file=${1:-$home/data/dataset.json}

[[ -f $file ]] || fail "there is no $file" "Upload it, or leave OWN_DATA empty."
checked=$("$program" train --model "$home/assets/base" --data "$file" --output-dir "$work/none" \
    --show-mask 2>&1 >/dev/null) ||
    fail "the data cannot be read" "$checked" "README.md lists the layouts that are understood."
cp "$file" "$work/dataset.json.new"
mv "$work/dataset.json.new" "$work/dataset.json"
say "$(basename "$file") is fine, and is now $work/dataset.json"
