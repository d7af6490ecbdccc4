#pragma once
// Dictionaries: pairs in the order they were written, found by key.

#include <unordered_map>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

struct Dict : Object {
    Dict(Charge bytes, int nesting) : Object(std::move(bytes), nesting) {}

    /// Nothing when the key is absent. Throws when the key cannot be hashed (lists, dicts).
    const Value* find(Budget& budget, const Value& key) const;
    const Value* find(std::string_view key) const;

    std::vector<std::pair<Value, Value>> entries;
    std::unordered_multimap<size_t, uint32_t> index;  // hash of the key -> entry
};

/// Later pairs replace the value of earlier ones with an equal key.
Value make_dict(Budget& budget, std::vector<std::pair<Value, Value>> entries);

}  // namespace atlas::jinja
