// What the architectures declare: layers, what they cache, and rules without contradictions.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <tuple>

#include "runtime/model/common_weights.h"
#include "runtime/model/decoder_config.h"
#include "runtime/model/key_map.h"
#include "runtime/model/registry.h"

namespace atlas {
namespace {

KeyMap keys_of(std::string architecture) {
    KeyMap keys(std::move(architecture));
    keys.set("block_count", 12)
        .set("embedding_length", 64)
        .set("context_length", 8192)
        .set("vocab_size", 100)
        .set("feed_forward_length", 128);
    keys.set("attention.head_count", 4).set("attention.head_count_kv", 2).set("attention.key_length", 16);
    for (const char* eps : {"attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"}) keys.put(eps, 1e-6);
    return keys;
}

KeyMap keys_of_any(std::string architecture) {
    KeyMap keys = keys_of(architecture);
    keys.put("logit_scale", 0.5);
    if (architecture == "cohere2" || architecture == "gpt-oss" || architecture == "muse-glimmer")
        keys.set("attention.sliding_window", 1024);
    if (architecture == "deepseek2")
        keys.set("attention.kv_lora_rank", 32).set("attention.q_lora_rank", 24).set("rope.dimension_count", 8);
    if (architecture.starts_with("nemotron") || architecture == "granitehybrid") {
        keys.set("ssm.conv_kernel", 4).set("ssm.state_size", 16).set("ssm.group_count", 2).set("ssm.time_step_rank", 4);
        keys.set("ssm.inner_size", 64)
            .put("attention.head_count_kv", std::vector<int64_t>{0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    }
    if (architecture.starts_with("nemotron"))
        keys.put("feed_forward_length", std::vector<int64_t>{0, 128, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0});
    if (architecture.starts_with("lfm2"))
        keys.set("shortconv.l_cache", 3)
            .put("attention.head_count_kv", std::vector<int64_t>{0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2});
    if (architecture.starts_with("qwen35") || architecture == "qwen3next") {
        keys.set("ssm.conv_kernel", 4).set("ssm.state_size", 16).set("ssm.group_count", 2).set("ssm.time_step_rank", 4);
    }
    if (architecture.ends_with("moe") || architecture == "gpt-oss" || architecture == "laguna" ||
        architecture == "qwen3next")
        keys.set("expert_count", 8).set("expert_used_count", 2);
    return keys;
}

TEST(Architectures, HaveRulesThatNameEveryTensorOnce) {
    std::map<uint64_t, std::string_view> names;
    for (const Architecture* architecture : architectures()) {
        const auto config = architecture->read_config(keys_of_any(std::string(architecture->name)));
        ASSERT_TRUE(config) << architecture->name << ": " << config.error().message;
        const WeightTable table = architecture->weights(*config);
        ASSERT_EQ(table.layers.size(), 12u);
        for (size_t i = 0; i <= table.layers.size(); ++i) {
            std::set<std::string_view> seen;
            for (const WeightRule& rule : i == 0 ? table.model : table.layers[i - 1]) {
                EXPECT_TRUE(seen.insert(rule.id.name).second) << architecture->name << ": " << rule.id.name << " twice";
                EXPECT_EQ(names.emplace(rule.id.hash, rule.id.name).first->second, rule.id.name);
                const Dims dims = rule.dims(*config, config->layers[i == 0 ? 0 : i - 1]);
                for (const uint64_t side : dims.span())
                    EXPECT_GT(side, 0u) << architecture->name << ": " << rule.id.name;
            }
        }
    }
}

TEST(Architectures, OfGemma3HaveTwoKindsOfLayers) {
    KeyMap keys = keys_of("gemma3");
    keys.set("attention.sliding_window", 1024).put("rope.freq_base", 1e6);
    const auto config = architecture_named("gemma3")->read_config(keys);
    ASSERT_TRUE(config) << config.error().message;
    for (uint32_t il = 0; il < config->n_layer(); ++il) {
        const bool is_full = il % 6 == 5;
        EXPECT_EQ(config->layers[il].window, is_full ? 0u : 1024u) << il;
        EXPECT_EQ(config->layers[il].cache().window, config->layers[il].window) << il;
        EXPECT_FLOAT_EQ(config->layers[il].rope.rope_theta, is_full ? 1e6f : 1e4f) << il;
    }
    keys.put("attention.sliding_window_pattern", std::vector<int64_t>{1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0});
    const auto listed = architecture_named("gemma3")->read_config(keys);
    ASSERT_TRUE(listed) << listed.error().message;
    EXPECT_EQ(listed->layers[1].window, 0u);
    EXPECT_EQ(listed->layers[2].window, 1024u);
    EXPECT_EQ(listed->layers[5].window, 1024u);
    // A number is a period; 0: every layer has a window, 1: none.
    for (const auto& [period, in_first, in_second] :
         {std::tuple{0, true, true}, std::tuple{1, false, false}, std::tuple{2, true, false}}) {
        keys.set("attention.sliding_window_pattern", period);
        const auto by_period = architecture_named("gemma3")->read_config(keys);
        ASSERT_TRUE(by_period) << by_period.error().message;
        EXPECT_EQ(by_period->layers[0].window > 0, in_first) << period;
        EXPECT_EQ(by_period->layers[1].window > 0, in_second) << period;
    }
    keys.put("attention.sliding_window_pattern", std::vector<int64_t>{1, 0, 1});
    EXPECT_FALSE(architecture_named("gemma3")->read_config(keys)) << "three flags for twelve layers";
}

TEST(CacheShape, SaysWhatALayerKeeps) {
    const auto layer = [](const char* name, size_t il) {
        const auto config = architecture_named(name)->read_config(keys_of_any(name));
        EXPECT_TRUE(config) << config.error().message;
        return config->layers.at(il);
    };
    const CacheShape plain = layer("llama", 0).cache();
    EXPECT_EQ(plain.k_width, 32u);
    EXPECT_EQ(plain.v_width, 32u);
    EXPECT_EQ(plain.k_head, 16u);
    EXPECT_EQ(plain.state_bytes, 0u);
    const CacheShape latent = layer("deepseek2", 1).cache();
    EXPECT_EQ(latent.k_width, 40u) << "a vector of rank 32 and 8 rotated dimensions, for all heads";
    EXPECT_EQ(latent.v_width, 0u) << "values are made of it too";
    const CacheShape recurrent = layer("qwen35", 0).cache();
    EXPECT_EQ(recurrent.k_width + recurrent.v_width, 0u);
    // 3 inputs of 2 * 2 * 16 + 4 * 16 channels, and a matrix of 16 x 16 per value head.
    EXPECT_EQ(recurrent.state_bytes, 4u * (3 * 128 + 4 * 16 * 16));
    EXPECT_EQ(layer("qwen35", 3).cache().k_width, 32u);
}

TEST(DecoderConfig, LayersThatDifferAreReadWhereTheyMay) {
    KeyMap keys = keys_of("gemma4");
    keys.put("attention.head_count_kv", std::vector<int64_t>{2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 1});
    const auto config = architecture_named("gemma4")->read_config(keys);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->layers[4].n_head_kv, 2u);
    EXPECT_EQ(config->layers[5].n_head_kv, 1u);
    keys.put("attention.head_count_kv", std::vector<int64_t>{2, 2, 2, 2, 2, 3, 2, 2, 2, 2, 2, 1});
    EXPECT_FALSE(architecture_named("gemma4")->read_config(keys)) << "3 does not divide 4";
    KeyMap plain = keys_of("llama");
    plain.put("attention.head_count_kv", std::vector<int64_t>(12, 2));
    EXPECT_TRUE(architecture_named("llama")->read_config(plain)) << "an array of equal numbers is one number";
}

TEST(FitsHeads, LooksAtEveryLayer) {
    ModelConfig config;
    config.layers.resize(2);
    for (LayerConfig& layer : config.layers) layer.n_head = layer.n_head_kv = 1, layer.head_dim = layer.v_head_dim = 64;
    EXPECT_TRUE(fits_heads(Format::q8_0, config));
    config.layers[1].v_head_dim = 40;
    EXPECT_FALSE(fits_heads(Format::q8_0, config));
    EXPECT_TRUE(fits_heads({Format::q8_0, Format::f16}, config));
}

}  // namespace
}  // namespace atlas
