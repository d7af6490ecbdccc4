#pragma once
// Text from outside, made safe to print.

#include <cstdint>
#include <string>
#include <string_view>

namespace atlas {

/// `text` in single quotes for a message or a terminal: control characters, what reorders text, and bytes that are not
/// UTF-8 become escapes; what is longer than max_bytes is cut (never inside a character) and says how long it was.
std::string in_quotes(std::string_view text, size_t max_bytes = 80);

/// The same without the quotes, for tables and lists: what is printed can neither move the cursor nor change colours.
std::string printable(std::string_view text, size_t max_bytes = 80);

/// JSON text whose strings have \u escapes for DEL, the C1 controls and what reorders text, which JSON allows as they
/// are.
std::string with_json_escapes(std::string_view json);

/// Whether the code point is invisible and makes a terminal show text in another order or on another line: marks,
/// embeddings, overrides and isolates of bidirectional text, line and paragraph separators.
bool reorders_text(uint32_t code_point);

/// Bytes of the well-formed UTF-8 character at the start of `text`, 0 when there is none.
size_t utf8_length(std::string_view text);

}  // namespace atlas
