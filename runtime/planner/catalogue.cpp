#include "runtime/planner/catalogue.h"

#include <algorithm>
#include <cctype>
#include <limits>

#include "runtime/base/small_file.h"
#include "runtime/base/units.h"
#include "runtime/planner/catalogue_fields.h"

namespace atlas {

namespace {

using Json = nlohmann::json;

constexpr int kSchema = 1;
constexpr uint64_t kMaxFileBytes = 16 * kMiB;

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
    f.number_or("budget_share", 0.5, 1, card.budget_share);
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

// `otherwise` where there is no entry.
Result<SpeedBand> read_band(const Json* entry, const SpeedBand& otherwise, const std::string& where) {
    if (entry == nullptr) return otherwise;
    SpeedBand band;
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
    f.number_or("recurrent_factor", 1, 100, made.recurrent_factor);
    made.prefill_share = f.number("prefill_share", 0.01, 4);
    f.flag("estimated", made.estimated);
    made.source = f.text("source");
    const Json* band = f.get("band", false);
    const Json* other = f.get("band_other", false);
    const Json* prefill = f.get("prefill_band", false);
    ATLAS_FIELDS_DONE(f);
    ATLAS_TRY(made.band, read_band(band, made.band, where + " band"));
    ATLAS_TRY(made.band_other, read_band(other, made.band, where + " band_other"));
    ATLAS_TRY(made.prefill_band, read_band(prefill, made.prefill_band, where + " prefill_band"));
    return made;
}

Result<SpeedFacts> read_speed(const Json& entry, const std::string& where) {
    Fields f(entry, where);
    SpeedFacts facts;
    facts.kv_efficiency = f.number("kv_efficiency", 0.01, 1);
    facts.moe_layer_factor = f.number("moe_layer_factor", 1, 10);
    facts.band_calibrated = f.number("band_calibrated", 0, 1);
    f.number_or("slow_host_factor", 1, 100, facts.slow_host_factor);
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
        if (const Json* given = r.get("rotation", false);
            given != nullptr && rotation != "k" && rotation != "v" && rotation != "kv") {
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
Result<void> read_list(const Json& root, const char* section, std::vector<Entry>& to, const std::string& where,
                       Read read, Key key) {
    const auto list = root.find(section);
    if (list == root.end()) return {};
    if (!list->is_array()) return fail(ErrorCode::corrupt, "{}: '{}' must be a list", where, section);
    for (size_t i = 0; i < list->size(); ++i) {
        ATLAS_TRY(Entry entry, read((*list)[i], fmt::format("{}: {} {}", where, section, i)));
        const auto same = std::find_if(to.begin(), to.end(), [&](const Entry& e) { return key(e) == key(entry); });
        if (same != to.end())
            *same = std::move(entry);
        else
            to.push_back(std::move(entry));
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
    if (schema != kSchema)
        return fail(ErrorCode::corrupt, "{}: schema {} is not known, expected {}", where, schema, kSchema);
    ATLAS_TRY_VOID(read_list(root, "models", to.models, where, read_catalogue_model,
                             [](const CatalogueModel& m) { return m.shape.id; }));
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
    const auto read =
        text ? read_into(catalogue, *text, printable(additions.string(), 400)) : tl::unexpected(text.error());
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
