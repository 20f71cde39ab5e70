// Decoding with a cache of keys and values. Prompts go through the model once, packed end to end;
// after that each new token of a sequence costs one row. The forward pass is that of pass.h.
#ifndef TS_MODEL_DECODE_H
#define TS_MODEL_DECODE_H

#include "data/tokenizer.h"
#include "model/pass.h"

// How much a decoder holds. A slot is the place of one sequence.
typedef struct ts_decoder_limits {
    uint32_t slots;
    uint32_t capacity;       // tokens of a slot: the prompt, and the answer without its last token
    uint32_t longest_prompt; // tokens of one, or of a part of one (ts_decoder_append)
} ts_decoder_limits;

// Starts zeroed. The model must outlive the decoder, and its adapter may not be added or removed
// meanwhile. lora_enabled may be switched before any ts_decoder_prompt.
typedef struct ts_decoder {
    ts_decoder_limits limits;
    ts_pass pass;
    ts_gpu_arena device, host;
    ts_kv_cache cache;    // [slots * capacity] rows
    uint32_t *lengths;    // [slots] tokens in the cache
    uint32_t *cache_rows; // [N] the host's copy of cache.row
    ts_batch batch;
    float *logits; // [count, V] of each call, if the caller sets it; then `next` is not filled
    // May be NULL. Called after each pass of ts_decoder_prompt, which put `count` more prompts into
    // the cache.
    void (*prompted)(void *user, uint32_t count);
    void *user;
} ts_decoder;

ts_status ts_decoder_open(ts_model *model, ts_decoder_limits limits, ts_decoder *out,
                          ts_error *err);
void ts_decoder_close(ts_decoder *decoder);
// How many slots a decoder should have: as many as the device can bind and, by its free memory,
// probably hold, but at most limits.slots and at least 1.
uint32_t ts_decoder_fit(const ts_model *model, ts_decoder_limits limits);

// Fills slots 0 .. count - 1 with prompts of 1 to longest_prompt tokens, forgetting what they held,
// and gives the likeliest token after each: next[count].
ts_status ts_decoder_prompt(ts_decoder *decoder, const ts_tokens *prompts, uint32_t count,
                            uint32_t *next, ts_error *err);
// Appends ids[0 .. count) to the sequence in `slot`, in passes of up to longest_prompt tokens, and
// gives the likeliest token after them: *next.
ts_status ts_decoder_append(ts_decoder *decoder, uint32_t slot, const uint32_t *ids, size_t count,
                            uint32_t *next, ts_error *err);
// Forgets all but the first `length` tokens of the sequence in `slot`.
void ts_decoder_cut(ts_decoder *decoder, uint32_t slot, uint32_t length);
// Makes room for `capacity` tokens in a decoder with one slot; what it holds is copied.
ts_status ts_decoder_grow(ts_decoder *decoder, uint32_t capacity, ts_error *err);
// Appends ids[i] to the sequence in slots[i] and gives the likeliest token after it: next[count].
// A slot may be named only once; slots that are not named keep what they hold.
ts_status ts_decoder_step(ts_decoder *decoder, const uint32_t *slots, const uint32_t *ids,
                          uint32_t count, uint32_t *next, ts_error *err);

#endif
