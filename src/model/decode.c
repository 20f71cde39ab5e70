#include "model/decode.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

// Prompts go through in passes of about this many rows, so that their activations stay small.
enum { PROMPT_ROWS = 1024, CACHE_BLOCK_BYTES = 64 << 20 };

// ---- Memory

static ts_status place_cache(ts_decoder *decoder, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model_config *config = &decoder->pass.model->config;
    ts_kv_cache *cache = &decoder->cache;
    uint64_t rows = (uint64_t)decoder->limits.slots * decoder->limits.capacity;
    if (rows > UINT32_MAX) {
        TS_FAIL(TS_ERR_MEMORY, "a key-value cache of %llu tokens is beyond what can be addressed",
                (unsigned long long)rows);
    }
    cache->rows = (uint32_t)rows;
    TS_TRY(ts_alloc(config->layers, sizeof *cache->k, &cache->k, err));
    TS_TRY(ts_alloc(config->layers, sizeof *cache->v, &cache->v, err));
    for (uint32_t layer = 0; layer < config->layers; layer++) {
        uint64_t count = rows * ts_config_kv_size(config);
        TS_TRY(ts_gpu_alloc(&decoder->device, TS_F32, count, &cache->k[layer], err));
        TS_TRY(ts_gpu_alloc(&decoder->device, TS_F32, count, &cache->v[layer], err));
    }
out:
    return status;
}

ts_status ts_decoder_open(ts_model *model, ts_decoder_limits limits, ts_decoder *out, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t rows =
        (uint32_t)ts_min_u64(PROMPT_ROWS, (uint64_t)limits.longest_prompt * limits.slots);
    rows = (uint32_t)ts_max_u64(rows, ts_max_u64(limits.longest_prompt, limits.slots));
    *out = (ts_decoder){
        .limits = limits,
        .device = {.gpu = model->gpu, .block_bytes = CACHE_BLOCK_BYTES},
        .host = {.gpu = model->gpu, .place = TS_PLACE_HOST, .block_bytes = 1 << 12},
    };
    TS_TRY(ts_pass_open(model, (ts_pass_limits){.rows = rows, .loss_rows = limits.slots},
                        &out->pass, err));
    TS_TRY(place_cache(out, err));
    TS_TRY(ts_gpu_alloc(&out->host, TS_U32, rows, &out->cache.row, err));
    TS_TRY(ts_alloc(limits.slots, sizeof *out->lengths, &out->lengths, err));
    TS_TRY(ts_alloc(rows, sizeof *out->cache_rows, &out->cache_rows, err));
    out->pass.cache = &out->cache;
out:
    if (status != TS_OK) {
        ts_error_context(err, "key-value cache of %u sequences of %u tokens", limits.slots,
                         limits.capacity);
        ts_decoder_close(out);
    }
    return status;
}

void ts_decoder_close(ts_decoder *decoder)
{
    ts_pass_close(&decoder->pass);
    ts_gpu_arena_close(&decoder->device);
    ts_gpu_arena_close(&decoder->host);
    ts_batch_free(&decoder->batch);
    free(decoder->cache.k);
    free(decoder->cache.v);
    free(decoder->lengths);
    free(decoder->cache_rows);
    *decoder = (ts_decoder){0};
}

uint32_t ts_decoder_fit(const ts_model *model, ts_decoder_limits limits)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(model->gpu);
    uint64_t slot_bytes =
        (uint64_t)limits.capacity * ts_config_kv_size(&model->config) * sizeof(float);
    uint64_t held = model->weights.used_bytes + model->adapter.used_bytes;
    uint64_t left = caps->memory_free_bytes - ts_min_u64(held, caps->memory_free_bytes);
    // Half of what is left: the activations need memory too, and other programs may.
    uint64_t by_memory = left / 2 / (slot_bytes * 2 * model->config.layers);
    uint64_t by_binding = caps->max_binding_bytes / slot_bytes;
    uint64_t fit = ts_min_u64(limits.slots, ts_min_u64(by_memory, by_binding));
    return (uint32_t)ts_max_u64(1, fit);
}

// ---- Running

// Runs the decoder's batch. The keys and values of its rows go to cache_rows.
static ts_status run(ts_decoder *decoder, bool attend_to_cache, uint32_t *next, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_batch *batch = &decoder->batch;
    decoder->cache.attend = attend_to_cache;
    TS_TRY(ts_gpu_upload(decoder->pass.model->gpu, decoder->cache.row, decoder->cache_rows,
                         batch->rows * sizeof *decoder->cache_rows, err));
    TS_TRY(decoder->logits != NULL ? ts_pass_logits(&decoder->pass, batch, decoder->logits, err)
                                   : ts_pass_next(&decoder->pass, batch, next, err));
out:
    ts_batch_clear(&decoder->batch);
    return status;
}

static ts_status add_prompt(ts_decoder *decoder, uint32_t slot, const ts_tokens *prompt,
                            ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t count = (uint32_t)prompt->count, begin = decoder->batch.rows;
    assert(prompt->count > 0 && prompt->count <= decoder->limits.longest_prompt);
    assert(prompt->count <= decoder->limits.capacity);
    TS_TRY(ts_batch_add(&decoder->batch, prompt->ids, count, NULL, err));
    TS_TRY(ts_batch_ask(&decoder->batch, begin + count - 1, err));
    for (uint32_t t = 0; t < count; t++) {
        decoder->cache_rows[begin + t] = slot * decoder->limits.capacity + t;
    }
    decoder->lengths[slot] = count;
out:
    return status;
}

ts_status ts_decoder_prompt(ts_decoder *decoder, const ts_tokens *prompts, uint32_t count,
                            uint32_t *next, ts_error *err)
{
    ts_status status = TS_OK;
    assert(count <= decoder->limits.slots);
    for (uint32_t slot = 0, done = 0; slot < count; slot++) {
        TS_TRY(add_prompt(decoder, slot, &prompts[slot], err));
        bool full = slot + 1 == count ||
                    decoder->batch.rows + prompts[slot + 1].count > decoder->pass.limits.rows;
        if (full) {
            TS_TRY(run(decoder, false, next + done, err));
            if (decoder->prompted != NULL) {
                decoder->prompted(decoder->user, slot + 1 - done);
            }
            done = slot + 1;
        }
    }
out:
    ts_batch_clear(&decoder->batch);
    return status;
}

// Adds one token to the batch, which attends to those that its slot holds.
static ts_status add_token(ts_decoder *decoder, uint32_t slot, uint32_t id, ts_error *err)
{
    uint32_t first = slot * decoder->limits.capacity, position = decoder->lengths[slot]++;
    assert(slot < decoder->limits.slots && position < decoder->limits.capacity);
    decoder->cache_rows[decoder->batch.rows] = first + position;
    return ts_batch_add_cached(&decoder->batch, id, position, first, err);
}

ts_status ts_decoder_append(ts_decoder *decoder, uint32_t slot, const uint32_t *ids, size_t count,
                            uint32_t *next, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t from = 0; from < count;) {
        size_t to = from + ts_min_u64(count - from, decoder->limits.longest_prompt);
        for (; from < to; from++) {
            TS_TRY(add_token(decoder, slot, ids[from], err));
        }
        TS_TRY(ts_batch_ask(&decoder->batch, decoder->batch.rows - 1, err));
        TS_TRY(run(decoder, true, next, err));
    }
out:
    ts_batch_clear(&decoder->batch);
    return status;
}

void ts_decoder_cut(ts_decoder *decoder, uint32_t slot, uint32_t length)
{
    assert(length <= decoder->lengths[slot]);
    decoder->lengths[slot] = length;
}

// The old cache lives on until the new one holds its rows.
ts_status ts_decoder_grow(ts_decoder *decoder, uint32_t capacity, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model_config *config = &decoder->pass.model->config;
    ts_recorder *recorder = decoder->pass.recorder;
    ts_gpu_arena before = decoder->device;
    ts_kv_cache old = decoder->cache;
    uint32_t held = decoder->limits.capacity;
    uint64_t count = (uint64_t)decoder->lengths[0] * ts_config_kv_size(config);
    assert(decoder->limits.slots == 1 && capacity >= held);
    decoder->device = (ts_gpu_arena){.gpu = before.gpu, .block_bytes = before.block_bytes};
    decoder->cache.k = decoder->cache.v = NULL;
    decoder->limits.capacity = capacity;
    TS_TRY(place_cache(decoder, err));
    for (uint32_t layer = 0; layer < config->layers && count > 0; layer++) {
        ts_recorder_copy(recorder, ts_view_slice(old.k[layer], 0, count),
                         ts_view_slice(decoder->cache.k[layer], 0, count));
        ts_recorder_copy(recorder, ts_view_slice(old.v[layer], 0, count),
                         ts_view_slice(decoder->cache.v[layer], 0, count));
    }
    TS_TRY(ts_recorder_run(recorder, err));
out:
    if (status != TS_OK) { // the decoder stays as it was
        const ts_gpu_arena failed = decoder->device;
        const ts_kv_cache new = decoder->cache;
        ts_error_context(err, "cache of %u tokens", capacity);
        decoder->device = before, decoder->cache = old, decoder->limits.capacity = held;
        before = failed, old = new;
    }
    ts_gpu_arena_close(&before);
    free(old.k);
    free(old.v);
    return status;
}

ts_status ts_decoder_step(ts_decoder *decoder, const uint32_t *slots, const uint32_t *ids,
                          uint32_t count, uint32_t *next, ts_error *err)
{
    ts_status status = TS_OK;
    for (uint32_t i = 0; i < count; i++) {
        TS_TRY(add_token(decoder, slots[i], ids[i], err));
        TS_TRY(ts_batch_ask(&decoder->batch, i, err));
    }
    TS_TRY(run(decoder, true, next, err));
out:
    ts_batch_clear(&decoder->batch);
    return status;
}
