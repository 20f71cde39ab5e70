// data/jinja: a chat template of any text, run on a conversation.
#include "fuzz.h"

#include "data/jinja/jinja.h"

enum { TURNS = 3 };

static const char *const roles[TURNS] = {"system", "user", "assistant"};
static const char *const contents[TURNS] = {"Be kind.", " <b>Hi</b>, \"w\xC3\xB6rld\" {{ 1 }} ",
                                            "<think>\nno\n</think>\n\nHello 12"};

static ts_jinja_value text_of(ts_jinja_data *data, const char *text, uint16_t source)
{
    ts_error err = {0};
    ts_jinja_value value = ts_jinja_none();
    FUZZ_CHECK(ts_jinja_text(data, text, strlen(text), source, &value, &err) == TS_OK);
    return value;
}

// What chat templates are given: messages, the flag that asks for an answer, special tokens.
static void fill(ts_jinja_data *data)
{
    ts_error err = {0};
    ts_jinja_value list = ts_jinja_none(), turn = ts_jinja_none();
    FUZZ_CHECK(ts_jinja_list(data, TURNS, &list, &err) == TS_OK);
    for (uint16_t i = 0; i < TURNS; i++) {
        FUZZ_CHECK(ts_jinja_dict(data, 2, &turn, &err) == TS_OK);
        FUZZ_CHECK(ts_jinja_dict_put(data, turn, "role", text_of(data, roles[i], 0), &err) ==
                   TS_OK);
        FUZZ_CHECK(ts_jinja_dict_put(data, turn, "content",
                                     text_of(data, contents[i], (uint16_t)(i + 1)), &err) == TS_OK);
        ts_jinja_list_push(list, turn);
    }
    FUZZ_CHECK(ts_jinja_set(data, "messages", list, &err) == TS_OK);
    FUZZ_CHECK(ts_jinja_set(data, "add_generation_prompt", ts_jinja_bool(true), &err) == TS_OK);
    FUZZ_CHECK(ts_jinja_set(data, "bos_token", text_of(data, "<s>", 0), &err) == TS_OK);
    FUZZ_CHECK(ts_jinja_set(data, "eos_token", text_of(data, "</s>", 0), &err) == TS_OK);
    FUZZ_CHECK(ts_jinja_set(data, "tools", ts_jinja_none(), &err) == TS_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static const struct tm now = {.tm_year = 126, .tm_mon = 6, .tm_mday = 1, .tm_wday = 3};
    ts_error err = {0};
    ts_jinja *jinja = NULL;
    ts_jinja_data data = {0};
    ts_rendering rendering = {0};
    ts_status status = ts_jinja_parse((const char *)input, size, "template", &jinja, &err);
    fuzz_check_status(status, &err);
    FUZZ_CHECK((status == TS_OK) == (jinja != NULL));
    if (jinja != NULL) {
        fill(&data);
        status = ts_jinja_render(jinja, &data, &now, &rendering, &err);
        fuzz_check_status(status, &err);
    }
    if (jinja != NULL && status == TS_OK) {
        FUZZ_CHECK(ts_utf8_valid_prefix(rendering.bytes, rendering.len) == rendering.len);
        for (size_t i = 0; i < rendering.len; i++) {
            FUZZ_CHECK((rendering.sources[i] & TS_JINJA_MAX_SOURCE) <= TURNS);
        }
    }
    ts_rendering_free(&rendering);
    ts_jinja_data_free(&data);
    ts_jinja_free(jinja);
    return 0;
}
