// Expressions.
#include "runtime/text/jinja/compare.h"
#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text_of.h"

namespace atlas::jinja {

std::vector<Value> Interpreter::evaluate_all(const std::vector<ExpressionPtr>& nodes) {
    std::vector<Value> values;
    values.reserve(nodes.size());
    for (const auto& node : nodes) values.push_back(evaluate(*node));
    return values;
}

Value Interpreter::evaluate(const Expression& node) {
    const Nesting nesting(budget_);
    budget_.step();
    at(node.offset_bytes);
    const auto child = [&](size_t index) { return evaluate(*node.children[index]); };
    switch (node.kind) {
        case ExpressionKind::constant:
            return node.constant;
        case ExpressionKind::name:
            return evaluate_name(node);
        case ExpressionKind::namespace_attribute:
            raise("an attribute of a namespace can only be read as an expression");
        case ExpressionKind::list:
            return make_list(budget_, evaluate_all(node.children));
        case ExpressionKind::tuple:
            return make_tuple(budget_, evaluate_all(node.children));
        case ExpressionKind::dict:
            return evaluate_dict(node);
        case ExpressionKind::attribute: {
            const Value value = child(0);
            at(node.offset_bytes);
            return get_attribute(budget_, value, node.text);
        }
        case ExpressionKind::item: {
            const Value value = child(0), key = child(1);
            at(node.offset_bytes);
            return get_item(budget_, value, key);
        }
        case ExpressionKind::slice: {
            const Value value = child(0), start = evaluate_or_none(node.children[1]),
                        stop = evaluate_or_none(node.children[2]);
            const Value step = evaluate_or_none(node.children[3]);
            at(node.offset_bytes);
            return get_slice(budget_, value, start, stop, step);
        }
        case ExpressionKind::call:
            return evaluate_call(node);
        case ExpressionKind::filter:
            return evaluate_filter(node);
        case ExpressionKind::test:
            return evaluate_test(node);
        case ExpressionKind::negate:
            return negate(child(0));
        case ExpressionKind::plus:
            return plus(child(0));
        case ExpressionKind::logical_not:
            return Value::boolean(!truth(child(0)));
        case ExpressionKind::arithmetic: {
            const Value left = child(0), right = child(1);
            at(node.offset_bytes);
            return arithmetic(budget_, node.text, left, right);
        }
        case ExpressionKind::compare:
            return Value::boolean(evaluate_compare(node));
        case ExpressionKind::concat:
            return evaluate_concat(node);
        case ExpressionKind::logical_and:
        case ExpressionKind::logical_or: {
            Value left = child(0);
            return truth(left) == (node.kind == ExpressionKind::logical_or) ? left : child(1);
        }
        case ExpressionKind::conditional:
            return evaluate_conditional(node);
    }
    return {};
}

Value Interpreter::evaluate_name(const Expression& node) {
    const Value* found = scope_->find(node.text);
    return found != nullptr ? *found : make_undefined(fmt::format("'{}' is undefined", node.text));
}

Value Interpreter::evaluate_dict(const Expression& node) {
    std::vector<std::pair<Value, Value>> entries;
    for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
        Value key = evaluate(*node.children[i]);
        entries.emplace_back(std::move(key), evaluate(*node.children[i + 1]));
    }
    at(node.offset_bytes);
    return make_dict(budget_, std::move(entries));
}

Arguments Interpreter::evaluate_arguments(const CallArguments& arguments) {
    Arguments result;
    result.positional = evaluate_all(arguments.positional);
    for (const auto& [name, node] : arguments.named) result.named.emplace_back(name, evaluate(*node));
    if (arguments.spread_positional)
        for (Value& value : iterate(budget_, evaluate(*arguments.spread_positional)))
            result.positional.push_back(std::move(value));
    if (arguments.spread_named) {
        const Value more = evaluate(*arguments.spread_named);
        refuse_undefined(more);
        if (!more.is(Kind::dict)) raise("'**' needs a dict, found {}", type_name(more));
        for (const auto& [key, value] : more.dict().entries) {
            if (!key.is_string()) raise("'**' needs texts as keys");
            result.named.emplace_back(key.text(), value);
        }
    }
    return result;
}

Value Interpreter::evaluate_call(const Expression& node) {
    const Value function = evaluate(*node.children[0]);
    Arguments arguments = evaluate_arguments(node.arguments);
    at(node.offset_bytes);
    return call(function, std::move(arguments));
}

Value Interpreter::evaluate_filter(const Expression& node) {
    const Value value = evaluate(*node.children[0]);
    const Arguments arguments = evaluate_arguments(node.arguments);
    at(node.offset_bytes);
    return filter(node.text, value, arguments);
}

Value Interpreter::evaluate_test(const Expression& node) {
    const Value value = evaluate(*node.children[0]);
    const Arguments arguments = evaluate_arguments(node.arguments);
    at(node.offset_bytes);
    return Value::boolean(test(node.text, value, arguments));
}

Value Interpreter::evaluate_concat(const Expression& node) {
    std::string text;
    for (const auto& child : node.children) append_text(budget_, text, evaluate(*child));
    return make_string(budget_, std::move(text));
}

Value Interpreter::evaluate_conditional(const Expression& node) {
    if (truth(evaluate(*node.children[0]))) return evaluate(*node.children[1]);
    if (node.children[2]) return evaluate(*node.children[2]);
    return make_undefined("the condition of this 'if' without an 'else' is false");
}

bool Interpreter::compare(std::string_view symbol, const Value& left, const Value& right) {
    if (symbol == "==") return equal(budget_, left, right);
    if (symbol == "!=") return !equal(budget_, left, right);
    if (symbol == "in") return contains(budget_, right, left);
    if (symbol == "not in") return !contains(budget_, right, left);
    if (!ordered(left, right)) return false;
    const int sign = order(budget_, left, right, symbol);
    if (symbol == "<") return sign < 0;
    if (symbol == "<=") return sign <= 0;
    return symbol == ">" ? sign > 0 : sign >= 0;
}

// a < b < c means a < b and b < c, with b evaluated once.
bool Interpreter::evaluate_compare(const Expression& node) {
    Value left = evaluate(*node.children[0]);
    for (size_t i = 0; i < node.operators.size(); ++i) {
        Value right = evaluate(*node.children[i + 1]);
        at(node.offset_bytes);
        if (!compare(node.operators[i], left, right)) return false;
        left = std::move(right);
    }
    return true;
}

Value Interpreter::call(const Value& function, Arguments arguments) {
    const Nesting nesting(budget_);
    budget_.step();
    refuse_undefined(function);
    if (!function.is(Kind::callable) && !function.is(Kind::loop))
        raise("a value of type {} cannot be called", type_name(function));
    return function.object<Callable>().call(*this, std::move(arguments));
}

}  // namespace atlas::jinja
