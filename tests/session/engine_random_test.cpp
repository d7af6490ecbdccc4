// Random requests that join, leave, are preempted and use draft tokens.
#include <random>
#include <tuple>

#include "tests/session/engines.h"

namespace atlas {
namespace {

class RandomEngines : public Engines {
  protected:
    void random_comings_and_goings(int n_rounds);
    uint64_t n_preempted_ = 0, n_cancelled_ = 0, n_reused_ = 0, n_proposed_ = 0, n_accepted_ = 0;
};

// Requests come and go at random in a pool that is too small, on few texts so that prefixes meet: a request that is
// not cancelled gets the answer that it would get alone, a cancelled one the beginning of it, no request is lost and
// no page leaks.
void RandomEngines::random_comings_and_goings(int n_rounds) {
    std::mt19937 random(11);
    const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    std::map<std::tuple<uint32_t, uint64_t, int>, std::vector<TokenId>> answers;
    for (int round = 0; round < n_rounds; ++round) {
        const uint32_t n_pages = 6 + below(4), n_batch = 9 + below(60);
        Engine& engine = start({.pool_tokens = n_pages * kPageTokens,
                                .n_ctx = 192,
                                .n_batch = n_batch,
                                .max_outputs = speculates_ == Speculates::no ? 8u : std::min(14u, n_batch),
                                .max_timelines = 1 + below(8),
                                .kv_format = Format::f32});
        wanted_.clear();
        results_.clear();
        session_.reset();
        for (int i = 0; i < 60; ++i) {
            const uint32_t what = below(10);
            if (what < 3 && wanted_.size() < 12) {
                submit(request(1 + below(100), below(2), 1 + below(60), std::array{0.0f, 1.0f, 1.3f}[below(3)]));
            } else if (what == 3 && !wanted_.empty()) {
                engine.cancel(1 + below(static_cast<uint32_t>(wanted_.size())));
            } else {
                ASSERT_TRUE(engine.step().has_value());
            }
        }
        run_to_the_end();
        n_preempted_ += engine.n_preemptions();
        for (const auto& [id, one] : wanted_) {
            ASSERT_EQ(results_.count(id), 1u) << "round " << round << ": request " << id << " was lost";
            const EngineResult& result = results_[id];
            auto longest = one;
            longest.max_tokens = 60;
            auto& expected = answers[{static_cast<uint32_t>(one.prompt.size()), one.sampler.seed,
                                      int(one.sampler.temperature * 10)}];
            if (expected.empty()) expected = alone(longest);
            ASSERT_TRUE(std::equal(result.answer.begin(), result.answer.end(), expected.begin()))
                << "round " << round << ", request " << id;
            n_cancelled_ += result.finish == EngineFinish::cancelled ? 1 : 0;
            n_reused_ += result.reused_tokens;
            n_proposed_ += result.proposed_tokens;
            n_accepted_ += result.accepted_tokens;
            ASSERT_TRUE(result.finish == EngineFinish::cancelled || result.answer.size() == one.max_tokens);
        }
    }
}

TEST_F(RandomEngines, RandomComingsAndGoings) {
    random_comings_and_goings(300);
    EXPECT_GT(n_preempted_, 50u);
    EXPECT_GT(n_cancelled_, 100u);
    EXPECT_GT(n_reused_, 1000u);
    EXPECT_EQ(n_proposed_, 0u);
}

// The same with draft tokens in every step that has room for them.
TEST_F(RandomEngines, RandomComingsAndGoingsWithLookup) {
    speculates_ = Speculates::lookup;
    random_comings_and_goings(100);
    EXPECT_GT(n_preempted_, 15u);
    EXPECT_GT(n_cancelled_, 30u);
    EXPECT_GT(n_proposed_, 1000u);
    EXPECT_GT(n_accepted_, 100u);
    EXPECT_LT(n_accepted_, n_proposed_);
}

TEST_F(RandomEngines, RandomComingsAndGoingsWithLookupAndDraft) {
    speculates_ = Speculates::lookup_and_draft;
    random_comings_and_goings(100);
    EXPECT_GT(n_preempted_, 15u);
    EXPECT_GT(n_cancelled_, 30u);
    EXPECT_GT(n_proposed_, 1000u);
    EXPECT_GT(n_accepted_, 100u);
}

// Eight answers share steps, and so do the draft tokens of all of them.
TEST_F(Engines, DraftTokensOfManySaveSteps) {
    std::array<uint64_t, 3> steps{};
    for (const auto who : {Speculates::no, Speculates::lookup, Speculates::lookup_and_draft}) {
        speculates_ = who;
        Engine& engine = start({.pool_tokens = 2048,
                                .n_ctx = 512,
                                .n_batch = 64,
                                .max_outputs = 24,
                                .max_timelines = 8,
                                .kv_format = Format::f32});
        wanted_.clear();
        results_.clear();
        session_.reset();
        for (uint64_t seed = 0; seed < 6; ++seed) submit(request(5, seed, 60));
        run_to_the_end();
        expect_all_as_alone();
        steps[size_t(who)] = engine.runner().counts().steps;
        for (const auto& [id, result] : results_) EXPECT_EQ(result.answer.size(), 60u);
    }
    EXPECT_LT(steps[1], steps[0]);
    EXPECT_LT(steps[2], steps[0] / 2) << "a draft model that is always accepted";
}

}  // namespace
}  // namespace atlas
