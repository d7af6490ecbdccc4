// atlas-vk as a user runs it: exit codes, what goes to which stream, JSON that can be read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/gguf/writer.h"
#include "tests/support/temp_dir.h"

namespace atlas {
namespace {

using ::testing::HasSubstr;

struct Outcome {
    int exit_code = -1;
    std::string out;
    std::string err;
};

Outcome run(const std::string& arguments) {
    const TempDir folder;
    const auto err = folder / "err";
    const std::string command = fmt::format("'{}/atlas-vk' {} 2>'{}'", ATLAS_BINARY_DIR, arguments, err.string());
    Outcome outcome;
    std::FILE* pipe = ::popen(command.c_str(), "r");
    if (!pipe) return outcome;
    char buffer[4096];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.out.append(buffer, n);
    const int status = ::pclose(pipe);
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::ifstream in(err, std::ios::binary);
    outcome.err.assign(std::istreambuf_iterator<char>(in), {});
    return outcome;
}

std::string model_in(const TempDir& folder) {
    gguf::Writer writer;
    writer.add("general.architecture", "llama");
    writer.add("llama.block_count", uint32_t{2});
    writer.add("llama.embedding_length", uint32_t{64});
    writer.add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    writer.add("tokenizer.ggml.model", "gpt2");
    writer.add("tokenizer.ggml.tokens", std::vector<std::string>(100, "t\xff"));  // not UTF-8
    writer.add("tokenizer.chat_template", "{{ messages }}\n\x1b[2J");
    const auto ones = [](std::span<std::byte> out) { std::memset(out.data(), 1, out.size()); };
    writer.add_tensor("token_embd.weight", {100, 64}, Format::q8_0, ones);
    writer.add_tensor("output_norm.weight", {64}, Format::f32, ones);
    EXPECT_TRUE(writer.write(folder / "m.gguf"));
    return (folder / "m.gguf").string();
}

TEST(Inspect, TellsPeople) {
    const TempDir folder;
    const auto shown = run("inspect " + model_in(folder));
    EXPECT_EQ(shown.exit_code, 0) << shown.err;
    EXPECT_EQ(shown.err, "");
    EXPECT_THAT(shown.out, HasSubstr("llama, 2 layers, 64 wide"));
    EXPECT_THAT(shown.out, HasSubstr("100 tokens, byte-level BPE"));
    EXPECT_THAT(shown.out, HasSubstr("6.46K in 2 tensors, 8.73 bits each"));  // (6400 * 8.5 + 64 * 32) / 6464
    EXPECT_THAT(shown.out, HasSubstr("1e-05"));
    EXPECT_THAT(shown.out, HasSubstr("... 100 in all]"));
    EXPECT_EQ(shown.out.find('\x1b'), std::string::npos) << "a file may not send commands to the terminal";
}

TEST(Inspect, SectionsOnDemand) {
    const TempDir folder;
    const std::string model = model_in(folder);
    const auto tensors = run("inspect --tensors " + model);
    EXPECT_THAT(tensors.out, HasSubstr("[100, 64]"));
    EXPECT_EQ(tensors.out.find("general.architecture"), std::string::npos);
    EXPECT_EQ(run("inspect --template " + model).out, "{{ messages }}\n\x1b[2J");
}

TEST(Inspect, TellsPrograms) {
    const TempDir folder;
    const std::string model = model_in(folder);
    const auto json = nlohmann::json::parse(run("inspect --json " + model).out, nullptr, false);
    ASSERT_FALSE(json.is_discarded());
    EXPECT_EQ(json["keys"]["llama.block_count"]["value"], 2);
    EXPECT_EQ(json["keys"]["tokenizer.ggml.tokens"]["count"], 100);
    EXPECT_EQ(json["keys"]["tokenizer.ggml.tokens"]["first"].size(), 16u);
    EXPECT_EQ(json["n_parameters"], 6464);
    EXPECT_EQ(json["tensors"][0]["shape"], (std::vector<int>{100, 64}));
    EXPECT_EQ(json["formats"][0]["format"], "q8_0");
    const auto whole = nlohmann::json::parse(run("inspect --json --keys " + model).out, nullptr, false);
    EXPECT_EQ(whole["keys"]["tokenizer.ggml.tokens"]["value"].size(), 100u);
}

TEST(Inspect, WrongFilesAreExplained) {
    const TempDir folder;
    std::ofstream(folder / "page.gguf") << "<html>404</html>";
    const auto page = run("inspect " + (folder / "page.gguf").string());
    EXPECT_EQ(page.exit_code, 1);
    EXPECT_EQ(page.out, "");
    EXPECT_THAT(page.err, HasSubstr("a web page (the download failed"));
    EXPECT_EQ(run("inspect /nope.gguf").exit_code, 1);
    EXPECT_EQ(run("inspect " + folder.path().string()).exit_code, 2) << "a folder is no model file";
}

TEST(Main, MisuseIsTwo) {
    EXPECT_EQ(run("").exit_code, 2);
    EXPECT_EQ(run("inspect").exit_code, 2);
    EXPECT_EQ(run("inspect a b").exit_code, 2);
    EXPECT_EQ(run("--nonsense").exit_code, 2);
    const auto mistyped = run("inpsect x");
    EXPECT_EQ(mistyped.exit_code, 2);
    EXPECT_THAT(mistyped.err, HasSubstr("Did you mean 'inspect'?"));
    EXPECT_THAT(run("xyzzy").err, HasSubstr("The commands are: "));
}

TEST(Main, HelpAndVersionAreZero) {
    const auto help = run("--help");
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("Look at files and devices:\n  inspect"));
    const auto version = run("--version");
    EXPECT_EQ(version.exit_code, 0);
    EXPECT_TRUE(version.out.starts_with("atlas-vk "));
    EXPECT_EQ(run("inspect --help").exit_code, 0);
}

}  // namespace
}  // namespace atlas
