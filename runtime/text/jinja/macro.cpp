// Macros and call blocks.
#include <algorithm>

#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/methods.h"
#include "runtime/text/jinja/text_of.h"

namespace atlas::jinja {
namespace {

struct Macro : Callable {
    Macro(Charge bytes, const Statement& what, std::shared_ptr<Scope> where)
        : Callable(std::move(bytes)), statement(what), scope(std::move(where)) {}
    Value call(Interpreter& interpreter, Arguments arguments) const override {
        return interpreter.call_macro(statement, scope, std::move(arguments));
    }
    std::string describe() const override { return fmt::format("<Macro '{}'>", statement.signature.name); }
    bool attribute(Budget& budget, std::string_view name, const Value&, Value& out) const override {
        const Signature& signature = statement.signature;
        if (name == "name") {
            out = make_string(budget, signature.name);
        } else if (name == "arguments") {
            std::vector<Value> names;
            for (const std::string& parameter : signature.parameters) names.push_back(make_string(budget, parameter));
            out = make_tuple(budget, std::move(names));
        } else if (name == "catch_kwargs" || name == "catch_varargs" || name == "caller") {
            out = Value::boolean(name == "caller"         ? signature.uses_caller
                                 : name == "catch_kwargs" ? signature.uses_kwargs
                                                          : signature.uses_varargs);
        } else {
            return false;
        }
        return true;
    }

    const Statement& statement;
    std::shared_ptr<Scope> scope;  // where it was written; kept by the interpreter until the end
};

// Takes the argument of this name out of the named ones; false when there is none.
bool take_named(Arguments& arguments, std::string_view name, Value& out) {
    const auto found = std::ranges::find_if(arguments.named, [&](const auto& entry) { return entry.first == name; });
    if (found == arguments.named.end()) return false;
    out = std::move(found->second);
    arguments.named.erase(found);
    return true;
}

}  // namespace

Value Interpreter::make_macro(const Statement& statement) {
    keep(scope_);
    return {Kind::callable, std::make_shared<Macro>(budget_.charge(sizeof(Macro)), statement, scope_)};
}

void Interpreter::run_macro(const Statement& statement) {
    scope_->set(statement.signature.name, make_macro(statement));
}

void Interpreter::run_call_block(const Statement& statement, std::string& out) {
    const Expression& call_node = *statement.expressions[0];
    const Value function = evaluate(*call_node.children[0]);
    Arguments arguments = evaluate_arguments(call_node.arguments);
    arguments.named.emplace_back("caller", make_macro(statement));
    at(call_node.offset_bytes);
    put(out, call(function, std::move(arguments)));
}

// Parameters get their values in the current scope, in order: a default may use the parameters before it.
void Interpreter::bind_parameters(const Signature& signature, Arguments& arguments) {
    const size_t given = std::min(arguments.positional.size(), signature.parameters.size());
    const size_t first_default = signature.parameters.size() - signature.defaults.size();
    std::vector<std::pair<size_t, Value>> named;
    for (size_t i = given; i < signature.parameters.size(); ++i)
        if (Value value; take_named(arguments, signature.parameters[i], value)) named.emplace_back(i, std::move(value));
    for (size_t i = 0; i < signature.parameters.size(); ++i) {
        const std::string& name = signature.parameters[i];
        const auto by_name = std::ranges::find_if(named, [&](const auto& entry) { return entry.first == i; });
        if (i < given) {
            scope_->set(name, arguments.positional[i]);
        } else if (by_name != named.end()) {
            scope_->set(name, by_name->second);
        } else if (i >= first_default) {
            scope_->set(name, evaluate(*signature.defaults[i - first_default]));
        } else {
            scope_->set(name, make_undefined(fmt::format("the parameter '{}' was not given", name)));
        }
    }
}

Value Interpreter::call_macro(const Statement& macro, const std::shared_ptr<Scope>& scope, Arguments arguments) {
    const Signature& signature = macro.signature;
    const std::shared_ptr<Scope> before = scope_;
    scope_ = std::make_shared<Scope>(scope);
    try {
        bind_parameters(signature, arguments);
        const bool own_caller = std::ranges::find(signature.parameters, "caller") != signature.parameters.end();
        if (signature.uses_caller && !own_caller) {
            Value caller = make_undefined("this macro was not called by a call block");
            take_named(arguments, "caller", caller);
            scope_->set("caller", caller);
        }
        if (signature.uses_kwargs) {
            std::vector<std::pair<Value, Value>> rest;
            for (auto& [name, value] : arguments.named) rest.emplace_back(make_string(budget_, name), std::move(value));
            scope_->set("kwargs", make_dict(budget_, std::move(rest)));
        } else if (!arguments.named.empty()) {
            raise("the macro '{}' has no parameter '{}'", signature.name, arguments.named[0].first);
        }
        const size_t taken = std::min(arguments.positional.size(), signature.parameters.size());
        std::vector<Value> rest(arguments.positional.begin() + static_cast<std::ptrdiff_t>(taken),
                                arguments.positional.end());
        if (signature.uses_varargs) {
            scope_->set("varargs", make_tuple(budget_, std::move(rest)));
        } else if (!rest.empty()) {
            raise("the macro '{}' takes at most {} arguments, found {}", signature.name, signature.parameters.size(),
                  arguments.positional.size());
        }
        std::string out;
        run(macro.bodies[0], out);
        scope_ = before;
        return make_string(budget_, std::move(out));
    } catch (...) {
        scope_ = before;
        throw;
    }
}

}  // namespace atlas::jinja
