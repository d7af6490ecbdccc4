#include "runtime/model/regroup.h"

#include <algorithm>

namespace atlas {

Result<void> Regrouper::flush(std::span<const std::byte> blocks, const Take& take) {
    if (blocks.empty()) return {};
    planar_.resize(blocks.size());
    to_planar(format_, blocks, planar_);
    ATLAS_TRY_VOID(take(done_bytes_, planar_));
    done_bytes_ += blocks.size();
    return {};
}

Result<void> Regrouper::add(std::span<const std::byte> bytes, const Take& take) {
    if (!open_.empty()) {
        const size_t missing = std::min(group_bytes_ - open_.size(), bytes.size());
        open_.insert(open_.end(), bytes.begin(), bytes.begin() + std::ptrdiff_t(missing));
        bytes = bytes.subspan(missing);
        if (open_.size() < group_bytes_) return {};
        ATLAS_TRY_VOID(flush(open_, take));
        open_.clear();
    }
    const size_t whole = bytes.size() / group_bytes_ * group_bytes_;
    ATLAS_TRY_VOID(flush(bytes.first(whole), take));
    open_.assign(bytes.begin() + std::ptrdiff_t(whole), bytes.end());
    return {};
}

Result<void> Regrouper::finish(const Take& take) {
    if (open_.empty()) return {};
    open_.resize(group_bytes_);
    ATLAS_TRY_VOID(flush(open_, take));
    open_.clear();
    return {};
}

}  // namespace atlas
