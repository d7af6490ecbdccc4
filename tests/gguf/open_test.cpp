// Files on the disk: opening, split models, wrong paths.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>

#include "runtime/gguf/reader.h"
#include "tests/gguf/raw_file.h"
#include "tests/support/temp_dir.h"

namespace atlas::gguf {
namespace {

using ::testing::HasSubstr;
using testing::RawFile;

void save(const std::filesystem::path& path, const RawFile& file) {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(file.bytes().data()), static_cast<std::streamsize>(file.size()));
}

/// Part `no` of `count` with one f32 tensor "t<no>" of two values no, no. Metadata "name" only in the first, as
/// splitting tools do.
RawFile part(uint16_t no, uint16_t count, int32_t n_tensors, std::string_view tensor_name = {}) {
    RawFile raw;
    raw.header(1, no == 0 ? 4 : 3);
    raw.key("split.no", 2).put(no).key("split.count", 2).put(count).key("split.tensors.count", 5).put(n_tensors);
    if (no == 0) raw.key("name", 8).text("whole");
    const std::string name = tensor_name.empty() ? "t" + std::to_string(no) : std::string(tensor_name);
    return raw.tensor(name, {2}, 0, 0).pad(32).put(static_cast<float>(no)).put(static_cast<float>(no));
}

std::string part_name(int number, int count) { return fmt::format("m-{:05}-of-{:05}.gguf", number, count); }

TEST(GgufSplit, OpensAllPartsWhicheverIsNamed) {
    const TempDir folder;
    uint64_t total = 0;
    for (uint16_t i = 0; i < 3; ++i) {
        save(folder / part_name(i + 1, 3), part(i, 3, 3));
        total += part(i, 3, 3).size();
    }
    for (int named = 1; named <= 3; ++named) {
        const auto file = File::open(folder / part_name(named, 3));
        ASSERT_TRUE(file) << file.error().message;
        EXPECT_EQ(file->string("name"), "whole");
        EXPECT_EQ(file->path().filename(), part_name(1, 3));
        EXPECT_EQ(file->file_bytes(), total);
        ASSERT_EQ(file->tensors().size(), 3u);
        for (uint32_t i = 0; i < 3; ++i) {
            const TensorInfo* tensor = file->find_tensor("t" + std::to_string(i));
            ASSERT_TRUE(tensor);
            EXPECT_EQ(tensor->part, i);
            float value = -1;
            std::memcpy(&value, file->data(*tensor).data() + 4, 4);
            EXPECT_EQ(value, static_cast<float>(i));
            file->release(*tensor, 0, 8);
        }
    }
}

TEST(GgufSplit, MissingPartsAreNamed) {
    const TempDir folder;
    save(folder / part_name(2, 4), part(1, 4, 4));
    const auto file = File::open(folder / part_name(2, 4));
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, ErrorCode::not_found);
    EXPECT_THAT(
        file.error().message,
        HasSubstr("missing beside it: 'm-00001-of-00004.gguf', 'm-00003-of-00004.gguf', 'm-00004-of-00004.gguf'"));
}

std::string error_of(const std::filesystem::path& path) {
    const auto file = File::open(path);
    return file ? "no error" : file.error().message;
}

TEST(GgufSplit, PartsThatDisagreeAreRefused) {
    const TempDir folder;
    const auto first = folder / part_name(1, 2);
    save(first, part(0, 2, 2));
    save(folder / part_name(2, 2), part(0, 2, 2));
    EXPECT_THAT(error_of(first), HasSubstr("m-00002-of-00002.gguf: key 'split.no': expected 1, found 0"));
    save(folder / part_name(2, 2), part(1, 3, 2));
    EXPECT_THAT(error_of(first), HasSubstr("key 'split.count': expected 2, found 3"));
    save(folder / part_name(2, 2), part(1, 2, 2, "t0"));
    EXPECT_THAT(error_of(first), HasSubstr("name of tensor 't0': expected once, found in parts 1 and 2"));
    save(folder / part_name(2, 2), part(1, 2, 2));
    save(first, part(0, 2, 5));
    EXPECT_THAT(error_of(first),
                HasSubstr("key 'split.tensors.count': expected 2 (the tensors of all parts), found 5"));
    RawFile alone;
    alone.header(0, 0);
    save(folder / part_name(2, 2), alone);
    EXPECT_THAT(error_of(first), HasSubstr("m-00002-of-00002.gguf: key 'split.no': expected 1, found no such key"));
}

TEST(GgufSplit, APartUnderAnotherNameIsExplained) {
    const TempDir folder;
    save(folder / "renamed.gguf", part(0, 2, 2));
    EXPECT_THAT(error_of(folder / "renamed.gguf"), HasSubstr("expected a name that ends in '-00001-of-00002.gguf'"));
}

TEST(GgufOpen, WrongPathsAreExplained) {
    const TempDir folder;
    EXPECT_EQ(File::open(folder / "none.gguf").error().code, ErrorCode::not_found);
    EXPECT_THAT(error_of(folder.path()), HasSubstr("is a directory"));
    std::ofstream(folder / "empty.gguf");
    EXPECT_THAT(error_of(folder / "empty.gguf"), HasSubstr("empty.gguf: the file is empty"));
    EXPECT_THAT(error_of("/dev/null"), HasSubstr("is not a regular file"));
    ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
    EXPECT_THAT(error_of(folder / "pipe"), HasSubstr("is not a regular file"));  // and does not wait for a writer
}

}  // namespace
}  // namespace atlas::gguf
