// Whether the prompts of data/eval.json are new to a model that was tuned on the shipped rows,
// those of data/dataset.json and of data/preferences.json. Three measures, for each is blind to
// something.
//
// - Of a prompt's sequences of eight words, the part that also stands in one row: at most one half.
//   "In one word, what is the capital of" is the longest beginning that questions about different
//   things share, eight words; a question of nine words has two such sequences, so one of two is
//   shared before the thing itself is named. More would be the same thing in the same words.
// - The edit distance by words, as a part of the longer prompt: at least 1 of 9. Two questions of
//   one form about different things differ in one word, and the longest such form has nine.
// - A paraphrase has other words around the same thing, which both of the above pass over. So no
//   row may contain the sentence of the reference that tells the fact, nor the fact and one of the
//   prompt's two rarest words or, if it asks for a task or a text, all of its rare words.
#include "base/file.h"
#include "data/rows.h"
#include "eval/prompts.h"
#include "eval/words.h"

#include <criterion/criterion.h>
#include <string.h>

enum { GRAM = 8, LONGEST = 80, MOST = 1000, RARE_PART = 30, FEW_WORDS = 5 };
static const double most_shared = 0.5, least_distance = 1.0 / 9;

// Words, which point into the text of a ts_words_normalise.
typedef struct words {
    char text[1200];
    const char *at[LONGEST];
    size_t count;
} words;

// What the user says in a row, and with the answers.
static words asked[MOST], whole[MOST];
static size_t row_count;
static ts_prompts prompts;

static void split(const ts_text *joined, words *out)
{
    ts_text normal = {0};
    cr_assert_eq(ts_words_normalise(joined->bytes, joined->len, &normal, NULL), TS_OK);
    cr_assert_lt(normal.len, sizeof out->text);
    memcpy(out->text, normal.bytes, normal.len + 1);
    out->count = 0;
    for (char *word = strtok(out->text, " "); word != NULL; word = strtok(NULL, " ")) {
        cr_assert_lt(out->count, LONGEST);
        out->at[out->count++] = word;
    }
    ts_text_free(&normal);
}

static void join(const ts_turn *turns, size_t count, bool answers, words *out)
{
    ts_text joined = {0};
    for (size_t i = 0; i < count; i++) {
        if (turns[i].role == TS_ROLE_USER || answers) {
            cr_assert_eq(ts_text_append(&joined, turns[i].text, turns[i].len, NULL), TS_OK);
            cr_assert_eq(ts_text_append(&joined, " ", 1, NULL), TS_OK);
        }
    }
    split(&joined, out);
    ts_text_free(&joined);
}

// Each beginning of a row's conversation counts as a row.
static void add_row(const ts_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        if (row->turns[i].role == TS_ROLE_ASSISTANT) {
            cr_assert_lt(row_count, MOST);
            join(row->turns, i, false, &asked[row_count]);
            join(row->turns, i + 1, true, &whole[row_count++]);
        }
    }
}

static void read_rows(const char *path, bool pairs)
{
    cJSON *json = NULL;
    const cJSON *item;
    ts_row row = {0}, rejected = {0};
    ts_error err = {0};
    cr_assert_eq(ts_json_parse_file(path, &json, &err), TS_OK, "%s", err.message);
    cJSON_ArrayForEach(item, json)
    {
        ts_status status = pairs ? ts_row_read_pair(item, path, &row, &rejected, &err)
                                 : ts_row_read(item, false, path, &row, &err);
        cr_assert_eq(status, TS_OK, "%s", err.message);
        add_row(&row);
    }
    ts_row_free(&row);
    ts_row_free(&rejected);
    cJSON_Delete(json);
}

static void read_all(void)
{
    ts_error err = {0};
    read_rows(PROJECT_FOLDER "/data/dataset.json", false);
    read_rows(PROJECT_FOLDER "/data/preferences.json", true);
    cr_assert_eq(ts_prompts_open(PROJECT_FOLDER "/data/eval.json", &prompts, &err), TS_OK, "%s",
                 err.message);
}

static void free_all(void)
{
    ts_prompts_close(&prompts);
}

TestSuite(overlap, .init = read_all, .fini = free_all);

static bool has(const words *w, const char *word)
{
    for (size_t i = 0; i < w->count; i++) {
        if (strcmp(w->at[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static bool same_at(const words *a, size_t i, const words *b, size_t j, size_t count)
{
    size_t k = 0;
    while (k < count && i + k < a->count && j + k < b->count &&
           strcmp(a->at[i + k], b->at[j + k]) == 0) {
        k++;
    }
    return k == count;
}

static double shared_grams(const words *prompt, const words *row)
{
    size_t shared = 0, all = prompt->count >= GRAM ? prompt->count - GRAM + 1 : 0;
    for (size_t i = 0; i < all; i++) {
        bool found = false;
        for (size_t j = 0; j + GRAM <= row->count && !found; j++) {
            found = same_at(prompt, i, row, j, GRAM);
        }
        shared += found;
    }
    return all > 0 ? (double)shared / (double)all : 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Levenshtein's distance by words, as a part of the longer text.
static double distance(const words *a, const words *b)
{
    size_t line[LONGEST + 1];
    for (size_t j = 0; j <= b->count; j++) {
        line[j] = j;
    }
    for (size_t i = 1; i <= a->count; i++) {
        size_t diagonal = line[0];
        line[0] = i;
        for (size_t j = 1; j <= b->count; j++) {
            size_t replaced = diagonal + !same_at(a, i - 1, b, j - 1, 1);
            diagonal = line[j];
            line[j] = least(replaced, least(line[j], line[j - 1]) + 1);
        }
    }
    size_t longer = a->count > b->count ? a->count : b->count;
    return longer > 0 ? (double)line[b->count] / (double)longer : 0;
}

static size_t rows_with(const char *word)
{
    size_t rows = 0;
    for (size_t r = 0; r < row_count; r++) {
        rows += has(&asked[r], word);
    }
    return rows;
}

static bool contains_fact(const words *row, const ts_fact *fact)
{
    words spelling;
    for (size_t i = 0; i < fact->count; i++) {
        ts_text text = {.bytes = (char *)(uintptr_t)fact->words[i], .len = strlen(fact->words[i])};
        split(&text, &spelling);
        for (size_t at = 0; at < row->count; at++) {
            if (same_at(&spelling, 0, row, at, spelling.count)) {
                return true;
            }
        }
    }
    return false;
}

// A short answer is the fact itself; the facts of a task or a long answer are but words in it.
static bool asks_for_a_fact(const ts_prompt *prompt)
{
    return prompt->fact_count > 0 && prompt->refuse == TS_REFUSE_NOT_JUDGED &&
           prompt->min_words == 0 && prompt->max_words <= FEW_WORDS;
}

// Whether a sentence of the reference that tells the fact stands in the row too.
static bool has_its_sentence(const words *row, const ts_prompt *prompt)
{
    static words sentence;
    size_t len;
    for (const char *from = prompt->reference; from != NULL && *from != '\0'; from += len) {
        len = strcspn(from, ".!?");
        ts_text text = {.bytes = (char *)(uintptr_t)from, .len = len};
        len += from[len] != '\0';
        split(&text, &sentence);
        if (sentence.count < 3 || !contains_fact(&sentence, &prompt->facts[0])) {
            continue;
        }
        for (size_t at = 0; at < row->count; at++) {
            if (same_at(&sentence, 0, row, at, sentence.count)) {
                return true;
            }
        }
    }
    return false;
}

// Whether the row tells what is asked, in whatever words.
static bool teaches(size_t row, const ts_prompt *prompt, const words *rare)
{
    if (asks_for_a_fact(prompt) && has_its_sentence(&whole[row], prompt)) {
        return true;
    }
    const words *in = prompt->fact_count > 0 ? &whole[row] : &asked[row];
    for (size_t i = 0; i < prompt->fact_count; i++) {
        if (!contains_fact(&whole[row], &prompt->facts[i])) {
            return false;
        }
    }
    size_t found = 0;
    for (size_t i = 0; i < rare->count; i++) {
        found += has(in, rare->at[i]);
    }
    return asks_for_a_fact(prompt) ? found > 0 : found > 0 && found == rare->count;
}

// A prompt's words, and those that say what it is about: the two rarest if it asks for a fact, else
// all that less than 1 of RARE_PART rows has.
static void words_of(const ts_prompt *prompt, words *out, words *rare)
{
    ts_turn turns[16];
    cr_assert_lt(prompt->before_count, 15);
    for (size_t i = 0; i < prompt->before_count; i++) {
        turns[i] = prompt->before[i];
    }
    turns[prompt->before_count] =
        (ts_turn){TS_ROLE_USER, prompt->text, strlen(prompt->text), false};
    join(turns, prompt->before_count + 1, false, out);
    rare->count = 0;
    size_t fewest[2] = {row_count, row_count};
    bool one_fact = asks_for_a_fact(prompt);
    for (size_t i = 0; i < out->count; i++) {
        size_t rows = rows_with(out->at[i]);
        if (one_fact && rows < fewest[0]) {
            rare->at[1] = rare->at[0];
            fewest[1] = fewest[0];
            rare->at[0] = out->at[i];
            fewest[0] = rows;
            rare->count += rare->count < 2;
        } else if (one_fact && rows < fewest[1]) {
            rare->at[1] = out->at[i];
            fewest[1] = rows;
            rare->count += rare->count < 2;
        } else if (!one_fact && rows * RARE_PART < row_count) {
            rare->at[rare->count++] = out->at[i];
        }
    }
}

Test(overlap, no_prompt_is_a_paraphrase_of_a_row)
{
    static words prompt, rare; // too large for the stack of some systems
    size_t again = 0;
    for (size_t i = 0; i < prompts.count; i++) {
        const ts_prompt *p = &prompts.items[i];
        double nearest = 1;
        words_of(p, &prompt, &rare);
        for (size_t r = 0; r < row_count; r++) {
            double here = distance(&prompt, &asked[r]);
            nearest = here < nearest ? here : nearest;
        }
        if (nearest == 0) { // asked of both on purpose; the reports mark it as seen
            again++;
            continue;
        }
        cr_expect_geq(nearest, least_distance - 1e-9, "%s: %s: distance %.3f", p->id, p->text,
                      nearest);
        for (size_t r = 0; r < row_count; r++) {
            double shared = shared_grams(&prompt, &asked[r]);
            cr_expect_leq(shared, most_shared, "%s: %s: %.2f of its sequences in row '%s ...'",
                          p->id, p->text, shared, asked[r].at[0]);
            cr_expect_not(teaches(r, p, &rare), "%s: %s: row %zu tells it", p->id, p->text, r);
        }
    }
    cr_expect_eq(again, 6, "%zu prompts are asked in training too, to be shown apart", again);
}

// The measures find what they are there for.
Test(overlap, the_measures_find_paraphrases)
{
    static words a, b;
    ts_text x = {.bytes = "What is the capital of France, and why is it so?", .len = 48};
    ts_text y = {.bytes = "what is the capital of france and why was it", .len = 44};
    split(&x, &a);
    split(&y, &b);
    cr_expect_float_eq(distance(&a, &b), 2.0 / 11, 1e-9);
    cr_expect_float_eq(shared_grams(&a, &b), 1.0 / 4, 1e-9);
    cr_expect_float_eq(distance(&a, &a), 0, 0);
    cr_expect_float_eq(shared_grams(&b, &b), 1, 0);
    ts_fact oslo = {.words = (const char *[]){" oslo "}, .count = 1};
    ts_prompt told = {.text = "The capital city of Norway is what?", .facts = &oslo};
    told.fact_count = 1;
    static words prompt, rare;
    size_t tell = 0;
    words_of(&told, &prompt, &rare);
    for (size_t r = 0; r < row_count; r++) {
        tell += teaches(r, &told, &rare);
    }
    cr_expect_gt(tell, 0, "a row tells the capital of Norway");
}

Test(overlap, there_are_as_many_as_promised)
{
    size_t rows[7] = {0}, of[TS_CATEGORY_COUNT] = {0};
    static const char *const names[] = {"factual",    "polite",  "length", "refusal",
                                        "multi-turn", "unknown", "safe"};
    cJSON *json = NULL;
    const cJSON *row;
    cr_assert_eq(ts_json_parse_file(PROJECT_FOLDER "/data/dataset.json", &json, NULL), TS_OK);
    cJSON_ArrayForEach(row, json)
    {
        for (size_t i = 0; i < TS_COUNT(names); i++) {
            const char *category = cJSON_GetStringValue(ts_json_get(row, "category"));
            rows[i] += strcmp(category, names[i]) == 0;
        }
    }
    cr_expect_geq(cJSON_GetArraySize(json), 300);
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        cr_expect_geq(rows[i], 30, "%s: %zu rows", names[i], rows[i]);
    }
    for (size_t i = 0; i < prompts.count; i++) {
        of[prompts.items[i].category]++;
    }
    cr_expect_geq(prompts.count, 150);
    for (int c = 0; c < TS_CATEGORY_OTHER; c++) {
        cr_expect_geq(of[c], 20, "category %d: %zu prompts", c, of[c]);
    }
    cr_expect_eq(of[TS_CATEGORY_OTHER], 0);
    cJSON_Delete(json);
}
