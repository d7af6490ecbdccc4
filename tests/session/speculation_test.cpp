// The promise of speculation, on the oracle's backend: the same distribution, with any speculator, however bad.
#include "runtime/session/speculation/speculation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/reference/ref_backend.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

constexpr uint32_t kVocabulary = 31;

/// Always proposes the same tokens.
class Stubborn final : public Speculator {
  public:
    explicit Stubborn(std::vector<uint32_t> draft_tokens) : draft_tokens_(std::move(draft_tokens)) {}
    Result<void> begin(std::span<const uint32_t>) override { return {}; }
    Result<void> accept(uint32_t) override { return {}; }
    Result<void> propose(uint32_t most, Proposal& proposal) override {
        for (uint32_t i = 0; i < std::min<size_t>(most, draft_tokens_.size()); ++i) {
            proposal.tokens.push_back(draft_tokens_[i]);
            proposal.evidence.push_back(0);
        }
        return {};
    }
    void priors(std::span<double>) const override {}

  private:
    std::vector<uint32_t> draft_tokens_;
};

Speculators stubborn(std::vector<uint32_t> draft_tokens, uint32_t width) {
    std::vector<std::unique_ptr<Speculator>> who;
    who.push_back(std::make_unique<Stubborn>(std::move(draft_tokens)));
    Speculators speculation(std::move(who), 23);
    speculation.length().fix_width(width);
    return speculation;
}

struct Fixture {
    Fixture() {
        testing::TinyShape shape;
        shape.n_layer = 1;
        shape.n_head = 1;
        shape.head_dim = 8;
        shape.n_embd = 16;
        shape.n_ff = 16;
        shape.n_vocab = kVocabulary;
        testing::write_tiny_model(dir / "tiny.gguf", shape);
        running = testing::start_model(dir / "tiny.gguf", *backend,
                                       {.n_ctx = 32, .n_batch = 8, .max_outputs = 8, .kv_format = Format::f32});
    }
    Sampler sampler(uint64_t seed) const {
        return Sampler::create({.temperature = 0.8f, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed}).value();
    }
    /// n tokens after the prompt, without draft tokens or with.
    std::vector<TokenId> say(uint64_t seed, uint32_t n, Speculators* speculation, bool on_device) {
        Session& session = *running.session;
        ATLAS_CHECK(session.sync(prompt).has_value(), "sync");
        Sampler chooser = sampler(seed);
        std::vector<TokenId> tokens;
        if (speculation == nullptr) {
            for (uint32_t i = 0; i < n; ++i) {
                if (i > 0) ATLAS_CHECK(session.step(tokens.back()).has_value(), "step");
                tokens.push_back(chooser.sample(session.logits()).value());
            }
            return tokens;
        }
        SpeculativeDecoder decoder(session, chooser, *speculation, on_device);
        ATLAS_CHECK(decoder.start().has_value(), "start");
        for (uint32_t i = 0; i < n; ++i) tokens.push_back(decoder.next(n - 1 - i).value());
        n_blocks += decoder.figures().n_blocks;
        n_accepted += decoder.figures().n_accepted;
        return tokens;
    }
    TempDir dir;
    std::unique_ptr<Backend> backend = make_ref_backend();
    testing::Running running;
    std::vector<uint32_t> prompt = {3, 1, 4, 1, 5};
    uint64_t n_blocks = 0, n_accepted = 0;
};

using Counts = std::map<uint32_t, std::array<double, 2>>;

/// The probability that two samples of the same size differ this much or more if their distributions are the same
/// (chi squared; Wilson and Hilferty's cube root approximation). Cells in which both together are under 10 are
/// merged. 0 where too few cells are left.
double p_of_same(const Counts& counts) {
    std::array<double, 2> rare{};
    double chi = 0;
    int cells = 0;
    const auto add = [&](const std::array<double, 2>& c) {
        chi += (c[0] - c[1]) * (c[0] - c[1]) / (c[0] + c[1]);
        ++cells;
    };
    for (const auto& [id, c] : counts) {
        if (c[0] + c[1] >= 10)
            add(c);
        else
            rare = {rare[0] + c[0], rare[1] + c[1]};
    }
    if (rare[0] + rare[1] >= 10) add(rare);
    if (cells < 8) return 0;
    const double k = cells - 1, z = (std::cbrt(chi / k) - (1 - 2 / (9 * k))) / std::sqrt(2 / (9 * k));
    return 0.5 * std::erfc(z / std::sqrt(2.0));
}

TEST(SpeculationTest, FiftyThousandFirstAndSecondTokensAreDistributedAsWithout) {
    Fixture f;
    // From the likeliest tokens, so that draft tokens are often accepted and often rejected.
    std::map<uint32_t, int> seen;
    for (uint64_t seed = 0; seed < 300; ++seed) ++seen[f.say(seed, 2, nullptr, false)[1]];
    uint32_t likely = 0;
    for (const auto& [id, n] : seen) likely = n > seen[likely] ? id : likely;
    Speculators speculation = stubborn({likely, likely, 7}, 4);

    constexpr uint32_t kSamples = 50000;
    Counts first, second;
    for (uint32_t i = 0; i < kSamples; ++i) {
        const auto plain = f.say(1'000'000 + i, 2, nullptr, false);
        const auto drafted = f.say(2'000'000 + i, 3, &speculation, i % 2 == 0);
        first[plain[0]][0] += 1;
        first[drafted[0]][1] += 1;
        second[plain[1]][0] += 1;
        second[drafted[1]][1] += 1;
    }
    RecordProperty("p_first", std::to_string(p_of_same(first)));
    RecordProperty("p_second", std::to_string(p_of_same(second)));
    EXPECT_GT(p_of_same(first), 0.01);
    EXPECT_GT(p_of_same(second), 0.01);
    EXPECT_GT(f.n_blocks, kSamples / 2);
    EXPECT_GT(f.n_accepted, kSamples / 50);
    // Shows that the test can fail: the tokens that follow the likely one are distributed differently.
    Counts other = second;
    std::swap(other[likely][1], other[likely == 0 ? 1 : 0][1]);
    EXPECT_LT(p_of_same(other), 1e-6);
}

TEST(SpeculationTest, ASeedGivesItsTokensWhateverIsProposed) {
    Fixture f;
    for (const uint32_t width : {2u, 4u, 8u}) {
        for (const bool on_device : {false, true}) {
            for (uint64_t seed = 0; seed < 40; ++seed) {
                const auto plain = f.say(seed, 20, nullptr, false);
                Speculators right = stubborn({plain.begin() + 1, plain.end()}, width),
                            wrong = stubborn({30, 30, 30, 30, 30, 30, 30}, width);
                EXPECT_EQ(f.say(seed, 20, &right, on_device), plain);
                EXPECT_EQ(f.say(seed, 20, &wrong, on_device), plain);
            }
        }
    }
    EXPECT_GT(f.n_accepted, 100u);
}

}  // namespace
}  // namespace atlas
