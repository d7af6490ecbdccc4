#include "runtime/text/jinja/text_of.h"

#include <charconv>
#include <cmath>

#include "runtime/base/check.h"
#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/loop.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

void append(Budget& budget, std::string& out, std::string_view text) {
    budget.bytes_touched(text.size());
    if (out.size() + text.size() > budget.limits().max_output_bytes) budget.string_size(out.size() + text.size());
    out += text;
}

std::string quoted(std::string_view text) {
    const bool has_single = text.find('\'') != std::string_view::npos;
    const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
    std::string out(1, quote);
    for (size_t at = 0; at < text.size();) {
        const Unit unit = unit_at(text, at);
        const auto c = static_cast<uint32_t>(unit.code_point);
        if (c == static_cast<unsigned char>(quote) || c == '\\') {
            out += '\\';
            out += static_cast<char>(c);
        } else if (c == '\n' || c == '\r' || c == '\t') {
            out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
        } else if (is_printable(unit.code_point) || c == 0xFFFD) {
            out += text.substr(at, unit.bytes);
        } else {
            out += c < 0x100     ? fmt::format("\\x{:02x}", c)
                   : c < 0x10000 ? fmt::format("\\u{:04x}", c)
                                 : fmt::format("\\U{:08x}", c);
        }
        at += unit.bytes;
    }
    return out + quote;
}

void append_repr(Budget& budget, std::string& out, const Value& value);

void append_items(Budget& budget, std::string& out, const std::vector<Value>& items) {
    bool first = true;
    for (const Value& item : items) {
        if (!first) append(budget, out, ", ");
        first = false;
        append_repr(budget, out, item);
    }
}

void append_pairs(Budget& budget, std::string& out, const auto& pairs) {
    bool first = true;
    append(budget, out, "{");
    for (const auto& [key, value] : pairs) {
        if (!first) append(budget, out, ", ");
        first = false;
        if constexpr (std::is_same_v<std::decay_t<decltype(key)>, std::string>) {
            append(budget, out, quoted(key));
        } else {
            append_repr(budget, out, key);
        }
        append(budget, out, ": ");
        append_repr(budget, out, value);
    }
    append(budget, out, "}");
}

void append_container(Budget& budget, std::string& out, const Value& value) {
    // Namespaces can hold themselves, so nesting is counted here too.
    const Nesting nesting(budget);
    switch (value.kind()) {
        case Kind::list:
            append(budget, out, "[");
            append_items(budget, out, value.items());
            return append(budget, out, "]");
        case Kind::tuple:
            append(budget, out, "(");
            append_items(budget, out, value.items());
            return append(budget, out, value.items().size() == 1 ? ",)" : ")");
        case Kind::dict:
            return append_pairs(budget, out, value.dict().entries);
        case Kind::view:
            append(budget, out, fmt::format("{}([", type_name(value)));
            append_items(budget, out, iterate(budget, value));
            return append(budget, out, "])");
        case Kind::name_space:
            append(budget, out, "<Namespace ");
            append_pairs(budget, out, value.object<Namespace>().attributes);
            return append(budget, out, ">");
        default:
            ATLAS_CHECK(false, "no container: {}", type_name(value));
    }
}

void append_repr(Budget& budget, std::string& out, const Value& value) {
    if (value.is_string()) {
        append(budget, out, value.safe() ? fmt::format("Markup({})", quoted(value.text())) : quoted(value.text()));
    } else if (value.is_undefined()) {
        append(budget, out, "Undefined");
    } else {
        append_text(budget, out, value);
    }
}

}  // namespace

std::string repr_of_real(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    char buffer[64];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
    const std::string_view text(buffer, static_cast<size_t>(end - buffer));
    const size_t e = text.find('e');
    int exponent = 0;
    std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), end, exponent);
    std::string digits;
    for (const char c : text.substr(0, e))
        if (c >= '0' && c <= '9') digits += c;
    const std::string sign = text[0] == '-' ? "-" : "";
    const int count = static_cast<int>(digits.size());
    if (exponent < -4 || exponent >= 16) {
        const std::string fraction = count > 1 ? "." + digits.substr(1) : "";
        return fmt::format("{}{}{}e{}{:02}", sign, digits[0], fraction, exponent < 0 ? '-' : '+', std::abs(exponent));
    }
    if (exponent < 0) return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
    if (count <= exponent + 1)
        return sign + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
    return sign + digits.substr(0, static_cast<size_t>(exponent + 1)) + "." +
           digits.substr(static_cast<size_t>(exponent + 1));
}

void append_text(Budget& budget, std::string& out, const Value& value) {
    switch (value.kind()) {
        case Kind::undefined:
            return;
        case Kind::none:
            return append(budget, out, "None");
        case Kind::boolean:
            return append(budget, out, value.as_integer() != 0 ? "True" : "False");
        case Kind::integer:
            return append(budget, out, fmt::format("{}", value.as_integer()));
        case Kind::real:
            return append(budget, out, repr_of_real(value.as_real()));
        case Kind::string:
            return append(budget, out, value.text());
        case Kind::range: {
            const auto& range = value.object<Range>();
            if (range.step == 1) return append(budget, out, fmt::format("range({}, {})", range.start, range.stop));
            return append(budget, out, fmt::format("range({}, {}, {})", range.start, range.stop, range.step));
        }
        case Kind::generator:
            return append(budget, out, "<generator object>");
        case Kind::loop:
        case Kind::callable:
            return append(budget, out, value.object<Callable>().describe());
        default:
            return append_container(budget, out, value);
    }
}

std::string text_of(Budget& budget, const Value& value) {
    std::string out;
    append_text(budget, out, value);
    return out;
}

std::string repr_of(Budget& budget, const Value& value) {
    std::string out;
    append_repr(budget, out, value);
    return out;
}

}  // namespace atlas::jinja
