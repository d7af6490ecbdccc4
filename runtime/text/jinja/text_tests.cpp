// Methods of texts that test what kind of characters they hold.
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/methods.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

// Whether the text is not empty and every character passes.
template <bool (*passes)(char32_t)>
Value all_characters(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("str", arguments, {});
    const std::string& text = self.text();
    interpreter.budget().step(text.size());
    for (size_t at = 0; at < text.size();) {
        const Unit unit = unit_at(text, at);
        if (!passes(unit.code_point)) return Value::boolean(false);
        at += unit.bytes;
    }
    return Value::boolean(!text.empty());
}

bool is_alphanumeric(char32_t c) { return is_alpha(c) || is_decimal(c); }
// Superscript and circled digits are digits without being decimals.
bool is_digit(char32_t c) {
    return is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 ||
           (c >= 0x2070 && c <= 0x2089 && c != 0x2071 && (c < 0x207A || c >= 0x2080) && c != 0x2072 && c != 0x2073) ||
           (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247C) || (c >= 0x2488 && c <= 0x2490);
}

// No cased character of the other case, and at least one of this.
template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
Value all_cased(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("str", arguments, {});
    const std::string& text = self.text();
    interpreter.budget().step(text.size());
    bool any = false;
    for (size_t at = 0; at < text.size();) {
        const Unit unit = unit_at(text, at);
        if (other(unit.code_point)) return Value::boolean(false);
        any = any || wanted(unit.code_point);
        at += unit.bytes;
    }
    return Value::boolean(any);
}

Value is_ascii(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("isascii", arguments, {});
    interpreter.budget().bytes_touched(self.text().size());
    for (const char c : self.text())
        if (static_cast<unsigned char>(c) >= 0x80) return Value::boolean(false);
    return Value::boolean(true);
}

Value is_identifier(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("isidentifier", arguments, {});
    const std::string& text = self.text();
    interpreter.budget().step(text.size());
    for (size_t at = 0; at < text.size();) {
        const Unit unit = unit_at(text, at);
        const bool good =
            is_alpha(unit.code_point) || unit.code_point == '_' || (at > 0 && is_decimal(unit.code_point));
        if (!good) return Value::boolean(false);
        at += unit.bytes;
    }
    return Value::boolean(!text.empty());
}

Value is_titled(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("istitle", arguments, {});
    const std::string& text = self.text();
    interpreter.budget().step(text.size());
    bool in_word = false, any = false;
    for (size_t at = 0; at < text.size();) {
        const Unit unit = unit_at(text, at);
        const bool upper = is_upper(unit.code_point), lower = is_lower(unit.code_point);
        if ((upper && in_word) || (lower && !in_word)) return Value::boolean(false);
        in_word = upper || lower;
        any = any || in_word;
        at += unit.bytes;
    }
    return Value::boolean(any);
}

constexpr Method kMethods[] = {{"isalnum", all_characters<is_alphanumeric>},
                               {"isalpha", all_characters<is_alpha>},
                               {"isascii", is_ascii},
                               {"isdecimal", all_characters<is_decimal>},
                               {"isdigit", all_characters<is_digit>},
                               {"isidentifier", is_identifier},
                               {"islower", all_cased<is_lower, is_upper>},
                               {"isnumeric", all_characters<is_digit>},
                               {"isspace", all_characters<is_space>},
                               {"istitle", is_titled},
                               {"isupper", all_cased<is_upper, is_lower>}};

}  // namespace

std::span<const Method> text_test_methods() { return kMethods; }

}  // namespace atlas::jinja
