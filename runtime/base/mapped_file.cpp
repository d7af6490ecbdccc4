#include "runtime/base/mapped_file.h"

#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/in_quotes.h"

namespace atlas {
namespace {

bool inside(std::span<const std::byte> part, std::span<const std::byte> whole) {
    return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
    ATLAS_TRY(const os::Mapping mapping, os::map_file(path));
    return MappedFile(mapping, path);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : mapping_(std::exchange(other.mapping_, {})), path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    if (this != &other) {
        os::unmap(mapping_);
        mapping_ = std::exchange(other.mapping_, {});
        path_ = std::move(other.path_);
    }
    return *this;
}

MappedFile::~MappedFile() { os::unmap(mapping_); }

void MappedFile::release(std::span<const std::byte> part) const {
    if (part.empty()) return;
    ATLAS_CHECK(inside(part, bytes()), "released {} bytes that are not of this file", part.size());
    os::drop_pages(part.data(), part.size());
}

void MappedFile::read_alone(std::span<const std::byte> part) const {
    if (part.empty()) return;
    ATLAS_CHECK(inside(part, bytes()), "{} bytes that are not of this file", part.size());
    os::read_pages_alone(part.data(), part.size());
}

void MappedFile::prefetch(std::span<const std::byte> part) const {
    if (part.empty()) return;
    ATLAS_CHECK(inside(part, bytes()), "prefetched {} bytes that are not of this file", part.size());
    os::prefetch_pages(part.data(), part.size());
}

Result<void> MappedFile::populate(std::span<const std::byte> part) const {
    if (part.empty()) return intact();
    ATLAS_CHECK(inside(part, bytes()), "populated {} bytes that are not of this file", part.size());
    if (!os::populate_pages(part.data(), part.size())) return lost();
    return intact();
}

Result<void> MappedFile::intact() const {
    if (os::has_lost_pages(mapping_)) return lost();
    return {};
}

tl::unexpected<Error> MappedFile::lost() const {
    return fail(ErrorCode::io, "cannot read {}: it became shorter while it was read, or its disk is damaged",
                in_quotes(path_.string(), 400));
}

}  // namespace atlas
