// What the attention shaders by tiles share: those for devices without matrix units. A workgroup has a
// tile of OWN rows and walks along tiles of STREAM rows. Of both it makes scores, OWN x STREAM, and
// with these it sums into OWN x DIM, as include/attention_rounded.glsl draws it.
//
// The lanes stand in a rectangle, LANES down and SPLIT_LANES across. A lane has PER_LANE rows, every
// LANES-th, of both scores and sums: of the scores four neighbours, of the sums every SPLIT_LANES-th
// quad. So for 16 multiply-adds it loads two quads, of the own tile by way of the cache, of the stream
// from shared memory. Between the two products scores lie in shared memory.
//
// The loops of the products, of which the includer has PRODUCTS, are unrolled: whole if that is no more code
// than AMD's instruction caches hold (32 KB), else by eight steps. Compilers then load much of it early and hold
// it in registers. Where these are few, Intel's kept a thousand of them in memory, so without HELD no
// loop is unrolled.
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(local_size_x_id = 6) in;
layout(constant_id = 1) const uint DIM = 64;
layout(constant_id = 3) const uint PER_LANE = 4;
layout(constant_id = 4) const uint SPLIT_LANES = 16;
layout(constant_id = 5) const uint SUBGROUP_SIZE = 32; // all subgroups are full and have this size
layout(constant_id = 7) const uint HELD = 1;
layout(constant_id = 8) const uint GROUP = 1; // heads that share a key head: known, dividing by it costs little
#include "grid.glsl"
#include "act.glsl"

const uint INVOCATIONS = gl_WorkGroupSize.x;
const uint LANES = INVOCATIONS / SPLIT_LANES;
const uint OWN = LANES * PER_LANE;
const uint STREAM = 4 * SPLIT_LANES;
const uint QUADS = (DIM / 4 + SPLIT_LANES - 1) / SPLIT_LANES; // a lane's of a row of the sums
const uint LPR = INVOCATIONS / OWN; // lanes that take a row of the scores, PER_LANE quads each

const bool WHOLE = HELD != 0 && PRODUCTS * PER_LANE * 4 * DIM <= 2048; // multiply-adds
#define TOGETHER(count) (HELD == 0 ? 1 : (count) % 8 == 0 ? 8 : (count) % 4 == 0 ? 4 : 1)

// Shared memory, in quads. Rows are an odd number of quads long, for the banks.
const uint ROW = DIM / 4 | 1;
const uint SCORE = SPLIT_LANES | 1;
const uint STREAM_TILE = STREAM * ROW;
const uint SCORES_TILE = OWN * SCORE;

const float LOG2E = 1.44269504;

// By the place in the subgroup: Vulkan does not promise that neighbours of the local index share one.
#define PLACE (gl_SubgroupID * SUBGROUP_SIZE + gl_SubgroupInvocationID)
#define DOWN (PLACE / SPLIT_LANES)
#define ACROSS (PLACE % SPLIT_LANES)
#define MY_ROW (PLACE / LPR)
#define MY_PART (PLACE % LPR)
#include "row_lanes.glsl"

// A lane's r-th row of the own tile, and its n-th quad of a row of the sums: beyond the last it is the
// last, and not stored.
#define OWN_ROW(r) ((r) * LANES + DOWN)
#define PART(n) min((n) * SPLIT_LANES + ACROSS, DIM / 4 - 1)
#define HOLDS(n) ((n) * SPLIT_LANES + ACROSS < DIM / 4)

// Where a stream's row lies: neighbours are a lane's four, and neighbouring lanes load at a time.
#define SLOT(row) ((row) % 4 * SPLIT_LANES + (row) / 4)

// On variables that are shared.
#define ATOMIC_MAX(at, x)                                                                          \
    atomicMax(at, x, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed)
#define ATOMIC_MIN(at, x)                                                                          \
    atomicMin(at, x, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed)

// A stream's tile into shared memory at `at`. READ(row, quad) reads the stream.
#define STAGE(at, READ)                                                                            \
    for (uint item = PLACE; item < STREAM * (DIM / 4); item += INVOCATIONS) {                      \
        const uint stage_row = item / (DIM / 4), stage_quad = item % (DIM / 4);                    \
        arena[(at) + SLOT(stage_row) * ROW + stage_quad] = READ(stage_row, stage_quad);            \
    }

// scores[PER_LANE] += the own rows times those of a stream at `at`, in one quad of a head. READ(r, quad)
// reads the own ones.
#define MULTIPLY_QUAD(scores, at, READ)                                                            \
    {                                                                                              \
        const vec4 a = arena[(at) + ACROSS * ROW + from + by];                                     \
        const vec4 b = arena[(at) + (SPLIT_LANES + ACROSS) * ROW + from + by];                     \
        const vec4 c = arena[(at) + (2 * SPLIT_LANES + ACROSS) * ROW + from + by];                 \
        const vec4 e = arena[(at) + (3 * SPLIT_LANES + ACROSS) * ROW + from + by];                 \
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {                                           \
            const vec4 own = READ(r, from + by);                                                   \
            scores[r] += own.x * vec4(a.x, b.x, c.x, e.x);                                         \
            scores[r] += own.y * vec4(a.y, b.y, c.y, e.y);                                         \
            scores[r] += own.z * vec4(a.z, b.z, c.z, e.z);                                         \
            scores[r] += own.w * vec4(a.w, b.w, c.w, e.w);                                         \
        }                                                                                          \
    }

// sums[PER_LANE * QUADS] += a quad of the scores at `scores` times a stream's rows at `at`.
#define MULTIPLY_SCORE(sums, scores, at)                                                           \
    {                                                                                              \
        [[unroll]] for (uint n = 0; n < QUADS; n++) {                                              \
            const vec4 a = arena[(at) + from * ROW + PART(n) + by * ROW];                          \
            const vec4 b = arena[(at) + from * ROW + PART(n) + (SPLIT_LANES + by) * ROW];          \
            const vec4 c = arena[(at) + from * ROW + PART(n) + (2 * SPLIT_LANES + by) * ROW];      \
            const vec4 e = arena[(at) + from * ROW + PART(n) + (3 * SPLIT_LANES + by) * ROW];      \
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {                                       \
                const vec4 weight = arena[(scores) + OWN_ROW(r) * SCORE + from + by];              \
                sums[r * QUADS + n] += weight.x * a;                                               \
                sums[r * QUADS + n] += weight.y * b;                                               \
                sums[r * QUADS + n] += weight.z * c;                                               \
                sums[r * QUADS + n] += weight.w * e;                                               \
            }                                                                                      \
        }                                                                                          \
    }

// A loop over a tile, whose step is from + by: added to an address one after the other, so that `by`, which
// is known, becomes a part of the instruction.
#define OVER_TILE(count, body)                                                                     \
    if (WHOLE) {                                                                                   \
        const uint from = 0;                                                                       \
        [[unroll]] for (uint by = 0; by < (count); by++)                                           \
            body                                                                                   \
    } else {                                                                                       \
        [[dont_unroll]] for (uint from = 0; from < (count); from += TOGETHER(count)) {             \
            [[unroll]] for (uint by = 0; by < TOGETHER(count); by++)                               \
                body                                                                               \
        }                                                                                          \
    }
#define MULTIPLY_ROWS(scores, at, READ)                                                            \
    OVER_TILE(DIM / 4, MULTIPLY_QUAD(scores, at, READ))
#define MULTIPLY_SCORES(sums, scores, at)                                                          \
    OVER_TILE(SPLIT_LANES, MULTIPLY_SCORE(sums, scores, at))
