// Executes statements, and sets up and ends a run.
#include "data/jinja/parts.h"

#include <stdlib.h>
#include <string.h>

// The limits of a run: a constant, and an amount for each byte of its data.
enum { STEPS = 2 << 20, STEPS_PER_BYTE = 16, BYTES = 64 << 20, BYTES_PER_BYTE = 256 };

// ---- Names

ts_status ts_jinja_assign(jrun *r, uint32_t symbol, jvalue value)
{
    ts_status status = TS_OK;
    jscope *scope = r->scope;
    jslot *grown = NULL;
    if (scope == NULL) {
        r->globals[symbol] = value;
        return TS_OK;
    }
    for (size_t i = 0; i < scope->count; i++) {
        if (scope->slots[i].symbol == symbol) {
            scope->slots[i].value = value;
            return TS_OK;
        }
    }
    if (scope->count == scope->capacity) {
        size_t capacity = scope->capacity * 2 + 4;
        TS_TRY(ts_jinja_alloc(r, capacity, sizeof *grown, &grown));
        if (scope->count > 0) {
            memcpy(grown, scope->slots, scope->count * sizeof *grown);
        }
        scope->slots = grown;
        scope->capacity = capacity;
    }
    scope->slots[scope->count++] = (jslot){symbol, value};
out:
    return status;
}

ts_status ts_jinja_bind(jrun *r, const jnode *target, jvalue value)
{
    ts_status status = TS_OK;
    jlist items = {0};
    size_t count = 0;
    if (target->kind == N_NAME) {
        return ts_jinja_assign(r, target->symbol, value);
    }
    if (target->kind == N_ATTRIBUTE) {
        jvalue object;
        TS_TRY(ts_jinja_lookup(r, target->symbol, &object));
        if (object.kind != J_NAMESPACE) {
            return ts_jinja_raise(r, "cannot assign attribute on non-namespace object");
        }
        return ts_jinja_dict_set(r, j_dict(object), target->value, value);
    }
    if (value.kind == J_UNDEFINED) {
        return ts_jinja_undefined_error(r, value);
    }
    TS_TRY(ts_jinja_iterate(r, value, &items));
    for (const jnode *name = target->children; name != NULL; name = name->next) {
        count++;
    }
    if (items.count > count) {
        return ts_jinja_raise(r, "too many values to unpack (expected %zu)", count);
    }
    if (items.count < count) {
        return ts_jinja_raise(r, "not enough values to unpack (expected %zu, got %zu)", count,
                              items.count);
    }
    count = 0;
    for (const jnode *name = target->children; name != NULL; name = name->next) {
        TS_TRY(ts_jinja_bind(r, name, items.items[count++]));
    }
out:
    return status;
}

// Runs a body in a scope of its own. `output`, if not NULL, receives what it writes.
static ts_status execute_inside(jrun *r, const jnode *body, jscope *scope, jbuilder *output)
{
    ts_status status = TS_OK;
    jscope *outer = r->scope;
    jbuilder *before = r->output;
    scope->parent = outer;
    r->scope = scope;
    r->output = output != NULL ? output : before;
    TS_TRY(ts_jinja_execute(r, body));
    r->scope = outer;
    r->output = before;
out:
    return status;
}

static ts_status new_scope(jrun *r, jscope **out)
{
    // Allocated, since a macro may outlive the statement.
    return ts_jinja_alloc(r, 1, sizeof **out, out);
}

// ---- Statements

// Inside {% generation %} every byte written is marked.
static ts_status write(jrun *r, jvalue value)
{
    ts_status status = TS_OK;
    jvalue printed;
    TS_TRY(ts_jinja_print(r, value, &printed));
    const jstring *s = j_text(printed);
    if (r->generation == 0) {
        status = ts_jinja_append(r, r->output, s);
        goto out;
    }
    for (size_t from = 0, to; from < s->len; from = to) {
        for (to = from + 1; to < s->len && j_source(s, to) == j_source(s, from);) {
            to++;
        }
        TS_TRY(ts_jinja_append_bytes(r, r->output, s->bytes + from, to - from,
                                     j_source(s, from) | r->generation));
    }
out:
    return status;
}

static ts_status execute_print(jrun *r, const jnode *node)
{
    jvalue value;
    ts_status status = ts_jinja_evaluate(r, node->a, &value);
    return status == TS_OK ? write(r, value) : status;
}

static ts_status execute_text(jrun *r, const jnode *node)
{
    return write(r, node->value);
}

static ts_status execute_if(jrun *r, const jnode *node)
{
    ts_status status = TS_OK;
    jvalue condition;
    for (;; node = node->otherwise) {
        TS_TRY(ts_jinja_evaluate(r, node->a, &condition));
        if (ts_jinja_truth(condition)) {
            status = ts_jinja_execute(r, node->body);
            break;
        }
        if (node->otherwise == NULL || node->otherwise->kind != N_IF ||
            node->otherwise->next != NULL) {
            status = ts_jinja_execute(r, node->otherwise);
            break;
        }
    }
out:
    return status;
}

static ts_status execute_for(jrun *r, const jnode *node)
{
    ts_status status = TS_OK;
    jvalue iterable, item;
    jscope *scope = NULL, *outer = r->scope;
    jloop *loop = NULL;
    TS_TRY(ts_jinja_evaluate(r, node->a, &iterable));
    TS_TRY(new_scope(r, &scope));
    TS_TRY(ts_jinja_alloc(r, 1, sizeof *loop, &loop));
    *loop = (jloop){.index0 = -1, .length = -1, .node = node, .scope = outer};
    r->line = node->line;
    TS_TRY(ts_jinja_iterate(r, iterable, &loop->items));
    scope->parent = outer;
    for (;;) {
        TS_TRY(ts_jinja_loop_next(r, loop, &item));
        if (item.kind == J_MISSING) {
            break;
        }
        scope->count = 0;
        r->scope = scope;
        TS_TRY(ts_jinja_assign(r, S_LOOP, j_pointer(J_LOOP, loop)));
        TS_TRY(ts_jinja_bind(r, node->b, item));
        TS_TRY(ts_jinja_execute(r, node->body));
        r->scope = outer;
        bool done = r->flow == FLOW_BREAK;
        r->flow = FLOW_ON;
        if (done) {
            break;
        }
    }
    if (loop->index0 < 0) {
        scope->count = 0;
        TS_TRY(execute_inside(r, node->otherwise, scope, NULL));
    }
out:
    return status;
}

static ts_status execute_set(jrun *r, const jnode *node)
{
    ts_status status = TS_OK;
    jvalue value;
    TS_TRY(ts_jinja_evaluate(r, node->a, &value));
    r->line = node->line;
    TS_TRY(ts_jinja_bind(r, node->b, value));
out:
    return status;
}

// A chain of filters applied to the text of a block. The innermost filter has no subject in the
// tree.
static ts_status filter_text(jrun *r, const jnode *filter, jvalue text, jvalue *out)
{
    ts_status status = TS_OK;
    jargs args;
    *out = text;
    if (filter == NULL) {
        goto out;
    }
    TS_TRY(ts_jinja_enter(r));
    TS_TRY(filter_text(r, filter->a, text, out));
    jvalue subject = *out;
    TS_TRY(ts_jinja_evaluate_arguments(r, filter->children, &subject, &args));
    TS_TRY(ts_jinja_call_row(r, filter->row, "filter", &args, out));
    r->depth--;
out:
    return status;
}

// The text that a body writes, after the filters.
static ts_status capture(jrun *r, const jnode *node, jvalue *out)
{
    ts_status status = TS_OK;
    jbuilder built = {0};
    jscope *scope = NULL;
    jvalue text;
    TS_TRY(new_scope(r, &scope));
    TS_TRY(execute_inside(r, node->body, scope, &built));
    TS_TRY(ts_jinja_built(r, &built, &text));
    TS_TRY(filter_text(r, node->a, text, out));
out:
    return status;
}

static ts_status execute_set_block(jrun *r, const jnode *node)
{
    jvalue value;
    ts_status status = capture(r, node, &value);
    return status == TS_OK ? ts_jinja_bind(r, node->b, value) : status;
}

static ts_status execute_filter_block(jrun *r, const jnode *node)
{
    jvalue value;
    ts_status status = capture(r, node, &value);
    return status == TS_OK ? write(r, value) : status;
}

static ts_status make_macro(jrun *r, const jnode *node, jvalue *out)
{
    jmacro *macro = NULL;
    ts_status status = ts_jinja_alloc(r, 1, sizeof *macro, &macro);
    if (status == TS_OK) {
        *macro = (jmacro){node, r->scope};
        *out = j_pointer(J_MACRO, macro);
    }
    return status;
}

static ts_status execute_macro(jrun *r, const jnode *node)
{
    jvalue macro;
    ts_status status = make_macro(r, node, &macro);
    return status == TS_OK ? ts_jinja_assign(r, node->symbol, macro) : status;
}

// The called macro gets the block as its `caller`.
static ts_status execute_call_block(jrun *r, const jnode *node)
{
    ts_status status = TS_OK;
    jvalue callee, caller, result;
    jargs args;
    jpair *named = NULL;
    TS_TRY(make_macro(r, node, &caller));
    TS_TRY(ts_jinja_evaluate(r, node->a->a, &callee));
    TS_TRY(ts_jinja_evaluate_arguments(r, node->a->children, NULL, &args));
    TS_TRY(ts_jinja_alloc(r, args.named_count + 1, sizeof *named, &named));
    if (args.named_count > 0) {
        memcpy(named, args.named, args.named_count * sizeof *named);
    }
    named[args.named_count++] = (jpair){j_string(r->jinja->symbols[S_CALLER]), caller};
    args.named = named;
    TS_TRY(ts_jinja_call(r, callee, &args, &result));
    TS_TRY(write(r, result));
out:
    return status;
}

static ts_status execute_with(jrun *r, const jnode *node)
{
    ts_status status = TS_OK;
    jscope *scope = NULL, *outer = r->scope;
    TS_TRY(new_scope(r, &scope));
    for (const jnode *set = node->children; set != NULL; set = set->next) {
        jvalue value;
        TS_TRY(ts_jinja_evaluate(r, set->a, &value)); // may use the variables from before the block
        r->scope = scope;
        TS_TRY(ts_jinja_bind(r, set->b, value));
        r->scope = outer;
    }
    TS_TRY(execute_inside(r, node->body, scope, NULL));
out:
    return status;
}

static ts_status execute_generation(jrun *r, const jnode *node)
{
    ts_status status = TS_OK;
    jscope *scope = NULL;
    uint16_t before = r->generation;
    TS_TRY(new_scope(r, &scope));
    r->generation = TS_JINJA_GENERATION;
    TS_TRY(execute_inside(r, node->body, scope, NULL));
    r->generation = before;
out:
    return status;
}

static ts_status execute_flow(jrun *r, const jnode *node)
{
    r->flow = node->kind == N_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
    return TS_OK;
}

ts_status ts_jinja_execute(jrun *r, const jnode *body)
{
    static ts_status (*const statements[])(jrun *, const jnode *) = {
        [N_TEXT] = execute_text,
        [N_PRINT] = execute_print,
        [N_IF] = execute_if,
        [N_FOR] = execute_for,
        [N_SET] = execute_set,
        [N_SET_BLOCK] = execute_set_block,
        [N_MACRO] = execute_macro,
        [N_CALL_BLOCK] = execute_call_block,
        [N_FILTER_BLOCK] = execute_filter_block,
        [N_WITH] = execute_with,
        [N_GENERATION] = execute_generation,
        [N_BREAK] = execute_flow,
        [N_CONTINUE] = execute_flow,
    };
    ts_status status = TS_OK;
    TS_TRY(ts_jinja_enter(r));
    for (const jnode *node = body; node != NULL && r->flow == FLOW_ON; node = node->next) {
        r->line = node->line;
        TS_TRY(ts_jinja_step(r, 1));
        TS_TRY(statements[node->kind](r, node));
    }
    r->depth--;
out:
    return status;
}

// ---- A run

bool ts_jinja_marks_generation(const ts_jinja *jinja)
{
    return jinja->generation;
}

bool ts_jinja_reads(const ts_jinja *jinja, const char *name)
{
    for (size_t i = 0; i < jinja->symbol_count; i++) {
        if (j_equals(jinja->symbols[i], name, strlen(name))) {
            return true;
        }
    }
    return false;
}

static ts_status set_globals(jrun *r, const ts_jinja_data *data)
{
    ts_status status = TS_OK;
    const ts_jinja *jinja = r->jinja;
    TS_TRY(ts_jinja_alloc(r, jinja->symbol_count, sizeof *r->globals, &r->globals));
    for (size_t i = 0; i < jinja->symbol_count; i++) {
        const jstring *name = jinja->symbols[i];
        const jrow *row = ts_jinja_find_function(name->bytes, name->len);
        if (row != NULL) {
            r->globals[i] = j_pointer(J_FUNCTION, row);
        }
        for (size_t k = 0; k < data->count; k++) {
            const char *given = data->variables[k].name;
            if (j_equals(name, given, strlen(given))) {
                r->globals[i] = data->variables[k].value;
            }
        }
    }
out:
    return status;
}

static ts_status deliver(const jbuilder *built, ts_rendering *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_grow(&out->bytes, &out->capacity, built->len + 1, 1, err));
    TS_TRY(
        ts_grow(&out->sources, &out->source_capacity, built->len + 1, sizeof *out->sources, err));
    if (built->len > 0) {
        memcpy(out->bytes, built->bytes, built->len);
    }
    out->bytes[built->len] = '\0';
    out->len = built->len;
    for (size_t i = 0; i < built->len; i++) {
        out->sources[i] = built->sources != NULL ? built->sources[i] : built->source;
    }
out:
    return status;
}

ts_status ts_jinja_render(const ts_jinja *jinja, const ts_jinja_data *data, const struct tm *now,
                          ts_rendering *out, ts_error *err)
{
    ts_status status = TS_OK;
    jbuilder built = {0};
    jrun run = {.jinja = jinja,
                .output = &built,
                .step_limit = STEPS + STEPS_PER_BYTE * data->bytes,
                .byte_limit = BYTES + BYTES_PER_BYTE * data->bytes,
                .line = 1,
                .err = err};
    out->len = 0;
    if (now != NULL) {
        run.now = *now;
    } else {
        time_t clock = time(NULL);
        localtime_r(&clock, &run.now);
    }
    TS_TRY(set_globals(&run, data));
    TS_TRY(ts_jinja_execute(&run, jinja->body));
    TS_TRY(deliver(&built, out, err));
out:
    ts_arena_free(&run.arena);
    return status;
}

void ts_rendering_free(ts_rendering *rendering)
{
    free(rendering->bytes);
    free(rendering->sources);
    *rendering = (ts_rendering){0};
}
