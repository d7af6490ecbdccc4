// Answers with draft tokens equal the answers without, token for token; on the device and on the host, in every
// format of the cache.
#include <gtest/gtest.h>

#include <map>

#include "runtime/gguf/reader.h"
#include "runtime/serve/generation.h"
#include "runtime/session/speculation/lookup.h"
#include "tests/end_to_end/validated_backend.h"
#include "tests/support/run_logits.h"
#include "tests/support/tiny_model.h"
#include "tests/support/wish.h"

namespace atlas {
namespace {

using testing::wish;

const std::filesystem::path kModel = std::filesystem::path(ATLAS_TEST_DATA) / "models" / "atlas-tiny-Q4_K_M.gguf";

/// Proposes the tokens that it was given, wrong now and then, so that sooner or later a draft token is rejected at
/// every place of a block.
class Oracle final : public Speculator {
  public:
    Oracle(std::vector<TokenId> answer, uint32_t wrong_every) : answer_(std::move(answer)), wrong_every_(wrong_every) {}
    Result<void> begin(std::span<const TokenId>) override {
        at_ = 0;
        return {};
    }
    Result<void> accept(TokenId) override {
        ++at_;
        return {};
    }
    Result<void> propose(uint32_t most, Proposal& proposal) override {
        for (uint32_t i = 0; i < most && at_ + i < answer_.size(); ++i) {
            const bool wrong = wrong_every_ > 0 && (at_ + i) % wrong_every_ == wrong_every_ - 1;
            proposal.tokens.push_back(answer_[at_ + i] + (wrong ? 1 : 0));
            proposal.evidence.push_back(0);
        }
        return {};
    }
    void priors(std::span<double> of_class) const override { of_class[0] = 0.9; }

  private:
    std::vector<TokenId> answer_;
    uint32_t wrong_every_;
    size_t at_ = 0;
};

Speculators oracle(std::vector<TokenId> answer, uint32_t wrong_every) {
    std::vector<std::unique_ptr<Speculator>> who;
    who.push_back(std::make_unique<Oracle>(std::move(answer), wrong_every));
    return Speculators(std::move(who), 23);
}

Speculators lookup() {
    std::vector<std::unique_ptr<Speculator>> who;
    who.push_back(std::make_unique<LookupSpeculator>());
    return Speculators(std::move(who), 23);
}

struct Speaker {
    explicit Speaker(KvFormats kv = Format::f16, uint32_t n_ctx = 256,
                     const std::string& text = "Once upon a time there was")
        : running(testing::start_model(kModel, vulkan(),
                                       {.n_ctx = n_ctx, .n_batch = 32, .max_outputs = 24, .kv_format = kv})) {
        const auto file = gguf::File::open(kModel);
        tokenizer = Tokenizer::load(*file).value();
        prompt = tokenizer->encode(text, {.add_special = true, .parse_special = false});
    }
    GenerateReport say(const GenerateOptions& options) {
        running.session->rewind(0);
        auto report = generate(*running.session, tokenizer, prompt, options, {});
        ATLAS_CHECK(report.has_value(), "{}", report.error().message);
        return *report;
    }
    std::vector<TokenId> answer() const {
        const auto& tokens = running.session->tokens();
        return {tokens.begin() + std::ptrdiff_t(prompt.size()), tokens.end()};
    }
    testing::Running running;
    std::shared_ptr<const Tokenizer> tokenizer;
    std::vector<TokenId> prompt;
};

void expect_same(Speaker& speaker, GenerateOptions options, Speculators speculation, const GenerateReport& plain,
                 const std::vector<TokenId>& tokens, uint32_t fixed_width = 8) {
    options.speculation = &speculation;
    if (fixed_width > 0) speculation.length().fix_width(fixed_width);
    const GenerateReport report = speaker.say(options);
    EXPECT_EQ(report.text, plain.text);
    EXPECT_EQ(report.answer_tokens, plain.answer_tokens);
    EXPECT_EQ(report.finish, plain.finish);
    EXPECT_EQ(speaker.answer(), tokens) << "the timeline holds the same afterwards";
    ASSERT_TRUE(report.speculation);
    EXPECT_GE(report.speculation->n_tokens, report.answer_tokens);
}

class SpeculationVk : public ::testing::TestWithParam<KvFormats> {};

TEST_P(SpeculationVk, SaysWhatPlainDecodingSays) {
    Speaker speaker(GetParam());
    uint64_t n_blocks = 0;
    for (const float temperature : {0.0f, 0.8f}) {
        for (const bool on_device : {true, false}) {
            // where tokens are chosen does not depend on the cache
            if (!on_device && GetParam().k != Format::f16) continue;
            GenerateOptions options = wish(temperature, 100);
            options.choose_on_device = on_device;
            const GenerateReport plain = speaker.say(options);
            std::vector<TokenId> tokens = speaker.answer();
            const std::vector<TokenId> kept = tokens;
            for (const uint32_t wrong_every : {0u, 5u}) {
                Speculators speculation = oracle(tokens, wrong_every);
                speculation.length().fix_width(wrong_every == 0 ? 24 : 8);
                GenerateOptions with = options;
                with.speculation = &speculation;
                const GenerateReport report = speaker.say(with);
                EXPECT_EQ(report.text, plain.text) << "wrong every " << wrong_every;
                EXPECT_EQ(speaker.answer(), kept);
                n_blocks += report.speculation->n_blocks;
            }
            expect_same(speaker, options, lookup(), plain, kept, 0);
            expect_same(speaker, options, lookup(), plain, kept, 4);
        }
    }
    EXPECT_GE(n_blocks, 12u);
    expect_no_validation_messages();
}

INSTANTIATE_TEST_SUITE_P(Caches, SpeculationVk,
                         ::testing::Values(KvFormats(Format::f32), KvFormats(Format::f16), KvFormats(Format::bf16),
                                           KvFormats(Format::q8_0), KvFormats(Format::q5_1), KvFormats(Format::q5_0),
                                           KvFormats(Format::q4_1), KvFormats(Format::q4_0),
                                           KvFormats(Format::q8_0, Format::q4_0)),
                         [](const auto& case_of) {
                             return std::string(atlas::info(case_of.param.k).name) + "_" +
                                    std::string(atlas::info(case_of.param.v).name);
                         });

TEST(SpeculationEnds, InTheSamePlace) {
    Speaker speaker;
    GenerateOptions options = wish(0.8f, 60);
    const GenerateReport whole = speaker.say(options);
    const std::vector<TokenId> tokens = speaker.answer();
    // Stop strings inside a possible block, and every number of tokens around the widths.
    options.stop_strings = {whole.text.substr(whole.text.size() / 2, 6)};
    const GenerateReport stopped = speaker.say(options);
    ASSERT_EQ(stopped.finish, FinishReason::stop_string);
    expect_same(speaker, options, oracle(tokens, 0), stopped, speaker.answer());
    for (const uint32_t most : {1u, 2u, 3u, 4u, 5u, 9u, 10u, 27u, 28u}) {
        const GenerateReport plain = speaker.say(wish(0.8f, most));
        expect_same(speaker, wish(0.8f, most), oracle(tokens, 0), plain, speaker.answer());
    }
    expect_no_validation_messages();
}

TEST(SpeculationEnds, WhereTheContextIsFull) {
    for (const uint32_t n_ctx : {32u, 64u}) {
        Speaker speaker(Format::f16, n_ctx);
        for (uint64_t seed = 1; seed < 4; ++seed) {
            const GenerateReport plain = speaker.say(wish(0.3f, 0, seed));
            std::vector<TokenId> tokens = speaker.answer();
            tokens.resize(tokens.size() + 30, 17);  // draft tokens continue past the end
            expect_same(speaker, wish(0.3f, 0, seed), oracle(tokens, 0), plain, speaker.answer());
            EXPECT_LE(speaker.running.session->tokens().size(), n_ctx);
        }
    }
    expect_no_validation_messages();
}

TEST(SpeculationEnds, WhereTheModelEndsInTheMiddleOfABlock) {
    Speaker speaker;
    const TokenId eos = *speaker.tokenizer->eos();
    uint32_t ended = 0;
    for (uint64_t seed = 1; seed < 40 && ended < 2; ++seed) {
        const GenerateReport plain = speaker.say(wish(1.0f, 200, seed));
        if (plain.finish != FinishReason::end_of_generation || plain.answer_tokens < 12) continue;
        ++ended;
        std::vector<TokenId> tokens = speaker.answer();
        for (const TokenId token : {eos, TokenId{20}, TokenId{21}, TokenId{22}}) tokens.push_back(token);
        expect_same(speaker, wish(1.0f, 200, seed), oracle(tokens, 0), plain, speaker.answer());
    }
    EXPECT_GE(ended, 1u) << "no seed ends early: choose others";
    expect_no_validation_messages();
}

TEST(SpeculationEnds, WhenItIsCancelledInTheMiddleOfABlock) {
    Speaker speaker;
    GenerateOptions options = wish(0.0f, 100);
    (void)speaker.say(options);
    Speculators speculation = oracle(speaker.answer(), 0);
    for (const uint32_t after : {1u, 7u, 20u, 33u}) {
        std::stop_source stop;
        options.stop = stop.get_token();
        options.speculation = &speculation;
        speaker.running.session->rewind(0);
        uint32_t pieces = 0;
        const auto report =
            generate(*speaker.running.session, speaker.tokenizer, speaker.prompt, options, [&](std::string_view) {
                if (++pieces == after) stop.request_stop();
            });
        ASSERT_TRUE(report);
        EXPECT_EQ(report->finish, FinishReason::cancelled);
        EXPECT_EQ(speaker.running.session->tokens().size(), speaker.prompt.size() + report->answer_tokens - 1);
    }
    expect_no_validation_messages();
}

TEST(SpeculationEnds, PenaltiesSeeWhatWasAccepted) {
    Speaker speaker;
    for (const uint32_t window : {16u, 64u, 1000u}) {  // the last is longer than the device keeps
        GenerateOptions options = wish(0.7f, 120);
        options.sampler.repetition_penalty = 1.3f;
        options.sampler.presence_penalty = 0.2f;
        options.sampler.penalty_window = window;
        const GenerateReport plain = speaker.say(options);
        const std::vector<TokenId> tokens = speaker.answer();
        expect_same(speaker, options, oracle(tokens, 7), plain, tokens);
        expect_same(speaker, options, lookup(), plain, tokens);
    }
    expect_no_validation_messages();
}

}  // namespace
}  // namespace atlas
