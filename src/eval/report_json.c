// evaluation.json: all results of an evaluation, for programs.
#include "base/json.h"
#include "eval/report.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// A metric's label as a key: "Facts right" becomes "facts_right".
static void key_of(ts_metric metric, char out[64])
{
    const char *label = ts_metric_label(metric);
    size_t i = 0;
    for (; label[i] != '\0' && i < 63; i++) {
        out[i] = isalnum((unsigned char)label[i]) ? (char)tolower((unsigned char)label[i]) : '_';
    }
    out[i] = '\0';
}

// Adds any bytes as a string. Invalid UTF-8 becomes U+FFFD.
static ts_status add_text(cJSON *object, const char *key, const char *text, size_t len,
                          ts_error *err)
{
    ts_status status = TS_OK;
    ts_text valid = {0}, quoted = {0};
    for (size_t at = 0; at < len;) {
        size_t good = ts_utf8_valid_prefix(text + at, len - at);
        TS_TRY(ts_text_append(&valid, text + at, good, err));
        at += good;
        if (at < len) {
            TS_TRY(ts_text_append(&valid, "\xEF\xBF\xBD", 3, err));
            at++;
        }
    }
    TS_TRY(ts_json_quote_bytes(&quoted, valid.bytes != NULL ? valid.bytes : "", valid.len, err));
    cJSON_AddRawToObject(object, key, quoted.bytes);
out:
    ts_text_free(&valid);
    ts_text_free(&quoted);
    return status;
}

static cJSON *rates_json(const ts_summary *summary)
{
    cJSON *rates = cJSON_CreateObject();
    for (ts_metric metric = 0; metric < TS_METRIC_COUNT; metric++) {
        const ts_rate *rate = &summary->rates[metric];
        char key[64];
        if (rate->of == 0) {
            continue;
        }
        cJSON *item = cJSON_CreateObject();
        key_of(metric, key);
        cJSON_AddStringToObject(item, "label", ts_metric_label(metric));
        cJSON_AddBoolToObject(item, "lower_is_better", ts_metric_lower_is_better(metric));
        cJSON_AddNumberToObject(item, "yes", rate->yes);
        cJSON_AddNumberToObject(item, "of", rate->of);
        cJSON_AddNumberToObject(item, "low", rate->low);
        cJSON_AddNumberToObject(item, "high", rate->high);
        cJSON_AddItemToObject(rates, key, item);
    }
    return rates;
}

static cJSON *summary_json(const ts_summary *summary)
{
    cJSON *json = cJSON_CreateObject();
    if (summary->measured > 0) {
        cJSON_AddNumberToObject(json, "loss", summary->loss);
        cJSON_AddNumberToObject(json, "perplexity", summary->perplexity);
    }
    cJSON_AddItemToObject(json, "rates", rates_json(summary));
    return json;
}

static cJSON *changes_json(const ts_paired *paired)
{
    cJSON *changes = cJSON_CreateObject();
    for (ts_metric metric = 0; metric < TS_METRIC_COUNT; metric++) {
        char key[64];
        if (paired->base.rates[metric].of == 0) {
            continue;
        }
        cJSON *item = cJSON_CreateObject();
        key_of(metric, key);
        cJSON_AddNumberToObject(item, "gained", paired->changes[metric].gained);
        cJSON_AddNumberToObject(item, "lost", paired->changes[metric].lost);
        cJSON_AddNumberToObject(item, "p", paired->changes[metric].p);
        cJSON_AddItemToObject(changes, key, item);
    }
    return changes;
}

static cJSON *paired_json(const ts_paired *paired, bool tuned)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "prompts", paired->base.prompts);
    cJSON_AddItemToObject(json, "base", summary_json(&paired->base));
    if (tuned) {
        cJSON_AddItemToObject(json, "tuned", summary_json(&paired->tuned));
        cJSON_AddItemToObject(json, "changes", changes_json(paired));
        if (isfinite(paired->loss_change)) {
            cJSON_AddNumberToObject(json, "loss_change", paired->loss_change);
            cJSON_AddNumberToObject(json, "loss_change_low", paired->loss_low);
            cJSON_AddNumberToObject(json, "loss_change_high", paired->loss_high);
        }
    }
    return json;
}

static ts_status add_answer(cJSON *object, const char *model, const ts_response *response,
                            const ts_score *score, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *json = cJSON_AddObjectToObject(object, model);
    TS_TRY(add_text(json, "text", response->text, response->len, err));
    cJSON_AddNumberToObject(json, "tokens", response->tokens);
    cJSON_AddNumberToObject(json, "words", score->words);
    cJSON_AddBoolToObject(json, "stopped", response->stopped);
    if (response->reference_tokens > 0) {
        cJSON_AddNumberToObject(json, "reference_loss", response->reference_loss);
    }
    cJSON *marks = cJSON_AddObjectToObject(json, "marks");
    for (ts_metric metric = 0; metric < TS_METRIC_COUNT; metric++) {
        char key[64];
        key_of(metric, key);
        if (score->marks[metric] != TS_MARK_NONE) {
            cJSON_AddBoolToObject(marks, key, score->marks[metric] == TS_MARK_YES);
        }
    }
out:
    return status;
}

static ts_status add_prompt(cJSON *list, const ts_evaluation *e, const ts_results *r, size_t i,
                            ts_error *err)
{
    ts_status status = TS_OK;
    const ts_prompt *prompt = &e->prompts->items[i];
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToArray(list, json);
    if (prompt->id[0] != '\0') {
        cJSON_AddStringToObject(json, "id", prompt->id);
    }
    TS_TRY(add_text(json, "prompt", prompt->text, strlen(prompt->text), err));
    if (prompt->reference != NULL) {
        TS_TRY(add_text(json, "reference", prompt->reference, strlen(prompt->reference), err));
    }
    if (e->seen != NULL) {
        cJSON_AddBoolToObject(json, "seen_in_training", e->seen[i]);
    }
    TS_TRY(add_answer(json, "base", &e->base[i], &r->base[i], err));
    if (e->tuned != NULL) {
        TS_TRY(add_answer(json, "tuned", &e->tuned[i], &r->tuned[i], err));
    }
out:
    return status;
}

ts_status ts_report_json(const ts_evaluation *e, const ts_results *r, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    char *text = NULL;
    cJSON *json = cJSON_CreateObject();
    TS_TRY(add_text(json, "title", e->title, strlen(e->title), err));
    cJSON *settings = cJSON_AddObjectToObject(json, "settings");
    for (size_t i = 0; i < e->setting_count; i++) {
        const ts_setting *setting = &e->settings[i];
        TS_TRY(add_text(settings, setting->key, setting->value, strlen(setting->value), err));
    }
    cJSON_AddItemToObject(json, "held_out", paired_json(&r->held_out, e->tuned != NULL));
    if (e->seen != NULL) {
        cJSON_AddItemToObject(json, "seen", paired_json(&r->seen, e->tuned != NULL));
    }
    cJSON *answers = cJSON_AddArrayToObject(json, "answers");
    for (size_t i = 0; i < e->prompts->count; i++) {
        TS_TRY(add_prompt(answers, e, r, i, err));
    }
    text = cJSON_Print(json);
    if (text == NULL) {
        TS_FAIL(TS_ERR_MEMORY, "out of host memory");
    }
    TS_TRY(ts_text_format(out, err, "%s\n", text));
out:
    cJSON_free(text);
    cJSON_Delete(json);
    return status;
}
