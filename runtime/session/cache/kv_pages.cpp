#include "runtime/session/cache/kv_pages.h"

#include <numeric>

#include "runtime/base/check.h"

namespace atlas {

KvPages::KvPages(uint32_t n_pages) : references_(n_pages, 0) {
    free_.reserve(n_pages);
    for (uint32_t page = n_pages; page > 0; --page) free_.push_back(page - 1);
}

std::optional<uint32_t> KvPages::take() {
    if (free_.empty()) return std::nullopt;
    const uint32_t page = free_.back();
    free_.pop_back();
    ATLAS_CHECK_EQ(references_[page], 0u);
    references_[page] = 1;
    return page;
}

void KvPages::share(uint32_t page) {
    ATLAS_CHECK(page < n_pages() && references_[page] > 0, "page {} of {} is not taken", page, n_pages());
    ++references_[page];
}

void KvPages::drop(uint32_t page) {
    ATLAS_CHECK(page < n_pages() && references_[page] > 0, "page {} of {} is not taken", page, n_pages());
    if (--references_[page] == 0) free_.push_back(page);
}

void KvPages::renumber(std::span<const uint32_t> to, uint32_t n_pages) {
    ATLAS_CHECK_EQ(to.size(), references_.size());
    std::vector<uint32_t> references(n_pages, 0);
    for (size_t page = 0; page < to.size(); ++page) {
        ATLAS_CHECK(references_[page] == 0 || (to[page] < n_pages && references[to[page]] == 0),
                    "page {} becomes {} of {}", page, to[page], n_pages);
        if (references_[page] > 0) references[to[page]] = references_[page];
    }
    references_ = std::move(references);
    free_.clear();
    for (uint32_t page = n_pages; page > 0; --page) {
        if (references_[page - 1] == 0) free_.push_back(page - 1);
    }
}

uint64_t KvPages::n_readers() const { return std::accumulate(references_.begin(), references_.end(), uint64_t{0}); }

bool KvPages::is_shared(uint32_t page) const {
    ATLAS_CHECK(page < n_pages() && references_[page] > 0, "page {} of {} is not taken", page, n_pages());
    return references_[page] > 1;
}

}  // namespace atlas
