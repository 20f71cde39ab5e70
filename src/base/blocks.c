#include "base/blocks.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const struct {
    uint32_t elements, data, header;
} blocks[] = {
#define WEIGHT(number, name, elements, data, header) {elements, data, header},
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

static void decode_Q8_0(const uint8_t *data, const uint8_t *header, float *out)
{
    const float d = ts_f16_to_f32(half_at(header));
    for (int i = 0; i < 32; i++) {
        out[i] = d * (float)(int8_t)data[i];
    }
}

void ts_blocks_decode(ts_dtype dtype, const void *tensor, uint64_t count, double *out)
{
    enum { MOST = 256 };
    static void (*const decode[])(const uint8_t *, const uint8_t *, float *) = {
#define WEIGHT(number, name, elements, data, header) decode_##name,
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

// ---- Quantising: one block, by gguf-py's own steps in float (gguf/quants.py)

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

static const struct {
    const char *name;
    ts_dtype dtype;
    float limit; // the largest magnitude that it can hold
    void (*quantise)(const float *x, float largest, uint8_t *data, uint8_t *header);
} offered[] = {
    {"q8_0", TS_Q8_0, 127 * 65504.0f, quantise_Q8_0},
};
enum { OFFERED = sizeof offered / sizeof *offered };

bool ts_blocks_parse(const char *name, ts_dtype *out)
{
    for (size_t i = 0; i < OFFERED; i++) {
        if (strcmp(name, offered[i].name) == 0) {
            *out = offered[i].dtype;
            return true;
        }
    }
    return false;
}

const char *ts_blocks_name(size_t index)
{
    return index < OFFERED ? offered[index].name : NULL;
}

static size_t offer_of(ts_dtype dtype)
{
    size_t i = 0;
    while (offered[i].dtype != dtype) {
        i++;
        assert(i < OFFERED);
    }
    return i;
}

float ts_blocks_limit(ts_dtype dtype)
{
    return offered[offer_of(dtype)].limit;
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
    enum { MOST = 256 };
    const size_t offer = offer_of(dtype);
    const uint32_t block = blocks[dtype].elements;
    const uint8_t *bytes = elements;
    float values[MOST], most = 0;
    assert(count % block == 0 && block <= MOST);
    for (uint64_t at = 0; at < count; at += block) {
        widen(from, bytes + at * ts_dtype_bytes(from), (int)block, values);
        const float largest = largest_of(values, (int)block);
        offered[offer].quantise(values, largest, data, headers);
        most = fmaxf(most, largest);
        data += blocks[dtype].data;
        headers += blocks[dtype].header;
    }
    return most;
}
