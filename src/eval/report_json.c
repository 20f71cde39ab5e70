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

static cJSON *estimate_json(const ts_estimate *estimate)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "value", estimate->value);
    if (isfinite(estimate->low)) {
        cJSON_AddNumberToObject(json, "low", estimate->low);
        cJSON_AddNumberToObject(json, "high", estimate->high);
    }
    return json;
}

static cJSON *calibration_json(const ts_calibration *calibration)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "prompts", calibration->prompts);
    cJSON_AddNumberToObject(json, "right", calibration->right);
    cJSON_AddNumberToObject(json, "mean_probability", calibration->confidence);
    cJSON_AddItemToObject(json, "error", estimate_json(&calibration->error));
    cJSON_AddItemToObject(json, "brier", estimate_json(&calibration->brier));
    return json;
}

static cJSON *lengths_json(const ts_summary *summary)
{
    cJSON *lengths = cJSON_CreateObject();
    for (ts_category category = 0; category < TS_CATEGORY_COUNT; category++) {
        const ts_length *length = &summary->lengths[category];
        if (length->prompts == 0) {
            continue;
        }
        cJSON *item = cJSON_AddObjectToObject(lengths, ts_category_name(category));
        cJSON_AddNumberToObject(item, "prompts", length->prompts);
        cJSON_AddItemToObject(item, "words", estimate_json(&length->words));
        if (isfinite(length->reference_words)) {
            cJSON_AddNumberToObject(item, "reference_words", length->reference_words);
        }
        if (length->target.of > 0) {
            cJSON_AddNumberToObject(item, "target_met", length->target.yes);
            cJSON_AddNumberToObject(item, "with_target", length->target.of);
        }
    }
    return lengths;
}

static cJSON *summary_json(const ts_summary *summary)
{
    cJSON *json = cJSON_CreateObject();
    if (summary->measured > 0) {
        cJSON_AddNumberToObject(json, "loss", summary->loss);
        cJSON_AddNumberToObject(json, "perplexity", summary->perplexity);
    }
    cJSON_AddItemToObject(json, "rates", rates_json(summary));
    if (summary->calibration.prompts > 0) {
        cJSON_AddItemToObject(json, "first_token", calibration_json(&summary->calibration));
    }
    cJSON_AddItemToObject(json, "lengths", lengths_json(summary));
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

// An adapter's figures and how they differ from the base's.
static void add_tuned(cJSON *json, const ts_paired *paired)
{
    cJSON_AddItemToObject(json, "tuned", summary_json(&paired->tuned));
    cJSON_AddItemToObject(json, "changes", changes_json(paired));
    if (isfinite(paired->loss_change)) {
        cJSON_AddNumberToObject(json, "loss_change", paired->loss_change);
        cJSON_AddNumberToObject(json, "loss_change_low", paired->loss_low);
        cJSON_AddNumberToObject(json, "loss_change_high", paired->loss_high);
    }
}

// The first adapter stands beside the base, further ones in a list "others".
static cJSON *paired_json(const ts_paired *paired, size_t adapters)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "prompts", paired->base.prompts);
    cJSON_AddItemToObject(json, "base", summary_json(&paired->base));
    if (adapters > 0) {
        add_tuned(json, paired);
    }
    cJSON *others = adapters > 1 ? cJSON_AddArrayToObject(json, "others") : NULL;
    for (size_t i = 1; i < adapters; i++) {
        cJSON *other = cJSON_CreateObject();
        add_tuned(other, &paired[i]);
        cJSON_AddItemToArray(others, other);
    }
    return json;
}

// How each metric is judged, and on how many held-out prompts, or groups of prompts, it was.
static cJSON *metrics_json(const ts_results *results)
{
    cJSON *metrics = cJSON_CreateObject();
    for (ts_metric metric = 0; metric < TS_METRIC_COUNT; metric++) {
        uint32_t held_out = results->held_out[0].base.rates[metric].of;
        uint32_t seen = results->seen[0].base.rates[metric].of;
        char key[64];
        if (held_out + seen == 0) {
            continue;
        }
        cJSON *item = cJSON_CreateObject();
        key_of(metric, key);
        cJSON_AddStringToObject(item, "label", ts_metric_label(metric));
        cJSON_AddStringToObject(item, "counted", ts_metric_counted(metric));
        cJSON_AddStringToObject(item, "yes_where", ts_metric_rule(metric));
        cJSON_AddBoolToObject(item, "lower_is_better", ts_metric_lower_is_better(metric));
        cJSON_AddNumberToObject(item, "held_out", held_out);
        cJSON_AddNumberToObject(item, "seen", seen);
        cJSON_AddItemToObject(metrics, key, item);
    }
    return metrics;
}

static ts_status fill_answer(cJSON *json, const ts_response *response, const ts_score *score,
                             ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(add_text(json, "text", response->text, response->len, err));
    cJSON_AddNumberToObject(json, "tokens", response->tokens);
    cJSON_AddNumberToObject(json, "words", score->words);
    cJSON_AddBoolToObject(json, "stopped", response->stopped);
    cJSON_AddNumberToObject(json, "repeated", score->repeated);
    if (response->reference_tokens > 0) {
        cJSON_AddNumberToObject(json, "reference_loss", response->reference_loss);
    }
    if (response->first_probability > 0) {
        cJSON_AddNumberToObject(json, "first_probability", response->first_probability);
        cJSON_AddBoolToObject(json, "first_right", response->first_right);
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

// The turns before the prompt: [{"role": "system", "content": "Be brief."}].
static ts_status add_before(cJSON *object, const ts_prompt *prompt, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *list = prompt->before_count > 0 ? cJSON_AddArrayToObject(object, "before") : NULL;
    for (size_t i = 0; i < prompt->before_count; i++) {
        const ts_turn *turn = &prompt->before[i];
        cJSON *json = cJSON_CreateObject();
        cJSON_AddItemToArray(list, json);
        cJSON_AddStringToObject(json, "role", ts_role_name(turn->role));
        TS_TRY(add_text(json, "content", turn->text, turn->len, err));
    }
out:
    return status;
}

static ts_status add_prompt(cJSON *list, const ts_evaluation *e, const ts_results *r, size_t i,
                            ts_error *err)
{
    ts_status status = TS_OK;
    const ts_prompt *prompt = &e->prompts->items[i];
    cJSON *json = cJSON_CreateObject(), *others = NULL;
    cJSON_AddItemToArray(list, json);
    if (prompt->id[0] != '\0') {
        cJSON_AddStringToObject(json, "id", prompt->id);
    }
    if (prompt->group != NULL && prompt->group[0] != '\0') {
        TS_TRY(add_text(json, "group", prompt->group, strlen(prompt->group), err));
    }
    if (prompt->label[0] != '\0') {
        cJSON_AddStringToObject(json, "category", prompt->label);
    }
    TS_TRY(add_before(json, prompt, err));
    TS_TRY(add_text(json, "prompt", prompt->text, strlen(prompt->text), err));
    if (prompt->reference != NULL) {
        TS_TRY(add_text(json, "reference", prompt->reference, strlen(prompt->reference), err));
    }
    if (e->seen != NULL) {
        cJSON_AddBoolToObject(json, "seen_in_training", e->seen[i]);
    }
    TS_TRY(fill_answer(cJSON_AddObjectToObject(json, "base"), &e->base[i], &r->base[i], err));
    for (size_t k = 0; k < e->tuned_count; k++) {
        cJSON *answer = k == 0 ? cJSON_AddObjectToObject(json, "tuned") : cJSON_CreateObject();
        if (k == 1) {
            others = cJSON_AddArrayToObject(json, "others");
        }
        if (k > 0) {
            cJSON_AddItemToArray(others, answer);
        }
        TS_TRY(fill_answer(answer, &e->tuned[k].responses[i], &r->tuned[k][i], err));
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
    cJSON_AddItemToObject(json, "metrics", metrics_json(r));
    cJSON *names = e->tuned_count > 1 ? cJSON_AddArrayToObject(json, "adapters") : NULL;
    for (size_t i = 0; i < e->tuned_count && names != NULL; i++) {
        cJSON_AddItemToArray(names, cJSON_CreateString(e->tuned[i].name));
    }
    cJSON_AddItemToObject(json, "held_out", paired_json(r->held_out, e->tuned_count));
    if (e->seen != NULL) {
        cJSON_AddItemToObject(json, "seen", paired_json(r->seen, e->tuned_count));
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
