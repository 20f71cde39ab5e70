# Sourced by tools/test_drivers.sh, test_masks.sh and pipeline_table.sh. It has the tests that use
# the device, as PROGRAM or PROGRAM:PATTERN (of shopt -s extglob), how they are run and counted, and
# the cards whose compilers are tested.

all_tests=(gpu ops model check)
untimed_tests=(gpu ops model 'check:!(bench*)/*')
few_tests=( # they cover each kernel, transfer and pass, and a golden case
    gpu
    'ops:@(kernels|rounded)/*'
    'model:@(llama/device*|passes/three*|precision/*|decode/@(equals_full_passes|fits*))'
    'check:own_cases/tiny_tied'
)

# The drivers that can compile for cards that this machine does not have: AMD, Intel, NVIDIA,
# Qualcomm.
compilers=(radv anv nvk turnip)
declare -A cards=(
    [radv]='polaris10 vega10 navi10 navi21 navi31 gfx1150 gfx1200'
    [anv]='skl tgl adl dg2 mtl lnl bmg'
    [nvk]='turing ampere ada'
    [turnip]='a660 a740'
)

# tally TESTS COMMAND...: runs TESTS of the build in $folder with COMMAND as a prefix, adds to the
# caller's variables good and bad, and prints what failed.
tally() {
    local tests=$1 pattern='*' output tested passing
    shift
    [[ $tests != *:* ]] || pattern=${tests#*:}
    output=$("$@" "$folder/tests/test_${tests%%:*}" --filter "$pattern" --jobs 2 --ascii 2>&1) || true
    tested=$(sed -n 's/.*Tested: \([0-9]*\).*/\1/p' <<<"$output" | tail -n 1)
    passing=$(sed -n 's/.*Passing: \([0-9]*\).*/\1/p' <<<"$output" | tail -n 1)
    if [[ -z $tested || $tested == 0 ]]; then
        bad=$((bad + 1)) # it crashed before it could count
        tail -n 3 <<<"$output"
    else
        good=$((good + passing)) bad=$((bad + tested - passing))
    fi
    if [[ $tested != "$passing" ]]; then
        grep -E '^\[(FAIL|----)' <<<"$output" | head -n 20 || true
    fi
}
