#include "check/case.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ts_status read_numbers(const cJSON *json, const char *name, ts_case *out, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *betas = ts_json_get(json, "betas"), *targets = ts_json_get(json, "targets");
    TS_TRY(ts_json_get_uint(json, "steps", 1, 1 << 20, name, &out->steps, err));
    TS_TRY(ts_json_get_uint(json, "warmup", 0, 1 << 20, name, &out->warmup, err));
    TS_TRY(ts_json_get_double(json, "lr", name, &out->rate, err));
    TS_TRY(ts_json_get_double(json, "eps", name, &out->adamw.eps, err));
    TS_TRY(ts_json_get_double(json, "weight_decay", name, &out->adamw.weight_decay, err));
    TS_TRY(ts_json_get_double(json, "max_grad_norm", name, &out->adamw.max_grad_norm, err));
    if (cJSON_GetArraySize(betas) != 2) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'betas': expected two numbers", name);
    }
    const cJSON *quantise = ts_json_get(json, "quantize");
    if (cJSON_IsString(quantise)) {
        TS_TRY(ts_quantise_parse(quantise->valuestring, &out->quantise, err));
    }
    // Older cases rounded the frequencies to the type of the weights and do not say so.
    const cJSON *dtype = ts_json_get(json, "rope_dtype");
    dtype = dtype != NULL ? dtype : ts_json_get(json, "dt");
    const char *name_of = cJSON_IsString(dtype) ? dtype->valuestring : "float32";
    out->rope_dtype = strcmp(name_of, "bfloat16") == 0  ? TS_BF16
                      : strcmp(name_of, "float16") == 0 ? TS_F16
                                                        : TS_F32;
    out->adamw.beta1 = cJSON_GetArrayItem(betas, 0)->valuedouble;
    out->adamw.beta2 = cJSON_GetArrayItem(betas, 1)->valuedouble;
    out->all_modules = cJSON_GetArraySize(targets) == TS_MODULE_COUNT;
out:
    return status;
}

// The key 'loss': a name of losses.def; cross-entropy where it is absent.
static ts_status read_loss(const cJSON *json, const char *name, ts_case *out, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *loss = ts_json_get(json, "loss");
    if (ts_json_get(json, "label_smoothing") != NULL) {
        TS_TRY(ts_json_get_double(json, "label_smoothing", name, &out->loss_params.label_smoothing,
                                  err));
    }
    if (loss == NULL) {
        return TS_OK;
    }
    if (!cJSON_IsString(loss) || !ts_loss_find(loss->valuestring, &out->loss)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'loss': expected the name of a loss that is known, such as dpo", name);
    }
    if (ts_losses[out->loss].pairs) {
        TS_TRY(ts_json_get_double(json, "beta", name, &out->loss_params.beta, err));
    }
out:
    return status;
}

// The key 'autocast', which tools/golden/make_cases.py writes into new cases.
static ts_status read_autocast(const cJSON *json, const char *type, uint64_t steps,
                               const char *name, ts_autocast_errors *out, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *errors = ts_json_get(ts_json_get(json, "autocast"), type);
    const cJSON *losses = ts_json_get(errors, "losses"), *loss;
    uint64_t step = 0;
    if (errors == NULL) {
        goto out;
    }
    TS_TRY(ts_json_get_double(errors, "logits", name, &out->logits, err));
    TS_TRY(ts_json_get_double(errors, "gradients", name, &out->gradients, err));
    if (!cJSON_IsArray(losses) || (uint64_t)cJSON_GetArraySize(losses) != steps) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'autocast', %s: expected a loss error for each of %llu steps", name, type,
                (unsigned long long)steps);
    }
    TS_TRY(ts_alloc(steps, sizeof *out->losses, &out->losses, err));
    cJSON_ArrayForEach(loss, losses)
    {
        if (!cJSON_IsNumber(loss)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'autocast', %s: a loss error is no number", name, type);
        }
        out->losses[step++] = loss->valuedouble;
    }
out:
    return status;
}

// Reads a tensor of integers: int32, or int64, PyTorch's default.
static ts_status find(const ts_case *c, uint32_t micro, const char *what, const ts_tensor **out,
                      ts_error *err)
{
    ts_status status = TS_OK;
    char name[64];
    snprintf(name, sizeof name, "micro%u.%s", micro, what);
    *out = ts_tensors_find(c->golden, name);
    if (*out == NULL || ((*out)->dtype != TS_I32 && (*out)->dtype != TS_I64)) {
        TS_FAIL(TS_ERR_FORMAT, "%s/golden.safetensors: expected a tensor %s of I32 or I64",
                c->folder.bytes, name);
    }
out:
    return status;
}

static int64_t integer_at(const ts_tensor *tensor, uint64_t index)
{
    return tensor->dtype == TS_I32 ? ((const int32_t *)tensor->bytes)[index]
                                   : ((const int64_t *)tensor->bytes)[index];
}

// Adds row `b` of a padded micro-batch as one packed sequence.
static ts_status add_row(ts_case *c, uint32_t micro, const ts_tensor *ids, const ts_tensor *labels,
                         uint32_t b, int64_t length, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t width = (uint32_t)ids->shape[1];
    uint64_t begin = (uint64_t)b * width;
    uint32_t *tokens = NULL;
    uint8_t *supervised = NULL;
    TS_TRY(ts_alloc(width, sizeof *tokens, &tokens, err));
    TS_TRY(ts_alloc(width, 1, &supervised, err));
    if (length < 1 || length > width) {
        TS_FAIL(TS_ERR_FORMAT, "%s: micro%u.lengths: expected 1 to %u tokens, found %lld",
                c->folder.bytes, micro, width, (long long)length);
    }
    for (int64_t t = 0; t < length; t++) {
        tokens[t] = (uint32_t)integer_at(ids, begin + (uint64_t)t);
        supervised[t] = integer_at(labels, begin + (uint64_t)t) >= 0;
    }
    TS_TRY(ts_batch_add(&c->micro[micro], tokens, (uint32_t)length, supervised, err));
    c->max_positions = (uint32_t)ts_max_u64(c->max_positions, (uint64_t)length);
out:
    free(tokens);
    free(supervised);
    return status;
}

static ts_status read_micro(ts_case *c, uint32_t micro, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tensor *ids, *labels, *lengths;
    TS_TRY(find(c, micro, "input_ids", &ids, err));
    TS_TRY(find(c, micro, "labels", &labels, err));
    TS_TRY(find(c, micro, "lengths", &lengths, err));
    if (ids->rank != 2 || lengths->rank != 1 || labels->rank != 2 ||
        labels->shape[0] != ids->shape[0] || labels->shape[1] != ids->shape[1] ||
        lengths->shape[0] != ids->shape[0]) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: micro%u: the shapes of input_ids, labels and lengths do not fit together",
                c->folder.bytes, micro);
    }
    uint32_t rows = (uint32_t)ids->shape[0], width = (uint32_t)ids->shape[1];
    c->shapes[micro][0] = rows;
    c->shapes[micro][1] = width;
    for (uint32_t b = 0; b < rows; b++) {
        TS_TRY(add_row(c, micro, ids, labels, b, integer_at(lengths, b), err));
    }
    c->supervised += c->micro[micro].loss_rows;
    c->max_rows = (uint32_t)ts_max_u64(c->max_rows, c->micro[micro].rows);
out:
    return status;
}

ts_status ts_case_open(const char *folder, ts_case *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    cJSON *json = NULL;
    bool found;
    *out = (ts_case){0};
    TS_TRY(ts_text_format(&out->folder, err, "%s", folder));
    while (out->folder.len > 1 && out->folder.bytes[out->folder.len - 1] == '/') {
        out->folder.bytes[--out->folder.len] = '\0';
    }
    TS_TRY(ts_text_format(&out->name, err, "%s", ts_path_name(out->folder.bytes)));
    TS_TRY(ts_path_join(folder, "case.json", &path, err));
    TS_TRY(ts_file_find(path.bytes, &found, err));
    if (!found) {
        TS_FAIL(TS_ERR_IO,
                "%s: no reference case is here: expected a folder with case.json, as tests/golden "
                "holds some",
                folder);
    }
    TS_TRY(ts_json_parse_file(path.bytes, &json, err));
    TS_TRY(read_numbers(json, path.bytes, out, err));
    TS_TRY(read_loss(json, path.bytes, out, err));
    TS_TRY(read_autocast(json, "float16", out->steps, path.bytes, &out->autocast_f16, err));
    TS_TRY(read_autocast(json, "bfloat16", out->steps, path.bytes, &out->autocast_bf16, err));
    out->micro_count = (uint32_t)cJSON_GetArraySize(ts_json_get(json, "micro"));
    if (out->micro_count == 0) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'micro': expected a list of micro-batches", path.bytes);
    }
    TS_TRY(ts_alloc(out->micro_count, sizeof *out->micro, &out->micro, err));
    TS_TRY(ts_alloc(out->micro_count, sizeof *out->shapes, &out->shapes, err));
    ts_text_clear(&path);
    TS_TRY(ts_path_join(folder, "golden.safetensors", &path, err));
    TS_TRY(ts_safetensors_open(path.bytes, &out->golden, err));
    for (uint32_t i = 0; i < out->micro_count; i++) {
        TS_TRY(read_micro(out, i, err));
    }
out:
    cJSON_Delete(json);
    ts_text_free(&path);
    if (status != TS_OK) {
        ts_case_close(out);
    }
    return status;
}

void ts_case_close(ts_case *c)
{
    for (uint32_t i = 0; i < c->micro_count && c->micro != NULL; i++) {
        ts_batch_free(&c->micro[i]);
    }
    free(c->micro);
    free(c->shapes);
    free(c->autocast_f16.losses);
    free(c->autocast_bf16.losses);
    ts_tensors_close(c->golden);
    ts_text_free(&c->folder);
    ts_text_free(&c->name);
    *c = (ts_case){0};
}
