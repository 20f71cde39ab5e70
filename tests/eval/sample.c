#include "sample.h"

#include "base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

static ts_fact fact = {(const char *[]){"Paris"}, (const char *[]){" paris "}, 1};
static ts_setting settings[] = {{"Model", "tiny"}, {"Rank", "8"}, {"Device", "llvmpipe"}};

void sample_answer(ts_response *response, const char *text, size_t len)
{
    response->text = text;
    response->len = len;
}

void sample_make(sample *s, size_t count)
{
    static const char *const labels[] = {"factual", "polite", "length", "refusal", "safe"};
    *s = (sample){0};
    s->prompts.items = calloc(count, sizeof *s->prompts.items);
    s->prompts.count = count;
    s->base = calloc(count, sizeof *s->base);
    s->tuned = calloc(count, sizeof *s->tuned);
    s->seen = calloc(count, sizeof *s->seen);
    for (size_t i = 0; i < count; i++) {
        ts_prompt *p = &s->prompts.items[i];
        *p = (ts_prompt){.id = "id",
                         .label = labels[i % 5],
                         .text = "What is the capital of France?",
                         .reference = "Paris.",
                         .category = i % 5};
        p->facts = p->category == TS_CATEGORY_FACTUAL ? &fact : NULL;
        p->fact_count = p->facts != NULL;
        p->max_words = p->category == TS_CATEGORY_LENGTH ? 5 : 0;
        p->polite = p->category == TS_CATEGORY_POLITE;
        p->refuse = p->category == TS_CATEGORY_REFUSAL ? TS_REFUSE_MUST
                    : p->category == TS_CATEGORY_SAFE  ? TS_REFUSE_MUST_NOT
                                                       : TS_REFUSE_NOT_JUDGED;
        s->base[i] = (ts_response){.tokens = 9, .reference_loss = 2, .reference_tokens = 4};
        s->tuned[i] =
            (ts_response){.tokens = 3, .stopped = true, .reference_loss = 1, .reference_tokens = 4};
        sample_answer(&s->base[i], "It is a large town in Europe, they say.", 39);
        sample_answer(&s->tuned[i], "Paris, thank you.", 17);
        s->seen[i] = i % 7 == 6;
    }
    static const char *const names[TS_MOST_ADAPTERS] = {"sft", "runs/<dpo>|1", "a", "b"};
    for (size_t i = 0; i < TS_MOST_ADAPTERS; i++) {
        s->adapters[i] = (ts_tuned){names[i], s->tuned};
    }
    s->evaluation = (ts_evaluation){
        .title = "A title",
        .settings = settings,
        .setting_count = 3,
        .prompts = &s->prompts,
        .base = s->base,
        .tuned = s->adapters,
        .tuned_count = 1,
        .seen = s->seen,
    };
}

void sample_free(sample *s)
{
    free(s->prompts.items);
    free(s->base);
    free(s->tuned);
    free(s->seen);
}

decoded sample_decode(const ts_text *png)
{
    decoded d = {0};
    int channels;
    d.pixels = stbi_load_from_memory((const unsigned char *)png->bytes, (int)png->len, &d.width,
                                     &d.height, &channels, 3);
    cr_assert_not_null(d.pixels, "not a PNG");
    cr_assert_eq(channels, 3);
    return d;
}

void sample_decoded_free(decoded *picture)
{
    stbi_image_free(picture->pixels);
}

size_t sample_drawn(const decoded *picture)
{
    size_t drawn = 0, pixels = (size_t)picture->width * (size_t)picture->height;
    for (size_t i = 0; i < pixels; i++) {
        drawn += memcmp(picture->pixels + 3 * i, picture->pixels, 3) != 0;
    }
    return drawn;
}

void sample_folder(char folder[64])
{
    strcpy(folder, "/tmp/tinysft-eval-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

void sample_read(const char *folder, const char *name, ts_text *out)
{
    ts_error err = {0};
    ts_text path = {0};
    cr_assert_eq(ts_path_join(folder, name, &path, &err), TS_OK);
    cr_assert_eq(ts_file_read(path.bytes, 1 << 24, out, &err), TS_OK, "%s", err.message);
    ts_text_free(&path);
}

void sample_write(const char *folder, const char *name, const char *text, ts_text *path)
{
    ts_error err = {0};
    cr_assert_eq(ts_path_join(folder, name, path, &err), TS_OK);
    cr_assert_eq(ts_file_write(path->bytes, text, strlen(text), &err), TS_OK, "%s", err.message);
}

size_t sample_hostile(const hostile **out)
{
    static char word[10000], newlines[3000], spaces[3000], bytes[256];
    static hostile texts[16];
    memset(word, 'W', sizeof word);
    memset(newlines, '\n', sizeof newlines);
    memset(spaces, ' ', sizeof spaces);
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
    }
    size_t n = 0;
#define ADD(text) texts[n++] = (hostile){text, sizeof(text) - 1}
    ADD("");
    ADD("\xFF\xFE \xC0\x80 \xED\xA0\x80 \xF4\x90\x80\x80 \xE2\x82");
    ADD("a\0b\x1B[31mred\x07\x7F\xC2\x85");
    ADD("\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D \xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7 \xE2\x80\xAE");
    ADD("\xF0\x9F\x98\x80\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB\xEF\xB8\x8F "
        "\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA \xF4\x8F\xBF\xBD");
    ADD("\xE4\xBD\xA0\xE5\xA5\xBD\xE4\xB8\x96\xE7\x95\x8C e\xCC\x81\xCC\x81\xCC\x81");
    ADD("| a | b |\n|---|---|\n```c\n</td></table><script>alert(1)</script>\n# h\n![x](y)");
    ADD("\r\n\r\t\ttabs\r\nand\rreturns\n\n\n");
    texts[n++] = (hostile){word, sizeof word};
    texts[n++] = (hostile){newlines, sizeof newlines};
    texts[n++] = (hostile){spaces, sizeof spaces};
    texts[n++] = (hostile){bytes, sizeof bytes};
    *out = texts;
    return n;
}
