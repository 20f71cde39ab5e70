#include "data/gguf_names.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

static const ts_gguf_architecture architectures[] = {
#define ARCHITECTURE(id, ...) {__VA_ARGS__},
#define TENSOR(norms, gguf, hf)
#define LAYER_TENSOR(norms, gguf, hf)
#include "data/gguf_names.def"
#undef ARCHITECTURE
#undef TENSOR
#undef LAYER_TENSOR
};

enum { ANY, BEFORE, AFTER };

static const struct {
    bool in_layer;
    int norms;
    const char *gguf, *hf;
} tensors[] = {
#define ARCHITECTURE(id, ...)
#define TENSOR(norms, gguf, hf) {false, norms, gguf, hf},
#define LAYER_TENSOR(norms, gguf, hf) {true, norms, gguf, hf},
#include "data/gguf_names.def"
#undef ARCHITECTURE
#undef TENSOR
#undef LAYER_TENSOR
};

static const char GGUF_LAYER[] = "blk.", HF_LAYER[] = "model.layers.";

const ts_gguf_architecture *ts_gguf_architecture_find(const char *gguf_name)
{
    for (size_t i = 0; i < TS_COUNT(architectures); i++) {
        if (strcmp(architectures[i].name, gguf_name) == 0) {
            return &architectures[i];
        }
    }
    return NULL;
}

const ts_gguf_architecture *ts_gguf_architecture_of(const char *model_type)
{
    for (size_t i = 0; i < TS_COUNT(architectures); i++) {
        if (strcmp(architectures[i].model_type, model_type) == 0) {
            return &architectures[i];
        }
    }
    return NULL;
}

const char *ts_gguf_architecture_name(size_t index)
{
    for (size_t i = 0; i < TS_COUNT(architectures); i++) {
        if (ts_gguf_architecture_find(architectures[i].name) == &architectures[i] && index-- == 0) {
            return architectures[i].name;
        }
    }
    return NULL;
}

// The number of a layer, as both spell it: digits without a leading zero, then a dot. Returns what
// follows, or NULL.
static const char *skip_layer(const char *text, int *digits)
{
    *digits = 0;
    while (text[*digits] >= '0' && text[*digits] <= '9') {
        ++*digits;
    }
    bool proper = *digits > 0 && *digits < 10 && (text[0] != '0' || *digits == 1);
    return proper && text[*digits] == '.' ? text + *digits + 1 : NULL;
}

// Translates `from`, whose layers begin with `from_layer`, to the other side.
static bool translate(const ts_gguf_architecture *architecture, const char *from, bool to_hf,
                      char *out, size_t size)
{
    const char *from_layer = to_hf ? GGUF_LAYER : HF_LAYER;
    const char *to_layer = to_hf ? HF_LAYER : GGUF_LAYER;
    bool in_layer = strncmp(from, from_layer, strlen(from_layer)) == 0;
    const char *number = from + (in_layer ? strlen(from_layer) : 0), *name = from;
    int digits = 0; // of the number
    if (in_layer && (name = skip_layer(number, &digits)) == NULL) {
        return false;
    }
    for (size_t i = 0; i < TS_COUNT(tensors); i++) {
        const char *known = to_hf ? tensors[i].gguf : tensors[i].hf;
        size_t len = strlen(known);
        int other = architecture->norms_after ? BEFORE : AFTER;
        if (tensors[i].in_layer != in_layer || tensors[i].norms == other ||
            strncmp(name, known, len) != 0 || name[len] != '.') {
            continue;
        }
        int written =
            snprintf(out, size, "%s%.*s%s%s%s", in_layer ? to_layer : "", digits, number,
                     in_layer ? "." : "", to_hf ? tensors[i].hf : tensors[i].gguf, name + len);
        return written > 0 && (size_t)written < size;
    }
    return false;
}

bool ts_gguf_name_to_hf(const ts_gguf_architecture *architecture, const char *gguf, char *out,
                        size_t size)
{
    return translate(architecture, gguf, true, out, size);
}

bool ts_gguf_name_from_hf(const ts_gguf_architecture *architecture, const char *hf, char *out,
                          size_t size)
{
    return translate(architecture, hf, false, out, size);
}

bool ts_gguf_is_permuted(const ts_gguf_architecture *architecture, const char *hf)
{
    return architecture->permutes &&
           (strstr(hf, ".self_attn.q_proj.") != NULL || strstr(hf, ".self_attn.k_proj.") != NULL);
}

bool ts_gguf_is_plus_one(const ts_gguf_architecture *architecture, const char *hf)
{
    return architecture->norms_plus_one && strstr(hf, "norm.weight") != NULL;
}
