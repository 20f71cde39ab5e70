#include "cli/chat.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/terminal.h"
#include "cli/chat_line.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_PROMPT "\n(Ctrl-C once more, or Ctrl-D, ends the chat)\n"

// ---- The conversation

static ts_status push(ts_chat *chat, tinysft_role role, const char *text, ts_error *err)
{
    ts_status status = TS_OK;
    char *copy = NULL;
    size_t len = strlen(text);
    TS_TRY(ts_grow(&chat->turns, &chat->capacity, chat->count + 1, sizeof *chat->turns, err));
    TS_TRY(ts_alloc(len + 1, 1, &copy, err));
    memcpy(copy, text, len);
    chat->turns[chat->count++] = (tinysft_message){role, copy};
out:
    return status;
}

// Forgets turns from .. from + count - 1.
static void forget(ts_chat *chat, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++) {
        free((void *)(uintptr_t)chat->turns[i].text);
    }
    memmove(chat->turns + from, chat->turns + from + count,
            (chat->count - from - count) * sizeof *chat->turns);
    chat->count -= count;
}

static bool has_system(const ts_chat *chat)
{
    return chat->count > 0 && chat->turns[0].role == TINYSFT_SYSTEM;
}

void ts_chat_free(ts_chat *chat)
{
    forget(chat, 0, chat->count);
    free(chat->turns);
    *chat = (ts_chat){0};
}

void ts_chat_reset(ts_chat *chat)
{
    size_t kept = has_system(chat);
    forget(chat, kept, chat->count - kept);
}

ts_status ts_chat_set_system(ts_chat *chat, const char *text, ts_error *err)
{
    if (has_system(chat)) {
        forget(chat, 0, 1);
    }
    if (text[0] == '\0') {
        return TS_OK;
    }
    ts_status status = push(chat, TINYSFT_SYSTEM, text, err);
    if (status == TS_OK) { // it goes before what was said
        const tinysft_message system = chat->turns[chat->count - 1];
        memmove(chat->turns + 1, chat->turns, (chat->count - 1) * sizeof *chat->turns);
        chat->turns[0] = system;
    }
    return status;
}

// ---- Answers

// One answer as it comes.
struct answering {
    const ts_chat *chat;
    cJSON *tokens; // with --json
    double first_s;
};

static tinysft_next show_token(void *user, const tinysft_token *token)
{
    struct answering *a = user;
    if (a->first_s == 0) {
        a->first_s = ts_clock_s();
    }
    if (!a->chat->json) {
        ts_terminal_write(stdout, token->text, token->bytes);
        fflush(stdout);
    } else if (token->id != UINT32_MAX) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddNumberToObject(entry, "id", token->id);
        cJSON_AddNumberToObject(entry, "log_probability", token->log_probability);
        cJSON_AddItemToArray(a->tokens, entry);
    }
    return TINYSFT_GO_ON; // Ctrl-C interrupts (ts_cli_caller)
}

static const char *name_of(bool base, const ts_chat *chat)
{
    return base || !chat->info.has_adapter ? "base" : "tuned";
}

static ts_status print_line(const char *question, const char *model, cJSON **tokens,
                            const tinysft_answer *answer, ts_error *err)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "prompt", question);
    cJSON_AddStringToObject(json, "model", model);
    cJSON_AddStringToObject(json, "text", answer->text);
    cJSON_AddBoolToObject(json, "ended", answer->ended);
    cJSON_AddNumberToObject(json, "prompt_tokens", answer->prompt_tokens);
    cJSON_AddNumberToObject(json, "computed_tokens", answer->computed_tokens);
    cJSON_AddItemToObject(json, "tokens", *tokens);
    *tokens = NULL;
    return ts_cli_print_json_line(json, err);
}

static void tell_how(const ts_chat *chat, const tinysft_answer *answer, double started_s,
                     double first_s)
{
    double now_s = ts_clock_s();
    if (answer->dropped > 0) {
        ts_cli_say(stderr,
                   "(the conversation is longer than the %u tokens that fit: its oldest %zu "
                   "messages are forgotten; --context N makes more room)\n",
                   chat->info.positions, answer->dropped);
    }
    if (ts_signals_pending() != 0) {
        ts_cli_say(stderr, "(stopped)\n");
    } else if (!answer->ended) {
        ts_cli_say(stderr, "(cut off after %u tokens: --max-new-tokens N, or --context N)\n",
                   answer->tokens);
    }
    if (ts_cli_verbose) {
        ts_cli_say(stderr,
                   "(%u of the question's %u tokens computed in %.2f s; %u tokens, %.1f a "
                   "second)\n",
                   answer->computed_tokens, answer->prompt_tokens, first_s - started_s,
                   answer->tokens, answer->tokens / (now_s - first_s + 1e-9));
    }
}

// Lets one of the models answer the last question of the conversation.
static ts_status answer(ts_chat *chat, bool base, tinysft_answer *out, ts_error *err)
{
    ts_status status = TS_OK;
    double started_s = ts_clock_s();
    struct answering answering = {.chat = chat, .tokens = chat->json ? cJSON_CreateArray() : NULL};
    tinysft_generate_params params = {.messages = chat->turns,
                                      .message_count = chat->count,
                                      .max_new_tokens = chat->max_new_tokens,
                                      .without_adapter = base,
                                      .sampling = chat->sampling,
                                      .log_probabilities = chat->json,
                                      .drop_oldest = true,
                                      .on_token = show_token,
                                      .user = &answering};
    params.sampling.seed += chat->answers++;
    TS_TRY(tinysft_generate(chat->model, &params, out, err));
    if (chat->json) {
        TS_TRY(print_line(chat->turns[chat->count - 1].text, name_of(base, chat), &answering.tokens,
                          out, err));
    } else {
        putchar('\n');
        fflush(stdout);
    }
    tell_how(chat, out, started_s, answering.first_s > 0 ? answering.first_s : ts_clock_s());
out:
    cJSON_Delete(answering.tokens);
    return status;
}

// Errors that concern this question alone: they are printed, and the conversation goes on without
// it.
static bool is_no_reason_to_end(ts_status status)
{
    return status == TS_ERR_FORMAT || status == TS_ERR_ARGUMENT;
}

ts_status ts_chat_ask(ts_chat *chat, const char *text, bool both, ts_error *err)
{
    ts_status status = TS_OK;
    tinysft_answer first = {0}, last = {0};
    TS_TRY(push(chat, TINYSFT_USER, text, err));
    ts_signals_wait(false, "");
    if (both) {
        ts_cli_say(chat->json ? stderr : stdout, "base: ");
        TS_TRY(answer(chat, true, &first, err));
        ts_cli_say(chat->json ? stderr : stdout, "tuned: ");
    }
    if (ts_signals_pending() == 0) {
        TS_TRY(answer(chat, both ? false : chat->base, &last, err));
    }
    forget(chat, has_system(chat), last.dropped);
    TS_TRY(push(chat, TINYSFT_ASSISTANT, last.text != NULL ? last.text : "", err));
out:
    tinysft_answer_free(&first);
    tinysft_answer_free(&last);
    if (is_no_reason_to_end(status)) {
        ts_cli_say(stderr, "(%s)\n", err->message);
        forget(chat, chat->count - 1, 1);
        *err = (ts_error){0};
        status = TS_OK;
    }
    return status;
}

// ---- The command

struct options {
    const char *model, *revision, *adapter, *template, *system, *prompt, *precision, *quantize;
    uint64_t max_new_tokens, context, top_k, seed;
    double temperature, top_p, min_p, repeat_penalty;
    bool json;
    ts_gpu_params device;
};

static struct options asked = {
    .max_new_tokens = 512, .precision = "auto", .top_p = 1, .repeat_penalty = 1, .seed = 42};

static const ts_flag flags[] = {
    TS_CLI_CONFIG_FLAG,
    {"model", NULL, TS_FLAG_TEXT, &asked.model, "MODEL", TS_CLI_MODEL_HELP, 0, 0, true},
    {"revision", NULL, TS_FLAG_TEXT, &asked.revision, "NAME", TS_CLI_REVISION_HELP},
    {"adapter", NULL, TS_FLAG_TEXT, &asked.adapter, "OUT", "PEFT folder, as training writes it"},
    {"prompt", NULL, TS_FLAG_TEXT, &asked.prompt, "TEXT",
     "ask this, print the answer, and end; otherwise each line\nof standard input is asked"},
    {"system", NULL, TS_FLAG_TEXT, &asked.system, "TEXT", "what the model is told first"},
    {"max-new-tokens", NULL, TS_FLAG_UINT, &asked.max_new_tokens, "N", "of an answer [512]", 1,
     100000},
    {"context", "ctx-size", TS_FLAG_UINT, &asked.context, "N",
     "tokens of a conversation [2048, or what the model takes]", 0, 1 << 24},
    {"temperature", "temp", TS_FLAG_REAL, &asked.temperature, "X",
     "0: the likeliest token; 0.7: some variety [0]", 0, 100},
    {"top-k", NULL, TS_FLAG_UINT, &asked.top_k, "N", "only the N likeliest tokens [all]", 0,
     1 << 24},
    {"top-p", NULL, TS_FLAG_REAL, &asked.top_p, "X",
     "only the likeliest that together have probability X [1]", 0, 1},
    {"min-p", NULL, TS_FLAG_REAL, &asked.min_p, "X",
     "only those at least X times as likely as the likeliest [0]", 0, 1},
    {"repeat-penalty", "repetition-penalty", TS_FLAG_REAL, &asked.repeat_penalty, "X",
     "above 1: fewer repetitions [1]", 0, 100},
    {"seed", NULL, TS_FLAG_UINT, &asked.seed, "N", "the same one repeats a conversation [42]", 0,
     0x1p53},
    {"chat-template", NULL, TS_FLAG_TEXT, &asked.template, "NAME", TS_CLI_TEMPLATE_HELP,
     .choice = ts_choice_template},
    TS_CLI_JSON_FLAG(&asked.json),
    TS_CLI_QUANTIZE_FLAGS(asked.quantize),
    TS_CLI_PRODUCT_FLAGS(asked.precision, "auto", asked.device),
    TS_CLI_VALIDATE_FLAG(asked.device),
    TS_CLI_VERBOSE_FLAG,
};

static ts_status converse(ts_chat *chat, ts_error *err)
{
    ts_status status = TS_OK;
    bool person = ts_os_is_terminal(stdin);
    if (person) {
        ts_cli_say(stderr, "%s. /help lists commands, Ctrl-C stops an answer, Ctrl-D ends.\n",
                   chat->info.has_adapter ? "The fine-tuned model listens" : "The model listens");
    }
    while (!chat->ends) {
        ts_signals_wait(true, AT_PROMPT);
        char *line = ts_chat_read_line("> ");
        if (line == NULL) {
            break;
        }
        bool blank = line[strspn(line, " \t")] == '\0';
        status = blank            ? TS_OK
                 : line[0] == '/' ? ts_chat_command(chat, line, err)
                                  : ts_chat_ask(chat, line, false, err);
        free(line);
        TS_TRY(status);
    }
    if (person && !chat->ends) {
        putchar('\n');
    }
out:
    return status;
}

static ts_status open_chat(const struct options *o, tinysft_device **device, ts_progress *loading,
                           ts_chat *chat, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text folder = {0};
    const tinysft_device_params wanted = ts_cli_device_params(&o->device, o->precision);
    TS_TRY(tinysft_device_open(&wanted, device, err));
    TS_TRY(ts_cli_resolve_model(o->model, o->revision, true, &folder, err));
    const tinysft_model_params model = {.model = folder.bytes,
                                        .name = o->model,
                                        .adapter = o->adapter,
                                        .chat_template = o->template,
                                        .quantize = o->quantize,
                                        .positions = (uint32_t)o->context,
                                        .loading = ts_cli_show_file,
                                        .loading_user = loading};
    TS_TRY(tinysft_model_open(*device, &model, &chat->model, err));
    TS_TRY(tinysft_model_load(chat->model, err));
    TS_TRY(tinysft_model_describe(chat->model, &chat->info, err));
    TS_TRY(ts_chat_set_system(chat, o->system != NULL ? o->system : "", err));
out:
    ts_text_free(&folder);
    return status;
}

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    const struct options *o = &asked;
    tinysft_device *device = NULL;
    ts_progress loading = {0};
    ts_chat chat = {0};
    TS_TRY(ts_flags_parse(&ts_command_chat, argc, argv, err));
    chat = (ts_chat){.json = o->json,
                     .max_new_tokens = (uint32_t)o->max_new_tokens,
                     .sampling = {.repeat_penalty = o->repeat_penalty,
                                  .temperature = o->temperature,
                                  .top_k = (uint32_t)o->top_k,
                                  .top_p = o->top_p,
                                  .min_p = o->min_p,
                                  .seed = o->seed}};
    TS_TRY(open_chat(o, &device, &loading, &chat, err));
    ts_signals_install("");
    status = o->prompt != NULL ? ts_chat_ask(&chat, o->prompt, false, err) : converse(&chat, err);
out:
    tinysft_model_close(&chat.model);
    ts_chat_free(&chat);
    tinysft_device_close(&device);
    return status == TS_OK ? 0 : ts_cli_fail(&ts_command_chat, err);
}

const ts_command ts_command_chat = {
    .name = "chat",
    .summary = "talk to a model, with and without its adapter",
    .usage = "--model MODEL [--adapter OUT] [--prompt TEXT] [flags]",
    .needs_less = "a smaller --context needs less memory; or take another --device",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
