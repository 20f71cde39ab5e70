// Answers and losses of the embedded base model, which ctest always has.
#include "eval/generate.h"
#include "base/file.h"
#include "base/memory.h"
#include "model/decode.h"
#include "model/pass.h"
#include "opened.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BASE PROJECT_FOLDER "/assets/base"

enum { PROMPTS = 4, MAX_NEW = 24 };

struct setup {
    ts_gpu *gpu;
    ts_tokenizer *tokenizer;
    ts_chat_template *template;
    ts_prompt items[PROMPTS];
    ts_prompts prompts;
    ts_questions questions;
    ts_weights *weights;
    ts_model model;
};

static void open_setup(struct setup *s)
{
    static const char *const texts[PROMPTS][2] = {
        {"What is the capital of France?", "The capital of France is Paris."},
        {"Hi!", "Hello."},
        {"Tell me what cows eat, and why a cow would want to eat it.", "Cows eat grass."},
        {"Is </s> a token?", "Yes."},
    };
    *s = (struct setup){0};
    for (int i = 0; i < PROMPTS; i++) {
        s->items[i] = (ts_prompt){.id = "x", .text = texts[i][0], .reference = texts[i][1]};
    }
    s->prompts = (ts_prompts){.items = s->items, .count = PROMPTS};
    s->gpu = test_gpu_open();
    MUST(ts_weights_open(BASE, &s->weights, err));
    MUST(ts_tokenizer_open(s->weights, &s->tokenizer, err));
    MUST(ts_chat_template_open(s->weights, NULL, s->tokenizer, &s->template, err));
    MUST(ts_questions_make(&s->prompts, s->weights, s->tokenizer, s->template, 512, &s->questions,
                           err));
    const ts_model_params params = {.positions = ts_questions_positions(&s->questions, MAX_NEW)};
    test_model_open(s->gpu, BASE, params, &s->model);
}

static void close_setup(struct setup *s)
{
    test_model_close(&s->model);
    ts_questions_free(&s->questions);
    ts_chat_template_close(s->template);
    ts_tokenizer_close(s->tokenizer);
    ts_weights_close(s->weights);
    test_gpu_close(s->gpu);
}

static void answer(struct setup *s, uint32_t max_new_tokens, ts_answers *out)
{
    MUST(ts_answers_make(&s->model, &s->questions,
                         &(ts_answer_params){.max_new_tokens = max_new_tokens}, out, err));
}

static void assert_same(const ts_answers *a, const ts_answers *b)
{
    for (size_t i = 0; i < PROMPTS; i++) {
        const ts_response *one = &a->responses[i], *other = &b->responses[i];
        cr_assert_str_eq(one->text, other->text);
        cr_assert_eq(one->tokens, other->tokens);
        cr_assert_eq(one->stopped, other->stopped);
        cr_assert_float_eq(one->reference_loss, other->reference_loss, 1e-5);
        cr_assert_eq(one->reference_tokens, other->reference_tokens);
        cr_assert_float_eq(one->first_probability, other->first_probability, 1e-5);
        cr_assert_eq(one->first_right, other->first_right);
    }
}

// The probability of the likeliest of `count` logits, and which it is.
static double likeliest(const float *logits, uint32_t count, uint32_t *id)
{
    double sum = 0;
    *id = 0;
    for (uint32_t i = 1; i < count; i++) {
        *id = logits[i] > logits[*id] ? i : *id;
    }
    for (uint32_t i = 0; i < count; i++) {
        sum += exp((double)logits[i] - logits[*id]);
    }
    return 1 / sum;
}

// Against the softmax of the logits behind each prompt. One reference begins with the likeliest
// token, whose probability then comes with the reference's loss.
Test(generate, the_first_tokens_probability)
{
    struct setup s;
    ts_answers answers;
    ts_decoder decoder = {0};
    uint32_t none, id, right = 0, wrong = 0;
    open_setup(&s);
    answer(&s, 1, &answers);
    const ts_decoder_limits limits = {.slots = 1,
                                      .capacity = s.questions.longest_prompt,
                                      .longest_prompt = s.questions.longest_prompt};
    MUST(ts_decoder_open(&s.model, limits, &decoder, err));
    MUST(ts_alloc(s.model.config.vocab, sizeof *decoder.logits, &decoder.logits, err));
    float *logits = decoder.logits;
    for (size_t i = 0; i < PROMPTS; i++) {
        const ts_chat_tokens *reference = &s.questions.references[i];
        size_t start = s.questions.prompts[i].count;
        MUST(ts_decoder_prompt(&decoder, &s.questions.prompts[i], 1, &none, err));
        double expected = likeliest(logits, s.model.config.vocab, &id);
        cr_expect_float_eq(answers.responses[i].first_probability, expected, 1e-5,
                           "prompt %zu: %.7f, not %.7f", i, answers.responses[i].first_probability,
                           expected);
        cr_assert(reference->supervised[start] && !reference->supervised[start - 1]);
        cr_expect_eq(answers.responses[i].first_right, reference->tokens.ids[start] == id);
        right += answers.responses[i].first_right;
        wrong += !answers.responses[i].first_right;
    }
    cr_assert(right > 0 && wrong > 0, "%u right, %u wrong: one of them is not tested", right,
              wrong);
    ts_decoder_close(&decoder);
    free(logits);
    ts_answers_free(&answers);
    close_setup(&s);
}

// One prompt at a time, as on a device whose memory is full, gives the same answers as all at once.
Test(generate, groups_change_nothing)
{
    struct setup s;
    ts_answers all, alone;
    open_setup(&s);
    answer(&s, MAX_NEW, &all);
    uint64_t used = s.model.weights.used_bytes;
    s.model.weights.used_bytes = UINT64_MAX / 2; // nothing is left for a cache
    answer(&s, MAX_NEW, &alone);
    s.model.weights.used_bytes = used;
    assert_same(&all, &alone);
    ts_answers_free(&all);
    ts_answers_free(&alone);
    close_setup(&s);
}

// A prompt without a reference is answered like any other, and only its loss is not measured.
Test(generate, without_references)
{
    struct setup s;
    ts_answers all, fewer, none;
    open_setup(&s);
    answer(&s, MAX_NEW, &all);
    for (int round = 0; round < 2; round++) { // the last first, so that the end has none; then all
        for (int i = round == 0 ? PROMPTS - 1 : 0; i < PROMPTS; i++) {
            s.items[i].reference = NULL;
        }
        ts_questions_free(&s.questions);
        MUST(ts_questions_make(&s.prompts, s.weights, s.tokenizer, s.template, 512, &s.questions,
                               err));
        answer(&s, MAX_NEW, round == 0 ? &fewer : &none);
    }
    for (size_t i = 0; i < PROMPTS; i++) {
        cr_assert_str_eq(all.responses[i].text, fewer.responses[i].text);
        cr_assert_str_eq(all.responses[i].text, none.responses[i].text);
        cr_assert_eq(none.responses[i].reference_tokens, 0);
        cr_assert_eq(fewer.responses[i].reference_tokens,
                     i + 1 < PROMPTS ? all.responses[i].reference_tokens : 0);
    }
    cr_assert_float_eq(all.responses[0].reference_loss, fewer.responses[0].reference_loss, 1e-5);
    ts_answers_free(&all), ts_answers_free(&fewer), ts_answers_free(&none);
    close_setup(&s);
}

// In a conversation only the last answer is the reference; earlier turns belong to the prompt.
Test(generate, earlier_turns_are_given)
{
    struct setup s;
    open_setup(&s);
    const ts_turn before[] = {{TS_ROLE_USER, "Hi!", 3}, {TS_ROLE_ASSISTANT, "Hello there.", 12}};
    s.items[1].before = before;
    s.items[1].before_count = 2;
    uint32_t alone = 0, behind = 0;
    for (size_t t = 1; t < s.questions.references[1].tokens.count; t++) {
        alone += s.questions.references[1].supervised[t];
    }
    ts_questions_free(&s.questions);
    MUST(ts_questions_make(&s.prompts, s.weights, s.tokenizer, s.template, 512, &s.questions, err));
    for (size_t t = 1; t < s.questions.references[1].tokens.count; t++) {
        behind += s.questions.references[1].supervised[t];
    }
    cr_expect_gt(alone, 0);
    cr_expect_eq(behind, alone);
    cr_expect_gt(s.questions.prompts[1].count, s.questions.prompts[0].count);
    close_setup(&s);
}

// A lower limit cuts the same answers short, and says so.
Test(generate, a_limit_cuts_answers_short)
{
    struct setup s;
    ts_answers full, cut;
    open_setup(&s);
    answer(&s, MAX_NEW, &full);
    for (uint32_t limit = 1; limit <= 3; limit++) {
        answer(&s, limit, &cut);
        for (size_t i = 0; i < PROMPTS; i++) {
            const ts_response *whole = &full.responses[i], *part = &cut.responses[i];
            bool fits = whole->stopped && whole->tokens < limit;
            cr_assert_eq(part->stopped, fits);
            cr_assert_eq(part->tokens, fits ? whole->tokens : limit);
            cr_assert_eq(memcmp(part->text, whole->text, part->len), 0);
        }
        ts_answers_free(&cut);
    }
    ts_answers_free(&full);
    close_setup(&s);
}

// An adapter that was never trained changes nothing; one switched off does not count.
Test(generate, an_adapter_counts_only_when_on)
{
    struct setup s;
    ts_answers base, fresh, off;
    open_setup(&s);
    answer(&s, MAX_NEW, &base);
    const ts_adapter_config config = {.r = 4, .alpha = 8, .targets = TS_MODULES_ALL};
    MUST(ts_model_add_lora(&s.model, &config, 1, err));
    answer(&s, MAX_NEW, &fresh); // its B is zero
    assert_same(&base, &fresh);
    float *wild = calloc(s.model.lora.count, sizeof *wild);
    for (uint64_t i = 0; i < s.model.lora.count; i++) {
        wild[i] = 1;
    }
    MUST(ts_gpu_upload(s.gpu, s.model.lora.values, wild, s.model.lora.count * sizeof *wild, err));
    free(wild);
    s.model.lora_enabled = false;
    answer(&s, MAX_NEW, &off);
    assert_same(&base, &off);
    ts_answers_free(&off);
    s.model.lora_enabled = true;
    answer(&s, MAX_NEW, &off);
    cr_assert_gt(fabs(off.responses[0].reference_loss - base.responses[0].reference_loss), 1e-2);
    ts_answers_free(&base);
    ts_answers_free(&fresh);
    ts_answers_free(&off);
    close_setup(&s);
}

struct telling {
    uint64_t first, last, total;
    size_t complete;
};

static void hear(void *user, uint64_t done, uint64_t total, size_t complete)
{
    struct telling *telling = user;
    cr_expect_geq(done, telling->last);
    telling->first = telling->last == 0 ? done : telling->first;
    telling->last = done;
    telling->total = total;
    telling->complete = complete;
}

// Progress is reported from the first prompts on and ends with all work done.
Test(generate, progress_goes_from_prompts_to_losses)
{
    struct setup s;
    struct telling telling = {0};
    ts_answers answers;
    open_setup(&s);
    MUST(ts_answers_make(
        &s.model, &s.questions,
        &(ts_answer_params){.max_new_tokens = 4, .progress = hear, .user = &telling}, &answers,
        err));
    cr_assert_eq(telling.first, PROMPTS); // one pass takes them all
    cr_assert_eq(telling.last, telling.total);
    cr_assert_eq(telling.complete, PROMPTS);
    ts_answers_free(&answers);
    close_setup(&s);
}

// The loss is over the reference and its end token, and is the same alone and in a batch.
Test(generate, losses_are_the_references)
{
    struct setup s;
    ts_answers answers;
    open_setup(&s);
    answer(&s, 1, &answers);
    for (size_t i = 0; i < PROMPTS; i++) {
        const ts_chat_tokens *reference = &s.questions.references[i];
        uint32_t count = (uint32_t)reference->tokens.count;
        ts_pass pass;
        ts_batch batch = {0};
        double sum;
        MUST(ts_batch_add(&batch, reference->tokens.ids, count, reference->supervised, err));
        MUST(ts_pass_open(&s.model, (ts_pass_limits){.rows = count, .loss_rows = count}, &pass,
                          err));
        MUST(ts_pass_loss(&pass, &batch, &sum, err));
        cr_assert_eq(batch.label[batch.loss_rows - 1], ts_tokenizer_eos(s.tokenizer));
        cr_assert_eq(answers.responses[i].reference_tokens, batch.loss_rows);
        cr_assert_float_eq(answers.responses[i].reference_loss, sum / batch.loss_rows, 1e-5);
        ts_pass_close(&pass);
        ts_batch_free(&batch);
    }
    ts_answers_free(&answers);
    close_setup(&s);
}

// A prompt longer than the model's positions is refused, and the error names its id. One that
// leaves little room gets as much of an answer as fits.
Test(generate, positions_are_the_model_s)
{
    struct setup s;
    ts_answers answers;
    ts_questions tight = {0};
    ts_error err = {0};
    open_setup(&s);
    uint32_t whole = s.questions.longest_reference, prompt = s.questions.longest_prompt;
    cr_assert_eq(
        ts_questions_make(&s.prompts, s.weights, s.tokenizer, s.template, whole - 1, &tight, &err),
        TS_ERR_FORMAT);
    cr_assert_not_null(strstr(err.message, "prompt 'x'"), "%s", err.message);
    MUST(ts_questions_make(&s.prompts, s.weights, s.tokenizer, s.template, whole, &tight, err));
    cr_assert_eq(ts_questions_positions(&tight, 100000), whole);
    MUST(ts_answers_make(&s.model, &tight, &(ts_answer_params){.max_new_tokens = 100}, &answers,
                         err));
    for (size_t i = 0; i < PROMPTS; i++) {
        cr_assert(answers.responses[i].stopped ||
                  tight.prompts[i].count + answers.responses[i].tokens == whole + 1);
    }
    cr_assert_leq(prompt, whole);
    ts_answers_free(&answers);
    ts_questions_free(&tight);
    close_setup(&s);
}

// Where generation_config.json names several end tokens, any of them ends an answer.
Test(generate, end_tokens_of_the_generation_config)
{
    struct setup s;
    ts_questions more = {0};
    char folder[] = "/tmp/tinysft-test-XXXXXX", path[64];
    open_setup(&s);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/generation_config.json", folder);
    static const char config[] = "{\"eos_token_id\": [2, 77, 78]}";
    MUST(ts_file_write(path, config, strlen(config), err));
    ts_weights *weights = NULL;
    MUST(ts_weights_open(folder, &weights, err));
    MUST(ts_questions_make(&s.prompts, weights, s.tokenizer, s.template, 512, &more, err));
    ts_weights_close(weights);
    cr_assert_eq(more.end_tokens.count, 3);
    cr_assert_eq(more.end_tokens.ids[2], 78);
    MUST(ts_folder_remove(folder, err));
    ts_questions_free(&more);
    close_setup(&s);
}
