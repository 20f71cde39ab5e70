// What the tests share that hold other programs beside this one: prompts, what the program computes
// of them, and how a script runs in a root of Debian testing that has those programs.
//
// TINYSFT_ROOTS names the root ("testing=FOLDER"; tools/make_root.sh testing FOLDER llama.cpp
// llama.cpp-tools llama.cpp-tools-extra python3 python3-transformers python3-torch
// python3-accelerate python3-gguf golang-go). Root must be able to enter it. PEFT is no package of
// Debian's: TINYSFT_PEFT names the folder that holds its package `peft`.
#ifndef TESTS_EXPORT_PEERS_TEST_H
#define TESTS_EXPORT_PEERS_TEST_H

#include "export_test.h"

#include "base/os.h"
#include "data/chat.h"
#include "model/decode.h"

#include <sys/wait.h>

enum { ROWS = 64, PROMPTS = 20, NEW_TOKENS = 40, CONTEXT = 256 };

#define QUESTIONS PROJECT_FOLDER "/data/eval.json"

// The root, or NULL.
static inline const char *find_root(void)
{
    static char folder[512];
    char path[600];
    const char *roots = getenv("TINYSFT_ROOTS"), *found;
    found = roots != NULL ? strstr(roots, "testing=") : NULL;
    if (found == NULL || geteuid() != 0) {
        return NULL;
    }
    snprintf(folder, sizeof folder, "%.*s", (int)strcspn(found + 8, " "), found + 8);
    snprintf(path, sizeof path, "%s/usr/bin/llama-server", folder);
    return ts_file_exists(path) ? folder : NULL;
}

struct asking {
    cJSON *rows; // ROWS of QUESTIONS that have one prompt and a reference; also in "questions.json"
    place p;
    ts_gpu *gpu;
    ts_tokens prompts[PROMPTS];
    ts_text texts[PROMPTS];
    ts_tokens words; // the text for perplexity, behind the BOS that llama.cpp puts there
    uint32_t lead;   // that BOS; TS_TOKEN_NONE: it puts none
    ts_text json;
};

static inline void open_questions(struct asking *a)
{
    char path[128];
    MUST(ts_json_parse_file(QUESTIONS, &a->rows, err));
    for (int i = 0; i < cJSON_GetArraySize(a->rows);) {
        const cJSON *row = cJSON_GetArrayItem(a->rows, i);
        if (i < ROWS && ts_json_get(row, "prompt") != NULL &&
            ts_json_get(row, "reference") != NULL) {
            i++;
        } else {
            cJSON_DeleteItemFromArray(a->rows, i);
        }
    }
    cr_assert_eq(cJSON_GetArraySize(a->rows), ROWS);
    char *text = cJSON_PrintUnformatted(a->rows);
    snprintf(path, sizeof path, "%s/questions.json", a->p.folder);
    MUST(ts_file_write(path, text, strlen(text), err));
    cJSON_free(text);
}

static inline void open_prompts(struct asking *a)
{
    for (int i = 0; i < PROMPTS; i++) {
        const cJSON *row = cJSON_GetArrayItem(a->rows, i * 3); // of every category
        const char *text = ts_json_get(row, "prompt")->valuestring;
        const ts_turn turn = {.role = TS_ROLE_USER, .text = text, .len = strlen(text)};
        ts_chat_tokens chat = {0};
        size_t len;
        MUST(ts_chat_encode(a->p.chat_template, &turn, 1, true, &chat, NULL, err));
        const char *rendered = ts_chat_rendered(a->p.chat_template, &len);
        MUST(ts_text_append(&a->texts[i], rendered, len, err));
        for (size_t t = 0; t < chat.tokens.count; t++) {
            MUST(ts_tokens_push(&a->prompts[i], chat.tokens.ids[t], err));
        }
        ts_chat_tokens_free(&chat);
    }
    const uint32_t bos = ts_tokenizer_bos(a->p.tokenizer);
    a->lead = a->prompts[0].ids[0] == bos ? bos : TS_TOKEN_NONE;
}

// ---- What the program computes

static inline void answer(struct asking *a, ts_model *model, uint32_t end)
{
    ts_decoder decoder = {0};
    ts_tokens answers[PROMPTS] = {0};
    uint32_t next[PROMPTS], ids[PROMPTS], slots[PROMPTS], active = PROMPTS, longest = 0;
    for (uint32_t i = 0; i < PROMPTS; i++) {
        longest = longest > a->prompts[i].count ? longest : (uint32_t)a->prompts[i].count;
        slots[i] = i;
    }
    const ts_decoder_limits limits = {
        .slots = PROMPTS, .capacity = longest + NEW_TOKENS, .longest_prompt = longest};
    MUST(ts_decoder_open(model, limits, &decoder, err));
    MUST(ts_decoder_prompt(&decoder, a->prompts, PROMPTS, next, err));
    while (active > 0) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < active; i++) {
            ts_tokens *mine = &answers[slots[i]];
            MUST(ts_tokens_push(mine, next[i], err));
            if (next[i] != end && mine->count < NEW_TOKENS) {
                ids[kept] = next[i];
                slots[kept++] = slots[i];
            }
        }
        active = kept;
        if (active > 0) {
            MUST(ts_decoder_step(&decoder, slots, ids, active, next, err));
        }
    }
    ts_decoder_close(&decoder);
    MUST(ts_text_format(&a->json, err, "\"answers\": ["));
    for (int i = 0; i < PROMPTS; i++) {
        MUST(ts_text_format(&a->json, err, "%s[", i > 0 ? ",\n" : ""));
        for (size_t t = 0; t < answers[i].count; t++) {
            MUST(ts_text_format(&a->json, err, "%s%u", t > 0 ? "," : "", answers[i].ids[t]));
        }
        MUST(ts_text_format(&a->json, err, "]"));
        ts_tokens_free(&answers[i]);
    }
    MUST(ts_text_format(&a->json, err, "]"));
}

// As llama-perplexity does, takes the loss on the second half of every CONTEXT tokens; a BOS, where
// the file asks for one, stands in the place of their first. Writes its mean over the chunks so
// far, after each of them.
static inline void add_losses(struct asking *a, ts_model *model)
{
    ts_pass pass = {0};
    ts_batch batch = {0};
    uint8_t supervised[CONTEXT];
    uint32_t ids[CONTEXT], count = 0;
    double sum = 0, part;
    MUST(ts_pass_open(model, (ts_pass_limits){.rows = CONTEXT, .loss_rows = CONTEXT}, &pass, err));
    for (uint32_t t = 0; t < CONTEXT; t++) {
        supervised[t] = t > CONTEXT / 2;
    }
    for (size_t chunk = 0; (chunk + 1) * CONTEXT <= a->words.count; chunk++) {
        memcpy(ids, a->words.ids + chunk * CONTEXT, sizeof ids);
        ids[0] = a->lead != TS_TOKEN_NONE ? a->lead : ids[0];
        ts_batch_clear(&batch);
        MUST(ts_batch_add(&batch, ids, CONTEXT, supervised, err));
        MUST(ts_pass_loss(&pass, &batch, &part, err));
        sum += part;
        count += batch.loss_rows;
        MUST(ts_text_format(&a->json, err, "%s%.9g", chunk > 0 ? ", " : "\"losses\": [",
                            sum / count));
    }
    MUST(ts_text_format(&a->json, err, "], "));
    ts_batch_free(&batch);
    ts_pass_close(&pass);
}

// Logits after every token of the first prompt, to a file of this name.
static inline void write_logits(const struct asking *a, const char *name, ts_model *model)
{
    const ts_tokens *prompt = &a->prompts[0];
    const uint32_t rows = (uint32_t)prompt->count;
    ts_pass pass = {0};
    ts_batch batch = {0};
    ts_text path = {0};
    float *logits = calloc((size_t)rows * a->p.config.vocab, sizeof *logits);
    MUST(ts_pass_open(model, (ts_pass_limits){.rows = rows, .loss_rows = rows}, &pass, err));
    MUST(ts_batch_add(&batch, prompt->ids, rows, NULL, err));
    for (uint32_t row = 0; row < rows; row++) {
        MUST(ts_batch_ask(&batch, row, err));
    }
    MUST(ts_pass_logits(&pass, &batch, logits, err));
    MUST(ts_path_join(a->p.folder, name, &path, err));
    MUST(ts_file_write(path.bytes, logits, (uint64_t)rows * a->p.config.vocab * sizeof *logits,
                       err));
    ts_text_free(&path);
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    free(logits);
}

// ---- What the others are given

static inline void write_text(struct asking *a)
{
    ts_text text = {0}, path = {0};
    const cJSON *row;
    cJSON_ArrayForEach(row, a->rows)
    {
        MUST(ts_text_format(&text, err, "%s\n%s\n", ts_json_get(row, "prompt")->valuestring,
                            ts_json_get(row, "reference")->valuestring));
    }
    MUST(ts_path_join(a->p.folder, "text.txt", &path, err));
    MUST(ts_file_write(path.bytes, text.bytes, text.len, err));
    if (a->lead != TS_TOKEN_NONE) {
        MUST(ts_tokens_push(&a->words, a->lead, err));
    }
    MUST(ts_tokenizer_encode(a->p.tokenizer, text.bytes, text.len, TS_SPECIALS_AS_TEXT, &a->words,
                             err));
    ts_text_free(&text);
    ts_text_free(&path);
}

static inline void add_ids(struct asking *a, const ts_tokens *tokens)
{
    MUST(ts_text_format(&a->json, err, "["));
    for (size_t t = 0; t < tokens->count; t++) {
        MUST(ts_text_format(&a->json, err, "%s%u", t > 0 ? "," : "", tokens->ids[t]));
    }
    MUST(ts_text_format(&a->json, err, "]"));
}

static inline void add_prompts(struct asking *a)
{
    MUST(ts_text_format(&a->json, err, "\"prompts\": ["));
    for (int i = 0; i < PROMPTS; i++) {
        const cJSON *row = cJSON_GetArrayItem(a->rows, i * 3);
        MUST(ts_text_format(&a->json, err,
                            "%s{\"id\": \"%s\", \"messages\": [{\"role\": \"user\", \"content\": ",
                            i > 0 ? ",\n" : "", ts_json_get(row, "id")->valuestring));
        MUST(ts_json_quote(&a->json, ts_json_get(row, "prompt")->valuestring, err));
        MUST(ts_text_format(&a->json, err, "}], \"text\": "));
        MUST(ts_json_quote(&a->json, a->texts[i].bytes, err));
        MUST(ts_text_format(&a->json, err, ", \"lead\": "));
        MUST(ts_json_quote(
            &a->json, a->lead != TS_TOKEN_NONE ? ts_tokenizer_piece(a->p.tokenizer, a->lead) : "",
            err));
        MUST(ts_text_format(&a->json, err, ", \"ids\": "));
        add_ids(a, &a->prompts[i]);
        MUST(ts_text_format(&a->json, err, "}"));
    }
    MUST(ts_text_format(&a->json, err, "],\n\"logits_of\": "));
    add_ids(a, &a->prompts[0]);
}

// Tokens that llama.cpp ends an answer with: the file's, and those it knows by their texts.
static inline void add_ends(struct asking *a)
{
    static const char *const known[] = {"<|endoftext|>", "<|end_of_text|>", "<eos>"};
    MUST(ts_text_format(&a->json, err, "\"ends\": [%u, %u", ts_tokenizer_eos(a->p.tokenizer),
                        ts_chat_template_end_token(a->p.chat_template)));
    for (size_t i = 0; i < TS_COUNT(known); i++) {
        const uint32_t id = ts_tokenizer_find(a->p.tokenizer, known[i]);
        if (id != TS_TOKEN_NONE) {
            MUST(ts_text_format(&a->json, err, ", %u", id));
        }
    }
    MUST(ts_text_format(&a->json, err, "],\n"));
}

// A run of llama.cpp, and the model that it is held against.
struct run {
    const char *model, *lora; // file names; `lora` may be NULL
    const char *kind;         // f32, f16 or q8_0: how exact llama.cpp's products are
    ts_weights *weights;      // of the model here; NULL: the base with its adapter
    double most;              // relative difference of the losses; 0: not compared
    const char *logits;       // file for the logits; NULL: not wanted
};

// Adds a run with what the program computes for it.
static inline void add_run(struct asking *a, const struct run *run)
{
    ts_model model = {0};
    ts_model_config config = a->p.config;
    if (run->weights != NULL) {
        MUST(ts_model_check(run->weights, &config, err));
    }
    const ts_model_params params = {.config = &config,
                                    .weights = run->weights != NULL ? run->weights : a->p.weights,
                                    .positions = config.max_positions};
    MUST(ts_model_open(a->gpu, &params, &model, err));
    if (run->weights == NULL) {
        MUST(ts_model_load_lora(&model, a->p.adapter, err));
    }
    MUST(ts_text_format(&a->json, err, "%s{\"model\": \"%s\", \"kind\": \"%s\", ",
                        a->json.bytes[a->json.len - 1] == '[' ? "" : ",\n", run->model, run->kind));
    if (run->lora != NULL) {
        MUST(ts_text_format(&a->json, err, "\"lora\": \"%s\", ", run->lora));
    }
    if (run->most > 0) {
        add_losses(a, &model);
        MUST(ts_text_format(&a->json, err, "\"most\": %g, ", run->most));
    }
    answer(a, &model, ts_tokenizer_eos(a->p.tokenizer));
    MUST(ts_text_format(&a->json, err, "}"));
    if (run->logits != NULL) {
        write_logits(a, run->logits, &model);
    }
    ts_model_close(&model);
}

static inline void write_expected(struct asking *a, const struct run *runs, size_t count)
{
    ts_text path = {0};
    MUST(ts_text_format(&a->json, err, "{\"text\": {\"file\": \"text.txt\", \"context\": %d},\n",
                        CONTEXT));
    add_ends(a);
    add_prompts(a);
    MUST(ts_text_format(&a->json, err, ",\n\"runs\": ["));
    for (size_t i = 0; i < count; i++) {
        add_run(a, &runs[i]);
    }
    MUST(ts_text_format(&a->json, err, "]}\n"));
    MUST(ts_path_join(a->p.folder, "expected.json", &path, err));
    MUST(ts_file_write(path.bytes, a->json.bytes, a->json.len, err));
    ts_text_free(&path);
}

static inline void asking_close(struct asking *a)
{
    for (int i = 0; i < PROMPTS; i++) {
        ts_tokens_free(&a->prompts[i]);
        ts_text_free(&a->texts[i]);
    }
    ts_tokens_free(&a->words);
    ts_text_free(&a->json);
    cJSON_Delete(a->rows);
    place_close(&a->p);
}

// ---- The root

// Runs a command of sh inside the root and returns its exit code. `folder` is under /tmp, which is
// the same inside. The scripts tools/peers and tools/golden are copied into it, where PEFT, if it
// is named, is seen as well.
static inline int run_in_root(const char *root, const char *folder, const char *command)
{
    const char *peft = getenv("TINYSFT_PEFT");
    char line[4096];
    snprintf(
        line, sizeof line,
        "unshare --mount --propagation private sh -ec '"
        "for part in /dev /proc /sys; do mount --rbind $part \"$0$part\"; done; "
        "mkdir -p \"$0/tmp\"; mount --bind /tmp \"$0/tmp\"; "
        "mkdir -p \"$1/tools/python\"; cp -r \"$2/tools/peers\" \"$2/tools/golden\" \"$1/tools\"; "
        "if [ -n \"$3\" ]; then mount --bind \"$3\" \"$0$1/tools/python\"; fi; "
        "exec chroot \"$0\" env PYTHONPATH=\"$1/tools/python\" PYTHONDONTWRITEBYTECODE=1 "
        "HF_HUB_OFFLINE=1 TQDM_DISABLE=1 OMP_NUM_THREADS=1 sh -ec \"cd $1; $4\"' "
        "'%s' '%s' '%s' '%s' '%s' </dev/null",
        root, folder, PROJECT_FOLDER, peft != NULL ? peft : "", command);
    int state = system(line);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128;
}

#endif
