#include "runtime/gguf/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <random>

#include "tests/gguf/raw_file.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temp_dir.h"

namespace atlas::gguf {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::function<void(std::span<std::byte>)> filled_with(uint8_t value) {
    return [value](std::span<std::byte> out) { std::memset(out.data(), value, out.size()); };
}

std::string read_all(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

TEST(GgufWriter, ATensorThatCannotBeMadeLeavesNothing) {
    const TempDir folder;
    Writer writer;
    writer.add_tensor("a", {8}, Format::f32, filled_with(1));
    writer.add_tensor("b", {8}, Format::f32,
                      [](std::span<std::byte>) -> Result<void> { return fail(ErrorCode::cancelled, "stopped"); });
    writer.add_tensor("c", {8}, Format::f32, [](std::span<std::byte>) { FAIL() << "nothing more is asked for"; });
    const auto written = writer.write(folder / "m.gguf");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::cancelled);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(GgufWriter, RoundTripsKeysAndTensors) {
    const TempDir folder;
    Writer writer;
    writer.add("u32", uint32_t{4000000000});
    writer.add("i32", int32_t{-7});
    writer.add("u64", uint64_t{1} << 60);
    writer.add("f32", 0.1f);
    writer.add("bool", true);
    writer.add("literal", "text");
    writer.add("string", std::string("with a \0 inside", 15));
    writer.add("strings", std::vector<std::string>{"a", "", "b"});
    writer.add("floats", std::vector<float>{1.5f, -2.5f});
    writer.add("i32s", std::vector<int32_t>{-1, 2});
    writer.add("u32s", std::vector<uint32_t>{4294967295});
    writer.add_tensor("a", {3, 5}, Format::f32, filled_with(0x11));  // 60 bytes: needs padding
    writer.add_tensor("b", {2, 256}, Format::q4_k, filled_with(0x22));
    writer.add_tensor("c", {7}, Format::f16, filled_with(0x33));
    ASSERT_TRUE(writer.write(folder / "m.gguf"));

    const auto file = File::open(folder / "m.gguf");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->version(), 3u);
    EXPECT_EQ(file->u32("u32"), 4000000000u);
    EXPECT_EQ(std::get<int64_t>(file->find("i32")->value), -7);
    EXPECT_EQ(std::get<uint64_t>(file->find("u64")->value), uint64_t{1} << 60);
    EXPECT_EQ(file->f32("f32"), 0.1f);
    EXPECT_EQ(file->boolean("bool"), true);
    EXPECT_EQ(file->string("literal"), "text");
    EXPECT_EQ(file->string("string"), std::string_view("with a \0 inside", 15));
    EXPECT_THAT(*file->strings("strings"), ElementsAre("a", "", "b"));
    EXPECT_THAT(*file->floats("floats"), ElementsAre(1.5f, -2.5f));
    EXPECT_THAT(*file->integers("i32s"), ElementsAre(-1, 2));
    EXPECT_THAT(*file->integers("u32s"), ElementsAre(4294967295));
    EXPECT_EQ(file->find("u32s")->type, 4u);

    ASSERT_EQ(file->tensors().size(), 3u);
    const auto all_are = [&](const char* name, size_t bytes, uint8_t value) {
        const auto data = file->data(*file->find_tensor(name));
        EXPECT_EQ(data.size(), bytes);
        EXPECT_TRUE(std::ranges::all_of(data, [&](std::byte b) { return b == std::byte{value}; })) << name;
        EXPECT_EQ(file->find_tensor(name)->offset_bytes % 32, 0u);
    };
    all_are("a", 60, 0x11);
    all_are("b", 288, 0x22);
    all_are("c", 14, 0x33);
    EXPECT_THAT(file->find_tensor("a")->shape, ElementsAre(3, 5));
}

// The same keys, copied from file to file, must give the same bytes: every stored type survives.
TEST(GgufWriter, CopiesKeysOfEveryTypeByteForByte) {
    const TempDir folder;
    testing::RawFile raw;
    raw.header(0, 24);
    const auto both = [&](std::string_view name, uint32_t type, auto value) {
        raw.key(name, type).put(value);
        raw.key(std::string(name) + "s", 9).u32(type).u64(2).put(value).put(value);
    };
    both("u8", 0, uint8_t{200});
    both("i8", 1, int8_t{-100});
    both("u16", 2, uint16_t{60000});
    both("i16", 3, int16_t{-30000});
    both("u32", 4, uint32_t{4000000000});
    both("i32", 5, int32_t{-2000000000});
    both("f32", 6, 0.1f);
    both("bool", 7, uint8_t{1});
    both("u64", 10, ~uint64_t{0});
    both("i64", 11, int64_t{-1});
    both("f64", 12, 0.1);
    raw.key("text", 8).text("x");
    raw.key("texts", 9).u32(8).u64(2).text("y").text("");
    const auto file = File::parse(raw.bytes(), "raw");
    ASSERT_TRUE(file) << file.error().message;
    Writer writer;
    for (const KeyValue& entry : file->key_values()) writer.add(entry);
    ASSERT_TRUE(writer.write(folder / "copy.gguf"));
    raw.pad(32);
    const std::string copy = read_all(folder / "copy.gguf");
    ASSERT_EQ(copy.size(), raw.size());
    EXPECT_EQ(std::memcmp(copy.data(), raw.bytes().data(), raw.size()), 0);
}

TEST(GgufWriter, KeepsACopiedAlignment) {
    const TempDir folder;
    Writer writer;
    writer.add("general.alignment", uint32_t{256});
    writer.add_tensor("a", {1}, Format::f32, filled_with(1));
    writer.add_tensor("b", {1}, Format::f32, filled_with(2));
    ASSERT_TRUE(writer.write(folder / "m.gguf"));
    const auto file = File::open(folder / "m.gguf");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->find_tensor("b")->offset_bytes, 256u);
    EXPECT_EQ(file->data(*file->find_tensor("b"))[0], std::byte{2});
}

TEST(GgufWriter, DiskFullLeavesNothing) {
    const TempDir folder;
    Writer writer;
    writer.add_tensor("a", {1 << 20}, Format::f32, filled_with(1));
    {
        const FileSizeLimit limit(1 << 20);
        const auto written = writer.write(folder / "m.gguf");
        ASSERT_FALSE(written);
        EXPECT_EQ(written.error().code, ErrorCode::io);
        EXPECT_THAT(written.error().message, HasSubstr("m.gguf"));
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(GgufWriter, FailureKeepsTheOldFile) {
    const TempDir folder;
    std::ofstream(folder / "m.gguf") << "old";
    Writer writer;
    writer.add_tensor("a", {1 << 20}, Format::f32, filled_with(1));
    {
        const FileSizeLimit limit(1 << 20);
        ASSERT_FALSE(writer.write(folder / "m.gguf"));
    }
    EXPECT_EQ(read_all(folder / "m.gguf"), "old");
    ASSERT_TRUE(writer.write(folder / "m.gguf"));
    EXPECT_EQ(read_all(folder / "m.gguf").substr(0, 4), "GGUF");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(GgufWriter, NoFolderIsAnError) {
    const TempDir folder;
    const auto written = Writer().write(folder / "none" / "m.gguf");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::not_found);
}

TEST(GgufWriterDeathTest, CallersMistakesAbort) {
    Writer writer;
    writer.add("k", true);
    EXPECT_DEATH(writer.add("k", true), "key k added twice");
    EXPECT_DEATH(writer.add_tensor("t", {33}, Format::q8_0, filled_with(0)), "not whole blocks of q8_0");
}

}  // namespace
}  // namespace atlas::gguf
