#!/usr/bin/env bash
# Makes the library's manual page from the comments in its headers:
#
#   tools/make_library_manual.sh VERSION FILE HEADER...
#
# A comment at the start of a line is text, as is the comment above the include guard.
# "// ---- NAME" begins a section. What is indented in a comment, and all code except preprocessor
# lines, is shown unchanged.
set -euo pipefail

version=$1 file=$2
shift 2
mkdir -p "$(dirname "$file")"
awk -v version="$version" '
function escaped(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    return text ~ /^[.\x27]/ ? "\\&" text : text
}
# Lines of text are filled; lines of code are not.
function show(text, code) {
    if (code && !in_code) print ".sp\n.nf"
    if (!code && in_code) print ".fi"
    in_code = code
    print escaped(text)
}
function end_code() {
    if (in_code) print ".fi"
    in_code = 0
}
function paragraph() {
    end_code()
    print ".PP"
}
function section(name) {
    end_code()
    print ".SH " escaped(toupper(name))
}
BEGIN {
    print ".TH TINYSFT 3 \"\" \"tinysft " escaped(version) "\""
    print ".SH NAME\ntinysft \\- fine\\-tunes chat models with LoRA on any GPU that has Vulkan, as a library"
    print ".SH SYNOPSIS\n.nf\n#include <tinysft/tinysft.h>\n.fi\n.sp"
    print "cc \\fIFILE\\fR $(pkg\\-config \\-\\-cflags \\-\\-libs tinysft)"
}
FNR == 1 { section(++files == 1 ? "description" : "errors") }
/^#ifdef __cplusplus/ || /^#if defined/ { skipping = 1 }
skipping { if (/^#endif/) skipping = 0; next }
/^#/ { next }
/^\/\/ ---- / { section(substr($0, 9)); next }
/^\/\/     / { show(substr($0, 4), 1); next }
/^\/\/$/ { paragraph(); next }
/^\/\// { if (in_code) paragraph(); show(substr($0, 4), 0); next }
/^$/ { if (in_code) blank = 1; next }
{
    sub(/TINYSFT_API /, "")
    if (blank && in_code) print ""
    blank = 0
    show($0, 1)
}
END { end_code(); print ".SH SEE ALSO\n.BR tinysft\\-vk (1)" }
' "$@" | gzip -9n >"$file"
