// Downloads from a server that cuts, stalls, lies and changes its mind.
#include "tools/models/download.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/base/sha256.h"
#include "tests/tool_models/web_server.h"

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
        folder_ = fs::path(::testing::TempDir()) /
                  ("atlas_download_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
        fs::remove_all(folder_);
        fs::create_directories(folder_);
        options_.first_pause = std::chrono::milliseconds(10);
        options_.stall = std::chrono::milliseconds(10000);
        options_.on_note = [this](const std::string& note) { notes_.push_back(note); };
    }

    Result<std::string> fetch(const std::string& mode, std::optional<std::string> sha256 = {},
                              std::optional<uint64_t> bytes = {}) {
        return fetch_url(server_.url("/" + mode + "/file"), std::move(sha256), bytes);
    }
    Result<std::string> fetch_url(const std::string& url, std::optional<std::string> sha256 = {},
                                  std::optional<uint64_t> bytes = {}, const std::vector<std::string>& headers = {}) {
        const auto lock = FolderLock::take(folder_, {}, {}).value();
        return download(lock, {url, "file", std::move(sha256), bytes, headers}, options_);
    }
    bool was_told(const std::string& words) const {
        return std::ranges::any_of(notes_,
                                   [&](const std::string& note) { return note.find(words) != std::string::npos; });
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
    std::pair<uint64_t, uint64_t> checked;
    options_.on_check = [&](uint64_t done, uint64_t total) {
        EXPECT_EQ(seen, kBodyBytes) << "before all was there";
        checked = {done, total};
    };
    expect_complete(fetch("good", expected_hash(), kBodyBytes));
    EXPECT_EQ(seen, kBodyBytes);
    EXPECT_EQ(checked, (std::pair<uint64_t, uint64_t>(kBodyBytes, kBodyBytes)));
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

TEST_F(Download, NoServerAnswers) {
    options_.tries = 2;
    const auto hash = fetch_url("http://127.0.0.1:9/file");
    ASSERT_FALSE(hash.has_value());
    EXPECT_EQ(hash.error().code, ErrorCode::network);
}

TEST_F(Download, WhatLiesOnTheDiskIsWhatIsHashed) {
    // Another program, or an older build without the lock, writes into the part meanwhile: what was received is still
    // right.
    options_.on_progress = [&](uint64_t done, std::optional<uint64_t>) {
        if (done != kBodyBytes) return;
        std::fstream file(part(), std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(1000);
        file.write("garbage", 7);
    };
    const auto hash = fetch("good", expected_hash());
    ASSERT_FALSE(hash.has_value());
    EXPECT_EQ(hash.error().code, ErrorCode::corrupt);
    EXPECT_FALSE(fs::exists(target()));
}

TEST_F(Download, APartThatIsAllThereIsOnlyChecked) {
    std::ofstream(part(), std::ios::binary) << expected_body();
    std::ofstream(folder_ / "file.part.json")
        << nlohmann::json{{"url", server_.url("/good/file")}, {"version", "\"v1\""}};
    expect_complete(fetch("good", expected_hash(), kBodyBytes));
    EXPECT_TRUE(requests().empty());
}

TEST_F(Download, DamagedNotesOfAPartAreSetAside) {
    for (const std::string text : {"{", "[1]", "\xff\xfe", ""}) {
        notes_.clear();
        std::ofstream(part()) << "old";
        std::ofstream(folder_ / "file.part.json") << text;
        expect_complete(fetch("good", expected_hash()));
        EXPECT_TRUE(was_told("is damaged")) << text;
        EXPECT_TRUE(fs::exists(folder_ / "file.part.json.damaged")) << text;
        fs::remove(target());
    }
    // Well-formed, but not what we write: it counts as the note of another part.
    for (const std::string text :
         {R"({"url": 5, "version": []})", R"({"url": null})", R"({"url": "x", "version": "a\nb: c"})"}) {
        std::ofstream(part()) << "old";
        std::ofstream(folder_ / "file.part.json") << text;
        expect_complete(fetch("good", expected_hash()));
        fs::remove(target());
    }
}

TEST_F(Download, NotesThatNeverEndOrBlockAreSetAside) {
    fs::create_symlink("/dev/zero", folder_ / "file.part.json");
    expect_complete(fetch("good", expected_hash()));
    EXPECT_TRUE(was_told("cannot be read"));
    fs::remove(target());
    ASSERT_EQ(::mkfifo((folder_ / "file.part.json").c_str(), 0600), 0);
    expect_complete(fetch("good", expected_hash()));
}

TEST_F(Download, APartThatIsALinkOrAPipeIsSetAside) {
    const fs::path precious = folder_ / "precious";
    std::ofstream(precious) << "precious";
    fs::create_symlink(precious, part());
    expect_complete(fetch("good", expected_hash()));
    EXPECT_TRUE(was_told("no part of a download"));
    fs::remove(target());
    fs::create_hard_link(precious, part());
    expect_complete(fetch("good", expected_hash()));
    EXPECT_EQ(read_file(precious), "precious");
    fs::remove(target());
    ASSERT_EQ(::mkfifo(part().c_str(), 0600), 0);
    expect_complete(fetch("good", expected_hash()));
    fs::remove(target());
    fs::create_directory(part());
    fs::remove_all(folder_ / "file.part.damaged");
    expect_complete(fetch("good", expected_hash()));
}

TEST_F(Download, AnETagOfOddBytesIsNoVersion) {
    expect_complete(fetch("oddtag", expected_hash()));
    ASSERT_EQ(requests().size(), 2u);
    EXPECT_EQ(requests()[1]["range"], "") << "it cannot be asked for the rest of a version that it does not name";
}

TEST_F(Download, AnEmptyFileReplacesAnOlderPart) {
    std::ofstream(part()) << "old";
    std::ofstream(folder_ / "file.part.json")
        << nlohmann::json{{"url", server_.url("/empty/file")}, {"version", "\"v1\""}};
    ASSERT_TRUE(fetch("empty").has_value());
    EXPECT_EQ(fs::file_size(target()), 0u);
}

TEST_F(Download, AnUnrequestedPartIsNotTaken) {
    options_.tries = 2;
    const auto hash = fetch("otherpart");
    ASSERT_FALSE(hash.has_value());
    EXPECT_EQ(hash.error().code, ErrorCode::network) << hash.error().message;
    EXPECT_FALSE(fs::exists(target()));
}

TEST_F(Download, ATokenStaysWithItsServer) {
    const std::vector<std::string> token = {"Authorization: Bearer secret"};
    expect_complete(fetch_url(server_.url("/redirect/file"), {}, {}, token));
    fs::remove(target());
    expect_complete(fetch_url(server_.url("/away/file"), {}, {}, token));
    ASSERT_EQ(requests().size(), 4u);
    EXPECT_EQ(requests()[1]["authorization"], "Bearer secret") << "the same server";
    EXPECT_EQ(requests()[2]["authorization"], "Bearer secret");
    EXPECT_TRUE(std::string(requests()[3]["host"]).starts_with("localhost"));
    EXPECT_EQ(requests()[3]["authorization"], "") << "another host";
}

TEST_F(Download, ErrorsShowNoEscapesOfAddresses) {
    options_.tries = 1;
    const auto hash = fetch_url("http://127.0.0.1:9/\x1b[2Jfile");
    ASSERT_FALSE(hash.has_value());
    EXPECT_EQ(hash.error().message.find('\x1b'), std::string::npos);
}

TEST_F(Download, ProxiesOfTheEnvironmentAreUsed) {
    options_.tries = 1;
    ::setenv("http_proxy", server_.url("").c_str(), 1);
    expect_complete(fetch_url("http://models.invalid/good/file", expected_hash()));
    ::setenv("no_proxy", "models.invalid", 1);
    fs::remove(target());
    const auto direct = fetch_url("http://models.invalid/good/file", expected_hash());
    ::unsetenv("http_proxy");
    ::unsetenv("no_proxy");
    EXPECT_FALSE(direct.has_value()) << "there is no such host";
    ASSERT_EQ(requests().size(), 1u);
    EXPECT_EQ(requests()[0]["proxied"], true);
    EXPECT_EQ(requests()[0]["host"], "models.invalid");
}

TEST_F(Download, AuthoritiesAreThoseThatAreNamed) {
    const auto page = [&](const std::string& path) { return fetch_page(server_.url(path), {}, {}).value().text; };
    const std::string port = page("/tls");
    if (port == "0") GTEST_SKIP() << "the openssl program is needed to make a certificate";
    options_.tries = 1;
    const std::string url = "https://127.0.0.1:" + port + "/good/file";
    const auto stranger = fetch_url(url, expected_hash());
    ASSERT_FALSE(stranger.has_value());
    EXPECT_NE(stranger.error().message.find("SSL_CERT_FILE"), std::string::npos) << stranger.error().message;
    options_.authorities.file = folder_ / "no-such-file";
    const auto missing = fetch_url(url, expected_hash());
    ASSERT_FALSE(missing.has_value());
    EXPECT_NE(missing.error().message.find("no-such-file"), std::string::npos) << missing.error().message;
    options_.authorities.file = folder_ / "authority.pem";
    std::ofstream(options_.authorities.file) << page("/certificate");
    expect_complete(fetch_url(url, expected_hash()));
}

}  // namespace
}  // namespace atlas::tools
