// A mapped file that becomes shorter: reading it gives zeros and an error, never the end of the process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <thread>

#include "runtime/base/mapped_file.h"
#include "tests/support/temp_dir.h"

namespace atlas {
namespace {

using ::testing::HasSubstr;

constexpr size_t kBytes = size_t{1} << 20;

void write_file_of_ones(const std::filesystem::path& path) {
    std::ofstream(path, std::ios::binary) << std::string(kBytes, '\1');
}

uint64_t sum_of(const MappedFile& file) {
    uint64_t sum = 0;
    for (const std::byte b : file.bytes()) sum += static_cast<uint64_t>(b);
    return sum;
}

TEST(LostPages, AShortenedFileReadsAsZerosAndSaysSo) {
    const TempDir folder;
    write_file_of_ones(folder / "short");
    write_file_of_ones(folder / "whole");
    const auto file = MappedFile::open(folder / "short"), other = MappedFile::open(folder / "whole");
    ASSERT_TRUE(file && other);
    EXPECT_EQ(sum_of(*file), kBytes);
    EXPECT_TRUE(file->intact());
    std::filesystem::resize_file(folder / "short", 5000);
    EXPECT_EQ(sum_of(*file), 5000u);
    const auto lost = file->intact();
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, ErrorCode::io);
    EXPECT_THAT(lost.error().message, HasSubstr((folder / "short").string()));
    EXPECT_FALSE(file->populate(file->bytes().first(10)));
    EXPECT_EQ(sum_of(*file), 5000u) << "zeros stay";
    EXPECT_EQ(sum_of(*other), kBytes);
    EXPECT_TRUE(other->intact());
}

TEST(LostPages, WhileSeveralThreadsRead) {
    const TempDir folder;
    for (int round = 0; round < 20; ++round) {
        write_file_of_ones(folder / "f");
        const auto file = MappedFile::open(folder / "f");
        ASSERT_TRUE(file);
        std::atomic<int> n_short{0};
        {
            std::vector<std::jthread> readers;
            for (int i = 0; i < 3; ++i) {
                readers.emplace_back([&] {
                    for (int pass = 0; pass < 20; ++pass) {
                        file->release(file->bytes());
                        if (sum_of(*file) == kBytes) continue;
                        // A reader that saw zeros must learn of it from intact().
                        if (!file->intact())
                            ++n_short;
                        else
                            ADD_FAILURE() << "zeros, and the file is called intact";
                        return;
                    }
                });
            }
            std::filesystem::resize_file(folder / "f", 4096);
        }
        EXPECT_EQ(sum_of(*file), 4096u);
        EXPECT_LE(n_short, 3);
    }
}

TEST(LostPages, OtherFaultsEndTheProcessAsBefore) {
    const TempDir folder;
    write_file_of_ones(folder / "f");
    const auto file = MappedFile::open(folder / "f");
    ASSERT_TRUE(file);
    EXPECT_DEATH(std::raise(SIGBUS), "");
}

}  // namespace
}  // namespace atlas
