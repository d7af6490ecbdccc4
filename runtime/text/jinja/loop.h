#pragma once
// The variable `loop` inside a for loop.

#include <memory>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

struct Statement;
struct Scope;

struct Loop : Callable {
    Loop(Charge bytes, int nesting, std::vector<Value> values, const Statement& statement_of,
         std::shared_ptr<Scope> scope_of, int level)
        : Callable(std::move(bytes), nesting),
          items(std::move(values)),
          statement(statement_of),
          scope(std::move(scope_of)),
          depth0(level) {}

    /// loop(children): renders the same loop one level deeper; only for loops marked `recursive`.
    Value call(Interpreter& interpreter, Arguments arguments) const override;
    std::string describe() const override;
    /// loop.index, loop.first, ...; nothing when there is no such attribute.
    bool attribute(Budget& budget, std::string_view name, const Value& self, Value& out) const override;
    bool changed(Interpreter& interpreter, const std::vector<Value>& values) const;

    std::vector<Value> items;
    const Statement& statement;
    std::shared_ptr<Scope>
        scope;  // where the loop was written; null unless it is recursive, so that loops never hold each other
    int depth0;
    mutable size_t index0 = 0;
    mutable std::shared_ptr<std::vector<Value>> last_changed;  // what loop.changed saw last; kept by the interpreter
};

}  // namespace atlas::jinja
