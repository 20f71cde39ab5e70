// Compares what llama.cpp and transformers compute from an export with what the program computes.
// Runs where TINYSFT_ROOTS names a Debian testing ("testing=FOLDER") in which llama.cpp is
// installed (tools/make_root.sh testing FOLDER llama.cpp llama.cpp-tools python3
// [python3-transformers python3-torch]), and root may enter it; otherwise it is skipped.
// TINYSFT_EXPORT_ADAPTER names an adapter of the embedded model to take instead of a random one.
#include "export_test.h"

#include "base/os.h"
#include "data/chat.h"
#include "model/decode.h"

#include <sys/wait.h>

enum { PROMPTS = 20, NEW_TOKENS = 40, CONTEXT = 256 };

#define BASE PROJECT_FOLDER "/assets/base"
#define QUESTIONS PROJECT_FOLDER "/data/eval.json"

// The root, or NULL.
static const char *find_root(void)
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
    const cJSON *rows; // of QUESTIONS
    place p;
    ts_gpu *gpu;
    ts_tokens prompts[PROMPTS];
    ts_text texts[PROMPTS];
    ts_tokens words; // the text for perplexity
    ts_text json;
};

static void open_prompts(struct asking *a)
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
}

static void open_source(struct asking *a)
{
    static const ts_adapter_config light = {
        .r = 4, .alpha = 2, .use_rslora = true, .targets = TS_MODULES_ALL};
    const char *adapter = getenv("TINYSFT_EXPORT_ADAPTER");
    place_open_base(&a->p, &light);
    if (adapter != NULL) {
        ts_export_source_close(&a->p.source);
        snprintf(a->p.adapter, sizeof a->p.adapter, "%s", adapter);
        MUST(ts_export_source_open(a->p.weights, &a->p.config, adapter, &a->p.source, err));
    }
}

static void export_as(struct asking *a, const char *name, ts_export_format format, ts_dtype dtype,
                      bool merged)
{
    char path[128];
    ts_export_source base = a->p.source;
    snprintf(path, sizeof path, "%s/%s", a->p.folder, name);
    base.adapter = (ts_adapter_config){0};
    a->p.params.path = path;
    a->p.params.format = format;
    a->p.params.convert = true;
    a->p.params.dtype = dtype;
    MUST(ts_export_run(merged ? &a->p.source : &base, &a->p.params, err));
}

// ---- What the program computes

static void answer(struct asking *a, ts_model *model, uint32_t end)
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

// As llama-perplexity does where the file asks for no BOS, takes the loss on the second half of
// every CONTEXT tokens. Writes its mean over the chunks so far, after each of them.
static void add_losses(struct asking *a, ts_model *model)
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

// Logits after every token of the first prompt, to logits.bin.
static void write_logits(const struct asking *a, ts_model *model)
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
    MUST(ts_path_join(a->p.folder, "logits.bin", &path, err));
    MUST(ts_file_write(path.bytes, logits, (uint64_t)rows * a->p.config.vocab * sizeof *logits,
                       err));
    ts_text_free(&path);
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    free(logits);
}

// ---- What the others are given

static void write_text(struct asking *a)
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
    MUST(ts_tokenizer_encode(a->p.tokenizer, text.bytes, text.len, TS_SPECIALS_AS_TEXT, &a->words,
                             err));
    ts_text_free(&text);
    ts_text_free(&path);
}

static void add_ids(struct asking *a, const ts_tokens *tokens)
{
    MUST(ts_text_format(&a->json, err, "["));
    for (size_t t = 0; t < tokens->count; t++) {
        MUST(ts_text_format(&a->json, err, "%s%u", t > 0 ? "," : "", tokens->ids[t]));
    }
    MUST(ts_text_format(&a->json, err, "]"));
}

static void add_prompts(struct asking *a)
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
        MUST(ts_text_format(&a->json, err, ", \"ids\": "));
        add_ids(a, &a->prompts[i]);
        MUST(ts_text_format(&a->json, err, "}"));
    }
    MUST(ts_text_format(&a->json, err, "],\n\"logits_of\": "));
    add_ids(a, &a->prompts[0]);
}

// Adds a run of llama.cpp, with what the program computes for it: by the model in `weights`, or by
// the base with its adapter where that is NULL.
static void add_run(struct asking *a, const char *model_file, const char *lora, const char *dtype,
                    ts_weights *weights, double most)
{
    ts_model model = {0};
    ts_model_config config = a->p.config;
    if (weights != NULL) {
        MUST(ts_model_check(weights, &config, err));
    }
    const ts_model_params params = {.config = &config,
                                    .weights = weights != NULL ? weights : a->p.weights,
                                    .positions = config.max_positions};
    MUST(ts_model_open(a->gpu, &params, &model, err));
    if (weights == NULL) {
        MUST(ts_model_load_lora(&model, a->p.adapter, err));
    }
    MUST(ts_text_format(&a->json, err, "%s{\"model\": \"%s\", \"dtype\": \"%s\", ",
                        a->json.bytes[a->json.len - 1] == '[' ? "" : ",\n", model_file, dtype));
    if (lora != NULL) {
        MUST(ts_text_format(&a->json, err, "\"lora\": \"%s\", ", lora));
    } else {
        add_losses(a, &model);
        MUST(ts_text_format(&a->json, err, "\"most\": %g, ", most));
    }
    answer(a, &model, ts_tokenizer_eos(a->p.tokenizer));
    MUST(ts_text_format(&a->json, err, "}"));
    if (weights == NULL && lora == NULL && strcmp(dtype, "f16") == 0) {
        write_logits(a, &model);
    }
    ts_model_close(&model);
}

static void write_expected(struct asking *a)
{
    ts_text path = {0};
    char file[128];
    ts_weights *quantised = NULL;
    snprintf(file, sizeof file, "%s/q8_0.gguf", a->p.folder);
    MUST(ts_weights_open(file, &quantised, err));
    MUST(ts_text_format(&a->json, err,
                        "{\"end\": %u, \"text\": {\"file\": \"text.txt\", \"context\": %d},\n",
                        ts_tokenizer_eos(a->p.tokenizer), CONTEXT));
    add_prompts(a);
    MUST(ts_text_format(&a->json, err, ",\n\"runs\": ["));
    add_run(a, "f16.gguf", NULL, "f16", NULL, 1e-3);
    add_run(a, "base.gguf", "lora.gguf", "f16", NULL, 0);
    add_run(a, "q8_0.gguf", NULL, "q8_0", quantised, 1e-2);
    MUST(ts_text_format(&a->json, err, "]}\n"));
    MUST(ts_path_join(a->p.folder, "expected.json", &path, err));
    MUST(ts_file_write(path.bytes, a->json.bytes, a->json.len, err));
    ts_weights_close(quantised);
    ts_text_free(&path);
}

// Runs the comparison inside the root, where the folder and the project are seen under their names.
static int compare(const char *root, const char *folder)
{
    char command[2048];
    snprintf(command, sizeof command,
             "unshare --mount --propagation private sh -ec '"
             "for part in /dev /proc /sys; do mount --rbind $part \"$0$part\"; done; "
             "mkdir -p \"$0/tmp\"; mount --bind /tmp \"$0/tmp\"; "
             "cp \"$1\" \"$2/compare_export.py\"; "
             "exec chroot \"$0\" python3 \"$2/compare_export.py\" \"$2\"' "
             "'%s' '%s' '%s' </dev/null",
             root, PROJECT_FOLDER "/tools/peers/compare_export.py", folder);
    int state = system(command);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128;
}

Test(peers, llama_cpp_and_transformers, .timeout = 300)
{
    const char *root = find_root();
    struct asking a = {0};
    cJSON *rows = NULL;
    if (root == NULL) {
        cr_skip_test("no TINYSFT_ROOTS has a root testing with llama.cpp that may be entered");
    }
    MUST(ts_json_parse_file(QUESTIONS, &rows, err));
    a.rows = rows;
    a.gpu = test_gpu_open();
    open_source(&a);
    open_prompts(&a);
    export_as(&a, "f16.gguf", TS_EXPORT_GGUF, TS_F16, true);
    export_as(&a, "q8_0.gguf", TS_EXPORT_GGUF, TS_Q8_0, true);
    export_as(&a, "base.gguf", TS_EXPORT_GGUF, TS_F16, false);
    export_as(&a, "lora.gguf", TS_EXPORT_GGUF_ADAPTER, TS_F32, true);
    export_as(&a, "hf", TS_EXPORT_HF, TS_F32, true);
    write_text(&a);
    write_expected(&a);
    cr_expect_eq(compare(root, a.p.folder), 0);
    for (int i = 0; i < PROMPTS; i++) {
        ts_tokens_free(&a.prompts[i]);
        ts_text_free(&a.texts[i]);
    }
    ts_tokens_free(&a.words);
    ts_text_free(&a.json);
    cJSON_Delete(rows);
    place_close(&a.p);
    test_gpu_close(a.gpu);
}
