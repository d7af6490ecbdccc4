#include "runtime/session/cache/timeline.h"

#include <algorithm>

namespace atlas {

Timeline::Timeline(Timeline&& other) noexcept
    : pool_(other.pool_),
      tokens_(std::exchange(other.tokens_, {})),
      pages_(std::exchange(other.pages_, {})),
      first_in_windows_(std::exchange(other.first_in_windows_, 0)),
      states_(std::exchange(other.states_, {})),
      reserved_(std::exchange(other.reserved_, {})) {}

Timeline& Timeline::operator=(Timeline&& other) noexcept {
    if (this == &other) return *this;
    clear();
    pool_ = other.pool_;
    tokens_ = std::exchange(other.tokens_, {});
    pages_ = std::exchange(other.pages_, {});
    first_in_windows_ = std::exchange(other.first_in_windows_, 0);
    states_ = std::exchange(other.states_, {});
    reserved_ = std::exchange(other.reserved_, {});
    return *this;
}

Timeline Timeline::fork() const {
    Timeline twin(*pool_);
    twin.tokens_ = tokens_;
    twin.pages_.assign(pages_.begin(), pages_.begin() + pages_for(static_cast<uint32_t>(tokens_.size())));
    for (const uint32_t page : twin.pages_) pool_->share(page);
    if (has_windows()) {
        twin.first_in_windows_ = first_in_windows_;
        for (size_t i = first_in_windows_; i < twin.pages_.size(); ++i) pool_->windows().share(twin.pages_[i]);
    }
    twin.states_ = states_;
    for (const State& state : twin.states_) pool_->states().share(state.slot);
    return twin;
}

// From the last page to the first, so that of the kept pages a text's end is reused before its beginning.
uint32_t Timeline::rewind(uint32_t n_tokens) {
    ATLAS_CHECK(n_tokens <= tokens_.size(), "rewind to {} of {}", n_tokens, tokens_.size());
    drop_states(reserved_, 0);
    while (true) {
        if (has_states()) {
            size_t n = states_.size();
            while (n > 0 && states_[n - 1].n_tokens > n_tokens) --n;
            drop_states(states_, n);
            n_tokens = n > 0 ? states_[n - 1].n_tokens : 0;
        }
        drop_pages(pages_for(n_tokens));
        if (!has_windows() || takes_windows_back(n_tokens)) break;
        n_tokens = first_in_windows_ > 0 ? (first_in_windows_ - 1) * kPageTokens : 0;  // that page has no slot
    }
    tokens_.resize(n_tokens);
    return n_tokens;
}

void Timeline::drop_pages(uint32_t n_pages) {
    while (pages_.size() > n_pages) {
        const uint32_t page = pages_.back();
        pages_.pop_back();
        drop_page(page, has_windows() && pages_.size() >= first_in_windows_);
    }
    first_in_windows_ = std::min(first_in_windows_, n_pages);
}

// The first page that the windows of a token after n_tokens see.
uint32_t Timeline::first_seen_page(uint32_t n_tokens) const {
    const uint32_t window = pool_->window();
    return n_tokens + 1 > window ? (n_tokens + 1 - window) / kPageTokens : 0;
}

// Slots of pages that no later token sees go to others, or are kept for a timeline that is rewound.
void Timeline::drop_unseen() {
    if (!has_windows()) return;
    const uint32_t first = first_seen_page(static_cast<uint32_t>(tokens_.size()));
    for (; first_in_windows_ < std::min<size_t>(first, pages_.size()); ++first_in_windows_)
        pool_->windows().drop(pages_[first_in_windows_], true);
}

// False: first_in_windows_ - 1 is a page that has no slot.
bool Timeline::takes_windows_back(uint32_t n_tokens) {
    WindowSlots& windows = pool_->windows();
    const uint32_t first = first_seen_page(n_tokens);
    while (first_in_windows_ > first) {
        const uint32_t page = pages_[first_in_windows_ - 1];
        if (windows.slot_of(page) == WindowSlots::kNone) return false;
        windows.share(page);
        --first_in_windows_;
    }
    return true;
}

uint32_t Timeline::reuse(std::span<const TokenId> tokens) {
    const auto n_before = static_cast<uint32_t>(tokens_.size());
    if (n_before % kPageTokens != 0) return 0;
    drop_pages(pages_for(n_before));  // what was reserved and not used
    std::vector<uint32_t> found;
    for (size_t at = n_before; at + kPageTokens < tokens.size(); at += kPageTokens) {
        const uint32_t last = pages_.empty() ? PrefixIndex::kStart : pages_.back(),
                       before = found.empty() ? last : found.back();
        if (before != PrefixIndex::kStart && !pool_->index().knows(before)) break;
        const auto page = pool_->index().find(before, tokens.subspan(at, kPageTokens));
        if (!page) break;
        found.push_back(*page);
    }
    while (!found.empty() && !can_go_on_after(found)) found.pop_back();
    take_up(found, tokens);
    return static_cast<uint32_t>(tokens_.size()) - n_before;
}

// Whether the state and the windows at the end of these pages, which come after the timeline's, are there.
bool Timeline::can_go_on_after(std::span<const uint32_t> found) const {
    if (has_states() && pool_->state_of(found.back()) == StateSlots::kNone) return false;
    if (!has_windows()) return true;
    const size_t end = pages_.size() + found.size();
    for (size_t i = first_seen_page(static_cast<uint32_t>(end * kPageTokens)); i < end; ++i) {
        const uint32_t page = i < pages_.size() ? pages_[i] : found[i - pages_.size()];
        if (pool_->windows().slot_of(page) == WindowSlots::kNone) return false;
    }
    return true;
}

void Timeline::take_up(std::span<const uint32_t> found, std::span<const TokenId> tokens) {
    if (found.empty()) return;
    const size_t n_before = pages_.size(), end = n_before + found.size();
    for (const uint32_t page : found) {
        pool_->share(page);
        pages_.push_back(page);
        const uint32_t slot = pool_->state_of(page);
        if (slot == StateSlots::kNone) continue;
        pool_->states().share(slot);
        states_.push_back({static_cast<uint32_t>(pages_.size() * kPageTokens), slot, true});
    }
    tokens_.assign(tokens.begin(), tokens.begin() + ptrdiff_t(end * kPageTokens));
    if (!has_windows()) return;
    for (size_t i = first_in_windows_; i < n_before; ++i) pool_->windows().drop(pages_[i], true);
    first_in_windows_ = static_cast<uint32_t>(end);
    const bool there = takes_windows_back(static_cast<uint32_t>(tokens_.size()));
    ATLAS_CHECK(there, "page {} has no slot", first_in_windows_ - 1);
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
    drop_unseen();
    const uint32_t n_pages = pages_needed(n_more);
    if (n_pages > pool_->n_available() || (has_windows() && n_pages > pool_->windows().n_available())) return false;
    if (has_states() && !reserve_states(n_more, n_states)) return false;
    const auto n_tokens = static_cast<uint32_t>(tokens_.size());
    if (n_tokens % kPageTokens != 0) {
        uint32_t& last = pages_[n_tokens / kPageTokens];
        if (pool_->is_shared(last)) {
            const uint32_t own = take_page();
            if (auto copied = pool_->copy(last, own); !copied) {
                drop_page(own, has_windows());
                return tl::unexpected(std::move(copied).error());
            }
            drop_page(last, has_windows());
            last = own;
        } else {
            pool_->forget(last);
        }
    }
    while (pages_.size() < pages_for(n_tokens + n_more)) pages_.push_back(take_page());
    return true;
}

uint32_t Timeline::take_page() {
    const uint32_t page = *pool_->take();
    if (has_windows()) pool_->windows().take(page);
    return page;
}

void Timeline::drop_page(uint32_t page, bool is_in_windows) {
    if (has_windows()) {
        const bool page_stays = pool_->is_shared(page) || pool_->index().knows(page);
        if (is_in_windows)
            pool_->windows().drop(page, page_stays);
        else if (!page_stays)
            pool_->windows().forget(page);
    }
    pool_->drop(page);
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
            if (has_windows() && i >= first_in_windows_) use_windows_of(*same, pages_[i]);
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

// The timeline reads `same` instead of its own page, which has the same contents.
void Timeline::use_windows_of(uint32_t same, uint32_t own) {
    WindowSlots& windows = pool_->windows();
    if (windows.slot_of(same) == WindowSlots::kNone) return windows.give(own, same);
    windows.share(same);
    windows.drop(own, false);
}

void Timeline::forget_unseen_windows() {
    if (!has_windows()) return;
    drop_unseen();
    for (uint32_t i = 0; i < first_in_windows_; ++i) pool_->windows().forget(pages_[i]);
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
