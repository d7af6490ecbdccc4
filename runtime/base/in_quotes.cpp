#include "runtime/base/in_quotes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace atlas {

// The table of well-formed byte sequences: Unicode standard, section 3.9, table 3-7.
size_t utf8_length(std::string_view text) {
    if (text.empty()) return 0;
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const uint8_t lead = byte(0);
    if (lead < 0x80) return 1;
    const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                          : (lead & 0xF0) == 0xE0        ? 3
                          : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                         : 0;
    if (length == 0 || text.size() < length) return 0;
    for (size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return 0;
    }
    const bool too_short = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
    const bool surrogate_or_too_large = (lead == 0xED && byte(1) > 0x9F) || (lead == 0xF4 && byte(1) > 0x8F);
    return too_short || surrogate_or_too_large ? 0 : length;
}

namespace {

// The code point of a well-formed character of two or three bytes, else 0.
uint32_t code_point(std::string_view character) {
    const auto bits = [&](size_t i, uint8_t mask) { return uint32_t{static_cast<uint8_t>(character[i])} & mask; };
    if (character.size() == 2) return (bits(0, 0x1F) << 6) | bits(1, 0x3F);
    return character.size() == 3 ? (bits(0, 0x0F) << 12) | (bits(1, 0x3F) << 6) | bits(2, 0x3F) : 0;
}

// Appends at most max_bytes of `text` with everything escaped that a terminal could obey; returns how many bytes of it
// were taken.
size_t append_escaped(std::string& out, std::string_view text, size_t max_bytes) {
    size_t at = 0;
    while (at < text.size()) {
        const size_t length = utf8_length(text.substr(at));
        if (at + (length == 0 ? 1 : length) > max_bytes) break;
        const auto byte = static_cast<uint8_t>(text[at]);
        const uint32_t c = code_point(text.substr(at, length));
        // C1 controls (U+0080 to U+009F) move cursors on some terminals just as C0 ones do.
        const bool c1_control = c >= 0x80 && c < 0xA0;
        if (reorders_text(c)) {
            out += fmt::format("\\u{:04x}", c);
        } else if (length == 0 || c1_control || byte < 0x20 || byte == 0x7F) {
            if (byte == '\n') {
                out += "\\n";
            } else if (byte == '\t') {
                out += "\\t";
            } else {
                for (size_t i = 0; i < (c1_control ? 2u : 1u); ++i)
                    out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[at + i]));
            }
        } else {
            out += text.substr(at, length);
        }
        at += length == 0 ? 1 : length;
    }
    return at;
}

std::string cut_note(size_t bytes) { return fmt::format("... ({} bytes)", bytes); }

}  // namespace

bool reorders_text(uint32_t c) {
    return c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x206F);
}

std::string in_quotes(std::string_view text, size_t max_bytes) {
    std::string out = "'";
    const size_t taken = append_escaped(out, text, max_bytes);
    out += "'";
    if (taken < text.size()) out += cut_note(text.size());
    return out;
}

std::string printable(std::string_view text, size_t max_bytes) {
    std::string out;
    if (append_escaped(out, text, max_bytes) < text.size()) out += cut_note(text.size());
    return out;
}

std::string with_json_escapes(std::string_view json) {
    std::string out;
    out.reserve(json.size());
    for (size_t at = 0; at < json.size();) {
        const std::string_view character = json.substr(at, std::max<size_t>(1, utf8_length(json.substr(at))));
        const uint32_t c = character == "\x7f" ? 0x7F : code_point(character);
        if ((c >= 0x7F && c < 0xA0) || reorders_text(c))
            out += fmt::format("\\u{:04x}", c);
        else
            out += character;
        at += character.size();
    }
    return out;
}

}  // namespace atlas
