#!/usr/bin/env bash
# Runs the tests that use the device on every Vulkan driver that can be had without its hardware:
#     tools/test_drivers.sh [llvmpipe] [swiftshader]      (both, unless named)
# llvmpipe, Mesa's driver for CPUs, and SwiftShader, the poorest device there is (subgroups of 4, 256
# invocations, no 16-bit storage), taken out of Debian's package chromium-common without installing it.
# Prints a line a driver; leaves "PASSED FAILED" over all in build/release/driver-counts.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/release
programs=(gpu ops model check)

tools/install_packages.sh
cmake --preset release >/dev/null
cmake --build --preset release -- --quiet

# The folder that holds SwiftShader's library and its ICD file; downloaded once.
swiftshader() {
    local unpacked=$PWD/build/swiftshader
    if [[ ! -e $unpacked/usr/lib/chromium/vk_swiftshader_icd.json ]]; then
        mkdir -p "$unpacked"
        (cd "$unpacked" && apt-get download -q chromium-common >/dev/null 2>&1 &&
            dpkg-deb --extract chromium-common_*.deb . && rm chromium-common_*.deb) || return 1
    fi
    echo "$unpacked/usr/lib/chromium/vk_swiftshader_icd.json"
}

passed=0 failed=0
run_on() {
    local name=$1 icd=$2 good=0 bad=0 tested passing output
    for program in "${programs[@]}"; do
        output=$(VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd "$folder/tests/test_$program" \
            --jobs 2 --ascii 2>&1) || true
        tested=$(sed -n 's/.*Tested: \([0-9]*\).*/\1/p' <<<"$output" | tail -n 1)
        passing=$(sed -n 's/.*Passing: \([0-9]*\).*/\1/p' <<<"$output" | tail -n 1)
        if [[ -z $tested || $tested == 0 ]]; then
            bad=$((bad + 1)) # it crashed before it could count
        else
            good=$((good + passing)) bad=$((bad + tested - passing))
        fi
        if [[ $tested != "$passing" ]]; then
            grep -E '^\[(FAIL|----)' <<<"$output" | head -n 20 || true
        fi
    done
    echo "$name: $good tests passed, $bad failed"
    passed=$((passed + good)) failed=$((failed + bad))
}

(($# > 0)) || set -- llvmpipe swiftshader
for driver in "$@"; do
    case $driver in
    llvmpipe) run_on "$driver" /usr/share/vulkan/icd.d/lvp_icd.x86_64.json ;;
    swiftshader)
        if icd=$(swiftshader); then
            run_on "$driver" "$icd"
        else
            echo "$driver: skipped, the package chromium-common cannot be downloaded here"
        fi
        ;;
    *)
        echo "test_drivers: no driver is named '$driver' (llvmpipe, swiftshader)" >&2
        exit 2
        ;;
    esac
done
echo "$passed $failed" >"$folder/driver-counts"
((failed == 0))
