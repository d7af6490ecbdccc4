#pragma once
// UTF-8: where characters begin and end, and which bytes are not text.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace atlas::utf8 {

inline constexpr char32_t kReplacement = 0xFFFD;

struct Character {
    char32_t code_point = 0;
    uint8_t bytes = 0;  // when invalid: how many bytes one U+FFFD replaces (a maximal subpart, Unicode Standard 3.9)
    bool valid = false;
    bool truncated = false;  // invalid because the text ends inside what may yet become a character
};

/// The character at the start of `text`. Requires that text is not empty. Overlong forms, surrogates and numbers above
/// 0x10FFFF are invalid (Unicode Standard, table 3-7).
Character first(std::string_view text);

bool is_valid(std::string_view text);
void append(std::string& text, char32_t code_point);

}  // namespace atlas::utf8
