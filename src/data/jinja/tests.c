// Tests: {{ x is name(arguments) }}. To add one, write a function and a row of the table.
#include "data/jinja/parts.h"

#include <string.h>

static jvalue yes(bool flag)
{
    return j_bool(flag);
}

// Tests that depend on nothing but the value's kind.
#define KIND_TEST(name, condition)                                                                 \
    static ts_status test_##name(jrun *r, const jargs *a, jvalue *out)                             \
    {                                                                                              \
        jvalue v = a->values[0];                                                                   \
        (void)r;                                                                                   \
        *out = yes(condition);                                                                     \
        return TS_OK;                                                                              \
    }
KIND_TEST(defined, v.kind != J_UNDEFINED)
KIND_TEST(undefined, v.kind == J_UNDEFINED)
KIND_TEST(none, v.kind == J_NONE)
KIND_TEST(boolean, v.kind == J_BOOL)
KIND_TEST(true, v.kind == J_BOOL && v.flag)
KIND_TEST(false, v.kind == J_BOOL && !v.flag)
KIND_TEST(integer, v.kind == J_INT)
KIND_TEST(float, v.kind == J_FLOAT)
KIND_TEST(number, j_is_number(v))
KIND_TEST(string, v.kind == J_STRING)
KIND_TEST(mapping, v.kind == J_DICT)
KIND_TEST(iterable, v.kind == J_UNDEFINED || v.kind == J_STRING || j_is_list(v) ||
                        v.kind == J_DICT || v.kind == J_RANGE || v.kind == J_ITERATOR ||
                        v.kind == J_LOOP)
KIND_TEST(sequence, v.kind == J_UNDEFINED || v.kind == J_STRING || v.kind == J_LIST ||
                        v.kind == J_TUPLE || v.kind == J_DICT || v.kind == J_RANGE)
KIND_TEST(callable, v.kind == J_UNDEFINED || v.kind == J_FUNCTION || v.kind == J_METHOD ||
                        v.kind == J_MACRO || v.kind == J_JOINER || v.kind == J_LOOP)
KIND_TEST(escaped, v.kind == J_STRING && j_text(v)->markup)
#undef KIND_TEST

static ts_status has_rest(jrun *r, jvalue value, jvalue divisor, int64_t rest, jvalue *out)
{
    ts_status status = TS_OK;
    bool equal = false;
    jvalue found;
    TS_TRY(ts_jinja_binary(r, '%', value, divisor, &found));
    TS_TRY(ts_jinja_equal(r, found, j_int(rest), &equal));
    *out = yes(equal);
out:
    return status;
}

static ts_status test_odd(jrun *r, const jargs *a, jvalue *out)
{
    return has_rest(r, a->values[0], j_int(2), 1, out);
}

static ts_status test_even(jrun *r, const jargs *a, jvalue *out)
{
    return has_rest(r, a->values[0], j_int(2), 0, out);
}

static ts_status test_divisibleby(jrun *r, const jargs *a, jvalue *out)
{
    return has_rest(r, a->values[0], a->values[1], 0, out);
}

// Whether the text has letters with case, and all of them are upper (or lower) case.
static ts_status all_cased(jrun *r, jvalue value, bool upper, jvalue *out)
{
    jvalue printed;
    ts_status status = ts_jinja_print(r, value, &printed);
    bool found = false, other = false;
    for (size_t at = 0, taken; status == TS_OK && at < j_text(printed)->len; at += taken) {
        int32_t cp = ts_utf8_decode(j_text(printed)->bytes + at, j_text(printed)->len - at, &taken);
        found = found || (upper ? ts_jinja_is_upper(cp) : ts_jinja_is_lower(cp));
        other = other || (upper ? ts_jinja_is_lower(cp) : ts_jinja_is_upper(cp));
    }
    *out = yes(found && !other);
    return status;
}

static ts_status test_lower(jrun *r, const jargs *a, jvalue *out)
{
    return all_cased(r, a->values[0], false, out);
}

static ts_status test_upper(jrun *r, const jargs *a, jvalue *out)
{
    return all_cased(r, a->values[0], true, out);
}

static ts_status test_filter(jrun *r, const jargs *a, jvalue *out)
{
    (void)r;
    const jstring *s = a->values[0].kind == J_STRING ? j_text(a->values[0]) : NULL;
    *out = yes(s != NULL && ts_jinja_find_filter(s->bytes, s->len) != NULL);
    return TS_OK;
}

static ts_status test_test(jrun *r, const jargs *a, jvalue *out)
{
    (void)r;
    const jstring *s = a->values[0].kind == J_STRING ? j_text(a->values[0]) : NULL;
    *out = yes(s != NULL && ts_jinja_find_test(s->bytes, s->len) != NULL);
    return TS_OK;
}

static ts_status test_sameas(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue x = a->values[0], y = a->values[1];
    bool same = x.kind == y.kind;
    if (same && x.kind <= J_STRING) {
        TS_TRY(ts_jinja_equal(r, x, y, &same));
    } else {
        same = same && x.pointer == y.pointer;
    }
    *out = yes(same);
out:
    return status;
}

static ts_status test_in(jrun *r, const jargs *a, jvalue *out)
{
    bool found = false;
    ts_status status = ts_jinja_contains(r, a->values[1], a->values[0], &found);
    *out = yes(found);
    return status;
}

static ts_status test_eq(jrun *r, const jargs *a, jvalue *out)
{
    bool equal = false;
    ts_status status = ts_jinja_equal(r, a->values[0], a->values[1], &equal);
    *out = yes(equal);
    return status;
}

static ts_status test_ne(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = test_eq(r, a, out);
    *out = yes(!out->flag);
    return status;
}

static ts_status order(jrun *r, const jargs *a, int op, jvalue *out)
{
    bool holds = false;
    ts_status status = ts_jinja_order(r, op, a->values[0], a->values[1], &holds);
    *out = yes(holds);
    return status;
}

static ts_status test_gt(jrun *r, const jargs *a, jvalue *out)
{
    return order(r, a, '>', out);
}

static ts_status test_ge(jrun *r, const jargs *a, jvalue *out)
{
    return order(r, a, OP_GE, out);
}

static ts_status test_lt(jrun *r, const jargs *a, jvalue *out)
{
    return order(r, a, '<', out);
}

static ts_status test_le(jrun *r, const jargs *a, jvalue *out)
{
    return order(r, a, OP_LE, out);
}

static const jrow tests[] = {
    {"!=", test_ne, 2, {"a", "b"}},
    {"<", test_lt, 2, {"a", "b"}},
    {"<=", test_le, 2, {"a", "b"}},
    {"==", test_eq, 2, {"a", "b"}},
    {">", test_gt, 2, {"a", "b"}},
    {">=", test_ge, 2, {"a", "b"}},
    {"boolean", test_boolean, 1, {"value"}},
    {"callable", test_callable, 1, {"value"}},
    {"defined", test_defined, 1, {"value"}},
    {"divisibleby", test_divisibleby, 2, {"value", "num"}},
    {"eq", test_eq, 2, {"a", "b"}},
    {"equalto", test_eq, 2, {"a", "b"}},
    {"escaped", test_escaped, 1, {"value"}},
    {"even", test_even, 1, {"value"}},
    {"false", test_false, 1, {"value"}},
    {"filter", test_filter, 1, {"value"}},
    {"float", test_float, 1, {"value"}},
    {"ge", test_ge, 2, {"a", "b"}},
    {"greaterthan", test_gt, 2, {"a", "b"}},
    {"gt", test_gt, 2, {"a", "b"}},
    {"in", test_in, 2, {"value", "seq"}},
    {"integer", test_integer, 1, {"value"}},
    {"iterable", test_iterable, 1, {"value"}},
    {"le", test_le, 2, {"a", "b"}},
    {"lessthan", test_lt, 2, {"a", "b"}},
    {"lower", test_lower, 1, {"value"}},
    {"lt", test_lt, 2, {"a", "b"}},
    {"mapping", test_mapping, 1, {"value"}},
    {"ne", test_ne, 2, {"a", "b"}},
    {"none", test_none, 1, {"value"}},
    {"number", test_number, 1, {"value"}},
    {"odd", test_odd, 1, {"value"}},
    {"sameas", test_sameas, 2, {"value", "other"}},
    {"sequence", test_sequence, 1, {"value"}},
    {"string", test_string, 1, {"value"}},
    {"test", test_test, 1, {"value"}},
    {"true", test_true, 1, {"value"}},
    {"undefined", test_undefined, 1, {"value"}},
    {"upper", test_upper, 1, {"value"}},
};

const jrow *ts_jinja_find_test(const char *name, size_t len)
{
    return ts_jinja_find_row(tests, TS_COUNT(tests), name, len);
}
