#pragma once
// Walks over the header of a GGUF file: every read is checked against the bytes that remain, and every allocation that
// the file asks for against a budget. For the files of gguf/ only.

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "runtime/base/error.h"

namespace atlas::gguf {

/// What parsing may allocate beyond the size of the file itself.
inline constexpr uint64_t kParseAllowanceBytes = uint64_t{64} << 20;
// Reserved for what is not counted piece by piece: messages, small fixed tables.
inline constexpr uint64_t kParseSlackBytes = uint64_t{1} << 20;

static_assert(std::endian::native == std::endian::little, "GGUF values are read as they lie in memory");

class Cursor {
  public:
    explicit Cursor(std::span<const std::byte> bytes)
        : bytes_(bytes), budget_bytes_(bytes.size() + kParseAllowanceBytes - kParseSlackBytes) {}

    uint64_t position() const { return position_; }
    uint64_t remaining() const { return bytes_.size() - position_; }
    uint64_t file_bytes() const { return bytes_.size(); }

    /// Reads one number. `field` says what it is in a message ("key count"), or is a function that does: it is called
    /// only for a message, because making the text costs more than reading the number.
    template <class T, class Field>
    Result<T> number(const Field& field) {
        T value;
        if (try_number(value)) return value;
        if constexpr (std::is_invocable_v<Field>) {
            return cut_short(field(), sizeof(T));
        } else {
            return cut_short(field, sizeof(T));
        }
    }

    /// The same for tight loops, false at the end of the file.
    template <class T>
    bool try_number(T& value) {
        if (remaining() < sizeof(T)) return false;
        std::memcpy(&value, bytes_.data() + position_, sizeof(T));
        position_ += sizeof(T);
        return true;
    }

    /// A string: a u64 length and as many bytes. The view lives as long as the file's bytes.
    Result<std::string_view> string(std::string_view field);
    template <class Field>
        requires std::is_invocable_v<Field>
    Result<std::string_view> string(const Field& field) {
        std::string_view value;
        return try_string(value) ? Result<std::string_view>(value) : string(field());
    }
    bool try_string(std::string_view& value);

    /// The next `count` values of `value_bytes` each, as they lie in the file.
    Result<std::span<const std::byte>> block(std::string_view field, uint64_t count, uint64_t value_bytes);

    /// Takes `count * each_bytes` from the memory budget before something of that size is allocated. Fails: limit.
    Result<void> charge(std::string_view field, uint64_t count, uint64_t each_bytes);
    bool try_charge(uint64_t bytes) {
        if (bytes > budget_bytes_) return false;
        budget_bytes_ -= bytes;
        return true;
    }

    /// The message of a value that the file cannot hold.
    tl::unexpected<Error> cut_short(std::string_view field, uint64_t needed_bytes) const;

  private:
    std::span<const std::byte> bytes_;
    uint64_t position_ = 0;
    uint64_t budget_bytes_;
};

}  // namespace atlas::gguf
