#pragma once
// Random interleavings of all operations on timelines of a pool that is too small for them.

#include <gtest/gtest.h>

#include <random>

#include "runtime/session/cache/snapshot.h"
#include "tests/support/run_batch.h"

namespace atlas::testing {

class Interleaving {
  public:
    static constexpr uint32_t kVocab = 13;  // of smallest_shape()
    static constexpr size_t kMaxTimelines = 5;

    /// `tolerance`: by how much a logit may differ from a fresh prefill's. `longest`: of the texts, in tokens.
    Interleaving(StepRunner& runner, FreshPrefill& fresh, float tolerance, size_t longest = 120)
        : runner_(runner), pool_(runner.pool()), fresh_(fresh), tolerance_(tolerance), longest_(longest) {
        for (uint64_t seed = 0; seed < 3; ++seed)
            texts_.push_back(tiny_tokens(uint32_t(longest) + 8, kVocab, 100 + seed));
    }

    void run(uint32_t seed, uint32_t n_operations) {
        random_.seed(seed);
        for (uint32_t i = 0; i < n_operations; ++i) operate();
        probe_all();
        live_.clear();
        snapshots_.clear();
        ASSERT_EQ(pool_.n_in_use(), 0u) << "pages leaked";
        ASSERT_EQ(pool_.n_available(), pool_.n_pages());
        ASSERT_EQ(pool_.windows().n_available(), pool_.windows().n_slots());
        if (below(4) == 0) {
            pool_.forget_kept();
            ASSERT_EQ(pool_.n_kept(), 0u);
            ASSERT_EQ(pool_.n_available(), pool_.n_pages());
        }
    }
    uint64_t n_probes() const { return n_probes_; }
    uint64_t n_refused() const { return n_refused_; }
    uint64_t n_restored() const { return n_restored_; }
    uint64_t n_reused() const { return n_reused_; }
    uint64_t n_given_back() const { return n_given_back_; }
    bool takes_snapshots = true;
    bool gives_back = false;  // now and then the pool shrinks by a page or more, but never below six

  private:
    struct Live {
        Timeline timeline;
        size_t text;
    };
    uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
    Live& any() { return live_[below(static_cast<uint32_t>(live_.size()))]; }

    // Mostly along one of few texts, so that prefixes meet.
    std::vector<TokenId> next_tokens(const Live& live, uint32_t n) {
        std::vector<TokenId> tokens;
        const size_t at = live.timeline.tokens().size();
        for (uint32_t i = 0; i < n && at + i < longest_; ++i) tokens.push_back(texts_[live.text][at + i]);
        if (!tokens.empty() && below(12) == 0) tokens[below(static_cast<uint32_t>(tokens.size()))] = below(kVocab);
        return tokens;
    }

    void operate() {
        if (live_.empty()) return join();
        if (gives_back && below(40) == 0) return shrink();
        switch (below(12)) {
            case 0:
                return join();
            case 1:
                return fork();
            case 2:
            case 3:
                return rewind();
            case 4:
                live_.erase(live_.begin() + below(static_cast<uint32_t>(live_.size())));
                return;  // cancelled
            case 5:
                return evict();
            case 6:
                return take_snapshot();
            case 7:
                return restore_snapshot();
            default:
                return step();
        }
    }

    void shrink() {
        std::vector<Timeline*> timelines;
        for (Live& live : live_) timelines.push_back(&live.timeline);
        const uint32_t before = pool_.n_pages(), available = pool_.n_available(), in_use = pool_.n_in_use();
        const auto given = runner_.shrink(pool_.page_bytes() * (1 + below(2)), 6 * kPageTokens, timelines);
        ASSERT_TRUE(given) << given.error().message;
        ASSERT_EQ(*given, (before - pool_.n_pages()) * pool_.page_bytes());
        ASSERT_EQ(pool_.n_in_use(), in_use) << "pages with readers stay";
        ASSERT_EQ(pool_.n_available() + before - pool_.n_pages(), available);
        n_given_back_ += before - pool_.n_pages();
    }

    void join() {
        if (live_.size() == kMaxTimelines) return;
        live_.push_back({Timeline(pool_), below(3)});
        Live& live = live_.back();
        std::vector<TokenId> prompt = next_tokens(live, 1 + below(100));
        n_reused_ += live.timeline.reuse(prompt);
        prompt.erase(prompt.begin(), prompt.begin() + ptrdiff_t(live.timeline.tokens().size()));
        run_items({{&live, prompt, below(2)}});
    }

    void fork() {
        if (live_.size() == kMaxTimelines) return;
        const Live& from = any();
        Live twin{from.timeline.fork(), below(4) == 0 ? below(3) : from.text};
        live_.push_back(std::move(twin));
    }

    void rewind() {
        Timeline& timeline = any().timeline;
        const auto n = static_cast<uint32_t>(timeline.tokens().size());
        timeline.rewind(below(2) == 0 ? n - std::min(n, below(6)) : below(n + 1));
    }

    // Pages are needed for something else for a moment.
    void evict() {
        std::vector<uint32_t> taken;
        for (uint32_t n = below(pool_.n_available() + 1); n > 0; --n) taken.push_back(pool_.take().value());
        for (const uint32_t page : taken) pool_.drop(page);
    }

    void take_snapshot() {
        if (!takes_snapshots) return;
        const Live& live = any();
        auto bytes = snapshot(live.timeline);
        ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
        snapshots_.emplace_back(std::move(*bytes), live.text);
    }

    void restore_snapshot() {
        if (snapshots_.empty() || live_.size() == kMaxTimelines) return;
        const auto& [bytes, text] = snapshots_[below(static_cast<uint32_t>(snapshots_.size()))];
        auto timeline = restore(pool_, bytes);
        if (!timeline) {
            ASSERT_EQ(timeline.error().code, ErrorCode::out_of_memory) << timeline.error().message;
            return;
        }
        live_.push_back({std::move(*timeline), text});
        ++n_restored_;
    }

    struct Wanted {
        Live* live;
        std::vector<TokenId> tokens;
        uint32_t n_outputs;
    };

    // Decodes, verifies and prefill chunks of some of the timelines together.
    void step() {
        std::vector<Wanted> wanted;
        for (Live& live : live_) {
            if (below(3) == 0) continue;
            const uint32_t kind = below(4);
            auto tokens = next_tokens(live, kind < 2 ? 1 : kind == 2 ? 2 + below(4) : 1 + below(12));
            const auto n = static_cast<uint32_t>(tokens.size());
            if (n > 0) wanted.push_back({&live, std::move(tokens), kind == 3 ? 0 : n});
        }
        run_items(std::move(wanted));
    }

    void run_items(std::vector<Wanted> wanted) {
        std::vector<StepItem> items;
        for (Wanted& w : wanted) {
            const auto n = static_cast<uint32_t>(w.tokens.size());
            const auto reserved = w.live->timeline.reserve(n, std::min(n, w.n_outputs));
            ASSERT_TRUE(reserved.has_value());
            if (!*reserved)
                ++n_refused_;
            else if (n > 0)
                items.push_back({&w.live->timeline, w.tokens, std::min(n, w.n_outputs)});
        }
        if (items.empty()) return;
        const auto ran = runner_.run(items);
        ASSERT_TRUE(ran.has_value()) << ran.error().message;
        if (below(8) != 0) return;
        for (size_t i = 0; i < items.size(); ++i) compare(items[i], runner_.logits(i));
    }

    void compare(const StepItem& item, std::span<const float> rows) {
        if (item.n_outputs == 0) return;
        ++n_probes_;
        const auto& expected = fresh_.logits(item.timeline->tokens());
        ASSERT_LE(largest_difference(rows.last(kVocab), expected), tolerance_)
            << item.timeline->tokens().size() << " tokens";
    }

    void probe_all() {
        std::vector<TokenId> tokens(live_.size());
        std::vector<StepItem> items;
        for (size_t i = 0; i < live_.size(); ++i) {
            tokens[i] = texts_[live_[i].text][live_[i].timeline.tokens().size()];
            if (live_[i].timeline.reserve(1).value())
                items.push_back({&live_[i].timeline, std::span(tokens).subspan(i, 1), 1});
        }
        if (items.empty()) return;
        ASSERT_TRUE(runner_.run(items).has_value());
        for (size_t i = 0; i < items.size(); ++i) compare(items[i], runner_.logits(i));
    }

    StepRunner& runner_;
    KvPool& pool_;
    FreshPrefill& fresh_;
    float tolerance_;
    size_t longest_;
    std::vector<std::vector<TokenId>> texts_;
    std::mt19937 random_;
    std::vector<Live> live_;
    std::vector<std::pair<std::vector<std::byte>, size_t>> snapshots_;
    uint64_t n_probes_ = 0, n_refused_ = 0, n_reused_ = 0, n_restored_ = 0, n_given_back_ = 0;
};

/// Seven pages: five timelines of up to four pages do not fit, so that refusal and eviction happen all the time.
inline SessionShape interleaving_shape() {
    return {.pool_tokens = 7 * kPageTokens,
            .n_ctx = 4 * kPageTokens,
            .n_batch = 128,
            .max_outputs = 64,
            .max_timelines = Interleaving::kMaxTimelines,
            .kv_format = Format::f32};
}

}  // namespace atlas::testing
