// String formatting: "%s of %d" % (a, b), and "{} of {name}".format(a, name=b).
#include "data/jinja/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct formatter {
    jrun *r;
    const jstring *text;
    jvalue args;     // a tuple, a dict, or the one value
    size_t at, next; // in the text; of a tuple's items
    jbuilder built;
} formatter;

static ts_status literal(formatter *f, size_t from, size_t to)
{
    jvalue part;
    ts_status status = ts_jinja_part(f->r, f->text, from, to, &part);
    return status == TS_OK ? ts_jinja_append(f->r, &f->built, j_text(part)) : status;
}

static char peek(const formatter *f)
{
    return f->at < f->text->len ? f->text->bytes[f->at] : '\0';
}

// The value for a conversion: by "(name)" from a dict, otherwise the next one.
static ts_status take(formatter *f, jvalue *out)
{
    ts_status status = TS_OK;
    jrun *r = f->r;
    if (peek(f) == '(') {
        const char *end = memchr(f->text->bytes + f->at, ')', f->text->len - f->at);
        jvalue key;
        if (end == NULL) {
            return ts_jinja_raise(r, "incomplete format key");
        }
        if (f->args.kind != J_DICT) {
            return ts_jinja_raise(r, "format requires a mapping");
        }
        size_t to = (size_t)(end - f->text->bytes);
        const jvalue *found = NULL;
        TS_TRY(ts_jinja_part(r, f->text, f->at + 1, to, &key));
        TS_TRY(ts_jinja_dict_find(r, j_dict(f->args), key, &found));
        if (found == NULL) {
            return ts_jinja_raise(r, "'%.*s'", (int)ts_min_u64(j_text(key)->len, 100),
                                  j_text(key)->bytes);
        }
        f->at = to + 1;
        *out = *found;
    } else {
        size_t count = f->args.kind == J_TUPLE ? j_list(f->args)->count : 1;
        if (f->next >= count) {
            return ts_jinja_raise(r, "not enough arguments for format string");
        }
        *out = f->args.kind == J_TUPLE ? j_list(f->args)->items[f->next] : f->args;
        f->next++;
    }
out:
    return status;
}

// A number, formatted by C's printf, which has the same flags, width and precision as Python.
static ts_status append_number(formatter *f, const char *spec, char conversion, jvalue value)
{
    char format[64], text[600];
    int len;
    if (!j_is_number(value)) {
        return ts_jinja_raise(f->r, "%%%c format: a real number is required, not %s", conversion,
                              ts_jinja_type(value));
    }
    if (strchr("diuxXo", conversion) != NULL) {
        conversion = conversion == 'u' ? 'd' : conversion;
        if (value.kind == J_FLOAT && (strchr("xXo", conversion) != NULL ||
                                      !(value.number > -0x1p63 && value.number < 0x1p63))) {
            return ts_jinja_raise(f->r, "%%%c format: an integer is required, not float",
                                  conversion);
        }
        long long whole =
            value.kind == J_FLOAT ? (long long)value.number : (long long)j_whole(value);
        if (whole < 0 && strchr("xXo", conversion) != NULL) {
            return ts_jinja_lacks(f->r, "%%%c of a number below 0 is not implemented", conversion);
        }
        snprintf(format, sizeof format, "%%%sll%c", spec, conversion);
        len = snprintf(text, sizeof text, format, whole);
    } else {
        snprintf(format, sizeof format, "%%%s%c", spec, conversion);
        len = snprintf(text, sizeof text, format, j_number(value));
    }
    if (len < 0 || (size_t)len >= sizeof text) {
        return ts_jinja_lacks(f->r, "a formatted number of %d characters", len);
    }
    return ts_jinja_append_bytes(f->r, &f->built, text, (size_t)len, 0);
}

// %s and %r with their width and precision, in characters.
static ts_status append_text(formatter *f, const char *spec, bool repr, jvalue value)
{
    ts_status status = TS_OK;
    jrun *r = f->r;
    jbuilder b = {0};
    jvalue text;
    bool left = strchr(spec, '-') != NULL;
    const char *digits = spec + strspn(spec, "-+ #0"), *dot = strchr(spec, '.');
    size_t width = strtoul(digits, NULL, 10);
    TS_TRY(repr ? ts_jinja_append_repr(r, &b, value) : ts_jinja_append_print(r, &b, value));
    TS_TRY(ts_jinja_built(r, &b, &text));
    const jstring *s = j_text(text);
    size_t precision = dot != NULL ? strtoul(dot + 1, NULL, 10) : s->characters;
    if (precision < s->characters) {
        TS_TRY(ts_jinja_part(r, s, 0, ts_jinja_offset(s, precision), &text));
        s = j_text(text);
    }
    size_t pad = width > s->characters ? width - s->characters : 0;
    TS_TRY(left ? ts_jinja_append(r, &f->built, s) : TS_OK);
    for (; pad > 0; pad--) {
        TS_TRY(ts_jinja_append_bytes(r, &f->built, " ", 1, 0));
    }
    TS_TRY(left ? TS_OK : ts_jinja_append(r, &f->built, s));
out:
    return status;
}

// One conversion. The '%' has been consumed.
static ts_status convert(formatter *f)
{
    ts_status status = TS_OK;
    jrun *r = f->r;
    jvalue value = {0};
    char spec[24];
    size_t len = 0;
    bool keyed = peek(f) == '(';
    if (peek(f) == '%') {
        f->at++;
        return ts_jinja_append_bytes(r, &f->built, "%", 1, 0);
    }
    if (keyed) {
        TS_TRY(take(f, &value));
    }
    while (peek(f) != '\0' && strchr("-+ #0123456789.", peek(f)) != NULL && len + 1 < sizeof spec) {
        spec[len++] = f->text->bytes[f->at++];
    }
    spec[len] = '\0';
    char conversion = peek(f);
    if (f->at >= f->text->len) {
        return ts_jinja_raise(r, "incomplete format");
    }
    if (conversion == '\0' || strchr("srdiuxXofFeEgG", conversion) == NULL) {
        return ts_jinja_lacks(r, "format character '%c' is not implemented",
                              conversion >= 0x20 && conversion < 0x7F ? conversion : '?');
    }
    const char *digits = spec + strspn(spec, "-+ #0"), *dot = strchr(spec, '.');
    if (strtoul(digits, NULL, 10) > 400 || (dot != NULL && strtoul(dot + 1, NULL, 10) > 100)) {
        return ts_jinja_lacks(r, "a format as wide as '%%%s%c' is not implemented", spec,
                              conversion);
    }
    f->at++;
    if (!keyed) {
        TS_TRY(take(f, &value));
    }
    if (value.kind == J_UNDEFINED && conversion != 's' && conversion != 'r') {
        return ts_jinja_undefined_error(r, value);
    }
    TS_TRY(conversion == 's' || conversion == 'r' ? append_text(f, spec, conversion == 'r', value)
                                                  : append_number(f, spec, conversion, value));
out:
    return status;
}

ts_status ts_jinja_format(jrun *r, const jstring *format, jvalue args, jvalue *out)
{
    ts_status status = TS_OK;
    formatter f = {.r = r, .text = format, .args = args};
    for (size_t from = 0; f.at < format->len; from = f.at) {
        const char *percent = memchr(format->bytes + f.at, '%', format->len - f.at);
        f.at = percent != NULL ? (size_t)(percent - format->bytes) : format->len;
        TS_TRY(literal(&f, from, f.at));
        if (percent != NULL) {
            f.at++;
            TS_TRY(convert(&f));
        }
    }
    bool mapping = args.kind == J_DICT || args.kind == J_LIST || args.kind == J_RANGE ||
                   args.kind == J_UNDEFINED; // what has __getitem__ in Python
    size_t count = args.kind == J_TUPLE ? j_list(args)->count : 1;
    if (f.next < count && !mapping) {
        return ts_jinja_raise(r, "not all arguments converted during string formatting");
    }
    TS_TRY(ts_jinja_built(r, &f.built, out));
out:
    return status;
}

// ---- str.format

// The value of "{}", "{0}" or "{name}".
static ts_status field(jrun *r, const jargs *a, const char *name, size_t len, size_t *next,
                       jvalue *out)
{
    size_t index = 0;
    bool digits = true;
    for (size_t i = 0; i < len; i++) {
        digits = digits && name[i] >= '0' && name[i] <= '9' && index < 1000000;
        index = index * 10 + (digits ? (size_t)(name[i] - '0') : 0);
        if (strchr(".[:!", name[i]) != NULL) {
            return ts_jinja_lacks(r, "the replacement field '{%.*s}' is not implemented",
                                  (int)ts_min_u64(len, 60), name);
        }
    }
    if (digits) {
        index = len == 0 ? (*next)++ : index;
        if (index + 1 >= a->count) {
            return ts_jinja_raise(r, "Replacement index %zu out of range for positional args tuple",
                                  index);
        }
        *out = a->values[index + 1];
        return TS_OK;
    }
    for (size_t i = 0; i < a->named_count; i++) {
        if (j_equals(j_text(a->named[i].key), name, len)) {
            *out = a->named[i].value;
            return TS_OK;
        }
    }
    return ts_jinja_raise(r, "'%.*s'", (int)ts_min_u64(len, 100), name);
}

ts_status ts_jinja_str_format(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    formatter f = {.r = r, .text = j_text(a->values[0])};
    const jstring *s = f.text;
    while (f.at < s->len) {
        size_t from = f.at;
        while (f.at < s->len && s->bytes[f.at] != '{' && s->bytes[f.at] != '}') {
            f.at++;
        }
        TS_TRY(literal(&f, from, f.at));
        if (f.at == s->len) {
            break;
        }
        char brace = s->bytes[f.at++];
        if (f.at < s->len && s->bytes[f.at] == brace) { // doubled: the brace itself
            TS_TRY(literal(&f, f.at, f.at + 1));
            f.at++;
            continue;
        }
        const char *end = memchr(s->bytes + f.at, '}', s->len - f.at);
        if (brace == '}' || end == NULL) {
            return ts_jinja_raise(r, "Single '%c' encountered in format string", brace);
        }
        size_t to = (size_t)(end - s->bytes);
        jvalue value;
        TS_TRY(field(r, a, s->bytes + f.at, to - f.at, &f.next, &value));
        TS_TRY(ts_jinja_append_print(r, &f.built, value));
        f.at = to + 1;
    }
    TS_TRY(ts_jinja_built(r, &f.built, out));
out:
    return status;
}
