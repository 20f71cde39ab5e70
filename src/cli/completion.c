// completion: what a shell needs to complete this program's commands and flags, made from the
// tables that the help is made from.
#include "base/memory.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const char *const shells[] = {"bash", "zsh", "fish"};

static const char *choice_of_shell(size_t index)
{
    return index < TS_COUNT(shells) ? shells[index] : NULL;
}

// ---- What a value can be

typedef enum value_kind {
    VALUE_NONE,
    VALUE_FREE,
    VALUE_FILE,
    VALUE_FOLDER,
    VALUE_CHOICE
} value_kind;

static value_kind kind_of_placeholder(const char *placeholder, ts_flag_choice choice)
{
    static const char *const files[] = {"FILE", "[FILE]"};
    static const char *const folders[] = {"DIR", "OUT", "MODEL", "CASE", "[PATH]"};
    if (choice != NULL) {
        return VALUE_CHOICE;
    }
    for (size_t i = 0; i < TS_COUNT(files); i++) {
        if (strcmp(placeholder, files[i]) == 0) {
            return VALUE_FILE;
        }
    }
    for (size_t i = 0; i < TS_COUNT(folders); i++) {
        if (strcmp(placeholder, folders[i]) == 0) {
            return VALUE_FOLDER;
        }
    }
    return VALUE_FREE;
}

static value_kind kind_of_flag(const ts_flag *flag)
{
    return flag->kind == TS_FLAG_SWITCH || flag->kind == TS_FLAG_PRESET
               ? VALUE_NONE
               : kind_of_placeholder(flag->placeholder, flag->choice);
}

static void print_choices(ts_flag_choice choice)
{
    const char *name;
    for (size_t i = 0; (name = choice(i)) != NULL; i++) {
        printf("%s%s", i > 0 ? " " : "", name);
    }
}

// Prints the first line of a help text for use between single quotes. Brackets become parentheses,
// because they have a meaning to zsh.
static void print_quoted(const char *text)
{
    for (; *text != '\0' && *text != '\n'; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else {
            putchar(*text == '[' ? '(' : *text == ']' ? ')' : *text);
        }
    }
}

// ---- bash

static void print_bash_action(value_kind kind, ts_flag_choice choice)
{
    if (kind == VALUE_FILE || kind == VALUE_FOLDER) {
        printf("_tinysft_vk_take %s \"$word\"; compopt -o filenames 2>/dev/null",
               kind == VALUE_FILE ? "-f" : "-d");
    } else if (kind == VALUE_CHOICE) {
        // In a list, what follows the last comma is completed.
        printf("_tinysft_vk_take -P \"${word%%\"${word##*,}\"}\" -W '");
        print_choices(choice);
        printf("' \"${word##*,}\"");
    } else {
        printf("COMPREPLY=()");
    }
}

static void print_bash_value(const ts_command *command, const ts_flag *flag)
{
    printf("    '%s --%s'", command->name, flag->name);
    if (flag->alias != NULL) {
        printf("|'%s --%s'", command->name, flag->alias);
    }
    printf(") ");
    if (flag->kind == TS_FLAG_OPTION) { // maybe no value but the next flag
        printf("[[ $word == -* ]] || { ");
    }
    print_bash_action(kind_of_flag(flag), flag->choice);
    printf("%s\n", flag->kind == TS_FLAG_OPTION ? "; return; } ;;" : "; return ;;");
}

static void print_bash_command(const ts_command *command)
{
    printf("    %s) ", command->name);
    if (command->argument != NULL) {
        printf("if [[ $word != -* ]]; then ");
        print_bash_action(kind_of_placeholder(command->argument, command->choice), command->choice);
        printf("; return; fi\n        ");
    }
    printf("_tinysft_vk_take -W '--help");
    const ts_flag *flag;
    for (size_t i = 0; (flag = ts_flags_at(command, i)) != NULL; i++) {
        printf(" --%s", flag->name);
    }
    printf("' \"$word\" ;;\n");
}

static void print_bash(void)
{
    printf("# bash completion for tinysft-vk, made by `tinysft-vk completion bash`\n"
           "_tinysft_vk_take() {\n"
           "    mapfile -t COMPREPLY < <(compgen \"${@:1:$#-1}\" -- \"${@: -1}\")\n"
           "}\n"
           "_tinysft_vk() {\n"
           "    local command=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]}\n"
           "    local flag=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    COMPREPLY=()\n"
           "    if [[ $word == = ]]; then\n" // bash splits --flag=value at the =
           "        word=\n"
           "    elif [[ $flag == = ]]; then\n"
           "        flag=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    fi\n"
           "    if ((COMP_CWORD == 1)) || [[ $command == help ]]; then\n"
           "        _tinysft_vk_take -W 'help");
    for (size_t i = 0; i < ts_command_count; i++) {
        printf(" %s", ts_commands[i]->name);
    }
    printf(" --help --version' \"$word\"\n"
           "        return\n"
           "    fi\n"
           "    case \"$command ${flag//_/-}\" in\n");
    for (size_t i = 0; i < ts_command_count; i++) {
        const ts_flag *flag;
        for (size_t j = 0; (flag = ts_flags_at(ts_commands[i], j)) != NULL; j++) {
            if (kind_of_flag(flag) != VALUE_NONE) {
                print_bash_value(ts_commands[i], flag);
            }
        }
    }
    printf("    esac\n"
           "    case $command in\n");
    for (size_t i = 0; i < ts_command_count; i++) {
        print_bash_command(ts_commands[i]);
    }
    printf("    esac\n"
           "}\n"
           "complete -F _tinysft_vk tinysft-vk\n");
}

// ---- zsh

static void print_zsh_value(const char *placeholder, value_kind kind, ts_flag_choice choice,
                            bool optional)
{
    printf("%s", optional ? "::" : ":");
    print_quoted(placeholder);
    printf(":");
    if (kind == VALUE_CHOICE) {
        bool list = strchr(placeholder, ',') != NULL || strcmp(placeholder, "LIST") == 0;
        printf(list ? "_values -s , name " : "(");
        print_choices(choice);
        printf("%s", list ? "" : ")");
    } else {
        printf("%s", kind == VALUE_FILE ? "_files" : kind == VALUE_FOLDER ? "_files -/" : " ");
    }
}

static void print_zsh_flag(const ts_flag *flag, const char *name)
{
    value_kind kind = kind_of_flag(flag);
    printf(" \\\n        '%s--%s%s[", flag->kind == TS_FLAG_PARSED ? "*" : "", name,
           kind == VALUE_NONE ? "" : "=");
    print_quoted(flag->help);
    printf("]");
    if (kind != VALUE_NONE) {
        print_zsh_value(flag->placeholder, kind, flag->choice, flag->kind == TS_FLAG_OPTION);
    }
    printf("'");
}

static void print_zsh(void)
{
    printf("#compdef tinysft-vk\n"
           "# made by `tinysft-vk completion zsh`\n"
           "_tinysft_vk() {\n"
           "    local -a commands=(\n"
           "        'help:list the flags of a command'\n");
    for (size_t i = 0; i < ts_command_count; i++) {
        printf("        '%s:", ts_commands[i]->name);
        print_quoted(ts_commands[i]->summary);
        printf("'\n");
    }
    printf("    )\n"
           "    if ((CURRENT == 2)) || { ((CURRENT == 3)) && [[ $words[2] == help ]] }; then\n"
           "        _describe command commands\n"
           "        return\n"
           "    fi\n"
           "    shift words\n"
           "    ((CURRENT--))\n"
           "    case $words[1] in\n");
    for (size_t i = 0; i < ts_command_count; i++) {
        const ts_command *command = ts_commands[i];
        printf("    %s) _arguments '--help[list the flags]'", command->name);
        const ts_flag *flag;
        for (size_t j = 0; (flag = ts_flags_at(command, j)) != NULL; j++) {
            print_zsh_flag(flag, flag->name);
            if (flag->alias != NULL) {
                print_zsh_flag(flag, flag->alias);
            }
        }
        if (command->argument != NULL) {
            printf(" \\\n        '%s", command->most_arguments > 1 ? "*" : "");
            print_zsh_value(command->argument,
                            kind_of_placeholder(command->argument, command->choice),
                            command->choice, false);
            printf("'");
        }
        printf(" ;;\n");
    }
    printf("    esac\n"
           "}\n"
           "if [[ $funcstack[1] == _tinysft-vk ]]; then\n" // autoloaded by its file's name
           "    _tinysft_vk \"$@\"\n"
           "else\n"
           "    compdef _tinysft_vk tinysft-vk\n"
           "fi\n");
}

// ---- fish

static void print_fish_action(value_kind kind, ts_flag_choice choice)
{
    if (kind == VALUE_FOLDER) {
        printf(" -a '(__fish_complete_directories)'");
    } else if (kind == VALUE_CHOICE) {
        printf(" -a '");
        print_choices(choice);
        printf("'");
    }
}

static void print_fish_flag(const ts_command *command, const ts_flag *flag, const char *name)
{
    value_kind kind = kind_of_flag(flag);
    printf("complete -c tinysft-vk -n '__fish_seen_subcommand_from %s' -l %s", command->name, name);
    if (kind != VALUE_NONE && flag->kind != TS_FLAG_OPTION) { // fish knows no optional values
        printf(kind == VALUE_FILE ? " -r -F" : " -x");
        print_fish_action(kind, flag->choice);
    }
    printf(" -d '");
    for (const char *c = flag->help; *c != '\0' && *c != '\n'; c++) {
        printf(*c == '\'' || *c == '\\' ? "\\%c" : "%c", *c);
    }
    printf("'\n");
}

static void print_fish(void)
{
    printf("# fish completion for tinysft-vk, made by `tinysft-vk completion fish`\n"
           "complete -c tinysft-vk -f\n"
           "complete -c tinysft-vk -n __fish_use_subcommand -a help "
           "-d 'list the flags of a command'\n");
    for (size_t i = 0; i < ts_command_count; i++) {
        const ts_command *command = ts_commands[i];
        printf("complete -c tinysft-vk -n '__fish_use_subcommand; or __fish_seen_subcommand_from "
               "help' -a %s -d '",
               command->name);
        print_quoted(command->summary);
        printf("'\n");
        if (command->argument != NULL) {
            printf("complete -c tinysft-vk -n '__fish_seen_subcommand_from %s'", command->name);
            print_fish_action(kind_of_placeholder(command->argument, command->choice),
                              command->choice);
            printf("\n");
        }
        const ts_flag *flag;
        for (size_t j = 0; (flag = ts_flags_at(command, j)) != NULL; j++) {
            print_fish_flag(command, flag, flag->name);
            if (flag->alias != NULL) {
                print_fish_flag(command, flag, flag->alias);
            }
        }
    }
}

// ---- The command

static const char *shell[1];

static int run(int argc, char **argv)
{
    static void (*const prints[])(void) = {print_bash, print_zsh, print_fish};
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    TS_TRY(ts_flags_parse(&ts_command_completion, argc, argv, err));
    for (size_t i = 0; i < TS_COUNT(shells); i++) {
        if (shell[0] != NULL && strcmp(shell[0], shells[i]) == 0) {
            prints[i]();
            return 0;
        }
    }
    TS_FAIL(TS_ERR_ARGUMENT, "completion%s%s: expected bash, zsh or fish",
            shell[0] != NULL ? " " : "", shell[0] != NULL ? shell[0] : "");
out:
    return ts_cli_fail(&ts_command_completion, err);
}

const ts_command ts_command_completion = {
    .name = "completion",
    .summary = "print what bash, zsh or fish needs to complete commands and flags",
    .usage = "bash|zsh|fish",
    .notes = "bash: eval \"$(tinysft-vk completion bash)\" in ~/.bashrc\n"
             "zsh:  eval \"$(tinysft-vk completion zsh)\" in ~/.zshrc, below compinit\n"
             "fish: tinysft-vk completion fish >~/.config/fish/completions/tinysft-vk.fish\n"
             "The Debian package brings them along.",
    .argument = "SHELL",
    .arguments = shell,
    .most_arguments = 1,
    .choice = choice_of_shell,
    .run = run,
};
