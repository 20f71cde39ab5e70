#include "eval/review.h"

#include "base/digest.h"
#include "base/memory.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

// ---- The pairs that could be shown

// The text of a string member, clean, as memory of its own.
static ts_status clean_text(const cJSON *object, const char *key, const char *name, char **out,
                            ts_error *err)
{
    ts_status status = TS_OK;
    ts_text clean = {0};
    const char *text;
    size_t len;
    TS_TRY(ts_json_get_string(object, key, name, &text, &len, err));
    TS_TRY(ts_text_append_clean(&clean, text, len, err));
    TS_TRY(ts_text_append(&clean, "", 0, err)); // so that an empty text is one too
    *out = clean.bytes;
    clean = (ts_text){0};
out:
    ts_text_free(&clean);
    return status;
}

// The answer of adapter `index`: the first one's is "tuned", those of further ones stand in
// "others".
static const cJSON *answer_of(const cJSON *row, size_t index)
{
    return index == 0 ? ts_json_get(row, "tuned")
                      : cJSON_GetArrayItem(ts_json_get(row, "others"), (int)(index - 1));
}

static bool was_seen(const cJSON *row)
{
    return cJSON_IsTrue(ts_json_get(row, "seen_in_training"));
}

static void free_pair(ts_review_pair *pair)
{
    free(pair->prompt);
    free(pair->a);
    free(pair->b);
    *pair = (ts_review_pair){0};
}

// Adds a pair, the base's answer as A, unless both answers are the same.
static ts_status offer(ts_review *review, const cJSON *row, size_t adapter, const char *name,
                       ts_error *err)
{
    ts_status status = TS_OK;
    ts_review_pair pair = {.row = row, .adapter = adapter, .category = ""};
    const cJSON *category = ts_json_get(row, "category");
    TS_TRY(clean_text(row, "prompt", name, &pair.prompt, err));
    TS_TRY(clean_text(ts_json_get(row, "base"), "text", name, &pair.a, err));
    TS_TRY(clean_text(answer_of(row, adapter), "text", name, &pair.b, err));
    if (category != NULL) {
        TS_TRY(ts_json_get_text(row, "category", name, &pair.category, err));
    }
    if (strcmp(pair.a, pair.b) == 0) {
        review->alike++;
    } else {
        review->pairs[review->count++] = pair;
        pair = (ts_review_pair){0};
    }
out:
    free_pair(&pair);
    return status;
}

static ts_status offer_all(ts_review *review, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *answers = ts_json_get(review->evaluation, "answers"), *row;
    size_t rows = (size_t)cJSON_GetArraySize(answers), held_out = 0;
    if (!cJSON_IsArray(answers) || rows == 0 || answer_of(answers->child, 0) == NULL) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: expected the answers of a base and a tuned model, as eval --adapter writes "
                "them; it has %s",
                name, rows == 0 ? "no answers" : "those of a base alone");
    }
    review->adapters = 1 + (size_t)cJSON_GetArraySize(ts_json_get(answers->child, "others"));
    cJSON_ArrayForEach(row, answers)
    {
        held_out += !was_seen(row);
    }
    TS_TRY(ts_alloc(rows * review->adapters, sizeof *review->pairs, &review->pairs, err));
    cJSON_ArrayForEach(row, answers)
    {
        for (size_t i = 0; i < review->adapters && (held_out == 0 || !was_seen(row)); i++) {
            TS_TRY(offer(review, row, i, name, err));
        }
    }
out:
    return status;
}

// ---- Drawing

// SHA-256 over each pair's texts, each with its NUL.
static void hash_pairs(const ts_review *review, char out[TS_REVIEW_HASH])
{
    ts_digest digest;
    ts_digest_begin_sha256(&digest);
    for (size_t i = 0; i < review->count; i++) {
        const ts_review_pair *pair = &review->pairs[i];
        const char *const texts[] = {pair->prompt, pair->a, pair->b};
        for (size_t t = 0; t < TS_COUNT(texts); t++) {
            ts_digest_add(&digest, texts[t], strlen(texts[t]) + 1);
        }
    }
    ts_digest_end(&digest, out);
}

// Shuffles the pairs (Fisher and Yates 1938), keeps the first ones, and shuffles each one's sides.
static void draw(ts_review *review)
{
    enum { ORDER, SIDES }; // streams
    char hash[TS_REVIEW_HASH], *end;
    hash_pairs(review, hash);
    hash[16] = '\0';
    const uint64_t seed = strtoull(hash, &end, 16);
    for (size_t i = review->count; i > 1; i--) {
        size_t with = (size_t)(ts_random_uniform(seed, ORDER, i) * (double)i);
        ts_review_pair pair = review->pairs[i - 1];
        review->pairs[i - 1] = review->pairs[with];
        review->pairs[with] = pair;
    }
    while (review->count > TS_REVIEW_PAIRS) {
        free_pair(&review->pairs[--review->count]);
    }
    for (size_t i = 0; i < review->count; i++) {
        ts_review_pair *pair = &review->pairs[i];
        pair->tuned_is_a = ts_random_uniform(seed, SIDES, i) < 0.5F;
        if (pair->tuned_is_a) {
            char *base = pair->a;
            pair->a = pair->b;
            pair->b = base;
        }
    }
    hash_pairs(review, review->hash);
}

ts_status ts_review_open(const cJSON *evaluation, const char *name, ts_review *out, ts_error *err)
{
    *out = (ts_review){.evaluation = evaluation};
    ts_status status = offer_all(out, name, err);
    if (status == TS_OK) {
        draw(out);
    } else {
        ts_review_close(out);
    }
    return status;
}

void ts_review_close(ts_review *review)
{
    for (size_t i = 0; i < review->count; i++) {
        free_pair(&review->pairs[i]);
    }
    free(review->pairs);
    *review = (ts_review){0};
}

// ---- Marks

static ts_preference preference_of(const ts_review_pair *pair, const cJSON *mark)
{
    size_t len;
    const char *text = ts_json_string(mark, &len);
    if (text == NULL) {
        return TS_PREFER_UNMARKED;
    }
    return strcmp(text, "tie") == 0                       ? TS_PREFER_NEITHER
           : (strcmp(text, "a") == 0) == pair->tuned_is_a ? TS_PREFER_TUNED
                                                          : TS_PREFER_BASE;
}

static bool is_mark(const cJSON *mark)
{
    size_t len;
    const char *text = ts_json_string(mark, &len);
    return cJSON_IsNull(mark) ||
           (text != NULL && strlen(text) == len &&
            (strcmp(text, "a") == 0 || strcmp(text, "b") == 0 || strcmp(text, "tie") == 0));
}

static ts_status read_marks(const ts_review *review, const cJSON *file, const char *path,
                            ts_preference *out, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *marks = ts_json_get(file, "marks"), *mark;
    const char *sheet;
    uint64_t format;
    size_t i = 0;
    if (!ts_json_uint(ts_json_get(file, "review"), &format) || format != TS_REVIEW_FORMAT) {
        TS_FAIL(
            TS_ERR_FORMAT,
            "%s: key 'review': expected %d, as review.html of this version saves marks; another "
            "version of tinysft-vk may have written it",
            path, TS_REVIEW_FORMAT);
    }
    TS_TRY(ts_json_get_text(file, "sheet", path, &sheet, err));
    if (strcmp(sheet, review->hash) != 0) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "%s: its marks belong to other answers (sheet %.12s, these are %.12s): take them "
                "in beside the evaluation that wrote their review.html",
                path, sheet, review->hash);
    }
    if (!cJSON_IsArray(marks) || (size_t)cJSON_GetArraySize(marks) != review->count) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'marks': expected a list of %zu marks, found %s", path,
                review->count, cJSON_IsArray(marks) ? "another number" : ts_json_kind(marks));
    }
    cJSON_ArrayForEach(mark, marks)
    {
        if (!is_mark(mark)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: mark %zu: expected \"a\", \"b\", \"tie\" or null, found %s",
                    path, i + 1, ts_json_kind(mark));
        }
        out[i] = preference_of(&review->pairs[i], mark);
        i++;
    }
out:
    return status;
}

ts_status ts_review_read(const ts_review *review, const char *path, ts_preference *out,
                         ts_text *reader, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *file = NULL;
    TS_TRY(ts_json_parse_file(path, &file, err));
    TS_TRY(read_marks(review, file, path, out, err));
    size_t len;
    const char *name = ts_json_string(ts_json_get(file, "reviewer"), &len);
    if (name != NULL) {
        TS_TRY(ts_text_append_clean(reader, name, len, err));
    }
out:
    cJSON_Delete(file);
    return status;
}

// ---- Sums

// What more of the readers who marked pair `i` prefer.
static ts_preference most_prefer(const ts_preference *const *marks, size_t readers, size_t i)
{
    int lead = 0;
    bool marked = false;
    for (size_t r = 0; r < readers; r++) {
        marked |= marks[r][i] != TS_PREFER_UNMARKED;
        lead += (marks[r][i] == TS_PREFER_TUNED) - (marks[r][i] == TS_PREFER_BASE);
    }
    return !marked    ? TS_PREFER_UNMARKED
           : lead > 0 ? TS_PREFER_TUNED
           : lead < 0 ? TS_PREFER_BASE
                      : TS_PREFER_NEITHER;
}

void ts_review_add_up(const ts_review *review, const ts_preference *const *marks, size_t readers,
                      const char *category, size_t adapter, ts_review_sum *out)
{
    *out = (ts_review_sum){0};
    for (size_t i = 0; i < review->count; i++) {
        const ts_review_pair *pair = &review->pairs[i];
        const ts_preference preferred = most_prefer(marks, readers, i);
        if ((category == NULL || strcmp(category, pair->category) == 0) &&
            (adapter == SIZE_MAX || adapter == pair->adapter)) {
            out->marked += preferred != TS_PREFER_UNMARKED;
            out->tuned += preferred == TS_PREFER_TUNED;
            out->neither += preferred == TS_PREFER_NEITHER;
            out->base += preferred == TS_PREFER_BASE;
        }
    }
    out->share = ts_rate_make(out->tuned, out->tuned + out->base);
    out->p = ts_mcnemar_p(out->tuned, out->base); // which is the sign test of the two counts
}

uint32_t ts_review_agreement(const ts_review *review, const ts_preference *const *marks,
                             size_t readers, uint32_t *of)
{
    uint32_t agree = 0;
    *of = 0;
    for (size_t i = 0; i < review->count; i++) {
        size_t marked = 0, same = 0;
        ts_preference first = TS_PREFER_UNMARKED;
        for (size_t r = 0; r < readers; r++) {
            first = first == TS_PREFER_UNMARKED ? marks[r][i] : first;
            marked += marks[r][i] != TS_PREFER_UNMARKED;
            same += marks[r][i] != TS_PREFER_UNMARKED && marks[r][i] == first;
        }
        *of += marked > 1;
        agree += marked > 1 && same == marked;
    }
    return agree;
}
