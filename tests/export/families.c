// A small model of each family, tuned by the program, beside transformers, PEFT and llama.cpp: the
// commands are those that a user types. Skipped where there is no root with them (peers_test.h).
#include "peers_test.h"

// What runs of the program say is kept in FOLDER/log.
static void run_program(const char *folder, const char *flags)
{
    char line[2048];
    snprintf(line, sizeof line, "cd '%s' && '%s' %s >>log 2>&1 </dev/null", folder, TINYSFT_PROGRAM,
             flags);
    cr_assert_eq(system(line), 0, "tinysft-vk %s: see %s/log", flags, folder);
}

static void export_base(struct asking *a, const char *flags)
{
    char line[512];
    snprintf(line, sizeof line, "export --model base --no-loss %s", flags);
    run_program(a->p.folder, line);
}

static void tune(const struct asking *a)
{
    char line[1024];
    snprintf(line, sizeof line,
             "train --model base --data '%s/data/dataset.json' --output-dir adapter --max-steps 8 "
             "--batch-size 2 --rank 4 --alpha 8 --lr 5e-3 --target-modules all-linear",
             PROJECT_FOLDER);
    run_program(a->p.folder, line);
    run_program(a->p.folder, "eval --model base --adapter adapter --data questions.json "
                             "--max-new-tokens 1 --json eval.json");
}

static ts_weights *open_file(const struct asking *a, const char *name)
{
    ts_weights *weights = NULL;
    char path[128];
    snprintf(path, sizeof path, "%s/%s", a->p.folder, name);
    MUST(ts_weights_open(path, &weights, err));
    return weights;
}

static void open_base(struct asking *a)
{
    char path[128];
    snprintf(path, sizeof path, "%s/base", a->p.folder);
    place_open_source(&a->p, path, NULL);
    MUST(ts_tokenizer_open(a->p.weights, &a->p.tokenizer, err));
    MUST(ts_chat_template_open(a->p.weights, NULL, a->p.tokenizer, &a->p.chat_template, err));
    a->gpu = test_gpu_open();
}

// Exports in each form, and what the program itself makes of them.
static void export_all(struct asking *a, bool gguf)
{
    export_base(a, "--adapter adapter --format hf --dtype f32 --output hf");
    if (!gguf) {
        const struct run own = {.model = "", .kind = "f32", .logits = "logits.bin"};
        write_expected(a, &own, 1);
        return;
    }
    export_base(a, "--adapter adapter --format gguf --dtype f32 --output f32.gguf");
    export_base(a, "--adapter adapter --format gguf --dtype f16 --output f16.gguf");
    export_base(a, "--adapter adapter --format gguf --dtype q8_0 --output q8_0.gguf");
    export_base(a, "--format gguf --dtype f16 --output base.gguf");
    export_base(a, "--adapter adapter --format gguf-adapter --output lora.gguf");
    ts_weights *half = open_file(a, "f16.gguf"), *blocks = open_file(a, "q8_0.gguf");
    const struct run runs[] = {
        {.model = "f32.gguf", .kind = "f32", .most = 2e-4, .logits = "logits.bin"},
        {.model = "f16.gguf", .kind = "f16", .weights = half, .most = 1e-3},
        {.model = "base.gguf", .lora = "lora.gguf", .kind = "f16"},
        {.model = "q8_0.gguf", .kind = "q8_0", .weights = blocks, .most = 1e-2},
    };
    write_expected(a, runs, TS_COUNT(runs));
    ts_weights_close(half);
    ts_weights_close(blocks);
}

// Without `gguf`: llama.cpp does not know what the family does.
static void check_family(const char *name, bool gguf)
{
    const char *root = find_root();
    struct asking a = {0};
    char line[256];
    if (root == NULL) {
        cr_skip_test("no TINYSFT_ROOTS has a root testing with llama.cpp that may be entered");
    }
    place_name(&a.p);
    if (strcmp(name, "embedded") == 0) {
        snprintf(line, sizeof line, "cp -r '%s/assets/base' '%s'", PROJECT_FOLDER, a.p.base);
        cr_assert_eq(system(line), 0);
    } else {
        snprintf(line, sizeof line, "python3 tools/peers/make_families.py %s base 2>made", name);
        cr_assert_eq(run_in_root(root, a.p.folder, line), 0, "see %s/made", a.p.folder);
    }
    open_questions(&a);
    tune(&a);
    open_base(&a);
    open_prompts(&a);
    write_text(&a);
    export_all(&a, gguf);
    snprintf(line, sizeof line, "python3 tools/peers/compare_export.py . %s", name);
    cr_expect_eq(run_in_root(root, a.p.folder, line), 0);
    test_gpu_close(a.gpu);
    asking_close(&a);
}

#define FAMILY_TEST(name, gguf)                                                                    \
    Test(families, name, .timeout = 1200)                                                          \
    {                                                                                              \
        check_family(#name, gguf);                                                                 \
    }

FAMILY_TEST(embedded, true)
FAMILY_TEST(llama3, true)
FAMILY_TEST(smollm2, true)
FAMILY_TEST(smollm3, true)
FAMILY_TEST(qwen2, true)
FAMILY_TEST(qwen3, true)
FAMILY_TEST(mistral, true)
FAMILY_TEST(mistral_window, false) // llama.cpp runs a Mistral as a Llama, without its window
FAMILY_TEST(gemma3, true)
FAMILY_TEST(olmo2, true)

// ---- Files that llama.cpp made

static const struct {
    const char *type;
    double most; // llama.cpp rounds activations to 16 bits, or to 8 beside blocks
} types[] = {
    {"F32", 2e-4},  {"F16", 1e-3},    {"BF16", 2e-3},   {"Q8_0", 5e-3},
    {"Q4_0", 5e-3}, {"Q4_K_M", 5e-3}, {"Q5_K_M", 5e-3}, {"Q6_K", 5e-3},
};

static void add_type(struct asking *a, const char *type, double most)
{
    ts_weights *weights;
    ts_model model = {0};
    ts_model_config config;
    char file[32];
    snprintf(file, sizeof file, "%s.gguf", type);
    weights = open_file(a, file);
    if (a->p.tokenizer == NULL) { // it is the same in all files
        MUST(ts_tokenizer_open(weights, &a->p.tokenizer, err));
        a->lead = ts_tokenizer_lead(a->p.tokenizer);
        write_text(a);
    }
    MUST(ts_model_check(weights, &config, err));
    const ts_model_params params = {
        .config = &config, .weights = weights, .positions = config.max_positions};
    MUST(ts_model_open(a->gpu, &params, &model, err));
    a->p.config = config;
    MUST(ts_text_format(&a->json, err, "%s{\"model\": \"%s\", \"most\": %g, ",
                        a->json.bytes[a->json.len - 1] == '[' ? "" : ",\n", file, most));
    add_losses(a, &model);
    MUST(ts_text_format(&a->json, err, "\"kind\": \"%s\"}", type));
    ts_model_close(&model);
    ts_weights_close(weights);
}

// Their losses by the program and by llama-perplexity.
static void check_quantised(const char *name)
{
    const char *root = find_root();
    struct asking a = {0};
    char line[512], path[128];
    if (root == NULL) {
        cr_skip_test("no TINYSFT_ROOTS has a root testing with llama.cpp that may be entered");
    }
    place_name(&a.p);
    open_questions(&a);
    a.gpu = test_gpu_open();
    snprintf(line, sizeof line,
             "(python3 tools/peers/make_families.py %s base --wide; python3 "
             "tools/peers/quantise.py base %s F16 BF16 Q8_0 Q4_0 Q4_K_M Q5_K_M Q6_K) >made 2>&1",
             name, name);
    cr_assert_eq(run_in_root(root, a.p.folder, line), 0, "see %s/made", a.p.folder);
    MUST(ts_text_format(&a.json, err, "{\"text\": {\"file\": \"text.txt\", \"context\": %d},\n",
                        CONTEXT));
    MUST(ts_text_format(&a.json, err, "\"runs\": ["));
    for (size_t i = 0; i < TS_COUNT(types); i++) {
        add_type(&a, types[i].type, types[i].most);
    }
    MUST(ts_text_format(&a.json, err, "]}\n"));
    snprintf(path, sizeof path, "%s/expected.json", a.p.folder);
    MUST(ts_file_write(path, a.json.bytes, a.json.len, err));
    cr_expect_eq(run_in_root(root, a.p.folder, "python3 tools/peers/compare_export.py ."), 0);
    test_gpu_close(a.gpu);
    asking_close(&a);
}

#define QUANTISED_TEST(name)                                                                       \
    Test(quantised, name, .timeout = 1200)                                                         \
    {                                                                                              \
        check_quantised(#name);                                                                    \
    }

QUANTISED_TEST(llama3)
QUANTISED_TEST(smollm3)
QUANTISED_TEST(qwen2)
QUANTISED_TEST(qwen3)
QUANTISED_TEST(mistral)
QUANTISED_TEST(gemma3)
QUANTISED_TEST(olmo2)
