#pragma once
// From the spelling of a token to its id: a flat hash table, as encoding asks it several times a byte.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace atlas {

/// Points at the spellings, which must outlive it and stay where they are (moving the vector that holds them is fine).
class SpellingIndex {
  public:
    SpellingIndex() = default;
    /// Of two with the same spelling the last counts; empty ones are left out.
    explicit SpellingIndex(std::span<const std::string> spellings);

    std::optional<uint32_t> find(std::string_view spelling) const {
        if (slots_.empty()) return std::nullopt;
        const size_t hash = std::hash<std::string_view>()(spelling);
        for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
            const Slot& slot = slots_[i];
            if (slot.id == kEmpty) return std::nullopt;
            if (slot.tag == tag(hash) && spellings_[slot.id] == spelling) return slot.id;
        }
    }

  private:
    static constexpr uint32_t kEmpty = UINT32_MAX;
    struct Slot {
        uint32_t tag = 0;
        uint32_t id = kEmpty;
    };
    static uint32_t tag(size_t hash) { return static_cast<uint32_t>(uint64_t{hash} >> 32); }

    std::span<const std::string> spellings_;
    std::vector<Slot> slots_;  // at most half full
    size_t mask_ = 0;
};

}  // namespace atlas
