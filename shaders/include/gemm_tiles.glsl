// What the products share whose operands are rounded to 16 bits, C[m, n] = alpha * (opA(A) opB(B) + E) +
// (accumulate ? C : 0): their arguments, and how operands come to shared memory. What is done with them
// there is the includer's: matrix units multiply (gemm_cm), or each invocation for itself (gemm_dot).
//
//   NT: A[m, k] B[n, k]      NN: A[m, k] B[k, n]      TN: A[k, m] B[k, n]
//
// A workgroup owns TILE_M x TILE_N elements of C; its subgroups, ROWS of them down and the rest
// across, share the tile out among them, and each holds its part as matrices of MATRIX_M x MATRIX_N
// sums. For K_STEP values of k at a time both operands are rounded to 16 bits and staged in shared
// memory:
//
//                          TILE_N
//                     +--------------+
//                     |    tile_b    | K_STEP
//        K_STEP       +--------------+
//       +------+      +------+-------+
//       |tile_a|      | sub- | sub-  |  each subgroup: its rows of tile_a times its columns of
//       |      |      |group0| group1|  tile_b, by matrices of MATRIX_M x MATRIX_K and
//       |      |      +------+-------+  MATRIX_K x MATRIX_N
//       |      |      |  2   |   3   |
//       +------+      +------+-------+ TILE_M
//
// In shared memory a tile lies as lines along k, one for each row of tile_a and each column of tile_b,
// whatever the layout. Staging moves eight consecutive elements of a buffer at a time, an octet. Where k
// runs across these (A[k, m], B[k, n]: "turned"), an invocation takes the octets of two neighbouring k and
// writes pairs of them into eight lines. Lines are padded by 16 bytes, so that those that are read together
// fall into different banks. The next step's loads are issued before this step's arithmetic and wait in
// registers. With two BUFFERS the steps take turns, and meet at one barrier instead of two.
//
// f16 knows nothing beyond 65504 and next to nothing below 6e-8, while a gradient may be of any
// size. So an operand in f32 whose bit in SCALED is set (1: A, 2: B) is multiplied by the power of
// two that takes its largest element to 2^14 .. 2^15, and the sums are multiplied back. The largest
// elements of 256 parts come from `absmax`. bf16 has the range of f32 and needs none of it.
//
// With EXTRA (NT and NN), E = extra_scale * extra_a extra_b of extra_k columns and rows, dense, f32,
// laid out as A and B are: a LoRA pair's. It is not rounded: when the tiles have served, they take
// EXTRA_STEP columns of extra_a and rows of extra_b at a time, a row or column of C a line, as quads
// along k, of which each invocation multiplies those for its own elements.
//
// With EPILOGUE, n and ldc are multiples of 4, and nothing is accumulated. 1: C is the half `up` of a gated
// MLP, and gated = act(gate) C, of C as it is stored, so that `swiglu` finds the same. 2: the sums are the
// gradient of that, and C and `gated` become those of gate and up. They may lie where gate and up do:
// whoever writes a quad has read it before. With FINDS_LARGEST besides, the largest of what becomes an
// operand of the next product (1: `gated`; 2: C and `gated`) is kept in 256 words that were zero, as
// `absmax` would find it. 3: `gate`, in f32 as C is, is added: the residual stream that bypassed a block.
//
// With ADDED (NN), so many products are added to the first (terms.glsl).
//
// With SPLIT, so many workgroups share a tile's k (partials.glsl), or a product of few tiles would leave
// most of a GPU idle; the last one goes on alone. k is a multiple of SPLIT * K_STEP.
//
// ALIGNED promises that lda, the rows of A, ldb and the rows of B are multiples of 8 elements. A
// row is k long for A[m, k] and B[n, k], m long for A[k, m], n long for B[k, n]. WHOLE promises that
// besides m, n and k are multiples of TILE_M, TILE_N and K_STEP: then no place is held against an edge.
// TILE_M is a multiple of 8 and of ROWS * MATRIX_M, and so on; K_STEP of 8 and of MATRIX_K.
// The sum over k runs in one fixed order: the same input gives the same bits.
//
// The includer defines AFTER, the quads of shared memory that it needs behind those of the extra pair, and
// what partials.glsl asks for but PARTIALS_BINDING and TOLD. For an order of its own of tile_b's lines it
// defines B_LINE and B_APART.
#ifndef GEMM_TILES_GLSL
#define GEMM_TILES_GLSL

layout(local_size_x_id = 3) in;
layout(constant_id = 1) const uint LAYOUT = 0;
layout(constant_id = 2) const uint ALIGNED = 0;
layout(constant_id = 4) const uint TILE_M = 64;
layout(constant_id = 5) const uint TILE_N = 64;
layout(constant_id = 6) const uint K_STEP = 32;
layout(constant_id = 7) const uint ROWS = 2;
layout(constant_id = 8) const uint MATRIX_M = 16;
layout(constant_id = 9) const uint MATRIX_N = 16;
layout(constant_id = 10) const uint MATRIX_K = 16;
layout(constant_id = 11) const uint SUBGROUP_SIZE = 32;
layout(constant_id = 12) const uint SCALED = 0;
layout(constant_id = 13) const uint EXTRA = 0;
layout(constant_id = 14) const uint WHOLE = 0;
layout(constant_id = 15) const uint EPILOGUE = 0;
layout(constant_id = 16) const uint GELU = 0;
layout(constant_id = 17) const uint ADDED = 0;
layout(constant_id = 18) const uint FINDS_LARGEST = 0;
layout(constant_id = 19) const uint BUFFERS = 1;
layout(constant_id = 20) const uint SPLIT = 1;

const uint NT = 0;
const uint NN = 1;
const uint TN = 2;

const uint INVOCATIONS = gl_WorkGroupSize.x;
const uint SUBGROUPS = INVOCATIONS / SUBGROUP_SIZE;
const uint COLUMNS = SUBGROUPS / ROWS;
const uint PART_M = TILE_M / ROWS; // of a subgroup
const uint PART_N = TILE_N / COLUMNS;
const uint DOWN = PART_M / MATRIX_M; // matrices of it
const uint ACROSS = PART_N / MATRIX_N;

// Lines of a tile in octets, eight 16-bit elements each: how long they are, how far apart they lie.
const uint LINE8 = K_STEP / 8;
const uint STRIDE8 = LINE8 + 1;

// How many octets an invocation takes of a tile in a step; of a turned tile two at a time.
const bool A_TURNED = LAYOUT == TN;
const bool B_TURNED = LAYOUT != NT;
const uint A_EACH = A_TURNED ? 2 : 1;
const uint B_EACH = B_TURNED ? 2 : 1;
const uint A_ITEMS = TILE_M * LINE8 / A_EACH;
const uint B_ITEMS = TILE_N * LINE8 / B_EACH;
const uint A_FETCHES = (A_ITEMS + INVOCATIONS - 1) / INVOCATIONS * A_EACH;
const uint B_FETCHES = (B_ITEMS + INVOCATIONS - 1) / INVOCATIONS * B_EACH;

#include "terms.glsl"

layout(push_constant) uniform Push {
    uint m, n, k;
    uint lda, ldb, ldc; // elements from one row to the next
    float alpha;
    uint accumulate;
    uint extra_k;
    float extra_scale;
    TERMS_SCALARS
} push;

#define WEIGHT_BINDING 1
#define WEIGHT_COUNT ((LAYOUT == NT ? push.n : push.k) * push.ldb)
#include "weight.glsl"
#include "operand.glsl"

const uint THREADS = INVOCATIONS;
#define SLOTS 1 // the largest of a workgroup is found in `largest` instead
#define LARGEST_BINDING 10
#include "largest.glsl"

const bool B_ALIGNED = ALIGNED != 0 || WEIGHT_BLOCK > 1; // rows of blocks are whole octets

ACT_READ(0, a)
ACT_UPDATE(4, c)
ACT_READ(7, gate)   // with EPILOGUE
ACT_READ(8, up)     // EPILOGUE == 2
ACT_WRITE(9, gated) // EPILOGUE 1 and 2

// The bits of the largest number that this invocation has met, with FINDS_LARGEST.
uint peak = 0;
#define FOUND(quad) peak = larger_bits(peak, quad)
#include "epilogue.glsl"

const bool B_KEPT = STORED == ROUNDED; // words are taken as they are
const bool A_KEPT = (a_type ^ ROUNDED | SCALED & 1) == 0; // (glslang would branch to make an &&)
layout(std430, set = 0, binding = 2) readonly buffer MaxA { float max_a[]; }; // [256] if scaled
layout(std430, set = 0, binding = 3) readonly buffer MaxB { float max_b[]; };
layout(std430, set = 0, binding = 5) readonly buffer ExtraA { float extra_a[]; };
layout(std430, set = 0, binding = 6) readonly buffer ExtraB { float extra_b[]; };
// Shared memory, in 16 bytes: the two tiles, BUFFERS times; when they have served, the lines of the extra
// pair, and behind these AFTER quads of the includer's.
const uint EXTRA_STEP = 8;
const uint EXTRA_STRIDE = EXTRA_STEP / 4 + 1; // quads from one line to the next: odd, for the banks
const uint TILE_B_AT = TILE_M * STRIDE8;
const uint TILES = (TILE_M + TILE_N) * STRIDE8;
const uint EXTRA_B_AT = TILE_M * EXTRA_STRIDE;
const uint AFTER_AT = EXTRA != 0 ? (TILE_M + TILE_N) * EXTRA_STRIDE : 0;
const uint AFTERWARDS = AFTER_AT + AFTER;
shared uvec4 arena[BUFFERS * TILES > AFTERWARDS ? BUFFERS * TILES : AFTERWARDS];
// [0]: A's and, at the end, C's; [1]: B's; [2]: TOLD. Of four, so that wherever a driver lays `arena`, its
// quads begin at multiples of 16 bytes: RADV loaded halves of them, with a move for each word, while it had two.
shared uint largest[4];

#define PARTIALS_BINDING 11
#define TOLD largest[2]
#include "partials.glsl"

// Where an octet of a tile belongs: to eight k from `k` on of one line, or, turned, to one k of eight lines
// from `line` on.
struct Place {
    uint line, k;
};

// Of an invocation's fetch number `fetch`. Neighbours take neighbouring k, which a turned tile's stores
// need: eight lines are a multiple of all banks.
Place place_of(uint fetch, uint each)
{
    const uint item = fetch / each * INVOCATIONS + gl_LocalInvocationIndex;
    if (each == 2)
        return Place(item / (K_STEP / 2) * 8, item % (K_STEP / 2) * 2 + fetch % 2);
    return Place(item / LINE8, item % LINE8 * 8);
}

// Where that is in shared memory: which octet of the tile and, turned, which word of it. `line`: where the
// place's line lies.
uvec2 place_in_tile(Place place, uint line)
{
    return uvec2(line * STRIDE8 + place.k / 8, place.k / 2 % 4);
}

// Where a fetch's octet begins at k = 0, in octets of the buffer; used where rows are whole octets.
uint origin_of(uint fetch, uint each, bool turned, uint line0, uint row_length)
{
    const Place place = place_of(fetch, each);
    return turned ? place.k * (row_length / 8) + (line0 + place.line) / 8
                  : (line0 + place.line) * (row_length / 8) + place.k / 8;
}

#define A_APART(e) ((e) * STRIDE8)
#ifndef B_LINE // where a column's line lies in tile_b, and that of the e-th column after a multiple of 8
#define B_LINE(column) (column)
#define B_APART(e) ((e) * STRIDE8)
#endif

// Of A; where a step along k begins another term, it is another.
uint origin_of_a(uint fetch, uint row0, uint k0)
{
    const Term term = TERM_AT(k0); // whose a may be below zero
    return origin_of(fetch, A_EACH, A_TURNED, row0, term.lda) + uint(int(term.a) >> 3);
}

// How far it moves on where k has come to `k0`, in octets.
uint moved(uint k0, bool turned, uint row_length)
{
    return turned ? k0 * (row_length / 8) : k0 / 8;
}

// Eight elements of A on their way: two quads of f32 or, in `low`, two in 16 bits.
Octet fetch_a(uint fetch, uint origin, uint row0, uint k0)
{
    const Place place = place_of(fetch, A_EACH);
    const Term term = TERM_AT(k0);
    const uint row = A_TURNED ? k0 + place.k : row0 + place.line; // of the buffer
    const uint column = A_TURNED ? row0 + place.line : k0 + place.k;
    const uint rows = A_TURNED ? push.k : push.m, columns = A_TURNED ? push.m : push.k;
    Octet result = NO_OCTET;
    if (ALIGNED != 0 || a_type != WEIGHT_F32) { // rows are whole octets
        const uint octet = origin + moved(k0, A_TURNED, push.lda);
        if (WHOLE != 0 || (row < rows && column < columns)) {
            if (a_type != WEIGHT_F32) {
                result.low = uvec4(a2[2 * octet], a2[2 * octet + 1]);
            } else {
                result.low = floatBitsToUint(a4[2 * octet]);
                result.high = floatBitsToUint(a4[2 * octet + 1]);
            }
        }
    } else if (row < rows) {
        const uint start = term.a + row * term.lda + column;
        [[unroll]] for (uint i = 0; i < 4; i++) {
            if (column + i < columns)
                result.low[i] = floatBitsToUint(a1[start + i]);
            if (column + i + 4 < columns)
                result.high[i] = floatBitsToUint(a1[start + i + 4]);
        }
    }
    return result;
}

Octet fetch_b(uint fetch, uint origin, uint column0, uint k0)
{
    const Place place = place_of(fetch, B_EACH);
    const Term term = TERM_AT(k0);
    const uint row = B_TURNED ? k0 + place.k : column0 + place.line; // of the buffer
    const uint column = B_TURNED ? column0 + place.line : k0 + place.k;
    const uint rows = B_TURNED ? push.k : push.n, columns = B_TURNED ? push.n : push.k;
    Octet result = NO_OCTET;
    if (B_ALIGNED) {
        const uint octet = origin + moved(k0, B_TURNED, push.ldb) + term.b / 8; // (wraps as elements would)
        if (WHOLE != 0 || (row < rows && column < columns))
            result = weight_fetch(8 * octet, 8 * octet + 4);
    } else if (row < rows) {
        const uint start = term.b + row * push.ldb + column;
        [[unroll]] for (uint i = 0; i < 8; i++)
            if (column + i < columns)
                weight_put(result, i, start + i);
    }
    return result;
}

// The numbers of an octet of A.
void decode_a(Octet value, out vec4 low, out vec4 high)
{
    low = uintBitsToFloat(value.low), high = uintBitsToFloat(value.high);
    if (a_type != WEIGHT_F32) {
        low = act_decode(a_type, value.low.xy);
        high = act_decode(a_type, value.low.zw);
    }
}

// Element e of two octets x and y as one word. `kept`: they are stored as the operands' type, and not
// touched; else the numbers are rounded.
uint pair_of(uint e, bool kept, Octet x, Octet y, vec4 x_quad, vec4 y_quad)
{
    return kept ? halves_of(e % 2, x.low[e / 2], y.low[e / 2])
                : round2(vec2(x_quad[e % 4], y_quad[e % 4]));
}

// Takes what was fetched as number `fetch` (of a turned tile two octets, of neighbouring k) to its lines:
// the e-th of eight lies apart(e) octets behind the first.
#define STAGE(base, decode, fetched, places, apart, fetch, each, items, kept, scale)               \
    if (items % INVOCATIONS == 0 ||                                                                \
        fetch / each * INVOCATIONS + gl_LocalInvocationIndex < items) {                            \
        const uint at = (base) + places[fetch].x, word = places[fetch].y;                          \
        const Octet x = fetched[fetch], y = fetched[fetch + each - 1];                             \
        vec4 x_low, x_high, y_low, y_high;                                                         \
        decode(x, x_low, x_high);                                                                  \
        decode(y, y_low, y_high);                                                                  \
        x_low *= scale, x_high *= scale, y_low *= scale, y_high *= scale;                          \
        if (each == 2) {                                                                           \
            [[unroll]] for (uint e = 0; e < 4; e++) {                                              \
                arena[at + apart(e)][word] = pair_of(e, kept, x, y, x_low, y_low);                 \
                arena[at + apart(e + 4)][word] = pair_of(e + 4, kept, x, y, x_high, y_high);       \
            }                                                                                      \
        } else if (kept) {                                                                         \
            arena[at] = x.low;                                                                     \
        } else {                                                                                   \
            arena[at] = round8(x_low, x_high);                                                     \
        }                                                                                          \
    }

// The power of two that takes `bits`, of an f32, to 2^14 .. 2^15: 2^(14 - exponent), kept where it
// and its inverse are ordinary numbers. Nothing is changed where all is zero, or something is
// infinite or no number: it comes out as f32 would have it.
float scale_of(uint bits)
{
    const uint exponent = bits >> 23;
    if (bits == 0 || exponent == 255)
        return 1.0;
    return uintBitsToFloat(clamp(268 - int(exponent), 1, 253) << 23);
}

void find_scales(out float scale_a, out float scale_b)
{
    const uint self = gl_LocalInvocationIndex;
    scale_a = scale_b = 1.0;
    if (SCALED != 0) {
        if (self < 2)
            largest[self] = 0;
        barrier();
        // Bits of numbers that are not negative keep their order.
        for (uint i = self; i < 256; i += INVOCATIONS) {
            if ((SCALED & 1) != 0)
                atomicMax(largest[0], floatBitsToUint(max_a[i]));
            if ((SCALED & 2) != 0)
                atomicMax(largest[1], floatBitsToUint(max_b[i]));
        }
        barrier();
        if ((SCALED & 1) != 0)
            scale_a = scale_of(largest[0]);
        if ((SCALED & 2) != 0)
            scale_b = scale_of(largest[1]);
    }
}

// What an invocation has fetched of both operands, and where it belongs.
Octet next_a[A_FETCHES], next_b[B_FETCHES];
uvec2 a_places[A_FETCHES], b_places[B_FETCHES];
uint a_origins[A_FETCHES], b_origins[B_FETCHES];

void fetch_step(uint row0, uint column0, uint k0)
{
    [[unroll]] for (uint i = 0; i < A_FETCHES; i++)
        next_a[i] = fetch_a(i, a_origins[i], row0, k0);
    [[unroll]] for (uint i = 0; i < B_FETCHES; i++)
        next_b[i] = fetch_b(i, b_origins[i], column0, k0);
}

// Fetches the first step, which begins at k = `from`.
void fetch_first(uint row0, uint column0, uint from)
{
    [[unroll]] for (uint i = 0; i < A_FETCHES; i++) {
        const Place place = place_of(i, A_EACH);
        a_places[i] = place_in_tile(place, place.line);
        a_origins[i] = origin_of_a(i, row0, from);
    }
    [[unroll]] for (uint i = 0; i < B_FETCHES; i++) {
        const Place place = place_of(i, B_EACH);
        b_places[i] = place_in_tile(place, B_LINE(place.line));
        b_origins[i] = origin_of(i, B_EACH, B_TURNED, column0, push.ldb);
    }
    fetch_step(row0, column0, from);
}

void fetch_next(uint row0, uint column0, uint k0)
{
    if (BEGINS_TERM(k0))
        [[unroll]] for (uint i = 0; i < A_FETCHES; i++)
            a_origins[i] = origin_of_a(i, row0, k0);
    fetch_step(row0, column0, k0);
}

// Takes what was fetched to the tiles at `tiles`.
void stage_step(uint tiles, float scale_a, float scale_b)
{
    [[unroll]] for (uint i = 0; i < A_FETCHES; i += A_EACH)
        STAGE(tiles, decode_a, next_a, a_places, A_APART, i, A_EACH, A_ITEMS, A_KEPT, scale_a)
    [[unroll]] for (uint i = 0; i < B_FETCHES; i += B_EACH)
        STAGE(tiles + TILE_B_AT, weight_decode, next_b, b_places, B_APART, i, B_EACH, B_ITEMS, B_KEPT,
              scale_b)
}

// EXTRA_STEP elements of a row of a pair's extra_a, from k0 on; zero beyond it.
void stage_extra_a(ExtraPair pair, uint line, uint row, uint k0)
{
    [[unroll]] for (uint q = 0; q < EXTRA_STEP / 4; q++) {
        vec4 quad = vec4(0.0);
        [[unroll]] for (uint i = 0; i < 4; i++)
            if (row < push.m && k0 + 4 * q + i < pair.k)
                quad[i] = push.extra_scale * extra_a[pair.a + row * pair.k + k0 + 4 * q + i];
        arena[line * EXTRA_STRIDE + q] = floatBitsToUint(quad);
    }
}

// Of what a column of C meets in extra_b.
void stage_extra_b(ExtraPair pair, uint line, uint column, uint k0)
{
    [[unroll]] for (uint q = 0; q < EXTRA_STEP / 4; q++) {
        vec4 quad = vec4(0.0);
        [[unroll]] for (uint i = 0; i < 4; i++) {
            const uint k = k0 + 4 * q + i;
            if (column < push.n && k < pair.k)
                quad[i] = extra_b[pair.b + (LAYOUT == NT ? column * pair.k + k : k * push.n + column)];
        }
        arena[EXTRA_B_AT + B_LINE(line) * EXTRA_STRIDE + q] = floatBitsToUint(quad);
    }
}

// The inverse of a power of two between 2^-126 and 2^126.
float inverse(float power)
{
    return uintBitsToFloat((254u << 23) - floatBitsToUint(power));
}

// The largest element that the workgroup has met on the way, with FINDS_LARGEST.
void keep_peak(uint tile)
{
    if (gl_LocalInvocationIndex == 0)
        largest[0] = 0;
    barrier();
    atomicMax(largest[0], peak);
    barrier();
    if (gl_LocalInvocationIndex == 0)
        atomicMax(largest_bits[tile % 256], largest[0]);
}

#endif
