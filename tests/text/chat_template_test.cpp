// Chat templates against goldens made by Python's jinja2 (make_jinja_goldens.py), and what goes wrong in them.
#include "runtime/text/chat_template.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

namespace atlas {
namespace {

nlohmann::ordered_json read_goldens() {
    std::ifstream file(ATLAS_TEST_DATA "/golden/jinja_cases.json");
    return nlohmann::ordered_json::parse(file);
}

Result<std::string> render(std::string_view text, const nlohmann::ordered_json& context,
                           const TemplateLimits& limits = {}, int64_t now = 0) {
    auto parsed = ChatTemplate::parse(text, limits);
    if (!parsed) return tl::unexpected(parsed.error());
    return parsed->render(context, std::chrono::system_clock::from_time_t(now));
}

TEST(ChatTemplate, EqualsJinja2OnEveryConstruct) {
    const auto goldens = read_goldens();
    ASSERT_GT(goldens["cases"].size(), 200u);
    for (const auto& golden : goldens["cases"]) {
        const auto source = golden["template"].get<std::string>();
        const auto text = render(source, goldens["context"], {}, goldens["now"].get<int64_t>());
        SCOPED_TRACE(golden["group"].get<std::string>() + ": " + source);
        if (golden.contains("text")) {
            EXPECT_EQ(text ? *text : "error: " + text.error().message, golden["text"].get<std::string>());
            continue;
        }
        EXPECT_FALSE(text.has_value()) << *text;
        if (text) continue;
        const bool raised = golden["raised"].get<bool>();
        EXPECT_EQ(text.error().code == ErrorCode::invalid_argument, raised) << text.error().message;
        EXPECT_TRUE(!raised || text.error().message == golden["error"].get<std::string>()) << text.error().message;
    }
}

TEST(ChatTemplate, ErrorsSayLineAndColumn) {
    const auto syntax = ChatTemplate::parse("one\ntwo {{ 1 + }}");
    ASSERT_FALSE(syntax.has_value());
    EXPECT_EQ(syntax.error().code, ErrorCode::corrupt);
    EXPECT_EQ(syntax.error().message, "chat template: line 2, column 12: expected an expression, found '}}'");
    const auto at_run = render("a\n{% if true %}\n  ä{{ messages.x }}\n{% endif %}", nlohmann::ordered_json::object());
    ASSERT_FALSE(at_run.has_value());
    EXPECT_EQ(at_run.error().code, ErrorCode::corrupt);
    EXPECT_EQ(at_run.error().message, "chat template: line 3, column 16: 'messages' is undefined");
}

TEST(ChatTemplate, RaiseExceptionKeepsItsMessage) {
    const auto text = render("{{ raise_exception('roles must alternate') }}", nlohmann::ordered_json::object());
    ASSERT_FALSE(text.has_value());
    EXPECT_EQ(text.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(text.error().message, "roles must alternate");
}

TEST(ChatTemplate, IntegersBeyond64BitsAreRefused) {
    const auto text = render("{{ x }}", {{"x", UINT64_MAX}});
    ASSERT_FALSE(text.has_value());
    EXPECT_EQ(text.error().code, ErrorCode::unsupported);
    const auto product = render("{{ 2 ** 62 * 4 }}", nlohmann::ordered_json::object());
    ASSERT_FALSE(product.has_value());
    EXPECT_EQ(product.error().code, ErrorCode::limit);
}

// Third-party templates cannot be kept here: a folder of them is compared where there is one.
TEST(ChatTemplate, EqualsJinja2OnTheTemplatesOfAFolder) {
    const char* folder = std::getenv("ATLAS_CHAT_TEMPLATES");
    if (folder == nullptr) GTEST_SKIP() << "ATLAS_CHAT_TEMPLATES names no folder of *.jinja files";
    if (std::system("python3 -c 'import jinja2' 2>/dev/null") != 0) GTEST_SKIP() << "python3 has no jinja2";
    const std::string command =
        std::string("python3 '" ATLAS_TEST_DATA "/text/compare_templates.py' --tool '" ATLAS_BINARY_DIR
                    "/tests/render_cases' '") +
        folder + "'";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

TEST(ChatTemplate, RendersTwiceTheSame) {
    auto parsed = ChatTemplate::parse("{% set ns = namespace(a=0) %}{% set ns.a = ns.a + 1 %}{{ ns.a }}{{ x }}");
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->render({{"x", 1}}).value(), "11");
    EXPECT_EQ(parsed->render({{"x", 2}}).value(), "12");
}

}  // namespace
}  // namespace atlas
