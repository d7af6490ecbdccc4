// Looking models and cards up by the names that people type.
#include <algorithm>
#include <array>
#include <cctype>

#include "runtime/base/edit_distance.h"
#include "runtime/base/in_quotes.h"
#include "runtime/planner/catalogue.h"

namespace atlas {

namespace {

std::vector<std::string> words_of(std::string_view name) {
    std::vector<std::string> words(1);
    for (const char c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) || c == '.')
            words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        else if (!words.back().empty())
            words.emplace_back();
    }
    if (words.back().empty()) words.pop_back();
    return words;
}

// "RX 7900-GRE" and "rx7900gre" are the same name.
std::string plain(std::string_view name) { return fmt::format("{}", fmt::join(words_of(name), "")); }

std::string bare_model(std::string_view name) {
    std::string text = plain(name);
    for (const std::string_view ending : {"instruct", "it"}) {
        if (text.size() > ending.size() && text.ends_with(ending)) text.resize(text.size() - ending.size());
    }
    return text;
}

bool has_all_words(std::string_view name, std::string_view wanted) {
    const auto have = words_of(name), want = words_of(wanted);
    const auto is_there = [&](const std::string& word) {
        return std::find(have.begin(), have.end(), word) != have.end();
    };
    return want.size() >= 2 && std::all_of(want.begin(), want.end(), is_there);
}

// Words that vendors and drivers put around a card's name; they distinguish no two cards.
bool is_vendor_word(std::string_view word) {
    constexpr auto kWords =
        std::to_array<std::string_view>({"nvidia", "geforce", "amd", "radeon", "intel", "graphics", "gpu", "card",
                                         "rtx", "gtx", "rx", "arc", "tesla", "quadro", "instinct"});
    return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

// "NVIDIA GeForce RTX 4060 Laptop GPU", "rtx4060 mobile" and "RTX 4060 Laptop" are one name, "AMD Radeon RX 7900 XT
// (RADV NAVI31)" and "7900xt" another.
std::string bare_card(std::string_view name) {
    std::string outside;  // of parentheses, which hold the driver's name or (R)
    int depth = 0;
    for (const char c : name) {
        depth += c == '(' ? 1 : 0;
        if (depth == 0) outside += c == '+' ? 'p' : c;
        depth -= c == ')' && depth > 0 ? 1 : 0;
    }
    std::string bare;
    for (std::string word : words_of(outside)) {
        const size_t digit = word.find_first_of("0123456789");
        if (digit != std::string::npos && is_vendor_word(std::string_view(word).substr(0, digit))) word.erase(0, digit);
        if (is_vendor_word(word)) continue;
        bare += word == "mobile" ? "laptop" : word == "gib" ? "gb" : word;
    }
    return bare;
}

std::vector<std::string> bare_names(const Card& card) {
    std::vector<std::string> names{bare_card(card.name)};
    for (const std::string& alias : card.aliases) names.push_back(bare_card(alias));
    return names;
}

// "12gb" after "3060": the same name with the size of the card's memory.
bool is_memory_size(std::string_view text) {
    return text.size() > 2 && text.ends_with("gb") && text.find_first_not_of("0123456789") == text.size() - 2;
}

// The entries nearest to `wanted` by edit distance, nearest first, at most `most`.
std::vector<std::string> nearest_names(std::string_view wanted, const std::vector<std::string>& names, size_t most) {
    std::vector<std::pair<double, std::string>> ranked;
    const std::string want = plain(wanted);
    for (const std::string& name : names) {
        const std::string have = plain(name);
        // A part of the name counts as near: "qwen 32b" means a name that has both words.
        const bool inside = !want.empty() && have.find(want) != std::string::npos;
        ranked.emplace_back(
            inside ? 0.0 : double(edit_distance(want, have)) / double(std::max(want.size(), have.size()) + 1), name);
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> nearest;
    for (size_t i = 0; i < std::min(most, ranked.size()); ++i) nearest.push_back(ranked[i].second);
    return nearest;
}

}  // namespace

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
    // "deepseek-coder-v2-236b" leaves a word out. It is accepted if no other model has all of its words.
    std::vector<const CatalogueModel*> found;
    for (const CatalogueModel& model : models) {
        if (has_all_words(model.shape.id, name)) found.push_back(&model);
    }
    if (found.size() == 1) return found.front();
    std::vector<std::string> near = nearest_names(name, names, 5);
    for (std::string& one : near) one = printable(one);
    return fail(ErrorCode::not_found, "no model {} in the catalogue; near: {}", in_quotes(name), fmt::join(near, ", "));
}

Result<const Card*> Catalogue::find_card(std::string_view name) const {
    const std::string want = bare_card(name);
    std::vector<std::string> near, all;
    for (const Card& card : cards) {
        const auto have = bare_names(card);
        if (std::find(have.begin(), have.end(), want) != have.end()) return &card;
        all.push_back(card.name);
        if (!want.empty() &&
            std::any_of(have.begin(), have.end(), [&](const std::string& n) { return n.starts_with(want); }))
            near.push_back(card.name);
    }
    const bool several = !near.empty();
    if (!several) near = nearest_names(name, all, 5);
    constexpr size_t kMost = 12;
    if (near.size() > kMost) near.resize(kMost);
    for (std::string& one : near) one = printable(one);
    return fail(
        ErrorCode::not_found,
        "no card of the catalogue has exactly the name {}; {}: {}. Give one of them, or --vram 12G --bandwidth 300",
        in_quotes(name), several ? "names that begin so" : "the nearest names", fmt::join(near, ", "));
}

const Card* Catalogue::card_of_device(std::string_view device, uint64_t memory_bytes) const {
    const std::string want = bare_card(device);
    const Card* found = nullptr;
    for (const Card& card : cards) {
        for (const std::string& name : bare_names(card)) {
            if (name == want) return &card;
            const double share = double(memory_bytes) / double(card.memory_bytes);
            const bool fits = !want.empty() && name.starts_with(want) &&
                              is_memory_size(std::string_view(name).substr(want.size())) && share > 0.9 && share < 1.05;
            if (fits) found = &card;
        }
    }
    return found;
}

}  // namespace atlas
