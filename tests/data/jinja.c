#include "data/jinja/jinja.h"

#include "data_test.h"

#include <criterion/criterion.h>

// Renders `text` with variables from the JSON object `variables`, whose strings have source 1.
static ts_status render(const char *text, const char *variables, ts_rendering *out, ts_error *err)
{
    ts_jinja *jinja = NULL;
    ts_jinja_data data = {0};
    cJSON *json = cJSON_Parse(variables);
    cr_assert_not_null(json, "%s", variables);
    *err = (ts_error){0};
    struct tm day = {.tm_year = 126, .tm_mon = 10, .tm_mday = 28};
    ts_status status = ts_jinja_parse(text, strlen(text), "t", &jinja, err);
    for (const cJSON *v = json->child; v != NULL && status == TS_OK; v = v->next) {
        ts_jinja_value value;
        cr_assert_eq(ts_jinja_json(&data, v, 1, &value, err), TS_OK);
        cr_assert_eq(ts_jinja_set(&data, v->string, value, err), TS_OK);
    }
    if (status == TS_OK) {
        status = ts_jinja_render(jinja, &data, &day, out, err);
    }
    ts_jinja_free(jinja);
    ts_jinja_data_free(&data);
    cJSON_Delete(json);
    return status;
}

static const char variables[] =
    "{\"s\":\"Hello World\",\"u\":\"\\u00c0\\u00e9\\ud83d\\udc69\",\"n\":null,\"i\":7,\"f\":2.5,"
    "\"l\":[3,1,2],\"w\":[\"b\",\"A\",\"c\"],\"d\":{\"a\":1,\"items\":\"x\"},\"yes\":true,"
    "\"m\":[{\"role\":\"user\",\"content\":\" Hi \"},{\"role\":\"assistant\",\"content\":\"Yo\"}]}";

// Each right side is what jinja2 3.1 prints, set up as Hugging Face does.
Test(jinja, prints_what_python_prints)
{
    static const char *const cases[][2] = {
        {"{{ 1 }} {{ 1.0 }} {{ 1e20 }} {{ 1e-05 }} {{ none }} {{ true }}",
         "1 1.0 1e+20 1e-05 None True"},
        {"{{ [1, 'a', none, 2.5, true] }}{{ {'a': (1,), 2: []} }}",
         "[1, 'a', None, 2.5, True]{'a': (1,), 2: []}"},
        {"{{ ['it\\'s', 'a\\n', '\\x00'] }}", "[\"it's\", 'a\\n', '\\x00']"},
        {"{{ missing }}|{{ d.b }}|{{ s[99] }}|{{ missing is defined }}", "|||False"},
        {"{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }}",
         "3 -4 2 3.5 1024 0.5"},
        {"{{ 'a' * 3 }}{{ [1] * 2 + [2] }}{{ 1 ~ 'b' ~ none }}", "aaa[1, 1, 2]1bNone"},
        {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' in s }} {{ 'o W' in s }} {{ 1 not in l }}",
         "True False False True False"},
        {"{{ s[::-1] }} {{ s[-5:] }} {{ l[1:] }} {{ l[::-2] }} {{ u[1] }} {{ u|length }}",
         "dlroW olleH World [1, 2] [2, 3] \xC3\xA9 3"},
        {"{{ s.split() }} {{ s.split('o', 1) }} {{ s.rsplit('o', 1)[0] }}",
         "['Hello', 'World'] ['Hell', ' World'] Hello W"},
        {"{{ s.upper() }}{{ u|lower }}{{ 'a-b c'|title }}{{ 'aB'|capitalize }}",
         "HELLO WORLD\xC3\xA0\xC3\xA9\xF0\x9F\x91\xA9"
         "A-B CAb"},
        {"{{ s.replace('l', 'L', 1) }}{{ s|replace('l', '') }}{{ 'ab'.strip('a') }}",
         "HeLlo WorldHeo Wordb"},
        {"{{ s.startswith(('x', 'H')) }}{{ s.find('o') }}{{ s.find('q') }}{{ s.count('l') }}",
         "True4-13"},
        {"{{ d.a }}{{ d['items'] }}{{ d.get('q', 5) }}{{ d.items()|list }}{{ d|items|list }}",
         "1x5[('a', 1), ('items', 'x')][('a', 1), ('items', 'x')]"},
        {"{{ w|sort }}{{ w|sort(reverse=true) }}{{ l|max }}{{ l|sum }}{{ w|join('-') }}",
         "['A', 'b', 'c']['c', 'b', 'A']36b-A-c"},
        {"{{ m|map(attribute='role')|join(',') }}{{ m|selectattr('role', 'equalto', "
         "'user')|list|length }}",
         "user,assistant1"},
        {"{{ w|map('upper')|list }}{{ l|reject('odd')|list }}{{ w|first }}{{ w|last }}",
         "['B', 'A', 'C'][2]bc"},
        {"{{ missing|default('x') }}{{ ''|d('y', true) }}{{ n|default('z') }}", "xyNone"},
        {"{{ d|tojson }}{{ [u, 1.0, none]|tojson }}{{ {'a': [1]}|tojson(indent=2) }}",
         "{\"a\": 1, \"items\": \"x\"}[\"\xC3\x80\xC3\xA9\xF0\x9F\x91\xA9\", 1.0, null]"
         "{\n  \"a\": [\n    1\n  ]\n}"},
        {"{{ '%s is %05.1f%%' % ('x', 2) }}{{ '%d'|format(3) }}{{ '{}-{1}'.format(1, 2)[:1] }}",
         "x is 002.0%31"},
        {"{{ 'a\\nb'|indent(2) }}{{ ' x '|trim }}{{ 2.567|round(1) }}{{ '3'|int + 1 }}",
         "a\n  bx2.64"},
        {"{{ range(3)|list }}{{ range(5, 0, -2)|list }}{{ dict(a=1, **{'b': 2}) }}",
         "[0, 1, 2][5, 3, 1]{'a': 1, 'b': 2}"},
        {"{{ 'x' if i > 5 else 'y' }}{{ 'x' if n }}{{ not n }}{{ n or s and i }}", "xTrue7"},
        {"{{ i is number and s is string and d is mapping and l is sequence and n is none }}",
         "True"},
        {"{{ i is odd }}{{ i is divisibleby 7 }}{{ i is not even }}{{ 1 is in l }}",
         "TrueTrueTrueTrue"},
        {"{{ strftime_now('%d %b %Y') }}", "28 Nov 2026"},
        {"{{ '<b>' ~ ('<i>'|safe) }}{{ '<b>' + ('<i>'|safe) }}", "<b><i>&lt;b&gt;<i>"},
    };
    ts_rendering out = {0};
    ts_error err = {0};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_status status = render(cases[i][0], variables, &out, &err);
        cr_expect_eq(status, TS_OK, "%s: %s", cases[i][0], err.message);
        if (status == TS_OK) {
            cr_expect_str_eq(out.bytes, cases[i][1], "%s", cases[i][0]);
        }
    }
    ts_rendering_free(&out);
}

Test(jinja, runs_statements)
{
    static const char *const cases[][2] = {
        {"{% for x in l %}{{ loop.index }}{{ x }}{{ ',' if not loop.last }}{% endfor %}",
         "13,21,32"},
        {"{% for x in l if x > 1 %}{{ loop.index0 }}/{{ loop.length }} {% else %}no{% endfor %}",
         "0/2 1/2 "},
        {"{% for x in [] %}{% else %}none{% endfor %}", "none"},
        {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "a=1;items=x;"},
        {"{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% break %}{% endfor %}",
         "3"},
        {"{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}"
         "{% endfor %}",
         "<3>1a3<1>2b1<2>a"},
        {"{% set x = 1 %}{% for y in l %}{% set x = y %}{% endfor %}{{ x }}", "1"},
        {"{% set ns = namespace(x=1) %}{% for y in l %}{% set ns.x = y %}{% endfor %}{{ ns.x }}",
         "2"},
        {"{% set a, b = 1, 2 %}{{ b }}{% set c %}<{{ a }}>{% endset %}{{ c }}", "2<1>"},
        {"{% macro f(a, b='x') %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(b=2, a=3) }}", "1x32"},
        {"{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
         "321"},
        {"{% macro f() %}[{{ caller('x') }}]{% endmacro %}{% call(a) f() %}{{ a }}!{% endcall %}",
         "[x!]"},
        {"{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{% filter upper %}x{{ s }}{% endfilter %}",
         "3XHELLO WORLD"},
        {"{% if n %}1{% elif i > 9 %}2{% elif i %}3{% else %}4{% endif %}", "3"},
        {"a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"},
        {"a\n  {%+ if true +%}\n  b {%- endif -%}\n c", "a\n  \n  bc"},
        {"{{ 1 -}}  \n x {{- 2 }}\n\n", "1x2\n"},
        {"{# c #}\n{% raw %}{{ x }}{% endraw %}{#- c -#}  \n y\r\nz", "{{ x }}y\nz"},
        {"{{ 'a' 'b' }}{{ 'caf\\u00e9\\x21\\q' }}", "abcaf\xC3\xA9!\\q"},
        {"{{ {'a': {'b': 1}}['a']['b'] }}{{ (1, 2)[1] }}{{ m.0.role }}", "12user"},
    };
    ts_rendering out = {0};
    ts_error err = {0};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_status status = render(cases[i][0], variables, &out, &err);
        cr_expect_eq(status, TS_OK, "%s: %s", cases[i][0], err.message);
        if (status == TS_OK) {
            cr_expect_str_eq(out.bytes, cases[i][1], "%s", cases[i][0]);
        }
    }
    ts_rendering_free(&out);
}

Test(jinja, names_what_is_wrong_and_where)
{
    static const struct {
        const char *text, *message;
        ts_status status;
    } cases[] = {
        {"\n\n{{ s|xmlattr }}", "t:3:6: filter 'xmlattr' is not implemented", TS_ERR_UNSUPPORTED},
        {"{{ s is nonsense }}", "t:1:9: test 'nonsense' is not implemented", TS_ERR_UNSUPPORTED},
        {"{% include 'x' %}", "tag 'include' is not implemented", TS_ERR_UNSUPPORTED},
        {"{% do x %}", "t:1:4: unknown tag 'do'", TS_ERR_FORMAT},
        {"{{ s.encode() }}", "method 'encode' is not implemented", TS_ERR_UNSUPPORTED},
        {"{% for x in l %}{{ x }}", "has no '{% endfor %}'", TS_ERR_FORMAT},
        {"{% if x %}{% endfor %}", "t:1:14: unknown tag 'endfor'", TS_ERR_FORMAT},
        {"{{ 'abc }}", "t:1:4: this string has no end", TS_ERR_FORMAT},
        {"a\n{{ (1 }}", "unexpected '}', expected ')'", TS_ERR_FORMAT},
        {"a {# b", "this comment has no end", TS_ERR_FORMAT},
        {"{{ }}", "t:1:4: expected a value, found '}}'", TS_ERR_FORMAT},
        {"{{ 9223372036854775807 + 1 }}", "beyond 64 bits", TS_ERR_UNSUPPORTED},
        {"\n{{ raise_exception('No ' + 'system') }}", "t:2: No system", TS_ERR_FORMAT},
        {"{{ missing.x }}", "'missing' is undefined", TS_ERR_FORMAT},
        {"{{ d.b.c }}", "'dict object' has no attribute 'b'", TS_ERR_FORMAT},
        {"{{ s + 1 }}", "can only concatenate str (not \"int\") to str", TS_ERR_FORMAT},
        {"{{ 1 + s }}", "unsupported operand type(s) for +: 'int' and 'str'", TS_ERR_FORMAT},
        {"{{ s < 1 }}", "'<' not supported between instances of 'str' and 'int'", TS_ERR_FORMAT},
        {"{{ n|length }}", "object of type 'NoneType' has no len()", TS_ERR_FORMAT},
        {"{% for x in n %}{% endfor %}", "'NoneType' object is not iterable", TS_ERR_FORMAT},
        {"{{ l.append(1) }}", "access to attribute 'append' of 'list' object is unsafe.",
         TS_ERR_FORMAT},
        {"{{ s.__class__.x }}", "access to attribute '__class__' of 'str' object is unsafe.",
         TS_ERR_FORMAT},
        {"{% set a, b = l %}", "too many values to unpack (expected 2)", TS_ERR_FORMAT},
        {"{% set s.x = 1 %}", "cannot assign attribute on non-namespace object", TS_ERR_FORMAT},
        {"{{ 1 // 0 }}", "by zero", TS_ERR_FORMAT},
        {"{{ l|map(attribute='9223372036854775807x')|first + 1 }}",
         "'int object' has no attribute '9223372036854775807x'", TS_ERR_FORMAT},
        {"{{ l|map('length\\x00')|list }}", "filter 'length", TS_ERR_UNSUPPORTED},
        {"{{ l|select('even\\x00')|list }}", "test 'even", TS_ERR_UNSUPPORTED},
    };
    ts_rendering out = {0};
    ts_error err = {0};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        cr_expect_eq(render(cases[i].text, variables, &out, &err), cases[i].status, "%s: %s",
                     cases[i].text, err.message);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%s: %s", cases[i].text,
                           err.message);
    }
    ts_rendering_free(&out);
}

// Whatever a template does, a run ends: in steps, in depth, in memory.
Test(jinja, is_bounded)
{
    static const char *const cases[][2] = {
        {"{% for a in range(99999) %}{% set x = 1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1 %}{% endfor %}",
         "does not end after"},
        {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "maximum recursion depth"},
        {"{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x "
         "%}"
         "{% endfor %}",
         "needs more than"},
        {"{{ 'x' * 99999999999 }}", "needs more than"},
        {"{{ [1] * 99999999999 }}", "needs more than"},
        {"{{ range(999999) }}", "Range too big"},
        {"{% set ns = namespace(x=[]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor "
         "%}"
         "{{ ns.x }}",
         "maximum recursion depth"},
        {"{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "maximum recursion depth"},
        {"{{ 2 ** 99999 }}", "beyond 64 bits"},
    };
    ts_rendering out = {0};
    ts_error err = {0};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        cr_expect_neq(render(cases[i][0], "{}", &out, &err), TS_OK, "%s", cases[i][0]);
        cr_expect_not_null(strstr(err.message, cases[i][1]), "%s: %s", cases[i][0], err.message);
    }
    ts_text deep = {0};
    for (int i = 0; i < 5000; i++) {
        cr_assert_eq(ts_text_append(&deep, i == 0 ? "{{ " : "(", i == 0 ? 3 : 1, &err), TS_OK);
    }
    cr_expect_eq(render(deep.bytes, "{}", &out, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "nested deeper than"), "%s", err.message);
    ts_text_free(&deep);
    ts_rendering_free(&out);
}

// Every byte remembers whether it came from a variable ('c') or from the template ('t').
Test(jinja, bytes_remember_where_they_come_from)
{
    static const char *const cases[][3] = {
        {"<{{ s }}>", "<Hello World>", "tccccccccccct"},
        {"{{ '<' + m[0].content|trim + '>' }}", "<Hi>", "tcct"},
        {"{{ ('a' ~ s)[:4] ~ s[-1] }}", "aHeld", "tcccc"},
        {"{{ ('x:' + s).split(':')[1].upper() }}", "HELLO WORLD", "ccccccccccc"},
        {"{{ s.replace('World', 'you') }}", "Hello you", "ccccccttt"},
        {"{% set x %}a{{ m[1].content }}{% endset %}{{ x * 2 }}", "aYoaYo", "tcctcc"},
        {"{{ [m[1].content, 'b']|join('-') }}", "Yo-b", "cctt"},
        {"{{ m[1].content|tojson }}", "\"Yo\"", "tcct"},
        {"{% macro f(x) %}({{ x }}){% endmacro %}{{ f(m[1].content)|lower }}", "(yo)", "tcct"},
        {"{{ '%s!' % m[1].content }}{{ '{}?'.format(m[1].content) }}", "Yo!Yo?", "cctcct"},
    };
    ts_rendering out = {0};
    ts_error err = {0};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        char sources[64] = {0};
        cr_assert_eq(render(cases[i][0], variables, &out, &err), TS_OK, "%s: %s", cases[i][0],
                     err.message);
        for (size_t k = 0; k < out.len; k++) {
            sources[k] = out.sources[k] == 1 ? 'c' : out.sources[k] == 0 ? 't' : '?';
        }
        cr_expect_str_eq(out.bytes, cases[i][1], "%s", cases[i][0]);
        cr_expect_str_eq(sources, cases[i][2], "%s", cases[i][0]);
    }
    ts_rendering_free(&out);
}

// Published templates, rendered by transformers: equal to the byte, or the same error.
Test(jinja, published_templates)
{
    ts_text file = {0};
    ts_error err = {0};
    ts_rendering out = {0};
    size_t count = 0;
    if (!ts_file_exists(SHARED_FOLDER "/golden/templates.jsonl")) {
        cr_skip_test("needs " SHARED_FOLDER "/golden/templates.jsonl");
    }
    cr_assert_eq(ts_file_read(SHARED_FOLDER "/golden/templates.jsonl", 64 << 20, &file, &err),
                 TS_OK);
    for (char *line = strtok(file.bytes, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        cJSON *row = cJSON_Parse(line);
        const char *name = ts_json_get(row, "name")->valuestring;
        const cJSON *item;
        cJSON_ArrayForEach(item, ts_json_get(row, "cases"))
        {
            cJSON *given = cJSON_Duplicate(item, true);
            cJSON_AddItemToObject(given, "bos_token",
                                  cJSON_Duplicate(ts_json_get(row, "bos"), true));
            cJSON_AddItemToObject(given, "eos_token",
                                  cJSON_Duplicate(ts_json_get(row, "eos"), true));
            cJSON_AddNullToObject(given, "tools");
            cJSON_AddNullToObject(given, "documents");
            char *text = cJSON_PrintUnformatted(given);
            const cJSON *expected = ts_json_get(item, "text"), *error = ts_json_get(item, "error");
            ts_status status = render(ts_json_get(row, "template")->valuestring, text, &out, &err);
            if (expected != NULL) {
                cr_expect_eq(status, TS_OK, "%s: %s", name, err.message);
                cr_expect_str_eq(out.bytes, expected->valuestring, "%s", name);
            } else {
                cr_expect_eq(status, TS_ERR_FORMAT, "%s", name);
                cr_expect_not_null(strstr(err.message, error->valuestring), "%s: %s", name,
                                   err.message);
            }
            count++;
            cJSON_free(text);
            cJSON_Delete(given);
        }
        cJSON_Delete(row);
    }
    cr_expect_eq(count, 180);
    ts_rendering_free(&out);
    ts_text_free(&file);
}
