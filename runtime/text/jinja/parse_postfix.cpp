// What follows an expression: attributes, items, calls, filters, tests.
#include <algorithm>
#include <charconv>

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/parser.h"

namespace atlas::jinja {

ExpressionPtr Parser::postfix(ExpressionPtr node) {
    while (true) {
        if (current().is(".") || current().is("[")) {
            node = subscript(std::move(node));
        } else if (current().is("(")) {
            node = call(std::move(node));
        } else {
            return node;
        }
    }
}

ExpressionPtr Parser::filters_and_tests(ExpressionPtr node) {
    while (true) {
        if (current().is("|")) {
            node = filters(std::move(node), false);
        } else if (current().is_name("is")) {
            node = test(std::move(node));
        } else if (current().is("(")) {
            node = call(std::move(node));
        } else {
            return node;
        }
    }
}

ExpressionPtr Parser::subscript(ExpressionPtr node) {
    const Token token = next();
    if (token.is("[")) return in_brackets(std::move(node), token);
    const Token name = next();
    if (name.kind == TokenKind::name) {
        auto attribute = make(ExpressionKind::attribute, name);
        attribute->text = name.text;
        attribute->children.push_back(std::move(node));
        return finish(std::move(attribute));
    }
    if (name.kind != TokenKind::integer) fail_at(name, "expected a name or a number after the dot");
    auto item = make(ExpressionKind::item, name);
    item->children.push_back(std::move(node));
    item->children.push_back(number(name));
    return finish(std::move(item));
}

ExpressionPtr Parser::in_brackets(ExpressionPtr node, const Token& bracket) {
    const auto ends_part = [&] { return current().is("]") || current().is(",") || current().is(":"); };
    ExpressionPtr start;
    // x[] looks up the empty tuple: odd, but jinja2 takes it.
    if (current().is("]")) start = finish(make(ExpressionKind::tuple, bracket));
    if (start == nullptr && !current().is(":")) start = expression();
    if (current().is(":")) {
        auto slice = make(ExpressionKind::slice, bracket);
        slice->children.push_back(std::move(node));
        slice->children.push_back(std::move(start));
        for (int part = 0; part < 2; ++part)
            slice->children.push_back(skip(":") && !ends_part() ? expression() : nullptr);
        expect("]");
        return finish(std::move(slice));
    }
    auto item = make(ExpressionKind::item, bracket);
    item->children.push_back(std::move(node));
    if (current().is(",")) {
        auto keys = make(ExpressionKind::tuple, bracket);
        keys->children.push_back(std::move(start));
        while (skip(",")) keys->children.push_back(expression());
        start = finish(std::move(keys));
    }
    item->children.push_back(std::move(start));
    expect("]");
    return finish(std::move(item));
}

ExpressionPtr Parser::call(ExpressionPtr node) {
    auto result = make(ExpressionKind::call, current());
    result->children.push_back(std::move(node));
    result->arguments = call_arguments();
    return finish(std::move(result));
}

CallArguments Parser::call_arguments() {
    expect("(");
    CallArguments arguments;
    bool comma = false;
    while (!current().is(")")) {
        if (comma) expect(",");
        if (comma && current().is(")")) break;
        comma = true;
        const Token token = current();
        if (skip("*")) {
            if (arguments.spread_positional || arguments.spread_named)
                fail_at(token, "only one '*' argument, before '**'");
            arguments.spread_positional = expression();
        } else if (skip("**")) {
            if (arguments.spread_named) fail_at(token, "only one '**' argument");
            arguments.spread_named = expression();
        } else if (token.kind == TokenKind::name && look().is("=")) {
            if (arguments.spread_named) fail_at(token, "named arguments stand before '**'");
            next();
            next();
            arguments.named.emplace_back(token.text, expression());
        } else {
            if (arguments.spread_positional || arguments.spread_named || !arguments.named.empty())
                fail_at(token, "arguments without a name stand before all others");
            arguments.positional.push_back(expression());
        }
    }
    expect(")");
    return arguments;
}

std::string Parser::dotted_name(std::string_view what) {
    std::string name = expect_any_name(what);
    while (skip(".")) name += "." + expect_any_name(what);
    return name;
}

ExpressionPtr Parser::filters(ExpressionPtr node, bool first_named) {
    while (first_named || current().is("|")) {
        if (!first_named) next();
        first_named = false;
        auto filter = make(ExpressionKind::filter, current());
        filter->text = dotted_name("the name of a filter");
        filter->children.push_back(std::move(node));
        if (current().is("(")) filter->arguments = call_arguments();
        node = finish(std::move(filter));
    }
    return node;
}

ExpressionPtr Parser::test(ExpressionPtr node) {
    next();
    const Token token = current();
    const bool negated = skip_name("not");
    auto result = make(ExpressionKind::test, token);
    result->text = dotted_name("the name of a test");
    result->children.push_back(std::move(node));
    const Token& follow = current();
    const bool word =
        follow.kind == TokenKind::name && follow.text != "else" && follow.text != "or" && follow.text != "and";
    if (follow.is("(")) {
        result->arguments = call_arguments();
    } else if (word || follow.kind == TokenKind::string || follow.kind == TokenKind::integer ||
               follow.kind == TokenKind::real || follow.is("[") || follow.is("{")) {
        if (follow.is_name("is")) fail_at(follow, "tests cannot be chained with 'is'");
        result->arguments.positional.push_back(postfix(primary(false)));
    }
    ExpressionPtr done = finish(std::move(result));
    if (!negated) return done;
    auto inverted = make(ExpressionKind::logical_not, token);
    inverted->children.push_back(std::move(done));
    return finish(std::move(inverted));
}

}  // namespace atlas::jinja
