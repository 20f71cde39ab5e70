#!/usr/bin/env bash
# A newcomer's way, as in the README, from data with ten mistakes to an answer of the tuned model:
#
#     tests/cli/journey.sh PROGRAM [FOLDER]      (FOLDER: build/journey, made anew)
#
# Each command runs in a terminal of COLUMNS (80) columns if `script` can make one. The commands and
# their output are in FOLDER/transcript-COLUMNS.txt, for somebody to read. A step with an unexpected
# exit code or output ends the journey.
set -euo pipefail
home=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "$1")
folder=${2:-$home/build/journey}
columns=${COLUMNS:-80}
base=$home/assets/base

rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
transcript=$folder/transcript-$columns.txt
steps=0

# What a terminal shows at the end: the last state of each line that was redrawn, and no escape
# codes.
settle() {
    sed -e 's/\r$//' -e 's/\x1b\[[0-9;?]*[A-Za-z]//g' -e 's/.*\r\([^\r]\)/\1/'
}

# in_terminal FILE COMMAND...: runs it with its output in FILE and its process id in ./pid.
in_terminal() {
    local file=$1 quoted
    shift
    quoted=$(printf '%q ' "$@")
    if [[ $(script --version 2>/dev/null) == *util-linux* ]]; then
        TERM=xterm script -qec "stty cols $columns rows 24; echo \$\$ >pid; exec $quoted" /dev/null \
            >"$file" </dev/null
    else
        bash -c "echo \$\$ >pid; exec $quoted" >"$file" 2>&1
    fi
}

check() { # CODE EXPECTED_CODE FILE TEXT...: a TEXT may be broken across lines
    local code=$1 expected=$2 file=$3 said text
    shift 3
    {
        settle <"$file"
        if ((code != 0)); then echo "[exit code $code]"; fi
        echo
    } >>"$transcript"
    said=$(settle <"$file" | tr -s ' \n' ' ')
    if ((code != expected)); then
        tail -n 40 "$transcript"
        echo "journey: exit code $code, expected $expected"
        exit 1
    fi
    for text; do
        if [[ $said != *"$text"* ]]; then
            tail -n 40 "$transcript"
            echo "journey: nothing was said of '$text'"
            exit 1
        fi
    done
    steps=$((steps + 1))
}

typed() { # ARGUMENT...
    local line="\$ tinysft-vk" word
    for word; do
        if [[ $word == *" "* ]]; then word="\"$word\""; fi
        line+=" $word"
    done
    echo "$line" >>"$transcript"
}

# step EXPECTED_CODE [TEXT...] -- ARGUMENT...: runs the program.
step() {
    local expected=$1 texts=() code=0
    shift
    while [[ $1 != -- ]]; do
        texts+=("$1")
        shift
    done
    shift
    typed "$@"
    in_terminal said "$program" "$@" || code=$?
    check "$code" "$expected" said "${texts[@]}"
}

knows() { "$program" --help | grep -q "tinysft-vk $1 "; } # a command

# ---- Looking around

step 0 "train" "eval" -- --help
step 2 "did you mean" -- trian
step 0 "chosen:" -- devices

# ---- The user's own data, with ten mistakes

cat >mine.jsonl <<'END'
{"question": "What do cows eat?", "answer": "Grass, of course."}
{"prompt": "What do cats eat?", "completoin": "Fish, of course."}
{"prompt": "What do dogs eat?" "completion": "Meat, of course."}
{"prompt": "What do bees make?", "completion": "Honey, of course.}
{"messages": [{"role": "user", "content": "Hi!"}, {"role": "narrator", "content": "She smiles."}]}
{"prompt": 7, "completion": "A number, of course."}
{"messages": {"role": "user", "content": "Hi!"}}
{"messages": [{"role": "user", "content": "Is anybody there?"}]}
{"text": "A text without any tags."}
"What do frogs eat?"
END
step 3 "10 mistakes" "mine.jsonl:1:" "mine.jsonl:2:" "mine.jsonl:3:" \
    "mine.jsonl:4:" "mine.jsonl:5:" "mine.jsonl:6:" "mine.jsonl:7:" "mine.jsonl:8:" "mine.jsonl:9:" \
    "mine.jsonl:10:" -- train --model "$base" --data mine.jsonl --output-dir out/mine --show-mask

animals=(cow cat dog bee frog horse duck sheep goat wolf bear fox crow hen mouse goose)
for animal in "${animals[@]}"; do
    echo "{\"prompt\": \"What is a $animal?\", \"completion\": \"A $animal is an animal, of course.\"}"
done >mine.jsonl
settings=(--model "$base" --data mine.jsonl --lr 1e-2 --epochs 8 --batch-size 4)
train=(train "${settings[@]}" --output-dir out/mine)
step 0 "trained on" "of course" -- "${train[@]}" --show-mask
step 0 "32 steps" "device memory" -- "${train[@]}" --dry-run
step 2 "--learning-rte" "did you mean" -- train --learning-rte 5e-3

# ---- Training, interrupted and resumed

typed "${train[@]}" --save-steps 1
echo "(Ctrl-C after a step)" >>"$transcript"
in_terminal said "$program" "${train[@]}" --save-steps 1 &
running=$!
for ((i = 0; i < 600 && $(find out -name 'checkpoint-*' 2>/dev/null | wc -l) == 0; i++)); do sleep 0.1; done
kill -INT "$(cat pid)"
code=0
wait $running || code=$?
check $code 130 said "is saved" "--resume-from-checkpoint"
step 0 "32/32" -- "${train[@]}" --save-steps 1 --resume-from-checkpoint

# ---- The user's own questions, with mistakes

cat >questions.jsonl <<'END'
{"question": "What is a lion?"}
{"prompt": "What is a tiger?", "fact": "animal"}
{"prompt": "What is a camel?", "category": "factaul"}
END
evaluate=(eval --model "$base" --adapter out/mine --data questions.jsonl --max-new-tokens 24)
step 3 "3 mistakes" "did you mean" -- "${evaluate[@]}"
cat >questions.jsonl <<'END'
{"prompt": "What is a lion?"}
{"prompt": "What is a tiger?", "reference": "A tiger is an animal, of course.", "facts": "animal"}
{"prompt": "What is a cow?", "reference": "A cow is an animal, of course."}
END
step 0 "never saw: 2" "Reference loss" "Wilson" "> What is a" "base" "fine-tuned" "written:" -- "${evaluate[@]}"

# ---- Another run to compare with, and a question

if knows compare; then
    step 0 "ask it: tinysft-vk eval" -- train "${settings[@]}" --output-dir out/other --rank 4 --max-steps 4
    step 0 "out/mine" "out/other" -- compare out/mine out/other --png compare.png
fi
step 0 "> What is a lion?" "fine-tuned:" "of course" -- eval --model "$base" --adapter out/mine \
    --prompt "What is a lion?" --max-new-tokens 24

echo "journey: $steps steps as expected, in a terminal of $columns columns; $transcript"
