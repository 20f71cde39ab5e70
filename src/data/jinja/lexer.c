// Splits a template into tokens: the text between tags, and what is inside tags. Line breaks become
// "\n", and one at the very end is removed. A block tag alone on its line leaves no empty line:
// white space before it (lstrip_blocks) and one line break after it (trim_blocks) are removed. "-"
// in a tag removes all white space on its side, "+" keeps what the two settings would remove.
#include "data/jinja/parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct lexer {
    ts_jinja *jinja;
    const char *text;
    size_t len, at;
    size_t placed; // the offset that line and column belong to
    uint32_t line, column;
    bool line_starting;           // the last token ended with a line break
    char brackets[J_MAX_NESTING]; // the closing brackets that are expected
    size_t depth;
    ts_error *err;
} lexer;

// The line and column of offset `at`. Fast if it is not before the offset of the last call.
static void place(lexer *l, size_t at, uint32_t *line, uint32_t *column)
{
    if (at < l->placed) {
        l->placed = 0;
        l->line = l->column = 1;
    }
    for (; l->placed < at; l->placed++) {
        unsigned char c = (unsigned char)l->text[l->placed];
        l->line += c == '\n';
        l->column = c == '\n' ? 1 : l->column + !ts_utf8_is_continuation(c);
    }
    *line = l->line;
    *column = l->column;
}

#define REFUSE(at, ...)                                                                            \
    do {                                                                                           \
        uint32_t line_, column_;                                                                   \
        char message_[200];                                                                        \
        place(l, (at), &line_, &column_);                                                          \
        snprintf(message_, sizeof message_, __VA_ARGS__);                                          \
        TS_FAIL(TS_ERR_FORMAT, "%s:%u:%u: %s", l->jinja->name, line_, column_, message_);          \
    } while (0)

static ts_status add(lexer *l, jtoken token, size_t at)
{
    ts_jinja *jinja = l->jinja;
    place(l, at, &token.line, &token.column);
    ts_status status = ts_grow(&jinja->tokens, &jinja->token_capacity, jinja->token_count + 1,
                               sizeof token, l->err);
    if (status == TS_OK) {
        jinja->tokens[jinja->token_count++] = token;
    }
    return status;
}

static bool at_text(const lexer *l, size_t at, const char *text)
{
    size_t len = strlen(text);
    return l->len - at >= len && memcmp(l->text + at, text, len) == 0;
}

// The length of the white space character at `at`, or 0 if there is none.
static size_t blank_at(const lexer *l, size_t at)
{
    size_t taken = 0;
    return at < l->len && ts_jinja_is_blank(ts_utf8_decode(l->text + at, l->len - at, &taken))
               ? taken
               : 0;
}

static size_t skip_blanks(const lexer *l, size_t at)
{
    for (size_t taken; (taken = blank_at(l, at)) > 0;) {
        at += taken;
    }
    return at;
}

// The end of text[from..to) without the white space at its end.
static size_t strip_end(const lexer *l, size_t from, size_t to)
{
    size_t end = from;
    for (size_t at = from; at < to;) {
        size_t blank = blank_at(l, at), taken = blank;
        if (blank == 0) {
            ts_utf8_decode(l->text + at, l->len - at, &taken);
            end = at + taken;
        }
        at += taken;
    }
    return end;
}

// Moves on to offset `to`.
static void consume(lexer *l, size_t to)
{
    l->line_starting = to > l->at ? l->text[to - 1] == '\n' : l->line_starting;
    l->at = to;
}

// The text before a tag. `sign` is the character after the tag's opening.
static ts_status add_data(lexer *l, size_t from, size_t to, char sign, bool block)
{
    if (sign == '-') {
        to = strip_end(l, from, to);
    } else if (sign != '+' && block) {
        size_t line = to;
        while (line > from && l->text[line - 1] != '\n') {
            line--;
        }
        if ((line > from || l->line_starting) && skip_blanks(l, line) >= to) {
            to = line;
        }
    }
    return to > from
               ? add(l, (jtoken){.kind = T_DATA, .text = l->text + from, .len = to - from}, from)
               : TS_OK;
}

// Whether the end of a tag ("%}", "}}", "#}") is at `at`, and where what it removes ends.
static bool tag_end(const lexer *l, size_t at, const char *end, bool block, size_t *out)
{
    char sign = at < l->len ? l->text[at] : '\0';
    bool minus = sign == '-', plus = sign == '+' && block;
    if (!at_text(l, at + (minus || plus), end)) {
        return false;
    }
    *out = at + (minus || plus) + 2;
    if (minus) {
        *out = skip_blanks(l, *out);
    } else if (block && !plus && *out < l->len && l->text[*out] == '\n') {
        ++*out;
    }
    return true;
}

static ts_status skip_comment(lexer *l, size_t from)
{
    ts_status status = TS_OK;
    ts_error *err = l->err;
    for (size_t at = from, to; at < l->len; at++) {
        if (tag_end(l, at, "#}", true, &to)) {
            consume(l, to);
            goto out;
        }
    }
    REFUSE(l->at, "this comment has no end '#}'");
out:
    return status;
}

// "{% WORD %}" at `at`: its sign and its end.
static bool word_block(const lexer *l, size_t at, const char *word, bool trim, char *sign,
                       size_t *out)
{
    if (!at_text(l, at, "{%")) {
        return false;
    }
    at += 2;
    *sign = at < l->len && (l->text[at] == '-' || l->text[at] == '+') ? l->text[at] : '\0';
    at = skip_blanks(l, at + (*sign != '\0'));
    if (!at_text(l, at, word)) {
        return false;
    }
    at = skip_blanks(l, at + strlen(word));
    if (!trim && at_text(l, at, "%}")) { // the line break after "{% raw %}" is kept
        *out = at + 2;
        return true;
    }
    return (trim || !at_text(l, at, "+")) && tag_end(l, at, "%}", true, out);
}

static ts_status add_raw(lexer *l, size_t from)
{
    ts_status status = TS_OK;
    ts_error *err = l->err;
    char sign;
    size_t begin = l->at;
    consume(l, from);
    for (size_t at = from, to; at < l->len; at++) {
        if (word_block(l, at, "endraw", true, &sign, &to)) {
            TS_TRY(add_data(l, from, at, sign, true));
            consume(l, to);
            goto out;
        }
    }
    REFUSE(begin, "this raw block has no end '{%% endraw %%}'");
out:
    return status;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

// Digits with single underscores between them. Returns their end.
static size_t skip_digits(const lexer *l, size_t at, int base)
{
    size_t end = at;
    for (; at < l->len; at++) {
        char c = l->text[at];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : 99;
        if (digit < base) {
            end = at + 1;
        } else if (c != '_' || end != at) {
            break;
        }
    }
    return end;
}

static ts_status add_number(lexer *l)
{
    ts_status status = TS_OK;
    ts_error *err = l->err;
    const char *text = l->text;
    size_t from = l->at, to, whole;
    char digits[64];
    size_t count = 0;
    int base = 10;
    jtoken token = {.kind = T_INT};
    if (text[from] == '0' && from + 1 < l->len && strchr("bBoOxX", text[from + 1]) != NULL &&
        text[from + 1] != '\0') {
        base = strchr("bB", text[from + 1]) != NULL   ? 2
               : strchr("oO", text[from + 1]) != NULL ? 8
                                                      : 16;
        from += 2;
    }
    to = whole = skip_digits(l, from, base);
    if (base == 10 && (l->at == 0 || text[l->at - 1] != '.')) {
        size_t fraction = whole < l->len && text[whole] == '.' ? skip_digits(l, whole + 1, 10) : 0;
        to = fraction > whole + 1 ? fraction : whole;
        if (to < l->len && (text[to] == 'e' || text[to] == 'E')) {
            size_t sign = to + 1 < l->len && (text[to + 1] == '+' || text[to + 1] == '-');
            size_t exponent = skip_digits(l, to + 1 + sign, 10);
            to = exponent > to + 1 + sign ? exponent : to;
        }
        token.kind = to > whole ? T_FLOAT : T_INT;
    }
    for (size_t i = from; i < to; i++) {
        if (text[i] != '_') {
            digits[count] = text[i];
            if (++count == sizeof digits) {
                REFUSE(l->at, "a number of more than %zu digits", sizeof digits - 1);
            }
        }
    }
    digits[count] = '\0';
    errno = 0;
    if (token.kind == T_FLOAT) {
        token.number = strtod(digits, NULL);
    } else {
        token.integer = strtoll(digits, NULL, base);
        if (errno == ERANGE || count == 0) {
            REFUSE(l->at, "'%.40s' is no whole number of 64 bits", digits);
        }
        if (base == 10 && count > 1 && digits[0] == '0' && token.integer != 0) {
            REFUSE(l->at, "a whole number may not start with 0");
        }
    }
    TS_TRY(add(l, token, l->at));
    consume(l, to);
out:
    return status;
}

// The value of `count` hexadecimal digits at `at`, or -1.
static int64_t read_digits(const char *text, size_t len, size_t count, int base, size_t *taken)
{
    int64_t value = 0;
    size_t i = 0;
    for (; i < count && i < len; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : 99;
        if (digit >= base) {
            break;
        }
        value = value * base + digit;
    }
    *taken = i;
    return value;
}

// Reads what follows a backslash, as in a Python string. -1: not an escape, -2: an error.
static int64_t read_escape(const char *text, size_t len, size_t *taken)
{
    static const char letters[] = "\\'\"abfnrtv", values[] = "\\'\"\a\b\f\n\r\t\v";
    const char *letter = text[0] != '\0' ? strchr(letters, text[0]) : NULL;
    *taken = 1;
    if (letter != NULL) {
        return values[letter - letters];
    }
    if (text[0] >= '0' && text[0] <= '7') {
        return read_digits(text, len, 3, 8, taken);
    }
    size_t count = text[0] == 'x' ? 2 : text[0] == 'u' ? 4 : text[0] == 'U' ? 8 : 0;
    if (count == 0) {
        return text[0] == 'N' ? -2 : -1;
    }
    int64_t value = read_digits(text + 1, len - 1, count, 16, taken);
    bool fine = *taken == count && value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
    ++*taken;
    return fine ? value : -2;
}

static ts_status add_string(lexer *l)
{
    ts_status status = TS_OK;
    ts_error *err = l->err;
    char quote = l->text[l->at], *bytes = NULL;
    size_t from = l->at + 1, to = from, len = 0;
    while (to < l->len && l->text[to] != quote) {
        to += 1 + (l->text[to] == '\\');
    }
    if (to >= l->len) {
        REFUSE(l->at, "this string has no end");
    }
    TS_TRY(ts_arena_alloc(&l->jinja->arena, to - from + 1, 1, &bytes, err));
    for (size_t at = from; at < to; at++) {
        if (l->text[at] != '\\') {
            bytes[len++] = l->text[at];
            continue;
        }
        size_t taken = 0;
        if (l->text[at + 1] == '\n') { // backslash and line break: the line continues
            at++;
            continue;
        }
        int64_t cp = read_escape(l->text + at + 1, to - at - 1, &taken);
        if (cp == -2) {
            REFUSE(at, "this escape in a string names no character (or is \\N, which is not "
                       "implemented)");
        }
        if (cp < 0) { // Python keeps an unknown escape unchanged
            bytes[len++] = '\\';
            continue;
        }
        len += ts_utf8_encode((uint32_t)cp, bytes + len);
        at += taken;
    }
    TS_TRY(add(l, (jtoken){.kind = T_STRING, .text = bytes, .len = len}, l->at));
    consume(l, to + 1);
out:
    return status;
}

static ts_status add_operator(lexer *l)
{
    static const struct {
        char text[3];
        uint8_t op;
    } doubles[] = {{"**", OP_POWER}, {"//", OP_FLOOR}, {"==", OP_EQ},
                   {"!=", OP_NE},    {">=", OP_GE},    {"<=", OP_LE}};
    ts_status status = TS_OK;
    ts_error *err = l->err;
    char c = l->text[l->at];
    for (size_t i = 0; i < TS_COUNT(doubles); i++) {
        if (at_text(l, l->at, doubles[i].text)) {
            TS_TRY(add(l, (jtoken){.kind = T_OPERATOR, .op = doubles[i].op}, l->at));
            consume(l, l->at + 2);
            goto out;
        }
    }
    if (c == '\0' || strchr("+-/*%~[](){}><=.:|,;", c) == NULL) {
        REFUSE(l->at,
               (unsigned char)c < 0x20 ? "unexpected byte 0x%02X in a tag"
                                       : "unexpected character '%c' in a tag",
               (unsigned char)c);
    }
    if (strchr("([{", c) != NULL) {
        if (l->depth == TS_COUNT(l->brackets)) {
            REFUSE(l->at, "brackets nested deeper than %zu", TS_COUNT(l->brackets));
        }
        l->brackets[l->depth++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (strchr(")]}", c) != NULL) {
        if (l->depth == 0) {
            REFUSE(l->at, "unexpected '%c'", c);
        }
        if (l->brackets[--l->depth] != c) {
            REFUSE(l->at, "unexpected '%c', expected '%c'", c, l->brackets[l->depth]);
        }
    }
    TS_TRY(add(l, (jtoken){.kind = T_OPERATOR, .op = (uint8_t)c}, l->at));
    consume(l, l->at + 1);
out:
    return status;
}

// The inside of a tag and its end.
static ts_status add_tag(lexer *l, bool block)
{
    ts_status status = TS_OK;
    ts_error *err = l->err;
    size_t begin = l->at, to;
    for (l->depth = 0;;) {
        consume(l, l->at);
        if (l->depth == 0 && tag_end(l, l->at, block ? "%}" : "}}", block, &to)) {
            jtoken_kind kind = block ? T_BLOCK_END : T_PRINT_END;
            TS_TRY(add(l, (jtoken){.kind = (uint8_t)kind}, l->at));
            consume(l, to);
            break;
        }
        if (l->at >= l->len) {
            REFUSE(begin, "this tag has no end '%s'", block ? "%}" : "}}");
        }
        size_t blank = blank_at(l, l->at);
        char c = l->text[l->at];
        if (blank > 0) {
            consume(l, l->at + blank);
        } else if (c >= '0' && c <= '9') {
            TS_TRY(add_number(l));
        } else if (is_name(c)) {
            for (to = l->at; to < l->len && is_name(l->text[to]) && blank_at(l, to) == 0;) {
                to++;
            }
            TS_TRY(add(l, (jtoken){.kind = T_NAME, .text = l->text + l->at, .len = to - l->at},
                       l->at));
            consume(l, to);
        } else if (c == '\'' || c == '"') {
            TS_TRY(add_string(l));
        } else {
            TS_TRY(add_operator(l));
        }
    }
out:
    return status;
}

// Copies the text with "\n" for every kind of line break, and without one at its end.
static ts_status normalise(ts_jinja *jinja, const char *text, size_t len, size_t *out,
                           ts_error *err)
{
    ts_status status = TS_OK;
    size_t to = 0;
    TS_TRY(ts_arena_alloc(&jinja->arena, len + 1, 1, &jinja->source, err));
    for (size_t at = 0; at < len; at++) {
        bool carriage = text[at] == '\r';
        at += carriage && at + 1 < len && text[at + 1] == '\n';
        jinja->source[to++] = carriage ? '\n' : text[at];
    }
    *out = to - (to > 0 && jinja->source[to - 1] == '\n');
out:
    return status;
}

ts_status ts_jinja_lex(ts_jinja *jinja, const char *text, size_t len, ts_error *err)
{
    ts_status status = TS_OK;
    lexer lex = {.jinja = jinja, .line = 1, .column = 1, .line_starting = true, .err = err},
          *l = &lex;
    TS_TRY(normalise(jinja, text, len, &l->len, err));
    l->text = jinja->source;
    while (l->at < l->len) {
        size_t tag = l->at, to;
        while (tag < l->len && !at_text(l, tag, "{{") && !at_text(l, tag, "{%") &&
               !at_text(l, tag, "{#")) {
            tag++;
        }
        if (tag == l->len) {
            TS_TRY(add_data(l, l->at, tag, '+', false));
            break;
        }
        char kind = l->text[tag + 1], sign = tag + 2 < l->len ? l->text[tag + 2] : '\0', raw;
        TS_TRY(add_data(l, l->at, tag, sign, kind != '{'));
        l->at = tag;
        if (word_block(l, tag, "raw", false, &raw, &to)) {
            TS_TRY(add_raw(l, to));
            continue;
        }
        size_t inside = tag + 2 + (sign == '-' || sign == '+');
        if (kind == '#') {
            TS_TRY(skip_comment(l, inside));
            continue;
        }
        jtoken_kind begin = kind == '{' ? T_PRINT_BEGIN : T_BLOCK_BEGIN;
        TS_TRY(add(l, (jtoken){.kind = (uint8_t)begin}, tag));
        l->at = inside;
        TS_TRY(add_tag(l, kind != '{'));
    }
    TS_TRY(add(l, (jtoken){.kind = T_END}, l->len));
out:
    return status;
}
