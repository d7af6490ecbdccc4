#pragma once
// Operators, attributes and items of values. All throw TemplateError for types that do not fit.

#include <optional>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

/// Arithmetic as Python does it: "+", "-", "*", "/", "//", "%", "**".
Value arithmetic(Budget& budget, std::string_view symbol, const Value& left, const Value& right);
Value negate(const Value& value);
Value plus(const Value& value);

/// value.name as jinja2 resolves it: attribute first, then item. Undefined when there is neither.
Value get_attribute(Budget& budget, const Value& value, std::string_view name);
/// value[key] as jinja2 resolves it: item first, then attribute. Undefined when there is neither.
Value get_item(Budget& budget, const Value& value, const Value& key);
/// value[start:stop:step]; absent parts are none.
Value get_slice(Budget& budget, const Value& value, const Value& start, const Value& stop, const Value& step);

/// Where a slice of a sequence of `size` begins and how many steps it makes.
struct SliceBounds {
    int64_t start = 0, step = 1, count = 0;
};
SliceBounds slice_bounds(int64_t size, const Value& start, const Value& stop, const Value& step);

/// The text with & < > " ' replaced, unless it is marked safe.
std::string escaped(Budget& budget, const Value& value);

}  // namespace atlas::jinja
