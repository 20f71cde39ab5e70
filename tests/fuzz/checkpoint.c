// train/checkpoint_read.c and train/record.c: a checkpoint's record, its history and moments, and
// the list of its hashes; the input is taken as each of these files in turn.
#include "fuzz.h"

#include "base/json.h"
#include "train/checkpoint.h"
#include "train/record.h"

#include <math.h>

enum { MOST_STEPS = 1000 };

static void read_record(const uint8_t *data, size_t size)
{
    ts_error err = {0}, refused = {0};
    cJSON *record = NULL;
    ts_train_difference difference;
    if (ts_json_parse((const char *)data, size, "training.json", &record, &err) == TS_OK) {
        fuzz_check_status(ts_train_record_check(record, "training.json", &err), &err);
        fuzz_check_status(ts_train_record_compare(record, record, 3, &difference, &refused),
                          &refused);
    }
    cJSON_Delete(record);
}

static void read_optimiser(const uint8_t *data, size_t size)
{
    ts_error err = {0}, refused = {0};
    ts_tensors *file = NULL;
    ts_history history = {0};
    size_t count = 0;
    if (ts_safetensors_open(fuzz_file("optimizer.safetensors", data, size), &file, &err) == TS_OK) {
        ts_status status = ts_checkpoint_read_history(file, MOST_STEPS, &history, &err);
        fuzz_check_status(status, &err);
        FUZZ_CHECK(history.count <= MOST_STEPS && (status != TS_OK || history.count > 0));
        for (size_t i = 0; i < history.count; i++) {
            FUZZ_CHECK(isfinite(history.loss[i]) && history.rate[i] >= 0 &&
                       history.grad_norm[i] >= 0);
        }
        status = ts_checkpoint_check_tensors(file, "exp_avg_sq.", true, &count, &refused);
        fuzz_check_status(status, &refused);
        FUZZ_CHECK(count <= ts_tensors_count(file));
    }
    ts_history_free(&history);
    ts_tensors_close(file);
}

// A folder in which only the list of hashes is the input.
static void read_hashes(const uint8_t *data, size_t size)
{
    ts_error err = {0};
    const char *const names[] = {"adapter_config.json", "adapter_model.safetensors",
                                 "optimizer.safetensors", "trainer_state.json", "training.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        fuzz_file(names[i], "", 0);
    }
    fuzz_file("SHA256SUMS", data, size);
    fuzz_check_status(ts_checkpoint_verify(fuzz_folder(), &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_record(data, size);
    read_optimiser(data, size);
    read_hashes(data, size);
    return 0;
}
