#!/usr/bin/env bash
# The whole program on one small model: installs what is missing, builds, fine-tunes the base model
# that comes with the repository on data/dataset.json through Vulkan, holds base against fine-tuned,
# and leaves evaluation_screenshot.png. Run again, it keeps the earlier adapter under another name.
# Where a package installed it, it runs the installed program, and leaves all in the current folder.
set -euo pipefail
home=$(cd "$(dirname "$0")/.." && pwd)

# The program's defaults (3 epochs, rate 5e-5, one example a step) are TinyLlama's. The embedded model
# has three thousandths of its parameters, so it needs and bears a rate a hundred times higher.
settings=(--epochs 4 --lr 5e-3 --batch-size 8)
output=out/demo
picture=evaluation_screenshot.png

program=$home/../../bin/tinysft-vk # of PREFIX/share/tinysft-vk
if [[ ! -x $program ]]; then
    cd "$home"
    tools/install_packages.sh
    echo "demo: building in build/release"
    cmake --preset release >/dev/null
    cmake --build --preset release --target tinysft-vk
    program=build/release/tinysft-vk
fi

if [[ -e $output ]]; then
    kept=1
    while [[ -e $output-$kept ]]; do kept=$((kept + 1)); done
    mv "$output" "$output-$kept"
    echo "demo: the adapter of an earlier run is now in $output-$kept"
fi

started=$SECONDS
echo "demo: fine-tuning assets/base on data/dataset.json (${settings[*]})"
"$program" train --model assets/base --data data/dataset.json --output-dir "$output" "${settings[@]}"
echo "demo: the base model against the fine-tuned one"
"$program" eval --model assets/base --adapter "$output" --png "$picture" \
    --title "The embedded base model, before and after LoRA fine-tuning"
echo "demo: done in $((SECONDS - started)) s; the adapter is in $output, the picture is $picture"
