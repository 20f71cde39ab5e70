#include "eval/picture.h"

#include "base/file.h"
#include "sample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static ts_text draw(const ts_evaluation *evaluation)
{
    ts_results results = {0};
    ts_error err = {0};
    ts_text png = {0};
    cr_assert_eq(ts_results_make(evaluation, &results, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_picture_png(evaluation, &results, &png, &err), TS_OK, "%s", err.message);
    ts_results_free(&results);
    return png;
}

static bool same(const ts_text *a, const ts_text *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static int height_of(const ts_evaluation *evaluation)
{
    ts_text png = draw(evaluation);
    decoded d = sample_decode(&png);
    int height = d.height;
    cr_assert_eq(d.width, 1600);
    cr_assert_gt(sample_drawn(&d), 10000);
    sample_decoded_free(&d);
    ts_text_free(&png);
    return height;
}

Test(picture, same_bytes_twice_and_other_bytes_for_another_verdict)
{
    sample s;
    sample_make(&s, 6);
    ts_text first = draw(&s.evaluation), second = draw(&s.evaluation);
    cr_assert(same(&first, &second));
    s.tuned[0].stopped = false;
    ts_text third = draw(&s.evaluation);
    cr_assert_not(same(&first, &third));
    ts_text_free(&first), ts_text_free(&second), ts_text_free(&third);
    sample_free(&s);
}

Test(picture, base_alone_and_without_prompts_held_out)
{
    sample s;
    sample_make(&s, 5);
    int both = height_of(&s.evaluation);
    s.evaluation.tuned_count = 0;
    s.evaluation.seen = NULL;
    int alone = height_of(&s.evaluation);
    cr_assert_lt(alone, both); // one bar a metric instead of two
    s.evaluation.seen = s.seen;
    memset(s.seen, true, 5);
    height_of(&s.evaluation);
    s.evaluation.setting_count = 0;
    height_of(&s.evaluation);
    sample_free(&s);
}

// Each adapter has bars of its own, and a column in every row, also with a name that is too long.
Test(picture, several_adapters)
{
    sample s;
    sample_make(&s, 6);
    int height = height_of(&s.evaluation);
    s.adapters[3].name = "a/very/long/path/in/which/\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9/epoch-3";
    for (size_t adapters = 2; adapters <= TS_MOST_ADAPTERS; adapters++) {
        s.evaluation.tuned_count = adapters;
        int now = height_of(&s.evaluation);
        cr_assert_gt(now, height);
        height = now;
    }
    ts_text all = draw(&s.evaluation);
    s.tuned[0].stopped = false;
    ts_text other = draw(&s.evaluation);
    cr_assert_not(same(&all, &other));
    ts_text_free(&all), ts_text_free(&other);
    sample_free(&s);
}

Test(picture, height_follows_the_rows_up_to_the_cap)
{
    sample few, more, many;
    sample_make(&few, 5);
    sample_make(&more, 10);
    sample_make(&many, 300);
    int low = height_of(&few.evaluation), middle = height_of(&more.evaluation);
    int high = height_of(&many.evaluation);
    cr_assert_gt(middle, low + 300);
    cr_assert(high <= 12000 && high > 11700, "%d", high);
    sample_free(&few), sample_free(&more), sample_free(&many);
}

static size_t count_green(const ts_evaluation *evaluation)
{
    static const unsigned char green[3] = {236, 249, 241}; // the shade of an answer that got better
    ts_text png = draw(evaluation);
    decoded d = sample_decode(&png);
    size_t count = 0;
    for (int i = 0; i < d.width * d.height; i++) {
        count += memcmp(d.pixels + 3 * i, green, 3) == 0;
    }
    sample_decoded_free(&d);
    ts_text_free(&png);
    return count;
}

// An answer that got better in one measure and fails another is not shaded green.
Test(picture, no_green_under_a_cross)
{
    sample s;
    sample_make(&s, 1);
    cr_expect_gt(count_green(&s.evaluation), 1000);
    s.prompts.items[0].refuse = TS_REFUSE_MUST; // but the answer does not refuse
    cr_expect_eq(count_green(&s.evaluation), 0);
    sample_free(&s);
}

Test(picture, prompts_without_references)
{
    sample s;
    sample_make(&s, 6);
    int with = height_of(&s.evaluation);
    for (size_t i = 0; i < 6; i++) {
        s.prompts.items[i].reference = NULL;
        s.prompts.items[i].label = "";
        s.prompts.items[i].category = TS_CATEGORY_OTHER;
        s.base[i].reference_tokens = s.tuned[i].reference_tokens = 0;
    }
    cr_expect_lt(height_of(&s.evaluation), with);
    sample_free(&s);
}

// Of 300 rows only the first fit, so an answer that training saw (number 6) cannot show.
Test(picture, held_out_rows_come_first)
{
    sample s;
    sample_make(&s, 300);
    ts_text first = draw(&s.evaluation);
    sample_answer(&s.base[6], "It is a large town in Europe, we say.", 37);
    ts_text second = draw(&s.evaluation);
    cr_assert(s.seen[6] && same(&first, &second));
    sample_answer(&s.base[5], "It is a large town in Europe, we say.", 37);
    ts_text third = draw(&s.evaluation);
    cr_assert_not(same(&first, &third));
    ts_text_free(&first), ts_text_free(&second), ts_text_free(&third);
    sample_free(&s);
}

Test(picture, hostile_texts_everywhere)
{
    const hostile *texts;
    size_t count = sample_hostile(&texts);
    static const ts_setting odd[] = {{"", ""}, {"\xFF\n\x1B", "\xE2\x80\xAE|<b>\n\n\n"}};
    sample s;
    sample_make(&s, count);
    for (size_t i = 0; i < count; i++) {
        sample_answer(&s.base[i], texts[i].text, texts[i].len);
        sample_answer(&s.tuned[i], texts[count - 1 - i].text, texts[count - 1 - i].len);
        s.base[i].reference_loss = NAN;
        s.base[i].tokens = UINT32_MAX;
        if (texts[i].len > 0 && memchr(texts[i].text, '\0', texts[i].len) == NULL &&
            texts[i].len < 3000) {
            s.prompts.items[i].text = s.prompts.items[i].reference = texts[i].text;
        }
    }
    s.evaluation.settings = odd;
    s.evaluation.setting_count = 2;
    s.evaluation.title = "\xFF |<b>\n A very long title, which goes on and on and on, beyond the "
                         "right edge of the picture, where it is cut with a mark";
    int height = height_of(&s.evaluation);
    cr_assert_lt(height, 12 * 420 + 900); // answers are cut
    sample_free(&s);
}

Test(picture, written_whole)
{
    sample s;
    ts_results results = {0};
    ts_error err = {0};
    char folder[64];
    ts_text path = {0}, read = {0}, png;
    sample_make(&s, 3);
    sample_folder(folder);
    cr_assert_eq(ts_path_join(folder, "a.png", &path, &err), TS_OK);
    cr_assert_eq(ts_results_make(&s.evaluation, &results, &err), TS_OK);
    cr_assert_eq(ts_picture_write(&s.evaluation, &results, path.bytes, &err), TS_OK);
    sample_read(folder, "a.png", &read);
    png = draw(&s.evaluation);
    cr_assert(same(&png, &read));
    cr_assert_eq(ts_folder_remove(folder, NULL), TS_OK);
    ts_text_free(&path), ts_text_free(&read), ts_text_free(&png);
    ts_results_free(&results);
    sample_free(&s);
}
