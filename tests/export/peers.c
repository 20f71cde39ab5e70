// Compares what llama.cpp and transformers compute from an export of the embedded model with what
// the program computes. Skipped where there is no root with them (peers_test.h).
// TINYSFT_EXPORT_ADAPTER names an adapter of the embedded model to take instead of a random one.
#include "peers_test.h"

static void open_source(struct asking *a)
{
    static const ts_adapter_config light = {
        .r = 4, .alpha = 2, .use_rslora = true, .targets = TS_MODULES_ALL};
    const char *adapter = getenv("TINYSFT_EXPORT_ADAPTER");
    place_open_base(&a->p, &light);
    if (adapter != NULL) {
        ts_export_source_close(&a->p.source);
        snprintf(a->p.adapter, sizeof a->p.adapter, "%s", adapter);
        MUST(ts_export_source_open(a->p.weights, &a->p.config, adapter, &a->p.source, err));
    }
}

static void export_as(struct asking *a, const char *name, ts_export_format format, ts_dtype dtype,
                      bool merged)
{
    char path[128];
    ts_export_source base = a->p.source;
    snprintf(path, sizeof path, "%s/%s", a->p.folder, name);
    base.adapter = (ts_adapter_config){0};
    a->p.params.path = path;
    a->p.params.format = format;
    a->p.params.convert = true;
    a->p.params.dtype = dtype;
    MUST(ts_export_run(merged ? &a->p.source : &base, &a->p.params, err));
}

static void write_runs(struct asking *a)
{
    ts_weights *quantised = NULL;
    char file[128];
    snprintf(file, sizeof file, "%s/q8_0.gguf", a->p.folder);
    MUST(ts_weights_open(file, &quantised, err));
    const struct run runs[] = {
        {.model = "f16.gguf", .kind = "f16", .most = 1e-3, .logits = "logits.bin"},
        {.model = "base.gguf", .lora = "lora.gguf", .kind = "f16"},
        {.model = "q8_0.gguf", .kind = "q8_0", .weights = quantised, .most = 1e-2},
    };
    write_expected(a, runs, TS_COUNT(runs));
    ts_weights_close(quantised);
}

Test(peers, llama_cpp_and_transformers, .timeout = 1200)
{
    const char *root = find_root();
    struct asking a = {0};
    if (root == NULL) {
        cr_skip_test("no TINYSFT_ROOTS has a root testing with llama.cpp that may be entered");
    }
    a.gpu = test_gpu_open();
    open_source(&a);
    open_questions(&a);
    open_prompts(&a);
    export_as(&a, "f16.gguf", TS_EXPORT_GGUF, TS_F16, true);
    export_as(&a, "q8_0.gguf", TS_EXPORT_GGUF, TS_Q8_0, true);
    export_as(&a, "base.gguf", TS_EXPORT_GGUF, TS_F16, false);
    export_as(&a, "lora.gguf", TS_EXPORT_GGUF_ADAPTER, TS_F32, true);
    export_as(&a, "hf", TS_EXPORT_HF, TS_F32, true);
    write_text(&a);
    write_runs(&a);
    cr_expect_eq(run_in_root(root, a.p.folder, "python3 tools/peers/compare_export.py ."), 0);
    asking_close(&a);
    test_gpu_close(a.gpu);
}
