#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/printf_format.h"
#include "runtime/text/jinja/text_of.h"

namespace atlas::jinja {
namespace {

[[noreturn]] void wrong_types(std::string_view symbol, const Value& left, const Value& right) {
    refuse_undefined(left);
    refuse_undefined(right);
    raise("'{}' is not defined for {} and {}", symbol, type_name(left), type_name(right));
}

[[noreturn]] void too_large(std::string_view symbol) { raise_limit("the result of '{}' does not fit 64 bits", symbol); }

// How Python rounds: towards minus infinity.
int64_t floor_divide(int64_t a, int64_t b) { return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0); }
int64_t floor_modulo(int64_t a, int64_t b) {
    const int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double real_modulo(double a, double b) {
    const double rest = std::fmod(a, b);
    if (rest == 0) return std::copysign(0.0, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}

Value integer_power(int64_t base, int64_t exponent) {
    if (exponent < 0) {
        if (base == 0) raise("zero cannot be raised to a negative power");
        return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
    }
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) too_large("**");
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) too_large("**");
    }
    return Value::integer(result);
}

Value integers(std::string_view symbol, int64_t a, int64_t b) {
    int64_t result = 0;
    bool overflow = false;
    if (symbol == "+") {
        overflow = __builtin_add_overflow(a, b, &result);
    } else if (symbol == "-") {
        overflow = __builtin_sub_overflow(a, b, &result);
    } else if (symbol == "*") {
        overflow = __builtin_mul_overflow(a, b, &result);
    } else if (symbol == "**") {
        return integer_power(a, b);
    } else {
        if (b == 0) raise("division by zero");
        if (symbol == "/") return Value::real(static_cast<double>(a) / static_cast<double>(b));
        // The one quotient that does not fit; as a remainder it is 0.
        if (b == -1) {
            if (symbol == "%") return Value::integer(0);
            overflow = __builtin_sub_overflow(int64_t{0}, a, &result);
        } else {
            result = symbol == "//" ? floor_divide(a, b) : floor_modulo(a, b);
        }
    }
    if (overflow) too_large(symbol);
    return Value::integer(result);
}

Value reals(std::string_view symbol, double a, double b) {
    if (symbol == "+") return Value::real(a + b);
    if (symbol == "-") return Value::real(a - b);
    if (symbol == "*") return Value::real(a * b);
    if (symbol == "**") {
        if (a == 0 && b < 0) raise("zero cannot be raised to a negative power");
        if (a < 0 && std::isfinite(b) && b != std::floor(b))
            raise("a negative number to a fractional power is complex");
        const double result = std::pow(a, b);
        if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) raise("the result of '**' is out of range");
        return Value::real(result);
    }
    if (b == 0) raise("division by zero");
    if (symbol == "/") return Value::real(a / b);
    const double rest = real_modulo(a, b);
    if (symbol == "%") return Value::real(rest);
    const double quotient = (a - rest) / b;
    const double floored = std::floor(quotient);
    return Value::real(quotient - floored > 0.5 ? floored + 1 : floored);
}

Value repeat(Budget& budget, const Value& value, int64_t count) {
    const auto times = static_cast<uint64_t>(std::max<int64_t>(count, 0));
    if (value.is_string()) {
        const std::string& text = value.text();
        if (text.empty() || times == 0) return make_string(budget, {}, value.safe());
        if (times > budget.limits().max_output_bytes / text.size())
            budget.string_size(std::numeric_limits<size_t>::max());
        std::string result;
        result.reserve(text.size() * times);
        for (uint64_t i = 0; i < times; ++i) result += text;
        return make_string(budget, std::move(result), value.safe());
    }
    const auto& items = value.items();
    std::vector<Value> result;
    if (!items.empty() && times > 0) {
        if (times > budget.limits().max_steps / items.size())
            raise_limit("a list of {} times {} items is too long", times, items.size());
        budget.step(times * items.size());
        // Reserved memory is charged before it is taken.
        const Charge room = budget.charge(times * items.size() * sizeof(Value));
        result.reserve(times * items.size());
        for (uint64_t i = 0; i < times; ++i) result.insert(result.end(), items.begin(), items.end());
    }
    return value.is(Kind::list) ? make_list(budget, std::move(result)) : make_tuple(budget, std::move(result));
}

bool repeatable(const Value& value) { return value.is_string() || value.is(Kind::list) || value.is(Kind::tuple); }

Value add(Budget& budget, const Value& left, const Value& right) {
    if (left.is_string() && right.is_string()) {
        budget.string_size(left.text().size() + right.text().size());
        if (left.safe() || right.safe())
            return make_string(budget, escaped(budget, left) + escaped(budget, right), true);
        return make_string(budget, left.text() + right.text());
    }
    if (left.kind() == right.kind() && (left.is(Kind::list) || left.is(Kind::tuple))) {
        budget.step(left.items().size() + right.items().size());
        std::vector<Value> items;
        items.reserve(left.items().size() + right.items().size());
        items.insert(items.end(), left.items().begin(), left.items().end());
        items.insert(items.end(), right.items().begin(), right.items().end());
        return left.is(Kind::list) ? make_list(budget, std::move(items)) : make_tuple(budget, std::move(items));
    }
    wrong_types("+", left, right);
}

}  // namespace

Value arithmetic(Budget& budget, std::string_view symbol, const Value& left, const Value& right) {
    budget.step();
    if (left.is_integral() && right.is_integral()) return integers(symbol, left.as_integer(), right.as_integer());
    if (left.is_number() && right.is_number()) return reals(symbol, left.as_real(), right.as_real());
    if (symbol == "+") return add(budget, left, right);
    if (symbol == "*" && repeatable(left) && right.is_integral()) return repeat(budget, left, right.as_integer());
    if (symbol == "*" && repeatable(right) && left.is_integral()) return repeat(budget, right, left.as_integer());
    if (symbol == "%" && left.is_string())
        return make_string(budget, printf_format(budget, left.text(), right), left.safe());
    wrong_types(symbol, left, right);
}

Value negate(const Value& value) {
    if (value.is(Kind::real)) return Value::real(-value.as_real());
    refuse_undefined(value);
    if (!value.is_integral()) raise("'-' is not defined for {}", type_name(value));
    if (value.as_integer() == std::numeric_limits<int64_t>::min()) too_large("-");
    return Value::integer(-value.as_integer());
}

Value plus(const Value& value) {
    refuse_undefined(value);
    if (!value.is_number()) raise("'+' is not defined for {}", type_name(value));
    return value.is(Kind::boolean) ? Value::integer(value.as_integer()) : value;
}

}  // namespace atlas::jinja
