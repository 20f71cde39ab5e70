#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "data/chat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// {"text"} in, {"ids", "decoded"} out. `number` is the line's, for error messages.
static ts_status tokenize_line(const ts_tokenizer *tokenizer, const char *line, size_t len,
                               size_t number, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *row = NULL;
    ts_tokens tokens = {0};
    ts_text decoded = {0}, quoted = {0};
    const char *text;
    size_t text_len;
    char name[64];
    snprintf(name, sizeof name, "standard input:%zu", number);
    TS_TRY(ts_json_parse_at(line, len, "standard input", number, 1, &row, err));
    TS_TRY(ts_json_get_string(row, "text", name, &text, &text_len, err));
    TS_TRY(ts_tokenizer_encode(tokenizer, text, text_len, TS_SPECIALS_AS_TOKENS, &tokens, err));
    TS_TRY(ts_tokenizer_decode(tokenizer, tokens.ids, tokens.count, false, &decoded, err));
    TS_TRY(ts_json_quote_bytes(&quoted, decoded.bytes, decoded.len, err));
    printf("{\"ids\": [");
    for (size_t i = 0; i < tokens.count; i++) {
        printf(i > 0 ? ", %u" : "%u", tokens.ids[i]);
    }
    printf("], \"decoded\": %s}\n", quoted.bytes);
out:
    cJSON_Delete(row);
    ts_tokens_free(&tokens);
    ts_text_free(&decoded);
    ts_text_free(&quoted);
    return status;
}

// {"messages", "add_generation_prompt"} in, {"text", "ids"} out: what the model would be given.
static ts_status render_line(ts_chat_template *template, const char *line, size_t len,
                             size_t number, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *row = NULL;
    ts_tokens tokens = {0};
    ts_text quoted = {0};
    size_t rendered = 0;
    char name[64];
    snprintf(name, sizeof name, "standard input:%zu", number);
    TS_TRY(ts_json_parse_at(line, len, "standard input", number, 1, &row, err));
    TS_TRY(ts_chat_encode_json(template, row, name, &tokens, err));
    const char *text = ts_chat_rendered(template, &rendered);
    TS_TRY(ts_json_quote_bytes(&quoted, text, rendered, err));
    printf("{\"text\": %s, \"ids\": [", quoted.bytes);
    for (size_t i = 0; i < tokens.count; i++) {
        printf(i > 0 ? ", %u" : "%u", tokens.ids[i]);
    }
    printf("]}\n");
out:
    cJSON_Delete(row);
    ts_tokens_free(&tokens);
    ts_text_free(&quoted);
    return status;
}

static struct {
    const char *model, *revision, *template;
    bool chat;
} asked;

static const ts_flag flags[] = {
    {"model", NULL, TS_FLAG_TEXT, &asked.model, "MODEL", TS_CLI_MODEL_HELP, 0, 0, true},
    {"revision", NULL, TS_FLAG_TEXT, &asked.revision, "NAME", TS_CLI_REVISION_HELP},
    {"chat", NULL, TS_FLAG_SWITCH, &asked.chat, NULL,
     "lines are {\"messages\", \"add_generation_prompt\"}, which\nthe chat template renders; out "
     "come {\"text\", \"ids\"}"},
    {"chat-template", NULL, TS_FLAG_TEXT, &asked.template, "NAME", TS_CLI_TEMPLATE_HELP,
     .choice = ts_choice_template},
    TS_CLI_VERBOSE_FLAG,
};

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    ts_text folder = {0};
    ts_weights *model = NULL;
    ts_tokenizer *tokenizer = NULL;
    ts_chat_template *template = NULL;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    TS_TRY(ts_flags_parse(&ts_command_tokenize, argc, argv, err));
    TS_TRY(ts_cli_resolve_model(asked.model, asked.revision, false, &folder, err));
    TS_TRY(ts_weights_open(folder.bytes, &model, err));
    TS_TRY(ts_tokenizer_open(model, &tokenizer, err));
    if (asked.chat) {
        TS_TRY(ts_chat_template_open(model, asked.template, tokenizer, &template, err));
    } else if (asked.template != NULL) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "--chat-template is for --chat: without --chat lines are plain texts");
    }
    for (size_t number = 1; (len = getline(&line, &capacity, stdin)) >= 0; number++) {
        if (ferror(stdout)) { // main reports why (ts_cli_close_standard)
            goto out;
        }
        if (strspn(line, " \t\r\n") != (size_t)len) {
            TS_TRY(template != NULL ? render_line(template, line, (size_t)len, number, err)
                                    : tokenize_line(tokenizer, line, (size_t)len, number, err));
        }
    }
    if (!feof(stdin)) {
        TS_FAIL(TS_ERR_IO, "standard input: cannot be read: %s", strerror(errno));
    }
out:
    free(line);
    ts_text_free(&folder);
    ts_chat_template_close(template);
    ts_tokenizer_close(tokenizer);
    ts_weights_close(model);
    return status == TS_OK ? 0 : ts_cli_fail(&ts_command_tokenize, err);
}

const ts_command ts_command_tokenize = {
    .name = "tokenize",
    .summary = "show a model's tokens: {\"text\"} in, {\"ids\", \"decoded\"} out",
    .usage = "--model MODEL [--chat] < LINES",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
