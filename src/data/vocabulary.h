// The inside of a tokenizer: its pieces, its merges and the tables that find them. Filled by
// tokenizer_json.c or tokenizer_spm.c, read by bpe.c and tokenizer.c.
#ifndef TS_DATA_VOCABULARY_H
#define TS_DATA_VOCABULARY_H

#include "base/json.h"
#include "base/memory.h"
#include "data/tokenizer.h"

// Ids above this are a broken file, not a vocabulary (the largest known has 262,144 pieces).
enum {
    TS_VOCABULARY_MAX = 1 << 22,
    TS_ADDED_MAX = 1 << 14,
    TS_JOIN_BITS = 1 << 20,
    TS_MERGE_MAX_BYTES = 512
};

typedef struct ts_piece {
    const char *bytes; // NULL: no piece has this id
    uint32_t len;
    int16_t byte; // 0 to 255 for "<0x00>" to "<0xFF>", otherwise -1
    bool special; // left out when decoding with skip_specials
    bool marked;  // decodes with a space before it
} ts_piece;

typedef struct ts_merge {
    uint64_t pair; // left id << 32 | right id
    uint32_t rank; // merges of lower rank come first
    uint32_t id;   // of the merged piece, TS_TOKEN_NONE: free slot
} ts_merge;

// A token that is found in the text itself before anything is merged, such as "</s>".
typedef struct ts_added {
    const char *bytes;
    uint32_t len, id;
    bool lstrip, rstrip; // takes the white space before or behind it along
    bool normalized;     // looked for in the text as the normalizer leaves it
} ts_added;

// What a file says of an added token.
enum {
    TS_ADDED_SPECIAL = 1, // hidden when decoding with skip_specials
    TS_ADDED_LSTRIP = 2,
    TS_ADDED_RSTRIP = 4,
    TS_ADDED_NORMALIZED = 8,
};

// Which segments (between added tokens) get a U+2581 before them.
typedef enum ts_prefix {
    TS_PREFIX_EACH,   // normalizer Prepend
    TS_PREFIX_FIRST,  // pre-tokenizer Metaspace "first": only a segment at the text's start, and
                      // only where none stands there already
    TS_PREFIX_ALWAYS, // Metaspace "always": each, unless one stands there already
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
    uint64_t *joins; // TS_JOIN_BITS bits by hash of a pair of first symbols
    ts_added *added; // longest first
    size_t added_count, added_capacity;
    bool added_first[256]; // some added token starts with this byte
    bool has_normalized;   // some added token is `normalized`
    uint32_t byte_ids[256];
    uint32_t space_id; // U+2581, TS_TOKEN_NONE where the vocabulary lacks it
    uint32_t bos, eos;
    ts_prefix prefix;
    bool normalizes; // a normalizer replaces spaces, and added tokens' own (TS_PREFIX_EACH: and
                     // puts a U+2581 before them); otherwise the pre-tokenizer does, later
    bool strip;      // decoding strips one leading space
};

// Each takes a copy. Ids and pieces must be new; errors do not name the file.
ts_status ts_vocabulary_add(ts_tokenizer *tokenizer, const char *bytes, size_t len, uint32_t id,
                            ts_error *err);
// `flags` are TS_ADDED_*. The piece is added where it does not exist yet.
ts_status ts_vocabulary_add_token(ts_tokenizer *tokenizer, const char *bytes, size_t len,
                                  uint32_t id, unsigned flags, ts_error *err);
// What another file says of an added token that is there already (ts_tokenizer_find).
void ts_vocabulary_flag_token(ts_tokenizer *tokenizer, uint32_t id, unsigned flags);
// The three pieces (left, right and both together) must exist.
ts_status ts_vocabulary_add_merge(ts_tokenizer *tokenizer, const char *left, size_t left_len,
                                  const char *right, size_t right_len, uint32_t rank,
                                  ts_error *err);
// Sorts the added tokens and fills byte_ids; refuses a vocabulary without all 256 bytes, and added
// tokens whose flags are not done together.
ts_status ts_vocabulary_finish(ts_tokenizer *tokenizer, ts_error *err);

uint32_t ts_vocabulary_find(const ts_tokenizer *tokenizer, const char *bytes, size_t len);
// NULL where the pair has no merge.
const ts_merge *ts_vocabulary_find_merge(const ts_tokenizer *tokenizer, uint32_t left,
                                         uint32_t right);

// Whether some merge can join a piece that ends in symbol `left` (a character's or byte's id) with
// one that starts with `right`. Between symbols where none can, a text falls into independent
// parts. May say true where false is right (the set is a bitmap of hashes), never the reverse.
bool ts_vocabulary_may_join(const ts_tokenizer *tokenizer, uint32_t left, uint32_t right);

// An added token in a text.
typedef struct ts_added_found {
    uint32_t id;
    size_t start, end; // in the text, with the white space it takes along
    bool took_virtual; // it took the space that the normalizer puts before the text
} ts_added_found;

// Finds the first added token in text[from..to), the longest of those that start there; with
// `normalized` among those that are looked for behind the normalizer, without it among the others.
// `virtual_space`: the normalizer puts a space before text[from]. A special token that stands in
// marked `content` (ts_tokenizer_encode_rendered; may be NULL) is text.
bool ts_added_next(const ts_tokenizer *tokenizer, bool normalized, const char *text,
                   const uint16_t *content, size_t from, size_t to, bool virtual_space,
                   ts_added_found *out);

// Appends the tokens of one segment of valid UTF-8 and, when `starts` is not NULL, the offset of
// each one's first byte plus `base`.
ts_status ts_bpe_encode(const ts_tokenizer *tokenizer, const char *text, size_t len, bool prefix,
                        size_t base, ts_tokens *out, ts_tokens *starts, ts_error *err);

// Heeds what tokenizer_config.json, special_tokens_map.json and added_tokens.json say beside the
// tokenizer's own file (`spm`: tokenizer.model, which knows less of added tokens): added tokens and
// how they are found, and which begin and end a text.
ts_status ts_tokenizer_read_config(ts_tokenizer *tokenizer, const char *folder, bool spm,
                                   ts_error *err);

// The TS_ADDED_* that an added token's entry asks for; what is not done is refused by name.
ts_status ts_tokenizer_read_flags(const cJSON *entry, const char *content, const char *path,
                                  unsigned *out, ts_error *err);

ts_status ts_tokenizer_read_json(ts_tokenizer *tokenizer, const char *path, ts_error *err);
ts_status ts_tokenizer_read_spm(ts_tokenizer *tokenizer, const char *path, ts_error *err);

#endif
