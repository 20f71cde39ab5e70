// The special tokens that a chat template is told of: bos_token and its like.
#include "data/template_parts.h"

#include <string.h>

// The text of a special token: a string, or an object with "content".
static const cJSON *token_text(const cJSON *value)
{
    value = cJSON_IsObject(value) ? ts_json_get(value, "content") : value;
    return cJSON_IsString(value) && value->valuestring[0] != '\0' ? value : NULL;
}

static ts_status set_additional(ts_chat_template *t, const cJSON *list, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *item;
    ts_jinja_value tokens, token;
    if (!cJSON_IsArray(list) || list->child == NULL) {
        goto out;
    }
    TS_TRY(ts_jinja_list(&t->data, (size_t)cJSON_GetArraySize(list), &tokens, err));
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *text = token_text(item);
        if (text != NULL) {
            TS_TRY(ts_jinja_json(&t->data, text, 0, &token, err));
            ts_jinja_list_push(tokens, token);
        }
    }
    TS_TRY(ts_jinja_set(&t->data, "additional_special_tokens", tokens, err));
out:
    return status;
}

ts_status ts_chat_template_set_tokens(ts_chat_template *t, ts_error *err)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    ts_status status = TS_OK;
    ts_jinja_value token;
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        const cJSON *named = ts_json_get(t->config, names[i]), *text = token_text(named);
        text = named == NULL ? token_text(ts_json_get(t->special_tokens, names[i])) : text;
        const char *own = NULL;   // if no file says it, the token that the tokenizer uses
        if (i == 0 && t->plain) { // BOS only where a text without a template gets one
            uint32_t lead = ts_tokenizer_lead(t->tokenizer);
            own = lead != TS_TOKEN_NONE ? ts_tokenizer_piece(t->tokenizer, lead) : "";
            text = NULL;
        } else if (text == NULL && named == NULL && i < 2) {
            own = ts_tokenizer_piece(t->tokenizer, i == 0 ? ts_tokenizer_bos(t->tokenizer)
                                                          : ts_tokenizer_eos(t->tokenizer));
        }
        if (text != NULL) {
            TS_TRY(ts_jinja_json(&t->data, text, 0, &token, err));
            TS_TRY(ts_jinja_set(&t->data, names[i], token, err));
        } else if (own != NULL) {
            TS_TRY(ts_jinja_text(&t->data, own, strlen(own), 0, &token, err));
            TS_TRY(ts_jinja_set(&t->data, names[i], token, err));
        }
    }
    const cJSON *more = ts_json_get(t->config, "additional_special_tokens");
    more = more == NULL ? ts_json_get(t->special_tokens, "additional_special_tokens") : more;
    TS_TRY(set_additional(t, more, err));
    TS_TRY(ts_jinja_set(&t->data, "tools", ts_jinja_none(), err));
    TS_TRY(ts_jinja_set(&t->data, "documents", ts_jinja_none(), err));
out:
    return status;
}
