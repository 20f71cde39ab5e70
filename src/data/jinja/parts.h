// Internal interfaces of the interpreter. A template passes through lexer.c, parser.c, statement.c
// and expression.c; then run.c executes its statements and evaluate.c its expressions. Filters,
// tests, methods and functions are rows of tables.
#ifndef TS_DATA_JINJA_PARTS_H
#define TS_DATA_JINJA_PARTS_H

#include "base/text.h"
#include "data/jinja/jinja.h"

typedef ts_jinja_value jvalue;

typedef enum jkind {
    J_MISSING, // an argument that was not given, or a variable that does not exist
    J_UNDEFINED,
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STRING,
    J_LIST,
    J_TUPLE,
    J_DICT,
    J_NAMESPACE,
    J_RANGE,
    J_VIEW,     // dict.items(), .keys(), .values(): a jlist
    J_ITERATOR, // the result of map, select and similar filters: a jlist that can be read once
    J_FUNCTION, // a jrow
    J_METHOD,   // a jmethod
    J_MACRO,
    J_LOOP,
    J_JOINER,
    J_CYCLER,
    J_KINDS
} jkind;

typedef struct jstring {
    const char *bytes; // valid UTF-8, not NUL-terminated
    size_t len, characters;
    const uint16_t *sources; // the source of each byte; NULL: all have `source`
    uint16_t source;
    bool markup; // result of the filter `safe`: what is appended is escaped
} jstring;

typedef struct jlist {
    jvalue *items;
    size_t count;
    size_t next;      // J_ITERATOR: how many items have been read
    const char *type; // J_VIEW, J_ITERATOR: the name of the type in Python
} jlist;

typedef struct jpair {
    jvalue key, value;
} jpair;

typedef struct jdict { // in the order of insertion, as in Python
    jpair *pairs;
    size_t count, capacity;
} jdict;

struct ts_jinja_entry {
    const char *name;
    jvalue value;
};

typedef struct jrange {
    int64_t start, stop, step;
    size_t count;
} jrange;

typedef struct jrun jrun;
typedef struct jnode jnode;

// The arguments of a call. For a jrow with parameters there is one value for each parameter,
// J_MISSING if it was not given.
typedef struct jargs {
    jvalue *values;
    size_t count;
    jpair *named; // keyword arguments; the keys are strings
    size_t named_count;
} jargs;

typedef ts_status jfunction(jrun *r, const jargs *args, jvalue *out);

enum { J_PARAMETERS = 6 };

// A filter, test, method or function. `run` is NULL for one that Jinja or Python has and this
// interpreter does not implement. `required` is how many parameters must be given. `parameters` are
// their names; without names it takes any arguments. The first parameter of a filter, test or
// method is the value it is applied to.
typedef struct jrow {
    const char *name;
    jfunction *run;
    size_t required;
    const char *parameters[J_PARAMETERS];
} jrow;

typedef struct jmethod {
    jvalue self;
    const jrow *row;
} jmethod;

typedef struct jslot {
    uint32_t symbol;
    jvalue value;
} jslot;

typedef struct jscope {
    struct jscope *parent; // NULL: the template's own level, whose variables are in run->globals
    jslot *slots;
    size_t count, capacity;
} jscope;

typedef struct jmacro {
    const jnode *node;
    jscope *scope; // where it was defined
} jmacro;

typedef struct jloop {
    jlist items;
    size_t taken;   // items read, including those that the loop's `if` skipped
    int64_t index0; // -1 before the first round
    bool peeked;    // `next` holds the item after the current one (J_MISSING: there is none)
    jvalue current, before, next;
    int64_t length; // -1: not computed yet
    const jnode *node;
    jscope *scope; // in which the loop's `if` is evaluated
    jvalue changed;
} jloop;

typedef struct jcycler {
    jlist items;
    size_t at;
} jcycler;

typedef enum jnode_kind {
    // Expressions
    N_CONST,
    N_NAME,
    N_LIST,
    N_TUPLE,
    N_DICT, // children: key, value, key, value ...
    N_NEG,
    N_POS,
    N_NOT,
    N_AND,
    N_OR,
    N_BINARY,  // a op b
    N_CONCAT,  // children, joined by ~
    N_COMPARE, // a, then children each with its op
    N_IF_ELSE, // b if a else c
    N_ATTRIBUTE,
    N_ITEM,
    N_SLICE, // a[b:c:d]
    N_CALL,
    N_FILTER, // a: the subject, NULL in a filter block
    N_TEST,
    // Statements
    N_TEXT,
    N_PRINT,
    N_IF,
    N_FOR,
    N_SET,
    N_SET_BLOCK,
    N_MACRO,
    N_CALL_BLOCK,
    N_FILTER_BLOCK,
    N_WITH,
    N_GENERATION,
    N_BREAK,
    N_CONTINUE,
} jnode_kind;

typedef enum jargument {
    A_PLAIN,
    A_KEYWORD,
    A_LIST, // *args
    A_DICT, // **kwargs
} jargument;

// The meaning of the fields depends on the kind; statement.c and expression.c say it where they
// create a node.
struct jnode {
    uint8_t kind, op, argument;
    bool negated; // is not
    uint32_t line, symbol;
    jvalue value; // a constant's value; the text of N_TEXT; the name of an attribute
    const jrow *row;
    jnode *a, *b, *c, *d;
    jnode *children, *body, *otherwise;
    jnode *next; // sibling
};

// Operators. An operator of one character has the code of that character.
enum {
    OP_POWER = 128,
    OP_FLOOR,
    OP_EQ,
    OP_NE,
    OP_GE,
    OP_LE,
    OP_IN,
    OP_NOT_IN,
};

typedef enum jtoken_kind {
    T_END,
    T_DATA,
    T_PRINT_BEGIN,
    T_PRINT_END,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    T_OPERATOR,
} jtoken_kind;

typedef struct jtoken {
    uint8_t kind, op;
    uint32_t line, column;
    const char *text; // data, name, unescaped string
    size_t len;
    int64_t integer;
    double number;
} jtoken;

// Symbols that exist in every template, by number.
enum { S_LOOP, S_CALLER, S_VARARGS, S_KWARGS, S_FIXED };

struct ts_jinja {
    ts_arena arena;
    char *name;
    char *source;
    jtoken *tokens;
    size_t token_count, token_capacity;
    jstring **symbols;
    size_t symbol_count, symbol_capacity;
    jnode *body;
    bool generation;
};

// A string that is being built.
typedef struct jbuilder {
    char *bytes;
    uint16_t *sources; // NULL while all bytes have the same `source`
    uint16_t source;
    size_t len, capacity;
} jbuilder;

typedef enum jflow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } jflow;

struct jrun {
    const ts_jinja *jinja;
    ts_arena arena;
    jvalue *globals; // by symbol
    jscope *scope;
    jbuilder *output;
    jflow flow;
    uint64_t steps, step_limit, bytes, byte_limit;
    int depth;
    uint32_t line;       // of the node that is being executed
    uint16_t generation; // TS_JINJA_GENERATION inside such a block
    struct tm now;
    ts_error *err;
};

// Limits. J_MAX_DEPTH bounds run->depth; a level takes less than 1 KiB of the C stack.
enum { J_MAX_DEPTH = 1000, J_MAX_NESTING = 300, J_MAX_RANGE = 100000 };

// ---- lexer.c, parser.c, statement.c, expression.c

typedef struct jparser {
    ts_jinja *jinja;
    size_t at;
    int depth;
    uint8_t rest; // whether the macro being parsed reads varargs (bit 0), kwargs (bit 1)
    ts_error *err;
} jparser;

ts_status ts_jinja_lex(ts_jinja *jinja, const char *text, size_t len, ts_error *err);
// The error of a token, "NAME:LINE:COLUMN: ...": TS_ERR_FORMAT, and TS_ERR_UNSUPPORTED for
// ts_jinja_unknown.
ts_status ts_jinja_refuse(jparser *p, const jtoken *token, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
ts_status ts_jinja_unknown(jparser *p, const jtoken *token, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const jtoken *ts_jinja_token(const jparser *p);
bool ts_jinja_at_op(const jparser *p, int op);
bool ts_jinja_at_name(const jparser *p, const char *name);
bool ts_jinja_take_op(jparser *p, int op);
bool ts_jinja_take_name(jparser *p, const char *name);
ts_status ts_jinja_expect_op(jparser *p, int op);
ts_status ts_jinja_expect_name(jparser *p, const char *name);
ts_status ts_jinja_expected(jparser *p, const char *what);
ts_status ts_jinja_symbol(jparser *p, const char *text, size_t len, uint32_t *out);
ts_status ts_jinja_node(jparser *p, jnode_kind kind, jnode **out);
// Parses text and statements up to a tag whose name is in `ends` (NULL: up to the template's end).
// The name is not consumed.
ts_status ts_jinja_parse_body(jparser *p, const char *const *ends, jnode **out);
// Parses a statement, from the tag's name to the end of its last block. It may give several nodes.
ts_status ts_jinja_parse_statement(jparser *p, jnode **out);
ts_status ts_jinja_parse_expression(jparser *p, jnode **out);
// "a, b" gives a tuple, "a" just a. With `condition`, "x if y" is read as one expression.
ts_status ts_jinja_parse_tuple(jparser *p, bool condition, jnode **out);
// Any number of "| name(arguments)". With `first_bare`, the first has no '|' before it.
ts_status ts_jinja_parse_filters(jparser *p, jnode *subject, bool first_bare, jnode **out);
ts_status ts_jinja_parse_arguments(jparser *p, jnode **out);

// ---- run.c, evaluate.c, call.c

ts_status ts_jinja_execute(jrun *r, const jnode *body);
ts_status ts_jinja_evaluate(jrun *r, const jnode *node, jvalue *out);
ts_status ts_jinja_lookup(jrun *r, uint32_t symbol, jvalue *out);
ts_status ts_jinja_assign(jrun *r, uint32_t symbol, jvalue value);
ts_status ts_jinja_push_scope(jrun *r, jscope *parent, jscope *scope);
// Assigns `value` to a name, or unpacks it to a tuple of names.
ts_status ts_jinja_bind(jrun *r, const jnode *target, jvalue value);
ts_status ts_jinja_attribute(jrun *r, jvalue object, const jstring *name, jvalue *out);
ts_status ts_jinja_item(jrun *r, jvalue object, jvalue key, jvalue *out);
ts_status ts_jinja_evaluate_arguments(jrun *r, const jnode *nodes, const jvalue *subject,
                                      jargs *out);
ts_status ts_jinja_call(jrun *r, jvalue callee, jargs *args, jvalue *out);
ts_status ts_jinja_call_row(jrun *r, const jrow *row, const char *what, jargs *args, jvalue *out);
ts_status ts_jinja_call_macro(jrun *r, const jmacro *macro, jargs *args, jvalue *out);
ts_status ts_jinja_loop_attribute(jrun *r, jloop *loop, const jstring *name, jvalue *out);
ts_status ts_jinja_loop_next(jrun *r, jloop *loop, jvalue *out);

// ---- Errors and limits (value.c)

ts_status ts_jinja_raise(jrun *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
ts_status ts_jinja_lacks(jrun *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
ts_status ts_jinja_step(jrun *r, uint64_t steps);
ts_status ts_jinja_enter(jrun *r); // one level deeper; r->depth-- leaves it
ts_status ts_jinja_alloc(jrun *r, size_t count, size_t size, void *out);
// The error for using an undefined value.
ts_status ts_jinja_undefined_error(jrun *r, jvalue value);

// ---- Values (value.c, compare.c)

static inline jvalue j_int(int64_t integer)
{
    return (jvalue){.kind = J_INT, .integer = integer};
}
static inline jvalue j_float(double number)
{
    return (jvalue){.kind = J_FLOAT, .number = number};
}
static inline jvalue j_bool(bool flag)
{
    return (jvalue){.kind = J_BOOL, .flag = flag};
}
static inline jvalue j_none(void)
{
    return (jvalue){.kind = J_NONE};
}
static inline jvalue j_pointer(jkind kind, const void *pointer)
{
    return (jvalue){.kind = (uint8_t)kind, .pointer = pointer};
}
static inline jvalue j_string(const jstring *string)
{
    return j_pointer(J_STRING, string);
}
static inline const jstring *j_text(jvalue value)
{
    return value.pointer;
}
static inline jlist *j_list(jvalue value)
{
    return (jlist *)value.pointer;
}
static inline jdict *j_dict(jvalue value)
{
    return (jdict *)value.pointer;
}
static inline bool j_is_list(jvalue value)
{
    return value.kind == J_LIST || value.kind == J_TUPLE || value.kind == J_VIEW;
}
static inline bool j_is_whole(jvalue value)
{
    return value.kind == J_INT || value.kind == J_BOOL;
}
static inline bool j_is_number(jvalue value)
{
    return j_is_whole(value) || value.kind == J_FLOAT;
}
static inline int64_t j_whole(jvalue value)
{
    return value.kind == J_BOOL ? value.flag : value.integer;
}
static inline double j_number(jvalue value)
{
    return value.kind == J_FLOAT ? value.number : (double)j_whole(value);
}
static inline bool j_given(jvalue value)
{
    return value.kind != J_MISSING && value.kind != J_NONE;
}

const char *ts_jinja_type(jvalue value); // Python's type(x).__name__
// An undefined value: of a variable called `name` (owner J_MISSING), or of an attribute of an
// object.
jvalue ts_jinja_undefined(jkind owner, const jstring *name);
ts_status ts_jinja_hint(jrun *r, jvalue *out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool ts_jinja_truth(jvalue value);
ts_status ts_jinja_length(jrun *r, jvalue value, int64_t *out);
// The items of any iterable value, as with Python's iter(). An iterator is read to its end.
ts_status ts_jinja_iterate(jrun *r, jvalue value, jlist *out);
ts_status ts_jinja_new_list(jrun *r, jkind kind, size_t count, jlist **list, jvalue *out);
ts_status ts_jinja_new_iterator(jrun *r, const char *type, const jlist *items, jvalue *out);
ts_status ts_jinja_new_dict(jrun *r, size_t capacity, jdict **dict, jvalue *out);
ts_status ts_jinja_dict_find(jrun *r, const jdict *dict, jvalue key, const jvalue **out);
ts_status ts_jinja_dict_set(jrun *r, jdict *dict, jvalue key, jvalue value);
const jvalue *ts_jinja_dict_text(const jdict *dict, const char *key, size_t len);

ts_status ts_jinja_equal(jrun *r, jvalue a, jvalue b, bool *out);
// a op b for < > <= >=. An error as in Python if the two types have no order.
ts_status ts_jinja_order(jrun *r, int op, jvalue a, jvalue b, bool *out);
ts_status ts_jinja_contains(jrun *r, jvalue container, jvalue item, bool *out);
ts_status ts_jinja_binary(jrun *r, int op, jvalue a, jvalue b, jvalue *out);
// Sorts `items` by `keys`, which are moved along, with a stable sort. Keys are compared as in
// Python.
ts_status ts_jinja_sort(jrun *r, jvalue *items, jvalue *keys, size_t count, bool reverse);

// ---- Strings (string.c, unicode.c, print.c)

ts_status ts_jinja_new_string(jrun *r, const char *bytes, size_t len, uint16_t source, jvalue *out);
static inline bool j_equals(const jstring *s, const char *text, size_t len)
{
    return s->len == len && __builtin_memcmp(s->bytes, text, len) == 0;
}
size_t ts_jinja_characters(const char *bytes, size_t len);
ts_status ts_jinja_append(jrun *r, jbuilder *b, const jstring *s);
ts_status ts_jinja_append_bytes(jrun *r, jbuilder *b, const char *bytes, size_t len,
                                uint16_t source);
ts_status ts_jinja_built(jrun *r, jbuilder *b, jvalue *out);
// Bytes [from, to) of a string. The new string shares its memory.
ts_status ts_jinja_part(jrun *r, const jstring *s, size_t from, size_t to, jvalue *out);
// The byte offset of a character; `index` is at most s->characters.
size_t ts_jinja_offset(const jstring *s, size_t index);
static inline uint16_t j_source(const jstring *s, size_t at)
{
    return s->sources != NULL ? s->sources[at] : s->source;
}
// The offset of the first `needle` in s[from..), or SIZE_MAX.
size_t ts_jinja_find(const jstring *s, const jstring *needle, size_t from);
// The offset of the last `needle` in s[0..to), or SIZE_MAX.
size_t ts_jinja_find_last(const jstring *s, const jstring *needle, size_t to);
ts_status ts_jinja_concat(jrun *r, const jstring *a, const jstring *b, jvalue *out);
ts_status ts_jinja_escape(jrun *r, const jstring *s, jvalue *out);
// sides: 1 left, 2 right, 3 both. `set` lists the characters to remove; NULL: white space.
ts_status ts_jinja_strip(jrun *r, const jstring *s, const jstring *set, int sides, jvalue *out);
ts_status ts_jinja_replace(jrun *r, const jstring *s, const jstring *old, const jstring *with,
                           int64_t limit, jvalue *out);
ts_status ts_jinja_join(jrun *r, const jstring *separator, const jlist *items, jvalue *out);
typedef enum jcase { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITAL, CASE_SWAP } jcase;
ts_status ts_jinja_recase(jrun *r, const jstring *s, jcase how, jvalue *out);
// str % args
ts_status ts_jinja_format(jrun *r, const jstring *format, jvalue args, jvalue *out);
// The argument of a method of str, which must be a str too.
ts_status ts_jinja_need_text(jrun *r, jvalue value, const char *method, const jstring **out);
// Methods of str that have a file of their own.
jfunction ts_jinja_str_format, ts_jinja_str_split, ts_jinja_str_rsplit, ts_jinja_str_splitlines,
    ts_jinja_str_partition, ts_jinja_str_rpartition;

bool ts_jinja_is_blank(int32_t cp);  // Python's str.isspace
bool ts_jinja_is_letter(int32_t cp); // str.isalpha
bool ts_jinja_is_digit(int32_t cp);  // str.isdigit
bool ts_jinja_is_upper(int32_t cp);
bool ts_jinja_is_lower(int32_t cp);
bool ts_jinja_is_printable(int32_t cp); // repr() does not escape it
uint32_t ts_jinja_to_upper(uint32_t cp);
uint32_t ts_jinja_to_lower(uint32_t cp);

// str(value), repr(value), json.dumps(value)
ts_status ts_jinja_print(jrun *r, jvalue value, jvalue *out);
ts_status ts_jinja_append_print(jrun *r, jbuilder *b, jvalue value);
ts_status ts_jinja_append_repr(jrun *r, jbuilder *b, jvalue value);
typedef struct jjson {
    const jstring *indent; // NULL: on one line
    const jstring *comma, *colon;
    bool ascii, sorted;
} jjson;
ts_status ts_jinja_append_json(jrun *r, jbuilder *b, jvalue value, const jjson *how, int level);
// A float as Python prints it, at most 32 bytes. Returns the length.
size_t ts_jinja_print_float(double number, char out[40]);

// ---- Tables

const jrow *ts_jinja_find_filter(const char *name, size_t len);
const jrow *ts_jinja_find_test(const char *name, size_t len);
const jrow *ts_jinja_find_method(jkind kind, const char *name, size_t len);
const jrow *ts_jinja_find_function(const char *name, size_t len);
const jrow *ts_jinja_find_row(const jrow *rows, size_t count, const char *name, size_t len);
extern const jrow ts_jinja_string_methods[], ts_jinja_sequence_filters[];
extern const size_t ts_jinja_string_method_count, ts_jinja_sequence_filter_count;

#endif
