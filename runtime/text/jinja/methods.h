#pragma once
// Methods of texts, dicts, lists and numbers: the ones that change nothing.

#include <span>
#include <string_view>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

struct Method {
    std::string_view name;
    Value (*run)(Interpreter& interpreter, const Value& self, const Arguments& arguments);
};

/// value.name as something to call; false when the type has no such method. Methods that would change the value
/// are found, but undefined: calling them fails.
bool find_method(Budget& budget, const Value& value, std::string_view name, Value& out);

std::span<const Method> text_methods();
std::span<const Method> text_test_methods();  // isdigit and its kind

}  // namespace atlas::jinja
