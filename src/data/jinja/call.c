// Calls: matches arguments with parameters, for rows of the tables and for a template's own macros.
#include "data/jinja/parts.h"

#include <string.h>

static ts_status append_value(jrun *r, jargs *args, size_t *capacity, jvalue value)
{
    if (args->count == *capacity) {
        jvalue *grown = NULL;
        size_t bigger = *capacity * 2 + 4;
        ts_status status = ts_jinja_alloc(r, bigger, sizeof *grown, &grown);
        if (status != TS_OK) {
            return status;
        }
        if (args->count > 0) {
            memcpy(grown, args->values, args->count * sizeof *grown);
        }
        args->values = grown;
        *capacity = bigger;
    }
    args->values[args->count++] = value;
    return TS_OK;
}

static ts_status append_named(jrun *r, jdict *named, jvalue key, jvalue value)
{
    const jvalue *found = NULL;
    ts_status status = ts_jinja_dict_find(r, named, key, &found);
    if (status == TS_OK && key.kind != J_STRING) {
        return ts_jinja_raise(r, "keywords must be strings");
    }
    if (status == TS_OK && found != NULL) {
        return ts_jinja_raise(r, "got multiple values for keyword argument '%.*s'",
                              (int)ts_min_u64(j_text(key)->len, 60), j_text(key)->bytes);
    }
    return status == TS_OK ? ts_jinja_dict_set(r, named, key, value) : status;
}

static ts_status add_argument(jrun *r, const jnode *node, jargs *args, size_t *capacity,
                              jdict *named)
{
    ts_status status = TS_OK;
    jvalue value;
    jlist items = {0};
    TS_TRY(ts_jinja_evaluate(r, node->a, &value));
    switch (node->argument) {
    case A_PLAIN:
        return append_value(r, args, capacity, value);
    case A_KEYWORD:
        return append_named(r, named, j_string(r->jinja->symbols[node->symbol]), value);
    case A_LIST:
        TS_TRY(ts_jinja_iterate(r, value, &items));
        for (size_t i = 0; i < items.count; i++) {
            TS_TRY(append_value(r, args, capacity, items.items[i]));
        }
        return TS_OK;
    default:
        if (value.kind != J_DICT) {
            return ts_jinja_raise(r, "argument after ** must be a mapping, not %s",
                                  ts_jinja_type(value));
        }
        for (size_t i = 0; i < j_dict(value)->count; i++) {
            const jpair *pair = &j_dict(value)->pairs[i];
            TS_TRY(append_named(r, named, pair->key, pair->value));
        }
    }
out:
    return status;
}

// `subject`, if not NULL, becomes the first positional argument.
ts_status ts_jinja_evaluate_arguments(jrun *r, const jnode *nodes, const jvalue *subject,
                                      jargs *out)
{
    ts_status status = TS_OK;
    size_t capacity = 0;
    jdict named = {0};
    *out = (jargs){0};
    if (subject != NULL) {
        TS_TRY(append_value(r, out, &capacity, *subject));
    }
    for (const jnode *node = nodes; node != NULL; node = node->next) {
        TS_TRY(add_argument(r, node, out, &capacity, &named));
    }
    out->named = named.pairs;
    out->named_count = named.count;
out:
    return status;
}

ts_status ts_jinja_call_row(jrun *r, const jrow *row, const char *what, jargs *args, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue values[J_PARAMETERS] = {0};
    size_t parameters = 0;
    if (row->run == NULL) {
        return ts_jinja_lacks(r, "%s '%s' is not implemented", what, row->name);
    }
    if (row->parameters[0] == NULL) {
        return row->run(r, args, out);
    }
    while (parameters < J_PARAMETERS && row->parameters[parameters] != NULL) {
        parameters++;
    }
    if (args->count > parameters) {
        return ts_jinja_raise(r, "%s '%s' takes at most %zu arguments, %zu were given", what,
                              row->name, parameters, args->count);
    }
    if (args->count > 0) {
        memcpy(values, args->values, args->count * sizeof *values);
    }
    for (size_t i = 0; i < args->named_count; i++) {
        const jstring *name = j_text(args->named[i].key);
        size_t at = 0;
        while (at < parameters &&
               !j_equals(name, row->parameters[at], strlen(row->parameters[at]))) {
            at++;
        }
        if (at == parameters || values[at].kind != J_MISSING) {
            return ts_jinja_raise(r, "%s '%s' got an unexpected keyword argument '%.*s'", what,
                                  row->name, (int)ts_min_u64(name->len, 60), name->bytes);
        }
        values[at] = args->named[i].value;
    }
    for (size_t i = 0; i < row->required; i++) {
        if (values[i].kind == J_MISSING) {
            return ts_jinja_raise(r, "%s '%s' misses its argument '%s'", what, row->name,
                                  row->parameters[i]);
        }
    }
    jargs bound = {.values = values, .count = parameters};
    TS_TRY(row->run(r, &bound, out));
out:
    return status;
}

// ---- Macros

static ts_status declare(jrun *r, jscope *scope, uint32_t symbol, jvalue value)
{
    jscope *outer = r->scope;
    r->scope = scope;
    ts_status status = ts_jinja_assign(r, symbol, value);
    r->scope = outer;
    return status;
}

// Removes the keyword argument `name` from args. False if it was not given.
static bool take_named(jargs *args, const jstring *name, jvalue *out)
{
    for (size_t i = 0; i < args->named_count; i++) {
        if (j_equals(j_text(args->named[i].key), name->bytes, name->len)) {
            *out = args->named[i].value;
            args->named_count--;
            for (; i < args->named_count; i++) {
                args->named[i] = args->named[i + 1];
            }
            return true;
        }
    }
    return false;
}

// Sets the parameters in order, so that a default may use the parameters before it.
static ts_status bind_parameters(jrun *r, const jmacro *macro, jargs *args, jscope *scope)
{
    ts_status status = TS_OK;
    size_t at = 0;
    for (const jnode *p = macro->node->children; p != NULL; p = p->next) {
        const jstring *name = r->jinja->symbols[p->symbol];
        jvalue value;
        if (at < args->count) {
            value = args->values[at++];
        } else if (!take_named(args, name, &value)) {
            if (p->a != NULL) {
                jscope *outer = r->scope;
                r->scope = scope;
                TS_TRY(ts_jinja_evaluate(r, p->a, &value));
                r->scope = outer;
            } else {
                TS_TRY(ts_jinja_hint(r, &value, "parameter '%.*s' was not provided",
                                     (int)ts_min_u64(name->len, 60), name->bytes));
            }
        }
        TS_TRY(declare(r, scope, p->symbol, value));
    }
    args->values = args->values != NULL ? args->values + at : NULL;
    args->count -= at;
out:
    return status;
}

// The arguments that no parameter took: varargs and kwargs if the macro reads them, otherwise an
// error.
static ts_status bind_rest(jrun *r, const jmacro *macro, const jargs *args, jscope *scope)
{
    ts_status status = TS_OK;
    const jnode *node = macro->node;
    const jstring *name = r->jinja->symbols[node->symbol];
    int name_len = (int)ts_min_u64(name->len, 60);
    if ((node->op & 1) != 0) {
        jlist *list = NULL;
        jvalue value;
        TS_TRY(ts_jinja_new_list(r, J_TUPLE, args->count, &list, &value));
        if (args->count > 0) {
            memcpy(list->items, args->values, args->count * sizeof *list->items);
        }
        TS_TRY(declare(r, scope, S_VARARGS, value));
    } else if (args->count > 0) {
        size_t parameters = 0;
        for (const jnode *p = node->children; p != NULL; p = p->next) {
            parameters++;
        }
        status = ts_jinja_raise(r, "macro '%.*s' takes not more than %zu argument(s)", name_len,
                                name->bytes, parameters);
        goto out;
    }
    if ((node->op & 2) != 0) {
        jdict *dict = NULL;
        jvalue value;
        TS_TRY(ts_jinja_new_dict(r, args->named_count, &dict, &value));
        for (size_t i = 0; i < args->named_count; i++) {
            TS_TRY(ts_jinja_dict_set(r, dict, args->named[i].key, args->named[i].value));
        }
        TS_TRY(declare(r, scope, S_KWARGS, value));
    } else if (args->named_count > 0) {
        const jstring *key = j_text(args->named[0].key);
        status = ts_jinja_raise(r, "macro '%.*s' takes no keyword argument '%.*s'", name_len,
                                name->bytes, (int)ts_min_u64(key->len, 60), key->bytes);
    }
out:
    return status;
}

ts_status ts_jinja_call_macro(jrun *r, const jmacro *macro, jargs *args, jvalue *out)
{
    ts_status status = TS_OK;
    jscope *outer = r->scope, *scope = NULL;
    jbuilder built = {0}, *output = r->output;
    jvalue caller;
    // Allocated, since a macro defined inside may keep it.
    TS_TRY(ts_jinja_alloc(r, 1, sizeof *scope, &scope));
    scope->parent = macro->scope;
    if (take_named(args, r->jinja->symbols[S_CALLER], &caller)) {
        TS_TRY(declare(r, scope, S_CALLER, caller));
    }
    r->scope = macro->scope;
    TS_TRY(bind_parameters(r, macro, args, scope));
    TS_TRY(bind_rest(r, macro, args, scope));
    r->scope = scope;
    r->output = &built;
    TS_TRY(ts_jinja_execute(r, macro->node->body));
    r->flow = FLOW_ON;
    r->output = output;
    r->scope = outer;
    TS_TRY(ts_jinja_built(r, &built, out));
out:
    return status;
}

ts_status ts_jinja_call(jrun *r, jvalue callee, jargs *args, jvalue *out)
{
    ts_status status = TS_OK;
    jargs with_self = {.named = args->named, .named_count = args->named_count};
    size_t capacity = 0;
    switch (callee.kind) {
    case J_FUNCTION:
        return ts_jinja_call_row(r, callee.pointer, "function", args, out);
    case J_METHOD: {
        const jmethod *method = callee.pointer;
        TS_TRY(append_value(r, &with_self, &capacity, method->self));
        for (size_t i = 0; i < args->count; i++) {
            TS_TRY(append_value(r, &with_self, &capacity, args->values[i]));
        }
        return ts_jinja_call_row(r, method->row, "method", &with_self, out);
    }
    case J_MACRO:
        return ts_jinja_call_macro(r, callee.pointer, args, out);
    case J_JOINER: {
        jcycler *joiner = (jcycler *)callee.pointer; // the separator, except at the first call
        *out = joiner->items.items[0];
        return joiner->at++ > 0 ? TS_OK : ts_jinja_new_string(r, "", 0, 0, out);
    }
    case J_LOOP:
        return ts_jinja_lacks(r, "a recursive loop is not implemented");
    case J_UNDEFINED:
        return ts_jinja_undefined_error(r, callee);
    default:
        return ts_jinja_raise(r, "'%s' object is not callable", ts_jinja_type(callee));
    }
out:
    return status;
}
