// A model on the device: its frozen weights, and the LoRA adapter that is trained.
#ifndef TS_MODEL_MODEL_H
#define TS_MODEL_MODEL_H

#include "base/blocks.h"
#include "data/adapter.h"
#include "data/safetensors.h"
#include "gpu/recorder.h"
#include "model/layout.h"
#include "ops/gemm.h"

typedef struct ts_layer_weights {
    ts_view norms[TS_NORM_COUNT];     // [ts_config_norm_shape's cols] each; not set where the
                                      // family has none
    ts_view linear[TS_MODULE_COUNT];  // [out, in] each
    ts_view biases[TS_MODULE_COUNT];  // [out] each; not set where the family has none
    ts_view largest[TS_MODULE_COUNT]; // [TS_LARGEST_COUNT] largest elements of `linear`, as
                                      // `absmax` finds them; set in f16 where it is F32
} ts_layer_weights;

// A weight with a row for each token, [vocab, hidden]. It is cut into ranges of rows that are small
// enough to be bound; where the device can bind the whole weight, there is one range.
enum { TS_VOCABULARY_RANGES = 64, TS_VOCABULARY_STEP = 64 };
typedef struct ts_vocabulary {
    ts_view ranges[TS_VOCABULARY_RANGES];
    ts_view largest[TS_VOCABULARY_RANGES]; // of lm_head's ranges, as ts_layer_weights.largest
    uint32_t count;
    uint32_t rows; // of each range but the last: a multiple of TS_VOCABULARY_STEP, so that a
                   // range's columns of logits begin where a view may
} ts_vocabulary;
static inline uint64_t ts_vocabulary_bytes(const ts_vocabulary *weight)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < weight->count; i++) {
        bytes += weight->ranges[i].bytes;
    }
    return bytes;
}

// One LoRA pair. Its tensors are views into the adapter's flat array. Zeroed in a module that is
// not adapted.
typedef struct ts_lora_pair {
    uint32_t r;
    float scale;       // alpha / r, or alpha / sqrt(r)
    ts_view a, b;      // [r, in], [out, r]
    ts_view magnitude; // [out] with DoRA (model/dora.h), as the next two, which are apart
    ts_view squares;   // [out] of the lengths of the weight's rows
    ts_view factor;    // [2, out] what the layer's output is multiplied by; 1 / norm
} ts_lora_pair;

// The adapter: all its tensors in one flat array, each starting on a view boundary and the gaps
// always zero. Gradients (model/pass.h) and AdamW's moments (train/optimiser.h) are flat arrays
// laid out alike.
typedef struct ts_lora {
    ts_adapter_config config; // its texts are borrowed from whoever set it
    ts_text patterns[2];      // those that ts_model_load_lora read
    uint64_t count;           // floats in a flat array, gaps included
    uint64_t parameters;      // floats without the gaps
    ts_view values;           // [count]
    ts_lora_pair *pairs;      // [layers * TS_MODULE_COUNT]
    bool changed;             // whoever changes values sets it: the pairs' factors do not fit them
    ts_view across, gram;     // scratch of ts_dora_refresh
} ts_lora;

typedef struct ts_model {
    ts_gpu *gpu; // borrowed
    ts_model_config config;
    ts_gpu_arena weights, adapter;
    ts_vocabulary embedding; // not set where it stays in its file
    ts_view final_norm;      // [hidden]
    ts_vocabulary lm_head;   // the embedding where tied
    float embedding_scale;   // what its rows are multiplied by
    ts_view rope;            // [max positions, head_dim / 2, 2] cosines and sines
    ts_view local_rope;      // the same for windowed layers, where they have a rope of their own
    ts_precision precision;  // of products with the base's weights; the adapter's are in f32
    ts_text held_in;         // ts_quantise_describe
    ts_layer_weights *layers;
    bool embedding_in_file; // then each batch uploads the rows that it needs
    ts_dtype embedding_dtype;
    const ts_tensors *files;         // borrowed; read where the embedding stays in its file
    const ts_tensor *embedding_rows; // [vocab, hidden] in the file; NULL if not embedding_in_file
    ts_lora lora;
    bool has_lora;
    bool lora_enabled; // false: the adapter is switched off, the base model runs
} ts_model;

// Called while weights are uploaded: `done` of `total` bytes so far.
typedef void (*ts_model_progress)(void *user, uint64_t done, uint64_t total);

typedef struct ts_model_params {
    const ts_model_config *config; // as ts_model_check left it
    ts_weights *weights;           // the files of `config`, which must outlive the model. NULL:
                                   // random weights of that shape, to measure speed and memory
    ts_dtype random_dtype;         // what random weights are stored as
    ts_quantise quantise;          // linear weights are converted to this while they are uploaded;
                                   // what it leaves, as `precision` asks (ts_weight_held_as)
    uint32_t positions;            // the longest sequence that will be run
    ts_dtype rope_dtype; // what the rotary frequencies are rounded to: TS_F32 (0) as transformers
                         // has them when it loads a model; TS_BF16 or TS_F16 as after model.to()
    ts_precision precision;     // of products: one that the device offers
    bool embedding_in_file;     // an embedding that is not tied to lm_head stays in its file, and
                                // each batch uploads the rows that it needs, which saves memory
    uint64_t range_bytes;       // embedding and lm_head are cut into ranges of at most so many; 0:
                                // as large as the device binds
    ts_model_progress progress; // may be NULL
    void *user;
} ts_model_params;

// Uploads the model to the device. The caller closes it; after an error it is closed already.
// TS_ERR_UNSUPPORTED names a weight that the device cannot bind.
ts_status ts_model_open(ts_gpu *gpu, const ts_model_params *params, ts_model *out, ts_error *err);
void ts_model_close(ts_model *model);               // may be zeroed
uint32_t ts_model_positions(const ts_model *model); // the longest sequence that it runs

// Gives the model a fresh adapter, initialised as PEFT does: B zero, A random from `seed`. By
// config->init A is uniform in +-1/sqrt(in), or normal with a standard deviation of 1/r.
ts_status ts_model_add_lora(ts_model *model, const ts_adapter_config *config, uint64_t seed,
                            ts_error *err);
// Loads an adapter from a PEFT folder. The error names a tensor that is missing, unexpected or of
// the wrong shape.
ts_status ts_model_load_lora(ts_model *model, const char *folder, ts_error *err);
void ts_model_remove_lora(ts_model *model); // the model may have no adapter
// Appends to *out the bytes of adapter_model.safetensors with the adapter's present values.
ts_status ts_model_save_lora(ts_model *model, ts_text *out, ts_error *err);

// The tensors of one flat array, copied to the host and named. Starts zeroed.
enum { TS_LORA_NAME_BYTES = TS_ADAPTER_KEY_BYTES + 32 };
typedef struct ts_lora_tensors {
    ts_tensor *tensors; // named prefix + adapter key, sorted
    size_t count;
    float *values; // the memory that they point into
    char (*names)[TS_LORA_NAME_BYTES];
} ts_lora_tensors;
ts_status ts_lora_download(ts_model *model, ts_view flat, const char *prefix, ts_lora_tensors *out,
                           ts_error *err);
void ts_lora_tensors_free(ts_lora_tensors *tensors);
// The reverse: fills a flat array from a file that has the tensors under those names. *count is how
// many there were.
ts_status ts_lora_upload(ts_model *model, ts_view flat, const char *prefix, const ts_tensors *file,
                         size_t *count, ts_error *err);

static inline const ts_lora_pair *ts_lora_pair_of(const ts_model *model, uint32_t layer,
                                                  ts_module module)
{
    if (!model->has_lora) {
        return NULL;
    }
    const ts_lora_pair *pair = &model->lora.pairs[layer * TS_MODULE_COUNT + module];
    return pair->r > 0 ? pair : NULL;
}

// `part` is one of the adapter's tensors. Returns its counterpart in `flat`, a flat array with the
// same layout as the adapter's values.
ts_view ts_lora_part(const ts_lora *lora, ts_view flat, ts_view part);

// *count: floats in a flat array of such an adapter. *parameters: the same without the gaps.
void ts_lora_measure(const ts_model_config *config, const ts_adapter_config *adapter,
                     uint64_t *count, uint64_t *parameters);

// Where the layer's tensors begin in it, in floats; of the layer after the last: where all end.
uint64_t ts_lora_begin(const ts_model_config *config, const ts_adapter_config *adapter,
                       uint32_t layer);

// Device bytes of weights and adapter, computed from the shapes alone. The weights' types are those
// in `file`, or what they are converted to; if it is NULL, all are `dtype`. TS_ERR_UNSUPPORTED
// names a weight with more bytes than `binding_limit` (0: no limit), because no shader of the
// device could access the whole of it.
ts_status ts_model_plan(const ts_model_config *config, const ts_tensors *file, ts_dtype dtype,
                        ts_quantise quantise, uint32_t positions, bool embedding_in_file,
                        uint64_t binding_limit, const ts_adapter_config *adapter,
                        ts_precision precision, uint64_t *weight_bytes, uint64_t *adapter_bytes,
                        ts_error *err);

#endif
