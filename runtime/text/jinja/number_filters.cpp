// Filters that give numbers, and those that take any value.
#include <charconv>
#include <cmath>

#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/search.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

// Python's numbers may hold single underscores between digits.
bool without_underscores(std::string_view text, std::string& out) {
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '_') {
            out += text[i];
            continue;
        }
        const auto alnum = [&](size_t at) {
            return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
        };
        if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) return false;
    }
    return true;
}

bool parse_integer(std::string_view text, int base, int64_t& out) {
    std::string digits;
    if (!without_underscores(strip_left(strip_right(text)), digits)) return false;
    std::string_view rest = digits;
    const bool negative = rest.starts_with("-");
    if (negative || rest.starts_with("+")) rest.remove_prefix(1);
    if (rest.size() > 2 && rest[0] == '0') {
        const int c = rest[1] | 0x20;
        if ((base == 16 && c == 'x') || (base == 8 && c == 'o') || (base == 2 && c == 'b')) rest.remove_prefix(2);
    }
    if (rest.empty() || rest[0] == '-' || rest[0] == '+') return false;
    const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), out, base);
    if (result.ec == std::errc::result_out_of_range) raise_limit("integers beyond 64 bits are not supported");
    if (negative) out = -out;
    return result.ec == std::errc() && result.ptr == rest.data() + rest.size();
}

bool parse_real(std::string_view text, double& out) {
    std::string digits;
    if (!without_underscores(strip_left(strip_right(text)), digits)) return false;
    std::string_view rest = digits;
    if (rest.starts_with("+")) rest.remove_prefix(1);
    // Only decimal digits, "inf" and "nan": no hexadecimal, which from_chars takes in another mode only.
    const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), out);
    if (result.ptr != rest.data() + rest.size() || rest.empty() || rest.find('(') != std::string_view::npos)
        return false;
    if (result.ec == std::errc::result_out_of_range) out = std::strtod(std::string(rest).c_str(), nullptr);
    return true;
}

Value to_integer(Interpreter&, const Value& value, const Arguments& arguments) {
    const Parameters given("int", arguments, {"default", "base"});
    const Value fallback = given.has(0) ? given[0] : Value::integer(0);
    refuse_undefined(value);
    int64_t number = 0;
    double real = 0;
    if (value.is_integral()) return Value::integer(value.as_integer());
    if (value.is_string()) {
        const int64_t base = given.integer(1, 10);
        if (base < 2 || base > 36) return fallback;
        if (parse_integer(value.text(), static_cast<int>(base), number)) return Value::integer(number);
        if (!parse_real(value.text(), real)) return fallback;
    } else if (value.is(Kind::real)) {
        real = value.as_real();
    } else {
        return fallback;
    }
    if (std::isnan(real)) return fallback;
    if (std::isinf(real)) raise("int(): infinity is no integer");
    if (std::abs(real) >= 9.2e18) raise_limit("integers beyond 64 bits are not supported");
    return Value::integer(static_cast<int64_t>(real));
}

Value to_real(Interpreter&, const Value& value, const Arguments& arguments) {
    const Parameters given("float", arguments, {"default"});
    const Value fallback = given.has(0) ? given[0] : Value::real(0);
    refuse_undefined(value);
    if (value.is_number()) return Value::real(value.as_real());
    double real = 0;
    return value.is_string() && parse_real(value.text(), real) ? Value::real(real) : fallback;
}

Value absolute(Interpreter&, const Value& value, const Arguments& arguments) {
    const Parameters given("abs", arguments, {});
    refuse_undefined(value);
    if (!value.is_number()) raise("abs() needs a number, found {}", type_name(value));
    if (value.is(Kind::real)) return Value::real(std::fabs(value.as_real()));
    return value.as_integer() < 0 ? negate(value) : Value::integer(value.as_integer());
}

// Rounds the exact binary value, halves to even, as Python's round(): printing does just that.
double rounded(double value, int64_t digits) {
    if (!std::isfinite(value) || digits > 323) return value;
    if (digits >= 0) return std::strtod(fmt::format("{:.{}f}", value, static_cast<int>(digits)).c_str(), nullptr);
    if (digits < -308) return 0;
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(value / scale) * scale;
}

Value round(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("round", arguments, {"precision", "method"});
    const std::string method = given.has(1) ? given.text(1) : "common";
    const int64_t digits = given.integer(0, 0);
    refuse_undefined(value);
    if (!value.is_number()) raise("round() needs a number, found {}", type_name(value));
    if (method != "common" && method != "ceil" && method != "floor")
        raise("round(): the method is common, ceil or floor, found '{}'", method);
    if (method == "common") {
        if (value.is(Kind::real)) return Value::real(rounded(value.as_real(), digits));
        if (digits >= 0) return Value::integer(value.as_integer());
        if (digits < -18) return Value::integer(0);
        const int64_t scale =
            arithmetic(interpreter.budget(), "**", Value::integer(10), Value::integer(-digits)).as_integer();
        const int64_t rest = ((value.as_integer() % scale) + scale) % scale, low = value.as_integer() - rest;
        const bool up = rest > scale / 2 || (rest == scale / 2 && (low / scale) % 2 != 0);
        return Value::integer(low + (up ? scale : 0));
    }
    const Value scale = arithmetic(interpreter.budget(), "**", Value::integer(10), Value::integer(digits));
    const double scaled = value.as_real() * scale.as_real();
    const double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
    return Value::real(whole / scale.as_real());
}

Value sum(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("sum", arguments, {"attribute", "start"});
    Value total = given.has(1) ? given[1] : Value::integer(0);
    if (total.is_string()) raise("sum() does not add texts; join() does");
    for (const Value& item : iterate(interpreter.budget(), value))
        total = arithmetic(interpreter.budget(), "+", total,
                           given[0].is_none() ? item : value_at_path(interpreter, item, given[0]));
    return total;
}

Value count(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("length", arguments, {});
    return Value::integer(static_cast<int64_t>(length(interpreter.budget(), value)));
}

Value word_count(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("wordcount", arguments, {});
    const std::string text = text_of(interpreter.budget(), value);
    interpreter.budget().step(text.size());
    int64_t words = 0;
    bool in_word = false;
    for (size_t at = 0; at < text.size();) {
        const Unit unit = unit_at(text, at);
        const bool letter = is_alpha(unit.code_point) || is_decimal(unit.code_point) || unit.code_point == '_';
        words += letter && !in_word ? 1 : 0;
        in_word = letter;
        at += unit.bytes;
    }
    return Value::integer(words);
}

Value fallback(Interpreter&, const Value& value, const Arguments& arguments) {
    const Parameters given("default", arguments, {"default_value", "boolean"});
    const bool missing = value.is_undefined() || (given.flag(1, false) && !truth(value));
    if (!missing) return value;
    return given.has(0) ? given[0] : Value(Kind::string, std::make_shared<Text>(Charge{}, "", false));
}

Value attribute(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("attr", arguments, {"name"}, 1);
    refuse_undefined(value);
    const std::string& name = given.text(0);
    // Attributes only, no items: of a dict these are its methods.
    const Value found = get_attribute(interpreter.budget(), value, name);
    const bool item = value.is(Kind::dict) && !found.is(Kind::callable);
    return item ? make_undefined(fmt::format("a value of type {} has no attribute '{}'", type_name(value), name))
                : found;
}

constexpr Filter kFilters[] = {{"abs", absolute},     {"attr", attribute}, {"count", count},         {"d", fallback},
                               {"default", fallback}, {"float", to_real},  {"int", to_integer},      {"length", count},
                               {"round", round},      {"sum", sum},        {"wordcount", word_count}};

}  // namespace

std::span<const Filter> number_filters() { return kFilters; }

}  // namespace atlas::jinja
