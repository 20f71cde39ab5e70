// The header as C++ reads it: it needs nothing before it, and what it declares links.
#include <tinysft/tinysft.h>

int main()
{
    tinysft_training_params params{};
    tinysft_error error{};
    tinysft_training *training = nullptr;
    params.data = "rows.jsonl";
    tinysft_status status = tinysft_training_open(nullptr, &params, &training, &error);
    tinysft_training_close(&training);
    return status == TINYSFT_ERR_ARGUMENT && tinysft_version()[0] != '\0' ? 0 : 1;
}
