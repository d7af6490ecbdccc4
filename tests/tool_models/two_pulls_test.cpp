// Several processes that pull one model at once, and processes that are killed while they pull.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "runtime/gguf/writer.h"
#include "tests/support/temp_dir.h"
#include "tests/tool_models/web_server.h"
#include "tools/models/file_hash.h"
#include "tools/models/pull_model.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

constexpr int kRounds = 32;

// 256 KiB that the test's server sends in 16 pieces over some 80 ms.
fs::path write_model(const fs::path& path) {
    gguf::Writer writer;
    writer.add("general.architecture", "llama");
    writer.add_tensor("token_embd.weight", {1024, 64}, Format::f32, [](std::span<std::byte> out) {
        for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 7 % 251);
    });
    EXPECT_TRUE(writer.write(path).has_value());
    return path;
}

class TwoPulls : public ::testing::Test {
  protected:
    void SetUp() override {
        if (server_.port() == 0) GTEST_SKIP() << "python3 is needed for the web server of this test";
        sites_.hugging_face = server_.url("");
        const auto listing =
            nlohmann::json::parse(fetch_page(server_.url("/api/models/slow/x/tree/main"), {}, {}).value().text);
        expected_ = listing[0]["lfs"]["oid"];
        bytes_ = listing[0]["size"];
    }

    // A process that pulls the model; it exits with 0 when it has it.
    pid_t start_pull(const std::string& source) const {
        const pid_t child = fork();
        if (child != 0) return child;
        DownloadOptions options;
        options.first_pause = std::chrono::milliseconds(10);
        const auto model = pull_model(ModelStore(store()), parse_source(source).value(), sites_, options, {});
        if (!model) fmt::print(stderr, "{}\n", model.error().message);
        _exit(model ? 0 : 1);
    }
    static int exit_code(pid_t child) {
        int status = 0;
        EXPECT_EQ(waitpid(child, &status, 0), child);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    fs::path store() const { return folder_ / "models"; }

    // The file under its final name is the server's, byte for byte.
    void expect_right(const std::string& name) const {
        const auto model = ModelStore(store()).find(name);
        ASSERT_TRUE(model.has_value()) << model.error().message;
        const auto hash = hash_file(model->path, {});
        ASSERT_TRUE(hash.has_value()) << hash.error().message;
        EXPECT_EQ(hash->bytes, bytes_);
        EXPECT_EQ(hash->sha256, expected_);
    }
    size_t requests_of_files() const {
        const auto log = nlohmann::json::parse(fetch_page(server_.url("/log"), {}, {}).value().text);
        return static_cast<size_t>(std::ranges::count_if(log, [](const auto& request) {
            return request["path"].template get<std::string>().find("/resolve/") != std::string::npos;
        }));
    }

    TempDir folder_;
    tests::WebServer server_{write_model(folder_ / "served.gguf")};
    Sites sites_;
    std::string expected_;
    uint64_t bytes_ = 0;
};

TEST_F(TwoPulls, OneWorksAndTheOtherFindsItDone) {
    for (int round = 0; round < kRounds; ++round) {
        SCOPED_TRACE(round);
        fs::remove_all(store());
        const pid_t first = start_pull("hf:slow/x:Q4_0"), second = start_pull("hf:slow/x:Q4_0");
        EXPECT_EQ(exit_code(first), 0);
        EXPECT_EQ(exit_code(second), 0);
        expect_right("slow--x-q4_0");
    }
    EXPECT_EQ(requests_of_files(), static_cast<size_t>(kRounds)) << "nothing is fetched twice";
}

TEST_F(TwoPulls, ThreadsOfOneProcessToo) {
    for (int round = 0; round < kRounds / 4; ++round) {
        fs::remove_all(store());
        const auto pull = [&] {
            DownloadOptions options;
            const auto model =
                pull_model(ModelStore(store()), parse_source("hf:slow/x:Q4_0").value(), sites_, options, {});
            EXPECT_TRUE(model.has_value()) << model.error().message;
        };
        { const std::jthread first(pull), second(pull), third(pull); }
        expect_right("slow--x-q4_0");
    }
}

TEST_F(TwoPulls, AKilledPullIsContinuedByTheOneThatWaitsAndByALaterOne) {
    std::mt19937 random(20260101);
    int killed = 0;
    for (int round = 0; round < kRounds; ++round) {
        SCOPED_TRACE(round);
        fs::remove_all(store());
        const pid_t victim = start_pull("hf:slow/x:Q4_0");
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 120));
        const pid_t waiting = start_pull("hf:slow/x:Q4_0");
        kill(victim, SIGKILL);
        if (round % 2 == 0) {
            // No process is left: the folder holds a part, or the whole model.
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
            kill(waiting, SIGKILL);
            exit_code(waiting);
            killed += exit_code(victim) == -SIGKILL ? 1 : 0;
            EXPECT_EQ(exit_code(start_pull("hf:slow/x:Q4_0")), 0);
        } else {
            killed += exit_code(victim) == -SIGKILL ? 1 : 0;
            EXPECT_EQ(exit_code(waiting), 0);
        }
        expect_right("slow--x-q4_0");
    }
    EXPECT_GT(killed, kRounds / 4) << "the test came too late";
}

TEST_F(TwoPulls, StoppingWhileWaitingIsNoError) {
    const auto lock = FolderLock::take(store() / "slow--x-q4_0", {}, {}).value();
    std::stop_source stop;
    std::vector<std::string> notes;
    DownloadOptions options;
    options.stop = stop.get_token();
    options.on_note = [&](const std::string& note) {
        notes.push_back(note);
        stop.request_stop();
    };
    const auto model = pull_model(ModelStore(store()), parse_source("hf:slow/x:Q4_0").value(), sites_, options, {});
    ASSERT_FALSE(model.has_value());
    EXPECT_EQ(model.error().code, ErrorCode::cancelled);
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_NE(notes[0].find("another process is pulling"), std::string::npos) << notes[0];
}

}  // namespace
}  // namespace atlas::tools
