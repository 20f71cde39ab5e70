// The command line: one file a subcommand. Only this floor prints to the user or decides the exit
// code.
#ifndef TS_CLI_CLI_H
#define TS_CLI_CLI_H

#include <tinysft/tinysft.h>

#include "base/blocks.h"
#include "base/text.h"
#include "data/template.h"
#include "ops/device.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// One flag of a subcommand. Flags are written --kebab-case; --snake_case is accepted too.
typedef enum ts_flag_kind {
    TS_FLAG_SWITCH, // --name                     bool *
    TS_FLAG_TEXT,   // --name VALUE               const char **
    TS_FLAG_UINT,   // --name 3                   uint64_t *
    TS_FLAG_REAL,   // --name 5e-5                double *
    TS_FLAG_OPTION, // --name or --name VALUE     const char **; without a value: `otherwise`
    TS_FLAG_PRESET, // --name                     const char **, set to `otherwise`
    TS_FLAG_PARSED, // --name VALUE, any number of times: what `parse` makes of each
} ts_flag_kind;

// The names that a flag's value may be, by index; NULL after the last (cli/choices.c).
typedef const char *(*ts_flag_choice)(size_t index);

typedef struct ts_flag {
    const char *name, *alias; // without the dashes; alias may be NULL
    ts_flag_kind kind;
    void *value;
    const char *placeholder; // what the help calls the value: "DIR"
    const char *help;        // "\n" starts another line
    double min, max;         // of a number
    bool required;
    const char *otherwise;                                            // TS_FLAG_OPTION, _PRESET
    ts_status (*parse)(const char *text, void *value, ts_error *err); // TS_FLAG_PARSED
    ts_flag_choice choice;                                            // NULL: the value is free
    bool passing; // for this call alone: the file that repeats a run leaves it out
    bool many;    // TS_FLAG_PARSED: it takes all values that follow, up to the next flag
} ts_flag;

typedef struct ts_command ts_command;
struct ts_command {
    const char *name, *summary, *usage;
    const char *notes;      // what its help says below the flags; NULL: nothing
    const char *needs_less; // advice for where memory runs out; NULL: it hardly needs any
    const ts_flag *flags;
    int flag_count;
    const ts_command *inherits; // whose flags it has too, but the passing ones; NULL: nobody's
    ts_flag_choice choice;      // of the argument
    const char *argument;       // what the help calls an argument that is no flag: "CASE"
    const char **arguments;     // [most_arguments] where they go, NULL where there are fewer
    int most_arguments;
    bool ranks; // where a launcher starts it several times, all work together (cli/ranks.h)
    int (*run)(int argc, char **argv);
};

// Parses argv[0..argc) into the values of the command's flags and its arguments. TS_ERR_ARGUMENT
// names what is wrong and the nearest flag there is.
ts_status ts_flags_parse(const ts_command *command, int argc, char **argv, ts_error *err);
// TS_ERR_ARGUMENT unless the flag was `given`: for one that not every use of the command requires.
ts_status ts_flags_need(const ts_command *command, const char *name, bool given, ts_error *err);
void ts_flags_print_help(const ts_command *command);
// Flag `index` of a command, from 0: its own, then those that it inherits; NULL after the last.
const ts_flag *ts_flags_at(const ts_command *command, size_t index);
// The flag of that name or alias, or NULL; and the name nearest to it, or NULL.
const ts_flag *ts_flags_find(const ts_command *command, const char *name, size_t len);
const char *ts_flags_nearest(const ts_command *command, const char *name, size_t len);
// The values that a TS_FLAG_PARSED was given, by index; NULL after the last.
const char *ts_flags_parsed(const ts_flag *flag, size_t index);
// Turns a TS_FLAG_SWITCH or TS_FLAG_PRESET on or off.
void ts_flags_switch(const ts_flag *flag, bool on);
// Sets a flag that takes a value.
ts_status ts_flags_set(const ts_flag *flag, const char *text, ts_error *err);

// Reads --config FILE: a JSON object whose keys are flags of the command. in_file marks which flags
// it holds, by ts_flags_at's index. A TS_FLAG_PARSED that on_command_line marks is not set from the
// file, because its values would add up. Errors name the file and the key.
ts_status ts_config_read(const ts_command *command, const char *path, const bool *on_command_line,
                         bool *in_file, ts_error *err);
// Appends the current values of the command's flags as such a file.
ts_status ts_config_print(const ts_command *command, ts_text *out, ts_error *err);
extern const char *ts_cli_config;
#define TS_CLI_CONFIG_FLAG                                                                         \
    {                                                                                              \
        "config", NULL, TS_FLAG_TEXT, &ts_cli_config, "FILE",                                      \
            "a JSON file of flags, {\"lr\": 1e-4};\nthose given here win", .passing = true         \
    }
#define TS_CLI_VERBOSE_FLAG                                                                        \
    {                                                                                              \
        "verbose", NULL, TS_FLAG_SWITCH, &ts_cli_verbose, NULL, "tell more of what is done",       \
            .passing = true                                                                        \
    }

// Names for a flag's `choice`.
const char *ts_choice_precision(size_t index);
const char *ts_choice_schedule(size_t index);
const char *ts_choice_train_on(size_t index);
const char *ts_choice_init_lora(size_t index);
const char *ts_choice_loss(size_t index);
const char *ts_choice_quantize(size_t index);
const char *ts_choice_module(size_t index);
const char *ts_choice_mask(size_t index);
const char *ts_choice_template(size_t index);
const char *ts_choice_format(size_t index);
const char *ts_choice_dtype(size_t index);
bool ts_flags_ask_help(int argc, char **argv); // --help or -h anywhere

// Prints sentences. On a terminal lines break between words, those after a break are indented by
// `indent`, and a progress bar is erased first. Characters that a terminal obeys, or that change
// how it shows others, are escaped (base/terminal.h), so texts from files may be printed as they
// are.
void ts_cli_print(FILE *stream, int indent, const char *text);
// "LEFT    help" with the help at `column`, or below on a terminal too narrow for that. A "\n" in
// the help starts another line where there is no terminal.
void ts_cli_print_entry(FILE *stream, int column, const char *left, const char *help);
void ts_cli_say(FILE *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Called first and last in main. The first makes a write fail where a standard stream is closed,
// its reader has gone or a file has reached its size limit. The second checks that all of standard
// output was written. It returns `code`; where that is 0 and output was lost it returns TS_ERR_IO,
// or 141 where the reader of a pipe has gone.
void ts_cli_open_standard(void);
int ts_cli_close_standard(int code);

// Prints "tinysft-vk: MESSAGE" (and where it arose, with --verbose), then what the user may do
// about it, and returns the exit code.
int ts_cli_fail(const ts_command *command, const ts_error *err);
// Prints what a user of this command may do where memory, the device or a shader failed.
void ts_cli_advise(const ts_command *command, ts_status status);
extern bool ts_cli_verbose;

// What --profile shows: time on the device by shader, slowest first.
struct ts_profile;
void ts_cli_print_profile(const struct ts_profile *profile);
// How the work was cut into submits: for --profile and --verbose.
struct ts_recorder;
void ts_cli_print_submits(const struct ts_recorder *recorder);

// Sets *out to `path`. Where nothing is there, but a file or folder of that name is installed with
// the program (in ../share/tinysft-vk beside its own folder), sets it to that one's path.
ts_status ts_cli_find(const char *path, ts_text *out, ts_error *err);

// The last part of a path or of a Hugging Face name; slashes at its end do not count.
typedef struct ts_cli_name {
    const char *text; // within the path
    int len;
} ts_cli_name;
ts_cli_name ts_cli_last_name(const char *path);

// Writes FOLDER/NAME: the flags as ts_config_print printed them, for --config to read.
ts_status ts_cli_write_config(const char *folder, const char *name, const ts_text *config,
                              ts_error *err);

// Tells the user where the folder that holds `path` is not there and will be made.
void ts_cli_tell_new_folder(const char *path);

// Finds the folder of --model, which is a folder, or one that is installed with the program, or the
// name of a model on the hub (data/hub.h). What is missing of the latter is downloaded, with a bar
// on standard error; its weights only where `weights` is true. `revision` may be NULL.
ts_status ts_cli_resolve_model(const char *model, const char *revision, bool weights,
                               ts_text *folder, ts_error *err);
// How often long work prints a line where there is no terminal to draw a bar on.
enum { TS_CLI_LINE_SECONDS = 10 };
// A bar on standard error while weights are loaded: `bar` is a ts_progress that starts zeroed.
void ts_cli_show_loading(void *bar, uint64_t done, uint64_t total);
// The same with the arguments of the library's callback.
void ts_cli_show_file(void *bar, const char *what, uint64_t done, uint64_t total);
#define TS_CLI_MODEL_HELP "folder or GGUF file of a model, or ORG/NAME to download once"
#define TS_CLI_TEMPLATE_HELP                                                                       \
    TS_CHAT_TEMPLATE_NAMES                                                                         \
    ",\none of the model's by name, a file of Jinja, or its text\n[the model's own]"
#define TS_CLI_REVISION_HELP "branch, tag or commit of ORG/NAME [main]"

// --device and --mask-capability, for every command that opens a device; `params` is its
// ts_gpu_params.
#define TS_CLI_DEVICE_FLAGS(params)                                                                \
    {"device",     NULL,                                                                           \
     TS_FLAG_TEXT, &(params).device,                                                               \
     "N",          "its number or part of its name; `tinysft-vk devices`\nlists them [the best]"}, \
        TS_CLI_MASK_FLAG(params)
#define TS_CLI_MASK_FLAG(params)                                                                   \
    {                                                                                              \
        "mask-capability", "mask-capabilities", TS_FLAG_PARSED, &(params).masks, "NAME[,NAME]",    \
            "hide an optional feature of the device;\n`tinysft-vk devices` lists them", 0, 0,      \
            false, NULL, ts_cli_parse_masks, ts_choice_mask                                        \
    }
// ts_gpu_masks_parse as a flag's `parse`: `masks` is a uint32_t *.
ts_status ts_cli_parse_masks(const char *names, void *masks, ts_error *err);

// The same for every command that multiplies matrices on the device, with --precision before them
// and --no-tune after them. `precision` is a const char *, `preset` the default in its help.
#define TS_CLI_PRODUCT_FLAGS(precision, preset, params)                                            \
    {"precision",                                                                                  \
     NULL,                                                                                         \
     TS_FLAG_TEXT,                                                                                 \
     &(precision),                                                                                 \
     "P",                                                                                          \
     "what products round their operands to: auto, f32, f16\nor bf16 [" preset "]",                \
     .choice = ts_choice_precision},                                                               \
        TS_CLI_DEVICE_FLAGS(params),                                                               \
    {                                                                                              \
        "no-tune", NULL, TS_FLAG_SWITCH, &(params).no_tuning, NULL,                                \
            "choose products' tiles by rule instead of measuring\nthem at first use; so does "     \
            "TINYSFT_TUNE=off"                                                                     \
    }

// --quantize and its aliases, for commands that load a model to use it: a const char * that
// ts_cli_choose_quantize turns into types.
#define TS_CLI_QUANTIZE_FLAGS(quantize)                                                              \
    {"quantize",                                                                                     \
     NULL,                                                                                           \
     TS_FLAG_TEXT,                                                                                   \
     &(quantize),                                                                                    \
     "TYPE",                                                                                         \
     "hold the base's linear layers in q8_0, half the\nmemory of 16 bits, or nf4, a quarter; "       \
     "nf4+q8_0:\nlm_head in q8_0 [as they are stored]",                                              \
     .choice = ts_choice_quantize},                                                                  \
        {"load-in-8bit",     NULL, TS_FLAG_PRESET, &(quantize), NULL, "the same as --quantize q8_0", \
         .otherwise = "q8_0"},                                                                       \
    {                                                                                                \
        "load-in-4bit", NULL, TS_FLAG_PRESET, &(quantize), NULL, "the same as --quantize nf4",       \
            .otherwise = "nf4"                                                                       \
    }
// Where `name` is NULL weights stay as they are stored.
ts_status ts_cli_choose_quantize(const char *name, ts_quantise *out, ts_error *err);

// The library's device parameters for these flags; valid until the next call.
tinysft_device_params ts_cli_device_params(const ts_gpu_params *flags, const char *precision);
// How the library reaches the command line: messages are printed, a signal interrupts.
extern const tinysft_caller ts_cli_caller;

// --validate, for commands that work on a device for long.
#define TS_CLI_VALIDATE_FLAG(params)                                                               \
    {                                                                                              \
        "validate", NULL, TS_FLAG_SWITCH, &(params).validate, NULL,                                \
            "run under the Vulkan validation layer", .passing = true                               \
    }

// For --json: prints `json` (base/json.h) on standard output and frees it.
struct cJSON;
ts_status ts_cli_print_json(struct cJSON *json, ts_error *err);
ts_status ts_cli_print_json_line(struct cJSON *json, ts_error *err); // in one line
struct cJSON *ts_cli_device_json(size_t index, const tinysft_device_info *device);
#define TS_CLI_JSON_FLAG(json)                                                                     \
    {                                                                                              \
        "json", NULL, TS_FLAG_SWITCH, (json), NULL, "for programs instead of people",              \
            .passing = true                                                                        \
    }

// Prints what `devices` shows of one device.
void ts_cli_print_device(FILE *stream, size_t index, const tinysft_device_info *device);

// devices --pipelines: a table, or JSON, of every pipeline that training builds on the device.
ts_status ts_cli_print_pipelines(const ts_gpu_params *params, bool json, ts_error *err);
// devices --step TOKENS: what one training step dispatches, with its compiler's listings.
ts_status ts_cli_print_step(const ts_gpu_params *params, const char *precision_name,
                            uint32_t tokens, ts_error *err);

extern const ts_command *const ts_commands[];
extern const size_t ts_command_count;
extern const ts_command ts_command_train, ts_command_eval, ts_command_verify, ts_command_tokenize,
    ts_command_devices, ts_command_doctor, ts_command_bench, ts_command_completion,
    ts_command_compare, ts_command_export, ts_command_chat, ts_command_sweep;

#endif
