// Translates the names of architectures and tensors between GGUF and Hugging Face, and says which
// tensors llama.cpp stores in another way. The names are in gguf_names.def.
#ifndef TS_DATA_GGUF_NAMES_H
#define TS_DATA_GGUF_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ts_gguf_architecture {
    const char *name;         // in the file's general.architecture
    const char *model_type;   // in config.json
    const char *architecture; // in config.json's "architectures"
    bool permutes;            // rows of q and k lie in another order: ts_gguf_row
    bool norms_plus_one;      // norms are stored as 1 + w where Hugging Face has w
    bool norms_after;         // a layer has norms of the outputs of attention and of its MLP
} ts_gguf_architecture;

// By either name; NULL where there is none.
const ts_gguf_architecture *ts_gguf_architecture_find(const char *gguf_name);
const ts_gguf_architecture *ts_gguf_architecture_of(const char *model_type);
// The GGUF names, by index, each once; NULL after the last.
const char *ts_gguf_architecture_name(size_t index);

// "blk.3.attn_q.weight" to "model.layers.3.self_attn.q_proj.weight", and back. What follows the
// tensor's name (".weight", ".bias", ".weight.lora_a" ...) stays as it is. False where the
// architecture has no such tensor, or out[size] is too small.
bool ts_gguf_name_to_hf(const ts_gguf_architecture *architecture, const char *gguf, char *out,
                        size_t size);
bool ts_gguf_name_from_hf(const ts_gguf_architecture *architecture, const char *hf, char *out,
                          size_t size);

// Whether a file of this architecture stores the rows of a tensor, by its Hugging Face name, in
// another order: q_proj and k_proj of those that permute, weight and bias.
bool ts_gguf_is_permuted(const ts_gguf_architecture *architecture, const char *hf);
// Whether it stores this tensor as 1 + w.
bool ts_gguf_is_plus_one(const ts_gguf_architecture *architecture, const char *hf);

// Where a file has row `row` of a permuted tensor whose heads have `head_dim` rows each. Hugging
// Face rotates row j of a head with row j + head_dim / 2; llama.cpp has such pairs side by side.
static inline uint64_t ts_gguf_row(uint64_t row, uint64_t head_dim)
{
    uint64_t in_head = row % head_dim, half = head_dim / 2;
    return row - in_head + in_head % half * 2 + in_head / half;
}
// The inverse: which of Hugging Face's rows is row `row` of the file.
static inline uint64_t ts_gguf_row_to_hf(uint64_t row, uint64_t head_dim)
{
    uint64_t in_head = row % head_dim, half = head_dim / 2;
    return row - in_head + in_head % 2 * half + in_head / 2;
}

#endif
