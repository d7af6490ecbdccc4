#include "runtime/vk/pipeline_file.h"

#include <cstring>
#include <fstream>
#include <random>
#include <system_error>

namespace atlas::vk {
namespace {

struct Header {
    std::array<char, 8> magic{};
    uint32_t version = 0;
    uint32_t vendor_id = 0;
    uint32_t device_id = 0;
    uint32_t driver_version = 0;
    std::array<uint8_t, 16> pipeline_cache_uuid{};
    uint64_t n_bytes = 0;
    uint64_t checksum = 0;
};
static_assert(sizeof(Header) == 56);

constexpr std::array<char, 8> kMagic = {'A', 'T', 'L', 'A', 'S', 'P', 'C', '\n'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kMaxBytes = uint64_t{1} << 30;

/// FNV-1a, 64 bits: finds damage, not malice.
uint64_t checksum_of(std::span<const std::byte> bytes) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (std::byte byte : bytes) hash = (hash ^ uint64_t(byte)) * 0x100000001b3u;
    return hash;
}

Header header_for(const DeviceCaps& caps, std::span<const std::byte> bytes) {
    return {.magic = kMagic,
            .version = kVersion,
            .vendor_id = caps.vendor_id,
            .device_id = caps.device_id,
            .driver_version = caps.driver_version,
            .pipeline_cache_uuid = caps.pipeline_cache_uuid,
            .n_bytes = bytes.size(),
            .checksum = checksum_of(bytes)};
}

}  // namespace

Result<std::vector<std::byte>> read_pipeline_file(const std::filesystem::path& path, const DeviceCaps& caps) {
    std::error_code error;
    if (!std::filesystem::exists(path, error)) return fail(ErrorCode::not_found, "{}: no pipeline cache yet", path.string());
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail(ErrorCode::io, "{}: cannot be opened", path.string());
    Header header;
    if (!file.read(reinterpret_cast<char*>(&header), sizeof header) || header.magic != kMagic) {
        return fail(ErrorCode::corrupt, "{}: not a pipeline cache", path.string());
    }
    const Header expected = header_for(caps, {});
    if (header.version != kVersion || header.vendor_id != expected.vendor_id || header.device_id != expected.device_id ||
        header.driver_version != expected.driver_version || header.pipeline_cache_uuid != expected.pipeline_cache_uuid) {
        return fail(ErrorCode::unsupported, "{}: made for another device or driver", path.string());
    }
    const uint64_t file_bytes = std::filesystem::file_size(path, error);
    if (error || header.n_bytes > kMaxBytes || file_bytes != sizeof header + header.n_bytes) {
        return fail(ErrorCode::corrupt, "{}: {} bytes, its header promises {}", path.string(), file_bytes, sizeof header + header.n_bytes);
    }
    std::vector<std::byte> bytes(header.n_bytes);
    if (!file.read(reinterpret_cast<char*>(bytes.data()), std::streamsize(bytes.size()))) {
        return fail(ErrorCode::io, "{}: cannot be read", path.string());
    }
    if (checksum_of(bytes) != header.checksum) return fail(ErrorCode::corrupt, "{}: its checksum is wrong", path.string());
    return bytes;
}

Result<void> write_pipeline_file(const std::filesystem::path& path, const DeviceCaps& caps, std::span<const std::byte> bytes) {
    std::error_code error;
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
    std::random_device random;  // two processes may write at once
    std::filesystem::path beside = path;
    beside += fmt::format(".{:08x}.new", random());
    {
        std::ofstream file(beside, std::ios::binary | std::ios::trunc);
        const Header header = header_for(caps, bytes);
        file.write(reinterpret_cast<const char*>(&header), sizeof header);
        file.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
        file.close();
        if (!file) {
            std::filesystem::remove(beside, error);
            return fail(ErrorCode::io, "{}: cannot be written (is the disk full?)", beside.string());
        }
    }
    std::filesystem::rename(beside, path, error);
    if (error) {
        const std::string why = error.message();
        std::filesystem::remove(beside, error);
        return fail(ErrorCode::io, "{}: cannot be replaced: {}", path.string(), why);
    }
    return {};
}

}  // namespace atlas::vk
