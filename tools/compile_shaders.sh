#!/usr/bin/env bash
# Compiles the shaders that need a new glslc (GL_KHR_cooperative_matrix since shaderc 2023.6,
# GL_EXT_bfloat16 since 2025.2, dot products of f16 since 2026), so that the build also works with an
# old one:
#
#   tools/compile_shaders.sh           writes shaders/compiled/*.inc
#   tools/compile_shaders.sh --check   exit code 1 if a source has changed since, or if the glslc of
#                                      this machine is the one that made them and its output differs
#
# GLSLC names another compiler. cmake/shaders.cmake uses the compiled words where glslc fails.
set -euo pipefail
cd "$(dirname "$0")/.."

glslc=${GLSLC:-glslc}
version=$("$glslc" --version | sed -n 1p)
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

# A source and what it includes, directly or not, in the order of first mention.
sources_of() { # FILE
    local file=$1 name
    [[ " ${seen:-} " != *" $file "* ]] || return 0
    seen+=" $file"
    for name in $(sed -n 's/^#include "\(.*\)"/\1/p' "$file"); do
        sources_of "$([[ -e shaders/include/$name ]] && echo "shaders/include/$name" || echo "src/$name")"
    done
}

hash_of() { # SHADER
    local seen=''
    sources_of "shaders/$1.comp"
    # shellcheck disable=SC2086 # a list
    cat $seen | sha256sum | cut -d' ' -f1
}

compile() { # NAME SHADER FLAGS...
    local name=$1 shader=$2
    shift 2
    {
        echo "// $name: shaders/$shader.comp compiled by tools/compile_shaders.sh; do not edit."
        echo "// compiler: $version"
        echo "// sha256 of the sources: $(hash_of "$shader")"
        "$glslc" --target-env=vulkan1.2 -O -Werror -I shaders/include -I src "$@" -mfmt=num \
            "shaders/$shader.comp" -o - | tr -d ' ' | tr ',' '\n' | sed '/^$/d; s/0x0*\(.\)/0x\1/' |
            awk '{ printf "%s,%s", $0, NR % 10 ? "" : "\n" } END { print "" }'
    } >"$scratch/$name.inc"
}

check() { # NAME SHADER FLAGS...
    local words=shaders/compiled/$1.inc
    if ! grep -qx "// sha256 of the sources: $(hash_of "$2")" "$words"; then
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
    for shader in gemm_cm probe_matrix; do
        "$1" ${shader}_f16 $shader
        "$1" ${shader}_bf16 $shader -DOPERANDS_BF16
    done
    "$1" gemm_dot gemm_dot
    "$1" probe_dot probe_dot
    for shader in attention{,_backward_q,_backward_kv}; do
        "$1" ${shader}_cm_f16 ${shader}_rounded
        "$1" ${shader}_cm_bf16 ${shader}_rounded -DOPERANDS_BF16
        "$1" ${shader}_dot ${shader}_rounded -DDOTS
    done
}

if [[ ${1:-} == --check ]]; then
    each check
else
    each compile
    mkdir -p shaders/compiled
    cp "$scratch"/*.inc shaders/compiled/
fi
