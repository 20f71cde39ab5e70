// The Modelfile that goes beside a GGUF file.
#include "export_test.h"

#include "export/ollama.h"
#include "log_capture.h"

static void expect_modelfile(place *p, const char *expected)
{
    ts_text text = {0};
    MUST(ts_ollama_print(&p->source, &p->params, &text, err));
    cr_expect_str_eq(text.bytes, expected);
    ts_text_free(&text);
}

static void choose(place *p, const char *template)
{
    ts_chat_template_close(p->chat_template);
    MUST(ts_chat_template_open(p->weights, template, p->tokenizer, &p->chat_template, err));
    p->params.chat_template = p->chat_template;
}

// The model's own Jinja is recognised by what it renders.
Test(ollama, templates)
{
    place p;
    place_open_base(&p, NULL);
    p.params.format = TS_EXPORT_GGUF;
    p.params.path = "some/folder/m.gguf";
    expect_modelfile(&p, "FROM ./m.gguf\n"
                         "TEMPLATE \"\"\"{{ range .Messages }}<|{{ .Role }}|>\n"
                         "{{ .Content }}</s>\n"
                         "{{ end }}<|assistant|>\n\"\"\"\n"
                         "PARAMETER stop \"</s>\"\n"
                         "PARAMETER stop \"<|user|>\"\n"
                         "PARAMETER stop \"<|system|>\"\n"
                         "PARAMETER num_ctx 512\n");
    choose(&p, "plain");
    p.params.system = "Be\nbrief.";
    expect_modelfile(&p, "FROM ./m.gguf\n"
                         "TEMPLATE \"\"\"{{ range .Messages }}{{ .Content }}"
                         "{{ if eq .Role \"assistant\" }}</s>{{ else }}\n"
                         "{{ end }}{{ end }}\"\"\"\n"
                         "PARAMETER stop \"</s>\"\n"
                         "PARAMETER num_ctx 512\n"
                         "SYSTEM \"\"\"Be\nbrief.\"\"\"\n");
    choose(&p, "llama-2");
    p.params.system = NULL;
    p.params.format = TS_EXPORT_GGUF_ADAPTER;
    expect_modelfile(
        &p, "# The base, as `tinysft-vk export --model MODEL --format gguf --output tiny.gguf` "
            "writes it\nFROM ./tiny.gguf\nADAPTER ./m.gguf\n"
            "TEMPLATE \"\"\"{{ range $i, $m := .Messages }}{{ if eq $m.Role \"user\" }}"
            "{{ if gt $i 1 }}<s>{{ end }}[INST] {{ if and $.System (lt $i 2) }}<<SYS>>\n"
            "{{ $.System }}\n<</SYS>>\n\n{{ end }}{{ $m.Content }} [/INST]"
            "{{ else if eq $m.Role \"assistant\" }} {{ $m.Content }} </s>{{ end }}{{ end }}\"\"\"\n"
            "PARAMETER stop \"</s>\"\nPARAMETER stop \"[INST]\"\nPARAMETER num_ctx 512\n");
    place_close(&p);
}

// A template without a translation is left out, and said so.
Test(ollama, another_template)
{
    place p;
    place_open_base(&p, NULL);
    p.params.format = TS_EXPORT_GGUF;
    p.params.path = "m.gguf";
    choose(&p, "{% for m in messages %}{{ m.role + ': ' + m.content + eos_token }}{% endfor %}");
    logged_clear();
    expect_modelfile(&p, "FROM ./m.gguf\nPARAMETER stop \"</s>\"\nPARAMETER num_ctx 512\n");
    cr_expect_not_null(strstr(logged, "has no TEMPLATE"), "%s", logged);
    place_close(&p);
}

Test(ollama, refusals)
{
    place p;
    ts_error error = {0};
    char path[128];
    place_open_base(&p, NULL);
    p.params.ollama = true;
    cr_expect_eq(ts_export_run(&p.source, &p.params, &error), TS_ERR_ARGUMENT, "%s", error.message);
    snprintf(path, sizeof path, "%s/Modelfile", p.folder);
    p.params.format = TS_EXPORT_GGUF;
    MUST(ts_export_run(&p.source, &p.params, err));
    cr_expect(ts_file_exists(path));
    MUST(ts_folder_remove(p.out, err));
    cr_expect_eq(ts_export_run(&p.source, &p.params, &error), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(error.message, "Modelfile is there already"), "%s", error.message);
    cr_expect_not(ts_file_exists(p.out));
    ts_text text = {0};
    p.params.system = "Say \"\"\"";
    cr_expect_eq(ts_ollama_print(&p.source, &p.params, &text, &error), TS_ERR_UNSUPPORTED);
    ts_text_free(&text);
    place_close(&p);
}

static void expect_system(const char *rows, const char *expected)
{
    char path[] = "/tmp/tinysft-test-XXXXXX";
    ts_text system = {0};
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, rows, strlen(rows)), (ssize_t)strlen(rows));
    close(file);
    MUST(ts_ollama_find_system(path, &system, err));
    cr_expect_str_eq(system.len > 0 ? system.bytes : "", expected, "%s", rows);
    ts_text_free(&system);
    unlink(path);
}

// The system prompt of a training is known where all its rows have the same.
Test(ollama, system)
{
    expect_system("{\"system\": \"S\", \"prompt\": \"a\", \"completion\": \"b\"}\n"
                  "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": "
                  "\"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": "
                  "\"b\"}]}\n",
                  "S");
    expect_system("{\"system\": \"S\", \"prompt\": \"a\", \"completion\": \"b\"}\n"
                  "{\"system\": \"T\", \"prompt\": \"a\", \"completion\": \"b\"}\n",
                  "");
    expect_system("{\"system\": \"S\", \"prompt\": \"a\", \"completion\": \"b\"}\n"
                  "{\"prompt\": \"a\", \"completion\": \"b\"}\n",
                  "");
    expect_system("{\"prompt\": \"a\", \"completion\": \"b\"}\n", "");
    expect_system("no JSON", "");
    expect_system(
        "{\"system\": \"S\", \"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n", "S");
}
