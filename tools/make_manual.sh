#!/usr/bin/env bash
# Makes the manual page from the program's own help:   tools/make_manual.sh PROGRAM FILE
set -euo pipefail

program=$1 file=$2

verbatim() { # prints standard input unchanged
    printf '.nf\n'
    sed 's/\\/\\e/g; s/-/\\-/g; s/^\([.'"'"']\)/\\\&\1/'
    printf '.fi\n'
}

mkdir -p "$(dirname "$file")"
{
    printf '.TH TINYSFT\\-VK 1 "" "%s"\n' "$("$program" --version)"
    printf '.SH NAME\ntinysft\\-vk \\- fine\\-tunes chat models with LoRA on any GPU that has Vulkan\n'
    printf '.SH SYNOPSIS\n.B tinysft\\-vk\n.I COMMAND\n[flags]\n.SH DESCRIPTION\n'
    "$program" --help | verbatim
    for command in $("$program" --help | sed -n 's/^  tinysft-vk \([a-z]*\) .*/\1/p'); do
        printf '.SH %s\n' "${command^^}"
        "$program" "$command" --help | verbatim
    done
    printf '.SH FILES\n.I share/tinysft\\-vk\nbeside the folder of the program holds the model and '
    printf 'the data of the demo; assets/base and data/dataset.json are found there from anywhere.\n'
} | gzip -9n >"$file"
