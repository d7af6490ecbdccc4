#pragma once
// From tokens to trees: recursive descent over jinja2's grammar. Used only by parse_template.

#include <initializer_list>
#include <string_view>
#include <vector>

#include "runtime/text/jinja/ast.h"
#include "runtime/text/jinja/token.h"

namespace atlas::jinja {

class Parser {
  public:
    Parser(std::string_view source, Budget& budget);
    Block run();

  private:
    // Tokens.
    const Token& current() const { return tokens_[at_]; }
    const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
    Token next() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_[at_]; }
    bool skip(std::string_view symbol);
    bool skip_name(std::string_view word);
    void expect(std::string_view symbol);
    void expect_name(std::string_view word);
    std::string expect_any_name(std::string_view what);
    void expect_kind(TokenKind kind, std::string_view what);
    [[noreturn]] void fail_at(const Token& token, std::string_view what) const;
    [[noreturn]] void fail_expected(std::string_view what) const;

    // Expressions (parse_expression.cpp).
    ExpressionPtr make(ExpressionKind kind, const Token& token) const;
    ExpressionPtr finish(ExpressionPtr node) const;  // sets and checks the depth
    ExpressionPtr expression();
    ExpressionPtr binary(int level);
    ExpressionPtr logical_not();
    ExpressionPtr comparison();
    ExpressionPtr concatenation();
    ExpressionPtr unary(bool with_filters);
    ExpressionPtr primary(bool with_namespace);
    ExpressionPtr number(const Token& token) const;
    ExpressionPtr tuple(bool simple, bool with_condition, bool explicit_brackets, bool with_namespace,
                        std::initializer_list<std::string_view> ends = {});
    bool at_tuple_end(std::initializer_list<std::string_view> ends) const;
    ExpressionPtr list();
    ExpressionPtr dict();
    ExpressionPtr postfix(ExpressionPtr node);
    ExpressionPtr filters_and_tests(ExpressionPtr node);
    ExpressionPtr subscript(ExpressionPtr node);
    ExpressionPtr in_brackets(ExpressionPtr node, const Token& bracket);
    ExpressionPtr call(ExpressionPtr node);
    CallArguments call_arguments();
    ExpressionPtr filters(ExpressionPtr node, bool first_named);
    ExpressionPtr test(ExpressionPtr node);
    ExpressionPtr target(bool with_tuple, bool with_namespace, std::initializer_list<std::string_view> ends = {});
    void check_target(const Expression& node, const Token& token) const;
    std::string dotted_name(std::string_view what);

    // Statements (parse_statement.cpp).
    Block block(std::initializer_list<std::string_view> ends);
    void finish_block_tag() { expect_kind(TokenKind::block_end, "the end of the tag '%}'"); }
    Block body_until(std::string_view end);
    void statement(Block& out);
    std::unique_ptr<Statement> loop(const Token& token);
    std::unique_ptr<Statement> condition(const Token& token);
    std::unique_ptr<Statement> assignment(const Token& token);
    std::unique_ptr<Statement> with(const Token& token);
    std::unique_ptr<Statement> macro(const Token& token);
    std::unique_ptr<Statement> call_block(const Token& token);
    std::unique_ptr<Statement> filter_block(const Token& token);
    std::unique_ptr<Statement> loop_control(const Token& token);
    std::unique_ptr<Statement> make_statement(StatementKind kind, const Token& token) const;
    void signature(Signature& out);

    std::string_view source_;
    Budget& budget_;
    std::vector<Token> tokens_;
    size_t at_ = 0;
    int loops_ = 0;                   // for loops around, inside of the innermost macro
    std::vector<Signature*> macros_;  // macros around, which learn here that caller, varargs, kwargs are used
};

}  // namespace atlas::jinja
