// train/log_events.c and train/log_lines.c: what a run that goes on keeps of the logs that are
// there. What is kept is kept again, and a run that keeps less keeps a part of it.
#include "fuzz.h"

#include "train/log_formats.h"

static void measure_lines(const char *path, size_t size, ts_logs_kept kept)
{
    ts_error err = {0};
    uint64_t bytes = 0;
    bool any = false;
    fuzz_check_status(ts_log_lines_measure(path, kept, &bytes, &any, &err), &err);
    FUZZ_CHECK(bytes <= size && any == (size > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ts_logs_kept all = {UINT64_MAX, UINT64_MAX}, some = {20, 10};
    const size_t whole = ts_log_events_measure(data, size, all);
    const size_t part = ts_log_events_measure(data, size, some);
    FUZZ_CHECK(part <= whole && whole <= size);
    FUZZ_CHECK(ts_log_events_measure(data, whole, all) == whole);
    FUZZ_CHECK(ts_log_events_measure(data, part, some) == part);
    const char *path = fuzz_file("log.jsonl", data, size);
    measure_lines(path, size, all);
    measure_lines(path, size, some);
    return 0;
}
