// The inside of a tokenizer: its pieces, its merges and the hash tables that find them.
// tokenizer_json.c, tokenizer_spm.c or gguf_tokenizer.c fills it; bpe.c, added.c and tokenizer.c
// read it.
//
// Two kinds of BPE share it. One merges characters, and spells a character that has no piece by the
// pieces of its bytes, "<0x0A>" (Llama 2, Mistral, Gemma). A byte-level one splits a text into
// words and merges the bytes of each (GPT-2, Llama 3, Qwen, SmolLM); its pieces are spelt in the
// alphabet of byte_level.h.
#ifndef TS_DATA_VOCABULARY_H
#define TS_DATA_VOCABULARY_H

#include "base/json.h"
#include "base/memory.h"
#include "data/split.h"
#include "data/tokenizer.h"

#include <string.h>

// Limits that only a damaged file exceeds (the largest known vocabulary has 262,144 pieces).
enum {
    TS_VOCABULARY_MAX = 1 << 22,
    TS_ADDED_MAX = 1 << 14,
    TS_JOIN_BITS = 1 << 20,
    TS_MERGE_MAX_BYTES = 512
};

// U+2581, which stands for a space in pieces that are not of a byte-level BPE.
#define TS_SPACE_MARK "\xE2\x96\x81"
enum { TS_SPACE_MARK_BYTES = sizeof TS_SPACE_MARK - 1 };
static inline bool ts_starts_with_space_mark(const char *text, size_t len)
{
    return len >= TS_SPACE_MARK_BYTES && memcmp(text, TS_SPACE_MARK, TS_SPACE_MARK_BYTES) == 0;
}

typedef struct ts_piece {
    const char *bytes; // NULL: no piece has this id
    uint32_t len;
    int16_t byte;   // 0 to 255 for "<0x00>" to "<0xFF>", otherwise -1; of a byte-level BPE -1
    bool special;   // left out when decoding with skip_specials
    bool marked;    // decodes with a space before it
    bool outside;   // an added token that is no piece of the model: merging never gives it
    uint32_t added; // 1 + its place in the list of added tokens; 0: none of them
} ts_piece;

typedef struct ts_merge {
    uint64_t pair; // left id << 32 | right id
    uint32_t rank; // merges of lower rank come first
    uint32_t id;   // of the merged piece, TS_TOKEN_NONE: free slot
} ts_merge;

// A token that is found in the text before any merge, such as "</s>".
typedef struct ts_added {
    const char *bytes; // as it is searched for and decoded; the piece has the file's spelling
    uint32_t len, id;
    bool lstrip, rstrip; // also takes the white space before it (lstrip) or after it (rstrip)
    bool normalized;     // searched for after the normalizer, not before it
    bool single_word;    // not where a letter, a mark or a digit touches it
} ts_added;

// Properties of an added token in a file.
enum {
    TS_ADDED_SPECIAL = 1, // left out when decoding with skip_specials
    TS_ADDED_LSTRIP = 2,
    TS_ADDED_RSTRIP = 4,
    TS_ADDED_NORMALIZED = 8,
    TS_ADDED_SINGLE_WORD = 16,
};

// Which segments (between added tokens) get a U+2581 before them.
typedef enum ts_prefix {
    TS_PREFIX_EACH,  // each; the normalizer is Prepend
    TS_PREFIX_FIRST, // only the one at the start of the text, unless it starts with U+2581 already;
                     // the pre-tokenizer is Metaspace "first"
    TS_PREFIX_ALWAYS, // each that does not start with U+2581 already; Metaspace "always"
    TS_PREFIX_NEVER,
} ts_prefix;

struct ts_tokenizer {
    ts_arena arena;
    ts_piece *pieces; // by id
    size_t piece_capacity;
    uint32_t piece_count; // largest id + 1
    uint32_t *slots;      // ids by hash of their bytes; TS_TOKEN_NONE: free
    size_t slot_count, slots_used;
    ts_merge *merges; // by hash of their pair
    size_t merge_slots, merge_count;
    // A bitmap of TS_JOIN_BITS bits, by hash of two symbols: see ts_vocabulary_may_join.
    uint64_t *joins;
    ts_added *added; // in the order of their bytes
    size_t added_count, added_capacity;
    uint32_t added_from[257]; // where those start that begin with this byte
    bool has_normalized;      // some added token is `normalized`
    uint32_t byte_ids[256];   // the piece of each byte; TS_TOKEN_NONE: a byte-level BPE lacks it
    uint32_t space_id;        // U+2581, TS_TOKEN_NONE where the vocabulary lacks it
    uint32_t bos, eos;
    uint32_t lead;   // what is put before a text that no template renders; TS_TOKEN_NONE: nothing
    size_t longest;  // bytes of the longest piece
    bool byte_level; // set before the first piece is added; false: `prefix` and `normalizes` count
    ts_splitter splitter; // of a byte-level BPE
    bool ignore_merges;   // a word that is a piece becomes that piece, whatever merges it takes
    bool nfc;             // the normalizer is NFC
    uint32_t unknown;     // for a byte that a byte-level BPE lacks; TS_TOKEN_NONE: it is left out
    bool fuse_unknown;    // one `unknown` for several such bytes in a row
    ts_prefix prefix;
    bool normalizes; // the normalizer replaces spaces, in added tokens too (TS_PREFIX_EACH: and
                     // puts a U+2581 before these); false: the pre-tokenizer replaces them, later
    bool strip;      // decoding strips one leading space
};

// Makes a tokenizer that has no pieces yet byte-level. `pre` is GGUF's name of the splitter
// (tokenizer.ggml.pre). Also sets what goes with that name: ignore_merges with "llama-bpe", as
// llama.cpp does, and NFC with "qwen2", as Hugging Face's files do. False: the name is not known.
bool ts_vocabulary_be_byte_level(ts_tokenizer *tokenizer, const char *pre);

// The functions below copy what they are given. Ids and pieces must be new. Errors do not name the
// file.
ts_status ts_vocabulary_add(ts_tokenizer *tokenizer, const char *bytes, size_t len, uint32_t id,
                            ts_error *err);
// `flags` are TS_ADDED_*. If no such piece exists yet, it is added as one that is `outside`.
ts_status ts_vocabulary_add_token(ts_tokenizer *tokenizer, const char *bytes, size_t len,
                                  uint32_t id, unsigned flags, ts_error *err);
// Replaces the flags of an added token, when a second file says more about it.
void ts_vocabulary_flag_token(ts_tokenizer *tokenizer, uint32_t id, unsigned flags);
// All three pieces must exist: the left, the right, and the two joined.
ts_status ts_vocabulary_add_merge(ts_tokenizer *tokenizer, const char *left, size_t left_len,
                                  const char *right, size_t right_len, uint32_t rank,
                                  ts_error *err);
// Sorts the added tokens and fills byte_ids. Refuses a vocabulary that lacks one of the 256 bytes,
// unless it is byte-level, and a combination of flags of an added token that is not implemented.
ts_status ts_vocabulary_finish(ts_tokenizer *tokenizer, ts_error *err);

uint32_t ts_vocabulary_find(const ts_tokenizer *tokenizer, const char *bytes, size_t len);
// The same without pieces that are `outside`.
uint32_t ts_vocabulary_find_inside(const ts_tokenizer *tokenizer, const char *bytes, size_t len);
// The merges in the order of their ranks, to write them to a file. The caller frees *out.
ts_status ts_vocabulary_list_merges(const ts_tokenizer *tokenizer, ts_merge **out, size_t *count,
                                    ts_error *err);
// NULL if the pair has no merge.
const ts_merge *ts_vocabulary_find_merge(const ts_tokenizer *tokenizer, uint32_t left,
                                         uint32_t right);

// Whether some merge may join a piece that ends with symbol `left` (the id of a character or byte)
// and a piece that starts with `right`. Where none can, a text can be cut into parts that do not
// influence each other. The answer comes from a bitmap of hashes: true may be wrong, false never
// is.
bool ts_vocabulary_may_join(const ts_tokenizer *tokenizer, uint32_t left, uint32_t right);

// Where added tokens are searched for.
typedef struct ts_added_search {
    const ts_tokenizer *tokenizer;
    const char *text;
    const uint16_t *content; // see ts_tokenizer_encode_rendered; may be NULL
    size_t begin, end;       // the text that is searched; a match may look at all of it
    bool normalized;         // the tokens searched for after the normalizer, else those before it
} ts_added_search;

// An added token found in a text.
typedef struct ts_added_found {
    uint32_t id;
    size_t start, end; // in the text, with the white space that the token takes
    size_t next;       // where the search goes on: before the white space that `rstrip` takes
    bool took_virtual; // it includes the space that the normalizer puts before the text
} ts_added_found;

// Finds the first added token from text[from] on, the longest of those that start there. White
// space before it is taken from text[taken] on at most. `virtual_space`: the normalizer puts a
// space before text[from]. A special token is ignored where `content` marks the bytes as a turn's
// content.
bool ts_added_next(const ts_added_search *search, size_t from, size_t taken, bool virtual_space,
                   ts_added_found *out);

// Appends the tokens of one segment of valid UTF-8. `prefix`: with a U+2581 before it. `starts`, if
// not NULL, receives the offset of each token's first byte, plus `base`.
ts_status ts_bpe_encode(const ts_tokenizer *tokenizer, const char *text, size_t len, bool prefix,
                        size_t base, ts_tokens *out, ts_tokens *starts, ts_error *err);

// Reads what tokenizer_config.json, special_tokens_map.json and added_tokens.json say about added
// tokens, BOS and EOS. `plain`: the tokenizer was read from tokenizer.model or its like, which
// holds less about added tokens.
ts_status ts_tokenizer_read_config(ts_tokenizer *tokenizer, ts_weights *model, bool plain,
                                   ts_error *err);

// Reads the TS_ADDED_* flags of an added token's JSON entry. A property that is not implemented is
// refused by name.
ts_status ts_tokenizer_read_flags(const cJSON *entry, const char *content, const char *path,
                                  unsigned *out, ts_error *err);

ts_status ts_tokenizer_read_json(ts_tokenizer *tokenizer, const char *path, ts_error *err);
ts_status ts_tokenizer_read_spm(ts_tokenizer *tokenizer, const char *path, ts_error *err);

#endif
