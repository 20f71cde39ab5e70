// A base that is quantised while it is loaded: the device computes with exactly the values of the
// blocks, however they were made.
#include "block_llama.h"

#include "base/blocks.h"

#include <math.h>

// Replaces a tensor's values by those that its blocks hold.
static void make_exact(ts_tensor *tensor, ts_dtype dtype)
{
    const uint64_t count = tensor->len / sizeof(float);
    float *values = (float *)(uintptr_t)tensor->bytes;
    uint8_t *blocks = malloc(ts_dtype_size(dtype, count));
    double *decoded = malloc(count * sizeof *decoded);
    ts_blocks_quantise(dtype, TS_F32, values, count, blocks,
                       blocks + ts_blocks_data_bytes(dtype, count));
    ts_blocks_decode(dtype, blocks, count, decoded);
    for (uint64_t i = 0; i < count; i++) {
        values[i] = (float)decoded[i];
    }
    free(blocks);
    free(decoded);
}

// Writes a model's folder in F32. `exact`: linear layers and lm_head are values that these types
// hold exactly. `largest` != 0: one weight of down_proj has that value.
static void write_model(char folder[32], ts_quantise exact, float largest)
{
    struct tiny_file file = {.state = 20261128u, .dtype = TS_F32};
    strcpy(folder, "/tmp/tinysft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    list_tensors(&file);
    for (size_t i = 0; i < file.count; i++) {
        ts_tensor *t = &file.tensors[i];
        const ts_dtype dtype = strstr(t->name, "_proj") != NULL     ? exact.linear
                               : strstr(t->name, "lm_head") != NULL ? exact.head
                                                                    : TS_F32;
        if (dtype != TS_F32) {
            make_exact(t, dtype);
        }
        if (largest != 0 && strstr(t->name, "1.mlp.down_proj") != NULL) {
            ((float *)(uintptr_t)t->bytes)[77] = largest;
        }
    }
    write_tensors(folder, &file);
    write_shape(folder, "");
}

// Three bases give the same bits forward and backward: f32 weights that blocks hold exactly, blocks
// made of those, and blocks made of the weights before they were rounded. The mirror agrees.
static void check_offer(const char *name, double smaller)
{
    const ts_quantise none = {0};
    ts_quantise asked;
    static float plain[FLOATS], held[FLOATS], rounded[FLOATS], mirrored[FLOATS];
    ts_gpu *gpu = test_gpu_open(), *mirror;
    char exact[32], original[32];
    uint64_t wide, narrow, same;
    MUST(ts_quantise_parse(name, &asked, err));
    write_model(exact, asked, 0);
    write_model(original, none, 0);
    MUST(ts_gpu_open_mirror(&mirror, err));
    double loss = gradients(gpu, exact, none, plain, &wide);
    cr_expect_eq(gradients(gpu, exact, asked, held, &narrow), loss);
    cr_expect_eq(gradients(gpu, original, asked, rounded, &same), loss);
    cr_expect_arr_eq(held, plain, sizeof plain);
    cr_expect_arr_eq(rounded, plain, sizeof plain);
    cr_expect_neq(gradients(gpu, original, none, held, &wide), loss, "nothing was rounded");
    cr_expect_eq(narrow, same);
    cr_expect_lt((double)narrow, smaller * (double)wide);
    cr_expect_float_eq(gradients(mirror, original, asked, mirrored, &same), loss, 1e-5 * loss);
    double difference = 0, norm = 0;
    for (int i = 0; i < FLOATS; i++) {
        difference += pow((double)mirrored[i] - (double)plain[i], 2);
        norm += pow((double)plain[i], 2);
    }
    cr_expect_lt(sqrt(difference), 1e-5 * sqrt(norm));
    ts_gpu_close(mirror);
    test_gpu_close(gpu);
    MUST(ts_folder_remove(exact, err));
    MUST(ts_folder_remove(original, err));
}

Test(quantise, blocks_compute_as_the_numbers_they_hold)
{
    check_offer("q8_0", 0.4);
    check_offer("nf4", 0.4);
    check_offer("nf4+q8_0", 0.3);
}

Test(quantise, what_blocks_cannot_hold_is_refused_by_name)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    ts_error err = {0};
    char folder[32];
    write_model(folder, (ts_quantise){0}, 1e7f);
    const ts_model_params params = {.positions = TOKENS, .quantise = {TS_Q8_0, TS_Q8_0}};
    cr_expect_eq(test_model_try(gpu, folder, params, &model, &err), TS_ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(err.message, "layers.1.mlp.down_proj.weight holds 1e+07"), "%s",
                       err.message);
    MUST(ts_folder_remove(folder, err));
    strcpy(folder, "/tmp/tinysft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    tiny_write(folder, &(tiny_llama){0}); // rows of 12, 16 and 10
    cr_expect_eq(test_model_try(gpu, folder, params, &model, &err), TS_ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(err.message, "nothing of this model can be quantised to Q8_0"), "%s",
                       err.message);
    MUST(ts_folder_remove(folder, err));
    test_gpu_close(gpu);
}
