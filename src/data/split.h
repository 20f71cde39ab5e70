// Splits a text into words, as the pre-tokenizer of a byte-level BPE does before anything is
// merged. Each splitter gives the matches of one known regular expression, which is not
// interpreted.
#ifndef TS_DATA_SPLIT_H
#define TS_DATA_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

typedef enum ts_splitter {
    TS_SPLIT_GPT2,   // a word with the space before it, any number of digits, the rest
    TS_SPLIT_LLAMA3, // up to three digits; contractions in either case; line breaks apart
    TS_SPLIT_QWEN2,  // the same with each digit alone
    TS_SPLIT_SMOLLM, // each digit alone, then as GPT-2
    TS_SPLIT_COUNT,
} ts_splitter;

// By the name that GGUF has for it (tokenizer.ggml.pre), such as "llama-bpe". The name also decides
// whether llama.cpp takes a word that is a token whole, whatever its merges say. False: not known.
bool ts_splitter_find(const char *name, ts_splitter *out, bool *ignore_merges);
// The name that llama.cpp's converter writes for it. NULL: llama.cpp has no name for the two.
const char *ts_splitter_name(ts_splitter splitter, bool ignore_merges);
// Its regular expression in tokenizer.json; NULL where it is none alone.
const char *ts_splitter_pattern(ts_splitter splitter);
// By its regular expression in tokenizer.json. False: not known.
bool ts_splitter_find_pattern(const char *pattern, ts_splitter *out);

// Where the word ends that starts at text[at]; at < len. The text is valid UTF-8. Splitting a text
// takes O(len).
size_t ts_split_next(ts_splitter splitter, const char *text, size_t at, size_t len);

#endif
