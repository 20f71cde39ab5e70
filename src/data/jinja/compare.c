// Python's operators on two values.
#include "data/jinja/parts.h"

#include <math.h>
#include <string.h>

// ---- == and <

static ts_status lists_equal(jrun *r, const jlist *a, const jlist *b, bool *out)
{
    ts_status status = TS_OK;
    *out = a->count == b->count;
    TS_TRY(ts_jinja_enter(r));
    for (size_t i = 0; i < a->count && *out; i++) {
        TS_TRY(ts_jinja_equal(r, a->items[i], b->items[i], out));
    }
    r->depth--;
out:
    return status;
}

static ts_status dicts_equal(jrun *r, const jdict *a, const jdict *b, bool *out)
{
    ts_status status = TS_OK;
    *out = a->count == b->count;
    TS_TRY(ts_jinja_enter(r));
    for (size_t i = 0; i < a->count && *out; i++) {
        const jvalue *other = NULL;
        TS_TRY(ts_jinja_dict_find(r, b, a->pairs[i].key, &other));
        *out = other != NULL;
        if (*out) {
            TS_TRY(ts_jinja_equal(r, a->pairs[i].value, *other, out));
        }
    }
    r->depth--;
out:
    return status;
}

ts_status ts_jinja_equal(jrun *r, jvalue a, jvalue b, bool *out)
{
    ts_status status = ts_jinja_step(r, 1);
    if (status != TS_OK) {
        return status;
    }
    if (j_is_number(a) && j_is_number(b)) {
        *out =
            j_is_whole(a) && j_is_whole(b) ? j_whole(a) == j_whole(b) : j_number(a) == j_number(b);
        return TS_OK;
    }
    if (a.kind != b.kind) {
        *out = false;
        return TS_OK;
    }
    switch (a.kind) {
    case J_UNDEFINED:
    case J_NONE:
        *out = true;
        return TS_OK;
    case J_STRING:
        *out = j_equals(j_text(a), j_text(b)->bytes, j_text(b)->len);
        return ts_jinja_step(r, j_text(a)->len >> 8);
    case J_LIST:
    case J_TUPLE:
        return lists_equal(r, j_list(a), j_list(b), out);
    case J_DICT:
        return dicts_equal(r, j_dict(a), j_dict(b), out);
    case J_RANGE:
        *out = memcmp(a.pointer, b.pointer, sizeof(jrange)) == 0;
        return TS_OK;
    default:
        *out = a.pointer == b.pointer;
        return TS_OK;
    }
}

static bool holds(int op, int sign)
{
    return op == '<' ? sign < 0 : op == '>' ? sign > 0 : op == OP_LE ? sign <= 0 : sign >= 0;
}

// Comparing bytes orders UTF-8 by code point.
static int compare_text(const jstring *a, const jstring *b)
{
    int sign = memcmp(a->bytes, b->bytes, ts_min_u64(a->len, b->len));
    return sign != 0 ? sign : (a->len > b->len) - (a->len < b->len);
}

ts_status ts_jinja_order(jrun *r, int op, jvalue a, jvalue b, bool *out)
{
    static const char *const names[] = {[OP_GE - OP_GE] = ">=", [OP_LE - OP_GE] = "<="};
    ts_status status = TS_OK;
    TS_TRY(ts_jinja_step(r, 1));
    if (j_is_whole(a) && j_is_whole(b)) {
        *out = holds(op, (j_whole(a) > j_whole(b)) - (j_whole(a) < j_whole(b)));
    } else if (j_is_number(a) && j_is_number(b)) {
        double x = j_number(a), y = j_number(b);
        *out = !isnan(x) && !isnan(y) && holds(op, (x > y) - (x < y));
    } else if (a.kind == J_STRING && b.kind == J_STRING) {
        *out = holds(op, compare_text(j_text(a), j_text(b)));
    } else if (a.kind == b.kind && (a.kind == J_LIST || a.kind == J_TUPLE)) {
        const jlist *x = j_list(a), *y = j_list(b);
        TS_TRY(ts_jinja_enter(r));
        r->depth--;
        for (size_t i = 0; i < x->count && i < y->count; i++) {
            bool equal = false;
            TS_TRY(ts_jinja_equal(r, x->items[i], y->items[i], &equal));
            if (!equal) {
                r->depth++;
                status = ts_jinja_order(r, op, x->items[i], y->items[i], out);
                r->depth--;
                goto out;
            }
        }
        *out = holds(op, (x->count > y->count) - (x->count < y->count));
    } else if (a.kind == J_UNDEFINED || b.kind == J_UNDEFINED) {
        status = ts_jinja_undefined_error(r, a.kind == J_UNDEFINED ? a : b);
    } else {
        char single[2] = {(char)op, '\0'};
        status = ts_jinja_raise(r, "'%s' not supported between instances of '%s' and '%s'",
                                op < OP_POWER ? single : names[op - OP_GE], ts_jinja_type(a),
                                ts_jinja_type(b));
    }
out:
    return status;
}

ts_status ts_jinja_contains(jrun *r, jvalue container, jvalue item, bool *out)
{
    ts_status status = TS_OK;
    *out = false;
    if (container.kind == J_STRING) {
        if (item.kind != J_STRING) {
            return ts_jinja_raise(r, "'in <string>' requires string as left operand, not %s",
                                  ts_jinja_type(item));
        }
        *out = ts_jinja_find(j_text(container), j_text(item), 0) != SIZE_MAX;
        return ts_jinja_step(r, j_text(container)->len >> 6);
    }
    if (container.kind == J_DICT) {
        const jvalue *found = NULL;
        status = ts_jinja_dict_find(r, j_dict(container), item, &found);
        *out = found != NULL;
        return status;
    }
    if (container.kind > J_ITERATOR || !(container.kind >= J_STRING || container.kind < J_NONE) ||
        container.kind == J_NAMESPACE) {
        return ts_jinja_raise(r, "argument of type '%s' is not iterable", ts_jinja_type(container));
    }
    jlist items = {0};
    TS_TRY(ts_jinja_iterate(r, container, &items));
    for (size_t i = 0; i < items.count && !*out; i++) {
        TS_TRY(ts_jinja_equal(r, items.items[i], item, out));
    }
out:
    return status;
}

// ---- Sorting: a merge sort, since qsort cannot pass on a comparison's error

static ts_status merge(jrun *r, jpair *from, jpair *to, size_t left, size_t middle, size_t right,
                       bool reverse)
{
    ts_status status = TS_OK;
    for (size_t i = left, j = middle, k = left; k < right; k++) {
        bool second = false; // whether the right one is less
        if (i < middle && j < right) {
            TS_TRY(reverse ? ts_jinja_order(r, '<', from[i].key, from[j].key, &second)
                           : ts_jinja_order(r, '<', from[j].key, from[i].key, &second));
        } else {
            second = i >= middle;
        }
        to[k] = from[second ? j++ : i++];
    }
out:
    return status;
}

ts_status ts_jinja_sort(jrun *r, jvalue *items, jvalue *keys, size_t count, bool reverse)
{
    ts_status status = TS_OK;
    jpair *from = NULL, *to = NULL;
    TS_TRY(ts_jinja_alloc(r, count, sizeof *from, &from));
    TS_TRY(ts_jinja_alloc(r, count, sizeof *to, &to));
    for (size_t i = 0; i < count; i++) {
        from[i] = (jpair){keys[i], items[i]};
    }
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t left = 0; left < count; left += 2 * width) {
            size_t middle = ts_min_u64(left + width, count);
            TS_TRY(merge(r, from, to, left, middle, ts_min_u64(middle + width, count), reverse));
        }
        jpair *swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = from[i].key;
        items[i] = from[i].value;
    }
out:
    return status;
}

// ---- Arithmetic

static ts_status overflow(jrun *r)
{
    return ts_jinja_lacks(r, "whole numbers beyond 64 bits are not implemented");
}

static ts_status power(jrun *r, int64_t base, int64_t exponent, jvalue *out)
{
    int64_t result = 1;
    if (exponent < 0) {
        if (base == 0) {
            return ts_jinja_raise(r, "0.0 cannot be raised to a negative power");
        }
        *out = j_float(pow((double)base, (double)exponent));
        return TS_OK;
    }
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
            return overflow(r);
        }
        if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) {
            return overflow(r);
        }
    }
    *out = j_int(result);
    return TS_OK;
}

static ts_status whole_numbers(jrun *r, int op, int64_t a, int64_t b, jvalue *out)
{
    int64_t result = 0;
    if ((op == OP_FLOOR || op == '%') && b == 0) {
        return ts_jinja_raise(r, "integer %s by zero", op == '%' ? "modulo" : "division or modulo");
    }
    switch (op) {
    case '+':
        if (__builtin_add_overflow(a, b, &result)) {
            return overflow(r);
        }
        break;
    case '-':
        if (__builtin_sub_overflow(a, b, &result)) {
            return overflow(r);
        }
        break;
    case '*':
        if (__builtin_mul_overflow(a, b, &result)) {
            return overflow(r);
        }
        break;
    case OP_FLOOR:
    case '%':
        if (b == -1) { // INT64_MIN / -1 has no result
            if (op == OP_FLOOR && a == INT64_MIN) {
                return overflow(r);
            }
            result = op == '%' ? 0 : -a;
        } else {
            int64_t rest = a % b, wrap = rest != 0 && (rest < 0) != (b < 0);
            result = op == '%' ? rest + (wrap ? b : 0) : a / b - wrap;
        }
        break;
    case OP_POWER:
        return power(r, a, b, out);
    default:
        if (b == 0) {
            return ts_jinja_raise(r, "division by zero");
        }
        *out = j_float((double)a / (double)b);
        return TS_OK;
    }
    *out = j_int(result);
    return TS_OK;
}

static ts_status floats(jrun *r, int op, double a, double b, jvalue *out)
{
    if (b == 0 && (op == '/' || op == OP_FLOOR || op == '%')) {
        return ts_jinja_raise(r, op == '/'        ? "float division by zero"
                                 : op == OP_FLOOR ? "float floor division by zero"
                                                  : "float modulo");
    }
    double rest = op == '%' || op == OP_FLOOR ? fmod(a, b) : 0;
    rest += rest != 0 && (rest < 0) != (b < 0) ? b : 0;
    switch (op) {
    case '+':
        *out = j_float(a + b);
        break;
    case '-':
        *out = j_float(a - b);
        break;
    case '*':
        *out = j_float(a * b);
        break;
    case '/':
        *out = j_float(a / b);
        break;
    case OP_FLOOR:
        *out = j_float(floor((a - rest) / b + 0.5));
        break;
    case '%':
        *out = j_float(rest);
        break;
    default:
        if (a < 0 && b != floor(b)) {
            return ts_jinja_lacks(r, "complex numbers are not implemented");
        }
        *out = j_float(pow(a, b));
    }
    return TS_OK;
}

static ts_status repeat(jrun *r, jvalue what, int64_t times, jvalue *out)
{
    ts_status status = TS_OK;
    times = times < 0 ? 0 : times;
    if (what.kind == J_STRING) {
        const jstring *s = j_text(what);
        jbuilder b = {0};
        if (s->len > 0 && (uint64_t)times > r->byte_limit / s->len) {
            return ts_jinja_raise(r, "the template needs more than %llu MiB",
                                  (unsigned long long)r->byte_limit >> 20);
        }
        for (int64_t i = 0; i < times && s->len > 0; i++) {
            TS_TRY(ts_jinja_append(r, &b, s));
        }
        TS_TRY(ts_jinja_built(r, &b, out));
        goto out;
    }
    jlist *from = j_list(what), *list = NULL;
    if (from->count > 0 && (uint64_t)times > r->byte_limit / from->count) {
        // Reaches the memory limit, which the next line reports.
        times = (int64_t)(r->byte_limit / from->count);
    }
    TS_TRY(ts_jinja_new_list(r, (jkind)what.kind, from->count * (size_t)times, &list, out));
    for (size_t i = 0; i < list->count; i++) {
        list->items[i] = from->items[i % from->count];
    }
out:
    return status;
}

static ts_status concat_lists(jrun *r, jvalue a, jvalue b, jvalue *out)
{
    const jlist *x = j_list(a), *y = j_list(b);
    jlist *list = NULL;
    ts_status status = ts_jinja_new_list(r, (jkind)a.kind, x->count + y->count, &list, out);
    for (size_t i = 0; status == TS_OK && i < list->count; i++) {
        list->items[i] = i < x->count ? x->items[i] : y->items[i - x->count];
    }
    return status;
}

static ts_status unsupported_operands(jrun *r, int op, jvalue a, jvalue b)
{
    char single[2] = {(char)op, '\0'};
    const char *name = op == OP_POWER ? "** or pow()" : op == OP_FLOOR ? "//" : single;
    if (a.kind == J_UNDEFINED || b.kind == J_UNDEFINED) {
        return ts_jinja_undefined_error(r, a.kind == J_UNDEFINED ? a : b);
    }
    if (op == '+' && (a.kind == J_STRING || a.kind == J_LIST || a.kind == J_TUPLE)) {
        const char *type = ts_jinja_type(a);
        return ts_jinja_raise(r, "can only concatenate %s (not \"%s\") to %s", type,
                              ts_jinja_type(b), type);
    }
    return ts_jinja_raise(r, "unsupported operand type(s) for %s: '%s' and '%s'", name,
                          ts_jinja_type(a), ts_jinja_type(b));
}

ts_status ts_jinja_binary(jrun *r, int op, jvalue a, jvalue b, jvalue *out)
{
    bool a_sequence = a.kind == J_STRING || a.kind == J_LIST || a.kind == J_TUPLE;
    bool b_sequence = b.kind == J_STRING || b.kind == J_LIST || b.kind == J_TUPLE;
    if (op == '+' && a.kind == J_STRING && b.kind == J_STRING) {
        return ts_jinja_concat(r, j_text(a), j_text(b), out);
    }
    if (j_is_whole(a) && j_is_whole(b)) {
        return whole_numbers(r, op, j_whole(a), j_whole(b), out);
    }
    if (j_is_number(a) && j_is_number(b)) {
        return floats(r, op, j_number(a), j_number(b), out);
    }
    if (op == '*' && a_sequence && j_is_whole(b)) {
        return repeat(r, a, j_whole(b), out);
    }
    if (op == '*' && b_sequence && j_is_whole(a)) {
        return repeat(r, b, j_whole(a), out);
    }
    if (op == '+' && a.kind == b.kind && a_sequence) {
        return concat_lists(r, a, b, out);
    }
    if (op == '%' && a.kind == J_STRING) {
        return ts_jinja_format(r, j_text(a), b, out);
    }
    if (op == '*' && (a_sequence || b_sequence) && a.kind != J_UNDEFINED && b.kind != J_UNDEFINED) {
        return ts_jinja_raise(r, "can't multiply sequence by non-int of type '%s'",
                              ts_jinja_type(a_sequence ? b : a));
    }
    return unsupported_operands(r, op, a, b);
}
