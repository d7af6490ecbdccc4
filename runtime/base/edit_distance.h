#pragma once
// How far apart two names are, for suggesting what a mistyped one meant.

#include <cstddef>
#include <string_view>

namespace atlas {

/// The fewest typing mistakes from one to the other: a letter more, less, other, or two neighbours swapped. Time and
/// memory: the product of the lengths. Source: optimal string alignment distance, the textbook table.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace atlas
