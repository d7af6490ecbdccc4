#include "runtime/vk/pipeline_file.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <system_error>

#include "runtime/base/atomic_file.h"
#include "runtime/base/small_file.h"

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
constexpr std::string_view kExtension = ".pipelines";
constexpr uint64_t kMaxBytes = uint64_t{1} << 30;

/// FNV-1a, 64 bits: detects damage, not attacks.
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

// After a driver update its old file is not used.
constexpr size_t kMaxFiles = 16;

void remove_oldest(const std::filesystem::path& folder) {
    std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> files;
    std::error_code error;  // a folder that cannot be read or cleaned stays as it is
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        if (entry.path().extension() == kExtension) files.emplace_back(entry.last_write_time(error), entry.path());
    }
    std::ranges::sort(files);
    for (size_t i = 0; i + kMaxFiles < files.size(); ++i) std::filesystem::remove(files[i].second, error);
}

}  // namespace

std::filesystem::path pipeline_file(const std::filesystem::path& folder, const DeviceCaps& caps) {
    std::string driver;
    for (const uint8_t byte : caps.pipeline_cache_uuid) driver += fmt::format("{:02x}", byte);
    return folder / fmt::format("{:04x}-{:04x}-{:08x}-{}{}", caps.vendor_id, caps.device_id, caps.driver_version,
                                driver, kExtension);
}

Result<std::vector<std::byte>> read_pipeline_file(const std::filesystem::path& path, const DeviceCaps& caps) {
    ATLAS_TRY(const std::string text, read_small_file(path, kMaxBytes));
    Header header;
    if (text.size() >= sizeof header) std::memcpy(&header, text.data(), sizeof header);
    if (header.magic != kMagic) return fail(ErrorCode::corrupt, "{}: not a pipeline cache", path.string());
    const Header expected = header_for(caps, {});
    if (header.version != kVersion || header.vendor_id != expected.vendor_id ||
        header.device_id != expected.device_id || header.driver_version != expected.driver_version ||
        header.pipeline_cache_uuid != expected.pipeline_cache_uuid) {
        return fail(ErrorCode::unsupported, "{}: made for another device or driver", path.string());
    }
    if (text.size() - sizeof header != header.n_bytes) {
        return fail(ErrorCode::corrupt, "{}: {} bytes after its header, which promises {}", path.string(),
                    text.size() - sizeof header, header.n_bytes);
    }
    const auto content = std::as_bytes(std::span(text)).subspan(sizeof header);
    std::vector<std::byte> bytes(content.begin(), content.end());
    if (checksum_of(bytes) != header.checksum)
        return fail(ErrorCode::corrupt, "{}: its checksum is wrong", path.string());
    return bytes;
}

Result<void> write_pipeline_file(const std::filesystem::path& path, const DeviceCaps& caps,
                                 std::span<const std::byte> bytes) {
    std::error_code error;
    if (path.has_parent_path()) {
        // Earlier versions kept one file for all devices under the name that the folder has now.
        if (std::filesystem::is_regular_file(path.parent_path(), error))
            std::filesystem::remove(path.parent_path(), error);
        std::filesystem::create_directories(path.parent_path(), error);
    }
    ATLAS_TRY(AtomicFile file, AtomicFile::create(path));
    const Header header = header_for(caps, bytes);
    ATLAS_TRY_VOID(file.write(std::as_bytes(std::span(&header, 1))));
    ATLAS_TRY_VOID(file.write(bytes));
    ATLAS_TRY_VOID(file.commit());
    if (path.has_parent_path()) remove_oldest(path.parent_path());
    return {};
}

}  // namespace atlas::vk
