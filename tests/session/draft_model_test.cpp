// A smaller model drafts: the larger model's answer does not change.
#include "runtime/session/speculation/draft_model.h"

#include <gtest/gtest.h>

#include "runtime/session/speculation/lookup.h"
#include "runtime/session/speculation/speculation.h"
#include "tests/reference/ref_backend.h"
#include "tests/support/draft_models.h"
#include "tests/support/run_batch.h"
#include "tests/support/temp_dir.h"

namespace atlas {
namespace {

struct Fixture {
    Fixture() {
        testing::write_draft_models(dir);
        large = testing::start_model(dir / "large.gguf", *backend,
                                     {.n_ctx = 96, .n_batch = 24, .max_outputs = 24, .kv_format = Format::f32});
    }
    Speculators drafted_by(const char* name, uint32_t width, uint32_t n_ctx = 96, bool with_lookup = false) {
        std::vector<std::unique_ptr<Speculator>> who;
        if (with_lookup) who.push_back(std::make_unique<LookupSpeculator>());
        who.push_back(
            testing::start_draft(dir / name, *backend, {.n_ctx = n_ctx, .n_batch = 24, .kv_format = Format::f32}, 97));
        Speculators speculators(std::move(who), 23);
        speculators.length().fix_width(width);
        return speculators;
    }
    std::vector<TokenId> say(uint64_t seed, float temperature, uint32_t n, Speculators* speculators) {
        Session& session = *large.session;
        session.rewind(0);
        const auto prompt = testing::tiny_tokens(10, 60, seed);
        ATLAS_CHECK(session.sync(prompt).has_value(), "sync");
        auto sampler = Sampler::create({.temperature = temperature, .seed = seed}).value();
        std::vector<TokenId> tokens;
        if (speculators == nullptr) {
            for (uint32_t i = 0; i < n; ++i) {
                if (i > 0) ATLAS_CHECK(session.step(tokens.back()).has_value(), "step");
                tokens.push_back(sampler.sample(session.logits()).value());
            }
            return tokens;
        }
        SpeculativeDecoder decoder(session, sampler, *speculators, true);
        ATLAS_CHECK(decoder.start().has_value(), "start");
        for (uint32_t i = 0; i < n; ++i) tokens.push_back(decoder.next(n - 1 - i).value());
        figures = decoder.figures();
        return tokens;
    }
    TempDir dir;
    std::unique_ptr<Backend> backend = make_ref_backend();
    testing::Running large;
    SpeculationFigures figures;
};

TEST(DraftModelTest, AModelThatDraftsForItselfIsAlwaysAccepted) {
    Fixture f;
    Speculators speculators = f.drafted_by("large.gguf", 4);
    const auto plain = f.say(3, 0, 40, nullptr);
    EXPECT_EQ(f.say(3, 0, 40, &speculators), plain);
    EXPECT_GT(f.figures.n_blocks, 5u);
    EXPECT_EQ(f.figures.n_accepted, f.figures.n_draft_tokens);
}

TEST(DraftModelTest, TheAnswerIsTheSameWithEveryDraftModel) {
    Fixture f;
    uint64_t n_accepted = 0, n_draft_tokens = 0;
    for (const char* name : {"small.gguf", "narrow.gguf", "large.gguf"}) {
        for (const bool with_lookup : {false, true}) {
            for (const uint32_t width : {2u, 8u}) {
                Speculators speculators = f.drafted_by(name, width, 96, with_lookup);
                for (uint64_t seed = 1; seed < 3; ++seed) {
                    for (const float temperature : {0.0f, 0.8f}) {
                        const auto plain = f.say(seed, temperature, 50, nullptr);
                        EXPECT_EQ(f.say(seed, temperature, 50, &speculators), plain)
                            << name << ", width " << width << ", seed " << seed;
                        n_accepted += f.figures.n_accepted;
                        n_draft_tokens += f.figures.n_draft_tokens;
                    }
                }
            }
        }
    }
    EXPECT_GT(n_accepted, 200u);
    EXPECT_LT(n_accepted, n_draft_tokens);
}

TEST(DraftModelTest, AFullContextOfTheDraftEndsItsProposals) {
    Fixture f;
    Speculators speculators = f.drafted_by("large.gguf", 4, 32);
    const auto plain = f.say(5, 0, 60, nullptr);
    EXPECT_EQ(f.say(5, 0, 60, &speculators), plain);
    EXPECT_GT(f.figures.n_accepted, 8u);
    EXPECT_LT(f.figures.n_accepted, 30u);
}

TEST(DraftModelTest, AModelThatIsAlwaysWrongIsLeftAlone) {
    Fixture f;
    Speculators speculators = f.drafted_by("small.gguf", 0);
    for (int i = 0; i < 5; ++i) speculators.length().step_took(1, 1, 1, 10);
    speculators.length().step_took(1, 2, 1, 12);
    for (int i = 0; i < 60; ++i) speculators.length().draft_was(kFirstCostlyEvidence + 2, false);
    EXPECT_FALSE(speculators.would_fill(16));
    for (int i = 0; i < 60; ++i) speculators.length().draft_was(kFirstCostlyEvidence + 2, true);
    EXPECT_TRUE(speculators.would_fill(16));
}

}  // namespace
}  // namespace atlas
