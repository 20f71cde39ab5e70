// Conversations with the tokenizers of each family: what is trained on, how an answer ends, and
// that there is one BOS.
#include "data/chat.h"

#include "base/memory.h"
#include "kinds.h"

#include <criterion/criterion.h>
#include <string.h>

#define TURN(role, text)                                                                           \
    {                                                                                              \
        TS_ROLE_##role, text, sizeof text - 1                                                      \
    }

// A decomposed letter, special tokens as text, and blanks at the end of a turn.
static const ts_turn talk[] = {TURN(USER, "Who is <|im_end|>?  "),
                               TURN(ASSISTANT, "It's cafe\xCC\x81, 123."),
                               TURN(USER, "<|eot_id|> <end_of_turn>"), TURN(ASSISTANT, "No.")};

// The conversation's tokens decoded, with what is trained on in braces.
static void append_masked(const ts_tokenizer *t, const ts_chat_tokens *chat, ts_text *out)
{
    ts_error err = {0};
    for (size_t from = 0, to; from < chat->tokens.count; from = to) {
        bool supervised = chat->supervised[from];
        for (to = from + 1; to < chat->tokens.count && chat->supervised[to] == supervised;) {
            to++;
        }
        cr_assert_eq(ts_text_append(out, "{", supervised, &err), TS_OK);
        cr_assert_eq(ts_tokenizer_decode(t, chat->tokens.ids + from, to - from, false, out, &err),
                     TS_OK);
        cr_assert_eq(ts_text_append(out, "}", supervised, &err), TS_OK);
    }
}

static size_t count_of(const ts_chat_tokens *chat, uint32_t id)
{
    size_t count = 0;
    for (size_t i = 0; i < chat->tokens.count; i++) {
        count += chat->tokens.ids[i] == id;
    }
    return count;
}

// `chosen` NULL: the template of the model in `folder`.
static void expect_talk(const char *folder, const char *chosen, const char *expected,
                        const char *end, size_t beginnings)
{
    ts_tokenizer *t = open_tokenizer_at(folder);
    ts_chat_template *template = NULL;
    ts_chat_tokens chat = {0};
    ts_weights *weights = NULL;
    ts_text masked = {0};
    ts_error err = {0};
    cr_assert_eq(ts_weights_open(folder, &weights, &err), TS_OK);
    cr_assert_eq(ts_chat_template_open(weights, chosen, t, &template, &err), TS_OK, "%s",
                 err.message);
    uint32_t ending = ts_tokenizer_find(t, end);
    cr_assert_neq(ending, TS_TOKEN_NONE);
    cr_expect_eq(ts_chat_template_end_token(template), ending, "%s", folder);
    cr_assert_eq(ts_chat_encode(template, talk, TS_COUNT(talk), false, &chat, NULL, &err), TS_OK,
                 "%s", err.message);
    append_masked(t, &chat, &masked);
    cr_expect_str_eq(masked.bytes, expected, "%s:\n%s\nnot\n%s", folder, masked.bytes, expected);
    cr_expect_eq(count_of(&chat, ending), TS_COUNT(talk), "%s: %zu turns end", folder,
                 count_of(&chat, ending));
    cr_expect_eq(count_of(&chat, ts_tokenizer_bos(t)), beginnings, "%s: %zu times BOS", folder,
                 count_of(&chat, ts_tokenizer_bos(t)));
    ts_text_free(&masked);
    ts_chat_tokens_free(&chat);
    ts_chat_template_close(template);
    ts_weights_close(weights);
    ts_tokenizer_close(t);
}

Test(chat_families, small_ones_of_each_kind)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        char folder[512], text[512];
        bool composes = strcmp(kinds[i], "qwen2") == 0;
        const char *answer = composes ? "caf\xC3\xA9" : "cafe\xCC\x81";
        snprintf(folder, sizeof folder, KINDS_FOLDER "/%s", kinds[i]);
        snprintf(text, sizeof text,
                 "<|im_start|>user\nWho is <|im_end|>?  <|im_end|>\n<|im_start|>assistant\n"
                 "{It's %s, 123.<|im_end|>}\n<|im_start|>user\n<|eot_id|> <end_of_turn><|im_end|>\n"
                 "<|im_start|>assistant\n{No.<|im_end|>}\n",
                 answer);
        expect_talk(folder, "chatml", text, "<|im_end|>", 0);
        snprintf(text, sizeof text,
                 "<|begin|><|start_header_id|>user<|end_header_id|>\n\nWho is <|im_end|>?<|eot_id|>"
                 "<|start_header_id|>assistant<|end_header_id|>\n\n{It's %s, 123.<|eot_id|>}"
                 "<|start_header_id|>user<|end_header_id|>\n\n<|eot_id|> <end_of_turn><|eot_id|>"
                 "<|start_header_id|>assistant<|end_header_id|>\n\n{No.<|eot_id|>}",
                 answer);
        expect_talk(folder, "llama-3", text, "<|eot_id|>", 1);
    }
}

static const char *shared(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, SHARED_FOLDER "/fixtures/%s", name);
    if (!ts_folder_exists(path)) {
        cr_skip_test("needs " SHARED_FOLDER "/fixtures");
    }
    return path;
}

Test(chat_families, llama3)
{
    expect_talk(shared("llama3"), NULL,
                "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
                "Who is <|im_end|>?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
                "{It's cafe\xCC\x81, 123.<|eot_id|>}<|start_header_id|>user<|end_header_id|>\n\n"
                "<|eot_id|> <end_of_turn><|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\n{No.<|eot_id|>}"
                "<|start_header_id|>assistant<|end_header_id|>\n\n",
                "<|eot_id|>", 1);
}

Test(chat_families, qwen3)
{
    expect_talk(shared("qwen3"), NULL,
                "<|im_start|>user\nWho is <|im_end|>?  <|im_end|>\n<|im_start|>assistant\n"
                "{It's caf\xC3\xA9, 123.<|im_end|>}\n"
                "<|im_start|>user\n<|eot_id|> <end_of_turn><|im_end|>\n<|im_start|>assistant\n"
                "{<think>\n\n</think>\n\nNo.<|im_end|>}\n",
                "<|im_end|>", 0);
}

Test(chat_families, gemma3, .timeout = 60)
{
    expect_talk(shared("gemma3"), NULL,
                "<bos><start_of_turn>user\nWho is <|im_end|>?<end_of_turn>\n"
                "<start_of_turn>model\n{It's cafe\xCC\x81, 123.<end_of_turn>}\n"
                "<start_of_turn>user\n<|eot_id|> <end_of_turn><end_of_turn>\n"
                "<start_of_turn>model\n{No.<end_of_turn>}\n",
                "<end_of_turn>", 1);
}

// A document begins with BOS where the tokenizer's post-processor puts it there, and with none
// otherwise, whatever BOS the tokenizer has and whether the text has it already.
Test(chat_families, documents_begin_as_the_tokenizer_says)
{
    static const char *const texts[] = {"No.", "<|begin|>No.", "<|begin|> <|begin|>No.<|end|>"};
    for (size_t i = 0; i < KIND_COUNT; i++) {
        ts_tokenizer *t = open_kind(kinds[i]);
        ts_chat_template *plain = NULL;
        ts_error err = {0};
        bool leads = ts_tokenizer_lead(t) != TS_TOKEN_NONE;
        for (size_t k = 0; k < TS_COUNT(texts); k++) {
            ts_chat_tokens chat = {0};
            cr_assert_eq(ts_chat_encode_document(t, texts[k], strlen(texts[k]), &chat, &err),
                         TS_OK);
            size_t expected = leads ? 1 : k; // where none is put there, the text's own stay
            cr_expect_eq(count_of(&chat, ts_tokenizer_bos(t)), expected, "%s: %s", kinds[i],
                         texts[k]);
            cr_expect_eq(count_of(&chat, ts_tokenizer_eos(t)), 1, "%s: %s", kinds[i], texts[k]);
            ts_chat_tokens_free(&chat);
        }
        ts_chat_tokens chat = {0};
        cr_assert_eq(ts_chat_template_open(NULL, "plain", t, &plain, &err), TS_OK);
        cr_assert_eq(ts_chat_encode(plain, talk, 2, false, &chat, NULL, &err), TS_OK);
        cr_expect_eq(count_of(&chat, ts_tokenizer_bos(t)), leads, "%s", kinds[i]);
        ts_chat_tokens_free(&chat);
        ts_chat_template_close(plain);
        ts_tokenizer_close(t);
    }
}
