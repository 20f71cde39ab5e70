// The templates, each written as its Jinja original renders. Between two special tokens the text
// of a template and the content around it are one segment, as when Hugging Face tokenises the
// rendered string, so merges may cross the border between the two. A token that straddles the
// border into an answer bears no loss: it begins in text that the model is given when it is asked.
#include "data/chat.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TEMPLATE_BYTES = 4 << 20 };

static const char *const style_names[] = {
    [TS_CHAT_ZEPHYR] = "zephyr",  [TS_CHAT_CHATML] = "chatml", [TS_CHAT_LLAMA2] = "llama-2",
    [TS_CHAT_LLAMA3] = "llama-3", [TS_CHAT_PLAIN] = "plain",
};
static const char *const role_names[] = {
    [TS_ROLE_SYSTEM] = "system",
    [TS_ROLE_USER] = "user",
    [TS_ROLE_ASSISTANT] = "assistant",
};

#define KNOWN_STYLES "zephyr, chatml, llama-2, llama-3, plain"

const char *ts_chat_style_name(ts_chat_style style)
{
    return style_names[style];
}

ts_status ts_chat_style_parse(const char *name, ts_chat_style *out, ts_error *err)
{
    for (size_t i = 0; i < TS_COUNT(style_names); i++) {
        if (strcmp(name, style_names[i]) == 0) {
            *out = (ts_chat_style)i;
            return TS_OK;
        }
    }
    return ts_error_set(err, TS_ERR_ARGUMENT, "chat template '%.40s' is none of " KNOWN_STYLES,
                        name);
}

bool ts_chat_style_of_template(const char *jinja, ts_chat_style *out)
{
    // All `with` must stand in the template and none of `without`: Phi-3, for one, has zephyr's
    // role tags but another end.
    static const struct {
        ts_chat_style style;
        const char *with[3], *without[3];
    } marks[] = {
        {TS_CHAT_ZEPHYR,
         {"<|user|>", "<|assistant|>", "eos_token"},
         {"<|end|>", "<|im_start|>", "[gMASK]"}},
        {TS_CHAT_ZEPHYR, // the same tags, put together from the role's name
         {"'<|' + message['role'] + '|>", "<|assistant|>", "eos_token"},
         {"<|end|>", "<|im_start|>", "[gMASK]"}},
        {TS_CHAT_CHATML, {"<|im_start|>", "<|im_end|>"}, {"<|user|>", "[INST]"}},
        {TS_CHAT_LLAMA2, {"[INST]", "[/INST]", "<<SYS>>"}, {"<|im_start|>"}},
        {TS_CHAT_LLAMA3, {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, {"[INST]"}},
    };
    for (size_t i = 0; i < TS_COUNT(marks); i++) {
        bool match = true;
        for (size_t k = 0; k < 3 && match; k++) {
            match = marks[i].with[k] == NULL || strstr(jinja, marks[i].with[k]) != NULL;
            match = match &&
                    (marks[i].without[k] == NULL || strstr(jinja, marks[i].without[k]) == NULL);
        }
        if (match) {
            *out = marks[i].style;
            return true;
        }
    }
    return false;
}

// The template that tokenizer_config.json holds: a string, or one of several {name, template}.
static const char *template_in_config(const cJSON *config)
{
    const cJSON *value = ts_json_get(config, "chat_template");
    if (cJSON_IsArray(value)) {
        const cJSON *chosen = value->child;
        for (const cJSON *entry = value->child; entry != NULL; entry = entry->next) {
            const cJSON *name = ts_json_get(entry, "name");
            if (cJSON_IsString(name) && strcmp(name->valuestring, "default") == 0) {
                chosen = entry;
            }
        }
        value = ts_json_get(chosen, "template");
    }
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

ts_status ts_chat_style_of_model(const char *model_folder, ts_chat_style *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, text = {0};
    cJSON *config = NULL;
    const char *jinja = NULL;
    TS_TRY(ts_path_join(model_folder, "chat_template.jinja", &path, err));
    if (ts_file_exists(path.bytes)) {
        TS_TRY(ts_file_read(path.bytes, MAX_TEMPLATE_BYTES, &text, err));
        jinja = text.bytes;
    } else {
        TS_TRY(ts_path_join(model_folder, "tokenizer_config.json", &path, err));
        if (ts_file_exists(path.bytes)) {
            TS_TRY(ts_json_parse_file(path.bytes, &config, err));
            jinja = template_in_config(config);
        }
    }
    *out = TS_CHAT_PLAIN;
    if (jinja != NULL && !ts_chat_style_of_template(jinja, out)) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: its chat template is none of those known (" KNOWN_STYLES
                "); choose one with --chat-template NAME",
                path.bytes);
    }
out:
    cJSON_Delete(config);
    ts_text_free(&path);
    ts_text_free(&text);
    return status;
}

void ts_chat_tokens_free(ts_chat_tokens *chat)
{
    ts_tokens_free(&chat->tokens);
    free(chat->supervised);
    *chat = (ts_chat_tokens){0};
}

// A conversation on its way to tokens. `segment` is the text since the last special token.
typedef struct writer {
    const ts_tokenizer *tokenizer;
    ts_chat_style style;
    ts_chat_tokens *out;
    ts_text segment;
    size_t answer_from; // offset in segment where an answer starts (it ends with the segment)
    ts_tokens starts;
    bool began; // something stands before the segment
    ts_error *err;
} writer;

static ts_status mark(writer *w, size_t from, bool supervised)
{
    ts_chat_tokens *out = w->out;
    ts_status status = ts_grow(&out->supervised, &out->supervised_capacity, out->tokens.count,
                               sizeof *out->supervised, w->err);
    for (size_t i = from; status == TS_OK && i < out->tokens.count; i++) {
        out->supervised[i] = supervised;
    }
    return status;
}

// Turns the segment into tokens.
static ts_status flush(writer *w)
{
    ts_status status = TS_OK;
    ts_chat_tokens *out = w->out;
    size_t from = out->tokens.count;
    w->starts.count = 0;
    TS_TRY(ts_tokenizer_encode_part(w->tokenizer, w->segment.bytes, w->segment.len,
                                    TS_SPECIALS_AS_TEXT, !w->began, &out->tokens, &w->starts,
                                    w->err));
    TS_TRY(mark(w, from, false));
    for (size_t i = 0; i < w->starts.count; i++) {
        out->supervised[from + i] = w->starts.ids[i] >= w->answer_from;
    }
    w->began = w->began || w->segment.len > 0;
    ts_text_clear(&w->segment);
    w->answer_from = SIZE_MAX;
out:
    return status;
}

static ts_status add_token(writer *w, uint32_t id, bool supervised)
{
    ts_status status = TS_OK;
    TS_TRY(flush(w));
    TS_TRY(ts_tokens_push(&w->out->tokens, id, w->err));
    TS_TRY(mark(w, w->out->tokens.count - 1, supervised));
    w->began = true;
out:
    return status;
}

static ts_status add_text(writer *w, const char *text, size_t len)
{
    return ts_text_append(&w->segment, text, len, w->err);
}

static ts_status add_literal(writer *w, const char *text)
{
    return add_text(w, text, strlen(text));
}

static bool is_learnt(const ts_turn *turn)
{
    return turn->role == TS_ROLE_ASSISTANT && !turn->masked;
}

static ts_status add_content(writer *w, const ts_turn *turn)
{
    if (is_learnt(turn)) {
        w->answer_from = w->segment.len;
    }
    return add_text(w, turn->text, turn->len);
}

static ts_status need_token(const ts_tokenizer *tokenizer, ts_chat_style style, const char *name,
                            uint32_t *out, ts_error *err)
{
    *out = ts_tokenizer_find(tokenizer, name);
    return *out != TS_TOKEN_NONE
               ? TS_OK
               : ts_error_set(err, TS_ERR_UNSUPPORTED,
                              "chat template %s needs the token '%s', which this tokenizer lacks; "
                              "choose another with --chat-template NAME (" KNOWN_STYLES ")",
                              style_names[style], name);
}

ts_status ts_chat_end_token(const ts_tokenizer *tokenizer, ts_chat_style style, uint32_t *out,
                            ts_error *err)
{
    switch (style) {
    case TS_CHAT_CHATML:
        return need_token(tokenizer, style, "<|im_end|>", out, err);
    case TS_CHAT_LLAMA3:
        return need_token(tokenizer, style, "<|eot_id|>", out, err);
    default:
        *out = ts_tokenizer_eos(tokenizer);
        return TS_OK;
    }
}

// <|user|>\nQ</s>\n<|assistant|>\nA</s>\n
static ts_status write_zephyr(writer *w, const ts_turn *turns, size_t count, bool ask)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < count; i++) {
        TS_TRY(ts_text_format(&w->segment, w->err, "<|%s|>\n", role_names[turns[i].role]));
        TS_TRY(add_content(w, &turns[i]));
        TS_TRY(add_token(w, ts_tokenizer_eos(w->tokenizer), is_learnt(&turns[i])));
        TS_TRY(add_literal(w, "\n"));
    }
    TS_TRY(add_literal(w, ask ? "<|assistant|>\n" : ""));
out:
    return status;
}

// <|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n
static ts_status write_chatml(writer *w, const ts_turn *turns, size_t count, bool ask)
{
    ts_status status = TS_OK;
    uint32_t start = 0, end = 0;
    TS_TRY(need_token(w->tokenizer, w->style, "<|im_start|>", &start, w->err));
    TS_TRY(need_token(w->tokenizer, w->style, "<|im_end|>", &end, w->err));
    for (size_t i = 0; i < count; i++) {
        TS_TRY(add_token(w, start, false));
        TS_TRY(ts_text_format(&w->segment, w->err, "%s\n", role_names[turns[i].role]));
        TS_TRY(add_content(w, &turns[i]));
        TS_TRY(add_token(w, end, is_learnt(&turns[i])));
        TS_TRY(add_literal(w, "\n"));
    }
    if (ask) {
        TS_TRY(add_token(w, start, false));
        TS_TRY(add_literal(w, "assistant\n"));
    }
out:
    return status;
}

// What Python's str.strip() takes away.
static bool is_blank(int32_t cp)
{
    return (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x20) || cp == 0x85 || cp == 0xA0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

static ts_turn strip_end(ts_turn turn)
{
    size_t end = 0, taken;
    for (size_t at = 0; at < turn.len; at += taken) {
        if (!is_blank(ts_utf8_decode(turn.text + at, turn.len - at, &taken))) {
            end = at + taken;
        }
    }
    turn.len = end;
    return turn;
}

static ts_turn strip(ts_turn turn)
{
    size_t taken;
    while (turn.len > 0 && is_blank(ts_utf8_decode(turn.text, turn.len, &taken))) {
        turn.text += taken;
        turn.len -= taken;
    }
    return strip_end(turn);
}

static ts_status add_bos(writer *w)
{
    uint32_t bos = ts_tokenizer_bos(w->tokenizer);
    return bos != TS_TOKEN_NONE ? add_token(w, bos, false) : TS_OK;
}

// <s>[INST] Q [/INST] A </s>; the space before A is the answer's: the question ends at "[/INST]".
static ts_status write_llama2(writer *w, const ts_turn *turns, size_t count, bool ask)
{
    ts_status status = TS_OK;
    ts_error *err = w->err;
    size_t system = turns[0].role == TS_ROLE_SYSTEM;
    for (size_t i = system; i < count; i++) {
        bool user = (i - system) % 2 == 0;
        if (turns[i].role != (user ? TS_ROLE_USER : TS_ROLE_ASSISTANT)) {
            TS_FAIL(TS_ERR_FORMAT,
                    "chat template llama-2: turn %zu is the %s's, but the user and "
                    "the assistant must alternate",
                    i + 1, role_names[turns[i].role]);
        }
        if (!user) {
            w->answer_from = is_learnt(&turns[i]) ? w->segment.len : w->answer_from;
            ts_turn answer = strip(turns[i]);
            TS_TRY(add_literal(w, " "));
            TS_TRY(add_text(w, answer.text, answer.len));
            TS_TRY(add_literal(w, " "));
            TS_TRY(add_token(w, ts_tokenizer_eos(w->tokenizer), is_learnt(&turns[i])));
            continue;
        }
        bool with_system = system && i == system;
        ts_turn question = with_system ? strip_end(turns[i]) : strip(turns[i]);
        TS_TRY(add_bos(w));
        TS_TRY(add_literal(w, "[INST] "));
        if (with_system) {
            TS_TRY(add_literal(w, "<<SYS>>\n"));
            TS_TRY(add_text(w, turns[0].text, turns[0].len));
            TS_TRY(add_literal(w, "\n<</SYS>>\n\n"));
        }
        TS_TRY(add_text(w, question.text, question.len));
        TS_TRY(add_literal(w, " [/INST]"));
    }
    if (ask && turns[count - 1].role != TS_ROLE_USER) {
        TS_FAIL(TS_ERR_FORMAT, "chat template llama-2 can only answer a user's turn");
    }
out:
    return status;
}

// <|start_header_id|>user<|end_header_id|>\n\n
static ts_status add_header(writer *w, const char *role)
{
    ts_status status = TS_OK;
    uint32_t start = 0, end = 0;
    TS_TRY(need_token(w->tokenizer, w->style, "<|start_header_id|>", &start, w->err));
    TS_TRY(need_token(w->tokenizer, w->style, "<|end_header_id|>", &end, w->err));
    TS_TRY(add_token(w, start, false));
    TS_TRY(add_literal(w, role));
    TS_TRY(add_token(w, end, false));
    TS_TRY(add_literal(w, "\n\n"));
out:
    return status;
}

static ts_status write_llama3(writer *w, const ts_turn *turns, size_t count, bool ask)
{
    ts_status status = TS_OK;
    uint32_t end = 0;
    TS_TRY(ts_chat_end_token(w->tokenizer, w->style, &end, w->err));
    TS_TRY(add_bos(w));
    for (size_t i = 0; i < count; i++) {
        ts_turn turn = strip(turns[i]);
        TS_TRY(add_header(w, role_names[turn.role]));
        TS_TRY(add_content(w, &turn));
        TS_TRY(add_token(w, end, is_learnt(&turn)));
    }
    if (ask) {
        TS_TRY(add_header(w, role_names[TS_ROLE_ASSISTANT]));
    }
out:
    return status;
}

// <s>Q\nA</s>: for base models, which know no roles.
static ts_status write_plain(writer *w, const ts_turn *turns, size_t count, bool ask)
{
    ts_status status = TS_OK;
    TS_TRY(add_bos(w));
    for (size_t i = 0; i < count; i++) {
        bool answer = turns[i].role == TS_ROLE_ASSISTANT;
        TS_TRY(add_content(w, &turns[i]));
        if (answer) {
            TS_TRY(add_token(w, ts_tokenizer_eos(w->tokenizer), is_learnt(&turns[i])));
        } else if (i + 1 < count || ask) {
            TS_TRY(add_literal(w, "\n"));
        }
    }
out:
    return status;
}

ts_status ts_chat_encode(const ts_tokenizer *tokenizer, ts_chat_style style, const ts_turn *turns,
                         size_t count, bool ask, ts_chat_tokens *out, size_t *escaped,
                         ts_error *err)
{
    static ts_status (*const writers[])(writer *, const ts_turn *, size_t, bool) = {
        [TS_CHAT_ZEPHYR] = write_zephyr, [TS_CHAT_CHATML] = write_chatml,
        [TS_CHAT_LLAMA2] = write_llama2, [TS_CHAT_LLAMA3] = write_llama3,
        [TS_CHAT_PLAIN] = write_plain,
    };
    ts_status status = TS_OK;
    writer w = {.tokenizer = tokenizer,
                .style = style,
                .out = out,
                .answer_from = SIZE_MAX,
                .began = out->tokens.count > 0,
                .err = err};
    if (count == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "a conversation without turns");
    }
    for (size_t i = 0; i < count && escaped != NULL; i++) {
        *escaped += ts_tokenizer_spells_added(tokenizer, turns[i].text, turns[i].len);
    }
    TS_TRY(writers[style](&w, turns, count, ask));
    TS_TRY(flush(&w));
out:
    ts_text_free(&w.segment);
    ts_tokens_free(&w.starts);
    return status;
}

// Whether the token's own text begins, or ends, text[0..len); its length, or 0.
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

// The document without the BOS and end tokens that it already carries at its ends, however often
// and with blanks around: one of each is added anyway.
static void strip_document(const ts_tokenizer *tokenizer, const char **text, size_t *len,
                           ts_text *spelling, ts_error *err)
{
    for (size_t blanks = 0, found = 1; found > 0;) {
        for (blanks = 0; blanks < *len && is_ascii_blank((*text)[blanks]); blanks++) {
        }
        found = spelt_at(tokenizer, ts_tokenizer_bos(tokenizer), *text + blanks, *len - blanks,
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
    writer w = {.tokenizer = tokenizer, .out = out, .answer_from = SIZE_MAX, .err = err};
    strip_document(tokenizer, &text, &len, &spelling, err);
    TS_TRY(add_bos(&w));
    size_t from = out->tokens.count;
    TS_TRY(ts_tokenizer_encode_part(tokenizer, text, len, TS_SPECIALS_AS_TOKENS, from == 0,
                                    &out->tokens, NULL, err));
    TS_TRY(ts_tokens_push(&out->tokens, ts_tokenizer_eos(tokenizer), err));
    TS_TRY(mark(&w, from, true));
out:
    ts_text_free(&spelling);
    return status;
}
