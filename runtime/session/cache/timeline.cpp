#include "runtime/session/cache/timeline.h"

#include <algorithm>

namespace atlas {

Timeline::Timeline(Timeline&& other) noexcept
    : pool_(other.pool_),
      tokens_(std::exchange(other.tokens_, {})),
      pages_(std::exchange(other.pages_, {})),
      states_(std::exchange(other.states_, {})),
      reserved_(std::exchange(other.reserved_, {})) {}

Timeline& Timeline::operator=(Timeline&& other) noexcept {
    if (this == &other) return *this;
    clear();
    pool_ = other.pool_;
    tokens_ = std::exchange(other.tokens_, {});
    pages_ = std::exchange(other.pages_, {});
    states_ = std::exchange(other.states_, {});
    reserved_ = std::exchange(other.reserved_, {});
    return *this;
}

Timeline Timeline::fork() const {
    Timeline twin(*pool_);
    twin.tokens_ = tokens_;
    twin.pages_.assign(pages_.begin(), pages_.begin() + pages_for(static_cast<uint32_t>(tokens_.size())));
    for (const uint32_t page : twin.pages_) pool_->share(page);
    twin.states_ = states_;
    for (const State& state : twin.states_) pool_->states().share(state.slot);
    return twin;
}

// From the last page to the first, so that of the kept pages a text's end is reused before its beginning.
uint32_t Timeline::rewind(uint32_t n_tokens) {
    ATLAS_CHECK(n_tokens <= tokens_.size(), "rewind to {} of {}", n_tokens, tokens_.size());
    if (has_states()) {
        drop_states(reserved_, 0);
        size_t n = states_.size();
        while (n > 0 && states_[n - 1].n_tokens > n_tokens) --n;
        drop_states(states_, n);
        n_tokens = n > 0 ? states_[n - 1].n_tokens : 0;
    }
    tokens_.resize(n_tokens);
    while (pages_.size() > pages_for(n_tokens)) {
        pool_->drop(pages_.back());
        pages_.pop_back();
    }
    return n_tokens;
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
        const uint32_t slot = pool_->state_of(*page);
        if (slot == StateSlots::kNone) continue;
        pool_->states().share(slot);
        states_.push_back({static_cast<uint32_t>(tokens_.size()), slot, true});
    }
    if (has_states()) rewind(static_cast<uint32_t>(tokens_.size()));  // to the last page whose state is there
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

Result<bool> Timeline::reserve(uint32_t n_more, uint32_t n_states) {
    if (n_more == 0) return true;
    if (pages_needed(n_more) > pool_->n_available()) return false;
    if (has_states() && !reserve_states(n_more, n_states)) return false;
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
    size_t n_kept = 0;
    while (n_kept < reserved_.size() && reserved_[n_kept].n_tokens <= tokens_.size()) ++n_kept;
    states_.insert(states_.end(), reserved_.begin(), reserved_.begin() + ptrdiff_t(n_kept));
    reserved_.erase(reserved_.begin(), reserved_.begin() + ptrdiff_t(n_kept));
    index_full_pages(n_before / kPageTokens);
}

// Where another timeline has computed the same page meanwhile, takes that page and frees its own.
void Timeline::index_full_pages(uint32_t first_page) {
    if (!pool_->has_index()) return;
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
        const auto end = (i + 1) * kPageTokens;
        const auto state =
            std::find_if(states_.begin(), states_.end(), [end](const State& s) { return s.n_tokens == end; });
        if (state != states_.end() && state->is_checkpoint && pool_->state_of(pages_[i]) == StateSlots::kNone)
            pool_->keep_state(pages_[i], state->slot);
    }
}

void Timeline::drop_states(std::vector<State>& states, size_t first) {
    for (size_t i = first; i < states.size(); ++i) pool_->states().drop(states[i].slot);
    states.resize(first);
}

// A step that is running may still read or write a slot that becomes free; whoever takes it is submitted after it.
void Timeline::drop_unaccepted() {
    drop_states(reserved_, 0);
    const auto dropped = std::stable_partition(states_.begin(), states_.end(), [this](const State& state) {
        return state.is_checkpoint || state.n_tokens == tokens_.size();
    });
    drop_states(states_, static_cast<size_t>(dropped - states_.begin()));
}

bool Timeline::drop_oldest_checkpoint() {
    if (states_.empty() || !states_.front().is_checkpoint || states_.front().n_tokens == tokens_.size()) return false;
    pool_->states().drop(states_.front().slot);
    states_.erase(states_.begin());
    return true;
}

// Older checkpoints make room for newer ones.
bool Timeline::may_add_checkpoint() {
    while (!pool_->states().may_add_checkpoint()) {
        if (!pool_->forget_oldest_state() && !drop_oldest_checkpoint()) return false;
    }
    return true;
}

bool Timeline::reserve_states(uint32_t n_more, uint32_t n_states) {
    drop_unaccepted();
    StateSlots& slots = pool_->states();
    const auto n_before = static_cast<uint32_t>(tokens_.size()), end = n_before + n_more;
    n_states = std::clamp(n_states, 1u, n_more);
    for (uint32_t n = n_before + 1; n <= end; ++n) {
        const bool is_needed = n + n_states > end;
        const bool is_checkpoint = n % pool_->checkpoint_every() == 0 && may_add_checkpoint();
        if (!is_checkpoint && !is_needed) continue;
        std::optional<uint32_t> slot;
        do {
            slot = pool_->take_state();
        } while (!slot && drop_oldest_checkpoint());
        if (slot) {
            if (is_checkpoint) slots.add_checkpoint(*slot);
            reserved_.push_back({n, *slot, is_checkpoint});
        } else if (is_needed) {
            drop_states(reserved_, 0);
            return false;
        }
    }
    return true;
}

uint32_t Timeline::state_after(uint32_t n_tokens) const {
    if (n_tokens == 0) return StateSlots::kStart;
    for (const std::vector<State>* states : {&reserved_, &states_}) {
        for (const State& state : *states) {
            if (state.n_tokens == n_tokens) return state.slot;
        }
    }
    return StateSlots::kNone;
}

void Timeline::checkpoint() {
    if (states_.empty() || states_.back().n_tokens != tokens_.size() || states_.back().is_checkpoint) return;
    if (!may_add_checkpoint()) return;
    states_.back().is_checkpoint = true;
    pool_->states().add_checkpoint(states_.back().slot);
}

}  // namespace atlas
