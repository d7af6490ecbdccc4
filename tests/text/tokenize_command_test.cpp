// atlas-vk tokenize as a program: what it prints and how it ends.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/temp_dir.h"
#include "tests/text/tables.h"

namespace atlas {
namespace {

struct Ran {
    int exit_code;
    std::string out;
};

Ran run(const std::string& arguments) {
    const std::string command = std::string(ATLAS_BINARY_DIR) + "/atlas-vk tokenize " + arguments;
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return {-1, ""};
    std::string out;
    for (int c; (c = std::fgetc(pipe)) != EOF;) out.push_back(static_cast<char>(c));
    const int status = pclose(pipe);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out};
}
struct TokenizeCommand : ::testing::Test {
    TempDir dir;
    std::string model = (dir / "vocabulary.gguf").string();
    void SetUp() override {
        auto tables = testing::byte_tables();
        testing::add_merge(tables, "a", "b");
        tables.tokens.emplace_back("<|c|>");
        tables.types.push_back(3);
        tables.ids = {{"bos", 257}};
        tables.flags = {{"add_bos_token", true}};
        ASSERT_TRUE(testing::write(tables, model).has_value());
    }
    std::string file(std::string_view text) {
        const auto path = dir / "text";
        std::ofstream(path, std::ios::binary) << text;
        return path.string();
    }
};

TEST_F(TokenizeCommand, PrintsIds) {
    EXPECT_EQ(run("-m " + model + " 'ab<|c|>'").out, "257 256 257\n");
    EXPECT_EQ(run("-m " + model + " --no-special 'ab<|c|>'").out, "256 60 124 99 124 62\n");
    EXPECT_EQ(run("-m " + model + " --no-special ''").out, "\n");
}

TEST_F(TokenizeCommand, ReadsStandardInputByteForByte) {
    const std::string text("ab\r\n\0\xFF\n", 7);
    EXPECT_EQ(run("--no-special -m " + model + " - < " + file(text)).out, "256 13 10 0 255 10\n");
    EXPECT_EQ(run("--no-special -m " + model + " < " + file("- ")).out, "45 32\n") << "without TEXT too";
}

TEST_F(TokenizeCommand, Json) {
    const auto ran = run("--json -m " + model + " - < " + file("ab\xC3"));
    const auto json = nlohmann::json::parse(ran.out);
    EXPECT_EQ(json["n_tokens"], 3);
    EXPECT_EQ(json["tokens"][0], (nlohmann::json{{"id", 257}, {"piece", "<|c|>"}, {"bytes", "3c7c637c3e"}}));
    EXPECT_EQ(json["tokens"][1]["piece"], "ab");
    EXPECT_EQ(json["tokens"][2]["bytes"], "c3") << "half a character is told exactly";
}

TEST_F(TokenizeCommand, SaysOnceWhatTheFileLeavesOut) {
    auto tables = testing::byte_tables("");
    testing::add_merge(tables, "a", "b");
    tables.types.clear();
    tables.merges.emplace_back("q zz");
    ASSERT_TRUE(testing::write(tables, model).has_value());
    EXPECT_EQ(run("-m " + model + " ab 2>/dev/null").out, "256\n");
    const std::string said = run("-m " + model + " ab 2>&1 >/dev/null").out;
    for (const char* word : {"tokenizer.ggml.pre", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"})
        EXPECT_NE(said.find(word), std::string::npos) << said;
    size_t notes = 0;
    for (size_t at = 0; (at = said.find("atlas-vk: note: ", at)) != std::string::npos; ++at) ++notes;
    EXPECT_EQ(notes, 3u) << said;
}

TEST_F(TokenizeCommand, ExitCodes) {
    EXPECT_EQ(run("-m " + model + " x").exit_code, 0);
    EXPECT_EQ(run("--help").exit_code, 0);
    EXPECT_EQ(run("-m /no/such/file x 2>&1").exit_code, 1);
    EXPECT_NE(run("-m /no/such/file x 2>&1").out.find("/no/such/file"), std::string::npos);
    EXPECT_EQ(run("x 2>&1").exit_code, 2) << "no model";
    EXPECT_EQ(run("-m " + model + " --no-such-flag x 2>&1").exit_code, 2);
}

}  // namespace
}  // namespace atlas
