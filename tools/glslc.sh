#!/usr/bin/env bash
# Replaces glslc where it is not available (Ubuntu 22.04): the options that the build uses,
# implemented with glslang and spirv-opt.
#     tools/glslc.sh --target-env=ENV -O -Werror -I FOLDER [-DNAME] [-mfmt=num] FILE -o OUT
set -euo pipefail

flags=() environment='' words='' file='' out=''
while (($# > 0)); do
    case $1 in
    --version) exec glslangValidator --version ;;
    --target-env=*) environment=${1#*=} ;;
    -O | -Werror) ;; # optimisation is always on; glslang warns only about its command line
    -I) flags+=("-I$2") && shift ;;
    -D*) flags+=("$1") ;;
    -mfmt=num) words=1 ;;
    -o) out=$2 && shift ;;
    -*) echo "glslc.sh: $1 is not known here" >&2 && exit 1 ;;
    *) file=$1 ;;
    esac
    shift
done
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

glslangValidator -V --target-env "$environment" "${flags[@]}" "$file" -o "$scratch/plain.spv" \
    >"$scratch/said" || { cat "$scratch/said" >&2 && exit 1; }
spirv-opt -O --target-env="$environment" "$scratch/plain.spv" -o "$scratch/fast.spv"
if [[ -n $words ]]; then
    od -A n -v -t x4 -w40 "$scratch/fast.spv" | sed -E 's/ *([0-9a-f]{8})/0x\1,/g' >"$out"
else
    cp "$scratch/fast.spv" "$out"
fi
