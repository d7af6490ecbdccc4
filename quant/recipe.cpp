#include "quant/recipe.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace atlas {
namespace {

using enum Format;

constexpr LayerRule always(Format format) { return {Favoured::none, format, format}; }

// A recipe that gives all matrices one format.
constexpr Recipe uniform(std::string_view name, uint32_t file_type, Format base) {
    return {name, file_type, base, always(base), always(base), base, base, base};
}

constexpr LayerRule rule(Favoured favoured, Format better, Format usual) { return {favoured, better, usual}; }

constexpr auto kEndsAndThird = Favoured::ends_and_every_third;
constexpr auto kEighth = Favoured::first_eighth;
constexpr auto kWith = Favoured::first_eighth_if_importance;
constexpr auto kWithout = Favoured::first_eighth_unless_importance;
constexpr auto kGrouped = Favoured::grouped_query;

// clang-format off
constexpr auto kRecipes = std::to_array<Recipe>({
    uniform("F32", 0, f32),
    uniform("F16", 1, f16),
    // name, file type, base, attention values, ffn_down, attn_output, the same with 8 experts, experts
    {"Q4_0",      2, q4_0, always(q4_0), rule(kWith, q4_1, q4_0), q4_0, q4_0, q4_0},
    uniform("Q4_1", 3, q4_1),
    uniform("Q8_0", 7, q8_0),
    {"Q5_0",      8, q5_0, always(q5_0), rule(kWith, q5_1, q5_0), q5_0, q5_0, q5_0},
    uniform("Q5_1", 9, q5_1),
    {"Q2_K",     10, q2_k, rule(kGrouped, q4_k, q3_k), always(q3_k), q3_k, q5_k, q2_k},
    {"Q3_K_S",   11, q3_k, always(q3_k), always(q3_k), q3_k, q5_k, q3_k},
    {"Q3_K_M",   12, q3_k, rule(Favoured::first_2, q5_k, q4_k), rule(Favoured::first_sixteenth, q5_k, q4_k), q4_k, q5_k, q3_k},
    {"Q3_K_L",   13, q3_k, always(q5_k), always(q5_k), q5_k, q3_k, q3_k},
    {"Q4_K_S",   14, q4_k, rule(Favoured::first_4, q5_k, q4_k), rule(kEighth, q5_k, q4_k), q4_k, q5_k, q4_k},
    {"Q4_K_M",   15, q4_k, rule(kEndsAndThird, q6_k, q4_k), rule(kEndsAndThird, q6_k, q4_k), q4_k, q5_k, q4_k},
    uniform("Q5_K_S", 16, q5_k),
    {"Q5_K_M",   17, q5_k, rule(kEndsAndThird, q6_k, q5_k), rule(kEndsAndThird, q6_k, q5_k), q5_k, q5_k, q5_k},
    uniform("Q6_K", 18, q6_k),
    {"Q2_K_S",   21, q2_k, rule(kGrouped, q4_k, q2_k), rule(kEighth, q4_k, q2_k), q2_k, q2_k, q2_k},
    {"IQ4_NL",   25, iq4_nl, rule(kGrouped, q5_k, iq4_nl), rule(kWithout, q5_k, iq4_nl), iq4_nl, q5_k, iq4_nl},
    {"IQ4_XS",   30, iq4_xs, rule(kGrouped, q5_k, iq4_xs), rule(kWithout, q5_k, iq4_xs), iq4_xs, q5_k, iq4_xs},
    uniform("BF16", 32, bf16),
    {"MXFP4_MOE", 38, q8_0, always(q8_0), always(q8_0), q8_0, q8_0, mxfp4},
});
// clang-format on

// What a format is replaced by where rows are not whole blocks of it: about as many bits, in blocks of 32.
constexpr auto kNarrowFallback = std::to_array<std::pair<Format, Format>>(
    {{q2_k, q4_0}, {q3_k, q4_0}, {q4_k, q5_0}, {q5_k, q5_1}, {q6_k, q8_0}, {iq4_xs, iq4_nl}});

Format fit_to_row(Format format, uint64_t row_elems) {
    for (const auto& [wide, narrow] : kNarrowFallback) {
        if (format == wide && row_elems % info(wide).block_elems != 0) format = narrow;
    }
    return row_elems % info(format).block_elems == 0 ? format : f16;
}

bool is_float(Format format) { return info(format).block_elems == 1; }

bool contains(std::string_view name, std::string_view part) { return name.find(part) != std::string_view::npos; }

// Small, or too delicate, or not read by a matrix product.
bool stays_as_stored(std::string_view name, std::span<const uint64_t> shape) {
    constexpr std::array<std::string_view, 8> kParts = {"_norm.weight",   "ffn_gate_inp", "ssm_conv1d",
                                                        "shortconv.conv", "pos_embd",     "position_embd",
                                                        "token_types",    "attn_rel_b"};
    return shape.size() < 2 || !name.ends_with("weight") ||
           std::any_of(kParts.begin(), kParts.end(), [&](std::string_view part) { return contains(name, part); });
}

// N of "blk.N.", or 0.
uint32_t layer_of(std::string_view name) {
    if (!name.starts_with("blk.")) return 0;
    uint32_t layer = 0;
    for (size_t i = 4; i < name.size() && std::isdigit(static_cast<unsigned char>(name[i])) != 0 && layer < 100000;
         ++i) {
        layer = layer * 10 + static_cast<uint32_t>(name[i] - '0');
    }
    return layer;
}

bool is_favoured(Favoured favoured, uint32_t layer, const MixModel& model) {
    const uint32_t n = model.n_layer, eighth = n / 8;
    // clang-format off
    switch (favoured) {
        case Favoured::none: return false;
        case Favoured::first_2: return layer < 2;
        case Favoured::first_4: return layer < 4;
        case Favoured::first_sixteenth: return layer < n / 16;
        case Favoured::first_eighth: return layer < eighth;
        case Favoured::first_eighth_if_importance: return layer < eighth && model.has_importance;
        case Favoured::first_eighth_unless_importance: return layer < eighth && !model.has_importance;
        case Favoured::ends_and_every_third: return layer < eighth || layer >= 7 * n / 8 || (layer - eighth) % 3 == 2;
        case Favoured::grouped_query: return model.n_gqa >= 4;
    }
    // clang-format on
    return false;
}

Format by_rule(const LayerRule& rule, uint32_t layer, const MixModel& model) {
    return is_favoured(rule.favoured, layer, model) ? rule.better : rule.usual;
}

Format attn_value_format(const Recipe& recipe, uint32_t layer, const MixModel& model) {
    if (model.n_expert == 8) return q8_0;
    const Format format = by_rule(recipe.attn_value, layer, model);
    // The 70B models have many query heads per KV head, so more bits for the values cost almost nothing.
    const bool is_70b = model.n_layer == 80 && model.n_gqa > 1;
    return is_70b && (format == q3_k || format == q4_k) ? q5_k : format;
}

}  // namespace

std::span<const Recipe> recipes() { return kRecipes; }

const Recipe* find_recipe(std::string_view name) {
    const auto same_letter = [](char a, char b) {
        return std::toupper(static_cast<unsigned char>(a)) == std::toupper(static_cast<unsigned char>(b));
    };
    for (const Recipe& recipe : kRecipes) {
        if (std::equal(name.begin(), name.end(), recipe.name.begin(), recipe.name.end(), same_letter)) return &recipe;
    }
    return nullptr;
}

std::optional<Format> format_in(const Recipe& recipe, const MixModel& model, std::string_view name,
                                std::span<const uint64_t> shape) {
    if (stays_as_stored(name, shape)) return std::nullopt;
    const uint64_t row_elems = shape.back();
    if (is_float(recipe.base)) return recipe.base;

    Format format = recipe.base;
    if (name == "output.weight" || (name == "token_embd.weight" && model.tied_output)) {
        format = recipe.base == q8_0 || row_elems % info(q6_k).block_elems != 0 ? q8_0 : q6_k;
    } else if (recipe.experts != recipe.base && shape.size() > 2) {
        format = recipe.experts;
    } else if (contains(name, "attn_v.weight") || contains(name, "attn_qkv.weight") ||
               contains(name, "attn_kv_b.weight")) {
        format = attn_value_format(recipe, layer_of(name), model);
    } else if (contains(name, "attn_k.weight") && model.n_expert == 8) {
        format = q8_0;
    } else if (contains(name, "ffn_down")) {
        format = by_rule(recipe.ffn_down, layer_of(name), model);
    } else if (contains(name, "attn_output.weight")) {
        format = model.n_expert == 8 ? recipe.attn_output_experts8 : recipe.attn_output;
    }
    return fit_to_row(format, row_elems);
}

}  // namespace atlas
