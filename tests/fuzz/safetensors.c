// data/safetensors.c: one file with any header.
#include "fuzz.h"

#include "data/bitsandbytes.h"
#include "data/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_error err = {0};
    ts_tensors *file = NULL;
    ts_status status = ts_safetensors_open(fuzz_file("model.safetensors", data, size), &file, &err);
    fuzz_check_status(status, &err);
    for (size_t i = 0; file != NULL && i < ts_tensors_count(file); i++) {
        const ts_tensor *tensor = ts_tensors_at(file, i);
        uint64_t sum = 0;
        for (uint64_t at = 0; at < tensor->len; at++) { // every byte must be readable
            sum += ((const unsigned char *)tensor->bytes)[at];
        }
        FUZZ_CHECK(sum <= 255 * tensor->len);
        FUZZ_CHECK(ts_tensors_find(file, tensor->name) == tensor);
        ts_tensors_release(file, tensor);
    }
    if (file != NULL) { // of the names, shapes and descriptions that this header claims
        status = ts_bitsandbytes_gather(file, &err);
        fuzz_check_status(status, &err);
    }
    for (size_t i = 0; file != NULL && i < ts_tensors_count(file); i++) {
        const ts_tensor *tensor = ts_tensors_at(file, i);
        if (tensor->scales != NULL) {
            fuzz_check_status(ts_tensors_check_finite(file, tensor, &err), &err);
        }
    }
    ts_tensors_close(file);
    return 0;
}
