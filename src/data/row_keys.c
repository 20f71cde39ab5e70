// The keys of rows and turns: which have a meaning that is not implemented, which have no effect on
// training, and which known key an unknown one is close to.
#include "base/nearest.h"
#include "data/row_parts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

// What to do about keys that are refused.
#define TOOLS "tools are not implemented: leave such rows out, or write what was called as text"
#define MEDIA "only text is read: leave such rows out"
#define PAIRS "train --loss dpo learns from pairs; otherwise keep the answer to learn as completion"
#define RENAMED                                                                                    \
    "a pair to learn a preference from has the keys prompt, chosen and rejected: rename it"
#define GRADED                                                                                     \
    "learning from graded or several answers is not implemented: keep the one to learn as "        \
    "completion"
#define TOKENS "rows of tokens are not read: give the text"
#define REASONING "write it in the answer's text, as the model's template has it"
#define CONTEXT                                                                                    \
    "only input (beside instruction) adds to a prompt: rename it, or put it in the prompt"
#define SYSTEM "a system prompt is read under the key system: rename it"
#define TEMPLATE "a template is chosen for all rows, by --chat-template"
#define PARTLY                                                                                     \
    "parts of a turn cannot be trained on separately: split the turn, or take the key out"

// Keys whose meaning would change what is trained on, and what to do about each. A value that
// switches the feature off (null, false, an empty text or list) is accepted.
static const struct {
    const char *key, *why;
} refused[] = {
    {"tools", TOOLS},
    {"tool_calls", TOOLS},
    {"tool_call", TOOLS},
    {"tool_call_id", TOOLS},
    {"tool_choice", TOOLS},
    {"functions", TOOLS},
    {"function_call", TOOLS},
    {"function_calls", TOOLS},
    {"parallel_tool_calls", TOOLS},
    {"image", MEDIA},
    {"images", MEDIA},
    {"image_url", MEDIA},
    {"image_path", MEDIA},
    {"pixel_values", MEDIA},
    {"video", MEDIA},
    {"videos", MEDIA},
    {"audio", MEDIA},
    {"audios", MEDIA},
    {"file", MEDIA},
    {"files", MEDIA},
    {"attachments", MEDIA},
    {"chosen", PAIRS},
    {"rejected", PAIRS},
    {"chosen_response", RENAMED},
    {"rejected_response", RENAMED},
    {"rejected_messages", RENAMED},
    {"completions", GRADED},
    {"responses", GRADED},
    {"kto_tag", GRADED},
    {"input_ids", TOKENS},
    {"token_ids", TOKENS},
    {"labels", TOKENS},
    {"attention_mask", TOKENS},
    {"completion_mask", TOKENS},
    {"assistant_masks", TOKENS},
    {"reasoning", REASONING},
    {"reasoning_content", REASONING},
    {"thinking", REASONING},
    {"thoughts", REASONING},
    {"context", CONTEXT},
    {"contexts", CONTEXT},
    {"document", CONTEXT},
    {"documents", CONTEXT},
    {"passage", CONTEXT},
    {"passages", CONTEXT},
    {"examples", CONTEXT},
    {"few_shot", CONTEXT},
    {"demonstrations", CONTEXT},
    {"system_prompt", SYSTEM},
    {"system_message", SYSTEM},
    {"system_instruction", SYSTEM},
    {"sys", SYSTEM},
    {"persona", SYSTEM},
    {"chat_template", TEMPLATE},
    {"chat_template_kwargs", TEMPLATE},
    {"enable_thinking", TEMPLATE},
    {"add_generation_prompt", TEMPLATE},
    {"continue_final_message", TEMPLATE},
    {"prefix", "an answer that goes on from a beginning is not implemented"},
    {"suffix", "filling a gap before a suffix is not implemented"},
    {"train_detail", PARTLY},
    {"training_detail", PARTLY},
    {"mask",
     "it may mean either that a turn is trained on or that it is not: write \"weight\": 0 or 1"},
    {"masks", PARTLY},
    {"train_on_input", "only answers are trained on"},
    {"train_on_inputs", "only answers are trained on"},
    {"train_on_prompt", "only answers are trained on"},
};

// Keys that describe a row or say where it comes from. They have no effect on training.
static const char *const harmless[] = {
    "id",
    "_id",
    "idx",
    "index",
    "uid",
    "uuid",
    "guid",
    "row_id",
    "row_idx",
    "no",
    "number",
    "key",
    "hash",
    "md5",
    "sha256",
    "prompt_id",
    "message_id",
    "parent_id",
    "conversation_id",
    "conv_id",
    "dialog_id",
    "dialogue_id",
    "session_id",
    "turn_id",
    "thread_id",
    "question_id",
    "task_id",
    "source",
    "sources",
    "origin",
    "original",
    "dataset",
    "dataset_name",
    "data_source",
    "subset",
    "config",
    "split",
    "file_name",
    "filename",
    "path",
    "url",
    "urls",
    "link",
    "doi",
    "license",
    "licence",
    "copyright",
    "author",
    "authors",
    "annotator",
    "annotator_id",
    "worker_id",
    "user_id",
    "category",
    "categories",
    "class",
    "type",
    "kind",
    "task",
    "task_type",
    "task_name",
    "topic",
    "topics",
    "tag",
    "tags",
    "keywords",
    "domain",
    "subject",
    "field",
    "skill",
    "skills",
    "intent",
    "title",
    "language",
    "lang",
    "locale",
    "country",
    "date",
    "time",
    "timestamp",
    "created",
    "created_at",
    "updated_at",
    "year",
    "version",
    "model",
    "model_name",
    "generator",
    "engine",
    "temperature",
    "score",
    "scores",
    "score_chosen",
    "score_rejected",
    "rating",
    "ratings",
    "quality",
    "difficulty",
    "level",
    "toxicity",
    "toxic",
    "safe",
    "redacted",
    "moderation",
    "openai_moderation",
    "length",
    "num_tokens",
    "n_tokens",
    "token_count",
    "tokens",
    "num_turns",
    "turn",
    "words",
    "characters",
    "meta",
    "metadata",
    "info",
    "extra",
    "extra_info",
    "note",
    "notes",
    "comment",
    "comments",
    "remark",
    "description",
    "__index_level_0__",
    "Unnamed: 0",
};

// Names that other formats use for the keys that are read here.
static const struct {
    const char *other, *ours;
} synonyms[] = {
    {"question", "prompt"},
    {"query", "prompt"},
    {"q", "prompt"},
    {"problem", "prompt"},
    {"user", "prompt"},
    {"human", "prompt"},
    {"ask", "prompt"},
    {"request", "prompt"},
    {"input_text", "prompt"},
    {"source_text", "prompt"},
    {"answer", "completion"},
    {"answers", "completion"},
    {"a", "completion"},
    {"reply", "completion"},
    {"solution", "completion"},
    {"assistant", "completion"},
    {"bot", "completion"},
    {"gpt", "completion"},
    {"target", "completion"},
    {"target_text", "completion"},
    {"label", "completion"},
    {"result", "completion"},
    {"output_text", "completion"},
    {"chat", "messages"},
    {"dialog", "messages"},
    {"dialogue", "messages"},
    {"dialogs", "messages"},
    {"turns", "messages"},
    {"conversation", "messages"},
    {"history", "messages"},
    {"body", "text"},
    {"document", "text"},
    {"sentence", "text"},
    {"paragraph", "text"},
    {"speaker", "role"},
    {"sender", "role"},
    {"who", "role"},
    {"author", "role"},
    {"name", "role"},
    {"utterance", "content"},
    {"message", "content"},
    {"msg", "content"},
    {"context", "input"},
    {"system_prompt", "system"},
};
static size_t count_of(const char *const *list)
{
    size_t count = 0;
    while (list[count] != NULL) {
        count++;
    }
    return count;
}

static bool among(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

const cJSON *ts_row_member(const cJSON *object, const char *key)
{
    const cJSON *value = ts_json_get(object, key);
    return cJSON_IsNull(value) ? NULL : value;
}

static bool says_no(const cJSON *value)
{
    return cJSON_IsNull(value) || cJSON_IsFalse(value) ||
           (cJSON_IsString(value) &&
            (value->valuestring[0] == '\0' || strcmp(value->valuestring, "[]") == 0)) ||
           ((cJSON_IsArray(value) || cJSON_IsObject(value)) && value->child == NULL);
}

// The one of `known` that `key` is probably a misspelling of, or NULL.
static const char *meant(const char *key, const char *const *known)
{
    for (size_t i = 0; i < TS_COUNT(synonyms); i++) {
        if (strcasecmp(key, synonyms[i].other) == 0 &&
            among(synonyms[i].ours, known, count_of(known))) {
            return synonyms[i].ours;
        }
    }
    return ts_nearest_of(key, strlen(key), known, count_of(known));
}

static void note(ts_row_notes *notes, const char *key, const char *const *known)
{
    for (size_t i = 0; i < notes->key_count; i++) {
        if (strncmp(notes->keys[i].name, key, sizeof notes->keys[i].name - 1) == 0) {
            notes->keys[i].count++;
            return;
        }
    }
    if (notes->key_count == TS_ROW_MOST_KEYS) {
        notes->more_keys++;
        return;
    }
    size_t at = notes->key_count++;
    snprintf(notes->keys[at].name, sizeof notes->keys[at].name, "%s", key);
    notes->keys[at].instead = ts_nearest_of(key, strlen(key), known, count_of(known));
    notes->keys[at].count = 1;
}

ts_status ts_row_notes_format(const ts_row_notes *notes, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < notes->key_count; i++) {
        const char *instead = notes->keys[i].instead;
        TS_TRY(ts_text_format(out, err, "%s%s (%zu time%s%s%s%s)", i > 0 ? ", " : "",
                              notes->keys[i].name, notes->keys[i].count,
                              ts_plural(notes->keys[i].count),
                              instead != NULL ? "; did you mean " : "",
                              instead != NULL ? instead : "", instead != NULL ? "?" : ""));
    }
    if (notes->more_keys > 0) {
        TS_TRY(ts_text_format(out, err, " and others (%zu time%s)", notes->more_keys,
                              ts_plural(notes->more_keys)));
    }
out:
    return status;
}

// ---- Whether a turn is trained on

static const struct {
    const char *key;
    bool sense; // true: the value true means that the turn is trained on
} training_keys[] = {
    {"weight", true},     {"train", true},       {"training", true},      {"trainable", true},
    {"loss", true},       {"loss_weight", true}, {"loss_mask", true},     {"learn", true},
    {"supervised", true}, {"is_train", true},    {"train_on_turn", true}, {"compute_loss", true},
    {"masked", false},    {"ignore", false},     {"ignore_loss", false},  {"no_loss", false},
    {"skip_loss", false}, {"no_train", false},
};

ts_status ts_row_read_trained(ts_row_reader *r, const cJSON *object, const char *place, bool *said,
                              bool *trained)
{
    *said = false;
    *trained = true;
    for (size_t i = 0; i < TS_COUNT(training_keys); i++) {
        const cJSON *value = ts_row_member(object, training_keys[i].key);
        if (value == NULL) {
            continue;
        }
        bool number = cJSON_IsNumber(value) && (value->valuedouble == 0 || value->valuedouble == 1);
        if (!number && !cJSON_IsBool(value)) {
            char shown[32];
            snprintf(shown, sizeof shown, "%g", value->valuedouble);
            return ts_error_set(r->err, TS_ERR_FORMAT,
                                "%s: key '%s': expected true, false, 1 or 0 (whether the turn is "
                                "trained on), found %s",
                                place, training_keys[i].key,
                                cJSON_IsNumber(value) ? shown : ts_json_kind(value));
        }
        bool yes = number ? value->valuedouble == 1 : cJSON_IsTrue(value);
        bool says = yes == training_keys[i].sense;
        if (*said && says != *trained) {
            return ts_error_set(r->err, TS_ERR_FORMAT,
                                "%s: key '%s' says of this turn the contrary of another key", place,
                                training_keys[i].key);
        }
        *said = true;
        *trained = says;
    }
    return TS_OK;
}

static bool is_training_key(const char *key)
{
    for (size_t i = 0; i < TS_COUNT(training_keys); i++) {
        if (strcmp(key, training_keys[i].key) == 0) {
            return true;
        }
    }
    return false;
}

// ---- Checking

ts_status ts_row_check_keys(ts_row_reader *r, const cJSON *object, const char *const *known,
                            const char *place)
{
    for (const cJSON *member = object->child; member != NULL; member = member->next) {
        const char *key = member->string;
        if (cJSON_IsNull(member) || among(key, known, count_of(known)) || is_training_key(key)) {
            continue;
        }
        size_t i = 0;
        while (i < TS_COUNT(refused) && strcmp(key, refused[i].key) != 0) {
            i++;
        }
        if (i < TS_COUNT(refused)) {
            if (!says_no(member)) {
                return ts_error_set(r->err, TS_ERR_FORMAT, "%s: key '%s': %s", place, key,
                                    refused[i].why);
            }
        } else if (strcmp(key, "label") == 0 && cJSON_IsBool(member)) {
            return ts_error_set(r->err, TS_ERR_FORMAT, "%s: key 'label': " GRADED, place);
        } else if (!says_no(member) && !among(key, harmless, TS_COUNT(harmless))) {
            note(&r->row->notes, key, known);
        }
    }
    return TS_OK;
}

ts_status ts_row_refuse_missing(ts_row_reader *r, const cJSON *object, const char *const *known,
                                const char *place, const char *what)
{
    enum { SHOWN = 8 };
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_text has = {0}, suggested = {0};
    const char *told[SHOWN];
    size_t count = 0, told_count = 0;
    for (const cJSON *member = object->child; member != NULL; member = member->next, count++) {
        const char *key = member->string;
        const char *instead = among(key, known, count_of(known)) ? NULL : meant(key, known);
        if (count < SHOWN) {
            TS_TRY(ts_text_format(&has, err, "%s%.40s%s", count > 0 ? ", " : "", key,
                                  cJSON_IsNull(member) ? " (null)" : ""));
        }
        if (instead != NULL && ts_json_get(object, instead) == NULL && told_count < SHOWN &&
            !among(instead, told, told_count)) {
            TS_TRY(ts_text_format(&suggested, err, "%s%s", told_count > 0 ? ", " : "", instead));
            told[told_count++] = instead;
        }
    }
    TS_FAIL(TS_ERR_FORMAT, "%s: %s; it has: %s%s%s%s%s", place, what,
            count > 0 ? has.bytes : "no keys", count > SHOWN ? ", ..." : "",
            told_count > 0 ? "; did you mean " : "", told_count > 0 ? suggested.bytes : "",
            told_count > 0 ? "?" : "");
out:
    ts_text_free(&has);
    ts_text_free(&suggested);
    return status;
}
