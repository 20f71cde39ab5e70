// The metrics: loss on the left, rates as bars on the right, and below, separately, the prompts
// that training saw.
#include "eval/picture_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    LOSS_WIDTH = 400,
    LABEL_WIDTH = 190,
    BAR_WIDTH = 480,
    BAR_HEIGHT = 15,
    RATE_HEIGHT = 54,
};

static void change_pill(page *p, double x, double top, double gain, const char *text)
{
    bool better = gain > 1e-9, worse = gain < -1e-9;
    page_pill(p, x, top, text,
              better  ? good_tint
              : worse ? bad_tint
                      : neutral_tint,
              better  ? good_colour
              : worse ? bad_colour
                      : soft_colour);
}

static void format_number(double value, char out[32])
{
    if (isfinite(value)) {
        snprintf(out, 32, value < 100 ? "%.2f" : "%.3g", value);
    } else {
        snprintf(out, 32, "–");
    }
}

// A number with its sign, with a typographic minus.
static void format_signed(double value, int decimals, char out[32])
{
    char digits[24];
    snprintf(digits, sizeof digits, "%.*f", decimals, fabs(value));
    bool zero = strspn(digits, "0.") == strlen(digits);
    snprintf(out, 32, "%s%s", zero ? "±" : value < 0 ? "−" : "+", digits);
}

// "2.31 -> 1.72" in large figures.
static void draw_pair(page *p, double x, double baseline, double size, double before, double after)
{
    char text[32];
    ts_style style = page_style(p, TS_FACE_BOLD, size, base_dark_colour);
    format_number(before, text);
    x = page_text(p, x, baseline, &style, text);
    if (p->evaluation->tuned_count > 0) {
        double y = baseline - 0.33 * size, end = x + 1.3 * size;
        x += 0.4 * size;
        ts_canvas_line(p->canvas, x, y, end, y, size / 14, faint_colour);
        ts_canvas_line(p->canvas, end - size / 5, y - size / 5, end, y, size / 14, faint_colour);
        ts_canvas_line(p->canvas, end - size / 5, y + size / 5, end, y, size / 14, faint_colour);
        style.colour = tuned_colour;
        format_number(after, text);
        page_text(p, end + 0.4 * size, baseline, &style, text);
    }
}

// Several adapters' losses, a line each: its colour, the number, and how it differs from the base.
static double draw_list_of_losses(page *p, double x, double top, const ts_paired *all)
{
    enum { LINE = 50 };
    char text[96], low[32], high[32];
    ts_style number = page_style(p, TS_FACE_BOLD, 24, base_dark_colour);
    ts_style small = page_style(p, TS_FACE_REGULAR, 13, faint_colour);
    format_number(all->base.loss, text);
    ts_canvas_box(p->canvas, x, top + 9, 13, 13, 4, base_colour);
    page_text(p, x + 24, top + 24, &number, text);
    snprintf(text, sizeof text, "base, perplexity %.3g", all->base.perplexity);
    page_text(p, x + 110, top + 22, &small, text);
    for (size_t i = 0; i < p->evaluation->tuned_count; i++) {
        const ts_paired *paired = &all[i];
        double y = top + 40 + (double)i * LINE;
        number.colour = adapter_colours[i];
        ts_canvas_box(p->canvas, x, y + 9, 13, 13, 4, adapter_colours[i]);
        format_number(paired->tuned.loss, text);
        page_text(p, x + 24, y + 24, &number, text);
        format_signed(paired->loss_change, 3, text);
        change_pill(p, x + 110, y + 3, -paired->loss_change, text);
        snprintf(text, sizeof text, "perplexity %.3g", paired->tuned.perplexity);
        page_text(p, x + 194, y + 20, &small, text);
        if (isfinite(paired->loss_low)) {
            format_signed(paired->loss_low, 3, low);
            format_signed(paired->loss_high, 3, high);
            snprintf(text, sizeof text, "95 %% interval %s to %s", low, high);
            page_text(p, x + 110, y + 43, &small, text);
        }
    }
    return top + 40 + (double)p->evaluation->tuned_count * LINE;
}

static double draw_losses(page *p, double x, double top, const ts_paired *paired)
{
    char text[96];
    ts_style label = page_style(p, TS_FACE_BOLD, 15, ink_colour);
    ts_style small = page_style(p, TS_FACE_REGULAR, 13, faint_colour);
    page_text(p, x, top + 18, &label, "Loss on the reference answer");
    page_text(p, x, top + 38, &small, "nats per token; lower is better");
    if (p->evaluation->tuned_count > 1) {
        return draw_list_of_losses(p, x, top + 52, paired);
    }
    draw_pair(p, x, top + 88, 40, paired->base.loss, paired->tuned.loss);
    double y = top + 104;
    if (p->evaluation->tuned_count > 0 && isfinite(paired->loss_change)) {
        char low[32], high[32];
        format_signed(paired->loss_change, 3, low);
        change_pill(p, x, y, -paired->loss_change, low);
        if (isfinite(paired->loss_low)) {
            format_signed(paired->loss_low, 3, low);
            format_signed(paired->loss_high, 3, high);
            snprintf(text, sizeof text, "95 %% interval %s to %s", low, high);
            page_text(p, x + 84, y + 17, &small, text);
        }
        snprintf(text, sizeof text, "lower on %u of %u prompts", paired->loss_lower,
                 paired->loss_compared);
        page_text(p, x, y + 44, &small, text);
        y += 64;
    }
    page_text(p, x, y + 24, &label, "Perplexity of the reference answer");
    draw_pair(p, x, y + 58, 24, paired->base.perplexity, paired->tuned.perplexity);
    return y + 74;
}

// A bar with its 95 % interval as a thin line, then the count.
static void draw_bar(page *p, double x, double top, const ts_rate *rate, ts_colour colour,
                     ts_colour dark)
{
    char text[48];
    ts_style style = page_style(p, TS_FACE_REGULAR, 13, soft_colour);
    double middle = top + BAR_HEIGHT / 2.0, value = ts_rate_value(rate);
    ts_canvas_box(p->canvas, x, top, BAR_WIDTH, BAR_HEIGHT, 4, track_colour);
    if (rate->yes > 0) {
        ts_canvas_box(p->canvas, x, top, value * BAR_WIDTH, BAR_HEIGHT, 4, colour);
    }
    double low = x + rate->low * BAR_WIDTH, high = x + rate->high * BAR_WIDTH;
    ts_canvas_line(p->canvas, low, middle, high, middle, 1.4, dark);
    ts_canvas_line(p->canvas, low, middle - 3, low, middle + 3, 1.4, dark);
    ts_canvas_line(p->canvas, high, middle - 3, high, middle + 3, 1.4, dark);
    snprintf(text, sizeof text, "%.0f %%", 100 * value);
    page_text(p, x + BAR_WIDTH + 58 - page_text_width(&style, text), top + 12, &style, text);
    snprintf(text, sizeof text, "%u of %u", rate->yes, rate->of);
    page_text(p, x + BAR_WIDTH + 72, top + 12, &style, text);
}

static void draw_change(page *p, double x, double top, const ts_paired *paired, ts_metric metric)
{
    char sign[32], text[48];
    const ts_change *change = &paired->changes[metric];
    ts_style small = page_style(p, TS_FACE_REGULAR, 12.5, faint_colour);
    double points = 100 * (ts_rate_value(&paired->tuned.rates[metric]) -
                           ts_rate_value(&paired->base.rates[metric]));
    format_signed(points, 0, sign);
    snprintf(text, sizeof text, "%s points", sign);
    if (change->gained == change->lost) {
        snprintf(text, sizeof text, "no change");
    }
    change_pill(p, x, top, ts_metric_lower_is_better(metric) ? -points : points, text);
    if (change->gained + change->lost > 0) {
        snprintf(text, sizeof text, change->p < 0.001 ? "p < 0.001" : "p = %.3f", change->p);
        page_text(p, x + 118, top + 17, &small, text);
    }
}

static double draw_rates(page *p, double x, double top, const ts_paired *paired)
{
    ts_style label = page_style(p, TS_FACE_BOLD, 15, ink_colour);
    ts_style small = page_style(p, TS_FACE_REGULAR, 12.5, faint_colour);
    size_t adapters = p->evaluation->tuned_count;
    // Pills are higher than bars, so the bars of several adapters stand further apart.
    double step = adapters > 1 ? BAR_HEIGHT + 11 : BAR_HEIGHT + 4;
    for (int m = 0; m < TS_METRIC_COUNT; m++) {
        if (paired->base.rates[m].of == 0) {
            continue;
        }
        bool fewer = ts_metric_lower_is_better((ts_metric)m);
        double bar = x + LABEL_WIDTH;
        double middle = top + (BAR_HEIGHT + (double)adapters * step) / 2;
        page_text(p, x, middle + (fewer ? -2 : 5), &label, ts_metric_label((ts_metric)m));
        if (fewer) {
            page_text(p, x, middle + 15, &small, "fewer is better");
        }
        draw_bar(p, bar, top, &paired->base.rates[m], base_colour, base_dark_colour);
        for (size_t i = 0; i < adapters; i++) {
            double y = top + (double)(i + 1) * step;
            draw_bar(p, bar, y, &paired[i].tuned.rates[m], adapter_colours[i],
                     adapter_dark_colours[i]);
            draw_change(p, bar + BAR_WIDTH + 150, adapters > 1 ? y - 4 : middle - 12, &paired[i],
                        (ts_metric)m);
        }
        top += (adapters > 0 ? RATE_HEIGHT - BAR_HEIGHT - 4 : RATE_HEIGHT - 14) +
               (double)adapters * step;
    }
    return top;
}

// "loss 2.10 to 0.91, facts right 3 to 5 of 5, ...": the prompts that training saw.
static ts_status draw_seen(page *p, double top, double *bottom)
{
    ts_status status = TS_OK;
    const ts_paired *seen = p->results->seen;
    size_t adapters = p->evaluation->tuned_count;
    const char *separator = "";
    ts_style style = page_style(p, TS_FACE_REGULAR, 14, soft_colour);
    ts_text text = {0};
    TS_TRY(ts_text_format(&text, p->err, "Apart from the headline, %u prompt%s seen in training: ",
                          seen->base.prompts, ts_plural(seen->base.prompts)));
    if (seen->base.measured > 0) {
        TS_TRY(ts_text_format(&text, p->err, "loss %.2f", seen->base.loss));
        for (size_t i = 0; i < adapters; i++) {
            TS_TRY(
                ts_text_format(&text, p->err, i == 0 ? " → %.2f" : ", %.2f", seen[i].tuned.loss));
        }
        separator = ",  ";
    }
    for (int m = 0; m < TS_METRIC_COUNT; m++) {
        const ts_rate *before = &seen->base.rates[m];
        if (before->of > 0) {
            const char *label = ts_metric_label((ts_metric)m);
            TS_TRY(ts_text_format(&text, p->err, "%s%c%s %u", separator, label[0] | 0x20, label + 1,
                                  before->yes));
            separator = ",  ";
            for (size_t i = 0; i < adapters; i++) {
                TS_TRY(ts_text_format(&text, p->err, i == 0 ? " → %u" : ", %u",
                                      seen[i].tuned.rates[m].yes));
            }
            TS_TRY(ts_text_format(&text, p->err, " of %u", before->of));
        }
    }
    double left = PAGE_MARGIN + CARD_PADDING, width = CONTENT_WIDTH - 2 * CARD_PADDING;
    ts_canvas_box(p->canvas, left, top, width, 1, 0, edge_colour);
    TS_TRY(page_paragraph(p, left, top + 12, width, &style, text.bytes, text.len, 3, bottom));
out:
    ts_text_free(&text);
    return status;
}

ts_colour page_model_colour(size_t model)
{
    return model == 0 ? base_dark_colour : adapter_dark_colours[model - 1];
}

ts_status page_metrics(page *p, double top, double *bottom)
{
    const ts_evaluation *e = p->evaluation;
    const ts_paired *paired = p->results->held_out;
    ts_style heading = page_style(p, TS_FACE_BOLD, 20, ink_colour);
    ts_style note = page_style(p, TS_FACE_REGULAR, 15, soft_colour);
    double left = PAGE_MARGIN + CARD_PADDING, y = top + CARD_PADDING + 16;
    char text[96];
    uint32_t prompts = paired->base.prompts;
    double x =
        page_text(p, left, y, &heading, e->seen != NULL ? "Held-out prompts" : "All prompts");
    snprintf(text, sizeof text, e->seen != NULL ? "%u that training never saw" : "%u", prompts);
    page_text(p, x + 14, y, &note, text);
    if (prompts > 0) {
        bool measured = paired->base.measured > 0; // some prompt has a reference
        const ts_summary *models[TS_MOST_MODELS] = {&paired->base};
        for (size_t i = 0; i < e->tuned_count; i++) {
            models[1 + i] = &paired[i].tuned;
        }
        double losses = measured ? draw_losses(p, left, y + 22, paired) : y;
        if (measured) {
            losses = page_estimates(p, left, losses + 14, models, 1 + e->tuned_count);
        }
        double rates = draw_rates(p, left + (measured ? LOSS_WIDTH : 0), y + 28, paired);
        y = fmax(losses, rates);
    }
    y += 10;
    if (e->seen != NULL && p->results->seen[0].base.prompts > 0) {
        ts_status status = draw_seen(p, y + 4, &y);
        if (status != TS_OK) {
            return status;
        }
    }
    *bottom = y + 16;
    return TS_OK;
}
