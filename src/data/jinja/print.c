// Values as text: Python's str() and repr(), and json.dumps as Hugging Face's tojson calls it.
#include "data/jinja/parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t ts_jinja_print_float(double number, char out[40])
{
    char digits[40];
    if (isnan(number) || isinf(number)) {
        return (size_t)snprintf(out, 40, "%s", isnan(number) ? "nan" : number < 0 ? "-inf" : "inf");
    }
    int precision = 1; // increased until the digits read back as the same number
    do {
        snprintf(digits, sizeof digits, "%.*e", precision - 1, number);
    } while (precision++ < 17 && strtod(digits, NULL) != number);
    precision--;
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        char *mark = strchr(digits, 'e');
        *mark = '\0';
        return (size_t)snprintf(out, 40, "%se%c%02d", digits, exponent < 0 ? '-' : '+',
                                abs(exponent));
    }
    int decimals = precision - 1 - exponent;
    return (size_t)snprintf(out, 40, "%.*f", decimals < 1 ? 1 : decimals, number);
}

static ts_status literal(jrun *r, jbuilder *b, const char *text)
{
    return ts_jinja_append_bytes(r, b, text, strlen(text), 0);
}

static ts_status append_number(jrun *r, jbuilder *b, jvalue value)
{
    char text[40];
    size_t len = value.kind == J_INT
                     ? (size_t)snprintf(text, sizeof text, "%lld", (long long)value.integer)
                     : ts_jinja_print_float(value.number, text);
    return ts_jinja_append_bytes(r, b, text, len, 0);
}

// A string in quotes, with Python's escapes.
static ts_status append_quoted(jrun *r, jbuilder *b, const jstring *s)
{
    ts_status status = TS_OK;
    char quote = memchr(s->bytes, '\'', s->len) != NULL && memchr(s->bytes, '"', s->len) == NULL
                     ? '"'
                     : '\'';
    TS_TRY(ts_jinja_append_bytes(r, b, &quote, 1, 0));
    for (size_t at = 0, taken; at < s->len; at += taken) {
        int32_t cp = ts_utf8_decode(s->bytes + at, s->len - at, &taken);
        char escape[16];
        size_t len = taken;
        memcpy(escape, s->bytes + at, taken);
        if (cp == quote || cp == '\\') {
            len = (size_t)snprintf(escape, sizeof escape, "\\%c", (char)cp);
        } else if (cp == '\n' || cp == '\r' || cp == '\t') {
            len = (size_t)snprintf(escape, sizeof escape, "\\%c",
                                   cp == '\n'   ? 'n'
                                   : cp == '\r' ? 'r'
                                                : 't');
        } else if (!ts_jinja_is_printable(cp)) {
            len = (size_t)snprintf(escape, sizeof escape,
                                   cp < 0x100     ? "\\x%02x"
                                   : cp < 0x10000 ? "\\u%04x"
                                                  : "\\U%08x",
                                   (unsigned)cp);
        }
        TS_TRY(ts_jinja_append_bytes(r, b, escape, len, j_source(s, at)));
    }
    TS_TRY(ts_jinja_append_bytes(r, b, &quote, 1, 0));
out:
    return status;
}

static ts_status append_items(jrun *r, jbuilder *b, const jlist *list, const char *open,
                              const char *close)
{
    ts_status status = TS_OK;
    TS_TRY(literal(r, b, open));
    for (size_t i = 0; i < list->count; i++) {
        TS_TRY(literal(r, b, i > 0 ? ", " : ""));
        TS_TRY(ts_jinja_append_repr(r, b, list->items[i]));
    }
    TS_TRY(literal(r, b, close));
out:
    return status;
}

static ts_status append_pairs(jrun *r, jbuilder *b, const jdict *dict)
{
    ts_status status = TS_OK;
    TS_TRY(literal(r, b, "{"));
    for (size_t i = 0; i < dict->count; i++) {
        TS_TRY(literal(r, b, i > 0 ? ", " : ""));
        TS_TRY(ts_jinja_append_repr(r, b, dict->pairs[i].key));
        TS_TRY(literal(r, b, ": "));
        TS_TRY(ts_jinja_append_repr(r, b, dict->pairs[i].value));
    }
    TS_TRY(literal(r, b, "}"));
out:
    return status;
}

static ts_status append_range(jrun *r, jbuilder *b, const jrange *range)
{
    char text[80];
    int len = range->step == 1
                  ? snprintf(text, sizeof text, "range(%lld, %lld)", (long long)range->start,
                             (long long)range->stop)
                  : snprintf(text, sizeof text, "range(%lld, %lld, %lld)", (long long)range->start,
                             (long long)range->stop, (long long)range->step);
    return ts_jinja_append_bytes(r, b, text, (size_t)len, 0);
}

// repr() of other values, which may be nested.
static ts_status append_nested(jrun *r, jbuilder *b, jvalue value)
{
    char open[40];
    switch (value.kind) {
    case J_LIST:
        return append_items(r, b, j_list(value), "[", "]");
    case J_TUPLE:
        return append_items(r, b, j_list(value), "(", j_list(value)->count == 1 ? ",)" : ")");
    case J_VIEW:
        snprintf(open, sizeof open, "%s([", ts_jinja_type(value));
        return append_items(r, b, j_list(value), open, "])");
    case J_DICT:
        return append_pairs(r, b, j_dict(value));
    case J_NAMESPACE: {
        ts_status status = literal(r, b, "<Namespace ");
        status = status == TS_OK ? append_pairs(r, b, j_dict(value)) : status;
        return status == TS_OK ? literal(r, b, ">") : status;
    }
    default: // Python prints an address here
        return ts_jinja_lacks(r, "printing a value of type '%s' is not implemented",
                              ts_jinja_type(value));
    }
}

ts_status ts_jinja_append_repr(jrun *r, jbuilder *b, jvalue value)
{
    ts_status status = TS_OK;
    TS_TRY(ts_jinja_step(r, 1));
    switch (value.kind) {
    case J_MISSING:
    case J_UNDEFINED:
        return literal(r, b, "Undefined");
    case J_NONE:
        return literal(r, b, "None");
    case J_BOOL:
        return literal(r, b, value.flag ? "True" : "False");
    case J_INT:
    case J_FLOAT:
        return append_number(r, b, value);
    case J_STRING:
        return append_quoted(r, b, j_text(value));
    case J_RANGE:
        return append_range(r, b, value.pointer);
    default:
        break;
    }
    TS_TRY(ts_jinja_enter(r));
    TS_TRY(append_nested(r, b, value));
    r->depth--;
out:
    return status;
}

ts_status ts_jinja_append_print(jrun *r, jbuilder *b, jvalue value)
{
    return value.kind == J_STRING ? ts_jinja_append(r, b, j_text(value))
           : value.kind == J_UNDEFINED || value.kind == J_MISSING
               ? TS_OK
               : ts_jinja_append_repr(r, b, value);
}

ts_status ts_jinja_print(jrun *r, jvalue value, jvalue *out)
{
    ts_status status = TS_OK;
    jbuilder b = {0};
    if (value.kind == J_STRING) {
        *out = value;
        return TS_OK;
    }
    TS_TRY(ts_jinja_append_print(r, &b, value));
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}

// ---- JSON

static ts_status append_json_text(jrun *r, jbuilder *b, const jstring *s, bool ascii)
{
    static const char letters[] = "\"\\\n\r\t\b\f", names[] = "\"\\nrtbf";
    ts_status status = TS_OK;
    TS_TRY(literal(r, b, "\""));
    for (size_t at = 0, taken; at < s->len; at += taken) {
        int32_t cp = ts_utf8_decode(s->bytes + at, s->len - at, &taken);
        char escape[16];
        size_t len = taken;
        const char *letter = cp > 0 && cp < 0x80 ? strchr(letters, (char)cp) : NULL;
        memcpy(escape, s->bytes + at, taken);
        if (letter != NULL) {
            len = (size_t)snprintf(escape, sizeof escape, "\\%c", names[letter - letters]);
        } else if (cp < 0x20 || (ascii && cp >= 0x7F && cp < 0x10000 && cp != 0x7F)) {
            len = (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)cp);
        } else if (ascii && cp >= 0x10000) {
            len = (size_t)snprintf(escape, sizeof escape, "\\u%04x\\u%04x",
                                   0xD800 + (((unsigned)cp - 0x10000) >> 10),
                                   0xDC00 + (((unsigned)cp - 0x10000) & 0x3FF));
        }
        TS_TRY(ts_jinja_append_bytes(r, b, escape, len, j_source(s, at)));
    }
    TS_TRY(literal(r, b, "\""));
out:
    return status;
}

static ts_status append_break(jrun *r, jbuilder *b, const jjson *how, int level)
{
    ts_status status = how->indent != NULL ? literal(r, b, "\n") : TS_OK;
    for (int i = 0; how->indent != NULL && i < level && status == TS_OK; i++) {
        status = ts_jinja_append(r, b, how->indent);
    }
    return status;
}

static ts_status append_json_list(jrun *r, jbuilder *b, const jlist *list, const jjson *how,
                                  int level)
{
    ts_status status = TS_OK;
    TS_TRY(literal(r, b, "["));
    for (size_t i = 0; i < list->count; i++) {
        TS_TRY(i > 0 ? ts_jinja_append(r, b, how->comma) : TS_OK);
        TS_TRY(append_break(r, b, how, level + 1));
        TS_TRY(ts_jinja_append_json(r, b, list->items[i], how, level + 1));
    }
    TS_TRY(list->count > 0 ? append_break(r, b, how, level) : TS_OK);
    TS_TRY(literal(r, b, "]"));
out:
    return status;
}

// Keys in JSON are strings. Other kinds are converted as Python does.
static ts_status append_json_key(jrun *r, jbuilder *b, jvalue key, const jjson *how)
{
    ts_status status = TS_OK;
    if (key.kind == J_STRING) {
        return append_json_text(r, b, j_text(key), how->ascii);
    }
    if (!j_is_number(key) && key.kind != J_NONE) {
        return ts_jinja_raise(r, "keys must be str, int, float, bool or None, not %s",
                              ts_jinja_type(key));
    }
    TS_TRY(literal(r, b, "\""));
    TS_TRY(ts_jinja_append_json(r, b, key, how, 0));
    TS_TRY(literal(r, b, "\""));
out:
    return status;
}

static ts_status append_json_dict(jrun *r, jbuilder *b, const jdict *dict, const jjson *how,
                                  int level)
{
    ts_status status = TS_OK;
    jvalue *keys = NULL, *values = NULL;
    TS_TRY(ts_jinja_alloc(r, dict->count, sizeof *keys, &keys));
    TS_TRY(ts_jinja_alloc(r, dict->count, sizeof *values, &values));
    for (size_t i = 0; i < dict->count; i++) {
        keys[i] = dict->pairs[i].key;
        values[i] = dict->pairs[i].value;
    }
    if (how->sorted) {
        TS_TRY(ts_jinja_sort(r, values, keys, dict->count, false));
    }
    TS_TRY(literal(r, b, "{"));
    for (size_t i = 0; i < dict->count; i++) {
        TS_TRY(i > 0 ? ts_jinja_append(r, b, how->comma) : TS_OK);
        TS_TRY(append_break(r, b, how, level + 1));
        TS_TRY(append_json_key(r, b, keys[i], how));
        TS_TRY(ts_jinja_append(r, b, how->colon));
        TS_TRY(ts_jinja_append_json(r, b, values[i], how, level + 1));
    }
    TS_TRY(dict->count > 0 ? append_break(r, b, how, level) : TS_OK);
    TS_TRY(literal(r, b, "}"));
out:
    return status;
}

ts_status ts_jinja_append_json(jrun *r, jbuilder *b, jvalue value, const jjson *how, int level)
{
    ts_status status = TS_OK;
    TS_TRY(ts_jinja_enter(r));
    TS_TRY(ts_jinja_step(r, 1));
    switch (value.kind) {
    case J_NONE:
        status = literal(r, b, "null");
        break;
    case J_BOOL:
        status = literal(r, b, value.flag ? "true" : "false");
        break;
    case J_FLOAT:
        status = isnan(value.number)   ? literal(r, b, "NaN")
                 : isinf(value.number) ? literal(r, b, value.number < 0 ? "-Infinity" : "Infinity")
                                       : append_number(r, b, value);
        break;
    case J_INT:
        status = append_number(r, b, value);
        break;
    case J_STRING:
        status = append_json_text(r, b, j_text(value), how->ascii);
        break;
    case J_LIST:
    case J_TUPLE:
        status = append_json_list(r, b, j_list(value), how, level);
        break;
    case J_DICT:
        status = append_json_dict(r, b, j_dict(value), how, level);
        break;
    default:
        status =
            ts_jinja_raise(r, "Object of type %s is not JSON serializable", ts_jinja_type(value));
    }
    r->depth--;
out:
    return status;
}
