// `tinysft-vk eval` as a person runs it.
#include "program.h"

#define BASE PROJECT_FOLDER "/assets/base"

static const char prompts[] =
    "[{\"id\": \"a\", \"category\": \"factual\", \"prompt\": \"What is the capital of France?\","
    " \"reference\": \"The capital of France is Paris.\", \"facts\": [[\"Paris\"]]},"
    " {\"id\": \"b\", \"category\": \"factual\", \"prompt\": \"What do cows eat?\","
    " \"reference\": \"Cows eat grass.\", \"facts\": [[\"grass\"]]}]";
static const char rows[] =
    "{\"prompt\": \"what is the capital of france\", \"completion\": \"Paris.\"}\n"
    "{\"prompt\": \"Good morning!\", \"completion\": \"Good morning to you.\"}\n";

struct place {
    char folder[64], data[96], rows[96], out[96], png[96];
};

static void place_open(struct place *p)
{
    snprintf(p->folder, sizeof p->folder, "%s", test_folder());
    snprintf(p->data, sizeof p->data, "%s/eval.json", p->folder);
    snprintf(p->rows, sizeof p->rows, "%s/rows.jsonl", p->folder);
    snprintf(p->out, sizeof p->out, "%s/out", p->folder);
    snprintf(p->png, sizeof p->png, "%s/pictures/shot.png", p->folder);
    test_write(p->folder, "eval.json", prompts);
    test_write(p->folder, "rows.jsonl", rows);
}

#define EVAL(place)                                                                                \
    "eval", "--model", BASE, "--data", (place)->data, "--device", "0", "--max-new-tokens", "8"

static void assert_holds(const char *folder, const char *name, const char *text)
{
    ts_text file = test_read(folder, name);
    cr_assert_not_null(strstr(file.bytes, text), "%s has no '%s'", name, text);
    ts_text_free(&file);
}

static void assert_says(const program_result *result, const char *text)
{
    cr_assert_not_null(strstr(result->out, text), "no '%s' in: %s", text, result->out);
}

static void assert_picture(const char *folder, const char *name)
{
    ts_text file = test_read(folder, name);
    cr_assert(file.len > 1000 && memcmp(file.bytes, "\x89PNG\r\n\x1a\n", 8) == 0);
    ts_text_free(&file);
}

Test(eval, the_base_alone)
{
    struct place p;
    program_result result;
    place_open(&p);
    RUN(&result, EVAL(&p), "--output-dir", p.out);
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_says(&result, "Reference loss");
    assert_holds(p.out, "base_responses.txt", "What is the capital of France?");
    assert_holds(p.out, "before_after.md", "Cows eat grass.");
    assert_picture(p.out, "evaluation_screenshot.png");
    char tuned[128];
    snprintf(tuned, sizeof tuned, "%s/finetuned_responses.txt", p.out);
    cr_assert_not(ts_file_exists(tuned));
    test_folder_remove(p.folder);
}

// From training to the picture. The record of the training tells which prompts it saw.
Test(eval, before_and_after)
{
    struct place p;
    program_result result;
    char pictures[96];
    place_open(&p);
    snprintf(pictures, sizeof pictures, "%s/pictures", p.folder);
    RUN(&result, "train", "--model", BASE, "--data", p.rows, "--output-dir", p.out, "--device", "0",
        "--lr", "1e-2");
    cr_assert_eq(result.code, 0, "%s", result.out);
    RUN(&result, EVAL(&p), "--adapter", p.out, "--png", p.png, "--title", "A title");
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_says(&result, "prompts that training never saw: 1");
    assert_holds(p.out, "before_after.md", "seen in training");
    assert_holds(p.out, "before_after.md", "A title");
    assert_holds(p.out, "finetuned_responses.txt", "held out");
    assert_picture(pictures, "shot.png");

    // The same bytes again.
    ts_text first = test_read(p.out, "before_after.md");
    RUN(&result, EVAL(&p), "--adapter", p.out, "--png", p.png, "--title", "A title");
    ts_text second = test_read(p.out, "before_after.md");
    cr_assert_str_eq(first.bytes, second.bytes);
    ts_text_free(&first);
    ts_text_free(&second);

    // The data has changed since: a warning, and the present data decides.
    test_write(p.folder, "rows.jsonl",
               "{\"prompt\": \"What do cows eat?\", \"completion\": \"Grass.\"}\n"
               "{\"prompt\": \"What is the capital of France?\", \"completion\": \"Paris.\"}\n");
    RUN(&result, EVAL(&p), "--adapter", p.out);
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_says(&result, "has changed since");
    assert_says(&result, "prompts, all of them seen in training: 2");
    unlink(p.rows);
    RUN(&result, EVAL(&p), "--adapter", p.out);
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_says(&result, "is not here");
    test_folder_remove(p.folder);
}

static size_t times(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

// Two adapters beside the base, which is asked once. What either's training saw is marked.
Test(eval, adapters_side_by_side)
{
    struct place p;
    program_result result;
    char other[96], rows[96];
    place_open(&p);
    snprintf(other, sizeof other, "%s/other", p.folder);
    snprintf(rows, sizeof rows, "%s/pairs.jsonl", p.folder);
    test_write(p.folder, "pairs.jsonl",
               "{\"prompt\": \"What do cows eat?\", \"chosen\": "
               "\"Grass.\", \"rejected\": \"Stones.\"}\n");
    RUN(&result, "train", "--model", BASE, "--data", p.rows, "--output-dir", p.out, "--device", "0",
        "--lr", "1e-2");
    cr_assert_eq(result.code, 0, "%s", result.out);
    RUN(&result, "train", "--model", BASE, "--data", rows, "--output-dir", other, "--device", "0",
        "--lr", "1e-2", "--loss", "dpo", "--adapter", p.out);
    cr_assert_eq(result.code, 0, "%s", result.out);

    RUN(&result, EVAL(&p), "--adapter", p.out, "--adapter", other, "--output-dir", p.folder);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_expect_eq(times(result.out, "base 2/2 answers"), 1, "%s", result.out);
    cr_expect_eq(times(result.out, "adapter 1/2 2/2 answers"), 1, "%s", result.out);
    cr_expect_eq(times(result.out, "adapter 2/2 2/2 answers"), 1, "%s", result.out);
    assert_says(&result, "prompts, all of them seen in training: 2");
    assert_holds(p.folder, "before_after.md", "| Base | out | other |");
    assert_holds(p.folder, "eval_run.json", "/other\"");
    assert_picture(p.folder, "evaluation_screenshot.png");

    // Each answers as it does alone; the second went on with the first, and so has seen its rows.
    ts_text both[2] = {test_read(p.folder, "finetuned_responses.txt"),
                       test_read(p.folder, "finetuned_responses_2.txt")};
    for (int i = 0; i < 2; i++) {
        RUN(&result, EVAL(&p), "--adapter", i == 0 ? p.out : other);
        cr_assert_eq(result.code, 0, "%s", result.out);
        ts_text alone = test_read(i == 0 ? p.out : other, "finetuned_responses.txt");
        for (const char *at = strstr(alone.bytes, "Answer:\n"); at != NULL;
             at = strstr(at + 1, "Answer:\n")) {
            char answer[256];
            snprintf(answer, sizeof answer, "%.*s", (int)(strstr(at, "Verdict") - at), at);
            cr_expect_not_null(strstr(both[i].bytes, answer), "%d: %s", i, answer);
        }
        ts_text_free(&alone);
        ts_text_free(&both[i]);
    }
    assert_says(&result, "prompts, all of them seen in training: 2");

    RUN(&result, EVAL(&p), "--adapter", p.out, "--adapter", p.folder);
    cr_assert_eq(result.code, TS_ERR_IO, "%s", result.out);
    RUN(&result, EVAL(&p), "--adapter", "1", "--adapter", "2", "--adapter", "3", "--adapter", "4",
        "--adapter", "5");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    assert_says(&result, "more than 4 side by side");
    test_folder_remove(p.folder);
}

// Rows with nothing but a prompt. Making a new folder is reported, and measures that no row asks
// for are not shown.
Test(eval, prompts_of_one_s_own)
{
    struct place p;
    program_result result;
    char png[96];
    place_open(&p);
    test_write(p.folder, "eval.json",
               "{\"prompt\": \"What do cows eat?\"}\n{\"messages\": [{\"role\": \"user\", "
               "\"content\": \"Hi!\"}]}\n");
    snprintf(png, sizeof png, "%s/new/deep/shot.png", p.folder);
    RUN(&result, EVAL(&p), "--output-dir", p.out, "--png", png, "--examples", "1");
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_says(&result, "/new/deep is not there yet and is made");
    assert_says(&result, "Stopped by itself");
    assert_says(&result, "(Wilson interval)");
    assert_says(&result, "\n> ");
    cr_expect_null(strstr(result.out, "Reference loss"), "%s", result.out);
    cr_expect_null(strstr(result.out, "Facts"), "%s", result.out);
    assert_holds(p.out, "before_after.md", "What do cows eat?");
    test_folder_remove(p.folder);
}

// A question on the command line is answered on the terminal and leaves no files.
Test(eval, a_question)
{
    struct place p;
    program_result result;
    char picture[128];
    place_open(&p);
    snprintf(picture, sizeof picture, "%s/evaluation_screenshot.png", p.folder);
    RUN(&result, "eval", "--model", BASE, "--device", "0", "--max-new-tokens", "4", "--prompt",
        "What do cows eat?", "--prompt=Hi!");
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_says(&result, "> What do cows eat?\nbase:\n");
    assert_says(&result, "> Hi!\nbase:\n");
    assert_says(&result, "(cut off; a larger --max-new-tokens lets it go on)");
    cr_expect_not(ts_file_exists(picture));
    cr_expect_null(strstr(result.out, "written"), "%s", result.out);
    RUN(&result, EVAL(&p), "--prompt", "Hi!");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    RUN(&result, "eval", "--model", BASE, "--prompt", " ");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    test_folder_remove(p.folder);
}

// Every mistake of the data at once, each with what was found and what is allowed.
Test(eval, all_mistakes_at_once)
{
    struct place p;
    program_result result;
    place_open(&p);
    test_write(p.folder, "eval.json",
               "{\"question\": \"q\", \"answer\": \"a\"}\n{\"prompt\": \"a\", \"fact\": \"b\"}\n"
               "{\"prompt\": \"fine\"}\n{\"prompt\": \"a\", \"category\": \"factaul\"}\n");
    RUN(&result, EVAL(&p));
    cr_assert_eq(result.code, TS_ERR_FORMAT, "%s", result.out);
    assert_says(&result, "it has: question, answer; did you mean prompt");
    assert_says(&result, "eval.json:2: key 'fact' is unknown; did you mean 'facts'?");
    assert_says(&result, "eval.json:4: key 'category': 'factaul'; did you mean 'factual'?");
    assert_says(&result, "3 mistakes");
    test_folder_remove(p.folder);
}

// Wrong input is named before any answer is generated.
Test(eval, bad_input)
{
    struct place p;
    program_result result;
    place_open(&p);
    RUN(&result, EVAL(&p), "--adapter", p.folder);
    cr_assert_eq(result.code, TS_ERR_IO, "%s", result.out);
    assert_says(&result, "adapter_config.json");
    RUN(&result, EVAL(&p), "--train-data", "nowhere.json");
    cr_assert_eq(result.code, TS_ERR_IO, "%s", result.out);
    assert_says(&result, "nowhere.json");
    RUN(&result, EVAL(&p), "--chat-template", "none-such");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    RUN(&result, "eval", "--model", p.folder, "--data", p.data);
    cr_assert_eq(result.code, TS_ERR_IO, "%s", result.out);
    test_write(p.folder, "eval.json", "[]");
    RUN(&result, EVAL(&p));
    cr_assert_eq(result.code, TS_ERR_FORMAT, "%s", result.out);
    test_folder_remove(p.folder);
}

// An adapter whose tensors have other shapes than this model's.
Test(eval, an_adapter_of_another_model)
{
    static const char *const adapter = SHARED_FOLDER "/golden/gqa/adapter_final";
    struct place p;
    program_result result;
    place_open(&p);
    if (ts_folder_exists(adapter)) {
        RUN(&result, EVAL(&p), "--adapter", adapter, "--output-dir", p.out);
        cr_assert_eq(result.code, TS_ERR_FORMAT, "%s", result.out);
        assert_says(&result, "expected shape");
        assert_says(&result, BASE);
        cr_assert_not(ts_folder_exists(p.out));
    }
    test_folder_remove(p.folder);
}
