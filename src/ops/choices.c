#include "ops/choices.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "gpu/cache.h"
#include "ops/shaders.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHOICES_FILE "choices.json"

enum { FORMAT = 1, MOST_PRODUCTS = 4096, MOST_VERDICTS = 256, SLOT = 0 };

struct judged {
    char shader[TS_CHOICE_NAME_BYTES];
    ts_verdict verdict;
};

// The store, attached to the device (ts_gpu_attach).
struct choices {
    char shaders[TS_DIGEST_TEXT_BYTES]; // the hash of this program's shaders
    ts_choice *products;
    size_t product_count, product_capacity;
    struct judged *verdicts;
    size_t verdict_count, verdict_capacity;
};

static const char *const verdict_names[] = {"NONE", "PASS", "SLOW", "BROKEN"};

const char *ts_verdict_name(ts_verdict verdict)
{
    return verdict_names[verdict];
}

// The hash of the names and the SPIR-V words of all shaders. What was measured with other shaders
// does not hold for these.
static void hash_shaders(char out[TS_DIGEST_TEXT_BYTES])
{
    ts_digest digest;
    ts_digest_begin_sha256(&digest);
    for (const struct ts_shader *shader = ts_shader_table; shader->name != NULL; shader++) {
        ts_digest_add(&digest, shader->name, strlen(shader->name) + 1);
        ts_digest_add(&digest, shader->words, shader->bytes);
    }
    ts_digest_end(&digest, out);
}

static ts_choice *find_product(const struct choices *all, const char *product)
{
    for (size_t i = 0; i < all->product_count; i++) {
        if (strcmp(all->products[i].product, product) == 0) {
            return &all->products[i];
        }
    }
    return NULL;
}

static struct judged *find_verdict(const struct choices *all, const char *shader)
{
    for (size_t i = 0; i < all->verdict_count; i++) {
        if (strcmp(all->verdicts[i].shader, shader) == 0) {
            return &all->verdicts[i];
        }
    }
    return NULL;
}

// The next two functions add an entry that is not known yet. A known entry stays as it is.
static ts_status add_product(struct choices *all, const ts_choice *choice, ts_error *err)
{
    ts_status status = TS_OK;
    if (find_product(all, choice->product) == NULL && all->product_count < MOST_PRODUCTS) {
        TS_TRY(ts_grow(&all->products, &all->product_capacity, all->product_count + 1,
                       sizeof *all->products, err));
        all->products[all->product_count++] = *choice;
    }
out:
    return status;
}

static ts_status add_verdict(struct choices *all, const char *shader, ts_verdict verdict,
                             ts_error *err)
{
    ts_status status = TS_OK;
    if (find_verdict(all, shader) == NULL && all->verdict_count < MOST_VERDICTS) {
        TS_TRY(ts_grow(&all->verdicts, &all->verdict_capacity, all->verdict_count + 1,
                       sizeof *all->verdicts, err));
        struct judged *judged = &all->verdicts[all->verdict_count++];
        snprintf(judged->shader, sizeof judged->shader, "%s", shader);
        judged->verdict = verdict;
    }
out:
    return status;
}

// ---- From JSON

static ts_status copy_name(char *out, size_t size, const char *text, const char *name,
                           ts_error *err)
{
    if (text[0] == '\0' || strlen(text) >= size) {
        return ts_error_set(err, TS_ERR_FORMAT, "%s: expected a name of 1 to %zu bytes, found '%s'",
                            name, size - 1, text);
    }
    memcpy(out, text, strlen(text) + 1);
    return TS_OK;
}

static ts_status read_product(const cJSON *item, const char *name, ts_choice *out, ts_error *err)
{
    ts_status status = TS_OK;
    const char *product, *chosen;
    const cJSON *seconds = ts_json_get(item, "seconds"), *one;
    if (!cJSON_IsObject(seconds)) {
        return ts_error_set(err, TS_ERR_FORMAT, "%s: products: expected an object 'seconds'", name);
    }
    *out = (ts_choice){.chosen = UINT32_MAX};
    TS_TRY(ts_json_get_text(item, "product", name, &product, err));
    TS_TRY(ts_json_get_text(item, "chosen", name, &chosen, err));
    TS_TRY(copy_name(out->product, sizeof out->product, product, name, err));
    cJSON_ArrayForEach(one, seconds)
    {
        uint32_t i = out->count++;
        if (i == TS_CHOICE_CANDIDATES || !cJSON_IsNumber(one) || !isfinite(one->valuedouble) ||
            !(one->valuedouble > 0)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: product '%s': expected at most %d positive numbers", name,
                    product, TS_CHOICE_CANDIDATES);
        }
        TS_TRY(copy_name(out->candidates[i].name, sizeof out->candidates[i].name, one->string, name,
                         err));
        out->candidates[i].seconds = one->valuedouble;
        if (strcmp(one->string, chosen) == 0) {
            out->chosen = i;
        }
    }
    if (out->chosen == UINT32_MAX) {
        TS_FAIL(TS_ERR_FORMAT, "%s: product '%s': '%s' was chosen but never measured", name,
                product, chosen);
    }
out:
    return status;
}

static ts_status read_verdict(const cJSON *item, const char *name, ts_verdict *out, ts_error *err)
{
    *out = TS_VERDICT_NONE;
    for (size_t i = TS_VERDICT_PASS; i < TS_COUNT(verdict_names); i++) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, verdict_names[i]) == 0) {
            *out = (ts_verdict)i;
        }
    }
    if (*out == TS_VERDICT_NONE || item->string[0] == '\0' ||
        strlen(item->string) >= TS_CHOICE_NAME_BYTES) {
        return ts_error_set(err, TS_ERR_FORMAT,
                            "%s: verdict on '%s': expected PASS, SLOW or BROKEN on a shader", name,
                            item->string);
    }
    return TS_OK;
}

// Adds everything that the file contains, or nothing if something in it is wrong.
static ts_status add_file(struct choices *all, const cJSON *json, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t format;
    const char *shaders;
    ts_choice choice;
    ts_verdict verdict;
    const cJSON *item, *products = ts_json_get(json, "products"),
                       *verdicts = ts_json_get(json, "verdicts");
    TS_TRY(ts_json_get_uint(json, "format", FORMAT, FORMAT, name, &format, err));
    TS_TRY(ts_json_get_text(json, "shaders", name, &shaders, err));
    if (!cJSON_IsArray(products) || !cJSON_IsObject(verdicts)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an array 'products' and an object 'verdicts'", name);
    }
    if (strcmp(shaders, all->shaders) != 0) {
        ts_log(TS_LOG_DEBUG, "%s: of another version's shaders", name);
        goto out;
    }
    for (int adding = 0; adding < 2; adding++) { // the first round only checks
        cJSON_ArrayForEach(item, products)
        {
            TS_TRY(read_product(item, name, &choice, err));
            TS_TRY(adding ? add_product(all, &choice, err) : TS_OK);
        }
        cJSON_ArrayForEach(item, verdicts)
        {
            TS_TRY(read_verdict(item, name, &verdict, err));
            TS_TRY(adding ? add_verdict(all, item->string, verdict, err) : TS_OK);
        }
    }
out:
    return status;
}

// Adds what is on disk. Called at the start, and again before writing, since another program may
// have written the file in between.
static void read_file(const ts_gpu *gpu, struct choices *all)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    ts_text path = {0};
    cJSON *json = NULL;
    if (ts_gpu_cache_folder(gpu) == NULL) {
        return;
    }
    TS_TRY(ts_path_join(ts_gpu_cache_folder(gpu), CHOICES_FILE, &path, err));
    if (ts_file_exists(path.bytes)) {
        TS_TRY(ts_json_parse_file(path.bytes, &json, err));
        TS_TRY(add_file(all, json, path.bytes, err));
    }
out:
    if (status != TS_OK) {
        ts_log(TS_LOG_DEBUG, "products are measured anew: %s", err->message);
    }
    cJSON_Delete(json);
    ts_text_free(&path);
}

// ---- To JSON

static cJSON *to_json(const struct choices *all)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "format", FORMAT);
    cJSON_AddStringToObject(json, "shaders", all->shaders);
    cJSON *verdicts = cJSON_AddObjectToObject(json, "verdicts");
    for (size_t i = 0; i < all->verdict_count; i++) {
        if (all->verdicts[i].verdict != TS_VERDICT_NONE) {
            cJSON_AddStringToObject(verdicts, all->verdicts[i].shader,
                                    verdict_names[all->verdicts[i].verdict]);
        }
    }
    cJSON *products = cJSON_AddArrayToObject(json, "products");
    for (size_t i = 0; i < all->product_count; i++) {
        const ts_choice *choice = &all->products[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "product", choice->product);
        cJSON_AddStringToObject(item, "chosen", choice->candidates[choice->chosen].name);
        cJSON *seconds = cJSON_AddObjectToObject(item, "seconds");
        for (uint32_t c = 0; c < choice->count; c++) {
            cJSON_AddNumberToObject(seconds, choice->candidates[c].name,
                                    choice->candidates[c].seconds);
        }
        cJSON_AddItemToArray(products, item);
    }
    return json;
}

static void write_file(const ts_gpu *gpu, struct choices *all)
{
    if (ts_gpu_cache_folder(gpu) == NULL) {
        return;
    }
    read_file(gpu, all);
    cJSON *json = to_json(all);
    char *text = cJSON_Print(json); // NULL if memory ran out
    if (text != NULL) {
        ts_gpu_cache_write(gpu, CHOICES_FILE, text, strlen(text));
    }
    cJSON_free(text);
    cJSON_Delete(json);
}

// ---- The store

static void close_choices(void *attached)
{
    struct choices *all = attached;
    free(all->products);
    free(all->verdicts);
    free(all);
}

// The device's store, opened at the first call. NULL: no memory for it, so nothing is known.
static struct choices *choices_of(ts_gpu *gpu)
{
    struct choices *all = ts_gpu_attached(gpu, SLOT);
    if (all == NULL && ts_alloc(1, sizeof *all, &all, NULL) == TS_OK) {
        ts_gpu_attach(gpu, SLOT, all, close_choices);
        hash_shaders(all->shaders);
        read_file(gpu, all);
    }
    return all;
}

const ts_choice *ts_choices_find(ts_gpu *gpu, const char *product)
{
    struct choices *all = choices_of(gpu);
    return all != NULL ? find_product(all, product) : NULL;
}

void ts_choices_keep(ts_gpu *gpu, const ts_choice *choice)
{
    struct choices *all = choices_of(gpu);
    ts_choice *known = all != NULL ? find_product(all, choice->product) : NULL;
    if (known != NULL) {
        *known = *choice;
    }
    if (all != NULL && add_product(all, choice, NULL) == TS_OK) {
        write_file(gpu, all);
    }
}

ts_verdict ts_choices_verdict(ts_gpu *gpu, const char *shader)
{
    struct choices *all = choices_of(gpu);
    const struct judged *judged = all != NULL ? find_verdict(all, shader) : NULL;
    return judged != NULL ? judged->verdict : TS_VERDICT_NONE;
}

void ts_choices_judge(ts_gpu *gpu, const char *shader, ts_verdict verdict)
{
    struct choices *all = choices_of(gpu);
    struct judged *known = all != NULL ? find_verdict(all, shader) : NULL;
    if (known != NULL) {
        // NONE stays in the list: without it, reading the file again would add the old verdict.
        known->verdict = verdict;
    }
    if (all != NULL && add_verdict(all, shader, verdict, NULL) == TS_OK) {
        write_file(gpu, all);
    }
}

void ts_choices_forget_verdicts(ts_gpu *gpu)
{
    struct choices *all = choices_of(gpu);
    for (size_t i = 0; all != NULL && i < all->verdict_count; i++) {
        all->verdicts[i].verdict = TS_VERDICT_NONE;
    }
    if (all != NULL) {
        write_file(gpu, all);
    }
}
