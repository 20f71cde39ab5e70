// The rows of the picture: a prompt, its answers, and their marks.
#include "eval/picture_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PROMPT_WIDTH = 380,
    COLUMN_GAP = 24,
    MAX_PROMPT_LINES = 8,
    MAX_REFERENCE_LINES = 5,
    MAX_ANSWER_LINES = 10,
};

static const ts_colour category_tints[TS_CATEGORY_COUNT] = {
    {224, 236, 254}, {243, 232, 255}, {254, 243, 210}, {255, 228, 230},
    {214, 245, 240}, {226, 232, 240}, {223, 246, 221}, {236, 239, 244}};
static const ts_colour category_inks[TS_CATEGORY_COUNT] = {
    {30, 78, 160}, {107, 33, 168}, {146, 84, 8},  {170, 24, 60},
    {15, 106, 96}, {51, 65, 85},   {35, 100, 30}, {88, 101, 122}};

static double answer_width(const page *p)
{
    double all = CONTENT_WIDTH - 2 * CARD_PADDING - PROMPT_WIDTH - COLUMN_GAP;
    double adapters = (double)p->evaluation->tuned_count;
    return (all - adapters * COLUMN_GAP) / (adapters + 1);
}

static double answer_left(const page *p, size_t column)
{
    return PAGE_MARGIN + CARD_PADDING + PROMPT_WIDTH + COLUMN_GAP +
           (double)column * (answer_width(p) + COLUMN_GAP);
}

void page_row_heads(page *p, double top, double *bottom)
{
    ts_style style = page_style(p, TS_FACE_BOLD, 17, ink_colour);
    double baseline = top + 30;
    page_text(p, PAGE_MARGIN + CARD_PADDING, baseline, &style, "Prompt");
    style.colour = base_dark_colour;
    page_text(p, answer_left(p, 0) + 16, baseline, &style, "Base model");
    ts_canvas_box(p->canvas, answer_left(p, 0), top + 40, answer_width(p), 4, 2, base_colour);
    for (size_t i = 0; i < p->evaluation->tuned_count; i++) {
        char name[48];
        page_short_name(p->evaluation, i, name);
        style.colour = adapter_dark_colours[i];
        page_text(p, answer_left(p, i + 1) + 16, baseline, &style, name);
        ts_canvas_box(p->canvas, answer_left(p, i + 1), top + 40, answer_width(p), 4, 2,
                      adapter_colours[i]);
    }
    *bottom = top + 56;
}

// The category and whether training saw the prompt; returns where the prompt's text starts.
static double draw_pills(page *p, size_t index, double x, double top)
{
    const ts_prompt *prompt = &p->evaluation->prompts->items[index];
    double end = x;
    if (prompt->label[0] != '\0') {
        end = page_pill(p, x, top, prompt->label, category_tints[prompt->category],
                        category_inks[prompt->category]) +
              8;
    }
    if (p->evaluation->seen != NULL) {
        bool seen = p->evaluation->seen[index];
        end = page_pill(p, end, top, ts_seen_words(p->evaluation, index),
                        seen ? (ts_colour){253, 236, 200} : neutral_tint,
                        seen ? (ts_colour){140, 80, 0} : soft_colour);
    }
    return end > x ? top + 34 : top;
}

// "system: Be brief." and the turns of an earlier conversation.
static ts_status describe_before(const ts_prompt *prompt, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < prompt->before_count; i++) {
        const ts_turn *turn = &prompt->before[i];
        TS_TRY(ts_text_format(out, err, "%s%s: ", i > 0 ? "\n" : "", ts_role_name(turn->role)));
        TS_TRY(ts_text_append(out, turn->text, turn->len, err));
    }
out:
    return status;
}

static ts_status draw_prompt(page *p, size_t index, double top, double *bottom)
{
    ts_status status = TS_OK;
    const ts_prompt *prompt = &p->evaluation->prompts->items[index];
    ts_style text = page_style(p, TS_FACE_BOLD, 15, ink_colour);
    ts_style reference = page_style(p, TS_FACE_REGULAR, 14, soft_colour);
    ts_text expected = {0};
    double x = PAGE_MARGIN + CARD_PADDING, y = draw_pills(p, index, x, top);
    if (prompt->before_count > 0) {
        TS_TRY(describe_before(prompt, &expected, p->err));
        TS_TRY(page_paragraph(p, x, y, PROMPT_WIDTH, &reference, expected.bytes, expected.len,
                              MAX_REFERENCE_LINES, &y));
        y += 4;
    }
    TS_TRY(page_paragraph(p, x, y, PROMPT_WIDTH, &text, prompt->text, strlen(prompt->text),
                          MAX_PROMPT_LINES, bottom));
    if (prompt->reference != NULL) {
        ts_text_clear(&expected);
        TS_TRY(ts_text_format(&expected, p->err, "Reference: %s", prompt->reference));
        TS_TRY(page_paragraph(p, x, *bottom + 4, PROMPT_WIDTH, &reference, expected.bytes,
                              expected.len, MAX_REFERENCE_LINES, bottom));
    }
out:
    ts_text_free(&expected);
    return status;
}

// The marks one after another, on as many lines as they need.
static double draw_marks(page *p, size_t index, const ts_response *response, const ts_score *score,
                         double left, double top, double width)
{
    enum { LINE = 22 };
    const ts_prompt *prompt = &p->evaluation->prompts->items[index];
    ts_style style = page_style(p, TS_FACE_REGULAR, 13, soft_colour);
    char buffer[96];
    double x = left;
    for (int m = 0; m <= TS_METRIC_COUNT; m++) {
        bool last = m == TS_METRIC_COUNT; // the counts come last and have no mark
        const char *words = buffer;
        if (last) {
            snprintf(buffer, sizeof buffer,
                     response->reference_tokens > 0 ? "%u token%s · loss %.2f" : "%u token%s",
                     response->tokens, ts_plural(response->tokens), response->reference_loss);
        } else {
            words = ts_mark_words(prompt, score, (ts_metric)m, buffer);
        }
        if (words == NULL) {
            continue;
        }
        double wide = page_text_width(&style, words) + (last ? 0 : 19);
        if (x > left && x + wide > left + width) {
            x = left;
            top += LINE;
        }
        if (last) {
            style.colour = faint_colour;
            page_text(p, x, top + 14, &style, words);
        } else {
            bool good = ts_mark_is_good((ts_metric)m, score->marks[m]);
            style.colour = good ? good_colour : bad_colour;
            ts_canvas_mark(p->canvas, x, top + 3, 12, good, style.colour);
            page_text(p, x + 18, top + 14, &style, words);
        }
        x += wide + 20;
    }
    return top + LINE;
}

static ts_status draw_answer(page *p, size_t index, const ts_response *response,
                             const ts_score *score, double left, double top, double *bottom)
{
    ts_status status = TS_OK;
    ts_style style = page_style(p, TS_FACE_REGULAR, 15, ink_colour);
    double width = answer_width(p) - 32, y;
    TS_TRY(page_paragraph(p, left + 16, top + 10, width, &style, response->text, response->len,
                          MAX_ANSWER_LINES, &y));
    if (p->lines.count == 0) {
        style.colour = faint_colour;
        TS_TRY(page_paragraph(p, left + 16, top + 10, width, &style, "(empty)", 7, 1, &y));
    }
    *bottom = draw_marks(p, index, response, score, left + 16, y + 8, width) + 6;
out:
    return status;
}

// Counts the good and the bad marks.
static int count_marks(const ts_score *score, bool good)
{
    int count = 0;
    for (int m = 0; m < TS_METRIC_COUNT; m++) {
        ts_mark mark = score->marks[m];
        count += mark != TS_MARK_NONE && ts_mark_is_good((ts_metric)m, mark) == good;
    }
    return count;
}

// The background of an answer: a fine-tuned one's shows whether it got better or worse. An answer
// that got better but still has a bad mark has none, since green would suggest that all is well.
static ts_colour answer_shade(const page *p, size_t index, size_t column)
{
    static const ts_colour plain = {248, 249, 252}, better = {236, 249, 241},
                           worse = {254, 240, 239};
    if (column == 0) {
        return plain;
    }
    const ts_score *tuned = &p->results->tuned[column - 1][index];
    const ts_score *base = &p->results->base[index];
    int gain = count_marks(tuned, true) - count_marks(base, true);
    return gain < 0 ? worse : gain > 0 && count_marks(tuned, false) == 0 ? better : plain;
}

ts_status page_row(page *p, size_t index, double top, double *bottom)
{
    ts_status status = TS_OK;
    const ts_evaluation *e = p->evaluation;
    const ts_results *r = p->results;
    ts_canvas *canvas = p->canvas;
    size_t columns = 1 + e->tuned_count;
    double inner = top + 16, end;
    // The first round measures the answers, since their backgrounds share the height of the
    // tallest.
    for (int round = 0; round < 2; round++) {
        p->canvas = round == 0 ? &p->nothing : canvas;
        if (round == 1) {
            for (size_t column = 0; column < columns; column++) {
                ts_canvas_box(canvas, answer_left(p, column), inner, answer_width(p),
                              *bottom - inner, 8, answer_shade(p, index, column));
            }
        }
        TS_TRY(draw_prompt(p, index, inner, bottom));
        for (size_t column = 0; column < columns; column++) {
            const ts_response *answers = column == 0 ? e->base : e->tuned[column - 1].responses;
            const ts_score *scores = column == 0 ? r->base : r->tuned[column - 1];
            TS_TRY(draw_answer(p, index, &answers[index], &scores[index], answer_left(p, column),
                               inner, &end));
            *bottom = fmax(*bottom, end);
        }
    }
    *bottom += 16;
out:
    p->canvas = canvas;
    return status;
}
