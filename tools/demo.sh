#!/usr/bin/env bash
# The whole program on one small model: installs missing packages, builds, fine-tunes the
# repository's base model on data/dataset.json through Vulkan, compares the base with the fine-tuned
# model, shows three answers of each, writes evaluation_screenshot.png and says what to type next.
# With --dpo it has a third act: the tuned model learns from data/preferences.json which answers are
# preferred, and the picture shows base, tuned and preferred. When it is run again, the earlier adapter is kept under another name. If it was installed from a
# package, it runs the installed program and writes everything to the current folder.
set -euo pipefail
home=$(cd "$(dirname "$0")/.." && pwd)

# The program's defaults (3 epochs, rate 5e-5, one example a step) are TinyLlama's. The embedded
# model has three thousandths of its parameters, so it needs and bears a rate a hundred times
# higher.
settings=(--epochs 4 --lr 5e-3 --batch-size 8)
# A tenth of the rate moves the tuned model without unlearning what it was tuned on. A fifth of the
# pairs is held out, and shows whether the preference is more than learnt by heart.
preference_settings=(--loss dpo --epochs 3 --lr 5e-4 --batch-size 8 --eval-split 0.2)
output=out/demo
adapter=$output
preferred=
picture=evaluation_screenshot.png

case ${1-} in
'') ;;
--dpo)
    output=out/demo_dpo
    adapter=$output/tuned
    preferred=$output/preferred
    ;;
*)
    echo "usage: tools/demo.sh [--dpo]" >&2
    exit 2
    ;;
esac

# Shows ninja's output as a bar on a terminal, elsewhere as a line now and then. Lines that are no
# step of the build (warnings, errors) are printed as they are.
show_build() {
    local line filled part told=0 marks=#################### open=false
    while IFS= read -r line; do
        if [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\  ]]; then
            part=$((BASH_REMATCH[1] * 20 / BASH_REMATCH[2]))
            if [[ -t 1 ]]; then
                filled=${marks:0:part}
                printf '\rbuilding [%-20s] %s' "$filled" "${BASH_REMATCH[1]}/${BASH_REMATCH[2]}"
                open=true
            elif ((part / 5 > told)); then
                told=$((part / 5))
                echo "building: ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
            fi
        else
            if $open; then echo; fi
            open=false
            echo "$line"
        fi
    done
    if $open; then echo; fi
}

program=$home/../../bin/tinysft-vk # of PREFIX/share/tinysft-vk
if [[ ! -x $program ]]; then
    cd "$home"
    tools/install_packages.sh
    echo "demo: building in build/release"
    cmake --preset release >/dev/null
    NINJA_STATUS='[%f/%t] ' cmake --build --preset release --target tinysft-vk 2>&1 | show_build
    program=build/release/tinysft-vk
fi

if [[ -e $output ]]; then
    kept=1
    while [[ -e $output-$kept ]]; do kept=$((kept + 1)); done
    mv "$output" "$output-$kept"
    echo "demo: what an earlier run left is now in $output-$kept"
fi

started=$SECONDS
echo "demo: fine-tuning assets/base on data/dataset.json (${settings[*]})"
"$program" train --model assets/base --data data/dataset.json --output-dir "$adapter" "${settings[@]}"
compared=(--adapter "$adapter")
if [[ -n $preferred ]]; then
    echo "demo: learning which answers are preferred, from data/preferences.json (${preference_settings[*]})"
    "$program" train --model assets/base --adapter "$adapter" --data data/preferences.json \
        --output-dir "$preferred" "${preference_settings[@]}"
    compared+=(--adapter "$preferred" --output-dir "$output")
fi
# The same device, by its number, so that the warning about a CPU is printed only once.
device=$("$program" devices | sed -n 's/^chosen: \([0-9]*\),.*/\1/p')
echo "demo: the base model against the fine-tuned one${preferred:+, and that against the preferred}"
"$program" eval --model assets/base "${compared[@]}" --png "$picture" ${device:+--device "$device"} \
    --title "The embedded base model, before and after LoRA fine-tuning"

name=$program
if [[ $(command -v tinysft-vk || true) -ef $program ]]; then name=tinysft-vk; fi
cat <<END

demo: done in $((SECONDS - started)) s; the adapter is in ${preferred:-$adapter}, the picture is $picture

Ask it something yourself:
  $name eval --model assets/base --adapter ${preferred:-$adapter} \\
      --prompt "What do cows eat?"
Judge for yourself, by pairs of answers of which you do not know whose they are: open
$output/review.html, and then
  $name eval --reviews review_marks.json --output-dir $output
Tune on data of your own, a {"prompt": "...", "completion": "..."} a line; --show-mask shows first what
would be trained on:
  $name train --model assets/base --data mine.jsonl --output-dir out/mine --lr 5e-3 --show-mask
A real model, downloaded once:
  $name train --model TinyLlama/TinyLlama-1.1B-Chat-v1.0 --data mine.jsonl --output-dir out/tiny
END
