// Our loss beside llama.cpp's own, on files that its own tool quantised. Runs where a root of
// Debian testing with llama.cpp was made (../shared/bin/debian-root), and is skipped elsewhere.
#include "../gguf_model.h"
#include "count.h"
#include "data/vocabulary.h"
#include "model/pass.h"
#include "opened.h"

#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE PROJECT_FOLDER "/assets/base"
#define DEBIAN_ROOT SHARED_FOLDER "/bin/debian-root"

enum { CONTEXT = 128, CHUNKS = 3 };

static char folder[256];

// Runs a command of llama.cpp's inside the root, which sees this repository, and returns what it
// printed.
static char *run(const char *command)
{
    static char out[1 << 16];
    char line[2048];
    snprintf(line, sizeof line, "cd '%s' && '%s' testing run sh -c \"%s\" 2>&1", folder,
             DEBIAN_ROOT, command);
    FILE *pipe = popen(line, "r");
    cr_assert_not_null(pipe);
    size_t len = fread(out, 1, sizeof out - 1, pipe);
    out[len] = '\0';
    cr_assert_eq(pclose(pipe), 0, "%s: %s", command, out);
    return out;
}

static bool has_llama_cpp(void)
{
    const char *roots = getenv("DEBIAN_ROOTS");
    char path[256];
    snprintf(path, sizeof path, "%s/debian-testing/usr/bin/llama-perplexity",
             roots != NULL ? roots : "/opt");
    return geteuid() == 0 && ts_file_exists(DEBIAN_ROOT) && access(path, X_OK) == 0;
}

// The loss as llama-perplexity has it: chunks of CONTEXT tokens that each begin with BOS, of which
// the second half bears loss.
static double our_loss(ts_gpu *gpu, const char *file, const ts_tokens *tokens)
{
    ts_model model = {0};
    ts_pass pass = {0};
    ts_batch batch = {0};
    uint8_t supervised[CONTEXT] = {0};
    double sum = 0;
    test_model_open(gpu, file, (ts_model_params){.positions = CONTEXT, .embedding_in_file = true},
                    &model);
    MUST(ts_pass_open(&model, (ts_pass_limits){.rows = CONTEXT, .loss_rows = CONTEXT}, &pass, err));
    memset(supervised + CONTEXT / 2 + 1, 1, CONTEXT / 2 - 1);
    for (size_t chunk = 0; chunk < CHUNKS; chunk++) {
        double loss;
        uint32_t ids[CONTEXT];
        memcpy(ids, tokens->ids + chunk * CONTEXT, sizeof ids);
        ids[0] = 1;
        ts_batch_clear(&batch);
        MUST(ts_batch_add(&batch, ids, CONTEXT, supervised, err));
        MUST(ts_pass_loss(&pass, &batch, &loss, err));
        sum += loss;
    }
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
    return sum / (CHUNKS * (CONTEXT / 2 - 1));
}

// What the rows of the demo's data say, without their tags, and its tokens behind a BOS.
static void make_text(const char *file, ts_tokens *tokens)
{
    ts_text text = {0};
    cJSON *rows = NULL;
    const cJSON *row;
    ts_weights *weights = NULL;
    ts_tokenizer *tokenizer = NULL;
    char path[300];
    MUST(ts_json_parse_file(PROJECT_FOLDER "/data/dataset.json", &rows, err));
    cJSON_ArrayForEach(row, rows)
    {
        bool tag = false;
        const char *tagged = cJSON_GetStringValue(ts_json_get(row, "text")); // not in "messages"
        for (const char *c = tagged != NULL ? tagged : ""; *c != '\0'; c++) {
            tag = *c == '<' || (tag && *c != '>');
            if (!tag) {
                MUST(ts_text_append(&text, *c == '>' || *c == '\n' ? " " : c, 1, err));
            }
        }
    }
    MUST(ts_weights_open(file, &weights, err));
    MUST(ts_tokenizer_open(weights, &tokenizer, err));
    MUST(ts_tokens_push(tokens, 1, err));
    MUST(ts_tokenizer_encode(tokenizer, text.bytes, text.len, TS_SPECIALS_AS_TEXT, tokens, err));
    cr_assert_geq(tokens->count, CHUNKS * CONTEXT);
    snprintf(path, sizeof path, "%s/text.txt", folder);
    MUST(ts_file_write_plain(path, text.bytes, text.len, err));
    ts_tokenizer_close(tokenizer);
    ts_weights_close(weights);
    cJSON_Delete(rows);
    ts_text_free(&text);
}

// What llama-perplexity finds, as a loss. It may end before it has logged its last line.
static double their_loss(const char *type)
{
    static const char line[] = "Final estimate: PPL = ";
    char command[256];
    const char *out = NULL, *found = NULL;
    snprintf(command, sizeof command,
             "llama-perplexity -m %s.gguf -f text.txt -c %d -b %d --chunks %d -t 2 --no-warmup",
             type, CONTEXT, CONTEXT, CHUNKS);
    for (int attempt = 0; attempt < 20 && found == NULL; attempt++) {
        out = run(command);
        found = strstr(out, line);
    }
    cr_assert_not_null(found, "%s", out);
    return log(atof(found + sizeof line - 1));
}

// A model that llama-gguf-split cut is the model that it was.
Test(llama_cpp, pieces_of_its_own_are_one_model, .timeout = 120)
{
    char file[300], pieces[300], whole_hash[65], hash[65];
    ts_weights *whole = NULL, *split = NULL;
    const ts_tensors *tensors;
    if (!has_llama_cpp()) {
        cr_skip_test("needs root, and llama.cpp in a Debian testing that debian-root made");
    }
    snprintf(folder, sizeof folder, PROJECT_FOLDER "/build/llama-cpp-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/F16.gguf", folder);
    snprintf(pieces, sizeof pieces, "%s/cut-00001-of-00005.gguf", folder);
    gguf_model_write(BASE, file, 1, NULL);
    run("llama-gguf-split --split --split-max-tensors 10 --no-tensor-first-split F16.gguf cut");
    MUST(ts_weights_open(file, &whole, err));
    MUST(ts_weights_tensors(whole, &tensors, err));
    ts_tensors_fingerprint(tensors, whole_hash);
    MUST(ts_weights_open(pieces, &split, err));
    MUST(ts_weights_tensors(split, &tensors, err));
    ts_tensors_fingerprint(tensors, hash);
    cr_expect_str_eq(hash, whole_hash);
    ts_weights_close(whole);
    ts_weights_close(split);
    MUST(ts_folder_remove(folder, err));
}

// The rows of ffn_down are no multiples of 256: there K types give way, Q4_K and Q6_K to Q5_0 and
// Q8_0, Q5_K to Q5_1.
Test(llama_cpp, losses_of_its_files_are_its_own, .timeout = 600)
{
    static const struct {
        const char *type;
        double tolerance; // llama.cpp rounds activations to 8 bits beside blocks, and keys to f16
    } cases[] = {
        {"F32", 2e-4},    {"Q4_K_M", 5e-3}, {"Q8_0", 2e-3},   {"Q4_0", 5e-3},
        {"Q5_K_M", 5e-3}, {"Q4_1", 5e-3},   {"IQ4_NL", 5e-3},
    };
    if (!has_llama_cpp()) {
        cr_skip_test("needs root, and llama.cpp in a Debian testing that debian-root made");
    }
    snprintf(folder, sizeof folder, PROJECT_FOLDER "/build/llama-cpp-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    ts_gpu *gpu = test_gpu_open();
    ts_tokens tokens = {0};
    char file[300], command[600];
    snprintf(file, sizeof file, "%s/F32.gguf", folder);
    gguf_model_write(BASE, file, 0, NULL);
    make_text(file, &tokens);
    for (int i = 0; i < test_count("TINYSFT_LLAMA_CPP_TYPES", (int)TS_COUNT(cases)); i++) {
        snprintf(command, sizeof command, "llama-quantize F32.gguf %s.gguf %s", cases[i].type,
                 cases[i].type);
        if (i > 0) {
            run(command);
        }
        const double theirs = their_loss(cases[i].type);
        snprintf(file, sizeof file, "%s/%s.gguf", folder, cases[i].type);
        const double ours = our_loss(gpu, file, &tokens);
        fprintf(stderr, "%s: ours %.6f theirs %.6f, %.2e\n", cases[i].type, ours, theirs,
                ours / theirs - 1);
        cr_expect_lt(fabs(ours / theirs - 1), cases[i].tolerance, "%s: %.6f, llama.cpp's %.6f",
                     cases[i].type, ours, theirs);
    }
    ts_tokens_free(&tokens);
    ts_gpu_close(gpu);
    MUST(ts_folder_remove(folder, err));
}
