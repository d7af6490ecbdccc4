#pragma once
// Vocabularies of plain text, not of a byte alphabet: a mark stands for the space, and tokens of single bytes for what
// no other token spells.

#include "runtime/text/vocabulary.h"

namespace atlas {

inline constexpr std::string_view kSpaceMark = "▁";  // U+2581

/// The byte that a token of TokenKind::byte stands for: "<0x0A>".
std::optional<unsigned> byte_of_spelling(std::string_view spelling);
/// The token of a single byte, which is one of that kind if the vocabulary has any.
std::optional<TokenId> byte_token(const Vocabulary& vocabulary, unsigned byte);

/// The length in bytes of the first character of a text that is not empty; what is no whole character ends before the
/// next one begins, so that a mark stays one.
size_t character_bytes(std::string_view text);

/// Appends `text` with marks for its spaces.
void append_marked(std::string_view text, std::string& to);
/// What a normal token or one of a byte stands for.
std::string text_of_marked(const Vocabulary& vocabulary, TokenId token);

}  // namespace atlas
