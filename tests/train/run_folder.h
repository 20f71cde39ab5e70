// A folder for a test of the train floor, and checkpoints in it without a model.
#ifndef TESTS_TRAIN_RUN_FOLDER_H
#define TESTS_TRAIN_RUN_FOLDER_H

#include "base/file.h"
#include "base/log.h"
#include "device.h"

#include <string.h>
#include <unistd.h>

static char folder[64];
static char said[8192]; // what was logged

static void remember(void *user, ts_log_level level, const char *message)
{
    (void)user, (void)level;
    size_t len = strlen(said);
    snprintf(said + len, sizeof said - len, "%s\n", message);
}

static inline void folder_make(void)
{
    said[0] = '\0';
    ts_log_set_sink(remember, NULL);
    snprintf(folder, sizeof folder, "/tmp/tinysft-runs-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static inline void folder_remove(void)
{
    MUST(ts_folder_remove(folder, err));
}

static inline const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static inline void put(const char *name, const void *bytes, size_t len)
{
    MUST(ts_file_write(path_of(name), bytes, len, err));
}

static inline bool there(const char *name)
{
    return ts_file_exists(path_of(name));
}

// Writes a checkpoint with correct hashes, but without valid content in its files.
static inline void put_checkpoint(uint64_t step)
{
    static const char *const names[] = {"adapter_config.json", "adapter_model.safetensors",
                                        "optimizer.safetensors", "trainer_state.json",
                                        "training.json"};
    char name[128], hash[65], sums[1024] = "";
    snprintf(name, sizeof name, "checkpoint-%llu", (unsigned long long)step);
    MUST(ts_folder_make(path_of(name), err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "checkpoint-%llu/%s", (unsigned long long)step, names[i]);
        put(name, names[i], strlen(names[i]));
        ts_sha256_hex(names[i], strlen(names[i]), hash);
        size_t len = strlen(sums);
        snprintf(sums + len, sizeof sums - len, "%s  %s\n", hash, names[i]);
    }
    snprintf(name, sizeof name, "checkpoint-%llu/SHA256SUMS", (unsigned long long)step);
    put(name, sums, strlen(sums));
}

static inline void damage(uint64_t step)
{
    char name[128];
    snprintf(name, sizeof name, "checkpoint-%llu/optimizer.safetensors", (unsigned long long)step);
    put(name, "damaged", 7);
}

#endif
