#include "runtime/text/normalize.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/text/utf8.h"

namespace atlas {
namespace {

constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

// The characters before U+0300 are composed and stay where they are; their lead bytes in UTF-8 are below this one.
constexpr unsigned char kFirstLead = 0xCC;

// The place before the first trailing jamo. It composes with nothing, but utf8proc 2.8 drops it after a syllable as if
// it were one.
constexpr char32_t kBeforeTrailingJamo = 0x11A7;

bool may_change(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= kFirstLead; });
}

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

// Canonical order: the marks of a run by class, those of one class as they came. utf8proc's own sort is quadratic in
// the length of a run, and a prompt may hold a million marks.
void order_marks(std::vector<utf8proc_int32_t>& characters) {
    const auto mark_class = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
    for (size_t i = 0; i < characters.size();) {
        size_t end = i;
        while (end < characters.size() && mark_class(characters[end]) != 0) ++end;
        std::stable_sort(characters.begin() + static_cast<ptrdiff_t>(i),
                         characters.begin() + static_cast<ptrdiff_t>(end),
                         [&](utf8proc_int32_t a, utf8proc_int32_t b) { return mark_class(a) < mark_class(b); });
        i = end + 1;
    }
}

void decompose(char32_t code_point, std::vector<utf8proc_int32_t>& characters) {
    utf8proc_int32_t parts[8];  // the longest canonical decomposition has four
    const auto n =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point), parts, std::size(parts), kOptions, nullptr);
    ATLAS_CHECK(n > 0 && n <= static_cast<utf8proc_ssize_t>(std::size(parts)), "U+{:04X} decomposes into {} characters",
                uint32_t{code_point}, n);
    characters.insert(characters.end(), parts, parts + n);
}

void compose(std::vector<utf8proc_int32_t>& characters, std::string& out) {
    order_marks(characters);
    const auto n =
        utf8proc_normalize_utf32(characters.data(), static_cast<utf8proc_ssize_t>(characters.size()), kOptions);
    ATLAS_CHECK(n >= 0, "utf8proc: {}", utf8proc_errmsg(n));
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) utf8::append(out, static_cast<char32_t>(characters[i]));
    characters.clear();
}

// Composes a stretch that nothing before or after it combines with.
void append_composed(std::string_view stretch, std::vector<utf8proc_int32_t>& characters, std::string& out) {
    if (!may_change(stretch)) {
        out.append(stretch);
        return;
    }
    while (!stretch.empty()) {
        const utf8::Character character = utf8::first(stretch);
        if (character.valid && character.code_point != kBeforeTrailingJamo) {
            decompose(character.code_point, characters);
        } else {
            compose(characters, out);
            out.append(stretch.substr(0, character.bytes));
        }
        stretch.remove_prefix(character.bytes);
    }
    compose(characters, out);
}

}  // namespace

std::string_view normalize(std::string_view text, Normalization form, std::string& storage) {
    if (form == Normalization::none || !may_change(text)) return text;
    storage.clear();
    storage.reserve(text.size());
    std::vector<utf8proc_int32_t> characters;
    // An ASCII character never composes with what is before it.
    for (size_t begin = 0; begin < text.size();) {
        size_t end = begin + 1;
        while (end < text.size() && !is_ascii(text[end])) ++end;
        append_composed(text.substr(begin, end - begin), characters, storage);
        begin = end;
    }
    return storage;
}

}  // namespace atlas
