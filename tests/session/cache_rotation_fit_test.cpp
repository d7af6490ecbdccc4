// A fitted model (cache_rotation tensors) computes what it computed before, except for rounding; to snapshots it is
// another model.
#include "runtime/session/fit/cache_rotation_fit.h"

#include <gtest/gtest.h>

#include "runtime/session/cache/snapshot.h"
#include "tests/reference/ref_backend.h"
#include "tests/support/fitted_model.h"
#include "tests/support/run_batch.h"
#include "tests/support/run_logits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas {
namespace {

using testing::all_logits;
using testing::largest_difference;
using testing::start_model;

constexpr uint32_t kTokens = 75;

class CacheRotationFit : public ::testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        shape_ = testing::tiny_shape(GetParam());
        testing::write_tiny_model(dir_ / "plain.gguf", shape_);
        tokens_ = testing::tiny_tokens(kTokens, shape_.n_vocab, 7);
        fit("fitted.gguf", 3);
    }
    void fit(const char* name, uint64_t seed) { testing::write_fitted_model(dir_ / name, shape_, *backend_, seed); }
    std::vector<float> logits_of(const char* name, const KvFormats& formats) {
        SessionShape shape = whole_;
        shape.kv_format = formats;
        return all_logits(*start_model(dir_ / name, *backend_, shape).session, tokens_);
    }

    TempDir dir_;
    testing::TinyShape shape_;
    std::unique_ptr<Backend> backend_ = make_ref_backend();
    std::vector<uint32_t> tokens_;
    SessionShape whole_{.n_ctx = 96, .n_batch = kTokens, .max_outputs = kTokens, .kv_format = Format::f32};
};

TEST_P(CacheRotationFit, ChangesNothingButRounding) {
    const auto expected = logits_of("plain.gguf", Format::f32);
    KvFormats turned = Format::f32;
    EXPECT_EQ(largest_difference(logits_of("fitted.gguf", turned), expected), 0) << "rotated without being asked to";
    for (const bool keys : {true, false}) {
        turned.rotate_k = keys;
        turned.rotate_v = !keys;
        const auto found = logits_of("fitted.gguf", turned);
        EXPECT_LT(largest_difference(found, expected), 1e-3) << keys;
        EXPECT_GT(largest_difference(found, logits_of("plain.gguf", turned)), 0)
            << keys << ": the tensors were not used";
    }
}

TEST_P(CacheRotationFit, ChunksGiveTheSameAsTheWhole) {
    SessionShape shape = whole_;
    shape.kv_format.rotate_k = true;
    const auto expected = all_logits(*start_model(dir_ / "fitted.gguf", *backend_, shape).session, tokens_);
    for (const uint32_t chunk : {1u, 7u, 32u}) {
        shape.n_batch = shape.max_outputs = chunk;
        EXPECT_EQ(largest_difference(all_logits(*start_model(dir_ / "fitted.gguf", *backend_, shape).session, tokens_),
                                     expected),
                  0)
            << chunk;
    }
}

TEST_P(CacheRotationFit, TheSameTextGivesTheSameModel) {
    fit("again.gguf", 3);
    fit("other.gguf", 4);
    const auto identity = [&](const char* name) {
        return start_model(dir_ / name, *backend_, whole_).model->identity();
    };
    EXPECT_EQ(identity("again.gguf"), identity("fitted.gguf"));
    EXPECT_NE(identity("other.gguf"), identity("fitted.gguf"));
    EXPECT_NE(identity("plain.gguf"), identity("fitted.gguf"));
}

TEST_P(CacheRotationFit, ForksAndSnapshotsGoOnAsOne) {
    KvFormats formats = Format::f32;
    formats.rotate_k = true;
    const auto start = [&](const char* name) {
        return testing::start_batch(
            dir_ / name, *backend_,
            {.pool_tokens = 256, .n_batch = 64, .max_outputs = 4, .max_timelines = 2, .kv_format = formats});
    };
    auto batch = start("fitted.gguf");
    Timeline timeline(batch.runner->pool());
    testing::run_tokens(*batch.runner, timeline, {tokens_.begin(), tokens_.begin() + 40});
    auto fork = timeline.fork();
    const auto bytes = snapshot(timeline);
    ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
    const auto expected = testing::run_tokens(*batch.runner, timeline, {7});
    EXPECT_EQ(testing::run_tokens(*batch.runner, fork, {7}), expected);
    {
        auto again = start("fitted.gguf");
        auto restored = restore(again.runner->pool(), *bytes);
        ASSERT_TRUE(restored.has_value()) << restored.error().message;
        EXPECT_EQ(testing::run_tokens(*again.runner, *restored, {7}), expected);
    }
    fit("other.gguf", 4);
    for (const char* name : {"plain.gguf", "other.gguf"}) {
        auto another = start(name);
        const auto refused = restore(another.runner->pool(), *bytes);
        ASSERT_FALSE(refused.has_value()) << name;
        EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument) << refused.error().message;
    }
}

TEST_P(CacheRotationFit, RefusesWhatItCannotUse) {
    const auto plain = start_model(dir_ / "plain.gguf", *backend_, whole_),
               fitted = start_model(dir_ / "fitted.gguf", *backend_, whole_);
    EXPECT_EQ(fit_cache_rotations(*plain.model, std::vector<TokenId>(31, 1)).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(fit_cache_rotations(*plain.model, std::vector<TokenId>(40, shape_.n_vocab)).error().code,
              ErrorCode::invalid_argument);
    EXPECT_EQ(fit_cache_rotations(*fitted.model, tokens_).error().code, ErrorCode::invalid_argument);

    testing::TinyShape half = shape_;
    half.more = [](gguf::Writer& writer) {
        writer.add_tensor("blk.1.cache_turn_q.weight", {24, 24}, Format::f32, [](std::span<std::byte>) {});
    };
    testing::write_tiny_model(dir_ / "half.gguf", half);
    const auto file = gguf::File::open(dir_ / "half.gguf");
    ASSERT_TRUE(file.has_value());
    const auto model = Model::load(*file, *backend_, whole_);
    ASSERT_FALSE(model.has_value());
    EXPECT_EQ(model.error().code, shape_.n_head_kv * shape_.head_dim == 24 ? ErrorCode::not_found : ErrorCode::corrupt)
        << model.error().message;
}

INSTANTIATE_TEST_SUITE_P(Models, CacheRotationFit,
                         ::testing::Values("llama", "llama rope_freqs linear", "qwen2 biases"), [](const auto& row) {
                             return std::string(row.param.substr(0, row.param.find(' '))) + std::to_string(row.index);
                         });

}  // namespace
}  // namespace atlas
