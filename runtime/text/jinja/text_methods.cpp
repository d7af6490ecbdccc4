// Methods of texts that give texts, numbers and lists.
#include <algorithm>

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/methods.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/search.h"
#include "runtime/text/jinja/str_format.h"
#include "runtime/text/jinja/text_edit.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

// A text argument that becomes part of `self`; a safe text escapes what it takes in.
std::string taken_in(Budget& budget, const Value& self, const Parameters& given, size_t index) {
    const std::string& text = given.text(index);
    return self.safe() ? escaped(budget, given[index]) : text;
}

template <std::string (*convert)(std::string_view)>
Value converted(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("str", arguments, {});
    interpreter.budget().bytes_touched(self.text().size() * 4);
    return make_string(interpreter.budget(), convert(self.text()), self.safe());
}

template <bool left, bool right>
Value strip(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("strip", arguments, {"chars"});
    interpreter.budget().bytes_touched(self.text().size());
    std::string_view text = self.text();
    if (given[0].is_none()) {
        if (left) text = strip_left(text);
        if (right) text = strip_right(text);
    } else {
        text = strip_characters(interpreter.budget(), text, given.text(0), left, right);
    }
    return make_string(interpreter.budget(), std::string(text), self.safe());
}

Value as_list(Budget& budget, const Value& self, const std::vector<std::string_view>& parts) {
    std::vector<Value> items;
    items.reserve(parts.size());
    for (const std::string_view part : parts) items.push_back(make_string(budget, std::string(part), self.safe()));
    return make_list(budget, std::move(items));
}

template <bool from_right>
Value split(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("split", arguments, {"sep", "maxsplit"});
    Budget& budget = interpreter.budget();
    const int64_t most = given.integer(1, -1);
    const bool on_space = given[0].is_none();
    if (!on_space && given.text(0).empty()) raise("split(): the separator is empty");
    if (on_space)
        return as_list(
            budget, self,
            from_right ? split_space_right(budget, self.text(), most) : split_space(budget, self.text(), most));
    return as_list(budget, self,
                   from_right ? split_text_right(budget, self.text(), given.text(0), most)
                              : split_text(budget, self.text(), given.text(0), most));
}

template <bool from_right>
Value partition(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("partition", arguments, {"sep"}, 1);
    Budget& budget = interpreter.budget();
    const std::string& text = self.text();
    const std::string& separator = given.text(0);
    if (separator.empty()) raise("partition(): the separator is empty");
    const size_t at = from_right ? find_last_text(budget, text, separator) : find_text(budget, text, separator);
    const auto part = [&](std::string piece) { return make_string(budget, std::move(piece), self.safe()); };
    if (at == std::string::npos && from_right) return make_tuple(budget, {part(""), part(""), self});
    if (at == std::string::npos) return make_tuple(budget, {self, part(""), part("")});
    return make_tuple(budget, {part(text.substr(0, at)), part(separator), part(text.substr(at + separator.size()))});
}

Value splitlines(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("splitlines", arguments, {"keepends"});
    return as_list(interpreter.budget(), self, split_lines(interpreter.budget(), self.text(), given.flag(0, false)));
}

// The part of the text that start and stop (in code points) select, as bytes.
struct ByteRange {
    size_t begin = 0, end = 0, first_code_point = 0;
    bool valid = true;
};

ByteRange selected(Budget& budget, const std::string& text, const Parameters& given) {
    if (!given.has(1) && !given.has(2)) return {0, text.size(), 0, true};
    const auto size = static_cast<int64_t>(length(budget, make_string(budget, text)));
    const SliceBounds bounds = slice_bounds(size, given[1], given[2], Value::integer(1));
    // A start past the end finds nothing, not even the empty text.
    if (given[1].is_integral() && given[1].as_integer() > size) return {0, 0, 0, false};
    const size_t begin = byte_offset(text, static_cast<size_t>(bounds.start));
    return {begin, begin + byte_offset(std::string_view(text).substr(begin), static_cast<size_t>(bounds.count)),
            static_cast<size_t>(bounds.start), true};
}

template <bool at_start>
Value starts_or_ends(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given(at_start ? "startswith" : "endswith", arguments, {"prefix", "start", "end"}, 1);
    const ByteRange range = selected(interpreter.budget(), self.text(), given);
    const std::string_view text = std::string_view(self.text()).substr(range.begin, range.end - range.begin);
    const auto matches = [&](const Value& piece) {
        refuse_undefined(piece);
        if (!piece.is_string())
            raise("startswith() and endswith() need a text or a tuple of texts, found {}", type_name(piece));
        interpreter.budget().bytes_touched(piece.text().size());
        return range.valid && (at_start ? text.starts_with(piece.text()) : text.ends_with(piece.text()));
    };
    if (!given[0].is(Kind::tuple)) return Value::boolean(matches(given[0]));
    return Value::boolean(std::ranges::any_of(given[0].items(), matches));
}

template <bool last, bool must>
Value find(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("find", arguments, {"sub", "start", "end"}, 1);
    const ByteRange range = selected(interpreter.budget(), self.text(), given);
    const std::string_view text = std::string_view(self.text()).substr(range.begin, range.end - range.begin);
    size_t at = std::string::npos;
    if (range.valid)
        at = last ? find_last_text(interpreter.budget(), text, given.text(0))
                  : find_text(interpreter.budget(), text, given.text(0));
    if (at == std::string::npos && must) raise("index(): the text is not found");
    if (at == std::string::npos) return Value::integer(-1);
    return Value::integer(static_cast<int64_t>(range.first_code_point + count_code_points(text.substr(0, at))));
}

Value count(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("count", arguments, {"sub", "start", "end"}, 1);
    Budget& budget = interpreter.budget();
    const ByteRange range = selected(budget, self.text(), given);
    const std::string_view text = std::string_view(self.text()).substr(range.begin, range.end - range.begin);
    const std::string& piece = given.text(0);
    if (!range.valid) return Value::integer(0);
    if (piece.empty()) return Value::integer(static_cast<int64_t>(count_code_points(text)) + 1);
    int64_t n = 0;
    for (size_t at = 0; (at = find_text(budget, text, piece, at)) != std::string::npos; at += piece.size()) ++n;
    return Value::integer(n);
}

Value replace(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("replace", arguments, {"old", "new", "count"}, 2);
    Budget& budget = interpreter.budget();
    const std::string from = taken_in(budget, self, given, 0), to = taken_in(budget, self, given, 1);
    return make_string(budget, replaced(budget, self.text(), from, to, given.integer(2, -1)), self.safe());
}

Value join(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("join", arguments, {"iterable"}, 1);
    Budget& budget = interpreter.budget();
    std::string out;
    bool first = true;
    for (const Value& item : iterate(budget, given[0])) {
        refuse_undefined(item);
        if (!item.is_string()) raise("join() needs texts, found {}", type_name(item));
        if (!first) out += self.text();
        first = false;
        out += self.safe() ? escaped(budget, item) : item.text();
        budget.string_size(out.size() < budget.limits().max_output_bytes ? item.text().size() + self.text().size()
                                                                         : out.size());
    }
    return make_string(budget, std::move(out), self.safe());
}

template <bool prefix>
Value remove_end(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("removeprefix", arguments, {"prefix"}, 1);
    const std::string& text = self.text();
    const std::string& piece = given.text(0);
    if (prefix && text.starts_with(piece))
        return make_string(interpreter.budget(), text.substr(piece.size()), self.safe());
    if (!prefix && text.ends_with(piece))
        return make_string(interpreter.budget(), text.substr(0, text.size() - piece.size()), self.safe());
    return self;
}

// Spaces on the left, on the right, on both sides.
template <char side>
Value justify(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("ljust", arguments, {"width", "fillchar"}, 1);
    const std::string fill = given.has(1) ? given.text(1) : " ";
    if (count_code_points(fill) != 1) raise("the fill character is one character, found {} bytes", fill.size());
    return make_string(interpreter.budget(), padded(interpreter.budget(), self.text(), given.integer(0, 0), side, fill),
                       self.safe());
}

Value zfill(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("zfill", arguments, {"width"}, 1);
    const std::string& text = self.text();
    const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
    const int64_t width = given.integer(0, 0) - (sign ? 1 : 0);
    return make_string(
        interpreter.budget(),
        (sign ? text.substr(0, 1) : "") + padded(interpreter.budget(), text.substr(sign ? 1 : 0), width, '>', "0"),
        self.safe());
}

Value format(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    return make_string(interpreter.budget(), str_format(interpreter.budget(), self, arguments), self.safe());
}

Value expand_tabs(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
    const Parameters given("expandtabs", arguments, {"tabsize"});
    const int64_t width = std::clamp<int64_t>(given.integer(0, 8), 0, 1000);
    std::string out;
    int64_t column = 0;
    for (const char c : self.text()) {
        if (c == '\t') {
            const int64_t spaces = width > 0 ? width - column % width : 0;
            out.append(static_cast<size_t>(spaces), ' ');
            column += spaces;
            interpreter.budget().string_size(out.size() > interpreter.budget().limits().max_output_bytes ? out.size()
                                                                                                         : 32);
        } else {
            out += c;
            if ((static_cast<unsigned char>(c) & 0xC0u) != 0x80u) column = c == '\n' || c == '\r' ? 0 : column + 1;
        }
    }
    return make_string(interpreter.budget(), std::move(out), self.safe());
}

constexpr Method kMethods[] = {{"capitalize", converted<capitalize>},
                               {"casefold", converted<to_lower>},
                               {"center", justify<'^'>},
                               {"count", count},
                               {"endswith", starts_or_ends<false>},
                               {"expandtabs", expand_tabs},
                               {"find", find<false, false>},
                               {"format", format},
                               {"index", find<false, true>},
                               {"join", join},
                               {"ljust", justify<'<'>},
                               {"lower", converted<to_lower>},
                               {"lstrip", strip<true, false>},
                               {"partition", partition<false>},
                               {"removeprefix", remove_end<true>},
                               {"removesuffix", remove_end<false>},
                               {"replace", replace},
                               {"rfind", find<true, false>},
                               {"rindex", find<true, true>},
                               {"rjust", justify<'>'>},
                               {"rpartition", partition<true>},
                               {"rsplit", split<true>},
                               {"rstrip", strip<false, true>},
                               {"split", split<false>},
                               {"splitlines", splitlines},
                               {"startswith", starts_or_ends<true>},
                               {"strip", strip<true, true>},
                               {"swapcase", converted<swap_case>},
                               {"title", converted<to_title>},
                               {"upper", converted<to_upper>},
                               {"zfill", zfill}};

}  // namespace

std::span<const Method> text_methods() { return kMethods; }

}  // namespace atlas::jinja
