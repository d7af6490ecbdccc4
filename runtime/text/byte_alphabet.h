#pragma once
// GPT-2's alphabet: every byte has one printable character, so that a vocabulary of byte strings is a list of readable
// words. Source: Radford et al. 2019, the encoder of GPT-2; bytes that print in Latin-1 stand for themselves, the 68
// others are U+0100 on.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace atlas {

/// The character of each byte, UTF-8.
const std::array<std::string, 256>& byte_alphabet();

/// The bytes that a spelling stands for; nothing when it has a character outside the alphabet.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

}  // namespace atlas
