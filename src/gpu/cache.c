#include "gpu/cache.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "gpu/internal.h"

#include <stdlib.h>
#include <string.h>

#define PIPELINES_FILE "pipelines.bin"
#define MAGIC "tsvkpipe"

// What stands in PIPELINES_FILE before the driver's own bytes. Not every driver checks the cache
// that it is given. So it gets these bytes back only where their checksum shows that none changed.
struct header {
    char magic[8];
    uint32_t version;
    uint32_t reserved; // 0
    uint64_t length;   // of the driver's bytes
    char sha256[64];   // of them, in hex
};
enum { VERSION = 1, MOST_BYTES = 256 << 20 };

// ---- The folder

// Appends the path of the folder that holds all devices' folders; nothing where nothing is kept.
static ts_status base_folder(ts_text *out, ts_error *err)
{
    const char *own = getenv("TINYSFT_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (own != NULL && own[0] != '\0') {
        return strcmp(own, "off") == 0 ? TS_OK : ts_text_format(out, err, "%s", own);
    }
    if (xdg != NULL && xdg[0] == '/') { // the XDG specification says to ignore relative paths
        return ts_text_format(out, err, "%s/tinysft-vk", xdg);
    }
    if (home != NULL && home[0] == '/') {
        return ts_text_format(out, err, "%s/.cache/tinysft-vk", home);
    }
    return TS_OK;
}

static ts_status append_hex(ts_text *out, const uint8_t uuid[VK_UUID_SIZE], ts_error *err)
{
    ts_status status = ts_text_append(out, "-", 1, err);
    for (size_t i = 0; i < VK_UUID_SIZE && status == TS_OK; i++) {
        status = ts_text_format(out, err, "%02x", uuid[i]);
    }
    return status;
}

// Appends "-" and at most 64 characters of `text`; one that is unfit for a file's name becomes "_".
static ts_status append_plain(ts_text *out, const char *text, ts_error *err)
{
    enum { LONGEST = 64 };
    ts_status status = ts_text_append(out, "-", 1, err);
    for (size_t i = 0; i < LONGEST && text[i] != '\0' && status == TS_OK; i++) {
        char c = text[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        status = ts_text_append(out, plain || c == '.' ? &c : "_", 1, err);
    }
    return status;
}

// "10de-1eb8-Tesla_T4-NVIDIA_535.104.05-8761c140-UUID-UUID": vendor, device, its name, the driver
// and its version, the UUID of what its pipeline cache holds, and that of the driver. The driver is
// named in several ways because an update does not change all of them: llvmpipe keeps its version
// number, other drivers keep their UUIDs.
static ts_status append_name(const ts_gpu *gpu, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &id};
    vkGetPhysicalDeviceProperties2(gpu->physical, &properties);
    const VkPhysicalDeviceProperties *p = &properties.properties;
    TS_TRY(ts_text_format(out, err, "/%04x-%04x", p->vendorID, p->deviceID));
    TS_TRY(append_plain(out, p->deviceName, err));
    TS_TRY(append_plain(out, gpu->caps.driver, err));
    TS_TRY(ts_text_format(out, err, "-%x", p->driverVersion));
    TS_TRY(append_hex(out, p->pipelineCacheUUID, err));
    TS_TRY(append_hex(out, id.driverUUID, err));
out:
    return status;
}

static ts_status find_folder(ts_gpu *gpu, ts_error *err)
{
    ts_status status = TS_OK;
    if (gpu->compile_only) { // its pipelines are built to be inspected, not to be kept
        return TS_OK;
    }
    TS_TRY(base_folder(&gpu->cache_folder, err));
    if (gpu->cache_folder.len > 0) {
        TS_TRY(append_name(gpu, &gpu->cache_folder, err));
    }
out:
    return status;
}

const char *ts_gpu_cache_folder(const ts_gpu *gpu)
{
    return gpu->cache_folder.bytes;
}

void ts_gpu_cache_write(const ts_gpu *gpu, const char *file, const void *bytes, uint64_t len)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    ts_text path = {0};
    if (gpu->cache_folder.len == 0) {
        return;
    }
    TS_TRY(ts_folder_make(gpu->cache_folder.bytes, err));
    TS_TRY(ts_path_join(gpu->cache_folder.bytes, file, &path, err));
    TS_TRY(ts_file_write(path.bytes, bytes, len, err));
    ts_log(TS_LOG_DEBUG, "%s: written, %llu bytes", path.bytes, (unsigned long long)len);
out:
    if (status != TS_OK) {
        ts_log(TS_LOG_DEBUG, "nothing is remembered for the next run: %s", err->message);
    }
    ts_text_free(&path);
}

// ---- Pipelines

// Whether the header of the driver's bytes names this device and this driver.
static bool is_ours(const ts_gpu *gpu, const char *bytes, uint64_t len)
{
    VkPhysicalDeviceProperties p;
    VkPipelineCacheHeaderVersionOne header;
    if (len < sizeof header) {
        return false;
    }
    vkGetPhysicalDeviceProperties(gpu->physical, &p);
    memcpy(&header, bytes, sizeof header);
    return header.headerSize >= sizeof header && header.headerSize <= len &&
           header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
           header.vendorID == p.vendorID && header.deviceID == p.deviceID &&
           memcmp(header.pipelineCacheUUID, p.pipelineCacheUUID, VK_UUID_SIZE) == 0;
}

// Checks a file before its bytes go to the driver; TS_ERR_FORMAT says what is wrong with it.
static ts_status check_file(const ts_gpu *gpu, const char *path, const ts_text *file, ts_error *err)
{
    struct header header;
    char sha256[65];
    ts_status status = TS_OK;
    if (file->len < sizeof header) {
        TS_FAIL(TS_ERR_FORMAT, "%s: %zu bytes, too few for its header", path, file->len);
    }
    memcpy(&header, file->bytes, sizeof header);
    if (memcmp(header.magic, MAGIC, sizeof header.magic) != 0 || header.version != VERSION) {
        TS_FAIL(TS_ERR_FORMAT, "%s: no pipeline cache of version %d", path, VERSION);
    }
    const char *bytes = file->bytes + sizeof header;
    uint64_t len = file->len - sizeof header;
    if (header.length != len) {
        TS_FAIL(TS_ERR_FORMAT, "%s: %llu bytes after the header, which says %llu", path,
                (unsigned long long)len, (unsigned long long)header.length);
    }
    ts_sha256_hex(bytes, len, sha256);
    if (memcmp(header.sha256, sha256, sizeof header.sha256) != 0) {
        TS_FAIL(TS_ERR_FORMAT, "%s: its checksum does not hold", path);
    }
    if (!is_ours(gpu, bytes, len)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: of another device or driver", path);
    }
out:
    return status;
}

static void read_file(const ts_gpu *gpu, ts_text *file)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    ts_text path = {0};
    TS_TRY(ts_path_join(gpu->cache_folder.bytes, PIPELINES_FILE, &path, err));
    if (!ts_file_exists(path.bytes)) {
        goto out;
    }
    TS_TRY(ts_file_read(path.bytes, MOST_BYTES, file, err));
    TS_TRY(check_file(gpu, path.bytes, file, err));
    ts_log(TS_LOG_DEBUG, "%s: %zu bytes", path.bytes, file->len);
out:
    if (status != TS_OK) {
        ts_log(TS_LOG_DEBUG, "pipelines are built anew: %s", err->message);
        ts_text_clear(file);
    }
    ts_text_free(&path);
}

ts_status ts_gpu_cache_open(ts_gpu *gpu, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text file = {0};
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    TS_TRY(find_folder(gpu, err));
    if (gpu->cache_folder.len > 0) {
        read_file(gpu, &file);
    }
    if (file.len > 0) {
        info.initialDataSize = file.len - sizeof(struct header);
        info.pInitialData = file.bytes + sizeof(struct header);
    }
    VkResult result = gpu->vk.vkCreatePipelineCache(gpu->device, &info, NULL, &gpu->pipeline_cache);
    if (result != VK_SUCCESS && info.initialDataSize > 0) {
        ts_log(TS_LOG_DEBUG, "pipelines are built anew: the driver refuses the cache it wrote");
        info.initialDataSize = 0;
        result = gpu->vk.vkCreatePipelineCache(gpu->device, &info, NULL, &gpu->pipeline_cache);
    }
    TS_TRY(ts_gpu_check(result, "vkCreatePipelineCache", err));
    gpu->pipeline_stats.cached_bytes = info.initialDataSize;
    if (info.initialDataSize > 0 &&
        gpu->vk.vkGetPipelineCacheData(gpu->device, gpu->pipeline_cache, &gpu->cache_len_at_open,
                                       NULL) != VK_SUCCESS) {
        gpu->cache_len_at_open = 0;
    }
out:
    ts_text_free(&file);
    return status;
}

// Appends the header and the driver's bytes to an empty *out.
static ts_status make_file(const ts_gpu *gpu, size_t len, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    struct header header = {.version = VERSION};
    char sha256[65], *bytes = NULL;
    memcpy(header.magic, MAGIC, sizeof header.magic);
    TS_TRY(ts_alloc(len, 1, &bytes, err));
    TS_TRY(
        ts_gpu_check(gpu->vk.vkGetPipelineCacheData(gpu->device, gpu->pipeline_cache, &len, bytes),
                     "vkGetPipelineCacheData", err));
    header.length = len;
    ts_sha256_hex(bytes, len, sha256);
    memcpy(header.sha256, sha256, sizeof header.sha256);
    TS_TRY(ts_text_append(out, (const char *)&header, sizeof header, err));
    TS_TRY(ts_text_append(out, bytes, len, err));
out:
    free(bytes);
    return status;
}

// Writes the file if the driver's cache has grown since the driver read it. The cache is compared
// with its own size at that time, not with the file's: SwiftShader puts another header before
// whatever it is given.
static void write_file(const ts_gpu *gpu)
{
    ts_error err = {0};
    ts_text file = {0};
    size_t len = 0;
    if (gpu->vk.vkGetPipelineCacheData(gpu->device, gpu->pipeline_cache, &len, NULL) !=
            VK_SUCCESS ||
        len <= gpu->cache_len_at_open || len > MOST_BYTES - sizeof(struct header)) {
        return;
    }
    if (make_file(gpu, len, &file, &err) == TS_OK) {
        ts_gpu_cache_write(gpu, PIPELINES_FILE, file.bytes, file.len);
    } else {
        ts_log(TS_LOG_DEBUG, "pipelines are not kept: %s", err.message);
    }
    ts_text_free(&file);
}

void ts_gpu_cache_close(ts_gpu *gpu)
{
    const ts_pipeline_stats *stats = &gpu->pipeline_stats;
    if (gpu->pipeline_cache != VK_NULL_HANDLE) {
        ts_log(TS_LOG_DEBUG, "%u pipelines built in %.3f s, from %llu bytes of cache", stats->built,
               stats->seconds, (unsigned long long)stats->cached_bytes);
        if (gpu->cache_folder.len > 0 && stats->built > 0) {
            write_file(gpu);
        }
        gpu->vk.vkDestroyPipelineCache(gpu->device, gpu->pipeline_cache, NULL);
    }
    ts_text_free(&gpu->cache_folder);
}
