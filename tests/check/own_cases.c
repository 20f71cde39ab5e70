// The repository's own small cases (tests/golden, made by tools/golden): they must pass on this
// device, and fail when one number is changed.
#include "base/file.h"
#include "base/memory.h"
#include "check/verify.h"
#include "data/safetensors.h"
#include "device.h"

#include <string.h>

#define OWN_FOLDER PROJECT_FOLDER "/tests/golden"

static void check_in(ts_gpu *gpu, const char *name, ts_precision precision)
{
    char path[512];
    ts_verify_result result;
    snprintf(path, sizeof path, OWN_FOLDER "/%s", name);
    MUST(ts_verify(gpu, &(ts_verify_params){.folder = path, .precision = precision}, &result, err));
    for (size_t i = 0; i < result.count; i++) {
        const ts_verify_row *row = &result.rows[i];
        cr_expect(row->tolerance == 0 || row->error <= row->tolerance,
                  "%s, %s: %s: %.2e, tolerance %.0e", name, ts_precision_name(precision), row->name,
                  row->error, row->tolerance);
    }
    cr_assert(result.passed);
    cr_assert_geq(result.count, 5);
}

// In every precision that the device offers. In bf16 anyhow if the case is calm: without matrix
// units for it products are in f32, but activations are stored in 16 bits all the same, if all
// sizes of the case are multiples of 8. A case that doubles every difference at every step ends
// anywhere after that.
static void check_own(const char *name, bool calm)
{
    ts_gpu *gpu = test_gpu_open();
    for (ts_precision p = TS_PRECISION_F32; p <= TS_PRECISION_BF16; p++) {
        if ((p == TS_PRECISION_BF16 && calm) || ts_precision_offered(ts_gpu_capabilities(gpu), p)) {
            check_in(gpu, name, p);
        }
    }
    test_gpu_close(gpu);
}

// F16 weights in shards, transformers 5's config.json, odd sizes, sequences of one token, rows
// without loss, two micro-batches, weight decay.
Test(own_cases, tiny_sharded)
{
    check_own("tiny_sharded", true);
}

// BF16, all seven modules, rsLoRA, tied embeddings, heads wider than the hidden size, always
// clipped.
Test(own_cases, tiny_tied)
{
    check_own("tiny_tied", true);
}

// F32, rank 1 on o_proj and down_proj, past a tile of positions, never clipped.
Test(own_cases, tiny_long)
{
    check_own("tiny_long", true);
}

// Heads of 64, two on a key, in packed rows: on matrix units attention is done there too.
Test(own_cases, tiny_wide_heads)
{
    check_own("tiny_wide_heads", true);
}

// Doubles every difference from step to step. So the first steps must be within a fixed tolerance,
// and later ones only within what rounding errors can grow to.
Test(own_cases, tiny_chaotic)
{
    check_own("tiny_chaotic", false);
}

// DoRA and rsLoRA on all modules, with the biases of q, k and v.
Test(own_cases, tiny_dora)
{
    check_own("tiny_dora", true);
}

// Label smoothing, in two micro-batches.
Test(own_cases, tiny_smoothed)
{
    check_own("tiny_smoothed", true);
}

// DoRA with ranks and alphas by module, as PEFT matches them.
Test(own_cases, tiny_patterns)
{
    check_own("tiny_patterns", true);
}

// Pairs of answers: two micro-batches of unequal numbers of pairs, label smoothing, an answer of one
// token; and IPO, whose gains are means over an answer's tokens.
Test(own_cases, tiny_dpo)
{
    check_own("tiny_dpo", true);
}

Test(own_cases, tiny_ipo)
{
    check_own("tiny_ipo", true);
}

// Their F32 weights are what blocks hold exactly, and they are held in blocks.
Test(own_cases, tiny_q8_0)
{
    check_own("tiny_q8_0", true);
}

Test(own_cases, tiny_nf4)
{
    check_own("tiny_nf4", true);
}

// Llama 3.1's rope, of which this case has short, long and mixed wavelengths.
Test(own_cases, tiny_llama3)
{
    check_own("tiny_llama3", true);
}

// Biases of q, k and v; a window in the upper of two layers.
Test(own_cases, tiny_qwen2)
{
    check_own("tiny_qwen2", true);
}

// Norms of the heads of q and k; transformers 5's config.json.
Test(own_cases, tiny_qwen3)
{
    check_own("tiny_qwen3", true);
}

// The upper of two layers does not rotate.
Test(own_cases, tiny_smollm3)
{
    check_own("tiny_smollm3", true);
}

// Two windowed layers and one that is not, a query scale that is not the head's.
Test(own_cases, tiny_gemma3)
{
    check_own("tiny_gemma3", true);
}

// The root of the hidden size is no number of bf16's, and transformers rounds it; its own spelling
// of two rotary bases.
Test(own_cases, tiny_gemma3_rounded)
{
    check_own("tiny_gemma3_rounded", true);
}

// Norms behind blocks alone, those of q and k over all heads.
Test(own_cases, tiny_olmo2)
{
    check_own("tiny_olmo2", true);
}

static void change(ts_dtype dtype, void *bytes, uint64_t index, double delta)
{
    cr_assert(dtype == TS_F32 || dtype == TS_F64);
    if (dtype == TS_F32) {
        ((float *)bytes)[index] += (float)delta;
    } else {
        ((double *)bytes)[index] += delta;
    }
}

// Rewrites the safetensors at `path` with element `index` of its tensor `name` changed.
static void change_file(const char *path, const char *name, uint64_t index, double delta)
{
    ts_tensors *file = NULL;
    ts_text bytes = {0};
    unsigned char *changed = NULL;
    MUST(ts_safetensors_open(path, &file, err));
    size_t count = ts_tensors_count(file);
    ts_tensor *tensors = calloc(count, sizeof *tensors);
    for (size_t i = 0; i < count; i++) {
        tensors[i] = *ts_tensors_at(file, i);
        if (strcmp(tensors[i].name, name) == 0) {
            changed = malloc(tensors[i].len);
            memcpy(changed, tensors[i].bytes, tensors[i].len);
            change(tensors[i].dtype, changed, index, delta);
            tensors[i].bytes = changed;
        }
    }
    cr_assert_not_null(changed, "no tensor %s", name);
    MUST(ts_safetensors_serialise(tensors, count, &bytes, err));
    ts_tensors_close(file);
    MUST(ts_file_write_plain(path, bytes.bytes, bytes.len, err));
    free(tensors);
    free(changed);
    ts_text_free(&bytes);
}

// Whether a row whose name starts with `name` is out of its tolerance.
static bool fails(const ts_verify_result *result, const char *name)
{
    for (size_t i = 0; i < result->count; i++) {
        const ts_verify_row *row = &result->rows[i];
        if (row->tolerance > 0 && row->error > row->tolerance &&
            strncmp(row->name, name, strlen(name)) == 0) {
            return true;
        }
    }
    return false;
}

// A number changed in the reference, in the model or in the adapter must be seen in `row`.
Test(own_cases, one_changed_number_is_noticed)
{
    static const struct {
        const char *name, *file, *tensor, *row;
        uint64_t index;
        double delta;
    } changes[] = {
        {"tiny_long", "golden.safetensors", "micro0.logits", "logits", 3, 0.1},
        {"tiny_long", "golden.safetensors",
         "grad.base_model.model.model.layers.0.mlp.down_proj.lora_B.weight", "gradients", 1, 0.01},
        {"tiny_long", "golden.safetensors", "losses", "initial loss", 0, 1e-4},
        {"tiny_long", "golden.safetensors", "losses", "losses of all steps", 2, 1e-3},
        {"tiny_long", "golden.safetensors", "lrs", "learning rates", 1, 1e-9},
        {"tiny_long", "model/model.safetensors", "model.layers.0.input_layernorm.weight", "logits",
         23, 0.01},
        {"tiny_long", "adapter_init/adapter_model.safetensors",
         "base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight", "gradients", 39, 0.01},
        {"tiny_chaotic", "golden.safetensors", "losses", "losses of all steps", 2, 2e-3},
        {"tiny_chaotic", "golden.safetensors", "losses", "losses of all steps", 7, 5e-3},
        {"tiny_long", "golden.safetensors", "losses", "", 0,
         0}, // it is the change that does it, not the copy
    };
    ts_gpu *gpu = test_gpu_open();
    for (size_t i = 0; i < TS_COUNT(changes); i++) {
        char folder[] = "/tmp/tinysft-test-XXXXXX", command[1200], path[128];
        ts_verify_result result;
        cr_assert_not_null(mkdtemp(folder));
        snprintf(command, sizeof command, "cp -r --no-preserve=mode '%s/%s/.' '%s'", OWN_FOLDER,
                 changes[i].name, folder);
        cr_assert_eq(system(command), 0);
        snprintf(path, sizeof path, "%s/%s", folder, changes[i].file);
        change_file(path, changes[i].tensor, changes[i].index, changes[i].delta);
        MUST(ts_verify(gpu, &(ts_verify_params){.folder = folder}, &result, err));
        cr_expect_eq(result.passed, changes[i].delta == 0, "%s", changes[i].tensor);
        cr_expect_eq(fails(&result, changes[i].row), changes[i].delta != 0, "%s: %s",
                     changes[i].file, changes[i].tensor);
        MUST(ts_folder_remove(folder, err));
    }
    test_gpu_close(gpu);
}
