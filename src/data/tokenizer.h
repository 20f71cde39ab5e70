// BPE tokenizers, of characters with byte fallback (Llama 2, Mistral, Gemma) or of bytes (GPT-2,
// Llama 3, Qwen, SmolLM), read from tokenizer.json (Hugging Face tokenizers) or, if that is absent,
// from tokenizer.model (SentencePiece), or from the metadata of a GGUF file. Encoding n bytes takes
// O(n log n).
#ifndef TS_DATA_TOKENIZER_H
#define TS_DATA_TOKENIZER_H

#include "data/weights.h"

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

// How the characters of a special token such as "</s>" are treated in a text.
typedef enum ts_specials {
    TS_SPECIALS_AS_TEXT,   // they stay characters; for the content of turns
    TS_SPECIALS_AS_TOKENS, // they become the token, as Hugging Face does by default; for templates
                           // and documents
} ts_specials;

// Opens the tokenizer of a model. *out does not refer to `model` afterwards.
ts_status ts_tokenizer_open(ts_weights *model, ts_tokenizer **out, ts_error *err);
void ts_tokenizer_close(ts_tokenizer *tokenizer);

uint32_t ts_tokenizer_vocab_size(const ts_tokenizer *tokenizer); // largest id + 1
uint32_t ts_tokenizer_bos(const ts_tokenizer *tokenizer); // TS_TOKEN_NONE where there is none
uint32_t ts_tokenizer_eos(const ts_tokenizer *tokenizer);
// The token that Hugging Face puts before a text that no chat template renders: BOS, or
// TS_TOKEN_NONE where nothing is put there, whatever BOS the tokenizer has.
uint32_t ts_tokenizer_lead(const ts_tokenizer *tokenizer);
// Whether every segment after an added token gets a U+2581 before it, as the tokenizer.json of
// Llama 2 and TinyLlama says. transformers 5 replaces their tokenizer by its own, which does so
// only at the start of a text. So a line break after "</s>" is a different token there.
bool ts_tokenizer_prefixes_segments(const ts_tokenizer *tokenizer);
// The added token (such as "<|im_end|>") whose text is exactly `text`, or TS_TOKEN_NONE.
uint32_t ts_tokenizer_find(const ts_tokenizer *tokenizer, const char *text);
// Whether `text` contains the characters of a special token.
bool ts_tokenizer_contains_special(const ts_tokenizer *tokenizer, const char *text, size_t len);

// Appends the ids of text[0..len), without BOS. The text must be valid UTF-8; otherwise
// TS_ERR_FORMAT with the offset. Added tokens split a text into segments, and with Llama 2's
// tokenizer a segment gets a U+2581 before it. With TS_SPECIALS_AS_TEXT the whole text is one
// segment.
ts_status ts_tokenizer_encode(const ts_tokenizer *tokenizer, const char *text, size_t len,
                              ts_specials specials, ts_tokens *out, ts_error *err);
// The same for a part of a longer text. `at_start` says that the part is its beginning (some
// tokenizers treat the first segment differently). `starts`, if not NULL, receives for each id the
// byte offset in `text` at which its token starts; the U+2581 before a segment takes no bytes.
// Where the tokenizer normalizes the text (Qwen: NFC), it is the offset of the character that the
// token came from.
ts_status ts_tokenizer_encode_part(const ts_tokenizer *tokenizer, const char *text, size_t len,
                                   ts_specials specials, bool at_start, ts_tokens *out,
                                   ts_tokens *starts, ts_error *err);
// The same for a rendered conversation. content[i] is not 0 if byte i comes from the content of a
// turn and not from the template; there the characters of a special token stay characters.
// `content` has `len` entries.
ts_status ts_tokenizer_encode_rendered(const ts_tokenizer *tokenizer, const char *text,
                                       const uint16_t *content, size_t len, bool at_start,
                                       ts_tokens *out, ts_tokens *starts, ts_error *err);
// The longest added token that text[0..len) starts with, or TS_TOKEN_NONE. *taken receives its
// length in bytes.
uint32_t ts_tokenizer_added_at(const ts_tokenizer *tokenizer, const char *text, size_t len,
                               size_t *taken);
// The text of a token as the vocabulary stores it, or NULL if no token has this id.
const char *ts_tokenizer_piece(const ts_tokenizer *tokenizer, uint32_t id);
// Whether the token is a special one, which ts_tokenizer_decode can leave out.
bool ts_tokenizer_is_special(const ts_tokenizer *tokenizer, uint32_t id);
// Appends the text of the ids. With `skip_specials`, special tokens are left out, as with
// skip_special_tokens in transformers. Ids that no token has are left out. Bytes that are not valid
// UTF-8 become U+FFFD as in Hugging Face's decoders: with byte fallback one for each byte of the
// sequence, in a byte-level BPE one for each incomplete character.
ts_status ts_tokenizer_decode(const ts_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                              bool skip_specials, ts_text *out, ts_error *err);

#endif
