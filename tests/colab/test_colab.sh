#!/usr/bin/env bash
# Tests the notebook and its scripts without Colab:   tests/colab/test_colab.sh PROGRAM
# They run in a root of their own, with fakes of nvidia-smi, apt and dpkg.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
real_program=$(realpath "$1")
notebook=$repository/tools/tinysft_vk_colab.ipynb
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

# ---- Fakes. Each records its calls. /usr/bin comes after them on the PATH.

fake() { # NAME, body on standard input
    { printf '#!/bin/bash\necho "%s $*" >>"$FAKE/calls"\n' "$1" && cat; } >"$scratch/fakes/$1"
    chmod +x "$scratch/fakes/$1"
}

make_fakes() {
    mkdir -p "$scratch/fakes"
    fake nvidia-smi <<'END'
[[ -n $FAKE_DRIVER ]] || exit 127
case $1 in *driver_version*) echo "$FAKE_DRIVER" ;; *) echo "Tesla T4" ;; esac
END
    fake apt-get <<'END'
put() { "$FAKE/put" "$TINYSFT_SYSTEM_ROOT/usr" "$1"; mkdir -p "$FAKE/installed"; touch "$FAKE/installed/${1%%=*}"; }
case "$1 $FAKE_APT" in
"update offline") echo "E: Failed to fetch"; exit 100 ;;
"install broken" | "install nothing") echo "dpkg: error processing archive"; exit 100 ;;
"download nothing") echo "E: Unable to fetch"; exit 100 ;;
install*) for word in "${@:2}"; do [[ $word == -* ]] || put "$word"; done ;;
download*) for word in "${@:2}"; do [[ $word == -* ]] || echo "$word" >"${word%%=*}_amd64.deb"; done ;;
esac
END
    fake apt-cache <<'END'
for version in $FAKE_OFFERED; do echo " $2 | $version | https://somewhere Packages"; done
END
    fake dpkg-query <<'END'
[[ -e $FAKE/installed/${!#} ]] && printf installed
END
    fake dpkg-deb <<'END'
"$FAKE/put" "$3/usr" "$(cat "$2")"
END
    fake ldd <<'END'
[[ $FAKE_LDD == lacks && $1 == *GLX* ]] && echo "libXext.so.6 => not found"; exit 0
END
    fake zip <<'END'
echo zip >results.zip
END
    fake git <<'END'
[[ $1 == clone ]] || exit 1
[[ $5 != *bad* ]] && mkdir -p source/tools/colab && touch source/tools/colab/driver.sh
END
    # Writes below PREFIX the files of a package named NAME or NAME=VERSION.
    cat >"$scratch/put" <<'END'
#!/bin/bash
libraries=$1/lib/x86_64-linux-gnu
mkdir -p "$libraries" "$1/share/vulkan/icd.d"
case $2 in
libvulkan1) touch "$libraries/libvulkan.so.1" ;;
libnvidia-gl-*)
    version=${2#*=}
    for name in libGLX_nvidia libEGL_nvidia; do
        touch "$libraries/$name.so.${version%%-*}" "$libraries/$name.so.0"
    done
    echo '{}' >"$1/share/vulkan/icd.d/nvidia_icd.json"
    ;;
esac
END
    chmod +x "$scratch/put"
}

# A new machine: nothing installed, nothing called.
fresh() {
    rm -rf "$scratch/machine" "$scratch/installed" "$scratch/calls"
    mkdir -p "$scratch/machine"
    touch "$scratch/calls"
    DRIVER=550.54.15 OFFERED="550.54.15-0ubuntu1" APT=fine LDD=fine
}

pretend() { # COMMAND...: runs it with the fakes
    env -i PATH="$scratch/fakes:/usr/bin:/bin" FAKE="$scratch" FAKE_DRIVER="$DRIVER" \
        FAKE_OFFERED="$OFFERED" FAKE_APT="$APT" FAKE_LDD="$LDD" HOME="$scratch" \
        TINYSFT_SYSTEM_ROOT="$scratch/machine" TINYSFT_COLAB="$work" "$@"
}

# Expects that the exit code is CODE and that the output matches PATTERN.
expect() {
    local wanted=$1 pattern=$2 code=0 output
    shift 2
    output=$("$@" 2>&1 </dev/null) || code=$?
    if [[ $code != "$wanted" ]] || ! grep -qE -- "$pattern" <<<"$output"; then
        echo "$*: exit code $code (expected $wanted), and /$pattern/ is expected in:"
        echo "$output"
        return 1
    fi
}

called() { grep -qE -- "$1" "$scratch/calls" || { echo "no call matches /$1/:"; cat "$scratch/calls"; return 1; }; }
not_called() { ! called "$1" >/dev/null || { echo "called: $1"; return 1; }; }

check() {
    local code
    fresh
    work=$scratch/machine/content
    set +e
    (set -e; "$1") >"$scratch/said" 2>&1
    code=$?
    set -e
    if ((code == 0)); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED ${1//_/ }"
        sed 's/^/    /' "$scratch/said"
    fi
}

driver() { pretend "$repository/tools/colab/driver.sh" "$@"; }

# ---- The driver

fitting_version_is_installed_once() {
    OFFERED="550.90.07-0ubuntu1 550.54.15-0ubuntu1 550.54.150-1"
    expect 0 'installed libnvidia-gl-550 550.54.15-0ubuntu1' driver
    called 'apt-get install .* libvulkan1 libegl1 libxext6 libx11-6 libnvidia-gl-550=550.54.15-0ubuntu1$'
    [[ -f $work/env.sh && ! -s $work/env.sh ]] # the system knows its driver
    : >"$scratch/calls"
    expect 0 'there already' driver
    not_called '^apt-get'
}

other_patch_level_is_refused() {
    OFFERED="550.90.07-0ubuntu1 550.54.150-1"
    expect 1 'no libnvidia-gl-550 of version 550.54.15' driver
    expect 1 'offers: 550.54.150-1 550.90.07-0ubuntu1' driver
    expect 1 'INCOMPATIBLE_DRIVER' driver
    not_called 'apt-get install'
}

no_gpu_says_how_to_get_one() {
    DRIVER=
    expect 1 'Change runtime type > T4' driver
    not_called '^apt-get'
    expect 0 'llvmpipe' driver --cpu
    called 'apt-get install .* mesa-vulkan-drivers$'
}

gpu_is_used_even_with_cpu_ticked() {
    expect 0 'installed libnvidia-gl-550' driver --cpu
}

broken_dpkg_leads_to_private_files() {
    APT=broken
    expect 0 'unpacked libnvidia-gl-550 550.54.15-0ubuntu1 into' driver
    local files=$work/nvidia-550.54.15/lib
    [[ -e $files/libvulkan.so.1 && -e $files/libGLX_nvidia.so.550.54.15 ]]
    [[ $(jq -r .ICD.library_path "$work/nvidia_icd.json") == "$files/libGLX_nvidia.so.0" ]]
    # shellcheck source=/dev/null
    (source "$work/env.sh" && [[ $VK_DRIVER_FILES == "$work/nvidia_icd.json" &&
        $VK_ICD_FILENAMES == "$VK_DRIVER_FILES" && $LD_LIBRARY_PATH == "$files"* ]])
    [[ ! -e $scratch/machine/usr ]] # the system was not changed
    : >"$scratch/calls"
    expect 0 'there already' driver
    not_called '^apt-get'
    DRIVER=560.35.03 OFFERED=560.35.03-1 # another runtime: the unpacked version does not fit it
    expect 0 'unpacked libnvidia-gl-560' driver
}

egl_stands_in_where_x_is_lacking() {
    APT=broken LDD=lacks
    expect 0 'unpacked' driver
    [[ $(jq -r .ICD.library_path "$work/nvidia_icd.json") == */libEGL_nvidia.so.0 ]]
}

dead_network_is_told() {
    APT=offline
    expect 1 'cannot fetch its lists' driver
    APT=nothing
    expect 1 'neither install nor download' driver
    [[ ! -e $work/env.sh ]]
}

# ---- The program; $home is what an unpacked release has in share

make_release() {
    home=$scratch/machine/release/share/tinysft-vk
    mkdir -p "$home/tools/colab" "$scratch/machine/release/bin" "$home/data" "$work"
    cp "$repository"/tools/colab/* "$home/tools/colab/"
    echo '[]' >"$home/data/dataset.json"
    cat >"$scratch/machine/release/bin/tinysft-vk" <<'END'
#!/bin/bash
echo "program $*" >>"$FAKE/calls"
case $1 in
devices) cat "$FAKE/devices" ;;
train)
    [[ $* != *--show-mask* ]] || exit 0
    mkdir -p "$TINYSFT_COLAB/out/checkpoint-20"
    [[ $* == *--resume-from-checkpoint* ]] || exit 7
    touch "$TINYSFT_COLAB/out/adapter_model.safetensors" ;;
esac
END
    chmod +x "$scratch/machine/release/bin/tinysft-vk"
    echo "chosen: 0, Tesla T4 (a discrete GPU)" >"$scratch/devices"
}

step() { pretend "$home/tools/colab/$1" "${@:2}"; }

release_is_used_as_it_is() {
    make_release
    expect 0 'chosen: 0, Tesla T4' step program.sh
    expect 0 'chosen: 0, Tesla T4' step program.sh
    echo "chosen: 0, llvmpipe (a CPU)" >"$scratch/devices"
    expect 1 'there is a GPU, but Vulkan does not offer it' step program.sh
}

failing_build_is_told() {
    make_release
    rm "$scratch/machine/release/bin/tinysft-vk"
    printf '#!/bin/bash\necho "E: no space left"; exit 100\n' >"$home/tools/install_packages.sh"
    chmod +x "$home/tools/install_packages.sh"
    expect 1 'E: no space left' step program.sh
    printf '#!/bin/bash\n' >"$home/tools/install_packages.sh"
    expect 1 'build does not go through' step program.sh # there is nothing that cmake could build
}

steps_say_what_comes_first() {
    make_release
    expect 1 'Run the cell .The program. first' step data.sh
    expect 1 'Run the cell .The program. first' step train.sh some/model
    step program.sh >/dev/null
    expect 1 'Run the cell .Data. first' step train.sh some/model
    expect 1 'Run the cell .Train. to its end' step evaluate.sh some/model
    expect 1 'Run the cell .Train. to its end' step pack.sh
    expect 1 'there is no /none' step data.sh /none
}

interrupted_training_goes_on() {
    make_release
    step program.sh >/dev/null
    step data.sh >/dev/null
    expect 1 'from the last checkpoint' step train.sh some/model --rank 4 # the device fails
    not_called 'resume'
    expect 0 'going on from the last checkpoint' step train.sh some/model --rank 4
    called 'program train --model some/model .* --resume-from-checkpoint --rank 4'
    expect 0 'finished already' step train.sh some/model --rank 4
    expect 1 'the earlier run is now .*/out-1' step train.sh some/model --rank 8
    [[ -f $work/out-1/adapter_model.safetensors ]]
}

all_steps_with_the_real_program() {
    make_release
    mkdir -p "$work"
    home=$repository
    ln -s "$real_program" "$work/program"
    expect 0 'dataset.json is fine' step data.sh
    echo '[{"prompt": "Hello"}]' >"$scratch/bad.json"
    expect 1 'bad.json' step data.sh "$scratch/bad.json"
    step train.sh assets/base --max-steps 2 --batch-size 2 --device llvmpipe
    step evaluate.sh assets/base --max-new-tokens 2 --device llvmpipe
    [[ $(head -c 4 "$work/out/evaluation_screenshot.png" | tail -c 3) == PNG ]]
    expect 0 'results.zip' step pack.sh
    called "^zip -q -r results.zip out -x out/checkpoint"
}

# ---- The notebook

notebook_is_sound() {
    jq -e '.nbformat == 4 and .nbformat_minor == 5 and (.metadata.kernelspec.name == "python3") and
        (.cells | length > 0) and all(.cells[]; (.id | length > 0) and (.source | type == "array") and
        (.cell_type == "markdown" or (.cell_type == "code" and .outputs == [] and
        .execution_count == null and (.source | length <= 26)))) and
        ([.cells[].id] | unique | length) == (.cells | length)' "$notebook"
    local script
    for script in driver program data train evaluate pack; do
        jq -e --arg call "step(\"$script.sh\"" 'any(.cells[]; .cell_type == "code" and
            (.source | join("") | contains($call)))' "$notebook"
        [[ -x $repository/tools/colab/$script.sh ]]
    done
    ! grep -q '://' "$notebook" # no address, which might not be this repository's
}

fetch_cell() { # REPOSITORY RELEASE
    jq -r '.cells[].source | join("") | select(startswith("%%bash"))' "$notebook" | tail -n +2 \
        >"$scratch/cell"
    (cd "$scratch" && pretend bash "$scratch/cell" "$@")
}

fetch_cell_takes_either() {
    expect 1 'fill REPOSITORY or RELEASE' fetch_cell "" ""
    expect 1 'git cannot clone REPOSITORY' fetch_cell bad-address ""
    expect 0 'the steps are in' fetch_cell an-address ""
    expect 0 'the steps are in' fetch_cell an-address ""
    expect 1 'no .tar.gz' fetch_cell "" nothing.tar.gz
    make_release
    mv "$scratch/machine/release" "$scratch/machine/tinysft-vk-1"
    tar -czf "$scratch/some.tar.gz" -C "$scratch/machine" tinysft-vk-1
    expect 0 'the steps are in' fetch_cell "" some.tar.gz
    expect 0 'chosen: 0, Tesla T4' pretend bash "$work/steps/program.sh"
}

make_fakes
for name in fitting_version_is_installed_once other_patch_level_is_refused \
    no_gpu_says_how_to_get_one gpu_is_used_even_with_cpu_ticked broken_dpkg_leads_to_private_files \
    egl_stands_in_where_x_is_lacking dead_network_is_told release_is_used_as_it_is \
    failing_build_is_told steps_say_what_comes_first interrupted_training_goes_on \
    all_steps_with_the_real_program notebook_is_sound fetch_cell_takes_either; do
    check "$name"
done
echo "Synthesis: Tested: $((passed + failed)) | Passing: $passed | Failing: $failed"
((failed == 0))
