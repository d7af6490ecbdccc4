#include "runtime/text/jinja/string_literal.h"

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

int digit_value(char c, int base) {
    int value = -1;
    if (c >= '0' && c <= '9') value = c - '0';
    if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') value = c - 'A' + 10;
    return value < base ? value : -1;
}

// Exactly `count` hexadecimal digits at `at`, which moves past them.
char32_t hexadecimal(std::string_view text, size_t& at, size_t count) {
    char32_t value = 0;
    for (size_t i = 0; i < count; ++i, ++at) {
        const int digit = at < text.size() ? digit_value(text[at], 16) : -1;
        if (digit < 0) raise("an escape in this string needs {} hexadecimal digits", count);
        value = value * 16 + static_cast<char32_t>(digit);
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
        raise("an escape in this string is no Unicode character: {:#x}", static_cast<uint32_t>(value));
    return value;
}

char32_t octal(std::string_view text, size_t& at) {
    char32_t value = 0;
    for (int i = 0; i < 3 && at < text.size() && digit_value(text[at], 8) >= 0; ++i, ++at)
        value = value * 8 + static_cast<char32_t>(digit_value(text[at], 8));
    return value;
}

// What the one-letter escapes stand for; 0 for letters that are none.
char simple_escape(char c) {
    constexpr std::string_view kLetters = "\\'\"abfnrtv";
    constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
    const size_t index = kLetters.find(c);
    return index == std::string_view::npos ? '\0' : kValues[index];
}

}  // namespace

std::string unescape(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        if (text[at] != '\\' || at + 1 == text.size()) {
            out += text[at++];
            continue;
        }
        const char c = text[at + 1];
        at += 2;
        if (c == '\n') continue;
        if (const char simple = simple_escape(c); simple != '\0') {
            out += simple;
        } else if (c == 'x' || c == 'u' || c == 'U') {
            append_utf8(out, hexadecimal(text, at, c == 'x' ? 2 : c == 'u' ? 4 : 8));
        } else if (digit_value(c, 8) >= 0) {
            --at;
            append_utf8(out, octal(text, at));
        } else if (c == 'N') {
            raise("characters by name (\\N) are not supported");
        } else if (static_cast<unsigned char>(c) >= 0x80) {
            // Python writes the character as its own escape first, and this backslash then escapes that one's.
            const Unit unit = unit_at(text, at - 1);
            const auto code = static_cast<uint32_t>(unit.code_point);
            out += code < 0x100     ? fmt::format("\\x{:02x}", code)
                   : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                                    : fmt::format("\\U{:08x}", code);
            at += unit.bytes - 1;
        } else {
            out += '\\';
            out += c;
        }
    }
    return out;
}

}  // namespace atlas::jinja
