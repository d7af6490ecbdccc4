#include "runtime/text/infer_pre_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "runtime/text/byte_alphabet.h"
#include "runtime/text/splitter.h"
#include "runtime/text/utf8.h"

namespace atlas {
namespace {

struct Known {
    size_t n_merges;
    uint64_t fingerprint;  // of the first n_merges
    std::string_view name;
};

// From the published files: GGUF vocabularies of GPT-2, StarCoder, DeepSeek-Coder and Qwen2.5; tokenizer.json of
// GPT-NeoX-20B and DeepSeek-V4 (whose merges are V3's); tokenizer.model of Llama 3 and 4 and the .tiktoken file of
// Qwen3.5, their merges derived as converters do (for Qwen2.5 this gives the merges of its GGUF files, for Llama 3 the
// published number of 280147).
constexpr auto kKnown = std::to_array<Known>({
    {50000, 0xE9CB995B5ED1931E, "gpt-2"},
    {48872, 0xE680B79EDA65B03B, "starcoder"},
    {31757, 0x35A5D311275EE74B, "deepseek-coder"},
    {151387, 0x891687F62ED8CBD2, "qwen2"},
    {247556, 0xDF04F374E2AFA8A1, "qwen35"},
    {50009, 0x6A6829DD28FD59E0, "olmo"},
    {127741, 0x3463D20A323BB5A2, "deepseek-v3"},
    {280147, 0x418150F3F6746AB1, "llama-bpe"},
    {439802, 0x22188874D50AA5AD, "llama4"},
});

// Text that the rows cut in different ways.
// clang-format off
constexpr std::string_view kProbe =
    "I've DON'T we'LL 'tis HelloWorld.iPhone x2y  if (a<=b)  return ~x;\n\n\n\t}\r\n end  1234567 12 ½²³ x1,000 Äpfel "
    "straße ЯблокоЯ e\u0301A\u0301b "
    "我想在apple工作、カタカナ　（한국어） !!/ //\n?.A -x_y $5^2`q` नमस्ते 🙂‍🌫️  x);\n\n## a\n```\n\"key\": [1, 2]\n";
// clang-format on

constexpr std::string_view kFallback = "default";
constexpr size_t kMaxSample = 6000;
constexpr double kMaxCut = 0.05;   // a row that cuts more of the tokens is out
constexpr double kAsGood = 0.005;  // rows whose shares of cut tokens differ by less are equally likely

// Tokens that distinguish the rows: text of more than small letters after a space.
std::vector<std::string> sample_of(const Vocabulary& vocabulary) {
    std::vector<std::string> all;
    for (TokenId id = 0; id < vocabulary.n_vocab(); ++id) {
        if (vocabulary.kinds[id] != TokenKind::normal) continue;
        auto bytes = bytes_of_spelling(vocabulary.spellings[id]);
        if (!bytes || bytes->size() < 2 || !utf8::is_valid(*bytes)) continue;
        const auto begin = bytes->begin() + (bytes->front() == ' ' ? 1 : 0);
        if (std::all_of(begin, bytes->end(), [](char c) { return c >= 'a' && c <= 'z'; })) continue;
        all.push_back(std::move(*bytes));
    }
    if (all.size() <= kMaxSample) return all;
    std::vector<std::string> sample;
    for (size_t i = 0; i < kMaxSample; ++i) sample.push_back(std::move(all[i * all.size() / kMaxSample]));
    return sample;
}

struct Fit {
    double cut = 1;          // share of the sample that the row would never make
    size_t probe_words = 0;  // how many words the probe becomes
};

Fit fit_of(const PreTokenizer& row, const std::vector<std::string>& sample) {
    const Splitter splitter(row.patterns);
    std::vector<size_t> words;
    std::string storage;
    size_t n_cut = 0;
    for (const std::string& token : sample) {
        splitter.split(token, words);
        n_cut += words.size() > 1 || normalize(token, row.normalization, storage) != token;
    }
    splitter.split(kProbe, words);
    return {static_cast<double>(n_cut) / static_cast<double>(std::max<size_t>(sample.size(), 1)), words.size()};
}

std::string_view first_name(const PreTokenizer& row) { return row.names.substr(0, row.names.find(' ')); }

// Rows that many models share; others are those of one family.
bool is_usual(const PreTokenizer& row) {
    constexpr auto kUsual =
        std::to_array<std::string_view>({"gpt-2", "smollm", "llama3", "qwen2", "qwen35", "falcon", "deepseek-coder",
                                         "deepseek-v3", "deepseek-llm", "gpt-4o", "tekken", "bloom"});
    return std::find(kUsual.begin(), kUsual.end(), first_name(row)) != kUsual.end();
}

// Is one of the row's names in the model's own, or does it begin with its architecture ("llama" and "llama-bpe")?
bool family_names(const Vocabulary& vocabulary, const PreTokenizer& row) {
    const std::string_view architecture = std::string_view(vocabulary.family).substr(vocabulary.family.find('\n') + 1);
    for (std::string_view rest = row.names; !rest.empty();) {
        const std::string_view name = rest.substr(0, rest.find(' '));
        if (vocabulary.family.find(name) != std::string::npos ||
            (!architecture.empty() && name.starts_with(architecture)))
            return true;
        rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    }
    return false;
}

// Vocabularies that grew have the published merges first.
const Known* find_known(const std::vector<std::string>& merges) {
    const Known* longest = nullptr;
    for (const Known& row : kKnown) {
        if (row.n_merges > merges.size() || (longest != nullptr && row.n_merges < longest->n_merges)) continue;
        if (fingerprint(std::span(merges).first(row.n_merges)) == row.fingerprint) longest = &row;
    }
    return longest;
}

}  // namespace

uint64_t fingerprint(std::span<const std::string> merges) {
    uint64_t hash = 0xCBF29CE484222325u;
    const auto add = [&hash](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u; };
    for (const std::string& merge : merges) {
        for (const char c : merge) add(c);
        add('\n');
    }
    return hash;
}

InferredPreTokenizer infer_pre_tokenizer(const Vocabulary& vocabulary) {
    if (const Known* known = find_known(vocabulary.merges))
        return {known->name, "the merges are those of the published vocabulary"};
    constexpr std::string_view kBest =
        "it fits the vocabulary best; if answers are wrong, convert the model again with a converter that names it";

    struct Candidate {
        const PreTokenizer* row;
        Fit fit;
        bool named, usual;
    };
    const std::vector<std::string> sample = sample_of(vocabulary);
    std::vector<Candidate> candidates;
    double least = 1;
    const PreTokenizer* cuts_nothing = find_pre_tokenizer("superbpe");  // nearly: it fits every vocabulary
    for (const PreTokenizer& row : pre_tokenizers()) {
        if (&row == cuts_nothing || first_name(row) == kFallback) continue;
        candidates.push_back({&row, fit_of(row, sample), family_names(vocabulary, row), is_usual(row)});
        least = std::min(least, candidates.back().fit.cut);
    }
    if (sample.empty()) return {kFallback, "the vocabulary is too small to tell"};
    if (least > kMaxCut) {
        if (fit_of(*cuts_nothing, sample).cut <= kAsGood) return {first_name(*cuts_nothing), std::string(kBest)};
        return {kFallback, "no known one fits the vocabulary, so answers may be wrong"};
    }
    std::erase_if(candidates, [least](const Candidate& c) { return c.fit.cut > least + kAsGood; });
    const auto worse = [](const Candidate& a, const Candidate& b) {
        return std::tuple(a.named, a.usual, a.fit.probe_words) < std::tuple(b.named, b.usual, b.fit.probe_words);
    };
    return {first_name(*std::max_element(candidates.begin(), candidates.end(), worse)->row), std::string(kBest)};
}

}  // namespace atlas
