// Linked into every program of a sanitizer build. Drivers keep memory in static variables, and the
// Vulkan loader unloads the drivers. After that the leak checker finds no pointer to that memory
// and reports a leak. So this dlclose unloads nothing, and what is still reported is a real leak.
int dlclose(void *library);
int dlclose(void *library)
{
    (void)library;
    return 0;
}

// The validation layer leaves cycles of objects behind, Criterion the record of a test now and
// then, and Open MPI what it asked its launcher; of that asprintf's texts can no more be told whose
// they are. This program's own code never allocates in there.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libVkLayer_khronos_validation\nleak:libcriterion\nleak:libmpi\nleak:libopen-pal\n"
           "leak:libopen-rte\nleak:mca_\nleak:libpmix\nleak:libhwloc\nleak:__vasprintf_internal\n";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}
