// Shrinks the cache when other programs need memory of the device: pages that hold nothing are freed.
#include <algorithm>
#include <numeric>

#include "runtime/session/single/session.h"

namespace atlas {

Result<uint64_t> Session::shrink(uint64_t bytes) {
    const uint64_t before_bytes = plan_.kv_bytes;
    const uint32_t n_pages = pages_.n_pages();
    const uint64_t page_bytes = std::max<uint64_t>(1, before_bytes / n_pages);
    const auto n_tokens = std::max(static_cast<uint32_t>(page_table_.size()) * kPageTokens, n_announced_);
    const uint32_t n_least = std::min(n_pages, pages_for(n_tokens + kLeastRoomTokens));
    const uint32_t n_kept = n_pages - static_cast<uint32_t>(std::min<uint64_t>(
                                          n_pages - n_least, bytes / page_bytes + (bytes % page_bytes > 0 ? 1 : 0)));
    if (n_kept == n_pages) return 0;

    // Recorded steps read the old storages; one of them may be running.
    if (chain_.pending) ATLAS_TRY_VOID(model_->backend().wait(chain_.ticket));
    recorded_.clear();
    recorded_drafts_.clear();

    // Pages are taken lowest first and dropped from the end, so the timeline's pages are the first ones.
    KvPages fewer(n_kept);
    for (const uint32_t page : page_table_) {
        const auto taken = fewer.take();
        ATLAS_CHECK(taken == page, "page {} is not where it was taken", page);
    }
    pages_ = std::move(fewer);
    plan_.n_ctx = n_kept * kPageTokens;
    const auto storages = kv_storages(model_->config(), plan_.n_ctx, shape_.kv_format);
    plan_.kv_bytes = std::accumulate(storages.begin(), storages.end(), uint64_t{0});
    ATLAS_TRY_VOID(kv_.shrink(model_->backend(), model_->config(), plan_.n_ctx));
    return before_bytes - plan_.kv_bytes;
}

}  // namespace atlas
