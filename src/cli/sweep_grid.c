#include "cli/sweep.h"

#include "base/digest.h"
#include "base/file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- Which settings may differ

static const struct {
    const char *flag, *reason;
    bool with_references; // it may where runs are judged by reference answers alone
} fixed[] = {
    {"seed", "--repeats N trains each configuration with N seeds", false},
    {"model", "the base is loaded once", false},
    {"revision", "the base is loaded once", false},
    {"quantize", "the base is loaded once, and held in one type", false},
    {"load-in-8bit", "the base is loaded once, and held in one type", false},
    {"load-in-4bit", "the base is loaded once, and held in one type", false},
    {"precision", "the base is loaded once, in one precision", false},
    {"chat-template", "questions are asked in one template", false},
    {"device", "all runs are on one device", false},
    {"mask-capability", "all runs are on one device", false},
    {"no-tune", "all runs are on one device", false},
    {"max-memory", "it does not change what is learnt", false},
    {"output-dir", "each run has a folder of its own in it", false},
    {"base-model-name", "it does not change what is learnt", false},
    {"save-steps", "it does not change what is learnt", false},
    {"save-total-limit", "it does not change what is learnt", false},
    {"logging-steps", "it does not change what is learnt", false},
    {"eval-data", "all runs are judged by the same rows", false},
    {"eval-split", "all runs are judged by the same rows", false},
    {"metric", "all runs are judged by the same measure", false},
    {"data", "rows held out of other data are other rows: give --eval-data FILE", true},
    {"max-length", "it cuts the held-out rows too, and losses on other tokens do not compare",
     true},
    {"train-on", "losses on other tokens do not compare", true},
    {"train-empty", "losses on other rows do not compare", true},
    {"loss", "losses of other kinds do not compare", true},
    {"beta", "it scales the loss that runs are judged by", true},
    {"label-smoothing", "it changes the loss that runs are judged by", true},
};

static ts_status refuse(const char *flag, const char *reason, ts_error *err)
{
    return ts_error_set(err, TS_ERR_ARGUMENT, "runs of a sweep may not differ in %s: %s", flag,
                        reason);
}

static ts_status check_flag(const ts_flag *flag, ts_error *err)
{
    for (size_t i = 0; i < TS_COUNT(fixed); i++) {
        if (strcmp(fixed[i].flag, flag->name) == 0 && !fixed[i].with_references) {
            return refuse(flag->name, fixed[i].reason, err);
        }
    }
    return flag->passing || flag->kind == TS_FLAG_PARSED || flag->kind == TS_FLAG_PRESET
               ? refuse(flag->name, "it is no setting of a run", err)
               : TS_OK;
}

static ts_status check_measure(const ts_grid *grid, const ts_train_options *o, ts_error *err)
{
    const ts_train_settings *s = &o->settings;
    for (size_t a = 0; a < grid->axis_count; a++) {
        const char *name = grid->axes[a].flag->name;
        bool same_rows = strcmp(name, "data") == 0 && s->eval_data != NULL;
        for (size_t i = 0; i < TS_COUNT(fixed); i++) {
            if ((s->eval_data != NULL || s->eval_split > 0) && !same_rows &&
                strcmp(fixed[i].flag, name) == 0) {
                return ts_error_set(err, TS_ERR_ARGUMENT,
                                    "--grid %s: runs that are judged by held-out rows may not "
                                    "differ in it: %s; judged by --questions alone they may",
                                    name, fixed[i].reason);
            }
        }
    }
    return TS_OK;
}

// ---- Reading

static ts_status find_flag(const char *text, size_t len, const ts_flag **out, ts_error *err)
{
    *out = ts_flags_find(&ts_command_train, text, len);
    if (*out != NULL) {
        return check_flag(*out, err);
    }
    const char *nearest = ts_flags_nearest(&ts_command_train, text, len);
    return nearest != NULL
               ? ts_error_set(err, TS_ERR_ARGUMENT, "train has no flag '%.*s'; did you mean '%s'?",
                              (int)len, text, nearest)
               : ts_error_set(err, TS_ERR_ARGUMENT,
                              "train has no flag '%.*s'; `tinysft-vk train --help` lists them",
                              (int)len, text);
}

// Sets the flag; a switch is set by true or false.
static ts_status set_value(const ts_flag *flag, const char *value, ts_error *err)
{
    if (flag->kind != TS_FLAG_SWITCH) {
        return ts_flags_set(flag, value, err);
    }
    bool on = strcmp(value, "true") == 0;
    if (!on && strcmp(value, "false") != 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s: expected true or false, found '%s'",
                            flag->name, value);
    }
    ts_flags_switch(flag, on);
    return TS_OK;
}

// Adds one value, checked, numbers in their shortest form. The options are left as they were.
static ts_status add_value(ts_grid *grid, ts_grid_axis *axis, const char *text, size_t len,
                           ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_options before = *grid->flags;
    char *value = NULL, number[64];
    TS_TRY(ts_arena_copy_text(&grid->arena, text, len, &value, err));
    status = set_value(axis->flag, value, err);
    *grid->flags = before;
    TS_TRY(status);
    if (axis->flag->kind == TS_FLAG_REAL || axis->flag->kind == TS_FLAG_UINT) {
        int digits = snprintf(number, sizeof number, "%.10g", strtod(value, NULL));
        TS_TRY(ts_arena_copy_text(&grid->arena, number, (size_t)digits, &value, err));
    }
    for (size_t i = 0; i < axis->count; i++) {
        if (strcmp(axis->values[i], value) == 0) {
            TS_FAIL(TS_ERR_ARGUMENT, "%s: the value %s is there twice", axis->flag->name, value);
        }
    }
    axis->values[axis->count++] = value;
out:
    return status;
}

static ts_status add_values(ts_grid *grid, ts_grid_axis *axis, const char *text, ts_error *err)
{
    ts_status status = TS_OK;
    bool list = axis->flag->placeholder != NULL && strcmp(axis->flag->placeholder, "LIST") == 0;
    char between[2] = {list || strchr(text, ';') != NULL ? ';' : ',', '\0'};
    size_t most = 1;
    for (const char *c = text; *c != '\0'; c++) {
        most += *c == between[0];
    }
    TS_TRY(ts_arena_alloc(&grid->arena, most, sizeof *axis->values, &axis->values, err));
    for (const char *from = text;; from++) {
        size_t len = strcspn(from, between);
        if (len == 0) {
            TS_FAIL(TS_ERR_ARGUMENT, "%s=%s: a value is empty", axis->flag->name, text);
        }
        TS_TRY(add_value(grid, axis, from, len, err));
        from += len;
        if (*from == '\0') {
            break;
        }
    }
out:
    return status;
}

ts_status ts_grid_add(const char *text, void *user, ts_error *err)
{
    ts_status status = TS_OK;
    ts_grid *grid = user;
    const size_t len = strcspn(text, "=");
    ts_grid_axis *axis = &grid->axes[grid->axis_count];
    if (text[len] != '=' || len == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s: expected NAME=VALUE,VALUE, such as rank=4,8,16", text);
    }
    if (grid->axis_count == TS_GRID_AXES) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s: a grid has at most %d settings", text,
                            TS_GRID_AXES);
    }
    TS_TRY(find_flag(text, len, &axis->flag, err));
    for (size_t i = 0; i < grid->axis_count; i++) {
        if (grid->axes[i].flag == axis->flag) {
            TS_FAIL(TS_ERR_ARGUMENT, "%s is there twice: name all its values in one",
                    axis->flag->name);
        }
    }
    axis->count = 0;
    TS_TRY(add_values(grid, axis, text + len + 1, err));
    grid->names[grid->axis_count++] = axis->flag->name;
out:
    return status;
}

// ---- The table

ts_status ts_grid_make(ts_grid *grid, const ts_train_options *options, ts_error *err)
{
    ts_status status = TS_OK;
    size_t count = 1;
    TS_TRY(check_measure(grid, options, err));
    for (size_t a = 0; a < grid->axis_count; a++) {
        count *= grid->axes[a].count;
        if (count > TS_GRID_CONFIGURATIONS) {
            TS_FAIL(TS_ERR_ARGUMENT, "--grid: more than %d configurations", TS_GRID_CONFIGURATIONS);
        }
    }
    TS_TRY(ts_arena_alloc(&grid->arena, count * grid->axis_count + 1, sizeof *grid->values,
                          &grid->values, err));
    for (size_t c = 0; c < count; c++) {
        size_t rest = c;
        for (size_t a = grid->axis_count; a-- > 0; rest /= grid->axes[a].count) {
            grid->values[c * grid->axis_count + a] =
                grid->axes[a].values[rest % grid->axes[a].count];
        }
    }
    grid->configuration_count = count;
out:
    return status;
}

ts_status ts_grid_apply(const ts_grid *grid, size_t configuration, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t a = 0; a < grid->axis_count && status == TS_OK; a++) {
        status =
            set_value(grid->axes[a].flag, grid->values[configuration * grid->axis_count + a], err);
    }
    return status;
}

ts_status ts_grid_describe(const ts_grid *grid, size_t configuration, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t a = 0; a < grid->axis_count; a++) {
        TS_TRY(ts_text_format(out, err, "%s%s %s", a > 0 ? ", " : "", grid->names[a],
                              grid->values[configuration * grid->axis_count + a]));
    }
out:
    return status;
}

// Characters that a shell or a file system may dislike become others. A name that is long, or that
// lost something by this, gets a part of the hash of what it stood for.
ts_status ts_grid_folder(const ts_grid *grid, size_t configuration, ts_text *out, ts_error *err)
{
    enum { MOST = 150, HASHED = 8 };
    ts_status status = TS_OK;
    ts_text name = {0};
    char hash[65];
    bool lost = false;
    for (size_t a = 0; a < grid->axis_count; a++) {
        TS_TRY(ts_text_format(&name, err, "%s%s-%s", a > 0 ? "_" : "", grid->names[a],
                              grid->values[configuration * grid->axis_count + a]));
    }
    TS_TRY(ts_text_append(&name, "", 0, err));
    ts_sha256_hex(name.bytes, name.len, hash);
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.bytes[i];
        bool kept = isalnum(c) || strchr("._+-", c) != NULL;
        lost |= !kept && c != ',';
        name.bytes[i] = kept ? (char)c : c == ',' ? '+' : '-';
    }
    TS_TRY(ts_text_append(out, name.bytes, ts_min_u64(name.len, MOST), err));
    if (lost || name.len > MOST) {
        TS_TRY(ts_text_format(out, err, "-%.*s", HASHED, hash));
    }
out:
    ts_text_free(&name);
    return status;
}

void ts_grid_free(ts_grid *grid)
{
    ts_arena_free(&grid->arena);
    *grid = (ts_grid){0};
}
