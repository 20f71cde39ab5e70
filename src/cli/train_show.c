// What `train` shows of a run before it begins: the plan, how the first row is rendered, and what
// of each row is trained on.
#include "cli/train_show.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "cli/cli.h"

#include <stdio.h>

void ts_cli_print_plan(const ts_trainer *trainer)
{
    const ts_train_plan *plan = &trainer->plan;
    const ts_train_settings *s = &trainer->settings;
    const double mib = 1 << 20;
    bool in_file = trainer->embedding_in_file && !trainer->config.tied;
    bool quantised = s->quantise != TS_F32;
    ts_cli_say(
        stderr,
        "%zu example%s, %llu tokens, %llu of them trained on; template %s\n"
        "%llu step%s (%llu an epoch) of %u x %u example%s; lr %g, %s; %llu trained parameters\n"
        "device memory: weights %.1f MiB%s%s%s + adapter and optimiser %.1f + activations %.1f "
        "(up to %u tokens at once, %u of %u layers recomputing) = %.1f MiB%s\n",
        trainer->dataset.count, ts_plural(trainer->dataset.count),
        (unsigned long long)trainer->dataset.token_count,
        (unsigned long long)trainer->dataset.supervised_count,
        ts_chat_template_name(trainer->template), (unsigned long long)trainer->steps,
        ts_plural(trainer->steps), (unsigned long long)trainer->batches.steps_per_epoch,
        s->batch_size, s->accumulation, ts_plural((uint64_t)s->batch_size * s->accumulation),
        s->learning_rate, ts_schedule_name(s->schedule), (unsigned long long)plan->parameters,
        (double)plan->weights / mib, quantised ? " (linear layers in " : "",
        quantised ? ts_dtype_name(s->quantise) : "", quantised ? ")" : "",
        (double)plan->adapter / mib, (double)plan->activations / mib, trainer->limits.rows,
        trainer->limits.recompute, trainer->config.layers, (double)plan->total / mib,
        in_file ? "; the embedding stays in its file" : "");
}

void ts_cli_print_rendered(const ts_trainer *trainer)
{
    enum { LINES = 12, BYTES = 1500 };
    const ts_dataset *dataset = &trainer->dataset;
    size_t to = 0, most = ts_min_u64(dataset->rendered_len, BYTES);
    if (dataset->rendered == NULL) {
        return;
    }
    for (int lines = 0; to < most && lines < LINES; to++) {
        lines += dataset->rendered[to] == '\n';
    }
    to = ts_utf8_valid_prefix(dataset->rendered, to);
    ts_cli_say(stderr, "the first row as %s renders it:\n",
               ts_chat_template_name(trainer->template));
    ts_terminal_write(stderr, dataset->rendered, to);
    fprintf(stderr, "%s%s", to > 0 && dataset->rendered[to - 1] == '\n' ? "" : "\n",
            to < dataset->rendered_len ? "...\n" : "");
}

// ---- --show-mask

static bool is_supervised(const ts_example *row, uint32_t t)
{
    return t > 0 && row->supervised[t];
}

// The row's text with what is trained on marked: by colour on a terminal, by [[...]] elsewhere.
static ts_status show_row(const ts_trainer *trainer, const ts_example *row, bool colour,
                          ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    printf("-- line %u: %u tokens, %u trained on\n", row->line, row->count, row->supervised_count);
    for (uint32_t from = 0, to; from < row->count; from = to) {
        bool marked = is_supervised(row, from);
        for (to = from + 1; to < row->count && is_supervised(row, to) == marked; to++) {
        }
        ts_text_clear(&text);
        TS_TRY(
            ts_tokenizer_decode(trainer->tokenizer, row->ids + from, to - from, false, &text, err));
        const char *open = !marked ? "" : colour ? "\033[1;32m" : "[[";
        const char *close = !marked ? "" : colour ? "\033[0m" : "]]";
        printf("%s", open);
        ts_terminal_write(stdout, text.bytes, text.len);
        printf("%s", close);
    }
    putchar('\n');
out:
    ts_text_free(&text);
    return status;
}

ts_status ts_cli_show_mask(const ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    bool colour = ts_terminal_takes_colour(stdout);
    ts_cli_say(stdout,
               "What the model learns from is %s; the rest is what it is given to answer.\n",
               colour ? "green" : "between [[ and ]]");
    for (size_t i = 0; i < trainer->dataset.count && status == TS_OK; i++) {
        status = show_row(trainer, &trainer->dataset.examples[i], colour, err);
    }
    return status;
}
