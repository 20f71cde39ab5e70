// What `train` shows of a run before it begins: the plan, how the first row is rendered, and what
// of each row is trained on.
#include "cli/train_show.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "cli/cli.h"
#include "cli/ranks.h"

#include <stdio.h>

// How full micro-batches are: rows lie end to end in them, without padding.
static void print_packing(const tinysft_training_plan *plan)
{
    const double mean = (double)plan->micro_tokens / (double)plan->micro_batches;
    ts_cli_say(stderr,
               "an epoch has %llu micro-batch%s of %u to %u tokens, %.1f on average: %.0f%% of the "
               "room for %u\n",
               (unsigned long long)plan->micro_batches, plan->micro_batches == 1 ? "" : "es",
               plan->least_at_once, plan->most_at_once, mean,
               100 * mean / (double)plan->rows_at_once, plan->rows_at_once);
}

void ts_cli_print_plan(const tinysft_training_plan *plan, const tinysft_training_params *params)
{
    const double mib = 1 << 20;
    char held_out[128] = "";
    if (plan->held_out > 0) {
        snprintf(held_out, sizeof held_out,
                 "%llu %s%s held out, their loss measured every %llu steps\n",
                 (unsigned long long)plan->held_out, plan->pairs ? "pair" : "example",
                 ts_plural(plan->held_out), (unsigned long long)plan->eval_steps);
    }
    ts_cli_say(
        stderr,
        "%llu %s%s, %llu tokens, %llu of them trained on; template %s\n"
        "%s%llu step%s (%llu an epoch) of %u x %u example%s; lr %g, %s; %llu trained parameters\n"
        "device memory: weights %.1f MiB%s%s%s + adapter and optimiser %.1f + activations %.1f "
        "(up to %u tokens at once, %u of %u layers recomputing) = %.1f MiB%s\n",
        (unsigned long long)plan->examples, plan->pairs ? "pair" : "example",
        ts_plural(plan->examples), (unsigned long long)plan->tokens,
        (unsigned long long)plan->supervised_tokens, plan->chat_template, held_out,
        (unsigned long long)plan->steps, ts_plural(plan->steps),
        (unsigned long long)plan->steps_per_epoch, params->batch_size, params->grad_accum,
        ts_plural((uint64_t)params->batch_size * params->grad_accum),
        params->learning_rate > 0 ? params->learning_rate : 0, params->schedule,
        (unsigned long long)plan->parameters, (double)plan->weight_bytes / mib,
        plan->quantized != NULL ? " (linear layers in " : "",
        plan->quantized != NULL ? plan->quantized : "", plan->quantized != NULL ? ")" : "",
        (double)plan->adapter_bytes / mib, (double)plan->activation_bytes / mib, plan->rows_at_once,
        plan->recomputing_layers, plan->layers, (double)plan->bytes / mib,
        plan->embedding_in_file ? "; the embedding stays in its file" : "");
    print_packing(plan);
}

void ts_cli_print_rendered(const tinysft_training_plan *plan)
{
    enum { LINES = 12, BYTES = 1500 };
    size_t to = 0, most = ts_min_u64(plan->rendered_bytes, BYTES);
    if (plan->rendered == NULL || !ts_cli_speaks()) {
        return;
    }
    for (int lines = 0; to < most && lines < LINES; to++) {
        lines += plan->rendered[to] == '\n';
    }
    to = ts_utf8_valid_prefix(plan->rendered, to);
    ts_cli_say(stderr, "the first row as %s renders it:\n", plan->chat_template);
    ts_terminal_write(stderr, plan->rendered, to);
    fprintf(stderr, "%s%s", to > 0 && plan->rendered[to - 1] == '\n' ? "" : "\n",
            to < plan->rendered_bytes ? "...\n" : "");
}

// ---- --show-mask

// What is trained on is marked: by colour on a terminal, by [[...]] elsewhere.
static void show_part(void *colour, const char *text, size_t bytes, bool supervised)
{
    bool coloured = *(bool *)colour;
    fputs(!supervised ? "" : coloured ? "\033[1;32m" : "[[", stdout);
    ts_terminal_write(stdout, text, bytes);
    fputs(!supervised ? "" : coloured ? "\033[0m" : "]]", stdout);
}

tinysft_status ts_cli_show_mask(tinysft_training *training, uint64_t count, tinysft_error *err)
{
    ts_status status = TS_OK;
    bool colour = ts_terminal_takes_colour(stdout);
    ts_cli_say(stdout,
               "What the model learns from is %s; the rest is what it is given to answer.\n",
               colour ? "green" : "between [[ and ]]");
    for (uint64_t i = 0; i < count && status == TS_OK; i++) {
        tinysft_row row;
        TS_TRY(tinysft_training_get_row(training, i, &row, NULL, NULL, err));
        printf("-- line %u: %u tokens, %u trained on\n", row.line, row.tokens, row.supervised);
        TS_TRY(tinysft_training_get_row(training, i, NULL, show_part, &colour, err));
        putchar('\n');
    }
out:
    return status;
}
