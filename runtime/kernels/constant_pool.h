#pragma once
// Small tables that kernels read and that never change (rope frequencies), kept in one storage.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace atlas {

class ConstantPool {
  public:
    static constexpr uint64_t kCapacityBytes = 256 * 1024;
    static constexpr uint64_t kAlignmentBytes = 256;

    /// Byte offset of these bytes in the pool; the same bytes get the same offset.
    uint64_t offset_of(std::span<const std::byte> bytes);
    std::span<const std::byte> bytes() const { return bytes_; }
    bool overflowed() const { return bytes_.size() > kCapacityBytes; }

  private:
    struct Entry {
        uint64_t offset;
        uint64_t size;
    };
    std::vector<std::byte> bytes_;
    std::vector<Entry> entries_;
};

}  // namespace atlas
