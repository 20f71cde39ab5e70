#include "check/pipelines.h"

#include "base/memory.h"
#include "model/decode.h"
#include "ops/kernels.h"
#include "ops/tune.h"
#include "train/optimiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Two layers use every pipeline that more layers use: an adapted layer above another, and the
// lowest.
enum { LAYERS = 2, MOST_TOKENS = 2048, MOST_SLOTS = 32 };

// The state of building the pipelines for one adapter on one model.
struct pipeline_builder {
    ts_model model;
    ts_batch batch;
    uint32_t ids[MOST_TOKENS];
    uint8_t supervised[MOST_TOKENS];
};

static ts_status step(struct pipeline_builder *r, uint32_t tokens, bool recompute, ts_error *err)
{
    static const ts_adamw_params adamw = {0.9, 0.999, 1e-8, 0, 1};
    ts_status status = TS_OK;
    ts_pass pass = {0};
    ts_optimiser optimiser = {0};
    double sum, norm;
    const ts_pass_limits limits = {.rows = tokens,
                                   .loss_rows = tokens,
                                   .training = true,
                                   .recompute = recompute,
                                   .many_logits = !recompute};
    ts_batch_clear(&r->batch);
    TS_TRY(ts_batch_add(&r->batch, r->ids, tokens, r->supervised, err));
    TS_TRY(ts_pass_open(&r->model, limits, &pass, err));
    TS_TRY(ts_optimiser_open(&pass, &optimiser, err));
    TS_TRY(ts_pass_loss(&pass, &r->batch, &sum, err));
    TS_TRY(ts_pass_gradients(&pass, &r->batch, 1, 0, &sum, err));
    TS_TRY(ts_optimiser_step(&optimiser, &adamw, 1e-5, 1, &norm, err));
out:
    ts_optimiser_close(&optimiser);
    ts_pass_close(&pass);
    return status;
}

static ts_status decode(struct pipeline_builder *r, uint32_t count, ts_error *err)
{
    enum { PROMPT = 48, CAPACITY = 64 };
    ts_status status = TS_OK;
    ts_decoder decoder = {0};
    ts_tokens prompts[MOST_SLOTS];
    uint32_t slots[MOST_SLOTS], next[MOST_SLOTS];
    for (uint32_t i = 0; i < count; i++) {
        prompts[i] = (ts_tokens){.ids = r->ids, .count = PROMPT};
        slots[i] = i;
    }
    const ts_decoder_limits limits = {count, CAPACITY, PROMPT};
    TS_TRY(ts_decoder_open(&r->model, limits, &decoder, err));
    TS_TRY(ts_decoder_prompt(&decoder, prompts, count, next, err));
    TS_TRY(ts_decoder_step(&decoder, slots, next, count, next, err));
out:
    ts_decoder_close(&decoder);
    return status;
}

// What is trained and asked: a model, how its weights are stored, its adapter.
struct pipeline_case {
    const ts_model_config *shape;
    ts_dtype stored;
    ts_quantise quantise;
    const ts_adapter_config *adapter;
    const uint32_t *lengths; // rows of the batches
    size_t length_count;
};

static ts_status tune_and_answer(ts_gpu *gpu, ts_precision precision,
                                 const struct pipeline_case *it, ts_error *err)
{
    ts_status status = TS_OK;
    struct pipeline_builder *r = NULL;
    TS_TRY(ts_alloc(1, sizeof *r, &r, err));
    memset(r->supervised, 1, sizeof r->supervised);
    const ts_model_params params = {.config = it->shape,
                                    .random_dtype = it->stored,
                                    .quantise = it->quantise,
                                    .positions = MOST_TOKENS,
                                    .precision = precision};
    TS_TRY(ts_model_open(gpu, &params, &r->model, err));
    TS_TRY(ts_model_add_lora(&r->model, it->adapter, 42, err));
    for (size_t i = 0; i < it->length_count; i++) {
        TS_TRY(step(r, it->lengths[i], i % 2 == 1, err));
    }
    TS_TRY(decode(r, 1, err));
    TS_TRY(decode(r, MOST_SLOTS, err));
out:
    if (r != NULL) {
        ts_batch_free(&r->batch);
        ts_model_close(&r->model);
    }
    free(r);
    return status;
}

// TinyLlama's shape, with two kinds of adapters.
static ts_status build_large(ts_gpu *gpu, ts_precision precision, struct pipeline_case it,
                             ts_error *err)
{
    static const uint32_t lengths[] = {12, 100, 128, 512, MOST_TOKENS};
    const ts_adapter_config adapters[] = {
        {.r = 8, .alpha = 16, .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V)},
        {.r = 16, .alpha = 16, .dropout = 0.1, .targets = (1u << TS_MODULE_COUNT) - 1}};
    ts_status status = TS_OK;
    ts_model_config shape = ts_model_config_tinyllama;
    shape.layers = LAYERS;
    it.shape = &shape;
    it.lengths = lengths, it.length_count = TS_COUNT(lengths);
    for (size_t i = 0; i < TS_COUNT(adapters); i++) {
        it.adapter = &adapters[i];
        TS_TRY(tune_and_answer(gpu, precision, &it, err));
    }
out:
    return status;
}

// Small models, whose heads have other sizes than TinyLlama's 64.
static ts_status build_small(ts_gpu *gpu, ts_precision precision, struct pipeline_case it,
                             ts_error *err)
{
    static const uint32_t lengths[] = {12, 100}, head_sizes[] = {16, 32, 80, 128, 256};
    const ts_adapter_config adapter = {.r = 8, .alpha = 16, .targets = (1u << TS_MODULE_COUNT) - 1};
    ts_status status = TS_OK;
    ts_model_config shape = ts_model_config_tinyllama;
    shape.layers = LAYERS;
    shape.hidden = 256, shape.ffn = 512, shape.heads = 4, shape.kv_heads = 2;
    shape.vocab = 1001; // odd: the rows of its logits are no whole quads
    it.shape = &shape, it.adapter = &adapter;
    it.lengths = lengths, it.length_count = TS_COUNT(lengths);
    for (size_t i = 0; i < TS_COUNT(head_sizes); i++) {
        shape.head_dim = head_sizes[i];
        TS_TRY(tune_and_answer(gpu, precision, &it, err));
    }
out:
    return status;
}

// A small model of each family, for what its layers have beyond a Llama's: biases, norms in other
// places, another activation, a window, a second rope.
static ts_status build_families(ts_gpu *gpu, ts_precision precision, ts_error *err)
{
    static const uint32_t lengths[] = {12, 100};
    const ts_adapter_config adapter = {.r = 8, .alpha = 16, .targets = (1u << TS_MODULE_COUNT) - 1};
    ts_status status = TS_OK;
    ts_model_config shape = ts_model_config_tinyllama;
    shape.layers = LAYERS;
    shape.hidden = 256, shape.ffn = 512, shape.heads = 4, shape.kv_heads = 2, shape.vocab = 1001;
    const struct pipeline_case it = {.shape = &shape,
                                     .stored = TS_BF16,
                                     .adapter = &adapter,
                                     .lengths = lengths,
                                     .length_count = TS_COUNT(lengths)};
    for (ts_family_id id = 0; id < TS_FAMILY_COUNT; id++) {
        const ts_family *family = ts_family_of(id);
        shape.family = id;
        shape.head_dim = family->head_dim > 0 ? family->head_dim : 64;
        shape.query_scalar = (float)shape.head_dim;
        shape.window = family->windowed != TS_WINDOWED_NONE ? 8 : 0;
        shape.local_rope = shape.rope;
        shape.local_rope.theta = family->local_theta;
        shape.windowed = (ts_layer_set){0};
        ts_layer_add(&shape.windowed, 0); // one of the two
        TS_TRY(tune_and_answer(gpu, precision, &it, err));
    }
out:
    return status;
}

// ---- Every tile that measuring may choose for a product (ops/tune.h)

// The operands of a product c[SIDE, SIDE] and of its extra pair, without which the shader would be
// smaller. With an odd k, rows are not a multiple of four elements.
struct operands {
    ts_view a, b, largest;
    ts_layout layout;
    uint32_t k;
};

enum { SIDE = 2048, EXTRA_K = 16 };

#define OPERANDS(o)                                                                                \
    .a = (o)->a, .b = (o)->b, .c = (o)->a, .extra_a = (o)->a, .extra_b = (o)->a, .m = SIDE,        \
    .n = SIDE, .k = (o)->k, .lda = (o)->k, .ldb = (o)->layout == TS_NT ? (o)->k : SIDE,            \
    .ldc = SIDE, .extra_k = EXTRA_K, .extra = 1, .gate = (o)->a, .up = (o)->a, .gated = (o)->a,    \
    .partials = (o)->a

static void build_gemm(ts_recorder *recorder, const struct operands *o)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(recorder));
    ts_tile tiles[TS_TILES];
    struct ts_gemm_args args = {OPERANDS(o)};
    ts_gemm_choose(caps, o->layout, &args);
    const uint32_t count = ts_tile_candidates(caps, &args, tiles);
    for (uint32_t i = 0; i < count; i++) {
        ts_tile_set(&tiles[i], &args);
        ts_gemm(recorder, &args);
    }
}

static void build_gemm_rounded(ts_recorder *recorder, ts_precision precision,
                               const struct operands *o)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(recorder));
    ts_tile tiles[TS_TILES];
    struct ts_gemm_rounded_args args = {OPERANDS(o), .largest_a = o->largest,
                                        .largest_b = o->largest, .largest = o->a};
    const uint32_t count =
        ts_gemm_rounded_choose(caps, ts_precision_shader(caps, precision), o->layout, &args)
            ? ts_tile_candidates_rounded(caps, &args, tiles)
            : 0;
    for (uint32_t i = 0; i < count; i++) {
        ts_tile_set_rounded(&tiles[i], &args);
        ts_gemm_rounded(recorder, &args);
    }
}

static ts_status build_tiles(ts_gpu *gpu, ts_precision precision, ts_dtype stored, ts_error *err)
{
    ts_status status = TS_OK;
    ts_recorder *recorder = NULL;
    ts_gpu_arena arena = {.gpu = gpu};
    struct operands o = {0};
    TS_TRY(ts_recorder_open(gpu, &recorder, err));
    TS_TRY(ts_gpu_alloc(&arena, TS_F32, SIDE * SIDE, &o.a, err));
    TS_TRY(ts_gpu_alloc(&arena, stored, SIDE * SIDE, &o.b, err));
    TS_TRY(ts_gpu_alloc(&arena, TS_F32, 256, &o.largest, err));
    for (int i = 0; i < 4; i++) {
        const bool odd = i % 2; // its code does not depend on the weights' type
        o.layout = i < 2 ? TS_NT : TS_NN;
        o.k = odd ? SIDE - 1 : SIDE;
        if (odd && stored != TS_F32) {
            continue;
        }
        if (precision == TS_PRECISION_F32) {
            build_gemm(recorder, &o);
        } else {
            build_gemm_rounded(recorder, precision, &o);
        }
    }
    TS_TRY(ts_recorder_run(recorder, err));
out:
    ts_recorder_close(recorder);
    ts_gpu_arena_close(&arena);
    return status;
}

ts_status ts_pipelines_build(ts_gpu *gpu, ts_precision precision, ts_error *err)
{
    static const struct pipeline_case models[] = {
        {.stored = TS_BF16},
        {.stored = TS_F16},
        {.stored = TS_F32},
        {.stored = TS_BF16, .quantise = {TS_Q8_0, TS_Q8_0}},
        {.stored = TS_BF16, .quantise = {TS_NF4, TS_Q8_0}}};
    ts_status status = TS_OK;
    const bool cpu = ts_gpu_is_cpu(ts_gpu_capabilities(gpu));
    for (size_t i = 0; i < TS_COUNT(models); i++) {
        TS_TRY(build_large(gpu, precision, models[i], err));
        // A CPU driver takes long to compile the others, and its tests run them.
        if (!cpu) {
            TS_TRY(build_small(gpu, precision, models[i], err));
        }
    }
    if (!cpu) {
        TS_TRY(build_families(gpu, precision, err));
    }
    for (ts_dtype stored = 0; stored < TS_WEIGHT_TYPES && !cpu; stored++) {
        TS_TRY(build_tiles(gpu, precision, stored, err));
    }
out:
    return status;
}

ts_status ts_pipelines_label(const ts_pipeline_key *key, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_kernel row = ts_kernel_of(key->name);
    const ts_kernel_info *kernel = row < TS_KERNEL_COUNT ? &ts_kernels[row] : NULL; // NULL: a probe
    uint32_t constant = 1;
    TS_TRY(ts_text_format(out, err, "%s", key->name));
    for (size_t i = 0; kernel != NULL && kernel->buffers[i].name != NULL; i++) {
        const ts_kernel_buffer *buffer = &kernel->buffers[i];
        const ts_dtype stored = ts_kernel_stored(buffer->type, (uint32_t)i, key->constants[0]);
        if (buffer->type == TS_BUFFER_WEIGHT) {
            TS_TRY(ts_text_format(out, err, " %s", ts_dtype_name(stored)));
        } else if (buffer->type == TS_BUFFER_ACT && stored != TS_F32) {
            TS_TRY(ts_text_format(out, err, " %s=%s", buffer->name, ts_dtype_name(stored)));
        }
    }
    for (size_t i = 0; kernel != NULL && kernel->fields[i].name != NULL; i++) {
        if (kernel->fields[i].kind == 'c') {
            TS_TRY(ts_text_format(out, err, " %s=%u", kernel->fields[i].name,
                                  key->constants[constant++]));
        }
    }
out:
    return status;
}

double ts_pipelines_figure(const ts_pipeline_figures *figures, ts_figure what)
{
    // The names that RADV, ANV, NVK and Turnip use; NULL ends a list. If a driver reports several
    // of them, they are added up.
    static const char *const names[TS_FIGURE_COUNT][7] = {
        [TS_FIGURE_VECTOR_REGISTERS] = {"VGPRs", "Register Count", "Max live registers",
                                        "Number of GPRs", "Registers used"},
        [TS_FIGURE_SCALAR_REGISTERS] = {"SGPRs"},
        [TS_FIGURE_SPILLS] = {"Spilled VGPRs", "Spilled SGPRs", "Spill Count", "Spills",
                              "Spills to memory", "STP Count"},
        [TS_FIGURE_SCRATCH_BYTES] = {"Scratch size", "Scratch Memory Size", "Stack Size",
                                     "SLM size"},
        [TS_FIGURE_SHARED_BYTES] = {"LDS size", "Workgroup Memory Size", "Shared Memory Size"},
        [TS_FIGURE_CODE_BYTES] = {"Code size", "Code Size", "Binary Size"},
        [TS_FIGURE_INSTRUCTIONS] = {"Instructions", "Instruction count", "Instruction Count"},
        [TS_FIGURE_WAVES] = {"Subgroups per SIMD", "Max warps/SM", "Max Waves Per Core"},
        [TS_FIGURE_LATENCY] = {"Latency", "Cycles", "Cycle Count", "Static cycle count"},
        [TS_FIGURE_INVERSE_THROUGHPUT] = {"Inverse Throughput"},
    };
    double sum = NAN;
    for (const char *const *name = names[what]; *name != NULL; name++) {
        for (size_t i = 0; i < figures->count; i++) {
            if (strcmp(figures->items[i].name, *name) == 0) {
                sum = (isnan(sum) ? 0 : sum) + figures->items[i].value;
            }
        }
    }
    return sum;
}
