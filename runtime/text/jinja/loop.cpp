#include "runtime/text/jinja/loop.h"

#include "runtime/text/jinja/ast.h"
#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/interpreter.h"

namespace atlas::jinja {
namespace {

// loop.cycle and loop.changed: functions bound to their loop.
struct LoopMethod : Callable {
    LoopMethod(Charge bytes, Value of, bool is_cycle)
        : Callable(std::move(bytes), of.depth() + 1), self(std::move(of)), cycle(is_cycle) {}

    Value call(Interpreter& interpreter, Arguments arguments) const override {
        const auto& loop = self.object<Loop>();
        if (!arguments.named.empty()) raise("loop.cycle and loop.changed take no named arguments");
        if (!cycle) return Value::boolean(loop.changed(interpreter, arguments.positional));
        if (arguments.positional.empty()) raise("loop.cycle needs something to choose from");
        return arguments.positional[loop.index0 % arguments.positional.size()];
    }
    std::string describe() const override {
        return cycle ? "<bound method LoopContext.cycle>" : "<bound method LoopContext.changed>";
    }

    Value self;
    bool cycle;
};

}  // namespace

bool Loop::changed(Interpreter& interpreter, const std::vector<Value>& values) const {
    bool same = last_changed != nullptr && last_changed->size() == values.size();
    for (size_t i = 0; same && i < values.size(); ++i)
        same = equal(interpreter.budget(), (*last_changed)[i], values[i]);
    if (last_changed == nullptr) last_changed = interpreter.make_kept_values();
    *last_changed = values;
    return !same;
}

bool Loop::attribute(Budget& budget, std::string_view name, const Value& self, Value& out) const {
    const auto size = static_cast<int64_t>(items.size()), at = static_cast<int64_t>(index0);
    const auto number = [&](int64_t value) { out = Value::integer(value); };
    if (name == "index") {
        number(at + 1);
    } else if (name == "index0") {
        number(at);
    } else if (name == "revindex") {
        number(size - at);
    } else if (name == "revindex0") {
        number(size - at - 1);
    } else if (name == "length") {
        number(size);
    } else if (name == "depth") {
        number(depth0 + 1);
    } else if (name == "depth0") {
        number(depth0);
    } else if (name == "first") {
        out = Value::boolean(at == 0);
    } else if (name == "last") {
        out = Value::boolean(at + 1 == size);
    } else if (name == "previtem") {
        out = at == 0 ? make_undefined("there is no item before the first") : items[index0 - 1];
    } else if (name == "nextitem") {
        out = at + 1 == size ? make_undefined("there is no item after the last") : items[index0 + 1];
    } else if (name == "cycle" || name == "changed") {
        if (depth >= budget.limits().max_depth)
            raise_limit("values are nested deeper than {} levels", budget.limits().max_depth);
        out = Value(Kind::callable,
                    std::make_shared<LoopMethod>(budget.charge(sizeof(LoopMethod)), self, name == "cycle"));
    } else {
        return false;
    }
    return true;
}

Value Loop::call(Interpreter& interpreter, Arguments arguments) const {
    if (scope == nullptr) raise("only a loop marked 'recursive' can be called");
    if (arguments.positional.size() != 1 || !arguments.named.empty()) raise("loop() takes one argument");
    std::vector<Value> children = iterate(interpreter.budget(), arguments.positional[0]);
    return make_string(interpreter.budget(),
                       interpreter.render_loop(statement, scope, std::move(children), depth0 + 1));
}

std::string Loop::describe() const { return fmt::format("<LoopContext {}/{}>", index0 + 1, items.size()); }

}  // namespace atlas::jinja
