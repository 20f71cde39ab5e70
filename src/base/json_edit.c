// Changes one member of a JSON object and leaves the rest of its text as it is: printing it anew
// would turn 0.0 into 0, which readers that are strict about types refuse.
#include "base/json.h"

#include <string.h>

// The end of the string that starts at text[at], with its quotes.
static size_t after_string(const char *text, size_t at)
{
    for (at++; text[at] != '"'; at++) {
        at += text[at] == '\\';
    }
    return at + 1;
}

static size_t after_space(const char *text, size_t at)
{
    return at + strspn(text + at, " \t\r\n");
}

// The end of the value that starts at text[at].
static size_t after_value(const char *text, size_t at)
{
    int depth = 0;
    do {
        if (text[at] == '"') {
            at = after_string(text, at);
            continue;
        }
        depth += text[at] == '{' || text[at] == '[';
        depth -= text[at] == '}' || text[at] == ']';
        at++;
    } while (depth > 0 || (text[at - 1] != '"' && text[at - 1] != '}' && text[at - 1] != ']' &&
                           strchr(",}] \t\r\n", text[at]) == NULL));
    return at;
}

// Replaces text[from..to) by `with`.
static ts_status replace(ts_text *text, size_t from, size_t to, const char *with, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text new = {0};
    TS_TRY(ts_text_append(&new, text->bytes, from, err));
    TS_TRY(ts_text_append(&new, with, strlen(with), err));
    TS_TRY(ts_text_append(&new, text->bytes + to, text->len - to, err));
    ts_text_free(text);
    *text = new;
    new = (ts_text){0};
out:
    ts_text_free(&new);
    return status;
}

ts_status ts_json_set_member(ts_text *object, const char *key, const char *value, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text name = {0}, member = {0};
    const char *text = object->bytes;
    TS_TRY(ts_json_quote(&name, key, err));
    const size_t first = after_space(text, after_space(text, 0) + 1);
    size_t before = 0; // the comma before the member
    for (size_t at = first; text[at] == '"';) {
        const size_t end_name = after_string(text, at);
        const size_t from = after_space(text, after_space(text, end_name) + 1);
        const size_t to = after_value(text, from), comma = after_space(text, to);
        if (end_name - at == name.len && memcmp(text + at, name.bytes, name.len) == 0) {
            status = value != NULL ? replace(object, from, to, value, err)
                     : text[comma] == ','
                         ? replace(object, at, after_space(text, comma + 1), "", err)
                     : before > 0 ? replace(object, before, to, "", err)
                                  : replace(object, at, to, "", err);
            goto out;
        }
        before = comma;
        at = text[comma] == ',' ? after_space(text, comma + 1) : comma;
    }
    if (value != NULL) {
        TS_TRY(ts_text_format(&member, err, "%s: %s%s", name.bytes, value,
                              text[first] == '}' ? "" : ",\n  "));
        TS_TRY(replace(object, first, first, member.bytes, err));
    }
out:
    ts_text_free(&name);
    ts_text_free(&member);
    return status;
}
