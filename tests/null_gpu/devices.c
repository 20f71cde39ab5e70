// The cards by name. The numbers are from the list of PCI ids and from the vendors' documents, and
// are the same in Mesa.
#include "null_gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INTEL = 0x8086, NVIDIA = 0x10de };

static const struct null_device devices[] = {
    // Skylake's HD 530, Iris Xe of Tiger Lake and Alder Lake, Arc A770, Meteor Lake's Arc
    {"skl", &null_i915, INTEL, 0x1912, .intel = {1, 3, 8, false, 12000000}},
    {"tgl", &null_i915, INTEL, 0x9a49, .intel = {1, 6, 16, false, 19200000}},
    {"adl", &null_i915, INTEL, 0x46a6, .intel = {1, 6, 16, false, 19200000}},
    {"dg2", &null_i915, INTEL, 0x56a0, .intel = {1, 32, 16, true, 19200000}},
    {"mtl", &null_i915, INTEL, 0x7d55, .intel = {1, 8, 16, false, 19200000}},
    // Lunar Lake's Arc, Arc B580
    {"lnl", &null_xe, INTEL, 0x64a0, .intel = {1, 8, 8, false, 19200000, 20, 4}},
    {"bmg", &null_xe, INTEL, 0xe20b, .intel = {1, 20, 8, true, 19200000, 20, 1}},
    // GeForce RTX 2080, 3080, 4080
    {"turing", &null_nouveau, NVIDIA, 0x1e87, .nvidia = {0x164, 0xc5b5, 0xc597, 0xc5c0, 6, 23}},
    {"ampere", &null_nouveau, NVIDIA, 0x2206, .nvidia = {0x172, 0xc7b5, 0xc797, 0xc7c0, 6, 34}},
    {"ada", &null_nouveau, NVIDIA, 0x2704, .nvidia = {0x193, 0xc7b5, 0xc997, 0xc9c0, 7, 38}},
    // Snapdragon 888, Snapdragon 8 Gen 2
    {"a660", &null_msm, .adreno = {660, 0x06060000, 1536 << 10}},
    {"a740", &null_msm, .adreno = {740, 0x43050a01, 3072 << 10}},
};

const struct null_device *null_device;

// Runs before the program does anything, the loader's search for drivers included.
__attribute__((constructor)) static void choose(void)
{
    const char *name = getenv("NULL_GPU");
    if (name == NULL) {
        return;
    }
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        if (strcmp(devices[i].name, name) == 0) {
            null_device = &devices[i];
            return;
        }
    }
    fprintf(stderr, "null_gpu: NULL_GPU names no card: '%s' (there are", name);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        fprintf(stderr, "%s %s", i > 0 ? "," : "", devices[i].name);
    }
    fputs(")\n", stderr);
    _exit(2);
}
