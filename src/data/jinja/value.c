// Values: creating them, their basic properties in Python, and the limits of a run.
#include "data/jinja/parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// ---- Errors and limits

static ts_status fail(jrun *r, ts_status code, const char *format, va_list args)
{
    char message[800];
    vsnprintf(message, sizeof message, format, args);
    return ts_error_set(r->err, code, "%s:%u: %s", r->jinja->name, r->line, message);
}

ts_status ts_jinja_raise(jrun *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ts_status status = fail(r, TS_ERR_FORMAT, format, args);
    va_end(args);
    return status;
}

ts_status ts_jinja_lacks(jrun *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ts_status status = fail(r, TS_ERR_UNSUPPORTED, format, args);
    va_end(args);
    return status;
}

ts_status ts_jinja_step(jrun *r, uint64_t steps)
{
    r->steps += steps;
    return r->steps <= r->step_limit
               ? TS_OK
               : ts_jinja_raise(r, "the template does not end after %llu steps",
                                (unsigned long long)r->step_limit);
}

ts_status ts_jinja_enter(jrun *r)
{
    return ++r->depth <= J_MAX_DEPTH
               ? TS_OK
               : ts_jinja_raise(r, "maximum recursion depth exceeded (%d levels)", J_MAX_DEPTH);
}

ts_status ts_jinja_alloc(jrun *r, size_t count, size_t size, void *out)
{
    if (count > r->byte_limit / size || (r->bytes += count * size) > r->byte_limit) {
        return ts_jinja_raise(r, "the template needs more than %llu MiB",
                              (unsigned long long)r->byte_limit >> 20);
    }
    ts_status status = ts_jinja_step(r, count * size >> 8);
    return status == TS_OK ? ts_arena_alloc(&r->arena, count, size, out, r->err) : status;
}

// ---- Kinds

const char *ts_jinja_type(jvalue value)
{
    static const char *const names[J_KINDS] = {
        [J_MISSING] = "Undefined",
        [J_UNDEFINED] = "Undefined",
        [J_NONE] = "NoneType",
        [J_BOOL] = "bool",
        [J_INT] = "int",
        [J_FLOAT] = "float",
        [J_STRING] = "str",
        [J_LIST] = "list",
        [J_TUPLE] = "tuple",
        [J_DICT] = "dict",
        [J_NAMESPACE] = "Namespace",
        [J_RANGE] = "range",
        [J_FUNCTION] = "function",
        [J_METHOD] = "builtin_function_or_method",
        [J_MACRO] = "Macro",
        [J_LOOP] = "LoopContext",
        [J_JOINER] = "Joiner",
        [J_CYCLER] = "Cycler",
    };
    return value.kind == J_VIEW || value.kind == J_ITERATOR ? j_list(value)->type
                                                            : names[value.kind];
}

jvalue ts_jinja_undefined(jkind owner, const jstring *name)
{
    return (jvalue){.kind = J_UNDEFINED, .owner = (uint8_t)owner, .pointer = name};
}

ts_status ts_jinja_hint(jrun *r, jvalue *out, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ts_status status = ts_jinja_new_string(
        r, text, ts_utf8_valid_prefix(text, ts_min_u64((uint64_t)len, 199)), 0, out);
    // For a hint, the pointer is the whole message.
    *out = ts_jinja_undefined(J_KINDS, out->pointer);
    return status;
}

ts_status ts_jinja_undefined_error(jrun *r, jvalue value)
{
    static const char *const owners[J_KINDS] = {
        [J_NAMESPACE] = "jinja2.utils.Namespace object",
        [J_LOOP] = "jinja2.runtime.LoopContext object",
        [J_MACRO] = "jinja2.runtime.Macro object",
        [J_NONE] = "None",
    };
    const jstring *name = value.pointer;
    if (name == NULL) {
        return ts_jinja_raise(r, "a value is undefined");
    }
    int len = (int)ts_min_u64(name->len, 100);
    if (value.owner == J_KINDS) {
        return ts_jinja_raise(r, "%.*s", (int)ts_min_u64(name->len, 400), name->bytes);
    }
    if (value.owner == J_MISSING) {
        return ts_jinja_raise(r, "'%.*s' is undefined", len, name->bytes);
    }
    if (owners[value.owner] != NULL) {
        return ts_jinja_raise(r, "'%s' has no attribute '%.*s'", owners[value.owner], len,
                              name->bytes);
    }
    return ts_jinja_raise(r, "'%s object' has no attribute '%.*s'",
                          value.owner == J_VIEW || value.owner == J_ITERATOR
                              ? "generator"
                              : ts_jinja_type((jvalue){.kind = value.owner}),
                          len, name->bytes);
}

bool ts_jinja_truth(jvalue value)
{
    switch (value.kind) {
    case J_MISSING:
    case J_UNDEFINED:
    case J_NONE:
        return false;
    case J_BOOL:
        return value.flag;
    case J_INT:
        return value.integer != 0;
    case J_FLOAT:
        return value.number != 0;
    case J_STRING:
        return j_text(value)->len > 0;
    case J_LIST:
    case J_TUPLE:
    case J_VIEW:
        return j_list(value)->count > 0;
    case J_DICT:
        return j_dict(value)->count > 0;
    case J_RANGE:
        return ((const jrange *)value.pointer)->count > 0;
    default:
        return true;
    }
}

// ---- Making lists and dicts

ts_status ts_jinja_new_list(jrun *r, jkind kind, size_t count, jlist **list, jvalue *out)
{
    ts_status status = TS_OK;
    TS_TRY(ts_jinja_alloc(r, 1, sizeof **list, list));
    TS_TRY(ts_jinja_alloc(r, count, sizeof *(*list)->items, &(*list)->items));
    (*list)->count = count;
    *out = j_pointer(kind, *list);
out:
    return status;
}

ts_status ts_jinja_new_iterator(jrun *r, const char *type, const jlist *items, jvalue *out)
{
    jlist *list = NULL;
    ts_status status = ts_jinja_alloc(r, 1, sizeof *list, &list);
    if (status == TS_OK) {
        *list = (jlist){.items = items->items, .count = items->count, .type = type};
        *out = j_pointer(J_ITERATOR, list);
    }
    return status;
}

ts_status ts_jinja_new_dict(jrun *r, size_t capacity, jdict **dict, jvalue *out)
{
    ts_status status = TS_OK;
    TS_TRY(ts_jinja_alloc(r, 1, sizeof **dict, dict));
    TS_TRY(ts_jinja_alloc(r, capacity, sizeof *(*dict)->pairs, &(*dict)->pairs));
    (*dict)->capacity = capacity;
    *out = j_pointer(J_DICT, *dict);
out:
    return status;
}

const jvalue *ts_jinja_dict_text(const jdict *dict, const char *key, size_t len)
{
    for (size_t i = 0; i < dict->count; i++) {
        const jpair *pair = &dict->pairs[i];
        if (pair->key.kind == J_STRING && j_equals(j_text(pair->key), key, len)) {
            return &pair->value;
        }
    }
    return NULL;
}

static ts_status check_key(jrun *r, jvalue key)
{
    if (key.kind == J_LIST || key.kind == J_DICT) {
        return ts_jinja_raise(r, "unhashable type: '%s'", ts_jinja_type(key));
    }
    return TS_OK;
}

ts_status ts_jinja_dict_find(jrun *r, const jdict *dict, jvalue key, const jvalue **out)
{
    ts_status status = TS_OK;
    *out = NULL;
    TS_TRY(check_key(r, key));
    TS_TRY(ts_jinja_step(r, dict->count >> 4));
    if (key.kind == J_STRING) {
        *out = ts_jinja_dict_text(dict, j_text(key)->bytes, j_text(key)->len);
        goto out;
    }
    for (size_t i = 0; i < dict->count; i++) {
        bool equal = false;
        TS_TRY(ts_jinja_equal(r, dict->pairs[i].key, key, &equal));
        if (equal) {
            *out = &dict->pairs[i].value;
            break;
        }
    }
out:
    return status;
}

ts_status ts_jinja_dict_set(jrun *r, jdict *dict, jvalue key, jvalue value)
{
    ts_status status = TS_OK;
    const jvalue *found = NULL;
    jpair *grown = NULL;
    TS_TRY(ts_jinja_dict_find(r, dict, key, &found));
    if (found != NULL) {
        *(jvalue *)found = value;
        goto out;
    }
    if (dict->count == dict->capacity) {
        size_t capacity = dict->capacity < 4 ? 8 : dict->capacity * 2;
        TS_TRY(ts_jinja_alloc(r, capacity, sizeof *grown, &grown));
        if (dict->count > 0) {
            memcpy(grown, dict->pairs, dict->count * sizeof *grown);
        }
        dict->pairs = grown;
        dict->capacity = capacity;
    }
    dict->pairs[dict->count++] = (jpair){key, value};
out:
    return status;
}

// ---- Sequences

ts_status ts_jinja_length(jrun *r, jvalue value, int64_t *out)
{
    switch (value.kind) {
    case J_STRING:
        *out = (int64_t)j_text(value)->characters;
        return TS_OK;
    case J_LIST:
    case J_TUPLE:
    case J_VIEW:
        *out = (int64_t)j_list(value)->count;
        return TS_OK;
    case J_DICT:
        *out = (int64_t)j_dict(value)->count;
        return TS_OK;
    case J_RANGE:
        *out = (int64_t)((const jrange *)value.pointer)->count;
        return TS_OK;
    case J_MISSING:
    case J_UNDEFINED:
        *out = 0;
        return TS_OK;
    default:
        return ts_jinja_raise(r, "object of type '%s' has no len()", ts_jinja_type(value));
    }
}

static ts_status characters(jrun *r, const jstring *s, jlist *out)
{
    ts_status status = TS_OK;
    TS_TRY(ts_jinja_alloc(r, s->characters, sizeof *out->items, &out->items));
    for (size_t at = 0, taken; at < s->len; at += taken) {
        ts_utf8_decode(s->bytes + at, s->len - at, &taken);
        TS_TRY(ts_jinja_part(r, s, at, at + taken, &out->items[out->count++]));
    }
out:
    return status;
}

static ts_status numbers(jrun *r, const jrange *range, jlist *out)
{
    ts_status status = ts_jinja_alloc(r, range->count, sizeof *out->items, &out->items);
    for (size_t i = 0; status == TS_OK && i < range->count; i++) {
        out->items[out->count++] = j_int(range->start + (int64_t)i * range->step);
    }
    return status;
}

ts_status ts_jinja_iterate(jrun *r, jvalue value, jlist *out)
{
    ts_status status = TS_OK;
    *out = (jlist){0};
    if (j_is_list(value)) {
        *out = *j_list(value);
    } else if (value.kind == J_STRING) {
        status = characters(r, j_text(value), out);
    } else if (value.kind == J_RANGE) {
        status = numbers(r, value.pointer, out);
    } else if (value.kind == J_DICT) {
        const jdict *dict = j_dict(value);
        TS_TRY(ts_jinja_alloc(r, dict->count, sizeof *out->items, &out->items));
        for (; out->count < dict->count; out->count++) {
            out->items[out->count] = dict->pairs[out->count].key;
        }
    } else if (value.kind == J_ITERATOR) {
        jlist *list = j_list(value);
        out->items = list->count > 0 ? list->items + list->next : NULL;
        out->count = list->count - list->next;
        list->next = list->count;
    } else if (value.kind != J_UNDEFINED && value.kind != J_MISSING) {
        status = ts_jinja_raise(r, "'%s' object is not iterable", ts_jinja_type(value));
    }
out:
    return status;
}

// ---- A template's variables

void ts_jinja_data_free(ts_jinja_data *data)
{
    ts_arena_free(&data->arena);
    *data = (ts_jinja_data){0};
}

jvalue ts_jinja_none(void)
{
    return j_none();
}

jvalue ts_jinja_bool(bool flag)
{
    return j_bool(flag);
}

ts_status ts_jinja_text(ts_jinja_data *data, const char *text, size_t len, uint16_t source,
                        jvalue *out, ts_error *err)
{
    jstring *string = NULL;
    ts_status status = ts_arena_alloc(&data->arena, 1, sizeof *string, &string, err);
    if (status == TS_OK) {
        *string = (jstring){.bytes = text,
                            .len = len,
                            .characters = ts_jinja_characters(text, len),
                            .source = source};
        *out = j_string(string);
        data->bytes += len;
    }
    return status;
}

ts_status ts_jinja_list(ts_jinja_data *data, size_t capacity, jvalue *out, ts_error *err)
{
    ts_status status = TS_OK;
    jlist *list = NULL;
    TS_TRY(ts_arena_alloc(&data->arena, 1, sizeof *list, &list, err));
    TS_TRY(ts_arena_alloc(&data->arena, capacity, sizeof *list->items, &list->items, err));
    *out = j_pointer(J_LIST, list);
    data->bytes += capacity * sizeof *list->items;
out:
    return status;
}

void ts_jinja_list_push(jvalue list, jvalue item)
{
    j_list(list)->items[j_list(list)->count++] = item;
}

ts_status ts_jinja_list_prefix(ts_jinja_data *data, jvalue list, size_t count, jvalue *out,
                               ts_error *err)
{
    jlist *prefix = NULL;
    ts_status status = ts_arena_alloc(&data->arena, 1, sizeof *prefix, &prefix, err);
    if (status == TS_OK) {
        *prefix = (jlist){.items = j_list(list)->items, .count = count};
        *out = j_pointer(J_LIST, prefix);
    }
    return status;
}

ts_status ts_jinja_dict(ts_jinja_data *data, size_t capacity, jvalue *out, ts_error *err)
{
    ts_status status = TS_OK;
    jdict *dict = NULL;
    TS_TRY(ts_arena_alloc(&data->arena, 1, sizeof *dict, &dict, err));
    TS_TRY(ts_arena_alloc(&data->arena, capacity, sizeof *dict->pairs, &dict->pairs, err));
    dict->capacity = capacity;
    *out = j_pointer(J_DICT, dict);
    data->bytes += capacity * sizeof *dict->pairs;
out:
    return status;
}

ts_status ts_jinja_dict_put(ts_jinja_data *data, jvalue dict, const char *key, jvalue value,
                            ts_error *err)
{
    jvalue name;
    ts_status status = ts_jinja_text(data, key, strlen(key), 0, &name, err);
    if (status == TS_OK) {
        j_dict(dict)->pairs[j_dict(dict)->count++] = (jpair){name, value};
    }
    return status;
}

ts_status ts_jinja_set(ts_jinja_data *data, const char *name, jvalue value, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < data->count; i++) {
        if (strcmp(data->variables[i].name, name) == 0) {
            data->variables[i].value = value;
            return TS_OK;
        }
    }
    if (data->count == data->capacity) {
        struct ts_jinja_entry *grown = NULL;
        TS_TRY(ts_arena_alloc(&data->arena, data->capacity * 2 + 16, sizeof *grown, &grown, err));
        if (data->count > 0) {
            memcpy(grown, data->variables, data->count * sizeof *grown);
        }
        data->variables = grown;
        data->capacity = data->capacity * 2 + 16;
    }
    data->variables[data->count++] = (struct ts_jinja_entry){name, value};
out:
    return status;
}

// Numbers. JSON's 1.0 is a float in Python and 1 is an int, but cJSON does not distinguish them.
// Here whole numbers become ints.
ts_status ts_jinja_json(ts_jinja_data *data, const cJSON *json, uint16_t source, jvalue *out,
                        ts_error *err)
{
    ts_status status = TS_OK;
    size_t count = 0, len = 0;
    for (const cJSON *child = json->child; child != NULL; child = child->next) {
        count++;
    }
    if (cJSON_IsString(json)) {
        const char *text = ts_json_string(json, &len);
        status = ts_jinja_text(data, text, len, source, out, err);
    } else if (cJSON_IsNumber(json)) {
        double number = json->valuedouble;
        *out = number > -0x1p53 && number < 0x1p53 && number == (double)(int64_t)number
                   ? j_int((int64_t)number)
                   : j_float(number);
    } else if (cJSON_IsArray(json)) {
        TS_TRY(ts_jinja_list(data, count, out, err));
        for (const cJSON *child = json->child; child != NULL; child = child->next) {
            jvalue item;
            TS_TRY(ts_jinja_json(data, child, source, &item, err));
            ts_jinja_list_push(*out, item);
        }
    } else if (cJSON_IsObject(json)) {
        TS_TRY(ts_jinja_dict(data, count, out, err));
        for (const cJSON *child = json->child; child != NULL; child = child->next) {
            jvalue item;
            TS_TRY(ts_jinja_json(data, child, source, &item, err));
            TS_TRY(ts_jinja_dict_put(data, *out, child->string, item, err));
        }
    } else {
        *out = cJSON_IsBool(json) ? j_bool(cJSON_IsTrue(json)) : j_none();
    }
out:
    return status;
}
