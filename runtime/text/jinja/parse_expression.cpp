#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/parser.h"

namespace atlas::jinja {
namespace {

// Binary operators that group to the left, from the loosest to the tightest. Level 2 is `not`, 3 comparisons, 5 the
// tilde: they have functions of their own.
constexpr int kOr = 0, kAnd = 1, kNot = 2, kSum = 4, kConcat = 5, kProduct = 6, kPower = 7, kUnary = 8;

bool at_operator(int level, const Token& token) {
    switch (level) {
        case kOr:
            return token.is_name("or");
        case kAnd:
            return token.is_name("and");
        case kSum:
            return token.is("+") || token.is("-");
        case kProduct:
            return token.is("*") || token.is("/") || token.is("//") || token.is("%");
        case kPower:
            return token.is("**");
        default:
            return false;
    }
}

bool is_comparison(const Token& token) {
    return token.is("==") || token.is("!=") || token.is("<") || token.is("<=") || token.is(">") || token.is(">=");
}

int depth_of(const ExpressionPtr& node) { return node == nullptr ? 0 : node->depth; }

}  // namespace

ExpressionPtr Parser::make(ExpressionKind kind, const Token& token) const {
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->offset_bytes = token.offset_bytes;
    return node;
}

ExpressionPtr Parser::finish(ExpressionPtr node) const {
    int depth = std::max(depth_of(node->arguments.spread_positional), depth_of(node->arguments.spread_named));
    for (const auto& child : node->children) depth = std::max(depth, depth_of(child));
    for (const auto& child : node->arguments.positional) depth = std::max(depth, depth_of(child));
    for (const auto& [name, child] : node->arguments.named) depth = std::max(depth, depth_of(child));
    node->depth = depth + 1;
    if (node->depth > budget_.limits().max_depth)
        raise_limit("{}: expressions are nested deeper than {} levels", describe_position(source_, node->offset_bytes),
                    budget_.limits().max_depth);
    return node;
}

ExpressionPtr Parser::expression() {
    const Nesting nesting(budget_);
    ExpressionPtr node = binary(kOr);
    while (current().is_name("if")) {
        auto condition = make(ExpressionKind::conditional, next());
        condition->children.push_back(binary(kOr));
        condition->children.push_back(std::move(node));
        condition->children.push_back(skip_name("else") ? expression() : nullptr);
        node = finish(std::move(condition));
    }
    return node;
}

ExpressionPtr Parser::binary(int level) {
    const auto tighter = [&] {
        if (level + 1 == kNot) return logical_not();
        if (level + 1 == kConcat) return concatenation();
        return level + 1 == kUnary ? unary(true) : binary(level + 1);
    };
    ExpressionPtr left = tighter();
    while (at_operator(level, current())) {
        const Token token = next();
        auto node = make(level == kOr    ? ExpressionKind::logical_or
                         : level == kAnd ? ExpressionKind::logical_and
                                         : ExpressionKind::arithmetic,
                         token);
        node->text = token.text;
        node->children.push_back(std::move(left));
        node->children.push_back(tighter());
        left = finish(std::move(node));
    }
    return left;
}

ExpressionPtr Parser::logical_not() {
    if (!current().is_name("not")) return comparison();
    const Nesting nesting(budget_);
    auto node = make(ExpressionKind::logical_not, next());
    node->children.push_back(logical_not());
    return finish(std::move(node));
}

ExpressionPtr Parser::comparison() {
    ExpressionPtr first = binary(kSum);
    ExpressionPtr node;
    while (true) {
        const bool negated = current().is_name("not") && look().is_name("in");
        if (!negated && !current().is_name("in") && !is_comparison(current())) break;
        if (node == nullptr) {
            node = make(ExpressionKind::compare, current());
            node->children.push_back(std::move(first));
        }
        const Token token = next();
        if (negated) next();
        node->operators.push_back(negated ? "not in" : token.text);
        node->children.push_back(binary(kSum));
    }
    return node == nullptr ? std::move(first) : finish(std::move(node));
}

ExpressionPtr Parser::concatenation() {
    ExpressionPtr first = binary(kProduct);
    if (!current().is("~")) return first;
    auto node = make(ExpressionKind::concat, current());
    node->children.push_back(std::move(first));
    while (skip("~")) node->children.push_back(binary(kProduct));
    return finish(std::move(node));
}

ExpressionPtr Parser::unary(bool with_filters) {
    ExpressionPtr node;
    if (current().is("-") || current().is("+")) {
        const Nesting nesting(budget_);
        node = make(current().is("-") ? ExpressionKind::negate : ExpressionKind::plus, current());
        next();
        node->children.push_back(unary(false));
        node = finish(std::move(node));
    } else {
        node = primary(false);
    }
    node = postfix(std::move(node));
    return with_filters ? filters_and_tests(std::move(node)) : std::move(node);
}

ExpressionPtr Parser::number(const Token& token) const {
    auto node = make(ExpressionKind::constant, token);
    if (token.kind == TokenKind::real) {
        node->constant = Value::real(std::strtod(token.text.c_str(), nullptr));
        return node;
    }
    const bool prefixed = token.text.size() > 2 && token.text[0] == '0' && token.text[1] > '9';
    const char letter = prefixed ? static_cast<char>(token.text[1] | 0x20) : 'd';
    const int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
    int64_t value = 0;
    const char* end = token.text.data() + token.text.size();
    const auto result = std::from_chars(token.text.data() + (prefixed ? 2 : 0), end, value, base);
    if (result.ec != std::errc() || result.ptr != end) fail_at(token, "integers beyond 64 bits are not supported");
    node->constant = Value::integer(value);
    return node;
}

ExpressionPtr Parser::primary(bool with_namespace) {
    if (current().kind == TokenKind::name) {
        const Token token = next();
        const std::string& word = token.text;
        auto node = make(ExpressionKind::constant, token);
        if (word == "true" || word == "True" || word == "false" || word == "False") {
            node->constant = Value::boolean(word[0] == 't' || word[0] == 'T');
        } else if (word != "none" && word != "None") {
            node->kind = ExpressionKind::name;
            node->text = word;
            for (Signature* macro : macros_) {
                macro->uses_caller = macro->uses_caller || word == "caller";
                macro->uses_varargs = macro->uses_varargs || word == "varargs";
                macro->uses_kwargs = macro->uses_kwargs || word == "kwargs";
            }
            if (with_namespace && skip(".")) {
                node->kind = ExpressionKind::namespace_attribute;
                node->attribute = expect_any_name("the name of an attribute");
            }
        }
        return node;
    }
    if (current().kind == TokenKind::string) {
        auto node = make(ExpressionKind::constant, current());
        std::string text;
        while (current().kind == TokenKind::string) text += next().text;
        node->constant = Value(Kind::string, std::make_shared<Text>(Charge{}, std::move(text), false));
        return node;
    }
    if (current().kind == TokenKind::integer || current().kind == TokenKind::real) return number(next());
    if (skip("(")) {
        ExpressionPtr node = tuple(false, true, true, false);
        expect(")");
        return node;
    }
    if (current().is("[")) return list();
    if (current().is("{")) return dict();
    fail_expected("an expression");
}

bool Parser::at_tuple_end(std::initializer_list<std::string_view> ends) const {
    const Token& token = current();
    if (token.kind == TokenKind::variable_end || token.kind == TokenKind::block_end || token.is(")")) return true;
    return token.kind == TokenKind::name && std::ranges::find(ends, token.text) != ends.end();
}

ExpressionPtr Parser::tuple(bool simple, bool with_condition, bool explicit_brackets, bool with_namespace,
                            std::initializer_list<std::string_view> ends) {
    const Nesting nesting(budget_);
    auto node = make(ExpressionKind::tuple, current());
    bool is_tuple = false;
    while (true) {
        if (!node->children.empty()) expect(",");
        if (at_tuple_end(ends)) break;
        node->children.push_back(simple ? primary(with_namespace) : with_condition ? expression() : binary(kOr));
        if (!current().is(",")) break;
        is_tuple = true;
    }
    if (!is_tuple && !node->children.empty()) return std::move(node->children[0]);
    if (!is_tuple && !explicit_brackets) fail_expected("an expression");
    return finish(std::move(node));
}

ExpressionPtr Parser::list() {
    auto node = make(ExpressionKind::list, next());
    while (!current().is("]")) {
        if (!node->children.empty()) expect(",");
        if (current().is("]")) break;
        node->children.push_back(expression());
    }
    expect("]");
    return finish(std::move(node));
}

ExpressionPtr Parser::dict() {
    auto node = make(ExpressionKind::dict, next());
    while (!current().is("}")) {
        if (!node->children.empty()) expect(",");
        if (current().is("}")) break;
        node->children.push_back(expression());
        expect(":");
        node->children.push_back(expression());
    }
    expect("}");
    return finish(std::move(node));
}

ExpressionPtr Parser::target(bool with_tuple, bool with_namespace, std::initializer_list<std::string_view> ends) {
    const Token token = current();
    ExpressionPtr node = with_tuple ? tuple(true, true, false, with_namespace, ends) : primary(with_namespace);
    check_target(*node, token);
    return node;
}

void Parser::check_target(const Expression& node, const Token& token) const {
    if (node.kind == ExpressionKind::tuple) {
        for (const auto& child : node.children) check_target(*child, token);
        return;
    }
    if (node.kind != ExpressionKind::name && node.kind != ExpressionKind::namespace_attribute)
        fail_at(token, "only names can be assigned to");
}

}  // namespace atlas::jinja
