// Splits a text with tags into turns: "<|user|>\nQ</s>\n<|assistant|>\nA</s>\n".
#include "data/row_parts.h"

#include <string.h>

typedef struct span {
    const char *from, *to;
} span;

typedef struct tag {
    const char *at; // NULL: there is none
    size_t len;
    ts_role role;
} tag;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool starts_with(span text, const char *with)
{
    size_t len = strlen(with);
    return (size_t)(text.to - text.from) >= len && memcmp(text.from, with, len) == 0;
}

static bool ends_with(span text, const char *with)
{
    size_t len = strlen(with);
    return (size_t)(text.to - text.from) >= len && memcmp(text.to - len, with, len) == 0;
}

static span trim_end(span text)
{
    while (text.to > text.from && is_blank(text.to[-1])) {
        text.to--;
    }
    return text;
}

static span trim_start(span text)
{
    while (text.from < text.to && is_blank(*text.from)) {
        text.from++;
    }
    return text;
}

static span trim_breaks(span text)
{
    while (text.from < text.to && (*text.from == '\n' || *text.from == '\r')) {
        text.from++;
    }
    while (text.to > text.from && (text.to[-1] == '\n' || text.to[-1] == '\r')) {
        text.to--;
    }
    return text;
}

// The first role tag in the text.
static tag find_tag(span text)
{
    static const struct {
        const char *text;
        ts_role role;
    } tags[] = {
        {"<|system|>", TS_ROLE_SYSTEM},
        {"<|user|>", TS_ROLE_USER},
        {"<|assistant|>", TS_ROLE_ASSISTANT},
    };
    for (; (text.from = memchr(text.from, '<', (size_t)(text.to - text.from))) != NULL;
         text.from++) {
        for (size_t i = 0; i < TS_COUNT(tags); i++) {
            if (starts_with(text, tags[i].text)) {
                return (tag){text.from, strlen(tags[i].text), tags[i].role};
            }
        }
    }
    return (tag){0};
}

// Adds the turn between two tags. Every "</s>" at its end is removed, with white space around it.
// If the text starts on the tag's own line, all white space around it belongs to the format;
// otherwise only line breaks do.
static ts_status add_tagged_turn(ts_row_reader *r, ts_role role, span text)
{
    static const char end[] = "</s>";
    bool same_line = text.from < text.to && (*text.from == ' ' || *text.from == '\t');
    for (span ended; ends_with(ended = trim_end(text), end);) {
        text.to = ended.to - strlen(end);
    }
    text = same_line ? trim_start(trim_end(text)) : trim_breaks(text);
    return ts_row_add_turn(
        r, (ts_turn){.role = role, .text = text.from, .len = (size_t)(text.to - text.from)});
}

ts_status ts_row_read_text(ts_row_reader *r, const cJSON *json)
{
    static const char begin[] = "<s>";
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const char *bytes = NULL;
    size_t len = 0;
    TS_TRY(ts_json_get_string(json, "text", r->name, &bytes, &len, err));
    span text = {bytes, bytes + len};
    tag next = find_tag(text);
    if (next.at == NULL) {
        if (!r->documents) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: key 'text' carries neither <|user|> nor <|assistant|>; to learn whole "
                    "texts choose --chat-template plain",
                    r->name);
        }
        if (r->system) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'system' has no place beside a text without turns",
                    r->name);
        }
        r->row->document = true;
        status =
            ts_row_add_turn(r, (ts_turn){.role = TS_ROLE_ASSISTANT, .text = bytes, .len = len});
        goto out;
    }
    span before = trim_start((span){text.from, next.at});
    // Whether a text starts with BOS is decided by the model's own template.
    while (starts_with(before, begin)) {
        before.from += strlen(begin);
        before = trim_start(before);
    }
    if (before.from < before.to) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'text': something stands before its first tag %.*s",
                r->name, (int)next.len, next.at);
    }
    if (r->system && next.role == TS_ROLE_SYSTEM) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'text' has a system turn, and key 'system' is there too: "
                "take one out",
                r->name);
    }
    while (next.at != NULL) {
        const char *from = next.at + next.len;
        tag following = find_tag((span){from, text.to});
        TS_TRY(add_tagged_turn(r, next.role,
                               (span){from, following.at != NULL ? following.at : text.to}));
        next = following;
    }
out:
    return status;
}
