// Filters of sequences and dicts.
#include "data/jinja/parts.h"

#include <string.h>

static ts_status filter_list(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0}, *list = NULL;
    TS_TRY(ts_jinja_iterate(r, a->values[0], &items));
    TS_TRY(ts_jinja_new_list(r, J_LIST, items.count, &list, out));
    if (items.count > 0) {
        memcpy(list->items, items.items, items.count * sizeof *items.items);
    }
out:
    return status;
}

static ts_status filter_first(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0};
    if (a->values[0].kind == J_ITERATOR) { // reads one item and leaves the others
        jlist *from = j_list(a->values[0]);
        if (from->next < from->count) {
            *out = from->items[from->next++];
            return TS_OK;
        }
    } else {
        TS_TRY(ts_jinja_iterate(r, a->values[0], &items));
    }
    if (items.count == 0) {
        return ts_jinja_hint(r, out, "No first item, sequence was empty.");
    }
    *out = items.items[0];
out:
    return status;
}

static ts_status filter_last(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0};
    if (a->values[0].kind == J_ITERATOR) {
        return ts_jinja_raise(r, "'%s' object is not reversible", ts_jinja_type(a->values[0]));
    }
    TS_TRY(ts_jinja_iterate(r, a->values[0], &items));
    if (items.count == 0) {
        return ts_jinja_hint(r, out, "No last item, sequence was empty.");
    }
    *out = items.items[items.count - 1];
out:
    return status;
}

// ---- Attributes by path: "a.b.0"

static ts_status get_path(jrun *r, jvalue item, jvalue path, jvalue otherwise, jvalue *out)
{
    ts_status status = TS_OK;
    *out = item;
    if (!j_given(path)) {
        return TS_OK;
    }
    if (path.kind != J_STRING) {
        return ts_jinja_item(r, item, path, out);
    }
    const jstring *s = j_text(path);
    for (size_t from = 0, to; from <= s->len; from = to + 1) {
        const char *dot = from < s->len ? memchr(s->bytes + from, '.', s->len - from) : NULL;
        jvalue part;
        bool digits = true;
        int64_t index = 0;
        to = dot != NULL ? (size_t)(dot - s->bytes) : s->len;
        for (size_t i = from; i < to && digits; i++) {
            digits = s->bytes[i] >= '0' && s->bytes[i] <= '9' && index < 1000000000;
            index = digits ? index * 10 + (s->bytes[i] - '0') : 0;
        }
        TS_TRY(ts_jinja_part(r, s, from, to, &part));
        TS_TRY(ts_jinja_item(r, *out, digits && to > from ? j_int(index) : part, out));
        if (j_given(otherwise) && out->kind == J_UNDEFINED) {
            *out = otherwise;
        }
    }
out:
    return status;
}

// Strings are compared without regard to case, as in Jinja's sort.
static ts_status fold(jrun *r, jvalue value, bool case_sensitive, jvalue *out)
{
    *out = value;
    return value.kind == J_STRING && !case_sensitive
               ? ts_jinja_recase(r, j_text(value), CASE_LOWER, out)
               : TS_OK;
}

// The key of one item for sort: the list of its values at each path of "a,b.c".
static ts_status make_key_list(jrun *r, jvalue item, jvalue attribute, bool case_sensitive,
                               jvalue *out)
{
    static const jstring nothing = {.bytes = ""};
    ts_status status = TS_OK;
    const jstring *paths = attribute.kind == J_STRING ? j_text(attribute) : &nothing;
    jlist *list = NULL;
    TS_TRY(ts_jinja_new_list(r, J_LIST, paths->characters + 1, &list, out));
    list->count = 0;
    for (size_t from = 0, to; from <= paths->len; from = to + 1) {
        const char *comma =
            from < paths->len ? memchr(paths->bytes + from, ',', paths->len - from) : NULL;
        jvalue path = attribute, value;
        to = comma != NULL ? (size_t)(comma - paths->bytes) : paths->len;
        if (attribute.kind == J_STRING) {
            TS_TRY(ts_jinja_part(r, paths, from, to, &path));
        }
        TS_TRY(get_path(r, item, path, j_none(), &value));
        TS_TRY(fold(r, value, case_sensitive, &list->items[list->count++]));
    }
out:
    return status;
}

// The keys that items are compared by: each item itself, or an attribute. `several`: lists of
// attributes.
static ts_status make_keys(jrun *r, const jlist *items, jvalue attribute, bool case_sensitive,
                           bool several, jvalue *keys)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < items->count; i++) {
        jvalue value;
        if (several) {
            TS_TRY(make_key_list(r, items->items[i], attribute, case_sensitive, &keys[i]));
        } else {
            TS_TRY(get_path(r, items->items[i], attribute, j_none(), &value));
            TS_TRY(fold(r, value, case_sensitive, &keys[i]));
        }
    }
out:
    return status;
}

static ts_status filter_sort(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue *keys = NULL;
    TS_TRY(filter_list(r, a, out));
    jlist *list = j_list(*out);
    TS_TRY(ts_jinja_alloc(r, list->count, sizeof *keys, &keys));
    TS_TRY(make_keys(r, list, a->values[3], ts_jinja_truth(a->values[2]), true, keys));
    TS_TRY(ts_jinja_sort(r, list->items, keys, list->count, ts_jinja_truth(a->values[1])));
out:
    return status;
}

static ts_status filter_unique(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0}, kept = {0};
    jvalue *keys = NULL, dict;
    jdict *seen = NULL;
    TS_TRY(ts_jinja_iterate(r, a->values[0], &items));
    TS_TRY(ts_jinja_alloc(r, items.count, sizeof *keys, &keys));
    TS_TRY(ts_jinja_alloc(r, items.count, sizeof *kept.items, &kept.items));
    TS_TRY(make_keys(r, &items, a->values[2], ts_jinja_truth(a->values[1]), false, keys));
    TS_TRY(ts_jinja_new_dict(r, 0, &seen, &dict));
    for (size_t i = 0; i < items.count; i++) {
        const jvalue *found = NULL;
        TS_TRY(ts_jinja_dict_find(r, seen, keys[i], &found));
        if (found == NULL) {
            TS_TRY(ts_jinja_dict_set(r, seen, keys[i], j_none()));
            kept.items[kept.count++] = items.items[i];
        }
    }
    TS_TRY(ts_jinja_new_iterator(r, "generator", &kept, out));
out:
    return status;
}

static ts_status extreme(jrun *r, const jargs *a, int op, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0};
    jvalue *keys = NULL;
    size_t best = 0;
    TS_TRY(ts_jinja_iterate(r, a->values[0], &items));
    if (items.count == 0) {
        return ts_jinja_hint(r, out, "No aggregated item, sequence was empty.");
    }
    TS_TRY(ts_jinja_alloc(r, items.count, sizeof *keys, &keys));
    TS_TRY(make_keys(r, &items, a->values[2], ts_jinja_truth(a->values[1]), false, keys));
    for (size_t i = 1; i < items.count; i++) {
        bool better = false;
        TS_TRY(ts_jinja_order(r, op, keys[i], keys[best], &better));
        best = better ? i : best;
    }
    *out = items.items[best];
out:
    return status;
}

static ts_status filter_min(jrun *r, const jargs *a, jvalue *out)
{
    return extreme(r, a, '<', out);
}

static ts_status filter_max(jrun *r, const jargs *a, jvalue *out)
{
    return extreme(r, a, '>', out);
}

static ts_status filter_sum(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0};
    *out = a->values[2].kind != J_MISSING ? a->values[2] : j_int(0);
    TS_TRY(ts_jinja_iterate(r, a->values[0], &items));
    for (size_t i = 0; i < items.count; i++) {
        jvalue value;
        TS_TRY(get_path(r, items.items[i], a->values[1], j_none(), &value));
        TS_TRY(ts_jinja_binary(r, '+', *out, value, out));
    }
out:
    return status;
}

static ts_status filter_join(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0};
    jvalue separator;
    TS_TRY(ts_jinja_iterate(r, a->values[0], &items));
    if (a->values[1].kind == J_MISSING) {
        TS_TRY(ts_jinja_new_string(r, "", 0, 0, &separator));
    } else {
        TS_TRY(ts_jinja_print(r, a->values[1], &separator));
    }
    if (j_given(a->values[2])) {
        jlist values = {0};
        TS_TRY(ts_jinja_alloc(r, items.count, sizeof *values.items, &values.items));
        for (; values.count < items.count; values.count++) {
            TS_TRY(get_path(r, items.items[values.count], a->values[2], j_none(),
                            &values.items[values.count]));
        }
        items = values;
    }
    TS_TRY(ts_jinja_join(r, j_text(separator), &items, out));
out:
    return status;
}

static ts_status filter_reverse(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0}, turned = {0};
    TS_TRY(ts_jinja_iterate(r, a->values[0], &items));
    TS_TRY(ts_jinja_alloc(r, items.count, sizeof *turned.items, &turned.items));
    for (; turned.count < items.count; turned.count++) {
        turned.items[turned.count] = items.items[items.count - 1 - turned.count];
    }
    if (a->values[0].kind == J_STRING) {
        static const jstring nothing = {.bytes = ""};
        status = ts_jinja_join(r, &nothing, &turned, out);
    } else {
        status = ts_jinja_new_iterator(r, "list_reverseiterator", &turned, out);
    }
out:
    return status;
}

static ts_status pair(jrun *r, jvalue first, jvalue second, jvalue *out)
{
    jlist *list = NULL;
    ts_status status = ts_jinja_new_list(r, J_TUPLE, 2, &list, out);
    if (status == TS_OK) {
        list->items[0] = first;
        list->items[1] = second;
    }
    return status;
}

static ts_status filter_items(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0};
    jvalue v = a->values[0];
    if (v.kind != J_UNDEFINED && v.kind != J_DICT) {
        return ts_jinja_raise(r, "Can only get item pairs from a mapping.");
    }
    size_t count = v.kind == J_DICT ? j_dict(v)->count : 0;
    TS_TRY(ts_jinja_alloc(r, count, sizeof *items.items, &items.items));
    for (; items.count < count; items.count++) {
        const jpair *p = &j_dict(v)->pairs[items.count];
        TS_TRY(pair(r, p->key, p->value, &items.items[items.count]));
    }
    TS_TRY(ts_jinja_new_iterator(r, "generator", &items, out));
out:
    return status;
}

static ts_status filter_dictsort(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue v = a->values[0], *keys = NULL;
    jlist *list = NULL;
    bool by_value = false;
    if (v.kind != J_DICT) {
        return v.kind == J_UNDEFINED
                   ? ts_jinja_undefined_error(r, v)
                   : ts_jinja_raise(r, "'%s' object has no attribute 'items'", ts_jinja_type(v));
    }
    if (a->values[2].kind == J_STRING) {
        by_value = j_equals(j_text(a->values[2]), "value", 5);
        if (!by_value && !j_equals(j_text(a->values[2]), "key", 3)) {
            return ts_jinja_raise(r, "You can only sort by either \"key\" or \"value\"");
        }
    }
    TS_TRY(ts_jinja_new_list(r, J_LIST, j_dict(v)->count, &list, out));
    TS_TRY(ts_jinja_alloc(r, list->count, sizeof *keys, &keys));
    for (size_t i = 0; i < list->count; i++) {
        const jpair *p = &j_dict(v)->pairs[i];
        TS_TRY(pair(r, p->key, p->value, &list->items[i]));
        TS_TRY(fold(r, by_value ? p->value : p->key, ts_jinja_truth(a->values[1]), &keys[i]));
    }
    TS_TRY(ts_jinja_sort(r, list->items, keys, list->count, ts_jinja_truth(a->values[3])));
out:
    return status;
}

// ---- map, select and similar: a filter or test, by name, applied to each item

static ts_status find_named(jrun *r, jvalue name, const char *kind,
                            const jrow *(*find)(const char *, size_t), const jrow **out)
{
    const jstring *s = name.kind == J_STRING ? j_text(name) : NULL;
    *out = s != NULL ? find(s->bytes, s->len) : NULL;
    if (*out == NULL || (*out)->run == NULL) {
        return ts_jinja_lacks(r, "%s '%.*s' is not implemented", kind,
                              s != NULL ? (int)ts_min_u64(s->len, 60) : 0,
                              s != NULL ? s->bytes : "");
    }
    return TS_OK;
}

// Calls `row` with an item and the arguments from args->values[from] on.
static ts_status apply(jrun *r, const jrow *row, const char *kind, jvalue item, const jargs *args,
                       size_t from, jvalue *out)
{
    ts_status status = TS_OK;
    jargs inner = {.named = args->named, .named_count = args->named_count};
    inner.count = args->count - from + 1;
    TS_TRY(ts_jinja_alloc(r, inner.count, sizeof *inner.values, &inner.values));
    inner.values[0] = item;
    for (size_t i = 1; i < inner.count; i++) {
        inner.values[i] = args->values[from + i - 1];
    }
    TS_TRY(ts_jinja_enter(r));
    TS_TRY(ts_jinja_call_row(r, row, kind, &inner, out));
    r->depth--;
out:
    return status;
}

static jvalue named(const jargs *args, const char *name)
{
    for (size_t i = 0; i < args->named_count; i++) {
        if (j_equals(j_text(args->named[i].key), name, strlen(name))) {
            return args->named[i].value;
        }
    }
    return (jvalue){0};
}

// An empty list for a false value, even if it cannot be iterated.
static ts_status iterate_true(jrun *r, jvalue value, jlist *out)
{
    *out = (jlist){0};
    return ts_jinja_truth(value) ? ts_jinja_iterate(r, value, out) : TS_OK;
}

static ts_status filter_map(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0}, mapped = {0};
    const jrow *row = NULL;
    jvalue attribute = named(a, "attribute"), otherwise = named(a, "default");
    if (a->count > 1) {
        TS_TRY(find_named(r, a->values[1], "filter", ts_jinja_find_filter, &row));
    } else if (attribute.kind == J_MISSING) {
        return ts_jinja_raise(r, "map requires a filter argument");
    }
    TS_TRY(iterate_true(r, a->values[0], &items));
    TS_TRY(ts_jinja_alloc(r, items.count, sizeof *mapped.items, &mapped.items));
    for (; mapped.count < items.count; mapped.count++) {
        jvalue item = items.items[mapped.count], *to = &mapped.items[mapped.count];
        TS_TRY(row != NULL ? apply(r, row, "filter", item, a, 2, to)
                           : get_path(r, item, attribute, otherwise, to));
    }
    TS_TRY(ts_jinja_new_iterator(r, "generator", &mapped, out));
out:
    return status;
}

// With `by_attribute`, values[1] names the attribute of each item to test; then follow the test and
// its arguments.
static ts_status filter_by_test(jrun *r, const jargs *a, bool by_attribute, bool keep, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0}, kept = {0};
    const jrow *row = NULL;
    size_t at = by_attribute ? 2 : 1;
    if (by_attribute && a->count < 2) {
        return ts_jinja_raise(r, "Missing parameter for attribute name");
    }
    if (a->count > at) {
        TS_TRY(find_named(r, a->values[at], "test", ts_jinja_find_test, &row));
    }
    TS_TRY(iterate_true(r, a->values[0], &items));
    TS_TRY(ts_jinja_alloc(r, items.count, sizeof *kept.items, &kept.items));
    for (size_t i = 0; i < items.count; i++) {
        jvalue value;
        TS_TRY(
            get_path(r, items.items[i], by_attribute ? a->values[1] : j_none(), j_none(), &value));
        if (row != NULL) {
            TS_TRY(apply(r, row, "test", value, a, at + 1, &value));
        }
        if (ts_jinja_truth(value) == keep) {
            kept.items[kept.count++] = items.items[i];
        }
    }
    TS_TRY(ts_jinja_new_iterator(r, "generator", &kept, out));
out:
    return status;
}

static ts_status filter_select(jrun *r, const jargs *a, jvalue *out)
{
    return filter_by_test(r, a, false, true, out);
}

static ts_status filter_reject(jrun *r, const jargs *a, jvalue *out)
{
    return filter_by_test(r, a, false, false, out);
}

static ts_status filter_selectattr(jrun *r, const jargs *a, jvalue *out)
{
    return filter_by_test(r, a, true, true, out);
}

static ts_status filter_rejectattr(jrun *r, const jargs *a, jvalue *out)
{
    return filter_by_test(r, a, true, false, out);
}

// ---- Splitting

// Items [from, to) as a list. With a `fill`, it is padded to `least` items.
static ts_status part(jrun *r, const jlist *items, size_t from, size_t to, jvalue fill,
                      size_t least, jvalue *out)
{
    jlist *list = NULL;
    size_t count = to - from, padded = j_given(fill) && count < least ? least : count;
    ts_status status = ts_jinja_new_list(r, J_LIST, padded, &list, out);
    for (size_t i = 0; status == TS_OK && i < padded; i++) {
        list->items[i] = i < count ? items->items[from + i] : fill;
    }
    return status;
}

static ts_status positive(jrun *r, jvalue value, const char *name, size_t *out)
{
    if (!j_is_whole(value) || j_whole(value) < 1) {
        return ts_jinja_raise(r, "%s must be a whole number above 0", name);
    }
    *out = (size_t)j_whole(value);
    return TS_OK;
}

static ts_status filter_batch(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0}, parts = {0};
    size_t width = 0;
    TS_TRY(positive(r, a->values[1], "linecount", &width));
    TS_TRY(ts_jinja_iterate(r, a->values[0], &items));
    TS_TRY(ts_jinja_alloc(r, items.count, sizeof *parts.items, &parts.items));
    for (size_t from = 0; from < items.count; from += width) {
        size_t to = width < items.count - from ? from + width : items.count;
        TS_TRY(part(r, &items, from, to, a->values[2], width, &parts.items[parts.count++]));
        if (to == items.count) {
            break;
        }
    }
    TS_TRY(ts_jinja_new_iterator(r, "generator", &parts, out));
out:
    return status;
}

static ts_status filter_slice(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0}, parts = {0};
    size_t count = 0, from = 0;
    TS_TRY(positive(r, a->values[1], "slices", &count));
    TS_TRY(ts_jinja_iterate(r, a->values[0], &items));
    TS_TRY(ts_jinja_alloc(r, count, sizeof *parts.items, &parts.items));
    size_t each = items.count / count, longer = items.count % count;
    for (size_t i = 0; i < count; i++) {
        size_t to = from + each + (i < longer);
        TS_TRY(part(r, &items, from, to, i >= longer ? a->values[2] : j_none(),
                    each + (i >= longer), &parts.items[parts.count++]));
        from = to;
    }
    TS_TRY(ts_jinja_new_iterator(r, "generator", &parts, out));
out:
    return status;
}

const jrow ts_jinja_sequence_filters[] = {
    {"batch", filter_batch, 2, {"value", "linecount", "fill_with"}},
    {"dictsort", filter_dictsort, 1, {"value", "case_sensitive", "by", "reverse"}},
    {"first", filter_first, 1, {"seq"}},
    {"items", filter_items, 1, {"value"}},
    {"join", filter_join, 1, {"value", "d", "attribute"}},
    {"last", filter_last, 1, {"seq"}},
    {"list", filter_list, 1, {"value"}},
    {"map", filter_map, 0, {NULL}},
    {"max", filter_max, 1, {"value", "case_sensitive", "attribute"}},
    {"min", filter_min, 1, {"value", "case_sensitive", "attribute"}},
    {"reject", filter_reject, 0, {NULL}},
    {"rejectattr", filter_rejectattr, 0, {NULL}},
    {"reverse", filter_reverse, 1, {"value"}},
    {"select", filter_select, 0, {NULL}},
    {"selectattr", filter_selectattr, 0, {NULL}},
    {"slice", filter_slice, 2, {"value", "slices", "fill_with"}},
    {"sort", filter_sort, 1, {"value", "reverse", "case_sensitive", "attribute"}},
    {"sum", filter_sum, 1, {"iterable", "attribute", "start"}},
    {"unique", filter_unique, 1, {"value", "case_sensitive", "attribute"}},
};
const size_t ts_jinja_sequence_filter_count = TS_COUNT(ts_jinja_sequence_filters);
