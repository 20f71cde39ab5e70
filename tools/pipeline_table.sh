#!/usr/bin/env bash
# Writes figures of our shaders, compiled for cards that are not here, into tests/README.md:
#     tools/pipeline_table.sh [--root NAME=FOLDER]... [DRIVER]...
# as tools/test_drivers.sh takes them; default: radv, testing/anv, testing/nvk and testing/turnip.
# Each driver replaces its kind's whole table. Of two with the same card the later counts (radv
# trixie/radv). A driver that is not available leaves its table unchanged.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/device_tests.sh

readme=tests/README.md tables=build/release/pipelines
roots=() drivers=()
while (($# > 0)); do
    case $1 in
    --root)
        roots+=(--root "${2:?--root NAME=FOLDER}")
        shift
        ;;
    -*) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
    *) drivers+=("$1") ;;
    esac
    shift
done
((${#drivers[@]} > 0)) || drivers=(radv testing/{anv,nvk,turnip})

# table KIND: its table in Markdown, one column for each card; nothing if none was compiled for.
table() {
    local card driver found columns=() names=()
    for card in ${cards[$1]}; do
        found=
        for driver in "${drivers[@]}"; do
            local file=$tables/${driver//\//-}-$card.txt
            if [[ ${driver##*/} == "$1" ]] && grep -qs 'pipelines built' "$file"; then
                found=$file
            fi
        done
        if [[ -n $found ]]; then
            awk -f tools/pipelines.awk "$found" >"$found.worst"
            columns+=("$found.worst") names+=("$card")
        fi
    done
    ((${#columns[@]} == 0)) || awk -v names="${names[*]}" '
        FNR == 1 { cards++ }
        {
            name = $1
            sub(/^[^ ]* /, "")
            cell[name, cards] = $0
            if (!(name in seen)) { rows[++count] = name; seen[name] = 1 }
        }
        END {
            print "| shader | " names_row(names) " |"
            for (i = 0; i <= cards; i++) printf "|---"
            print "|"
            for (r = 1; r <= count; r++) {
                printf "| %s |", rows[r]
                for (i = 1; i <= cards; i++) printf " %s |", (rows[r], i) in cell ? cell[rows[r], i] : "-"
                print ""
            }
        }
        function names_row(text) { gsub(/ /, " | ", text); return text }' "${columns[@]}"
}

rm -rf "$tables"
tools/test_drivers.sh "${roots[@]}" "${drivers[@]}" || true
for kind in "${compilers[@]}"; do
    new=$(table "$kind")
    [[ -n $new ]] || continue
    # Replaces everything between the kind's marker and the next heading or marker.
    NEW=$new awk -v marker="<!-- pipelines: $kind -->" '
        inside && /^(<!--|#)/ { inside = 0 }
        !inside { print }
        $0 == marker { inside = 1; print "\n" ENVIRON["NEW"] "\n" }' "$readme" >"$readme.new"
    mv "$readme.new" "$readme"
    echo "$readme: $kind's table is new"
done
