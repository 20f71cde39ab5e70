#include "base/blocks.h"

#include "base/file.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 6, BLOCK = 32, COUNT = BLOCKS * BLOCK };

// Uniform in -1 .. 1; 24 bits, so that a float holds it exactly.
static float draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)((int32_t)(*state >> 8) - (1 << 23)) * 0x1p-23f;
}

// Random, zero, one-sided, large, too small for f16's subnormals, halves that round away from zero.
static void make_elements(float out[COUNT])
{
    uint32_t state = 1;
    for (int i = 0; i < COUNT; i++) {
        const float x = draw(&state),
                    kinds[BLOCKS] = {x,
                                     0,
                                     fabsf(x) * 1e-3f,
                                     x * 8e6f,
                                     x * 1e-6f,
                                     i % BLOCK != 0 ? (float)(i % BLOCK - 16) * 0.5f : -127};
        out[i] = kinds[i / BLOCK];
    }
}

// What gguf-py 0.17 (gguf.quants.quantize, type Q8_0) makes of them, block by block: d, then q.
static const uint8_t by_gguf_py[BLOCKS][34] = {
    {0xCC, 0x1F, 0xBB, 0xDE, 0x01, 0x36, 0x8A, 0xDE, 0x48, 0x0F, 0x81, 0x25,
     0xBE, 0xEC, 0x18, 0x59, 0xBA, 0x7E, 0x5F, 0xD3, 0x30, 0x08, 0xB5, 0x98,
     0x8F, 0xD0, 0x9F, 0x36, 0x16, 0xE0, 0xC2, 0x42, 0x71, 0xAB},
    {0},
    {0x83, 0x00, 0x4B, 0x6F, 0x7D, 0x78, 0x7F, 0x4E, 0x0B, 0x1C, 0x2C, 0x77,
     0x3C, 0x03, 0x16, 0x5A, 0x67, 0x3F, 0x23, 0x14, 0x0A, 0x72, 0x14, 0x10,
     0x72, 0x2A, 0x47, 0x3A, 0x69, 0x71, 0x11, 0x11, 0x25, 0x7A},
    {0xAA, 0x7B, 0x29, 0x3F, 0xF1, 0x00, 0x57, 0xC9, 0x81, 0xDA, 0x29, 0x95,
     0xCC, 0xB7, 0xBF, 0x46, 0x00, 0x1D, 0x14, 0x7B, 0xFB, 0xCC, 0x7C, 0x38,
     0x21, 0xF3, 0x1A, 0x9F, 0x70, 0x53, 0x83, 0xB2, 0x10, 0x85},
    {0x00, 0x00, 0x10, 0xF9, 0xF4, 0xF1, 0x81, 0x30, 0x78, 0x3E, 0x02, 0x51,
     0xD8, 0x24, 0x7B, 0xCB, 0x4A, 0x16, 0x15, 0xA1, 0x83, 0x11, 0x59, 0x91,
     0x87, 0x79, 0xB8, 0xD1, 0xC9, 0xEF, 0x42, 0xD3, 0xBB, 0x97},
    {0x00, 0x3C, 0x81, 0xF8, 0xF9, 0xF9, 0xFA, 0xFA, 0xFB, 0xFB, 0xFC, 0xFC,
     0xFD, 0xFD, 0xFE, 0xFE, 0xFF, 0xFF, 0x00, 0x01, 0x01, 0x02, 0x02, 0x03,
     0x03, 0x04, 0x04, 0x05, 0x05, 0x06, 0x06, 0x07, 0x07, 0x08},
};

Test(blocks, quantising_to_q8_0_is_gguf_py_s_bit_for_bit)
{
    float elements[COUNT];
    uint8_t tensor[BLOCKS * 34], *headers = tensor + COUNT;
    double decoded[COUNT];
    make_elements(elements);
    float largest = ts_blocks_quantise(TS_Q8_0, TS_F32, elements, COUNT, tensor, headers);
    cr_expect(largest > 7e6f && largest <= 8e6f && largest < ts_blocks_limit(TS_Q8_0));
    ts_blocks_decode(TS_Q8_0, tensor, COUNT, decoded);
    for (int b = 0; b < BLOCKS; b++) {
        const uint8_t *want = by_gguf_py[b];
        uint16_t half;
        cr_expect_arr_eq(headers + 2 * b, want, 2, "block %d: d", b);
        cr_expect_arr_eq(tensor + BLOCK * b, want + 2, BLOCK, "block %d: q", b);
        memcpy(&half, want, sizeof half);
        for (int i = 0; i < BLOCK; i++) {
            cr_expect_eq(decoded[b * BLOCK + i], (double)ts_f16_to_f32(half) * (int8_t)want[2 + i]);
        }
    }
}

// Weights stored in 16 bits give the same. Numbers so small that the inverse of their scale is
// infinite give zeros.
Test(blocks, quantising_reads_every_stored_type)
{
    float elements[COUNT];
    uint16_t halves[COUNT];
    uint8_t wide[BLOCKS * 34], narrow[BLOCKS * 34];
    make_elements(elements);
    for (ts_dtype from = TS_F16; from <= TS_BF16; from++) {
        for (int i = 0; i < COUNT; i++) {
            float x = elements[i] * 1e-4f; // within f16
            halves[i] = from == TS_F16 ? ts_f32_to_f16(x) : ts_f32_to_bf16(x);
            elements[i] = from == TS_F16 ? ts_f16_to_f32(halves[i]) : ts_bf16_to_f32(halves[i]);
        }
        ts_blocks_quantise(TS_Q8_0, TS_F32, elements, COUNT, wide, wide + COUNT);
        ts_blocks_quantise(TS_Q8_0, from, halves, COUNT, narrow, narrow + COUNT);
        cr_expect_arr_eq(wide, narrow, sizeof wide);
    }
    for (int i = 0; i < BLOCK; i++) {
        elements[i] = i % 2 ? 1e-45f : -1e-45f;
    }
    ts_blocks_quantise(TS_Q8_0, TS_F32, elements, BLOCK, wide, wide + BLOCK);
    for (int i = 0; i < 34; i++) {
        cr_expect_eq(wide[i], 0);
    }
}

// Blocks and the values that gguf-py gives them, by tools/golden/make_blocks.py.
static void check_decoding(ts_dtype dtype)
{
    const char *folder = getenv("TINYSFT_BLOCKS");
    const uint64_t block = ts_dtype_block(dtype);
    const uint64_t size = ts_dtype_size(dtype, block) + block * sizeof(float);
    char path[256];
    ts_map file;
    ts_error err = {0};
    snprintf(path, sizeof path, "%s/%s.bin",
             folder != NULL ? folder : PROJECT_FOLDER "/tests/golden/blocks", ts_dtype_name(dtype));
    cr_assert_eq(ts_map_open(path, &file, &err), TS_OK, "%s", err.message);
    const uint64_t count = file.len / size * block;
    cr_assert(count >= 8 * block && file.len % size == 0);
    const unsigned char *want = file.bytes + ts_dtype_size(dtype, count);
    uint8_t *tensor = malloc(ts_dtype_size(dtype, count));
    double *decoded = malloc(count * sizeof *decoded);
    ts_blocks_split(dtype, file.bytes, count, tensor, tensor + ts_blocks_data_bytes(dtype, count));
    ts_blocks_decode(dtype, tensor, count, decoded);
    for (uint64_t i = 0; i < count; i++) {
        const float value = (float)decoded[i];
        cr_assert_eq(memcmp(&value, want + i * sizeof value, sizeof value), 0,
                     "%s: element %llu is %a", path, (unsigned long long)i, (double)value);
    }
    free(tensor);
    free(decoded);
    ts_map_close(&file);
}

Test(blocks, decoding_is_gguf_py_s_bit_for_bit)
{
    uint32_t types = 0;
    for (int dtype = 0; dtype < TS_WEIGHT_TYPES; dtype++) {
        if (ts_dtype_block((ts_dtype)dtype) > 1) {
            check_decoding((ts_dtype)dtype);
            types++;
        }
    }
    cr_expect_eq(types, 11);
}

// Elements that are levels of their block stay what they are. Others go to the nearest level, and
// at the half between two to the lower one.
Test(blocks, nf4_takes_the_nearest_level)
{
    enum { LONG = 2 * 64 };
    static const float near[][2] = {{0.039f, 0},  {0.0397901f, 0}, {0.0398f, 0.07958029955625534f},
                                    {-0.87f, -1}, {0.87f, 1},      {-0.02f, 0}};
    uint8_t tensor[2 * 36];
    float elements[LONG] = {0};
    double decoded[LONG], again[LONG];
    uint32_t state = 3;
    for (int i = 0; i < 64; i++) {
        elements[i] = 3 * draw(&state);
    }
    for (int i = 0; i < 6; i++) {
        elements[64 + i] = near[i][0];
    }
    elements[LONG - 1] = 1;
    ts_blocks_quantise(TS_NF4, TS_F32, elements, LONG, tensor, tensor + 64);
    ts_blocks_decode(TS_NF4, tensor, LONG, decoded);
    for (int i = 0; i < LONG; i++) {
        cr_expect(fabs(decoded[i] - (double)elements[i]) <= 3 * 0.1520, "element %d", i);
        elements[i] = (float)decoded[i];
    }
    for (int i = 0; i < 6; i++) {
        cr_expect_eq((float)decoded[64 + i], near[i][1]);
    }
    ts_blocks_quantise(TS_NF4, TS_F32, elements, LONG, tensor, tensor + 64);
    ts_blocks_decode(TS_NF4, tensor, LONG, again);
    cr_expect_arr_eq(again, decoded, sizeof again);
    for (int i = 0; i < LONG; i++) {
        elements[i] = i % 2 ? 1e-45f : 0; // the inverse is infinite
    }
    ts_blocks_quantise(TS_NF4, TS_F32, elements, LONG, tensor, tensor + 64);
    ts_blocks_decode(TS_NF4, tensor, LONG, again);
    for (int i = 0; i < LONG; i++) {
        cr_expect_eq(again[i], 0);
    }
}

// Elements of 16 bits have scales that 16 bits hold: the numbers are those that f32 scales give.
Test(blocks, nf4_with_scales_in_16_bits_is_exact)
{
    enum { LONG = 8 * 64 };
    uint8_t wide[8 * 36], narrow[8 * 34];
    uint16_t elements[LONG];
    double by_wide[LONG], by_narrow[LONG];
    uint32_t state = 5;
    for (ts_dtype from = TS_F16; from <= TS_BF16; from++) {
        for (int i = 0; i < LONG; i++) { // blocks of 2^-21 (within f16's subnormals) to 2^14, and 0
            const float x = i < 64 ? 0 : ldexpf(draw(&state), i / 64 * 5 - 21);
            elements[i] = from == TS_F16 ? ts_f32_to_f16(x) : ts_f32_to_bf16(x);
        }
        ts_blocks_quantise(TS_NF4, from, elements, LONG, wide, wide + LONG / 2);
        ts_blocks_quantise(TS_NF4_16, from, elements, LONG, narrow, narrow + LONG / 2);
        cr_expect_arr_eq(wide, narrow, LONG / 2);
        ts_blocks_decode(TS_NF4, wide, LONG, by_wide);
        ts_blocks_decode(TS_NF4_16, narrow, LONG, by_narrow);
        cr_expect_arr_eq(by_wide, by_narrow, sizeof by_wide);
    }
}

Test(blocks, scales_that_are_no_numbers_are_counted)
{
    static const struct {
        ts_dtype dtype;
        int at;
        const char *bytes;
        size_t len;
    } scales[] = {{TS_Q8_0, 0, "\x00\x7C", 2},   {TS_NF4, 0, "\x00\x00\xC0\x7F", 4},
                  {TS_NF4_16, 0, "\x80\x7F", 2}, {TS_NF4_16, 0, "\x00\xFC", 2},
                  {TS_Q4_0, 0, "\x00\x7C", 2},   {TS_Q4_K, 0, "\x00\x7C", 2},
                  {TS_Q4_K, 2, "\x00\x7C", 2},   {TS_Q5_K, 0, "\x00\x7C", 2},
                  {TS_Q5_K, 2, "\x00\x7C", 2},   {TS_Q6_K, 16, "\x00\x7C", 2},
                  {TS_Q4_1, 2, "\x00\x7C", 2},   {TS_Q5_0, 0, "\x00\x7C", 2},
                  {TS_Q5_1, 2, "\x00\x7C", 2},   {TS_IQ4_NL, 0, "\x00\x7C", 2}};
    uint8_t tensor[3 * 256];
    uint32_t state = 7;
    uint64_t first;
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        const ts_dtype dtype = scales[i].dtype;
        const uint64_t block = ts_dtype_block(dtype), count = 3 * block;
        uint8_t *headers = tensor + ts_blocks_data_bytes(dtype, count);
        ts_blocks_draw(dtype, count, &state, tensor);
        cr_expect_eq(ts_blocks_count_not_finite(dtype, headers, count, &first), 0);
        memcpy(headers + ts_blocks_header_bytes(dtype, block) + scales[i].at, scales[i].bytes,
               scales[i].len);
        cr_expect_eq(ts_blocks_count_not_finite(dtype, headers, count, &first), 1);
        cr_expect_eq(first, block);
    }
}

Test(blocks, sizes_count_whole_blocks)
{
    cr_expect_eq(ts_dtype_size(TS_Q8_0, 4096), 4096 / 32 * 34);
    cr_expect_eq(ts_dtype_count(TS_Q8_0, 4096 / 32 * 34), 4096);
    cr_expect_eq(ts_blocks_data_bytes(TS_Q8_0, 64), 64);
    cr_expect_eq(ts_blocks_header_bytes(TS_Q8_0, 64), 4);
    cr_expect_eq(ts_dtype_size(TS_BF16, 7), 14);
    cr_expect_eq(ts_dtype_count(TS_BF16, 14), 7);
    for (int dtype = 0; dtype < TS_WEIGHT_TYPES; dtype++) { // what weights.def promises its readers
        const uint64_t block = ts_dtype_block((ts_dtype)dtype);
        cr_expect(block == 1 || block % 8 == 0);
        cr_expect_eq(ts_blocks_data_bytes((ts_dtype)dtype, block) +
                         ts_blocks_header_bytes((ts_dtype)dtype, block),
                     ts_dtype_size((ts_dtype)dtype, block));
        cr_expect(block == 1 || ts_blocks_data_bytes((ts_dtype)dtype, block) % 16 == 0);
        cr_expect(ts_blocks_header_bytes((ts_dtype)dtype, block) % 2 == 0);
    }
}

Test(blocks, names)
{
    ts_dtype dtype;
    ts_quantise quantise;
    ts_error err = {0};
    const char *name;
    for (size_t i = 0; (name = ts_quantise_choice(i)) != NULL; i++) {
        cr_assert_eq(ts_quantise_parse(name, &quantise, &err), TS_OK);
        cr_expect_eq(quantise.linear, i == 0 ? TS_Q8_0 : TS_NF4);
        cr_expect_eq(quantise.head, i == 1 ? TS_F32 : TS_Q8_0);
        cr_expect_neq(strcmp(ts_quantise_name(quantise), "none"), 0);
    }
    cr_expect_eq(ts_quantise_parse("q8", &quantise, &err), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(err.message, "there are q8_0, nf4 and nf4+q8_0"));
    cr_expect_str_eq(ts_quantise_name((ts_quantise){0}), "none");
    cr_expect(ts_blocks_of_gguf(14, &dtype) && dtype == TS_Q6_K);
    cr_expect(ts_blocks_of_gguf(30, &dtype) && dtype == TS_BF16);
    cr_expect_not(ts_blocks_of_gguf(10, &dtype), "Q2_K");
    cr_expect_not(ts_blocks_of_gguf(UINT32_MAX, &dtype));
    cr_expect_not(ts_dtype_parse("Q8_0", &dtype), "safetensors know no blocks");
}
