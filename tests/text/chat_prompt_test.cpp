#include "runtime/text/chat_prompt.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/base/in_quotes.h"
#include "runtime/gguf/writer.h"

namespace atlas {
namespace {

using Json = nlohmann::ordered_json;

const Json kMessages = Json::array({{{"role", "user"}, {"content", "Hi"}}});
const Json kTools = Json::array({{{"type", "function"}, {"function", {{"name", "ping"}}}}});

// A vocabulary-only file with these templates, opened.
gguf::File file_with(const char* plain, const char* tool_use, uint32_t eos = 2) {
    gguf::Writer writer;
    writer.add("general.architecture", "llama");
    writer.add("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>"});
    writer.add("tokenizer.ggml.bos_token_id", uint32_t{1});
    writer.add("tokenizer.ggml.eos_token_id", eos);
    if (plain != nullptr) writer.add("tokenizer.chat_template", plain);
    if (tool_use != nullptr) writer.add("tokenizer.chat_template.tool_use", tool_use);
    const auto path = std::filesystem::path(::testing::TempDir()) / "chat_prompt_test.gguf";
    EXPECT_TRUE(writer.write(path).has_value());
    auto file = gguf::File::open(path);
    EXPECT_TRUE(file.has_value()) << (file ? "" : file.error().message);
    return std::move(*file);
}

TEST(ChatPrompt, UsesTheFilesTemplateAndTokens) {
    const auto file = file_with(
        "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ tools is none }}{{ add_generation_prompt }}",
        nullptr);
    const auto prompt = ChatPrompt::open(file).value();
    EXPECT_EQ(prompt.note(), "");
    EXPECT_EQ(prompt.render({.messages = kMessages}).value(), "<s>Hi</s>TrueTrue");
    EXPECT_EQ(prompt.render({.messages = kMessages, .add_generation_prompt = false}).value(), "<s>Hi</s>TrueFalse");
}

TEST(ChatPrompt, ToolsChooseTheToolTemplate) {
    const auto file = file_with("plain", "tools: {{ tools|tojson }}");
    const auto prompt = ChatPrompt::open(file).value();
    EXPECT_EQ(prompt.render({.messages = kMessages}).value(), "plain");
    EXPECT_EQ(prompt.render({.messages = kMessages, .tools = &kTools}).value(),
              R"(tools: [{"type": "function", "function": {"name": "ping"}}])");
    const Json none = Json::array();
    EXPECT_EQ(prompt.render({.messages = kMessages, .tools = &none}).value(), "plain");
    const auto one = file_with("one {{ tools[0].function.name }}", nullptr);
    EXPECT_EQ(ChatPrompt::open(one).value().render({.messages = kMessages, .tools = &kTools}).value(), "one ping");
}

TEST(ChatPrompt, WithoutTemplateItIsChatMlAndSaysSo) {
    const auto file = file_with(nullptr, nullptr);
    const auto prompt = ChatPrompt::open(file).value();
    EXPECT_NE(prompt.note().find("no chat template"), std::string::npos);
    EXPECT_EQ(prompt.render({.messages = kMessages}).value(),
              "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatPrompt, VariablesReachTheTemplate) {
    const auto file = file_with("{{ enable_thinking }} {{ strftime_now('%Y') }}", nullptr);
    const Json variables = {{"enable_thinking", false}};
    const auto middle_of_2025 = std::chrono::system_clock::from_time_t(1751500000);
    EXPECT_EQ(ChatPrompt::open(file)
                  .value()
                  .render({.messages = kMessages, .variables = &variables, .now = middle_of_2025})
                  .value(),
              "False 2025");
}

TEST(ChatPrompt, BadFilesAndRequests) {
    const auto broken = ChatPrompt::open(file_with("{{ x", nullptr));
    ASSERT_FALSE(broken.has_value());
    EXPECT_EQ(broken.error().code, ErrorCode::corrupt);
    EXPECT_NE(broken.error().message.find("tokenizer.chat_template: "), std::string::npos) << broken.error().message;
    const auto no_token = ChatPrompt::open(file_with("x", nullptr, 99));
    ASSERT_FALSE(no_token.has_value());
    EXPECT_NE(no_token.error().message.find("eos_token_id"), std::string::npos) << no_token.error().message;
    const auto file = file_with("{{ raise_exception('no system role') }}", nullptr);
    const auto prompt = ChatPrompt::open(file).value();
    const auto refused = prompt.render({.messages = kMessages});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::unsupported) << "the program is used rightly";
    EXPECT_EQ(refused.error().message,
              "the chat template of " + in_quotes(file.path().string()) + " refuses: no system role");
    EXPECT_EQ(prompt.render({.messages = Json::object()}).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace atlas
