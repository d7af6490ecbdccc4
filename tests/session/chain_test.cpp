// The device chooses, one step ahead: tokens, timeline and failures are those of sampling on the host.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

using testing::WatchedBackend;

struct Fixture {
    Fixture() { testing::write_tiny_model(dir / "tiny.gguf", testing::tiny_shape("llama")); }
    testing::Running start(uint32_t n_ctx = 256) {
        return testing::start_model(dir / "tiny.gguf", backend,
                                    {.n_ctx = n_ctx, .n_batch = 16, .kv_format = Format::f32});
    }
    TempDir dir;
    WatchedBackend backend;
    std::vector<uint32_t> prompt = testing::tiny_tokens(20, 97, 1);
};

Sampler sampler_for(const SamplerOptions& options, std::span<const uint32_t> prompt) {
    Sampler sampler = Sampler::create(options).value();
    for (const uint32_t token : prompt) sampler.accept(token);
    return sampler;
}

std::vector<uint32_t> choose_on_host(Session& session, Sampler sampler, uint32_t n) {
    std::vector<uint32_t> tokens;
    while (tokens.size() < n) {
        tokens.push_back(sampler.sample(session.logits()).value());
        sampler.accept(tokens.back());
        if (tokens.size() == n) break;
        EXPECT_TRUE(session.step(tokens.back()).has_value());
    }
    return tokens;
}

std::vector<uint32_t> choose_on_device(Session& session, const Sampler& sampler, uint32_t n) {
    std::vector<uint32_t> tokens;
    EXPECT_TRUE(session.start_choosing(sampler).has_value());
    while (tokens.size() < n) tokens.push_back(session.next_choice(tokens.size() + 1 < n).value().token);
    session.stop_choosing();
    return tokens;
}

std::vector<SamplerOptions> all_kinds() {
    std::vector<SamplerOptions> kinds(6);
    kinds[0].temperature = 0;
    kinds[1].temperature = 1.5f;
    kinds[2].top_k = 0;
    kinds[2].temperature = 1.2f;
    kinds[3].min_p = 0;
    kinds[3].top_p = 1;
    kinds[4].repetition_penalty = 1.3f;
    kinds[4].frequency_penalty = 0.2f;
    kinds[4].penalty_window = 32;
    kinds[5].temperature = 0;
    kinds[5].presence_penalty = 2;
    kinds[5].penalty_window = 7;
    for (uint64_t i = 0; i < kinds.size(); ++i) kinds[i].seed = 77 + i;
    return kinds;
}

TEST(Chain, SameTokensAsOnTheHost) {
    Fixture f;
    for (const SamplerOptions& options : all_kinds()) {
        const auto on_host = f.start(), on_device = f.start();
        ASSERT_TRUE(on_host.session->sync(f.prompt).has_value());
        ASSERT_TRUE(on_device.session->sync(f.prompt).has_value());
        const Sampler sampler = sampler_for(options, f.prompt);
        EXPECT_EQ(choose_on_device(*on_device.session, sampler, 200), choose_on_host(*on_host.session, sampler, 200));
        EXPECT_EQ(on_device.session->tokens(), on_host.session->tokens());
    }
}

TEST(Chain, SubmitsTheNextStepBeforeItReadsTheToken) {
    Fixture f;
    const auto running = f.start();
    ASSERT_TRUE(running.session->sync(f.prompt).has_value());
    ASSERT_TRUE(running.session->start_choosing(sampler_for({}, {})).has_value());
    f.backend.counts = {};
    ASSERT_TRUE(running.session->next_choice(true).has_value());
    EXPECT_EQ(f.backend.counts.submits, 1);
    EXPECT_EQ(f.backend.counts.waits, 1);
    EXPECT_EQ(running.session->tokens().size(), 21u);
    ASSERT_TRUE(running.session->next_choice(false).has_value());
    EXPECT_EQ(f.backend.counts.submits, 1) << "nothing runs for a token that is not wanted";
    EXPECT_EQ(running.session->tokens().size(), 21u);
}

TEST(Chain, AStepWritesItsWordsAndReadsItsToken) {
    Fixture f;
    const auto running = f.start();
    ASSERT_TRUE(running.session->sync(f.prompt).has_value());
    ASSERT_TRUE(running.session->start_choosing(sampler_for({}, {})).has_value());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(running.session->next_choice(true).has_value());
    f.backend.counts = {};
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(running.session->next_choice(true).has_value());  // stays in the first page
    EXPECT_EQ(f.backend.counts.submits, 8);
    EXPECT_EQ(f.backend.counts.writes, 16) << "words, and parameters of the choice";
    EXPECT_EQ(f.backend.counts.written_bytes, 8u * (20 + 64));
    EXPECT_EQ(f.backend.counts.reads, 8);
    EXPECT_EQ(f.backend.counts.read_bytes, 8u * 32);
    EXPECT_EQ(f.backend.counts.recordings, 0);
    EXPECT_EQ(f.backend.counts.allocations, 0);
}

TEST(Chain, StoppingTakesTheLastTokenBack) {
    Fixture f;
    const auto running = f.start();
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(f.prompt).has_value());
    const std::vector<float> expected(session.logits().begin(), session.logits().end());
    ASSERT_TRUE(session.start_choosing(sampler_for({}, {})).has_value());
    for (int i = 0; i < 15; ++i) ASSERT_TRUE(session.next_choice(true).has_value());
    EXPECT_EQ(session.tokens().size(), 35u);
    session.stop_choosing();
    EXPECT_EQ(session.tokens().size(), 34u);
    EXPECT_FALSE(session.has_logits());
    // The step that ran ahead leaves no trace.
    ASSERT_TRUE(session.sync(f.prompt).has_value());
    EXPECT_EQ(testing::largest_difference(session.logits(), expected), 0);
}

TEST(Chain, AFullContextEndsIt) {
    Fixture f;
    const auto running = f.start(32);
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(f.prompt).has_value());
    const auto tokens = choose_on_device(session, sampler_for({}, {}), 13);  // twelve steps and one more choice
    EXPECT_EQ(tokens.size(), 13u);
    EXPECT_EQ(session.tokens().size(), 32u);
}

TEST(Chain, ALostDeviceLeavesTheTimelineAsItWas) {
    for (const int steps_before : {0, 1, 4}) {
        Fixture f;
        const auto running = f.start();
        Session& session = *running.session;
        ASSERT_TRUE(session.sync(f.prompt).has_value());
        const auto plain = choose_on_device(session, sampler_for({}, {}), 10);
        ASSERT_TRUE(session.sync(f.prompt).has_value());
        ASSERT_TRUE(session.start_choosing(sampler_for({}, {})).has_value());
        for (int i = 0; i < steps_before; ++i) ASSERT_TRUE(session.next_choice(true).has_value());
        f.backend.fail_run = f.backend.counts.runs;
        const auto lost = session.next_choice(true);
        ASSERT_FALSE(lost.has_value());
        EXPECT_EQ(lost.error().code, ErrorCode::device_lost);
        session.stop_choosing();
        EXPECT_EQ(session.tokens().size(), 20u + uint32_t(steps_before));
        // After a passing error of the device everything could start over.
        ASSERT_TRUE(session.sync(f.prompt).has_value());
        EXPECT_EQ(choose_on_device(session, sampler_for({}, {}), 10), plain);
    }
}

TEST(Chain, LogProbabilitiesAreThoseOfTheLogits) {
    Fixture f;
    const auto running = f.start(), other = f.start();
    ASSERT_TRUE(running.session->sync(f.prompt).has_value());
    ASSERT_TRUE(other.session->sync(f.prompt).has_value());
    ASSERT_TRUE(running.session->start_choosing(sampler_for({}, {}), true).has_value());
    for (int i = 0; i < 10; ++i) {
        const Choice choice = running.session->next_choice(true).value();
        double sum = 0;
        for (const float logit : other.session->logits()) sum += std::exp(double{logit});
        // Weights have 31 bits and an error of 1e-9 each; logits are some ten units wide.
        EXPECT_NEAR(choice.logprob, other.session->logits()[choice.token] - std::log(sum), 1e-6);
        ASSERT_TRUE(other.session->step(choice.token).has_value());
    }
}

TEST(Chain, DamagedLogitsAreAnErrorThatNamesThem) {
    Fixture f;
    const auto running = f.start();
    Session& session = *running.session;
    ASSERT_TRUE(session.sync(f.prompt).has_value());
    ASSERT_TRUE(session.start_choosing(sampler_for({}, {})).has_value());
    ASSERT_TRUE(session.next_choice(true).has_value());
    f.backend.after_read = [](std::span<std::byte> bytes) {
        const uint32_t words[] = {42, sampling::kDamaged, 0xFFFFFFFFu};
        std::memcpy(bytes.data(), words, sizeof(words));
    };
    const auto damaged = session.next_choice(true);
    ASSERT_FALSE(damaged.has_value());
    EXPECT_NE(damaged.error().message.find("token 42 is nan"), std::string::npos) << damaged.error().message;
    session.stop_choosing();
    EXPECT_EQ(session.tokens().size(), 21u);
}

TEST(Chain, LeavesLongHistoriesToTheHost) {
    Fixture f;
    const auto running = f.start();
    SamplerOptions options;
    options.presence_penalty = 1;
    options.penalty_window = kMaxHistory;
    EXPECT_TRUE(running.session->can_choose(options));
    options.penalty_window = kMaxHistory + 1;
    EXPECT_FALSE(running.session->can_choose(options));
}

}  // namespace
}  // namespace atlas
