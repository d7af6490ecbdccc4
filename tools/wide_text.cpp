#include "tools/wide_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "runtime/base/in_quotes.h"

namespace atlas::tools {

static_assert(sizeof(wchar_t) == 4, "a wide character holds any code point");

namespace {

constexpr size_t kMostLinesShown = 12, kLinesAtEachEnd = 5;

char32_t code_point(std::string_view character) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(character[i]); };
    const auto tail = [&](size_t i) { return static_cast<char32_t>(byte(i) & 0x3F); };
    switch (character.size()) {
        case 1:
            return byte(0);
        case 2:
            return (static_cast<char32_t>(byte(0) & 0x1F) << 6) | tail(1);
        case 3:
            return (static_cast<char32_t>(byte(0) & 0x0F) << 12) | (tail(1) << 6) | tail(2);
        default:
            return (static_cast<char32_t>(byte(0) & 0x07) << 18) | (tail(1) << 12) | (tail(2) << 6) | tail(3);
    }
}

void append_utf8(std::string& out, char32_t c) {
    const auto put = [&out](char32_t byte) { out += static_cast<char>(byte); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xC0 | (c >> 6)), put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        put(0xE0 | (c >> 12)), put(0x80 | ((c >> 6) & 0x3F)), put(0x80 | (c & 0x3F));
    } else {
        put(0xF0 | (c >> 18)), put(0x80 | ((c >> 12) & 0x3F)), put(0x80 | ((c >> 6) & 0x3F)), put(0x80 | (c & 0x3F));
    }
}

}  // namespace

std::wstring to_wide(std::string_view text) {
    std::wstring wide;
    while (!text.empty()) {
        const size_t length = utf8_length(text);
        const char32_t c = length > 0 ? code_point(text.substr(0, length)) : U'\uFFFD';
        if (c != 0) wide += static_cast<wchar_t>(c);
        text.remove_prefix(std::max<size_t>(1, length));
    }
    return wide;
}

std::string to_utf8(std::wstring_view text) {
    std::string out;
    for (const wchar_t c : text) append_utf8(out, static_cast<char32_t>(c));
    return out;
}

bool is_unfinished_utf8(std::string_view bytes) {
    const auto lead = static_cast<uint8_t>(bytes.front());
    const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                          : (lead & 0xF0) == 0xE0        ? 3
                          : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                         : 1;
    const auto continues = [](char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; };
    return bytes.size() < length && std::all_of(bytes.begin() + 1, bytes.end(), continues);
}

std::string with_plain_newlines(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
        out += text[i] == '\r' ? '\n' : text[i];
    }
    return out;
}

std::string for_terminal(std::string_view text) {
    std::string out;
    for (size_t at = 0; at < text.size();) {
        const size_t length = utf8_length(text.substr(at));
        const char32_t c = length > 0 ? code_point(text.substr(at, length)) : U'\uFFFD';
        if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7F) || c >= 0xA0) {
            append_utf8(out, c);
        } else {
            append_utf8(out, c < 0x20    ? 0x2400 + c
                             : c == 0x7F ? char32_t{0x2421}
                                         : char32_t{0xFFFD});  // U+2400: a picture of each control
        }
        at += std::max<size_t>(1, length);
    }
    return out;
}

void show_lines(std::FILE* output, std::string_view lines, std::string_view prompt) {
    const auto n_lines = static_cast<size_t>(std::count(lines.begin(), lines.end(), '\n'));
    for (size_t i = 0; i < n_lines; ++i) {
        const size_t end = lines.find('\n');
        if (n_lines <= kMostLinesShown || i < kLinesAtEachEnd || i + kLinesAtEachEnd >= n_lines) {
            fmt::print(output, "{}{}\n", prompt, for_terminal(lines.substr(0, end)));
        } else if (i == kLinesAtEachEnd) {
            fmt::print(output, "{}... {} more lines ...\n", prompt, n_lines - 2 * kLinesAtEachEnd);
        }
        lines.remove_prefix(end + 1);
    }
}

}  // namespace atlas::tools
