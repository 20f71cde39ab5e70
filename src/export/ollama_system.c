// Finds the system prompt that all rows of a training file share.
#include "base/log.h"
#include "data/row_file.h"
#include "data/rows.h"
#include "export/ollama.h"

#include <string.h>

struct finding {
    ts_row row, rejected;
    ts_text system;
    bool any, differs; // a row was read; rows have no system prompt, or not the same
};

static ts_status take(void *user, const cJSON *json, uint32_t line, const char *name, ts_error *err)
{
    (void)line;
    struct finding *f = user;
    ts_status status = TS_OK;
    const bool pair = ts_json_get(json, "chosen") != NULL; // of --loss dpo
    TS_TRY(pair ? ts_row_read_pair(json, name, &f->row, &f->rejected, err)
                : ts_row_read(json, true, name, &f->row, err));
    const ts_turn *first = f->row.count > 0 ? &f->row.turns[0] : NULL;
    if (first == NULL || first->role != TS_ROLE_SYSTEM) {
        f->differs = true;
    } else if (!f->any) {
        TS_TRY(ts_text_append(&f->system, first->text, first->len, err));
    } else if (first->len != f->system.len ||
               memcmp(first->text, f->system.bytes, first->len) != 0) {
        f->differs = true;
    }
    f->any = true;
out:
    return status;
}

ts_status ts_ollama_find_system(const char *path, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    struct finding f = {0};
    ts_mistakes mistakes = {0};
    ts_error ignored = {0};
    ts_caller *outer = ts_caller_use(NULL); // training has already reported what is wrong
    const bool read = ts_row_file_read(path, take, &f, &mistakes, &ignored) == TS_OK;
    ts_caller_use(outer);
    if (read && f.any && !f.differs && strlen(f.system.bytes) == f.system.len) {
        TS_TRY(ts_text_append(out, f.system.bytes, f.system.len, err));
    }
out:
    ts_mistakes_free(&mistakes);
    ts_row_free(&f.row);
    ts_row_free(&f.rejected);
    ts_text_free(&f.system);
    return status;
}
