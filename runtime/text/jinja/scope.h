#pragma once
// The variables that one part of a template sees.

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

struct Scope {
    explicit Scope(std::shared_ptr<Scope> outer) : parent(std::move(outer)) {}

    const Value* find(std::string_view name) const {
        for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get())
            for (const auto& [key, value] : scope->variables)
                if (key == name) return &value;
        return nullptr;
    }
    void set(std::string_view name, Value value) {
        for (auto& [key, present] : variables)
            if (key == name) {
                present = std::move(value);
                return;
            }
        variables.emplace_back(name, std::move(value));
    }

    std::shared_ptr<Scope> parent;
    std::vector<std::pair<std::string_view, Value>> variables;  // names live in the tree or in the globals
    bool kept = false;  // a macro refers to it, so the interpreter holds it until the end
};

}  // namespace atlas::jinja
