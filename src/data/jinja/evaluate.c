// Evaluates expressions: one function for each kind of node.
#include "data/jinja/parts.h"

#include <string.h>

ts_status ts_jinja_lookup(jrun *r, uint32_t symbol, jvalue *out)
{
    for (const jscope *scope = r->scope; scope != NULL; scope = scope->parent) {
        for (size_t i = scope->count; i-- > 0;) {
            if (scope->slots[i].symbol == symbol) {
                *out = scope->slots[i].value;
                return TS_OK;
            }
        }
    }
    *out = r->globals[symbol];
    if (out->kind == J_MISSING) {
        *out = ts_jinja_undefined(J_MISSING, r->jinja->symbols[symbol]);
    }
    return TS_OK;
}

static ts_status evaluate_constant(jrun *r, const jnode *node, jvalue *out)
{
    (void)r;
    *out = node->value;
    return TS_OK;
}

static ts_status evaluate_name(jrun *r, const jnode *node, jvalue *out)
{
    return ts_jinja_lookup(r, node->symbol, out);
}

static ts_status evaluate_list(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    size_t count = 0;
    jlist *list = NULL;
    for (const jnode *item = node->children; item != NULL; item = item->next) {
        count++;
    }
    TS_TRY(ts_jinja_new_list(r, node->kind == N_LIST ? J_LIST : J_TUPLE, count, &list, out));
    count = 0;
    for (const jnode *item = node->children; item != NULL; item = item->next) {
        TS_TRY(ts_jinja_evaluate(r, item, &list->items[count++]));
    }
out:
    return status;
}

static ts_status evaluate_dict(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jdict *dict = NULL;
    TS_TRY(ts_jinja_new_dict(r, 4, &dict, out));
    for (const jnode *item = node->children; item != NULL; item = item->next->next) {
        jvalue key, value;
        TS_TRY(ts_jinja_evaluate(r, item, &key));
        TS_TRY(ts_jinja_evaluate(r, item->next, &value));
        TS_TRY(ts_jinja_dict_set(r, dict, key, value));
    }
out:
    return status;
}

static ts_status evaluate_sign(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue value;
    bool minus = node->kind == N_NEG;
    TS_TRY(ts_jinja_evaluate(r, node->a, &value));
    if (j_is_whole(value)) {
        if (minus) {
            status = ts_jinja_binary(r, '-', j_int(0), j_int(j_whole(value)), out);
        } else {
            *out = j_int(j_whole(value));
        }
    } else if (value.kind == J_FLOAT) {
        *out = j_float(minus ? -value.number : value.number);
    } else if (value.kind == J_UNDEFINED) {
        status = ts_jinja_undefined_error(r, value);
    } else {
        status = ts_jinja_raise(r, "bad operand type for unary %c: '%s'", minus ? '-' : '+',
                                ts_jinja_type(value));
    }
out:
    return status;
}

static ts_status evaluate_not(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = ts_jinja_evaluate(r, node->a, out);
    *out = j_bool(!ts_jinja_truth(*out));
    return status;
}

static ts_status evaluate_and(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = ts_jinja_evaluate(r, node->a, out);
    return status == TS_OK && ts_jinja_truth(*out) ? ts_jinja_evaluate(r, node->b, out) : status;
}

static ts_status evaluate_or(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = ts_jinja_evaluate(r, node->a, out);
    return status == TS_OK && !ts_jinja_truth(*out) ? ts_jinja_evaluate(r, node->b, out) : status;
}

static ts_status evaluate_binary(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue a, b;
    TS_TRY(ts_jinja_evaluate(r, node->a, &a));
    TS_TRY(ts_jinja_evaluate(r, node->b, &b));
    r->line = node->line;
    TS_TRY(ts_jinja_binary(r, node->op, a, b, out));
out:
    return status;
}

static ts_status evaluate_concat(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jbuilder b = {0};
    for (const jnode *part = node->children; part != NULL; part = part->next) {
        jvalue value;
        TS_TRY(ts_jinja_evaluate(r, part, &value));
        TS_TRY(ts_jinja_append_print(r, &b, value));
    }
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}

static ts_status compare(jrun *r, int op, jvalue a, jvalue b, bool *out)
{
    ts_status status = TS_OK;
    switch (op) {
    case OP_EQ:
        return ts_jinja_equal(r, a, b, out);
    case OP_NE:
        status = ts_jinja_equal(r, a, b, out);
        *out = !*out;
        return status;
    case OP_IN:
        return ts_jinja_contains(r, b, a, out);
    case OP_NOT_IN:
        status = ts_jinja_contains(r, b, a, out);
        *out = !*out;
        return status;
    default:
        return ts_jinja_order(r, op, a, b, out);
    }
}

// a < b < c: compares each pair in turn, up to the first that is false.
static ts_status evaluate_comparison(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue left, right;
    bool holds = true;
    TS_TRY(ts_jinja_evaluate(r, node->a, &left));
    for (const jnode *operand = node->children; operand != NULL && holds; operand = operand->next) {
        TS_TRY(ts_jinja_evaluate(r, operand->a, &right));
        r->line = operand->line;
        TS_TRY(compare(r, operand->op, left, right, &holds));
        left = right;
    }
    *out = j_bool(holds);
out:
    return status;
}

static ts_status evaluate_if_else(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue condition;
    TS_TRY(ts_jinja_evaluate(r, node->a, &condition));
    if (ts_jinja_truth(condition)) {
        status = ts_jinja_evaluate(r, node->b, out);
    } else if (node->c != NULL) {
        status = ts_jinja_evaluate(r, node->c, out);
    } else {
        status = ts_jinja_hint(r, out,
                               "the inline if-expression on line %u evaluated to false and no "
                               "else section was defined.",
                               node->line);
    }
out:
    return status;
}

// ---- x.name and x[item]

static bool is_namespace_private(const jstring *name)
{
    return name->len > 0 && name->bytes[0] == '_';
}

// Methods that change a list or dict in place, which the sandbox forbids.
static bool mutates(jkind kind, const jstring *name)
{
    static const char *const list[] = {"append", "reverse", "insert", "sort",
                                       "extend", "remove",  "clear",  "pop"};
    static const char *const dict[] = {"clear", "pop", "popitem", "setdefault", "update"};
    const char *const *names = kind == J_LIST ? list : dict;
    size_t count = kind == J_LIST ? TS_COUNT(list) : kind == J_DICT ? TS_COUNT(dict) : 0;
    for (size_t i = 0; i < count; i++) {
        if (j_equals(name, names[i], strlen(names[i]))) {
            return true;
        }
    }
    return false;
}

static ts_status unsafe(jrun *r, jvalue object, const jstring *name, jvalue *out)
{
    return ts_jinja_hint(r, out, "access to attribute '%.*s' of '%s' object is unsafe.",
                         (int)ts_min_u64(name->len, 80), name->bytes, ts_jinja_type(object));
}

// An attribute as Python's getattr finds it. *found is false if there is none.
static ts_status get_method(jrun *r, jvalue object, const jstring *name, bool *found, jvalue *out)
{
    ts_status status = TS_OK;
    jmethod *method = NULL;
    *found = true;
    if (object.kind == J_LOOP) {
        return ts_jinja_loop_attribute(r, (jloop *)object.pointer, name, out);
    }
    if (is_namespace_private(name) && object.kind != J_NAMESPACE && object.kind != J_DICT) {
        return unsafe(r, object, name, out);
    }
    const jrow *row = ts_jinja_find_method((jkind)object.kind, name->bytes, name->len);
    if (row == NULL) {
        *found = false;
        return TS_OK;
    }
    if (mutates((jkind)object.kind, name)) {
        return unsafe(r, object, name, out);
    }
    TS_TRY(ts_jinja_alloc(r, 1, sizeof *method, &method));
    *method = (jmethod){object, row};
    *out = j_pointer(J_METHOD, method);
out:
    return status;
}

ts_status ts_jinja_attribute(jrun *r, jvalue object, const jstring *name, jvalue *out)
{
    bool found = false;
    const jvalue *item = NULL;
    if (object.kind == J_UNDEFINED) {
        return ts_jinja_undefined_error(r, object);
    }
    if (object.kind == J_NAMESPACE) {
        item = ts_jinja_dict_text(j_dict(object), name->bytes, name->len);
    } else {
        ts_status status = get_method(r, object, name, &found, out);
        if (status != TS_OK || found) {
            return status;
        }
        if (object.kind == J_DICT) {
            item = ts_jinja_dict_text(j_dict(object), name->bytes, name->len);
        }
    }
    *out = item != NULL ? *item : ts_jinja_undefined((jkind)object.kind, name);
    return TS_OK;
}

// Resolves a negative index, which counts from the end. False if the index is out of range.
static bool in_bounds(int64_t *index, size_t count)
{
    *index += *index < 0 ? (int64_t)count : 0;
    return *index >= 0 && (uint64_t)*index < count;
}

static ts_status item_at(jrun *r, jvalue object, int64_t index, bool *found, jvalue *out)
{
    *found = true;
    if (object.kind == J_LIST || object.kind == J_TUPLE) {
        if (in_bounds(&index, j_list(object)->count)) {
            *out = j_list(object)->items[index];
            return TS_OK;
        }
    } else if (object.kind == J_STRING) {
        const jstring *s = j_text(object);
        if (in_bounds(&index, s->characters)) {
            size_t from = ts_jinja_offset(s, (size_t)index);
            return ts_jinja_part(r, s, from, ts_jinja_offset(s, (size_t)index + 1), out);
        }
    } else if (object.kind == J_RANGE) {
        const jrange *range = object.pointer;
        if (in_bounds(&index, range->count)) {
            *out = j_int(range->start + index * range->step);
            return TS_OK;
        }
    }
    *found = false;
    return TS_OK;
}

ts_status ts_jinja_item(jrun *r, jvalue object, jvalue key, jvalue *out)
{
    ts_status status = TS_OK;
    bool found = false;
    const jvalue *item = NULL;
    if (object.kind == J_UNDEFINED) {
        return ts_jinja_undefined_error(r, object);
    }
    if (object.kind == J_DICT) {
        if (key.kind != J_LIST && key.kind != J_DICT) {
            TS_TRY(ts_jinja_dict_find(r, j_dict(object), key, &item));
        }
        if (item != NULL) {
            *out = *item;
            goto out;
        }
    } else if (j_is_whole(key)) {
        TS_TRY(item_at(r, object, j_whole(key), &found, out));
    }
    if (found) {
        goto out;
    }
    if (key.kind == J_STRING) {
        if (object.kind == J_NAMESPACE) {
            return ts_jinja_attribute(r, object, j_text(key), out);
        }
        TS_TRY(get_method(r, object, j_text(key), &found, out));
        if (!found) {
            *out = ts_jinja_undefined((jkind)object.kind, j_text(key));
        }
        goto out;
    }
    jbuilder b = {0};
    jvalue printed;
    TS_TRY(ts_jinja_append_repr(r, &b, key));
    TS_TRY(ts_jinja_built(r, &b, &printed));
    TS_TRY(ts_jinja_hint(r, out, "%s%s has no element %.*s",
                         object.kind == J_NONE ? "None" : ts_jinja_type(object),
                         object.kind == J_NONE ? "" : " object",
                         (int)ts_min_u64(j_text(printed)->len, 100), j_text(printed)->bytes));
out:
    return status;
}

static ts_status evaluate_attribute(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue object;
    TS_TRY(ts_jinja_evaluate(r, node->a, &object));
    r->line = node->line;
    TS_TRY(ts_jinja_attribute(r, object, j_text(node->value), out));
out:
    return status;
}

static ts_status evaluate_item(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue object, key;
    TS_TRY(ts_jinja_evaluate(r, node->a, &object));
    TS_TRY(ts_jinja_evaluate(r, node->b, &key));
    r->line = node->line;
    TS_TRY(ts_jinja_item(r, object, key, out));
out:
    return status;
}

// ---- x[from:to:step]

static ts_status slice_bound(jrun *r, const jnode *node, int64_t *out, bool *given)
{
    ts_status status = TS_OK;
    jvalue value = j_none();
    *given = false;
    if (node != NULL) {
        TS_TRY(ts_jinja_evaluate(r, node, &value));
    }
    if (j_is_whole(value)) {
        *given = true;
        *out = j_whole(value);
    } else if (value.kind != J_NONE) {
        status =
            ts_jinja_raise(r, "slice indices must be integers or None or have an __index__ method");
    }
out:
    return status;
}

// What [from:to:step] means for `count` items, by Python's rules.
static void clip_slice(int64_t count, int64_t step, bool has_from, bool has_to, int64_t *from,
                       int64_t *to)
{
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? count - 1 : count;
    if (!has_from) {
        *from = step < 0 ? high : low;
    } else {
        *from += *from < 0 ? count : 0;
        *from = *from < low ? low : *from > high ? high : *from;
    }
    if (!has_to) {
        *to = step < 0 ? low : high;
    } else {
        *to += *to < 0 ? count : 0;
        *to = *to < low ? low : *to > high ? high : *to;
    }
}

static ts_status take_slice(jrun *r, jvalue object, int64_t from, int64_t step, size_t count,
                            jvalue *out)
{
    ts_status status = TS_OK;
    if (object.kind == J_STRING) {
        const jstring *s = j_text(object);
        jbuilder b = {0};
        if (step == 1) {
            size_t begin = ts_jinja_offset(s, (size_t)from);
            return ts_jinja_part(r, s, begin, ts_jinja_offset(s, (size_t)from + count), out);
        }
        jlist characters = {0};
        TS_TRY(ts_jinja_iterate(r, object, &characters));
        for (size_t i = 0; i < count; i++) {
            jvalue character = characters.items[from + (int64_t)i * step];
            TS_TRY(ts_jinja_append(r, &b, j_text(character)));
        }
        TS_TRY(ts_jinja_built(r, &b, out));
        goto out;
    }
    jlist items = {0}, *list = NULL;
    TS_TRY(ts_jinja_iterate(r, object, &items));
    TS_TRY(ts_jinja_new_list(r, object.kind == J_TUPLE ? J_TUPLE : J_LIST, count, &list, out));
    for (size_t i = 0; i < count; i++) {
        list->items[i] = items.items[from + (int64_t)i * step];
    }
out:
    return status;
}

static ts_status evaluate_slice(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue object;
    int64_t from = 0, to = 0, step = 1, count = 0;
    bool has_from, has_to, has_step;
    TS_TRY(ts_jinja_evaluate(r, node->a, &object));
    TS_TRY(slice_bound(r, node->b, &from, &has_from));
    TS_TRY(slice_bound(r, node->c, &to, &has_to));
    TS_TRY(slice_bound(r, node->d, &step, &has_step));
    r->line = node->line;
    if (object.kind == J_UNDEFINED) {
        status = ts_jinja_undefined_error(r, object);
        goto out;
    }
    if (object.kind != J_STRING && object.kind != J_LIST && object.kind != J_TUPLE &&
        object.kind != J_RANGE) {
        status = object.kind == J_DICT
                     ? ts_jinja_raise(r, "unhashable type: 'slice'")
                     : ts_jinja_raise(r, "'%s' object is not subscriptable", ts_jinja_type(object));
        goto out;
    }
    step = has_step ? step : 1;
    if (step == 0) {
        status = ts_jinja_raise(r, "slice step cannot be zero");
        goto out;
    }
    step = step < -(1ll << 40) ? -(1ll << 40) : step > 1ll << 40 ? 1ll << 40 : step;
    TS_TRY(ts_jinja_length(r, object, &count));
    clip_slice(count, step, has_from, has_to, &from, &to);
    int64_t span = step > 0 ? to - from : from - to, stride = step > 0 ? step : -step;
    TS_TRY(
        take_slice(r, object, from, step, span > 0 ? (size_t)((span - 1) / stride + 1) : 0, out));
out:
    return status;
}

// ---- Calls

static ts_status evaluate_call(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue callee;
    jargs args;
    TS_TRY(ts_jinja_evaluate(r, node->a, &callee));
    TS_TRY(ts_jinja_evaluate_arguments(r, node->children, NULL, &args));
    r->line = node->line;
    TS_TRY(ts_jinja_call(r, callee, &args, out));
out:
    return status;
}

static ts_status evaluate_filter(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue subject;
    jargs args;
    TS_TRY(ts_jinja_evaluate(r, node->a, &subject));
    TS_TRY(ts_jinja_evaluate_arguments(r, node->children, &subject, &args));
    r->line = node->line;
    TS_TRY(ts_jinja_call_row(r, node->row, "filter", &args, out));
out:
    return status;
}

static ts_status evaluate_test(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue subject;
    jargs args;
    TS_TRY(ts_jinja_evaluate(r, node->a, &subject));
    TS_TRY(ts_jinja_evaluate_arguments(r, node->children, &subject, &args));
    r->line = node->line;
    TS_TRY(ts_jinja_call_row(r, node->row, "test", &args, out));
    *out = j_bool(ts_jinja_truth(*out) != node->negated);
out:
    return status;
}

ts_status ts_jinja_evaluate(jrun *r, const jnode *node, jvalue *out)
{
    static ts_status (*const evaluators[])(jrun *, const jnode *, jvalue *) = {
        [N_CONST] = evaluate_constant,
        [N_NAME] = evaluate_name,
        [N_LIST] = evaluate_list,
        [N_TUPLE] = evaluate_list,
        [N_DICT] = evaluate_dict,
        [N_NEG] = evaluate_sign,
        [N_POS] = evaluate_sign,
        [N_NOT] = evaluate_not,
        [N_AND] = evaluate_and,
        [N_OR] = evaluate_or,
        [N_BINARY] = evaluate_binary,
        [N_CONCAT] = evaluate_concat,
        [N_COMPARE] = evaluate_comparison,
        [N_IF_ELSE] = evaluate_if_else,
        [N_ATTRIBUTE] = evaluate_attribute,
        [N_ITEM] = evaluate_item,
        [N_SLICE] = evaluate_slice,
        [N_CALL] = evaluate_call,
        [N_FILTER] = evaluate_filter,
        [N_TEST] = evaluate_test,
    };
    ts_status status = TS_OK;
    *out = (jvalue){0};
    TS_TRY(ts_jinja_step(r, 1));
    TS_TRY(ts_jinja_enter(r));
    TS_TRY(evaluators[node->kind](r, node, out));
    r->depth--;
out:
    return status;
}
