// Linked into every program of a sanitizer build. Drivers keep memory in static variables and the
// Vulkan loader unloads them; from then on the leak checker sees nobody who points at that memory.
// So nothing is unloaded, and what is still reported is a leak.
int dlclose(void *library);
int dlclose(void *library)
{
    (void)library;
    return 0;
}

// The validation layer leaves rings of objects behind that point at each other, and Criterion the
// odd record of a test. Nothing of ours is ever allocated in there.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libVkLayer_khronos_validation\nleak:libcriterion\n";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}
