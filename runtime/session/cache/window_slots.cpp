#include "runtime/session/cache/window_slots.h"

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"

namespace atlas {

void WindowSlots::take(uint32_t page) {
    ATLAS_CHECK(slot_of_page_.at(page) == kNone, "page {} has slot {}", page, slot_of_page_[page]);
    if (slots_.n_free() == 0) {
        ATLAS_CHECK(!kept_.empty(), "all {} slots are read", n_slots());
        forget(kept_.front());
    }
    slot_of_page_[page] = *slots_.take();
}

void WindowSlots::share(uint32_t page) {
    const auto kept = std::find(kept_.begin(), kept_.end(), page);
    if (kept != kept_.end())
        kept_.erase(kept);  // its reference becomes the reader's
    else
        slots_.share(slot_of_page_.at(page));
}

void WindowSlots::drop(uint32_t page, bool keep) {
    ATLAS_CHECK(slot_of_page_.at(page) != kNone, "page {} has no slot", page);
    const bool is_last = !slots_.is_shared(slot_of_page_[page]);
    if (is_last && keep) return kept_.push_back(page);
    slots_.drop(slot_of_page_[page]);
    if (is_last) slot_of_page_[page] = kNone;
}

void WindowSlots::forget(uint32_t page) {
    const auto kept = std::find(kept_.begin(), kept_.end(), page);
    if (kept == kept_.end()) return;
    kept_.erase(kept);
    slots_.drop(std::exchange(slot_of_page_[page], kNone));
}

void WindowSlots::give(uint32_t from, uint32_t to) {
    ATLAS_CHECK(slot_of_page_.at(to) == kNone && !is_shared(from), "page {} to page {}", from, to);
    slot_of_page_[to] = std::exchange(slot_of_page_[from], kNone);
}

void WindowSlots::renumber(std::span<const uint32_t> to, uint32_t n_pages) {
    std::vector<uint32_t> moved(n_pages, kNone);
    for (uint32_t page = 0; page < slot_of_page_.size(); ++page) {
        if (slot_of_page_[page] != kNone) moved.at(to[page]) = slot_of_page_[page];
    }
    slot_of_page_ = std::move(moved);
    for (uint32_t& page : kept_) page = to[page];
}

}  // namespace atlas
