// What loading refuses, and its messages. Files are the tests' tiny models with one thing wrong each.
#include "runtime/model/load.h"

#include <gtest/gtest.h>

#include "runtime/model/common_weights.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

using testing::tiny_shape;
using testing::TinyShape;
using testing::WatchedBackend;

class Loading : public ::testing::Test {
  protected:
    Result<std::shared_ptr<const Model>> load(const TinyShape& shape, Backend& backend) {
        testing::write_tiny_model(dir_ / "tiny.gguf", shape);
        file_ = std::make_unique<gguf::File>(gguf::File::open(dir_ / "tiny.gguf").value());
        return Model::load(*file_, backend, {.n_ctx = 64, .n_batch = 8});
    }
    Error error_of(const TinyShape& shape) {
        const auto backend = make_ref_backend();
        const auto loaded = load(shape, *backend);
        if (loaded) return {ErrorCode::cancelled, "was loaded"};
        return loaded.error();
    }
    void expect_refused(const TinyShape& shape, ErrorCode code, const std::vector<std::string>& words) {
        const Error error = error_of(shape);
        EXPECT_EQ(error.code, code) << error.message;
        for (const std::string& word : words)
            EXPECT_NE(error.message.find(word), std::string::npos) << error.message << " lacks " << word;
    }
    void expect_key_refused(const std::string& key, uint32_t value, ErrorCode code,
                            const std::vector<std::string>& words) {
        TinyShape shape;
        shape.override_keys = {{key, value}};
        expect_refused(shape, code, words);
    }

    TempDir dir_;
    std::unique_ptr<gguf::File> file_;
};

TEST_F(Loading, ReadsTheShape) {
    const auto backend = make_ref_backend();
    const auto model = load(tiny_shape("llama rope_freqs biases"), *backend).value();
    const ModelConfig& c = model->config();
    EXPECT_EQ(c.architecture, "llama");
    EXPECT_EQ(c.n_layer(), 2u);
    EXPECT_EQ(c.n_embd, 96u);
    EXPECT_EQ(c.layers[1].n_head, 3u);
    EXPECT_EQ(c.layers[1].n_head_kv, 1u);
    EXPECT_EQ(c.layers[1].head_dim, 24u);
    EXPECT_EQ(c.layers[1].n_ff, 160u);
    EXPECT_EQ(c.n_vocab, 97u);
    EXPECT_EQ(c.n_ctx_train, 256u);
    EXPECT_FLOAT_EQ(c.norm_eps, 1e-5f);
    EXPECT_FLOAT_EQ(c.attention_scale, 0.20412415f);
    EXPECT_TRUE(model->weights()[kRopeFreqs]);
    EXPECT_TRUE(model->weights().at(1, kFfnUpBias));
    EXPECT_NE(model->weights()[kOutput].storage, model->weights()[kTokenEmbd].storage);
}

TEST_F(Loading, TiesTheOutput) {
    const auto backend = make_ref_backend();
    const auto model = load(tiny_shape("qwen2 tied"), *backend).value();
    EXPECT_EQ(model->weights()[kOutput].storage, model->weights()[kTokenEmbd].storage);
    EXPECT_EQ(model->config().layers[0].rope.pairing, RopeParams::Pairing::halves);
}

TEST_F(Loading, ReportsProgressUpToTheEnd) {
    const auto backend = make_ref_backend();
    testing::write_tiny_model(dir_ / "tiny.gguf", tiny_shape("llama q8_0 whole"));
    const auto file = gguf::File::open(dir_ / "tiny.gguf").value();
    uint64_t last = 0, all = 0;
    const auto progress = [&](uint64_t done, uint64_t total) {
        EXPECT_GT(done, last);
        last = done;
        all = total;
    };
    const auto model = Model::load(file, *backend, {.n_ctx = 64}, progress).value();
    EXPECT_EQ(last, all);
    EXPECT_EQ(all, model->weights_bytes());
}

TEST_F(Loading, NamesAnUnknownArchitectureAndTheKnownOnes) {
    TinyShape shape;
    shape.architecture = "mamba";
    expect_refused(shape, ErrorCode::unsupported, {"mamba", "llama", "qwen2", "tiny.gguf"});
}

TEST_F(Loading, ChecksEveryNumberOfTheShape) {
    expect_key_refused("llama.block_count", 0, ErrorCode::corrupt, {"llama.block_count", "1 .. 1024", "found 0"});
    expect_key_refused("llama.block_count", 4000000000u, ErrorCode::corrupt, {"llama.block_count", "found 4000000000"});
    expect_key_refused("llama.embedding_length", 0, ErrorCode::corrupt, {"llama.embedding_length"});
    expect_key_refused("llama.attention.head_count", 0, ErrorCode::corrupt, {"llama.attention.head_count"});
    expect_key_refused("llama.attention.head_count_kv", 2, ErrorCode::corrupt,
                       {"llama.attention.head_count_kv", "divisor of 3", "found 2"});
    expect_key_refused("llama.attention.head_count_kv", 0, ErrorCode::corrupt, {"llama.attention.head_count_kv"});
    expect_key_refused("llama.attention.key_length", 20, ErrorCode::unsupported,
                       {"llama.attention.key_length", "multiples of 8", "found 20"});
    expect_key_refused("llama.attention.key_length", 520, ErrorCode::unsupported,
                       {"llama.attention.key_length", "512", "found 520"});
    expect_key_refused("llama.attention.value_length", 16, ErrorCode::unsupported,
                       {"llama.attention.value_length", "24", "found 16"});
    expect_key_refused("llama.rope.dimension_count", 23, ErrorCode::corrupt, {"llama.rope.dimension_count", "even"});
    expect_key_refused("llama.rope.dimension_count", 26, ErrorCode::corrupt, {"llama.rope.dimension_count", "2 .. 24"});
    expect_key_refused("llama.context_length", 0, ErrorCode::corrupt, {"llama.context_length"});
    expect_key_refused("llama.feed_forward_length", 0, ErrorCode::corrupt, {"llama.feed_forward_length"});
}

TEST_F(Loading, RefusesExpertsOfAFamilyWithoutThem) {
    TinyShape shape = tiny_shape("qwen2");
    shape.more = [](gguf::Writer& writer) { writer.add("qwen2.expert_count", 8u); };
    expect_refused(shape, ErrorCode::unsupported, {"qwen2.expert_count", "8 experts"});
}

TEST_F(Loading, RefusesUnknownRopeScaling) {
    TinyShape shape;
    shape.rope_scaling = "dynamic";
    expect_refused(shape, ErrorCode::unsupported, {"llama.rope.scaling.type", "dynamic", "yarn"});
}

TEST_F(Loading, RefusesLayersThatDiffer) {
    TinyShape shape;
    shape.more = [](gguf::Writer& writer) {
        writer.add("llama.attention.sliding_window", std::vector<uint32_t>{512, 0});
    };
    expect_refused(shape, ErrorCode::unsupported, {"llama.attention.sliding_window", "512", "layer 1"});
}

TEST_F(Loading, AWindowBecomesTheLongestContext) {
    TinyShape shape;
    shape.more = [](gguf::Writer& writer) { writer.add("llama.attention.sliding_window", 128u); };
    const auto backend = make_ref_backend();
    EXPECT_EQ(load(shape, *backend).value()->config().n_ctx_train, 128u);
}

TEST_F(Loading, NamesTheMissingTensor) {
    TinyShape shape;
    shape.leave_out = {"blk.1.ffn_up.weight"};
    expect_refused(shape, ErrorCode::not_found, {"blk.1.ffn_up.weight"});
    shape.leave_out = {"token_embd.weight"};
    expect_refused(shape, ErrorCode::not_found, {"token_embd.weight"});
}

TEST_F(Loading, NamesTheWrongShape) {
    TinyShape shape;
    shape.reshape = "blk.0.attn_k.weight";
    expect_refused(shape, ErrorCode::corrupt, {"blk.0.attn_k.weight", "[24, 96]", "[25, 96]"});
    shape.reshape = "output_norm.weight";
    expect_refused(shape, ErrorCode::corrupt, {"output_norm.weight", "[96]", "[97]"});
    shape = tiny_shape("phi3");  // q, k and v are rows of one matrix
    shape.reshape = "blk.1.attn_qkv.weight";
    expect_refused(shape, ErrorCode::corrupt, {"blk.1.attn_qkv.weight", "[120, 72]", "[121, 72]"});
}

// Leaving a tensor out of the computation would silently give wrong text, so it is an error.
TEST_F(Loading, RefusesATensorThatNoRuleNames) {
    TinyShape shape;
    shape.more = [](gguf::Writer& writer) {
        writer.add_tensor("blk.0.attn_q_norm.weight", {24}, Format::f32, [](std::span<std::byte>) {});
    };
    expect_refused(shape, ErrorCode::unsupported, {"blk.0.attn_q_norm.weight", "llama"});
}

TEST_F(Loading, AScaleIsForFloatsOnly) {
    TinyShape shape = tiny_shape("llama whole q8_0");
    shape.more = [](gguf::Writer& writer) {
        writer.add_tensor("blk.0.attn_q.scale", {1}, Format::f32, [](std::span<std::byte> out) {
            const float half = 0.5f;
            std::copy_n(reinterpret_cast<const std::byte*>(&half), sizeof half, out.data());
        });
    };
    expect_refused(shape, ErrorCode::unsupported, {"blk.0.attn_q.scale", "q8_0"});
    shape.format = Format::f32;
    const auto backend = make_ref_backend();
    ASSERT_TRUE(load(shape, *backend).has_value());
}

TEST_F(Loading, NamesAFormatTheDeviceCannotRead) {
    WatchedBackend backend;
    backend.unreadable = Format::q8_0;
    const auto loaded = load(tiny_shape("llama whole q8_0"), backend);
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().code, ErrorCode::unsupported);
    EXPECT_NE(loaded.error().message.find("token_embd.weight"), std::string::npos) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find("q4_k"), std::string::npos)
        << "lists what it can read: " << loaded.error().message;
}

TEST_F(Loading, NamesATensorTooLargeForOnePiece) {
    WatchedBackend backend;
    backend.largest_bytes = 97 * 96 * 4 - 1;
    const auto loaded = load(TinyShape{}, backend);
    ASSERT_FALSE(loaded.has_value());
    EXPECT_NE(loaded.error().message.find("token_embd.weight"), std::string::npos) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find("37248"), std::string::npos) << loaded.error().message;
}

TEST_F(Loading, RefusesBeforeTheFirstByteWhenMemoryIsShort) {
    WatchedBackend backend(make_ref_backend(100000));
    const auto loaded = load(TinyShape{}, backend);
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().code, ErrorCode::out_of_memory);
    EXPECT_EQ(backend.counts.allocations, 0);
    EXPECT_NE(loaded.error().message.find("100000 bytes"), std::string::npos) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find("smaller"), std::string::npos) << loaded.error().message;
}

TEST_F(Loading, VectorsOfOtherFormatsBecomeFloats) {
    TinyShape shape;
    shape.leave_out = {"output_norm.weight"};
    shape.more = [](gguf::Writer& writer) {
        writer.add_tensor("output_norm.weight", {96}, Format::f16, [](std::span<std::byte> out) {
            for (size_t i = 0; i < out.size(); i += 2) out[i] = std::byte{0}, out[i + 1] = std::byte{0x3c};  // 1.0
        });
    };
    const auto backend = make_ref_backend();
    const auto model = load(shape, *backend).value();
    EXPECT_EQ(model->weights()[kOutputNorm].format, Format::f32);
    EXPECT_EQ(read_row(model->weights()[kOutputNorm], 0), std::vector<float>(96, 1.0f));
}

}  // namespace
}  // namespace atlas
