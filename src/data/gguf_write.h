// Writes the header of a GGUF file (gguf.h): everything before the tensors' bytes. The caller
// writes these after it, in the order in which it added the tensors.
#ifndef TS_DATA_GGUF_WRITE_H
#define TS_DATA_GGUF_WRITE_H

#include "data/gguf.h"
#include "data/tokenizer.h"

// Starts zeroed.
typedef struct ts_gguf_header {
    ts_text values, tensors; // encoded as in the file
    uint64_t value_count, tensor_count;
    uint64_t data_bytes; // of the tensors so far, each padded to TS_GGUF_ALIGNMENT
} ts_gguf_header;
void ts_gguf_header_free(ts_gguf_header *header);

// Add metadata. Each key may be added once.
ts_status ts_gguf_add_text(ts_gguf_header *header, const char *key, const char *text,
                           ts_error *err);
ts_status ts_gguf_add_u32(ts_gguf_header *header, const char *key, uint32_t value, ts_error *err);
ts_status ts_gguf_add_f32(ts_gguf_header *header, const char *key, float value, ts_error *err);
ts_status ts_gguf_add_bool(ts_gguf_header *header, const char *key, bool value, ts_error *err);
// An array whose `count` items are added next, by the two functions below.
ts_status ts_gguf_add_array(ts_gguf_header *header, const char *key, ts_gguf_type item,
                            uint64_t count, ts_error *err);
ts_status ts_gguf_item_text(ts_gguf_header *header, const char *bytes, size_t len, ts_error *err);
ts_status ts_gguf_item_u32(ts_gguf_header *header, uint32_t bits, ts_error *err); // u32, i32, f32

// A tensor of `len` bytes. `shape` is in Hugging Face's order, the slowest dimension first; the
// file has the reverse. TS_ERR_UNSUPPORTED where the name is longer, or the rank larger, than
// llama.cpp reads.
ts_status ts_gguf_add_tensor(ts_gguf_header *header, const char *name, ts_gguf_tensor_type type,
                             uint32_t rank, const uint64_t *shape, uint64_t len, ts_error *err);

// Appends the header, up to where the first tensor's bytes begin. After the bytes of each tensor
// come ts_gguf_padding(len) zeros.
ts_status ts_gguf_header_finish(const ts_gguf_header *header, ts_text *out, ts_error *err);
uint64_t ts_gguf_padding(uint64_t len);

// Adds tokenizer.ggml.*: pieces, scores or merges, types and special tokens. The files of `model`
// say which tokens are for padding and for unknown text. `vocab` is the number of the embedding's
// rows. `leads`: llama.cpp puts a BOS before every text that does not begin with one.
ts_status ts_gguf_add_tokenizer(ts_gguf_header *header, ts_weights *model,
                                const ts_tokenizer *tokenizer, uint32_t vocab, bool leads,
                                ts_error *err);

#endif
