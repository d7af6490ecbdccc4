#pragma once
// Builds GGUF bytes field by field, valid or not, independent of our Writer: the tests' own reading of the
// specification.

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace atlas::gguf::testing {

class RawFile {
  public:
    template <class T>
    RawFile& put(T value) {
        const size_t at = bytes_.size();
        bytes_.resize(at + sizeof(T));
        std::memcpy(bytes_.data() + at, &value, sizeof(T));
        return *this;
    }
    RawFile& u32(uint32_t value) { return put(value); }
    RawFile& u64(uint64_t value) { return put(value); }
    RawFile& text(std::string_view value) {
        u64(value.size());
        return raw(value);
    }
    RawFile& raw(std::string_view value) {
        for (const char c : value) put(c);
        return *this;
    }
    RawFile& zeros(size_t n) {
        bytes_.resize(bytes_.size() + n);
        return *this;
    }
    RawFile& pad(size_t alignment) { return zeros((alignment - bytes_.size() % alignment) % alignment); }

    RawFile& header(uint64_t n_tensors, uint64_t n_keys, uint32_t version = 3) {
        return raw("GGUF").u32(version).u64(n_tensors).u64(n_keys);
    }
    RawFile& key(std::string_view name, uint32_t type) { return text(name).u32(type); }
    RawFile& key_u32(std::string_view name, uint32_t value) { return key(name, 4).u32(value); }
    /// `dims` innermost first, as in the file.
    RawFile& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
        text(name).u32(static_cast<uint32_t>(dims.size()));
        for (const uint64_t dim : dims) u64(dim);
        return u32(type).u64(offset);
    }

    size_t size() const { return bytes_.size(); }
    std::span<const std::byte> bytes() const { return bytes_; }
    std::vector<std::byte>& mutable_bytes() { return bytes_; }

  private:
    std::vector<std::byte> bytes_;
};

}  // namespace atlas::gguf::testing
