#pragma once
// Filters: value | name(arguments).

#include <span>
#include <string_view>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

struct Filter {
    std::string_view name;
    Value (*run)(Interpreter& interpreter, const Value& value, const Arguments& arguments);
};

std::span<const Filter> text_filters();
std::span<const Filter> number_filters();
std::span<const Filter> sequence_filters();  // give sequences or choose from them
std::span<const Filter> choice_filters();    // map, select, reject, groupby ...

/// The value at a dotted path ("a.0.b", or an integer), as the parameter `attribute` of filters means it.
Value value_at_path(Interpreter& interpreter, const Value& value, const Value& path, const Value* fallback = nullptr);

}  // namespace atlas::jinja
