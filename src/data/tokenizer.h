// The byte-fallback BPE of Llama models, from tokenizer.json (Hugging Face tokenizers) or, when
// that is absent, from tokenizer.model (SentencePiece). Linear-time in the text's length but for
// the heap's logarithm.
#ifndef TS_DATA_TOKENIZER_H
#define TS_DATA_TOKENIZER_H

#include "base/text.h"

typedef struct ts_tokenizer ts_tokenizer;

// No token has this id.
#define TS_TOKEN_NONE UINT32_MAX

// A growing list of token ids; starts zeroed.
typedef struct ts_tokens {
    uint32_t *ids;
    size_t count, capacity;
} ts_tokens;
ts_status ts_tokens_push(ts_tokens *tokens, uint32_t id, ts_error *err);
void ts_tokens_free(ts_tokens *tokens);

// What to do with "</s>" and its like inside the text.
typedef enum ts_specials {
    TS_SPECIALS_AS_TEXT,   // content: the characters of "</s>", never the token
    TS_SPECIALS_AS_TOKENS, // templates and plain documents: what Hugging Face does by default
} ts_specials;

ts_status ts_tokenizer_open(const char *model_folder, ts_tokenizer **out, ts_error *err);
void ts_tokenizer_close(ts_tokenizer *tokenizer);

uint32_t ts_tokenizer_vocab_size(const ts_tokenizer *tokenizer); // largest id + 1
uint32_t ts_tokenizer_bos(const ts_tokenizer *tokenizer); // TS_TOKEN_NONE where there is none
uint32_t ts_tokenizer_eos(const ts_tokenizer *tokenizer);
// Whether each segment behind an added token gets a U+2581 before it, as in tokenizer.json of Llama
// 2 and TinyLlama. transformers 5 makes its own tokenizer of those, which does that only at a
// text's start, so that a line break behind "</s>" is another token there.
bool ts_tokenizer_prefixes_segments(const ts_tokenizer *tokenizer);
// The added token (such as "<|im_end|>") of exactly this text, or TS_TOKEN_NONE.
uint32_t ts_tokenizer_find(const ts_tokenizer *tokenizer, const char *text);
// Whether `text` holds the characters of a special token.
bool ts_tokenizer_contains_special(const ts_tokenizer *tokenizer, const char *text, size_t len);

// Appends the ids of text[0..len), without BOS. Text must be valid UTF-8 (TS_ERR_FORMAT with the
// offset otherwise). TS_SPECIALS_AS_TEXT tokenises as one segment; a segment gets U+2581 before it.
ts_status ts_tokenizer_encode(const ts_tokenizer *tokenizer, const char *text, size_t len,
                              ts_specials specials, ts_tokens *out, ts_error *err);
// The same for a text of which this is only a part: `at_start` says that nothing comes before it
// (some tokenizers treat the first segment differently). Where `starts` is not NULL it receives,
// for each id, the offset in text of the token's first byte; the U+2581 before a segment takes no
// bytes.
ts_status ts_tokenizer_encode_part(const ts_tokenizer *tokenizer, const char *text, size_t len,
                                   ts_specials specials, bool at_start, ts_tokens *out,
                                   ts_tokens *starts, ts_error *err);
// The same for a conversation as its template renders it: content[i] tells that byte i is what a
// turn says, not the template, and there the characters of a special token stay text. `content`
// is any array of len numbers.
ts_status ts_tokenizer_encode_rendered(const ts_tokenizer *tokenizer, const char *text,
                                       const uint16_t *content, size_t len, bool at_start,
                                       ts_tokens *out, ts_tokens *starts, ts_error *err);
// The added token that text[0..len) begins with (the longest), and its length; or TS_TOKEN_NONE.
uint32_t ts_tokenizer_added_at(const ts_tokenizer *tokenizer, const char *text, size_t len,
                               size_t *taken);
// The text of a token as its vocabulary has it, NULL where no token has the id.
const char *ts_tokenizer_piece(const ts_tokenizer *tokenizer, uint32_t id);
// Appends the text of the ids, special tokens left out as Hugging Face's skip_special_tokens does
// when `skip_specials`. Byte tokens in a row that are not valid UTF-8 together become one
// U+FFFD each; ids that no token has are left out.
ts_status ts_tokenizer_decode(const ts_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                              bool skip_specials, ts_text *out, ts_error *err);

#endif
