#include "runtime/text/marked_text.h"

#include <algorithm>

namespace atlas {

std::optional<unsigned> byte_of_spelling(std::string_view spelling) {
    const auto digit = [](char c) {
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                      : -1;
    };
    if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>' || digit(spelling[3]) < 0 ||
        digit(spelling[4]) < 0)
        return std::nullopt;
    return static_cast<unsigned>(16 * digit(spelling[3]) + digit(spelling[4]));
}

std::optional<TokenId> byte_token(const Vocabulary& vocabulary, unsigned byte) {
    const auto token = vocabulary.find(fmt::format("<0x{:02X}>", byte));
    if (!token || vocabulary.kinds[*token] == TokenKind::byte) return token;
    const auto& kinds = vocabulary.kinds;
    const bool has_bytes = std::find(kinds.begin(), kinds.end(), TokenKind::byte) != kinds.end();
    return has_bytes ? std::nullopt : token;
}

size_t character_bytes(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const size_t promised = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    size_t bytes = 1;
    while (bytes < std::min(promised, text.size()) && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) ++bytes;
    return bytes;
}

void append_marked(std::string_view text, std::string& to) {
    to.reserve(to.size() + text.size() + text.size() / 2);
    for (const char c : text) c == ' ' ? void(to += kSpaceMark) : to.push_back(c);
}

std::string text_of_marked(const Vocabulary& vocabulary, TokenId token) {
    const std::string& spelling = vocabulary.spellings[token];
    if (vocabulary.kinds[token] == TokenKind::byte) {
        const auto byte = byte_of_spelling(spelling);
        return byte ? std::string(1, static_cast<char>(*byte)) : spelling;
    }
    std::string text;
    for (size_t at = 0; at < spelling.size();) {
        const bool space = spelling.compare(at, kSpaceMark.size(), kSpaceMark) == 0;
        text.push_back(space ? ' ' : spelling[at]);
        at += space ? kSpaceMark.size() : 1;
    }
    return text;
}

}  // namespace atlas
