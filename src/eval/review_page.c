// The sheet as a page: the text of review_page.html, which embedded.S embeds, with the pairs as
// JSON where it says @SHEET@.
#include "eval/review.h"

#include <string.h>

extern const char ts_review_page[], ts_review_page_end[];

static ts_status add_member(ts_text *json, const char *key, const char *text, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(json, err, "\"%s\":", key));
    TS_TRY(ts_json_quote_bytes(json, text, strlen(text), err));
out:
    return status;
}

// The same for a text of the file, which is cleaned first.
static ts_status add_clean(ts_text *json, const char *key, const cJSON *value, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text clean = {0};
    size_t len;
    const char *text = ts_json_string(value, &len);
    if (text != NULL) {
        TS_TRY(ts_text_append_clean(&clean, text, len, err));
    }
    TS_TRY(add_member(json, key, clean.bytes != NULL ? clean.bytes : "", err));
out:
    ts_text_free(&clean);
    return status;
}

// The turns before the prompt: [{"role": "system", "text": "Be brief."}].
static ts_status add_before(ts_text *json, const cJSON *row, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *turn;
    const char *comma = "";
    TS_TRY(ts_text_format(json, err, "\"before\":["));
    cJSON_ArrayForEach(turn, ts_json_get(row, "before"))
    {
        TS_TRY(ts_text_format(json, err, "%s{", comma));
        TS_TRY(add_clean(json, "role", ts_json_get(turn, "role"), err));
        TS_TRY(ts_text_format(json, err, ","));
        TS_TRY(add_clean(json, "text", ts_json_get(turn, "content"), err));
        TS_TRY(ts_text_format(json, err, "}"));
        comma = ",";
    }
    TS_TRY(ts_text_format(json, err, "],"));
out:
    return status;
}

static ts_status add_pair(ts_text *json, const ts_review_pair *pair, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *reference = ts_json_get(pair->row, "reference");
    TS_TRY(ts_text_format(json, err, "{"));
    TS_TRY(add_before(json, pair->row, err));
    if (reference != NULL) {
        TS_TRY(add_clean(json, "reference", reference, err));
        TS_TRY(ts_text_format(json, err, ","));
    }
    TS_TRY(add_member(json, "prompt", pair->prompt, err));
    TS_TRY(ts_text_format(json, err, ","));
    TS_TRY(add_member(json, "a", pair->a, err));
    TS_TRY(ts_text_format(json, err, ","));
    TS_TRY(add_member(json, "b", pair->b, err));
    TS_TRY(ts_text_format(json, err, "}"));
out:
    return status;
}

static ts_status sheet_json(const ts_review *review, ts_text *json, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(json, err, "{"));
    TS_TRY(add_member(json, "sheet", review->hash, err));
    TS_TRY(ts_text_format(json, err, ","));
    TS_TRY(add_clean(json, "title", ts_json_get(review->evaluation, "title"), err));
    TS_TRY(ts_text_format(json, err, ",\"pairs\":["));
    for (size_t i = 0; i < review->count; i++) {
        TS_TRY(ts_text_format(json, err, i > 0 ? ",\n" : "\n"));
        TS_TRY(add_pair(json, &review->pairs[i], err));
    }
    TS_TRY(ts_text_format(json, err, "]}"));
out:
    return status;
}

ts_status ts_review_html(const ts_review *review, ts_text *out, ts_error *err)
{
    static const char mark[] = "@SHEET@";
    ts_status status = TS_OK;
    ts_text json = {0};
    const char *place = strstr(ts_review_page, mark), *rest = place + strlen(mark);
    TS_TRY(sheet_json(review, &json, err));
    TS_TRY(ts_text_append(out, ts_review_page, (size_t)(place - ts_review_page), err));
    // In JSON these stand only in strings. As escapes they cannot end the script's element.
    for (size_t i = 0; i < json.len; i++) {
        char c = json.bytes[i];
        TS_TRY(strchr("<>&", c) != NULL ? ts_text_format(out, err, "\\u%04x", c)
                                        : ts_text_append(out, &c, 1, err));
    }
    TS_TRY(ts_text_append(out, rest, (size_t)(ts_review_page_end - rest), err));
out:
    ts_text_free(&json);
    return status;
}
