#include "base/dtype.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

// What the bits mean, written from the definition: sign, 5 bits of exponent, 10 of fraction.
static double f16_by_definition(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31  ? (fraction != 0 ? (double)NAN : (double)INFINITY)
                   : exponent == 0 ? ldexp(fraction, -24)
                                   : ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -value : value;
}

Test(dtype, all_f16_values)
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        double expected = f16_by_definition((uint16_t)bits);
        float value = ts_f16_to_f32((uint16_t)bits);
        if (isnan(expected)) {
            cr_assert(isnan(value));
            uint16_t back = ts_f32_to_f16(value);
            cr_assert(isnan(f16_by_definition(back)), "0x%04X", bits);
            continue;
        }
        cr_assert_eq((double)value, expected, "0x%04X", bits);
        cr_assert_eq(signbit(value) != 0, bits >> 15);
        cr_assert_eq(ts_f32_to_f16(value), bits, "0x%04X", bits);
    }
}

Test(dtype, all_bf16_values)
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint32_t wide = bits << 16;
        float expected, value = ts_bf16_to_f32((uint16_t)bits);
        memcpy(&expected, &wide, sizeof expected);
        if (isnan(expected)) {
            cr_assert(isnan(value));
            cr_assert(isnan(ts_bf16_to_f32(ts_f32_to_bf16(value))));
            continue;
        }
        cr_assert_eq(value, expected);
        cr_assert_eq(ts_f32_to_bf16(value), bits, "0x%04X", bits);
    }
}

// Between neighbours a and b: below the middle gives a, above it b, the middle the even one.
Test(dtype, f16_rounds_to_nearest_even)
{
    for (uint32_t bits = 0; bits < 0x7BFF; bits++) {
        double a = f16_by_definition((uint16_t)bits), b = f16_by_definition((uint16_t)(bits + 1));
        float middle = (float)((a + b) / 2);
        uint16_t even = (uint16_t)(bits + (bits & 1));
        cr_assert_eq(ts_f32_to_f16(middle), even, "0x%04X", bits);
        cr_assert_eq(ts_f32_to_f16(-middle), even | 0x8000, "0x%04X", bits);
        cr_assert_eq(ts_f32_to_f16(nextafterf(middle, 0)), bits, "0x%04X", bits);
        cr_assert_eq(ts_f32_to_f16(nextafterf(middle, INFINITY)), bits + 1, "0x%04X", bits);
    }
    cr_expect_eq(ts_f32_to_f16(65519.996f), 0x7BFF);
    cr_expect_eq(ts_f32_to_f16(65520.0f), 0x7C00);
    cr_expect_eq(ts_f32_to_f16(INFINITY), 0x7C00);
    cr_expect_eq(ts_f32_to_f16(-INFINITY), 0xFC00);
}

Test(dtype, bf16_becomes_f16_as_a_float_does)
{
    for (uint32_t bits = 0; bits <= 0xFFFF; bits++) {
        const uint16_t brain = (uint16_t)bits;
        const float value = ts_bf16_to_f32(brain);
        uint16_t half;
        if (!isfinite(value)) {
            continue;
        }
        cr_assert_eq(ts_bf16_to_f16(&brain, 1, &half), fabsf(value), "0x%04X", bits);
        cr_assert(fabsf(value) > TS_F16_LARGEST || half == ts_f32_to_f16(value), "0x%04X", bits);
    }
    const uint16_t some[] = {0x3F80, 0xC110, 0x4000}; // 1, -9, 2
    uint16_t halves[3];
    cr_expect_eq(ts_bf16_to_f16(some, 3, halves), 9);
    cr_expect_eq(ts_f16_to_f32(halves[1]), -9);
}

Test(dtype, bf16_rounds_to_nearest_even)
{
    for (uint32_t bits = 0; bits < 0x7F7F; bits++) {
        float a = ts_bf16_to_f32((uint16_t)bits), b = ts_bf16_to_f32((uint16_t)(bits + 1));
        float middle = (float)(((double)a + (double)b) / 2);
        cr_assert_eq(ts_f32_to_bf16(middle), (uint16_t)(bits + (bits & 1)), "0x%04X", bits);
        cr_assert_eq(ts_f32_to_bf16(nextafterf(middle, 0)), bits, "0x%04X", bits);
        cr_assert_eq(ts_f32_to_bf16(nextafterf(middle, INFINITY)), bits + 1, "0x%04X", bits);
    }
    cr_expect_eq(ts_f32_to_bf16(3.4e38f), 0x7F80);
}

Test(dtype, names_and_loads)
{
    ts_dtype dtype;
    cr_expect(ts_dtype_parse("BF16", &dtype));
    cr_expect_eq(dtype, TS_BF16);
    cr_expect_not(ts_dtype_parse("bf16", &dtype));
    cr_expect_not(ts_dtype_parse("F8_E4M3", &dtype));
    for (int i = TS_F32; i <= TS_U8; i++) {
        if (ts_dtype_block((ts_dtype)i) > 1) {
            continue; // no type of safetensors
        }
        cr_expect(ts_dtype_parse(ts_dtype_name((ts_dtype)i), &dtype));
        cr_expect_eq((int)dtype, i);
    }
    const uint16_t halves[] = {0x3C00, 0xC000}, brains[] = {0x3F80, 0xC000};
    const float floats[] = {0.5f, -3};
    const double doubles[] = {0.25, 7};
    cr_expect_eq(ts_dtype_load(TS_F16, halves, 1), -2);
    cr_expect_eq(ts_dtype_load(TS_BF16, brains, 1), -2);
    cr_expect_eq(ts_dtype_load(TS_F32, floats, 1), -3);
    cr_expect_eq(ts_dtype_load(TS_F64, doubles, 1), 7);
}

Test(dtype, finds_what_is_not_finite)
{
    enum { COUNT = 1000 };
    static float f[COUNT];
    static double d[COUNT];
    static uint16_t h[COUNT], b[COUNT];
    uint64_t first;
    for (int i = 0; i < COUNT; i++) { // the largest, and subnormal ones, are fine
        f[i] = i % 2 ? 3.4028235e38f : 1e-45f;
        d[i] = i % 2 ? -1.7e308 : 5e-324;
        h[i] = i % 2 ? 0x7BFF : 0x8001;
        b[i] = i % 2 ? 0xFF7F : 0x0001;
    }
    cr_expect_eq(ts_dtype_count_not_finite(TS_F32, f, COUNT, &first), 0);
    cr_expect_eq(ts_dtype_count_not_finite(TS_F64, d, COUNT, &first), 0);
    cr_expect_eq(ts_dtype_count_not_finite(TS_F16, h, COUNT, &first), 0);
    cr_expect_eq(ts_dtype_count_not_finite(TS_BF16, b, COUNT, &first), 0);
    f[999] = -INFINITY, f[998] = NAN, d[5] = NAN;
    h[7] = 0x7C00, h[9] = 0xFE00, h[11] = 0x7C01, b[0] = 0xFF80;
    cr_expect_eq(ts_dtype_count_not_finite(TS_F32, f, COUNT, &first), 2);
    cr_expect_eq(first, 998);
    cr_expect_eq(ts_dtype_count_not_finite(TS_F64, d, COUNT, &first), 1);
    cr_expect_eq(first, 5);
    cr_expect_eq(ts_dtype_count_not_finite(TS_F16, h, COUNT, &first), 3);
    cr_expect_eq(first, 7);
    cr_expect_eq(ts_dtype_count_not_finite(TS_BF16, b, COUNT, &first), 1);
    cr_expect_eq(first, 0);
    cr_expect_eq(ts_dtype_count_not_finite(TS_U8, "\377\377", 2, &first), 0);
    cr_expect_eq(ts_dtype_count_not_finite(TS_F32, NULL, 0, &first), 0);
}
