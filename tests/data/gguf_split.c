// A model in several GGUF files.
#include "data/gguf_split.h"

#include "../gguf_model.h"
#include "log_capture.h"
#include "data_test.h"

#define BASE PROJECT_FOLDER "/assets/base"

enum { PIECES = 3 };

static char *folder, first[256];

// What is wrong with one piece.
struct mistake {
    uint32_t piece;                  // from 1; 0: nothing is wrong
    uint32_t number, count, tensors; // claimed instead; 0: what is right
    bool missing, again;             // it is not written; it has the tensors of the one before
    bool values;                     // it has metadata of its own
    const char *words;               // of the error
    ts_status status;
};

static void piece_path(char out[300], uint32_t number)
{
    snprintf(out, 300, "%s/cut-%05u-of-%05u.gguf", folder, number, PIECES);
}

// The first piece has no tensors, as --no-tensor-first-split leaves it.
static void write_pieces(const struct mistake *m)
{
    ts_error err = {0};
    ts_weights *weights = NULL;
    const ts_tensors *tensors;
    cr_assert_eq(ts_weights_open(BASE, &weights, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_weights_tensors(weights, &tensors, &err), TS_OK, "%s", err.message);
    const size_t all = ts_tensors_count(tensors), share = all / (PIECES - 1) + 1;
    for (uint32_t piece = 1; piece <= PIECES; piece++) {
        const bool wrong = m->piece == piece;
        const uint32_t from = wrong && m->again ? piece - 1 : piece;
        gguf_file file = {0};
        char path[300];
        if (wrong && m->missing) {
            continue;
        }
        if (piece == 1) {
            gguf_model_metadata(&file, BASE, weights);
        }
        gguf_u32(&file, "split.no", (wrong && m->number > 0 ? m->number : piece) - 1);
        gguf_u32(&file, "split.count", wrong && m->count > 0 ? m->count : PIECES);
        gguf_u32(&file, "split.tensors.count",
                 wrong && m->tensors > 0 ? m->tensors : (uint32_t)all);
        if (wrong && m->values) {
            gguf_u32(&file, "llama.block_count", 99);
            gguf_u32(&file, "own.value", 1);
            gguf_u32(&file, "general.alignment", 32);
        }
        if (from > 1) {
            gguf_model_tensors(&file, weights, (from - 2) * share, (from - 1) * share, 1);
        }
        piece_path(path, piece);
        gguf_model_save(&file, path);
    }
    ts_weights_close(weights);
}

static void begin(void)
{
    folder = make_folder();
    snprintf(first, sizeof first, "%s/cut-00001-of-00003.gguf", folder);
}

static void end(void)
{
    remove_folder(folder);
}

TestSuite(gguf_split, .init = begin, .fini = end);

static ts_status open_at(const char *path, ts_weights **weights, const ts_tensors **tensors,
                         ts_error *err)
{
    ts_status status = ts_weights_open(path, weights, err);
    return status == TS_OK ? ts_weights_tensors(*weights, tensors, err) : status;
}

Test(gguf_split, pieces_are_the_model_that_one_file_is)
{
    ts_error err = {0};
    char path[300], hashes[2][65], tokenizers[2][TS_DIGEST_TEXT_BYTES];
    const char *paths[] = {path, first};
    char *configs[2];
    snprintf(path, sizeof path, "%s/whole.gguf", folder);
    gguf_model_write(BASE, path, 1, NULL);
    write_pieces(&(struct mistake){0});
    for (int i = 0; i < 2; i++) {
        ts_weights *weights = NULL;
        const ts_tensors *tensors = NULL;
        const cJSON *config;
        cr_assert_eq(open_at(paths[i], &weights, &tensors, &err), TS_OK, "%s", err.message);
        ts_tensors_fingerprint(tensors, hashes[i]);
        cr_assert_eq(ts_tensors_check_unchanged(tensors, NULL, &err), TS_OK, "%s", err.message);
        cr_assert_eq(ts_weights_hash_tokenizer(weights, tokenizers[i], &err), TS_OK);
        cr_assert_eq(ts_weights_read(weights, TS_PART_CONFIG, &config, NULL, &err), TS_OK, "%s",
                     err.message);
        configs[i] = cJSON_PrintUnformatted(config);
        ts_weights_close(weights);
    }
    cr_expect_str_eq(hashes[0], hashes[1]);
    cr_expect_str_eq(tokenizers[0], tokenizers[1]);
    cr_expect_str_eq(configs[0], configs[1]);
    cJSON_free(configs[0]);
    cJSON_free(configs[1]);
}

Test(gguf_split, metadata_of_a_later_piece_is_told)
{
    ts_error err = {0};
    ts_gguf *file = NULL;
    write_pieces(&(struct mistake){0});
    logged_clear();
    cr_assert_eq(ts_gguf_open_model(first, &file, &err), TS_OK, "%s", err.message);
    cr_expect_str_eq(logged, "");
    ts_gguf_close(file);
    write_pieces(&(struct mistake){.piece = 3, .values = true});
    cr_assert_eq(ts_gguf_open_model(first, &file, &err), TS_OK, "%s", err.message);
    cr_expect_not_null(
        strstr(logged, "-00003-of-00003.gguf: 2 values of its metadata without effect here"), "%s",
        logged);
    cr_expect_not_null(strstr(logged, "llama.block_count, ..."), "%s", logged);
    ts_gguf_close(file);
}

Test(gguf_split, every_piece_that_does_not_belong_is_named)
{
    static const struct mistake mistakes[] = {
        {.piece = 2,
         .missing = true,
         .words = "cut-00002-of-00003.gguf: is missing, piece 2 of 3 of ",
         .status = TS_ERR_IO},
        {.piece = 3,
         .number = 2,
         .words = "cut-00003-of-00003.gguf: says that it is piece 2 of 3, expected 3 of 3",
         .status = TS_ERR_FORMAT},
        {.piece = 3,
         .count = 4,
         .words = "cut-00003-of-00003.gguf: says that it is piece 3 of 4, expected 3 of 3",
         .status = TS_ERR_FORMAT},
        {.piece = 2,
         .tensors = 7,
         .words = "cut-00002-of-00003.gguf: is of a model of 7 tensors, and ",
         .status = TS_ERR_FORMAT},
        {.piece = 3,
         .again = true,
         .words = "stands in an earlier piece of ",
         .status = TS_ERR_FORMAT},
        {.piece = 1,
         .count = 2,
         .words =
             "cut-00001-of-00003.gguf: says that it is piece 1 of 2 of a split model; its name "
             "must end in -00001-of-00002.gguf",
         .status = TS_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        ts_error err = {0};
        ts_weights *weights = NULL;
        const ts_tensors *tensors;
        char path[300];
        for (uint32_t piece = 1; piece <= PIECES; piece++) {
            piece_path(path, piece);
            remove(path);
        }
        write_pieces(&mistakes[i]);
        cr_expect_eq(open_at(first, &weights, &tensors, &err), mistakes[i].status, "%zu: %s", i,
                     err.message);
        cr_expect_not_null(strstr(err.message, mistakes[i].words), "%zu: %s", i, err.message);
        ts_weights_close(weights);
    }
}

Test(gguf_split, fewer_tensors_than_promised_and_another_piece_than_the_first)
{
    ts_error err = {0};
    ts_weights *weights = NULL;
    const ts_tensors *tensors;
    char path[300];
    struct mistake fewer = {.piece = 3, .again = true}; // rewritten below without tensors
    write_pieces(&fewer);
    gguf_file file = {0};
    gguf_u32(&file, "split.no", 2);
    gguf_u32(&file, "split.count", PIECES);
    gguf_u32(&file, "split.tensors.count", 38);
    piece_path(path, 3);
    gguf_model_save(&file, path);
    cr_expect_eq(open_at(first, &weights, &tensors, &err), TS_ERR_FORMAT, "%s", err.message);
    cr_expect_not_null(strstr(err.message, "its 3 pieces have 20 tensors, expected 38"), "%s",
                       err.message);
    ts_weights_close(weights);
    weights = NULL;
    piece_path(path, 2);
    cr_expect_eq(open_at(path, &weights, &tensors, &err), TS_ERR_ARGUMENT, "%s", err.message);
    cr_expect_not_null(strstr(err.message, "piece 2 of 3 of a split model; give the first, "), "%s",
                       err.message);
    cr_expect_not_null(strstr(err.message, first), "%s", err.message);
    ts_weights_close(weights);
}

Test(gguf_split, names)
{
    uint32_t number, count;
    ts_text path = {0};
    ts_error err = {0};
    cr_assert(ts_gguf_split_parse("a/b-00012-of-00345.gguf", &number, &count));
    cr_expect(number == 12 && count == 345);
    cr_assert_eq(ts_gguf_split_path("a/b-00012-of-00345.gguf", 7, &path, &err), TS_OK);
    cr_expect_str_eq(path.bytes, "a/b-00007-of-00345.gguf");
    static const char *const others[] = {"",
                                         ".gguf",
                                         "b-00000-of-00003.gguf",
                                         "b-00004-of-00003.gguf",
                                         "b-0001-of-00003.gguf",
                                         "b-00001-of-00003.ggu",
                                         "b_00001-of-00003.gguf",
                                         "b-00001-on-00003.gguf",
                                         "b-00001-of-0000x.gguf",
                                         "00001-of-00003.gguf"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        cr_expect_not(ts_gguf_split_parse(others[i], &number, &count), "%s", others[i]);
    }
    ts_text_free(&path);
}
