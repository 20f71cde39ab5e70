#include "export/write.h"

#include "base/blocks.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "data/gguf_names.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_ELEMENTS = 1 << 20 };

uint64_t ts_export_bytes(const ts_weight *weight, ts_dtype dtype)
{
    return ts_dtype_size(dtype, (uint64_t)(weight->rows > 0 ? weight->rows : 1) * weight->cols);
}

ts_status ts_export_add(ts_export_writer *writer, const void *bytes, uint64_t len, ts_error *err)
{
    ts_status status = TS_OK;
    if (ts_stop_asked()) {
        TS_FAIL(TS_ERR_STOPPED, "stopped: nothing was written");
    }
    TS_TRY(ts_file_add(&writer->file, bytes, len, err));
    writer->done += len;
    if (writer->progress != NULL) {
        writer->progress(writer->user, writer->done, writer->total);
    }
out:
    return status;
}

bool ts_export_round(ts_dtype dtype, const float *values, uint64_t count, void *out)
{
    uint64_t first;
    if (dtype == TS_F32) {
        memcpy(out, values, count * sizeof *values);
    } else {
        uint16_t *halves = out;
        for (uint64_t i = 0; i < count; i++) {
            halves[i] = dtype == TS_F16 ? ts_f32_to_f16(values[i]) : ts_f32_to_bf16(values[i]);
        }
    }
    return ts_dtype_count_not_finite(dtype, out, count, &first) == 0;
}

// GGUF's Q8_0 blocks have their header before their data.
static bool round_to_blocks(const float *values, uint64_t count, uint8_t *scratch, uint8_t *out)
{
    const uint64_t block = ts_dtype_block(TS_Q8_0);
    const uint64_t data = ts_blocks_data_bytes(TS_Q8_0, block);
    const uint64_t header = ts_blocks_header_bytes(TS_Q8_0, block);
    uint8_t *headers = scratch + ts_blocks_data_bytes(TS_Q8_0, count);
    const float largest = ts_blocks_quantise(TS_Q8_0, TS_F32, values, count, scratch, headers);
    for (uint64_t i = 0; i < count / block; i++) {
        memcpy(out, headers + i * header, header);
        memcpy(out + header, scratch + i * data, data);
        out += header + data;
    }
    return largest <= ts_blocks_limit(TS_Q8_0);
}

// Rows first .. first + count - 1 of the file.
static ts_status gather(ts_merged *merged, const ts_export_form *form, uint64_t first,
                        uint64_t count, float *out, const char *name, ts_error *err)
{
    uint64_t at;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t row = first + i;
        ts_merged_row(merged, form->head_dim > 0 ? ts_gguf_row_to_hf(row, form->head_dim) : row,
                      out + i * merged->cols);
    }
    if (form->plus_one) {
        for (uint64_t i = 0; i < count * merged->cols; i++) {
            out[i] += 1;
        }
    }
    // The base and the adapter are finite: only their sum can be too large.
    return ts_dtype_count_not_finite(TS_F32, out, count * merged->cols, &at) == 0
               ? TS_OK
               : ts_error_set(err, TS_ERR_RUN,
                              "%s: base and adapter together are more than a float holds", name);
}

static ts_status write_rows(ts_export_writer *writer, ts_merged *merged, const ts_export_form *form,
                            const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    const uint64_t most = ts_max_u64(1, PIECE_ELEMENTS / merged->cols);
    const uint64_t elements = ts_min_u64(most, merged->rows) * merged->cols;
    float *values = NULL;
    uint8_t *bytes = NULL, *scratch = NULL;
    TS_TRY(ts_alloc(elements, sizeof *values, &values, err));
    TS_TRY(ts_alloc(ts_dtype_size(form->dtype, elements), 1, &bytes, err));
    TS_TRY(ts_alloc(ts_dtype_size(form->dtype, elements), 1, &scratch, err));
    for (uint64_t row = 0; row < merged->rows; row += most) {
        const uint64_t rows = ts_min_u64(most, merged->rows - row), count = rows * merged->cols;
        TS_TRY(gather(merged, form, row, rows, values, name, err));
        const bool fits = form->dtype == TS_Q8_0
                              ? round_to_blocks(values, count, scratch, bytes)
                              : ts_export_round(form->dtype, values, count, bytes);
        if (!fits) {
            TS_FAIL(TS_ERR_UNSUPPORTED, "%s holds values that are too large for %s", name,
                    ts_dtype_name(form->dtype));
        }
        TS_TRY(ts_export_add(writer, bytes, ts_dtype_size(form->dtype, count), err));
    }
out:
    free(values);
    free(bytes);
    free(scratch);
    return status;
}

ts_status ts_export_write(ts_export_writer *writer, const ts_export_source *source,
                          const ts_weight *weight, const ts_export_form *form, ts_error *err)
{
    ts_merged merged = {0};
    ts_error ignored;
    ts_status status = ts_merged_open(source, weight, &merged, err);
    if (weight->rows == 0 && form->head_dim > 0) { // a bias: each element is a row
        merged.rows = merged.cols;
        merged.cols = 1;
    }
    if (status == TS_OK) {
        status = write_rows(writer, &merged, form, weight->name, err);
    }
    ts_status unchanged = ts_merged_close(source, &merged, status == TS_OK ? err : &ignored);
    return status == TS_OK ? unchanged : status;
}

ts_status ts_export_check_replaced(const ts_export_params *params, const char *option,
                                   const char *path, bool *found, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_file_find(path, found, err));
    if (*found && !params->overwrite) {
        TS_FAIL(TS_ERR_ARGUMENT, "%s%s is there already: --overwrite replaces it", option, path);
    }
out:
    return status;
}

ts_status ts_export_check_space(const char *path, uint64_t bytes, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text folder = {0};
    uint64_t left;
    TS_TRY(ts_text_format(&folder, err, "%s/..", path));
    if (!ts_folder_exists(folder.bytes)) { // PATH is a file, or not there
        const size_t len = (size_t)(ts_path_name(path) - path);
        ts_text_clear(&folder);
        TS_TRY(ts_text_format(&folder, err, "%.*s.", (int)len, path));
    }
    if (ts_os_free_bytes(folder.bytes, &left) == 0 && left < bytes) {
        TS_FAIL(TS_ERR_IO, "%s: takes %.1f MB, and its disk has %.1f MB left", path,
                (double)bytes / 1e6, (double)left / 1e6);
    }
out:
    ts_text_free(&folder);
    return status;
}
