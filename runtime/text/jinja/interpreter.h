#pragma once
// Walks a parsed template and writes its text.

#include <memory>
#include <string>
#include <vector>

#include "runtime/text/jinja/ast.h"
#include "runtime/text/jinja/scope.h"

namespace atlas::jinja {

/// One rendering. Lives shorter than its budget and the tree it walks.
class Interpreter {
  public:
    Interpreter(Budget& budget, std::shared_ptr<Scope> globals);
    /// Frees everything without deep recursion, also values in reference cycles.
    ~Interpreter();
    Interpreter(const Interpreter&) = delete;
    Interpreter& operator=(const Interpreter&) = delete;

    /// Throws TemplateError; where() then says which part of the source failed.
    std::string render(const Block& block);
    uint32_t where() const { return offset_bytes_; }

    Budget& budget() { return budget_; }
    /// Calls a function, macro or method; throws for values that cannot be called.
    Value call(const Value& function, Arguments arguments);
    Value filter(std::string_view name, const Value& value, const Arguments& arguments);
    bool test(std::string_view name, const Value& value, const Arguments& arguments);
    /// A new empty namespace, kept until the end.
    std::shared_ptr<const Namespace> make_namespace();
    /// An empty list that may come to hold its own owner; emptied at the end.
    std::shared_ptr<std::vector<Value>> make_kept_values();

    // For loops and macros, which are called as functions.
    std::string render_loop(const Statement& loop, const std::shared_ptr<Scope>& scope, std::vector<Value> items,
                            int depth0);
    Value call_macro(const Statement& macro, const std::shared_ptr<Scope>& scope, Arguments arguments);

  private:
    enum class Flow : uint8_t { normal, loop_break, loop_continue };
    class InnerScope;

    // execute.cpp
    Flow run(const Block& block, std::string& out);
    Flow run(const Statement& statement, std::string& out);
    Flow run_condition(const Statement& statement, std::string& out);
    void run_loop(const Statement& statement, std::string& out);
    void loop_over(const Statement& statement, std::vector<Value> items, int depth0, std::string& out);
    std::vector<Value> filtered(const Statement& statement, std::vector<Value> items);
    void run_assign_block(const Statement& statement, std::string& out);
    void run_with(const Statement& statement, std::string& out);
    void run_macro(const Statement& statement);
    void run_call_block(const Statement& statement, std::string& out);
    void run_filter_block(const Statement& statement, std::string& out);
    std::string captured(const Block& block);
    Value through_filters(const Expression& filters, const Value& value);
    void assign(const Expression& target, const Value& value);
    void put(std::string& out, const Value& value);
    Value make_macro(const Statement& statement);
    void keep(const std::shared_ptr<Scope>& scope);
    void bind_parameters(const Signature& signature, Arguments& arguments);

    // evaluate.cpp
    Value evaluate(const Expression& node);
    Value evaluate_or_none(const ExpressionPtr& node) { return node == nullptr ? Value{} : evaluate(*node); }
    std::vector<Value> evaluate_all(const std::vector<ExpressionPtr>& nodes);
    Value evaluate_name(const Expression& node);
    Value evaluate_dict(const Expression& node);
    Value evaluate_call(const Expression& node);
    Value evaluate_filter(const Expression& node);
    Value evaluate_test(const Expression& node);
    Value evaluate_concat(const Expression& node);
    Value evaluate_conditional(const Expression& node);
    bool compare(std::string_view symbol, const Value& left, const Value& right);
    bool evaluate_compare(const Expression& node);
    Arguments evaluate_arguments(const CallArguments& arguments);
    void at(uint32_t offset_bytes) { offset_bytes_ = offset_bytes; }

    Budget& budget_;
    std::shared_ptr<Scope> scope_;
    uint32_t offset_bytes_ = 0;
    std::vector<std::shared_ptr<Scope>> kept_scopes_;
    std::vector<std::shared_ptr<Namespace>> kept_namespaces_;
    std::vector<std::shared_ptr<std::vector<Value>>> kept_values_;
};

}  // namespace atlas::jinja
