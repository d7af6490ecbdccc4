// Shrinks the pool when other programs need memory of the device: pages without readers are freed.
#include <algorithm>
#include <numeric>

#include "runtime/session/cache/timeline.h"

namespace atlas {

Result<uint64_t> KvPool::shrink(uint64_t bytes, uint32_t least_pages, std::span<Timeline* const> readers) {
    const uint64_t n_read = std::accumulate(readers.begin(), readers.end(), uint64_t{n_kept_},
                                            [](uint64_t n, const Timeline* t) { return n + t->pages().size(); });
    ATLAS_CHECK_EQ(n_read, pages_.n_readers());  // a kept page has one reference
    const uint32_t before = n_pages(), least = std::clamp(n_in_use(), least_pages, before);
    uint64_t page = 0;
    for (uint32_t il = 0; il < layers().size(); ++il) page += has_window(il) ? 0 : page_bytes_of(il);
    if (page == 0) return 0;  // no layer caches keys or values of all positions
    const uint32_t n =
        before - static_cast<uint32_t>(std::min<uint64_t>(before - least, bytes / page + (bytes % page > 0 ? 1 : 0)));
    if (n == before) return 0;

    while (n_in_use() + n_kept_ > n) {
        const uint32_t oldest = links_[before].after;
        unlink(oldest);
        unindex(oldest);
        pages_.drop(oldest);
    }
    ATLAS_TRY(const auto to, move_down(n));
    renumber(to, n);
    for (Timeline* timeline : readers) timeline->renumber(to);
    copy_program_.reset();  // they were recorded with the storages
    in_program_.reset();
    out_program_.reset();
    ATLAS_TRY_VOID(layers_.shrink(model_->backend(), model_->config(), rows()));
    return (before - n) * page;
}

// The new numbers of all pages: used pages beyond the first n_pages are copied into free ones among them.
Result<std::vector<uint32_t>> KvPool::move_down(uint32_t n_pages) {
    std::vector<uint32_t> to(this->n_pages(), KvPages::kGone);
    uint32_t next_free = 0;
    for (uint32_t page = 0; page < to.size(); ++page) {
        if (pages_.is_free(page)) continue;
        to[page] = page;
        if (page < n_pages) continue;
        while (!pages_.is_free(next_free)) ++next_free;
        ATLAS_CHECK(next_free < n_pages, "{} pages hold something, more than {}", this->n_pages() - pages_.n_free(),
                    n_pages);
        to[page] = next_free;
        ATLAS_TRY_VOID(copy(page, next_free++));
    }
    ATLAS_TRY_VOID(finish_copies());
    return to;
}

void KvPool::renumber(std::span<const uint32_t> to, uint32_t n_pages) {
    std::vector<uint32_t> kept;  // least recently used first
    const uint32_t ring = this->n_pages();
    for (uint32_t page = links_[ring].after; page != ring; page = links_[page].after) kept.push_back(to[page]);
    pages_.renumber(to, n_pages);
    index_.renumber(to, n_pages);
    windows_.renumber(to, n_pages);
    std::vector<uint32_t> states(n_pages, StateSlots::kNone);
    for (uint32_t& page : pages_with_state_) {
        states[to[page]] = state_of_page_[page];
        page = to[page];
    }
    state_of_page_ = std::move(states);
    links_.assign(n_pages + 1, {});
    links_[n_pages] = {n_pages, n_pages, false};
    n_kept_ = 0;
    for (const uint32_t page : kept) keep(page);
}

}  // namespace atlas
