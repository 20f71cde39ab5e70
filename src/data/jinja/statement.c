// Parses statements, which are in "{%" and "%}".
#include "data/jinja/parts.h"

// Consumes a name; *out is its symbol.
static ts_status take_symbol(jparser *p, const char *what, uint32_t *out)
{
    const jtoken *token = ts_jinja_token(p);
    if (token->kind != T_NAME) {
        return ts_jinja_expected(p, what);
    }
    p->at++;
    return ts_jinja_symbol(p, token->text, token->len, out);
}

// One name to assign to. It must not be the name of a constant.
static ts_status parse_target_name(jparser *p, jnode **out)
{
    static const char *const constants[] = {"true", "false", "none", "True", "False", "None"};
    ts_status status = TS_OK;
    for (size_t i = 0; i < TS_COUNT(constants); i++) {
        if (ts_jinja_at_name(p, constants[i])) {
            return ts_jinja_expected(p, "a name to assign to");
        }
    }
    TS_TRY(ts_jinja_node(p, N_NAME, out));
    TS_TRY(take_symbol(p, "a name to assign to", &(*out)->symbol));
out:
    return status;
}

// a, or a, b, or (a, b)
static ts_status parse_target(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    jnode *first = NULL, *tuple = NULL, **next;
    if (++p->depth > J_MAX_NESTING) {
        status = ts_jinja_refuse(p, ts_jinja_token(p), "nested deeper than %d", J_MAX_NESTING);
        goto out;
    }
    if (ts_jinja_take_op(p, '(')) {
        TS_TRY(parse_target(p, &first));
        TS_TRY(ts_jinja_expect_op(p, ')'));
    } else {
        TS_TRY(parse_target_name(p, &first));
    }
    *out = first;
    if (!ts_jinja_at_op(p, ',')) {
        goto out;
    }
    TS_TRY(ts_jinja_node(p, N_TUPLE, &tuple));
    tuple->children = first;
    next = &first->next;
    while (ts_jinja_take_op(p, ',')) {
        if (ts_jinja_token(p)->kind != T_NAME && !ts_jinja_at_op(p, '(')) {
            break;
        }
        if (ts_jinja_at_name(p, "in")) {
            break;
        }
        if (ts_jinja_take_op(p, '(')) {
            TS_TRY(parse_target(p, next));
            TS_TRY(ts_jinja_expect_op(p, ')'));
        } else {
            TS_TRY(parse_target_name(p, next));
        }
        next = &(*next)->next;
    }
    *out = tuple;
out:
    p->depth--;
    return status;
}

static ts_status end_block(jparser *p)
{
    if (ts_jinja_token(p)->kind != T_BLOCK_END) {
        return ts_jinja_expected(p, "'%}'");
    }
    p->at++;
    return TS_OK;
}

// A body up to "{% END %}", which is consumed.
static ts_status parse_to_end(jparser *p, const char *end, jnode **out)
{
    ts_status status = TS_OK;
    const char *const ends[] = {end, NULL};
    TS_TRY(end_block(p));
    TS_TRY(ts_jinja_parse_body(p, ends, out));
    TS_TRY(ts_jinja_expect_name(p, end));
    TS_TRY(end_block(p));
out:
    return status;
}

// {% if a %}body{% elif ... %}{% else %}otherwise{% endif %}. An elif is an if in `otherwise`.
static ts_status parse_if(jparser *p, jnode **out)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const last[] = {"endif", NULL};
    ts_status status = TS_OK;
    jnode *node = NULL;
    for (;;) {
        TS_TRY(ts_jinja_node(p, N_IF, &node));
        *out = node;
        TS_TRY(ts_jinja_parse_tuple(p, false, &node->a));
        TS_TRY(end_block(p));
        TS_TRY(ts_jinja_parse_body(p, ends, &node->body));
        if (!ts_jinja_take_name(p, "elif")) {
            break;
        }
        out = &node->otherwise;
    }
    if (ts_jinja_take_name(p, "else")) {
        TS_TRY(end_block(p));
        TS_TRY(ts_jinja_parse_body(p, last, &node->otherwise));
    }
    TS_TRY(ts_jinja_expect_name(p, "endif"));
    TS_TRY(end_block(p));
out:
    return status;
}

// {% for b in a if c %}body{% else %}otherwise{% endfor %}
static ts_status parse_for(jparser *p, jnode **out)
{
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
    ts_status status = TS_OK;
    jnode *node = NULL;
    TS_TRY(ts_jinja_node(p, N_FOR, &node));
    TS_TRY(parse_target(p, &node->b));
    TS_TRY(ts_jinja_expect_name(p, "in"));
    TS_TRY(ts_jinja_parse_tuple(p, false, &node->a));
    if (ts_jinja_take_name(p, "if")) {
        TS_TRY(ts_jinja_parse_expression(p, &node->c));
    }
    if (ts_jinja_at_name(p, "recursive")) {
        status = ts_jinja_unknown(p, ts_jinja_token(p), "a recursive loop is not implemented");
        goto out;
    }
    TS_TRY(end_block(p));
    TS_TRY(ts_jinja_parse_body(p, ends, &node->body));
    if (ts_jinja_take_name(p, "else")) {
        TS_TRY(end_block(p));
        TS_TRY(ts_jinja_parse_body(p, last, &node->otherwise));
    }
    TS_TRY(ts_jinja_expect_name(p, "endfor"));
    TS_TRY(end_block(p));
    *out = node;
out:
    return status;
}

// {% set b = a %}, {% set b.symbol = a %}, {% set b | filter %}body{% endset %}
static ts_status parse_set(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    jnode *node = NULL;
    TS_TRY(ts_jinja_node(p, N_SET, &node));
    TS_TRY(parse_target(p, &node->b));
    if (node->b->kind == N_NAME && ts_jinja_take_op(p, '.')) {
        node->b->kind = N_ATTRIBUTE; // of a namespace
        uint32_t attribute = 0;
        TS_TRY(take_symbol(p, "an attribute's name", &attribute));
        node->b->value = j_string(p->jinja->symbols[attribute]);
    }
    if (ts_jinja_take_op(p, '=')) {
        TS_TRY(ts_jinja_parse_tuple(p, true, &node->a));
        TS_TRY(end_block(p));
    } else {
        node->kind = N_SET_BLOCK;
        TS_TRY(ts_jinja_parse_filters(p, NULL, false, &node->a));
        TS_TRY(parse_to_end(p, "endset", &node->body));
    }
    *out = node;
out:
    return status;
}

// (a, b=1): each parameter is a name, with its default in `a`.
static ts_status parse_parameters(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    bool defaults = false;
    TS_TRY(ts_jinja_expect_op(p, '('));
    while (!ts_jinja_at_op(p, ')')) {
        TS_TRY(parse_target_name(p, out));
        if (ts_jinja_take_op(p, '=')) {
            defaults = true;
            TS_TRY(ts_jinja_parse_expression(p, &(*out)->a));
        } else if (defaults) {
            status = ts_jinja_expected(p, "a default value, as the parameter before has one");
            goto out;
        }
        out = &(*out)->next;
        if (!ts_jinja_take_op(p, ',')) {
            break;
        }
    }
    TS_TRY(ts_jinja_expect_op(p, ')'));
out:
    return status;
}

// The body of a macro or call block. `op` says whether it reads varargs (bit 0) and kwargs (bit 1).
static ts_status parse_macro_body(jparser *p, const char *end, jnode *node)
{
    uint8_t before = p->rest;
    p->rest = 0;
    ts_status status = parse_to_end(p, end, &node->body);
    node->op = p->rest;
    p->rest |= before; // as in Jinja, a macro inside counts too
    return status;
}

// {% macro symbol(children) %}body{% endmacro %}
static ts_status parse_macro(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    jnode *node = NULL, *name = NULL;
    TS_TRY(ts_jinja_node(p, N_MACRO, &node));
    TS_TRY(parse_target_name(p, &name));
    node->symbol = name->symbol;
    TS_TRY(parse_parameters(p, &node->children));
    TS_TRY(parse_macro_body(p, "endmacro", node));
    *out = node;
out:
    return status;
}

// {% call(children) a %}body{% endcall %}
static ts_status parse_call_block(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    jnode *node = NULL;
    TS_TRY(ts_jinja_node(p, N_CALL_BLOCK, &node));
    node->symbol = S_CALLER;
    if (ts_jinja_at_op(p, '(')) {
        TS_TRY(parse_parameters(p, &node->children));
    }
    TS_TRY(ts_jinja_parse_expression(p, &node->a));
    if (node->a->kind != N_CALL) {
        status = ts_jinja_expected(p, "a call of a macro before this");
        goto out;
    }
    TS_TRY(parse_macro_body(p, "endcall", node));
    *out = node;
out:
    return status;
}

// {% filter name %}body{% endfilter %}
static ts_status parse_filter_block(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    jnode *node = NULL;
    TS_TRY(ts_jinja_node(p, N_FILTER_BLOCK, &node));
    TS_TRY(ts_jinja_parse_filters(p, NULL, true, &node->a));
    TS_TRY(parse_to_end(p, "endfilter", &node->body));
    *out = node;
out:
    return status;
}

// {% with x = 1, y = 2 %}body{% endwith %}: the children are N_SET nodes.
static ts_status parse_with(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    jnode *node = NULL, **next;
    TS_TRY(ts_jinja_node(p, N_WITH, &node));
    next = &node->children;
    while (ts_jinja_token(p)->kind != T_BLOCK_END) {
        TS_TRY(ts_jinja_node(p, N_SET, next));
        TS_TRY(parse_target_name(p, &(*next)->b));
        TS_TRY(ts_jinja_expect_op(p, '='));
        TS_TRY(ts_jinja_parse_expression(p, &(*next)->a));
        next = &(*next)->next;
        if (!ts_jinja_take_op(p, ',')) {
            break;
        }
    }
    TS_TRY(parse_to_end(p, "endwith", &node->body));
    *out = node;
out:
    return status;
}

static ts_status parse_generation(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    TS_TRY(ts_jinja_node(p, N_GENERATION, out));
    p->jinja->generation = true;
    TS_TRY(parse_to_end(p, "endgeneration", &(*out)->body));
out:
    return status;
}

static ts_status parse_break(jparser *p, jnode **out)
{
    ts_status status = ts_jinja_node(p, N_BREAK, out);
    return status == TS_OK ? end_block(p) : status;
}

static ts_status parse_continue(jparser *p, jnode **out)
{
    ts_status status = ts_jinja_node(p, N_CONTINUE, out);
    return status == TS_OK ? end_block(p) : status;
}

ts_status ts_jinja_parse_statement(jparser *p, jnode **out)
{
    static const struct {
        const char *name;
        ts_status (*parse)(jparser *, jnode **); // NULL: a tag of Jinja that is not implemented
    } tags[] = {
        {"if", parse_if},
        {"for", parse_for},
        {"set", parse_set},
        {"macro", parse_macro},
        {"call", parse_call_block},
        {"filter", parse_filter_block},
        {"with", parse_with},
        {"generation", parse_generation},
        {"break", parse_break},
        {"continue", parse_continue},
        {"include", NULL},
        {"import", NULL},
        {"from", NULL},
        {"extends", NULL},
        {"block", NULL},
        {"autoescape", NULL},
    };
    const jtoken *token = ts_jinja_token(p);
    if (token->kind != T_NAME) {
        return ts_jinja_expected(p, "a tag's name");
    }
    if (++p->depth > J_MAX_NESTING) {
        return ts_jinja_refuse(p, token, "blocks nested deeper than %d", J_MAX_NESTING);
    }
    for (size_t i = 0; i < TS_COUNT(tags); i++) {
        if (ts_jinja_take_name(p, tags[i].name)) {
            ts_status status =
                tags[i].parse != NULL
                    ? tags[i].parse(p, out)
                    : ts_jinja_unknown(p, token, "tag '%s' is not implemented", tags[i].name);
            p->depth--;
            return status;
        }
    }
    return ts_jinja_refuse(p, token, "unknown tag '%.*s'", (int)ts_min_u64(token->len, 60),
                           token->text);
}
