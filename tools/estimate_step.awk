# What a training step would cost on a card, from what `tinysft-vk devices --step` prints:
#     awk -v card=navi31 -f tools/estimate_step.awk tools/cards.txt STEP
# prints a line a kernel, then the sums. tools/estimate_step.sh says how it is counted.

# ---- The card

FILENAME ~ /cards\.txt$/ {
    if ($1 == card) {
        units = $2; ghz = $3; lanes = $4; special = $5; matrix = $6 + 0; matrix_shares = $6 ~ /s$/
        shared_bytes = $7; cache_bytes = $8; memory = $9
    }
    next
}

!units { exit }

# ---- A pipeline's listing

/^== / {
    finish()
    for (i = 2; i < NF; i += 2) {
        if ($i == "pipeline") break
        value[$i] = $(i + 1)
    }
    kernel = $(i + 1)
    count = 0
    next
}
kernel != "" { line[++count] = $0 }
/tokens$/ { title = $0 }
/^[0-9]+ barriers$/ { barriers = $1 }

function add(at, class, cycles) {
    number[at, class]++
    cost[at, class] += cycles
}

# One instruction of AMD's. A subgroup takes several cycles of a SIMD.
function count_amd(at, op, text,    bytes, wide) {
    wide = value["subgroup"] / lanes
    bytes = op ~ /b128|x4/ ? 16 : op ~ /b96|x3/ ? 12 : op ~ /b64|x2/ ? 8 : 4
    if (op ~ /^v_wmma/) add(at, "matrix", 4096 / matrix)
    else if (op ~ /^(ds_|buffer_|global_|flat_|scratch_)/) {
        if (op ~ /^ds_(read|write|load|store)2/) bytes *= 2
        if (op ~ /^ds_/) add(at, "shared", bytes * value["subgroup"] / shared_bytes)
        else add(at, "load", bytes * value["subgroup"] / cache_bytes)
    } else if (op ~ /^v_(fma|fmac|mac|mad|pk_fma|dot2c?|dot2acc)_/ && op !~ /u32|i32|u24|i24|mixlo|mixhi/) add(at, "fma", wide)
    else if (op ~ /^v_dual_fmac/) { add(at, "fma", wide); if (text ~ /:: v_dual_fmac/) add(at, "fma", 0) }
    else if (op ~ /^v_(exp|log|rcp|rsq|sqrt|sin|cos)/) add(at, "rest", value["subgroup"] / special)
    else if (op ~ /^v_/) add(at, "rest", wide)
    else if (op ~ /^s_/ && op !~ /^s_(waitcnt|clause|nop|delay|sendmsg|set_inst)/) add(at, "scalar", 1)
}

# One of Intel's: (N) is how many lanes it has. What a message moves is told in the line below it.
function count_intel(at, op, text, next_text,    wide, bytes, width) {
    width = op
    sub(/^[^(]*\(/, "", width)
    width += 0
    wide = width / lanes
    if (wide < 1) wide = 1
    if (op ~ /^dpas/) add(at, "matrix", 1024 / matrix)
    else if (op ~ /^sends?\(/) {
        if (next_text ~ /dst_len|rlen/) {
            bytes = 32 * (field_of(next_text, "dst_len = ") + field_of(next_text, "src1_len = "))
            if (next_text ~ /rlen/) bytes = 32 * (field_of(next_text, " rlen ") + field_of(next_text, "ex_mlen "))
        }
        if (next_text ~ /gateway|thread_spawner/) add(at, "rest", 1)
        else if (next_text ~ /slm|Surface = 254/) add(at, "shared", bytes / shared_bytes)
        else add(at, "load", bytes / cache_bytes)
    } else if (op ~ /^mad\(/ && text ~ />F /) add(at, "fma", wide)
    else if (op ~ /^math/) add(at, "rest", width / special)
    else if (op ~ /^[a-z][a-z0-9.]*\(/ && op !~ /^(sync|nop|if|else|endif|while|break|do)/) add(at, "rest", wide)
    else if (op ~ /^(if|else|endif|while|break)/) add(at, "scalar", 1)
}

function field_of(text, name) {
    return match(text, name "[0-9]+") ? substr(text, RSTART + length(name), RLENGTH - length(name)) + 0 : 0
}

# One of NVIDIA's. What a uniform register receives (ur, up) is computed once for all lanes.
function count_nvidia(at, op, text,    bytes, wide) {
    wide = 32 / lanes
    bytes = op ~ /b128|x4/ ? 16 : op ~ /b64|x2/ ? 8 : 4
    if (op ~ /^hmma/) add(at, "matrix", (op ~ /k16/ ? 2048 : 1024) / matrix)
    else if (op ~ /^(ld|st|atom|red)\..*shared/ || op ~ /^ldsm/ || op ~ /^shfl/) add(at, "shared", bytes * 32 / shared_bytes)
    else if (op ~ /^(ld|st|atom|red)\./) add(at, "load", bytes * 32 / cache_bytes)
    else if (op ~ /^(ffma|hfma2)/) add(at, "fma", wide)
    else if (op ~ /^(mufu|f2i|i2f|f2f)/) add(at, "rest", 32 / special)
    else if (op ~ /^(nop|bclear)/) return
    else if (text ~ /^ *u[rp][0-9]/ || op ~ /^(bra|bssy|bsync|bar|membar|ldc|exit|r2ur|s2r)/) add(at, "scalar", 1)
    else add(at, "rest", wide)
}

function count_line(at,    text, op, i, words) {
    text = line[at]
    sub(/ *\/\/ delay.*/, "", text)
    sub(/^\(.?f[0-9.a-z]*\) */, "", text)
    if (text ~ /^(block|\}|BB|LABEL|;)/ || text ~ /^ *$/) return
    if (vendor == "nvidia") {
        sub(/^@[!a-z0-9]* */, "", text)
        op = text
        sub(/^.* = */, "", op)
        sub(/^ */, "", op)
        sub(/ .*/, "", op)
        count_nvidia(at, op, text)
        return
    }
    split(text, words, " ")
    if (vendor == "intel") count_intel(at, words[1], text, line[at + 1])
    else count_amd(at, words[1], text)
}

# ---- Loops: from a label to the branch back to it; NVIDIA's blocks lie in any order, so what belongs to a
# loop is found from the blocks before each.

function find_loops(    i, label, words, target) {
    loops = 0
    for (i = 1; i <= count; i++) {
        if (vendor == "amd" && line[i] ~ /^BB[0-9]+:/) {
            label = line[i]; sub(/:.*/, "", label); place[label] = i
        } else if (vendor == "intel" && line[i] ~ /^LABEL[0-9]+:/) {
            label = line[i]; sub(/:.*/, "", label); place[label] = i
        } else if (vendor == "nvidia" && line[i] ~ /^block/) {
            begin_block(i)
        } else if (vendor == "nvidia" && line[i] ~ /^\} ->/) {
            block_end[block] = i
        } else if (vendor == "amd" && line[i] ~ /s_(c?branch)/) {
            split(line[i], words, " ")
            if (words[2] in place) add_loop(place[words[2]], i)
        } else if (vendor == "intel" && line[i] ~ /while\(/) {
            target = line[i]; sub(/.*JIP: */, "", target); sub(/ .*/, "", target)
            if (target in place) add_loop(place[target], i)
        }
    }
    if (vendor == "nvidia") find_natural_loops()
    for (label in place) delete place[label]
}

function add_loop(from, to,    i) {
    loops++
    for (i = from; i <= to; i++) inside[loops, i] = 1
    size[loops] = to - from + 1
}

function begin_block(at,    words, text) {
    text = line[at]
    sub(/^block[.a-z]* /, "", text)
    block = text + 0
    block_begin[block] = at
    blocks = block
    text = line[at]
    sub(/^[^\[]*\[/, "", text)
    sub(/\].*/, "", text)
    before[block] = text
}

function find_natural_loops(    b, i, n, words, latch) {
    for (b = 0; b <= blocks; b++) {
        n = split(before[b], words, ", *")
        for (i = 1; i <= n; i++) {
            latch = words[i] + 0
            if (latch >= b) add_natural_loop(b, latch)
        }
    }
    for (b in before) delete before[b]
    blocks = 0
}

function add_natural_loop(header, latch,    stack, depth, member, b, i, n, words) {
    loops++
    size[loops] = 0
    member[header] = 1
    depth = 0
    if (!(latch in member)) { stack[++depth] = latch; member[latch] = 1 }
    while (depth > 0) {
        b = stack[depth--]
        n = split(before[b], words, ", *")
        for (i = 1; i <= n; i++) {
            if (!((words[i] + 0) in member)) { stack[++depth] = words[i] + 0; member[words[i] + 0] = 1 }
        }
    }
    for (b in member) {
        for (i = block_begin[b]; i <= block_end[b]; i++) { inside[loops, i] = 1; size[loops]++ }
    }
}

# The loop that a kernel spends its time in: of those with at least half of the matrix operations (or, without
# any, of the multiply-adds) that a loop has, the smallest, or, where loops lie within it, the largest.
function main_loop(    l, i, most, best) {
    most = 0
    for (l = 1; l <= loops; l++) {
        work[l] = 0
        for (i = 1; i <= count; i++) {
            if ((l, i) in inside) work[l] += 1000 * number[i, "matrix"] + number[i, "fma"]
        }
        if (work[l] > most) most = work[l]
    }
    best = 0
    for (l = 1; l <= loops; l++) {
        if (work[l] * 2 >= most && (best == 0 || (value["inner"] > 1 ? size[l] > size[best] : size[l] < size[best])))
            best = l
    }
    return best
}

# Whether line i lies in a smaller loop, with multiply-adds, within this one.
function is_nested(main, i,    l) {
    for (l = 1; l <= loops; l++) {
        if (size[l] < size[main] && ((l, i) in inside) && work[l] > 0) return 1
    }
    return 0
}

# ---- A pipeline's cost

function finish(    i, c, each, main, class, subgroups, times, sum, cycles, chain, ms, port, waves) {
    if (kernel == "" || count == 0) return
    vendor = title ~ /NVK/ ? "nvidia" : title ~ /Intel/ ? "intel" : "amd"
    if (vendor == "intel" && value["subgroup"] == 0) value["subgroup"] = 8
    find_loops()
    for (i = 1; i <= count; i++) count_line(i)
    main = loops > 0 ? main_loop() : 0
    subgroups = int((value["invocations"] + value["subgroup"] - 1) / value["subgroup"])
    for (c = 1; c <= classes; c++) { class = name[c]; inner[class] = cycles_of[class] = 0 }
    chain = 0
    for (i = 1; i <= count; i++) {
        times = value["workgroups"]
        each = main > 0 && value["inner"] > 1 && is_nested(main, i) ? value["inner"] : 1
        if (main > 0 && ((main, i) in inside)) times = value["loops"] * each
        for (c = 1; c <= classes; c++) {
            class = name[c]
            if (!((i, class) in cost)) continue
            cycles_of[class] += cost[i, class] * times * subgroups
            if (main == 0 || ((main, i) in inside)) {
                inner[class] += number[i, class] * each
                chain += cost[i, class] * each
            }
        }
    }
    cycles = cycles_of["fma"] + cycles_of["rest"] + (matrix_shares ? cycles_of["matrix"] : 0); port = "vector"
    if (cycles_of["matrix"] > cycles) { cycles = cycles_of["matrix"]; port = "matrix" }
    if (cycles_of["shared"] > cycles) { cycles = cycles_of["shared"]; port = "shared" }
    if (cycles_of["load"] > cycles) { cycles = cycles_of["load"]; port = "load" }
    ms = cycles / (units * ghz * 1e6)
    if (value["longest"] > 1 && chain * value["serial"] / (ghz * 1e6) > ms) {
        ms = chain * value["serial"] / (ghz * 1e6); port = "longest"
    }
    if (value["bytes"] / (memory * 1e6) > ms) { ms = value["bytes"] / (memory * 1e6); port = "memory" }
    keep(ms, port)
    for (i in number) delete number[i]
    for (i in cost) delete cost[i]
    for (i in inside) delete inside[i]
    kernel = ""
}

# Pipelines of one kernel are added up; its loop is shown as the pipeline with the most time has it.
function keep(ms, port,    c) {
    if (!(kernel in total)) kernels[++kernel_count] = kernel
    total[kernel] += ms
    dispatches[kernel] += value["dispatches"]
    loop_total[kernel] += value["loops"]
    if (value["longest"] > longest[kernel]) longest[kernel] = value["longest"]
    if (ms >= shown[kernel]) {
        shown[kernel] = ms
        ports[kernel] = port
        for (c = 1; c <= classes; c++) shown_of[kernel, c] = inner[name[c]]
        shown_subgroup[kernel] = value["subgroup"]
    }
}

BEGIN { classes = split("fma matrix load shared rest scalar", name) }

END {
    if (!units) {
        print "tools/cards.txt has no card '" card "'" > "/dev/stderr"
        exit 1
    }
    finish()
    print card ": " title
    printf "%-30s %5s %9s %5s %5s %5s %5s %6s %5s %9s %8s %9s %s\n", "kernel", "count", "subgroup", "fma",
        "matr", "load", "share", "rest", "scal", "loops", "longest", "ms", "bound by"
    for (i = 1; i <= kernel_count; i++) {
        k = kernels[i]
        printf "%-30s %5d %9d %5d %5d %5d %5d %6d %5d %9d %8d %9.2f %s\n", k, dispatches[k], shown_subgroup[k],
            shown_of[k, 1], shown_of[k, 2], shown_of[k, 3], shown_of[k, 4], shown_of[k, 5], shown_of[k, 6],
            loop_total[k], longest[k], total[k], ports[k]
        all += total[k]
        if (k ~ /^attention/) attention += total[k]
        else if (k ~ /^gem/) products += total[k]
        many += dispatches[k]
    }
    printf "%s: %.0f ms a step in %d dispatches with %d barriers: products %.0f, attention %.1f, the rest %.0f\n",
        card, all, many, barriers, products, attention, all - attention - products
}
