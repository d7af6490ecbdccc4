#include "runtime/text/jinja/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/base/check.h"

namespace atlas::jinja {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

// A class of characters outside ASCII, asked from PCRE2's Unicode tables. Safe to share between threads.
class CharacterClass {
  public:
    explicit CharacterClass(const char* pattern) {
        int code = 0;
        size_t at = 0;
        code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                              &code, &at, nullptr);
        ATLAS_CHECK(code_ != nullptr, "pattern {} at {}", pattern, at);
    }
    ~CharacterClass() { pcre2_code_free(code_); }
    CharacterClass(const CharacterClass&) = delete;
    CharacterClass& operator=(const CharacterClass&) = delete;

    bool has(char32_t c) const {
        std::string text;
        append_utf8(text, c);
        const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
            pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
        return pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, match.get(), nullptr) >=
               0;
    }

  private:
    pcre2_code* code_ = nullptr;
};

// Characters first, first + stride, ... last map to themselves + delta.
struct CaseRange {
    uint32_t first, last, stride;
    int32_t delta;
};
// A character whose mapping is not one to one.
struct CaseException {
    uint32_t code_point;
    const char* text;
};

constexpr CaseRange kUpperRanges[] = {
#define ATLAS_CASE_UPPER(first, last, stride, delta) {first, last, stride, delta},
#include "runtime/text/jinja/case_table.inc"
#undef ATLAS_CASE_UPPER
};
constexpr CaseRange kLowerRanges[] = {
#define ATLAS_CASE_LOWER(first, last, stride, delta) {first, last, stride, delta},
#include "runtime/text/jinja/case_table.inc"
#undef ATLAS_CASE_LOWER
};
constexpr CaseException kUpperMany[] = {
#define ATLAS_CASE_UPPER_MANY(code_point, text) {code_point, text},
#include "runtime/text/jinja/case_table.inc"
#undef ATLAS_CASE_UPPER_MANY
};
constexpr CaseException kLowerMany[] = {
#define ATLAS_CASE_LOWER_MANY(code_point, text) {code_point, text},
#include "runtime/text/jinja/case_table.inc"
#undef ATLAS_CASE_LOWER_MANY
};
constexpr CaseException kTitle[] = {
#define ATLAS_CASE_TITLE(code_point, text) {code_point, text},
#include "runtime/text/jinja/case_table.inc"
#undef ATLAS_CASE_TITLE
};

const char* exception_for(std::span<const CaseException> table, char32_t c) {
    const auto found = std::ranges::find(table, static_cast<uint32_t>(c), &CaseException::code_point);
    return found == table.end() ? nullptr : found->text;
}

char32_t mapped(std::span<const CaseRange> table, char32_t c) {
    auto row = std::ranges::upper_bound(table, static_cast<uint32_t>(c), {}, &CaseRange::first);
    if (row == table.begin()) return c;
    --row;
    const bool in_range = c <= row->last && (c - row->first) % row->stride == 0;
    return in_range ? static_cast<char32_t>(static_cast<int64_t>(c) + row->delta) : c;
}

void append_upper(std::string& out, char32_t c) {
    if (c < 0x80) return out.push_back(static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c));
    if (const char* text = exception_for(kUpperMany, c)) {
        out += text;
    } else {
        append_utf8(out, mapped(kUpperRanges, c));
    }
}

void append_lower(std::string& out, char32_t c) {
    if (c < 0x80) return out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
    if (const char* text = exception_for(kLowerMany, c)) {
        out += text;
    } else {
        append_utf8(out, mapped(kLowerRanges, c));
    }
}

void append_title(std::string& out, char32_t c) {
    if (const char* text = c < 0x80 ? nullptr : exception_for(kTitle, c)) {
        out += text;
    } else {
        append_upper(out, c);
    }
}

bool is_cased(char32_t c) { return is_upper(c) || is_lower(c) || exception_for(kTitle, c) != nullptr; }

constexpr char32_t kSigma = 0x3A3;

// The lower case of the unit at `at`; a capital sigma at the end of a word has its own small form.
void append_lower_in(std::string& out, std::string_view text, size_t at, Unit unit) {
    if (unit.code_point != kSigma) return append_lower(out, unit.code_point);
    const bool letter_before = at > 0 && is_cased(unit_at(text, unit_before(text, at)).code_point);
    const bool letter_after = at + unit.bytes < text.size() && is_cased(unit_at(text, at + unit.bytes).code_point);
    append_utf8(out, letter_before && !letter_after ? 0x3C2 : 0x3C3);
}

// Calls visit(unit, offset, out) for every unit; broken units are copied as they are.
template <class Visit>
std::string convert(std::string_view text, Visit visit) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        const Unit unit = unit_at(text, at);
        if (unit.code_point == 0xFFFD) {
            out += text.substr(at, unit.bytes);
        } else {
            visit(unit, at, out);
        }
        at += unit.bytes;
    }
    return out;
}

}  // namespace

Unit unit_at(std::string_view text, size_t offset) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[offset + i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80 && (offset + 1 == text.size() || !is_continuation(text[offset + 1]))) return {lead, 1};
    size_t bytes = 1;
    while (offset + bytes < text.size() && is_continuation(text[offset + bytes])) ++bytes;
    char32_t c = 0xFFFD;
    if (bytes == 2 && lead >= 0xC2 && lead < 0xE0) c = (lead & 0x1Fu) << 6 | (byte(1) & 0x3Fu);
    if (bytes == 3 && lead >= 0xE0 && lead < 0xF0) c = (lead & 0xFu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu);
    if (bytes == 4 && lead >= 0xF0 && lead < 0xF5)
        c = (lead & 7u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu);
    const bool overlong = (bytes == 3 && c < 0x800) || (bytes == 4 && c < 0x10000);
    if (overlong || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
    return {c, bytes};
}

void append_utf8(std::string& out, char32_t c) {
    const auto tail = [&](int shift) { out += static_cast<char>(0x80u | ((c >> shift) & 0x3Fu)); };
    if (c < 0x80) {
        out += static_cast<char>(c);
    } else if (c < 0x800) {
        out += static_cast<char>(0xC0u | (c >> 6));
        tail(0);
    } else if (c < 0x10000) {
        out += static_cast<char>(0xE0u | (c >> 12));
        tail(6);
        tail(0);
    } else {
        out += static_cast<char>(0xF0u | (c >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

size_t count_code_points(std::string_view text) {
    size_t count = !text.empty() && is_continuation(text[0]) ? 1 : 0;
    for (const char c : text) count += is_continuation(c) ? 0 : 1;
    return count;
}

size_t byte_offset(std::string_view text, size_t index) {
    size_t at = 0;
    for (; index > 0 && at < text.size(); --index) {
        ++at;
        while (at < text.size() && is_continuation(text[at])) ++at;
    }
    return at;
}

size_t unit_before(std::string_view text, size_t end) {
    size_t at = end - 1;
    while (at > 0 && is_continuation(text[at])) --at;
    return at;
}

bool is_space(char32_t c) {
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
    if (c < 0x80) return c >= 0x20 && c < 0x7F;
    static const CharacterClass kHidden(R"([\p{C}\p{Z}])");
    return !kHidden.has(c);
}

bool is_alpha(char32_t c) {
    if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    static const CharacterClass kLetter(R"(\p{L})");
    return kLetter.has(c);
}

bool is_decimal(char32_t c) {
    if (c < 0x80) return c >= '0' && c <= '9';
    static const CharacterClass kDecimal(R"(\p{Nd})");
    return kDecimal.has(c);
}

bool is_upper(char32_t c) {
    if (c < 0x80) return c >= 'A' && c <= 'Z';
    static const CharacterClass kUpper(R"([\p{Lu}\x{2160}-\x{216f}\x{24b6}-\x{24cf}])");
    return kUpper.has(c);
}

bool is_lower(char32_t c) {
    if (c < 0x80) return c >= 'a' && c <= 'z';
    static const CharacterClass kLower(R"([\p{Ll}\x{aa}\x{ba}\x{2170}-\x{217f}\x{24d0}-\x{24e9}])");
    return kLower.has(c);
}

std::string_view strip_left(std::string_view text) {
    while (!text.empty()) {
        const Unit unit = unit_at(text, 0);
        if (!is_space(unit.code_point)) break;
        text.remove_prefix(unit.bytes);
    }
    return text;
}

std::string_view strip_right(std::string_view text) {
    while (!text.empty()) {
        const size_t at = unit_before(text, text.size());
        if (!is_space(unit_at(text, at).code_point)) break;
        text = text.substr(0, at);
    }
    return text;
}

std::string to_upper(std::string_view text) {
    return convert(text, [](Unit unit, size_t, std::string& out) { append_upper(out, unit.code_point); });
}

std::string to_lower(std::string_view text) {
    return convert(text, [&](Unit unit, size_t at, std::string& out) { append_lower_in(out, text, at, unit); });
}

std::string to_title(std::string_view text) {
    bool in_word = false;
    return convert(text, [&](Unit unit, size_t at, std::string& out) {
        if (in_word) {
            append_lower_in(out, text, at, unit);
        } else {
            append_title(out, unit.code_point);
        }
        in_word = is_cased(unit.code_point);
    });
}

std::string capitalize(std::string_view text) {
    return convert(text, [&](Unit unit, size_t at, std::string& out) {
        if (at == 0) {
            append_title(out, unit.code_point);
        } else {
            append_lower_in(out, text, at, unit);
        }
    });
}

std::string swap_case(std::string_view text) {
    return convert(text, [&](Unit unit, size_t at, std::string& out) {
        if (is_upper(unit.code_point)) {
            append_lower_in(out, text, at, unit);
        } else if (is_lower(unit.code_point)) {
            append_upper(out, unit.code_point);
        } else {
            append_utf8(out, unit.code_point);
        }
    });
}

}  // namespace atlas::jinja
