#include "export/ollama.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/chat.h"
#include "export/write.h"

#include <string.h>

#define EOS "\x01" // stands for the text of the token, of which each tokenizer has its own
#define BOS "\x02"

// The named templates in the syntax of Go's text/template, as Ollama runs it: .Messages is the
// conversation, a system prompt included. A BOS before all of it is not written: Ollama's tokenizer
// puts it there.
static const struct {
    const char *name, *go;
    const char *stops[2]; // besides the tokens that end an answer
} templates[] = {
    {"zephyr",
     "{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}" EOS "\n{{ end }}<|assistant|>\n",
     {"<|user|>", "<|system|>"}},
    {"chatml",
     "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
     "<|im_start|>assistant\n",
     {"<|im_start|>"}},
    {"llama-2",
     "{{ range $i, $m := .Messages }}"
     "{{ if eq $m.Role \"user\" }}{{ if gt $i 1 }}" BOS "{{ end }}[INST] "
     "{{ if and $.System (lt $i 2) }}<<SYS>>\n{{ $.System }}\n<</SYS>>\n\n{{ end }}"
     "{{ $m.Content }} [/INST]"
     "{{ else if eq $m.Role \"assistant\" }} {{ $m.Content }} " EOS "{{ end }}{{ end }}",
     {"[INST]"}},
    {"llama-3",
     "{{ range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n"
     "{{ .Content }}<|eot_id|>{{ end }}<|start_header_id|>assistant<|end_header_id|>\n\n",
     {"<|start_header_id|>"}},
    {"plain",
     "{{ range .Messages }}{{ .Content }}"
     "{{ if eq .Role \"assistant\" }}" EOS "{{ else }}\n{{ end }}{{ end }}",
     {0}},
};

// ---- Which of the named templates it is

// Renders a conversation to *out, which stays empty where the template refuses it.
static void render(ts_chat_template *template, const ts_turn *turns, size_t count, ts_text *out)
{
    ts_chat_tokens tokens = {0};
    ts_error ignored = {0};
    size_t len;
    ts_text_clear(out);
    if (ts_chat_encode(template, turns, count, true, &tokens, NULL, &ignored) == TS_OK) {
        const char *text = ts_chat_rendered(template, &len);
        ts_text_append(out, text, len, &ignored);
    }
    ts_chat_tokens_free(&tokens);
}

// Whether both templates render a conversation alike, with a system prompt and without.
static bool are_alike(ts_chat_template *a, ts_chat_template *b)
{
    static const ts_turn turns[] = {
        {TS_ROLE_SYSTEM, "Be brief.", 9},
        {TS_ROLE_USER, "What do cows eat?", 17},
        {TS_ROLE_ASSISTANT, "Grass.", 6},
        {TS_ROLE_USER, "And cats?", 9},
    };
    ts_text x = {0}, y = {0};
    bool alike = true;
    for (size_t first = 0; first < 2; first++) {
        render(a, turns + first, TS_COUNT(turns) - first, &x);
        render(b, turns + first, TS_COUNT(turns) - first, &y);
        // Some templates have no place for a system prompt.
        alike = alike && ((x.len == 0 && first == 0) ||
                          (x.len > 0 && x.len == y.len && memcmp(x.bytes, y.bytes, x.len) == 0));
    }
    ts_text_free(&x);
    ts_text_free(&y);
    return alike;
}

// The index in `templates`, or their number where it is none of them.
static size_t recognise(const ts_export_source *source, const ts_export_params *params)
{
    size_t found = TS_COUNT(templates);
    ts_caller *outer = ts_caller_use(NULL); // drops the warnings of templates that do not fit
    for (size_t i = 0; i < TS_COUNT(templates) && found == TS_COUNT(templates); i++) {
        ts_chat_template *named = NULL;
        ts_error ignored = {0};
        if (ts_chat_template_open(source->weights, templates[i].name, params->tokenizer, &named,
                                  &ignored) == TS_OK &&
            are_alike(params->chat_template, named)) {
            found = i;
        }
        ts_chat_template_close(named);
    }
    ts_caller_use(outer);
    return found;
}

// ---- The text

static ts_status append(ts_text *out, const char *text, ts_error *err)
{
    return ts_text_append(out, text, strlen(text), err);
}

// Prints a text in triple quotes. A Modelfile has no escape for quotes inside such a text.
static ts_status print_long(const char *what, const char *text, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const size_t len = strlen(text);
    if (strstr(text, "\"\"\"") != NULL || (len > 0 && text[len - 1] == '"')) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "a Modelfile cannot hold %s with three quotation marks in a row, or one at its end",
                what);
    }
    TS_TRY(ts_text_format(out, err, "%s \"\"\"%s\"\"\"\n", what, text));
out:
    return status;
}

static const char *piece_of(const ts_export_params *params, uint32_t id)
{
    const char *piece = id != TS_TOKEN_NONE ? ts_tokenizer_piece(params->tokenizer, id) : NULL;
    return piece != NULL ? piece : "";
}

static ts_status print_template(const ts_export_params *params, size_t index, ts_text *out,
                                ts_error *err)
{
    ts_status status = TS_OK;
    ts_text go = {0};
    for (const char *c = templates[index].go; *c != '\0'; c++) {
        TS_TRY(
            *c == EOS[0]   ? append(&go, piece_of(params, ts_tokenizer_eos(params->tokenizer)), err)
            : *c == BOS[0] ? append(&go, piece_of(params, ts_tokenizer_bos(params->tokenizer)), err)
                           : ts_text_append(&go, c, 1, err));
    }
    TS_TRY(print_long("TEMPLATE", go.bytes, out, err));
out:
    ts_text_free(&go);
    return status;
}

static ts_status print_stop(const char *word, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    if (word != NULL && word[0] != '\0') {
        TS_TRY(append(out, "PARAMETER stop ", err));
        TS_TRY(ts_json_quote(out, word, err));
        TS_TRY(append(out, "\n", err));
    }
out:
    return status;
}

// Prints FROM. For an adapter alone it names the base, which another export writes, and ADAPTER
// follows.
static ts_status print_from(const ts_export_params *params, ts_text *out, ts_error *err)
{
    const char *file = ts_path_name(params->path);
    if (params->format == TS_EXPORT_GGUF) {
        return ts_text_format(out, err, "FROM ./%s\n", file);
    }
    return ts_text_format(out, err,
                          "# The base, as `tinysft-vk export --model MODEL --format gguf --output "
                          "%s.gguf` writes it\nFROM ./%s.gguf\nADAPTER ./%s\n",
                          params->name, params->name, file);
}

ts_status ts_ollama_print(const ts_export_source *source, const ts_export_params *params,
                          ts_text *out, ts_error *err)
{
    enum { OLLAMA_CONTEXT = 4096 }; // what Ollama takes unless it is told otherwise
    ts_status status = TS_OK;
    const uint32_t eos = ts_tokenizer_eos(params->tokenizer);
    const size_t none = TS_COUNT(templates);
    const size_t index = params->chat_template != NULL ? recognise(source, params) : none;
    TS_TRY(print_from(params, out, err));
    if (index < none) {
        TS_TRY(print_template(params, index, out, err));
    } else {
        ts_log(TS_LOG_WARN, "the chat template is none of " TS_CHAT_TEMPLATE_NAMES
                            ": the Modelfile has no TEMPLATE, and Ollama will guess one from the "
                            "file");
    }
    TS_TRY(print_stop(piece_of(params, eos), out, err));
    const uint32_t end = params->chat_template != NULL
                             ? ts_chat_template_end_token(params->chat_template)
                             : TS_TOKEN_NONE;
    TS_TRY(end != eos ? print_stop(piece_of(params, end), out, err) : TS_OK);
    for (size_t i = 0; index < none && i < TS_COUNT(templates[0].stops); i++) {
        TS_TRY(print_stop(templates[index].stops[i], out, err));
    }
    if (source->config->max_positions < OLLAMA_CONTEXT) {
        TS_TRY(ts_text_format(out, err, "PARAMETER num_ctx %u\n", source->config->max_positions));
    }
    if (params->system != NULL) {
        TS_TRY(print_long("SYSTEM", params->system, out, err));
    }
out:
    return status;
}

// ---- The file

// FOLDER/Modelfile, where params->path is FOLDER/NAME.
static ts_status name_file(const ts_export_params *params, ts_text *out, ts_error *err)
{
    const size_t folder = (size_t)(ts_path_name(params->path) - params->path);
    return ts_text_format(out, err, "%.*sModelfile", (int)folder, params->path);
}

ts_status ts_ollama_check(const ts_export_params *params, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    bool found;
    if (params->format == TS_EXPORT_HF) {
        TS_FAIL(TS_ERR_ARGUMENT, "--ollama needs --format gguf or gguf-adapter");
    }
    TS_TRY(name_file(params, &path, err));
    TS_TRY(ts_file_check_writable(path.bytes, err));
    TS_TRY(ts_export_check_replaced(params, "", path.bytes, &found, err));
out:
    ts_text_free(&path);
    return status;
}

ts_status ts_ollama_write(const ts_export_source *source, const ts_export_params *params,
                          ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, text = {0};
    TS_TRY(name_file(params, &path, err));
    TS_TRY(ts_ollama_print(source, params, &text, err));
    TS_TRY(ts_file_write(path.bytes, text.bytes, text.len, err));
out:
    ts_text_free(&path);
    ts_text_free(&text);
    return status;
}
