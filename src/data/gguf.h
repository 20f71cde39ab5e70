// GGUF (https://github.com/ggml-org/ggml, docs/gguf.md), the model files of llama.cpp and its
// relatives: a header, metadata as typed values under keys, a table of tensors, then the tensors'
// bytes. What stands here holds for readers and writers. gguf.c reads: it maps the file, copies no
// tensor, and checks everything that the file claims before it is used.
#ifndef TS_DATA_GGUF_H
#define TS_DATA_GGUF_H

#include "base/dtype.h"
#include "base/file.h"

#define TS_GGUF_MAGIC "GGUF" // the first four bytes
enum {
    TS_GGUF_VERSION = 3,        // a little-endian file of version 2 is laid out alike
    TS_GGUF_ALIGNMENT = 32,     // of tensors, unless the metadata says another
    TS_GGUF_MAX_RANK = 4,       // dimensions of a tensor
    TS_GGUF_NAME_BYTES = 64,    // of a tensor's name, with the NUL that llama.cpp puts after it
    TS_GGUF_KEY_BYTES = 1 << 16 // of a key, at most
};

// The types of metadata, by the numbers in the file.
typedef enum ts_gguf_type {
    TS_GGUF_U8,
    TS_GGUF_I8,
    TS_GGUF_U16,
    TS_GGUF_I16,
    TS_GGUF_U32,
    TS_GGUF_I32,
    TS_GGUF_F32,
    TS_GGUF_BOOL,   // a byte, 0 or 1
    TS_GGUF_STRING, // length as u64, then UTF-8 without a NUL at its end
    TS_GGUF_ARRAY,  // type of the items as u32, their number as u64, then the items
    TS_GGUF_U64,
    TS_GGUF_I64,
    TS_GGUF_F64,
    TS_GGUF_TYPE_COUNT,
} ts_gguf_type;

// The types of tensors, by the numbers in the file.
typedef enum ts_gguf_tensor_type {
#define GGUF_TYPE(number, name, elements, bytes) TS_GGUF_TENSOR_##name = number,
#include "data/gguf_types.def"
#undef GGUF_TYPE
} ts_gguf_tensor_type;

// general.file_type: what most of the weights are stored as. GGUF has more; these are written here.
typedef enum ts_gguf_file_type {
    TS_GGUF_FILE_F32 = 0,
    TS_GGUF_FILE_F16 = 1,
    TS_GGUF_FILE_Q8_0 = 7,
    TS_GGUF_FILE_BF16 = 32,
} ts_gguf_file_type;

// ---- Keys

#define TS_GGUF_KEY_ARCHITECTURE "general.architecture"
#define TS_GGUF_KEY_TYPE "general.type" // "model" or "adapter"
#define TS_GGUF_KEY_NAME "general.name"
#define TS_GGUF_KEY_ALIGNMENT "general.alignment"
#define TS_GGUF_KEY_FILE_TYPE "general.file_type"
#define TS_GGUF_KEY_QUANTIZATION_VERSION "general.quantization_version" // 2
#define TS_GGUF_KEY_ADAPTER_TYPE "adapter.type"                         // "lora"
#define TS_GGUF_KEY_ADAPTER_ALPHA "adapter.lora.alpha"                  // f32
#define TS_GGUF_KEY_SPLIT_COUNT "split.count"                           // files of the model
#define TS_GGUF_KEY_SPLIT_NUMBER "split.no"                             // of this one, from 0
#define TS_GGUF_KEY_SPLIT_TENSORS "split.tensors.count"                 // in all files

// After the architecture's name and a dot: "llama.block_count".
#define TS_GGUF_ARCH_VOCAB_SIZE "vocab_size"
#define TS_GGUF_ARCH_CONTEXT_LENGTH "context_length"
#define TS_GGUF_ARCH_EMBEDDING_LENGTH "embedding_length"
#define TS_GGUF_ARCH_BLOCK_COUNT "block_count"
#define TS_GGUF_ARCH_FEED_FORWARD_LENGTH "feed_forward_length"
#define TS_GGUF_ARCH_HEAD_COUNT "attention.head_count"
#define TS_GGUF_ARCH_HEAD_COUNT_KV "attention.head_count_kv"
#define TS_GGUF_ARCH_KEY_LENGTH "attention.key_length"     // of a head; hidden / heads if absent
#define TS_GGUF_ARCH_VALUE_LENGTH "attention.value_length" // the same
#define TS_GGUF_ARCH_RMS_EPSILON "attention.layer_norm_rms_epsilon" // f32
#define TS_GGUF_ARCH_SLIDING_WINDOW "attention.sliding_window"
#define TS_GGUF_ARCH_SLIDING_PATTERN                                                               \
    "attention.sliding_window_pattern"                           // n: every n-th layer has
                                                                 // none; or a bool a layer
#define TS_GGUF_ARCH_ROPE_DIMENSION_COUNT "rope.dimension_count" // of a head's elements
#define TS_GGUF_ARCH_ROPE_FREQ_BASE "rope.freq_base"             // f32
#define TS_GGUF_ARCH_ROPE_FREQ_BASE_SWA "rope.freq_base_swa"     // of layers with a window, f32
#define TS_GGUF_ARCH_ROPE_SCALING_TYPE "rope.scaling.type"       // "none", "linear", "yarn" ...
#define TS_GGUF_ARCH_ROPE_SCALING_FACTOR "rope.scaling.factor"   // f32
#define TS_GGUF_ARCH_ROPE_SCALING_ATTN_FACTOR "rope.scaling.attn_factor" // f32
#define TS_GGUF_ARCH_ROPE_SCALING_ORIGINAL "rope.scaling.original_context_length"

#define TS_GGUF_KEY_TOKENIZER_MODEL "tokenizer.ggml.model" // "llama" or "gpt2"
#define TS_GGUF_KEY_TOKENIZER_PRE "tokenizer.ggml.pre"     // the rule that splits a text into words
#define TS_GGUF_KEY_TOKENS "tokenizer.ggml.tokens"         // strings, by id
#define TS_GGUF_KEY_SCORES "tokenizer.ggml.scores"         // f32
#define TS_GGUF_KEY_TOKEN_TYPES "tokenizer.ggml.token_type" // i32, as in data/spm_pieces.h
#define TS_GGUF_KEY_MERGES "tokenizer.ggml.merges"          // strings "left right", by rank
#define TS_GGUF_KEY_BOS_ID "tokenizer.ggml.bos_token_id"    // u32, as those that follow
#define TS_GGUF_KEY_EOS_ID "tokenizer.ggml.eos_token_id"
#define TS_GGUF_KEY_EOT_ID "tokenizer.ggml.eot_token_id" // ends a turn, beside EOS
#define TS_GGUF_KEY_EOM_ID "tokenizer.ggml.eom_token_id" // ends a message, beside EOS
#define TS_GGUF_KEY_UNKNOWN_ID "tokenizer.ggml.unknown_token_id"
#define TS_GGUF_KEY_PADDING_ID "tokenizer.ggml.padding_token_id"
#define TS_GGUF_KEY_ADD_BOS "tokenizer.ggml.add_bos_token" // bool, as those that follow
#define TS_GGUF_KEY_ADD_EOS "tokenizer.ggml.add_eos_token"
#define TS_GGUF_KEY_ADD_SPACE_PREFIX "tokenizer.ggml.add_space_prefix"
#define TS_GGUF_KEY_NFC "tokenizer.ggml.normalizer.nfc" // texts are normalised first
#define TS_GGUF_KEY_CHAT_TEMPLATE "tokenizer.chat_template"
#define TS_GGUF_KEY_CHAT_TEMPLATES "tokenizer.chat_templates" // names; KEY_CHAT_TEMPLATE.NAME each

// A tensor that is no weight: what each rotary frequency is divided by, f32 [head_dim / 2].
// llama.cpp's converter writes it where rope_type is llama3, in place of that type's parameters.
#define TS_GGUF_ROPE_FREQS "rope_freqs.weight"

// ---- Types

const char *ts_gguf_type_name(ts_gguf_type type); // "u32", "string" ...
// Bytes of a value of this type; 0 for strings, arrays and numbers that are no type.
uint32_t ts_gguf_type_bytes(uint32_t type);

// NULL where the number is no type.
const char *ts_gguf_tensor_type_name(uint32_t type); // "Q4_K"
// Elements and bytes of a block; 0 where the number is no type.
uint32_t ts_gguf_block_elements(uint32_t type);
uint32_t ts_gguf_block_bytes(uint32_t type);
// The type in a file of tensors of this type of base/weights.def; false where GGUF has none. The
// inverse is ts_blocks_of_gguf.
bool ts_gguf_type_from_dtype(ts_dtype dtype, uint32_t *out);

// ---- Reading

// A value of the metadata. Numbers lie at any address: use the functions below.
typedef struct ts_gguf_value {
    const char *key;
    ts_gguf_type type;
    ts_gguf_type item;    // of an array
    uint64_t count;       // items of an array, bytes of a string, 1 otherwise
    const uint8_t *bytes; // the value; of a string or an array, what follows its length
    uint64_t len;         // of `bytes`
} ts_gguf_value;

typedef struct ts_gguf_tensor {
    const char *name;
    uint32_t type; // ts_gguf_tensor_type
    uint32_t rank;
    uint64_t shape[TS_GGUF_MAX_RANK]; // the fastest dimension first, a row's length
    const uint8_t *bytes;             // in the mapped file, aligned as the file says
    uint64_t len;
} ts_gguf_tensor;

typedef struct ts_gguf ts_gguf;

// Whether the file at `path` begins as a GGUF file does.
bool ts_gguf_is_at(const char *path);

// Maps a file and checks all of its header. TS_ERR_FORMAT says what is not as the format promises,
// and where; TS_ERR_UNSUPPORTED names a version or a kind of file that is not read. Tensors may be
// of any type that has a row in gguf_types.def.
ts_status ts_gguf_open(const char *path, ts_gguf **out, ts_error *err);
void ts_gguf_close(ts_gguf *file); // NULL is fine
// Adds the tensors of another file to those of `file`, which keeps it: *piece becomes NULL.
// TS_ERR_FORMAT: both have a tensor of one name.
ts_status ts_gguf_join(ts_gguf *file, ts_gguf **piece, ts_error *err);
// Moves a mapping to *out, which the caller closes; false after the last. What values and tensors
// point to in it is valid until then.
bool ts_gguf_give_map(ts_gguf *file, ts_map *out);

const char *ts_gguf_path(const ts_gguf *file);
size_t ts_gguf_value_count(const ts_gguf *file);
const ts_gguf_value *ts_gguf_value_at(const ts_gguf *file, size_t index); // sorted by key
const ts_gguf_value *ts_gguf_find(const ts_gguf *file, const char *key);  // or NULL
size_t ts_gguf_tensor_count(const ts_gguf *file);
const ts_gguf_tensor *ts_gguf_tensor_at(const ts_gguf *file, size_t index);       // sorted by name
const ts_gguf_tensor *ts_gguf_find_tensor(const ts_gguf *file, const char *name); // or NULL

// Required values, checked: TS_ERR_FORMAT "FILE: key 'KEY': expected a whole number from 1 to 100,
// found 0". A whole number may be stored as any integer type, a real number as any type of number.
ts_status ts_gguf_get_uint(const ts_gguf *file, const char *key, uint64_t min, uint64_t max,
                           uint64_t *out, ts_error *err);
ts_status ts_gguf_get_double(const ts_gguf *file, const char *key, double *out, ts_error *err);
ts_status ts_gguf_get_bool(const ts_gguf *file, const char *key, bool *out, ts_error *err);
// Appends a string, which must be UTF-8 without a NUL.
ts_status ts_gguf_get_text(const ts_gguf *file, const char *key, ts_text *out, ts_error *err);
// An array of items of this type.
ts_status ts_gguf_get_array(const ts_gguf *file, const char *key, ts_gguf_type item,
                            const ts_gguf_value **out, ts_error *err);

// Item `index` of an array of numbers of fixed size.
double ts_gguf_item(const ts_gguf_value *array, uint64_t index);
// Walks an array of strings: *at begins at 0, and each call gives the next one's bytes and length
// (not NUL-terminated, not checked for UTF-8). False after the last.
bool ts_gguf_next_string(const ts_gguf_value *array, uint64_t *at, const char **bytes,
                         uint64_t *len);

#endif
