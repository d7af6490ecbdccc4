#pragma once
// A parsed template: expressions and statements as plain trees.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

/// What stands between the brackets of a call, filter or test.
struct CallArguments {
    std::vector<ExpressionPtr> positional;
    std::vector<std::pair<std::string, ExpressionPtr>> named;
    ExpressionPtr spread_positional;  // *expression
    ExpressionPtr spread_named;       // **expression
};

enum class ExpressionKind : uint8_t {
    constant,             // constant
    name,                 // text
    namespace_attribute,  // text.attribute, as the target of set only
    list,
    tuple,      // children
    dict,       // children: key, value, key, value ...
    attribute,  // children[0].text
    item,       // children[0][children[1]]
    slice,      // children[0][children[1] : children[2] : children[3]], absent parts are null
    call,       // children[0](arguments)
    filter,     // children[0] | text(arguments); children[0] is null in filter blocks
    test,       // children[0] is text(arguments)
    negate,
    plus,
    logical_not,  // children[0]
    arithmetic,   // children[0] text children[1]
    compare,      // children[0] operators[0] children[1] operators[1] children[2] ...
    concat,       // all children as text, joined
    logical_and,
    logical_or,   // children[0], children[1]
    conditional,  // children[1] if children[0] else children[2] (null: undefined)
};

struct Expression {
    ExpressionKind kind = ExpressionKind::constant;
    uint32_t offset_bytes = 0;
    int depth = 1;  // levels of expressions below, this one included
    std::string text;
    std::string attribute;
    Value constant;
    std::vector<std::string> operators;
    std::vector<ExpressionPtr> children;
    CallArguments arguments;
};

struct Statement;
using Block = std::vector<std::unique_ptr<Statement>>;

/// Parameters of macros and call blocks.
struct Signature {
    std::string name;
    std::vector<std::string> parameters;
    std::vector<ExpressionPtr> defaults;  // of the last parameters
    bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};

enum class StatementKind : uint8_t {
    data,       // text
    output,     // expressions[0]
    condition,  // expressions[i] -> bodies[i]; a body more than expressions is the else
    loop,    // for expressions[0] in expressions[1] if expressions[2] (or null): bodies[0], else bodies[1]; recursive
    assign,  // set expressions[0] = expressions[1]
    assign_block,  // set expressions[0], filtered by expressions[1] (or null): bodies[0]
    with,          // expressions: target, value, target, value ...; bodies[0]
    macro,         // signature, bodies[0]
    call_block,    // call(signature) expressions[0]: bodies[0]
    filter_block,  // filter expressions[0]: bodies[0]
    scope,         // bodies[0] with its own variables ({% generation %})
    loop_break,
    loop_continue,
};

struct Statement {
    StatementKind kind = StatementKind::data;
    uint32_t offset_bytes = 0;
    std::string text;
    std::vector<ExpressionPtr> expressions;
    std::vector<Block> bodies;
    Signature signature;
    bool recursive = false;
};

/// Parses a normalized source. Throws TemplateError (syntax with the position, limit).
Block parse_template(std::string_view source, const TemplateLimits& limits);

}  // namespace atlas::jinja
