#include "base/blocks.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { MOST = 256 }; // elements of a block

static const struct {
    uint32_t elements, data, header;
    int gguf;
} blocks[] = {
#define WEIGHT(number, name, elements, data, header, gguf) {elements, data, header, gguf},
#include "base/weights.def"
#undef WEIGHT
};

uint64_t ts_blocks_data_bytes(ts_dtype dtype, uint64_t count)
{
    return count / blocks[dtype].elements * blocks[dtype].data;
}

uint64_t ts_blocks_header_bytes(ts_dtype dtype, uint64_t count)
{
    return count / blocks[dtype].elements * blocks[dtype].header;
}

// ---- Decoding: one block, from its data and its header

static void decode_F32(const uint8_t *data, const uint8_t *header, float *out)
{
    (void)header;
    memcpy(out, data, sizeof *out);
}

static uint16_t half_at(const uint8_t *bytes)
{
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return half;
}

static void decode_F16(const uint8_t *data, const uint8_t *header, float *out)
{
    (void)header;
    *out = ts_f16_to_f32(half_at(data));
}

static void decode_BF16(const uint8_t *data, const uint8_t *header, float *out)
{
    (void)header;
    *out = ts_bf16_to_f32(half_at(data));
}

static float scale_at(const uint8_t *bytes)
{
    return ts_f16_to_f32(half_at(bytes));
}

static void decode_Q8_0(const uint8_t *data, const uint8_t *header, float *out)
{
    const float d = scale_at(header);
    for (int i = 0; i < 32; i++) {
        out[i] = d * (float)(int8_t)data[i];
    }
}

// The levels of NF4 (Dettmers et al. 2023, QLoRA): quantiles of a normal distribution, and 0. The
// digits are those of bitsandbytes.
const float ts_nf4_levels[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

static void decode_levels(const uint8_t *data, float largest, float *out)
{
    for (int i = 0; i < 64; i++) {
        out[i] = ts_nf4_levels[i % 2 == 0 ? data[i / 2] >> 4 : data[i / 2] & 15] * largest;
    }
}

static void decode_NF4(const uint8_t *data, const uint8_t *header, float *out)
{
    float largest;
    memcpy(&largest, header, sizeof largest);
    decode_levels(data, largest, out);
}

// A magnitude needs no sign, so that the bit of the sign is free to tell f16 (set) from bf16.
enum { IS_F16 = 0x8000 };

static float magnitude_of(uint16_t code)
{
    return code & IS_F16 ? ts_f16_to_f32(code & ~IS_F16) : ts_bf16_to_f32(code);
}

static void decode_NF4_16(const uint8_t *data, const uint8_t *header, float *out)
{
    decode_levels(data, magnitude_of(half_at(header)), out);
}

// Element i of a block of 32, of four bits each.
static int half_of_32(const uint8_t *data, int i)
{
    return data[i % 16] >> i / 16 * 4 & 15;
}

static void decode_Q4_0(const uint8_t *data, const uint8_t *header, float *out)
{
    const float d = scale_at(header);
    for (int i = 0; i < 32; i++) {
        out[i] = d * (float)(half_of_32(data, i) - 8);
    }
}

static void decode_Q4_1(const uint8_t *data, const uint8_t *header, float *out)
{
    const float d = scale_at(header), m = scale_at(header + 2);
    for (int i = 0; i < 32; i++) {
        out[i] = d * (float)half_of_32(data, i) + m;
    }
}

// Element i of a block of 32, of five bits each.
static int five_of_32(const uint8_t *data, const uint8_t *fifths, int i)
{
    return half_of_32(data, i) | (fifths[i / 8] >> i % 8 & 1) << 4;
}

static void decode_Q5_0(const uint8_t *data, const uint8_t *header, float *out)
{
    const float d = scale_at(header);
    for (int i = 0; i < 32; i++) {
        out[i] = d * (float)(five_of_32(data, header + 2, i) - 16);
    }
}

static void decode_Q5_1(const uint8_t *data, const uint8_t *header, float *out)
{
    const float d = scale_at(header), m = scale_at(header + 2);
    for (int i = 0; i < 32; i++) {
        out[i] = d * (float)five_of_32(data, header + 4, i) + m;
    }
}

static void decode_IQ4_NL(const uint8_t *data, const uint8_t *header, float *out)
{
    static const int8_t levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};
    const float d = scale_at(header);
    for (int i = 0; i < 32; i++) {
        out[i] = d * (float)levels[half_of_32(data, i)];
    }
}

// Multiplier and offset of group j of a Q4_K or Q5_K block, which is 32 elements: an element is
// multiplier * q - offset. Each of the eight groups has a scale and a minimum of six bits. Those of
// the first four groups are the lower six bits of bytes 0 to 3 and 4 to 7. Those of the last four
// have their lower four bits in bytes 8 to 11 and their upper two in the upper bits of bytes 0 to
// 7. All products here, and multiplier * q, are exact in f32.
static void scale_part(const uint8_t *header, int j, float *multiplier, float *offset)
{
    const uint8_t *six = header + 4;
    int scale = six[j % 4] & 63, minimum = six[4 + j % 4] & 63;
    if (j >= 4) {
        scale = (six[4 + j] & 15) | six[j - 4] >> 6 << 4;
        minimum = six[4 + j] >> 4 | six[j] >> 6 << 4;
    }
    *multiplier = scale_at(header) * (float)scale;
    *offset = scale_at(header + 2) * (float)minimum;
}

// Value i of four bits each. 32 bytes hold 64 values: 32 in the lower halves, then 32 in the upper.
static int half_byte(const uint8_t *bytes, int i)
{
    return bytes[i / 64 * 32 + i % 32] >> i / 32 % 2 * 4 & 15;
}

static void decode_Q4_K(const uint8_t *data, const uint8_t *header, float *out)
{
    float multiplier = 0, offset = 0;
    for (int i = 0; i < 256; i++) {
        if (i % 32 == 0) {
            scale_part(header, i / 32, &multiplier, &offset);
        }
        out[i] = multiplier * (float)half_byte(data, i) - offset;
    }
}

static void decode_Q5_K(const uint8_t *data, const uint8_t *header, float *out)
{
    float multiplier = 0, offset = 0;
    for (int i = 0; i < 256; i++) {
        if (i % 32 == 0) {
            scale_part(header, i / 32, &multiplier, &offset);
        }
        const int fifth = data[i % 32] >> i / 32 & 1;
        out[i] = multiplier * (float)(half_byte(data + 32, i) | fifth << 4) - offset;
    }
}

static void decode_Q6_K(const uint8_t *data, const uint8_t *header, float *out)
{
    const float d = scale_at(header + 16);
    for (int i = 0; i < 256; i++) {
        const int lower = data[i / 128 * 64 + i % 64] >> i / 64 % 2 * 4 & 15;
        const int upper = data[128 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
        out[i] = d * (float)(int8_t)header[i / 16] * (float)((lower | upper << 4) - 32);
    }
}

void ts_blocks_decode(ts_dtype dtype, const void *tensor, uint64_t count, double *out)
{
    static void (*const decode[])(const uint8_t *, const uint8_t *, float *) = {
#define WEIGHT(number, name, elements, data, header, gguf) decode_##name,
#include "base/weights.def"
#undef WEIGHT
    };
    const uint8_t *data = tensor, *header = data + ts_blocks_data_bytes(dtype, count);
    float values[MOST];
    assert(dtype < TS_WEIGHT_TYPES && blocks[dtype].elements <= MOST);
    for (uint64_t at = 0; at < count; at += blocks[dtype].elements) {
        decode[dtype](data, header, values);
        for (uint32_t i = 0; i < blocks[dtype].elements; i++) {
            out[at + i] = values[i];
        }
        data += blocks[dtype].data;
        header += blocks[dtype].header;
    }
}

// ---- Blocks as a GGUF file has them

bool ts_blocks_of_gguf(uint32_t type, ts_dtype *out)
{
    for (size_t i = 0; i < TS_WEIGHT_TYPES; i++) {
        if (blocks[i].gguf >= 0 && (uint32_t)blocks[i].gguf == type) {
            *out = (ts_dtype)i;
            return true;
        }
    }
    return false;
}

void ts_blocks_split(ts_dtype dtype, const void *file, uint64_t count, uint8_t *data,
                     uint8_t *headers)
{
    const uint32_t data_bytes = blocks[dtype].data, header_bytes = blocks[dtype].header;
    const uint32_t data_at = dtype == TS_Q6_K ? 0 : header_bytes; // the others begin with a header
    const uint32_t header_at = dtype == TS_Q6_K ? data_bytes : 0;
    const uint8_t *block = file;
    for (uint64_t at = 0; at < count; at += blocks[dtype].elements) {
        memcpy(data, block + data_at, data_bytes);
        memcpy(headers, block + header_at, header_bytes);
        block += data_bytes + header_bytes;
        data += data_bytes;
        headers += header_bytes;
    }
}

// Where in a header the scales in f16 begin, and how many there are. NF4's scales are others.
static const struct {
    uint32_t at, count;
} halves[TS_WEIGHT_TYPES] = {
    [TS_Q8_0] = {0, 1}, [TS_Q4_0] = {0, 1},  [TS_Q4_K] = {0, 2},
    [TS_Q5_K] = {0, 2}, [TS_Q6_K] = {16, 1}, [TS_Q4_1] = {0, 2},
    [TS_Q5_0] = {0, 1}, [TS_Q5_1] = {0, 2},  [TS_IQ4_NL] = {0, 1},
};

static bool header_is_finite(ts_dtype dtype, const uint8_t *header)
{
    float largest = 0;
    for (uint32_t i = 0; i < halves[dtype].count; i++) {
        if ((half_at(header + halves[dtype].at + 2 * i) & 0x7C00u) == 0x7C00u) {
            return false;
        }
    }
    if (dtype == TS_NF4) {
        memcpy(&largest, header, sizeof largest);
    } else if (dtype == TS_NF4_16) {
        largest = magnitude_of(half_at(header));
    }
    return isfinite(largest);
}

uint64_t ts_blocks_count_not_finite(ts_dtype dtype, const uint8_t *headers, uint64_t count,
                                    uint64_t *first)
{
    uint64_t found = 0;
    *first = 0;
    for (uint64_t at = 0; at < count; at += blocks[dtype].elements) {
        if (!header_is_finite(dtype, headers)) {
            *first = found++ == 0 ? at : *first;
        }
        headers += blocks[dtype].header;
    }
    return found;
}

void ts_blocks_draw(ts_dtype dtype, uint64_t count, uint32_t *state, uint8_t *tensor)
{
    const uint64_t bytes = ts_dtype_size(dtype, count);
    uint8_t *header = tensor + ts_blocks_data_bytes(dtype, count);
    for (uint64_t i = 0; i < bytes; i++) {
        *state = *state * 1664525u + 1013904223u;
        tensor[i] = (uint8_t)(*state >> 24);
    }
    for (uint64_t at = 0; at < count; at += blocks[dtype].elements) {
        const float scale = (float)(1 + header[0] % 16) * 0x1p-12f;
        for (uint32_t i = 0; i < halves[dtype].count; i++) {
            const uint16_t half = ts_f32_to_f16(i == 0 ? scale : 8 * scale);
            memcpy(header + halves[dtype].at + 2 * i, &half, sizeof half);
        }
        if (dtype == TS_NF4) {
            memcpy(header, &scale, sizeof scale);
        } else if (dtype == TS_NF4_16) {
            const uint16_t code =
                header[1] % 2 ? IS_F16 | ts_f32_to_f16(scale) : ts_f32_to_bf16(scale);
            memcpy(header, &code, sizeof code);
        }
        header += blocks[dtype].header;
    }
}

// ---- Quantising one block. Q8_0: by gguf-py's own steps in float (gguf/quants.py)

static float largest_of(const float *x, int count)
{
    float largest = 0;
    for (int i = 0; i < count; i++) {
        largest = fmaxf(largest, fabsf(x[i]));
    }
    return largest;
}

// The scale d is stored in f16, but the elements are divided by its f32 value. A d so small that
// 1 / d overflows is 0 in f16 anyway: such a block becomes all zeros.
static void quantise_Q8_0(const float *x, float largest, uint8_t *data, uint8_t *header)
{
    const float d = largest / 127, inverse = isfinite(1 / d) ? 1 / d : 0;
    const uint16_t half = ts_f32_to_f16(d);
    memcpy(header, &half, sizeof half);
    for (int i = 0; i < 32; i++) {
        data[i] = (uint8_t)(int8_t)roundf(x[i] * inverse);
    }
}

// Takes the nearest level, and halfway between two the lower one, as bitsandbytes does. A block
// whose largest magnitude is so small that its inverse overflows becomes all zeros.
static void find_levels(const float *x, float largest, uint8_t *data)
{
    const float inverse = isfinite(1 / largest) ? 1 / largest : 0;
    for (int i = 0; i < 64; i++) {
        const double value = (double)(x[i] * inverse);
        int level = 0;
        while (level < 15 &&
               value > 0.5 * ((double)ts_nf4_levels[level] + (double)ts_nf4_levels[level + 1])) {
            level++;
        }
        data[i / 2] = (uint8_t)(i % 2 == 0 ? level << 4 : data[i / 2] | level);
    }
}

static void quantise_NF4(const float *x, float largest, uint8_t *data, uint8_t *header)
{
    memcpy(header, &largest, sizeof largest);
    find_levels(x, largest, data);
}

// The largest magnitude is one of the elements': bf16 holds it, or else f16 does.
static void quantise_NF4_16(const float *x, float largest, uint8_t *data, uint8_t *header)
{
    uint16_t code = ts_f32_to_bf16(largest);
    if (ts_bf16_to_f32(code) != largest) {
        code = IS_F16 | ts_f32_to_f16(largest);
    }
    memcpy(header, &code, sizeof code);
    find_levels(x, magnitude_of(code), data);
}

static const struct {
    ts_dtype dtype;
    float limit; // the largest magnitude that it can hold
    void (*quantise)(const float *x, float largest, uint8_t *data, uint8_t *header);
} made[] = {
    {TS_Q8_0, 127 * 65504.0f, quantise_Q8_0},
    {TS_NF4, FLT_MAX, quantise_NF4},
    {TS_NF4_16, FLT_MAX, quantise_NF4_16},
};

static size_t maker_of(ts_dtype dtype)
{
    size_t i = 0;
    while (made[i].dtype != dtype) {
        i++;
        assert(i < sizeof made / sizeof *made);
    }
    return i;
}

float ts_blocks_limit(ts_dtype dtype)
{
    return made[maker_of(dtype)].limit;
}

static void widen(ts_dtype from, const uint8_t *elements, int count, float *out)
{
    if (from == TS_F32) {
        memcpy(out, elements, (size_t)count * sizeof *out);
        return;
    }
    for (int i = 0; i < count; i++) {
        uint16_t half = half_at(elements + 2 * i);
        out[i] = from == TS_F16 ? ts_f16_to_f32(half) : ts_bf16_to_f32(half);
    }
}

float ts_blocks_quantise(ts_dtype dtype, ts_dtype from, const void *elements, uint64_t count,
                         uint8_t *data, uint8_t *headers)
{
    const size_t maker = maker_of(dtype);
    const uint32_t block = blocks[dtype].elements;
    const uint8_t *bytes = elements;
    float values[MOST], most = 0;
    assert(count % block == 0 && block <= MOST);
    for (uint64_t at = 0; at < count; at += block) {
        widen(from, bytes + at * ts_dtype_bytes(from), (int)block, values);
        const float largest = largest_of(values, (int)block);
        made[maker].quantise(values, largest, data, headers);
        most = fmaxf(most, largest);
        data += blocks[dtype].data;
        headers += blocks[dtype].header;
    }
    return most;
}

// ---- What is offered

static const struct {
    const char *name, *shown;
    ts_quantise quantise;
} offered[] = {
    {"q8_0", "Q8_0", {TS_Q8_0, TS_Q8_0}},
    {"nf4", "NF4", {TS_NF4, TS_F32}},
    {"nf4+q8_0", "NF4, lm_head in Q8_0", {TS_NF4, TS_Q8_0}},
};
enum { OFFERED = sizeof offered / sizeof *offered };

ts_status ts_quantise_parse(const char *name, ts_quantise *out, ts_error *err)
{
    for (size_t i = 0; i < OFFERED; i++) {
        if (strcmp(name, offered[i].name) == 0) {
            *out = offered[i].quantise;
            return TS_OK;
        }
    }
    return ts_error_set(err, TS_ERR_ARGUMENT, "--quantize %s: there are q8_0, nf4 and nf4+q8_0",
                        name);
}

const char *ts_quantise_choice(size_t index)
{
    return index < OFFERED ? offered[index].name : NULL;
}

const char *ts_quantise_name(ts_quantise quantise)
{
    for (size_t i = 0; i < OFFERED; i++) {
        if (offered[i].quantise.linear == quantise.linear &&
            offered[i].quantise.head == quantise.head) {
            return offered[i].shown;
        }
    }
    return "none";
}
