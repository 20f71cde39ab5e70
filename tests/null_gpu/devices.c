// The cards by name. The numbers are from the list of PCI ids and from the vendors' documents, and
// are the same in Mesa.
#include "null_gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INTEL = 0x8086, NVIDIA = 0x10de, AMD = 0x1002 };

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
    // Radeon RX 480, RX Vega 64, RX 5700 XT, RX 6900 XT, RX 7900 XTX, 890M, RX 9060 XT
    {"polaris10", &null_amdgpu, AMD, 0x67df, .amd = {130, 0x50, 8, 0, 4, 1, 9, true, 0x22011003}},
    {"vega10", &null_amdgpu, AMD, 0x687f, .amd = {141, 0x01, 9, 0, 4, 1, 16, true, 0x2a114042}},
    {"navi10", &null_amdgpu, AMD, 0x731f, .amd = {143, 0x01, 10, 1, 2, 2, 10, true, 0x44}},
    {"navi21", &null_amdgpu, AMD, 0x73bf, .amd = {143, 0x28, 10, 3, 4, 2, 10, true, 0x444}},
    {"navi31", &null_amdgpu, AMD, 0x744c, .amd = {145, 0x01, 11, 0, 6, 2, 8, true, 0x545}},
    {"gfx1150", &null_amdgpu, AMD, 0x150e, .amd = {150, 0x01, 11, 5, 1, 2, 8, false, 0x242}},
    {"gfx1200", &null_amdgpu, AMD, 0x7590, .amd = {152, 0x40, 12, 0, 2, 2, 8, true, 0x444}},
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
