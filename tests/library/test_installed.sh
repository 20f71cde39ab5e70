#!/usr/bin/env bash
# Builds programs with the installed library, as its users do:
#
#   tests/library/test_installed.sh BUILD
#
# Installs library and headers into a folder, builds example.c and header.cpp with the flags from
# pkg-config, and runs both. The library may export no symbols but tinysft_*.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=$(realpath "$1")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix="$scratch/a prefix"
for component in library dev; do
    cmake --install "$build" --prefix "$prefix" --component $component >"$scratch/said"
done
library=$prefix/lib/libtinysft.so.0
[[ -e $library ]] || { echo "no $library"; find "$prefix"; exit 1; }

echo "-- exported: tinysft_* alone"
nm -D --defined-only "$library" | sed 's/.* //; s/@.*//' | grep -v '^TINYSFT_0$' | sort >"$scratch/seen"
sed -n 's/^TINYSFT_API.*\(tinysft_[a-z_]*\)(.*/\1/p' include/tinysft/tinysft.h | sort >"$scratch/told"
diff "$scratch/told" "$scratch/seen"
objdump -p "$library" | grep -q 'SONAME *libtinysft\.so\.0$'
if objdump -p "$library" | sed -n 's/^ *NEEDED *//p' |
    grep -vxE 'lib(c|m|cjson)\.so\.[0-9]+|ld-linux.*'; then
    echo "that much is not on every system" && exit 1
fi

echo "-- pkg-config, C and C++"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib
eval "flags=($(pkg-config --cflags --libs tinysft))"
strict=(-Wall -Wextra -pedantic -Werror)
cc -std=c17 "${strict[@]}" tests/library/example.c "${flags[@]}" -o "$scratch/example"
c++ -std=c++17 "${strict[@]}" tests/library/header.cpp "${flags[@]}" -o "$scratch/header"
"$scratch/header"
(($(wc -l <tests/library/example.c) <= 60)) || { echo "the example has over 60 lines"; exit 1; }

echo "-- trains, answers, evaluates"
printf '%s\n' '{"prompt": "What do cows eat?", "reference": "Cows eat grass."}' >"$scratch/questions"
"$scratch/example" assets/base data/dataset.json "$scratch/questions" "$scratch/out" \
    >"$scratch/said" 2>"$scratch/warned"
cat "$scratch/said"
grep -q '^step 5 of 5: loss [0-9.]*$' "$scratch/said"
grep -q '^loss on 1 reference answers: [0-9.]* before, [0-9.]* after$' "$scratch/said"
[[ ! -s $scratch/warned ]] || { echo "the library printed:"; cat "$scratch/warned"; exit 1; }
[[ -s $scratch/out/adapter_model.safetensors && -s $scratch/out/training_curve.png ]]

echo "-- the manual page"
# Not through a pipe: grep stops reading at the first match, and zcat would fail.
zcat "$prefix/share/man/man3/tinysft.3.gz" >"$scratch/page"
grep -q '^tinysft_status tinysft_generate' "$scratch/page"
