#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <map>

#include "runtime/base/atomic_file.h"
#include "runtime/base/checked.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/small_file.h"
#include "runtime/base/units.h"
#include "runtime/base/user_dirs.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temp_dir.h"

namespace atlas {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string read_all(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Checked, NothingInsteadOfAWrappedNumber) {
    EXPECT_EQ(checked_add(UINT64_MAX - 1, 1), UINT64_MAX);
    EXPECT_EQ(checked_add(UINT64_MAX, 1), std::nullopt);
    EXPECT_EQ(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1), 0xFFFFFFFF00000000u);
    EXPECT_EQ(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32), std::nullopt);
    EXPECT_EQ(checked_mul(UINT64_MAX, 0), 0u);
    EXPECT_EQ(checked_align_up(0, 32), 0u);
    EXPECT_EQ(checked_align_up(33, 32), 64u);
    EXPECT_EQ(checked_align_up(UINT64_MAX, 2), std::nullopt);
}

TEST(Units, ReadWell) {
    EXPECT_EQ(bytes_text(0), "0 B");
    EXPECT_EQ(bytes_text(1023), "1023 B");
    EXPECT_EQ(bytes_text(1536), "1.50 KiB");
    EXPECT_EQ(bytes_text(kMiB - 1), "1.00 MiB");  // not "1024 KiB"
    EXPECT_EQ(bytes_text(37 * kMiB + kMiB / 4), "37.2 MiB");
    EXPECT_EQ(bytes_text(4 * kGiB), "4.00 GiB");
    EXPECT_EQ(bytes_text(UINT64_MAX), "16384 PiB");
    EXPECT_EQ(count_text(999), "999");
    EXPECT_EQ(count_text(134515008), "135M");
    EXPECT_EQ(count_text(7615616512), "7.62B");
    EXPECT_EQ(count_text(999999), "1.00M");
    EXPECT_EQ(duration_text(0.0004), "0.40 ms");
    EXPECT_EQ(duration_text(0.38), "380 ms");
    EXPECT_EQ(duration_text(12.34), "12.3 s");
    EXPECT_EQ(duration_text(245), "4 min 05 s");
    EXPECT_EQ(duration_text(7800), "2 h 10 min");
}

TEST(AtomicFile, SweepsWhatKilledProcessesLeft) {
    const TempDir dir;
    const auto abandoned = dir.path() / ".model.gguf.0123abcd.tmp";
    const auto others = dir.path() / ".other.gguf.0123abcd.tmp";
    const auto users = dir.path() / ".model.gguf.mine.tmp";
    for (const auto& path : {abandoned, others, users}) std::ofstream(path) << "half";
    auto running = AtomicFile::create(dir.path() / "model.gguf");
    ASSERT_TRUE(running) << running.error().message;
    EXPECT_FALSE(std::filesystem::exists(abandoned));
    EXPECT_TRUE(std::filesystem::exists(others));
    EXPECT_TRUE(std::filesystem::exists(users));
    // A second writer of the same name leaves the first one's file where it is.
    ASSERT_TRUE(running->write("first"));
    {
        auto second = AtomicFile::create(dir.path() / "model.gguf");
        ASSERT_TRUE(second) << second.error().message;
    }
    ASSERT_TRUE(running->commit());
    EXPECT_EQ(read_all(dir.path() / "model.gguf"), "first");
}

TEST(AtomicFile, NamesWhatTheUserTypedWhereItCannotWrite) {
    const TempDir dir;
    const auto file = dir.path() / "file";
    std::ofstream(file) << "x";
    for (const auto& [path, words] : {std::pair(dir.path() / "none" / "x.json", "/none' does not exist"),
                                      std::pair(file / "x.json", "/file' is a file, not a folder")}) {
        const auto made = AtomicFile::create(path);
        ASSERT_FALSE(made);
        EXPECT_THAT(made.error().message, AllOf(HasSubstr(in_quotes(path.string(), 400)), HasSubstr(words)));
        EXPECT_THAT(made.error().message, Not(HasSubstr(".tmp")));
    }
}

TEST(AtomicFile, AHandlerRemovesWhatIsUnfinishedAndNothingElse) {
    const TempDir dir;
    auto whole = AtomicFile::create(dir.path() / "whole");
    auto half = AtomicFile::create(dir.path() / "half");
    ASSERT_TRUE(whole && half);
    AtomicFile moved = std::move(*half);
    ASSERT_TRUE(whole->write("x") && whole->commit() && moved.write("y"));
    remove_unfinished_files();
    size_t n_files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
        EXPECT_EQ(entry.path().filename(), "whole");
        ++n_files;
    }
    EXPECT_EQ(n_files, 1u);
}

TEST(SmallFile, ReadsRegularFilesOfBoundedLength) {
    const TempDir dir;
    const auto path = dir.path() / "note.json";
    EXPECT_EQ(read_small_file(path, 10).error().code, ErrorCode::not_found);
    std::ofstream(path) << "0123456789";
    EXPECT_EQ(read_small_file(path, 10), "0123456789");
    EXPECT_EQ(read_small_file(path, 9).error().code, ErrorCode::limit);
    EXPECT_EQ(read_small_file(dir.path(), 10).error().code, ErrorCode::io);
    const auto pipe = dir.path() / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(read_small_file(pipe, 10).error().code, ErrorCode::io);
    std::filesystem::create_symlink("/dev/zero", dir.path() / "zero");
    EXPECT_EQ(read_small_file(dir.path() / "zero", 10).error().code, ErrorCode::io);
    if (std::filesystem::exists("/proc/self/maps")) {
        EXPECT_EQ(read_small_file("/proc/self/maps", 10).error().code,
                  ErrorCode::limit);  // it says that it has 0 bytes
    }
}

TEST(SmallFile, ADamagedOneIsSetAside) {
    const TempDir dir;
    const auto path = dir.path() / "note.json";
    std::ofstream(path) << "{";
    EXPECT_EQ(set_aside(path), dir.path() / "note.json.damaged");
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_EQ(read_all(dir.path() / "note.json.damaged"), "{");
    EXPECT_EQ(set_aside(path).error().code, ErrorCode::io);
    std::ofstream(path) << "[";
    EXPECT_EQ(set_aside(path), dir.path() / "note.json.damaged.2");
    EXPECT_EQ(read_all(dir.path() / "note.json.damaged"), "{") << "the first one is somebody's work";
    EXPECT_EQ(read_all(dir.path() / "note.json.damaged.2"), "[");
    std::filesystem::create_directory(path);
    EXPECT_EQ(set_aside(path), dir.path() / "note.json.damaged.3");
    for (int i = 4; i <= 100; ++i) std::ofstream(dir.path() / fmt::format("note.json.damaged.{}", i));
    std::filesystem::create_directory(path);
    const auto full = set_aside(path);
    ASSERT_FALSE(full);
    EXPECT_THAT(full.error().message, AllOf(HasSubstr("the folder"), HasSubstr("100 older ones")));
}

TEST(SmallFile, TwoNamesOfOneFile) {
    const TempDir dir;
    std::ofstream(dir.path() / "a") << "x";
    std::ofstream(dir.path() / "b") << "x";
    std::filesystem::create_symlink("a", dir.path() / "link");
    std::filesystem::create_hard_link(dir.path() / "a", dir.path() / "hard");
    EXPECT_TRUE(os::same_file(dir.path() / "a", dir.path() / "link"));
    EXPECT_TRUE(os::same_file(dir.path() / "." / "a", dir.path() / "hard"));
    EXPECT_FALSE(os::same_file(dir.path() / "a", dir.path() / "b"));
    EXPECT_FALSE(os::same_file(dir.path() / "a", dir.path() / "none"));
}

TEST(Printable, DisarmsWithoutQuotes) {
    EXPECT_EQ(printable("Qwen\x1b[2J"), "Qwen\\x1b[2J");
    EXPECT_EQ(printable("abcdef", 3), "abc... (6 bytes)");
    EXPECT_EQ(printable(""), "");
    // What would show the text in another order: mark, override, isolate, line separator.
    EXPECT_EQ(printable("a\u061c\u200f\u202eb\u2066\u2028"), "a\\u061c\\u200f\\u202eb\\u2066\\u2028");
    EXPECT_EQ(printable("\u202e", 2), "... (3 bytes)");
    EXPECT_EQ(printable("\u200d\u2010\u2030\u2070"), "\u200d\u2010\u2030\u2070");  // joiner, hyphen, per mille, 0
}

TEST(JsonText, EscapesWhatATerminalObeysAndStaysTheSameJson) {
    const nlohmann::json json = {"\u202e\x7f\u009b\x1b", "grüße"};
    EXPECT_EQ(json_text(json), R"(["\u202e\u007f\u009b\u001b","grüße"])");
    EXPECT_EQ(nlohmann::json::parse(json_text(json)), json);
}

TEST(InQuotes, KeepsTextAndDisarmsTheRest) {
    EXPECT_EQ(in_quotes("plain"), "'plain'");
    EXPECT_EQ(in_quotes("grüße 😀"), "'grüße 😀'");
    EXPECT_EQ(in_quotes("\x1b[31m\n\x7f"), "'\\x1b[31m\\n\\x7f'");
    EXPECT_EQ(in_quotes("\xc2\x9b"), "'\\xc2\\x9b'");             // a C1 control
    EXPECT_EQ(in_quotes("a\xff\xe2\x82"), "'a\\xff\\xe2\\x82'");  // not UTF-8, cut short
    EXPECT_EQ(in_quotes("\xed\xa0\x80"), "'\\xed\\xa0\\x80'");    // a surrogate
    EXPECT_EQ(in_quotes("aaaä", 4), "'aaa'... (5 bytes)");        // never half a character
    EXPECT_EQ(in_quotes(std::string(100, 'x'), 3), "'xxx'... (100 bytes)");
}

TEST(MappedFile, ShowsTheBytesAndLetsThemGo) {
    const TempDir folder;
    const std::string text(100000, 'x');
    std::ofstream(folder / "f", std::ios::binary) << text;
    auto file = MappedFile::open(folder / "f");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->bytes().size(), text.size());
    file->prefetch(file->bytes());
    file->release(file->bytes().subspan(5000, 80000));
    EXPECT_EQ(std::memcmp(file->bytes().data(), text.data(), text.size()), 0);
    const MappedFile moved = std::move(*file);
    EXPECT_TRUE(file->bytes().empty());
    EXPECT_EQ(moved.bytes().size(), text.size());
}

TEST(MappedFile, EmptyAndAbsent) {
    const TempDir folder;
    std::ofstream(folder / "empty");
    const auto empty = MappedFile::open(folder / "empty");
    ASSERT_TRUE(empty);
    EXPECT_TRUE(empty->bytes().empty());
    EXPECT_EQ(MappedFile::open(folder / "none").error().code, ErrorCode::not_found);
    EXPECT_EQ(MappedFile::open(folder.path()).error().code, ErrorCode::io);
}

TEST(AtomicFile, AppearsOnlyWhenComplete) {
    const TempDir folder;
    {
        auto file = AtomicFile::create(folder / "f");
        ASSERT_TRUE(file);
        ASSERT_TRUE(file->write("abc"));
        EXPECT_FALSE(std::filesystem::exists(folder / "f"));
        ASSERT_TRUE(file->write("def"));
        ASSERT_TRUE(file->commit());
    }
    EXPECT_EQ(read_all(folder / "f"), "abcdef");
    {
        auto file = AtomicFile::create(folder / "f");
        ASSERT_TRUE(file);
        ASSERT_TRUE(file->write("given up"));
    }
    EXPECT_EQ(read_all(folder / "f"), "abcdef");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(AtomicFile, FailuresLeaveNothing) {
    const TempDir folder;
    EXPECT_EQ(AtomicFile::create(folder / "none" / "f").error().code, ErrorCode::not_found);
    {
        auto file = AtomicFile::create(folder / "f");
        ASSERT_TRUE(file);
        const FileSizeLimit limit(4096);
        const auto written = file->write(std::string(10000, 'x'));
        ASSERT_FALSE(written);
        EXPECT_EQ(written.error().code, ErrorCode::io);
        EXPECT_THAT(written.error().message, HasSubstr("cannot write"));
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    // The name is taken by a folder: only the last step fails.
    std::filesystem::create_directories(folder / "d" / "inside");
    {
        auto file = AtomicFile::create(folder / "d");
        ASSERT_TRUE(file);
        ASSERT_TRUE(file->write("x"));
        EXPECT_FALSE(file->commit());
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

Environment with(std::map<std::string, std::string> values) {
    return [values = std::move(values)](const char* name) {
        const auto found = values.find(name);
        return found == values.end() ? std::nullopt : std::optional(found->second);
    };
}

TEST(UserDirs, FollowXdg) {
    const auto home = user_dirs(with({{"HOME", "/home/u"}}));
    ASSERT_TRUE(home);
    EXPECT_EQ(home->cache, "/home/u/.cache/atlas-vk");
    EXPECT_EQ(home->config, "/home/u/.config/atlas-vk");
    const auto set =
        user_dirs(with({{"HOME", "/home/u"}, {"XDG_CACHE_HOME", "/big"}, {"XDG_CONFIG_HOME", "relative"}}));
    ASSERT_TRUE(set);
    EXPECT_EQ(set->cache, "/big/atlas-vk");
    EXPECT_EQ(set->config, "/home/u/.config/atlas-vk");  // the specification: relative values are ignored
}

}  // namespace
}  // namespace atlas
