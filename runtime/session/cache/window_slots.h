#pragma once
// Where layers with a sliding window keep the pages that their windows see.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/session/cache/kv_pages.h"

namespace atlas {

/// Layers with a window have fewer rows than the pool has pages: a page of the pool has a slot in them only while some
/// timeline's window sees it, and a while longer, so that a timeline can be rewound. A slot is read by timelines, or
/// kept: its contents are as valid as the page's, and take() reuses it, the one that was kept for longest first.
/// Not thread-safe.
class WindowSlots {
  public:
    static constexpr uint32_t kNone = UINT32_MAX;

    WindowSlots() = default;
    /// n_slots 0: no layer has a window.
    WindowSlots(uint32_t n_slots, uint32_t n_pages) : slots_(n_slots), slot_of_page_(n_pages, kNone) {}

    bool exist() const { return slots_.n_pages() > 0; }
    uint32_t n_slots() const { return slots_.n_pages(); }
    /// How many slots take() can give.
    uint32_t n_available() const { return slots_.n_free() + static_cast<uint32_t>(kept_.size()); }
    /// kNone: the page has none.
    uint32_t slot_of(uint32_t page) const { return slot_of_page_[page]; }
    bool is_shared(uint32_t page) const { return slots_.is_shared(slot_of_page_.at(page)); }

    /// Gives the page, which has no slot, one for one reader, its contents undefined. Requires n_available() > 0.
    void take(uint32_t page);
    /// Adds a reader to the page's slot.
    void share(uint32_t page);
    /// Removes a reader. When the last one goes, the slot is kept or freed.
    void drop(uint32_t page, bool keep);
    /// Frees the page's slot if it is kept.
    void forget(uint32_t page);
    /// The slot of `from`, which has one reader, becomes the slot of `to`, which has none.
    void give(uint32_t from, uint32_t to);
    /// Page p becomes page to[p]. A page with a slot is never KvPages::kGone.
    void renumber(std::span<const uint32_t> to, uint32_t n_pages);

  private:
    KvPages slots_{0};
    std::vector<uint32_t> slot_of_page_;  // [n_pages of the pool]
    std::vector<uint32_t> kept_;          // pages whose slot is kept, longest first; each is the slot's one reader
};

}  // namespace atlas
