#include "runtime/text/utf8.h"

namespace atlas::utf8 {
namespace {

uint8_t byte_at(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

}  // namespace

Character first(std::string_view text) {
    const uint8_t lead = byte_at(text, 0);
    if (lead < 0x80) return {lead, 1, true, false};
    constexpr Character kInvalid{kReplacement, 1, false, false};
    if (lead < 0xC2 || lead > 0xF4) return kInvalid;
    const uint8_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    // The second byte's range rules out overlong forms (E0, F0), surrogates (ED) and what is above 0x10FFFF (F4).
    uint8_t low = 0x80, high = 0xBF;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    char32_t code_point = lead & (0x7Fu >> length);
    for (uint8_t i = 1; i < length; ++i) {
        if (i == text.size()) return {kReplacement, i, false, true};
        const uint8_t next = byte_at(text, i);
        if (next < low || next > high) return {kReplacement, i, false, false};
        code_point = code_point << 6 | (next & 0x3Fu);
        low = 0x80, high = 0xBF;
    }
    return {code_point, length, true, false};
}

bool is_valid(std::string_view text) {
    while (!text.empty()) {
        // Most text is ASCII; skip it quickly.
        if (static_cast<uint8_t>(text[0]) < 0x80) {
            text.remove_prefix(1);
            continue;
        }
        const Character character = first(text);
        if (!character.valid) return false;
        text.remove_prefix(character.bytes);
    }
    return true;
}

void append(std::string& text, char32_t c) {
    const auto push = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
    if (c < 0x80) {
        push(c);
    } else if (c < 0x800) {
        push(0xC0 | c >> 6), push(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        push(0xE0 | c >> 12), push(0x80 | (c >> 6 & 0x3F)), push(0x80 | (c & 0x3F));
    } else {
        push(0xF0 | c >> 18), push(0x80 | (c >> 12 & 0x3F)), push(0x80 | (c >> 6 & 0x3F)), push(0x80 | (c & 0x3F));
    }
}

}  // namespace atlas::utf8
