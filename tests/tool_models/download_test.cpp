// Downloads from a server that cuts, stalls, lies and changes its mind.
#include "tools/models/download.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/tool_models/web_server.h"
#include "runtime/base/sha256.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;
constexpr size_t kBodyBytes = 300000;

std::string expected_body() {
    std::string body;
    for (size_t i = 0; i < kBodyBytes; ++i) body += static_cast<char>(i * 7 % 251);
    return body;
}

std::string expected_hash() {
    Sha256 hash;
    const std::string body = expected_body();
    hash.add(body.data(), body.size());
    return hash.hexadecimal();
}

std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

class Download : public ::testing::Test {
  protected:
    void SetUp() override {
        if (server_.port() == 0) GTEST_SKIP() << "python3 is needed for the web server of this test";
        folder_ = fs::path(::testing::TempDir()) / ("atlas_download_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
        fs::remove_all(folder_);
        fs::create_directories(folder_);
        options_.first_pause = std::chrono::milliseconds(10);
        options_.stall = std::chrono::milliseconds(10000);
        options_.on_note = [this](const std::string& note) { notes_.push_back(note); };
    }

    Result<std::string> fetch(const std::string& mode, std::optional<std::string> sha256 = {}, std::optional<uint64_t> bytes = {}) {
        return download({server_.url("/" + mode + "/file"), target(), std::move(sha256), bytes, {}}, options_);
    }
    fs::path target() const { return folder_ / "file"; }
    fs::path part() const { return folder_ / "file.part"; }

    nlohmann::json requests() const {
        const auto page = fetch_page(server_.url("/log"), {}, {});
        return nlohmann::json::parse(page->text);
    }

    void expect_complete(const Result<std::string>& hash) {
        ASSERT_TRUE(hash.has_value()) << hash.error().message;
        EXPECT_EQ(*hash, expected_hash());
        EXPECT_TRUE(read_file(target()) == expected_body());
        EXPECT_FALSE(fs::exists(part()));
        EXPECT_FALSE(fs::exists(folder_ / "file.part.json"));
    }

    tests::WebServer server_{ATLAS_TEST_DATA "/tool_models/http_server.py"};
    fs::path folder_;
    DownloadOptions options_;
    std::vector<std::string> notes_;
};

TEST_F(Download, WholeFileWithTheRightHash) {
    uint64_t seen = 0;
    options_.on_progress = [&](uint64_t done, std::optional<uint64_t> total) {
        EXPECT_GE(done, seen);
        EXPECT_EQ(total, kBodyBytes);
        seen = done;
    };
    expect_complete(fetch("good", expected_hash(), kBodyBytes));
    EXPECT_EQ(seen, kBodyBytes);
    EXPECT_TRUE(notes_.empty());
}

TEST_F(Download, ConnectionCutIsResumedWithRangeAndIfRange) {
    expect_complete(fetch("cut", expected_hash()));
    ASSERT_EQ(requests().size(), 2u);
    EXPECT_EQ(requests()[1]["range"], "bytes=100000-");
    EXPECT_EQ(requests()[1]["if_range"], "\"v1\"");
    ASSERT_EQ(notes_.size(), 1u);
}

TEST_F(Download, AnEarlierCallsPartIsResumed) {
    options_.tries = 1;
    const auto first = fetch("cut", expected_hash());
    ASSERT_FALSE(first.has_value());
    EXPECT_EQ(first.error().code, ErrorCode::network);
    EXPECT_FALSE(fs::exists(target()));
    EXPECT_EQ(fs::file_size(part()), 100000u);
    expect_complete(fetch("cut", expected_hash()));
    EXPECT_EQ(requests()[1]["range"], "bytes=100000-");
}

TEST_F(Download, AFileThatChangedMeanwhileIsFetchedWhole) {
    expect_complete(fetch("cutchange", expected_hash()));
    EXPECT_EQ(requests()[1]["if_range"], "\"v1\"");
}

TEST_F(Download, AServerThatIgnoresRangeStartsOver) { expect_complete(fetch("norange", expected_hash())); }

TEST_F(Download, ADamagedPartIsNoticedAndFetchedAgain) {
    options_.tries = 1;
    ASSERT_FALSE(fetch("cut", expected_hash()).has_value());
    std::fstream file(part(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(500);
    file.put('!');
    file.close();
    expect_complete(fetch("cut", expected_hash()));
    EXPECT_EQ(notes_.size(), 1u);
}

TEST_F(Download, WrongHashIsRefusedAndDeleted) {
    const auto hash = fetch("good", std::string(64, '0'));
    ASSERT_FALSE(hash.has_value());
    EXPECT_EQ(hash.error().code, ErrorCode::corrupt);
    EXPECT_NE(hash.error().message.find(expected_hash()), std::string::npos);
    EXPECT_FALSE(fs::exists(target()));
    EXPECT_FALSE(fs::exists(part()));
}

TEST_F(Download, WrongSizeIsRefused) {
    const auto longer = fetch("good", {}, kBodyBytes + 1);
    ASSERT_FALSE(longer.has_value());
    EXPECT_EQ(longer.error().code, ErrorCode::corrupt);
    const auto shorter = fetch("good", {}, kBodyBytes - 1);
    ASSERT_FALSE(shorter.has_value());
    EXPECT_EQ(shorter.error().code, ErrorCode::corrupt);
    EXPECT_FALSE(fs::exists(target()));
}

TEST_F(Download, StallTimesOutAndGoesOn) {
    options_.stall = std::chrono::milliseconds(500);
    expect_complete(fetch("stall", expected_hash()));
    ASSERT_GE(notes_.size(), 1u);
    EXPECT_NE(notes_[0].find("no data for"), std::string::npos) << notes_[0];
    EXPECT_EQ(requests()[1]["range"], "bytes=50000-");
}

TEST_F(Download, BusyServerIsAskedAgain) {
    expect_complete(fetch("busy", expected_hash()));
    EXPECT_EQ(notes_.size(), 2u);
}

TEST_F(Download, GivesUpAfterFiveTries) {
    const auto hash = fetch("alwayscut");
    ASSERT_FALSE(hash.has_value());
    EXPECT_EQ(hash.error().code, ErrorCode::network);
    EXPECT_NE(hash.error().message.find("5 tries"), std::string::npos) << hash.error().message;
    EXPECT_EQ(requests().size(), 5u);
    EXPECT_FALSE(fs::exists(target()));
}

TEST_F(Download, NotFoundIsNotTriedAgain) {
    const auto hash = fetch("nothing");
    ASSERT_FALSE(hash.has_value());
    EXPECT_EQ(hash.error().code, ErrorCode::not_found);
    EXPECT_EQ(requests().size(), 1u);
    EXPECT_EQ(fetch("forbidden").error().code, ErrorCode::network);
    EXPECT_EQ(requests().size(), 2u);
}

TEST_F(Download, RedirectsAreFollowedAndLoopsEnd) {
    expect_complete(fetch("redirect", expected_hash()));
    fs::remove(target());
    options_.tries = 1;
    EXPECT_EQ(fetch("loop").error().code, ErrorCode::network);
}

TEST_F(Download, StopKeepsAPartThatCanBeResumed) {
    std::stop_source stop;
    options_.stop = stop.get_token();
    options_.on_progress = [&](uint64_t done, std::optional<uint64_t>) {
        if (done >= 50000) stop.request_stop();
    };
    const auto hash = fetch("slow");
    ASSERT_FALSE(hash.has_value());
    EXPECT_EQ(hash.error().code, ErrorCode::cancelled);
    EXPECT_FALSE(fs::exists(target()));
    EXPECT_GE(fs::file_size(part()), 50000u);
    EXPECT_LT(fs::file_size(part()), kBodyBytes);
    EXPECT_TRUE(expected_body().starts_with(read_file(part())));
}

TEST_F(Download, NobodyAnswers) {
    options_.tries = 2;
    const auto hash = download({"http://127.0.0.1:9/file", target(), {}, {}, {}}, options_);
    ASSERT_FALSE(hash.has_value());
    EXPECT_EQ(hash.error().code, ErrorCode::network);
}

}  // namespace
}  // namespace atlas::tools
