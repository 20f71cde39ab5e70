// The lines of a person at a terminal, or of a script.
#ifndef TS_CLI_CHAT_LINE_H
#define TS_CLI_CHAT_LINE_H

// Asks for a line: on a terminal with `prompt`, with editing and the earlier lines at the arrow
// keys where libedit or libreadline is installed, and plain otherwise. The line has no line feed
// at its end; the caller frees it. NULL at the end of the input.
char *ts_chat_read_line(const char *prompt);

#endif
