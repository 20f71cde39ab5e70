// libtinysft: fine-tunes a chat model with LoRA on any Vulkan device, and asks it afterwards.
//
// A device is opened first. A training reads a model and rows of text, plans what it will take,
// runs and leaves an adapter in a folder. A model is opened to be asked, with or without an
// adapter; it answers token by token, or it is evaluated over a file of questions.
//
//     tinysft_error error;
//     tinysft_device *device = NULL;
//     if (tinysft_device_open(NULL, &device, &error) != TINYSFT_OK) {
//         fprintf(stderr, "%s\n", error.message);
//     }
//     tinysft_device_close(&device);
//
// Arguments: each call takes a struct of parameters, of which zero means the default. In C, write
// {.data = "rows.jsonl"}; in C++, set members of a struct that was initialised with {}. Of a number
// whose default is not 0, a negative value means 0. Texts are UTF-8, end in NUL, and are
// copied where the library needs them after the call.
//
// Errors: a call returns TINYSFT_OK or the kind of failure, which *error describes in words (it may
// be NULL). Messages call settings by the names of the program's flags: --lr is learning_rate. A
// handle that is NULL where one is needed is TINYSFT_ERR_ARGUMENT. What a failed call would have
// made is left NULL or zeroed.
//
// Handles: what NAME_open makes, NAME_close frees; it sets the caller's pointer to NULL, and
// closing NULL does nothing. A device lives on until the last model and training that use it are
// closed. Closing what the running call works on, from a callback of it, does nothing either.
//
// Threads: a device, with all that was opened on it, is one thread's at a time; nothing in it is
// locked. Two devices, even two of the same hardware, may work in two threads and do not disturb
// each other. One training at a time works in an output folder, and others are refused.
//
// Callbacks are called by the thread that made the call, before it returns, and only then. They may
// not use the device that the call uses, nor anything opened on it. Whatever they are given is good
// until they return.
//
// The process: nothing is printed; messages go to tinysft_caller's `log`, or nowhere. No signal
// handler is installed, no locale, no umask and no folder changed. Reading a file that somebody
// cuts short raises SIGBUS, as reading any mapped file does. Numbers are read and written with a
// decimal point whatever the locale is. libvulkan.so.1 and, for downloads, libcurl.so.4 are loaded
// when they are first used and then stay. The environment is read (so no other thread may change it
// meanwhile): TINYSFT_CACHE_DIR, XDG_CACHE_HOME and HOME for the cache of pipelines and measured
// choices; TINYSFT_TUNE, TINYSFT_VALIDATE and TINYSFT_MASK_CAPABILITIES as the program reads them;
// for downloads HF_HUB_CACHE, HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE.
//
// Versions: a library of the same soname (libtinysft.so.0) runs every program that was built with
// an older one. Structs that callers declare never grow under one soname, so they carry no size.
#ifndef TINYSFT_TINYSFT_H
#define TINYSFT_TINYSFT_H

#include <tinysft/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TINYSFT_API __attribute__((visibility("default")))
#else
#define TINYSFT_API
#endif

// ---- The library

// The version of the library that runs: "0.1.0".
TINYSFT_API const char *tinysft_version(void);

typedef enum tinysft_log_level {
    TINYSFT_LOG_DEBUG, // for those who look for a fault
    TINYSFT_LOG_INFO,  // what was chosen and why
    TINYSFT_LOG_WARN,  // what may not be what was meant
} tinysft_log_level;

// `message` is one or more sentences, without a line break at its end.
typedef void (*tinysft_log)(void *user, tinysft_log_level level, const char *message);

// What a callback answers, so that long work can be ended.
typedef enum tinysft_next { TINYSFT_GO_ON = 0, TINYSFT_STOP = 1 } tinysft_next;

// How the library reaches whoever uses it. Every function may be NULL.
typedef struct tinysft_caller {
    tinysft_log log; // NULL: messages go nowhere
    // Asked often: between steps, passes over the model, and parts of a download. TINYSFT_STOP ends
    // the work as the callback of its call would: with TINYSFT_ERR_STOPPED.
    tinysft_next (*interrupt)(void *user);
    // True before files that belong together are written, and false afterwards. The process should
    // not be ended in between; if it is, the next run cleans up.
    void (*saving)(void *user, bool now);
    void *user;
} tinysft_caller;

// Progress: of the file or folder `what`, `done` of `total` bytes are downloaded, read or written.
typedef void (*tinysft_loading)(void *user, const char *what, uint64_t done, uint64_t total);

// ---- Devices

typedef struct tinysft_device_params {
    const char *device;    // number as tinysft_device_list counts, or part of its name [the best]
    const char *hide;      // names of tinysft_device_feature to do without, with commas [none]
    bool validate;         // run under the Vulkan validation layer
    bool no_tuning;        // choose tiles by rule instead of measuring them at first use
    const char *precision; // of the operands of products with the base's weights: "auto", "f32",
                           // "f16" or "bf16" ["auto": 16 bits on a GPU that gains by it]
    tinysft_caller caller; // of the device and all that is opened on it
} tinysft_device_params;

// A feature that a device need not have. Without it another way is taken.
typedef struct tinysft_feature {
    const char *name;
    const char *hidden; // what is hidden with it, and what is used instead
} tinysft_feature;

// Feature `index`, from 0, of those that are known; its name is NULL after the last.
TINYSFT_API tinysft_feature tinysft_device_feature(size_t index);

// A device as it describes itself.
typedef struct tinysft_device_info {
    char name[256];
    char driver[512];
    const char *kind;           // "discrete GPU", "integrated GPU", "virtual GPU", "CPU", "other"
    uint32_t vulkan[2];         // major and minor version
    uint64_t memory_bytes;      // largest heap of its own
    uint64_t memory_free_bytes; // of it, when it was listed or opened
    bool unified_memory;        // it is the host's
    uint32_t subgroup_size, max_invocations; // of a subgroup; at most of a workgroup
    uint32_t shared_bytes;                   // a workgroup's memory
    uint32_t matrix_f16[3];                  // what its matrix units multiply: m, n and k; 0: it
    uint32_t matrix_bf16[3];                 // has none of that kind
    uint64_t features;                       // bit i: it has tinysft_device_feature(i)
    const char *reason;                      // why it was chosen; NULL: it was not
    const char *precision; // once started: what products are rounded to, "f32" for not at all
    const char *unusable;  // why it cannot be used; NULL: it can
} tinysft_device_info;

// Fills out[capacity] with what Vulkan offers here, in Vulkan's order, and *count with how many
// there are, which may be more than `capacity`; `out` may be NULL where that is 0. *chosen is the
// index of the one that `params` would open. `params` may be NULL. TINYSFT_ERR_DEVICE: no Vulkan
// loader or driver, with what to install; TINYSFT_ERR_ARGUMENT: no such device.
TINYSFT_API tinysft_status tinysft_device_list(const tinysft_device_params *params,
                                               tinysft_device_info *out, size_t capacity,
                                               size_t *count, size_t *chosen, tinysft_error *error);

typedef struct tinysft_device tinysft_device;

// Chooses a device, by which a training can be planned. `params` may be NULL. Errors as above.
TINYSFT_API tinysft_status tinysft_device_open(const tinysft_device_params *params,
                                               tinysft_device **out, tinysft_error *error);
TINYSFT_API void tinysft_device_close(tinysft_device **device);
// Starts its driver, which the first call that works on the device does too. TINYSFT_ERR_DEVICE: it
// cannot be used, or the driver failed; TINYSFT_ERR_SHADER: the driver cannot build a shader that
// has no substitute.
TINYSFT_API tinysft_status tinysft_device_start(tinysft_device *device, tinysft_error *error);
// Good until the device is closed; NULL for NULL.
TINYSFT_API const tinysft_device_info *tinysft_device_describe(const tinysft_device *device);

// ---- Training

// What was measured on the rows held out from training.
typedef struct tinysft_held_out {
    uint64_t step; // it was measured after this step
    double epoch;
    double loss; // nats per supervised token; its exponential is the perplexity. Of a loss
                 // over pairs the mean over the pairs
    double margin, accuracy; // of a loss over pairs: as in tinysft_step; else NaN
    uint64_t best_step;      // of the least loss so far, this one included
    double best_loss;
    bool stops; // training ends here, early
} tinysft_held_out;

typedef struct tinysft_model tinysft_model;

typedef tinysft_next (*tinysft_held_out_callback)(void *user, const tinysft_held_out *measured);

typedef struct tinysft_training_params {
    const char *model;         // folder in Hugging Face layout, GGUF file, or ORG/NAME or
                               // ORG/NAME/FILE.gguf, which is downloaded once
    const char *revision;      // of ORG/NAME: branch, tag or commit ["main"]
    tinysft_model *base;       // or a model opened on the same device, which several trainings and
                               // evaluations then share: its weights are loaded once, as it holds
                               // them, so `model`, `revision` and `quantize` are left out. The run
                               // takes away an adapter that it has. It lives on until the training
                               // is closed [NULL]
    const char *data;          // file of JSON or JSON lines; README.md says which rows it may hold
    const char *output_dir;    // where the adapter goes; is made. NULL: plans only, cannot run
    const char *base_model;    // what adapter_config.json calls the base [model]
    const char *chat_template; // name, file or text of Jinja [the model's own]
    const char *adapter;  // folder of a PEFT adapter to go on with: its rank, alpha and modules
                          // are kept, and dpo and ipo take it for their reference [a new one]
    const char *quantize; // what the base's linear layers are held in: "q8_0", "nf4", or
                          // "nf4+q8_0" with lm_head in q8_0 [as stored]
    const char *train_on; // "assistant": all answers; "last": a conversation's last one; or
                          // "all": every token ["assistant"]
    bool train_empty;     // learn empty answers too: to say nothing
    uint32_t max_length;  // tokens; longer rows are cut, with a warning [2048]
    uint32_t rank;        // of the adapter's matrices [8]
    double alpha;         // the adapter's output is multiplied by alpha / rank [16]
    bool use_rslora;      // by alpha / sqrt(rank) instead
    const char *rank_pattern, *alpha_pattern; // of modules that have others, by the ends of their
                                              // names: "q_proj=16,layers.0.mlp.down_proj=4" [none]
    bool use_dora;              // DoRA: learn the lengths of adapted weights' rows apart
    double lora_dropout;        // part of the adapter's inputs set to zero, 0 to below 1 [0]
    const char *init_lora;      // "default" or "gaussian", as PEFT's init_lora_weights ["default"]
    const char *target_modules; // with commas, or "all-linear" ["q_proj,v_proj"]
    const char *loss;           // "cross_entropy"; "dpo" or "ipo": rows are pairs, {prompt, chosen,
                                // rejected} ["cross_entropy"]
    double beta;                // of dpo and ipo: a larger one stays nearer to the base [0.1]
    double label_smoothing;     // part of each label that all tokens have alike; of dpo: the part
                                // of the pairs whose answers may be swapped [0]
    double epochs;              // passes over all rows [3]
    uint64_t max_steps;         // instead of epochs [0: as many as the epochs have]
    bool group_by_length;       // rows of about the same length come together
    uint32_t batch_size, grad_accum;             // rows at once; batches of a step [1, 1]
    double learning_rate;                        // at its peak [5e-5]
    const char *schedule;                        // "linear", "cosine", "cosine_with_restarts" or
                                                 // "constant" ["linear"]
    double min_lr_ratio;                         // cosine falls to this part of the peak [0]
    uint64_t lr_cycles;                          // half cosines of cosine_with_restarts [1]
    double neftune_alpha;                        // NEFTune: noise on the embeddings [0: none]
    double loraplus_ratio;                       // LoRA+: B matrices' rate in terms of A's [1]
    uint64_t warmup_steps;                       // the rate rises over so many steps [0]
    double warmup_ratio;                         // or over this part of all steps [0]
    double weight_decay, max_grad_norm;          // [0, 1]; a norm of 0 does not clip
    double adam_beta1, adam_beta2, adam_epsilon; // of AdamW [0.9, 0.999, 1e-8]
    int64_t seed;                                // [42]
    uint64_t save_steps, save_total_limit;       // checkpoints: every so many steps, the newest
                                                 // so many of them [only the end's, all]
    int64_t logging_steps;   // steps over which a logged loss is the mean; negative: all [10]
    const char *log_file;    // JSON lines, one a logged step or measurement [none]
    const char *logging_dir; // folder of event files for TensorBoard, scalars named as
                             // transformers' Trainer names them [none]
    uint64_t max_memory;     // device bytes to stay below [nearly all that is free]
    const char *resume;      // "last" (it must be there), "latest" (if it is), or a checkpoint's
                             // folder [begin anew]
    bool overwrite;          // replace the run that output_dir holds
    const char *eval_data;   // file of rows to measure the loss on during training [none]
    double eval_split;       // or this part of `data`, which is then not trained on [0]
    uint64_t eval_steps;     // between two such measurements [an epoch]
    bool load_best_at_end;   // the result is the adapter with the least of these losses, not the
                             // last; its checkpoint is kept
    uint64_t early_stopping; // stop after so many measurements without progress [0: never]
    double early_stopping_threshold;    // progress is a loss lower than the best by more [0]
    tinysft_held_out_callback held_out; // called after each measurement [NULL]
    void *held_out_user;
    tinysft_loading loading;
    void *loading_user;
    tinysft_caller caller; // used where the call is given no device
} tinysft_training_params;

// What a training is going to do, as its files and the device's memory decide it.
typedef struct tinysft_training_plan {
    uint64_t examples, tokens;  // rows, or pairs; their tokens
    bool pairs;                 // each example is a pair: two rows, the chosen answer's first
    uint64_t supervised_tokens; // those of the tokens that bear loss
    uint64_t held_out;          // rows, or pairs, beside them that are not trained on
    uint64_t eval_steps;        // the loss on those is measured every so many steps
    uint64_t steps, steps_per_epoch;
    uint64_t parameters;                                           // that are trained
    uint64_t weight_bytes, adapter_bytes, activation_bytes, bytes; // on the device; their sum
    uint64_t limit_bytes;                 // that the plan was to stay below; 0: none
    bool fits;                            // it does; otherwise tinysft_training_run refuses
    const char *quantized;                // what linear layers are held in; NULL: no blocks
    bool embedding_in_file;               // the embedding is read from its file, to save memory
    uint32_t rows_at_once;                // tokens that a pass has room for
    uint64_t micro_batches, micro_tokens; // of the first epoch, and the tokens of all of them
    uint32_t least_at_once, most_at_once; // tokens of the smallest of them, and of the largest
    uint32_t layers, recomputing_layers;  // so many of the layers compute gate and up twice
    const char *chat_template;            // its name; good until the training is closed
    const char *rendered;                 // the first row as it renders it, or NULL
    size_t rendered_bytes;
} tinysft_training_plan;

typedef struct tinysft_training tinysft_training;

// Reads and checks the model's files and the rows, and plans; nothing is put on a device. `device`
// may be NULL, for a plan without one. TINYSFT_ERR_ARGUMENT names a setting that makes no sense,
// TINYSFT_ERR_FORMAT every mistake of a data file by its line, TINYSFT_ERR_UNSUPPORTED what a model
// or row asks for that is not implemented.
TINYSFT_API tinysft_status tinysft_training_open(tinysft_device *device,
                                                 const tinysft_training_params *params,
                                                 tinysft_training **out, tinysft_error *error);
TINYSFT_API void tinysft_training_close(tinysft_training **training);

TINYSFT_API tinysft_status tinysft_training_get_plan(const tinysft_training *training,
                                                     tinysft_training_plan *out,
                                                     tinysft_error *error);

// A row as the model sees it.
typedef struct tinysft_row {
    uint32_t line;               // of the file, where it begins
    uint32_t tokens, supervised; // of the latter the loss is taken
} tinysft_row;

// A part of a row's text, all of it trained on or none.
typedef void (*tinysft_part)(void *user, const char *text, size_t bytes, bool supervised);

// Row `index` of the training data, from 0; pair i is rows 2 i (chosen) and 2 i + 1 (rejected).
// `out` and `show` may be NULL; `show` is given the parts of the row's text, in order.
// TINYSFT_ERR_ARGUMENT: there is no such row.
TINYSFT_API tinysft_status tinysft_training_get_row(tinysft_training *training, uint64_t index,
                                                    tinysft_row *out, tinysft_part show, void *user,
                                                    tinysft_error *error);

// One step, when its numbers are known.
typedef struct tinysft_step {
    uint64_t step, steps; // this one, from 1; all steps of the run
    double epoch;
    double loss;         // nats per supervised token: the mean over `loss_steps` steps, those
    uint64_t loss_steps; // since the last one with `log`
    double learning_rate, grad_norm;
    double margin,
        accuracy; // of a loss over pairs: how much higher the chosen answers' rewards are
                  // in this step, and the part of the pairs where it is higher; else NaN
    double tokens_per_second; // since the run began
    double held_out_loss;     // as it was measured last; NaN: it was not
    double seconds_left;      // at the pace so far
    uint64_t device_bytes;
    bool log; // the last step of an interval, or of the run
} tinysft_step;

typedef tinysft_next (*tinysft_step_callback)(void *user, const tinysft_step *step);

// Where a training stands.
typedef struct tinysft_training_state {
    uint64_t steps;    // that are trained, those of the run it went on from included
    uint64_t saved;    // the last step of which output_dir holds a checkpoint; 0: none
    bool was_finished; // output_dir held the finished run already: nothing was touched
    bool replaces;     // output_dir still holds another run, which goes when this one saves
} tinysft_training_state;

TINYSFT_API tinysft_status tinysft_training_get_state(const tinysft_training *training,
                                                      tinysft_training_state *out,
                                                      tinysft_error *error);

// Settles what the run does with output_dir, makes it and locks it. tinysft_training_run does so
// too, where it was not done before. TINYSFT_ERR_ARGUMENT: it holds another run, or somebody works
// in it.
TINYSFT_API tinysft_status tinysft_training_prepare(tinysft_training *training,
                                                    tinysft_error *error);

// Loads the model, trains, and leaves in output_dir what README.md lists: adapter_model.safetensors
// and adapter_config.json as PEFT loads them, and what tells of the run. Runs once. `on_step` may
// be NULL; where it answers TINYSFT_STOP the run ends after the steps that are under way, saves a
// checkpoint and returns TINYSFT_ERR_STOPPED. A run that had finished before returns TINYSFT_OK at
// once. TINYSFT_ERR_MEMORY: it does not fit; TINYSFT_ERR_RUN: the loss or an adapter's number is
// not finite.
TINYSFT_API tinysft_status tinysft_training_run(tinysft_training *training,
                                                tinysft_step_callback on_step, void *user,
                                                tinysft_error *error);

// ---- Models

typedef struct tinysft_model_params {
    const char *model;         // as tinysft_training_params names it
    const char *revision;      // of ORG/NAME: branch, tag or commit ["main"]
    const char *name;          // what reports and warnings call it [model]
    const char *adapter;       // folder of a PEFT adapter, as training leaves it [none]
    const char *chat_template; // name, file or text of Jinja [the adapter's run's, the model's]
    const char *quantize;      // what its linear layers are held in, as above [as stored]
    uint32_t positions;        // tokens of the longest text [2048, or as many as the model takes;
                               // more where an evaluation that is opened before loading needs it]
    tinysft_loading loading;
    void *loading_user;
} tinysft_model_params;

typedef struct tinysft_model_info {
    uint32_t layers, hidden, vocabulary;
    uint32_t positions; // tokens of the longest text, question and answer together
    bool has_adapter;
    uint32_t rank;             // of the adapter; 0: none
    const char *chat_template; // its name; good until the model is closed
} tinysft_model_info;

// Reads and checks the model's files but for its weights; nothing is put on the device.
// TINYSFT_ERR_FORMAT: a file is not what its format promises; TINYSFT_ERR_UNSUPPORTED: another
// architecture, or anything else that is not implemented, by name.
TINYSFT_API tinysft_status tinysft_model_open(tinysft_device *device,
                                              const tinysft_model_params *params,
                                              tinysft_model **out, tinysft_error *error);
// Puts the weights of model and adapter on the device, which the first call that needs them there
// does too. TINYSFT_ERR_FORMAT: a file is not what its format promises, or the adapter does not fit
// the model; TINYSFT_ERR_MEMORY: the device has not enough; or as tinysft_device_start.
TINYSFT_API tinysft_status tinysft_model_load(tinysft_model *model, tinysft_error *error);
TINYSFT_API void tinysft_model_close(tinysft_model **model);

TINYSFT_API tinysft_status tinysft_model_describe(const tinysft_model *model,
                                                  tinysft_model_info *out, tinysft_error *error);

// Replaces the model's adapter by the one in a PEFT folder. If that fails, or loading it later, the
// model has none. Errors as tinysft_model_open and tinysft_model_load.
TINYSFT_API tinysft_status tinysft_model_load_adapter(tinysft_model *model, const char *folder,
                                                      tinysft_error *error);
// Writes the model's adapter as PEFT loads it: adapter_model.safetensors, adapter_config.json and
// README.md, each whole or not at all. The folder is made. TINYSFT_ERR_ARGUMENT: there is none.
TINYSFT_API tinysft_status tinysft_model_save_adapter(tinysft_model *model, const char *folder,
                                                      tinysft_error *error);

// ---- Answers

typedef enum tinysft_role { TINYSFT_USER, TINYSFT_ASSISTANT, TINYSFT_SYSTEM } tinysft_role;

typedef struct tinysft_message {
    tinysft_role role;
    const char *text;
} tinysft_message;

// One token of an answer.
typedef struct tinysft_token {
    uint32_t id;      // UINT32_MAX: none, only the rest of the text
    const char *text; // [bytes] whole characters of UTF-8, without a NUL at the end. Empty while a
    size_t bytes;     // character is incomplete; its last token then brings all of it
    double log_probability; // nats, by the model's logits as they are; where it was asked for
} tinysft_token;

typedef tinysft_next (*tinysft_token_callback)(void *user, const tinysft_token *token);

// How a token is chosen: by transformers' rules, in its order. Zeroed: the likeliest one.
typedef struct tinysft_sampling {
    double repeat_penalty; // above 1: tokens that came before become less likely [1]
    double temperature;    // 0: the likeliest token is taken, whatever top_k, top_p and min_p say
    uint32_t top_k;        // only this many of the likeliest [all]
    double top_p;          // only the likeliest whose probabilities reach this sum [all]
    double min_p;          // only those at least this part as likely as the likeliest [all]
    uint64_t seed;         // the same seed gives the same answer
} tinysft_sampling;

typedef struct tinysft_generate_params {
    const tinysft_message *messages; // a conversation whose last message is the user's
    size_t message_count;
    uint32_t max_new_tokens; // [64]
    bool without_adapter;    // ask the base model
    tinysft_sampling sampling;
    bool log_probabilities; // of each token, for on_token
    bool drop_oldest;       // where the conversation leaves no room for an answer, its oldest
                            // questions and answers are left out; a system message stays
    tinysft_token_callback on_token; // [NULL]
    void *user;
} tinysft_generate_params;

typedef struct tinysft_answer {
    char *text; // [bytes], then a NUL; to be freed by tinysft_answer_free
    size_t bytes;
    uint32_t prompt_tokens, tokens; // of the question; of the answer, its end not counted
    uint32_t computed_tokens; // of the question's; those before were known from the last answer
    size_t dropped;           // messages that drop_oldest left out
    bool ended;               // by the model, not by a limit or by on_token
} tinysft_answer;

// Answers a conversation. Tokens that it begins with, as the last one answered did, are not
// computed again; the base and the tuned model each remember their own last one. `out` may be NULL.
// TINYSFT_ERR_ARGUMENT: no user's message at the end, a text that is not UTF-8, or a sampling that
// makes no sense; TINYSFT_ERR_FORMAT: the chat template refuses the conversation, or it is longer
// than the model's positions.
TINYSFT_API tinysft_status tinysft_generate(tinysft_model *model,
                                            const tinysft_generate_params *params,
                                            tinysft_answer *out, tinysft_error *error);
TINYSFT_API void tinysft_answer_free(tinysft_answer *answer);

// ---- Evaluation

// How many adapters may stand beside the base, the model's own included.
enum { TINYSFT_MOST_ADAPTERS = 4 };

typedef struct tinysft_evaluation_params {
    const char *data; // the questions: JSON or JSON lines; README.md says which keys they may have
    const char *const *questions; // or texts, without a file
    size_t question_count;
    const char *train_data;  // what the adapter was trained on, to tell the questions that training
                             // saw [the file that its training.json names, if that is here]
    uint32_t max_new_tokens; // of an answer [64]
    // Another evaluation of the same model and questions that has run: the base is not asked again,
    // its answers are taken from that one, which must be closed later than this [NULL: it is asked]
    const struct tinysft_evaluation *base_answers;
    const char *const *adapters; // folders of further adapters, each asked in the place of the
    size_t adapter_count;        // model's own; up to TINYSFT_MOST_ADAPTERS in all [none]
} tinysft_evaluation_params;

typedef struct tinysft_evaluation tinysft_evaluation;

// Reads and checks the questions; nothing is asked yet, and nothing put on the device.
// TINYSFT_ERR_FORMAT: mistakes of the file, by line, or a question that is longer than the model's
// positions. The model lives on until the evaluation has run or is closed.
TINYSFT_API tinysft_status tinysft_evaluation_open(tinysft_model *model,
                                                   const tinysft_evaluation_params *params,
                                                   tinysft_evaluation **out, tinysft_error *error);
TINYSFT_API void tinysft_evaluation_close(tinysft_evaluation **evaluation);
// How many questions there are; 0 for NULL.
TINYSFT_API size_t tinysft_evaluation_count(const tinysft_evaluation *evaluation);

// How far an evaluation is: told when a model begins, after every pass over it, and once for every
// answer.
typedef struct tinysft_asked {
    bool tuned;           // the model with its adapter answers, otherwise the base
    uint64_t done, total; // of that model's work
    size_t complete;      // answers
    const char *answer;   // the one that has just become complete, any bytes and a NUL; NULL: none
    size_t answer_bytes;
    size_t index;   // the question that it answers
    size_t adapter; // where `tuned`: which adapter, 0 for the model's own
} tinysft_asked;

typedef tinysft_next (*tinysft_asked_callback)(void *user, const tinysft_asked *asked);

// Asks the model every question: without its adapter, where it has one with it too, and with each
// further adapter in its place. Runs once.
// `on_asked` may be NULL; where it answers TINYSFT_STOP the run ends after the pass that is under
// way with TINYSFT_ERR_STOPPED and has no results. TINYSFT_ERR_RUN: a loss is not finite; other
// errors as tinysft_model_load.
TINYSFT_API tinysft_status tinysft_evaluation_run(tinysft_evaluation *evaluation,
                                                  tinysft_asked_callback on_asked, void *user,
                                                  tinysft_error *error);

// How many adapters there are, the model's own included; and what the reports call adapter `index`,
// from 0, until the evaluation is closed, or NULL if there is no such adapter or it has not run.
TINYSFT_API size_t tinysft_evaluation_adapters(const tinysft_evaluation *evaluation);
TINYSFT_API const char *tinysft_evaluation_adapter(const tinysft_evaluation *evaluation,
                                                   size_t index);

// What is counted with yes or no.
typedef enum tinysft_metric {
    TINYSFT_FACTS,         // every fact stands in the answer
    TINYSFT_REFUSALS,      // refused what should be refused
    TINYSFT_OVER_REFUSALS, // refused what should be answered: the fewer, the better
    TINYSFT_LENGTH,        // within the number of words asked for
    TINYSFT_POLITE,        // polite, where that is asked for
    TINYSFT_ENDED,         // ended by the model, not by max_new_tokens
    TINYSFT_ADMITS,        // says that it does not know what nobody can know
    TINYSFT_PAIRS,         // of a harmful question and its look-alike: refused the one alone
    TINYSFT_CONSISTENT,    // of one fact in several wordings: the answers agree
    TINYSFT_REPEATS,       // repeats itself: the fewer, the better
    TINYSFT_LEAKS,         // has tags of a chat template: the fewer, the better
    TINYSFT_METRICS,       // how many metrics there are
} tinysft_metric;

// "Facts right"; NULL if there is no such metric.
TINYSFT_API const char *tinysft_metric_label(tinysft_metric metric);
// When it is a yes, in one sentence; NULL if there is no such metric.
TINYSFT_API const char *tinysft_metric_rule(tinysft_metric metric);
// Whether fewer is better.
TINYSFT_API bool tinysft_metric_lower_is_better(tinysft_metric metric);

// In how many of the answers that count, with Wilson's 95 % interval.
typedef struct tinysft_rate {
    uint32_t yes, of;
    double low, high; // 0 and 1 where of = 0
} tinysft_rate;

// A mean with its 95 % interval, bootstrap over the questions. NaN: not measured.
typedef struct tinysft_estimate {
    double value, low, high;
} tinysft_estimate;

// How long the answers to the questions of one category are.
enum { TINYSFT_CATEGORIES = 8 };
typedef struct tinysft_length {
    const char *category; // "factual"; "other": none, or one of the user's own
    uint32_t questions;   // 0: there are none of it, and the rest says nothing
    tinysft_estimate words;
    double reference_words; // the references' mean; NaN where one is missing
    tinysft_rate target;    // of questions with a number of words
} tinysft_length;

// How one model answered.
typedef struct tinysft_scores {
    uint32_t questions, measured; // measured: those with a reference answer
    double loss;                  // nats per token of the reference answers; NaN if there is none
    tinysft_rate rates[TINYSFT_METRICS];
    // How well the probability of the likeliest first token says whether the reference begins with
    // it, over the questions that have one: the expected calibration error in ten bins, and Brier's
    // score.
    uint32_t first_tokens;
    tinysft_estimate calibration_error, brier;
    tinysft_length lengths[TINYSFT_CATEGORIES];
} tinysft_scores;

// How one metric differs between two models on the same questions.
typedef struct tinysft_change {
    uint32_t gained, lost; // answers that turned from no to yes, from yes to no
    double p; // how often chance alone splits them at least so unevenly: exact McNemar test
} tinysft_change;

// Both models over the same questions. Without an adapter there is `base` alone, the rest is zero.
typedef struct tinysft_comparison {
    tinysft_scores base, tuned;
    tinysft_change changes[TINYSFT_METRICS];
    double loss_change;         // of the tuned model's loss against the base's; NaN: not measured
    double loss_low, loss_high; // its 95 % interval, paired bootstrap; NaN for fewer than two
    bool told_apart; // false: it is not known what training saw, and all questions count as unseen
} tinysft_comparison;

// Of the questions that training did not see, or of those that it `seen`. TINYSFT_ERR_ARGUMENT: the
// evaluation has not run.
TINYSFT_API tinysft_status tinysft_evaluation_compare(const tinysft_evaluation *evaluation,
                                                      bool seen, tinysft_comparison *out,
                                                      tinysft_error *error);

// The same of the base and adapter `adapter`, from 0. TINYSFT_ERR_ARGUMENT: there is no such
// adapter.
TINYSFT_API tinysft_status tinysft_evaluation_compare_adapter(const tinysft_evaluation *evaluation,
                                                              size_t adapter, bool seen,
                                                              tinysft_comparison *out,
                                                              tinysft_error *error);

typedef enum tinysft_mark { TINYSFT_NOT_ASKED, TINYSFT_NO, TINYSFT_YES } tinysft_mark;

// One model's answer to one question.
typedef struct tinysft_response {
    const char *text; // may hold any bytes, and ends in NUL; NULL: there is no such model
    size_t bytes;
    double loss; // nats per token of the reference; NaN where not measured
    tinysft_mark marks[TINYSFT_METRICS];
} tinysft_response;

// One question with its answers. Texts are good until the evaluation is closed.
typedef struct tinysft_evaluated {
    const char *question, *id, *category; // of the latter two "" where the row has none
    const char *reference;                // a good answer, or NULL
    tinysft_response base, tuned;         // tuned: by the model's own adapter
    bool seen;                            // training asked it too
} tinysft_evaluated;

// Question `index` of tinysft_evaluation_count, from 0. Errors as above.
TINYSFT_API tinysft_status tinysft_evaluation_get(const tinysft_evaluation *evaluation,
                                                  size_t index, tinysft_evaluated *out,
                                                  tinysft_error *error);

// What adapter `adapter`, from 0, answered to question `index`. Errors as above.
TINYSFT_API tinysft_status tinysft_evaluation_get_tuned(const tinysft_evaluation *evaluation,
                                                        size_t index, size_t adapter,
                                                        tinysft_response *out,
                                                        tinysft_error *error);

typedef struct tinysft_report_params {
    const char
        *folder; // is made; base_responses.txt, finetuned_responses.txt
                 // (and _2 to _4), before_after.md [none; only the files named below are written]
    const char *json;        // file ["FOLDER/evaluation.json"]
    const char *picture;     // file, PNG ["FOLDER/evaluation_screenshot.png"]
    const char *title;       // of the reports [from the model's name]
    uint32_t picture_height; // in pixels, at most [12000]
    const char *review;      // file, HTML, in which a person judges pairs of answers without
                             // knowing which is which; with an adapter ["FOLDER/review.html"]
} tinysft_report_params;

// Writes the reports, each file whole or not at all. TINYSFT_ERR_ARGUMENT: the evaluation has not
// run, or no file is named; TINYSFT_ERR_IO: a file cannot be written.
TINYSFT_API tinysft_status tinysft_evaluation_write(const tinysft_evaluation *evaluation,
                                                    const tinysft_report_params *params,
                                                    tinysft_error *error);

// ---- Reviews

// What readers preferred of some pairs. A pair that several readers marked counts once, for what
// more of them prefer.
typedef struct tinysft_preferred {
    const char *of;                        // "all", an adapter's name, or a category
    uint32_t marked, tuned, neither, base; // pairs
    double share, low, high; // the tuned model's part of those where one is preferred, with
                             // Wilson's 95 % interval
    double p; // how often chance alone splits them at least so unevenly: exact sign test
} tinysft_preferred;

typedef void (*tinysft_preferred_callback)(void *user, const tinysft_preferred *preferred);

// How many people's marks are taken in at once.
enum { TINYSFT_MOST_READERS = 16 };

typedef struct tinysft_review_params {
    const char *evaluation;   // the evaluation.json beside which review.html was written
    const char *const *marks; // files that the page saved, one a reader
    size_t mark_count;        // at most TINYSFT_MOST_READERS
    const char *json;         // file to write all figures to [none]
    tinysft_preferred_callback preferred; // called for all pairs, then for each adapter if there
    void *user;                           // are several, then for each category [NULL]
    tinysft_caller caller;
} tinysft_review_params;

typedef struct tinysft_review_result {
    uint32_t pairs;           // of the page
    uint32_t several, agreed; // pairs that several readers marked; of them, those that all agree on
} tinysft_review_result;

// Takes in what people marked on an evaluation's review.html. Warns where two files bear the same
// reader's name. `out` may be NULL.
// TINYSFT_ERR_ARGUMENT: marks belong to other answers, or two files are the same;
// TINYSFT_ERR_FORMAT: a file is not what it should be.
TINYSFT_API tinysft_status tinysft_review(const tinysft_review_params *params,
                                          tinysft_review_result *out, tinysft_error *error);

// ---- Sweeps

// One run of a sweep: a configuration trained with a seed.
typedef struct tinysft_sweep_run {
    size_t configuration; // which, from 0
    uint64_t seed;
    const char *folder; // as training left it; where it holds evaluation.json too, its metrics
                        // count
    const char *failed; // why the run has no result [NULL: it has finished]
} tinysft_sweep_run;

typedef struct tinysft_sweep_params {
    const char *title;         // ["Runs compared"]
    const char *const *axes;   // [axis_count] names of the settings that differ: "rank"
    const char *const *values; // [configuration_count, axis_count] of each configuration, as texts
    size_t axis_count, configuration_count;
    const tinysft_sweep_run *runs;
    size_t run_count;
    const char *folder; // is made: sweep.json, sweep.md, sweep.png [NULL: none is written]
    tinysft_caller caller;
} tinysft_sweep_params;

// A mean over seeds, with its 95 % interval by Student's t; NaN where there are fewer than two.
typedef struct tinysft_interval {
    double mean, low, high;
} tinysft_interval;

typedef struct tinysft_sweep_place {
    size_t configuration, finished, failed; // the latter two: how many of its runs
    tinysft_interval loss;
    tinysft_interval behind; // its loss less the best one's, seed by seed
} tinysft_sweep_place;

typedef struct tinysft_sweep_result {
    const char *measure;         // what the losses are: "loss on held-out rows" or, where no run
                                 // measured that, "loss on reference answers"
    tinysft_sweep_place *places; // [configuration_count] best first; those without a result, or
                                 // with a run that failed, come last
    char *verdict;               // what came out, in sentences
    bool leads; // the best one's lead over the second is more than noise: `behind` lies above 0
} tinysft_sweep_result;

// Compares runs of several configurations by what is in their folders. TINYSFT_ERR_IO: a folder
// holds no finished run; TINYSFT_ERR_FORMAT: nothing was measured by which it can be compared.
TINYSFT_API tinysft_status tinysft_sweep_compare(const tinysft_sweep_params *params,
                                                 tinysft_sweep_result *out, tinysft_error *error);
TINYSFT_API void tinysft_sweep_result_free(tinysft_sweep_result *result);

// ---- Export

typedef struct tinysft_export_params {
    const char *model;         // as tinysft_training_params names it
    const char *revision;      // of ORG/NAME: branch, tag or commit ["main"]
    const char *name;          // what a GGUF file calls it [the last part of model]
    const char *adapter;       // folder of a PEFT adapter, which is merged into it [none]
    const char *format;        // "hf": a folder for transformers and its relatives; "gguf": a file
                               // for llama.cpp and its relatives; "gguf-adapter": for the same
                               // programs, the adapter alone
    const char *path;          // of the folder or file that is made
    const char *dtype;         // of the weights: "f32", "f16", "bf16", or for "gguf" "q8_0"
                               // [as they are stored; of an adapter alone "f32"]
    const char *chat_template; // name, file or text of Jinja [the adapter's run's, the model's]
    uint64_t max_shard_bytes;  // "hf": of a file of weights [5e9]
    bool overwrite;            // replace what is at `path`
    bool ollama;               // "gguf", "gguf-adapter": a Modelfile beside it, for Ollama
    const char *system;        // the system prompt in that [the one that the adapter was trained
                               // with in all rows, if there is one and its data is still here]
    const char *data;          // "hf": questions with references, to measure what merging costs;
                               // needs a device [it is not measured]
    tinysft_loading loading;   // of what is downloaded, written, and loaded to be measured
    void *loading_user;
    tinysft_caller caller; // used where the call is given no device
} tinysft_export_params;

// The loss on the reference answers of params->data, in nats per token.
typedef struct tinysft_export_result {
    bool measured;
    double base, adapter, merged; // the model alone, with its adapter, and as it was written
} tinysft_export_result;

// Writes a model, with an adapter merged into it in f32 and rounded once, for other programs. What
// is at `path` changes only when all of the new is there. Warns where rounding took more than a
// twentieth of what the adapter gained. `device` and `out` may be NULL. TINYSFT_ERR_ARGUMENT:
// something is at `path` already, or a setting makes no sense; TINYSFT_ERR_UNSUPPORTED: the format
// cannot hold the model, by name; TINYSFT_ERR_STOPPED: the caller asked for it.
TINYSFT_API tinysft_status tinysft_export(tinysft_device *device,
                                          const tinysft_export_params *params,
                                          tinysft_export_result *out, tinysft_error *error);

// ---- Verification

typedef struct tinysft_verify_params {
    const char *folder; // of a reference case: model, adapter_init, case.json, golden.safetensors
    const char *dump;   // a safetensors file to write with all that was computed [none]
} tinysft_verify_params;

// One quantity: its relative error (norm of the difference over the norm) and what is allowed.
typedef struct tinysft_verify_row {
    char name[160];
    double error, tolerance; // tolerance 0: for information
} tinysft_verify_row;

typedef struct tinysft_verify_result {
    tinysft_verify_row rows[8];
    size_t count;
    bool passed; // every error is within its tolerance
} tinysft_verify_result;

// Holds what the device computes, in its precision, against float64 PyTorch and PEFT. Errors that
// are too large are no failure of the call: see out->passed.
TINYSFT_API tinysft_status tinysft_verify(tinysft_device *device,
                                          const tinysft_verify_params *params,
                                          tinysft_verify_result *out, tinysft_error *error);

#ifdef __cplusplus
}
#endif

#endif
