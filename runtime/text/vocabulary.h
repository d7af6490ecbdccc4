#pragma once
// The tables of a tokenizer as the file holds them, checked: every index is in range, every table has the length it
// must have.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/gguf/reader.h"
#include "runtime/text/spelling_index.h"

namespace atlas {

using TokenId = uint32_t;

/// GGUF's tokenizer.ggml.token_type.
enum class TokenKind : uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct Vocabulary {
    std::string model;  // tokenizer.ggml.model: "gpt2", "llama"
    std::string pre;    // tokenizer.ggml.pre; empty when the file has none
    // general.name and general.architecture, lower case: some families have conventions that no key states
    std::string family;
    std::vector<std::string> spellings;  // [n_vocab], as stored
    std::vector<TokenKind> kinds;        // [n_vocab]
    std::vector<float> scores;           // [n_vocab] or empty
    std::vector<std::string> merges;     // "left right", best first; may be empty
    SpellingIndex ids;                   // points into spellings

    std::optional<TokenId> bos, eos, unknown;
    std::vector<TokenId> end_of_generation;                  // ascending
    std::optional<bool> add_bos, add_eos, add_space_prefix;  // nothing: the file does not say
    std::vector<std::string> notes;  // what the user should know: what the file leaves out and what was done about it

    Vocabulary() = default;
    Vocabulary(Vocabulary&&) = default;
    Vocabulary& operator=(Vocabulary&&) = default;
    Vocabulary(const Vocabulary&) = delete;  // ids points into spellings

    uint32_t n_vocab() const { return static_cast<uint32_t>(spellings.size()); }
    std::optional<TokenId> find(std::string_view spelling) const { return ids.find(spelling); }
    bool is_control(TokenId token) const { return token < kinds.size() && kinds[token] == TokenKind::control; }
};

/// The token that `key` names by its id; nothing: the key is missing, or is -1 or its unsigned twin, which say "none".
/// Fails: corrupt (no such token).
Result<std::optional<TokenId>> read_token_id(const gguf::File& file, std::string_view key, size_t n_vocab);

/// Checks that the tokens which keys name by their ids (BOS, EOS, ends of turns, ...) are in the vocabulary, if the
/// file has one: what read_vocabulary refuses for these keys, without reading the vocabulary. Fails: corrupt.
Result<void> check_token_ids(const gguf::File& file);

/// Fails: not_found (no tokens: not a model file with a vocabulary), corrupt (tables that disagree, ids out of range),
/// limit.
Result<Vocabulary> read_vocabulary(const gguf::File& file);

}  // namespace atlas
