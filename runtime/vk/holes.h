#pragma once
// Which bytes of a slab are free. Pure.

#include <cstdint>
#include <map>
#include <optional>

namespace atlas::vk {

class Holes {
  public:
    explicit Holes(uint64_t bytes) : total_bytes_(bytes) { give(0, bytes); }

    /// Takes `bytes` from the smallest hole that has them, or nothing. If callers allocate and free multiples of a
    /// size, every hole is a multiple of it.
    std::optional<uint64_t> take(uint64_t bytes);
    /// Frees [offset, offset + bytes) and joins it with its free neighbours. Freeing free bytes is a bug of the caller.
    void give(uint64_t offset, uint64_t bytes);

    uint64_t total_bytes() const { return total_bytes_; }
    uint64_t free_bytes() const { return free_bytes_; }
    uint64_t largest_bytes() const;
    bool empty() const { return free_bytes_ == total_bytes_; }

  private:
    uint64_t total_bytes_;
    uint64_t free_bytes_ = 0;
    std::map<uint64_t, uint64_t> holes_;  // offset -> bytes
};

}  // namespace atlas::vk
