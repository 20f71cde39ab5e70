// --log-file: JSON lines, one a logged step and one a measurement on held-out rows.
#include "train/log_formats.h"

#include "base/json.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 30 };

// Appends `, "key": value` with as few digits as give the same number back; null for NaN.
static size_t add_number(char *out, size_t len, const char *key, double value)
{
    char number[TS_NUMBER_BYTES] = "null";
    if (isfinite(value)) {
        ts_text_number(value, number);
    }
    return len + (size_t)snprintf(out + len, TS_LOG_ENTRY_BYTES - len, ", \"%s\": %s", key, number);
}

static size_t begin(char *out, uint64_t step)
{
    return (size_t)snprintf(out, TS_LOG_ENTRY_BYTES, "{\"step\": %llu", (unsigned long long)step);
}

static size_t end(char *out, size_t len)
{
    return len + (size_t)snprintf(out + len, TS_LOG_ENTRY_BYTES - len, "}\n");
}

size_t ts_log_line_of_step(const ts_train_progress *p, char out[TS_LOG_ENTRY_BYTES])
{
    size_t len = begin(out, p->step);
    len = add_number(out, len, "steps", (double)p->steps);
    len = add_number(out, len, "epoch", p->epoch);
    len = add_number(out, len, "loss", p->loss);
    len = add_number(out, len, "eval_loss", p->held_out_loss);
    len = add_number(out, len, "learning_rate", p->rate);
    len = add_number(out, len, "grad_norm", p->grad_norm);
    if (isfinite(p->margin)) {
        len = add_number(out, len, "rewards/accuracies", p->accuracy);
        len = add_number(out, len, "rewards/margins", p->margin);
    }
    len = add_number(out, len, "tokens_per_second", p->tokens_per_second);
    len = add_number(out, len, "device_bytes", (double)p->device_bytes);
    len = add_number(out, len, "seconds_left", p->seconds_left);
    return end(out, len);
}

size_t ts_log_line_of_evaluation(const ts_train_evaluation *e, char out[TS_LOG_ENTRY_BYTES])
{
    size_t len = begin(out, e->step);
    len = add_number(out, len, "epoch", e->epoch);
    len = add_number(out, len, "eval_loss", e->loss);
    if (isfinite(e->margin)) {
        len = add_number(out, len, "eval_rewards/accuracies", e->accuracy);
        len = add_number(out, len, "eval_rewards/margins", e->margin);
    } else {
        len = add_number(out, len, "eval_perplexity", exp(e->loss));
    }
    len = add_number(out, len, "best_step", (double)e->best_step);
    len = add_number(out, len, "best_loss", e->best_loss);
    return end(out, len);
}

// Whether a line is kept. TS_ERR_FORMAT if it is none of ours.
static ts_status judge(const char *path, const char *bytes, size_t len, size_t line,
                       ts_logs_kept kept, bool *keep, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *json = NULL;
    uint64_t step = 0;
    bool ours = ts_json_parse_at(bytes, len, path, line, 1, &json, err) == TS_OK &&
                ts_json_uint(ts_json_get(json, "step"), &step) &&
                ts_json_get(json, "epoch") != NULL;
    if (!ours) {
        TS_FAIL(TS_ERR_FORMAT,
                "--log-file %s:%zu: this is no line of a training's log, so the file is left as it "
                "is: name another",
                path, line);
    }
    *keep = step <= (ts_json_get(json, "loss") != NULL ? kept.step : kept.evaluated);
out:
    cJSON_Delete(json);
    return status;
}

ts_status ts_log_lines_measure(const char *path, ts_logs_kept kept, uint64_t *bytes, bool *any,
                               ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    bool keep = true;
    *bytes = 0;
    *any = false;
    if (!ts_file_exists(path)) {
        return TS_OK;
    }
    TS_TRY(ts_file_read(path, MOST_BYTES, &text, err));
    *any = text.len > 0;
    for (size_t from = 0, line = 1; from < text.len && keep; line++) {
        const char *break_at = memchr(text.bytes + from, '\n', text.len - from);
        if (break_at == NULL) {
            break; // a killed run's last piece
        }
        size_t to = (size_t)(break_at - text.bytes);
        TS_TRY(judge(path, text.bytes + from, to - from, line, kept, &keep, err));
        from = to + 1;
        *bytes = keep ? from : *bytes;
    }
out:
    ts_text_free(&text);
    return status;
}
