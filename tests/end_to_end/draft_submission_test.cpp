// A draft model's tokens and their verify step in one submission of the device: the answers are those without draft
// tokens.
#include <gtest/gtest.h>

#include "runtime/gguf/reader.h"
#include "runtime/serve/generation.h"
#include "runtime/session/speculation/draft_model.h"
#include "runtime/session/speculation/lookup.h"
#include "tests/end_to_end/validated_backend.h"
#include "tests/support/run_batch.h"
#include "tests/support/wish.h"

namespace atlas {
namespace {

using testing::wish;

const std::filesystem::path kModels = std::filesystem::path(ATLAS_TEST_DATA) / "models";

struct Speaker {
    explicit Speaker(KvFormats kv = Format::f16, uint32_t context = 256)
        : n_ctx(context),
          running(testing::start_model(kModels / "atlas-tiny-Q4_K_M.gguf", vulkan(),
                                       {.n_ctx = context, .n_batch = 32, .max_outputs = 24, .kv_format = kv})) {
        const auto file = gguf::File::open(kModels / "atlas-tiny-Q4_K_M.gguf");
        tokenizer = Tokenizer::load(*file).value();
        prompt = tokenizer->encode("Once upon a time there was", {.add_special = true, .parse_special = false});
    }
    /// The same model in other blocks drafts: mostly accepted, not always.
    Speculators drafted(uint32_t width, DraftModel::Submission submission, bool with_lookup = false) {
        auto drafter = testing::start_draft(kModels / "atlas-tiny-Q8_0.gguf", vulkan(), {.n_ctx = n_ctx, .n_batch = 32},
                                            running.model->config().n_vocab);
        draft = drafter.get();
        drafter->submit_as(submission);
        std::vector<std::unique_ptr<Speculator>> who;
        if (with_lookup) who.push_back(std::make_unique<LookupSpeculator>());
        who.push_back(std::move(drafter));
        Speculators speculators(std::move(who), 23);
        speculators.length().fix_width(width);
        return speculators;
    }
    GenerateReport say(const GenerateOptions& options, const std::function<void(std::string_view)>& emit = {}) {
        running.session->rewind(0);
        auto report = generate(*running.session, tokenizer, prompt, options, emit);
        ATLAS_CHECK(report.has_value(), "{}", report.error().message);
        return *report;
    }
    void expect_same(GenerateOptions options, const GenerateReport& plain, const std::vector<TokenId>& kept,
                     Speculators& speculators) {
        options.speculation = &speculators;
        const GenerateReport report = say(options);
        EXPECT_EQ(report.text, plain.text);
        EXPECT_EQ(report.finish, plain.finish);
        EXPECT_EQ(running.session->tokens(), kept);
        figures = *report.speculation;
        n_joined += figures.n_joined;
    }
    uint32_t n_ctx;
    testing::Running running;
    DraftModel* draft = nullptr;
    std::shared_ptr<const Tokenizer> tokenizer;
    std::vector<TokenId> prompt;
    SpeculationFigures figures;
    uint64_t n_joined = 0;
};

using Submission = DraftModel::Submission;

TEST(DraftSubmissionVk, TheSameTokensInOneAsInSeveralAndAsWithoutDraftTokens) {
    for (const KvFormats kv : {KvFormats(Format::f16), KvFormats(Format::q8_0)}) {
        Speaker speaker(kv);
        Speculators drafted = speaker.drafted(2, Submission::one), both = speaker.drafted(8, Submission::one, true);
        for (const float temperature : {0.0f, 0.8f}) {
            const GenerateReport plain = speaker.say(wish(temperature, 50));
            const std::vector<TokenId> kept = speaker.running.session->tokens();
            for (const uint32_t width : {2u, 8u}) {
                drafted.length().fix_width(width);
                speaker.expect_same(wish(temperature, 50), plain, kept, drafted);
                EXPECT_GT(speaker.figures.n_joined, 0u);
                EXPECT_GT(speaker.figures.n_accepted, 0u);
            }
            speaker.expect_same(wish(temperature, 50), plain, kept, both);
            EXPECT_GT(speaker.figures.n_joined, 0u);
        }
    }
    expect_no_validation_messages();
}

TEST(DraftSubmissionVk, WhereTheContextIsFullAndWhenCancelled) {
    {
        Speaker speaker(Format::f16, 32);
        const GenerateReport plain = speaker.say(wish(0.3f, 0));
        const std::vector<TokenId> kept = speaker.running.session->tokens();
        Speculators one = speaker.drafted(8, Submission::one);
        speaker.expect_same(wish(0.3f, 0), plain, kept, one);
        EXPECT_GT(speaker.n_joined, 0u);
    }
    Speaker speaker;
    const GenerateReport whole = speaker.say(wish(0, 60));
    Speculators one = speaker.drafted(8, Submission::one);
    for (const uint32_t after : {1u, 7u, 20u}) {
        std::stop_source stop;
        GenerateOptions options = wish(0, 60);
        options.stop = stop.get_token();
        options.speculation = &one;
        uint32_t pieces = 0;
        const GenerateReport report = speaker.say(options, [&](std::string_view) {
            if (++pieces == after) stop.request_stop();
        });
        EXPECT_EQ(report.finish, FinishReason::cancelled);
        EXPECT_EQ(whole.text.substr(0, report.text.size()), report.text);
    }
    expect_no_validation_messages();
}

TEST(DraftSubmissionVk, EitherGivesMemoryBackBetweenBlocks) {
    Speaker speaker(Format::f16, 2048);
    const GenerateReport plain = speaker.say(wish(0.8f, 60));
    const std::vector<TokenId> kept = speaker.running.session->tokens();
    Speculators one = speaker.drafted(4, Submission::one);
    GenerateOptions options = wish(0.8f, 60);
    options.speculation = &one;
    uint32_t pieces = 0;
    uint64_t n_bytes = 0;
    const GenerateReport report = speaker.say(options, [&](std::string_view) {
        ++pieces;
        if (pieces % 16 == 7) n_bytes += speaker.draft->shrink(1).value();
        if (pieces % 16 == 15) n_bytes += speaker.running.session->shrink(1).value();
    });
    EXPECT_EQ(report.text, plain.text);
    EXPECT_EQ(speaker.running.session->tokens(), kept);
    EXPECT_GT(n_bytes, 0u);
    EXPECT_GT(report.speculation->n_joined, 5u);
    expect_no_validation_messages();
}

}  // namespace
}  // namespace atlas
