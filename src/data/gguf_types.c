// The types of values and tensors in GGUF files.
#include "data/gguf.h"

#include "base/blocks.h"
#include "base/memory.h"

static const struct {
    const char *name;
    uint32_t bytes;
} types[TS_GGUF_TYPE_COUNT] = {
    [TS_GGUF_U8] = {"u8", 1},    [TS_GGUF_I8] = {"i8", 1},     [TS_GGUF_U16] = {"u16", 2},
    [TS_GGUF_I16] = {"i16", 2},  [TS_GGUF_U32] = {"u32", 4},   [TS_GGUF_I32] = {"i32", 4},
    [TS_GGUF_F32] = {"f32", 4},  [TS_GGUF_BOOL] = {"bool", 1}, [TS_GGUF_STRING] = {"string"},
    [TS_GGUF_ARRAY] = {"array"}, [TS_GGUF_U64] = {"u64", 8},   [TS_GGUF_I64] = {"i64", 8},
    [TS_GGUF_F64] = {"f64", 8},
};

static const struct {
    uint32_t number;
    const char *name;
    uint32_t elements, bytes;
} tensor_types[] = {
#define GGUF_TYPE(number, name, elements, bytes) {number, #name, elements, bytes},
#include "data/gguf_types.def"
#undef GGUF_TYPE
};

const char *ts_gguf_type_name(ts_gguf_type type)
{
    return types[type].name;
}

uint32_t ts_gguf_type_bytes(uint32_t type)
{
    return type < TS_GGUF_TYPE_COUNT ? types[type].bytes : 0;
}

static size_t index_of(uint32_t type)
{
    size_t i = 0;
    while (i < TS_COUNT(tensor_types) && tensor_types[i].number != type) {
        i++;
    }
    return i;
}

const char *ts_gguf_tensor_type_name(uint32_t type)
{
    size_t i = index_of(type);
    return i < TS_COUNT(tensor_types) ? tensor_types[i].name : NULL;
}

uint32_t ts_gguf_block_elements(uint32_t type)
{
    size_t i = index_of(type);
    return i < TS_COUNT(tensor_types) ? tensor_types[i].elements : 0;
}

uint32_t ts_gguf_block_bytes(uint32_t type)
{
    size_t i = index_of(type);
    return i < TS_COUNT(tensor_types) ? tensor_types[i].bytes : 0;
}

bool ts_gguf_type_from_dtype(ts_dtype dtype, uint32_t *out)
{
    for (size_t i = 0; i < TS_COUNT(tensor_types); i++) {
        ts_dtype known;
        *out = tensor_types[i].number;
        if (ts_blocks_of_gguf(*out, &known) && known == dtype) {
            return true;
        }
    }
    return false;
}
