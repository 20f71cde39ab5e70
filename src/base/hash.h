// FNV-1a: a quick hash of 64 bits, for tables and for comparing what nobody forges. For files there
// is base/digest.h.
#ifndef TS_BASE_HASH_H
#define TS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define TS_HASH_START UINT64_C(0xCBF29CE484222325)

// The hash of what `hash` stands for and these bytes after it. TS_HASH_START stands for nothing.
static inline uint64_t ts_hash_add(uint64_t hash, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001B3);
    }
    return hash;
}

#endif
