#pragma once
// One text of many in a pool: its tokens and the pages that hold their keys and values.

#include <span>
#include <vector>

#include "runtime/session/cache/kv_pool.h"

namespace atlas {

using TokenId = uint32_t;

/// Forking and rewinding change page numbers only, never the contents of pages. The pool must outlive the timeline.
/// Not thread-safe, nor are two timelines of one pool.
class Timeline {
  public:
    explicit Timeline(KvPool& pool) : pool_(&pool) {}
    ~Timeline() { clear(); }
    Timeline(Timeline&& other) noexcept;
    Timeline& operator=(Timeline&& other) noexcept;

    /// The tokens whose K and V are in the cache.
    const std::vector<TokenId>& tokens() const { return tokens_; }
    /// One page per kPageTokens tokens, the last one partly full; more after reserve().
    std::span<const uint32_t> pages() const { return pages_; }
    KvPool& pool() const { return *pool_; }

    /// A second timeline with the same tokens on the same pages and states.
    Timeline fork() const;
    /// Keeps the first n_tokens (at most as many as there are) and drops the pages after them. Where layers have a
    /// state or a window, it keeps fewer: as many as the last state that was kept is after, and as many as the windows
    /// are still there for. Returns how many.
    uint32_t rewind(uint32_t n_tokens);
    /// Keeps the state after the last token until the timeline is rewound to before it, or until there are too many:
    /// at a place from which the text may continue in another way. Without layers that have a state nothing happens.
    void checkpoint();
    void clear() { rewind(0); }

    /// Extends the timeline along `tokens`, which begin with those of the timeline, as far as full pages with them
    /// are in memory, with the state and the windows at their end where layers have these; at least one token is left
    /// to run. Does nothing in the middle of a page. Returns how many tokens were gained.
    uint32_t reuse(std::span<const TokenId> tokens);

    /// How many pages reserve() would take from the pool.
    uint32_t pages_needed(uint32_t n_more) const;
    /// Takes pages for n_more tokens after the end of the timeline and makes the last page private to it. Where layers
    /// have a state, takes slots for the states after each of the last n_states tokens (at least one), and after every
    /// checkpoint_every() tokens of the pool; slots of the step before that were not accepted become free. False: the
    /// pool has too few pages or slots, and nothing was taken. Fails: as KvPool::copy.
    Result<bool> reserve(uint32_t n_more, uint32_t n_states = 1);
    /// The slot of the state after the first n_tokens, kept or reserved; StateSlots::kNone: there is none.
    uint32_t state_after(uint32_t n_tokens) const;
    /// Appends these tokens after a step has written their K and V, in the room that reserve() has made.
    void append(std::span<const TokenId> tokens);

    /// The first of pages() that has a slot in layers with a window, as all after it.
    uint32_t first_in_windows() const { return first_in_windows_; }
    /// The row of a token of these pages in layers with a window.
    uint32_t row_in_windows(uint32_t position) const {
        return pool_->windows().slot_of(pages_[position / kPageTokens]) * kPageTokens + position % kPageTokens;
    }
    /// Frees the slots of pages that no later token sees, even if they may be wanted again: their contents are not
    /// there.
    void forget_unseen_windows();

    /// Allocates for n_tokens tokens now, so that append() and reserve() do not.
    void make_room(uint32_t n_tokens) {
        tokens_.reserve(n_tokens);
        pages_.reserve(pages_for(n_tokens));
    }

    /// Renumbers pages: page p is page to[p] now (KvPool::shrink).
    void renumber(std::span<const uint32_t> to) {
        for (uint32_t& page : pages_) page = to[page];
    }

  private:
    /// The state after the first n_tokens.
    struct State {
        uint32_t n_tokens = 0;
        uint32_t slot = 0;
        bool is_checkpoint = false;
    };
    bool has_states() const { return pool_->states().exist(); }
    bool reserve_states(uint32_t n_more, uint32_t n_states);
    void drop_states(std::vector<State>& states, size_t first);
    void drop_unaccepted();
    bool drop_oldest_checkpoint();
    bool may_add_checkpoint();
    bool has_windows() const { return pool_->windows().exist(); }
    uint32_t first_seen_page(uint32_t n_tokens) const;
    uint32_t take_page();
    void drop_page(uint32_t page, bool is_in_windows);
    void drop_pages(uint32_t n_pages);
    void drop_unseen();
    bool takes_windows_back(uint32_t n_tokens);
    void use_windows_of(uint32_t same, uint32_t own);
    bool can_go_on_after(std::span<const uint32_t> found) const;
    void take_up(std::span<const uint32_t> found, std::span<const TokenId> tokens);
    bool must_copy_last_page() const;
    void index_full_pages(uint32_t first_page);
    std::span<const TokenId> tokens_of_page(uint32_t page) const {
        return std::span(tokens_).subspan(size_t{page} * kPageTokens, kPageTokens);
    }

    KvPool* pool_;
    std::vector<TokenId> tokens_;
    std::vector<uint32_t> pages_;
    uint32_t first_in_windows_ = 0;  // from this page on the timeline reads slots in layers with a window
    std::vector<State> states_;      // in the order of their tokens; those of the last step, and checkpoints
    std::vector<State> reserved_;    // of tokens that are not in the timeline yet
};

}  // namespace atlas
