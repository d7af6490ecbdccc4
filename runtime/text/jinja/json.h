#pragma once
// Values from JSON, and JSON from values.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

/// Keeps the order of objects. Throws for integers beyond 64 bits and for nesting beyond the limit.
Value from_json(Budget& budget, const nlohmann::ordered_json& json);

struct JsonStyle {
    bool ascii_only = false;
    bool sort_keys = false;
    std::optional<std::string> indent;  // the text of one level; nothing = all on one line
    std::string item_separator = ", ";
    std::string key_separator = ": ";
};

/// json.dumps. Throws for values that JSON does not have.
std::string to_json(Budget& budget, const Value& value, const JsonStyle& style);

}  // namespace atlas::jinja
