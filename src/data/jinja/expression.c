// Parses expressions into a tree, by Jinja's grammar. From the weakest to the strongest: x if y
// else z, or, and, not, comparisons, + -, ~, * / // %, **, signs, then what follows a value (.name,
// [item], (call)), filters and tests.
#include "data/jinja/parts.h"

#include <stdio.h>
#include <string.h>

typedef ts_status parse_function(jparser *, jnode **);

static ts_status parse_unary(jparser *p, bool filters, jnode **out);

static ts_status enter(jparser *p)
{
    return ++p->depth > J_MAX_NESTING
               ? ts_jinja_refuse(p, ts_jinja_token(p), "nested deeper than %d", J_MAX_NESTING)
               : TS_OK;
}

// A string of the template as a constant.
static ts_status make_string(jparser *p, const char *text, size_t len, jvalue *out)
{
    jstring *string = NULL;
    ts_status status = ts_arena_alloc(&p->jinja->arena, 1, sizeof *string, &string, p->err);
    if (status == TS_OK) {
        *string =
            (jstring){.bytes = text, .len = len, .characters = ts_jinja_characters(text, len)};
        *out = j_string(string);
    }
    return status;
}

// Adjacent strings are joined, as in Python.
static ts_status parse_string(jparser *p, jnode *node)
{
    ts_status status = TS_OK;
    char *bytes = NULL;
    size_t len = 0, at = 0;
    const jtoken *first = ts_jinja_token(p);
    for (const jtoken *t = first; t->kind == T_STRING; t++) {
        len += t->len;
    }
    if (first[1].kind != T_STRING) {
        p->at++;
        return make_string(p, first->text, len, &node->value);
    }
    TS_TRY(ts_arena_alloc(&p->jinja->arena, len + 1, 1, &bytes, p->err));
    for (const jtoken *t; (t = ts_jinja_token(p))->kind == T_STRING; p->at++) {
        memcpy(bytes + at, t->text, t->len);
        at += t->len;
    }
    TS_TRY(make_string(p, bytes, len, &node->value));
out:
    return status;
}

static bool take_constant(jparser *p, jvalue *out)
{
    static const struct {
        const char *name;
        jvalue value;
    } constants[] = {
        {"true", {.kind = J_BOOL, .flag = true}},
        {"True", {.kind = J_BOOL, .flag = true}},
        {"false", {.kind = J_BOOL, .flag = false}},
        {"False", {.kind = J_BOOL, .flag = false}},
        {"none", {.kind = J_NONE}},
        {"None", {.kind = J_NONE}},
    };
    for (size_t i = 0; i < TS_COUNT(constants); i++) {
        if (ts_jinja_take_name(p, constants[i].name)) {
            *out = constants[i].value;
            return true;
        }
    }
    return false;
}

// Items up to and including the bracket `close`; with `dict`, pairs "key: value".
static ts_status parse_items(jparser *p, int close, bool dict, jnode **out)
{
    ts_status status = TS_OK;
    while (!ts_jinja_take_op(p, close)) {
        TS_TRY(ts_jinja_parse_expression(p, out));
        out = &(*out)->next;
        if (dict) {
            TS_TRY(ts_jinja_expect_op(p, ':'));
            TS_TRY(ts_jinja_parse_expression(p, out));
            out = &(*out)->next;
        }
        if (!ts_jinja_take_op(p, ',') && !ts_jinja_at_op(p, close)) {
            status = ts_jinja_expected(p, close == ']' ? "',' or ']'" : "',' or '}'");
            goto out;
        }
    }
out:
    return status;
}

// (), (a), (a, b). The opening bracket has been consumed.
static ts_status parse_brackets(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    if (ts_jinja_take_op(p, ')')) {
        return ts_jinja_node(p, N_TUPLE, out);
    }
    TS_TRY(ts_jinja_parse_tuple(p, true, out));
    TS_TRY(ts_jinja_expect_op(p, ')'));
out:
    return status;
}

static ts_status parse_primary(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    const jtoken *token = ts_jinja_token(p);
    jnode *node = NULL;
    if (ts_jinja_take_op(p, '(')) {
        return parse_brackets(p, out);
    }
    TS_TRY(ts_jinja_node(p, N_CONST, &node));
    *out = node;
    if (ts_jinja_take_op(p, '[')) {
        node->kind = N_LIST;
        status = parse_items(p, ']', false, &node->children);
    } else if (ts_jinja_take_op(p, '{')) {
        node->kind = N_DICT;
        status = parse_items(p, '}', true, &node->children);
    } else if (token->kind == T_STRING) {
        status = parse_string(p, node);
    } else if (token->kind == T_INT || token->kind == T_FLOAT) {
        node->value = token->kind == T_INT ? j_int(token->integer) : j_float(token->number);
        p->at++;
    } else if (token->kind != T_NAME) {
        status = ts_jinja_expected(p, "a value");
    } else if (!take_constant(p, &node->value)) {
        node->kind = N_NAME;
        p->at++;
        status = ts_jinja_symbol(p, token->text, token->len, &node->symbol);
        p->rest |= (node->symbol == S_VARARGS) | (node->symbol == S_KWARGS) << 1;
    }
out:
    return status;
}

ts_status ts_jinja_parse_arguments(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    TS_TRY(ts_jinja_expect_op(p, '('));
    while (!ts_jinja_take_op(p, ')')) {
        jargument how = ts_jinja_take_op(p, '*')        ? A_LIST
                        : ts_jinja_take_op(p, OP_POWER) ? A_DICT
                                                        : A_PLAIN;
        uint32_t keyword = 0;
        const jtoken *token = ts_jinja_token(p);
        if (how == A_PLAIN && token->kind == T_NAME && token[1].kind == T_OPERATOR &&
            token[1].op == '=') {
            how = A_KEYWORD;
            p->at += 2;
            TS_TRY(ts_jinja_symbol(p, token->text, token->len, &keyword));
        }
        TS_TRY(ts_jinja_parse_expression(p, out));
        jnode *wrapped = *out;
        // One node for each argument: how it is passed, its keyword, a: its value.
        TS_TRY(ts_jinja_node(p, N_TUPLE, out));
        (*out)->argument = (uint8_t)how;
        (*out)->symbol = keyword;
        (*out)->a = wrapped;
        out = &(*out)->next;
        if (!ts_jinja_take_op(p, ',') && !ts_jinja_at_op(p, ')')) {
            status = ts_jinja_expected(p, "',' or ')'");
            goto out;
        }
    }
out:
    return status;
}

// a[b] or a[b:c:d]. The bracket has been consumed.
static ts_status parse_subscript(jparser *p, jnode *subject, jnode **out)
{
    ts_status status = TS_OK;
    jnode *node = NULL;
    TS_TRY(ts_jinja_node(p, N_ITEM, &node));
    *out = node;
    node->a = subject;
    if (!ts_jinja_at_op(p, ':')) {
        TS_TRY(ts_jinja_parse_expression(p, &node->b));
    }
    if (ts_jinja_take_op(p, ':')) {
        node->kind = N_SLICE;
        if (!ts_jinja_at_op(p, ']') && !ts_jinja_at_op(p, ':') && !ts_jinja_at_op(p, ',')) {
            TS_TRY(ts_jinja_parse_expression(p, &node->c));
        }
        if (ts_jinja_take_op(p, ':') && !ts_jinja_at_op(p, ']') && !ts_jinja_at_op(p, ',')) {
            TS_TRY(ts_jinja_parse_expression(p, &node->d));
        }
    }
    TS_TRY(ts_jinja_expect_op(p, ']'));
out:
    return status;
}

// a.name, a.0
static ts_status parse_attribute(jparser *p, jnode *subject, jnode **out)
{
    ts_status status = TS_OK;
    const jtoken *token = ts_jinja_token(p);
    jnode *node = NULL;
    TS_TRY(ts_jinja_node(p, N_ATTRIBUTE, &node));
    *out = node;
    node->a = subject;
    if (token->kind == T_NAME) {
        p->at++;
        status = make_string(p, token->text, token->len, &node->value);
    } else if (token->kind == T_INT) {
        p->at++;
        node->kind = N_ITEM;
        TS_TRY(ts_jinja_node(p, N_CONST, &node->b));
        node->b->value = j_int(token->integer);
    } else {
        status = ts_jinja_expected(p, "a name or a number after '.'");
    }
out:
    return status;
}

static ts_status parse_call(jparser *p, jnode *subject, jnode **out)
{
    ts_status status = TS_OK;
    jnode *node = NULL;
    TS_TRY(ts_jinja_node(p, N_CALL, &node));
    node->a = subject;
    TS_TRY(ts_jinja_parse_arguments(p, &node->children));
    *out = node;
out:
    return status;
}

// What may follow a value: .name, [item], (call).
static ts_status parse_postfix(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    for (;;) {
        if (ts_jinja_take_op(p, '.')) {
            TS_TRY(parse_attribute(p, *out, out));
        } else if (ts_jinja_take_op(p, '[')) {
            TS_TRY(parse_subscript(p, *out, out));
        } else if (ts_jinja_at_op(p, '(')) {
            TS_TRY(parse_call(p, *out, out));
        } else {
            break;
        }
    }
out:
    return status;
}

// The name of a filter or test: name or name.name.
static ts_status take_name(jparser *p, const char *kind, const jrow *(*find)(const char *, size_t),
                           const jrow **out)
{
    const jtoken *token = ts_jinja_token(p);
    if (token->kind != T_NAME) {
        char what[40];
        snprintf(what, sizeof what, "a %s's name", kind);
        return ts_jinja_expected(p, what);
    }
    *out = find(token->text, token->len);
    if (*out == NULL || (*out)->run == NULL || token[1].op == '.') {
        return ts_jinja_unknown(p, token, "%s '%.*s' is not implemented", kind,
                                (int)ts_min_u64(token->len, 60), token->text);
    }
    p->at++;
    return TS_OK;
}

ts_status ts_jinja_parse_filters(jparser *p, jnode *subject, bool first_bare, jnode **out)
{
    ts_status status = TS_OK;
    *out = subject;
    while (first_bare || ts_jinja_take_op(p, '|')) {
        jnode *node = NULL;
        first_bare = false;
        TS_TRY(ts_jinja_node(p, N_FILTER, &node));
        node->a = *out;
        *out = node;
        TS_TRY(take_name(p, "filter", ts_jinja_find_filter, &node->row));
        if (ts_jinja_at_op(p, '(')) {
            TS_TRY(ts_jinja_parse_arguments(p, &node->children));
        }
    }
out:
    return status;
}

// Whether the single argument of a test may start here without brackets: "x is divisibleby 3".
static bool at_test_argument(jparser *p)
{
    const jtoken *token = ts_jinja_token(p);
    if (token->kind == T_NAME) {
        return !ts_jinja_at_name(p, "else") && !ts_jinja_at_name(p, "or") &&
               !ts_jinja_at_name(p, "and");
    }
    return token->kind == T_STRING || token->kind == T_INT || token->kind == T_FLOAT ||
           ts_jinja_at_op(p, '[') || ts_jinja_at_op(p, '{');
}

// a is name, a is not name(arguments)
static ts_status parse_test(jparser *p, jnode *subject, jnode **out)
{
    ts_status status = TS_OK;
    jnode *node = NULL;
    TS_TRY(ts_jinja_node(p, N_TEST, &node));
    *out = node;
    node->a = subject;
    node->negated = ts_jinja_take_name(p, "not");
    TS_TRY(take_name(p, "test", ts_jinja_find_test, &node->row));
    if (ts_jinja_at_op(p, '(')) {
        TS_TRY(ts_jinja_parse_arguments(p, &node->children));
    } else if (at_test_argument(p)) {
        if (ts_jinja_at_name(p, "is")) {
            status = ts_jinja_refuse(p, ts_jinja_token(p), "tests cannot be chained with 'is'");
            goto out;
        }
        TS_TRY(ts_jinja_node(p, N_TUPLE, &node->children));
        TS_TRY(parse_primary(p, &node->children->a));
        TS_TRY(parse_postfix(p, &node->children->a));
    }
out:
    return status;
}

static ts_status parse_filters_and_tests(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    for (;;) {
        if (ts_jinja_at_op(p, '|')) {
            TS_TRY(ts_jinja_parse_filters(p, *out, false, out));
        } else if (ts_jinja_take_name(p, "is")) {
            TS_TRY(parse_test(p, *out, out));
        } else if (ts_jinja_at_op(p, '(')) {
            TS_TRY(parse_call(p, *out, out));
        } else {
            break;
        }
    }
out:
    return status;
}

static ts_status parse_unary(jparser *p, bool filters, jnode **out)
{
    ts_status status = TS_OK;
    TS_TRY(enter(p));
    if (ts_jinja_at_op(p, '-') || ts_jinja_at_op(p, '+')) {
        jnode *node = NULL;
        TS_TRY(ts_jinja_node(p, ts_jinja_at_op(p, '-') ? N_NEG : N_POS, &node));
        p->at++;
        TS_TRY(parse_unary(p, false, &node->a));
        *out = node;
    } else {
        TS_TRY(parse_primary(p, out));
    }
    TS_TRY(parse_postfix(p, out));
    if (filters) {
        TS_TRY(parse_filters_and_tests(p, out));
    }
out:
    p->depth--;
    return status;
}

static ts_status parse_operand(jparser *p, jnode **out)
{
    return parse_unary(p, true, out);
}

// One level of binary operators, left to right.
static ts_status parse_level(jparser *p, const char *ops, parse_function *operand, jnode **out)
{
    ts_status status = TS_OK;
    TS_TRY(operand(p, out));
    for (;;) {
        const jtoken *token = ts_jinja_token(p);
        if (token->kind != T_OPERATOR || strchr(ops, (char)token->op) == NULL) {
            break;
        }
        jnode *node = NULL;
        TS_TRY(ts_jinja_node(p, N_BINARY, &node));
        node->op = token->op;
        node->a = *out;
        p->at++;
        TS_TRY(operand(p, &node->b));
        *out = node;
    }
out:
    return status;
}

static ts_status parse_power(jparser *p, jnode **out)
{
    static const char ops[] = {(char)OP_POWER, '\0'};
    return parse_level(p, ops, parse_operand, out);
}

static ts_status parse_product(jparser *p, jnode **out)
{
    static const char ops[] = {'*', '/', '%', (char)OP_FLOOR, '\0'};
    return parse_level(p, ops, parse_power, out);
}

static ts_status parse_concat(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    jnode *node = NULL;
    TS_TRY(parse_product(p, out));
    if (ts_jinja_at_op(p, '~')) {
        TS_TRY(ts_jinja_node(p, N_CONCAT, &node));
        node->children = *out;
        *out = node;
        for (jnode **next = &node->children->next; ts_jinja_take_op(p, '~');
             next = &(*next)->next) {
            TS_TRY(parse_product(p, next));
        }
    }
out:
    return status;
}

static ts_status parse_sum(jparser *p, jnode **out)
{
    return parse_level(p, "+-", parse_concat, out);
}

static bool take_comparison(jparser *p, uint8_t *op)
{
    const jtoken *token = ts_jinja_token(p);
    if (token->kind == T_OPERATOR && (token->op >= OP_EQ || token->op == '<' || token->op == '>')) {
        *op = token->op;
        p->at++;
        return true;
    }
    if (ts_jinja_take_name(p, "in")) {
        *op = OP_IN;
        return true;
    }
    if (ts_jinja_at_name(p, "not") && token[1].kind == T_NAME && token[1].len == 2 &&
        memcmp(token[1].text, "in", 2) == 0) {
        *op = OP_NOT_IN;
        p->at += 2;
        return true;
    }
    return false;
}

static ts_status parse_comparison(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    uint8_t op = 0;
    jnode *node = NULL, **next = NULL;
    TS_TRY(parse_sum(p, out));
    while (take_comparison(p, &op)) {
        if (node == NULL) {
            TS_TRY(ts_jinja_node(p, N_COMPARE, &node));
            node->a = *out;
            *out = node;
            next = &node->children;
        }
        jnode *operand = NULL;
        // One node for each operand: its operator, a: its value.
        TS_TRY(ts_jinja_node(p, N_TUPLE, next));
        TS_TRY(parse_sum(p, &operand));
        (*next)->op = op;
        (*next)->a = operand;
        next = &(*next)->next;
    }
out:
    return status;
}

static ts_status parse_not(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    TS_TRY(enter(p));
    if (ts_jinja_at_name(p, "not")) {
        TS_TRY(ts_jinja_node(p, N_NOT, out));
        p->at++;
        TS_TRY(parse_not(p, &(*out)->a));
    } else {
        TS_TRY(parse_comparison(p, out));
    }
out:
    p->depth--;
    return status;
}

static ts_status parse_words(jparser *p, const char *word, jnode_kind kind, parse_function *operand,
                             jnode **out)
{
    ts_status status = TS_OK;
    TS_TRY(operand(p, out));
    while (ts_jinja_at_name(p, word)) {
        jnode *node = NULL;
        TS_TRY(ts_jinja_node(p, kind, &node));
        p->at++;
        node->a = *out;
        TS_TRY(operand(p, &node->b));
        *out = node;
    }
out:
    return status;
}

static ts_status parse_and(jparser *p, jnode **out)
{
    return parse_words(p, "and", N_AND, parse_not, out);
}

static ts_status parse_or(jparser *p, jnode **out)
{
    return parse_words(p, "or", N_OR, parse_and, out);
}

ts_status ts_jinja_parse_expression(jparser *p, jnode **out)
{
    ts_status status = TS_OK;
    TS_TRY(enter(p));
    TS_TRY(parse_or(p, out));
    while (ts_jinja_at_name(p, "if")) {
        jnode *node = NULL;
        TS_TRY(ts_jinja_node(p, N_IF_ELSE, &node));
        p->at++;
        node->b = *out;
        *out = node;
        TS_TRY(parse_or(p, &node->a));
        if (ts_jinja_take_name(p, "else")) {
            TS_TRY(ts_jinja_parse_expression(p, &node->c));
        }
    }
out:
    p->depth--;
    return status;
}

// Whether a tuple ends here, as in "a, )" or "a, %}".
static bool at_tuple_end(const jparser *p)
{
    jtoken_kind kind = (jtoken_kind)ts_jinja_token(p)->kind;
    return kind == T_PRINT_END || kind == T_BLOCK_END || kind == T_END || ts_jinja_at_op(p, ')');
}

ts_status ts_jinja_parse_tuple(jparser *p, bool condition, jnode **out)
{
    ts_status status = TS_OK;
    parse_function *item = condition ? ts_jinja_parse_expression : parse_or;
    jnode *tuple = NULL;
    TS_TRY(item(p, out));
    if (!ts_jinja_at_op(p, ',')) {
        goto out;
    }
    TS_TRY(ts_jinja_node(p, N_TUPLE, &tuple));
    tuple->children = *out;
    *out = tuple;
    for (jnode **next = &tuple->children->next; ts_jinja_take_op(p, ',') && !at_tuple_end(p);
         next = &(*next)->next) {
        TS_TRY(item(p, next));
    }
out:
    return status;
}
