// The inside of a table of tensors. Filled by the readers of file formats, read by tensors.c.
#ifndef TS_DATA_TENSORS_PARTS_H
#define TS_DATA_TENSORS_PARTS_H

#include "base/file.h"
#include "base/memory.h"
#include "data/tensors.h"

typedef struct ts_absent {
    const char *name, *shard;
} ts_absent;

struct ts_tensors {
    ts_arena arena; // names, and copies of tensors that lie misaligned
    char *path;     // of the file or the folder, for messages
    ts_tensor *tensors;
    size_t count, capacity;
    ts_map *maps; // one a shard
    size_t map_count, map_capacity;
    ts_absent *absent; // what the index names and its shards do not hold
    size_t absent_count, absent_capacity;
};

// A table without tensors. `path` is what messages call it.
ts_status ts_tensors_start(const char *path, ts_tensors **out, ts_error *err);
// Puts the tensors in order. TS_ERR_FORMAT: two have one name.
ts_status ts_tensors_sort(ts_tensors *tensors, ts_error *err);
// Maps a safetensors file and adds its tensors.
ts_status ts_safetensors_add(ts_tensors *tensors, const char *path, ts_error *err);

#endif
