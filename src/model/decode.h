// Decoding with a cache of keys and values: prompts go through the model once, packed end to end,
// and from then on each sequence costs one row a token. The forward pass is pass.h's own.
#ifndef TS_MODEL_DECODE_H
#define TS_MODEL_DECODE_H

#include "data/tokenizer.h"
#include "model/pass.h"

// How much a decoder holds. A slot is the place of one sequence.
typedef struct ts_decoder_limits {
    uint32_t slots;
    uint32_t capacity;       // tokens of a slot: prompt and answer, but for the answer's last
    uint32_t longest_prompt; // tokens
} ts_decoder_limits;

// Starts zeroed. The model, with its adapter as it then is, must stay until the decoder is closed;
// switching lora_enabled in between is fine from one ts_decoder_prompt to the next.
typedef struct ts_decoder {
    ts_decoder_limits limits;
    ts_pass pass;
    ts_gpu_arena device, host;
    ts_kv_cache cache;    // [slots * capacity] rows
    uint32_t *lengths;    // [slots] tokens in the cache
    uint32_t *cache_rows; // [N] the host's copy of cache.row
    ts_batch batch;
    // Called, where it is set, after each pass of ts_decoder_prompt: so many more prompts are in.
    void (*prompted)(void *user, uint32_t count);
    void *user;
} ts_decoder;

ts_status ts_decoder_open(ts_model *model, ts_decoder_limits limits, ts_decoder *out,
                          ts_error *err);
void ts_decoder_close(ts_decoder *decoder);
// The most slots, up to limits.slots and at least one, whose cache the device can bind and
// probably hold.
uint32_t ts_decoder_fit(const ts_model *model, ts_decoder_limits limits);

// Fills slots 0 .. count - 1 with prompts, forgetting what they held, and gives the likeliest
// token after each: next[count].
ts_status ts_decoder_prompt(ts_decoder *decoder, const ts_tokens *prompts, uint32_t count,
                            uint32_t *next, ts_error *err);
// Appends ids[i] to the sequence in slots[i] and gives the likeliest token after it: next[count].
// No slot stands twice; those left out keep what they hold.
ts_status ts_decoder_step(ts_decoder *decoder, const uint32_t *slots, const uint32_t *ids,
                          uint32_t count, uint32_t *next, ts_error *err);

#endif
