// Keys with a large bias (Qwen2) in the cache: softmax does not see the shift (runtime/model/key_shift.h), so blocks
// of few bits keep what matters.
#include <gtest/gtest.h>

#include <cstring>

#include "runtime/model/common_weights.h"
#include "tests/reference/ref_backend.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

using testing::all_logits;
using testing::start_model;

// Biases as large as Qwen2.5's in slow pairs, in a tiny model, to show what a cache loses by rounding.
class BiasedModel : public ::testing::Test {
  protected:
    static constexpr uint32_t kTokens = 75;

    void SetUp() override {
        shape_ = testing::tiny_shape("qwen2 biases super");
        shape_.leave_out = {"blk.0.attn_k.bias"};
        shape_.more = [this](gguf::Writer& writer) {
            const uint32_t width = shape_.n_head_kv * shape_.head_dim, dim = shape_.head_dim;
            writer.add_tensor("blk.0.attn_k.bias", {width}, Format::f32, [width, dim](std::span<std::byte> out) {
                std::vector<float> bias(width, 0.5f);
                for (uint32_t i = 0; i < width; ++i) {
                    if (i % dim == dim - 1) bias[i] = 129.0f;
                    if (i % dim == dim / 2 - 1) bias[i] = 145.0f;
                }
                std::memcpy(out.data(), bias.data(), out.size());
            });
        };
        testing::write_tiny_model(dir_ / "biased.gguf", shape_);
        tokens_ = testing::tiny_tokens(kTokens, shape_.n_vocab, 7);
    }
    std::vector<float> logits_of(const KvFormats& formats) {
        return all_logits(*start_model(dir_ / "biased.gguf", *backend_,
                                       {.n_ctx = 96, .n_batch = kTokens, .max_outputs = kTokens, .kv_format = formats})
                               .session,
                          tokens_);
    }
    // Mean of the squared differences.
    static double distance(const std::vector<float>& a, const std::vector<float>& b) {
        double sum = 0;
        for (size_t i = 0; i < a.size(); ++i) sum += double{a[i] - b[i]} * (a[i] - b[i]) / double(a.size());
        return sum;
    }

    TempDir dir_;
    testing::TinyShape shape_;
    std::vector<TokenId> tokens_;
    std::unique_ptr<Backend> backend_ = make_ref_backend();
};

TEST_F(BiasedModel, AnExactCacheGivesTheSameTurnedAndShifted) {
    const auto expected = logits_of(Format::f32);
    KvFormats turned = Format::f32;
    turned.rotate_k = turned.rotate_v = true;
    EXPECT_LT(distance(logits_of(turned), expected), 1e-6);
    EXPECT_TRUE(start_model(dir_ / "biased.gguf", *backend_, {.n_ctx = 96}).model->weights().at(0, kKeyShift));
}

// Mean squared difference of the logits with keys of q4_0 and q8_0: as they are 0.62 and 0.060, rotated without the
// shift 0.34 and 0.0017, with it 0.0065 and 0.00002 (2026-11-30).
TEST_F(BiasedModel, FewBitsAreEnoughForShiftedKeys) {
    const auto expected = logits_of(Format::f32);
    for (const Format format : {Format::q8_0, Format::q4_0}) {
        const KvFormats keys(format, Format::f32);
        const double plain = distance(logits_of(keys), expected),
                     shifted = distance(logits_of(with_default_rotation(keys)), expected);
        std::printf("%s keys: %.3g as they are, %.3g rotated and shifted\n", std::string(info(format).name).c_str(),
                    plain, shifted);
        EXPECT_GT(plain, 0);
        EXPECT_LT(shifted, 0.02 * plain) << info(format).name;
    }
}

}  // namespace
}  // namespace atlas
