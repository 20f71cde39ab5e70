#include "data/safetensors.h"

#include "base/json.h"
#include "base/memory.h"
#include "data_test.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// A file of this header and `data_len` bytes 0, 1, 2, ..., opened.
static ts_status open_text(const char *header, size_t data_len, ts_tensors **out, ts_error *err)
{
    char *folder = make_folder();
    ts_text file = {0}, path = {0};
    uint64_t len = strlen(header);
    for (int i = 0; i < 8; i++) {
        char byte = (char)(len >> 8 * i);
        cr_assert_eq(ts_text_append(&file, &byte, 1, err), TS_OK);
    }
    cr_assert_eq(ts_text_append(&file, header, len, err), TS_OK);
    for (size_t i = 0; i < data_len; i++) {
        char byte = (char)i;
        cr_assert_eq(ts_text_append(&file, &byte, 1, err), TS_OK);
    }
    write_bytes(folder, "m.safetensors", file.bytes, file.len);
    cr_assert_eq(ts_path_join(folder, "m.safetensors", &path, err), TS_OK);
    ts_status status = ts_safetensors_open(path.bytes, out, err);
    cr_assert_eq(*out != NULL, status == TS_OK);
    cr_assert(status == TS_OK || strstr(err->message, "m.safetensors: ") != NULL, "%s",
              err->message);
    ts_text_free(&file);
    ts_text_free(&path);
    remove_folder(folder);
    return status;
}

#define TENSOR(name, dtype, shape, begin, end)                                                     \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end \
    "]}"

Test(safetensors, reads_what_is_right)
{
    ts_tensors *file = NULL;
    ts_error err = {0};
    cr_assert_eq(
        open_text(
            "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("b", "U8", "[3]", 8, 11) "," TENSOR(
                "a", "F32", "[1,2]", 0, 8) "," TENSOR("none", "F16", "[0,5]", 11,
                                                      11) "," TENSOR("s", "U8", "[]", 11,
                                                                     12) "}   ",
            12, &file, &err),
        TS_OK, "%s", err.message);
    cr_assert_eq(ts_tensors_count(file), 4);
    cr_expect_str_eq(ts_tensors_at(file, 0)->name, "a");
    cr_expect_str_eq(ts_tensors_at(file, 3)->name, "s");
    const ts_tensor *b = ts_tensors_find(file, "b");
    cr_assert_not_null(b);
    cr_expect_eq(b->rank, 1);
    cr_expect_eq(b->len, 3);
    cr_expect_arr_eq(b->bytes, "\x08\x09\x0A", 3);
    cr_expect_eq(ts_tensors_find(file, "s")->rank, 0);
    cr_expect_eq(ts_tensors_find(file, "none")->len, 0);
    cr_expect_null(ts_tensors_find(file, "B"));
    ts_tensors_close(file);
    cr_assert_eq(open_text("{}", 0, &file, &err), TS_OK, "%s", err.message);
    cr_expect_null(ts_tensors_find(file, "a"));
    ts_tensors_close(file);
}

Test(safetensors, refuses_every_lie)
{
    static const struct {
        const char *header;
        size_t data_len;
        ts_status status;
        const char *message;
    } cases[] = {
        {"", 0, TS_ERR_FORMAT, "does not start with '{'"},
        {" {}", 0, TS_ERR_FORMAT, "does not start with '{'"},
        {"[]", 0, TS_ERR_FORMAT, "does not start with '{'"},
        {"{", 0, TS_ERR_FORMAT, "header:1:2: expected a key"},
        {"{}x", 0, TS_ERR_FORMAT, "header:1:3: expected nothing after"},
        {"{\"a\":1}", 0, TS_ERR_FORMAT, "tensor 'a': expected an object, found a number"},
        {"{\"__metadata__\":[]}", 0, TS_ERR_FORMAT, "__metadata__: expected an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, TS_ERR_FORMAT, "'a' is a number, not a string"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("a", "F32", "[1]", 4, 8) "}", 8,
         TS_ERR_FORMAT, "key 'a' stands twice"},
        {"{" TENSOR("a", "F8_E4M3", "[4]", 0, 4) "}", 4, TS_ERR_UNSUPPORTED,
         "tensor 'a': data type 'F8_E4M3' is not supported"},
        {"{\"a\":{\"dtype\":7,\"shape\":[],\"data_offsets\":[0,4]}}", 4, TS_ERR_FORMAT,
         "tensor: a: key 'dtype': expected a string"},
        {"{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, TS_ERR_FORMAT, "'dtype' is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, TS_ERR_FORMAT,
         "shape: expected an array, found nothing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 4, TS_ERR_FORMAT,
         "data_offsets: expected two"},
        {"{" TENSOR("a", "F32", "[-1]", 0, 4) "}", 4, TS_ERR_FORMAT, "shape[0] is not a whole"},
        {"{" TENSOR("a", "F32", "[1.5]", 0, 4) "}", 4, TS_ERR_FORMAT, "shape[0] is not a whole"},
        {"{" TENSOR("a", "F32", "[1,\"2\"]", 0, 4) "}", 4, TS_ERR_FORMAT, "shape[1] is not a"},
        {"{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, TS_ERR_UNSUPPORTED,
         "more than 8 dimensions"},
        {"{" TENSOR("a", "F32", "[4294967296,4294967296]", 0, 0) "}", 0, TS_ERR_FORMAT,
         "product overflows"},
        {"{" TENSOR("a", "F32", "[4611686018427387904]", 0, 0) "}", 0, TS_ERR_FORMAT,
         "shape[0] is not a whole"},
        {"{" TENSOR("a", "F32", "[2]", 0, 4) "}", 4, TS_ERR_FORMAT,
         "its shape takes 8 bytes, its offsets give 4"},
        {"{" TENSOR("a", "F32", "[1]", 4, 0) "}", 4, TS_ERR_FORMAT, "before its start"},
        {"{" TENSOR("a", "F32", "[1]", -4, 0) "}", 4, TS_ERR_FORMAT, "expected two whole"},
        {"{" TENSOR("a", "F32", "[2]", 0, 8) "}", 7, TS_ERR_FORMAT,
         "tensor 'a': 1 bytes past the end of the file"},
        {"{" TENSOR("a", "F32", "[1]", 9007199254740988, 9007199254740992) "}", 4, TS_ERR_FORMAT,
         "expected two whole"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("b", "F32", "[1]", 2, 6) "}", 6,
         TS_ERR_FORMAT, "tensors 'a' and 'b' overlap"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("b", "F32", "[1]", 0, 4) "}", 4,
         TS_ERR_FORMAT, "overlap"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4) "," TENSOR("b", "F32", "[1]", 8, 12) "}", 12,
         TS_ERR_FORMAT, "4 bytes before tensor 'b' belong to no tensor"},
        {"{" TENSOR("a", "F32", "[1]", 4, 8) "}", 8, TS_ERR_FORMAT, "4 bytes before tensor 'a'"},
        {"{" TENSOR("a", "F32", "[1]", 0, 4) "}", 5, TS_ERR_FORMAT, "1 bytes after the last"},
        {"{}", 1, TS_ERR_FORMAT, "1 bytes after the last"},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_tensors *file = NULL;
        ts_error err = {0};
        cr_expect_eq(open_text(cases[i].header, cases[i].data_len, &file, &err), cases[i].status,
                     "%s: %s", cases[i].header, err.message);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%s: %s", cases[i].header,
                           err.message);
        ts_tensors_close(file);
    }
}

Test(safetensors, refuses_a_false_header_length)
{
    static const struct {
        const char bytes[48];
        size_t len;
        const char *message;
    } cases[] = {
        {"", 0, "0 bytes are too few"},
        {"\x02\0\0\0\0\0\0", 7, "7 bytes are too few"},
        {"\x03\0\0\0\0\0\0\0{}", 10, "ends inside its header (2 of 3 bytes)"},
        {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "claims a header of 18446744073709551615"},
        {"\xF8\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "claims a header of"},
        {"\0\0\0\0\0\0\0\0{}", 10, "does not start with '{'"},
        {"version https://git-lfs.github.com/spec/v1\noid", 46, "a git-lfs pointer, not the file"},
    };
    char *folder = make_folder();
    ts_text path = {0};
    ts_error err = {0};
    cr_assert_eq(ts_path_join(folder, "m.safetensors", &path, &err), TS_OK);
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_tensors *file = NULL;
        write_bytes(folder, "m.safetensors", cases[i].bytes, cases[i].len);
        cr_expect_eq(ts_safetensors_open(path.bytes, &file, &err), TS_ERR_FORMAT);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%s", err.message);
    }
    ts_text_free(&path);
    remove_folder(folder);
}

// Data whose offset is not a multiple of its element's size is still read correctly.
Test(safetensors, misaligned_data_is_copied)
{
    ts_tensors *file = NULL;
    ts_error err = {0};
    static const unsigned char expected[] = {1, 2, 3, 4, 5, 6, 7, 8};
    cr_assert_eq(
        open_text("{" TENSOR("a", "U8", "[1]", 0, 1) "," TENSOR("b", "F64", "[1]", 1, 9) "}", 9,
                  &file, &err),
        TS_OK, "%s", err.message);
    const ts_tensor *b = ts_tensors_find(file, "b");
    cr_expect_eq((uintptr_t)b->bytes % 8, 0);
    cr_expect_arr_eq(b->bytes, expected, 8);
    ts_tensors_close(file);
}

Test(safetensors, expect_says_what_it_found)
{
    ts_tensors *file = NULL;
    const ts_tensor *tensor = NULL;
    ts_error err = {0};
    cr_assert_eq(open_text("{" TENSOR("a", "U8", "[2,3]", 0, 6) "}", 6, &file, &err), TS_OK);
    cr_expect_eq(ts_tensors_expect(file, "a", 2, (uint64_t[]){2, 3}, &tensor, &err), TS_OK);
    cr_expect_eq(tensor, ts_tensors_find(file, "a"));
    cr_expect_eq(ts_tensors_expect(file, "a", 2, (uint64_t[]){3, 2}, &tensor, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "'a': expected shape [3, 2], found [2, 3]"), "%s",
                       err.message);
    cr_expect_eq(ts_tensors_expect(file, "a", 1, (uint64_t[]){6}, &tensor, &err), TS_ERR_FORMAT);
    cr_expect_eq(ts_tensors_expect(file, "b", 1, (uint64_t[]){6}, &tensor, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "m.safetensors: tensor 'b' [6] is missing"), "%s",
                       err.message);
    ts_tensors_close(file);
}

// Writes `count` tensors as FOLDER/NAME.
static void write_tensors(const char *folder, const char *name, const ts_tensor *tensors,
                          size_t count)
{
    ts_text text = {0};
    ts_error err = {0};
    cr_assert_eq(ts_safetensors_serialise(tensors, count, &text, &err), TS_OK, "%s", err.message);
    write_bytes(folder, name, text.bytes, text.len);
    ts_text_free(&text);
}

Test(safetensors, what_is_written_reads_back)
{
    static const float f[] = {1, 2, 3, 4, 5, 6};
    static const double d[] = {7};
    static const uint16_t h[] = {8, 9, 10};
    const ts_tensor tensors[] = {
        {"odd \"name\"\\\n", TS_U8, 1, {3}, "abc", 3}, {"h", TS_BF16, 1, {3}, h, sizeof h},
        {"f", TS_F32, 2, {2, 3}, f, sizeof f},         {"d", TS_F64, 0, {0}, d, sizeof d},
        {"empty", TS_F32, 2, {0, 4}, NULL, 0},
    };
    char *folder = make_folder();
    ts_text path = {0};
    ts_error err = {0};
    ts_tensors *file = NULL;
    write_tensors(folder, "m.safetensors", tensors, TS_COUNT(tensors));
    cr_assert_eq(ts_path_join(folder, "m.safetensors", &path, &err), TS_OK);
    cr_assert_eq(ts_safetensors_open(path.bytes, &file, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tensors_count(file), TS_COUNT(tensors));
    ts_map map = {0};
    cr_assert_eq(ts_map_open(path.bytes, &map, &err), TS_OK);
    cr_expect_eq((8 + map.bytes[0] + 256 * map.bytes[1]) % 8, 0);
    ts_map_close(&map);
    for (size_t i = 0; i < TS_COUNT(tensors); i++) {
        const ts_tensor *t = ts_tensors_find(file, tensors[i].name);
        cr_assert_not_null(t, "%s", tensors[i].name);
        cr_expect_eq(t->dtype, tensors[i].dtype);
        cr_expect_eq(t->rank, tensors[i].rank);
        cr_expect_eq(t->len, tensors[i].len);
        cr_expect_arr_eq(t->shape, tensors[i].shape, sizeof t->shape);
        if (t->len > 0) {
            cr_expect_arr_eq(t->bytes, tensors[i].bytes, t->len);
        }
    }
    ts_tensors_close(file);
    ts_text_free(&path);
    remove_folder(folder);
}

static ts_status open_folder(const char *folder, ts_tensors **file, ts_error *err)
{
    ts_status status = ts_safetensors_open_model(folder, file, err);
    cr_assert_eq(*file != NULL, status == TS_OK);
    return status;
}

Test(safetensors, shards)
{
    static const float one = 1, two = 2;
    const ts_tensor a = {"a", TS_F32, 0, {0}, &one, 4}, b = {"b", TS_F32, 0, {0}, &two, 4};
    char *folder = make_folder();
    ts_tensors *file = NULL;
    ts_error err = {0};
    cr_expect_eq(open_folder(folder, &file, &err), TS_ERR_IO);
    cr_expect_not_null(strstr(err.message, "neither model.safetensors nor its index"));
    write_tensors(folder, "m-1.safetensors", &a, 1);
    write_tensors(folder, "m-2.safetensors", &b, 1);
    const char *index = "model.safetensors.index.json";
    write_text(folder, index,
               "{\"metadata\":{\"total_size\":8},\"weight_map\":{\"b\":\"m-2.safetensors\","
               "\"a\":\"m-1.safetensors\"}}");
    cr_assert_eq(open_folder(folder, &file, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tensors_count(file), 2);
    cr_expect_eq(*(const float *)ts_tensors_find(file, "a")->bytes, 1);
    cr_expect_eq(*(const float *)ts_tensors_find(file, "b")->bytes, 2);
    ts_tensors_close(file);

    static const struct {
        const char *index, *message;
        ts_status status;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", "not the name of a file",
         TS_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "not the name of a file", TS_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"x/y\"}}", "not the name of a file", TS_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"x\\\\y\"}}", "not the name of a file", TS_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"..\"}}", "not the name of a file", TS_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"\"}}", "not the name of a file", TS_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":1}}", "not the name of a file", TS_ERR_FORMAT},
        {"{\"weight_map\":{}}", "names no tensors", TS_ERR_FORMAT},
        {"{\"weight_map\":[]}", "expected an object, found an array", TS_ERR_FORMAT},
        {"{}", "expected an object, found nothing", TS_ERR_FORMAT},
        {"[]", "expected an object, found nothing", TS_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"gone.safetensors\"}}", "gone.safetensors: cannot open",
         TS_ERR_IO},
        {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"copy.safetensors\"}}",
         "tensor 'a' stands in two shards", TS_ERR_FORMAT},
    };
    write_tensors(folder, "copy.safetensors", &a, 1);
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        write_text(folder, index, cases[i].index);
        cr_expect_eq(open_folder(folder, &file, &err), cases[i].status, "%s", cases[i].index);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%s: %s", cases[i].index,
                           err.message);
    }
    write_tensors(folder, "model.safetensors", &b, 1); // wins over the index
    cr_assert_eq(open_folder(folder, &file, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tensors_count(file), 1);
    ts_tensors_close(file);
    remove_folder(folder);
}

// An index entry without a tensor is an error only when the tensor is requested.
Test(safetensors, an_index_may_name_what_nobody_needs)
{
    static const float one = 1;
    const ts_tensor a = {"a", TS_F32, 0, {0}, &one, 4}, *found;
    const char *first = NULL;
    char *folder = make_folder();
    ts_tensors *file = NULL;
    ts_error err = {0};
    write_tensors(folder, "m-1.safetensors", &a, 1);
    write_text(folder, "model.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"m-1.safetensors\",\"c\":\"m-1.safetensors\"}}");
    cr_assert_eq(open_folder(folder, &file, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tensors_absent(file, &first), 1);
    cr_expect_str_eq(first, "c");
    cr_expect_eq(ts_tensors_expect(file, "c", 0, NULL, &found, &err), TS_ERR_FORMAT);
    cr_expect(strstr(err.message, "'c' [] is missing; by the index it should be in m-1.safeten"),
              "%s", err.message);
    ts_tensors_close(file);
    remove_folder(folder);
}

Test(safetensors, finds_nan_and_infinity_by_name)
{
    float f[6] = {0, 1e-45f, 3.4e38f, -1, 2, 3};
    const ts_tensor t = {"layer.w", TS_F32, 2, {2, 3}, f, sizeof f};
    char *folder = make_folder();
    ts_tensors *file = NULL;
    ts_error err = {0};
    for (int bad = 0; bad < 2; bad++) {
        f[4] = bad ? NAN : 2;
        f[5] = bad ? -INFINITY : 3;
        write_tensors(folder, "model.safetensors", &t, 1);
        cr_assert_eq(open_folder(folder, &file, &err), TS_OK, "%s", err.message);
        cr_expect_eq(ts_tensors_check_finite(file, ts_tensors_at(file, 0), &err),
                     bad ? TS_ERR_FORMAT : TS_OK);
        ts_tensors_close(file);
    }
    cr_expect(strstr(err.message, "tensor 'layer.w': 2 of its 6 values are NaN or infinite, the "
                                  "first at [1, 1]"),
              "%s", err.message);
    remove_folder(folder);
}

static void fingerprint(const char *folder, char out[65])
{
    ts_tensors *file = NULL;
    ts_error err = {0};
    cr_assert_eq(open_folder(folder, &file, &err), TS_OK, "%s", err.message);
    ts_tensors_fingerprint(file, out);
    ts_tensors_close(file);
}

// The same weights have the same fingerprint, however they are split into files; other weights have
// another.
Test(safetensors, fingerprints)
{
    enum { LARGE = 1 << 18 }; // floats: 1 MiB, of which a sample is taken
    float *large = calloc(LARGE, sizeof *large), small[2] = {1, 2};
    ts_tensor tensors[] = {{"a", TS_F32, 1, {2}, small, sizeof small},
                           {"b", TS_F32, 2, {4, LARGE / 4}, large, LARGE * sizeof *large}};
    char *folder = make_folder(), *shards = make_folder(), prints[7][65];
    for (int i = 0; i < 6; i++) {
        small[1] = i == 1 ? 3 : 2;
        large[LARGE - 1] = i == 2 ? 1 : 0;
        tensors[0].dtype = i == 3 ? TS_U32 : TS_F32;
        tensors[1].shape[0] = i == 4 ? 2 : 4;
        tensors[1].shape[1] = LARGE / tensors[1].shape[0];
        tensors[0].name = i == 5 ? "aa" : "a";
        write_tensors(folder, "model.safetensors", tensors, 2);
        fingerprint(folder, prints[i]);
        for (int j = 0; j < i; j++) {
            cr_expect_str_neq(prints[i], prints[j], "%d and %d", i, j);
        }
    }
    tensors[0].name = "a";
    write_tensors(shards, "x", &tensors[0], 1);
    write_tensors(shards, "y", &tensors[1], 1);
    write_text(shards, "model.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"x\",\"b\":\"y\"}}");
    fingerprint(shards, prints[6]);
    cr_expect_str_eq(prints[6], prints[0]);
    remove_folder(folder);
    remove_folder(shards);
    free(large);
}

Test(safetensors, notices_a_file_that_is_written_to)
{
    static const float one = 1, two = 2;
    const ts_tensor a = {"a", TS_F32, 0, {0}, &one, 4}, b = {"b", TS_F32, 0, {0}, &two, 4};
    char *folder = make_folder();
    ts_text path = {0};
    ts_tensors *file = NULL;
    ts_error err = {0};
    write_tensors(folder, "x", &a, 1);
    write_tensors(folder, "y", &b, 1);
    write_text(folder, "model.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"x\",\"b\":\"y\"}}");
    cr_assert_eq(open_folder(folder, &file, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tensors_check_unchanged(file, NULL, &err), TS_OK);
    cr_assert_eq(ts_path_join(folder, "y", &path, &err), TS_OK);
    cr_assert_eq(truncate(path.bytes, 20), 0);
    cr_expect_eq(ts_tensors_check_unchanged(file, ts_tensors_find(file, "a"), &err), TS_OK);
    cr_expect_eq(ts_tensors_check_unchanged(file, ts_tensors_find(file, "b"), &err), TS_ERR_IO);
    cr_expect(strstr(err.message, path.bytes), "%s", err.message);
    cr_expect_eq(ts_tensors_check_unchanged(file, NULL, &err), TS_ERR_IO);
    ts_tensors_close(file);
    ts_text_free(&path);
    remove_folder(folder);
}

// A file that PEFT wrote is the same to the byte when it is read and written again.
Test(safetensors, writes_what_the_reference_writes)
{
    const char *path = SHARED_FOLDER "/golden/nano/adapter_final/adapter_model.safetensors";
    ts_tensors *file = NULL;
    ts_error err = {0};
    ts_text text = {0}, expected = {0};
    if (!ts_file_exists(path)) {
        cr_skip_test("needs the golden cases");
    }
    cr_assert_eq(ts_safetensors_open(path, &file, &err), TS_OK, "%s", err.message);
    cr_assert_eq(
        ts_safetensors_serialise(ts_tensors_at(file, 0), ts_tensors_count(file), &text, &err),
        TS_OK);
    cr_assert_eq(ts_file_read(path, 1 << 20, &expected, &err), TS_OK);
    cr_expect_eq(text.len, expected.len);
    cr_expect_arr_eq(text.bytes, expected.bytes, text.len);
    ts_tensors_close(file);
    ts_text_free(&text);
    ts_text_free(&expected);
}

Test(safetensors, reads_the_golden_model)
{
    const char *folder = SHARED_FOLDER "/golden/nano/model";
    ts_tensors *file = NULL;
    ts_error err = {0};
    if (!ts_folder_exists(folder)) {
        cr_skip_test("needs the golden cases");
    }
    cr_assert_eq(ts_safetensors_open_model(folder, &file, &err), TS_OK, "%s", err.message);
    cr_expect_not_null(ts_tensors_find(file, "model.embed_tokens.weight"));
    cr_expect_not_null(ts_tensors_find(file, "model.layers.0.self_attn.q_proj.weight"));
    ts_tensors_close(file);
}

// Seeded damage to a valid file's bytes: refused or read, never a crash; and what is read lies
// within the file.
Test(safetensors, survives_mutation, .timeout = 120)
{
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("a", "F32", "[2,1]", 0, 8) "," TENSOR(
            "b.c", "BF16", "[3]", 8, 14) "," TENSOR("d", "U8", "[2]", 14, 16) "}";
    enum { LEN = 8 + sizeof header - 1 + 16, ROUNDS = 3000 };
    static const char alphabet[] = "{}[]\",:0123456789-.eFU \xFF\x01\x80";
    char *folder = make_folder();
    ts_text path = {0};
    ts_error err = {0};
    uint64_t seed = 7;
    unsigned accepted = 0;
    cr_assert_eq(ts_path_join(folder, "m.safetensors", &path, &err), TS_OK);
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char bytes[LEN] = {sizeof header - 1};
        memcpy(bytes + 8, header, sizeof header - 1);
        for (uint64_t edits = next_random(&seed) % 2 + 1; edits > 0; edits--) {
            uint64_t at = next_random(&seed) % LEN;
            bytes[at] = (unsigned char)alphabet[next_random(&seed) % (sizeof alphabet - 1)];
        }
        size_t len = next_random(&seed) % 8 == 0 ? next_random(&seed) % LEN : LEN;
        ts_tensors *file = NULL;
        write_bytes(folder, "m.safetensors", bytes, len);
        if (ts_safetensors_open(path.bytes, &file, &err) != TS_OK) {
            continue;
        }
        accepted++;
        unsigned sum = 0;
        for (size_t i = 0; i < ts_tensors_count(file); i++) {
            const ts_tensor *t = ts_tensors_at(file, i);
            for (uint64_t k = 0; k < t->len; k++) {
                sum += ((const unsigned char *)t->bytes)[k];
            }
        }
        cr_assert_lt(sum, 256 * 16);
        ts_tensors_close(file);
    }
    cr_expect_gt(accepted, ROUNDS / 50);
    cr_expect_lt(accepted, ROUNDS);
    ts_text_free(&path);
    remove_folder(folder);
}
