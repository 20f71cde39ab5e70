// The commands of `chat`: lines that begin with "/" and do not go to the model. One row each.
#include "cli/chat.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/os.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static ts_status quit(ts_chat *chat, const char *argument, ts_error *err)
{
    (void)argument, (void)err;
    chat->ends = true;
    return TS_OK;
}

static ts_status reset(ts_chat *chat, const char *argument, ts_error *err)
{
    (void)argument, (void)err;
    ts_chat_reset(chat);
    ts_cli_say(stderr, "(the conversation is forgotten)\n");
    return TS_OK;
}

static ts_status set_system(ts_chat *chat, const char *argument, ts_error *err)
{
    ts_status status = ts_chat_set_system(chat, argument, err);
    if (status == TS_OK) {
        ts_cli_say(stderr, argument[0] != '\0' ? "(the system message is set)\n"
                                               : "(there is no system message)\n");
    }
    return status;
}

static bool has_adapter(const ts_chat *chat)
{
    if (!chat->info.has_adapter) {
        ts_cli_say(stderr, "(there is no adapter: --adapter OUT names one)\n");
    }
    return chat->info.has_adapter;
}

static ts_status ask_base(ts_chat *chat, const char *argument, ts_error *err)
{
    (void)argument, (void)err;
    if (has_adapter(chat)) {
        chat->base = true;
        ts_cli_say(stderr, "(the base model answers: the adapter is off)\n");
    }
    return TS_OK;
}

static ts_status ask_tuned(ts_chat *chat, const char *argument, ts_error *err)
{
    (void)argument, (void)err;
    if (has_adapter(chat)) {
        chat->base = false;
        ts_cli_say(stderr, "(the fine-tuned model answers: the adapter is on)\n");
    }
    return TS_OK;
}

static ts_status ask_both(ts_chat *chat, const char *argument, ts_error *err)
{
    if (argument[0] == '\0') {
        ts_cli_say(stderr, "(/both TEXT asks both models)\n");
        return TS_OK;
    }
    return has_adapter(chat) ? ts_chat_ask(chat, argument, true, err) : TS_OK;
}

// The conversation as a row of training data.
static ts_status make_row(const ts_chat *chat, ts_text *out, ts_error *err)
{
    static const char *const roles[] = {
        [TINYSFT_USER] = "user", [TINYSFT_ASSISTANT] = "assistant", [TINYSFT_SYSTEM] = "system"};
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(out, err, "{\"messages\": ["));
    for (size_t i = 0; i < chat->count; i++) {
        TS_TRY(ts_text_format(out, err, "%s{\"role\": \"%s\", \"content\": ", i > 0 ? ", " : "",
                              roles[chat->turns[i].role]));
        TS_TRY(ts_json_quote(out, chat->turns[i].text, err));
        TS_TRY(ts_text_format(out, err, "}"));
    }
    TS_TRY(ts_text_format(out, err, "]}\n"));
out:
    return status;
}

// Appends to what the file holds, so that several conversations become rows of one file.
static ts_status append_row(const char *path, ts_text *row, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text all = {0};
    bool found;
    TS_TRY(ts_file_find(path, &found, err));
    if (found) {
        TS_TRY(ts_file_read(path, 1u << 30, &all, err));
    }
    if (all.len > 0 && all.bytes[all.len - 1] != '\n') {
        TS_TRY(ts_text_append(&all, "\n", 1, err));
    }
    TS_TRY(ts_text_append(&all, row->bytes, row->len, err));
    TS_TRY(ts_file_write(path, all.bytes, all.len, err));
out:
    ts_text_free(&all);
    return status;
}

static ts_status save(ts_chat *chat, const char *argument, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text row = {0};
    ts_error failure = {0};
    if (argument[0] == '\0' || chat->count == 0) {
        ts_cli_say(stderr, argument[0] == '\0' ? "(/save FILE names where to)\n"
                                               : "(there is nothing to save yet)\n");
        return TS_OK;
    }
    TS_TRY(make_row(chat, &row, err));
    if (append_row(argument, &row, &failure) == TS_OK) {
        ts_cli_say(stderr, "(the conversation is now the last row of %s, as train reads it)\n",
                   argument);
    } else { // a wrong path does not end the conversation
        ts_cli_say(stderr, "(not saved: %s)\n", failure.message);
    }
out:
    ts_text_free(&row);
    return status;
}

static ts_status help(ts_chat *chat, const char *argument, ts_error *err);

static const struct command {
    const char *name, *argument, *help;
    ts_status (*run)(ts_chat *chat, const char *argument, ts_error *err);
} commands[] = {
    {"help", "", "what may be said here", help},
    {"both", "TEXT", "ask the base and the fine-tuned model", ask_both},
    {"base", "", "from now on the base model answers", ask_base},
    {"tuned", "", "from now on the fine-tuned model answers", ask_tuned},
    {"system", "TEXT", "what the model is told first; without TEXT nothing", set_system},
    {"reset", "", "forget the conversation", reset},
    {"save", "FILE", "add the conversation to FILE as a row of training data", save},
    {"quit", "", "end (Ctrl-D does too)", quit},
};

static ts_status help(ts_chat *chat, const char *argument, ts_error *err)
{
    enum { COLUMN = 18 };
    (void)chat, (void)argument, (void)err;
    for (size_t i = 0; i < TS_COUNT(commands); i++) {
        char left[64];
        snprintf(left, sizeof left, "/%s %s", commands[i].name, commands[i].argument);
        ts_cli_print_entry(stderr, COLUMN, left, commands[i].help);
    }
    ts_cli_say(stderr, "Ctrl-C stops an answer. Anything else is asked.\n");
    return TS_OK;
}

ts_status ts_chat_command(ts_chat *chat, const char *line, ts_error *err)
{
    size_t len = strcspn(line + 1, " \t");
    const char *argument = line + 1 + len;
    argument += strspn(argument, " \t");
    for (size_t i = 0; i < TS_COUNT(commands); i++) {
        if (strlen(commands[i].name) == len && strncmp(commands[i].name, line + 1, len) == 0) {
            return commands[i].run(chat, argument, err);
        }
    }
    ts_cli_say(stderr, "(there is no /%.*s; /help lists what there is)\n", (int)len, line + 1);
    return TS_OK;
}
