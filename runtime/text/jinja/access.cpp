// Attributes, items and slices.
#include <algorithm>
#include <limits>

#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/methods.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

Value missing(Budget& budget, const Value& value, const Value& key) {
    refuse_undefined(value);
    if (key.is_string())
        return make_undefined(
            fmt::format("a value of type {} has no attribute {}", type_name(value), repr_of(budget, key)));
    return make_undefined(fmt::format("a value of type {} has no item {}", type_name(value), repr_of(budget, key)));
}

// Python's getattr: true when the attribute exists.
bool find_attribute(Budget& budget, const Value& value, std::string_view name, Value& out) {
    if (name.starts_with("__") && name.ends_with("__") && name.size() > 4) {
        // Every Python object has some of these; the sandbox shows none of them.
        out = make_forbidden(fmt::format("the attribute '{}' is not open to templates", name));
        return true;
    }
    switch (value.kind()) {
        case Kind::name_space:
            for (const auto& [key, attribute] : value.object<Namespace>().attributes)
                if (key == name) {
                    out = attribute;
                    return true;
                }
            return false;
        case Kind::loop:
        case Kind::callable:
            return value.object<Callable>().attribute(budget, name, value, out);
        case Kind::tuple:
            if (dynamic_cast<const Group*>(&value.object<Object>()) != nullptr &&
                (name == "grouper" || name == "list")) {
                out = value.items()[name == "list" ? 1 : 0];
                return true;
            }
            break;
        case Kind::range:
            if (name == "start" || name == "stop" || name == "step") {
                const auto& range = value.object<Range>();
                out = Value::integer(name == "start" ? range.start : name == "stop" ? range.stop : range.step);
                return true;
            }
            break;
        case Kind::boolean:
        case Kind::integer:
            if (name == "real" || name == "numerator" || name == "imag" || name == "denominator") {
                out = Value::integer(name == "imag" ? 0 : name == "denominator" ? 1 : value.as_integer());
                return true;
            }
            break;
        default:
            break;
    }
    return find_method(budget, value, name, out);
}

// Python's value[key]: true when the item exists; false for what raises LookupError, TypeError or AttributeError.
bool find_item(Budget& budget, const Value& value, const Value& key, Value& out) {
    if (value.is(Kind::dict)) {
        if (key.is(Kind::list) || key.is(Kind::dict)) return false;
        const Value* found = value.dict().find(budget, key);
        if (found != nullptr) out = *found;
        return found != nullptr;
    }
    const bool positional = value.is_string() || value.is(Kind::list) || value.is(Kind::tuple) || value.is(Kind::range);
    if (!positional || !key.is_integral()) return false;
    const auto size = static_cast<int64_t>(length(budget, value));
    int64_t index = key.as_integer();
    if (index < 0) index += size;
    if (index < 0 || index >= size) return false;
    if (value.is(Kind::range)) {
        out = Value::integer(value.object<Range>().start + index * value.object<Range>().step);
    } else if (value.is_string()) {
        const size_t begin = byte_offset(value.text(), static_cast<size_t>(index));
        out = make_string(budget, value.text().substr(begin, unit_at(value.text(), begin).bytes), value.safe());
    } else {
        out = value.items()[static_cast<size_t>(index)];
    }
    return true;
}

int64_t slice_part(const Value& value, int64_t absent) {
    if (value.is_none()) return absent;
    if (!value.is_integral()) raise("a slice needs integers, found {}", type_name(value));
    return value.as_integer();
}

std::string slice_text(Budget& budget, const std::string& text, const SliceBounds& bounds) {
    budget.bytes_touched(text.size());
    if (bounds.count == 0) return {};
    if (bounds.step == 1) {
        const size_t begin = byte_offset(text, static_cast<size_t>(bounds.start));
        return text.substr(begin, byte_offset(std::string_view(text).substr(begin), static_cast<size_t>(bounds.count)));
    }
    std::vector<size_t> offsets;
    const Charge room = budget.charge(text.size() * sizeof(size_t));
    budget.step(text.size());
    for (size_t at = 0; at < text.size(); at += unit_at(text, at).bytes) offsets.push_back(at);
    std::string out;
    for (int64_t i = 0; i < bounds.count; ++i) {
        const size_t at = offsets[static_cast<size_t>(bounds.start + i * bounds.step)];
        out += text.substr(at, unit_at(text, at).bytes);
    }
    return out;
}

}  // namespace

Value get_attribute(Budget& budget, const Value& value, std::string_view name) {
    budget.step();
    refuse_undefined(value);
    Value out;
    if (find_attribute(budget, value, name, out)) return out;
    const Value key = make_string(budget, std::string(name));
    return find_item(budget, value, key, out) ? out : missing(budget, value, key);
}

Value get_item(Budget& budget, const Value& value, const Value& key) {
    budget.step();
    refuse_undefined(value);
    Value out;
    if (find_item(budget, value, key, out)) return out;
    if (key.is_string() && find_attribute(budget, value, key.text(), out)) return out;
    return missing(budget, value, key);
}

SliceBounds slice_bounds(int64_t size, const Value& start, const Value& stop, const Value& step) {
    SliceBounds bounds;
    bounds.step = slice_part(step, 1);
    if (bounds.step == 0) raise("a slice cannot have the step 0");
    // Steps beyond any text or list all mean "one item"; clamped, the count below cannot overflow.
    constexpr int64_t kFar = std::numeric_limits<int64_t>::max() / 4;
    bounds.step = std::clamp(bounds.step, -kFar, kFar);
    const bool back = bounds.step < 0;
    const int64_t low = back ? -1 : 0, high = back ? size - 1 : size;
    const auto clamp = [&](const Value& part, int64_t absent) {
        if (part.is_none()) return absent;
        int64_t index = slice_part(part, absent);
        if (index < 0) index = std::max(index, std::numeric_limits<int64_t>::min() + size + 1) + size;
        return std::clamp(index, low, std::max(low, high));
    };
    bounds.start = clamp(start, back ? high : low);
    const int64_t end = clamp(stop, back ? low : high);
    const int64_t distance = back ? bounds.start - end : end - bounds.start;
    const int64_t stride = back ? -bounds.step : bounds.step;
    bounds.count = distance <= 0 ? 0 : (distance - 1) / stride + 1;
    return bounds;
}

Value get_slice(Budget& budget, const Value& value, const Value& start, const Value& stop, const Value& step) {
    refuse_undefined(value);
    const bool positional = value.is_string() || value.is(Kind::list) || value.is(Kind::tuple) || value.is(Kind::range);
    if (!positional) raise("a value of type {} has no slices", type_name(value));
    const SliceBounds bounds = slice_bounds(static_cast<int64_t>(length(budget, value)), start, stop, step);
    if (value.is_string()) return make_string(budget, slice_text(budget, value.text(), bounds), value.safe());
    if (value.is(Kind::range)) {
        const auto& range = value.object<Range>();
        if (bounds.count == 0) return make_range(budget, 0, 0, 1);
        const int64_t first = range.start + bounds.start * range.step;
        // One item has no distance to the next one, and the product could overflow.
        const int64_t by = bounds.count == 1 ? 1 : range.step * bounds.step;
        return make_range(budget, first, first + (bounds.count - 1) * by + (by > 0 ? 1 : -1), by);
    }
    std::vector<Value> items;
    budget.step(static_cast<uint64_t>(bounds.count));
    items.reserve(static_cast<size_t>(bounds.count));
    for (int64_t i = 0; i < bounds.count; ++i)
        items.push_back(value.items()[static_cast<size_t>(bounds.start + i * bounds.step)]);
    return value.is(Kind::list) ? make_list(budget, std::move(items)) : make_tuple(budget, std::move(items));
}

std::string escaped(Budget& budget, const Value& value) {
    std::string text = text_of(budget, value);
    if (value.is_string() && value.safe()) return text;
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&#34;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    }
    budget.string_size(out.size());
    return out;
}

}  // namespace atlas::jinja
