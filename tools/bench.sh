#!/usr/bin/env bash
# Measures speed, on an otherwise idle machine:   tools/bench.sh [DEVICE]
# Prints the device's multiply-add rate and what part of it matrix products reach. Not a test.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/install_packages.sh
cmake --preset release >/dev/null
cmake --build --preset release --target tinysft-bench -- --quiet
build/release/tinysft-bench "$@"
