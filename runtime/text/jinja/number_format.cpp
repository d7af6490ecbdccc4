#include "runtime/text/jinja/number_format.h"

#include <algorithm>
#include <cmath>

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/text_edit.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

constexpr int64_t kMostPrecision = 1000;  // digits; a template that asks for more is hostile

std::string grouped(std::string digits, char separator, size_t every) {
    for (size_t at = digits.size(); at > every;) {
        at -= every;
        digits.insert(at, 1, separator);
    }
    return digits;
}

// Digits of |value| without sign, in the base of the type.
std::string integer_digits(int64_t value, const NumberStyle& style) {
    const uint64_t size = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    const size_t every = style.grouping == ',' || style.type == 'd' || style.type == '\0' ? 3 : 4;
    std::string digits;
    switch (style.type) {
        case 'x':
            digits = fmt::format("{:x}", size);
            break;
        case 'X':
            digits = fmt::format("{:X}", size);
            break;
        case 'o':
            digits = fmt::format("{:o}", size);
            break;
        case 'b':
            digits = fmt::format("{:b}", size);
            break;
        default:
            digits = fmt::format("{}", size);
    }
    if (style.grouping != '\0') digits = grouped(digits, style.grouping, every);
    if (style.alternate && (style.type == 'x' || style.type == 'X' || style.type == 'o' || style.type == 'b'))
        digits = std::string("0") + style.type + digits;
    return digits;
}

std::string real_digits(double value, const NumberStyle& style) {
    const double size = std::fabs(value);
    const auto precision = static_cast<int>(style.precision < 0 ? 6 : style.precision);
    std::string digits;
    switch (style.type) {
        case 'e':
            digits = fmt::format("{:.{}e}", size, precision);
            break;
        case 'E':
            digits = fmt::format("{:.{}E}", size, precision);
            break;
        case 'f':
            digits = fmt::format("{:.{}f}", size, precision);
            break;
        case 'F':
            digits = fmt::format("{:.{}F}", size, precision);
            break;
        case 'g':
            digits = fmt::format("{:.{}g}", size, std::max(precision, 1));
            break;
        case 'G':
            digits = fmt::format("{:.{}G}", size, std::max(precision, 1));
            break;
        case '%':
            digits = fmt::format("{:.{}f}", size * 100, precision) + "%";
            break;
        default:
            digits = style.precision < 0 ? repr_of_real(size) : fmt::format("{:.{}g}", size, std::max(precision, 1));
            if (style.precision >= 0 && digits.find_first_of(".en") == std::string::npos) digits += ".0";
    }
    if (style.grouping != '\0') {
        const size_t point = std::min(digits.find_first_of(".e%"), digits.size());
        digits = grouped(digits.substr(0, point), style.grouping, 3) + digits.substr(point);
    }
    return digits;
}

std::string laid_out(Budget& budget, const std::string& sign, const std::string& digits, const NumberStyle& style,
                     char own_align) {
    const char align = style.align != '\0' ? style.align : own_align;
    if (align == '=')
        return sign + padded(budget, digits, style.width - static_cast<int64_t>(sign.size()), '>', style.fill);
    // Centred text of a format puts the odd one right, unlike str.center.
    if (align == '^') {
        const auto size = static_cast<int64_t>(count_code_points(sign + digits));
        const std::string left =
            padded(budget, sign + digits, size + std::max<int64_t>(style.width - size, 0) / 2, '>', style.fill);
        return padded(budget, left, style.width, '<', style.fill);
    }
    return padded(budget, sign + digits, style.width, align, style.fill);
}

std::string sign_of(bool negative, char wanted) {
    if (negative) return "-";
    return wanted == '-' ? "" : std::string(1, wanted);
}

class SpecificationReader {
  public:
    explicit SpecificationReader(std::string_view text) : text_(text) {}

    NumberStyle read() {
        NumberStyle style;
        if (const size_t fill = text_.empty() ? 0 : unit_at(text_, 0).bytes;
            fill > 0 && fill < text_.size() && is_align(text_[fill])) {
            style.fill = text_.substr(0, fill);
            style.align = text_[fill];
            at_ = fill + 1;
        } else if (!text_.empty() && is_align(text_[0])) {
            style.align = text_[at_++];
        }
        if (peek() == '+' || peek() == '-' || peek() == ' ') style.sign = text_[at_++];
        if (peek() == 'z') ++at_;
        style.alternate = accept('#');
        if (accept('0') && style.align == '\0') {
            style.fill = "0";
            style.align = '=';
        }
        style.width = number(0);
        if (peek() == ',' || peek() == '_') style.grouping = text_[at_++];
        if (accept('.')) style.precision = number(-1);
        if (at_ < text_.size()) style.type = text_[at_++];
        if (at_ != text_.size()) raise("the format specification '{}' is not understood", text_);
        return style;
    }

  private:
    static bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool accept(char c) {
        const bool hit = peek() == c;
        at_ += hit ? 1 : 0;
        return hit;
    }
    int64_t number(int64_t absent) {
        int64_t value = absent;
        for (; peek() >= '0' && peek() <= '9'; ++at_) {
            value = std::max<int64_t>(value, 0) * 10 + (peek() - '0');
            if (value > INT32_MAX) raise_limit("a width in the format specification '{}' is too large", text_);
        }
        return value;
    }

    std::string_view text_;
    size_t at_ = 0;
};

}  // namespace

std::string styled(Budget& budget, const Value& value, const NumberStyle& style) {
    if (value.is_string()) {
        if (style.type != '\0' && style.type != 's') raise("the format '{}' does not fit a text", style.type);
        std::string_view text = value.text();
        if (style.precision >= 0) text = text.substr(0, byte_offset(text, static_cast<size_t>(style.precision)));
        if (style.align == '=' && style.fill != "0") raise("the alignment '=' does not fit a text");
        NumberStyle plain = style;
        if (style.align == '=') plain.align = '<';
        return laid_out(budget, "", std::string(text), plain, '<');
    }
    refuse_undefined(value);
    if (!value.is_number()) raise("the format '{}' does not fit a value of type {}", style.type, type_name(value));
    if (style.precision > kMostPrecision) raise_limit("a precision of {} digits is too large", style.precision);
    const bool as_real = value.is(Kind::real) || std::string_view("eEfFgG%").find(style.type) != std::string_view::npos;
    if (as_real && style.type != '\0') {
        const bool negative = std::signbit(value.as_real()) && !std::isnan(value.as_real());
        if (std::string_view("eEfFgG%").find(style.type) == std::string_view::npos)
            raise("the format '{}' does not fit a float", style.type);
        return laid_out(budget, sign_of(negative, style.sign), real_digits(value.as_real(), style), style, '>');
    }
    if (as_real)
        return laid_out(budget, sign_of(std::signbit(value.as_real()), style.sign), real_digits(value.as_real(), style),
                        style, '>');
    if (std::string_view("dxXobcn").find(style.type) == std::string_view::npos && style.type != '\0')
        raise("the format '{}' does not fit an integer", style.type);
    if (style.type == 'c') {
        if (value.as_integer() < 0 || value.as_integer() > 0x10FFFF) raise("{} is no character", value.as_integer());
        std::string text;
        append_utf8(text, static_cast<char32_t>(value.as_integer()));
        return laid_out(budget, "", text, style, '<');
    }
    return laid_out(budget, sign_of(value.as_integer() < 0, style.sign), integer_digits(value.as_integer(), style),
                    style, '>');
}

std::string styled(Budget& budget, const Value& value, std::string_view specification) {
    if (specification.empty()) return text_of(budget, value);
    const NumberStyle style = SpecificationReader(specification).read();
    if (value.is(Kind::boolean) && (style.type == '\0' || style.type == 's')) {
        NumberStyle as_number = style;
        if (style.type == 's') raise("the format 's' does not fit a bool");
        return styled(budget, Value::integer(value.as_integer()), as_number);
    }
    return styled(budget, value, style);
}

}  // namespace atlas::jinja
