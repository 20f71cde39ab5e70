// The steps of tokenizer.json around the model: normalizer, pre_tokenizer, decoder, post_processor.
#include "base/keys.h"
#include "data/tokenizer_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static ts_status unsupported(ts_tokenizer_reading *r, const char *what, const cJSON *value)
{
    char *text = cJSON_PrintUnformatted(value);
    ts_status status = ts_error_set(r->err, TS_ERR_UNSUPPORTED, "%s: %s %.200s is not supported",
                                    r->path, what, text != NULL ? text : "");
    free(text);
    return status;
}

static bool is_absent(const cJSON *value)
{
    return value == NULL || cJSON_IsNull(value);
}

static bool is_text(const cJSON *value, const char *text)
{
    return cJSON_IsString(value) && strcmp(value->valuestring, text) == 0;
}

// The options of each type of step that is known. All of them are checked or change nothing here;
// trim_offsets concerns offsets only, which are not used.
static const struct {
    const char *type, *options[4];
} types[] = {
    {"Sequence", {"normalizers", "pretokenizers", "decoders", "processors"}},
    {"Prepend", {"prepend"}},
    {"Replace", {"pattern", "content"}},
    {"NFC", {NULL}},
    {"Metaspace", {"replacement", "prepend_scheme", "split", "add_prefix_space"}},
    {"Split", {"pattern", "behavior", "invert"}},
    {"Digits", {"individual_digits"}},
    {"ByteLevel", {"add_prefix_space", "trim_offsets", "use_regex"}},
    {"ByteFallback", {NULL}},
    {"Fuse", {NULL}},
    {"Strip", {"content", "start", "stop"}},
    {"TemplateProcessing", {"single", "pair", "special_tokens"}},
};

// Whether `object` is a step of this type, without an option that is not known and not off.
static bool is_type(const cJSON *object, const char *type)
{
    size_t row = 0;
    while (strcmp(types[row].type, type) != 0) {
        row++;
        assert(row < TS_COUNT(types));
    }
    bool known = is_text(ts_json_get(object, "type"), type);
    for (const cJSON *option = known ? object->child : NULL; option != NULL && known;
         option = option->next) {
        bool found = strcmp(option->string, "type") == 0 || ts_key_is_off(option);
        for (size_t i = 0; i < TS_COUNT(types[row].options) && !found; i++) {
            const char *name = types[row].options[i];
            found = name != NULL && strcmp(option->string, name) == 0;
        }
        known = known && found;
    }
    return known;
}

// The steps of a Sequence, whose list has this key; otherwise the value itself, as its only one.
static const cJSON *first_step(const cJSON *value, const char *key)
{
    const cJSON *steps = ts_json_get(value, key);
    return !is_type(value, "Sequence") ? value : cJSON_IsArray(steps) ? steps->child : NULL;
}

static const cJSON *next_step(const cJSON *whole, const cJSON *step)
{
    return step == whole || step == NULL ? NULL : step->next;
}

// ---- Normalizer

// {"type": "Replace", "pattern": {"String": from}, "content": to}
static bool is_replace(const cJSON *object, const char *from, const char *to)
{
    return is_type(object, "Replace") && is_text(ts_json_get(object, "content"), to) &&
           is_text(ts_json_get(ts_json_get(object, "pattern"), "String"), from);
}

// Accepted: Prepend U+2581 and replace spaces by it; only the replacement; NFC; or nothing, if the
// pre-tokenizer does it.
ts_status ts_tokenizer_read_normalizer(ts_tokenizer_reading *r, const cJSON *value)
{
    ts_tokenizer *t = r->tokenizer;
    t->prefix = TS_PREFIX_NEVER;
    if (is_absent(value)) {
        return TS_OK;
    }
    const cJSON *step = first_step(value, "normalizers"), *after = next_step(value, step);
    if (is_type(step, "NFC") && after == NULL) {
        t->nfc = true;
        return TS_OK;
    }
    t->normalizes = true;
    if (is_type(step, "Prepend") && is_text(ts_json_get(step, "prepend"), TS_SPACE_MARK)) {
        t->prefix = TS_PREFIX_EACH;
        step = after;
        after = next_step(value, step);
    }
    return is_replace(step, " ", TS_SPACE_MARK) && after == NULL
               ? TS_OK
               : unsupported(r, "normalizer", value);
}

// ---- Pre-tokenizer

// Metaspace without splitting: spaces become U+2581, as a normalizer would do it.
static bool take_metaspace(ts_tokenizer *t, const cJSON *value)
{
    const cJSON *scheme = ts_json_get(value, "prepend_scheme");
    if (!is_type(value, "Metaspace") ||
        !is_text(ts_json_get(value, "replacement"), TS_SPACE_MARK) ||
        !cJSON_IsFalse(ts_json_get(value, "split"))) {
        return false;
    }
    if (is_text(scheme, "first")) {
        t->prefix = TS_PREFIX_FIRST;
    } else if (is_text(scheme, "always")) {
        t->prefix = TS_PREFIX_ALWAYS;
    } else if (!is_text(scheme, "never")) {
        return false;
    }
    return true;
}

// Gemma's split at spaces. It does nothing, because the normalizer leaves no spaces.
static bool is_split_at_space(const cJSON *value)
{
    return is_type(value, "Split") &&
           is_text(ts_json_get(ts_json_get(value, "pattern"), "String"), " ") &&
           !cJSON_IsTrue(ts_json_get(value, "invert"));
}

// ByteLevel, with GPT-2's own expression or without.
static bool is_byte_level(const cJSON *value, bool with_pattern)
{
    const cJSON *pattern = ts_json_get(value, "use_regex"); // true where it is absent
    return is_type(value, "ByteLevel") && cJSON_IsFalse(ts_json_get(value, "add_prefix_space")) &&
           (with_pattern ? pattern == NULL || cJSON_IsTrue(pattern) : cJSON_IsFalse(pattern));
}

// Split by a known expression, or each digit alone; then ByteLevel.
static bool take_byte_level(ts_tokenizer *t, const cJSON *value)
{
    const cJSON *step = first_step(value, "pretokenizers"), *after = next_step(value, step);
    const cJSON *pattern = ts_json_get(ts_json_get(step, "pattern"), "Regex");
    if (is_byte_level(step, true)) {
        t->splitter = TS_SPLIT_GPT2;
        return after == NULL;
    }
    if (is_type(step, "Digits") && cJSON_IsTrue(ts_json_get(step, "individual_digits"))) {
        t->splitter = TS_SPLIT_SMOLLM;
        return is_byte_level(after, true) && next_step(value, after) == NULL;
    }
    return is_type(step, "Split") && cJSON_IsString(pattern) &&
           ts_splitter_find_pattern(pattern->valuestring, &t->splitter) &&
           is_text(ts_json_get(step, "behavior"), "Isolated") &&
           !cJSON_IsTrue(ts_json_get(step, "invert")) && is_byte_level(after, false) &&
           next_step(value, after) == NULL;
}

ts_status ts_tokenizer_read_pre_tokenizer(ts_tokenizer_reading *r, const cJSON *value)
{
    ts_tokenizer *t = r->tokenizer;
    if (is_absent(value) && !t->normalizes) {
        return ts_error_set(r->err, TS_ERR_UNSUPPORTED,
                            "%s: a tokenizer without normalizer and pre_tokenizer is not "
                            "supported: nothing turns its spaces into U+2581",
                            r->path);
    }
    if (is_absent(value) || (t->normalizes && is_split_at_space(value)) ||
        (!t->normalizes && !t->nfc && take_metaspace(t, value))) {
        return TS_OK;
    }
    t->byte_level = !t->normalizes && take_byte_level(t, value);
    return t->byte_level ? TS_OK : unsupported(r, "pre_tokenizer", value);
}

// ---- Decoder

// Replace, ByteFallback, Fuse and, optionally, Strip of one leading space.
static bool take_fallback(ts_tokenizer *t, const cJSON *decoder)
{
    const cJSON *steps = ts_json_get(decoder, "decoders");
    const cJSON *replace = cJSON_IsArray(steps) ? steps->child : NULL;
    const cJSON *bytes = replace != NULL ? replace->next : NULL;
    const cJSON *fuse = bytes != NULL ? bytes->next : NULL;
    const cJSON *strip = fuse != NULL ? fuse->next : NULL;
    bool known = is_type(decoder, "Sequence") && is_replace(replace, TS_SPACE_MARK, " ") &&
                 is_type(bytes, "ByteFallback") && is_type(fuse, "Fuse");
    if (known && strip != NULL) {
        const cJSON *start = ts_json_get(strip, "start"), *stop = ts_json_get(strip, "stop");
        known = is_type(strip, "Strip") && is_text(ts_json_get(strip, "content"), " ") &&
                cJSON_IsNumber(start) && start->valuedouble == 1 && cJSON_IsNumber(stop) &&
                stop->valuedouble == 0 && strip->next == NULL;
    }
    t->strip = strip != NULL;
    return known;
}

// The decoder must undo what is done before the model.
ts_status ts_tokenizer_read_decoder(ts_tokenizer_reading *r, const cJSON *value)
{
    ts_tokenizer *t = r->tokenizer;
    bool known = t->byte_level ? is_type(value, "ByteLevel") : take_fallback(t, value);
    return known ? TS_OK : unsupported(r, "decoder", value);
}

// ---- Post-processor

// {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": ...}]}:
// at most one token before a text is supported, and one after it. The latter is not used: callers
// put the end token there.
static bool take_template(ts_tokenizer *t, const cJSON *value)
{
    const cJSON *tokens = ts_json_get(value, "special_tokens"), *item;
    int before = 0, texts = 0, behind = 0;
    cJSON_ArrayForEach(item, ts_json_get(value, "single"))
    {
        const cJSON *id = ts_json_get(ts_json_get(item, "SpecialToken"), "id");
        const cJSON *ids =
            cJSON_IsString(id) ? ts_json_get(ts_json_get(tokens, id->valuestring), "ids") : NULL;
        uint64_t number = TS_TOKEN_NONE;
        if (ts_json_get(item, "Sequence") != NULL) {
            texts++;
            continue;
        }
        if (cJSON_GetArraySize(ids) != 1 || !ts_json_uint(ids->child, &number) ||
            number >= t->piece_count || t->pieces[number].bytes == NULL) {
            return false;
        }
        before += texts == 0;
        behind += texts > 0;
        t->lead = texts == 0 ? (uint32_t)number : t->lead;
    }
    return texts == 1 && before <= 1 && behind <= 1;
}

// Accepted: nothing; ByteLevel, which changes offsets alone; TemplateProcessing; or both.
ts_status ts_tokenizer_read_post_processor(ts_tokenizer_reading *r, const cJSON *value)
{
    const cJSON *step = is_absent(value) ? NULL : first_step(value, "processors");
    int templates = 0;
    for (; step != NULL; step = next_step(value, step)) {
        bool is_template = is_type(step, "TemplateProcessing");
        templates += is_template;
        if ((is_template ? templates > 1 || !take_template(r->tokenizer, step)
                         : !is_type(step, "ByteLevel"))) {
            return unsupported(r, "post_processor", value);
        }
    }
    return TS_OK;
}
