#include "tools/nearest_name.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace atlas::tools {
namespace {

// Optimal string alignment distance: the textbook table, a row per letter of `a`.
size_t mistakes_between(std::string_view a, std::string_view b) {
    std::vector<std::vector<size_t>> table(a.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 0; i <= a.size(); ++i) table[i][0] = i;
    for (size_t j = 0; j <= b.size(); ++j) table[0][j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t other = table[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            table[i][j] = std::min({table[i - 1][j] + 1, table[i][j - 1] + 1, other});
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
        }
    }
    return table[a.size()][b.size()];
}

}  // namespace

std::string_view nearest_name(std::string_view typed, std::span<const std::string> names) {
    constexpr size_t kLongestName = 64;  // nobody mistypes a command by that much
    if (typed.size() > kLongestName) return "";
    std::string_view best;
    size_t fewest = SIZE_MAX;
    for (const std::string& name : names) {
        const size_t mistakes = mistakes_between(typed, name);
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
