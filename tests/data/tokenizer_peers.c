// transformers reads the tokenizers that are written here and gives the same ids. Runs where a root
// of Debian testing with transformers was made (../shared/bin/debian-root), and is skipped
// elsewhere.
#include "../gguf_model.h"
#include "data/gguf_model.h"
#include "data/tokenizer_write.h"
#include "kinds.h"

#include <unistd.h>

#define DEBIAN_ROOT SHARED_FOLDER "/bin/debian-root"
#define TRANSFORMERS "usr/lib/python3/dist-packages/transformers"

static bool has_transformers(void)
{
    const char *roots = getenv("DEBIAN_ROOTS");
    char path[512];
    snprintf(path, sizeof path, "%s/debian-testing/" TRANSFORMERS, roots != NULL ? roots : "/opt");
    return geteuid() == 0 && ts_file_exists(DEBIAN_ROOT) && ts_folder_exists(path);
}

static void make_place(const char *folder, const char *name, char out[256])
{
    ts_error err = {0};
    snprintf(out, 256, "%s/%s", folder, name);
    cr_assert_eq(ts_folder_make(out, &err), TS_OK, "%s", err.message);
}

static void copy_file(const char *from, const char *to, const char *name)
{
    ts_error err = {0};
    ts_text text = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", from, name);
    cr_assert_eq(ts_file_read(path, 1 << 24, &text, &err), TS_OK, "%s", err.message);
    write_bytes(to, name, text.bytes, text.len);
    ts_text_free(&text);
}

// A small tokenizer of each kind, written anew. Their strings have Hugging Face's own ids.
static void write_kinds(const char *folder)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        ts_error err = {0};
        ts_text json = {0};
        char place[256], from[256];
        ts_tokenizer *t = open_kind(kinds[i]);
        snprintf(from, sizeof from, KINDS_FOLDER "/%s", kinds[i]);
        make_place(folder, kinds[i], place);
        cr_assert_eq(ts_tokenizer_write_json(t, &json, &err), TS_OK, "%s", err.message);
        write_bytes(place, "tokenizer.json", json.bytes, json.len);
        write_text(place, "tokenizer_config.json",
                   "{\"tokenizer_class\": \"PreTrainedTokenizerFast\", \"bos_token\": "
                   "\"<|begin|>\", \"eos_token\": \"<|end|>\"}");
        copy_file(from, place, "strings.jsonl");
        ts_text_free(&json);
        ts_tokenizer_close(t);
    }
}

// The embedded model's, by way of a GGUF file, with the ids that this program gives.
static void write_gguf(const char *folder)
{
    static const char *const texts[] = {"What do cows eat?",
                                        " two  spaces\nline",
                                        "caf\u00e9 \U0001F404</s>\n<|user|> 12",
                                        "</s></s> a",
                                        "<s>x",
                                        "\n\n\t  z",
                                        ""};
    ts_error err = {0};
    ts_tokenizer *t = NULL;
    ts_text lines = {0};
    char place[256], file[300];
    make_place(folder, "gguf", place);
    snprintf(file, sizeof file, "%s/model.gguf", place);
    gguf_model_write(PROJECT_FOLDER "/assets/base", file, 30, NULL);
    cr_assert_eq(ts_gguf_write_files(file, place, &err), TS_OK, "%s", err.message);
    cr_assert_eq(open_tokenizer(file, &t, &err), TS_OK, "%s", err.message);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ts_tokens ids = {0};
        cr_assert_eq(
            ts_tokenizer_encode(t, texts[i], strlen(texts[i]), TS_SPECIALS_AS_TOKENS, &ids, &err),
            TS_OK);
        cr_assert_eq(ts_text_format(&lines, &err, "{\"text\": "), TS_OK);
        cr_assert_eq(ts_json_quote(&lines, texts[i], &err), TS_OK);
        cr_assert_eq(ts_text_format(&lines, &err, ", \"ids\": ["), TS_OK);
        for (size_t id = 0; id < ids.count; id++) {
            cr_assert_eq(ts_text_format(&lines, &err, "%s%u", id > 0 ? ", " : "", ids.ids[id]),
                         TS_OK);
        }
        cr_assert_eq(ts_text_format(&lines, &err, "]}\n"), TS_OK);
        ts_tokens_free(&ids);
    }
    write_bytes(place, "strings.jsonl", lines.bytes, lines.len);
    ts_text_free(&lines);
    ts_tokenizer_close(t);
}

Test(tokenizer_peers, transformers_reads_what_is_written, .timeout = 300)
{
    char folder[200], command[2048];
    ts_error err = {0};
    if (!has_transformers()) {
        cr_skip_test("needs root, and transformers in a Debian testing that debian-root made");
    }
    snprintf(folder, sizeof folder, PROJECT_FOLDER "/build/tokenizers-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    write_kinds(folder);
    write_gguf(folder);
    snprintf(command, sizeof command,
             "cd '%s' && '%s' testing run python3 tools/peers/compare_tokenizers.py '%s' 1>&2",
             PROJECT_FOLDER, DEBIAN_ROOT, folder);
    cr_expect_eq(system(command), 0, "see the lines above");
    cr_assert_eq(ts_folder_remove(folder, &err), TS_OK, "%s", err.message);
}
