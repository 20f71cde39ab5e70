// The one place that carries volk's code: it finds libvulkan at run time.
#define VOLK_IMPLEMENTATION
#include <volk.h>
