#include "runtime/text/vocabulary.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "runtime/text/end_of_generation.h"
#include "runtime/text/token_origin.h"

namespace atlas {

Result<std::optional<TokenId>> read_token_id(const gguf::File& file, std::string_view key, size_t n_vocab) {
    const gguf::KeyValue* entry = file.find(key);
    if (entry == nullptr) return std::optional<TokenId>{};
    // Converters write -1, or its unsigned twin, for "this model has none".
    if (const auto* value = std::get_if<int64_t>(&entry->value); value != nullptr && *value == -1)
        return std::optional<TokenId>{};
    ATLAS_TRY(const uint32_t id, file.u32(key));
    if (id == UINT32_MAX) return std::optional<TokenId>{};
    if (id >= n_vocab)
        return fail(ErrorCode::corrupt, "{}: is {}, but the vocabulary has {} tokens (ids 0 to {})", key, id, n_vocab,
                    n_vocab - 1);
    return std::optional<TokenId>{id};
}

namespace {

constexpr size_t kMaxVocab = size_t{1} << 24;          // sixteen times the largest known
constexpr size_t kMaxSpellingBytes = size_t{1} << 16;  // the longest known is a few hundred

constexpr std::string_view kTokenTypeKey = "tokenizer.ggml.token_type";
constexpr std::string_view kBosKey = "tokenizer.ggml.bos_token_id";
constexpr std::string_view kEosKey = "tokenizer.ggml.eos_token_id";
constexpr std::string_view kUnknownKey = "tokenizer.ggml.unknown_token_id";

Result<std::optional<bool>> read_flag(const gguf::File& file, std::string_view key) {
    if (file.find(key) == nullptr) return std::optional<bool>{};
    ATLAS_TRY(const bool value, file.boolean(key));
    return std::optional<bool>{value};
}

Result<void> read_spellings(const gguf::File& file, Vocabulary& vocabulary) {
    ATLAS_TRY(const auto tokens, file.strings("tokenizer.ggml.tokens"));
    if (tokens.empty()) return fail(ErrorCode::corrupt, "tokenizer.ggml.tokens: the vocabulary is empty");
    if (tokens.size() > kMaxVocab)
        return fail(ErrorCode::limit, "tokenizer.ggml.tokens: {} tokens, at most {} are allowed", tokens.size(),
                    kMaxVocab);
    for (size_t i = 0; i < tokens.size(); ++i)
        if (tokens[i].size() > kMaxSpellingBytes)
            return fail(ErrorCode::limit, "tokenizer.ggml.tokens: token {} is {} bytes long, at most {} are allowed", i,
                        tokens[i].size(), kMaxSpellingBytes);
    vocabulary.spellings.assign(tokens.begin(), tokens.end());
    return {};
}

Result<void> read_kinds(const gguf::File& file, Vocabulary& vocabulary) {
    constexpr std::string_view kKey = kTokenTypeKey;
    vocabulary.kinds.assign(vocabulary.spellings.size(), TokenKind::normal);
    if (file.find(kKey) == nullptr) return {};
    ATLAS_TRY(const auto kinds, file.integers(kKey));
    if (kinds.size() != vocabulary.spellings.size())
        return fail(ErrorCode::corrupt, "{}: has {} entries, but tokenizer.ggml.tokens has {}", kKey, kinds.size(),
                    vocabulary.spellings.size());
    for (size_t i = 0; i < kinds.size(); ++i) {
        // 0 is "undefined" in the specification; such tokens behave as normal ones.
        if (kinds[i] < 0 || kinds[i] > 6)
            return fail(ErrorCode::corrupt, "{}: token {} has type {}, known are 0 to 6", kKey, i, kinds[i]);
        if (kinds[i] != 0) vocabulary.kinds[i] = static_cast<TokenKind>(kinds[i]);
    }
    return {};
}

Result<void> read_scores(const gguf::File& file, Vocabulary& vocabulary) {
    constexpr std::string_view kKey = "tokenizer.ggml.scores";
    if (file.find(kKey) == nullptr) return {};
    ATLAS_TRY(const auto scores, file.floats(kKey));
    if (scores.size() != vocabulary.spellings.size())
        return fail(ErrorCode::corrupt, "{}: has {} entries, but tokenizer.ggml.tokens has {}", kKey, scores.size(),
                    vocabulary.spellings.size());
    vocabulary.scores.assign(scores.begin(), scores.end());
    return {};
}

// The ids that the file itself calls an end, beside eos.
Result<std::vector<TokenId>> read_ends(const gguf::File& file, size_t n_vocab) {
    std::vector<TokenId> declared;
    constexpr std::array<std::string_view, 5> kEndKeys = {
        "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id", "tokenizer.ggml.fim_pad_token_id",
        "tokenizer.ggml.fim_rep_token_id", "tokenizer.ggml.fim_sep_token_id"};
    for (const auto key : kEndKeys) {
        ATLAS_TRY(const auto id, read_token_id(file, key, n_vocab));
        if (id) declared.push_back(*id);
    }
    if (file.find("tokenizer.ggml.eos_token_ids") != nullptr) {
        ATLAS_TRY(const auto all, file.integers("tokenizer.ggml.eos_token_ids"));
        for (const int64_t id : all) {
            if (id < 0 || static_cast<uint64_t>(id) >= n_vocab)
                return fail(ErrorCode::corrupt,
                            "tokenizer.ggml.eos_token_ids: holds {}, but the vocabulary has {} tokens", id, n_vocab);
            declared.push_back(static_cast<TokenId>(id));
        }
    }
    return declared;
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

}  // namespace

Result<void> check_token_ids(const gguf::File& file) {
    if (file.find("tokenizer.ggml.tokens") == nullptr) return {};
    ATLAS_TRY(const auto tokens, file.strings("tokenizer.ggml.tokens"));
    for (const std::string_view key : {kBosKey, kEosKey, kUnknownKey})
        ATLAS_TRY_VOID(read_token_id(file, key, tokens.size()).map([](const auto&) {}));
    return read_ends(file, tokens.size()).map([](const auto&) {});
}

Result<Vocabulary> read_vocabulary(const gguf::File& file) {
    Vocabulary vocabulary;
    ATLAS_TRY(const auto model, file.string("tokenizer.ggml.model"));
    vocabulary.model = model;
    vocabulary.pre = file.string_or("tokenizer.ggml.pre", "");
    vocabulary.family =
        lower(file.string_or("general.name", "")) + "\n" + lower(file.string_or("general.architecture", ""));
    ATLAS_TRY_VOID(read_spellings(file, vocabulary));
    ATLAS_TRY_VOID(read_kinds(file, vocabulary));
    ATLAS_TRY_VOID(read_scores(file, vocabulary));
    if (file.find("tokenizer.ggml.merges") != nullptr) {
        ATLAS_TRY(const auto merges, file.strings("tokenizer.ggml.merges"));
        if (merges.size() > 4 * kMaxVocab)
            return fail(ErrorCode::limit, "tokenizer.ggml.merges: {} entries", merges.size());
        vocabulary.merges.assign(merges.begin(), merges.end());
    }
    const size_t n_vocab = vocabulary.spellings.size();
    ATLAS_TRY(vocabulary.bos, read_token_id(file, kBosKey, n_vocab));
    ATLAS_TRY(vocabulary.eos, read_token_id(file, kEosKey, n_vocab));
    ATLAS_TRY(vocabulary.unknown, read_token_id(file, kUnknownKey, n_vocab));
    ATLAS_TRY(vocabulary.add_bos, read_flag(file, "tokenizer.ggml.add_bos_token"));
    ATLAS_TRY(vocabulary.add_eos, read_flag(file, "tokenizer.ggml.add_eos_token"));
    ATLAS_TRY(vocabulary.add_space_prefix, read_flag(file, "tokenizer.ggml.add_space_prefix"));

    ATLAS_TRY(const std::vector<TokenId> ends, read_ends(file, n_vocab));
    vocabulary.ids = SpellingIndex(vocabulary.spellings);
    if (file.find(kTokenTypeKey) == nullptr) {
        std::vector<TokenId> declared = ends;
        for (const auto id : {vocabulary.bos, vocabulary.eos})
            if (id) declared.push_back(*id);
        draft_kinds(vocabulary, declared);
    }
    vocabulary.end_of_generation = find_end_of_generation(vocabulary, ends);
    return vocabulary;
}

}  // namespace atlas
