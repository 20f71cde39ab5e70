#!/usr/bin/env bash
# Measures speed, on an otherwise idle machine:   tools/bench.sh [FLAGS OF tinysft-vk bench]
# Prints the device's own peaks, what part of them matrix products reach at TinyLlama's shapes, and
# the time of whole passes of TinyLlama's shape (`--only products` leaves those out). Not a test.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/install_packages.sh
cmake --preset release >/dev/null
cmake --build --preset release --target tinysft-vk
build/release/tinysft-vk bench "$@"
