#include "api/cache.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// Tokens by which a cache grows, and tokens that go through the model at once.
enum { BLOCK = 256, AT_ONCE = 256 };

void ts_api_cache_close(ts_api_cache *cache)
{
    if (cache->decoder.pass.model != NULL) {
        ts_decoder_close(&cache->decoder);
    }
    ts_tokens_free(&cache->held);
    free(cache->logits);
    *cache = (ts_api_cache){0};
}

// Makes room for `count` tokens: opens the decoder, or lets it grow.
static ts_status make_room(ts_api_cache *cache, ts_model *model, size_t count, uint32_t most,
                           ts_error *err)
{
    ts_decoder *decoder = &cache->decoder;
    uint64_t blocks = ts_ceil_div(count, BLOCK) * BLOCK;
    uint32_t capacity = (uint32_t)ts_min_u64(blocks, most);
    if (decoder->pass.model == NULL) {
        const ts_decoder_limits limits = {
            .slots = 1, .capacity = capacity, .longest_prompt = AT_ONCE};
        return ts_decoder_open(model, limits, decoder, err);
    }
    return capacity > decoder->limits.capacity ? ts_decoder_grow(decoder, capacity, err) : TS_OK;
}

// Logits are downloaded only for those who ask.
static ts_status want_logits(ts_api_cache *cache, bool wanted, ts_error *err)
{
    ts_status status = TS_OK;
    if (wanted && cache->logits == NULL) {
        status = ts_alloc(cache->decoder.pass.model->config.vocab, sizeof *cache->logits,
                          &cache->logits, err);
    }
    cache->decoder.logits = wanted ? cache->logits : NULL;
    return status;
}

// How many tokens at the beginning are those that the cache holds. The last one is run in any case,
// since what follows it is asked for.
static size_t shared(const ts_api_cache *cache, const ts_tokens *tokens)
{
    size_t count = 0;
    while (count < cache->held.count && count + 1 < tokens->count &&
           cache->held.ids[count] == tokens->ids[count]) {
        count++;
    }
    return count;
}

ts_status ts_api_cache_read(ts_api_cache *cache, ts_model *model, const ts_tokens *tokens,
                            uint32_t most, bool logits, uint32_t *next, uint32_t *computed,
                            ts_error *err)
{
    ts_status status = TS_OK;
    ts_decoder *decoder = &cache->decoder;
    size_t kept = shared(cache, tokens);
    *computed = (uint32_t)(tokens->count - kept);
    cache->held.count = 0; // if this fails, what the cache holds is not known
    TS_TRY(make_room(cache, model, tokens->count, most, err));
    TS_TRY(want_logits(cache, logits, err));
    if (kept == 0 && tokens->count <= AT_ONCE) {
        TS_TRY(ts_decoder_prompt(decoder, tokens, 1, next, err));
    } else {
        ts_decoder_cut(decoder, 0, (uint32_t)kept);
        TS_TRY(ts_decoder_append(decoder, 0, tokens->ids + kept, tokens->count - kept, next, err));
    }
    for (size_t i = 0; i < tokens->count; i++) {
        TS_TRY(ts_tokens_push(&cache->held, tokens->ids[i], err));
    }
out:
    return status;
}

ts_status ts_api_cache_add(ts_api_cache *cache, uint32_t id, uint32_t most, bool logits,
                           uint32_t *next, ts_error *err)
{
    ts_status status = TS_OK;
    const uint32_t slot = 0;
    TS_TRY(make_room(cache, cache->decoder.pass.model, cache->held.count + 1, most, err));
    TS_TRY(want_logits(cache, logits, err));
    TS_TRY(ts_tokens_push(&cache->held, id, err));
    status = ts_decoder_step(&cache->decoder, &slot, &id, 1, next, err);
    if (status != TS_OK) {
        cache->held.count = 0;
    }
out:
    return status;
}
