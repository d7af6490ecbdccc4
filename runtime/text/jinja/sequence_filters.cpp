// Filters that order, cut and choose from sequences.
#include <algorithm>

#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/text_of.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

// What an item is compared by: itself or what lies at `path`, texts in lower case unless case matters.
Value sort_key(Interpreter& interpreter, const Value& item, const Value& path, bool case_matters) {
    Value key = path.is_none() ? item : value_at_path(interpreter, item, path);
    if (!case_matters && key.is_string()) key = make_string(interpreter.budget(), to_lower(key.text()));
    return key;
}

struct Keyed {
    Value key, item;
};

std::vector<Keyed> keyed(Interpreter& interpreter, const Value& value, const Value& path, bool case_matters) {
    std::vector<Keyed> rows;
    for (Value& item : iterate(interpreter.budget(), value)) {
        Value key = sort_key(interpreter, item, path, case_matters);
        rows.push_back({std::move(key), std::move(item)});
    }
    return rows;
}

void sort_rows(Budget& budget, std::vector<Keyed>& rows, bool descending) {
    // Equal items keep their order in both directions.
    std::stable_sort(rows.begin(), rows.end(), [&](const Keyed& a, const Keyed& b) {
        return descending ? ordered(a.key, b.key) && order(budget, b.key, a.key) < 0
                          : ordered(a.key, b.key) && order(budget, a.key, b.key) < 0;
    });
}

Value items_of(Budget& budget, std::vector<Keyed> rows) {
    std::vector<Value> items;
    for (Keyed& row : rows) items.push_back(std::move(row.item));
    return make_list(budget, std::move(items));
}

Value sort(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("sort", arguments, {"reverse", "case_sensitive", "attribute"});
    Budget& budget = interpreter.budget();
    const bool case_matters = given.flag(1, false);
    const bool many = given[2].is_string() && given[2].text().find(',') != std::string::npos;
    std::vector<Keyed> rows = keyed(interpreter, value, many ? Value{} : given[2], case_matters || many);
    if (many) {
        std::vector<Value> paths;
        const std::string& text = given[2].text();
        for (size_t begin = 0; begin <= text.size();) {
            const size_t end = std::min(text.find(',', begin), text.size());
            paths.push_back(make_string(budget, text.substr(begin, end - begin)));
            begin = end + 1;
        }
        for (Keyed& row : rows) {
            std::vector<Value> keys;
            for (const Value& path : paths) keys.push_back(sort_key(interpreter, row.item, path, case_matters));
            row.key = make_list(budget, std::move(keys));
        }
    }
    sort_rows(budget, rows, given.flag(0, false));
    return items_of(budget, std::move(rows));
}

Value dict_sort(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("dictsort", arguments, {"case_sensitive", "by", "reverse"});
    Budget& budget = interpreter.budget();
    refuse_undefined(value);
    if (!value.is(Kind::dict)) raise("dictsort() needs a dict, found {}", type_name(value));
    const std::string by = given.has(1) ? given.text(1) : "key";
    if (by != "key" && by != "value") raise("dictsort(): 'by' is key or value, found '{}'", by);
    std::vector<Keyed> rows;
    for (const auto& [key, entry] : value.dict().entries)
        rows.push_back({sort_key(interpreter, by == "key" ? key : entry, Value{}, given.flag(0, false)),
                        make_tuple(budget, {key, entry})});
    sort_rows(budget, rows, given.flag(2, false));
    return items_of(budget, std::move(rows));
}

Value unique(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("unique", arguments, {"case_sensitive", "attribute"});
    Budget& budget = interpreter.budget();
    std::vector<Value> kept;
    std::unordered_multimap<size_t, Value> seen;
    for (Keyed& row : keyed(interpreter, value, given[1], given.flag(0, false))) {
        const size_t hash = hash_of(budget, row.key);
        const auto [begin, end] = seen.equal_range(hash);
        if (std::any_of(begin, end, [&](const auto& entry) { return equal(budget, entry.second, row.key); })) continue;
        seen.emplace(hash, std::move(row.key));
        kept.push_back(std::move(row.item));
    }
    return make_generator(budget, std::move(kept));
}

template <bool largest>
Value extreme(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given(largest ? "max" : "min", arguments, {"case_sensitive", "attribute"});
    const std::vector<Keyed> rows = keyed(interpreter, value, given[1], given.flag(0, false));
    if (rows.empty()) return make_undefined("the sequence is empty");
    const Keyed* best = &rows[0];
    for (const Keyed& row : rows) {
        if (&row == best || !ordered(row.key, best->key)) continue;
        const int sign = order(interpreter.budget(), row.key, best->key);
        if (largest ? sign > 0 : sign < 0) best = &row;
    }
    return best->item;
}

Value group_by(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
    Budget& budget = interpreter.budget();
    const bool case_matters = given.flag(2, false);
    const Value* fallback = given.has(1) && !given[1].is_none() ? &given[1] : nullptr;
    std::vector<Keyed> rows;
    for (Value& item : iterate(budget, value)) {
        const Value key = value_at_path(interpreter, item, given[0], fallback);
        rows.push_back({sort_key(interpreter, key, Value{}, case_matters), std::move(item)});
    }
    sort_rows(budget, rows, false);
    std::vector<Value> groups;
    for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
        std::vector<Value> items;
        for (end = begin; end < rows.size() && equal(budget, rows[end].key, rows[begin].key); ++end)
            items.push_back(rows[end].item);
        if (end == begin) ++end;  // not equal to itself: NaN
        groups.push_back(make_group(budget, value_at_path(interpreter, rows[begin].item, given[0], fallback),
                                    make_list(budget, std::move(items))));
    }
    return make_list(budget, std::move(groups));
}

Value first(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("first", arguments, {});
    const std::vector<Value> items = iterate(interpreter.budget(), value);
    if (value.is(Kind::generator) && !items.empty()) {
        // The rest can still be walked.
        value.object<Generator>().items.assign(items.begin() + 1, items.end());
    }
    return items.empty() ? make_undefined("the sequence is empty, it has no first item") : items.front();
}

Value last(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("last", arguments, {});
    if (value.is(Kind::generator)) raise("a generator has no last item; make it a list first");
    const std::vector<Value> items = iterate(interpreter.budget(), value);
    return items.empty() ? make_undefined("the sequence is empty, it has no last item") : items.back();
}

Value list(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("list", arguments, {});
    return make_list(interpreter.budget(), iterate(interpreter.budget(), value));
}

Value items(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("items", arguments, {});
    if (value.is_undefined()) return make_generator(interpreter.budget(), {});
    if (!value.is(Kind::dict)) raise("items() needs a dict, found {}", type_name(value));
    const Value view = make_view(interpreter.budget(), View::Part::items, value);
    return make_generator(interpreter.budget(), iterate(interpreter.budget(), view));
}

Value reverse(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("reverse", arguments, {});
    Budget& budget = interpreter.budget();
    if (value.is_string()) return get_slice(budget, value, {}, {}, Value::integer(-1));
    std::vector<Value> all = iterate(budget, value);
    std::ranges::reverse(all);
    // Values without an order of their own are made lists, everything else is walked backwards.
    return value.is(Kind::generator) || value.is_undefined() ? make_list(budget, std::move(all))
                                                             : make_generator(budget, std::move(all));
}

Value batch(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("batch", arguments, {"linecount", "fill_with"}, 1);
    Budget& budget = interpreter.budget();
    const int64_t size = given.integer(0, 1);
    std::vector<Value> rows, row;
    for (Value& item : iterate(budget, value)) {
        if (static_cast<int64_t>(row.size()) == size) rows.push_back(make_list(budget, std::exchange(row, {})));
        row.push_back(std::move(item));
    }
    if (!row.empty()) {
        while (!given[1].is_none() && static_cast<int64_t>(row.size()) < size) {
            budget.step();
            row.push_back(given[1]);
        }
        rows.push_back(make_list(budget, std::move(row)));
    }
    return make_generator(budget, std::move(rows));
}

Value slice(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    const Parameters given("slice", arguments, {"slices", "fill_with"}, 1);
    Budget& budget = interpreter.budget();
    const std::vector<Value> all = iterate(budget, value);
    const int64_t count = given.integer(0, 1);
    if (count == 0) raise("slice() into no parts");
    const auto size = static_cast<int64_t>(all.size());
    std::vector<Value> parts;
    int64_t begin = 0;
    for (int64_t i = 0; i < count; ++i) {
        const bool longer = i < size % count;
        const int64_t end = begin + size / count + (longer ? 1 : 0);
        std::vector<Value> part(all.begin() + begin, all.begin() + end);
        if (!given[1].is_none() && !longer) part.push_back(given[1]);
        parts.push_back(make_list(budget, std::move(part)));
        begin = end;
    }
    return make_generator(budget, std::move(parts));
}

constexpr Filter kFilters[] = {
    {"batch", batch}, {"dictsort", dict_sort}, {"first", first},       {"groupby", group_by},   {"items", items},
    {"last", last},   {"list", list},          {"max", extreme<true>}, {"min", extreme<false>}, {"reverse", reverse},
    {"slice", slice}, {"sort", sort},          {"unique", unique}};

}  // namespace

std::span<const Filter> sequence_filters() { return kFilters; }

}  // namespace atlas::jinja
