// Renders the TEMPLATE of every Modelfile by Go's own text/template, as Ollama does, beside our own
// templates. Skipped where there is no root with Debian's golang-go (peers_test.h).
#include "peers_test.h"

// In all of them the last turn is the user's. No text begins or ends with white space: some of our
// templates cut it off, and Ollama's language cannot.
static const ts_turn conversations[][6] = {
    {{TS_ROLE_USER, "Hi", 2}},
    {{TS_ROLE_SYSTEM, "Be brief.", 9}, {TS_ROLE_USER, "What do cows eat?", 17}},
    {{TS_ROLE_USER, "What do cows\neat?", 17},
     {TS_ROLE_ASSISTANT, "Grass \"of course\".", 18},
     {TS_ROLE_USER, "And {{ cats }}?", 15}},
    {{TS_ROLE_SYSTEM, "Be <brief> & kind.", 18},
     {TS_ROLE_USER, "Eins?", 5},
     {TS_ROLE_ASSISTANT, "1", 1},
     {TS_ROLE_USER, "Zw\xC3\xB6lf?", 7},
     {TS_ROLE_ASSISTANT, "12", 2},
     {TS_ROLE_USER, "\xF0\x9F\x99\x82", 4}},
    {{TS_ROLE_USER, "a", 1},
     {TS_ROLE_ASSISTANT, "b", 1},
     {TS_ROLE_USER, "c", 1},
     {TS_ROLE_ASSISTANT, "d", 1},
     {TS_ROLE_USER, "e", 1}},
};

static size_t turns_of(const ts_turn *turns)
{
    size_t count = 0;
    while (count < TS_COUNT(conversations[0]) && turns[count].text != NULL) {
        count++;
    }
    return count;
}

static void write_conversations(const place *p)
{
    static const char *const roles[] = {
        [TS_ROLE_SYSTEM] = "system", [TS_ROLE_USER] = "user", [TS_ROLE_ASSISTANT] = "assistant"};
    ts_text text = {0}, path = {0};
    for (size_t i = 0; i < TS_COUNT(conversations); i++) {
        const ts_turn *turns = conversations[i];
        for (size_t t = 0; t < turns_of(turns); t++) {
            MUST(ts_text_format(&text, err, "%s{\"role\": \"%s\", \"content\": ",
                                t > 0 ? ", " : "{\"messages\": [", roles[turns[t].role]));
            MUST(ts_json_quote(&text, turns[t].text, err));
            MUST(ts_text_append(&text, "}", 1, err));
        }
        MUST(ts_text_append(&text, "]}\n", 3, err));
    }
    MUST(ts_path_join(p->folder, "conversations", &path, err));
    MUST(ts_file_write(path.bytes, text.bytes, text.len, err));
    ts_text_free(&text);
    ts_text_free(&path);
}

// Ollama's tokenizer puts the BOS before all of it, so the template has none there.
static void check_rendering(place *p, const char *name, size_t which, const cJSON *line)
{
    const ts_turn *turns = conversations[which];
    ts_chat_tokens chat = {0};
    size_t len;
    MUST(ts_chat_encode(p->chat_template, turns, turns_of(turns), true, &chat, NULL, err));
    const char *text = ts_chat_rendered(p->chat_template, &len);
    const char *bos = ts_tokenizer_piece(p->tokenizer, ts_tokenizer_bos(p->tokenizer));
    text += strncmp(text, bos, strlen(bos)) == 0 ? strlen(bos) : 0;
    cr_expect_str_eq(ts_json_get(line, "text")->valuestring, text, "%s, conversation %zu", name,
                     which);
    ts_chat_tokens_free(&chat);
}

// The embedded model with a tokenizer that has the special tokens of all templates.
static void open_model(place *p)
{
    static const ts_adapter_config light = {.r = 2, .alpha = 2, .targets = TS_MODULES_ALL};
    char line[1024];
    place_name(p);
    snprintf(line, sizeof line,
             "mkdir '%s' && cd '%s' && cp '%s/assets/base/config.json' "
             "'%s/assets/base/model.safetensors' '%s/tests/data/tokenizers/llama3/'*.json .",
             p->base, p->base, PROJECT_FOLDER, PROJECT_FOLDER, PROJECT_FOLDER);
    cr_assert_eq(system(line), 0);
    place_open_source(p, p->base, &light);
    MUST(ts_tokenizer_open(p->weights, &p->tokenizer, err));
    p->params.tokenizer = p->tokenizer;
}

static void check_template(place *p, const char *root, const char *name, ts_export_format format)
{
    char path[128], command[256];
    cJSON *lines = NULL;
    ts_chat_template_close(p->chat_template);
    MUST(ts_chat_template_open(p->weights, name, p->tokenizer, &p->chat_template, err));
    p->params.chat_template = p->chat_template;
    p->params.format = format;
    MUST(ts_export_run(&p->source, &p->params, err));
    snprintf(command, sizeof command,
             "touch %s.gguf; (echo [; GO111MODULE=off go run tools/peers/render_modelfile.go "
             "Modelfile <conversations | sed \\$!s/$/,/; echo ]) >rendered",
             p->params.name);
    cr_assert_eq(run_in_root(root, p->folder, command), 0);
    snprintf(path, sizeof path, "%s/rendered", p->folder);
    MUST(ts_json_parse_file(path, &lines, err));
    cr_assert_eq(cJSON_GetArraySize(lines), (int)TS_COUNT(conversations), "%s", name);
    for (size_t i = 0; i < TS_COUNT(conversations); i++) {
        check_rendering(p, name, i, cJSON_GetArrayItem(lines, (int)i));
    }
    cJSON_Delete(lines);
}

Test(ollama_go, templates_render_alike, .timeout = 1200)
{
    static const char *const names[] = {"zephyr", "chatml", "llama-2", "llama-3", "plain"};
    const char *root = find_root();
    char path[600];
    place p;
    snprintf(path, sizeof path, "%s/usr/bin/go", root != NULL ? root : "");
    if (root == NULL || !ts_file_exists(path)) {
        cr_skip_test("no TINYSFT_ROOTS has a root testing with golang-go that may be entered");
    }
    open_model(&p);
    snprintf(path, sizeof path, "%s/my model.gguf", p.folder);
    p.params.path = path;
    p.params.overwrite = true;
    p.params.ollama = true;
    p.params.system = "Be brief,\nplease.";
    write_conversations(&p);
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        check_template(&p, root, names[i], i % 2 == 0 ? TS_EXPORT_GGUF : TS_EXPORT_GGUF_ADAPTER);
    }
    place_close(&p);
}
