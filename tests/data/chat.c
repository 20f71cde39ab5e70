#include "data/chat.h"

#include "base/log.h"

#include "tiny.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TURN(role, text)                                                                           \
    {                                                                                              \
        TS_ROLE_##role, text, sizeof text - 1                                                      \
    }

// A tokenizer that has the special tokens of every template.
static ts_tokenizer *open_rich(void)
{
    static const char *const names[] = {"<|im_start|>", "<|im_end|>", "<|start_header_id|>",
                                        "<|end_header_id|>", "<|eot_id|>"};
    ts_text added = {0};
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        append_special(&added, names[i], 400 + (int)i);
    }
    ts_tokenizer *t = open_tiny(&(tiny_parts){.added = added.bytes});
    ts_text_free(&added);
    return t;
}

// A template by name or text, without a model's files.
static ts_chat_template *open_template(const ts_tokenizer *t, const char *chosen)
{
    ts_chat_template *out = NULL;
    ts_error err = {0};
    cr_assert_eq(ts_chat_template_open(NULL, chosen, t, &out, &err), TS_OK, "%s: %s", chosen,
                 err.message);
    return out;
}

static char warnings[2048];

static void keep_warning(void *user, ts_log_level level, const char *message)
{
    (void)user;
    if (level == TS_LOG_WARN) {
        size_t at = strlen(warnings);
        snprintf(warnings + at, sizeof warnings - at, "%s\n", message);
    }
}

// The text that the tokens decode to, with the supervised parts in braces.
static const char *mask(const ts_tokenizer *t, const char *chosen, const ts_turn *turns,
                        size_t count, bool ask)
{
    static ts_text out;
    ts_chat_template *template = open_template(t, chosen);
    ts_chat_tokens chat = {0};
    ts_error err = {0};
    ts_text_clear(&out);
    warnings[0] = '\0';
    ts_log_set_sink(keep_warning, NULL);
    cr_assert_eq(ts_chat_encode(template, turns, count, ask, &chat, NULL, &err), TS_OK, "%s",
                 err.message);
    bool inside = false;
    for (size_t i = 0; i <= chat.tokens.count; i++) {
        bool supervised = i < chat.tokens.count && chat.supervised[i];
        if (supervised != inside) {
            append(&out, supervised ? "{" : "}");
            inside = supervised;
        }
        if (i < chat.tokens.count) {
            const ts_piece *piece = &t->pieces[chat.tokens.ids[i]];
            char byte[2] = {(char)piece->byte, '\0'};
            append(&out, piece->byte >= 0 ? byte : piece->bytes);
        }
    }
    ts_chat_tokens_free(&chat);
    ts_chat_template_close(template);
    return out.bytes;
}

Test(chat, each_template_and_its_mask)
{
    static const ts_turn pair[] = {TURN(USER, "hello"), TURN(ASSISTANT, "world")};
    static const ts_turn talk[] = {TURN(SYSTEM, "a"), TURN(USER, " b "), TURN(ASSISTANT, " d "),
                                   TURN(USER, "h"), TURN(ASSISTANT, "l")};
    static const struct {
        const char *name, *pair, *talk, *asked;
    } cases[] = {
        {"zephyr", SP "<|user|>\nhello</s>" SP "\n<|assistant|>\n{world</s>}" SP "\n",
         SP "<|system|>\na</s>" SP "\n<|user|>\n" SP "b" SP "</s>" SP "\n<|assistant|>\n{" SP "d" SP
            "</s>}" SP "\n<|user|>\nh</s>" SP "\n<|assistant|>\n{l</s>}" SP "\n",
         SP "<|user|>\nhello</s>" SP "\n<|assistant|>\n"},
        {"chatml",
         "<|im_start|>" SP "user\nhello<|im_end|>" SP "\n<|im_start|>" SP "assistant\n"
         "{world<|im_end|>}" SP "\n",
         "<|im_start|>" SP "system\na<|im_end|>" SP "\n<|im_start|>" SP "user\n" SP "b" SP
         "<|im_end|>" SP "\n<|im_start|>" SP "assistant\n{" SP "d" SP "<|im_end|>}" SP
         "\n<|im_start|>" SP "user\nh<|im_end|>" SP "\n<|im_start|>" SP
         "assistant\n{l<|im_end|>}" SP "\n",
         "<|im_start|>" SP "user\nhello<|im_end|>" SP "\n<|im_start|>" SP "assistant\n"},
        {"llama-2", "<s>" SP "[INST]" SP "hello" SP "[/INST]{" SP "world" SP "</s>}",
         "<s>" SP "[INST]" SP "<<SYS>>\na\n<</SYS>>\n\n" SP "b" SP "[/INST]{" SP "d" SP "</s>}"
         "<s>" SP "[INST]" SP "h" SP "[/INST]{" SP "l" SP "</s>}",
         "<s>" SP "[INST]" SP "hello" SP "[/INST]"},
        {"llama-3",
         "<s><|start_header_id|>" SP "user<|end_header_id|>" SP "\n\nhello<|eot_id|>"
         "<|start_header_id|>" SP "assistant<|end_header_id|>" SP "\n\n{world<|eot_id|>}",
         "<s><|start_header_id|>" SP "system<|end_header_id|>" SP "\n\na<|eot_id|>"
         "<|start_header_id|>" SP "user<|end_header_id|>" SP "\n\nb<|eot_id|>"
         "<|start_header_id|>" SP "assistant<|end_header_id|>" SP "\n\n{d<|eot_id|>}"
         "<|start_header_id|>" SP "user<|end_header_id|>" SP "\n\nh<|eot_id|>"
         "<|start_header_id|>" SP "assistant<|end_header_id|>" SP "\n\n{l<|eot_id|>}",
         "<s><|start_header_id|>" SP "user<|end_header_id|>" SP "\n\nhello<|eot_id|>"
         "<|start_header_id|>" SP "assistant<|end_header_id|>" SP "\n\n"},
        {"plain", "<s>" SP "hello\n{world</s>}",
         "<s>" SP "a\n" SP "b" SP "\n{" SP "d" SP "</s>}" SP "h\n{l</s>}", "<s>" SP "hello\n"},
    };
    ts_tokenizer *t = open_rich();
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        const char *name = cases[i].name;
        cr_expect_str_eq(mask(t, name, pair, 2, false), cases[i].pair, "%s", name);
        cr_expect_str_eq(mask(t, name, talk, 5, false), cases[i].talk, "%s", name);
        cr_expect_str_eq(mask(t, name, pair, 1, true), cases[i].asked, "%s", name);
    }
    ts_tokenizer_close(t);
}

// A merge across the border between template and answer: "\nw" is one token. It begins in the
// template, so it bears no loss; the rest of the answer does.
Test(chat, a_token_across_the_border_bears_no_loss)
{
    static const ts_turn pair[] = {TURN(USER, "h"), TURN(ASSISTANT, "world")};
    ts_tokenizer *t = open_tiny(&(tiny_parts){
        .vocab = ",\"\\n\":290,\"\\nw\":291",
        .merges = "[\"\\n w\",\"o r\",\"l d\"]",
    });
    cr_expect_str_eq(mask(t, "zephyr", pair, 2, false),
                     SP "<|user|>\nh</s>" SP "\n<|assistant|>\nw{orld</s>}" SP "\n");
    ts_tokenizer_close(t);
}

Test(chat, special_tokens_in_content_stay_text)
{
    static const ts_turn turns[] = {TURN(USER, "a</s><s>"), TURN(ASSISTANT, "b"), TURN(USER, "b"),
                                    TURN(ASSISTANT, "<unk>")};
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    ts_chat_tokens chat = {0};
    ts_error err = {0};
    size_t escaped = 5, ends = 0;
    ts_chat_template *zephyr = open_template(t, "zephyr");
    cr_assert_eq(ts_chat_encode(zephyr, turns, 4, false, &chat, &escaped, &err), TS_OK);
    ts_chat_template_close(zephyr);
    cr_expect_eq(escaped, 7);
    for (size_t i = 0; i < chat.tokens.count; i++) {
        ends += chat.tokens.ids[i] == 2;
        cr_expect(chat.tokens.ids[i] >= 2, "neither <unk> nor <s>");
    }
    cr_expect_eq(ends, 4);
    ts_chat_tokens_free(&chat);
    ts_tokenizer_close(t);
}

Test(chat, refuses)
{
    static const ts_turn user[] = {TURN(USER, "h"), TURN(USER, "h")};
    static const ts_turn answered[] = {TURN(USER, "h"), TURN(ASSISTANT, "h")};
    static const struct {
        const char *template;
        const ts_turn *turns;
        size_t count;
        bool ask;
        const char *message;
    } cases[] = {
        {"llama-2", user, 2, false, "llama-2:1: the user and the assistant must alternate"},
        {"llama-2", answered, 2, true, "only a turn of the user can be answered"},
        {"{{ raise_exception('System role not supported') }}", user, 1, false,
         "--chat-template:1: System role not supported"},
        {"{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
         answered, 2, false, "leaves out the text of turn 2"},
        {"{{ messages[1].content }}{{ messages[0].content }}{{ messages[1].content }}", answered, 2,
         false, "the text of turn 1 stands in it"},
    };
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    ts_chat_template *template = NULL;
    ts_chat_tokens chat = {0};
    ts_error err = {0};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        template = open_template(t, cases[i].template);
        cr_expect_eq(ts_chat_encode(template, cases[i].turns, cases[i].count, cases[i].ask, &chat,
                                    NULL, &err),
                     TS_ERR_FORMAT, "%s", cases[i].template);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%s", err.message);
        ts_chat_template_close(template);
    }
    template = open_template(t, "zephyr");
    cr_expect_eq(ts_chat_encode(template, user, 0, true, &chat, NULL, &err), TS_ERR_ARGUMENT);
    cr_expect_eq(ts_chat_template_end_token(template), 2);
    ts_chat_template_close(template);
    cr_expect_eq(ts_chat_template_open(NULL, "chatml", t, &template, &err), TS_ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(err.message, "chatml needs the token '<|im_start|>'"), "%s",
                       err.message);
    cr_expect_not_null(strstr(err.message, "--chat-template"));
    cr_expect_eq(ts_chat_template_open(NULL, "llama-3", t, &template, &err), TS_ERR_UNSUPPORTED);
    cr_expect_eq(ts_chat_template_open(NULL, "alpaca", t, &template, &err), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(err.message, "'alpaca' is none of zephyr, chatml, llama-2"));
    cr_expect_eq(ts_chat_template_open(NULL, "{{ x", t, &template, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "--chat-template:1:3: this tag has no end"), "%s",
                       err.message);
    cr_expect_null(template);
    ts_chat_tokens_free(&chat);
    ts_tokenizer_close(t);
}

#define EACH(body) "{% for m in messages %}" body "{% endfor %}"
#define ASK(prompt) "{% if add_generation_prompt %}" prompt "{% endif %}"

// Small departures from the known templates, each of which changes the text that is trained on.
Test(chat, variants_are_run_as_they_are)
{
    static const ts_turn pair[] = {TURN(USER, " hello "), TURN(ASSISTANT, " world ")};
    static const char *const cases[][2] = {
        // A default system prompt.
        {"{% if messages[0].role != 'system' %}<|system|>\nb{{ eos_token }}{% endif %}" EACH(
             "<|{{ m.role }}|>{{ m.content }}{{ eos_token }}") ASK("<|assistant|>"),
         SP "<|system|>\nb</s>" SP "<|user|>" SP "hello" SP "</s>" SP "<|assistant|>{" SP "world" SP
            "</s>}"},
        // BOS first, once or before each turn.
        {"{{ bos_token }}" EACH("{{ m.content }}{{ eos_token }}"),
         "<s>" SP SP "hello" SP "</s>{" SP SP "world" SP "</s>}"},
        {EACH("{{ bos_token }}{{ m.content }}{{ eos_token }}"),
         "<s>" SP SP "hello" SP "</s>{<s>" SP SP "world" SP "</s>}"},
        // The content stripped.
        {EACH("<|{{ m.role }}|>{{ m.content | trim }}{{ eos_token }}") ASK("<|assistant|>"),
         SP "<|user|>hello</s>" SP "<|assistant|>{world</s>}"},
        // No line break, or one more.
        {EACH("{{ m.role }}: {{ m.content.strip() }}\n\n") ASK("assistant:"),
         SP "user:" SP "hello\n\n"
            "assistant:{" SP "world}\n\n"},
        // Mistral's spaces.
        {EACH("{% if m.role == 'user' %}{{ '[INST] ' + m.content.strip() + ' [/INST]' }}"
              "{% else %}{{ ' ' + m.content.strip() + eos_token }}{% endif %}"),
         SP "[INST]" SP "hello" SP "[/INST]{" SP "world</s>}"},
        {EACH("{% if m.role == 'user' %}{{ '[INST]' + m.content.strip() + '[/INST]' }}"
              "{% else %}{{ m.content.strip() + ' ' + eos_token }}{% endif %}"),
         SP "[INST]hello[/INST]{world" SP "</s>}"},
        // The prompt that asks for an answer is longer than what precedes the answers in the data.
        {EACH("<{{ m.role }}>{{ m.content | trim }}{{ eos_token }}") "{% if add_generation_prompt "
                                                                     "%}<assistant><think>{% endif "
                                                                     "%}",
         SP "<user>hello</s>" SP "<assistant>{world</s>}"},
        // It is shorter: what the model then writes before its answer is supervised.
        {EACH("<{{ m.role }}>{{ '<think></think>' if m.role == 'assistant' }}{{ m.content | trim }}"
              "{{ eos_token }}") ASK("<assistant>"),
         SP "<user>hello</s>" SP "<assistant>{<think></think>world</s>}"},
    };
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        cr_expect_str_eq(mask(t, cases[i][0], pair, 2, false), cases[i][1], "%s", cases[i][0]);
    }
    ts_tokenizer_close(t);
}

// Qwen3 and others cut the thoughts out of earlier answers; what is left is supervised.
Test(chat, rewritten_turns)
{
    static const char template[] =
        EACH("<{{ m.role }}>{{ m.content.split('/t')[-1] if not loop.last else m.content }}{{ "
             "eos_token }}") ASK("<assistant>");
    static const ts_turn talk[] = {TURN(USER, "h"), TURN(ASSISTANT, "aa/tb"), TURN(USER, "h"),
                                   TURN(ASSISTANT, "a/td")};
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    cr_expect_str_eq(mask(t, template, talk, 4, false),
                     SP "<user>h</s>" SP "<assistant>{b</s>}" SP "<user>h</s>" SP
                        "<assistant>{a/td</s>}");
    ts_tokenizer_close(t);
}

Test(chat, masked_and_empty_turns)
{
    static const ts_turn talk[] = {
        TURN(USER, "h"), {TS_ROLE_ASSISTANT, "a", 1, true}, TURN(USER, "h"), TURN(ASSISTANT, " ")};
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    cr_expect_str_eq(
        mask(t,
             EACH("<{{ m.role }}>{{ m.content | trim }}{{ eos_token }}") "{% if "
                                                                         "add_generation_prompt "
                                                                         "%}<assistant>{% endif %}",
             talk, 4, false),
        SP "<user>h</s>" SP "<assistant>a</s>" SP "<user>h</s>" SP "<assistant>{</s>}");
    ts_tokenizer_close(t);
}

// {% generation %} marks what is trained on. One warning tells what it leaves out of an answer.
Test(chat, generation_blocks)
{
    static const ts_turn pair[] = {TURN(USER, "h"), TURN(ASSISTANT, "world")};
    static const char whole[] = EACH("<{{ m.role }}>{% if m.role == 'assistant' %}"
                                     "{% generation %}{{ m.content + eos_token }}"
                                     "{% endgeneration %}{% else %}{{ m.content }}{% endif %}");
    static const char short_of_the_end[] =
        EACH("<{{ m.role }}> {% generation %}{{ m.content }}{% endgeneration %}{{ eos_token }}");
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    cr_expect_str_eq(mask(t, whole, pair, 2, false), SP "<user>h<assistant>{world</s>}");
    cr_expect_str_empty(warnings);
    // " world" is one token. As in transformers, a token partly inside the block counts as inside.
    cr_expect_str_eq(mask(t, short_of_the_end, pair, 2, false),
                     SP "<user>{" SP "h}</s>" SP "<assistant>{" SP "world}</s>");
    const char *told = strstr(warnings, "'</s>' behind an answer stands outside");
    cr_assert_not_null(told, "%s", warnings);
    cr_expect_null(strstr(told + 30, "stands outside"), "%s", warnings);
    ts_tokenizer_close(t);
}

Test(chat, an_answer_without_an_end_is_told_once)
{
    static const ts_turn talk[] = {TURN(USER, "h"), TURN(ASSISTANT, "a"), TURN(USER, "h"),
                                   TURN(ASSISTANT, "b")};
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    cr_expect_str_eq(
        mask(t, EACH("{{ m.role }}: {{ m.content }}\n") ASK("assistant:"), talk, 4, false),
        SP "user:" SP "h\nassistant:{" SP "a}\nuser:" SP "h\nassistant:{" SP "b}\n");
    const char *told = strstr(warnings, "writes no special token behind an answer");
    cr_assert_not_null(told, "%s", warnings);
    cr_expect_null(strstr(told + 30, "writes no special token"), "%s", warnings);
    ts_tokenizer_close(t);
}

Test(chat, documents)
{
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    ts_chat_tokens chat = {0};
    ts_error err = {0};
    cr_assert_eq(ts_chat_encode_document(t, "hello</s>h", 10, &chat, &err), TS_OK);
    cr_expect_str_eq(spell(t, &chat.tokens), "[<s>][" SP "hello][</s>][" SP "h][</s>]");
    cr_expect_arr_eq(chat.supervised, "\0\1\1\1\1", 5);
    ts_chat_tokens_free(&chat);
    ts_tokenizer_close(t);
}

// One turn rendered by the template of a model's folder, or the error's message.
static const char *rendered_by(const char *folder, const char *chosen)
{
    static char text[1024];
    static const ts_turn turn[] = {TURN(USER, "h")};
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    ts_chat_template *template = NULL;
    ts_chat_tokens chat = {0};
    ts_error err = {0};
    size_t len = 0;
    ts_weights *weights = NULL;
    cr_assert_eq(ts_weights_open(folder, &weights, &err), TS_OK);
    ts_status status = ts_chat_template_open(weights, chosen, t, &template, &err);
    if (status == TS_OK) {
        status = ts_chat_encode(template, turn, 1, false, &chat, NULL, &err);
    }
    const char *bytes = status == TS_OK ? ts_chat_rendered(template, &len) : err.message;
    snprintf(text, sizeof text, "%s", bytes);
    ts_chat_tokens_free(&chat);
    ts_chat_template_close(template);
    ts_weights_close(weights);
    ts_tokenizer_close(t);
    return text;
}

Test(chat, reads_a_models_template_as_transformers_does)
{
    static const struct {
        const char *config, *chosen, *expected;
    } cases[] = {
        {"{}", NULL, "<s>h"}, // no template: plain
        {"{\"chat_template\":null}", NULL, "<s>h"},
        {"{\"chat_template\":\"A{{ messages[0].content }}{{ bos_token }}{{ pad_token }}\","
         "\"bos_token\":{\"content\":\"<b>\"},\"eos_token\":\"</s>\",\"pad_token\":\"P\"}",
         NULL, "Ah<b>P"},
        {"{\"chat_template\":\"{{ bos_token }}{{ bos_token is defined }}\",\"bos_token\":null}",
         NULL, "False"},
        {"{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"T\"},"
         "{\"name\":\"default\",\"template\":\"D\"}]}",
         NULL, "D"},
        {"{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"T\"},"
         "{\"name\":\"default\",\"template\":\"D\"}]}",
         "tool_use", "T"},
        {"{\"chat_template\":[{\"name\":\"only\",\"template\":\"O\"}]}", NULL, "O"},
        {"{\"chat_template\":\"A\"}", "{{ 1 + 1 }}", "2"},
        {"{\"chat_template\":\"A{{ tools }}{{ documents }}{{ more is defined }}\"}", NULL,
         "ANoneNoneFalse"},
        {"{\"chat_template\":\"{{ additional_special_tokens }}\","
         "\"additional_special_tokens\":[\"<x>\",{\"content\":\"<y>\"}]}",
         NULL, "['<x>', '<y>']"},
    };
    char *folder = make_folder(), path[256];
    cr_expect_str_eq(rendered_by(folder, NULL), "<s>h");
    write_text(folder, "special_tokens_map.json", "{\"unk_token\":\"U\"}");
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        write_text(folder, "tokenizer_config.json", cases[i].config);
        cr_expect_str_eq(rendered_by(folder, cases[i].chosen), cases[i].expected, "%s",
                         cases[i].config);
    }
    write_text(folder, "tokenizer_config.json",
               "{\"chat_template\":[{\"name\":\"a\",\"template\":\"A\"},"
               "{\"name\":\"b\",\"template\":\"B\"}]}");
    cr_expect_not_null(strstr(rendered_by(folder, NULL), "choose one with --chat-template (a, b)"));
    cr_expect_str_eq(rendered_by(folder, "b"), "B");
    write_text(folder, "tokenizer_config.json", "{\"chat_template\":7}");
    cr_expect_not_null(strstr(rendered_by(folder, NULL), "key 'chat_template': expected a string"));
    write_text(folder, "chat_template.jinja", "J{{ unk_token }}\n"); // is preferred
    cr_expect_str_eq(rendered_by(folder, NULL), "JU");
    snprintf(path, sizeof path, "%s/additional_chat_templates", folder);
    cr_assert_eq(mkdir(path, 0777), 0);
    write_text(path, "rag.jinja", "R");
    cr_expect_str_eq(rendered_by(folder, NULL), "JU");
    cr_expect_str_eq(rendered_by(folder, "rag"), "R");
    snprintf(path, sizeof path, "%s/other.jinja", folder);
    write_text(folder, "other.jinja", "{{ 'from a file' }}");
    cr_expect_str_eq(rendered_by(folder, path), "from a file");
    write_text(folder, "other.jinja", "\n{{ 'x' | xmlattr }}");
    const char *message = rendered_by(folder, path);
    cr_expect_not_null(strstr(message, "other.jinja:2:10: filter 'xmlattr' is not implemented"),
                       "%s", message);
    remove_folder(folder);
}

// A link whose target is missing does not count as absent: it is an interrupted download.
Test(chat, a_dangling_config_is_an_error)
{
    static const char *const names[] = {"tokenizer_config.json", "chat_template.jinja",
                                        "special_tokens_map.json"};
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        char *folder = make_folder(), path[256];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        cr_assert_eq(symlink("nothing-there", path), 0);
        cr_expect_not_null(strstr(rendered_by(folder, NULL), names[i]), "%s", names[i]);
        remove_folder(folder);
    }
}

// TinyLlama: our tokens are those of the whole rendered string, and the prompt's tokens in
// generation are a prefix of the tokens in training.
Test(chat, tinyllama_equals_the_rendered_string)
{
    static const ts_turn turns[] = {
        TURN(SYSTEM, "You are a pirate."), TURN(USER, " What's 2+2?\n\nTell me:  "),
        TURN(ASSISTANT, "\nArr, 4!\xF0\x9F\x8F\xB4"), TURN(USER, ""), TURN(ASSISTANT, "")};
    static const char rendered[] =
        "<|system|>\nYou are a pirate.</s>\n<|user|>\n What's 2+2?\n\nTell me:  </s>\n"
        "<|assistant|>\n\nArr, 4!\xF0\x9F\x8F\xB4</s>\n<|user|>\n</s>\n<|assistant|>\n</s>\n";
    ts_tokenizer *t = open_fixture_tokenizer();
    ts_tokens expected = {0};
    ts_chat_tokens chat = {0}, asked = {0};
    ts_chat_template *template = NULL;
    ts_error err = {0};
    ts_weights *weights = NULL;
    cr_assert_eq(ts_weights_open(FIXTURE_FOLDER, &weights, &err), TS_OK);
    cr_assert_eq(ts_chat_template_open(weights, NULL, t, &template, &err), TS_OK);
    cr_assert_eq(ts_chat_template_end_token(template), 2);
    cr_assert_eq(
        ts_tokenizer_encode(t, rendered, strlen(rendered), TS_SPECIALS_AS_TOKENS, &expected, &err),
        TS_OK);
    cr_assert_eq(ts_chat_encode(template, turns, 5, false, &chat, NULL, &err), TS_OK);
    cr_assert_eq(chat.tokens.count, expected.count);
    cr_expect_arr_eq(chat.tokens.ids, expected.ids, 4 * expected.count);
    cr_assert_eq(ts_chat_encode(template, turns, 2, true, &asked, NULL, &err), TS_OK);
    cr_expect_arr_eq(chat.tokens.ids, asked.tokens.ids, 4 * asked.tokens.count);
    for (size_t i = 0; i < asked.tokens.count; i++) {
        cr_expect_eq(chat.supervised[i], 0);
        cr_expect_eq(asked.supervised[i], 0);
    }
    cr_expect_eq(chat.supervised[asked.tokens.count], 1); // the answer starts right there
    static const uint32_t tail[] = {465, 22137, 29989, 29958, 13, 2, 29871, 13};
    size_t from = chat.tokens.count - TS_COUNT(tail);
    cr_expect_arr_eq(chat.tokens.ids + from, tail, sizeof tail);
    cr_expect_arr_eq(chat.supervised + from, "\0\0\0\0\0\1\0\0", 8); // the empty answer's </s>
    ts_tokens_free(&expected);
    ts_chat_tokens_free(&chat);
    ts_chat_tokens_free(&asked);
    ts_chat_template_close(template);
    ts_weights_close(weights);
    ts_tokenizer_close(t);
}
