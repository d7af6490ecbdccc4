#include "runtime/text/jinja/globals.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <ctime>

#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/parameters.h"
#include "runtime/text/jinja/text_of.h"

namespace atlas::jinja {
namespace {

constexpr int64_t kLongestRange = 100000;  // as jinja2's sandbox

// A built-in function; `extra` is whatever it was made with.
struct Function : Callable {
    using Run = Value (*)(Interpreter& interpreter, const Arguments& arguments, const Function& self);
    Function(Charge bytes, int nesting, std::string_view called, Run what)
        : Callable(std::move(bytes), nesting), name(called), run(what) {}
    Value call(Interpreter& interpreter, Arguments arguments) const override {
        return run(interpreter, arguments, *this);
    }
    std::string describe() const override { return fmt::format("<function {}>", name); }

    std::string_view name;
    Run run;
    std::chrono::system_clock::time_point now;
};

// joiner(", "): empty at the first call, the separator at all later ones.
struct Joiner : Callable {
    Joiner(Charge bytes, Value text) : Callable(std::move(bytes), text.depth() + 1), separator(std::move(text)) {}
    Value call(Interpreter& interpreter, Arguments arguments) const override {
        const Parameters given("joiner", arguments, {});
        return std::exchange(used, true) ? separator : make_string(interpreter.budget(), "");
    }
    std::string describe() const override { return "<joiner object>"; }
    Value separator;
    mutable bool used = false;
};

// cycler(a, b, c): next() returns them cyclically.
struct Cycler : Callable {
    Cycler(Charge bytes, int nesting, std::vector<Value> values)
        : Callable(std::move(bytes), nesting), items(std::move(values)) {}
    Value call(Interpreter&, Arguments) const override { raise("a cycler is not called; its next() is"); }
    std::string describe() const override { return "<cycler object>"; }
    bool attribute(Budget& budget, std::string_view name, const Value& self, Value& out) const override;

    std::vector<Value> items;
    mutable size_t position = 0;
};

struct CyclerMethod : Callable {
    CyclerMethod(Charge bytes, Value of, bool is_next)
        : Callable(std::move(bytes), of.depth() + 1), self(std::move(of)), next(is_next) {}
    Value call(Interpreter&, Arguments arguments) const override {
        const Parameters given("cycler", arguments, {});
        const auto& cycler = self.object<Cycler>();
        const Value now = cycler.items[cycler.position];
        cycler.position = next ? (cycler.position + 1) % cycler.items.size() : 0;
        return next ? now : Value{};
    }
    std::string describe() const override { return "<bound method Cycler>"; }
    Value self;
    bool next;
};

bool Cycler::attribute(Budget& budget, std::string_view name, const Value& self, Value& out) const {
    if (name == "current") {
        out = items[position];
        return true;
    }
    if (name != "next" && name != "reset") return false;
    if (depth >= budget.limits().max_depth)
        raise_limit("values are nested deeper than {} levels", budget.limits().max_depth);
    out = Value(Kind::callable,
                std::make_shared<CyclerMethod>(budget.charge(sizeof(CyclerMethod)), self, name == "next"));
    return true;
}

Value make_cycler(Interpreter& interpreter, const Arguments& arguments, const Function&) {
    if (arguments.positional.empty() || !arguments.named.empty()) raise("cycler() needs at least one item");
    const int nesting = nesting_of(interpreter.budget(), arguments.positional);
    Charge charge = interpreter.budget().charge(sizeof(Cycler) + arguments.positional.size() * sizeof(Value));
    return {Kind::callable, std::make_shared<Cycler>(std::move(charge), nesting, arguments.positional)};
}

Value make_joiner(Interpreter& interpreter, const Arguments& arguments, const Function&) {
    const Parameters given("joiner", arguments, {"sep"});
    const Value separator = given.has(0) ? given[0] : make_string(interpreter.budget(), ", ");
    nesting_of(interpreter.budget(), {separator});
    return {Kind::callable, std::make_shared<Joiner>(interpreter.budget().charge(sizeof(Joiner)), separator)};
}

Value make_range_value(Interpreter& interpreter, const Arguments& arguments, const Function&) {
    const Parameters given("range", arguments, {"start", "stop", "step"}, 1);
    const bool one = !given.has(1);
    const int64_t start = one ? 0 : given.integer(0, 0), stop = given.integer(one ? 0 : 1, 0),
                  step = given.integer(2, 1);
    // Far from the ends of 64 bits, so that differences of positions always fit.
    constexpr int64_t kFar = INT64_MAX / 4;
    if (std::max({start, stop, step}) > kFar || std::min({start, stop, step}) < -kFar)
        raise_limit("range() with numbers beyond 62 bits");
    if (step == 0) raise("range() with the step 0");
    const Value range = make_range(interpreter.budget(), start, stop, step);
    if (range.object<Range>().size() > kLongestRange) raise("range() of more than {} numbers", kLongestRange);
    return range;
}

void add_pairs(Budget& budget, const Value& from, std::vector<std::pair<Value, Value>>& out) {
    refuse_undefined(from);
    if (from.is(Kind::dict)) {
        budget.step(from.dict().entries.size());
        out.insert(out.end(), from.dict().entries.begin(), from.dict().entries.end());
        return;
    }
    for (const Value& pair : iterate(budget, from)) {
        const std::vector<Value> parts = iterate(budget, pair);
        if (parts.size() != 2) raise("a dict is made of pairs, found {} values", parts.size());
        out.emplace_back(parts[0], parts[1]);
    }
}

Value make_dict_value(Interpreter& interpreter, const Arguments& arguments, const Function& self) {
    if (arguments.positional.size() > 1) raise("{}() takes at most one argument without a name", self.name);
    std::vector<std::pair<Value, Value>> entries;
    if (!arguments.positional.empty()) add_pairs(interpreter.budget(), arguments.positional[0], entries);
    for (const auto& [name, value] : arguments.named)
        entries.emplace_back(make_string(interpreter.budget(), name), value);
    return make_dict(interpreter.budget(), std::move(entries));
}

Value make_namespace_value(Interpreter& interpreter, const Arguments& arguments, const Function& self) {
    const Value entries = make_dict_value(interpreter, arguments, self);
    auto space = interpreter.make_namespace();
    for (const auto& [key, value] : entries.dict().entries)
        if (key.is_string()) space->attributes.emplace_back(key.text(), value);
    return {Kind::name_space, std::move(space)};
}

Value raise_exception(Interpreter& interpreter, const Arguments& arguments, const Function&) {
    const Parameters given("raise_exception", arguments, {"message"}, 1);
    throw TemplateError{ErrorCode::invalid_argument, text_of(interpreter.budget(), given[0])};
}

Value strftime_now(Interpreter& interpreter, const Arguments& arguments, const Function& self) {
    const Parameters given("strftime_now", arguments, {"format"}, 1);
    return make_string(interpreter.budget(), format_time(interpreter.budget(), given.text(0), self.now));
}

}  // namespace

std::string format_time(Budget& budget, std::string_view format, std::chrono::system_clock::time_point now) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    const std::tm parts = fmt::localtime(seconds);
    std::string out;
    // One directive at a time: the space that strftime needs cannot be known beforehand.
    for (size_t at = 0; at < format.size();) {
        budget.step();
        if (out.size() > budget.limits().max_output_bytes) budget.string_size(out.size());
        if (format[at] != '%') {
            out += format[at++];
            continue;
        }
        size_t end = at + 1;
        while (end < format.size() && std::string_view("-_0^#EO").find(format[end]) != std::string_view::npos) ++end;
        const std::string directive(format.substr(at, end + 1 - at));
        at = std::min(end + 1, format.size());
        if (directive == "%f") {
            const auto since =
                std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1000000;
            out += fmt::format("{:06}", since < 0 ? since + 1000000 : since);
            continue;
        }
        char buffer[256];
        // %p and similar directives may give nothing; a leading letter distinguishes that from a failure.
        const size_t bytes = std::strftime(buffer, sizeof buffer, ("x" + directive).c_str(), &parts);
        if (bytes == 0) raise("the time format '{}' gives too much text", directive);
        out.append(buffer + 1, bytes - 1);
    }
    return out;
}

std::shared_ptr<Scope> make_globals(Budget& budget, std::chrono::system_clock::time_point now) {
    auto scope = std::make_shared<Scope>(nullptr);
    const auto add = [&](std::string_view name, Function::Run run) {
        auto function = std::make_shared<Function>(budget.charge(sizeof(Function)), 1, name, run);
        function->now = now;
        scope->set(name, Value(Kind::callable, std::move(function)));
    };
    add("range", make_range_value);
    add("dict", make_dict_value);
    add("namespace", make_namespace_value);
    add("cycler", make_cycler);
    add("joiner", make_joiner);
    add("raise_exception", raise_exception);
    add("strftime_now", strftime_now);
    return scope;
}

}  // namespace atlas::jinja
