#include "tests/support/tiny_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include "quant/codec.h"
#include "runtime/base/check.h"
#include "runtime/model/common_weights.h"
#include "runtime/model/key_map.h"
#include "runtime/model/registry.h"

namespace atlas::testing {

// SplitMix64 (Steele, Lea, Flood 2014).
double TinyRandom::uniform() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

double TinyRandom::bell() {
    const double sum = uniform() + uniform() + uniform() + uniform();
    return (sum - 2.0) * std::sqrt(3.0);
}

std::vector<uint32_t> tiny_tokens(uint32_t count, uint32_t n_vocab, uint64_t seed) {
    TinyRandom random(seed);
    std::vector<uint32_t> tokens(count);
    for (uint32_t& token : tokens) token = static_cast<uint32_t>(random.uniform() * n_vocab);
    return tokens;
}

namespace {

// Families whose models all have experts.
constexpr auto kOfExperts = std::to_array<std::string_view>(
    {"qwen2moe", "qwen3moe", "gpt-oss", "mellum", "glm4moe", "granitemoe", "deepseek2", "qwen35moe", "qwen3next",
     "laguna", "cohere2moe", "phimoe", "lfm2moe", "nemotron_h_moe"});

}  // namespace

TinyShape tiny_shape(std::string_view words) {
    std::istringstream in{std::string(words)};
    TinyShape shape;
    in >> shape.architecture;
    for (std::string word; in >> word;) {
        if (const auto format = format_from_name(word)) {
            shape.format = *format;
        } else if (word == "biases") {
            shape.biases = true;
        } else if (word == "tied") {
            shape.tied = true;
        } else if (word == "rope_freqs") {
            shape.rope_freqs = true;
        } else if (word == "experts") {
            shape.experts = true;
        } else if (word == "linear" || word == "yarn" || word == "longrope") {
            shape.rope_scaling = word;
        } else if (word == "whole") {
            shape.head_dim = 32;
        } else if (word == "super") {
            shape.n_layer = 1;
            shape.n_head = 4;
            shape.n_head_kv = 2;
            shape.head_dim = 64;
            shape.n_embd = 256;
            shape.n_ff = 512;
        } else {
            ATLAS_CHECK(word == "wide", "tiny model: unknown word '{}'", word);
            shape.n_layer = 4;
            shape.n_head = 8;
            shape.n_head_kv = 2;
            shape.head_dim = 64;
            shape.n_embd = 512;
            shape.n_ff = 1280;
            shape.n_vocab = 1000;
            shape.n_ctx_train = 1024;
        }
    }
    constexpr auto kHeadsAreAsWide = std::to_array<std::string_view>(  // other programs require it
        {"qwen2", "qwen2moe", "phi3", "olmo2", "command-r", "cohere2", "starcoder", "starcoder2", "lfm2", "lfm2moe",
         "phimoe"});
    if (std::ranges::find(kHeadsAreAsWide, shape.architecture) != kHeadsAreAsWide.end())
        shape.n_embd = shape.n_head * shape.head_dim;
    const bool has_mixers = shape.architecture.starts_with("qwen35") || shape.architecture == "qwen3next" ||
                            shape.architecture == "granitehybrid" || shape.architecture.starts_with("lfm2");
    if (has_mixers) shape.n_layer = std::max(shape.n_layer, 3u);                       // the second has attention
    if (shape.architecture == "smollm3") shape.n_layer = std::max(shape.n_layer, 4u);  // the fourth has no rope
    // Windows in the first and the third layer; without experts the last two read the caches of the first two.
    if (shape.architecture == "gemma4") shape.n_layer = std::max(shape.n_layer, shape.experts ? 2u : 4u);
    if (shape.architecture.starts_with("nemotron")) shape.n_layer = 4;
    shape.experts |= std::ranges::find(kOfExperts, shape.architecture) != kOfExperts.end();
    return shape;
}

namespace {

class TinyWriter {
  public:
    explicit TinyWriter(const TinyShape& shape) : s_(shape), right_keys_(shape.architecture) {}

    void write(const std::filesystem::path& path) {
        add_keys();
        add_tensors();
        if (s_.more) s_.more(writer_);
        const auto done = writer_.write(path);
        ATLAS_CHECK(done.has_value(), "{}", done.error().message);
    }

  private:
    void number(const std::string& key, uint32_t value) {
        right_keys_.set(key, value);
        const std::string name = s_.architecture + "." + key;
        for (const auto& [other, replacement] : s_.override_keys) {
            if (other == name) value = replacement;
        }
        writer_.add(name, value);
    }

    void real(const std::string& key, float value) {
        right_keys_.put(key, double{value});
        writer_.add(s_.architecture + "." + key, value);
    }

    bool has_layer_norms() const {
        return s_.architecture == "command-r" || s_.architecture.starts_with("cohere2") ||
               s_.architecture.starts_with("starcoder");
    }

    // What the family cannot do without, and what makes its own rules count in a short text.
    void add_family_keys() {
        const std::string& name = s_.architecture;
        if (name == "gemma2" || name == "gemma3" || name == "gemma4" || name == "cohere2" || name == "muse-glimmer")
            number("attention.sliding_window", 16);
        if (name == "gemma3" || name == "cohere2" || name == "muse-glimmer")
            number("attention.sliding_window_pattern", 2);
        if (name == "gemma4") add_gemma4_keys();
        if (name == "laguna" || name == "cohere2moe") {
            number("attention.sliding_window", 16);
            number("attention.sliding_window_pattern", 2);
        }
        if (name == "laguna") number("rope.dimension_count_swa", s_.head_dim / 2 / 8 * 8);
        if (name.starts_with("lfm2") || name == "granitehybrid") add_kv_heads_of_every_second_layer();
        if (name.starts_with("lfm2")) number("shortconv.l_cache", 3);
        if (name == "granitehybrid" || is_nemotron()) add_state_space_keys();
        if (is_nemotron()) add_nemotron_keys();
        if (name == "command-r" || name.starts_with("cohere2") || name == "muse-glimmer") real("logit_scale", 0.7f);
        if (name.starts_with("qwen35") || name == "qwen3next") add_delta_net_keys();
        if (name == "mistral3") {
            real("attention.temperature_scale", 0.4f);
            if (s_.rope_scaling.empty()) number("rope.scaling.original_context_length", 16);
        }
        if (name.starts_with("granite")) {
            real("embedding_scale", 3);
            real("residual_scale", 0.6f);
            real("attention.scale", 0.15f);
            real("logit_scale", 2.5f);
        }
    }

    // Heads of full layers are twice as large as those of windows.
    void add_gemma4_keys() {
        std::vector<int32_t> windows;
        for (uint32_t il = 0; il < s_.n_layer; ++il) windows.push_back(il % 2 == 0);
        right_keys_.put("attention.sliding_window_pattern", std::vector<int64_t>(windows.begin(), windows.end()));
        writer_.add("gemma4.attention.sliding_window_pattern", windows);
        for (const char* side : {"attention.key_length", "attention.value_length", "rope.dimension_count"}) {
            number(side, 2 * s_.head_dim);
            number(std::string(side) + "_swa", s_.head_dim);
        }
        number("embedding_length_per_layer_input", s_.experts ? 0 : n_per_layer());
        number("attention.shared_kv_layers", s_.experts ? 0 : 2);
    }

    uint32_t n_per_layer() const { return s_.head_dim % 32 == 0 ? 64 : 20; }

    void numbers(const std::string& key, const std::vector<int32_t>& values) {
        right_keys_.put(key, std::vector<int64_t>(values.begin(), values.end()));
        writer_.add(s_.architecture + "." + key, values);
    }

    void add_kv_heads_of_every_second_layer() {
        std::vector<int32_t> heads;
        for (uint32_t il = 0; il < s_.n_layer; ++il) heads.push_back(il % 2 == 0 ? 0 : int32_t(s_.n_head_kv));
        numbers("attention.head_count_kv", heads);
    }

    void add_state_space_keys() {
        number("ssm.conv_kernel", 4);
        number("ssm.inner_size", 2 * s_.n_embd);
        number("ssm.state_size", 16);
        number("ssm.time_step_rank", 4);
        number("ssm.group_count", 2);
    }

    bool is_nemotron() const { return s_.architecture.starts_with("nemotron"); }

    // Mamba-2, feed-forward block, attention, feed-forward block.
    void add_nemotron_keys() {
        std::vector<int32_t> heads, widths;
        for (uint32_t il = 0; il < s_.n_layer; ++il) {
            heads.push_back(il % 4 == 2 ? int32_t(s_.n_head_kv) : 0);
            widths.push_back(il % 2 == 1 ? int32_t(s_.n_ff) : 0);
        }
        numbers("attention.head_count_kv", heads);
        numbers("feed_forward_length", widths);
        real("attention.layer_norm_epsilon", 1e-5f);
    }

    // Four heads of values, which fill whole blocks where the shape promises them.
    void add_delta_net_keys() {
        const uint32_t n_heads = 4, head_dim = s_.head_dim <= 32 ? 16 : s_.head_dim;
        number("full_attention_interval", 2);
        number("ssm.conv_kernel", 4);
        number("ssm.state_size", head_dim);
        number("ssm.group_count", n_heads / 2);
        number("ssm.time_step_rank", n_heads);
        number("ssm.inner_size", n_heads * head_dim);
        writer_.add(s_.architecture + ".rope.dimension_sections", std::vector<int32_t>{2, 1, 1, 0});
    }

    void add_keys() {
        writer_.add("general.architecture", s_.architecture);
        writer_.add("general.name", "tiny");
        number("block_count", s_.n_layer);
        number("context_length", s_.n_ctx_train);
        number("embedding_length", s_.n_embd);
        if (!is_nemotron()) number("feed_forward_length", s_.n_ff);
        if (s_.experts) add_expert_keys();
        number("attention.head_count", s_.n_head);
        if (s_.architecture == "deepseek2") {
            add_latent_keys();
        } else if (s_.architecture == "gemma4") {
            number("attention.head_count_kv", s_.n_head_kv);
        } else {
            const bool some =
                s_.architecture.starts_with("lfm2") || s_.architecture == "granitehybrid" || is_nemotron();
            if (!some) number("attention.head_count_kv", s_.n_head_kv);
            number("attention.key_length", s_.head_dim);
            number("attention.value_length", s_.head_dim);
            number("rope.dimension_count",
                   s_.architecture.starts_with("qwen35") || s_.architecture == "qwen3next" ? 8 : s_.head_dim);
        }
        real(has_layer_norms() ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5f);
        right_keys_.set("vocab_size", s_.n_vocab);
        writer_.add(s_.architecture + ".rope.freq_base", 10000.0f);
        add_family_keys();
        if (!s_.rope_scaling.empty()) {
            writer_.add(s_.architecture + ".rope.scaling.type", s_.rope_scaling);
            writer_.add(s_.architecture + ".rope.scaling.factor", s_.rope_factor);
            number("rope.scaling.original_context_length", s_.n_ctx_train / 4);
        }
        add_vocabulary();
    }

    void add_expert_keys() {
        const std::string& name = s_.architecture;
        const bool as_dense = name == "llama" || name == "granitemoe" || name == "phimoe";  // as wide as a dense block
        number("expert_count", 7);
        number("expert_used_count", 3);
        if (!as_dense) number("expert_feed_forward_length", n_ff_of_expert());
        if (name == "qwen2moe" || name == "granitemoe" || name == "qwen35moe" || name == "qwen3next" ||
            name == "laguna" || name == "nemotron_h_moe")
            number("expert_shared_feed_forward_length", n_ff_of_expert() * 2);
        if (name == "gpt-oss" || name == "mellum") number("attention.sliding_window", 24);
        if (name == "lfm2moe" || name == "laguna" || name == "cohere2moe") number("leading_dense_block_count", 1);
        if (name == "lfm2moe") number("expert_gating_func", 2);
        if (name == "cohere2moe") number("expert_shared_count", 2);
        if (name == "deepseek2") {
            number("expert_gating_func", 2);
            writer_.add(name + ".expert_weights_norm", true);
        }
        if (name != "glm4moe" && name != "deepseek2") return;
        number("expert_shared_count", 2);
        number("leading_dense_block_count", 1);
    }

    // The cached width, 32 + 8 and more, is not a multiple of 32 where heads are not.
    void add_latent_keys() {
        const uint32_t rope = s_.head_dim / 3 / 8 * 8, rank = s_.head_dim % 32 == 0 ? 2 * s_.head_dim : 40;
        number("attention.head_count_kv", 1);
        number("attention.q_lora_rank", rank + 24 * (s_.head_dim % 32 != 0));
        number("attention.kv_lora_rank", rank);
        number("attention.key_length", rank + rope);
        number("attention.value_length", rank);
        number("attention.key_length_mla", s_.head_dim + rope);
        number("attention.value_length_mla", s_.head_dim);
        number("rope.dimension_count", rope);
    }

    // Whole blocks.
    uint32_t n_ff_of_expert() const { return s_.n_ff % 256 == 0 ? 256 : 96; }

    // Enough for other programs to load the file; these models are not for text.
    void add_vocabulary() {
        std::vector<std::string> pieces(s_.n_vocab);
        for (uint32_t i = 0; i < s_.n_vocab; ++i)
            pieces[i] = i == 0 ? "<unk>" : i == 1 ? "<s>" : i == 2 ? "</s>" : fmt::format("t{}", i);
        writer_.add("tokenizer.ggml.model", "llama");
        writer_.add("tokenizer.ggml.tokens", pieces);
        writer_.add("tokenizer.ggml.scores", std::vector<float>(s_.n_vocab, 0.0f));
        std::vector<int32_t> types(s_.n_vocab, 1);
        types[0] = 2;
        types[1] = types[2] = 3;
        writer_.add("tokenizer.ggml.token_type", types);
    }

    void add(const std::string& name, std::vector<uint64_t> shape, Format format, double scale, double offset) {
        const uint64_t seed = s_.seed * 1000003 + n_tensors_++;
        if (std::find(s_.leave_out.begin(), s_.leave_out.end(), name) != s_.leave_out.end()) return;
        if (name == s_.reshape) shape[0] += info(format).block_elems;
        uint64_t n_elems = 1;
        for (uint64_t side : shape) n_elems *= side;
        writer_.add_tensor(name, shape, format, [=](std::span<std::byte> out) {
            TinyRandom random(seed);
            std::vector<float> values(n_elems);
            for (float& value : values) value = static_cast<float>(offset + scale * random.bell());
            quantize_row(format, values, out);
        });
    }

    // The optional tensors that the file gets. Biases: those that the architecture usually has; where it has no usual
    // ones all that it can have.
    bool is_written(const WeightRule& rule, bool has_usual_biases) const {
        if (rule.content != Content::as_stored || rule.id.name.starts_with("cache_turn_")) return false;
        if (rule.id == kOutput) return !s_.tied;
        if (rule.id == kRopeFreqs) return s_.rope_freqs;
        if (is_rope_factor(rule)) return s_.rope_scaling == "longrope";
        if (rule.id == kOutputBias) return rule.need == Need::required;
        if (rule.id == kLayerScale || rule.id == WeightId("ssm_conv1d.bias")) return true;
        if (rule.need == Need::required) return true;
        return is_bias(rule) && s_.biases && (rule.need == Need::usual || !has_usual_biases);
    }

    static bool is_rope_factor(const WeightRule& rule) { return rule.id == kRopeLong || rule.id == kRopeShort; }
    static bool is_bias(const WeightRule& rule) { return rule.tensor().ends_with(".bias"); }

    void add(const StoredTensor& stored, const std::string& prefix) {
        const WeightRule& rule = *stored.rule;
        const Dims& dims = stored.dims;
        const std::string name = prefix + stored.name;
        const std::vector<uint64_t> shape(dims.span().begin(), dims.span().end());
        if (rule.id == kRopeFreqs || is_rope_factor(rule)) return add(name, shape, Format::f32, 0.5, 2.0);
        if (is_bias(rule)) return add(name, shape, Format::f32, 0.3, 0.0);
        if (rule.id == kFfnGateInpShared) return add(name, shape, Format::f32, 1 / std::sqrt(double(dims.cols())), 0);
        if (s_.architecture == "granitehybrid" || is_nemotron()) {
            if (rule.id == WeightId("ssm_a")) return add(name, shape, Format::f32, 0.3, -1.0);
            if (rule.id == WeightId("ssm_d") || rule.id == WeightId("ssm_norm.weight"))
                return add(name, shape, Format::f32, 0.3, 1.0);
        }
        if (rule.id == kDeltaA) return add(name, shape, Format::f32, 0.3, -1.0);  // states decay
        if (dims.is_vector()) return add(name, shape, Format::f32, 0.1, 1.0);
        const double scale =
            rule.id == kTokenEmbd ? 1.0 : (rule.id == kOutput ? 3.0 : 1.0) / std::sqrt(double(dims.cols()));
        add(name, shape, rule.decoded ? Format::f32 : s_.format, scale, 0);
    }

    // Biases come last and must stay last: a tensor's seed is its number.
    void add_rules(const WeightRules& rules, const std::string& prefix, const LayerConfig& layer) {
        const bool has_usual = std::any_of(rules.begin(), rules.end(), [](const WeightRule& rule) {
            return is_bias(rule) && rule.need == Need::usual;
        });
        for (const bool biases : {false, true}) {
            WeightRules written = rules;
            std::erase_if(written, [&](const WeightRule& rule) {
                return is_bias(rule) != biases || !is_written(rule, has_usual);
            });
            for (const StoredTensor& stored : stored_tensors(written, config_, layer)) add(stored, prefix);
        }
    }

    void add_tensors() {
        const Architecture* architecture = architecture_named(s_.architecture);
        if (architecture == nullptr) architecture = architecture_named("llama");
        auto config = architecture->read_config(right_keys_);
        ATLAS_CHECK(config.has_value(), "tiny model: {}", config.error().message);
        config_ = std::move(*config);
        const WeightTable table = architecture->weights(config_);
        add_rules(table.model, "", config_.layers.front());
        for (uint32_t il = 0; il < config_.n_layer(); ++il)
            add_rules(table.layers[il], fmt::format("blk.{}.", il), config_.layers[il]);
    }

    const TinyShape& s_;
    KeyMap right_keys_;  // without the wrong numbers that tests ask for
    ModelConfig config_;
    gguf::Writer writer_;
    uint64_t n_tensors_ = 0;
};

}  // namespace

void write_tiny_model(const std::filesystem::path& path, const TinyShape& shape) { TinyWriter(shape).write(path); }

}  // namespace atlas::testing
