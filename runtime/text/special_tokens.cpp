#include "runtime/text/special_tokens.h"

#include <algorithm>

namespace atlas {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool family_has(const Vocabulary& vocabulary, std::string_view part) {
    return vocabulary.family.find(part) != std::string::npos;
}

// Conventions of families that no key in the file states. Sources: the tokenizer_config.json of Phi-3 (rstrip on all
// but three added tokens) and of the jina-bert models (lstrip on <mask>).
bool swallows_behind(const Vocabulary& vocabulary, std::string_view spelling) {
    if (!family_has(vocabulary, "phi-3") && !family_has(vocabulary, "phi3")) return false;
    return spelling != "<unk>" && spelling != "<s>" && spelling != "<|endoftext|>";
}

bool swallows_before(const Vocabulary& vocabulary, std::string_view spelling) {
    const bool jina =
        vocabulary.pre == "jina-v2-de" || vocabulary.pre == "jina-v2-es" || vocabulary.pre == "jina-v2-code";
    return jina && spelling == "<mask>";
}

}  // namespace

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
    for (TokenId id = 0; id < vocabulary.n_vocab(); ++id) {
        const TokenKind kind = vocabulary.kinds[id];
        const std::string_view spelling = vocabulary.spellings[id];
        if (spelling.empty() ||
            (kind != TokenKind::control && kind != TokenKind::user_defined && kind != TokenKind::unknown))
            continue;
        specials_.push_back({id, spelling, kind == TokenKind::user_defined, swallows_before(vocabulary, spelling),
                             swallows_behind(vocabulary, spelling)});
    }
    std::stable_sort(specials_.begin(), specials_.end(),
                     [](const Special& a, const Special& b) { return a.spelling.size() > b.spelling.size(); });
    build_automaton();
}

void SpecialTokens::build_automaton() {
    states_.resize(1);
    for (uint32_t i = 0; i < specials_.size(); ++i) {
        uint32_t state = 0;
        for (const char c : specials_[i].spelling) {
            const auto [edge, is_new] = edges_.try_emplace(uint64_t{state} << 8 | static_cast<unsigned char>(c),
                                                           static_cast<uint32_t>(states_.size()));
            if (is_new) states_.emplace_back();
            state = edge->second;
        }
        if (states_[state].special == UINT32_MAX) states_[state].special = i;
    }
    // Breadth first, so that the fallback of a state's parent is known.
    std::vector<std::vector<std::pair<unsigned char, uint32_t>>> children(states_.size());
    for (const auto& [key, to] : edges_) children[key >> 8].emplace_back(static_cast<unsigned char>(key & 255), to);
    breadth_first_.push_back(0);
    for (size_t i = 0; i < breadth_first_.size(); ++i) {
        const uint32_t parent = breadth_first_[i];
        for (const auto& [byte, child] : children[parent]) {
            states_[child].fallback = parent == 0 ? 0 : step(states_[parent].fallback, byte);
            if (parent == 0) from_root_[byte] = child;
            breadth_first_.push_back(child);
        }
    }
}

uint32_t SpecialTokens::step(uint32_t state, unsigned char byte) const {
    for (; state != 0; state = states_[state].fallback) {
        const auto edge = edges_.find(uint64_t{state} << 8 | byte);
        if (edge != edges_.end()) return edge->second;
    }
    return from_root_[byte];
}

std::vector<bool> SpecialTokens::occurring(std::string_view text) const {
    std::vector<bool> reached(states_.size());
    uint32_t state = 0;
    for (const char c : text) {
        state = step(state, static_cast<unsigned char>(c));
        reached[state] = true;
    }
    // Reaching a state is reaching the suffixes too.
    std::vector<bool> occurs(specials_.size());
    for (auto at = breadth_first_.rbegin(); at != breadth_first_.rend(); ++at) {
        if (!reached[*at]) continue;
        reached[states_[*at].fallback] = true;
        if (states_[*at].special != UINT32_MAX) occurs[states_[*at].special] = true;
    }
    return occurs;
}

std::vector<Fragment> SpecialTokens::partition(std::string_view text, bool parse_special) const {
    std::vector<Fragment> fragments;
    if (text.empty()) return fragments;
    fragments.push_back({text, std::nullopt});
    if (specials_.empty()) return fragments;
    const std::vector<bool> occurs = occurring(text);
    std::vector<Fragment> finer;
    for (size_t i = 0; i < specials_.size(); ++i) {
        const Special& special = specials_[i];
        if (!occurs[i] || (!special.user_defined && !parse_special)) continue;
        finer.clear();
        for (const Fragment& fragment : fragments) {
            if (fragment.token) {
                finer.push_back(fragment);
                continue;
            }
            std::string_view rest = fragment.text;
            for (size_t at; (at = rest.find(special.spelling)) != std::string_view::npos;) {
                std::string_view before = rest.substr(0, at);
                rest.remove_prefix(at + special.spelling.size());
                while (special.strips_left && !before.empty() && is_space(before.back())) before.remove_suffix(1);
                while (special.strips_right && !rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
                if (!before.empty()) finer.push_back({before, std::nullopt});
                finer.push_back({{}, special.id});
            }
            if (!rest.empty()) finer.push_back({rest, std::nullopt});
        }
        fragments.swap(finer);
    }
    return fragments;
}

}  // namespace atlas
