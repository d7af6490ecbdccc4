#include "runtime/session/batch/timeline.h"

#include <algorithm>

namespace atlas {

Timeline::Timeline(Timeline&& other) noexcept
    : pool_(other.pool_), tokens_(std::exchange(other.tokens_, {})), pages_(std::exchange(other.pages_, {})) {}

Timeline& Timeline::operator=(Timeline&& other) noexcept {
    if (this == &other) return *this;
    clear();
    pool_ = other.pool_;
    tokens_ = std::exchange(other.tokens_, {});
    pages_ = std::exchange(other.pages_, {});
    return *this;
}

Timeline Timeline::fork() const {
    Timeline twin(*pool_);
    twin.tokens_ = tokens_;
    twin.pages_.assign(pages_.begin(), pages_.begin() + pages_for(static_cast<uint32_t>(tokens_.size())));
    for (const uint32_t page : twin.pages_) pool_->share(page);
    return twin;
}

// From the last page to the first, so that of the kept pages a text's end is reused before its beginning.
void Timeline::rewind(uint32_t n_tokens) {
    ATLAS_CHECK(n_tokens <= tokens_.size(), "rewind to {} of {}", n_tokens, tokens_.size());
    tokens_.resize(n_tokens);
    while (pages_.size() > pages_for(n_tokens)) {
        pool_->drop(pages_.back());
        pages_.pop_back();
    }
}

uint32_t Timeline::reuse(std::span<const TokenId> tokens) {
    const auto n_before = static_cast<uint32_t>(tokens_.size());
    if (n_before % kPageTokens != 0) return 0;
    while (pages_.size() > pages_for(n_before)) {  // reserved and not used
        pool_->drop(pages_.back());
        pages_.pop_back();
    }
    while (tokens_.size() + kPageTokens < tokens.size()) {
        const uint32_t before = pages_.empty() ? PrefixIndex::kStart : pages_.back();
        if (before != PrefixIndex::kStart && !pool_->index().knows(before)) break;
        const auto wanted = tokens.subspan(tokens_.size(), kPageTokens);
        const auto page = pool_->index().find(before, wanted);
        if (!page) break;
        pool_->share(*page);
        pages_.push_back(*page);
        tokens_.insert(tokens_.end(), wanted.begin(), wanted.end());
    }
    return static_cast<uint32_t>(tokens_.size()) - n_before;
}

bool Timeline::must_copy_last_page() const {
    const auto n_tokens = static_cast<uint32_t>(tokens_.size());
    return n_tokens % kPageTokens != 0 && pool_->is_shared(pages_[n_tokens / kPageTokens]);
}

uint32_t Timeline::pages_needed(uint32_t n_more) const {
    if (n_more == 0) return 0;
    const uint32_t in_all = pages_for(static_cast<uint32_t>(tokens_.size()) + n_more),
                   there = static_cast<uint32_t>(pages_.size());
    return (in_all > there ? in_all - there : 0) + (must_copy_last_page() ? 1 : 0);
}

Result<bool> Timeline::reserve(uint32_t n_more) {
    if (n_more == 0) return true;
    if (pages_needed(n_more) > pool_->n_available()) return false;
    const auto n_tokens = static_cast<uint32_t>(tokens_.size());
    if (n_tokens % kPageTokens != 0) {
        uint32_t& last = pages_[n_tokens / kPageTokens];
        if (pool_->is_shared(last)) {
            const uint32_t own = *pool_->take();
            if (auto copied = pool_->copy(last, own); !copied) {
                pool_->drop(own);
                return tl::unexpected(std::move(copied).error());
            }
            pool_->drop(last);
            last = own;
        } else {
            pool_->forget(last);
        }
    }
    while (pages_.size() < pages_for(n_tokens + n_more)) pages_.push_back(*pool_->take());
    return true;
}

void Timeline::append(std::span<const TokenId> tokens) {
    const auto n_before = static_cast<uint32_t>(tokens_.size());
    ATLAS_CHECK(pages_.size() >= pages_for(n_before + static_cast<uint32_t>(tokens.size())),
                "no room reserved for {} tokens", tokens.size());
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    index_full_pages(n_before / kPageTokens);
}

// Where another timeline has computed the same page meanwhile, takes that page and frees its own.
void Timeline::index_full_pages(uint32_t first_page) {
    PrefixIndex& index = pool_->index();
    for (uint32_t i = first_page; i < tokens_.size() / kPageTokens; ++i) {
        const uint32_t before = i == 0 ? PrefixIndex::kStart : pages_[i - 1];
        if (index.knows(pages_[i])) continue;
        if (const auto same = index.find(before, tokens_of_page(i))) {
            pool_->share(*same);
            pool_->drop(pages_[i]);
            pages_[i] = *same;
        } else {
            index.add(pages_[i], before, tokens_of_page(i));
        }
    }
}

}  // namespace atlas
