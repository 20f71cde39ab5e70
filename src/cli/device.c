// The flags that choose a device, as parameters of the library.
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

tinysft_device_params ts_cli_device_params(const ts_gpu_params *flags, const char *precision)
{
    static char names[512]; // of what --mask-capability hides, with commas
    size_t len = 0;
    names[0] = '\0';
    for (size_t i = 0; ts_gpu_masks[i].name != NULL && len < sizeof names; i++) {
        if (flags->masks >> i & 1) {
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len > 0 ? "," : "",
                                    ts_gpu_masks[i].name);
        }
    }
    return (tinysft_device_params){.device = flags->device,
                                   .hide = len > 0 ? names : NULL,
                                   .validate = flags->validate,
                                   .no_tuning = flags->no_tuning,
                                   .precision = precision,
                                   .caller = ts_cli_caller};
}
