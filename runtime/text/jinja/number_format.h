#pragma once
// Numbers in a given form: what Python's "%08.3f" and "{:>10,}" share.

#include <cstdint>
#include <string>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

struct NumberStyle {
    std::string fill = " ";
    char align = '\0';       // '<' '>' '^' '=' (padding after the sign), or '\0' for the type's own
    char sign = '-';         // '+', ' ' or '-'
    bool alternate = false;  // 0x and its kind
    int64_t width = 0;
    char grouping = '\0';  // ',' or '_'
    int64_t precision = -1;
    char type = '\0';  // 'd' 'x' 'f' 'e' 'g' 's' ...
};

/// The value laid out. Throws for types that do not fit and for widths beyond the limits.
std::string styled(Budget& budget, const Value& value, const NumberStyle& style);
/// Reads Python's format specification ("*^10", "+,.2f") and lays out the value.
std::string styled(Budget& budget, const Value& value, std::string_view specification);

}  // namespace atlas::jinja
