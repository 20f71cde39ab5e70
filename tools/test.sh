#!/usr/bin/env bash
# Installs missing packages, builds, and runs every test:   tools/test.sh [PRESET]
# PRESET is release (the default), debug, asan or validation: see CMakePresets.json. Builds in
# build/PRESET; validation uses build/release and runs its tests of the device under the validation
# layer. Writes "PASSED FAILED" to test-counts there. Exits with 1 if a test fails or if none ran.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
built=${preset/validation/release}
folder=build/$built
rm -f "$folder/test-counts" "$folder"/report.*

tools/install_packages.sh openmpi-bin libopenmpi-dev mpich libmpich-dev # its tests with several ranks
echo "$preset: configuring and building in $folder"
cmake --preset "$built" >/dev/null
cmake --build --preset "$built"

echo "$preset: running the tests"
code=0
ctest --preset "$preset" || code=$?

# Each program reports how many of its tests ran and passed; skipped tests are in neither number. A
# program that reports nothing counts as one test. One that failed although all its tests passed (a
# leak found at its end) counts as one failure.
read -r passed failed < <(awk '
    function close_program() {
        if (open && !good && !bad) failed++
        open = good = bad = told = skipped = 0
    }
    /^[0-9]+\/[0-9]+ Testing: / { close_program(); open = 1 }
    /Synthesis: Tested:/ {
        told = 1
        for (i = 1; i < NF; i++) {
            if ($i == "Tested:") bad += $(i + 1)
            if ($i == "Passing:") { passed += $(i + 1); bad -= $(i + 1) }
        }
        failed += bad
    }
    /^skipped: / { skipped = 1 } # a script whose exit code 77 said so
    /^Test Passed\.$/ { good = 1; if (!told && !skipped) passed++ }
    END { close_program(); print passed + 0, failed + 0 }
' <(sed 's/\x1b\[[0-9;]*m//g' "$folder/Testing/Temporary/LastTest.log"))
for report in "$folder"/report.*; do # of a sanitizer: the test that caused it may have passed
    [[ -f $report ]] || continue
    head -40 "$report"
    failed=$((failed + 1))
done
if ((code != 0 && failed == 0)); then
    failed=1 # ctest itself reported an error
fi
echo "$passed $failed" >"$folder/test-counts"
echo "$preset: $passed tests passed, $failed failed"
((failed == 0 && passed > 0))
