// Merging into a base in bitsandbytes' NF4 gives the same as merging into the same numbers in F32.
// The base is made here from the format's description. (For double quantisation:
// tools/golden/make_bitsandbytes.py.)
#include "export_test.h"

#include "model/block_llama.h"

#define CLAIMS                                                                                     \
    ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true, "     \
    "\"bnb_4bit_quant_type\": \"nf4\"}"

static const float levels[16] = {-1.0f,
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
                                 1.0f};

enum { MOST = 128 };
struct parts {
    ts_tensor tensors[MOST];
    char names[MOST][160];
    size_t count;
};

static void add(struct parts *p, const char *name, const char *part, ts_dtype dtype, uint64_t rows,
                const void *bytes)
{
    ts_tensor *tensor = &p->tensors[p->count];
    const size_t len = rows * ts_dtype_bytes(dtype);
    void *copy = malloc(len);
    memcpy(copy, bytes, len);
    snprintf(p->names[p->count], sizeof p->names[0], "%s%s", name, part);
    *tensor = (ts_tensor){.name = p->names[p->count++],
                          .dtype = dtype,
                          .rank = 1,
                          .shape = {rows},
                          .bytes = copy,
                          .len = len};
}

// Puts codes and scales in place of a linear weight, and replaces its values by what these decode
// to.
static void quantise(struct parts *p, const ts_tensor *weight)
{
    const uint64_t count = weight->shape[0] * weight->shape[1];
    float *values = (float *)(uintptr_t)weight->bytes, scales[64 * 64 / 64];
    uint8_t codes[64 * 64 / 2] = {0};
    char state[256];
    for (uint64_t i = 0; i < count; i++) {
        const uint32_t code = (uint32_t)(i * 7 + i / 64 * 3) % 16;
        scales[i / 64] = 0.1f + 0.01f * (float)(i / 64);
        codes[i / 2] |= (uint8_t)(i % 2 == 0 ? code << 4 : code); // the even element above
        values[i] = levels[code] * scales[i / 64];
    }
    snprintf(
        state, sizeof state,
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"float32\", \"shape\": [%llu, "
        "%llu]}",
        (unsigned long long)weight->shape[0], (unsigned long long)weight->shape[1]);
    add(p, weight->name, "", TS_U8, count / 2, codes);
    p->tensors[p->count - 1].rank = 2;
    p->tensors[p->count - 1].shape[1] = 1;
    add(p, weight->name, ".absmax", TS_F32, count / 64, scales);
    add(p, weight->name, ".quant_map", TS_F32, 16, levels);
    add(p, weight->name, ".quant_state.bitsandbytes__nf4", TS_U8, strlen(state), state);
}

// FOLDER/base holds the model in NF4, FOLDER/plain the same numbers.
static void write_both(const place *p, const char *plain)
{
    struct tiny_file file = {.state = 3, .dtype = TS_F32};
    struct parts parts = {0};
    ts_text bytes = {0}, path = {0};
    MUST(ts_folder_make(p->base, err));
    MUST(ts_folder_make(plain, err));
    list_tensors(&file);
    for (size_t i = 0; i < file.count; i++) {
        const ts_tensor *tensor = &file.tensors[i];
        if (strstr(tensor->name, "_proj") != NULL) {
            quantise(&parts, tensor);
        } else {
            add(&parts, tensor->name, "", TS_F32, tensor->len / sizeof(float), tensor->bytes);
            parts.tensors[parts.count - 1].rank = tensor->rank;
            memcpy(parts.tensors[parts.count - 1].shape, tensor->shape, sizeof tensor->shape);
        }
    }
    MUST(ts_safetensors_serialise(parts.tensors, parts.count, &bytes, err));
    MUST(ts_path_join(p->base, "model.safetensors", &path, err));
    MUST(ts_file_write_plain(path.bytes, bytes.bytes, bytes.len, err));
    for (size_t i = 0; i < parts.count; i++) {
        free((void *)(uintptr_t)parts.tensors[i].bytes);
    }
    ts_text_free(&bytes);
    ts_text_free(&path);
    write_shape(p->base, CLAIMS);
    write_shape(plain, "");
    write_tensors(plain, &file);
}

static void merge(place *p, const char *base, const char *out, const ts_adapter_config *adapter)
{
    place_open_source(p, base, adapter);
    p->params.path = out;
    p->params.convert = true;
    p->params.dtype = TS_F32;
    MUST(ts_export_run(&p->source, &p->params, err));
    ts_export_source_close(&p->source);
    ts_weights_close(p->weights);
    p->weights = NULL;
}

static ts_text read_out(const char *folder, const char *name)
{
    ts_text path = {0}, text = {0};
    MUST(ts_path_join(folder, name, &path, err));
    MUST(ts_file_read(path.bytes, 1 << 24, &text, err));
    ts_text_free(&path);
    return text;
}

Test(nf4, merged_as_the_same_numbers)
{
    const ts_adapter_config adapter = {.r = 2, .alpha = 4, .targets = TS_MODULES_ALL};
    place p;
    char plain[64], second[64];
    place_name(&p);
    snprintf(plain, sizeof plain, "%s/plain", p.folder);
    snprintf(second, sizeof second, "%s/second", p.folder);
    write_both(&p, plain);
    merge(&p, p.base, p.out, &adapter);
    merge(&p, plain, second, &adapter);
    ts_text a = read_out(p.out, "model.safetensors"), b = read_out(second, "model.safetensors");
    cr_expect_eq(a.len, b.len);
    cr_expect(a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0);
    ts_text config = read_out(p.out, "config.json");
    cr_expect_null(strstr(config.bytes, "quantization_config"), "%s", config.bytes);
    ts_text_free(&a);
    ts_text_free(&b);
    ts_text_free(&config);
    MUST(ts_folder_remove(p.folder, err));
}
