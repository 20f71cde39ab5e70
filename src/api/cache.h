// What a model has read of a conversation: its keys and values on the device, and the tokens that
// they belong to. The next question of the same conversation begins alike, and only what is new of
// it is computed.
#ifndef TS_API_CACHE_H
#define TS_API_CACHE_H

#include "model/decode.h"

// Starts zeroed; the first read opens its decoder.
typedef struct ts_api_cache {
    ts_decoder decoder; // one slot
    ts_tokens held;     // the tokens in it
    float *logits;      // [V] after the last token, where they are asked for
} ts_api_cache;

// To be closed before the model's adapter is added or removed.
void ts_api_cache_close(ts_api_cache *cache);

// Makes the cache hold exactly these tokens, one at least and no more than `most`. It grows with
// them in blocks. *next is the likeliest token after them, or with `logits` cache->logits is
// filled. *computed is how many tokens had to be run.
ts_status ts_api_cache_read(ts_api_cache *cache, ts_model *model, const ts_tokens *tokens,
                            uint32_t most, bool logits, uint32_t *next, uint32_t *computed,
                            ts_error *err);
// The same for what it holds and one more token.
ts_status ts_api_cache_add(ts_api_cache *cache, uint32_t id, uint32_t most, bool logits,
                           uint32_t *next, ts_error *err);

#endif
