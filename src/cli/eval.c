#include "api/inside.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/signals.h"
#include "cli/cli.h"
#include "cli/eval_print.h"
#include "cli/eval_review.h"
#include "cli/ranks.h"

#include <stdio.h>
#include <string.h>

#define USUAL_DATA "data/eval.json" // the questions where neither --data nor --prompt is given

enum { MAX_NEW_TOKENS = 100000, MOST_QUESTIONS = 64 };

// The flags' values.
struct options {
    const char *model, *revision, *data, *train_data, *output_dir, *png, *json, *template, *title,
        *precision, *quantize;
    const char *questions[MOST_QUESTIONS]; // --prompt
    size_t question_count;
    const char *adapters[TINYSFT_MOST_ADAPTERS];
    size_t adapter_count;
    const char *reviews[TINYSFT_MOST_READERS];
    size_t review_count;
    uint64_t max_new_tokens, png_height, examples;
    bool profile;
    ts_gpu_params device;
};

// What lives as long as the command.
struct session {
    struct options *options;
    tinysft_device *device;
    tinysft_model *model;
    tinysft_evaluation *evaluation;
    ts_profile profile;
    ts_progress loading;
    ts_text config;       // eval_run.json
    ts_text folder, data; // where model and questions are
    ts_text own_device;   // of several ranks, this one's
    ts_arena arena;       // holds paths
};

// ---- Reading

// Without --data and --prompt the questions are those that come with the program.
static ts_status find_questions(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const struct options *o = s->options;
    if (o->question_count > 0) {
        return o->data == NULL
                   ? TS_OK
                   : ts_error_set(err, TS_ERR_ARGUMENT, "--prompt and --data: give one of them");
    }
    TS_TRY(ts_cli_find(o->data != NULL ? o->data : USUAL_DATA, &s->data, err));
    if (o->data == NULL && !ts_file_exists(s->data.bytes)) {
        TS_FAIL(TS_ERR_ARGUMENT, "no prompt is named, and there is no " USUAL_DATA
                                 " here: --prompt TEXT asks one, --data FILE a file of them");
    }
out:
    return status;
}

// Reads and checks what the flags name, before anything is put on the device.
static ts_status open_session(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    struct options *o = s->options;
    uint32_t sharers;
    TS_TRY(ts_cli_rank_device(&o->device, &s->own_device, &sharers, err));
    if (s->own_device.len > 0) {
        o->device.device = s->own_device.bytes;
    }
    const tinysft_device_params device = ts_cli_device_params(&o->device, o->precision);
    TS_TRY(tinysft_device_open(&device, &s->device, err));
    TS_TRY(ts_cli_resolve_model(o->model, o->revision, true, &s->folder, err));
    const tinysft_model_params model = {.model = s->folder.bytes,
                                        .name = o->model,
                                        .adapter = o->adapters[0],
                                        .chat_template = o->template,
                                        .quantize = o->quantize,
                                        .loading = ts_cli_speaks() ? ts_cli_show_file : NULL,
                                        .loading_user = &s->loading};
    TS_TRY(tinysft_model_open(s->device, &model, &s->model, err));
    TS_TRY(find_questions(s, err));
    const tinysft_evaluation_params questions = {
        .data = s->data.bytes,
        .questions = o->questions,
        .question_count = o->question_count,
        .train_data = o->train_data,
        .max_new_tokens = (uint32_t)o->max_new_tokens,
        .adapters = o->adapters + 1,
        .adapter_count = o->adapter_count > 0 ? o->adapter_count - 1 : 0};
    TS_TRY(tinysft_evaluation_open(s->model, &questions, &s->evaluation, err));
    ts_api_evaluation_set_ranks(s->evaluation, ts_cli_ranks);
out:
    return status;
}

static void close_session(struct session *s)
{
    tinysft_evaluation_close(&s->evaluation);
    tinysft_model_close(&s->model);
    ts_profile_close(&s->profile);
    tinysft_device_close(&s->device);
    ts_text_free(&s->config);
    ts_text_free(&s->folder);
    ts_text_free(&s->own_device);
    ts_text_free(&s->data);
    ts_arena_free(&s->arena);
}

// ---- Asking

// The bar of one model's answers.
struct answering {
    const struct options *options;
    ts_progress bar;
    size_t questions, complete; // complete: answers
    char label[32];             // whose
};

// "base", "fine-tuned", or which of several adapters it is.
static void label(struct answering *answering, const tinysft_asked *now)
{
    const size_t adapters = answering->options->adapter_count;
    snprintf(answering->label, sizeof answering->label, "%s", now->tuned ? "fine-tuned" : "base");
    if (now->tuned && adapters > 1) {
        snprintf(answering->label, sizeof answering->label, "adapter %zu/%zu", now->adapter + 1,
                 adapters);
    }
}

static tinysft_next show_asked(void *user, const tinysft_asked *now)
{
    struct answering *answering = user;
    ts_progress *bar = &answering->bar;
    char count[64];
    if (now->answer != NULL) {
        return TINYSFT_GO_ON;
    }
    if (now->done == 0) {
        ts_progress_end(bar);
        label(answering, now);
        ts_progress_begin(bar, stderr, answering->label, now->total);
        bar->line_every_s = TS_CLI_LINE_SECONDS;
    }
    snprintf(count, sizeof count, "%zu/%zu answers", now->complete, answering->questions);
    answering->complete = now->complete;
    bar->count = count;
    ts_progress_update(bar, now->done, "", now->done == now->total);
    bar->count = NULL;
    return TINYSFT_GO_ON; // a signal interrupts (ts_cli_caller)
}

static ts_status ask(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    struct answering answering = {.options = s->options,
                                  .questions = tinysft_evaluation_count(s->evaluation),
                                  .label = "base"}; // which is asked first
    if (s->options->profile) {
        TS_TRY(ts_api_profile_model(s->model, &s->profile, err));
    }
    ts_signals_install("\nstopping; once more to end at once\n");
    status =
        tinysft_evaluation_run(s->evaluation, ts_cli_speaks() ? show_asked : NULL, &answering, err);
    ts_progress_end(&answering.bar);
    if (status == TS_ERR_STOPPED) {
        ts_error_set(err, status,
                     "stopped after %zu of %zu answers (%s): none of them are kept, and reports of "
                     "an earlier evaluation are as they were",
                     answering.complete, answering.questions, answering.label);
    }
out:
    return status;
}

// ---- Reports

// Whether there are reports. A question on the command line is only answered on the terminal,
// unless the flags name a place for files.
static bool writes_reports(const struct options *o)
{
    return o->question_count == 0 || o->output_dir != NULL || o->png != NULL;
}

// Decides where the reports go and checks that they can be written there. Called before the model
// is asked, so that no results are lost.
static ts_status prepare_output(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    struct options *o = s->options;
    const char *folder;
    if (!writes_reports(o)) {
        goto out;
    }
    if (o->output_dir == NULL) {
        o->output_dir = o->adapter_count == 1 ? o->adapters[0] : ".";
    }
    ts_cli_tell_new_folder(o->output_dir);
    TS_TRY(ts_folder_make(o->output_dir, err));
    if (o->png == NULL) {
        TS_TRY(ts_arena_format(&s->arena, &o->png, err, "%s/evaluation_screenshot.png",
                               o->output_dir));
    } else if (ts_path_name(o->png) != o->png) {
        int len = (int)(ts_path_name(o->png) - o->png);
        TS_TRY(ts_arena_format(&s->arena, &folder, err, "%.*s", len, o->png));
        ts_cli_tell_new_folder(o->png);
        TS_TRY(ts_folder_make(folder, err));
    }
    TS_TRY(ts_file_check_writable(o->png, err));
out:
    return status;
}

static ts_status report(const struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const struct options *o = s->options;
    const tinysft_report_params files = {.folder = writes_reports(o) ? o->output_dir : NULL,
                                         .json = o->json,
                                         .picture = o->png,
                                         .title = o->title,
                                         .picture_height = (uint32_t)o->png_height};
    if (o->question_count > 0) {
        TS_TRY(ts_cli_print_answers(s->evaluation, err));
    }
    if (writes_reports(o) || o->json != NULL) {
        TS_TRY(tinysft_evaluation_write(s->evaluation, &files, err));
    }
    if (!writes_reports(o)) {
        goto out;
    }
    // To repeat the evaluation: tinysft-vk eval --config DIR/eval_run.json.
    TS_TRY(ts_cli_write_config(o->output_dir, "eval_run.json", &s->config, err));
    if (o->question_count == 0) {
        TS_TRY(ts_cli_print_results(s->evaluation, err));
        TS_TRY(ts_cli_print_examples(s->evaluation, o->examples, err));
    }
    ts_cli_say(stdout, "\nwritten: %s/base_responses.txt, %sbefore_after.md, %s\n", o->output_dir,
               o->adapter_count > 0 ? "finetuned_responses.txt, review.html, " : "", o->png);
out:
    return status;
}

// ---- Reviews

// Nothing is asked: the answers are those of the evaluation.json that an evaluation with the same
// flags leaves.
static ts_status take_reviews(const struct options *o, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    const char *folder = o->output_dir != NULL   ? o->output_dir
                         : o->adapter_count == 1 ? o->adapters[0]
                                                 : ".";
    TS_TRY(o->json != NULL ? ts_text_format(&path, err, "%s", o->json)
                           : ts_path_join(folder, "evaluation.json", &path, err));
    if (!ts_file_exists(path.bytes)) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "--reviews: there is no %s: name the folder of the evaluation whose review.html "
                "was marked, by --adapter OUT or --output-dir DIR",
                path.bytes);
    }
    TS_TRY(ts_cli_take_reviews(path.bytes, o->reviews, o->review_count, err));
out:
    ts_text_free(&path);
    return status;
}

static ts_status add_adapter(const char *text, void *value, ts_error *err)
{
    struct options *o = value;
    if (text[0] == '\0') {
        return ts_error_set(err, TS_ERR_ARGUMENT, "its value is empty");
    }
    if (o->adapter_count == TINYSFT_MOST_ADAPTERS) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "more than %d side by side",
                            TINYSFT_MOST_ADAPTERS);
    }
    o->adapters[o->adapter_count++] = text;
    return TS_OK;
}

static ts_status add_review(const char *text, void *value, ts_error *err)
{
    struct options *o = value;
    if (o->review_count == TINYSFT_MOST_READERS) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "more than %d files", TINYSFT_MOST_READERS);
    }
    o->reviews[o->review_count++] = text;
    return TS_OK;
}

// ---- The command

static struct options asked = {.max_new_tokens = 64, .examples = 3, .precision = "auto"};

static ts_status add_question(const char *text, void *value, ts_error *err)
{
    struct options *o = value;
    if (strspn(text, " \t\r\n") == strlen(text)) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "an empty question");
    }
    if (ts_utf8_valid_prefix(text, strlen(text)) != strlen(text)) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "the question is not UTF-8");
    }
    if (o->question_count == MOST_QUESTIONS) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "more than %d questions; --data FILE takes them",
                            MOST_QUESTIONS);
    }
    o->questions[o->question_count++] = text;
    return TS_OK;
}

static const ts_flag flags[] = {
    TS_CLI_CONFIG_FLAG,
    {"model", NULL, TS_FLAG_TEXT, &asked.model, "MODEL", TS_CLI_MODEL_HELP},
    {"revision", NULL, TS_FLAG_TEXT, &asked.revision, "NAME", TS_CLI_REVISION_HELP},
    {"adapter", NULL, TS_FLAG_PARSED, &asked, "OUT",
     "PEFT folder, as training writes it; more stand beside it,\nup to 4; without it the base "
     "alone "
     "is evaluated",
     0, 0, false, NULL, add_adapter},
    {"prompt", NULL, TS_FLAG_PARSED, &asked, "TEXT",
     "ask this and print the answers; may be given again", 0, 0, false, NULL, add_question},
    {"data", NULL, TS_FLAG_TEXT, &asked.data, "FILE",
     "the prompts: JSON or JSON lines, such as {\"prompt\": \"...\"}\n[" USUAL_DATA "]"},
    {"examples", NULL, TS_FLAG_UINT, &asked.examples, "N", "answers to print at the end [3]", 0,
     1000},
    {"train-data", NULL, TS_FLAG_TEXT, &asked.train_data, "FILE",
     "what the adapter was trained on, to tell prompts that\ntraining saw [as OUT says]"},
    {"output-dir", NULL, TS_FLAG_TEXT, &asked.output_dir, "DIR",
     "where the reports go [OUT if that is one, else here]"},
    {"png", NULL, TS_FLAG_TEXT, &asked.png, "FILE",
     "where the picture goes\n[evaluation_screenshot.png in that folder]"},
    {"json", NULL, TS_FLAG_TEXT, &asked.json, "FILE",
     "where the figures and answers go as JSON\n[evaluation.json in that folder]"},
    {"reviews", NULL, TS_FLAG_PARSED, &asked, "FILE",
     "take in what somebody marked in review.html of the folder\nof OUT or DIR; may be given "
     "again. "
     "Nothing is asked",
     0, 0, false, NULL, add_review},
    {"png-height", NULL, TS_FLAG_UINT, &asked.png_height, "N",
     "of the picture in pixels, at most N [12000]", 1000, 12000},
    {"max-new-tokens", NULL, TS_FLAG_UINT, &asked.max_new_tokens, "N",
     "tokens of an answer, at most N [64]", 1, MAX_NEW_TOKENS},
    {"chat-template", NULL, TS_FLAG_TEXT, &asked.template, "NAME", TS_CLI_TEMPLATE_HELP,
     .choice = ts_choice_template},
    {"title", NULL, TS_FLAG_TEXT, &asked.title, "TEXT", "of the reports [from the model]"},
    TS_CLI_QUANTIZE_FLAGS(asked.quantize),
    TS_CLI_PRODUCT_FLAGS(asked.precision, "auto", asked.device),
    TS_CLI_VALIDATE_FLAG(asked.device),
    {"profile", NULL, TS_FLAG_SWITCH, &asked.profile, NULL, "tell the time on the device by shader",
     .passing = true},
    TS_CLI_VERBOSE_FLAG,
};

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    struct session session = {.options = &asked};
    bool quiet = false;
    TS_TRY(ts_cli_join_ranks(&quiet, err));
    TS_TRY(ts_flags_parse(&ts_command_eval, argc, argv, err));
    if (asked.review_count > 0) {
        TS_TRY(ts_cli_speaks() ? take_reviews(&asked, err) : TS_OK);
        goto out;
    }
    TS_TRY(ts_flags_need(&ts_command_eval, "model", asked.model != NULL, err));
    TS_TRY(ts_config_print(&ts_command_eval, &session.config, err));
    TS_TRY(open_session(&session, err));
    TS_TRY(tinysft_model_load(session.model, err)); // which finds an adapter that does not fit
    if (ts_cli_speaks()) {
        TS_TRY(prepare_output(&session, err));
    }
    TS_TRY(ask(&session, err));
    if (ts_cli_speaks()) {
        ts_cli_print_profile(&session.profile);
        TS_TRY(report(&session, err));
    }
out:
    close_session(&session);
    if (status == TS_OK) {
        ts_cli_leave_ranks(0);
        return 0;
    }
    int code = quiet ? (int)status : ts_cli_fail(&ts_command_eval, err);
    if (status == TS_ERR_STOPPED) {
        code = 128 + ts_signals_pending();
        error.code = (ts_status)code; // the others end with it too
    }
    ts_cli_fail_ranks(err);
    return code;
}

const ts_command ts_command_eval = {
    .name = "eval",
    .summary = "show side by side what an adapter changed",
    .usage = "--model MODEL [--adapter OUT] [--data FILE | --prompt TEXT] [flags]\n"
             "       tinysft-vk eval --reviews FILE --adapter OUT",
    .needs_less = "a smaller --max-new-tokens or shorter prompts in --data need less memory; or "
                  "take another --device",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .ranks = true,
    .run = run,
};
