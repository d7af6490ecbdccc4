#pragma once
// The known name that a mistyped one probably meant.

#include <span>
#include <string>
#include <string_view>

namespace atlas::tools {

/// The name with the fewest typing mistakes (a letter added, missing, replaced, or two swapped), or "" when all are too
/// far off: more than a third of the letters.
std::string_view nearest_name(std::string_view typed, std::span<const std::string> names);

}  // namespace atlas::tools
