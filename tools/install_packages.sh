#!/usr/bin/env bash
# Installs the Debian packages that building, testing and running need. It installs only those that
# are missing, so a second run changes nothing. The other scripts here call it first. A script that
# alone needs further packages names them as arguments.
set -euo pipefail

shader_compiler=glslc
if grep -qs '^VERSION_ID="22.04"' /etc/os-release; then # Ubuntu 22.04 has none: tools/glslc.sh
    shader_compiler=glslang-tools
fi
packages=(
    build-essential cmake ninja-build pkgconf file # the build and its package
    libvulkan-dev libvulkan-volk-dev mesa-vulkan-drivers # Vulkan, and a driver for GPU or CPU
    "$shader_compiler" spirv-tools                 # shaders
    libcjson-dev libstb-dev libmd-dev fonts-dejavu-core # JSON, pictures, SHA-256, typeface
    libutf8proc-dev                                # Unicode's normal form, which Qwen asks for
    libcurl4-openssl-dev ca-certificates           # downloads
    libcriterion-dev vulkan-validationlayers jq    # tests
    "$@"
)

if ! command -v dpkg-query >/dev/null; then
    echo "packages: this system has no dpkg, so nothing is installed here. Needed are what Debian calls:"
    echo "  ${packages[*]}"
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $state == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    echo "packages: all ${#packages[@]} are installed"
    exit 0
fi

as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "packages: missing, and only root can install them (there is no sudo here). As root:" >&2
        echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "packages: installing ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
