#include "data/dataset.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/row_file.h"
#include "data/rows.h"

#include <stdlib.h>
#include <string.h>

struct ts_dataset_memory {
    ts_arena arena;
    size_t capacity; // of dataset->examples
};

// What the rows become.
typedef struct reading {
    ts_dataset *dataset;
    const ts_tokenizer *tokenizer;
    ts_chat_style style;
    uint32_t max_tokens;
    ts_row row; // reused
    ts_chat_tokens chat;
} reading;

static ts_status keep_example(reading *r, uint32_t line, ts_error *err)
{
    ts_status status = TS_OK;
    ts_dataset *dataset = r->dataset;
    ts_arena *arena = &dataset->memory->arena;
    ts_example example = {.line = line, .count = (uint32_t)r->chat.tokens.count};
    const ts_turn *question = NULL;
    uint32_t *ids = NULL;
    uint8_t *supervised = NULL;
    char *prompt = NULL;
    for (uint32_t t = 1; t < example.count; t++) {
        example.supervised_count += r->chat.supervised[t];
    }
    for (size_t i = 0; i < r->row.count; i++) {
        question = r->row.turns[i].role == TS_ROLE_USER ? &r->row.turns[i] : question;
    }
    TS_TRY(ts_arena_alloc(arena, example.count, sizeof *ids, &ids, err));
    TS_TRY(ts_arena_alloc(arena, example.count, sizeof *supervised, &supervised, err));
    TS_TRY(ts_arena_copy_text(arena, question != NULL ? question->text : "",
                              question != NULL ? question->len : 0, &prompt, err));
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

static ts_status add_row(void *user, const cJSON *json, uint32_t line, const char *name,
                         ts_error *err)
{
    ts_status status = TS_OK;
    reading *r = user;
    bool supervised = false;
    r->row.count = r->chat.tokens.count = 0;
    r->row.document = false;
    ts_text_clear(&r->row.text);
    TS_TRY(ts_row_read(json, r->style == TS_CHAT_PLAIN, name, &r->row, err));
    const ts_turn *turns = r->row.turns;
    status = r->row.document
                 ? ts_chat_encode_document(r->tokenizer, turns->text, turns->len, &r->chat, err)
                 : ts_chat_encode(r->tokenizer, r->style, turns, r->row.count, false, &r->chat,
                                  &r->dataset->escaped, err);
    if (status != TS_OK) {
        ts_error_context(err, "%s", name);
        goto out;
    }
    bool cut = r->chat.tokens.count > r->max_tokens;
    if (cut) {
        r->chat.tokens.count = r->max_tokens;
        r->dataset->truncated++;
    }
    for (size_t t = 1; t < r->chat.tokens.count; t++) {
        supervised = supervised || r->chat.supervised[t];
    }
    if (!supervised) {
        TS_FAIL(TS_ERR_FORMAT, "%s: no token to learn%s", name,
                cut ? " before the row is cut: its answer starts beyond the token limit" : "");
    }
    TS_TRY(keep_example(r, line, err));
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
    ts_dataset dataset = {0};
    ts_mistakes mistakes = {0};
    reading r = {
        .dataset = &dataset, .tokenizer = tokenizer, .style = style, .max_tokens = max_tokens};
    TS_TRY(ts_alloc(1, sizeof *dataset.memory, &dataset.memory, err));
    TS_TRY(ts_row_file_walk(path, add_row, &r, &mistakes, err));
    TS_TRY(ts_mistakes_tell(&mistakes, path, err));
    if (dataset.count == 0) {
        TS_FAIL(TS_ERR_FORMAT, "%s:1: holds no rows", path);
    }
    warn(&dataset, path, max_tokens);
    *out = dataset;
    dataset = (ts_dataset){0};
out:
    ts_row_free(&r.row);
    ts_chat_tokens_free(&r.chat);
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
