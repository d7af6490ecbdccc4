#include "runtime/text/jinja/value.h"

#include <algorithm>

#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/loop.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

// The heap cost of one value beyond its contents: object, control block, allocator.
constexpr size_t kObjectBytes = 96;

void check_depth(Budget& budget, int depth) {
    if (depth > budget.limits().max_depth)
        raise_limit("values are nested deeper than {} levels", budget.limits().max_depth);
}

template <class T>
std::shared_ptr<T> make_sequence(Budget& budget, std::vector<Value> items) {
    budget.step(1 + items.size());
    const int depth = nesting_of(budget, items);
    Charge charge = budget.charge(kObjectBytes + items.capacity() * sizeof(Value));
    return std::make_shared<T>(std::move(charge), depth, std::move(items));
}

std::vector<Value> iterate_text(Budget& budget, const Value& value) {
    const std::string& text = value.text();
    std::vector<Value> items;
    for (size_t at = 0; at < text.size();) {
        const size_t bytes = unit_at(text, at).bytes;
        items.push_back(make_string(budget, text.substr(at, bytes), value.safe()));
        at += bytes;
    }
    return items;
}

std::vector<Value> iterate_view(Budget& budget, const View& view) {
    std::vector<Value> items;
    for (const auto& [key, value] : view.dict.dict().entries) {
        budget.step();
        if (view.part == View::Part::keys) items.push_back(key);
        if (view.part == View::Part::values) items.push_back(value);
        if (view.part == View::Part::items) items.push_back(make_tuple(budget, {key, value}));
    }
    return items;
}

}  // namespace

const std::string& Value::text() const { return object<Text>().bytes; }
bool Value::safe() const { return object<Text>().safe; }
const std::vector<Value>& Value::items() const { return object<Sequence>().items; }
const Dict& Value::dict() const { return object<Dict>(); }

int64_t Range::size() const {
    if (step > 0 ? start >= stop : start <= stop) return 0;
    const auto distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                   : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
    const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
    return static_cast<int64_t>((distance - 1) / stride + 1);
}

int nesting_of(Budget& budget, const std::vector<Value>& items) {
    int depth = 0;
    for (const Value& item : items) depth = std::max(depth, item.depth());
    check_depth(budget, depth + 1);
    return depth + 1;
}

Value make_string(Budget& budget, std::string text, bool safe) {
    budget.string_size(text.size());
    Charge charge = budget.charge(kObjectBytes + text.capacity());
    return {Kind::string, std::make_shared<Text>(std::move(charge), std::move(text), safe)};
}

Value make_list(Budget& budget, std::vector<Value> items) {
    return {Kind::list, make_sequence<Sequence>(budget, std::move(items))};
}
Value make_tuple(Budget& budget, std::vector<Value> items) {
    return {Kind::tuple, make_sequence<Sequence>(budget, std::move(items))};
}
Value make_group(Budget& budget, Value key, Value items) {
    return {Kind::tuple, make_sequence<Group>(budget, {std::move(key), std::move(items)})};
}
Value make_generator(Budget& budget, std::vector<Value> items) {
    return {Kind::generator, make_sequence<Generator>(budget, std::move(items))};
}

Value make_range(Budget& budget, int64_t start, int64_t stop, int64_t step) {
    return {Kind::range, std::make_shared<Range>(budget.charge(kObjectBytes), start, stop, step)};
}

Value make_view(Budget& budget, View::Part part, const Value& dict) {
    check_depth(budget, dict.depth() + 2);
    return {Kind::view, std::make_shared<View>(budget.charge(kObjectBytes), part, dict)};
}

Value make_undefined(std::string message) {
    return {Kind::undefined, std::make_shared<Undefined>(std::move(message), false)};
}
Value make_forbidden(std::string message) {
    return {Kind::undefined, std::make_shared<Undefined>(std::move(message), true)};
}

Value make_dict(Budget& budget, std::vector<std::pair<Value, Value>> entries) {
    budget.step(1 + entries.size());
    int depth = 0;
    for (const auto& [key, value] : entries) depth = std::max({depth, key.depth(), value.depth()});
    check_depth(budget, depth + 1);
    auto dict =
        std::make_shared<Dict>(budget.charge(kObjectBytes + entries.size() * (2 * sizeof(Value) + 48)), depth + 1);
    dict->entries.reserve(entries.size());
    for (auto& [key, value] : entries) {
        if (const Value* present = dict->find(budget, key)) {
            *const_cast<Value*>(present) = std::move(value);  // the dict is not shared yet
            continue;
        }
        dict->index.emplace(hash_of(budget, key), static_cast<uint32_t>(dict->entries.size()));
        dict->entries.emplace_back(std::move(key), std::move(value));
    }
    return {Kind::dict, std::move(dict)};
}

std::string_view type_name(const Value& value) {
    switch (value.kind()) {
        case Kind::undefined:
            return "Undefined";
        case Kind::none:
            return "NoneType";
        case Kind::boolean:
            return "bool";
        case Kind::integer:
            return "int";
        case Kind::real:
            return "float";
        case Kind::string:
            return value.safe() ? "Markup" : "str";
        case Kind::list:
            return "list";
        case Kind::tuple:
            return "tuple";
        case Kind::dict:
            return "dict";
        case Kind::range:
            return "range";
        case Kind::view: {
            const auto part = value.object<View>().part;
            return part == View::Part::keys ? "dict_keys" : part == View::Part::values ? "dict_values" : "dict_items";
        }
        case Kind::generator:
            return "generator";
        case Kind::name_space:
            return "Namespace";
        case Kind::loop:
            return "LoopContext";
        case Kind::callable:
            return "function";
    }
    return "?";
}

bool truth(const Value& value) {
    switch (value.kind()) {
        case Kind::undefined:
        case Kind::none:
            return false;
        case Kind::boolean:
        case Kind::integer:
            return value.as_integer() != 0;
        case Kind::real:
            return value.as_real() != 0;
        case Kind::string:
            return !value.text().empty();
        case Kind::list:
        case Kind::tuple:
            return !value.items().empty();
        case Kind::dict:
            return !value.dict().entries.empty();
        case Kind::range:
            return value.object<Range>().size() != 0;
        case Kind::view:
            return !value.object<View>().dict.dict().entries.empty();
        case Kind::loop:
            return !value.object<Loop>().items.empty();
        default:
            return true;
    }
}

void refuse_undefined(const Value& value) {
    if (value.is_undefined()) raise("{}", value.object<Undefined>().message);
}

size_t length(Budget& budget, const Value& value) {
    switch (value.kind()) {
        case Kind::undefined:
            return 0;
        case Kind::string:
            budget.bytes_touched(value.text().size());
            return count_code_points(value.text());
        case Kind::list:
        case Kind::tuple:
            return value.items().size();
        case Kind::dict:
            return value.dict().entries.size();
        case Kind::range:
            return static_cast<size_t>(value.object<Range>().size());
        case Kind::view:
            return value.object<View>().dict.dict().entries.size();
        case Kind::loop:
            return value.object<Loop>().items.size();
        default:
            raise("a value of type {} has no length", type_name(value));
    }
}

bool is_sequence(const Value& value) {
    switch (value.kind()) {
        case Kind::undefined:
        case Kind::string:
        case Kind::list:
        case Kind::tuple:
        case Kind::dict:
        case Kind::range:
            return true;
        default:
            return false;
    }
}

bool is_iterable(const Value& value) {
    return is_sequence(value) || value.is(Kind::view) || value.is(Kind::generator) || value.is(Kind::loop);
}

std::vector<Value> iterate(Budget& budget, const Value& value) {
    switch (value.kind()) {
        case Kind::undefined:
            return {};
        case Kind::string:
            return iterate_text(budget, value);
        case Kind::list:
        case Kind::tuple:
            budget.step(value.items().size());
            return value.items();
        case Kind::dict:
            return iterate_view(budget, View({}, View::Part::keys, value));
        case Kind::view:
            return iterate_view(budget, value.object<View>());
        case Kind::generator:
            return std::exchange(value.object<Generator>().items, {});
        case Kind::range: {
            const auto& range = value.object<Range>();
            const int64_t size = range.size();
            budget.step(static_cast<uint64_t>(size));
            std::vector<Value> items;
            for (int64_t i = 0; i < size; ++i) items.push_back(Value::integer(range.start + i * range.step));
            return items;
        }
        default:
            raise("a value of type {} cannot be iterated", type_name(value));
    }
}

}  // namespace atlas::jinja
