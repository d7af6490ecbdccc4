// Filters that give texts.
#include <algorithm>

#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/json.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/printf_format.h"
#include "runtime/text/jinja/text_edit.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

// Texts stay as they are, also marked safe; everything else becomes text.
Value soft_text(Budget& budget, const Value& value) {
    return value.is_string() ? value : make_string(budget, text_of(budget, value));
}

Value string(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("string", arguments, {});
    return soft_text(interpreter.budget(), value);
}

Value safe(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("safe", arguments, {});
    return make_string(interpreter.budget(), text_of(interpreter.budget(), value), true);
}

Value escape(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("escape", arguments, {});
    return make_string(interpreter.budget(), escaped(interpreter.budget(), value), true);
}

Value force_escape(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("forceescape", arguments, {});
    return make_string(
        interpreter.budget(),
        escaped(interpreter.budget(), make_string(interpreter.budget(), text_of(interpreter.budget(), value))), true);
}

template <std::string (*convert)(std::string_view)>
Value converted(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("case", arguments, {});
    const Value text = soft_text(interpreter.budget(), value);
    interpreter.budget().bytes_touched(text.text().size() * 4);
    return make_string(interpreter.budget(), convert(text.text()), text.safe());
}

// Words begin after spaces, hyphens and opening brackets; unlike str.title, an apostrophe ends none.
Value title(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("title", arguments, {});
    const std::string text = text_of(interpreter.budget(), value);
    interpreter.budget().bytes_touched(text.size() * 4);
    std::string out;
    size_t begin = 0;
    const auto put_word = [&](size_t end) {
        if (begin == end) return;
        const size_t first = unit_at(text, begin).bytes;
        out += to_upper(std::string_view(text).substr(begin, first)) +
               to_lower(std::string_view(text).substr(begin + first, end - begin - first));
    };
    for (size_t at = 0; at < text.size();) {
        const Unit unit = unit_at(text, at);
        if (is_space(unit.code_point) || (unit.code_point < 0x80 && std::string_view("-({[<").find(static_cast<char>(
                                                                        unit.code_point)) != std::string_view::npos)) {
            put_word(at);
            out += text.substr(at, unit.bytes);
            begin = at + unit.bytes;
        }
        at += unit.bytes;
    }
    put_word(text.size());
    return make_string(interpreter.budget(), std::move(out));
}

Value trim(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("trim", arguments, {"chars"});
    Budget& budget = interpreter.budget();
    const Value text = soft_text(budget, value);
    budget.bytes_touched(text.text().size());
    const std::string_view stripped = given[0].is_none()
                                          ? strip_left(strip_right(text.text()))
                                          : strip_characters(budget, text.text(), given.text(0), true, true);
    return make_string(budget, std::string(stripped), text.safe());
}

Value replace(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("replace", arguments, {"old", "new", "count"}, 2);
    Budget& budget = interpreter.budget();
    const int64_t most = given[2].is_none() ? -1 : given.integer(2, -1);
    return make_string(
        budget, replaced(budget, text_of(budget, value), text_of(budget, given[0]), text_of(budget, given[1]), most));
}

Value join(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("join", arguments, {"d", "attribute"});
    Budget& budget = interpreter.budget();
    const std::string separator = given.has(0) ? text_of(budget, given[0]) : "";
    std::string out;
    bool first = true;
    for (const Value& item : iterate(budget, value)) {
        if (!first) append_text(budget, out, make_string(budget, separator));
        first = false;
        append_text(budget, out, given[1].is_none() ? item : value_at_path(interpreter, item, given[1]));
    }
    return make_string(budget, std::move(out));
}

Value indent(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("indent", arguments, {"width", "first", "blank"});
    Budget& budget = interpreter.budget();
    refuse_undefined(value);
    if (!value.is_string()) raise("indent() needs a text, found {}", type_name(value));
    const Value text = value;
    // With a line end after it, so that an empty last line counts.
    const std::string lines = text.text() + "\n";
    const std::string margin = given[0].is_string() ? given.text(0) : padded(budget, "", given.integer(0, 4), '<', " ");
    const bool blank = given.flag(2, false);
    std::string out;
    bool first = true;
    for (const std::string_view line : split_lines(budget, lines, false)) {
        if (!first) out += '\n';
        if (first ? given.flag(1, false) : blank || !line.empty()) out += margin;
        first = false;
        out += line;
        budget.string_size(out.size() > budget.limits().max_output_bytes ? out.size() : line.size() + margin.size());
    }
    return make_string(budget, std::move(out), text.safe());
}

Value center(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("center", arguments, {"width"});
    const Value text = soft_text(interpreter.budget(), value);
    return make_string(interpreter.budget(), padded(interpreter.budget(), text.text(), given.integer(0, 80), '^', " "),
                       text.safe());
}

Value format(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    Budget& budget = interpreter.budget();
    if (!arguments.positional.empty() && !arguments.named.empty())
        raise("format() takes positional or named arguments, not both");
    const Value text = soft_text(budget, value);
    Value values = make_tuple(budget, arguments.positional);
    if (!arguments.named.empty()) {
        std::vector<std::pair<Value, Value>> entries;
        for (const auto& [name, entry] : arguments.named) entries.emplace_back(make_string(budget, name), entry);
        values = make_dict(budget, std::move(entries));
    }
    return make_string(budget, printf_format(budget, text.text(), values), text.safe());
}

Value truncate(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("truncate", arguments, {"length", "killwords", "end", "leeway"});
    Budget& budget = interpreter.budget();
    const Value whole = soft_text(budget, value);
    const std::string& text = whole.text();
    const std::string end = given.has(2) ? given.text(2) : "...";
    const int64_t size = given.integer(0, 255), leeway = given[3].is_none() ? 5 : given.integer(3, 5);
    const auto end_size = static_cast<int64_t>(count_code_points(end));
    if (size < end_size) raise("truncate(): the length {} is below the {} characters of the end", size, end_size);
    if (leeway < 0) raise("truncate(): the leeway is negative");
    if (static_cast<int64_t>(length(budget, whole)) <= size + leeway) return whole;
    std::string kept = text.substr(0, byte_offset(text, static_cast<size_t>(size - end_size)));
    if (!given.flag(1, false)) kept = kept.substr(0, std::min(kept.rfind(' '), kept.size()));
    return make_string(budget, kept + end);
}

Value to_json_filter(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
    Budget& budget = interpreter.budget();
    JsonStyle style;
    style.ascii_only = given.flag(0, false);
    style.sort_keys = given.flag(3, false);
    if (!given[1].is_none()) {
        style.indent = given[1].is_string() ? given.text(1) : padded(budget, "", given.integer(1, 0), '<', " ");
        style.item_separator = ",";
    }
    if (!given[2].is_none()) {
        const std::vector<Value> parts = iterate(budget, given[2]);
        if (parts.size() != 2 || !parts[0].is_string() || !parts[1].is_string())
            raise("tojson(): the separators are two texts");
        style.item_separator = parts[0].text();
        style.key_separator = parts[1].text();
    }
    return make_string(budget, to_json(budget, value, style));
}

constexpr Filter kFilters[] = {{"capitalize", converted<capitalize>},
                               {"center", center},
                               {"e", escape},
                               {"escape", escape},
                               {"forceescape", force_escape},
                               {"format", format},
                               {"indent", indent},
                               {"join", join},
                               {"lower", converted<to_lower>},
                               {"replace", replace},
                               {"safe", safe},
                               {"string", string},
                               {"title", title},
                               {"tojson", to_json_filter},
                               {"trim", trim},
                               {"truncate", truncate},
                               {"upper", converted<to_upper>}};

}  // namespace

std::span<const Filter> text_filters() { return kFilters; }

}  // namespace atlas::jinja
