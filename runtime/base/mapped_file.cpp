#include "runtime/base/mapped_file.h"

#include <utility>

#include "runtime/base/check.h"

namespace atlas {
namespace {

bool inside(std::span<const std::byte> part, std::span<const std::byte> whole) {
    return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
    ATLAS_TRY(const os::Mapping mapping, os::map_file(path));
    return MappedFile(mapping);
}

MappedFile::MappedFile(MappedFile&& other) noexcept : mapping_(std::exchange(other.mapping_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    if (this != &other) {
        os::unmap(mapping_);
        mapping_ = std::exchange(other.mapping_, {});
    }
    return *this;
}

MappedFile::~MappedFile() { os::unmap(mapping_); }

void MappedFile::release(std::span<const std::byte> part) const {
    if (part.empty()) return;
    ATLAS_CHECK(inside(part, bytes()), "released {} bytes that are not of this file", part.size());
    os::drop_pages(part.data(), part.size());
}

void MappedFile::prefetch(std::span<const std::byte> part) const {
    if (part.empty()) return;
    ATLAS_CHECK(inside(part, bytes()), "prefetched {} bytes that are not of this file", part.size());
    os::prefetch_pages(part.data(), part.size());
}

Result<void> MappedFile::populate(std::span<const std::byte> part) const {
    if (part.empty()) return {};
    ATLAS_CHECK(inside(part, bytes()), "populated {} bytes that are not of this file", part.size());
    return os::populate_pages(part.data(), part.size());
}

}  // namespace atlas
