// Statements.
#include <algorithm>

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/loop.h"
#include "runtime/text/jinja/text_of.h"

namespace atlas::jinja {

/// A scope inside of `outer` for the life of this object.
class Interpreter::InnerScope {
  public:
    InnerScope(Interpreter& interpreter, std::shared_ptr<Scope> outer)
        : interpreter_(interpreter), before_(interpreter.scope_) {
        interpreter.scope_ = std::make_shared<Scope>(std::move(outer));
    }
    explicit InnerScope(Interpreter& interpreter) : InnerScope(interpreter, interpreter.scope_) {}
    ~InnerScope() { interpreter_.scope_ = std::move(before_); }
    InnerScope(const InnerScope&) = delete;
    InnerScope& operator=(const InnerScope&) = delete;

  private:
    Interpreter& interpreter_;
    std::shared_ptr<Scope> before_;
};

Interpreter::Interpreter(Budget& budget, std::shared_ptr<Scope> globals) : budget_(budget), scope_(std::move(globals)) {
    keep(scope_);
}

Interpreter::~Interpreter() {
    // Every scope and namespace is still held here, so dropping their contents one by one frees no chain of them.
    for (const auto& scope : kept_scopes_) scope->variables.clear();
    for (const auto& space : kept_namespaces_) space->attributes.clear();
    for (const auto& values : kept_values_) values->clear();
    // Parents last: no scope is freed by the end of another.
    scope_.reset();
    while (!kept_scopes_.empty()) kept_scopes_.pop_back();
}

std::string Interpreter::render(const Block& block) {
    std::string out;
    scope_ = std::make_shared<Scope>(scope_);
    run(block, out);
    return out;
}

void Interpreter::put(std::string& out, const Value& value) { append_text(budget_, out, value); }

Interpreter::Flow Interpreter::run(const Block& block, std::string& out) {
    const Nesting nesting(budget_);
    for (const auto& statement : block)
        if (const Flow flow = run(*statement, out); flow != Flow::normal) return flow;
    return Flow::normal;
}

Interpreter::Flow Interpreter::run(const Statement& statement, std::string& out) {
    budget_.step();
    at(statement.offset_bytes);
    switch (statement.kind) {
        case StatementKind::data:
            budget_.string_size(out.size() + statement.text.size() > budget_.limits().max_output_bytes
                                    ? out.size() + statement.text.size()
                                    : statement.text.size());
            out += statement.text;
            break;
        case StatementKind::output:
            put(out, evaluate(*statement.expressions[0]));
            break;
        case StatementKind::condition:
            return run_condition(statement, out);
        case StatementKind::loop:
            run_loop(statement, out);
            break;
        case StatementKind::assign:
            assign(*statement.expressions[0], evaluate(*statement.expressions[1]));
            break;
        case StatementKind::assign_block:
            run_assign_block(statement, out);
            break;
        case StatementKind::with:
            run_with(statement, out);
            break;
        case StatementKind::macro:
            run_macro(statement);
            break;
        case StatementKind::call_block:
            run_call_block(statement, out);
            break;
        case StatementKind::filter_block:
            run_filter_block(statement, out);
            break;
        case StatementKind::scope: {
            const InnerScope inner(*this);
            run(statement.bodies[0], out);
            break;
        }
        case StatementKind::loop_break:
            return Flow::loop_break;
        case StatementKind::loop_continue:
            return Flow::loop_continue;
    }
    return Flow::normal;
}

Interpreter::Flow Interpreter::run_condition(const Statement& statement, std::string& out) {
    for (size_t i = 0; i < statement.bodies.size(); ++i)
        if (i == statement.expressions.size() || truth(evaluate(*statement.expressions[i])))
            return run(statement.bodies[i], out);
    return Flow::normal;
}

void Interpreter::run_loop(const Statement& statement, std::string& out) {
    const Value values = evaluate(*statement.expressions[1]);
    at(statement.expressions[1]->offset_bytes);
    loop_over(statement, iterate(budget_, values), 0, out);
}

// The items that pass the loop's `if`.
std::vector<Value> Interpreter::filtered(const Statement& statement, std::vector<Value> items) {
    if (statement.expressions[2] == nullptr) return items;
    std::vector<Value> passing;
    for (Value& item : items) {
        const InnerScope inner(*this);
        assign(*statement.expressions[0], item);
        if (truth(evaluate(*statement.expressions[2]))) passing.push_back(std::move(item));
    }
    return passing;
}

void Interpreter::loop_over(const Statement& statement, std::vector<Value> items, int depth0, std::string& out) {
    items = filtered(statement, std::move(items));
    const int nesting = nesting_of(budget_, items);
    Charge charge = budget_.charge(sizeof(Loop) + items.capacity() * sizeof(Value));
    const auto loop = std::make_shared<Loop>(std::move(charge), nesting, std::move(items), statement,
                                             statement.recursive ? scope_ : nullptr, depth0);
    if (statement.recursive) keep(scope_);  // loop(...) may be called from anywhere later
    for (size_t i = 0; i < loop->items.size(); ++i) {
        budget_.step();
        const InnerScope inner(*this);
        loop->index0 = i;
        scope_->set("loop", Value(Kind::loop, loop));
        assign(*statement.expressions[0], loop->items[i]);
        if (run(statement.bodies[0], out) == Flow::loop_break) break;
    }
    if (!loop->items.empty()) return;
    const InnerScope inner(*this);
    run(statement.bodies[1], out);
}

std::string Interpreter::render_loop(const Statement& loop, const std::shared_ptr<Scope>& scope,
                                     std::vector<Value> items, int depth0) {
    const InnerScope inner(*this, scope);
    std::string out;
    loop_over(loop, std::move(items), depth0, out);
    return out;
}

std::string Interpreter::captured(const Block& block) {
    std::string out;
    const InnerScope inner(*this);
    run(block, out);
    return out;
}

// The filters of a block: the innermost has no input of its own and gets `value`.
Value Interpreter::through_filters(const Expression& filters, const Value& value) {
    const Nesting nesting(budget_);
    const Value input = filters.children[0] == nullptr ? value : through_filters(*filters.children[0], value);
    const Arguments arguments = evaluate_arguments(filters.arguments);
    at(filters.offset_bytes);
    return filter(filters.text, input, arguments);
}

void Interpreter::run_assign_block(const Statement& statement, std::string&) {
    Value value = make_string(budget_, captured(statement.bodies[0]));
    if (statement.expressions[1]) value = through_filters(*statement.expressions[1], value);
    assign(*statement.expressions[0], value);
}

void Interpreter::run_filter_block(const Statement& statement, std::string& out) {
    const Value text = make_string(budget_, captured(statement.bodies[0]));
    put(out, through_filters(*statement.expressions[0], text));
}

void Interpreter::run_with(const Statement& statement, std::string& out) {
    // All values are evaluated outside, before the first name is set.
    std::vector<Value> values;
    for (size_t i = 1; i < statement.expressions.size(); i += 2) values.push_back(evaluate(*statement.expressions[i]));
    const InnerScope inner(*this);
    for (size_t i = 0; i < values.size(); ++i) assign(*statement.expressions[2 * i], values[i]);
    run(statement.bodies[0], out);
}

void Interpreter::assign(const Expression& target, const Value& value) {
    at(target.offset_bytes);
    if (target.kind == ExpressionKind::name) return scope_->set(target.text, value);
    if (target.kind == ExpressionKind::namespace_attribute) {
        const Value* space = scope_->find(target.text);
        if (space == nullptr || !space->is(Kind::name_space))
            raise("'{}' is no namespace, so its attribute '{}' cannot be set", target.text, target.attribute);
        auto& attributes = space->object<Namespace>().attributes;
        const auto present =
            std::ranges::find_if(attributes, [&](const auto& entry) { return entry.first == target.attribute; });
        if (present != attributes.end()) {
            present->second = value;
        } else {
            attributes.emplace_back(target.attribute, value);
        }
        return;
    }
    const std::vector<Value> items = iterate(budget_, value);
    if (items.size() != target.children.size())
        raise("{} values cannot be unpacked into {} names", items.size(), target.children.size());
    for (size_t i = 0; i < items.size(); ++i) assign(*target.children[i], items[i]);
}

void Interpreter::keep(const std::shared_ptr<Scope>& scope) {
    for (std::shared_ptr<Scope> s = scope; s != nullptr && !s->kept; s = s->parent) {
        // Kept scopes live until the end; this bounds how many there can be.
        constexpr size_t kScopeBytes = 256;
        budget_.charge_for_good(kScopeBytes);
        s->kept = true;
        kept_scopes_.push_back(s);
    }
}

std::shared_ptr<std::vector<Value>> Interpreter::make_kept_values() {
    constexpr size_t kListBytes = 256;
    budget_.charge_for_good(kListBytes);
    kept_values_.push_back(std::make_shared<std::vector<Value>>());
    return kept_values_.back();
}

std::shared_ptr<const Namespace> Interpreter::make_namespace() {
    constexpr size_t kNamespaceBytes = 256;
    budget_.charge_for_good(kNamespaceBytes);
    kept_namespaces_.push_back(std::make_shared<Namespace>(Charge{}));
    return kept_namespaces_.back();
}

}  // namespace atlas::jinja
