#include "runtime/text/jinja/search.h"

#include <algorithm>
#include <cstring>

namespace atlas::jinja {

size_t find_text(Budget& budget, std::string_view text, std::string_view needle, size_t from) {
    if (from > text.size() || needle.size() > text.size() - from) return std::string_view::npos;
    if (needle.empty()) return from;
    budget.step();
    const size_t last = text.size() - needle.size();
    size_t charged = from;
    for (size_t at = from; at <= last; ++at) {
        const void* hit = std::memchr(text.data() + at, needle[0], last - at + 1);
        if (hit == nullptr) {
            budget.bytes_touched(text.size() - charged);
            return std::string_view::npos;
        }
        at = static_cast<size_t>(static_cast<const char*>(hit) - text.data());
        budget.bytes_touched(at - charged);
        charged = at;
        if (std::memcmp(hit, needle.data(), needle.size()) == 0) return at;
        if (needle.size() > 32) budget.bytes_touched(needle.size());
    }
    return std::string_view::npos;
}

size_t find_last_text(Budget& budget, std::string_view text, std::string_view needle, size_t from) {
    if (needle.size() > text.size()) return std::string_view::npos;
    for (size_t at = std::min(from, text.size() - needle.size()) + 1; at-- > 0;) {
        budget.bytes_touched(needle.size());
        if (text.substr(at, needle.size()) == needle) return at;
    }
    return std::string_view::npos;
}

}  // namespace atlas::jinja
