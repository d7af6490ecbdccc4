// The logits after a token do not depend, to the bit, on how many tokens were in its step: greedy decoding with
// speculation gives the same text.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/end_to_end/validated_backend.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

using testing::start_model;

class StepWidths : public ::testing::TestWithParam<Format> {
  protected:
    void TearDown() override { expect_no_validation_messages(); }
};

// Across the end of a page, of a chunk of keys (128) and of a recorded bucket (256), where the next step is recorded
// again.
TEST_P(StepWidths, LogitsAreThoseOfSingleSteps) {
    TempDir dir;
    const auto tiny = testing::tiny_shape("llama biases whole");
    testing::write_tiny_model(dir / "tiny.gguf", tiny);
    const std::vector<uint32_t> tokens = testing::tiny_tokens(280, tiny.n_vocab, 7);
    const auto running = start_model(dir / "tiny.gguf", vulkan(),
                                     {.n_ctx = 512, .n_batch = 24, .max_outputs = 24, .kv_format = GetParam()});
    Session& session = *running.session;
    for (const uint32_t from : {20u, 120u, 250u}) {
        ASSERT_TRUE(session.sync(std::span(tokens).first(from)));
        std::vector<std::vector<float>> single;
        for (uint32_t t = from; t < from + 24; ++t) {
            ASSERT_TRUE(session.step(tokens[t]));
            single.emplace_back(session.logits().begin(), session.logits().end());
        }
        for (uint32_t n = 2; n <= 24; ++n) {
            session.rewind(from);
            ASSERT_TRUE(session.extend(std::span(tokens).subspan(from, n), n));
            const auto rows = session.logits_rows();
            for (uint32_t i = 0; i < n; ++i) {
                const auto row = rows.subspan(uint64_t{i} * tiny.n_vocab, tiny.n_vocab);
                ASSERT_EQ(std::memcmp(row.data(), single[i].data(), row.size_bytes()), 0)
                    << "token " << i << " of " << n << " from " << from;
            }
        }
        session.rewind(from - 1);
    }
}

INSTANTIATE_TEST_SUITE_P(Caches, StepWidths, ::testing::Values(Format::f16, Format::q8_0, Format::q4_0),
                         [](const auto& cache) { return std::string(atlas::info(cache.param).name); });

}  // namespace
}  // namespace atlas
