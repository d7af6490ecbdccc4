#include "runtime/planner/catalogue.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/small_file.h"
#include "runtime/base/units.h"

namespace atlas {

namespace {

using Json = nlohmann::json;

constexpr int kSchema = 1;
constexpr uint64_t kMaxFileBytes = 16 * kMiB;
constexpr double kMostKeyBias = 1e6;

// Fields of one entry, with the first thing wrong kept until the end.
class Fields {
  public:
    Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
        if (!json.is_object()) complain("an object", json);
    }

    std::string text(const char* key, bool required = true) {
        const Json* found = get(key, required);
        if (found == nullptr) return {};
        if (!found->is_string()) return complain(key, "a text", *found), std::string();
        return checked(key, *found);
    }
    std::vector<std::string> texts(const char* key) {
        std::vector<std::string> all;
        const Json* found = get(key, false);
        if (found == nullptr) return all;
        if (!found->is_array()) return complain(key, "a list of texts", *found), all;
        for (const Json& one : *found) {
            if (!one.is_string()) return complain(key, "a list of texts", one), all;
            all.push_back(checked(key, one));
        }
        return all;
    }
    double number(const char* key, double low, double high, bool required = true) {
        const Json* found = get(key, required);
        if (found == nullptr) return 0;
        if (!found->is_number() || !(found->get<double>() >= low && found->get<double>() <= high)) {
            return complain(key, fmt::format("a number in {} .. {}", low, high), *found), 0.0;
        }
        return found->get<double>();
    }
    template <class Int>
    void count(const char* key, Int& to, double high, bool required = true) {
        const Json* found = get(key, required);
        if (found == nullptr) return;
        if (!found->is_number_unsigned() || found->get<double>() > high) return complain(key, fmt::format("a whole number up to {}", high), *found);
        to = static_cast<Int>(found->get<uint64_t>());
    }
    void flag(const char* key, bool& to) {
        const Json* found = get(key, false);
        if (found == nullptr) return;
        if (!found->is_boolean()) return complain(key, "true or false", *found);
        to = found->get<bool>();
    }
    const Json* get(const char* key, bool required) {
        const auto found = json_.is_object() ? json_.find(key) : json_.end();
        if (json_.is_object() && found != json_.end() && !found->is_null()) return &*found;
        if (required && json_.is_object()) complain(fmt::format("{}: missing field '{}'", where_, key));
        return nullptr;
    }
    void complain(const std::string& message) {
        if (!error_) error_ = Error{ErrorCode::corrupt, message};
    }
    void complain(const std::string& expected, const Json& found) {
        complain(fmt::format("{}: expected {}, found {}", where_, expected, printable(json_text(found), 60)));
    }
    void complain(const char* key, const std::string& expected, const Json& found) {
        complain(fmt::format("{}: field '{}': expected {}, found {}", where_, key, expected, printable(json_text(found), 60)));
    }
    const std::optional<Error>& error() const { return error_; }

  private:
    // What is read here is printed later, in tables and commands: nothing in it may move a cursor.
    std::string checked(const char* key, const Json& found) {
        auto text = found.get<std::string>();
        if (printable(text, text.size()) != text) complain(key, "a text without control characters", found);
        return text;
    }

    const Json& json_;
    std::string where_;
    std::optional<Error> error_;
};

#define ATLAS_FIELDS_DONE(fields) \
    if ((fields).error()) return tl::unexpected(*(fields).error())

Result<std::optional<QualityFigure>> read_quality(const Json& entry, const char* kind, const std::string& where) {
    const auto quality = entry.find("quality");
    if (quality == entry.end() || !quality->is_object() || !quality->contains(kind)) return std::optional<QualityFigure>();
    Fields f((*quality)[kind], where + " quality");
    QualityFigure figure{f.number("score", 0, 100), f.text("benchmark"), f.text("source")};
    ATLAS_FIELDS_DONE(f);
    return std::optional(std::move(figure));
}

// As Hugging Face names repositories; it becomes a word of a command.
bool is_repository(std::string_view name) {
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
    return std::count(name.begin(), name.end(), '/') == 1 && name.find_first_not_of(kAllowed) == std::string_view::npos;
}

Result<CatalogueModel> read_model(const Json& entry, const std::string& where) {
    Fields f(entry, where);
    CatalogueModel model;
    ModelShape& s = model.shape;
    s.id = f.text("id");
    s.arch = f.text("arch");
    f.count("parameters", s.parameters, 1e13);
    f.count("n_layer", s.n_layer, 1024);
    f.count("n_embd", s.n_embd, 1 << 18);
    f.count("n_head", s.n_head, 1024);
    f.count("n_head_kv", s.n_head_kv, 1024);
    f.count("head_dim", s.head_dim, 1024);
    s.v_head_dim = s.head_dim;
    f.count("v_head_dim", s.v_head_dim, 1024, false);
    f.count("n_ff", s.n_ff, 1 << 20);
    f.count("n_vocab", s.n_vocab, 1 << 22);
    f.count("n_ctx", s.n_ctx, 1 << 26);
    f.flag("tied", s.tied);
    f.count("n_expert", s.n_expert, 4096, false);
    f.count("n_expert_used", s.n_expert_used, 4096, false);
    f.count("n_ff_expert", s.n_ff_expert, 1 << 20, false);
    f.count("n_ff_shared", s.n_ff_shared, 1 << 20, false);
    f.count("n_dense_layers", s.n_dense_layers, 1024, false);
    f.count("window", s.window, 1 << 26, false);
    f.count("full_every", s.full_every, 1024, false);
    f.count("full_head_dim", s.full_head_dim, 1024, false);
    f.count("full_n_head_kv", s.full_n_head_kv, 1024, false);
    f.count("recurrent_full_every", s.recurrent_full_every, 1024, false);
    f.count("recurrent_v_heads", s.recurrent_v_heads, 1024, false);
    f.count("recurrent_bytes", s.recurrent_bytes, 1e12, false);
    f.count("kv_lora_rank", s.kv_lora_rank, 1 << 16, false);
    f.count("q_lora_rank", s.q_lora_rank, 1 << 16, false);
    f.count("rope_head_dim", s.rope_head_dim, 1024, false);
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
    ATLAS_TRY_VOID(check_shape(s, where + ": "));
    ATLAS_TRY(model.coding, read_quality(entry, "coding", where));
    ATLAS_TRY(model.humaneval, read_quality(entry, "humaneval", where));
    ATLAS_TRY(model.chat, read_quality(entry, "chat", where));
    return model;
}

Result<Card> read_card(const Json& entry, const std::string& where) {
    Fields f(entry, where);
    Card card;
    card.name = f.text("name");
    card.aliases = f.texts("aliases");
    card.vendor = f.text("vendor");
    card.arch = f.text("arch", false);
    card.memory_bytes = static_cast<uint64_t>(f.number("vram_gib", 0.5, 4096) * double(kGiB));
    card.bandwidth_gbps = f.number("bandwidth_gbps", 1, 1e5);
    card.fp32_tflops = f.number("fp32_tflops", 0, 1e5, false);
    card.matrix_tflops = f.number("matrix_tflops", 0, 1e6, false);
    card.watts = f.number("watts", 0, 1e4, false);
    if (f.get("budget_share", false) != nullptr) card.budget_share = f.number("budget_share", 0.5, 1);
    card.source = f.text("source", false);
    if (const Json* price = f.get("price_usd", false)) {
        Fields p(*price, where + " price_usd");
        card.price_low_usd = p.number("low", 0, 1e6, false);
        card.price_high_usd = p.number("high", 0, 1e6, false);
        card.price_source = p.text("kind", false);
        ATLAS_FIELDS_DONE(p);
    }
    ATLAS_FIELDS_DONE(f);
    return card;
}

Result<SpeedBand> read_band(const Json* entry, const std::string& where) {
    SpeedBand band;
    if (entry == nullptr) return band;
    Fields f(*entry, where);
    band.low = f.number("low", 0.01, 1);
    band.high = f.number("high", 1, 100);
    ATLAS_FIELDS_DONE(f);
    return band;
}

Result<SpeedClass> read_class(const Json& entry, const std::string& where) {
    Fields f(entry, where);
    SpeedClass made;
    made.vendor = f.text("vendor", false);
    made.arch_prefix = f.text("arch", false);
    made.efficiency = f.number("efficiency", 0.05, 1);
    made.ms_per_layer = f.number("ms_per_layer", 0, 10);
    if (f.get("recurrent_factor", false) != nullptr) made.recurrent_factor = f.number("recurrent_factor", 1, 100);
    made.prefill_share = f.number("prefill_share", 0.01, 4);
    f.flag("estimated", made.estimated);
    made.source = f.text("source");
    const Json* band = f.get("band", false);
    const Json* other = f.get("band_other", false);
    const Json* prefill = f.get("prefill_band", false);
    ATLAS_FIELDS_DONE(f);
    ATLAS_TRY(made.band, read_band(band, where + " band"));
    ATLAS_TRY(made.band_other, read_band(other != nullptr ? other : band, where + " band_other"));
    if (prefill != nullptr) {
        ATLAS_TRY(made.prefill_band, read_band(prefill, where + " prefill_band"));
    }
    return made;
}

Result<SpeedFacts> read_speed(const Json& entry, const std::string& where) {
    Fields f(entry, where);
    SpeedFacts facts;
    facts.kv_efficiency = f.number("kv_efficiency", 0.01, 1);
    facts.moe_layer_factor = f.number("moe_layer_factor", 1, 10);
    facts.band_calibrated = f.number("band_calibrated", 0, 1);
    if (f.get("slow_host_factor", false) != nullptr) facts.slow_host_factor = f.number("slow_host_factor", 1, 100);
    facts.source = f.text("source");
    const Json* classes = f.get("classes", true);
    if (classes != nullptr && !classes->is_array()) f.complain("classes", "a list", *classes);
    ATLAS_FIELDS_DONE(f);
    for (const Json& row : *classes) {
        ATLAS_TRY(SpeedClass made, read_class(row, where + " classes"));
        facts.classes.push_back(std::move(made));
    }
    return facts;
}

// One measured model's rows.
Result<void> read_kv_losses_of(const Json& loss, Catalogue& to, const std::string& where) {
    Fields f(loss, where);
    const std::string source = f.text("source", false);
    std::optional<double> key_bias_left;
    if (f.get("key_bias_left", false) != nullptr) key_bias_left = f.number("key_bias_left", 0, kMostKeyBias);
    const Json* rows = f.get("rows", true);
    if (rows != nullptr && !rows->is_array()) f.complain("rows", "a list", *rows);
    ATLAS_FIELDS_DONE(f);
    for (const Json& row : *rows) {
        Fields r(row, where);
        KvLoss entry;
        entry.k = r.text("k");
        entry.v = r.text("v");
        entry.perplexity_share = r.number("perplexity_share", 0, 1e4);
        entry.divergence = r.number("divergence", 0, 100, false);
        const std::string rotation = r.text("rotation", false);
        if (const Json* given = r.get("rotation", false); given != nullptr && rotation != "k" && rotation != "v" && rotation != "kv") {
            r.complain("rotation", "k, v or kv", *given);
        }
        entry.rotate_k = rotation.find('k') != std::string::npos;
        entry.rotate_v = rotation.find('v') != std::string::npos;
        r.flag("fitted", entry.fitted);
        entry.key_bias_left = key_bias_left;
        entry.source = r.text("source", source.empty());
        if (entry.source.empty()) entry.source = source;
        ATLAS_FIELDS_DONE(r);
        to.kv_loss.push_back(std::move(entry));
    }
    return {};
}

// Those of one model, or a list of several models'.
Result<void> read_kv_losses(const Json& root, Catalogue& to, const std::string& where) {
    const auto loss = root.find("kv_loss");
    if (loss == root.end()) return {};
    if (!loss->is_array()) return read_kv_losses_of(*loss, to, where + " kv_loss");
    for (const Json& of_model : *loss) ATLAS_TRY_VOID(read_kv_losses_of(of_model, to, where + " kv_loss"));
    return {};
}

Result<void> read_losses(const Json& root, Catalogue& to, const std::string& where) {
    if (const auto loss = root.find("weight_loss"); loss != root.end()) {
        Fields f(*loss, where + " weight_loss");
        to.f16_perplexity = f.number("f16_perplexity", 1, 1000);
        to.weight_loss_source = f.text("source");
        if (const Json* recipes = f.get("recipes", true)) {
            for (const auto& [name, row] : recipes->items()) {
                Fields r(row, where + " weight_loss " + printable(name));
                to.weight_loss[name] = {r.number("kl", 0, 10), r.number("perplexity_increase", 0, 100)};
                ATLAS_FIELDS_DONE(r);
            }
        }
        ATLAS_FIELDS_DONE(f);
    }
    return read_kv_losses(root, to, where);
}

template <class Entry, class Read, class Key>
Result<void> read_list(const Json& root, const char* section, std::vector<Entry>& to, const std::string& where, Read read, Key key) {
    const auto list = root.find(section);
    if (list == root.end()) return {};
    if (!list->is_array()) return fail(ErrorCode::corrupt, "{}: '{}' must be a list", where, section);
    for (size_t i = 0; i < list->size(); ++i) {
        ATLAS_TRY(Entry entry, read((*list)[i], fmt::format("{}: {} {}", where, section, i)));
        const auto same = std::find_if(to.begin(), to.end(), [&](const Entry& e) { return key(e) == key(entry); });
        if (same != to.end()) *same = std::move(entry);
        else to.push_back(std::move(entry));
    }
    return {};
}

Result<void> read_into(Catalogue& to, std::string_view text, std::string_view name) {
    const std::string where(name);
    const Json root = Json::parse(text, nullptr, false, true);
    if (root.is_discarded() || !root.is_object()) return fail(ErrorCode::corrupt, "{}: not a JSON object", where);
    Fields f(root, where);
    int schema = 0;
    f.count("schema", schema, 1000);
    ATLAS_FIELDS_DONE(f);
    if (schema != kSchema) return fail(ErrorCode::corrupt, "{}: schema {} is not known, expected {}", where, schema, kSchema);
    ATLAS_TRY_VOID(read_list(root, "models", to.models, where, read_model, [](const CatalogueModel& m) { return m.shape.id; }));
    ATLAS_TRY_VOID(read_list(root, "cards", to.cards, where, read_card, [](const Card& c) { return c.name; }));
    ATLAS_TRY_VOID(read_losses(root, to, where));
    if (const auto speed = root.find("speed"); speed != root.end()) {
        ATLAS_TRY(to.speed, read_speed(*speed, where + ": speed"));
    }
    return {};
}

}  // namespace

Result<Catalogue> parse_catalogue(std::string_view json, std::string_view where) {
    Catalogue catalogue;
    ATLAS_TRY_VOID(read_into(catalogue, json, where));
    return catalogue;
}

Result<Catalogue> load_catalogue(const std::filesystem::path& additions, std::string* warning) {
    auto built_in = parse_catalogue(built_in_catalogue(), "built-in catalogue");
    if (!built_in || additions.empty()) return built_in;
    Catalogue catalogue = *built_in;
    const auto text = read_small_file(additions, kMaxFileBytes);
    if (!text && text.error().code == ErrorCode::not_found) return catalogue;
    const auto read = text ? read_into(catalogue, *text, printable(additions.string(), 400)) : tl::unexpected(text.error());
    if (read) return catalogue;
    if (!text && only_unreadable(additions, text.error())) {
        if (warning != nullptr) *warning = text.error().message + "; going on without your models and cards";
        return built_in;
    }
    const auto moved = set_aside(additions);
    if (warning != nullptr) {
        *warning = fmt::format("{}; going on without your models and cards; {}", read.error().message,
                               moved ? "the file is now " + in_quotes(moved->string(), 400) : moved.error().message);
    }
    return built_in;
}

}  // namespace atlas
