// The for loop: its items, its `if`, and the variable `loop`.
#include "data/jinja/parts.h"

#include <string.h>

// The next item that passes the loop's `if`; J_MISSING: none is left.
static ts_status advance(jrun *r, jloop *loop, jvalue *out)
{
    ts_status status = TS_OK;
    const jnode *node = loop->node;
    *out = (jvalue){0};
    while (loop->taken < loop->items.count) {
        jvalue item = loop->items.items[loop->taken++], passes = j_bool(true);
        TS_TRY(ts_jinja_step(r, 1));
        if (node->c != NULL) {
            jscope inside = {.parent = loop->scope}, *outer = r->scope;
            r->scope = &inside;
            TS_TRY(ts_jinja_bind(r, node->b, item));
            TS_TRY(ts_jinja_evaluate(r, node->c, &passes));
            r->scope = outer;
        }
        if (ts_jinja_truth(passes)) {
            *out = item;
            break;
        }
    }
out:
    return status;
}

static ts_status peek(jrun *r, jloop *loop, jvalue *out)
{
    ts_status status = TS_OK;
    if (!loop->peeked) {
        TS_TRY(advance(r, loop, &loop->next));
        loop->peeked = true;
    }
    *out = loop->next;
out:
    return status;
}

ts_status ts_jinja_loop_next(jrun *r, jloop *loop, jvalue *out)
{
    ts_status status = TS_OK;
    TS_TRY(peek(r, loop, out));
    loop->peeked = false;
    if (out->kind != J_MISSING) {
        loop->before = loop->current;
        loop->current = *out;
        loop->index0++;
    }
out:
    return status;
}

// The number of items. With an `if`, all remaining items are tested now.
static ts_status length(jrun *r, jloop *loop, int64_t *out)
{
    ts_status status = TS_OK;
    if (loop->length < 0 && loop->node->c == NULL) {
        loop->length = (int64_t)loop->items.count;
    }
    if (loop->length < 0) {
        jvalue *left = NULL;
        size_t count = 0;
        jvalue item;
        TS_TRY(ts_jinja_alloc(r, loop->items.count, sizeof *left, &left));
        for (;;) {
            TS_TRY(peek(r, loop, &item));
            loop->peeked = false;
            if (item.kind == J_MISSING) {
                break;
            }
            left[count++] = item;
        }
        loop->items = (jlist){.items = left, .count = count};
        loop->taken = 0;
        loop->length = loop->index0 + 1 + (int64_t)count;
        // The remaining items have passed the loop's `if`. It must not be evaluated again.
        jnode *plain = NULL;
        TS_TRY(ts_jinja_alloc(r, 1, sizeof *plain, &plain));
        *plain = *loop->node;
        plain->c = NULL;
        loop->node = plain;
    }
    *out = loop->length;
out:
    return status;
}

static ts_status get_index(jrun *r, jloop *loop, jvalue *out)
{
    (void)r;
    *out = j_int(loop->index0 + 1);
    return TS_OK;
}

static ts_status get_index0(jrun *r, jloop *loop, jvalue *out)
{
    (void)r;
    *out = j_int(loop->index0);
    return TS_OK;
}

static ts_status get_first(jrun *r, jloop *loop, jvalue *out)
{
    (void)r;
    *out = j_bool(loop->index0 == 0);
    return TS_OK;
}

static ts_status get_last(jrun *r, jloop *loop, jvalue *out)
{
    ts_status status = peek(r, loop, out);
    *out = j_bool(out->kind == J_MISSING);
    return status;
}

static ts_status get_length(jrun *r, jloop *loop, jvalue *out)
{
    int64_t count = 0;
    ts_status status = length(r, loop, &count);
    *out = j_int(count);
    return status;
}

static ts_status get_revindex(jrun *r, jloop *loop, jvalue *out)
{
    ts_status status = get_length(r, loop, out);
    out->integer -= loop->index0;
    return status;
}

static ts_status get_revindex0(jrun *r, jloop *loop, jvalue *out)
{
    ts_status status = get_length(r, loop, out);
    out->integer -= loop->index0 + 1;
    return status;
}

static ts_status get_previous(jrun *r, jloop *loop, jvalue *out)
{
    *out = loop->before;
    return loop->index0 == 0 ? ts_jinja_hint(r, out, "there is no previous item") : TS_OK;
}

static ts_status get_next(jrun *r, jloop *loop, jvalue *out)
{
    ts_status status = peek(r, loop, out);
    return status == TS_OK && out->kind == J_MISSING
               ? ts_jinja_hint(r, out, "there is no next item")
               : status;
}

static ts_status get_depth(jrun *r, jloop *loop, jvalue *out)
{
    (void)r;
    (void)loop;
    *out = j_int(1);
    return TS_OK;
}

static ts_status get_depth0(jrun *r, jloop *loop, jvalue *out)
{
    (void)r;
    (void)loop;
    *out = j_int(0);
    return TS_OK;
}

static ts_status cycle(jrun *r, const jargs *args, jvalue *out)
{
    const jloop *loop = args->values[0].pointer;
    if (args->count < 2) {
        return ts_jinja_raise(r, "no items for cycling given");
    }
    *out = args->values[1 + (size_t)loop->index0 % (args->count - 1)];
    return TS_OK;
}

static ts_status changed(jrun *r, const jargs *args, jvalue *out)
{
    ts_status status = TS_OK;
    jloop *loop = (jloop *)args->values[0].pointer;
    jlist *now = NULL;
    jvalue value;
    bool equal = false;
    TS_TRY(ts_jinja_new_list(r, J_TUPLE, args->count - 1, &now, &value));
    memcpy(now->items, args->values + 1, now->count * sizeof *now->items);
    TS_TRY(ts_jinja_equal(r, loop->changed, value, &equal));
    loop->changed = value;
    *out = j_bool(!equal);
out:
    return status;
}

ts_status ts_jinja_loop_attribute(jrun *r, jloop *loop, const jstring *name, jvalue *out)
{
    static const struct {
        const char *name;
        ts_status (*get)(jrun *, jloop *, jvalue *);
    } attributes[] = {
        {"index", get_index},         {"index0", get_index0},     {"first", get_first},
        {"last", get_last},           {"length", get_length},     {"revindex", get_revindex},
        {"revindex0", get_revindex0}, {"previtem", get_previous}, {"nextitem", get_next},
        {"depth", get_depth},         {"depth0", get_depth0},
    };
    static const jrow methods[] = {{"cycle", cycle, 0, {NULL}}, {"changed", changed, 0, {NULL}}};
    ts_status status = TS_OK;
    for (size_t i = 0; i < TS_COUNT(attributes); i++) {
        if (j_equals(name, attributes[i].name, strlen(attributes[i].name))) {
            return attributes[i].get(r, loop, out);
        }
    }
    const jrow *row = ts_jinja_find_row(methods, TS_COUNT(methods), name->bytes, name->len);
    *out = ts_jinja_undefined(J_LOOP, name);
    if (row != NULL) {
        jmethod *method = NULL;
        TS_TRY(ts_jinja_alloc(r, 1, sizeof *method, &method));
        *method = (jmethod){j_pointer(J_LOOP, loop), row};
        *out = j_pointer(J_METHOD, method);
    }
out:
    return status;
}
