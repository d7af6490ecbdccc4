// Answers of a trained tiny model: the same text whether the device chooses one step ahead or the host samples, on both
// backends.
#include <gtest/gtest.h>

#include <set>

#include "runtime/gguf/reader.h"
#include "runtime/serve/generation.h"
#include "tests/end_to_end/validated_backend.h"
#include "tests/reference/ref_backend.h"
#include "tests/support/run_logits.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

const std::filesystem::path kModel = std::filesystem::path(ATLAS_TEST_DATA) / "models" / "atlas-tiny-Q4_K_M.gguf";

struct Speaker {
    explicit Speaker(Backend& backend, uint32_t n_ctx = 256)
        : running(testing::start_model(kModel, backend, {.n_ctx = n_ctx, .n_batch = 32, .kv_format = Format::f32})) {
        const auto file = gguf::File::open(kModel);
        ATLAS_CHECK(file.has_value(), "{}", file.error().message);
        auto loaded = Tokenizer::load(*file);
        ATLAS_CHECK(loaded.has_value(), "{}", loaded.error().message);
        tokenizer = std::move(*loaded);
        prompt = tokenizer->encode("Once upon a time there was", {.add_special = true, .parse_special = false});
    }
    Result<GenerateReport> say(const GenerateOptions& options, const std::function<void(std::string_view)>& emit = {}) {
        running.session->rewind(0);
        return generate(*running.session, tokenizer, prompt, options, emit);
    }
    /// Generates both ways, which must agree in all but the time taken.
    GenerateReport say_both(GenerateOptions options) {
        options.choose_on_device = false;
        const auto on_host = say(options).value();
        const auto host_tokens = running.session->tokens();
        options.choose_on_device = true;
        const auto on_device = say(options).value();
        EXPECT_EQ(on_device.text, on_host.text);
        EXPECT_EQ(on_device.answer_tokens, on_host.answer_tokens);
        EXPECT_EQ(on_device.finish, on_host.finish);
        EXPECT_EQ(running.session->tokens(), host_tokens);
        return on_device;
    }
    testing::Running running;
    std::shared_ptr<const Tokenizer> tokenizer;
    std::vector<TokenId> prompt;
};

GenerateOptions seeded(uint64_t seed, uint32_t max_tokens) {
    GenerateOptions options;
    options.sampler.seed = seed;
    options.max_tokens = max_tokens;
    return options;
}

std::unique_ptr<Backend> reference() { return make_ref_backend(); }

TEST(Generate, TheDeviceSaysWhatTheHostSays) {
    Speaker speaker(vulkan());
    std::set<std::string> texts;
    for (uint64_t kind = 0; kind < 5; ++kind) {
        GenerateOptions options = seeded(1000 + kind, 200);
        if (kind == 0) options.sampler.temperature = 0;
        if (kind == 2) options.sampler.top_k = 0;
        if (kind == 3) options.sampler.repetition_penalty = 1.2f;
        if (kind == 4) options.sampler = {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 5};
        texts.insert(speaker.say_both(options).text);
    }
    EXPECT_EQ(texts.size(), 5u);
    expect_no_validation_messages();
}

TEST(Generate, GreedyTextIsThatOfTheReference) {
    GenerateOptions options = seeded(0, 60);
    options.sampler.temperature = 0;
    const auto backend = reference();
    EXPECT_EQ(Speaker(vulkan()).say(options).value().text, Speaker(*backend).say(options).value().text);
    expect_no_validation_messages();
}

TEST(Generate, EndsEarlyInTheSamePlace) {
    Speaker speaker(vulkan());
    GenerateOptions options = seeded(3, 40);
    const std::string text = speaker.say_both(options).text;
    ASSERT_GT(text.size(), 30u);
    options.stop_strings = {text.substr(text.size() / 2, 5)};
    EXPECT_EQ(speaker.say_both(options).finish, FinishReason::stop_string);
    options.stop_strings.clear();
    options.max_tokens = 1;
    EXPECT_EQ(speaker.say_both(options).answer_tokens, 1u);
    expect_no_validation_messages();
}

TEST(Generate, AFullContextEndsInTheSamePlace) {
    Speaker speaker(vulkan(), 32);
    GenerateOptions options = seeded(4, 0);
    options.sampler.temperature = 0.2f;
    const GenerateReport report = speaker.say_both(options);
    EXPECT_TRUE(report.finish == FinishReason::context_full || report.finish == FinishReason::end_of_generation);
    EXPECT_LE(speaker.running.session->tokens().size(), 32u);
    expect_no_validation_messages();
}

TEST(Generate, AnAnswerGoesOnAfterAShorterPrompt) {
    Speaker speaker(vulkan(), 256);
    const std::vector<TokenId> all =
        speaker.tokenizer->encode("def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n\n\n",
                                  {.add_special = true, .parse_special = false});
    while (speaker.prompt.size() < 200) speaker.prompt.insert(speaker.prompt.end(), all.begin() + 1, all.end());
    speaker.prompt.resize(200);
    const std::vector<TokenId> shorter(speaker.prompt.begin(), speaker.prompt.begin() + 40);
    GenerateOptions options = seeded(6, 120);
    std::vector<TokenId> before;  // of the answer
    options.make_room = [&](std::span<const TokenId> answer) -> Result<std::vector<TokenId>> {
        EXPECT_EQ(answer.size(), 57u);  // 256 - 200, and the one that has no place
        before.assign(answer.begin(), answer.end());
        return shorter;
    };
    const GenerateReport report = speaker.say_both(options);
    ASSERT_FALSE(before.empty()) << report.text;
    EXPECT_GT(report.answer_tokens, 57u);
    // The continuation is that of the shorter prompt and the answer so far.
    EXPECT_EQ(std::vector(speaker.running.session->tokens().begin(), speaker.running.session->tokens().begin() + 97),
              [&] {
                  std::vector<TokenId> held = shorter;
                  held.insert(held.end(), before.begin(), before.end());
                  return held;
              }());
    EXPECT_EQ(speaker.running.session->tokens().size(),
              40 + report.answer_tokens - (report.finish == FinishReason::max_tokens ? 1 : 0));

    // Without a shorter prompt it ends.
    options.make_room = [](std::span<const TokenId>) -> Result<std::vector<TokenId>> { return std::vector<TokenId>{}; };
    EXPECT_EQ(speaker.say_both(options).finish, FinishReason::context_full);
    options.make_room = [](std::span<const TokenId>) -> Result<std::vector<TokenId>> {
        return fail(ErrorCode::corrupt, "no");
    };
    EXPECT_EQ(speaker.say(options).error().code, ErrorCode::corrupt);
    expect_no_validation_messages();
}

TEST(Generate, CancelledInTheMiddleTheAnswerSoFarStands) {
    Speaker speaker(vulkan());
    for (const bool on_device : {false, true}) {
        std::stop_source source;
        GenerateOptions options = seeded(5, 100);
        options.choose_on_device = on_device;
        options.stop = source.get_token();
        uint32_t pieces = 0;
        const auto report = speaker.say(options, [&](std::string_view) {
            if (++pieces == 10) source.request_stop();
        });
        ASSERT_TRUE(report.has_value());
        EXPECT_EQ(report->finish, FinishReason::cancelled);
        EXPECT_EQ(speaker.running.session->tokens().size(), speaker.prompt.size() + report->answer_tokens - 1);
        options.stop = {};
        EXPECT_TRUE(speaker.say(options)->text.starts_with(report->text));
    }
    expect_no_validation_messages();
}

TEST(Generate, ALostDeviceIsAnErrorAndNoHang) {
    testing::WatchedBackend backend;
    Speaker speaker(backend);
    const auto plain = speaker.say(seeded(6, 20));
    ASSERT_TRUE(plain.has_value());
    backend.fail_run = backend.counts.runs + 8;
    const auto lost = speaker.say(seeded(6, 20));
    ASSERT_FALSE(lost.has_value());
    EXPECT_EQ(lost.error().code, ErrorCode::device_lost);
    EXPECT_EQ(speaker.say(seeded(6, 20))->text, plain->text);
}

}  // namespace
}  // namespace atlas
