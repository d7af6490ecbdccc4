#include "runtime/text/jinja/compare.h"

#include <cmath>
#include <functional>

#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/search.h"

namespace atlas::jinja {
namespace {

// Exact, also where an integer does not fit a double.
int order_numbers(const Value& a, const Value& b) {
    if (a.is_integral() && b.is_integral())
        return a.as_integer() < b.as_integer() ? -1 : a.as_integer() > b.as_integer() ? 1 : 0;
    const double x = a.as_real(), y = b.as_real();
    if (x != y) return x < y ? -1 : 1;
    if (std::abs(x) < 9.0e15 || a.is(b.kind())) return 0;
    // One is an integer beyond 2^53 that was rounded: compare as integers. A double of 2^63 is above every int64.
    if (std::abs(x) >= 9223372036854775808.0) return a.is_integral() ? -1 : 1;
    const int64_t i = a.is_integral() ? a.as_integer() : static_cast<int64_t>(x);
    const int64_t j = b.is_integral() ? b.as_integer() : static_cast<int64_t>(y);
    return i < j ? -1 : i > j ? 1 : 0;
}

bool same(const Value& a, const Value& b) {
    return a.shared() != nullptr && a.shared() == b.shared() && a.is(b.kind());
}

bool equal_items(Budget& budget, const std::vector<Value>& a, const std::vector<Value>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i)
        if (!equal(budget, a[i], b[i])) return false;
    return true;
}

bool equal_dicts(Budget& budget, const Dict& a, const Dict& b) {
    if (a.entries.size() != b.entries.size()) return false;
    for (const auto& [key, value] : a.entries) {
        const Value* other = b.find(budget, key);
        if (other == nullptr || !equal(budget, value, *other)) return false;
    }
    return true;
}

bool equal_ranges(const Range& a, const Range& b) {
    const int64_t size = a.size();
    if (size != b.size()) return false;
    return size == 0 || (a.start == b.start && (size == 1 || a.step == b.step));
}

}  // namespace

bool equal(Budget& budget, const Value& a, const Value& b) {
    budget.step();
    if (a.is_number() && b.is_number()) return ordered(a, b) && order_numbers(a, b) == 0;
    if (a.kind() != b.kind()) return false;
    if (same(a, b)) return true;
    switch (a.kind()) {
        case Kind::none:
        case Kind::undefined:
            return true;
        case Kind::string:
            budget.bytes_touched(std::min(a.text().size(), b.text().size()));
            return a.text() == b.text();
        case Kind::list:
        case Kind::tuple:
            return equal_items(budget, a.items(), b.items());
        case Kind::dict:
            return equal_dicts(budget, a.dict(), b.dict());
        case Kind::range:
            return equal_ranges(a.object<Range>(), b.object<Range>());
        case Kind::view: {
            const View &x = a.object<View>(), &y = b.object<View>();
            if (x.part != y.part || x.part == View::Part::values) return false;
            if (x.part == View::Part::items) return equal_dicts(budget, x.dict.dict(), y.dict.dict());
            if (x.dict.dict().entries.size() != y.dict.dict().entries.size()) return false;
            for (const auto& entry : x.dict.dict().entries)
                if (y.dict.dict().find(budget, entry.first) == nullptr) return false;
            return true;
        }
        default:
            return false;
    }
}

bool ordered(const Value& a, const Value& b) {
    return !(a.is_number() && b.is_number() && (std::isnan(a.as_real()) || std::isnan(b.as_real())));
}

int order(Budget& budget, const Value& a, const Value& b, std::string_view symbol) {
    budget.step();
    if (a.is_number() && b.is_number()) return order_numbers(a, b);
    if (a.is_string() && b.is_string()) {
        // The byte order of UTF-8 is the order of code points.
        budget.bytes_touched(std::min(a.text().size(), b.text().size()));
        return a.text().compare(b.text());
    }
    if (a.is(b.kind()) && (a.is(Kind::list) || a.is(Kind::tuple))) {
        const size_t common = std::min(a.items().size(), b.items().size());
        for (size_t i = 0; i < common; ++i)
            if (!equal(budget, a.items()[i], b.items()[i])) return order(budget, a.items()[i], b.items()[i], symbol);
        return a.items().size() < b.items().size() ? -1 : a.items().size() > b.items().size() ? 1 : 0;
    }
    refuse_undefined(a);
    refuse_undefined(b);
    raise("'{}' is not defined between {} and {}", symbol, type_name(a), type_name(b));
}

size_t hash_of(Budget& budget, const Value& value) {
    budget.step();
    switch (value.kind()) {
        case Kind::undefined:
            return 17;
        case Kind::none:
            return 3;
        case Kind::boolean:
        case Kind::integer:
            return std::hash<int64_t>{}(value.as_integer());
        case Kind::real: {
            // A whole number must find the equal integer.
            const double x = value.as_real();
            if (std::abs(x) < 9.0e18 && x == std::floor(x)) return std::hash<int64_t>{}(static_cast<int64_t>(x));
            return std::hash<double>{}(x);
        }
        case Kind::string:
            budget.bytes_touched(value.text().size());
            return std::hash<std::string_view>{}(value.text());
        case Kind::tuple: {
            size_t hash = 7;
            for (const Value& item : value.items()) hash = hash * 1000003 + hash_of(budget, item);
            return hash;
        }
        case Kind::list:
        case Kind::dict:
        case Kind::view:
            raise("a value of type {} cannot be a key", type_name(value));
        default:
            return std::hash<const void*>{}(value.shared().get());
    }
}

const Value* Dict::find(Budget& budget, const Value& key) const {
    const auto [begin, end] = index.equal_range(hash_of(budget, key));
    for (auto row = begin; row != end; ++row)
        if (equal(budget, entries[row->second].first, key)) return &entries[row->second].second;
    return nullptr;
}

const Value* Dict::find(std::string_view key) const {
    const auto [begin, end] = index.equal_range(std::hash<std::string_view>{}(key));
    for (auto row = begin; row != end; ++row)
        if (const auto& entry = entries[row->second]; entry.first.is_string() && entry.first.text() == key)
            return &entry.second;
    return nullptr;
}

bool contains(Budget& budget, const Value& container, const Value& item) {
    switch (container.kind()) {
        case Kind::string:
            if (!item.is_string()) raise("'in' a text needs a text on its left, found {}", type_name(item));
            return find_text(budget, container.text(), item.text()) != std::string::npos;
        case Kind::dict:
            return container.dict().find(budget, item) != nullptr;
        case Kind::view:
            if (container.object<View>().part == View::Part::keys)
                return container.object<View>().dict.dict().find(budget, item) != nullptr;
            break;
        default:
            break;
    }
    for (const Value& candidate : iterate(budget, container))
        if (equal(budget, candidate, item)) return true;
    return false;
}

}  // namespace atlas::jinja
