// Tests that need a real card. Without one every test skips and says why.
#include <gtest/gtest.h>

#include "runtime/kernels/vk_backend.h"
#include "runtime/model/registry.h"
#include "tests/reference/ref_backend.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

class RealCard : public ::testing::Test {
  protected:
    void SetUp() override {
        auto made = make_vk_backend({});
        if (!made) GTEST_SKIP() << "no Vulkan device: " << made.error().message;
        if ((*made)->is_software()) GTEST_SKIP() << "needs a real card; this machine has only " << (*made)->describe();
        backend_ = std::move(*made);
        std::printf("on %s\n", backend_->describe().c_str());
    }

    // Logits of 70 tokens (several prefill shapes, several pages) on the card and on the host's loops.
    void expect_equal(const std::string& words) {
        SCOPED_TRACE(words);
        const TempDir folder;
        const auto path = folder.path() / "tiny.gguf";
        const auto tiny = testing::tiny_shape(words);
        testing::write_tiny_model(path, tiny);
        const auto tokens = testing::tiny_tokens(70, tiny.n_vocab, 5);
        const SessionShape shape{.n_ctx = 128, .n_batch = 33, .max_outputs = 33, .kv_format = Format::f32};
        const auto host = make_ref_backend();
        auto on_card = testing::start_model(path, *backend_, shape);
        auto on_host = testing::start_model(path, *host, shape);
        const auto got = testing::all_logits(*on_card.session, tokens);
        const auto want = testing::all_logits(*on_host.session, tokens);
        float largest = 0;
        for (const float logit : want) largest = std::max(largest, std::abs(logit));
        EXPECT_LT(testing::largest_difference(got, want), 1e-4f * largest);
    }

    std::unique_ptr<VkBackend> backend_;
};

TEST_F(RealCard, EveryFormatGivesTheReferenceLogits) {
    for (const FormatInfo& format : kFormats) expect_equal(fmt::format("llama wide {}", format.name));
}

TEST_F(RealCard, EveryArchitectureGivesTheReferenceLogits) {
    for (const Architecture* architecture : runnable_architectures()) {
        for (const char* words : {"f32 biases linear", "q4_0 whole rope_freqs tied", "f16 yarn"})
            expect_equal(fmt::format("{} {}", architecture->name, words));
    }
}

}  // namespace
}  // namespace atlas
