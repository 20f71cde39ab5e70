#!/usr/bin/env bash
# Checks rules for all source files that compilers do not check, and prints every line that breaks
# one. A file includes only files of its own floor or a lower one. The library's header includes
# only C's headers and its own. Only one file calls the operating system. No function is longer than
# 60 lines and no file longer than 600, except those named below.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A may_use=(
    [base]="base"
    [data]="base data"
    [gpu]="base gpu"
    [ops]="base gpu ops"
    [model]="base data gpu ops model"
    [train]="base data gpu ops model train"
    [eval]="base data gpu ops model eval"
    [export]="base data gpu ops model export"
    [check]="base data gpu ops model train check"
    [api]="base data gpu ops model train eval export check api"
    [cli]="base data gpu ops model train eval export check api cli"
)
broken=0
for floor in "${!may_use[@]}"; do
    grep -rnoE '^#include "[a-z]+/' "src/$floor" --include='*.[ch]' |
        awk -F '[:"/]' -v floor="$floor" -v may=" ${may_use[$floor]} " '
            index(may, " " $(NF - 1) " ") == 0 {
                sub(/:#include.*/, ": floor " floor " may not use floor " $(NF - 1))
                print
                broken = 1
            }
            END { exit broken }' || broken=1
done

# Only base/os_posix.c calls the operating system. Exceptions: the types that libmd's headers need,
# the one type that a signal handler may write, the program's own streams and its handler of SIGBUS.
system='^#include <(unistd|fcntl|dirent|dlfcn|signal|termios|poll|ftw|sys/[a-z]+)\.h>'
may_ask='^src/(base/os_posix\.c|base/digest\.h|base/signals\.c|cli/standard\.c|cli/main\.c):'
if grep -rnE "$system" src --include='*.[ch]' | grep -vE "$may_ask"; then
    echo "(these include a header of the system, which only src/base/os_posix.c may: src/base/os.h)"
    broken=1
fi

# Functions that may be long: tests that are a table of cases, and kernels whose parts share
# registers and shared memory, which cannot be passed to a function. New names need such a reason
# too.
long="tests/data/(rows|row_file|tokenizer|adapter|safetensors|jinja)\.c|tests/(model/config|base/json)\.c"
long+="|tests/null_gpu/(msm|i915)\.c"
long+="|shaders/(gemm_cm|attention|attention_backward_(q|kv)|attention_decode|attention(_backward_q|_backward_kv)?_(rounded|tiled))\.comp"
long+="|shaders/cpu/(gemm|attention|attention_backward_kv|attention_backward_q)_simd\.comp"
long+="|shaders/cpu/gemm_packed\.comp"
sources=$(find src shaders tests include -name '*.[ch]' -o -name '*.comp' -o -name '*.glsl' -o -name '*.def')
tests_of_long=$(grep -vE "^($long)$" <<<"$sources")
# shellcheck disable=SC2086
if ! awk '
    FNR == 1 { begun = 0; title = "" }
    /^[A-Za-z].*\(/ { title = $0 }
    /^\{/ { begun = FNR }
    /^\}/ {
        if (begun && FNR - begun + 1 > 60) {
            printf "%s:%d: %d lines: %s\n", FILENAME, begun, FNR - begun + 1, title
            long = 1
        }
        begun = 0
    }
    END { exit long }' $tests_of_long; then
    echo "(a function fits a screen: 60 lines; tools/check_floors.sh names those that may be longer)"
    broken=1
fi
# The library's header is read as one, from top to bottom.
# shellcheck disable=SC2086
if wc -l $sources | awk '$1 > 600 && $2 != "total" && $2 != "include/tinysft/tinysft.h" { print $2 ": " $1 " lines, 600 at most"; found = 1 }
                         END { exit !found }'; then
    broken=1
fi

while IFS=: read -r file line text; do
    echo "$file:$line: the library's header may not need $text"
    broken=1
done < <(grep -rnE '^ *# *include' include |
    grep -vE '<(tinysft/(tinysft|status)|stdbool|stddef|stdint)\.h>' || true)

# What the command line includes beyond the library's header, base and its own files. This list may
# only become shorter; src/README.md says what each is for.
cli_uses=(api/inside.h check/{bench,bench_decode,doctor,drivers,pipelines}.h
    data/{adapter,chat,hub,template}.h eval/runs.h
    gpu/{gpu,pipeline,recorder}.h ops/device.h train/settings.h)
mapfile -t used < <(grep -rhoE '^#include "[a-z]+/[a-z_]+\.h"' src/cli | cut -d'"' -f2 |
    grep -vE '^(base|cli)/' | sort -u)
while read -r header; do
    echo "src/cli uses $header, which is not among cli_uses: can the library's header serve instead?"
    broken=1
done < <(comm -13 <(printf '%s\n' "${cli_uses[@]}" | sort) <(printf '%s\n' "${used[@]}"))
while read -r header; do
    echo "src/cli uses $header no more: take it from cli_uses"
    broken=1
done < <(comm -23 <(printf '%s\n' "${cli_uses[@]}" | sort) <(printf '%s\n' "${used[@]}"))
exit $broken
