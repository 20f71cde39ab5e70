// A conversation with a model: what `chat` keeps of it (chat.c) and its commands (chat_commands.c).
#ifndef TS_CLI_CHAT_H
#define TS_CLI_CHAT_H

#include <tinysft/tinysft.h>

#include "base/text.h"

// Starts zeroed, but for `model` and what the flags say.
typedef struct ts_chat {
    tinysft_model *model;
    tinysft_model_info info;
    tinysft_sampling sampling;
    uint32_t max_new_tokens;
    bool json;              // answers are printed as JSON lines
    bool base;              // the base is asked, although there is an adapter
    tinysft_message *turns; // [count] their texts are owned; the first may be the system's
    size_t count, capacity;
    size_t answers; // given so far: each has random numbers of its own
    bool ends;      // by /quit
} ts_chat;

void ts_chat_free(ts_chat *chat);
// Sets the system message; "" removes it. The rest of the conversation stays.
ts_status ts_chat_set_system(ts_chat *chat, const char *text, ts_error *err);
// Forgets the conversation, but not the system message.
void ts_chat_reset(ts_chat *chat);
// Asks, prints the answer as it comes, and keeps both. With `both` the base answers first, and the
// conversation goes on with the adapter's answer.
ts_status ts_chat_ask(ts_chat *chat, const char *text, bool both, ts_error *err);

// Runs a line that begins with "/". A mistake in it is printed and is not an error. Errors are
// TS_ERR_MEMORY and those of ts_chat_ask.
ts_status ts_chat_command(ts_chat *chat, const char *line, ts_error *err);

#endif
