# What a compiler makes of each shader, from a table that `tinysft-vk devices --pipelines` prints: of every
# figure the worst that any pipeline of the shader has.
#     awk -f tools/pipelines.awk TABLE
# prints "driver VERSION", then a line a shader: registers, spills, bytes of shared memory, bytes of code,
# instructions, cycles, waves; - where the driver does not tell.
#     awk -f tools/pipelines.awk -v kind=anv -v card=dg2 tests/README.md TABLE
# prints what is worse than tests/README.md has it, a line each, and so nothing where all is well. A
# figure is worse from a tenth on. Where that was made by another version of the driver, or has no such
# shader or card, only spilling counts, where there was none. Code over 64 KB always counts.
BEGIN {
    count = split("registers spills shared code instructions cycles waves", names)
    split("VGPRs spills shared code instrs latency waves", heads)
    spills = 2
    code = 4
    most_code = 65536
    waves = 7
}

# A row: a figure for each head that the driver tells, then the shader and its constants.
function add_pipeline(    f, value, shader) {
    shader = $width
    if (!(shader in seen)) {
        seen[shader] = 1
        order[++shaders] = shader
    }
    for (f = 1; f <= count; f++) {
        value = heads[f] in column_of ? $column_of[heads[f]] : "-"
        if (value == "-") {
            continue
        }
        if (!((shader, f) in worst) || (f == waves) != (value + 0 > worst[shader, f])) {
            worst[shader, f] = value + 0 # the most, but the fewest waves
        }
    }
}

function figure(shader, f) {
    return (shader, f) in worst ? worst[shader, f] : "-"
}

function is_worse(f, old, new) {
    return old != "-" && new != "-" && (f == waves ? new * 1.1 < old : new > old * 1.1)
}

function compare(    i, f, shader, old) {
    for (i = 1; i <= shaders; i++) {
        shader = order[i]
        if (figure(shader, code) > most_code) {
            print "    " shader ": code " figure(shader, code) ", more than " most_code
        }
        for (f = 1; f <= count; f++) {
            old = (shader, f) in known ? known[shader, f] : f == spills ? 0 : "-"
            if (version != known_version && !(f == spills && old == 0)) {
                continue
            }
            if (is_worse(f, old, figure(shader, f))) {
                print "    " shader ": " names[f] " " old " before, now " figure(shader, f)
            }
        }
    }
}

# tests/README.md: the table of this kind of driver, in which a column is a card and a cell its figures.
FILENAME ~ /README.md$/ {
    split($0, cells, " *\\| *")
    if (/^<!-- /) {
        inside = $0 == "<!-- pipelines: " kind " -->"
        column = 0
    } else if (inside && cells[2] == "shader") {
        for (f = 3; f in cells; f++) {
            if (cells[f] == card) {
                column = f
            }
        }
    } else if (column && cells[2] == "driver") {
        known_version = cells[column]
    } else if (column && split(cells[column], figures, " ") == count) {
        for (f = 1; f <= count; f++) {
            known[cells[2], f] = figures[f]
        }
    }
    next
}
FNR == 1 || version == "" {
    if (match($0, /Mesa [0-9][^ )]*/)) {
        version = substr($0, RSTART, RLENGTH)
    }
}
$NF == "pipeline" {
    for (width = 1; width < NF; width++) {
        column_of[$width] = width
    }
}
width && $1 ~ /^([0-9]+|-)$/ && !/ pipelines built/ {
    add_pipeline()
}
END {
    if (card != "") {
        compare()
        exit
    }
    print "driver", version
    for (i = 1; i <= shaders; i++) {
        line = order[i]
        for (f = 1; f <= count; f++) {
            line = line " " figure(order[i], f)
        }
        print line
    }
}
