#!/usr/bin/env bash
# Writes into tests/README.md what compilers make of our shaders for cards that are not here:
#     tools/pipeline_table.sh [--root NAME=FOLDER]... [DRIVER]...
# as tools/test_drivers.sh takes them; radv and testing/anv, testing/nvk and testing/turnip unless named.
# Each driver named brings its kind's table anew, with all its cards; where two of a kind have the same
# card, the later one counts (radv trixie/radv). A driver that cannot be had leaves its table as it is.
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

# table KIND: its table in Markdown, a column a card; nothing where no card of it was compiled for.
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
    # What lies between the kind's marker and the next heading or marker gives way.
    NEW=$new awk -v marker="<!-- pipelines: $kind -->" '
        inside && /^(<!--|#)/ { inside = 0 }
        !inside { print }
        $0 == marker { inside = 1; print "\n" ENVIRON["NEW"] "\n" }' "$readme" >"$readme.new"
    mv "$readme.new" "$readme"
    echo "$readme: $kind's table is new"
done
