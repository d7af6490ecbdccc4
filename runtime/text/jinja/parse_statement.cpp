#include <algorithm>
#include <array>

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/parser.h"

namespace atlas::jinja {

Parser::Parser(std::string_view source, Budget& budget) : source_(source), budget_(budget), tokens_(tokenize(source)) {}

Block Parser::run() { return block({}); }

void Parser::fail_at(const Token& token, std::string_view what) const {
    raise("{}: {}", describe_position(source_, token.offset_bytes), what);
}

void Parser::fail_expected(std::string_view what) const {
    static constexpr std::array<std::string_view, 11> kNames = {"text",
                                                                "'{{'",
                                                                "'}}'",
                                                                "'{%'",
                                                                "'%}'",
                                                                "the name",
                                                                "a string",
                                                                "the number",
                                                                "the number",
                                                                "",
                                                                "the end of the template"};
    const Token& token = current();
    const std::string_view kind = kNames[static_cast<size_t>(token.kind)];
    const bool show = token.kind == TokenKind::name || token.kind == TokenKind::integer ||
                      token.kind == TokenKind::real || token.kind == TokenKind::punctuation;
    const std::string found =
        show ? fmt::format("{}{}'{}'", kind, kind.empty() ? "" : " ", token.text) : std::string(kind);
    fail_at(token, fmt::format("expected {}, found {}", what, found));
}

bool Parser::skip(std::string_view symbol) {
    const bool hit = current().is(symbol);
    if (hit) next();
    return hit;
}

bool Parser::skip_name(std::string_view word) {
    const bool hit = current().is_name(word);
    if (hit) next();
    return hit;
}

void Parser::expect(std::string_view symbol) {
    if (!skip(symbol)) fail_expected(fmt::format("'{}'", symbol));
}

void Parser::expect_name(std::string_view word) {
    if (!skip_name(word)) fail_expected(fmt::format("'{}'", word));
}

std::string Parser::expect_any_name(std::string_view what) {
    if (current().kind != TokenKind::name) fail_expected(what);
    return next().text;
}

void Parser::expect_kind(TokenKind kind, std::string_view what) {
    if (current().kind != kind) fail_expected(what);
    next();
}

std::unique_ptr<Statement> Parser::make_statement(StatementKind kind, const Token& token) const {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->offset_bytes = token.offset_bytes;
    return statement;
}

// Statements up to a tag that starts with one of `ends`; that name is the current token afterwards. Without ends: to
// the end.
Block Parser::block(std::initializer_list<std::string_view> ends) {
    const Nesting nesting(budget_);
    Block out;
    while (current().kind != TokenKind::end) {
        const Token token = next();
        budget_.step();
        if (token.kind == TokenKind::data) {
            auto data = make_statement(StatementKind::data, token);
            data->text = token.text;
            out.push_back(std::move(data));
        } else if (token.kind == TokenKind::variable_begin) {
            auto output = make_statement(StatementKind::output, token);
            output->expressions.push_back(tuple(false, true, false, false));
            expect_kind(TokenKind::variable_end, "'}}'");
            out.push_back(std::move(output));
        } else if (token.kind == TokenKind::block_begin) {
            if (current().kind == TokenKind::name && std::ranges::find(ends, current().text) != ends.end()) return out;
            statement(out);
            finish_block_tag();
        } else {
            fail_at(token, "unexpected token");
        }
    }
    if (ends.size() > 0) fail_expected(fmt::format("'{{% {} %}}'", *(ends.end() - 1)));
    return out;
}

// The rest of the opening tag, the body, and the name of the closing tag.
Block Parser::body_until(std::string_view end) {
    skip(":");
    finish_block_tag();
    Block body = block({end});
    next();
    return body;
}

void Parser::statement(Block& out) {
    const Token token = current();
    const std::string word = expect_any_name("the name of a statement");
    if (word == "for") return out.push_back(loop(token));
    if (word == "if") return out.push_back(condition(token));
    if (word == "set") return out.push_back(assignment(token));
    if (word == "with") return out.push_back(with(token));
    if (word == "macro") return out.push_back(macro(token));
    if (word == "call") return out.push_back(call_block(token));
    if (word == "filter") return out.push_back(filter_block(token));
    if (word == "break" || word == "continue") return out.push_back(loop_control(token));
    if (word == "generation") {
        // Marks what the model wrote; the text stays as it is. Its variables stay inside.
        auto scope = make_statement(StatementKind::scope, token);
        scope->bodies.push_back(body_until("endgeneration"));
        return out.push_back(std::move(scope));
    }
    if (word == "print") {
        while (current().kind != TokenKind::block_end) {
            auto output = make_statement(StatementKind::output, token);
            output->expressions.push_back(expression());
            out.push_back(std::move(output));
            if (current().kind != TokenKind::block_end) expect(",");
        }
        return;
    }
    fail_at(token, fmt::format("unknown statement '{}'", word));
}

std::unique_ptr<Statement> Parser::loop(const Token& token) {
    auto node = make_statement(StatementKind::loop, token);
    node->expressions.push_back(target(true, false, {"in"}));
    expect_name("in");
    node->expressions.push_back(tuple(false, false, false, false, {"recursive"}));
    node->expressions.push_back(skip_name("if") ? expression() : nullptr);
    node->recursive = skip_name("recursive");
    skip(":");
    finish_block_tag();
    ++loops_;
    node->bodies.push_back(block({"endfor", "else"}));
    --loops_;
    if (next().text == "else") {
        node->bodies.push_back(body_until("endfor"));
    } else {
        node->bodies.emplace_back();
    }
    return node;
}

std::unique_ptr<Statement> Parser::condition(const Token& token) {
    auto node = make_statement(StatementKind::condition, token);
    while (true) {
        node->expressions.push_back(tuple(false, false, false, false));
        skip(":");
        finish_block_tag();
        node->bodies.push_back(block({"elif", "else", "endif"}));
        const Token branch = next();
        if (branch.text == "else") node->bodies.push_back(body_until("endif"));
        if (branch.text != "elif") return node;
    }
}

std::unique_ptr<Statement> Parser::assignment(const Token& token) {
    auto node = make_statement(StatementKind::assign, token);
    node->expressions.push_back(target(true, true));
    if (skip("=")) {
        node->expressions.push_back(tuple(false, true, false, false));
        return node;
    }
    node->kind = StatementKind::assign_block;
    node->expressions.push_back(current().is("|") ? filters(nullptr, false) : nullptr);
    node->bodies.push_back(body_until("endset"));
    return node;
}

std::unique_ptr<Statement> Parser::with(const Token& token) {
    auto node = make_statement(StatementKind::with, token);
    while (current().kind != TokenKind::block_end) {
        if (!node->expressions.empty()) expect(",");
        node->expressions.push_back(target(true, false));
        expect("=");
        node->expressions.push_back(expression());
    }
    node->bodies.push_back(body_until("endwith"));
    return node;
}

void Parser::signature(Signature& out) {
    expect("(");
    while (!current().is(")")) {
        if (!out.parameters.empty()) expect(",");
        const Token token = current();
        out.parameters.push_back(expect_any_name("the name of a parameter"));
        if (skip("=")) {
            out.defaults.push_back(expression());
        } else if (!out.defaults.empty()) {
            fail_at(token, "a parameter without a default stands before those with one");
        }
    }
    expect(")");
}

std::unique_ptr<Statement> Parser::macro(const Token& token) {
    auto node = make_statement(StatementKind::macro, token);
    node->signature.name = expect_any_name("the name of a macro");
    signature(node->signature);
    macros_.push_back(&node->signature);
    const int loops = std::exchange(loops_, 0);
    node->bodies.push_back(body_until("endmacro"));
    loops_ = loops;
    macros_.pop_back();
    return node;
}

std::unique_ptr<Statement> Parser::call_block(const Token& token) {
    auto node = make_statement(StatementKind::call_block, token);
    node->signature.name = "caller";
    if (current().is("(")) signature(node->signature);
    node->expressions.push_back(expression());
    if (node->expressions[0]->kind != ExpressionKind::call) fail_at(token, "expected a call after 'call'");
    macros_.push_back(&node->signature);
    const int loops = std::exchange(loops_, 0);
    node->bodies.push_back(body_until("endcall"));
    loops_ = loops;
    macros_.pop_back();
    return node;
}

std::unique_ptr<Statement> Parser::filter_block(const Token& token) {
    auto node = make_statement(StatementKind::filter_block, token);
    node->expressions.push_back(filters(nullptr, true));
    node->bodies.push_back(body_until("endfilter"));
    return node;
}

std::unique_ptr<Statement> Parser::loop_control(const Token& token) {
    if (loops_ == 0) fail_at(token, fmt::format("'{}' stands outside of any loop", token.text));
    return make_statement(token.text == "break" ? StatementKind::loop_break : StatementKind::loop_continue, token);
}

Block parse_template(std::string_view source, const TemplateLimits& limits) {
    Budget budget(limits);
    return Parser(source, budget).run();
}

}  // namespace atlas::jinja
