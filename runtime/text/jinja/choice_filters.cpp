// map, select, reject and similar filters; and the look-up of filters by name.
#include <algorithm>
#include <charconv>

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/filters.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/operators.h"

namespace atlas::jinja {
namespace {

Value map(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    Budget& budget = interpreter.budget();
    std::vector<Value> results;
    if (!truth(value)) return make_generator(budget, {});
    if (arguments.positional.empty()) {
        const Value *path = nullptr, *fallback = nullptr;
        for (const auto& [name, argument] : arguments.named) {
            if (name == "attribute") {
                path = &argument;
            } else if (name == "default") {
                fallback = argument.is_none() ? nullptr : &argument;
            } else {
                raise("map() has no parameter '{}'", name);
            }
        }
        if (path == nullptr) raise("map() needs the name of a filter or an attribute");
        for (const Value& item : iterate(budget, value))
            results.push_back(value_at_path(interpreter, item, *path, fallback));
        return make_generator(budget, std::move(results));
    }
    if (!arguments.positional[0].is_string())
        raise("map() needs the name of a filter, found {}", type_name(arguments.positional[0]));
    const std::string name = arguments.positional[0].text();
    const Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()}, arguments.named};
    for (const Value& item : iterate(budget, value)) results.push_back(interpreter.filter(name, item, rest));
    return make_generator(budget, std::move(results));
}

// select and reject keep what does (not) pass a test; with `by_attribute` an attribute of the item is tested.
template <bool keep, bool by_attribute>
Value choose(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
    Budget& budget = interpreter.budget();
    std::vector<Value> kept;
    if (!truth(value)) return make_generator(budget, {});
    const size_t own = by_attribute ? 1 : 0;
    if (arguments.positional.size() < own) raise("selectattr() and rejectattr() need the name of an attribute");
    std::string name;
    Arguments rest;
    if (arguments.positional.size() > own) {
        if (!arguments.positional[own].is_string())
            raise("the name of a test is a text, found {}", type_name(arguments.positional[own]));
        name = arguments.positional[own].text();
        rest = {{arguments.positional.begin() + static_cast<std::ptrdiff_t>(own) + 1, arguments.positional.end()},
                arguments.named};
    }
    for (Value& item : iterate(budget, value)) {
        budget.step();
        const Value tested = by_attribute ? value_at_path(interpreter, item, arguments.positional[0]) : item;
        if ((name.empty() ? truth(tested) : interpreter.test(name, tested, rest)) == keep)
            kept.push_back(std::move(item));
    }
    return make_generator(budget, std::move(kept));
}

constexpr Filter kFilters[] = {{"map", map},
                               {"reject", choose<false, false>},
                               {"rejectattr", choose<false, true>},
                               {"select", choose<true, false>},
                               {"selectattr", choose<true, true>}};

}  // namespace

std::span<const Filter> choice_filters() { return kFilters; }

Value value_at_path(Interpreter& interpreter, const Value& value, const Value& path, const Value* fallback) {
    Budget& budget = interpreter.budget();
    if (path.is_integral()) {
        Value found = get_item(budget, value, path);
        return found.is_undefined() && fallback != nullptr ? *fallback : found;
    }
    if (!path.is_string()) raise("an attribute is a name or a number, found {}", type_name(path));
    Value found = value;
    const std::string& text = path.text();
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find('.', begin), text.size());
        const std::string part = text.substr(begin, end - begin);
        int64_t number = 0;
        const bool digits = !part.empty() && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
        const bool fits = digits && std::from_chars(part.data(), part.data() + part.size(), number).ec == std::errc();
        found = get_item(budget, found, fits ? Value::integer(number) : make_string(budget, part));
        if (found.is_undefined() && fallback != nullptr) found = *fallback;
        begin = end + 1;
    }
    return found;
}

Value Interpreter::filter(std::string_view name, const Value& value, const Arguments& arguments) {
    budget_.step();
    for (const auto& table : {text_filters(), number_filters(), sequence_filters(), choice_filters()}) {
        const auto found = std::ranges::find(table, name, &Filter::name);
        if (found == table.end()) continue;
        // map can call filters that call map.
        const Nesting nesting(budget_);
        return found->run(*this, value, arguments);
    }
    raise("there is no filter named '{}'", name);
}

}  // namespace atlas::jinja
