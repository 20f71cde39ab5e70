#include "eval/words.h"

#include "sample.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *normalised(const char *text)
{
    static ts_text out;
    ts_text_clear(&out);
    cr_assert_eq(ts_words_normalise(text, strlen(text), &out, NULL), TS_OK);
    return out.bytes;
}

Test(words, normalised)
{
    static const char *const cases[][2] = {
        {"", " "},
        {"...!?", " "},
        {"Paris", " paris "},
        {"  The CAPITAL,\n(of France): \"Paris\".", " the capital of france paris "},
        {"don't well-known", " don t well known "},
        {"3.14 in 1969. 1,000,000 or 1,5 or 12,3456", " 3.14 in 1969 1000000 or 1 5 or 12 3456 "},
        {"H₂O, m², CO₂", " h2o m2 co2 "},
        {"São Paulo, Gödel, Łódź, Æsop, Straße", " sao paulo godel lodz aesop strasse "},
        {"e\xCC\x81té", " ete "},
        {"ΣΟΦΟΣ Москва", " σοφοσ москва "},
        {"Paris—Lyon “x” 5€ 100°C", " paris lyon x 5 100 c "},
        {"北京 is", " 北 京 is "},
        {"ＡＢ１", " ab1 "},
        {"\xFF"
         "a\xC2",
         " a "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_str_eq(normalised(cases[i][0]), cases[i][1], "case %zu: '%s'", i,
                         normalised(cases[i][0]));
    }
}

Test(words, contained_whole)
{
    cr_assert(ts_words_contain(" it is paris france ", " paris "));
    cr_assert(ts_words_contain(" it is new york ", " new york "));
    cr_assert_not(ts_words_contain(" comparison ", " paris "));
    cr_assert_not(ts_words_contain(" 3.14 ", " 3 "));
    cr_assert_not(ts_words_contain(" new old york ", " new york "));
}

Test(words, counted)
{
    cr_assert_eq(ts_words_count("", 0), 0);
    cr_assert_eq(ts_words_count(" - ... ", 7), 0);
    cr_assert_eq(ts_words_count("one well-known  word - 3.14", 27), 4);
    cr_assert_eq(ts_words_count("a\nb\tc\xC2\xA0"
                                "d",
                                8),
                 4);
}

static double repeated(const char *words)
{
    double out = -1;
    cr_assert_eq(ts_words_repeated(words, &out, NULL), TS_OK);
    return out;
}

Test(words, repetition)
{
    cr_assert_eq(repeated(" "), 0);
    cr_assert_eq(repeated(" a a a "), 0);
    cr_assert_eq(repeated(" a b c d e f "), 0);
    cr_assert_float_eq(repeated(" a a a a a "), 1.0 / 2, 1e-12);
    // abcd bcda cdab dabc abcd bcda: two of six stood before.
    cr_assert_float_eq(repeated(" a b c d a b c d a "), 2.0 / 6, 1e-12);
    cr_assert_float_eq(repeated(" a b c d x a b c d "), 1.0 / 6, 1e-12);
    cr_assert_eq(repeated(" a b c d x a b c dd "), 0);
}

Test(words, hostile_texts_become_valid)
{
    const hostile *texts;
    size_t count = sample_hostile(&texts);
    for (size_t i = 0; i < count; i++) {
        ts_text out = {0};
        cr_assert_eq(ts_text_append_clean(&out, texts[i].text, texts[i].len, NULL), TS_OK);
        cr_assert_eq(ts_utf8_valid_prefix(out.bytes, out.len), out.len, "text %zu", i);
        cr_assert(out.len == 0 || strlen(out.bytes) == out.len, "text %zu", i);
        ts_text_clear(&out);
        cr_assert_eq(ts_words_normalise(texts[i].text, texts[i].len, &out, NULL), TS_OK);
        cr_assert_eq(ts_utf8_valid_prefix(out.bytes, out.len), out.len, "text %zu", i);
        ts_text_free(&out);
    }
}
