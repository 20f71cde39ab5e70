// Model and adapter files that change during a run, or hold NaN or infinity, through the program.
#include "data/safetensors.h"
#include "program.h"

#include <math.h>
#include <time.h>

#define BASE PROJECT_FOLDER "/assets/base"

struct place {
    char folder[64], model[96], weights[128], out[96], data[96];
};

static void copy_file(const char *to_folder, const char *name)
{
    char path[256];
    ts_error err = {0};
    ts_text text = test_read(BASE, name);
    snprintf(path, sizeof path, "%s/%s", to_folder, name);
    cr_assert_eq(ts_file_write_plain(path, text.bytes, text.len, &err), TS_OK, "%s", err.message);
    ts_text_free(&text);
}

static void write_tensors(const char *path, const ts_tensor *tensors, size_t count)
{
    ts_text bytes = {0};
    ts_error err = {0};
    cr_assert_eq(ts_safetensors_serialise(tensors, count, &bytes, &err), TS_OK);
    cr_assert_eq(ts_file_write_plain(path, bytes.bytes, bytes.len, &err), TS_OK);
    ts_text_free(&bytes);
}

// The base with an untied lm_head, so that its embedding may stay in the file.
static void place_open(struct place *p)
{
    static const char *const names[] = {"config.json", "tokenizer.json", "tokenizer_config.json"};
    ts_tensors *file = NULL;
    ts_tensor tensors[64];
    ts_error err = {0};
    snprintf(p->folder, sizeof p->folder, "%s", test_folder());
    snprintf(p->model, sizeof p->model, "%s/model", p->folder);
    snprintf(p->weights, sizeof p->weights, "%s/model.safetensors", p->model);
    snprintf(p->out, sizeof p->out, "%s/out", p->folder);
    snprintf(p->data, sizeof p->data, "%s/data.jsonl", p->folder);
    test_write(p->folder, "data.jsonl",
               "{\"prompt\": \"Good morning!\", \"completion\": \"Hi.\"}\n");
    cr_assert_eq(ts_folder_make(p->model, &err), TS_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        copy_file(p->model, names[i]);
    }
    cr_assert_eq(ts_safetensors_open_model(BASE, &file, &err), TS_OK, "%s", err.message);
    size_t count = ts_tensors_count(file);
    memcpy(tensors, ts_tensors_at(file, 0), count * sizeof *tensors);
    tensors[count] = *ts_tensors_find(file, "model.embed_tokens.weight");
    tensors[count].name = "lm_head.weight";
    uint16_t *head = malloc(tensors[count].len);
    memcpy(head, tensors[count].bytes, tensors[count].len);
    head[0] ^= 1;
    tensors[count].bytes = head;
    write_tensors(p->weights, tensors, count + 1);
    free(head);
    ts_tensors_close(file);
}

// Trains until the first checkpoint exists, then does `harm` to the weights' file. The run must end
// with a message that names the file.
static void train_and_harm(void (*harm)(const char *weights), const char *word)
{
    struct place p;
    place_open(&p);
    char log[96];
    snprintf(log, sizeof log, "%s/log", p.folder);
    int output = open(log, O_CREAT | O_RDWR, 0600);
    pid_t pid = program_start(
        (const char *const[]){TINYSFT_PROGRAM, "train", "--model", p.model, "--data", p.data,
                              "--output-dir", p.out, "--device", "0", "--max-steps", "100000",
                              "--save-steps", "1", "--save-total-limit", "1", NULL},
        output);
    program_wait_until_saved(p.out, 1, 60, log);
    harm(p.weights);
    cr_expect_eq(program_wait(pid), TS_ERR_IO);
    ts_text said = test_read(p.folder, "log");
    cr_expect(strstr(said.bytes, p.weights) && strstr(said.bytes, word), "%s", said.bytes);
    ts_text_free(&said);
    close(output);
    test_folder_remove(p.folder);
}

static void cut_short(const char *weights)
{
    cr_assert_eq(truncate(weights, 100), 0);
}

static void write_over(const char *weights)
{
    int file = open(weights, O_WRONLY);
    cr_assert_eq(pwrite(file, "\0\0", 2, 100000), 2);
    close(file);
}

Test(files, weights_that_change_while_they_are_in_use, .timeout = 240)
{
    train_and_harm(cut_short, "100 now");
    train_and_harm(write_over, "written to since it was opened");
}

// An adapter with a scale so large that the logits overflow: there is an error and no report.
Test(files, answers_made_of_no_numbers_are_no_answers, .timeout = 120)
{
    static float a[256], b[256];
    struct place p;
    program_result result;
    char names[8][96], path[128];
    ts_tensor tensors[8];
    place_open(&p);
    cr_assert_eq(ts_folder_make(p.out, NULL), TS_OK);
    for (size_t i = 0; i < 256; i++) {
        a[i] = b[i] = 1;
    }
    for (size_t i = 0; i < 8; i++) {
        snprintf(names[i], sizeof names[i],
                 "base_model.model.model.layers.%zu.self_attn.q_proj.lora_%c.weight", i / 2,
                 i % 2 ? 'B' : 'A');
        tensors[i] = (ts_tensor){names[i],      TS_F32,  2, {i % 2 ? 256 : 1, i % 2 ? 1 : 256},
                                 i % 2 ? b : a, sizeof a};
    }
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", p.out);
    write_tensors(path, tensors, 8);
    test_write(p.out, "adapter_config.json",
               "{\"peft_type\":\"LORA\",\"r\":1,\"lora_alpha\":3e38,\"target_modules\":"
               "[\"q_proj\"],\"base_model_name_or_path\":\"base\"}");
    test_write(p.folder, "eval.json",
               "[{\"id\": \"a\", \"category\": \"factual\", \"prompt\": \"What is the capital?\", "
               "\"reference\": \"Paris.\", \"facts\": [[\"Paris\"]]}]");
    snprintf(path, sizeof path, "%s/eval.json", p.folder);
    RUN(&result, "eval", "--model", BASE, "--data", path, "--adapter", p.out, "--device", "0",
        "--max-new-tokens", "2");
    cr_expect_eq(result.code, TS_ERR_RUN, "%d: %s", result.code, result.out);
    cr_expect(strstr(result.out, "NaN or infinite"), "%s", result.out);
    snprintf(path, sizeof path, "%s/before_after.md", p.out);
    cr_expect_not(ts_file_exists(path));
    test_folder_remove(p.folder);
}
