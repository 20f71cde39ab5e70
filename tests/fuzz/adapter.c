// data/adapter.c: PEFT's adapter_config.json. A configuration that was read and written again must
// read the same.
#include "fuzz.h"

#include "data/adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_error err = {0};
    ts_adapter_config config = {0}, again = {0};
    ts_text text = {0};
    fuzz_file("adapter_config.json", data, size);
    ts_status status = ts_adapter_config_read(fuzz_folder(), &config, &err);
    fuzz_check_status(status, &err);
    if (status == TS_OK) {
        FUZZ_CHECK(config.r > 0 && config.r <= TS_ADAPTER_MAX_RANK && config.targets != 0);
        FUZZ_CHECK(ts_adapter_config_write(&config, &text, &err) == TS_OK);
        fuzz_file("adapter_config.json", text.bytes, text.len);
        FUZZ_CHECK(ts_adapter_config_read(fuzz_folder(), &again, &err) == TS_OK);
        FUZZ_CHECK(again.r == config.r && again.alpha == config.alpha);
        FUZZ_CHECK(again.dropout == config.dropout && again.targets == config.targets);
        FUZZ_CHECK(again.use_rslora == config.use_rslora);
        FUZZ_CHECK(again.base_model.len == config.base_model.len);
        FUZZ_CHECK(config.base_model.len == 0 ||
                   memcmp(again.base_model.bytes, config.base_model.bytes, config.base_model.len) ==
                       0);
        ts_text_free(&text);
        FUZZ_CHECK(ts_adapter_card_write(&config, NULL, &text, &err) == TS_OK);
    }
    ts_text_free(&text);
    ts_adapter_config_free(&again);
    ts_adapter_config_free(&config);
    return 0;
}
