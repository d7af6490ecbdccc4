// Methods of dicts, lists, tuples and numbers.
#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/methods.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/parameters.h"

namespace atlas::jinja {
namespace {

Value dict_get(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("get", arguments, {"key", "default"}, 1);
    const Value* found = self.dict().find(interpreter.budget(), given[0]);
    return found != nullptr ? *found : given[1];
}

template <View::Part part>
Value dict_view(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("items", arguments, {});
    return make_view(interpreter.budget(), part, self);
}

Value copy(Interpreter&, const Value& self, const Arguments& arguments) {
    const Parameters given("copy", arguments, {});
    return self;  // values never change, so the same one will do
}

Value count(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("count", arguments, {"value"}, 1);
    int64_t n = 0;
    for (const Value& item : self.items()) n += equal(interpreter.budget(), item, given[0]) ? 1 : 0;
    return Value::integer(n);
}

Value index(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("index", arguments, {"value", "start", "stop"}, 1);
    const auto& items = self.items();
    const Value one = Value::integer(1);
    const SliceBounds bounds = slice_bounds(static_cast<int64_t>(items.size()), given[1], given[2], one);
    for (int64_t i = bounds.start; i < bounds.start + bounds.count; ++i)
        if (equal(interpreter.budget(), items[static_cast<size_t>(i)], given[0])) return Value::integer(i);
    raise("index(): the value is not in the list");
}

Value is_integer(Interpreter&, const Value& self, const Arguments& arguments) {
    const Parameters given("is_integer", arguments, {});
    return Value::boolean(std::isfinite(self.as_real()) && self.as_real() == std::floor(self.as_real()));
}

constexpr Method kDictMethods[] = {{"copy", copy},
                                   {"get", dict_get},
                                   {"items", dict_view<View::Part::items>},
                                   {"keys", dict_view<View::Part::keys>},
                                   {"values", dict_view<View::Part::values>}};
constexpr Method kListMethods[] = {{"copy", copy}, {"count", count}, {"index", index}};
constexpr Method kTupleMethods[] = {{"count", count}, {"index", index}};
constexpr Method kRealMethods[] = {{"is_integer", is_integer}};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListChanges[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};

struct BoundMethod : Callable {
    BoundMethod(Charge bytes, Value of, const Method& what)
        : Callable(std::move(bytes), of.depth() + 1), self(std::move(of)), method(what) {}
    Value call(Interpreter& interpreter, Arguments arguments) const override {
        return method.run(interpreter, self, arguments);
    }
    std::string describe() const override {
        return fmt::format("<built-in method {} of {} object>", method.name, type_name(self));
    }
    Value self;
    const Method& method;
};

struct TypeMethods {
    std::array<std::span<const Method>, 2> methods;
    std::span<const std::string_view> changes;
};

TypeMethods methods_of(const Value& value) {
    switch (value.kind()) {
        case Kind::string:
            return {{text_methods(), text_test_methods()}, {}};
        case Kind::dict:
            return {{kDictMethods, {}}, kDictChanges};
        case Kind::list:
            return {{kListMethods, {}}, kListChanges};
        case Kind::tuple:
            return {{kTupleMethods, {}}, {}};
        case Kind::real:
            return {{kRealMethods, {}}, {}};
        default:
            return {};
    }
}

}  // namespace

bool find_method(Budget& budget, const Value& value, std::string_view name, Value& out) {
    const TypeMethods known = methods_of(value);
    if (std::ranges::find(known.changes, name) != known.changes.end()) {
        out = make_forbidden(fmt::format("'{}' would change a {}, which templates may not", name, type_name(value)));
        return true;
    }
    for (const auto& table : known.methods) {
        const auto found = std::ranges::find(table, name, &Method::name);
        if (found == table.end()) continue;
        if (value.depth() >= budget.limits().max_depth)
            raise_limit("values are nested deeper than {} levels", budget.limits().max_depth);
        out = Value(Kind::callable, std::make_shared<BoundMethod>(budget.charge(sizeof(BoundMethod)), value, *found));
        return true;
    }
    return false;
}

}  // namespace atlas::jinja
