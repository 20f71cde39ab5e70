#include "base/memory.h"
#include "base/nearest.h"
#include "cli/cli.h"

#include <assert.h>
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

// Whether the names are equal; '_' in `text` counts as '-'.
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

static bool has_own(const ts_command *command, const char *name)
{
    for (int i = 0; i < command->flag_count; i++) {
        if (strcmp(command->flags[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

const ts_flag *ts_flags_at(const ts_command *command, size_t index)
{
    const ts_command *from = command->inherits;
    if (index < (size_t)command->flag_count) {
        return &command->flags[index];
    }
    index -= (size_t)command->flag_count;
    for (int i = 0; from != NULL && i < from->flag_count; i++) {
        const ts_flag *flag = &from->flags[i];
        if (!flag->passing && !has_own(command, flag->name) && index-- == 0) {
            return flag;
        }
    }
    return NULL;
}

static size_t index_of(const ts_command *command, const ts_flag *flag)
{
    size_t index = 0;
    while (ts_flags_at(command, index) != flag) {
        index++;
    }
    return index;
}

const ts_flag *ts_flags_find(const ts_command *command, const char *name, size_t len)
{
    const ts_flag *flag;
    for (size_t i = 0; (flag = ts_flags_at(command, i)) != NULL; i++) {
        if (same_name(flag->name, name, len) || same_name(flag->alias, name, len)) {
            return flag;
        }
    }
    return NULL;
}

const char *ts_flags_nearest(const ts_command *command, const char *name, size_t len)
{
    ts_nearest search = ts_nearest_begin(name, len);
    const ts_flag *flag;
    for (size_t i = 0; (flag = ts_flags_at(command, i)) != NULL; i++) {
        ts_nearest_offer(&search, flag->name);
        ts_nearest_offer(&search, flag->alias);
    }
    return search.name;
}

static ts_status unknown_flag(const ts_command *command, const char *argument, ts_error *err)
{
    const char *nearest = ts_flags_nearest(command, argument + 2, strcspn(argument + 2, "="));
    return nearest != NULL ? ts_error_set(err, TS_ERR_ARGUMENT,
                                          "unknown flag %s; did you mean --%s?", argument, nearest)
                           : ts_error_set(err, TS_ERR_ARGUMENT,
                                          "unknown flag %s; --help lists the flags", argument);
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

// The values that TS_FLAG_PARSED flags were given, for ts_config_print.
static struct {
    const ts_flag *flag;
    const char *text;
} parsed[128];
static size_t parsed_count;

static ts_status keep_parsed(const ts_flag *flag, const char *text, ts_error *err)
{
    if (parsed_count == TS_COUNT(parsed)) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "--%s: given more than %zu times", flag->name,
                            TS_COUNT(parsed));
    }
    parsed[parsed_count].flag = flag;
    parsed[parsed_count++].text = text;
    return TS_OK;
}

const char *ts_flags_parsed(const ts_flag *flag, size_t index)
{
    for (size_t i = 0; i < parsed_count; i++) {
        if (parsed[i].flag == flag && index-- == 0) {
            return parsed[i].text;
        }
    }
    return NULL;
}

ts_status ts_flags_set(const ts_flag *flag, const char *text, ts_error *err)
{
    if (flag->kind == TS_FLAG_TEXT || flag->kind == TS_FLAG_OPTION) {
        if (text[0] == '\0') {
            return ts_error_set(err, TS_ERR_ARGUMENT, "--%s: its value is empty", flag->name);
        }
        *(const char **)flag->value = text;
        return TS_OK;
    }
    if (flag->kind == TS_FLAG_PARSED) {
        ts_status status = flag->parse(text, flag->value, err);
        return status == TS_OK ? keep_parsed(flag, text, err)
                               : ts_error_context(err, "--%s", flag->name);
    }
    return set_number(flag, text, err);
}

void ts_flags_switch(const ts_flag *flag, bool on)
{
    if (flag->kind == TS_FLAG_SWITCH) {
        *(bool *)flag->value = on;
        return;
    }
    const char **value = flag->value;
    if (on) {
        *value = flag->otherwise;
    } else if (*value != NULL && strcmp(*value, flag->otherwise) == 0) {
        *value = NULL;
    }
}

// Sets a switch by --name, --name=true or --name=false; the last undoes what --config set.
static ts_status set_switch(const ts_flag *flag, const char *equals, ts_error *err)
{
    bool on = equals == NULL || strcmp(equals, "=true") == 0;
    if (!on && strcmp(equals, "=false") != 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "--%s takes no value but =true or =false",
                            flag->name);
    }
    ts_flags_switch(flag, on);
    return TS_OK;
}

// Takes the flag at argv[*at] and its value, moving *at past both.
static ts_status take_flag(const ts_command *command, int argc, char **argv, int *at, bool *seen,
                           ts_error *err)
{
    char *argument = argv[(*at)++], *equals = strchr(argument, '=');
    size_t len = strcspn(argument + 2, "=");
    const ts_flag *flag = ts_flags_find(command, argument + 2, len);
    if (flag == NULL) {
        return unknown_flag(command, argument, err);
    }
    bool *given = &seen[index_of(command, flag)];
    if (*given && flag->kind != TS_FLAG_PARSED) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "--%s is given twice", flag->name);
    }
    *given = true;
    if (flag->kind == TS_FLAG_SWITCH || flag->kind == TS_FLAG_PRESET) {
        return set_switch(flag, equals, err);
    }
    if (equals != NULL) {
        return ts_flags_set(flag, equals + 1, err);
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
    ts_status status = ts_flags_set(flag, argv[(*at)++], err);
    while (status == TS_OK && flag->many && *at < argc && strncmp(argv[*at], "--", 2) != 0) {
        status = ts_flags_set(flag, argv[(*at)++], err);
    }
    return status;
}

static ts_status take_arguments(const ts_command *command, int argc, char **argv, bool *seen,
                                ts_error *err)
{
    int arguments = 0;
    for (int at = 0; at < argc;) {
        if (strncmp(argv[at], "--", 2) == 0) {
            ts_status status = take_flag(command, argc, argv, &at, seen, err);
            if (status != TS_OK) {
                return status;
            }
        } else if (arguments < command->most_arguments) {
            command->arguments[arguments++] = argv[at++];
        } else {
            return ts_error_set(
                err, TS_ERR_ARGUMENT,
                "unexpected argument '%s': flags begin with --, and --help lists them", argv[at]);
        }
    }
    return TS_OK;
}

enum { MOST_FLAGS = 128 };

// Reads --config before the other flags, so that the command line overrides it.
static ts_status take_config(const ts_command *command, int argc, char **argv, bool *in_file,
                             ts_error *err)
{
    const ts_flag *config = ts_flags_find(command, "config", strlen("config"));
    bool on_command_line[MOST_FLAGS] = {false};
    const char *path = NULL;
    for (int i = 0; i < argc && config != NULL; i++) {
        size_t len = strncmp(argv[i], "--", 2) == 0 ? strcspn(argv[i] + 2, "=") : 0;
        const ts_flag *flag = ts_flags_find(command, argv[i] + (len > 0 ? 2 : 0), len);
        if (len == 0 || flag == NULL) {
            continue;
        }
        on_command_line[index_of(command, flag)] = true;
        if (flag == config) {
            path = argv[i][len + 2] == '=' ? argv[i] + len + 3 : i + 1 < argc ? argv[i + 1] : NULL;
        }
    }
    return path != NULL && path[0] != '\0'
               ? ts_config_read(command, path, on_command_line, in_file, err)
               : TS_OK;
}

// A flag that sets another's value, as --load-in-8bit does, may not be given beside that one.
static ts_status check_presets(const ts_command *command, const bool *seen, ts_error *err)
{
    const ts_flag *preset, *other;
    for (size_t i = 0; (preset = ts_flags_at(command, i)) != NULL; i++) {
        bool sets = preset->kind == TS_FLAG_PRESET;
        for (size_t j = 0; sets && (other = ts_flags_at(command, j)) != NULL; j++) {
            if (i != j && seen[i] && seen[j] && other->value == preset->value) {
                return ts_error_set(err, TS_ERR_ARGUMENT, "--%s and --%s: give one of them",
                                    other->name, preset->name);
            }
        }
    }
    return TS_OK;
}

ts_status ts_flags_need(const ts_command *command, const char *name, bool given, ts_error *err)
{
    const ts_flag *flag = ts_flags_find(command, name, strlen(name));
    return given ? TS_OK
                 : ts_error_set(err, TS_ERR_ARGUMENT,
                                "--%s %s is missing: %s\nusage: tinysft-vk %s %s; --help lists the "
                                "flags",
                                flag->name, flag->placeholder, flag->help, command->name,
                                command->usage);
}

ts_status ts_flags_parse(const ts_command *command, int argc, char **argv, ts_error *err)
{
    ts_status status = TS_OK;
    bool seen[MOST_FLAGS] = {false}, in_file[MOST_FLAGS] = {false};
    const ts_flag *flag;
    assert(ts_flags_at(command, MOST_FLAGS) == NULL);
    TS_TRY(take_config(command, argc, argv, in_file, err));
    TS_TRY(take_arguments(command, argc, argv, seen, err));
    TS_TRY(check_presets(command, seen, err));
    for (size_t i = 0; (flag = ts_flags_at(command, i)) != NULL; i++) {
        TS_TRY(ts_flags_need(command, flag->name, !flag->required || seen[i] || in_file[i], err));
    }
out:
    return status;
}

void ts_flags_print_help(const ts_command *command)
{
    enum { COLUMN = 34 };
    ts_cli_say(stdout, "tinysft-vk %s %s\n\n%s\n\n", command->name, command->usage,
               command->summary);
    const ts_flag *flag;
    for (size_t i = 0; (flag = ts_flags_at(command, i)) != NULL; i++) {
        char left[128];
        snprintf(left, sizeof left, "  --%s%s%s", flag->name, flag->placeholder ? " " : "",
                 flag->placeholder ? flag->placeholder : "");
        char help[512];
        snprintf(help, sizeof help, flag->alias != NULL ? "%s (also --%s)" : "%s", flag->help,
                 flag->alias);
        ts_cli_print_entry(stdout, COLUMN, left, help);
    }
    if (command->notes != NULL) {
        ts_cli_say(stdout, "\n%s\n", command->notes);
    }
}
