#include "tools/nearest_name.h"

#include <algorithm>
#include <cstdint>

#include "runtime/base/edit_distance.h"

namespace atlas::tools {

std::string_view nearest_name(std::string_view typed, std::span<const std::string> names) {
    constexpr size_t kLongestName = 64;  // longer words are not mistyped commands
    if (typed.size() > kLongestName) return "";
    std::string_view best;
    size_t fewest = SIZE_MAX;
    for (const std::string& name : names) {
        const size_t mistakes = edit_distance(typed, name);
        const size_t allowed = std::max<size_t>(1, std::max(typed.size(), name.size()) / 3);
        const bool begins_it = typed.size() >= 3 && std::string_view(name).starts_with(typed);
        if ((mistakes <= allowed || begins_it) && mistakes < fewest) {
            fewest = mistakes;
            best = name;
        }
    }
    return best;
}

}  // namespace atlas::tools
