// Perplexity on the device against llama-perplexity's figure for the same file, text and chunks.
#include "runtime/session/measure/perplexity.h"

#include <gtest/gtest.h>

#include <fstream>

#include "runtime/gguf/reader.h"
#include "runtime/text/tokenizer.h"
#include "tests/end_to_end/validated_backend.h"
#include "tests/support/run_logits.h"

namespace atlas {
namespace {

const std::filesystem::path kModels = std::filesystem::path(ATLAS_TEST_DATA) / "models";

// llama-perplexity 0.7.0 (build 11669) on its CPU, for the F32 dequantization of the file: -f heldout.txt -c 128
// --chunks 12 -ctk f32 -ctv f32 says 80.8316 +/- 8.49360.
TEST(PerplexityVk, IsThatOfAnotherRuntime) {
    const auto path = kModels / "atlas-tiny-Q8_0.gguf";
    const auto file = gguf::File::open(path);
    ASSERT_TRUE(file);
    const auto tokenizer = Tokenizer::load(*file);
    ASSERT_TRUE(tokenizer);
    std::ifstream in(kModels / "heldout.txt", std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    const auto tokens = (*tokenizer)->encode(text, {.add_special = true, .parse_special = false});
    const auto running = testing::start_model(
        path, vulkan(), {.n_ctx = 128, .n_batch = 64, .max_outputs = 64, .kv_format = Format::f32});
    PerplexityOptions options{.n_ctx = 128, .max_chunks = 12, .bos = (*tokenizer)->bos()};
    const auto result = measure_perplexity(*running.session, tokens, options);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->n_scored, 12u * 63);
    EXPECT_NEAR(result->perplexity, 80.8316, 2e-4 * 80.8316);
    EXPECT_NEAR(result->perplexity_error, 8.49360, 2e-4 * 8.49360);
    expect_no_validation_messages();
}

}  // namespace
}  // namespace atlas
