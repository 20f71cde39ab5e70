// Files that grow by whole pieces.
#include "base/file_parts.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

ts_status ts_file_append_open(const char *path, uint64_t keep, ts_file_append *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_os_info info;
    int reason;
    *out = (ts_file_append){0};
    TS_TRY(ts_text_append(&out->path, path, strlen(path), err));
    TS_TRY(ts_file_open(path, TS_OS_WRITE | TS_OS_CREATE, &out->file, &info, err));
    out->open = true;
    reason = ts_os_lock(out->file, true); // a file system without locks is fine
    if (reason == EWOULDBLOCK) {
        TS_FAIL(TS_ERR_ARGUMENT, "%s: another process writes to it", path);
    }
    out->bytes = ts_min_u64(keep, info.bytes);
    if (out->bytes < info.bytes && (reason = ts_os_cut(out->file, out->bytes)) != 0) {
        status = ts_file_error(path, "cut", reason, err);
    }
out:
    if (status != TS_OK) {
        ts_file_append_close(out);
    }
    return status;
}

ts_status ts_file_append_add(ts_file_append *file, const void *bytes, uint64_t len, ts_error *err)
{
    int reason = ts_os_write_at(file->file, bytes, len, file->bytes);
    if (reason != 0) {
        ts_os_cut(file->file, file->bytes); // a part of it may be there
        return ts_file_error(file->path.bytes, "write", reason, err);
    }
    file->bytes += len;
    return TS_OK;
}

void ts_file_append_close(ts_file_append *file)
{
    if (file->open) {
        ts_os_close(file->file);
    }
    ts_text_free(&file->path);
    *file = (ts_file_append){0};
}
