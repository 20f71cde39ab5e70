// --logging-dir: event files as TensorBoard reads them. Few fields of few messages are needed, so
// they are written here by hand: a number of a field and its kind, then its value.
#include "train/log_formats.h"

#include "base/memory.h"
#include "base/os.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "events.out.tfevents."
#define SUFFIX ".tinysft-vk"

enum { MOST_BYTES = 1 << 30, FRAME_BYTES = 16, HEAD_BYTES = 12 };
// Fields of Event, Summary, Summary.Value and SessionLog, and how their values are written.
enum {
    EVENT_TIME = 1,
    EVENT_STEP = 2,
    EVENT_VERSION = 3,
    EVENT_SUMMARY = 5,
    EVENT_SESSION = 7,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1,
    VALUE_SIMPLE = 2,
    SESSION_STATUS = 1,
    SESSION_START = 1,
};
enum { KIND_VARINT = 0, KIND_64 = 1, KIND_BYTES = 2, KIND_32 = 5 };

// ---- Writing

// A message that is being written. All that is written here is far shorter than the room.
typedef struct message {
    uint8_t bytes[TS_LOG_ENTRY_BYTES - FRAME_BYTES];
    size_t len;
} message;

static void put(message *m, const void *bytes, size_t len)
{
    if (len <= sizeof m->bytes - m->len) {
        memcpy(m->bytes + m->len, bytes, len);
        m->len += len;
    }
}

static void put_varint(message *m, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)(value & 0x7F) | (value > 0x7F ? 0x80 : 0);
        put(m, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static void put_number(message *m, unsigned field, uint64_t value)
{
    put_varint(m, field << 3 | KIND_VARINT);
    put_varint(m, value);
}

// The `size` lowest bytes of a number, the lowest first.
static void put_fixed(message *m, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        put(m, &byte, 1);
    }
}

static void put_double(message *m, unsigned field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_varint(m, field << 3 | KIND_64);
    put_fixed(m, bits, sizeof bits);
}

static void put_float(message *m, unsigned field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_varint(m, field << 3 | KIND_32);
    put_fixed(m, bits, sizeof bits);
}

static void put_bytes(message *m, unsigned field, const void *bytes, size_t len)
{
    put_varint(m, field << 3 | KIND_BYTES);
    put_varint(m, len);
    put(m, bytes, len);
}

// CRC-32C (Castagnoli), reflected, and masked as TFRecord masks it, since a checksum of data that
// hold checksums is weak.
static uint32_t masked_crc(const uint8_t *bytes, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
        }
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

// TFRecord: the length in 64 bits and its checksum, the bytes and their checksum.
static size_t frame(const message *event, uint8_t *out)
{
    message framed = {0};
    put_fixed(&framed, event->len, 8);
    put_fixed(&framed, masked_crc(framed.bytes, 8), 4);
    memcpy(out, framed.bytes, HEAD_BYTES);
    memcpy(out + HEAD_BYTES, event->bytes, event->len);
    framed.len = 0;
    put_fixed(&framed, masked_crc(event->bytes, event->len), 4);
    memcpy(out + HEAD_BYTES + event->len, framed.bytes, 4);
    return FRAME_BYTES + event->len;
}

size_t ts_log_event_of_scalars(double time, uint64_t step, const ts_log_scalar *scalars,
                               size_t count, uint8_t out[TS_LOG_ENTRY_BYTES])
{
    message event = {0}, summary = {0};
    for (size_t i = 0; i < count; i++) {
        message value = {0};
        if (!isnan(scalars[i].value)) {
            put_bytes(&value, VALUE_TAG, scalars[i].tag, strlen(scalars[i].tag));
            put_float(&value, VALUE_SIMPLE, (float)scalars[i].value);
            put_bytes(&summary, SUMMARY_VALUE, value.bytes, value.len);
        }
    }
    put_double(&event, EVENT_TIME, time);
    put_number(&event, EVENT_STEP, step);
    put_bytes(&event, EVENT_SUMMARY, summary.bytes, summary.len);
    return frame(&event, out);
}

size_t ts_log_event_of_start(double time, uint64_t step, uint8_t out[TS_LOG_ENTRY_BYTES])
{
    static const char version[] = "brain.Event:2";
    message event = {0}, session = {0};
    put_double(&event, EVENT_TIME, time);
    put_bytes(&event, EVENT_VERSION, version, strlen(version));
    size_t len = frame(&event, out);
    if (step > 0) {
        event.len = 0;
        put_number(&session, SESSION_STATUS, SESSION_START);
        put_double(&event, EVENT_TIME, time);
        put_number(&event, EVENT_STEP, step + 1);
        put_bytes(&event, EVENT_SESSION, session.bytes, session.len);
        len += frame(&event, out + len);
    }
    return len;
}

// ---- Reading what an earlier run wrote

static uint64_t fixed_of(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

// Reads a varint at *at and moves *at past it. False where the bytes end before it does.
static bool take_varint(const uint8_t *bytes, size_t len, size_t *at, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; *at < len && shift < 64; shift += 7) {
        uint8_t byte = bytes[(*at)++];
        *out |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

// What of an event decides whether it is kept.
typedef struct event_info {
    uint64_t step;
    bool scalars, held_out; // it has numbers; they are of held-out rows
} event_info;

// Takes one field of an event at *at. False if it is damaged.
static bool take_field(const uint8_t *bytes, size_t len, size_t *at, event_info *out)
{
    static const char tag[] = "eval/loss";
    uint64_t key, value = 0;
    if (!take_varint(bytes, len, at, &key)) {
        return false;
    }
    unsigned kind = key & 7;
    uint64_t size = kind == KIND_64 ? 8 : kind == KIND_32 ? 4 : 0;
    if (kind == KIND_VARINT || kind == KIND_BYTES) {
        if (!take_varint(bytes, len, at, &value)) {
            return false;
        }
        size = kind == KIND_BYTES ? value : 0;
    } else if (size == 0) {
        return false;
    }
    if (size > len - *at) {
        return false;
    }
    if (key >> 3 == EVENT_STEP && kind == KIND_VARINT) {
        out->step = value;
    } else if (key >> 3 == EVENT_SUMMARY && kind == KIND_BYTES) {
        out->scalars = true;
        out->held_out = memmem(bytes + *at, (size_t)size, tag, strlen(tag)) != NULL;
    }
    *at += (size_t)size;
    return true;
}

static bool is_kept(const uint8_t *bytes, size_t len, ts_logs_kept kept)
{
    event_info event = {0};
    for (size_t at = 0; at < len;) {
        if (!take_field(bytes, len, &at, &event)) {
            return false;
        }
    }
    return !event.scalars || event.step <= (event.held_out ? kept.evaluated : kept.step);
}

size_t ts_log_events_measure(const uint8_t *bytes, size_t len, ts_logs_kept kept)
{
    size_t at = 0;
    while (len - at >= FRAME_BYTES) {
        const uint64_t size = fixed_of(bytes + at, 8);
        const uint8_t *event = bytes + at + HEAD_BYTES;
        if (size > len - at - FRAME_BYTES ||
            fixed_of(bytes + at + 8, 4) != masked_crc(bytes + at, 8) ||
            fixed_of(event + size, 4) != masked_crc(event, (size_t)size) ||
            !is_kept(event, (size_t)size, kept)) {
            break;
        }
        at += FRAME_BYTES + (size_t)size;
    }
    return at;
}

static bool is_ours(const char *name)
{
    size_t len = strlen(name), suffix = strlen(SUFFIX);
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 && len > suffix &&
           strcmp(name + len - suffix, SUFFIX) == 0;
}

static ts_status cut_file(const char *path, ts_logs_kept kept, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    ts_file_append file = {0};
    if (kept.step == 0) {
        if (ts_os_delete(path) != 0) {
            TS_FAIL(TS_ERR_IO, "--logging-dir: %s: an earlier run's log cannot be deleted", path);
        }
        return TS_OK;
    }
    TS_TRY(ts_file_read(path, MOST_BYTES, &text, err));
    size_t keep = ts_log_events_measure((const uint8_t *)text.bytes, text.len, kept);
    if (keep < text.len) {
        TS_TRY(ts_file_append_open(path, keep, &file, err));
    }
out:
    ts_file_append_close(&file);
    ts_text_free(&text);
    return status;
}

ts_status ts_log_events_cut(const char *folder, ts_logs_kept kept, ts_error *err)
{
    ts_status status = TS_OK;
    ts_os_names names = {0};
    ts_text path = {0};
    int reason = ts_os_list(folder, &names); // which is there, and empty where it was just made
    if (reason != 0) {
        TS_FAIL(TS_ERR_IO, "%s: cannot read the folder, in which earlier logs may be: %s", folder,
                strerror(reason));
    }
    for (size_t i = 0; i < names.count; i++) {
        if (is_ours(names.names[i])) {
            ts_text_free(&path);
            TS_TRY(ts_path_join(folder, names.names[i], &path, err));
            TS_TRY(cut_file(path.bytes, kept, err));
        }
    }
out:
    ts_os_names_free(&names);
    ts_text_free(&path);
    return status;
}

ts_status ts_log_events_find(const char *folder, bool *any, ts_error *err)
{
    ts_os_names names = {0};
    *any = false;
    if (ts_file_exists(folder) && !ts_folder_exists(folder)) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "--logging-dir %s: a file is there, and a folder "
                            "is needed",
                            folder);
    }
    ts_os_list(folder, &names);
    for (size_t i = 0; i < names.count; i++) {
        *any |= is_ours(names.names[i]);
    }
    ts_os_names_free(&names);
    return TS_OK;
}

ts_status ts_log_events_name(const char *folder, double time, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    char host[128], name[256];
    ts_os_host_name(host, sizeof host);
    for (char *c = host; *c != '\0'; c++) {
        *c = *c == '/' ? '-' : *c;
    }
    for (unsigned number = 0;; number++) { // a container's processes may have equal numbers
        snprintf(name, sizeof name, PREFIX "%.0f.%s.%ld.%u" SUFFIX, floor(time), host,
                 ts_os_process(), number);
        ts_text_free(out);
        TS_TRY(ts_path_join(folder, name, out, err));
        if (!ts_file_exists(out->bytes)) {
            break;
        }
    }
out:
    return status;
}
