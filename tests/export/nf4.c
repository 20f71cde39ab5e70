// Merging into a base in bitsandbytes' NF4 gives the same as merging into the same numbers in F32.
// The base is made here from the format's description. (For double quantisation:
// tools/golden/make_bitsandbytes.py.)
#include "export_test.h"

#include "model/block_llama.h"
#include "nf4_levels.h"

#define CLAIMS                                                                                     \
    ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true, "     \
    "\"bnb_4bit_quant_type\": \"nf4\"}"

// Puts codes and scales in place of a linear weight, and replaces its values by what these decode
// to.
static void quantise(struct tiny_file *out, const ts_tensor *weight)
{
    const uint64_t count = weight->shape[0] * weight->shape[1];
    float *values = (float *)(uintptr_t)weight->bytes, scales[64 * 64 / 64];
    uint8_t codes[64 * 64 / 2] = {0};
    char state[256];
    for (uint64_t i = 0; i < count; i++) {
        const uint32_t code = (uint32_t)(i * 7 + i / 64 * 3) % 16;
        scales[i / 64] = 0.1f + 0.01f * (float)(i / 64);
        codes[i / 2] |= (uint8_t)(i % 2 == 0 ? code << 4 : code); // the even element above
        values[i] = nf4_levels[code] * scales[i / 64];
    }
    snprintf(
        state, sizeof state,
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"float32\", \"shape\": [%llu, "
        "%llu]}",
        (unsigned long long)weight->shape[0], (unsigned long long)weight->shape[1]);
    tiny_bytes(out, weight->name, "", TS_U8, count / 2, codes);
    out->tensors[out->count - 1].rank = 2;
    out->tensors[out->count - 1].shape[1] = 1;
    tiny_bytes(out, weight->name, ".absmax", TS_F32, count / 64, scales);
    tiny_bytes(out, weight->name, ".quant_map", TS_F32, 16, nf4_levels);
    tiny_bytes(out, weight->name, ".quant_state.bitsandbytes__nf4", TS_U8, strlen(state), state);
}

// FOLDER/base holds the model in NF4, FOLDER/plain the same numbers.
static void write_both(const place *p, const char *plain)
{
    struct tiny_file file = {.state = 3, .dtype = TS_F32};
    struct tiny_file parts = {0};
    MUST(ts_folder_make(p->base, err));
    MUST(ts_folder_make(plain, err));
    list_tensors(&file);
    for (size_t i = 0; i < file.count; i++) {
        const ts_tensor *tensor = &file.tensors[i];
        if (strstr(tensor->name, "_proj") != NULL) {
            quantise(&parts, tensor);
        } else {
            tiny_bytes(&parts, tensor->name, "", TS_F32, tensor->len / sizeof(float),
                       tensor->bytes);
            parts.tensors[parts.count - 1].rank = tensor->rank;
            memcpy(parts.tensors[parts.count - 1].shape, tensor->shape, sizeof tensor->shape);
        }
    }
    write_tensors(p->base, &parts);
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
