#include "runtime/text/jinja/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

class Writer {
  public:
    Writer(Budget& budget, const JsonStyle& style) : budget_(budget), style_(style) {}

    void write(const Value& value, size_t level) {
        budget_.step();
        switch (value.kind()) {
            case Kind::none:
                return put("null");
            case Kind::boolean:
                return put(value.as_integer() != 0 ? "true" : "false");
            case Kind::integer:
                return put(fmt::format("{}", value.as_integer()));
            case Kind::real:
                return put(real(value.as_real()));
            case Kind::string:
                return put(quoted(value.text()));
            case Kind::list:
            case Kind::tuple:
                return array(value.items(), level);
            case Kind::dict:
                return object(value.dict(), level);
            case Kind::undefined:
                refuse_undefined(value);
                [[fallthrough]];
            default:
                raise("a value of type {} cannot be written as JSON", type_name(value));
        }
    }

    std::string out;

  private:
    void put(std::string_view text) {
        if (out.size() + text.size() > budget_.limits().max_output_bytes) budget_.string_size(out.size() + text.size());
        out += text;
    }

    static std::string real(double x) {
        if (std::isnan(x)) return "NaN";
        if (std::isinf(x)) return x < 0 ? "-Infinity" : "Infinity";
        return repr_of_real(x);
    }

    std::string quoted(std::string_view text) {
        budget_.string_size(text.size());
        std::string result = "\"";
        for (size_t at = 0; at < text.size();) {
            const Unit unit = unit_at(text, at);
            const auto c = static_cast<uint32_t>(unit.code_point);
            constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f";
            constexpr std::string_view kLetters = "\"\\nrtbf";
            const size_t index = c < 0x80 ? kEscaped.find(static_cast<char>(c)) : std::string_view::npos;
            if (index != std::string_view::npos) {
                result += '\\';
                result += kLetters[index];
            } else if (c < 0x20 || (style_.ascii_only && c >= 0x7F && c < 0x10000 && c != 0x7F)) {
                result += fmt::format("\\u{:04x}", c);
            } else if (style_.ascii_only && c >= 0x10000) {
                result +=
                    fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
            } else {
                result += text.substr(at, unit.bytes);
            }
            at += unit.bytes;
        }
        return result + '"';
    }

    void new_line(size_t level) {
        if (!style_.indent) return;
        put("\n");
        for (size_t i = 0; i < level; ++i) put(*style_.indent);
    }

    void array(const std::vector<Value>& items, size_t level) {
        if (items.empty()) return put("[]");
        put("[");
        for (size_t i = 0; i < items.size(); ++i) {
            if (i > 0) put(style_.item_separator);
            new_line(level + 1);
            write(items[i], level + 1);
        }
        new_line(level);
        put("]");
    }

    std::string key_text(const Value& key) {
        switch (key.kind()) {
            case Kind::string:
                return quoted(key.text());
            case Kind::none:
                return "\"null\"";
            case Kind::boolean:
                return key.as_integer() != 0 ? "\"true\"" : "\"false\"";
            case Kind::integer:
                return fmt::format("\"{}\"", key.as_integer());
            case Kind::real:
                return fmt::format("\"{}\"", real(key.as_real()));
            default:
                raise("a key of type {} cannot be written as JSON", type_name(key));
        }
    }

    void object(const Dict& dict, size_t level) {
        if (dict.entries.empty()) return put("{}");
        std::vector<const std::pair<Value, Value>*> entries;
        for (const auto& entry : dict.entries) entries.push_back(&entry);
        if (style_.sort_keys)
            std::stable_sort(entries.begin(), entries.end(),
                             [&](auto* a, auto* b) { return order(budget_, a->first, b->first) < 0; });
        put("{");
        bool first = true;
        for (const auto* entry : entries) {
            if (!first) put(style_.item_separator);
            first = false;
            new_line(level + 1);
            put(key_text(entry->first));
            put(style_.key_separator);
            write(entry->second, level + 1);
        }
        new_line(level);
        put("}");
    }

    Budget& budget_;
    const JsonStyle& style_;
};

}  // namespace

Value from_json(Budget& budget, const nlohmann::ordered_json& json) {
    const Nesting nesting(budget);
    using Type = nlohmann::ordered_json::value_t;
    switch (json.type()) {
        case Type::boolean:
            return Value::boolean(json.get<bool>());
        case Type::number_integer:
            return Value::integer(json.get<int64_t>());
        case Type::number_unsigned: {
            const auto number = json.get<uint64_t>();
            if (number > static_cast<uint64_t>(INT64_MAX))
                throw TemplateError{ErrorCode::unsupported,
                                    fmt::format("the integer {} is beyond 64 bits with a sign", number)};
            return Value::integer(static_cast<int64_t>(number));
        }
        case Type::number_float:
            return Value::real(json.get<double>());
        case Type::string:
            return make_string(budget, json.get_ref<const std::string&>());
        case Type::array: {
            std::vector<Value> items;
            items.reserve(json.size());
            for (const auto& item : json) items.push_back(from_json(budget, item));
            return make_list(budget, std::move(items));
        }
        case Type::object: {
            std::vector<std::pair<Value, Value>> entries;
            entries.reserve(json.size());
            for (const auto& [key, value] : json.items())
                entries.emplace_back(make_string(budget, key), from_json(budget, value));
            return make_dict(budget, std::move(entries));
        }
        default:
            return {};
    }
}

std::string to_json(Budget& budget, const Value& value, const JsonStyle& style) {
    Writer writer(budget, style);
    writer.write(value, 0);
    return std::move(writer.out);
}

}  // namespace atlas::jinja
