#include "data/file_kind.h"

#include "base/memory.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define BY_PANDAS(reader)                                                                          \
    "python3 -c \"import pandas; pandas." reader                                                   \
    "('FILE').to_json('rows.jsonl', orient='records', lines=True)\""

typedef struct kind {
    const char *start; // the first bytes of such a file
    size_t len;
    const char *name, *convert;
} kind;
#define START(text) (text), sizeof(text) - 1

static const kind kinds[] = {
    {START("PAR1"), "a Parquet file", "make JSON lines of it: " BY_PANDAS("read_parquet")},
    {START("ARROW1"), "an Arrow (Feather) file",
     "make JSON lines of it: " BY_PANDAS("read_feather")},
    {START("\xFF\xFF\xFF\xFF"), "an Arrow stream, as the datasets library keeps",
     "make JSON lines of it: datasets.Dataset.from_file('FILE').to_json('rows.jsonl')"},
    {START("Obj\x01"), "an Avro file", "make JSON lines of it with avro-tools tojson"},
    {START("SQLite format 3"), "an SQLite database",
     "make JSON of it: sqlite3 -json FILE 'select * from TABLE' > rows.json"},
    {START("PK\x03\x04"), "a zip archive (or an office document)",
     "unpack it (unzip FILE) and give the JSON file in it"},
    {START("\x1F\x8B"), "compressed by gzip", "unpack it: gunzip -k FILE"},
    {START("\x28\xB5\x2F\xFD"), "compressed by zstd", "unpack it: zstd -d FILE"},
    {START("\xFD"
           "7zXZ"),
     "compressed by xz", "unpack it: unxz -k FILE"},
    {START("BZh"), "compressed by bzip2", "unpack it: bunzip2 -k FILE"},
    {START("7z\xBC\xAF"), "a 7-Zip archive", "unpack it: 7z x FILE"},
    {START("\xFF\xFE\x00\x00"), "text in UTF-32",
     "make UTF-8 of it: iconv -f UTF-32 -t UTF-8 FILE > rows.jsonl"},
    {START("\xFF\xFE"), "text in UTF-16",
     "make UTF-8 of it: iconv -f UTF-16 -t UTF-8 FILE > rows.jsonl"},
    {START("\xFE\xFF"), "text in UTF-16",
     "make UTF-8 of it: iconv -f UTF-16 -t UTF-8 FILE > rows.jsonl"},
    {START("{\0"), "text in UTF-16",
     "make UTF-8 of it: iconv -f UTF-16LE -t UTF-8 FILE > rows.jsonl"},
    {START("[\0"), "text in UTF-16",
     "make UTF-8 of it: iconv -f UTF-16LE -t UTF-8 FILE > rows.jsonl"},
    {START("\0{"), "text in UTF-16",
     "make UTF-8 of it: iconv -f UTF-16BE -t UTF-8 FILE > rows.jsonl"},
    {START("\0["), "text in UTF-16",
     "make UTF-8 of it: iconv -f UTF-16BE -t UTF-8 FILE > rows.jsonl"},
    {START("%PDF"), "a PDF document", "write its questions and answers as JSON lines"},
    {START("\x7F"
           "ELF"),
     "a program", "give a JSON file"},
    {START("\x80\x02"), "a pickle", "make JSON lines of it with the program that wrote it"},
    {START("\x80\x03"), "a pickle", "make JSON lines of it with the program that wrote it"},
    {START("\x80\x04"), "a pickle", "make JSON lines of it with the program that wrote it"},
    {START("\x80\x05"), "a pickle", "make JSON lines of it with the program that wrote it"},
    {START("version https://git-lfs"), "a git-lfs pointer, not the file itself",
     "fetch that with git lfs pull"},
    {START("<!DOCTYPE"), "a web page", "download the file itself, not the page about it"},
    {START("<!doctype"), "a web page", "download the file itself, not the page about it"},
    {START("<html"), "a web page", "download the file itself, not the page about it"},
    {START("<?xml"), "an XML file", "make JSON lines of it"},
    {START("---\n"), "a YAML file", "make JSON of it"},
};

static bool has_ending(const char *path, const char *ending)
{
    size_t len = strlen(path), wanted = strlen(ending);
    return len > wanted && strcasecmp(path + len - wanted, ending) == 0;
}

// A tar archive has its mark at byte 257; a CSV file is recognised only by its name.
static const kind *kind_of(const char *path, const char *bytes, size_t len)
{
    static const kind tar = {NULL, 0, "a tar archive",
                             "unpack it (tar xf FILE) and give the JSON file in it"};
    static const kind csv = {NULL, 0, "a CSV table",
                             "make JSON lines of it: " BY_PANDAS("read_csv")};
    for (size_t i = 0; i < TS_COUNT(kinds); i++) {
        if (len >= kinds[i].len && memcmp(bytes, kinds[i].start, kinds[i].len) == 0) {
            return &kinds[i];
        }
    }
    if (len >= 262 && memcmp(bytes + 257, "ustar", 5) == 0) {
        return &tar;
    }
    size_t blank = 0;
    while (blank < len && memchr(" \t\r\n", bytes[blank], 4) != NULL) {
        blank++;
    }
    bool json = blank == len || bytes[blank] == '{' || bytes[blank] == '[';
    return !json && (has_ending(path, ".csv") || has_ending(path, ".tsv")) ? &csv : NULL;
}

ts_status ts_file_kind_check(const char *path, const char *bytes, size_t len, ts_error *err)
{
    const kind *found = kind_of(path, bytes, len);
    return found == NULL
               ? TS_OK
               : ts_error_set(err, TS_ERR_FORMAT, "%s: is %s, and JSON or JSON lines are read; %s",
                              path, found->name, found->convert);
}
