#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

// A product whose operands are rounded to f16, for devices without matrix units: include/gemm_tiles.glsl has
// its arguments and draws how a workgroup divides it. What is said there of subgroups is true of invocations:
// SUBGROUP_SIZE is 1, and a matrix one number. Sums are in f32.
//
// One source, two shaders. gemm_dot multiplies two pairs of f16 and adds them to a sum by one instruction, as
// AMD's GPUs of RDNA 2 can: twice the multiply-adds of f32. gemm_half, with WIDEN defined, widens its operands
// to f32, which costs nothing where a multiply-add takes them as they are (Vega, RDNA 1), and asks nothing of a
// device. In both, operands take half the shared memory, and half the loads from it.
//
// An invocation has every ROWS-th row of the tile, and of the columns every COLUMNS-th quad, which it stores
// whole. Lines of tile_b are in such an order that neighbours read neighbours.

#include "dots.glsl"
#define AFTER 0
#define PARTIAL vec4
#define B_LINE(column) ((column) % 4 * (TILE_N / 4) + (column) / 4)
#define B_APART(e) (((e) % 4 * (TILE_N / 4) + (e) / 4) * STRIDE8)
#include "gemm_tiles.glsl"

const uint QUADS = ACROSS / 4;

// The sums of an invocation, and which of the rows and quads of columns are its.
vec4 sums[DOWN * QUADS];
uint down, across;

void multiply(uint tiles)
{
    [[unroll]] for (uint octet = 0; octet < LINE8; octet++) {
        uvec4 x[DOWN];
        [[unroll]] for (uint i = 0; i < DOWN; i++)
            x[i] = arena[tiles + (down + i * ROWS) * STRIDE8 + octet];
        [[unroll]] for (uint j = 0; j < ACROSS; j++) {
            const uint line = j % 4 * (TILE_N / 4) + j / 4 * COLUMNS + across;
            const uvec4 y = arena[tiles + TILE_B_AT + line * STRIDE8 + octet];
            [[unroll]] for (uint pair = 0; pair < 4; pair++)
                [[unroll]] for (uint i = 0; i < DOWN; i++)
                    sums[i * QUADS + j / 4][j % 4] =
                        add_dot(x[i][pair], y[pair], sums[i * QUADS + j / 4][j % 4]);
        }
    }
}

// Adds an extra pair to the sums, which are in f32 as it is.
void add_extra(ExtraPair pair, uint row0, uint column0)
{
    const uint self = gl_LocalInvocationIndex;
    [[dont_unroll]] for (uint k0 = 0; k0 < pair.k; k0 += EXTRA_STEP) {
        barrier(); // nobody reads the tiles any more
        for (uint line = self; line < TILE_M; line += INVOCATIONS)
            stage_extra_a(pair, line, row0 + line, k0);
        for (uint line = self; line < TILE_N; line += INVOCATIONS)
            stage_extra_b(pair, line, column0 + line, k0);
        barrier(); // the lines are whole
        [[dont_unroll]] for (uint q = 0; q < EXTRA_STEP / 4; q++)
            [[unroll]] for (uint j = 0; j < ACROSS; j++) {
                const uint line = j % 4 * (TILE_N / 4) + j / 4 * COLUMNS + across;
                const vec4 y = uintBitsToFloat(arena[EXTRA_B_AT + line * EXTRA_STRIDE + q]);
                [[unroll]] for (uint i = 0; i < DOWN; i++)
                    sums[i * QUADS + j / 4][j % 4] +=
                        dot(uintBitsToFloat(arena[(down + i * ROWS) * EXTRA_STRIDE + q]), y);
            }
    }
}

// Takes the sums of all workgroups of a tile together. false: another one does.
bool join_sums(uint tile, uint part)
{
    const uint all = DOWN * QUADS * INVOCATIONS; // quads of a workgroup
    const uint first = COUNTERS / 4 + tile * SPLIT * all + gl_LocalInvocationIndex;
    [[unroll]] for (uint i = 0; i < DOWN * QUADS; i++)
        partials[first + part * all + i * INVOCATIONS] = sums[i];
    if (!arrives_last(tile, SPLIT))
        return false;
    [[unroll]] for (uint i = 0; i < DOWN * QUADS; i++) {
        sums[i] = vec4(0.0);
        [[dont_unroll]] for (uint p = 0; p < SPLIT; p++)
            sums[i] += partials[first + p * all + i * INVOCATIONS];
    }
    return true;
}

void store(uint row, uint column, vec4 sum)
{
    const uint at = row * push.ldc + column;
    const bool whole = ((push.n | push.ldc) & 3u) == 0;
    if (EPILOGUE == 1 || EPILOGUE == 2) {
        store_gated(at, sum);
        return;
    }
    if (EPILOGUE == 3)
        sum += gate_quad(at);
    else if (push.accumulate != 0)
        sum += c_load(whole, at, push.n - column);
    c_store(whole, at, push.n - column, sum);
}

void main()
{
    const uint self = gl_LocalInvocationIndex;
    const uint tiles_down = (push.m + TILE_M - 1) / TILE_M, tiles_across = (push.n + TILE_N - 1) / TILE_N;
    const uint part = SPLIT > 1 ? gl_WorkGroupID.y / tiles_down : 0; // of k
    const uint tile_row = gl_WorkGroupID.y - part * tiles_down;
    const uint row0 = tile_row * TILE_M, column0 = gl_WorkGroupID.x * TILE_N;
    const uint from = part * (push.k / SPLIT), to = SPLIT > 1 ? from + push.k / SPLIT : push.k;
    down = self / COLUMNS;
    across = self % COLUMNS;
    [[unroll]] for (uint i = 0; i < DOWN * QUADS; i++)
        sums[i] = vec4(0.0);

    float scale_a, scale_b;
    find_scales(scale_a, scale_b);
    fetch_first(row0, column0, from);
    uint tiles = 0; // where the step's tiles lie
    for (uint k0 = from; k0 < to; k0 += K_STEP) {
        if (BUFFERS == 1)
            barrier(); // nobody reads the tiles any more
        stage_step(tiles, scale_a, scale_b);
        barrier(); // the tiles are whole; of two buffers, nobody reads the other any more
        if (k0 + K_STEP < to)
            fetch_next(row0, column0, k0 + K_STEP);
        multiply(tiles);
        if (BUFFERS == 2)
            tiles = TILES - tiles;
    }
    if (SPLIT > 1 && !join_sums(tile_row * tiles_across + gl_WorkGroupID.x, part))
        return; // the whole workgroup leaves together

    // Two factors one after the other: their product may lie beyond f32.
    const float back_a = inverse(scale_a), back_b = inverse(scale_b);
    [[unroll]] for (uint i = 0; i < DOWN * QUADS; i++)
        sums[i] = sums[i] * back_a * back_b;
    for (uint term = 0; term < (EXTRA != 0 ? 1 + ADDED : 0); term++)
        add_extra(EXTRA_PAIR_OF(term), row0, column0);

    [[unroll]] for (uint i = 0; i < DOWN; i++) {
        const uint row = row0 + down + i * ROWS;
        [[unroll]] for (uint j = 0; j < QUADS; j++) {
            const uint column = column0 + 4 * (j * COLUMNS + across);
            if (WHOLE != 0 || (row < push.m && column < push.n))
                store(row, column, push.alpha * sums[i * QUADS + j]);
        }
    }
    if (FINDS_LARGEST != 0)
        keep_peak(tile_row * tiles_across + gl_WorkGroupID.x);
}
