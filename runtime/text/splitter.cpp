#include "runtime/text/splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <string>

#include "runtime/base/check.h"
#include "runtime/text/utf8.h"

namespace atlas {
namespace {

// The White_Space property. PCRE2's own \s also has U+180E, which Unicode took out in 6.3.
constexpr std::string_view kSpaces =
    "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

// Writes \s and \S out as classes; inside a class, \s as its members (\S does not occur there).
std::string spell_out_spaces(std::string_view pattern) {
    std::string result;
    bool in_class = false;
    for (size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c == '\\' && i + 1 < pattern.size()) {
            const char escaped = pattern[++i];
            if (escaped == 's')
                result.append(in_class ? "" : "[").append(kSpaces).append(in_class ? "" : "]");
            else if (escaped == 'S')
                result.append("[^").append(kSpaces).append("]");
            else
                result.append({'\\', escaped});
            continue;
        }
        if (c == '[') in_class = true;
        if (c == ']') in_class = false;
        result.push_back(c);
    }
    return result;
}

std::string message_of(int error) {
    char text[256] = {};
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof text);
    return text;
}

bool begins_character(std::string_view text, size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

// Cuts text[from, to) inside, before every third character counted from its end, never at `from`: what comes before
// stays with the first group. What is before `done` is cut already; returns the new one.
size_t cut_thousands(std::string_view text, size_t from, size_t to, size_t done, std::vector<size_t>& lengths) {
    size_t characters = 0;  // from `at` to the end
    for (size_t at = from; at < to; ++at) characters += begins_character(text, at);
    for (size_t at = from; at < to; ++at) {
        if (!begins_character(text, at)) continue;
        if (characters % 3 == 0 && at > from) {
            lengths.push_back(at - done);
            done = at;
        }
        --characters;
    }
    return done;
}

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;

// Every invalid byte becomes U+FFFD, so that the expressions see text. `replaced_at`: their places, ascending.
std::string readable_copy(std::string_view text, std::vector<size_t>& replaced_at) {
    std::string copy;
    copy.reserve(text.size() + 64);
    while (!text.empty()) {
        const utf8::Character character = utf8::first(text);
        if (character.valid) {
            copy.append(text.substr(0, character.bytes));
        } else {
            replaced_at.push_back(copy.size());
            utf8::append(copy, utf8::kReplacement);
        }
        text.remove_prefix(character.valid ? character.bytes : 1);
    }
    return copy;
}

}  // namespace

struct Splitter::Code {
    explicit Code(const SplitPattern& pattern) : source(pattern) {
        const std::string spelt = spell_out_spaces(pattern.expression);
        int error = 0;
        PCRE2_SIZE offset = 0;
        compiled.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelt.data()), spelt.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE, &error, &offset, nullptr));
        ATLAS_CHECK(compiled != nullptr, "pattern {} at {}: {}", spelt, offset, message_of(error));
        // Without it (a system that forbids it) matching is slower and otherwise the same.
        pcre2_jit_compile(compiled.get(), PCRE2_JIT_COMPLETE);
    }

    // Cuts one piece; appends the lengths of its words. `subject` is valid UTF-8.
    void cut(std::string_view subject, pcre2_match_data* data, std::vector<size_t>& lengths) const;

    SplitPattern source;
    std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> compiled{nullptr, &pcre2_code_free};
};

void Splitter::Code::cut(std::string_view subject, pcre2_match_data* data, std::vector<size_t>& lengths) const {
    const auto* bytes = reinterpret_cast<PCRE2_SPTR>(subject.data());
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data);
    size_t done = 0;  // everything before has been cut
    size_t from = 0;  // where to look next
    while (from < subject.size()) {
        int matched = pcre2_match(compiled.get(), bytes, subject.size(), from, PCRE2_NO_UTF_CHECK, data, nullptr);
        if (matched == PCRE2_ERROR_JIT_STACKLIMIT)
            matched = pcre2_match(compiled.get(), bytes, subject.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data,
                                  nullptr);
        if (matched == PCRE2_ERROR_NOMATCH) break;
        ATLAS_CHECK(matched > 0, "pattern {} at byte {} of {}: {}", source.expression, from, subject.size(),
                    message_of(matched));
        ATLAS_CHECK(span[1] > span[0], "pattern {} matches nothing at byte {}", source.expression, span[0]);
        if (source.cut == SplitPattern::around) {
            if (span[0] > done) lengths.push_back(span[0] - done);
            lengths.push_back(span[1] - span[0]);
            done = span[1];
        } else {
            done = cut_thousands(subject, span[0], span[1], done, lengths);
            if (source.cut == SplitPattern::thousands_and_end) {
                lengths.push_back(span[1] - done);
                done = span[1];
            }
        }
        from = span[1];
    }
    if (done < subject.size()) lengths.push_back(subject.size() - done);
}

Splitter::Splitter(std::span<const SplitPattern> patterns) {
    for (const SplitPattern& pattern : patterns) codes_.emplace_back(pattern);
}
Splitter::Splitter(Splitter&&) noexcept = default;
Splitter::~Splitter() = default;

void Splitter::split(std::string_view text, std::vector<size_t>& word_bytes) const {
    word_bytes.clear();
    if (text.empty()) return;
    std::vector<size_t> replaced_at;
    std::string copy;
    if (!utf8::is_valid(text)) {
        copy = readable_copy(text, replaced_at);
        text = copy;
    }
    const MatchData data(pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
    ATLAS_CHECK(data != nullptr, "out of memory");
    word_bytes.push_back(text.size());
    std::vector<size_t> finer;
    for (const Code& code : codes_) {
        finer.clear();
        size_t offset = 0;
        for (const size_t bytes : word_bytes) {
            code.cut(text.substr(offset, bytes), data.get(), finer);
            offset += bytes;
        }
        word_bytes.swap(finer);
    }
    if (replaced_at.empty()) return;
    // Back to the lengths in the caller's text: each U+FFFD of three bytes was one byte there.
    size_t end = 0;
    auto next = replaced_at.begin();
    for (size_t& bytes : word_bytes) {
        end += bytes;
        for (; next != replaced_at.end() && *next < end; ++next) bytes -= 2;
    }
}

}  // namespace atlas
