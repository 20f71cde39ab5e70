// The functions that a template may call, and the methods of lists and dicts.
#include "data/jinja/parts.h"

#include <string.h>

// ---- Functions

static ts_status function_range(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jrange *range = NULL;
    int64_t bounds[3] = {0, 0, 1};
    if (a->count < 1 || a->count > 3 || a->named_count > 0) {
        return ts_jinja_raise(r, "range expected 1 to 3 arguments, got %zu", a->count);
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!j_is_whole(a->values[i])) {
            return ts_jinja_raise(r, "'%s' object cannot be interpreted as an integer",
                                  ts_jinja_type(a->values[i]));
        }
        bounds[a->count == 1 ? 1 : i] = j_whole(a->values[i]);
    }
    if (bounds[2] == 0) {
        return ts_jinja_raise(r, "range() arg 3 must not be zero");
    }
    bool up = bounds[2] > 0;
    uint64_t low = (uint64_t)bounds[up ? 0 : 1], high = (uint64_t)bounds[up ? 1 : 0];
    bool some = up ? bounds[0] < bounds[1] : bounds[0] > bounds[1];
    uint64_t step = up ? (uint64_t)bounds[2] : 0 - (uint64_t)bounds[2];
    uint64_t count = some ? (high - low - 1) / step + 1 : 0;
    if (count > J_MAX_RANGE) {
        return ts_jinja_raise(
            r, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", J_MAX_RANGE);
    }
    TS_TRY(ts_jinja_alloc(r, 1, sizeof *range, &range));
    *range = (jrange){bounds[0], bounds[1], bounds[2], count};
    *out = j_pointer(J_RANGE, range);
out:
    return status;
}

// dict() and namespace(): from a mapping or pairs, then from keyword arguments.
static ts_status make_dict(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jdict *dict = NULL;
    if (a->count > 1) {
        return ts_jinja_raise(r, "dict expected at most 1 argument, got %zu", a->count);
    }
    TS_TRY(ts_jinja_new_dict(r, a->named_count + 4, &dict, out));
    if (a->count == 1 && a->values[0].kind == J_DICT) {
        const jdict *from = j_dict(a->values[0]);
        for (size_t i = 0; i < from->count; i++) {
            TS_TRY(ts_jinja_dict_set(r, dict, from->pairs[i].key, from->pairs[i].value));
        }
    } else if (a->count == 1) {
        jlist pairs = {0}, pair = {0};
        TS_TRY(ts_jinja_iterate(r, a->values[0], &pairs));
        for (size_t i = 0; i < pairs.count; i++) {
            TS_TRY(ts_jinja_iterate(r, pairs.items[i], &pair));
            if (pair.count != 2) {
                return ts_jinja_raise(r,
                                      "dictionary update sequence element #%zu has length %zu; 2 "
                                      "is required",
                                      i, pair.count);
            }
            TS_TRY(ts_jinja_dict_set(r, dict, pair.items[0], pair.items[1]));
        }
    }
    for (size_t i = 0; i < a->named_count; i++) {
        TS_TRY(ts_jinja_dict_set(r, dict, a->named[i].key, a->named[i].value));
    }
out:
    return status;
}

static ts_status function_namespace(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = make_dict(r, a, out);
    out->kind = J_NAMESPACE;
    return status;
}

static ts_status function_raise(jrun *r, const jargs *a, jvalue *out)
{
    (void)out;
    jvalue message;
    ts_status status = ts_jinja_print(r, a->values[0], &message);
    if (status == TS_OK) {
        status = ts_jinja_raise(r, "%.*s", (int)ts_min_u64(j_text(message)->len, 700),
                                j_text(message)->bytes);
    }
    return status;
}

// In the C locale, which Python's datetime.strftime uses unless a program sets another.
static ts_status function_strftime_now(jrun *r, const jargs *a, jvalue *out)
{
    char format[256], text[1024];
    if (a->values[0].kind != J_STRING || j_text(a->values[0])->len >= sizeof format) {
        return ts_jinja_raise(r, "strftime() argument 1 must be a short str, not %s",
                              ts_jinja_type(a->values[0]));
    }
    memcpy(format, j_text(a->values[0])->bytes, j_text(a->values[0])->len);
    format[j_text(a->values[0])->len] = '\0';
    size_t len = strftime(text, sizeof text, format, &r->now);
    return ts_jinja_new_string(r, text, ts_utf8_valid_prefix(text, len), 0, out);
}

static ts_status function_joiner(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jcycler *joiner = NULL;
    TS_TRY(ts_jinja_alloc(r, 1, sizeof *joiner, &joiner));
    TS_TRY(ts_jinja_alloc(r, 1, sizeof *joiner->items.items, &joiner->items.items));
    joiner->items.count = 1;
    joiner->items.items[0] = a->values[0];
    if (a->values[0].kind == J_MISSING) {
        TS_TRY(ts_jinja_new_string(r, ", ", 2, 0, &joiner->items.items[0]));
    }
    *out = j_pointer(J_JOINER, joiner);
out:
    return status;
}

static ts_status function_cycler(jrun *r, const jargs *a, jvalue *out)
{
    jcycler *cycler = NULL;
    if (a->count == 0) {
        return ts_jinja_raise(r, "at least one item has to be provided");
    }
    ts_status status = ts_jinja_alloc(r, 1, sizeof *cycler, &cycler);
    if (status == TS_OK) {
        cycler->items = (jlist){.items = a->values, .count = a->count};
        *out = j_pointer(J_CYCLER, cycler);
    }
    return status;
}

static const jrow functions[] = {
    {"cycler", function_cycler, 0, {NULL}},
    {"dict", make_dict, 0, {NULL}},
    {"joiner", function_joiner, 0, {"sep"}},
    {"lipsum", NULL, 0, {NULL}},
    {"namespace", function_namespace, 0, {NULL}},
    {"raise_exception", function_raise, 1, {"message"}},
    {"range", function_range, 0, {NULL}},
    {"strftime_now", function_strftime_now, 1, {"format"}},
};

const jrow *ts_jinja_find_function(const char *name, size_t len)
{
    return ts_jinja_find_row(functions, TS_COUNT(functions), name, len);
}

// ---- Methods of dicts

// 'k': the keys, 'v': the values, 'i': (key, value) pairs.
static ts_status view(jrun *r, const jargs *a, char what, const char *type, jvalue *out)
{
    ts_status status = TS_OK;
    const jdict *dict = j_dict(a->values[0]);
    jlist *list = NULL;
    TS_TRY(ts_jinja_new_list(r, J_VIEW, dict->count, &list, out));
    list->type = type;
    for (size_t i = 0; i < dict->count; i++) {
        const jpair *p = &dict->pairs[i];
        jlist *pair = NULL;
        if (what != 'i') {
            list->items[i] = what == 'k' ? p->key : p->value;
            continue;
        }
        TS_TRY(ts_jinja_new_list(r, J_TUPLE, 2, &pair, &list->items[i]));
        pair->items[0] = p->key;
        pair->items[1] = p->value;
    }
out:
    return status;
}

static ts_status dict_items(jrun *r, const jargs *a, jvalue *out)
{
    return view(r, a, 'i', "dict_items", out);
}

static ts_status dict_keys(jrun *r, const jargs *a, jvalue *out)
{
    return view(r, a, 'k', "dict_keys", out);
}

static ts_status dict_values(jrun *r, const jargs *a, jvalue *out)
{
    return view(r, a, 'v', "dict_values", out);
}

static ts_status dict_get(jrun *r, const jargs *a, jvalue *out)
{
    const jvalue *found = NULL;
    ts_status status = ts_jinja_dict_find(r, j_dict(a->values[0]), a->values[1], &found);
    *out = found != NULL ? *found : a->values[2].kind != J_MISSING ? a->values[2] : j_none();
    return status;
}

static ts_status dict_copy(jrun *r, const jargs *a, jvalue *out)
{
    jargs one = {.values = a->values, .count = 1};
    return make_dict(r, &one, out);
}

static const jrow dict_methods[] = {
    {"clear", NULL, 1, {"self"}},         {"copy", dict_copy, 1, {"self"}},
    {"fromkeys", NULL, 1, {"self"}},      {"get", dict_get, 2, {"self", "key", "default"}},
    {"items", dict_items, 1, {"self"}},   {"keys", dict_keys, 1, {"self"}},
    {"pop", NULL, 1, {"self"}},           {"popitem", NULL, 1, {"self"}},
    {"setdefault", NULL, 1, {"self"}},    {"update", NULL, 1, {"self"}},
    {"values", dict_values, 1, {"self"}},
};

// ---- Methods of lists and tuples

static ts_status list_index(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jlist *list = j_list(a->values[0]);
    for (size_t i = 0; i < list->count; i++) {
        bool equal = false;
        TS_TRY(ts_jinja_equal(r, list->items[i], a->values[1], &equal));
        if (equal) {
            *out = j_int((int64_t)i);
            return TS_OK;
        }
    }
    jbuilder b = {0};
    jvalue printed;
    TS_TRY(ts_jinja_append_repr(r, &b, a->values[1]));
    TS_TRY(ts_jinja_built(r, &b, &printed));
    status = ts_jinja_raise(r, "%.*s is not in list", (int)ts_min_u64(j_text(printed)->len, 100),
                            j_text(printed)->bytes);
out:
    return status;
}

static ts_status list_count(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jlist *list = j_list(a->values[0]);
    int64_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        bool equal = false;
        TS_TRY(ts_jinja_equal(r, list->items[i], a->values[1], &equal));
        count += equal;
    }
    *out = j_int(count);
out:
    return status;
}

static ts_status list_copy(jrun *r, const jargs *a, jvalue *out)
{
    const jlist *from = j_list(a->values[0]);
    jlist *list = NULL;
    ts_status status = ts_jinja_new_list(r, J_LIST, from->count, &list, out);
    if (status == TS_OK && from->count > 0) {
        memcpy(list->items, from->items, from->count * sizeof *list->items);
    }
    return status;
}

static const jrow list_methods[] = {
    {"append", NULL, 1, {"self"}},    {"clear", NULL, 1, {"self"}},
    {"copy", list_copy, 1, {"self"}}, {"count", list_count, 2, {"self", "value"}},
    {"extend", NULL, 1, {"self"}},    {"index", list_index, 2, {"self", "value"}},
    {"insert", NULL, 1, {"self"}},    {"pop", NULL, 1, {"self"}},
    {"remove", NULL, 1, {"self"}},    {"reverse", NULL, 1, {"self"}},
    {"sort", NULL, 1, {"self"}},
};

static const jrow tuple_methods[] = {
    {"count", list_count, 2, {"self", "value"}},
    {"index", list_index, 2, {"self", "value"}},
};

static ts_status cycler_next(jrun *r, const jargs *a, jvalue *out)
{
    (void)r;
    jcycler *cycler = (jcycler *)a->values[0].pointer;
    *out = cycler->items.items[cycler->at];
    cycler->at = (cycler->at + 1) % cycler->items.count;
    return TS_OK;
}

static ts_status cycler_reset(jrun *r, const jargs *a, jvalue *out)
{
    (void)r;
    ((jcycler *)a->values[0].pointer)->at = 0;
    *out = j_none();
    return TS_OK;
}

static const jrow cycler_methods[] = {
    {"next", cycler_next, 1, {"self"}},
    {"reset", cycler_reset, 1, {"self"}},
};

const jrow *ts_jinja_find_method(jkind kind, const char *name, size_t len)
{
    switch (kind) {
    case J_STRING:
        return ts_jinja_find_row(ts_jinja_string_methods, ts_jinja_string_method_count, name, len);
    case J_DICT:
        return ts_jinja_find_row(dict_methods, TS_COUNT(dict_methods), name, len);
    case J_LIST:
        return ts_jinja_find_row(list_methods, TS_COUNT(list_methods), name, len);
    case J_TUPLE:
        return ts_jinja_find_row(tuple_methods, TS_COUNT(tuple_methods), name, len);
    case J_CYCLER:
        return ts_jinja_find_row(cycler_methods, TS_COUNT(cycler_methods), name, len);
    default:
        return NULL;
    }
}
