#include "data/chat.h"

#include "tiny.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

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

// The text that the tokens decode to, what bears loss in braces.
static const char *mask(const ts_tokenizer *t, ts_chat_style style, const ts_turn *turns,
                        size_t count, bool ask)
{
    static ts_text out;
    ts_chat_tokens chat = {0};
    ts_error err = {0};
    ts_text_clear(&out);
    cr_assert_eq(ts_chat_encode(t, style, turns, count, ask, &chat, NULL, &err), TS_OK, "%s",
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
    return out.bytes;
}

Test(chat, each_template_and_its_mask)
{
    static const ts_turn pair[] = {TURN(USER, "hello"), TURN(ASSISTANT, "world")};
    static const ts_turn talk[] = {TURN(SYSTEM, "a"), TURN(USER, " b "), TURN(ASSISTANT, " d "),
                                   TURN(USER, "h"), TURN(ASSISTANT, "l")};
    static const struct {
        ts_chat_style style;
        const char *pair, *talk, *asked;
    } cases[] = {
        {TS_CHAT_ZEPHYR, SP "<|user|>\nhello</s>" SP "\n<|assistant|>\n{world</s>}" SP "\n",
         SP "<|system|>\na</s>" SP "\n<|user|>\n" SP "b" SP "</s>" SP "\n<|assistant|>\n{" SP "d" SP
            "</s>}" SP "\n<|user|>\nh</s>" SP "\n<|assistant|>\n{l</s>}" SP "\n",
         SP "<|user|>\nhello</s>" SP "\n<|assistant|>\n"},
        {TS_CHAT_CHATML,
         "<|im_start|>" SP "user\nhello<|im_end|>" SP "\n<|im_start|>" SP "assistant\n"
         "{world<|im_end|>}" SP "\n",
         "<|im_start|>" SP "system\na<|im_end|>" SP "\n<|im_start|>" SP "user\n" SP "b" SP
         "<|im_end|>" SP "\n<|im_start|>" SP "assistant\n{" SP "d" SP "<|im_end|>}" SP
         "\n<|im_start|>" SP "user\nh<|im_end|>" SP "\n<|im_start|>" SP
         "assistant\n{l<|im_end|>}" SP "\n",
         "<|im_start|>" SP "user\nhello<|im_end|>" SP "\n<|im_start|>" SP "assistant\n"},
        {TS_CHAT_LLAMA2, "<s>" SP "[INST]" SP "hello" SP "[/INST]{" SP "world" SP "</s>}",
         "<s>" SP "[INST]" SP "<<SYS>>\na\n<</SYS>>\n\n" SP "b" SP "[/INST]{" SP "d" SP "</s>}"
         "<s>" SP "[INST]" SP "h" SP "[/INST]{" SP "l" SP "</s>}",
         "<s>" SP "[INST]" SP "hello" SP "[/INST]"},
        {TS_CHAT_LLAMA3,
         "<s><|start_header_id|>" SP "user<|end_header_id|>" SP "\n\nhello<|eot_id|>"
         "<|start_header_id|>" SP "assistant<|end_header_id|>" SP "\n\n{world<|eot_id|>}",
         "<s><|start_header_id|>" SP "system<|end_header_id|>" SP "\n\na<|eot_id|>"
         "<|start_header_id|>" SP "user<|end_header_id|>" SP "\n\nb<|eot_id|>"
         "<|start_header_id|>" SP "assistant<|end_header_id|>" SP "\n\n{d<|eot_id|>}"
         "<|start_header_id|>" SP "user<|end_header_id|>" SP "\n\nh<|eot_id|>"
         "<|start_header_id|>" SP "assistant<|end_header_id|>" SP "\n\n{l<|eot_id|>}",
         "<s><|start_header_id|>" SP "user<|end_header_id|>" SP "\n\nhello<|eot_id|>"
         "<|start_header_id|>" SP "assistant<|end_header_id|>" SP "\n\n"},
        {TS_CHAT_PLAIN, "<s>" SP "hello\n{world</s>}",
         "<s>" SP "a\n" SP "b" SP "\n{" SP "d" SP "</s>}" SP "h\n{l</s>}", "<s>" SP "hello\n"},
    };
    ts_tokenizer *t = open_rich();
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        const char *name = ts_chat_style_name(cases[i].style);
        cr_expect_str_eq(mask(t, cases[i].style, pair, 2, false), cases[i].pair, "%s", name);
        cr_expect_str_eq(mask(t, cases[i].style, talk, 5, false), cases[i].talk, "%s", name);
        cr_expect_str_eq(mask(t, cases[i].style, pair, 1, true), cases[i].asked, "%s", name);
    }
    ts_tokenizer_close(t);
}

// A merge across the border: "\nw" as one piece. The token begins in the template, so it bears no
// loss; the rest of the answer does.
Test(chat, a_token_across_the_border_bears_no_loss)
{
    static const ts_turn pair[] = {TURN(USER, "h"), TURN(ASSISTANT, "world")};
    ts_tokenizer *t = open_tiny(&(tiny_parts){
        .vocab = ",\"\\n\":290,\"\\nw\":291",
        .merges = "[\"\\n w\",\"o r\",\"l d\"]",
    });
    cr_expect_str_eq(mask(t, TS_CHAT_ZEPHYR, pair, 2, false),
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
    cr_assert_eq(ts_chat_encode(t, TS_CHAT_ZEPHYR, turns, 4, false, &chat, &escaped, &err), TS_OK);
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
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    ts_chat_tokens chat = {0};
    ts_error err = {0};
    uint32_t id;
    cr_expect_eq(ts_chat_encode(t, TS_CHAT_CHATML, user, 1, true, &chat, NULL, &err),
                 TS_ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(err.message, "chatml needs the token '<|im_start|>'"), "%s",
                       err.message);
    cr_expect_not_null(strstr(err.message, "--chat-template"));
    cr_expect_eq(ts_chat_encode(t, TS_CHAT_LLAMA3, user, 1, true, &chat, NULL, &err),
                 TS_ERR_UNSUPPORTED);
    cr_expect_eq(ts_chat_encode(t, TS_CHAT_LLAMA2, user, 2, false, &chat, NULL, &err),
                 TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "turn 2 is the user's"), "%s", err.message);
    cr_expect_eq(ts_chat_encode(t, TS_CHAT_LLAMA2, answered, 2, true, &chat, NULL, &err),
                 TS_ERR_FORMAT);
    cr_expect_eq(ts_chat_encode(t, TS_CHAT_ZEPHYR, user, 0, true, &chat, NULL, &err),
                 TS_ERR_ARGUMENT);
    cr_expect_eq(ts_chat_end_token(t, TS_CHAT_CHATML, &id, &err), TS_ERR_UNSUPPORTED);
    cr_expect_eq(ts_chat_end_token(t, TS_CHAT_ZEPHYR, &id, &err), TS_OK);
    cr_expect_eq(id, 2);
    ts_chat_tokens_free(&chat);
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

Test(chat, style_names)
{
    ts_chat_style style;
    ts_error err = {0};
    for (int i = TS_CHAT_ZEPHYR; i <= TS_CHAT_PLAIN; i++) {
        cr_expect_eq(ts_chat_style_parse(ts_chat_style_name((ts_chat_style)i), &style, &err),
                     TS_OK);
        cr_expect_eq((int)style, i);
    }
    cr_expect_eq(ts_chat_style_parse("alpaca", &style, &err), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(err.message, "'alpaca' is none of zephyr, chatml, llama-2"));
}

Test(chat, recognises_a_models_template)
{
    static const struct {
        const char *config;
        ts_status status;
        ts_chat_style style;
    } cases[] = {
        {"{}", TS_OK, TS_CHAT_PLAIN},
        {"{\"chat_template\":null}", TS_OK, TS_CHAT_PLAIN},
        {"{\"chat_template\":\"{{'<|user|>' + '<|assistant|>' + eos_token}}\"}", TS_OK,
         TS_CHAT_ZEPHYR},
        {"{\"chat_template\":\"{{'<|user|>' + '<|assistant|>' + '<|end|>' + eos_token}}\"}",
         TS_ERR_UNSUPPORTED, TS_CHAT_PLAIN},
        {"{\"chat_template\":\"<|im_start|> x <|im_end|>\"}", TS_OK, TS_CHAT_CHATML},
        {"{\"chat_template\":\"[INST] <<SYS>> [/INST]\"}", TS_OK, TS_CHAT_LLAMA2},
        {"{\"chat_template\":\"[INST] [/INST]\"}", TS_ERR_UNSUPPORTED, TS_CHAT_PLAIN},
        {"{\"chat_template\":\"<|start_header_id|><|end_header_id|><|eot_id|>\"}", TS_OK,
         TS_CHAT_LLAMA3},
        {"{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"?\"},"
         "{\"name\":\"default\",\"template\":\"<|im_start|><|im_end|>\"}]}",
         TS_OK, TS_CHAT_CHATML},
        {"{\"chat_template\":[{\"name\":\"only\",\"template\":\"<|im_start|><|im_end|>\"}]}", TS_OK,
         TS_CHAT_CHATML},
        {"{\"chat_template\":\"### Instruction:\"}", TS_ERR_UNSUPPORTED, TS_CHAT_PLAIN},
    };
    char *folder = make_folder();
    ts_chat_style style = TS_CHAT_ZEPHYR;
    ts_error err = {0};
    cr_expect_eq(ts_chat_style_of_model(folder, &style, &err), TS_OK);
    cr_expect_eq(style, TS_CHAT_PLAIN);
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        write_text(folder, "tokenizer_config.json", cases[i].config);
        cr_expect_eq(ts_chat_style_of_model(folder, &style, &err), cases[i].status, "%s",
                     cases[i].config);
        if (cases[i].status == TS_OK) {
            cr_expect_eq(style, cases[i].style, "%s", cases[i].config);
        }
    }
    cr_expect_not_null(strstr(err.message, "zephyr, chatml, llama-2, llama-3, plain"));
    cr_expect_not_null(strstr(err.message, "--chat-template NAME"));
    write_text(folder, "chat_template.jinja", "<|im_start|><|im_end|>"); // before the other
    cr_expect_eq(ts_chat_style_of_model(folder, &style, &err), TS_OK);
    cr_expect_eq(style, TS_CHAT_CHATML);
    remove_folder(folder);
}

// TinyLlama: our tokens are those of the whole rendered string, and those asked with are a prefix
// of those trained on.
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
    ts_chat_style style = TS_CHAT_PLAIN;
    ts_error err = {0};
    cr_assert_eq(ts_chat_style_of_model(FIXTURE_FOLDER, &style, &err), TS_OK);
    cr_assert_eq(style, TS_CHAT_ZEPHYR);
    cr_assert_eq(
        ts_tokenizer_encode(t, rendered, strlen(rendered), TS_SPECIALS_AS_TOKENS, &expected, &err),
        TS_OK);
    cr_assert_eq(ts_chat_encode(t, style, turns, 5, false, &chat, NULL, &err), TS_OK);
    cr_assert_eq(chat.tokens.count, expected.count);
    cr_expect_arr_eq(chat.tokens.ids, expected.ids, 4 * expected.count);
    cr_assert_eq(ts_chat_encode(t, style, turns, 2, true, &asked, NULL, &err), TS_OK);
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
    ts_tokenizer_close(t);
}
