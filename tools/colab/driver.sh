#!/usr/bin/env bash
# Step 1: Vulkan for this runtime's GPU. Colab's image has NVIDIA's compute libraries only; Vulkan
# needs libnvidia-gl of exactly the version that the kernel's module has, to the patch level.
#     driver.sh          for the GPU; fails with a message if the runtime has none
#     driver.sh --cpu    continues without one, on Mesa's driver for CPUs
# If apt cannot install the package, its files are unpacked into a folder of their own.
# shellcheck source=tools/colab/common.sh
source "$(dirname "$0")/common.sh"

libraries=$system/usr/lib/x86_64-linux-gnu
loader_packages=(libvulkan1 libegl1 libxext6 libx11-6)

use_cpu() {
    install_missing libvulkan1 mesa-vulkan-drivers ||
        fail "Mesa's Vulkan driver for CPUs cannot be installed" "$(tail -n 3 "$work/apt.log")"
    : >"$work/env.sh"
    say "no GPU: going on with llvmpipe on the CPU. TinyLlama takes hours there, the embedded model"
    say "(MODEL = assets/base) a minute."
    exit 0
}

version=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1) || true
if [[ ! $version =~ ^[0-9]+\.[0-9.]+$ ]]; then
    [[ ${1:-} != --cpu ]] || use_cpu
    fail "this runtime has no NVIDIA GPU (nvidia-smi is missing or names no driver)" \
        "Choose Runtime > Change runtime type > T4 GPU > Save, then run the cells again." \
        "To go on without a GPU, tick GO_ON_WITHOUT_GPU in the first cell."
fi
say "$(nvidia-smi --query-gpu=name --format=csv,noheader | head -n 1), driver $version"
private=$work/nvidia-$version

# The driver's library in FOLDER: the one for GLX, or the one for EGL if that lacks a library of X.
driver_in() {
    local folder=$1
    if [[ -e $folder/libGLX_nvidia.so.$version && -e $folder/libGLX_nvidia.so.0 ]] &&
        ! ldd "$folder/libGLX_nvidia.so.0" 2>/dev/null | grep -q 'not found'; then
        echo "$folder/libGLX_nvidia.so.0"
    elif [[ -e $folder/libEGL_nvidia.so.$version && -e $folder/libEGL_nvidia.so.0 ]]; then
        echo "$folder/libEGL_nvidia.so.0"
    else
        return 1
    fi
}

# Lets the Vulkan loader find the driver in FOLDER, through env.sh, unless the system already does.
register() {
    local folder=$1 library
    library=$(driver_in "$folder") || return 1
    if [[ $folder == "$libraries" ]] &&
        compgen -G "$system/usr/share/vulkan/icd.d/*nvidia*.json" >/dev/null; then
        : >"$work/env.sh"
        return 0
    fi
    cat >"$work/nvidia_icd.json" <<END
{"file_format_version": "1.0.0", "ICD": {"library_path": "$library", "api_version": "1.2.0"}}
END
    # Loaders before 1.3.207, such as that of Ubuntu 22.04, know only the older name.
    cat >"$work/env.sh.new" <<END
export VK_DRIVER_FILES='$work/nvidia_icd.json' VK_ICD_FILENAMES='$work/nvidia_icd.json'
export LD_LIBRARY_PATH='$folder'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
END
    mv "$work/env.sh.new" "$work/env.sh"
}

loader_is_there() { [[ -e $libraries/libvulkan.so.1 || -e $private/lib/libvulkan.so.1 ]]; }

# The full version of libnvidia-gl in apt that fits the kernel's module, or a message about the
# others.
find_fitting() {
    local offered
    if [[ ! -f $work/apt.updated ]]; then
        apt-get update -q >>"$work/apt.log" 2>&1 ||
            fail "apt cannot fetch its lists of packages" "$(tail -n 3 "$work/apt.log")" \
                "Is the network up? Run the cell again."
        touch "$work/apt.updated"
    fi
    offered=$(apt-cache madison "$package" | cut -d'|' -f2 | tr -d ' ' | sort -u)
    fitting=$(grep -E "^${version//./\\.}([-+~]|\$)" <<<"$offered" | tail -n 1) || true
    if [[ -z $fitting ]]; then
        rm -f "$work/apt.updated"
        fail "apt has no $package of version $version, which the kernel's module has" \
            "It offers: $(paste -sd' ' <<<"${offered:-nothing}")" \
            "Vulkan would answer INCOMPATIBLE_DRIVER with any other. Runtimes differ: Runtime >" \
            "Disconnect and delete runtime, then run the cells again; or tick GO_ON_WITHOUT_GPU."
    fi
}

# Downloads the packages and unpacks them into a folder, for which they need not be installable.
unpack_privately() {
    local download=$work/download deb
    rm -rf "$download" "$private.new"
    mkdir -p "$download" "$private.new/lib"
    (cd "$download" && apt-get download -q "$@" >>"$work/apt.log" 2>&1) ||
        fail "apt can neither install nor download $*" "$(tail -n 3 "$work/apt.log")"
    for deb in "$download"/*.deb; do
        dpkg-deb --extract "$deb" "$private.new" ||
            fail "$(basename "$deb") cannot be unpacked; is the disk full?"
    done
    find "$private.new/usr/lib" -name 'lib*.so*' -exec mv -t "$private.new/lib" {} +
    rm -rf "$private" "$download"
    mv "$private.new" "$private"
}

package=libnvidia-gl-${version%%.*}
for folder in "$libraries" "$system/usr/lib64-nvidia" "$private/lib"; do
    if loader_is_there && register "$folder"; then
        say "its Vulkan driver is there already ($(driver_in "$folder"))"
        exit 0
    fi
done

find_fitting
if install_missing "${loader_packages[@]}" "$package=$fitting" && loader_is_there &&
    register "$libraries"; then
    say "installed $package $fitting"
    exit 0
fi
say "apt cannot install it here ($(tail -n 1 "$work/apt.log" 2>/dev/null)); unpacking it privately"
lacking=()
for wanted in "${loader_packages[@]}"; do
    is_installed "$wanted" || lacking+=("$wanted")
done
unpack_privately ${lacking[@]+"${lacking[@]}"} "$package=$fitting"
loader_is_there || fail "there is no libvulkan.so.1, even in $private"
register "$private/lib" ||
    fail "$package $fitting does not hold libGLX_nvidia.so.0 or libEGL_nvidia.so.0 of $version"
say "unpacked $package $fitting into $private"
