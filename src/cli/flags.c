#include "base/nearest.h"
#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ts_flags_ask_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

// Equal but for '_' standing for '-'.
static bool same_name(const char *flag, const char *text, size_t len)
{
    if (flag == NULL || strlen(flag) != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (flag[i] != (text[i] == '_' ? '-' : text[i])) {
            return false;
        }
    }
    return true;
}

static const ts_flag *find_flag(const ts_flag *flags, int count, const char *text, size_t len)
{
    for (int i = 0; i < count; i++) {
        if (same_name(flags[i].name, text, len) || same_name(flags[i].alias, text, len)) {
            return &flags[i];
        }
    }
    return NULL;
}

static ts_status unknown_flag(const ts_flag *flags, int count, const char *argument, ts_error *err)
{
    ts_nearest search = ts_nearest_begin(argument + 2, strcspn(argument + 2, "="));
    for (int i = 0; i < count; i++) {
        ts_nearest_offer(&search, flags[i].name);
        ts_nearest_offer(&search, flags[i].alias);
    }
    if (search.name != NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "unknown flag %s; did you mean --%s?", argument,
                            search.name);
    }
    return ts_error_set(err, TS_ERR_ARGUMENT, "unknown flag %s; --help lists the flags", argument);
}

static ts_status set_number(const ts_flag *flag, const char *text, ts_error *err)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    bool whole = flag->kind == TS_FLAG_REAL || (value == floor(value) && fabs(value) < 0x1p53);
    if (end == text || *end != '\0' || errno == ERANGE || !whole || !(value >= flag->min) ||
        !(value <= flag->max)) {
        return ts_error_set(
            err, TS_ERR_ARGUMENT, "--%s %s: expected a %s from %g to %g", flag->name, text,
            flag->kind == TS_FLAG_REAL ? "number" : "whole number", flag->min, flag->max);
    }
    if (flag->kind == TS_FLAG_REAL) {
        *(double *)flag->value = value;
    } else {
        *(uint64_t *)flag->value = (uint64_t)value;
    }
    return TS_OK;
}

static ts_status set_value(const ts_flag *flag, const char *text, ts_error *err)
{
    if (flag->kind == TS_FLAG_TEXT || flag->kind == TS_FLAG_OPTION) {
        if (text[0] == '\0') {
            return ts_error_set(err, TS_ERR_ARGUMENT, "--%s: the value is empty", flag->name);
        }
        *(const char **)flag->value = text;
        return TS_OK;
    }
    if (flag->kind == TS_FLAG_PARSED) {
        ts_status status = flag->parse(text, flag->value, err);
        return status == TS_OK ? TS_OK : ts_error_context(err, "--%s", flag->name);
    }
    return set_number(flag, text, err);
}

// Takes the flag at argv[*at] and its value, moving *at past both.
static ts_status take_flag(const ts_flag *flags, int count, int argc, char **argv, int *at,
                           bool *seen, ts_error *err)
{
    char *argument = argv[(*at)++], *equals = strchr(argument, '=');
    size_t len = equals != NULL ? (size_t)(equals - argument - 2) : strlen(argument + 2);
    const ts_flag *flag = find_flag(flags, count, argument + 2, len);
    if (flag == NULL) {
        return unknown_flag(flags, count, argument, err);
    }
    if (seen[flag - flags] && flag->kind != TS_FLAG_PARSED) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "--%s is given twice", flag->name);
    }
    seen[flag - flags] = true;
    if (flag->kind == TS_FLAG_SWITCH) {
        if (equals != NULL) {
            return ts_error_set(err, TS_ERR_ARGUMENT, "--%s takes no value", flag->name);
        }
        *(bool *)flag->value = true;
        return TS_OK;
    }
    if (equals != NULL) {
        return set_value(flag, equals + 1, err);
    }
    bool has_value = *at < argc && strncmp(argv[*at], "--", 2) != 0;
    if (!has_value && flag->kind == TS_FLAG_OPTION) {
        *(const char **)flag->value = flag->otherwise;
        return TS_OK;
    }
    if (!has_value) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "--%s needs a value: --%s %s", flag->name,
                            flag->name, flag->placeholder);
    }
    return set_value(flag, argv[(*at)++], err);
}

ts_status ts_flags_parse(const ts_command *command, int argc, char **argv, ts_error *err)
{
    enum { MOST = 64 };
    bool seen[MOST] = {false};
    const ts_flag *flags = command->flags;
    int count = command->flag_count, arguments = 0;
    for (int at = 0; at < argc;) {
        if (strncmp(argv[at], "--", 2) == 0) {
            ts_status status = take_flag(flags, count, argc, argv, &at, seen, err);
            if (status != TS_OK) {
                return status;
            }
        } else if (arguments < command->most_arguments) {
            command->arguments[arguments++] = argv[at++];
        } else {
            return ts_error_set(err, TS_ERR_ARGUMENT, "unexpected argument '%s'", argv[at]);
        }
    }
    for (int i = 0; i < count; i++) {
        if (flags[i].required && !seen[i]) {
            return ts_error_set(err, TS_ERR_ARGUMENT, "--%s %s is missing: %s", flags[i].name,
                                flags[i].placeholder, flags[i].help);
        }
    }
    return TS_OK;
}

void ts_flags_print_help(const ts_command *command)
{
    enum { COLUMN = 34 };
    printf("tinysft-vk %s %s\n\n%s\n\n", command->name, command->usage, command->summary);
    for (int i = 0; i < command->flag_count; i++) {
        const ts_flag *flag = &command->flags[i];
        char left[128];
        snprintf(left, sizeof left, "  --%s%s%s", flag->name, flag->placeholder ? " " : "",
                 flag->placeholder ? flag->placeholder : "");
        printf("%-*s", COLUMN, left);
        if (strlen(left) >= COLUMN) {
            printf("\n%*s", COLUMN, "");
        }
        for (const char *c = flag->help; *c != '\0'; c++) {
            if (*c == '\n') {
                printf("\n%*s", COLUMN, "");
            } else {
                putchar(*c);
            }
        }
        if (flag->alias != NULL) {
            printf(" (also --%s)", flag->alias);
        }
        putchar('\n');
    }
    if (command->notes != NULL) {
        printf("\n%s\n", command->notes);
    }
}
