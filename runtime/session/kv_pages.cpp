#include "runtime/session/kv_pages.h"

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

bool KvPages::is_shared(uint32_t page) const {
    ATLAS_CHECK(page < n_pages() && references_[page] > 0, "page {} of {} is not taken", page, n_pages());
    return references_[page] > 1;
}

}  // namespace atlas
