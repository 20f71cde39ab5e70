#include "base/json.h"
#include "base/memory.h"

#include "base_test.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static ts_status parse(const char *bytes, size_t len, ts_error *err)
{
    cJSON *json = NULL;
    ts_status status = ts_json_parse(bytes, len, "x.json", &json, err);
    cr_assert_eq(json != NULL, status == TS_OK);
    cJSON_Delete(json);
    return status;
}

Test(json, accepts_what_the_grammar_allows)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        " [ ] ",
        "null",
        "true",
        "\t-0\n",
        "0",
        "-1.5e+10",
        "1E5",
        "0.5",
        "\"\"",
        "\"\\u00e9 \\ud83d\\ude00 \\\" \\\\ \\/ \\b\\f\\n\\r\\t\"",
        "[1,2,[3,{\"a\":{\"b\":[]}}]]",
        "{\"a\":1,\"A\":2,\"\":3}",
        "[{\"a\":1},{\"a\":1}]",
        "\"\xF0\x9F\x98\x80\x7F\"",
        "{\"a\":{\"a\":{\"a\":1}}}\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ts_error err = {0};
        cr_expect_eq(parse(texts[i], strlen(texts[i]), &err), TS_OK, "%s: %s", texts[i],
                     err.message);
    }
}

// Each is refused, with the place and the reason.
Test(json, refuses_by_name)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "x.json:1:1: expected a JSON value, but the text ends"},
        {"  \n ", "x.json:2:2: expected a JSON value, but the text ends"},
        {"\xEF\xBB\xBF{}", "x.json:1:1: starts with a byte order mark"},
        {"{} x", "x.json:1:4: expected nothing after the JSON value, found 'x'"},
        {"{}{}", "x.json:1:3: expected nothing after"},
        {"01", "x.json:1:1: a number may not start with 0"},
        {"-01", "x.json:1:1: a number may not start with 0"},
        {"[00]", "x.json:1:2: a number may not start with 0"},
        {"+1", "expected a JSON value, found '+'"},
        {".5", "expected a JSON value, found '.'"},
        {"1.", "expected a digit after '.'"},
        {"1e", "expected a digit in the exponent"},
        {"-", "expected a digit, but the text ends"},
        {"0x10", "expected nothing after the JSON value, found 'x'"},
        {"NaN", "expected a JSON value, found NaN; JSON writes a number"},
        {"Infinity", "expected a JSON value, found Infinity"},
        {"{\"a\":None}", "x.json:1:6: expected a JSON value, found None; JSON writes null"},
        {"['a']", "x.json:1:2: expected a JSON value, found '; JSON writes \""},
        {"nul", "expected a JSON value, found 'n'"},
        {"truey", "expected nothing after the JSON value, found 'y'"},
        {"[1,]", "x.json:1:3: nothing stands between this comma and the ']': take the comma out"},
        {"[1,\n]", "x.json:1:3: nothing stands between this comma"},
        {"[,1]", "x.json:1:2: expected a JSON value, found ','"},
        {"[{}\n{}]", "x.json:2:1: expected ',' or ']', found '{': a comma is missing before it"},
        {"{\"a\":\"b\"\n\"c\":1}", "x.json:2:1: expected ',' or '}', found '\"': a comma is"},
        {"{\"a\":\"b \"c\" d\"}", "x.json:1:10: expected ',' or '}' (a quote inside a text is"},
        {"[1 2]", "x.json:1:4: expected ',' or ']', found '2'"},
        {"[1", "expected ',' or ']', but the text ends"},
        {"{\"a\":1,}", "x.json:1:7: nothing stands between this comma and the '}'"},
        {"{a:1}", "expected a key in quotes, found 'a'"},
        {"{'a':1}", "expected a key in quotes, found '''"},
        {"{\"a\" 1}", "expected ':', found '1'"},
        {"{\"a\":1", "expected ',' or '}', but the text ends"},
        {"{\"a\"", "expected ':', but the text ends"},
        {"[1] // c", "expected nothing after the JSON value, found '/'"},
        {"{\n  \"hidden\": 1,\n  \"hidden\": 2}", "x.json:3:3: key 'hidden' stands twice"},
        {"{\"\\u0061\":1,\"a\":2}", "key 'a' stands twice in one object"},
        {"{\"b\":{\"a\":1},\"c\":[],\"b\":2}", "key 'b' stands twice in one object"},
        {"{\"\\u0000\":1}", "x.json:1:2: \\u0000 is not accepted in a key"},
        {"\"\\ud800\"", "x.json:1:2: lone surrogate \\uD800"},
        {"\"\\udc00\"", "lone surrogate \\uDC00"},
        {"\"\\ud800\\u0041\"", "lone surrogate \\uD800"},
        {"\"\\ud800x\"", "lone surrogate \\uD800"},
        {"\"\\u12g4\"", "expected four hex digits after \\u, found 'g'"},
        {"\"\\x41\"", "expected an escape letter after '\\', found 'x'"},
        {"\"abc", "x.json:1:1: this string has no closing quote: the text ends"},
        {"\"abc\\", "expected an escape letter after '\\', but the text ends"},
        {"[\"a\nb\"]", "x.json:1:2: this string has no closing quote on its line"},
        {"\"a\t\"", "x.json:1:3: control character 0x09 in a string; in JSON it is written"},
        {"\"\xFF\"", "x.json:1:2: invalid UTF-8 (byte 0xFF)"},
        {"\"\xC3\"", "invalid UTF-8 (byte 0xC3)"},
        {"\"\xC0\xAF\"", "invalid UTF-8 (byte 0xC0)"},
        {"\"\xED\xA0\x80\"", "invalid UTF-8 (byte 0xED)"},
        {"\"\xF5\x80\x80\x80\"", "invalid UTF-8 (byte 0xF5)"},
        {"\xC3\xA9", "expected a JSON value, found byte 0xC3"},
        {"[\"\xC3\xA9\", x]", "x.json:1:7: expected a JSON value"}, // columns count characters
        {"1000000000000000000000000000000000000000000000000000000000000000", "a number of 64 char"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_error err = {0};
        cr_expect_eq(parse(cases[i].text, strlen(cases[i].text), &err), TS_ERR_FORMAT, "%s",
                     cases[i].text);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%s: %s", cases[i].text,
                           err.message);
    }
}

Test(json, refuses_a_zero_byte)
{
    ts_error err = {0};
    cr_expect_eq(parse("{}\0", 3, &err), TS_ERR_FORMAT);
    cr_expect_eq(parse("\"a\0b\"", 5, &err), TS_ERR_FORMAT);
    cr_expect_eq(parse("[\0]", 3, &err), TS_ERR_FORMAT);
}

Test(json, depth_ends_at_64)
{
    char text[200];
    ts_error err = {0};
    for (int depth = 64; depth <= 65; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        cr_expect_eq(parse(text, 2 * (size_t)depth, &err), depth == 64 ? TS_OK : TS_ERR_FORMAT);
    }
    cr_expect_not_null(strstr(err.message, "x.json:1:65: nested deeper than 64"));
}

// A JSON text may start anywhere in a file; places in messages count from there.
Test(json, parse_at_counts_from_its_place)
{
    cJSON *json = NULL;
    ts_error err = {0};
    cr_expect_eq(ts_json_parse_at("[1,\n x]", 7, "f", 10, 5, &json, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "f:11:2: "), "%s", err.message);
    cr_expect_eq(ts_json_parse_at("[x]", 3, "f", 10, 5, &json, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "f:10:6: "), "%s", err.message);
}

Test(json, members)
{
    static const char text[] =
        "{\"n\":7,\"big\":9007199254740993,\"most\":9007199254740991,\"half\":1.5,\"neg\":-1,"
        "\"huge\":1e999,\"s\":\"x\",\"t\":true,\"z\":null,\"N\":8}";
    cJSON *json = NULL;
    ts_error err = {0};
    uint64_t n = 0;
    double d = 0;
    bool b = false;
    const char *s = NULL;
    cr_assert_eq(ts_json_parse(text, strlen(text), "c", &json, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_json_get_uint(json, "n", 1, 10, "c", &n, &err), TS_OK);
    cr_expect_eq(n, 7);
    cr_expect_eq(ts_json_get_uint(json, "N", 1, 10, "c", &n, &err), TS_OK); // exact case
    cr_expect_eq(n, 8);
    cr_expect_eq(ts_json_get_uint(json, "most", 0, UINT64_MAX, "c", &n, &err), TS_OK);
    cr_expect_eq(n, 9007199254740991u);
    cr_expect_eq(ts_json_get_uint(json, "big", 0, UINT64_MAX, "c", &n, &err), TS_ERR_FORMAT);
    cr_expect_eq(ts_json_get_uint(json, "half", 0, 9, "c", &n, &err), TS_ERR_FORMAT);
    cr_expect_eq(ts_json_get_uint(json, "neg", 0, 9, "c", &n, &err), TS_ERR_FORMAT);
    cr_expect_eq(ts_json_get_uint(json, "huge", 0, UINT64_MAX, "c", &n, &err), TS_ERR_FORMAT);
    cr_expect_eq(ts_json_get_uint(json, "n", 8, 100, "c", &n, &err), TS_ERR_FORMAT);
    cr_expect_str_eq(err.message, "c: key 'n': expected a whole number from 8 to 100, found 7");
    cr_expect_eq(ts_json_get_uint(json, "s", 1, 100, "c", &n, &err), TS_ERR_FORMAT);
    cr_expect_str_eq(err.message, "c: key 's': expected a whole number from 1 to 100, found \"x\"");
    cr_expect_eq(ts_json_get_uint(json, "S", 1, 100, "c", &n, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "key 'S' is missing"));
    cr_expect_eq(ts_json_get_double(json, "half", "c", &d, &err), TS_OK);
    cr_expect_eq(d, 1.5);
    cr_expect_eq(ts_json_get_double(json, "huge", "c", &d, &err), TS_ERR_FORMAT);
    cr_expect_eq(ts_json_get_double(json, "z", "c", &d, &err), TS_ERR_FORMAT);
    cr_expect_str_eq(err.message, "c: key 'z': expected a number, found null");
    cr_expect_eq(ts_json_get_bool(json, "t", "c", &b, &err), TS_OK);
    cr_expect(b);
    cr_expect_eq(ts_json_get_bool(json, "n", "c", &b, &err), TS_ERR_FORMAT);
    cr_expect_eq(ts_json_get_text(json, "s", "c", &s, &err), TS_OK);
    cr_expect_str_eq(s, "x");
    cr_expect_eq(ts_json_get_text(json, "t", "c", &s, &err), TS_ERR_FORMAT);
    cr_expect_null(ts_json_get(ts_json_get(json, "n"), "x"));
    cr_expect_null(ts_json_get(NULL, "x"));
    cJSON_Delete(json);
}

// A NUL is a character: it ends no text, and no text with one is taken for another.
Test(json, carries_nul)
{
    static const char text[] =
        "{\"a\":\"x\\u0000y\\u0000\",\"b\":\"\\u0000\",\"c\":\"\\\\u0000\",\"d\":\"\"}";
    cJSON *json = NULL;
    ts_error err = {0};
    size_t len = 9;
    const char *found = NULL;
    cr_assert_eq(ts_json_parse(text, strlen(text), "n", &json, &err), TS_OK, "%s", err.message);
    cr_expect_neq(strcmp(ts_json_get(json, "a")->valuestring, "x"), 0);
    for (int time = 0; time < 2; time++) { // the second finds what the first decoded
        cr_assert_eq(ts_json_get_string(json, "a", "n", &found, &len, &err), TS_OK);
        cr_expect_eq(len, 4);
        cr_expect_arr_eq(found, "x\0y\0", 5);
        cr_expect_eq(ts_json_get_text(json, "a", "n", &found, &err), TS_ERR_FORMAT);
        cr_expect_str_eq(err.message, "n: key 'a': this text may not hold a NUL (\\u0000)");
    }
    cr_expect_eq(ts_json_get_text(json, "b", "n", &found, &err), TS_ERR_FORMAT);
    cr_assert_eq(ts_json_get_string(json, "b", "n", &found, &len, &err), TS_OK);
    cr_expect_eq(len, 1);
    cr_assert_eq(ts_json_get_string(json, "c", "n", &found, &len, &err), TS_OK);
    cr_expect_str_eq(found, "\\u0000");
    cr_assert_eq(ts_json_get_string(json, "d", "n", &found, &len, &err), TS_OK);
    cr_expect_eq(len, 0);
    cr_expect_eq(ts_json_get_string(json, "e", "n", &found, &len, &err), TS_ERR_FORMAT);
    ts_text quoted = {0};
    cr_assert_eq(ts_json_quote_bytes(&quoted, "x\0\"", 3, &err), TS_OK);
    cr_expect_str_eq(quoted.bytes, "\"x\\u0000\\\"\"");
    ts_text_free(&quoted);
    cJSON_Delete(json);
}

// Control characters, which a terminal would obey, are written as escapes.
Test(json, controls_are_escaped)
{
    static const char text[] = "a\x7f\xc2\x80\xc2\x9f\xc2\xa0\xc3\x80\xc2";
    ts_text out = {0};
    ts_error err = {0};
    cr_assert_eq(ts_json_quote(&out, text, &err), TS_OK);
    cr_expect_str_eq(out.bytes, "\"a\\u007f\\u0080\\u009f\xc2\xa0\xc3\x80\xc2\"");
    ts_text_clear(&out);
    cr_assert_eq(ts_json_escape_controls(&out, text, sizeof text - 1, &err), TS_OK);
    cr_expect_str_eq(out.bytes, "a\\u007f\\u0080\\u009f\xc2\xa0\xc3\x80\xc2");
    ts_text_free(&out);
}

Test(json, quote_survives_a_round_trip)
{
    static const char text[] = "a\"b\\c\n\t\x01 \xC3\xA9 \xF0\x9F\x98\x80";
    ts_text quoted = {0};
    ts_error err = {0};
    cJSON *json = NULL;
    cr_assert_eq(ts_json_quote(&quoted, text, &err), TS_OK);
    cr_assert_eq(ts_json_parse(quoted.bytes, quoted.len, "q", &json, &err), TS_OK, "%s",
                 err.message);
    cr_expect_str_eq(json->valuestring, text);
    cJSON_Delete(json);
    ts_text_free(&quoted);
}

// {"k0":0,"k1":0,...}
static double seconds_for_keys(unsigned count)
{
    ts_text text = {0};
    ts_error err = {0};
    cr_assert_eq(ts_text_append(&text, "{", 1, &err), TS_OK);
    for (unsigned i = 0; i < count; i++) {
        cr_assert_eq(ts_text_format(&text, &err, "%s\"k%u\":0", i > 0 ? "," : "", i), TS_OK);
    }
    cr_assert_eq(ts_text_append(&text, "}", 1, &err), TS_OK);
    clock_t start = clock(); // the processor's: other tests run beside this one
    cr_assert_eq(parse(text.bytes, text.len, &err), TS_OK, "%s", err.message);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    ts_text_free(&text);
    return seconds;
}

Test(json, duplicate_check_is_linear)
{
    double small = seconds_for_keys(25000), large = seconds_for_keys(200000);
    cr_expect_lt(large, 40 * small + 0.05, "8 times the keys took %.1f times as long",
                 large / small);
}

// Seeded damage to a valid text: any answer will do but a crash or a hang.
Test(json, survives_mutation)
{
    static const char valid[] = "{\"a\":[1,-2.5e3,true,null,{\"b\\u00e9\":\"\\ud83d\\ude00 "
                                "\xC3\xA9\"}],\"c\":{\"d\":\"\"}}";
    static const char alphabet[] = "{}[]\",:\\u0dD8-+.eE19tfn \n\x00\x80\xFF\xC3\xED";
    uint64_t seed = 1;
    unsigned accepted = 0;
    for (int round = 0; round < 20000; round++) {
        char text[sizeof valid];
        size_t len = sizeof valid - 1;
        memcpy(text, valid, len);
        for (uint64_t edits = next_random(&seed) % 3 + 1; edits > 0; edits--) {
            size_t at = next_random(&seed) % len;
            text[at] = alphabet[next_random(&seed) % (sizeof alphabet - 1)];
        }
        len -= next_random(&seed) % 4 == 0 ? next_random(&seed) % len : 0;
        char *exact = malloc(len > 0 ? len : 1); // so that reading past the end is caught
        memcpy(exact, text, len);
        ts_error err = {0};
        accepted += parse(exact, len, &err) == TS_OK;
        free(exact);
    }
    cr_expect_gt(accepted, 100);
    cr_expect_lt(accepted, 20000);
}

// One member of a text is set, added or removed, and every other byte stays.
Test(json, set_member)
{
    static const struct {
        const char *before, *key, *value, *after;
    } cases[] = {
        {"{\"a\": 1.0, \"b\": 2}", "a", "\"x\"", "{\"a\": \"x\", \"b\": 2}"},
        {"{\"a\": 1.0, \"b\": 2}", "b", "[3]", "{\"a\": 1.0, \"b\": [3]}"},
        {"{ \"o\": {\"b\": [1, \"}\"]},\n \"b\" : \"q\\\"}\" }", "b", "null",
         "{ \"o\": {\"b\": [1, \"}\"]},\n \"b\" : null }"},
        {"{\"o\": {\"b\": 1}, \"p\": []}", "o", "0", "{\"o\": 0, \"p\": []}"},
        {"{\"a\": 1}", "b", "true", "{\"b\": true,\n  \"a\": 1}"},
        {"{}", "b", "true", "{\"b\": true}"},
        {"{\"a\": 1, \"b\": 2}", "a", NULL, "{\"b\": 2}"},
        {"{\"a\": 1, \"b\": 2 }", "b", NULL, "{\"a\": 1 }"},
        {"{ \"a\": {} }", "a", NULL, "{  }"},
        {"{\"a\": 1}", "b", NULL, "{\"a\": 1}"},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_text text = {0};
        ts_error err = {0};
        cJSON *json = NULL;
        cr_assert_eq(ts_text_append(&text, cases[i].before, strlen(cases[i].before), &err), TS_OK);
        cr_assert_eq(ts_json_set_member(&text, cases[i].key, cases[i].value, &err), TS_OK);
        cr_expect_str_eq(text.bytes, cases[i].after);
        cr_expect_eq(ts_json_parse(text.bytes, text.len, "after", &json, &err), TS_OK, "%s",
                     err.message);
        cJSON_Delete(json);
        ts_text_free(&text);
    }
}
