#pragma once
// Text as Python sees it: code points of UTF-8, their classes and cases.
// A unit is a byte with the continuation bytes after it; broken UTF-8 is kept as it is and counts one per unit.

#include <cstddef>
#include <string>
#include <string_view>

namespace atlas::jinja {

struct Unit {
    char32_t code_point = 0;  // U+FFFD for a broken unit
    size_t bytes = 0;
};

/// The unit that starts at `offset` (< text.size()).
Unit unit_at(std::string_view text, size_t offset);
void append_utf8(std::string& out, char32_t code_point);
size_t count_code_points(std::string_view text);
/// The byte offset of the code point number `index`; text.size() when there are fewer.
size_t byte_offset(std::string_view text, size_t index);
/// The offset of the unit that ends at `end` (> 0).
size_t unit_before(std::string_view text, size_t end);

/// Classes as Python's str methods and repr define them.
bool is_space(char32_t c);
bool is_printable(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);

std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);

/// Full case mappings, as str.upper, lower, title, capitalize, swapcase.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);
std::string capitalize(std::string_view text);
std::string swap_case(std::string_view text);

}  // namespace atlas::jinja
