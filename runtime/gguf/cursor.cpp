#include "runtime/gguf/cursor.h"

#include "runtime/base/checked.h"
#include "runtime/base/units.h"

namespace atlas::gguf {

tl::unexpected<Error> Cursor::cut_short(std::string_view field, uint64_t needed_bytes) const {
    return fail(
        ErrorCode::corrupt,
        "{} at byte {}: expected {} more bytes, found {} before the end of the file (is the download complete?)", field,
        position_, needed_bytes, remaining());
}

bool Cursor::try_string(std::string_view& value) {
    uint64_t length = 0;
    const uint64_t start = position_;
    if (!try_number(length)) return false;
    if (length > remaining()) {
        position_ = start;
        return false;
    }
    value = {reinterpret_cast<const char*>(bytes_.data() + position_), static_cast<size_t>(length)};
    position_ += length;
    return true;
}

Result<std::string_view> Cursor::string(std::string_view field) {
    std::string_view value;
    if (try_string(value)) return value;
    uint64_t length = 0;
    if (!try_number(length)) return cut_short(fmt::format("length of {}", field), sizeof(length));
    return fail(ErrorCode::corrupt,
                "length of {} at byte {}: expected at most {} (the bytes left in the file), found {}", field,
                position_ - sizeof(length), remaining(), length);
}

Result<std::span<const std::byte>> Cursor::block(std::string_view field, uint64_t count, uint64_t value_bytes) {
    const auto total = checked_mul(count, value_bytes);
    if (!total || *total > remaining()) {
        return fail(ErrorCode::corrupt,
                    "{} at byte {}: expected at most {} values of {} bytes (the bytes left in the file), found {}",
                    field, position_, remaining() / value_bytes, value_bytes, count);
    }
    const auto found = bytes_.subspan(position_, *total);
    position_ += *total;
    return found;
}

Result<void> Cursor::charge(std::string_view field, uint64_t count, uint64_t each_bytes) {
    const auto total = checked_mul(count, each_bytes);
    if (!total || *total > budget_bytes_) {
        return fail(ErrorCode::limit,
                    "{} at byte {}: {} entries need more memory than the {} + file size that reading a header may take",
                    field, position_, count, bytes_text(kParseAllowanceBytes));
    }
    budget_bytes_ -= *total;
    return {};
}

}  // namespace atlas::gguf
