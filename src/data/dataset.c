#include "data/dataset.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ts_dataset_memory {
    ts_arena arena;
    size_t capacity; // of dataset->examples
};

// The file as it is walked: rows are cut out here and parsed one at a time, so that each error
// can name its line and memory holds one row's JSON, not the file's.
typedef struct walk {
    const char *path, *bytes;
    size_t len, at;
    size_t line, line_start; // where `at` stands
    ts_dataset *dataset;
    const ts_tokenizer *tokenizer;
    ts_chat_style style;
    uint32_t max_tokens;
    ts_row row; // reused
    ts_chat_tokens chat;
    ts_error *err;
} walk;

static ts_status keep_example(walk *w, uint32_t line)
{
    ts_status status = TS_OK;
    ts_error *err = w->err;
    ts_dataset *dataset = w->dataset;
    ts_arena *arena = &dataset->memory->arena;
    ts_example example = {.line = line, .count = (uint32_t)w->chat.tokens.count};
    const ts_turn *question = NULL;
    uint32_t *ids = NULL;
    uint8_t *supervised = NULL;
    char *prompt = NULL;
    for (uint32_t t = 1; t < example.count; t++) {
        example.supervised_count += w->chat.supervised[t];
    }
    for (size_t i = 0; i < w->row.count; i++) {
        question = w->row.turns[i].role == TS_ROLE_USER ? &w->row.turns[i] : question;
    }
    TS_TRY(ts_arena_alloc(arena, example.count, sizeof *ids, &ids, err));
    TS_TRY(ts_arena_alloc(arena, example.count, sizeof *supervised, &supervised, err));
    TS_TRY(ts_arena_copy_text(arena, question != NULL ? question->text : "",
                              question != NULL ? question->len : 0, &prompt, err));
    memcpy(ids, w->chat.tokens.ids, example.count * sizeof *ids);
    memcpy(supervised, w->chat.supervised, example.count * sizeof *supervised);
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

static ts_status add_row(walk *w, const cJSON *json, uint32_t line)
{
    ts_status status = TS_OK;
    ts_error *err = w->err;
    char name[512];
    bool supervised = false;
    snprintf(name, sizeof name, "%s:%u", w->path, line);
    w->row.count = w->chat.tokens.count = 0;
    w->row.document = false;
    ts_text_clear(&w->row.text);
    TS_TRY(ts_row_read(json, w->style == TS_CHAT_PLAIN, name, &w->row, err));
    const ts_turn *turns = w->row.turns;
    status = w->row.document
                 ? ts_chat_encode_document(w->tokenizer, turns->text, turns->len, &w->chat, err)
                 : ts_chat_encode(w->tokenizer, w->style, turns, w->row.count, false, &w->chat,
                                  &w->dataset->escaped, err);
    if (status != TS_OK) {
        ts_error_context(err, "%s", name);
        goto out;
    }
    bool cut = w->chat.tokens.count > w->max_tokens;
    if (cut) {
        w->chat.tokens.count = w->max_tokens;
        w->dataset->truncated++;
    }
    for (size_t t = 1; t < w->chat.tokens.count; t++) {
        supervised = supervised || w->chat.supervised[t];
    }
    if (!supervised) {
        TS_FAIL(TS_ERR_FORMAT, "%s: no token to learn%s", name,
                cut ? " before the row is cut: its answer starts beyond the token limit" : "");
    }
    TS_TRY(keep_example(w, line));
out:
    return status;
}

// Parses bytes[from..to), which start at the walk's current line, as one row.
static ts_status add_slice(walk *w, size_t from, size_t to)
{
    ts_status status = TS_OK;
    cJSON *json = NULL;
    TS_TRY(ts_json_parse_at(w->bytes + from, to - from, w->path, w->line, from - w->line_start + 1,
                            &json, w->err));
    TS_TRY(add_row(w, json, (uint32_t)w->line));
out:
    cJSON_Delete(json);
    return status;
}

static void advance(walk *w, size_t to)
{
    for (; w->at < to; w->at++) {
        if (w->bytes[w->at] == '\n') {
            w->line++;
            w->line_start = w->at + 1;
        }
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blank(walk *w)
{
    size_t to = w->at;
    while (to < w->len && is_blank(w->bytes[to])) {
        to++;
    }
    advance(w, to);
}

// Where the array's element that starts at w->at ends: at the next comma or bracket outside of
// strings and nesting. Only a cut; ts_json_parse_at judges what is inside.
static size_t element_end(const walk *w)
{
    size_t depth = 0, at = w->at;
    for (bool string = false; at < w->len; at++) {
        char c = w->bytes[at];
        if (string) {
            at += c == '\\';
            string = c != '"';
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == ']' || c == '}')) {
            break;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return at < w->len ? at : w->len;
}

static ts_status misplaced(walk *w, const char *expected)
{
    return ts_error_set(w->err, TS_ERR_FORMAT, "%s:%zu:%zu: expected %s", w->path, w->line,
                        w->at - w->line_start + 1, expected);
}

static ts_status read_array(walk *w)
{
    ts_status status = TS_OK;
    advance(w, w->at + 1);
    skip_blank(w);
    if (w->at < w->len && w->bytes[w->at] == ']') {
        advance(w, w->at + 1);
    } else {
        for (;;) {
            skip_blank(w);
            size_t end = element_end(w);
            TS_TRY(add_slice(w, w->at, end));
            advance(w, end);
            char c = w->at < w->len ? w->bytes[w->at] : '\0';
            if (c != ',' && c != ']') {
                status = misplaced(w, "',' or ']' after a row");
                goto out;
            }
            advance(w, w->at + 1);
            if (c == ']') {
                break;
            }
        }
    }
    skip_blank(w);
    if (w->at < w->len) {
        status = misplaced(w, "nothing after the array of rows");
    }
out:
    return status;
}

static ts_status read_lines(walk *w)
{
    ts_status status = TS_OK;
    while (w->at < w->len) {
        const char *newline = memchr(w->bytes + w->at, '\n', w->len - w->at);
        size_t end = newline != NULL ? (size_t)(newline - w->bytes) : w->len, from = w->at;
        while (from < end && is_blank(w->bytes[from])) {
            from++;
        }
        if (from < end) {
            TS_TRY(add_slice(w, from, end));
        }
        advance(w, newline != NULL ? end + 1 : end);
    }
out:
    return status;
}

static void warn(const ts_dataset *dataset, const char *path, uint32_t max_tokens)
{
    if (dataset->truncated > 0) {
        ts_log(TS_LOG_WARN, "%s: %zu of %zu rows are longer than %u tokens and were cut", path,
               dataset->truncated, dataset->count, max_tokens);
    }
    if (dataset->escaped > 0) {
        ts_log(TS_LOG_WARN,
               "%s: %zu turns spell a special token such as </s>; there it stays plain text", path,
               dataset->escaped);
    }
}

ts_status ts_dataset_open(const char *path, const ts_tokenizer *tokenizer, ts_chat_style style,
                          uint32_t max_tokens, ts_dataset *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_map map = {0};
    ts_dataset dataset = {0};
    TS_TRY(ts_alloc(1, sizeof *dataset.memory, &dataset.memory, err));
    TS_TRY(ts_map_open(path, &map, err));
    walk w = {.path = path,
              .bytes = (const char *)map.bytes,
              .len = map.len,
              .line = 1,
              .dataset = &dataset,
              .tokenizer = tokenizer,
              .style = style,
              .max_tokens = max_tokens,
              .err = err};
    skip_blank(&w);
    if (w.at < w.len && w.bytes[w.at] == '[') {
        status = read_array(&w);
    } else {
        status = read_lines(&w);
    }
    ts_row_free(&w.row);
    ts_chat_tokens_free(&w.chat);
    if (status == TS_OK && dataset.count == 0) {
        status = ts_error_set(err, TS_ERR_FORMAT, "%s:1: holds no rows", path);
    }
    if (status != TS_OK) {
        goto out;
    }
    warn(&dataset, path, max_tokens);
    *out = dataset;
    dataset = (ts_dataset){0};
out:
    ts_dataset_close(&dataset);
    ts_map_close(&map);
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
