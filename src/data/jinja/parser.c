// Parses a template into a tree. Text is parsed here, statements in statement.c, expressions in
// expression.c.
#include "data/jinja/parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const jtoken *ts_jinja_token(const jparser *p)
{
    return &p->jinja->tokens[p->at];
}

static ts_status refuse_at(jparser *p, ts_status code, const jtoken *token, const char *message)
{
    return ts_error_set(p->err, code, "%s:%u:%u: %s", p->jinja->name, token->line, token->column,
                        message);
}

ts_status ts_jinja_refuse(jparser *p, const jtoken *token, const char *format, ...)
{
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return refuse_at(p, TS_ERR_FORMAT, token, message);
}

ts_status ts_jinja_unknown(jparser *p, const jtoken *token, const char *format, ...)
{
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return refuse_at(p, TS_ERR_UNSUPPORTED, token, message);
}

bool ts_jinja_at_op(const jparser *p, int op)
{
    const jtoken *token = ts_jinja_token(p);
    return token->kind == T_OPERATOR && token->op == op;
}

bool ts_jinja_at_name(const jparser *p, const char *name)
{
    const jtoken *token = ts_jinja_token(p);
    return token->kind == T_NAME && token->len == strlen(name) &&
           memcmp(token->text, name, token->len) == 0;
}

bool ts_jinja_take_op(jparser *p, int op)
{
    bool there = ts_jinja_at_op(p, op);
    p->at += there;
    return there;
}

bool ts_jinja_take_name(jparser *p, const char *name)
{
    bool there = ts_jinja_at_name(p, name);
    p->at += there;
    return there;
}

ts_status ts_jinja_expected(jparser *p, const char *what)
{
    static const char *const kinds[] = {
        [T_END] = "the end of the template",
        [T_DATA] = "text",
        [T_PRINT_BEGIN] = "'{{'",
        [T_PRINT_END] = "'}}'",
        [T_BLOCK_BEGIN] = "'{%'",
        [T_BLOCK_END] = "'%}'",
        [T_STRING] = "a string",
        [T_INT] = "a number",
        [T_FLOAT] = "a number",
    };
    static const char *const doubles[] = {"**", "//", "==", "!=", ">=", "<="};
    const jtoken *token = ts_jinja_token(p);
    if (token->kind == T_NAME) {
        return ts_jinja_refuse(p, token, "expected %s, found '%.*s'", what,
                               (int)ts_min_u64(token->len, 60), token->text);
    }
    if (token->kind == T_OPERATOR) {
        char single[2] = {(char)token->op, '\0'};
        return ts_jinja_refuse(p, token, "expected %s, found '%s'", what,
                               token->op < OP_POWER ? single : doubles[token->op - OP_POWER]);
    }
    return ts_jinja_refuse(p, token, "expected %s, found %s", what, kinds[token->kind]);
}

ts_status ts_jinja_expect_op(jparser *p, int op)
{
    char what[] = {'\'', (char)op, '\'', '\0'};
    return ts_jinja_take_op(p, op) ? TS_OK : ts_jinja_expected(p, what);
}

ts_status ts_jinja_expect_name(jparser *p, const char *name)
{
    char what[40];
    snprintf(what, sizeof what, "'%s'", name);
    return ts_jinja_take_name(p, name) ? TS_OK : ts_jinja_expected(p, what);
}

ts_status ts_jinja_symbol(jparser *p, const char *text, size_t len, uint32_t *out)
{
    ts_status status = TS_OK;
    ts_jinja *jinja = p->jinja;
    jstring *symbol = NULL;
    for (size_t i = 0; i < jinja->symbol_count; i++) {
        if (j_equals(jinja->symbols[i], text, len)) {
            *out = (uint32_t)i;
            return TS_OK;
        }
    }
    TS_TRY(ts_grow(&jinja->symbols, &jinja->symbol_capacity, jinja->symbol_count + 1,
                   sizeof(jstring *), p->err));
    TS_TRY(ts_arena_alloc(&jinja->arena, 1, sizeof *symbol, &symbol, p->err));
    *symbol = (jstring){.bytes = text, .len = len, .characters = ts_jinja_characters(text, len)};
    *out = (uint32_t)jinja->symbol_count;
    jinja->symbols[jinja->symbol_count++] = symbol;
out:
    return status;
}

ts_status ts_jinja_node(jparser *p, jnode_kind kind, jnode **out)
{
    ts_status status = ts_arena_alloc(&p->jinja->arena, 1, sizeof **out, out, p->err);
    if (status == TS_OK) {
        (*out)->kind = (uint8_t)kind;
        (*out)->line = ts_jinja_token(p)->line;
    }
    return status;
}

static bool at_end(const jparser *p, const char *const *ends)
{
    for (; ends != NULL && *ends != NULL; ends++) {
        if (ts_jinja_at_name(p, *ends)) {
            return true;
        }
    }
    return false;
}

static ts_status parse_text(jparser *p, const jtoken *token, jnode **out)
{
    ts_status status = TS_OK;
    jstring *text = NULL;
    TS_TRY(ts_jinja_node(p, N_TEXT, out));
    TS_TRY(ts_arena_alloc(&p->jinja->arena, 1, sizeof *text, &text, p->err));
    *text = (jstring){.bytes = token->text,
                      .len = token->len,
                      .characters = ts_jinja_characters(token->text, token->len)};
    (*out)->value = j_string(text);
    p->at++;
out:
    return status;
}

ts_status ts_jinja_parse_body(jparser *p, const char *const *ends, jnode **out)
{
    ts_status status = TS_OK;
    const jtoken *begin = ts_jinja_token(p);
    for (const jtoken *token; (token = ts_jinja_token(p))->kind != T_END;) {
        if (token->kind == T_DATA) {
            TS_TRY(parse_text(p, token, out));
        } else if (token->kind == T_PRINT_BEGIN) {
            p->at++;
            TS_TRY(ts_jinja_node(p, N_PRINT, out));
            TS_TRY(ts_jinja_parse_tuple(p, true, &(*out)->a));
            if (ts_jinja_token(p)->kind != T_PRINT_END) {
                status = ts_jinja_expected(p, "'}}'");
                goto out;
            }
            p->at++;
        } else {
            p->at++;
            if (at_end(p, ends)) {
                goto out;
            }
            TS_TRY(ts_jinja_parse_statement(p, out));
            while (*out != NULL && (*out)->next != NULL) {
                out = &(*out)->next;
            }
        }
        out = &(*out)->next;
    }
    if (ends != NULL) {
        for (; ends[1] != NULL; ends++) { // the last name is the block's own end
        }
        status =
            ts_jinja_refuse(p, begin, "the block that begins here has no '{%% %s %%}'", ends[0]);
    }
out:
    return status;
}

ts_status ts_jinja_parse(const char *text, size_t len, const char *name, ts_jinja **out,
                         ts_error *err)
{
    static const char *const fixed[S_FIXED] = {"loop", "caller", "varargs", "kwargs"};
    ts_status status = TS_OK;
    ts_jinja *jinja = NULL;
    jparser parser = {.err = err};
    size_t valid = ts_utf8_valid_prefix(text, len);
    uint32_t symbol;
    *out = NULL;
    TS_TRY(ts_alloc(1, sizeof *jinja, &jinja, err));
    if (valid < len) {
        TS_FAIL(TS_ERR_FORMAT, "%s: invalid UTF-8 at byte %zu", name, valid);
    }
    TS_TRY(ts_arena_copy_text(&jinja->arena, name, strlen(name), &jinja->name, err));
    TS_TRY(ts_jinja_lex(jinja, text, len, err));
    parser.jinja = jinja;
    for (size_t i = 0; i < S_FIXED; i++) {
        TS_TRY(ts_jinja_symbol(&parser, fixed[i], strlen(fixed[i]), &symbol));
    }
    TS_TRY(ts_jinja_parse_body(&parser, NULL, &jinja->body));
    free(jinja->tokens);
    jinja->tokens = NULL;
    *out = jinja;
out:
    if (status != TS_OK) {
        ts_jinja_free(jinja);
    }
    return status;
}

void ts_jinja_free(ts_jinja *jinja)
{
    if (jinja != NULL) {
        free(jinja->tokens);
        free(jinja->symbols);
        ts_arena_free(&jinja->arena);
        free(jinja);
    }
}
