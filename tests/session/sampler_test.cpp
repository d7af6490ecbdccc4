#include "runtime/session/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>

#include "tests/reference/ref_ops.h"

namespace atlas {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Options that change nothing: tests switch on what they test.
SamplerOptions plain() {
    SamplerOptions options;
    options.temperature = 1;
    options.top_k = 0;
    options.top_p = 1;
    options.min_p = 0;
    return options;
}

Sampler sampler(const SamplerOptions& options) { return Sampler::create(options).value(); }

std::vector<float> logits_of(const std::vector<double>& probabilities) {
    std::vector<float> logits;
    for (double p : probabilities)
        logits.push_back(static_cast<float>(std::log(p)) + 3.0f);  // any shift gives the same
    return logits;
}

std::map<uint32_t, int> draw_many(const SamplerOptions& options, const std::vector<float>& logits, int n) {
    Sampler s = sampler(options);
    std::map<uint32_t, int> counts;
    for (int i = 0; i < n; ++i) ++counts[s.sample(logits).value()];
    return counts;
}

/// Pearson's statistic of counts against the expected distribution; every drawn token must be expected.
double chi_squared(const std::map<uint32_t, int>& counts, const std::map<uint32_t, double>& expected, int n) {
    for (const auto& [token, count] : counts)
        EXPECT_TRUE(expected.contains(token)) << "drew " << token << " " << count << " times";
    double sum = 0;
    for (const auto& [token, p] : expected) {
        const auto found = counts.find(token);
        const double count = found == counts.end() ? 0 : found->second;
        sum += (count - n * p) * (count - n * p) / (n * p);
    }
    return sum;
}

constexpr int kDraws = 50000;
// 99.9 % points of the chi-squared distribution.
constexpr double kLimit2 = 13.8;
constexpr double kLimit4 = 18.5;
const std::vector<double> kFive = {0.4, 0.3, 0.15, 0.1, 0.05};

TEST(Philox, GivesThePublishedNumbers) {
    // Known-answer vectors of the paper's reference implementation (Random123, kat_vectors).
    EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
              (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
              (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Sampler, DrawsTheDistribution) {
    const auto counts = draw_many(plain(), logits_of(kFive), kDraws);
    EXPECT_LT(chi_squared(counts, {{0, 0.4}, {1, 0.3}, {2, 0.15}, {3, 0.1}, {4, 0.05}}, kDraws), kLimit4);
}

TEST(Sampler, TemperatureBendsIt) {
    SamplerOptions options = plain();
    options.temperature = 0.5f;  // squares the probabilities
    const double total = 0.16 + 0.09 + 0.0225 + 0.01 + 0.0025;
    const auto counts = draw_many(options, logits_of(kFive), kDraws);
    EXPECT_LT(
        chi_squared(counts,
                    {{0, 0.16 / total}, {1, 0.09 / total}, {2, 0.0225 / total}, {3, 0.01 / total}, {4, 0.0025 / total}},
                    kDraws),
        kLimit4);
}

TEST(Sampler, TopKKeepsTheLargest) {
    SamplerOptions options = plain();
    options.top_k = 3;
    const auto counts = draw_many(options, logits_of({0.05, 0.3, 0.1, 0.4, 0.15}), kDraws);
    EXPECT_LT(chi_squared(counts, {{3, 0.4 / 0.85}, {1, 0.3 / 0.85}, {4, 0.15 / 0.85}}, kDraws), kLimit2);
}

TEST(Sampler, TopPKeepsTheSmallestHeadThatReachesIt) {
    SamplerOptions options = plain();
    options.top_p = 0.75f;  // 0.4 + 0.3 is not enough
    const auto counts = draw_many(options, logits_of(kFive), kDraws);
    EXPECT_LT(chi_squared(counts, {{0, 0.4 / 0.85}, {1, 0.3 / 0.85}, {2, 0.15 / 0.85}}, kDraws), kLimit2);
}

// top_p uses the distribution before temperature: a high temperature must not let the tail in.
TEST(Sampler, TopPComesBeforeTemperature) {
    SamplerOptions options = plain();
    options.top_p = 0.75f;
    options.temperature = 100;
    const auto counts = draw_many(options, logits_of(kFive), kDraws);
    EXPECT_EQ(counts.size(), 3u);
    EXPECT_NEAR(counts.at(2), kDraws / 3.0, kDraws * 0.02);
}

TEST(Sampler, MinPDropsTheUnlikely) {
    SamplerOptions options = plain();
    options.min_p = 0.3f;  // of 0.4: keeps what is at least 0.12
    const auto counts = draw_many(options, logits_of(kFive), kDraws);
    EXPECT_LT(chi_squared(counts, {{0, 0.4 / 0.85}, {1, 0.3 / 0.85}, {2, 0.15 / 0.85}}, kDraws), kLimit2);
}

TEST(Sampler, EdgesOfPAreGreedyOrEverything) {
    SamplerOptions options = plain();
    options.top_p = 0;
    EXPECT_EQ(draw_many(options, logits_of(kFive), 200).size(), 1u) << "p = 0 keeps one token, never none";
    options = plain();
    options.min_p = 1;
    EXPECT_EQ(draw_many(options, logits_of(kFive), 200).size(), 1u);
    options = plain();
    options.min_p = 1;
    EXPECT_EQ(draw_many(options, {2, 2, 1}, 200).size(), 2u) << "ties with the most likely stay";
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowestIdOfATie) {
    SamplerOptions options = plain();
    options.temperature = 0;
    EXPECT_EQ(sampler(options).sample(std::vector<float>{1, 5, 3, 5}).value(), 1u);
    options = plain();
    options.top_k = 1;
    EXPECT_EQ(sampler(options).sample(std::vector<float>{1, 3, 5, 5}).value(), 2u);
    EXPECT_EQ(sampler(options).sample(std::vector<float>{-kInfinity, -7, -kInfinity}).value(), 1u);
}

TEST(Sampler, TopKCutsATieByTheLowestId) {
    SamplerOptions options = plain();
    options.top_k = 2;
    const auto counts = draw_many(options, {1, 1, 1, 1}, 500);
    EXPECT_EQ(counts.size(), 2u);
    EXPECT_TRUE(counts.contains(0) && counts.contains(1));
}

TEST(Sampler, ImpossibleTokensAreNeverDrawn) {
    SamplerOptions options = plain();
    options.temperature = 1e4f;
    const auto counts = draw_many(options, {-kInfinity, 0, -kInfinity, -1}, 2000);
    EXPECT_FALSE(counts.contains(0) || counts.contains(2));
    EXPECT_EQ(counts.size(), 2u);
}

TEST(Sampler, SameSeedSameTokens) {
    const auto logits = logits_of(kFive);
    SamplerOptions options = plain();
    options.seed = 1234567890123ull;
    Sampler a = sampler(options), b = sampler(options);
    options.seed += uint64_t{1} << 40;  // the high half of a seed counts too
    Sampler other = sampler(options);
    std::vector<uint32_t> from_a, from_b, from_other;
    for (int i = 0; i < 100; ++i) {
        from_a.push_back(a.sample(logits).value());
        from_b.push_back(b.sample(logits).value());
        from_other.push_back(other.sample(logits).value());
    }
    EXPECT_EQ(from_a, from_b);
    EXPECT_NE(from_a, from_other);
    a.reset();
    for (int i = 0; i < 100; ++i) ASSERT_EQ(a.sample(logits).value(), from_a[i]);
}

// Stored results, so that a difference on another platform or a change of the generator shows.
TEST(Sampler, TheFirstTokensOfSeed42) {
    SamplerOptions options = plain();
    options.seed = 42;
    Sampler s = sampler(options);
    std::vector<uint32_t> tokens;
    const std::vector<float> flat(1000, 0.0f);
    for (int i = 0; i < 6; ++i) tokens.push_back(s.sample(flat).value());
    EXPECT_EQ(tokens, (std::vector<uint32_t>{612, 987, 825, 729, 326, 314}));
}

TEST(Sampler, RepetitionDividesPositiveAndMultipliesNegative) {
    SamplerOptions options = plain();
    options.temperature = 0;
    options.repetition_penalty = 2;
    Sampler s = sampler(options);
    s.accept(0);
    EXPECT_EQ(s.sample(std::vector<float>{5, 3, 0}).value(), 1u) << "5 / 2 < 3";
    EXPECT_EQ(s.sample(std::vector<float>{7, 3, 0}).value(), 0u) << "7 / 2 > 3";
    EXPECT_EQ(s.sample(std::vector<float>{-1, -1.5, -9}).value(), 1u) << "-1 * 2 < -1.5";
}

TEST(Sampler, FrequencyCountsAndPresenceDoesNot) {
    SamplerOptions options = plain();
    options.temperature = 0;
    options.frequency_penalty = 1;
    Sampler frequency = sampler(options);
    for (int i = 0; i < 3; ++i) frequency.accept(0);
    EXPECT_EQ(frequency.sample(std::vector<float>{5, 1.5, 0}).value(), 0u) << "5 - 3 > 1.5";
    frequency.accept(0);
    EXPECT_EQ(frequency.sample(std::vector<float>{5, 1.5, 0}).value(), 1u) << "5 - 4 < 1.5";

    options.frequency_penalty = 0;
    options.presence_penalty = 1;
    Sampler presence = sampler(options);
    for (int i = 0; i < 9; ++i) presence.accept(0);
    EXPECT_EQ(presence.sample(std::vector<float>{5, 4.5, 0}).value(), 1u) << "5 - 1 < 4.5";
    EXPECT_EQ(presence.sample(std::vector<float>{5, 3.5, 0}).value(), 0u) << "5 - 1 > 3.5, however often it was seen";
}

TEST(Sampler, PenaltiesForgetWhatLeavesTheWindow) {
    SamplerOptions options = plain();
    options.temperature = 0;
    options.presence_penalty = 10;
    options.penalty_window = 3;
    Sampler s = sampler(options);
    const std::vector<float> logits = {5, 4, 3, 2, 1};
    s.accept(0);
    s.accept(1);
    s.accept(2);
    EXPECT_EQ(s.sample(logits).value(), 3u);
    s.accept(3);
    EXPECT_EQ(s.sample(logits).value(), 0u) << "0 was seen four tokens ago";
    s.accept(0);
    EXPECT_EQ(s.sample(logits).value(), 1u);
    s.accept(4000);  // a token outside the vocabulary does no harm
    EXPECT_EQ(s.sample(logits).value(), 1u);
}

// The operation that devices run, as the reference backend runs it: same tokens, same seed, same penalties.
TEST(Sampler, ChoosesWhatTheOperationChooses) {
    constexpr uint32_t kVocab = 200, kPlaces = 9;
    HostStorage scratch("scratch", 1 << 20), memory("rows", 4096);
    const Tensor logits = dense(memory, Format::f32, 1, kVocab);
    const SampleTables tables{{&memory, 1024, sampling::kParamWords},
                              {&memory, 1280, sampling::kHistoryHead + kPlaces},
                              {},
                              {&memory, 1536, sampling::kResultWords}};
    std::mt19937 random(3);
    std::normal_distribution<float> bell;
    for (int kind = 0; kind < 24; ++kind) {
        SamplerOptions options;
        options.temperature = kind % 6 == 5 ? 0.0f : 0.4f + 0.3f * float(kind % 3);
        options.top_k = kind % 4 == 0 ? 0 : uint32_t(10 * (kind % 4));
        options.top_p = kind % 2 == 0 ? 1.0f : 0.9f;
        options.min_p = kind % 3 == 0 ? 0.0f : 0.02f;
        options.penalty_window = kPlaces;
        options.seed = uint64_t{0x123456789} * uint64_t(kind);
        if (kind % 3 == 1) options.repetition_penalty = 1.2f;
        if (kind % 5 == 1) options.frequency_penalty = 0.3f;
        if (kind % 7 == 1) options.presence_penalty = 0.7f;
        Sampler s = sampler(options);
        std::fill_n(memory.data() + 1280, 4 * (sampling::kHistoryHead + kPlaces), std::byte{0});
        for (uint32_t draw = 0; draw < 40; ++draw) {
            std::vector<float> row(kVocab);
            for (float& x : row) x = std::round(bell(random) * 16) / 4;  // many ties
            write_row(logits, 0, row);
            const auto params = sample_params(options, s.n_draws(), true, false);
            std::memcpy(memory.data() + 1024, params.data(), sizeof(params));
            RefOps(scratch).sample(logits, tables);
            const uint32_t token = s.sample(row).value();
            ASSERT_EQ(read_u32(tables.results)[sampling::kResultId], token) << "kind " << kind << ", draw " << draw;
            s.accept(token);
        }
    }
}

TEST(Sampler, DamagedLogitsAreAnErrorThatNamesThem) {
    Sampler s = sampler(plain());
    const auto nan = s.sample(std::vector<float>{1, std::nanf(""), 2});
    ASSERT_FALSE(nan.has_value());
    EXPECT_NE(nan.error().message.find("token 1"), std::string::npos) << nan.error().message;
    EXPECT_FALSE(s.sample(std::vector<float>{1, kInfinity}).has_value());
    EXPECT_FALSE(s.sample(std::vector<float>{-kInfinity, -kInfinity}).has_value());
    EXPECT_FALSE(s.sample({}).has_value());
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
    const auto message_of = [](auto change) {
        SamplerOptions options;
        change(options);
        const auto made = Sampler::create(options);
        return made.has_value() ? std::string() : made.error().message;
    };
    EXPECT_NE(message_of([](auto& o) { o.top_p = 1.5f; }).find("top_p"), std::string::npos);
    EXPECT_NE(message_of([](auto& o) { o.temperature = -1; }).find("temperature"), std::string::npos);
    EXPECT_NE(message_of([](auto& o) { o.temperature = std::nanf(""); }).find("temperature"), std::string::npos);
    EXPECT_NE(message_of([](auto& o) { o.min_p = -0.1f; }).find("min_p"), std::string::npos);
    EXPECT_NE(message_of([](auto& o) { o.repetition_penalty = 0; }).find("repetition_penalty"), std::string::npos);
    EXPECT_EQ(message_of([](auto&) {}), "");
}

}  // namespace
}  // namespace atlas
