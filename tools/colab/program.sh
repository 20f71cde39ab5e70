#!/usr/bin/env bash
# Step 2: the program, from the unpacked release that has these scripts, or built from the
# repository. At the end it prints which device the program would use.
# shellcheck source=tools/colab/common.sh
source "$(dirname "$0")/common.sh"
released=$home/../../bin/tinysft-vk # of PREFIX/share/tinysft-vk

if [[ -x $released ]]; then
    ln -sfn "$released" "$program"
    install_missing libcurl4 ca-certificates ||
        say "libcurl4 cannot be installed: TinyLlama cannot be downloaded, a folder as MODEL works"
else
    cd "$home"
    say "installing what the build needs"
    tools/install_packages.sh >"$work/build.log" 2>&1 ||
        fail "the packages for the build cannot be installed" "$(tail -n 3 "$work/build.log")" \
            "Or name a release in the first cell: a .tar.gz needs none of them."
    say "building"
    { cmake --preset release -DTINYSFT_TESTS=OFF &&
        cmake --build --preset release --target tinysft-vk; } >>"$work/build.log" 2>&1 ||
        fail "the build does not go through; the end of $work/build.log:" \
            "$(tail -n 15 "$work/build.log")"
    ln -sfn "$home/build/release/tinysft-vk" "$program"
fi

devices=$("$program" devices 2>&1) ||
    fail "the program finds no Vulkan device" "$devices" "Run the cell 'Driver' again."
say "$devices"
if command -v nvidia-smi >/dev/null && ! grep -q '^chosen: .*\(NVIDIA\|Tesla\)' <<<"$devices"; then
    fail "there is a GPU, but Vulkan does not offer it" \
        "The driver's files may be of another version: see $work/apt.log, or start over with" \
        "Runtime > Disconnect and delete runtime."
fi
