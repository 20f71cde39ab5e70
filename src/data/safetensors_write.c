// Writes a safetensors file.
#include "base/json.h"
#include "base/memory.h"
#include "data/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_LENGTH_BYTES = 8,
    DATA_ALIGNMENT = 8,
};

static ts_status append_entry(const ts_tensor *tensor, uint64_t *offset, ts_text *header,
                              ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_append(header, ",", 1, err));
    TS_TRY(ts_json_quote(header, tensor->name, err));
    TS_TRY(ts_text_format(header, err, ":{\"dtype\":\"%s\",\"shape\":[",
                          ts_dtype_name(tensor->dtype)));
    for (uint32_t i = 0; i < tensor->rank; i++) {
        TS_TRY(ts_text_format(header, err, "%s%llu", i > 0 ? "," : "",
                              (unsigned long long)tensor->shape[i]));
    }
    TS_TRY(ts_text_format(header, err, "],\"data_offsets\":[%llu,%llu]}",
                          (unsigned long long)*offset, (unsigned long long)*offset + tensor->len));
    *offset += tensor->len;
out:
    return status;
}

void ts_safetensors_order(const ts_tensor *tensors, size_t count, size_t *order)
{
    static const size_t sizes[] = {8, 4, 2, 1}; // widest elements first keeps all of them aligned
    size_t placed = 0;
    for (size_t pass = 0; pass < TS_COUNT(sizes); pass++) {
        for (size_t i = 0; i < count; i++) {
            if (ts_dtype_bytes(tensors[i].dtype) == sizes[pass]) {
                order[placed++] = i;
            }
        }
    }
}

ts_status ts_safetensors_header(const ts_tensor *tensors, const size_t *order, size_t count,
                                ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text header = {0};
    uint64_t offset = 0;
    TS_TRY(ts_text_format(&header, err, "{\"__metadata__\":{\"format\":\"pt\"}"));
    for (size_t i = 0; i < count; i++) {
        TS_TRY(append_entry(&tensors[order[i]], &offset, &header, err));
    }
    TS_TRY(ts_text_append(&header, "}", 1, err));
    while (header.len % DATA_ALIGNMENT != 0) {
        TS_TRY(ts_text_append(&header, " ", 1, err));
    }
    char length[HEADER_LENGTH_BYTES];
    for (size_t i = 0; i < sizeof length; i++) {
        length[i] = (char)(header.len >> 8 * i);
    }
    TS_TRY(ts_text_append(out, length, sizeof length, err));
    TS_TRY(ts_text_append(out, header.bytes, header.len, err));
out:
    ts_text_free(&header);
    return status;
}

ts_status ts_safetensors_serialise(const ts_tensor *tensors, size_t count, ts_text *out,
                                   ts_error *err)
{
    ts_status status = TS_OK;
    size_t *order = NULL;
    TS_TRY(ts_alloc(count + 1, sizeof *order, &order, err));
    ts_safetensors_order(tensors, count, order);
    TS_TRY(ts_safetensors_header(tensors, order, count, out, err));
    for (size_t i = 0; i < count; i++) {
        TS_TRY(ts_text_append(out, tensors[order[i]].bytes, tensors[order[i]].len, err));
    }
out:
    free(order);
    return status;
}
