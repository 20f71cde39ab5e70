// Turns a conversation into tokens. A rendered conversation is tokenised as one text, as Hugging
// Face does it, so merges cross the border between the template's text and a turn's content. The
// interpreter reports for each byte which turn it comes from. So special tokens are recognised only
// in the template's own text, and an answer is found wherever the template writes it.
#include "data/chat.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/template_parts.h"

#include <stdlib.h>
#include <string.h>

const char *ts_role_name(ts_role role)
{
    static const char *const names[] = {
        [TS_ROLE_SYSTEM] = "system", [TS_ROLE_USER] = "user", [TS_ROLE_ASSISTANT] = "assistant"};
    return names[role];
}

void ts_chat_tokens_free(ts_chat_tokens *chat)
{
    ts_tokens_free(&chat->tokens);
    free(chat->supervised);
    *chat = (ts_chat_tokens){0};
}

// Marks the tokens from `from` to the end as trained on, or not.
static ts_status mark(ts_chat_tokens *out, size_t from, bool supervised, ts_error *err)
{
    ts_status status = ts_grow(&out->supervised, &out->supervised_capacity, out->tokens.count,
                               sizeof *out->supervised, err);
    for (size_t i = from; status == TS_OK && i < out->tokens.count; i++) {
        out->supervised[i] = supervised;
    }
    return status;
}

// ---- Rendering

// The number of the turn that byte `at` comes from, counted from 1; 0 if the template wrote it.
static size_t speaker(const ts_rendering *r, size_t at)
{
    return r->sources[at] & TS_JINJA_MAX_SOURCE;
}

// Resets t->data to the variables of every conversation; *messages is a new list for `count` turns.
static ts_status begin(ts_chat_template *t, size_t count, ts_jinja_value *messages, ts_error *err)
{
    ts_status status = TS_OK;
    ts_jinja_data_free(&t->data);
    if (count == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "a conversation without turns");
    }
    if (count >= TS_JINJA_MAX_SOURCE) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "a conversation of %zu turns; %d are the most", count,
                TS_JINJA_MAX_SOURCE - 1);
    }
    TS_TRY(ts_chat_template_set_tokens(t, err));
    TS_TRY(ts_jinja_list(&t->data, count, messages, err));
    TS_TRY(ts_jinja_set(&t->data, "messages", *messages, err));
out:
    return status;
}

static ts_status begin_turns(ts_chat_template *t, const ts_turn *turns, size_t count,
                             ts_jinja_value *messages, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(begin(t, count, messages, err));
    for (size_t i = 0; i < count; i++) {
        const char *role = ts_role_name(turns[i].role);
        ts_jinja_value message, text;
        TS_TRY(ts_jinja_dict(&t->data, 2, &message, err));
        TS_TRY(ts_jinja_text(&t->data, role, strlen(role), 0, &text, err));
        TS_TRY(ts_jinja_dict_put(&t->data, message, "role", text, err));
        TS_TRY(ts_jinja_text(&t->data, turns[i].text, turns[i].len, (uint16_t)(i + 1), &text, err));
        TS_TRY(ts_jinja_dict_put(&t->data, message, "content", text, err));
        ts_jinja_list_push(*messages, message);
    }
out:
    return status;
}

static ts_status render(ts_chat_template *t, bool ask, ts_rendering *out, ts_error *err)
{
    ts_status status = ts_jinja_set(&t->data, "add_generation_prompt", ts_jinja_bool(ask), err);
    return status == TS_OK ? ts_jinja_render(t->jinja, &t->data, NULL, out, err) : status;
}

// Tokenises the rendered text; *starts receives the offset of each token.
static ts_status tokenise(ts_chat_template *t, ts_tokens *out, ts_tokens *starts, ts_error *err)
{
    ts_rendering *r = &t->rendering;
    for (size_t i = 0; i < r->len; i++) {
        r->sources[i] &= TS_JINJA_MAX_SOURCE; // drops the generation flag
    }
    return ts_tokenizer_encode_rendered(t->tokenizer, r->bytes, r->sources, r->len, out->count == 0,
                                        out, starts, err);
}

const char *ts_chat_rendered(const ts_chat_template *t, size_t *len)
{
    *len = t->rendering.len;
    return t->rendering.bytes;
}

// ---- What is trained on

typedef struct span {
    size_t from, to; // bytes of the rendered text
} span;

// The spans to train on in one conversation. first and last hold each turn's first byte and its
// last byte + 1, both counted from 1; 0: the turn's text is not there.
typedef struct search {
    ts_chat_template *t;
    const ts_turn *turns;
    size_t count;
    ts_jinja_value messages;
    size_t *first, *last;
    span *spans;
    size_t span_count;
    ts_error *err;
} search;

// The special token after byte `at`, with only white space before it; *end receives its end.
static uint32_t end_behind(const ts_chat_template *t, size_t at, size_t *end)
{
    const ts_rendering *r = &t->rendering;
    uint32_t bos = ts_tokenizer_bos(t->tokenizer);
    size_t len = 0;
    while (at < r->len && speaker(r, at) == 0 && strchr(" \t\r\n", r->bytes[at]) != NULL) {
        at++;
    }
    uint32_t id = ts_tokenizer_added_at(t->tokenizer, r->bytes + at, r->len - at, &len);
    for (size_t i = 0; i < len; i++) {
        id = speaker(r, at + i) == 0 ? id : TS_TOKEN_NONE;
    }
    *end = at + len;
    return id == bos && bos != ts_tokenizer_eos(t->tokenizer) ? TS_TOKEN_NONE : id;
}

ts_status ts_chat_find_end(ts_chat_template *t, uint32_t *out, ts_error *err)
{
    static const ts_turn pair[] = {{TS_ROLE_USER, "question", 8, false},
                                   {TS_ROLE_ASSISTANT, "answer", 6, false}};
    ts_status status = TS_OK;
    ts_jinja_value messages;
    ts_error refused = {0};
    size_t at = 0, end;
    *out = TS_TOKEN_NONE;
    TS_TRY(begin_turns(t, pair, 2, &messages, err));
    if (render(t, false, &t->rendering, &refused) != TS_OK) {
        goto out; // if this is an error, the rows of the file will report it
    }
    for (size_t i = 0; i < t->rendering.len; i++) {
        at = speaker(&t->rendering, i) == 2 ? i + 1 : at;
    }
    *out = at > 0 ? end_behind(t, at, &end) : TS_TOKEN_NONE;
out:
    return status;
}

static bool is_blank(const ts_turn *turn)
{
    for (size_t i = 0; i < turn->len; i++) {
        if ((unsigned char)turn->text[i] > ' ') {
            return false;
        }
    }
    return true;
}

// Sets *from to the end of the prompt for turn `i`, or to SIZE_MAX if the whole text does not start
// with that prompt.
static ts_status find_prompt(search *s, size_t i, size_t *from)
{
    ts_status status = TS_OK;
    ts_chat_template *t = s->t;
    ts_jinja_value before;
    ts_error refused = {0};
    *from = SIZE_MAX;
    TS_TRY(ts_jinja_list_prefix(&t->data, s->messages, i, &before, s->err));
    TS_TRY(ts_jinja_set(&t->data, "messages", before, s->err));
    if (render(t, true, &t->prompt, &refused) == TS_OK && t->prompt.len <= t->rendering.len &&
        memcmp(t->prompt.bytes, t->rendering.bytes, t->prompt.len) == 0) {
        *from = t->prompt.len;
    }
    TS_TRY(ts_jinja_set(&t->data, "messages", s->messages, s->err));
out:
    return status;
}

static void tell_no_end(ts_chat_template *t, size_t at)
{
    const ts_rendering *r = &t->rendering;
    size_t len = ts_min_u64(r->len - at, 40);
    if (!t->told_no_end) {
        t->told_no_end = true;
        ts_log(TS_LOG_WARN,
               "%s writes no special token behind an answer (there stands '%.*s'): the model does "
               "not learn to stop; another --chat-template may teach it",
               t->name.bytes, (int)ts_utf8_valid_prefix(r->bytes + at, len), r->bytes + at);
    }
}

// An answer must not contain text of other turns.
static ts_status check_alone(const search *s, size_t i, span answer)
{
    for (size_t at = answer.from; at < answer.to; at++) {
        size_t other = speaker(&s->t->rendering, at);
        if (other != 0 && other != i + 1) {
            return ts_error_set(
                s->err, TS_ERR_FORMAT,
                "%s: turn %zu is an answer, and the text of turn %zu stands in it: "
                "it is unclear which text to train on; choose another template with "
                "--chat-template",
                s->t->name.bytes, i + 1, other);
        }
    }
    return TS_OK;
}

static ts_status find_answer(search *s, size_t i)
{
    ts_status status = TS_OK;
    ts_chat_template *t = s->t;
    size_t prompt, end;
    if (s->last[i] == 0 && !is_blank(&s->turns[i])) {
        return ts_error_set(s->err, TS_ERR_FORMAT,
                            "%s leaves out the text of turn %zu, an answer to train on; "
                            "choose another template with --chat-template",
                            t->name.bytes, i + 1);
    }
    TS_TRY(find_prompt(s, i, &prompt));
    span answer = {s->last[i] > 0 ? s->first[i] - 1 : prompt, s->last[i] > 0 ? s->last[i] : prompt};
    if (answer.from == SIZE_MAX) {
        goto out; // an empty answer without an end token
    }
    if (prompt < answer.to) {
        answer.from = prompt;
    }
    uint32_t token = end_behind(t, answer.to, &end);
    // If the template ends no answer with a special token, the next special token belongs to the
    // next turn.
    bool ends = token != TS_TOKEN_NONE &&
                (t->end != TS_TOKEN_NONE || token == ts_tokenizer_eos(t->tokenizer));
    if (ends) {
        answer.to = end;
    } else {
        tell_no_end(t, answer.to);
    }
    TS_TRY(check_alone(s, i, answer));
    s->spans[s->span_count++] = answer;
out:
    return status;
}

static ts_status find_answers(search *s)
{
    ts_status status = TS_OK;
    const ts_rendering *r = &s->t->rendering;
    ts_arena *arena = &s->t->data.arena;
    TS_TRY(ts_arena_alloc(arena, s->count, sizeof *s->first, &s->first, s->err));
    TS_TRY(ts_arena_alloc(arena, s->count, sizeof *s->last, &s->last, s->err));
    TS_TRY(ts_arena_alloc(arena, s->count, sizeof *s->spans, &s->spans, s->err));
    for (size_t at = 0; at < r->len; at++) {
        size_t turn = speaker(r, at);
        if (turn > 0) {
            s->first[turn - 1] = s->first[turn - 1] == 0 ? at + 1 : s->first[turn - 1];
            s->last[turn - 1] = at + 1;
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->turns[i].role == TS_ROLE_ASSISTANT && !s->turns[i].masked) {
            TS_TRY(find_answer(s, i));
        }
    }
out:
    return status;
}

// The spans of the template's own {% generation %} blocks.
static ts_status find_generations(search *s)
{
    ts_status status = TS_OK;
    ts_chat_template *t = s->t;
    const ts_rendering *r = &t->rendering;
    size_t end;
    TS_TRY(ts_arena_alloc(&t->data.arena, r->len / 2 + 1, sizeof *s->spans, &s->spans, s->err));
    for (size_t from = 0, to; from < r->len; from = to) {
        bool inside = (r->sources[from] & TS_JINJA_GENERATION) != 0;
        for (to = from + 1;
             to < r->len && ((r->sources[to] & TS_JINJA_GENERATION) != 0) == inside;) {
            to++;
        }
        bool masked = false;
        for (size_t at = from; at < to && inside; at++) {
            masked = masked || (speaker(r, at) > 0 && s->turns[speaker(r, at) - 1].masked);
        }
        if (!inside || masked) {
            continue;
        }
        s->spans[s->span_count++] = (span){from, to};
        if (!t->told_generation && end_behind(t, to, &end) != TS_TOKEN_NONE) {
            t->told_generation = true;
            ts_log(
                TS_LOG_WARN,
                "%s: the token '%.*s' behind an answer stands outside of {%% generation %%}: the "
                "model is not taught to stop",
                t->name.bytes, (int)ts_min_u64(end - to, 60), r->bytes + to);
        }
    }
out:
    return status;
}

// Marks the tokens that start inside a span; the spans are in order. With `overlapping`, also a
// token that starts before a span and extends into it.
static void mark_spans(const search *s, const ts_tokens *starts, size_t base, bool overlapping,
                       ts_chat_tokens *out)
{
    size_t at = 0;
    for (size_t i = 0; i < starts->count; i++) {
        size_t from = starts->ids[i];
        size_t to = i + 1 < starts->count ? starts->ids[i + 1] : s->t->rendering.len;
        while (at < s->span_count && s->spans[at].to <= from) {
            at++;
        }
        if (at < s->span_count) {
            span answer = s->spans[at];
            out->supervised[base + i] = from >= answer.from || (overlapping && to > answer.from);
        }
    }
}

ts_status ts_chat_encode(ts_chat_template *t, const ts_turn *turns, size_t count, bool ask,
                         ts_chat_tokens *out, size_t *escaped, ts_error *err)
{
    ts_status status = TS_OK;
    search s = {.t = t, .turns = turns, .count = count, .err = err};
    ts_tokens starts = {0};
    size_t base = out->tokens.count;
    bool marked = ts_jinja_marks_generation(t->jinja);
    for (size_t i = 0; i < count && escaped != NULL; i++) {
        *escaped += ts_tokenizer_contains_special(t->tokenizer, turns[i].text, turns[i].len);
    }
    TS_TRY(begin_turns(t, turns, count, &s.messages, err));
    TS_TRY(render(t, ask, &t->rendering, err));
    TS_TRY(marked ? find_generations(&s) : find_answers(&s));
    TS_TRY(tokenise(t, &out->tokens, &starts, err));
    TS_TRY(mark(out, base, false, err));
    mark_spans(&s, &starts, base, marked, out);
out:
    ts_tokens_free(&starts);
    return status;
}

// ---- Messages as JSON

// Adds a message given as JSON. All its members are content of the turn, except its role.
static ts_status add_message(ts_chat_template *t, const cJSON *json, uint16_t source,
                             ts_jinja_value messages, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    ts_jinja_value message, value;
    const char *role;
    if (!cJSON_IsObject(json)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: messages[%u]: expected an object, found %s", name, source - 1,
                ts_json_kind(json));
    }
    TS_TRY(ts_json_get_text(json, "role", name, &role, err));
    TS_TRY(ts_jinja_dict(&t->data, (size_t)cJSON_GetArraySize(json), &message, err));
    for (const cJSON *member = json->child; member != NULL; member = member->next) {
        bool is_role = strcmp(member->string, "role") == 0;
        TS_TRY(ts_jinja_json(&t->data, member, is_role ? 0 : source, &value, err));
        TS_TRY(ts_jinja_dict_put(&t->data, message, member->string, value, err));
    }
    ts_jinja_list_push(messages, message);
out:
    return status;
}

ts_status ts_chat_encode_json(ts_chat_template *t, const cJSON *row, const char *name,
                              ts_tokens *out, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *list = ts_json_get(row, "messages"), *asks, *item;
    ts_jinja_value messages, value;
    uint16_t number = 0;
    bool ask = false;
    if (!cJSON_IsArray(list)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'messages': expected an array, found %s", name,
                ts_json_kind(list));
    }
    if ((asks = ts_json_get(row, "add_generation_prompt")) != NULL) {
        TS_TRY(ts_json_get_bool(row, "add_generation_prompt", name, &ask, err));
    }
    if ((status = begin(t, (size_t)cJSON_GetArraySize(list), &messages, err)) != TS_OK) {
        ts_error_context(err, "%s", name);
        goto out;
    }
    cJSON_ArrayForEach(item, list)
    {
        TS_TRY(add_message(t, item, ++number, messages, name, err));
    }
    cJSON_ArrayForEach(item, row)
    {
        if (item == list || item == asks) {
            continue;
        }
        if (!ts_jinja_reads(t->jinja, item->string)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': %s reads no variable of that name", name,
                    item->string, t->name.bytes);
        }
        TS_TRY(ts_jinja_json(&t->data, item, 0, &value, err));
        TS_TRY(ts_jinja_set(&t->data, item->string, value, err));
    }
    if ((status = render(t, ask, &t->rendering, err)) != TS_OK) {
        ts_error_context(err, "%s", name);
        goto out;
    }
    TS_TRY(tokenise(t, out, NULL, err));
out:
    return status;
}

// ---- Documents

// The number of bytes at the start (or end) of text[0..len) that equal the token's own text, or 0.
static size_t spelt_at(const ts_tokenizer *tokenizer, uint32_t id, const char *text, size_t len,
                       bool at_end, ts_text *spelling, ts_error *err)
{
    ts_text_clear(spelling);
    if (id == TS_TOKEN_NONE ||
        ts_tokenizer_decode(tokenizer, &id, 1, false, spelling, err) != TS_OK ||
        spelling->len == 0 || spelling->len > len) {
        return 0;
    }
    const char *place = at_end ? text + len - spelling->len : text;
    return memcmp(place, spelling->bytes, spelling->len) == 0 ? spelling->len : 0;
}

static bool is_ascii_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Removes the leading token (BOS) and end tokens, and white space around them, from both ends of
// the document, because one of each is added anyway.
static void strip_document(const ts_tokenizer *tokenizer, const char **text, size_t *len,
                           ts_text *spelling, ts_error *err)
{
    for (size_t blanks = 0, found = 1; found > 0;) {
        for (blanks = 0; blanks < *len && is_ascii_blank((*text)[blanks]); blanks++) {
        }
        found = spelt_at(tokenizer, ts_tokenizer_lead(tokenizer), *text + blanks, *len - blanks,
                         false, spelling, err);
        *text += found > 0 ? blanks + found : 0;
        *len -= found > 0 ? blanks + found : 0;
    }
    for (size_t end = 0, found = 1; found > 0;) {
        for (end = *len; end > 0 && is_ascii_blank((*text)[end - 1]); end--) {
        }
        found = spelt_at(tokenizer, ts_tokenizer_eos(tokenizer), *text, end, true, spelling, err);
        *len = found > 0 ? end - found : *len;
    }
}

ts_status ts_chat_encode_document(const ts_tokenizer *tokenizer, const char *text, size_t len,
                                  ts_chat_tokens *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text spelling = {0};
    strip_document(tokenizer, &text, &len, &spelling, err);
    if (ts_tokenizer_lead(tokenizer) != TS_TOKEN_NONE) {
        TS_TRY(ts_tokens_push(&out->tokens, ts_tokenizer_lead(tokenizer), err));
        TS_TRY(mark(out, out->tokens.count - 1, false, err));
    }
    size_t from = out->tokens.count;
    TS_TRY(ts_tokenizer_encode_part(tokenizer, text, len, TS_SPECIALS_AS_TOKENS, from == 0,
                                    &out->tokens, NULL, err));
    TS_TRY(ts_tokens_push(&out->tokens, ts_tokenizer_eos(tokenizer), err));
    TS_TRY(mark(out, from, true, err));
out:
    ts_text_free(&spelling);
    return status;
}
