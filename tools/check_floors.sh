#!/usr/bin/env bash
# A file includes only from its own floor or a lower one. Prints every line that breaks this.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A may_use=(
    [base]="base"
    [data]="base data"
    [gpu]="base gpu"
    [ops]="base gpu ops"
    [model]="base data gpu ops model"
    [train]="base data gpu ops model train"
    [eval]="base data gpu ops model eval"
    [check]="base data gpu ops model train check"
    [api]="base data gpu ops model train eval check api"
    [cli]="base data gpu ops model train eval check api cli"
)
broken=0
for floor in "${!may_use[@]}"; do
    while IFS=: read -r file line text; do
        used=$(sed -E 's/.*"([a-z]+)\/.*/\1/' <<<"$text")
        if [[ " ${may_use[$floor]} " != *" $used "* ]]; then
            echo "$file:$line: floor $floor may not use floor $used"
            broken=1
        fi
    done < <(grep -rnE '^#include "[a-z]+/' "src/$floor" --include='*.[ch]' || true)
done
exit $broken
