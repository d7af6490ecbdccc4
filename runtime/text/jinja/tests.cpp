// Tests: value is name(arguments).
#include <algorithm>
#include <span>

#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

struct Test {
    std::string_view name;
    size_t arguments;  // how many it needs
    bool (*passes)(Interpreter& interpreter, const Value& value, const std::vector<Value>& arguments);
};

using Values = std::vector<Value>;

template <Kind kind>
bool has_kind(Interpreter&, const Value& value, const Values&) {
    return value.is(kind);
}

template <bool wanted>
bool is_boolean(Interpreter&, const Value& value, const Values&) {
    return value.is(Kind::boolean) && (value.as_integer() != 0) == wanted;
}

bool is_equal(Interpreter& interpreter, const Value& value, const Values& others) {
    return equal(interpreter.budget(), value, others[0]);
}
bool is_unequal(Interpreter& interpreter, const Value& value, const Values& others) {
    return !equal(interpreter.budget(), value, others[0]);
}
bool is_less(Interpreter& interpreter, const Value& value, const Values& others) {
    return ordered(value, others[0]) && order(interpreter.budget(), value, others[0], "<") < 0;
}
bool is_less_or_equal(Interpreter& interpreter, const Value& value, const Values& others) {
    return ordered(value, others[0]) && order(interpreter.budget(), value, others[0], "<=") <= 0;
}
bool is_greater(Interpreter& interpreter, const Value& value, const Values& others) {
    return ordered(value, others[0]) && order(interpreter.budget(), value, others[0], ">") > 0;
}
bool is_greater_or_equal(Interpreter& interpreter, const Value& value, const Values& others) {
    return ordered(value, others[0]) && order(interpreter.budget(), value, others[0], ">=") >= 0;
}

bool divides(Interpreter& interpreter, const Value& value, const Value& by, int64_t rest) {
    return equal(interpreter.budget(), arithmetic(interpreter.budget(), "%", value, by), Value::integer(rest));
}

bool is_same(Interpreter& interpreter, const Value& value, const Values& others) {
    if (value.kind() != others[0].kind()) return false;
    const bool plain = value.shared() == nullptr || value.is_string();
    return plain ? equal(interpreter.budget(), value, others[0]) : value.shared() == others[0].shared();
}

bool has_filter(Interpreter&, const Value& value, const Values&) {
    if (!value.is_string()) return false;
    for (const auto& table : {text_filters(), number_filters(), sequence_filters(), choice_filters()})
        if (std::ranges::find(table, value.text(), &Filter::name) != table.end()) return true;
    return false;
}

template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
bool is_cased(Interpreter& interpreter, const Value& value, const Values&) {
    const std::string text = text_of(interpreter.budget(), value);
    interpreter.budget().step(text.size());
    bool any = false;
    for (size_t at = 0; at < text.size();) {
        const Unit unit = unit_at(text, at);
        if (other(unit.code_point)) return false;
        any = any || wanted(unit.code_point);
        at += unit.bytes;
    }
    return any;
}

constexpr Test kTests[] = {
    {"defined", 0, [](Interpreter&, const Value& value, const Values&) { return !value.is_undefined(); }},
    {"undefined", 0, has_kind<Kind::undefined>},
    {"none", 0, has_kind<Kind::none>},
    {"string", 0, has_kind<Kind::string>},
    {"mapping", 0, has_kind<Kind::dict>},
    {"integer", 0, has_kind<Kind::integer>},
    {"float", 0, has_kind<Kind::real>},
    {"boolean", 0, has_kind<Kind::boolean>},
    {"true", 0, is_boolean<true>},
    {"false", 0, is_boolean<false>},
    {"number", 0, [](Interpreter&, const Value& value, const Values&) { return value.is_number(); }},
    {"sequence", 0, [](Interpreter&, const Value& value, const Values&) { return is_sequence(value); }},
    {"iterable", 0, [](Interpreter&, const Value& value, const Values&) { return is_iterable(value); }},
    {"callable", 0,
     [](Interpreter&, const Value& value, const Values&) {
         return value.is(Kind::callable) || value.is(Kind::loop) || value.is_undefined();
     }},
    {"escaped", 0, [](Interpreter&, const Value& value, const Values&) { return value.is_string() && value.safe(); }},
    {"odd", 0,
     [](Interpreter& interpreter, const Value& value, const Values&) {
         return divides(interpreter, value, Value::integer(2), 1);
     }},
    {"even", 0,
     [](Interpreter& interpreter, const Value& value, const Values&) {
         return divides(interpreter, value, Value::integer(2), 0);
     }},
    {"divisibleby", 1,
     [](Interpreter& interpreter, const Value& value, const Values& by) {
         return divides(interpreter, value, by[0], 0);
     }},
    {"in", 1,
     [](Interpreter& interpreter, const Value& value, const Values& in) {
         return contains(interpreter.budget(), in[0], value);
     }},
    {"sameas", 1, is_same},
    {"lower", 0, is_cased<is_lower, is_upper>},
    {"upper", 0, is_cased<is_upper, is_lower>},
    {"filter", 0, has_filter},
    {"eq", 1, is_equal},
    {"equalto", 1, is_equal},
    {"==", 1, is_equal},
    {"ne", 1, is_unequal},
    {"!=", 1, is_unequal},
    {"lt", 1, is_less},
    {"lessthan", 1, is_less},
    {"<", 1, is_less},
    {"le", 1, is_less_or_equal},
    {"<=", 1, is_less_or_equal},
    {"gt", 1, is_greater},
    {"greaterthan", 1, is_greater},
    {">", 1, is_greater},
    {"ge", 1, is_greater_or_equal},
    {">=", 1, is_greater_or_equal},
};

}  // namespace

bool Interpreter::test(std::string_view name, const Value& value, const Arguments& arguments) {
    budget_.step();
    const auto found = std::ranges::find(kTests, name, &Test::name);
    if (found == std::end(kTests)) raise("there is no test named '{}'", name);
    if (arguments.positional.size() != found->arguments || !arguments.named.empty())
        raise("the test '{}' takes {} arguments, found {}", name, found->arguments,
              arguments.positional.size() + arguments.named.size());
    return found->passes(*this, value, arguments.positional);
}

}  // namespace atlas::jinja
