// The models of the catalogue.
#include <algorithm>
#include <array>
#include <limits>

#include "runtime/planner/cache_loss.h"
#include "runtime/planner/catalogue_fields.h"

namespace atlas {

namespace {

using Json = nlohmann::json;

Result<std::optional<QualityFigure>> read_quality(const Json& entry, const char* kind, const std::string& where) {
    const auto quality = entry.find("quality");
    if (quality == entry.end() || !quality->is_object() || !quality->contains(kind))
        return std::optional<QualityFigure>();
    Fields f((*quality)[kind], where + " quality");
    QualityFigure figure{f.number("score", 0, 100), f.text("benchmark"), f.text("source")};
    ATLAS_FIELDS_DONE(f);
    return std::optional(std::move(figure));
}

Result<std::vector<PublishedScore>> read_published(const Json& entry, const std::string& where) {
    std::vector<PublishedScore> all;
    const auto quality = entry.find("quality");
    if (quality == entry.end() || !quality->is_object() || !quality->contains("published")) return all;
    const Json& list = (*quality)["published"];
    if (!list.is_array()) return fail(ErrorCode::corrupt, "{}: 'published' must be a list", where);
    for (const Json& one : list) {
        Fields f(one, where + " quality");
        PublishedScore score;
        score.benchmark = f.text("benchmark");
        score.score = f.number("score", 0, 100);
        const std::string by = f.text("by");
        if (by != "maker" && by != "third party") f.complain("by", "\"maker\" or \"third party\"", by);
        score.by_maker = by == "maker";
        score.setup = f.text("setup", false);
        score.date = f.text("date", false);
        score.source = f.text("source");
        ATLAS_FIELDS_DONE(f);
        all.push_back(std::move(score));
    }
    return all;
}

// A repository name as Hugging Face allows it, because it becomes a word of a command.
bool is_repository(std::string_view name) {
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
    return std::count(name.begin(), name.end(), '/') == 1 && name.find_first_not_of(kAllowed) == std::string_view::npos;
}

// The names that additions to the catalogue used for a file's keys before entries had "keys".
struct OldName {
    const char* name;
    const char* key;
};
constexpr auto kOldNames = std::to_array<OldName>({{"n_layer", "block_count"},
                                                   {"n_embd", "embedding_length"},
                                                   {"n_head", "attention.head_count"},
                                                   {"n_head_kv", "attention.head_count_kv"},
                                                   {"head_dim", "attention.key_length"},
                                                   {"v_head_dim", "attention.value_length"},
                                                   {"n_ff", "feed_forward_length"},
                                                   {"n_vocab", "vocab_size"},
                                                   {"n_ctx", "context_length"},
                                                   {"n_expert", "expert_count"},
                                                   {"n_expert_used", "expert_used_count"},
                                                   {"n_ff_expert", "expert_feed_forward_length"},
                                                   {"n_ff_shared", "expert_shared_feed_forward_length"},
                                                   {"n_dense_layers", "leading_dense_block_count"},
                                                   {"window", "attention.sliding_window"},
                                                   {"full_every", "attention.sliding_window_pattern"},
                                                   {"kv_lora_rank", "attention.kv_lora_rank"},
                                                   {"q_lora_rank", "attention.q_lora_rank"},
                                                   {"rope_head_dim", "rope.dimension_count"},
                                                   {"recurrent_full_every", "full_attention_interval"},
                                                   {"recurrent_v_heads", "ssm.time_step_rank"}});

constexpr size_t kMostLayers = 1024;

bool is_whole(const Json& value) { return value.is_number_integer() && value >= -1 && value <= int64_t{1} << 40; }

bool is_list_of_whole(const Json& value) {
    return value.is_array() && !value.empty() && value.size() <= kMostLayers &&
           std::all_of(value.begin(), value.end(), is_whole);
}

void put_key(Fields& f, const std::string& key, const Json& value, KeyMap& to) {
    if (is_whole(value))
        to.set(key, value.get<int64_t>());
    else if (is_list_of_whole(value))
        to.put(key, value.get<std::vector<int64_t>>());
    else if (value.is_number_float())
        to.put(key, value.get<double>());
    else if (value.is_string())
        to.put(key, value.get<std::string>());
    else if (value.is_boolean())
        to.put(key, value.get<bool>());
    else
        f.complain(("keys." + key).c_str(), "a number, a list of whole numbers, a text, true or false", value);
}

// What the old names left out: the sizes of delta nets, which were those of all known models, and the heads of layers
// without a window.
void complete_old_names(Fields& f, const Json& entry, KeyMap& keys) {
    if (entry.contains("recurrent_v_heads"))
        keys.set("ssm.conv_kernel", 4).set("ssm.state_size", 128).set("ssm.group_count", 16);
    if (!entry.contains("full_head_dim")) return;
    uint32_t n_layer = 0, period = 0, n_head_kv = 0, head_dim = 0, full_n_head_kv = 0, full_head_dim = 0;
    f.count("n_layer", n_layer, kMostLayers);
    f.count("full_every", period, kMostLayers);
    f.count("n_head_kv", n_head_kv, 1024);
    f.count("head_dim", head_dim, 1024);
    f.count("full_n_head_kv", full_n_head_kv, 1024);
    f.count("full_head_dim", full_head_dim, 1024);
    std::vector<int64_t> heads;
    for (uint32_t il = 0; il < n_layer; ++il)
        heads.push_back(period > 0 && il % period == period - 1 ? full_n_head_kv : n_head_kv);
    if (heads.empty()) return;
    keys.put("attention.head_count_kv", std::move(heads));
    for (const char* side : {"attention.key_length", "attention.value_length"})
        keys.set(side, full_head_dim).set(std::string(side) + "_swa", head_dim);
}

KeyMap read_keys(Fields& f, const Json& entry) {
    KeyMap keys(f.text("arch"));
    // Keys that a plan does not depend on.
    for (const char* eps : {"attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"}) keys.put(eps, 1e-6);
    keys.put("logit_scale", 1.0);
    if (!entry.is_object()) return keys;
    for (const OldName& old : kOldNames) {
        if (const auto found = entry.find(old.name); found != entry.end() && !found->is_null())
            put_key(f, old.key, *found, keys);
    }
    complete_old_names(f, entry, keys);
    const Json* given = f.get("keys", false);
    if (given != nullptr && !given->is_object()) f.complain("keys", "an object", *given);
    if (given == nullptr || !given->is_object()) return keys;
    for (const auto& [key, value] : given->items()) put_key(f, key, value, keys);
    return keys;
}

}  // namespace

Result<CatalogueModel> read_catalogue_model(const Json& entry, const std::string& where) {
    Fields f(entry, where);
    CatalogueModel model;
    const std::string id = f.text("id");
    KeyMap keys = read_keys(f, entry);
    keys.set_name(id);
    ATLAS_FIELDS_DONE(f);
    ATLAS_TRY(model.shape, shape_of_keys(std::move(keys), where));
    ModelShape& s = model.shape;
    s.id = id;
    f.count("parameters", s.parameters, 1e13);
    f.flag("tied", s.tied);
    f.flag("rope_factors", s.rope_factors);
    f.flag("qkv_bias", s.qkv_bias);
    s.key_bias_left = f.get("key_bias_left", false) != nullptr ? f.number("key_bias_left", 0, kMostKeyBias)
                      : has_key_bias(s)                        ? std::numeric_limits<double>::infinity()
                                                               : 0;
    s.approximate = f.text("approximate", false);
    model.licence = f.text("licence", false);
    model.gguf = f.text("gguf", false);
    if (!model.gguf.empty() && !is_repository(model.gguf)) f.complain("gguf", "owner/repository", model.gguf);
    model.native_quant = f.text("native_quant", false);
    model.pull = f.text("pull", false);
    model.source = f.text("source", false);
    s.aliases = f.texts("aliases");
    ATLAS_FIELDS_DONE(f);
    ATLAS_TRY(model.published, read_published(entry, where));
    ATLAS_TRY(model.coding, read_quality(entry, "coding", where));
    ATLAS_TRY(model.humaneval, read_quality(entry, "humaneval", where));
    ATLAS_TRY(model.chat, read_quality(entry, "chat", where));
    return model;
}

}  // namespace atlas
