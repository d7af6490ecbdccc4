#include "runtime/gguf/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "runtime/base/mapped_file.h"
#include "runtime/base/units.h"
#include "runtime/gguf/intact.h"
#include "runtime/gguf/writer.h"
#include "tests/gguf/raw_file.h"
#include "tests/support/temp_dir.h"

namespace atlas::gguf {
namespace {

using ::testing::HasSubstr;

/// Two tensors whose every 4-byte word says where it is, the first one not a whole number of pages.
void write_counting(const std::filesystem::path& path, uint64_t first_rows, uint64_t second_rows) {
    Writer writer;
    const auto count_from = [](uint32_t start) {
        return [start](std::span<std::byte> out) {
            for (uint32_t i = 0; i < out.size() / 4; ++i) {
                const uint32_t value = start + i;
                std::memcpy(out.data() + i * size_t{4}, &value, 4);
            }
        };
    };
    writer.add_tensor("first", {first_rows, 1}, Format::f32, count_from(0));
    writer.add_tensor("second", {second_rows, 1024}, Format::f32, count_from(1u << 31));
    const auto written = writer.write(path);
    ASSERT_TRUE(written) << written.error().message;
}

TEST(GgufStream, GivesEveryByteOnceInOrder) {
    const TempDir folder;
    write_counting(folder / "m.gguf", 777, 100);
    const auto file = File::open(folder / "m.gguf");
    ASSERT_TRUE(file);
    for (const uint64_t chunk : {1u, 4096u, 10000u, 1u << 30}) {
        for (const TensorInfo& tensor : file->tensors()) {
            if (chunk == 1 && tensor.bytes > 10000) continue;
            uint64_t next = 0;
            bool same = true;
            const auto take = [&](uint64_t offset, std::span<const std::byte> bytes) -> Result<void> {
                EXPECT_EQ(offset, next);
                EXPECT_LE(bytes.size(), chunk);
                same &= std::memcmp(bytes.data(), file->data(tensor).data() + offset, bytes.size()) == 0;
                // Against what was written, not against the mapping alone.
                if (offset % 4 == 0 && bytes.size() >= 4) {
                    uint32_t value = 0;
                    std::memcpy(&value, bytes.data(), 4);
                    EXPECT_EQ(value, (tensor.name == "first" ? 0 : 1u << 31) + offset / 4);
                }
                next += bytes.size();
                return {};
            };
            ASSERT_TRUE(stream_tensor(*file, tensor, take, {.chunk_bytes = chunk, .ahead_bytes = 5000}));
            EXPECT_EQ(next, tensor.bytes);
            EXPECT_TRUE(same);
        }
    }
}

TEST(GgufStream, StopsAtTheFirstError) {
    const TempDir folder;
    write_counting(folder / "m.gguf", 777, 100);
    const auto file = File::open(folder / "m.gguf");
    ASSERT_TRUE(file);
    int calls = 0;
    const auto streamed =
        stream_tensor(*file, *file->find_tensor("second"),
                      [&](uint64_t, std::span<const std::byte>) -> Result<void> {
                          return ++calls == 2 ? Result<void>(fail(ErrorCode::device_lost, "gone")) : Result<void>();
                      },
                      {.chunk_bytes = 4096});
    ASSERT_FALSE(streamed);
    EXPECT_EQ(streamed.error().code, ErrorCode::device_lost);
    EXPECT_EQ(calls, 2);
}

TEST(GgufStream, UnknownTypeIsNamed) {
    testing::RawFile raw;
    raw.header(1, 0).tensor("odd", {4}, 999, 0).pad(32).zeros(64);
    const auto file = File::parse(raw.bytes(), "m");
    ASSERT_TRUE(file);
    const auto streamed =
        stream_tensor(*file, file->tensors()[0], [](uint64_t, std::span<const std::byte>) { return Result<void>(); });
    ASSERT_FALSE(streamed);
    EXPECT_EQ(streamed.error().code, ErrorCode::unsupported);
    EXPECT_THAT(streamed.error().message, HasSubstr("tensor 'odd': its type 999"));
}

#ifdef __linux__
uint64_t mapped_file_bytes_in_memory() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        if (word == "RssFile:") {
            uint64_t kib = 0;
            status >> kib;
            return kib * kKiB;
        }
    }
    return 0;
}

// A loader that does not release pages would hold the whole 48 MiB.
TEST(GgufStream, HoldsOneChunkOfMemory) {
    const TempDir folder;
    write_counting(folder / "m.gguf", 777, 12 * 1024);
    const auto file = File::open(folder / "m.gguf");
    ASSERT_TRUE(file);
    const uint64_t before = mapped_file_bytes_in_memory();
    uint64_t most = 0, sum = 0;
    const auto take = [&](uint64_t, std::span<const std::byte> bytes) -> Result<void> {
        for (const std::byte b : bytes) sum += static_cast<uint64_t>(b);
        most = std::max(most, mapped_file_bytes_in_memory());
        return {};
    };
    for (const TensorInfo& tensor : file->tensors())
        ASSERT_TRUE(stream_tensor(*file, tensor, take, {.chunk_bytes = 4 * kMiB}));
    EXPECT_GT(sum, 0u);
    EXPECT_LT(most - std::min(before, most), 8 * kMiB);
}

// Reading a mapping past the end of a file that became shorter ends a process; the stream reports an error instead.
TEST(GgufStream, AShortenedFileIsAnError) {
    const TempDir folder;
    write_counting(folder / "m.gguf", 777, 1024);
    const auto file = File::open(folder / "m.gguf");
    ASSERT_TRUE(file);
    const auto data = file->data(*file->find_tensor("second"));
    auto probe = MappedFile::open(folder / "m.gguf");
    ASSERT_TRUE(probe);
    std::filesystem::resize_file(folder / "m.gguf", 64 * kKiB);
    if (probe->populate(probe->bytes())) GTEST_SKIP() << "this kernel cannot populate a mapping";
    const auto streamed = stream_tensor(*file, *file->find_tensor("second"),
                                        [](uint64_t, std::span<const std::byte>) { return Result<void>(); });
    ASSERT_FALSE(streamed);
    EXPECT_EQ(streamed.error().code, ErrorCode::io);
    EXPECT_THAT(streamed.error().message,
                HasSubstr("tensor 'second' at byte 0: cannot read '" + (folder / "m.gguf").string()));
    EXPECT_FALSE(data.empty());
}

// ... also when that happens while a chunk, which was there a moment ago, is copied.
TEST(GgufStream, AFileShortenedDuringAChunkIsAnError) {
    const TempDir folder;
    write_counting(folder / "m.gguf", 777, 1024);
    const auto file = File::open(folder / "m.gguf");
    ASSERT_TRUE(file);
    uint64_t sum = 0, n_chunks = 0;
    const auto take = [&](uint64_t, std::span<const std::byte> bytes) -> Result<void> {
        std::filesystem::resize_file(folder / "m.gguf", 0);
        for (const std::byte b : bytes) sum += static_cast<uint64_t>(b);
        ++n_chunks;
        return {};
    };
    const auto streamed = stream_tensor(*file, *file->find_tensor("second"), take);
    ASSERT_FALSE(streamed);
    EXPECT_EQ(streamed.error().code, ErrorCode::io);
    EXPECT_THAT(streamed.error().message, HasSubstr((folder / "m.gguf").string()));
    EXPECT_EQ(n_chunks, 1u);
    EXPECT_EQ(sum, 0u);
    EXPECT_EQ(check_intact(*file).error().code, ErrorCode::io);
}
#endif

}  // namespace
}  // namespace atlas::gguf
