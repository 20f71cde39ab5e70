#include "base/progress.h"
#include "base/signals.h"
#include "cli/cli.h"
#include "cli/eval_session.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NEW_TOKENS = 100000 };

// ---- Running

// The bar of one model's answers.
struct answering {
    ts_progress bar;
    size_t prompts, complete; // complete: answers
};

static void show_progress(void *user, uint64_t done, uint64_t total, size_t complete)
{
    struct answering *answering = user;
    char count[64];
    snprintf(count, sizeof count, "%zu/%zu answers", complete, answering->prompts);
    answering->complete = complete;
    answering->bar.count = count;
    ts_progress_update(&answering->bar, done, "", done == total);
}

static ts_status answer(struct eval_session *s, const char *label, bool adapter, ts_answers *out,
                        ts_error *err)
{
    struct answering answering = {.prompts = s->prompts.count};
    const ts_answer_params params = {.max_new_tokens = (uint32_t)s->options->max_new_tokens,
                                     .progress = show_progress,
                                     .user = &answering,
                                     .profile = s->options->profile ? &s->profile : NULL};
    s->model.lora_enabled = adapter;
    ts_progress_begin(&answering.bar, stderr, label,
                      s->prompts.count * (s->options->max_new_tokens + 2));
    answering.bar.line_every_s = TS_CLI_LINE_SECONDS;
    ts_status status = ts_answers_make(&s->model, &s->questions, &params, out, err);
    ts_progress_end(&answering.bar);
    if (status == TS_ERR_STOPPED) {
        ts_error_set(err, status,
                     "stopped after %zu of %zu answers (%s): none of them are kept, and reports of "
                     "an earlier evaluation are as they were",
                     answering.complete, answering.prompts, label);
    }
    return status;
}

// ---- The command

static struct eval_options asked = {.max_new_tokens = 64, .examples = 3, .precision = "auto"};

static ts_status add_question(const char *text, void *value, ts_error *err)
{
    struct eval_options *o = value;
    if (strspn(text, " \t\r\n") == strlen(text)) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "an empty question");
    }
    if (ts_utf8_valid_prefix(text, strlen(text)) != strlen(text)) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "the question is not UTF-8");
    }
    if (o->question_count == TS_EVAL_QUESTIONS) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "more than %d questions; --data FILE takes them",
                            TS_EVAL_QUESTIONS);
    }
    o->questions[o->question_count++] = text;
    return TS_OK;
}

static const ts_flag flags[] = {
    TS_CLI_CONFIG_FLAG,
    {"model", NULL, TS_FLAG_TEXT, &asked.model, "MODEL", TS_CLI_MODEL_HELP, 0, 0, true},
    {"revision", NULL, TS_FLAG_TEXT, &asked.revision, "NAME", TS_CLI_REVISION_HELP},
    {"adapter", NULL, TS_FLAG_TEXT, &asked.adapter, "OUT",
     "PEFT folder, as training writes it;\nwithout it the base alone is evaluated"},
    {"prompt", NULL, TS_FLAG_PARSED, &asked, "TEXT",
     "ask this and print the answers; may be given again", 0, 0, false, NULL, add_question},
    {"data", NULL, TS_FLAG_TEXT, &asked.data, "FILE",
     "the prompts: JSON or JSON lines, such as {\"prompt\": \"...\"}\n[" TS_EVAL_DATA "]"},
    {"examples", NULL, TS_FLAG_UINT, &asked.examples, "N", "answers to print at the end [3]", 0,
     1000},
    {"train-data", NULL, TS_FLAG_TEXT, &asked.train_data, "FILE",
     "what the adapter was trained on, to tell prompts that\ntraining saw [as OUT says]"},
    {"output-dir", NULL, TS_FLAG_TEXT, &asked.output_dir, "DIR",
     "where the reports go [OUT, or here]"},
    {"png", NULL, TS_FLAG_TEXT, &asked.png, "FILE",
     "the picture [evaluation_screenshot.png in that folder]"},
    {"json", NULL, TS_FLAG_TEXT, &asked.json, "FILE",
     "all figures and answers for programs\n[evaluation.json in that folder]"},
    {"png-height", NULL, TS_FLAG_UINT, &asked.png_height, "N",
     "of the picture in pixels, at most [12000]", 1000, 12000},
    {"max-new-tokens", NULL, TS_FLAG_UINT, &asked.max_new_tokens, "N", "of an answer [64]", 1,
     MAX_NEW_TOKENS},
    {"chat-template", NULL, TS_FLAG_TEXT, &asked.template, "NAME", TS_CLI_TEMPLATE_HELP,
     .choice = ts_choice_template},
    {"title", NULL, TS_FLAG_TEXT, &asked.title, "TEXT", "of the picture [from the model]"},
    TS_CLI_QUANTIZE_FLAGS(asked.quantize, asked.eight_bit),
    TS_CLI_PRODUCT_FLAGS(asked.precision, "auto", asked.device),
    TS_CLI_VALIDATE_FLAG(asked.device),
    {"profile", NULL, TS_FLAG_SWITCH, &asked.profile, NULL, "time on the device by shader",
     .passing = true},
    TS_CLI_VERBOSE_FLAG,
};

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    struct eval_options *o = &asked;
    struct eval_session session = {.options = o};
    TS_TRY(ts_flags_parse(&ts_command_eval, argc, argv, err));
    TS_TRY(ts_config_print(&ts_command_eval, &o->config, err));
    TS_TRY(ts_cli_eval_open(&session, err));
    TS_TRY(ts_cli_eval_prepare_output(&session, err));
    ts_signals_install();
    TS_TRY(answer(&session, "base", false, &session.base, err));
    if (o->adapter != NULL) {
        TS_TRY(answer(&session, "fine-tuned", true, &session.tuned, err));
    }
    ts_cli_print_profile(&session.profile);
    TS_TRY(ts_cli_eval_report(&session, err));
out:
    ts_cli_eval_close(&session);
    ts_text_free(&o->config);
    if (status == TS_OK) {
        return 0;
    }
    int code = ts_cli_fail(&ts_command_eval, err);
    return status == TS_ERR_STOPPED ? 128 + ts_signals_pending() : code;
}

const ts_command ts_command_eval = {
    .name = "eval",
    .summary = "show side by side what an adapter changed",
    .usage = "--model MODEL [--adapter OUT] [--data FILE | --prompt TEXT] [flags]",
    .needs_less = "a smaller --max-new-tokens or shorter prompts in --data need less memory; or "
                  "take another --device",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
