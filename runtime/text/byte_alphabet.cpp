#include "runtime/text/byte_alphabet.h"

#include "runtime/text/utf8.h"

namespace atlas {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr unsigned kFirstMoved = 0x100;
constexpr unsigned kMoved = 68;

struct Alphabet {
    std::array<std::string, 256> characters;
    std::array<int, kFirstMoved + kMoved> bytes;  // of each code point, -1 outside

    Alphabet() {
        bytes.fill(-1);
        unsigned moved = kFirstMoved;
        for (unsigned byte = 0; byte < 256; ++byte) {
            const unsigned code_point = stands_for_itself(byte) ? byte : moved++;
            utf8::append(characters[byte], code_point);
            bytes[code_point] = static_cast<int>(byte);
        }
    }
};

const Alphabet& alphabet() {
    static const Alphabet kAlphabet;
    return kAlphabet;
}

}  // namespace

const std::array<std::string, 256>& byte_alphabet() { return alphabet().characters; }

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
    std::string bytes;
    bytes.reserve(spelling.size());
    while (!spelling.empty()) {
        const utf8::Character character = utf8::first(spelling);
        if (!character.valid || character.code_point >= alphabet().bytes.size()) return std::nullopt;
        const int byte = alphabet().bytes[character.code_point];
        if (byte < 0) return std::nullopt;
        bytes.push_back(static_cast<char>(byte));
        spelling.remove_prefix(character.bytes);
    }
    return bytes;
}

}  // namespace atlas
