#include "data/dataset.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/row_file.h"
#include "data/rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ts_dataset_memory {
    ts_arena arena;
    size_t capacity; // of dataset->examples
};

// Rows without anything to train on: how many for one reason, and the first few of them by line.
typedef struct skipped {
    size_t count;
    ts_text told;
} skipped;
enum { ROWS_TOLD = 10 };

// The state of reading a file.
typedef struct reading {
    ts_dataset *dataset;
    const ts_tokenizer *tokenizer;
    ts_chat_template *template;
    const ts_dataset_options *options;
    size_t rows;
    ts_row row, rejected; // reused for each row; `rejected` only for pairs
    ts_chat_tokens chat;
    ts_text asked; // what the user says in the row
    skipped too_long, empty, masked;
} reading;

static const char *const train_on_names[] = {
    [TS_TRAIN_ON_ASSISTANT] = "assistant",
    [TS_TRAIN_ON_LAST] = "last",
    [TS_TRAIN_ON_ALL] = "all",
};

const char *ts_train_on_name(ts_train_on train_on)
{
    return train_on_names[train_on];
}

ts_status ts_train_on_parse(const char *name, ts_train_on *out, ts_error *err)
{
    for (size_t i = 0; i < TS_COUNT(train_on_names); i++) {
        if (strcmp(name, train_on_names[i]) == 0) {
            *out = (ts_train_on)i;
            return TS_OK;
        }
    }
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "--train-on %s: expected assistant (all answers), last (the last answer) "
                        "or all (every token)",
                        name);
}

// The user's turns as ts_example.prompt has them, in r->asked.
static ts_status join_asked(reading *r, const ts_row *row, ts_error *err)
{
    ts_status status = TS_OK;
    bool first = true;
    ts_text_clear(&r->asked);
    for (size_t i = 0; i < row->count; i++) {
        const ts_turn *turn = &row->turns[i];
        if (turn->role == TS_ROLE_USER) {
            TS_TRY(ts_text_append(&r->asked, (char[]){TS_TURN_SEPARATOR}, !first, err));
            TS_TRY(ts_text_append(&r->asked, turn->text, turn->len, err));
            first = false;
        }
    }
out:
    return status;
}

static ts_status keep_example(reading *r, const ts_row *row, uint32_t line, ts_error *err)
{
    ts_status status = TS_OK;
    ts_dataset *dataset = r->dataset;
    ts_arena *arena = &dataset->memory->arena;
    ts_example example = {.line = line, .count = (uint32_t)r->chat.tokens.count};
    uint32_t *ids = NULL;
    uint8_t *supervised = NULL;
    char *prompt = NULL;
    for (uint32_t t = 1; t < example.count; t++) {
        example.supervised_count += r->chat.supervised[t];
    }
    TS_TRY(join_asked(r, row, err));
    TS_TRY(ts_arena_alloc(arena, example.count, sizeof *ids, &ids, err));
    TS_TRY(ts_arena_alloc(arena, example.count, sizeof *supervised, &supervised, err));
    TS_TRY(ts_arena_copy_text(arena, r->asked.len > 0 ? r->asked.bytes : "", r->asked.len, &prompt,
                              err));
    memcpy(ids, r->chat.tokens.ids, example.count * sizeof *ids);
    memcpy(supervised, r->chat.supervised, example.count * sizeof *supervised);
    example.ids = ids;
    example.supervised = supervised;
    example.prompt = prompt;
    TS_TRY(ts_grow(&dataset->examples, &dataset->memory->capacity, dataset->count + 1,
                   sizeof example, err));
    dataset->examples[dataset->count++] = example;
    dataset->token_count += example.count;
    dataset->supervised_count += example.supervised_count;
out:
    return status;
}

__attribute__((format(printf, 4, 5))) static ts_status skip(skipped *rows, size_t row,
                                                            ts_error *err, const char *format, ...)
{
    ts_status status = TS_OK;
    if (rows->count < ROWS_TOLD) {
        char detail[80];
        va_list args;
        va_start(args, format);
        vsnprintf(detail, sizeof detail, format, args);
        va_end(args);
        TS_TRY(ts_text_format(&rows->told, err, "%srow %zu%s", rows->count > 0 ? ", " : "", row,
                              detail));
    }
    rows->count++;
out:
    return status;
}

static bool is_blank(const ts_turn *turn)
{
    for (size_t i = 0; i < turn->len; i++) {
        if (memchr(" \t\r\n", turn->text[i], 4) == NULL) {
            return false;
        }
    }
    return true;
}

// Masks the answers that --train-on leaves out. With --train-on all, a row that masks an answer
// itself is an error.
static ts_status choose_answers(reading *r, const char *name, ts_error *err)
{
    ts_turn *last = NULL;
    for (size_t i = 0; i < r->row.count; i++) {
        ts_turn *turn = &r->row.turns[i];
        if (turn->role != TS_ROLE_ASSISTANT) {
            continue;
        }
        if (turn->masked && r->options->train_on == TS_TRAIN_ON_ALL) {
            return ts_error_set(err, TS_ERR_FORMAT,
                                "%s: turn %zu is marked not to be trained on, and --train-on all "
                                "trains on every token: take the mark away, or --train-on "
                                "assistant",
                                name, i + 1);
        }
        if (last != NULL && r->options->train_on == TS_TRAIN_ON_LAST) {
            last->masked = true;
        }
        last = turn;
    }
    return TS_OK;
}

// Masks blank answers unless train_empty. *left: whether an answer to train on is left.
static ts_status judge_answers(reading *r, ts_row *row, bool *left, ts_error *err)
{
    bool empty = false, answers = false;
    *left = false;
    for (size_t i = 0; i < row->count; i++) {
        ts_turn *turn = &row->turns[i];
        if (turn->role == TS_ROLE_ASSISTANT && !turn->masked) {
            turn->masked = is_blank(turn) && (!r->options->train_empty || row->document);
            empty = empty || turn->masked;
            answers = true;
        }
        *left = *left || (turn->role == TS_ROLE_ASSISTANT && !turn->masked);
    }
    if (*left && r->options->train_on == TS_TRAIN_ON_ALL) {
        return TS_OK; // every token, those of blank answers too
    }
    return empty      ? skip(&r->empty, r->rows, err, "%s", *left ? " (in part)" : "")
           : !answers ? skip(&r->masked, r->rows, err, "%s", "")
                      : TS_OK;
}

static ts_status encode(reading *r, const ts_row *row, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    ts_dataset *dataset = r->dataset;
    const ts_turn *turns = row->turns;
    r->chat.tokens.count = 0;
    if (row->document) {
        TS_TRY(ts_chat_encode_document(r->tokenizer, turns->text, turns->len, &r->chat, err));
        goto out;
    }
    TS_TRY(ts_chat_encode(r->template, turns, row->count, false, &r->chat, &dataset->escaped, err));
    if (dataset->rendered == NULL) {
        char *copy = NULL;
        const char *text = ts_chat_rendered(r->template, &dataset->rendered_len);
        TS_TRY(
            ts_arena_copy_text(&dataset->memory->arena, text, dataset->rendered_len, &copy, err));
        dataset->rendered = copy;
    }
    for (size_t t = 1; r->options->train_on == TS_TRAIN_ON_ALL && t < r->chat.tokens.count; t++) {
        r->chat.supervised[t] = true;
    }
out:
    return status == TS_OK ? TS_OK : ts_error_context(err, "%s", name);
}

// The index of the first token that is trained on, or the number of tokens.
static size_t first_supervised(const ts_chat_tokens *chat)
{
    size_t t = 1;
    while (t < chat->tokens.count && !chat->supervised[t]) {
        t++;
    }
    return t;
}

// Adds the row as an example, unless nothing of it is to be trained on: then *kept is false.
static ts_status learn_row(reading *r, ts_row *row, uint32_t line, const char *name, bool *kept,
                           ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(judge_answers(r, row, kept, err));
    if (!*kept) {
        goto out;
    }
    TS_TRY(encode(r, row, name, err));
    size_t first = first_supervised(&r->chat);
    if (first >= r->chat.tokens.count) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: the chat template marks nothing of this row as an answer to train on", name);
    }
    if (first >= r->options->max_tokens) {
        *kept = false;
        status = skip(&r->too_long, r->rows, err, " (line %u) has %zu tokens before its answer",
                      line, first);
        goto out;
    }
    if (r->chat.tokens.count > r->options->max_tokens) {
        r->chat.tokens.count = r->options->max_tokens;
        r->dataset->truncated++;
    }
    TS_TRY(keep_example(r, row, line, err));
out:
    return status;
}

// Adds both answers of a pair, or neither.
static ts_status learn_pair(reading *r, const cJSON *json, uint32_t line, const char *name,
                            ts_error *err)
{
    ts_status status = TS_OK;
    ts_dataset *dataset = r->dataset;
    const ts_dataset before = *dataset;
    bool kept;
    TS_TRY(ts_row_read_pair(json, name, &r->row, &r->rejected, err));
    TS_TRY(learn_row(r, &r->row, line, name, &kept, err));
    if (kept) {
        TS_TRY(learn_row(r, &r->rejected, line, name, &kept, err));
    }
    if (!kept) {
        dataset->count = before.count;
        dataset->token_count = before.token_count;
        dataset->supervised_count = before.supervised_count;
    }
out:
    return status;
}

static ts_status add_row(void *user, const cJSON *json, uint32_t line, const char *name,
                         ts_error *err)
{
    ts_status status = TS_OK;
    reading *r = user;
    bool kept;
    r->rows++;
    if (r->options->pairs) {
        return learn_pair(r, json, line, name, err);
    }
    TS_TRY(ts_row_read(json, ts_chat_template_is_plain(r->template), name, &r->row, err));
    TS_TRY(choose_answers(r, name, err));
    TS_TRY(learn_row(r, &r->row, line, name, &kept, err));
out:
    return status;
}

static const char *and_more(const skipped *rows)
{
    return rows->count > ROWS_TOLD ? ", ..." : "";
}

static void warn_skipped(const reading *r, const char *path)
{
    if (r->too_long.count > 0) {
        ts_log(TS_LOG_WARN,
               "%s: %zu of %zu rows skipped: nothing of the answer is left within the limit of %u "
               "tokens (--max-length, or the model's own if that is less): %s%s",
               path, r->too_long.count, r->rows, r->options->max_tokens, r->too_long.told.bytes,
               and_more(&r->too_long));
    }
    if (r->empty.count > 0) {
        ts_log(TS_LOG_WARN,
               "%s: %zu of %zu rows have an empty answer, which is not trained on (--train-empty "
               "has the model learn to say nothing there): %s%s",
               path, r->empty.count, r->rows, r->empty.told.bytes, and_more(&r->empty));
    }
    if (r->masked.count > 0) {
        ts_log(TS_LOG_WARN, "%s: %zu of %zu rows skipped: %s marked not to be trained on: %s%s",
               path, r->masked.count, r->rows,
               r->options->train_on == TS_TRAIN_ON_LAST ? "their last answer is"
                                                        : "all their answers are",
               r->masked.told.bytes, and_more(&r->masked));
    }
}

static ts_status warn(const reading *r, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_dataset *dataset = r->dataset;
    ts_text keys = {0};
    warn_skipped(r, path);
    TS_TRY(ts_row_notes_format(&r->row.notes, &keys, err));
    if (keys.len > 0) {
        ts_log(TS_LOG_WARN, "%s: keys that mean nothing here were passed over: %s", path,
               keys.bytes);
    }
    if (r->row.notes.histories > 0 && r->options->train_on != TS_TRAIN_ON_LAST) {
        ts_log(TS_LOG_INFO,
               "%s: %zu row%s earlier turns under the key history; their answers are trained on "
               "too",
               path, r->row.notes.histories, r->row.notes.histories == 1 ? " has" : "s have");
    }
    if (dataset->truncated > 0) {
        ts_log(TS_LOG_WARN, "%s: %zu of %zu rows are longer than %u tokens and were cut", path,
               dataset->truncated, r->rows, r->options->max_tokens);
    }
    if (dataset->escaped > 0) {
        ts_log(TS_LOG_WARN,
               "%s: %zu turn%s a special token such as </s>; there it stays plain text", path,
               dataset->escaped, dataset->escaped == 1 ? " spells" : "s spell");
    }
out:
    ts_text_free(&keys);
    return status;
}

ts_status ts_dataset_open(const char *path, const ts_tokenizer *tokenizer,
                          ts_chat_template *template, const ts_dataset_options *options,
                          ts_dataset *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_dataset dataset = {0};
    ts_mistakes mistakes = {0};
    reading r = {
        .dataset = &dataset, .tokenizer = tokenizer, .template = template, .options = options};
    TS_TRY(ts_alloc(1, sizeof *dataset.memory, &dataset.memory, err));
    TS_TRY(ts_row_file_read(path, add_row, &r, &mistakes, err));
    TS_TRY(ts_mistakes_tell(&mistakes, path, err));
    TS_TRY(warn(&r, path, err));
    if (dataset.count == 0) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: no row is left to learn from: of %zu, %zu have a prompt as long as the limit "
                "of %u tokens, %zu an empty answer, %zu are marked not to be trained on",
                path, r.rows, r.too_long.count, options->max_tokens, r.empty.count, r.masked.count);
    }
    dataset.pairs = options->pairs;
    dataset.skipped = r.rows - dataset.count / (options->pairs ? 2 : 1);
    *out = dataset;
    dataset = (ts_dataset){0};
out:
    ts_row_free(&r.row);
    ts_row_free(&r.rejected);
    ts_text_free(&r.asked);
    ts_chat_tokens_free(&r.chat);
    ts_text_free(&r.too_long.told);
    ts_text_free(&r.empty.told);
    ts_text_free(&r.masked.told);
    ts_mistakes_free(&mistakes);
    ts_dataset_close(&dataset);
    return status;
}

void ts_dataset_close(ts_dataset *dataset)
{
    if (dataset->memory != NULL) {
        ts_arena_free(&dataset->memory->arena);
    }
    free(dataset->memory);
    free(dataset->examples);
    *dataset = (ts_dataset){0};
}
