#!/usr/bin/env bash
# The shaders that need a new glslc (GL_KHR_cooperative_matrix since shaderc 2023.6, GL_EXT_bfloat16
# since 2025.2), compiled for those who have an old one:
#
#   tools/compile_shaders.sh           writes shaders/compiled/*.inc
#   tools/compile_shaders.sh --check   1 if a source has changed since, or if the glslc that is
#                                      here, being the one that made them, makes other words
#
# GLSLC names another compiler. cmake/shaders.cmake takes these words where glslc fails.
set -euo pipefail
cd "$(dirname "$0")/.."

glslc=${GLSLC:-glslc}
version=$("$glslc" --version | sed -n 1p)
sources="shaders/gemm_cm.comp shaders/include/weight.glsl"
# shellcheck disable=SC2086 # the list is words
hash=$(cat $sources | sha256sum | cut -d' ' -f1)
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

compile() { # NAME FLAGS...
    local name=$1
    shift
    {
        echo "// $name: shaders/gemm_cm.comp compiled by tools/compile_shaders.sh; do not edit."
        echo "// compiler: $version"
        echo "// sha256 of the sources: $hash"
        "$glslc" --target-env=vulkan1.2 -O -Werror -I shaders/include "$@" -mfmt=num \
            shaders/gemm_cm.comp -o - | tr -d ' ' | tr ',' '\n' | sed '/^$/d; s/0x0*\(.\)/0x\1/' |
            awk '{ printf "%s,%s", $0, NR % 10 ? "" : "\n" } END { print "" }'
    } >"$scratch/$name.inc"
}

check() { # NAME FLAGS...
    local words=shaders/compiled/$1.inc
    if ! grep -qx "// sha256 of the sources: $hash" "$words"; then
        echo "$words is older than its sources: run tools/compile_shaders.sh with a new glslc" >&2
        exit 1
    fi
    if ! grep -qxF "// compiler: $version" "$words"; then
        echo "$words: made from these sources; not by this $version, so not compared"
    elif compile "$@" && ! cmp "$scratch/$1.inc" "$words"; then
        echo "$words is not what $version makes of its sources" >&2
        exit 1
    fi
}

each() {
    "$1" gemm_cm_f16
    "$1" gemm_cm_bf16 -DOPERANDS_BF16
}

if [[ ${1:-} == --check ]]; then
    each check
else
    each compile
    mkdir -p shaders/compiled
    cp "$scratch"/*.inc shaders/compiled/
fi
