// Templates are untrusted: what they may spend is bounded, and none of them can end the process.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "runtime/text/chat_template.h"

namespace atlas {
namespace {

using Json = nlohmann::ordered_json;

// The error of parsing or rendering; code io when there is none.
Error error_of(std::string_view text, const TemplateLimits& limits = {}, const Json& context = Json::object()) {
    auto parsed = ChatTemplate::parse(text, limits);
    if (!parsed) return parsed.error();
    auto rendered = parsed->render(context);
    return rendered ? Error{ErrorCode::io, "no error"} : rendered.error();
}

std::string repeated(std::string_view piece, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += piece;
    return text;
}

void expect_limit(std::string_view text, std::string_view word, const TemplateLimits& limits = {}) {
    const auto start = std::chrono::steady_clock::now();
    const Error error = error_of(text, limits);
    const std::string shown(text.substr(0, 120));
    EXPECT_EQ(error.code, ErrorCode::limit) << shown << ": " << error.message;
    EXPECT_NE(error.message.find(word), std::string::npos) << shown << ": " << error.message;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << shown;
}

TEST(JinjaLimits, Steps) {
    TemplateLimits limits;
    limits.max_steps = 10000;
    expect_limit("{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}", "steps", limits);
}

TEST(JinjaLimits, Time) {
    TemplateLimits limits;
    limits.time = std::chrono::milliseconds(50);
    limits.max_steps = UINT64_MAX / 2;
    expect_limit(
        "{% macro f(n) %}{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}{% endmacro "
        "%}{{ f(1) }}",
        "50 ms", limits);
}

TEST(JinjaLimits, TemplateSize) { expect_limit(std::string((1u << 20) + 1, 'x'), "bytes"); }

TEST(JinjaLimits, Output) {
    TemplateLimits limits;
    limits.max_output_bytes = 1000;
    expect_limit("{% for i in range(1000) %}abc{% endfor %}", "bytes", limits);
    expect_limit("{% for i in range(1000) %}{{ 'abc' }}{% endfor %}", "bytes", limits);
    EXPECT_EQ(error_of("{{ 'x' * 1000 }}", limits).code, ErrorCode::io);
}

TEST(JinjaLimits, TextsThatGrow) {
    expect_limit("{{ 'a' * 10**9 }}", "bytes");
    expect_limit("{{ 'a' * 9223372036854775807 }}", "bytes");
    expect_limit(
        "{% set ns = namespace(s='abcdefgh') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "bytes");
    expect_limit(
        "{% set ns = namespace(s='abcdefgh') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "bytes");
    expect_limit("{% set s = 'a' * 10**6 %}{{ s.replace('a', s) }}", "bytes");
    expect_limit("{% set s = 'a' * 10**6 %}{{ s|replace('', s) }}", "bytes");
    expect_limit("{% set s = 'a' * 10**5 %}{{ s.join(s) }}", "bytes");
    expect_limit("{% set s = 'a' * 10**5 %}{{ s|join(s) }}", "bytes");
    expect_limit("{% set s = '\\n' * 10**5 %}{{ s|indent('a' * 10**5, blank=true) }}", "bytes");
    expect_limit("{{ 'a'.ljust(10**10) }}", "bytes");
    expect_limit("{{ '%1000000000d' % 5 }}", "bytes");
    expect_limit("{{ '{:>1000000000}'.format(5) }}", "bytes");
    expect_limit("{{ '{:.1000000000f}'.format(5) }}", "digits");
    expect_limit("{{ 'a'|center(10**12) }}", "bytes");
    expect_limit("{{ [1]|tojson(indent=10**12) }}", "bytes");
    expect_limit("{% set s = '\\t' * 10**6 %}{{ s.expandtabs(1000) }}", "bytes");
}

TEST(JinjaLimits, ListsThatGrow) {
    EXPECT_EQ(error_of("{{ range(10**12) }}").code, ErrorCode::corrupt);
    expect_limit("{{ [1] * 10**12 }}", "items");
    TemplateLimits small;
    small.max_memory_bytes = 8u << 20;
    expect_limit("{{ ([1] * 1000000)|length }}", "memory", small);
    expect_limit("{% set ns = namespace(s=[1, 2]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
                 "memory", small);
    expect_limit(
        "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = namespace(l=ns.l) %}{% endfor %}",
        "memory", small);
    expect_limit("{% for i in range(100000) %}{% macro m() %}{% endmacro %}{% endfor %}", "memory", small);
    // Twice as many leaves at every level: small to hold, too much to print, compare or write.
    const std::string doubled =
        "{% set ns = namespace(s=['leaf']) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}";
    expect_limit(doubled + "{{ ns.s }}", "");
    expect_limit(doubled + "{{ ns.s|tojson }}", "");
    expect_limit(doubled +
                     "{% set a = namespace(s=['leaf']) %}{% for i in range(60) %}{% set a.s = [a.s, a.s] %}{% endfor "
                     "%}{{ a.s == ns.s }}",
                 "");
}

TEST(JinjaLimits, DepthOfSyntax) {
    constexpr int kMany = 100000;
    expect_limit("{{ " + repeated("(", kMany) + "1" + repeated(")", kMany) + " }}", "nested");
    expect_limit("{{ " + repeated("[", kMany) + repeated("]", kMany) + " }}", "nested");
    expect_limit("{{ " + repeated("not ", kMany) + "1 }}", "nested");
    expect_limit("{{ " + repeated("-", kMany) + "1 }}", "nested");
    expect_limit("{{ 1" + repeated(" + 1", kMany) + " }}", "nested");
    expect_limit("{{ a" + repeated(".a", kMany) + " }}", "nested");
    expect_limit("{{ a" + repeated("|e", kMany) + " }}", "nested");
    expect_limit("{{ a" + repeated("()", kMany) + " }}", "nested");
    expect_limit("{{ 1" + repeated(" if 1 else 1", 50000) + " }}", "nested");
    expect_limit("{{ 1" + repeated(" if 1", kMany) + " }}", "nested");
    expect_limit("{{ 1" + repeated(" or 1", kMany) + " }}", "nested");
    expect_limit(repeated("{% if 1 %}", 30000) + repeated("{% endif %}", 30000), "nested");
    expect_limit("{% set " + repeated("(", kMany) + "a" + repeated(")", kMany) + " = 1 %}", "");
}

TEST(JinjaLimits, DepthOfRuns) {
    expect_limit("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested");
    expect_limit(
        "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% endmacro "
        "%}{{ g() }}",
        "nested");
    expect_limit("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nested");
    expect_limit("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}",
                 "nested");
    expect_limit("{% set ns = namespace(l={}) %}{% for i in range(100000) %}{% set ns.l = {'a': ns.l} %}{% endfor %}",
                 "nested");
    expect_limit("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}", "nested");
    Json deep = Json::array();
    for (int i = 0; i < 1000; ++i) deep = Json::array({deep});
    EXPECT_EQ(error_of("{{ x }}", {}, {{"x", deep}}).code, ErrorCode::limit);
}

// Values that refer to each other in cycles or in long chains are freed (the sanitizer sees leaks) without deep
// recursion.
TEST(JinjaLimits, CirclesAndChainsAreFreed) {
    const Json none = Json::object();
    const auto fine = [&](std::string_view text) {
        EXPECT_EQ(error_of(text).code, ErrorCode::io) << text << ": " << error_of(text).message;
    };
    fine("{% set ns = namespace() %}{% set ns.self = ns %}{% set ns.list = [ns, [ns]] %}");
    fine("{% macro m() %}{% endmacro %}{% set ns = namespace(m=m) %}{% set other = m %}");
    fine(
        "{% set ns = namespace(f=0) %}{% for i in range(20000) %}{% set prev = ns.f %}{% macro m() %}{% endmacro %}{% "
        "set ns.f = m %}{% endfor %}");
    fine(
        "{% set ns = namespace(l=0) %}{% for i in range(20000) %}{% set prev = ns.l %}{% for j in [1] %}{% set ns.l = "
        "loop %}{% endfor %}{% endfor %}");
    fine(
        "{% set ns = namespace(l=0) %}{% for i in range(20000) %}{% for j in [1] %}{% if loop.changed(ns.l) %}{% set "
        "ns.l = loop %}{% endif %}{% endfor %}{% endfor %}");
    fine("{% set ns = namespace(n=0) %}{% for i in range(20000) %}{% set ns.n = namespace(n=ns.n) %}{% endfor %}");
    fine("{% for x in [1] recursive %}{% set ns = namespace(l=loop) %}{% endfor %}");
}

TEST(JinjaLimits, SearchIsNotQuadratic) {
    expect_limit(
        "{% set s = 'a' * 2000000 %}{% set t = 'a' * 1000000 ~ 'b' %}{% for i in range(100) %}{{ t in s }}{% endfor %}",
        "");
}

// 20,000 damaged templates: cut, doubled, swapped and overwritten pieces of the ones in the goldens.
TEST(JinjaMutations, NoneCrashes) {
    std::ifstream file(ATLAS_TEST_DATA "/golden/jinja_cases.json");
    const auto goldens = Json::parse(file);
    std::vector<std::string> sources;
    for (const auto& golden : goldens["cases"]) sources.push_back(golden["template"].get<std::string>());
    ASSERT_GT(sources.size(), 200u);
    // A table:
    // clang-format off
    constexpr std::string_view kPieces[] = {"{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "(", ")", "[", "]", "{", "}", "|", ".", ",", ":", "'", "\"", "\\", "~", "**",
                                            "//", "%", " is ", " in ", " not ", " if ", " else ", "{% for x in ", "{% endfor %}", "{% set ", "loop", "caller", "999999999999",
                                            "\xff", "\xc3", "\xf0\x9f\x98\x80", "\n", "namespace", "|map(", "|tojson", "ns.", "-1", "0", "1e400", "{% macro m(", "range(99999)"};
    // clang-format on
    TemplateLimits limits;
    limits.time = std::chrono::milliseconds(100);
    limits.max_output_bytes = 1u << 20;
    limits.max_memory_bytes = 32u << 20;
    std::mt19937 random(20260101);
    const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
    int parsed_well = 0, rendered_well = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string text = sources[below(sources.size())];
        for (size_t changes = 1 + below(4); changes > 0; --changes) {
            const size_t at = below(text.size() + 1);
            const size_t count = std::min(text.size() - at, below(12));
            const std::string& other = sources[below(sources.size())];
            switch (below(5)) {
                case 0:
                    text.erase(at, count);
                    break;
                case 1:
                    text.insert(at, kPieces[below(std::size(kPieces))]);
                    break;
                case 2:
                    text.insert(at, text.substr(at, count));
                    break;
                case 3:
                    text.insert(at, other.substr(below(other.size() + 1), below(40)));
                    break;
                default:
                    text.replace(at, count, kPieces[below(std::size(kPieces))]);
            }
        }
        auto parsed = ChatTemplate::parse(text, limits);
        if (!parsed) {
            EXPECT_FALSE(parsed.error().message.empty());
            continue;
        }
        ++parsed_well;
        rendered_well += parsed->render(goldens["context"]).has_value() ? 1 : 0;
    }
    // The mutations must reach the interpreter, not only the parser.
    EXPECT_GT(parsed_well, 4000);
    EXPECT_GT(rendered_well, 2000);
}

}  // namespace
}  // namespace atlas
