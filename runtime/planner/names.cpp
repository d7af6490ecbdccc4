// Looking models and cards up by the names that people type.
#include <algorithm>
#include <cctype>

#include "runtime/base/edit_distance.h"
#include "runtime/planner/catalogue.h"

namespace atlas {

namespace {

// Letters and digits in lower case: "RX 7900-GRE" and "rx7900gre" are the same name.
std::string plain(std::string_view name) {
    std::string text;
    for (const char c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) || c == '.') text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return text;
}

std::string without(std::string text, std::initializer_list<std::string_view> words) {
    for (const std::string_view word : words) {
        if (const size_t at = text.find(word); at != std::string::npos) text.erase(at, word.size());
    }
    return text;
}

std::string bare_model(std::string_view name) {
    std::string text = plain(name);
    for (const std::string_view ending : {"instruct", "it"}) {
        if (text.size() > ending.size() && text.ends_with(ending)) text.resize(text.size() - ending.size());
    }
    return text;
}

std::vector<std::string> words_of(std::string_view name) {
    std::vector<std::string> words(1);
    for (const char c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) || c == '.') words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        else if (!words.back().empty()) words.emplace_back();
    }
    if (words.back().empty()) words.pop_back();
    return words;
}

bool has_all_words(std::string_view name, std::string_view wanted) {
    const auto have = words_of(name), want = words_of(wanted);
    const auto is_there = [&](const std::string& word) { return std::find(have.begin(), have.end(), word) != have.end(); };
    return want.size() >= 2 && std::all_of(want.begin(), want.end(), is_there);
}

std::string bare_card(std::string_view name) {
    return without(plain(name), {"nvidia", "geforce", "amd", "radeon", "intel", "graphics", "rtx", "rx", "arc", "gb"});
}

}  // namespace

std::vector<std::string> nearest_names(std::string_view wanted, const std::vector<std::string>& names, size_t most) {
    std::vector<std::pair<double, std::string>> ranked;
    const std::string want = plain(wanted);
    for (const std::string& name : names) {
        const std::string have = plain(name);
        // A part of the name counts as near: who types "qwen 32b" means one that has both.
        const bool inside = !want.empty() && have.find(want) != std::string::npos;
        ranked.emplace_back(inside ? 0.0 : double(edit_distance(want, have)) / double(std::max(want.size(), have.size()) + 1), name);
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> nearest;
    for (size_t i = 0; i < std::min(most, ranked.size()); ++i) nearest.push_back(ranked[i].second);
    return nearest;
}

Result<const CatalogueModel*> Catalogue::find_model(std::string_view name) const {
    const std::string want = plain(name);
    std::vector<std::string> names;
    for (const CatalogueModel& model : models) {
        names.push_back(model.shape.id);
        if (plain(model.shape.id) == want) return &model;
        for (const std::string& alias : model.shape.aliases) {
            if (plain(alias) == want) return &model;
        }
    }
    for (const CatalogueModel& model : models) {
        if (bare_model(model.shape.id) == bare_model(name)) return &model;
    }
    // "deepseek-coder-v2-236b" leaves a word out; that is a name if no other model has them all.
    std::vector<const CatalogueModel*> found;
    for (const CatalogueModel& model : models) {
        if (has_all_words(model.shape.id, name)) found.push_back(&model);
    }
    if (found.size() == 1) return found.front();
    return fail(ErrorCode::not_found, "no model '{}' in the catalogue; near: {}", name, fmt::join(nearest_names(name, names, 5), ", "));
}

Result<const Card*> Catalogue::find_card(std::string_view name) const {
    std::vector<std::string> names;
    for (const Card& card : cards) {
        names.push_back(card.name);
        if (plain(card.name) == plain(name)) return &card;
    }
    std::vector<const Card*> found;
    for (const Card& card : cards) {
        if (bare_card(card.name) == bare_card(name)) return &card;
        if (!bare_card(name).empty() && bare_card(card.name).starts_with(bare_card(name))) found.push_back(&card);
    }
    if (found.size() == 1) return found.front();
    if (found.size() > 1) {
        std::vector<std::string> several;
        for (const Card* card : found) several.push_back(card->name);
        return fail(ErrorCode::invalid_argument, "several cards are called '{}': {}. Say which", name, fmt::join(several, ", "));
    }
    return fail(ErrorCode::not_found, "no card '{}' in the catalogue; near: {}. Or say --vram 12G", name, fmt::join(nearest_names(name, names, 5), ", "));
}

}  // namespace atlas
