#include "runtime/gguf/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/gguf/raw_file.h"

namespace atlas::gguf {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::RawFile;

// A file whose every key must be understood; bytes laid out by hand from the specification.
RawFile every_type() {
    RawFile file;
    file.header(0, 14);
    file.key("u8", 0).put(uint8_t{200});
    file.key("i8", 1).put(int8_t{-5});
    file.key("u16", 2).put(uint16_t{60000});
    file.key("i16", 3).put(int16_t{-300});
    file.key("u32", 4).put(uint32_t{4000000000});
    file.key("i32", 5).put(int32_t{-70000});
    file.key("f32", 6).put(0.5f);
    file.key("bool", 7).put(uint8_t{1});
    file.key("string", 8).text("grüße");
    file.key("strings", 9).u32(8).u64(3).text("a").text("").text("a string that is too long to be stored in place");
    file.key("u64", 10).put(uint64_t{1} << 40);
    file.key("i64", 11).put(-(int64_t{1} << 40));
    file.key("f64", 12).put(0.1);
    file.key("floats", 9).u32(6).u64(2).put(1.0f).put(2.0f);
    return file;
}

TEST(GgufReader, ReadsEveryScalarType) {
    const RawFile raw = every_type();
    const auto file = File::parse(raw.bytes(), "test");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->version(), 3u);
    EXPECT_EQ(file->alignment(), 32u);
    EXPECT_EQ(file->u32("u8"), 200u);
    EXPECT_EQ(std::get<int64_t>(file->find("i8")->value), -5);
    EXPECT_EQ(file->u32("u16"), 60000u);
    EXPECT_EQ(std::get<int64_t>(file->find("i16")->value), -300);
    EXPECT_EQ(file->u32("u32"), 4000000000u);
    EXPECT_EQ(std::get<int64_t>(file->find("i32")->value), -70000);
    EXPECT_EQ(file->f32("f32"), 0.5f);
    EXPECT_EQ(file->boolean("bool"), true);
    EXPECT_EQ(file->string("string"), "grüße");
    EXPECT_EQ(std::get<uint64_t>(file->find("u64")->value), uint64_t{1} << 40);
    EXPECT_EQ(std::get<int64_t>(file->find("i64")->value), -(int64_t{1} << 40));
    EXPECT_EQ(file->f32("f64"), 0.1f);
    EXPECT_THAT(*file->strings("strings"), ElementsAre("a", "", "a string that is too long to be stored in place"));
    EXPECT_THAT(*file->floats("floats"), ElementsAre(1.0f, 2.0f));
    // In file order, with the stored type.
    EXPECT_EQ(file->key_values()[9].key, "strings");
    EXPECT_EQ(file->key_values()[9].type, 8u);
    EXPECT_TRUE(file->key_values()[9].is_array);
}

TEST(GgufReader, ReadsEveryArrayType) {
    RawFile raw;
    raw.header(0, 11);
    raw.key("u8", 9).u32(0).u64(2).put(uint8_t{1}).put(uint8_t{255});
    raw.key("i8", 9).u32(1).u64(2).put(int8_t{1}).put(int8_t{-128});
    raw.key("u16", 9).u32(2).u64(1).put(uint16_t{65535});
    raw.key("i16", 9).u32(3).u64(1).put(int16_t{-32768});
    raw.key("u32", 9).u32(4).u64(1).put(uint32_t{4294967295});
    raw.key("i32", 9).u32(5).u64(1).put(int32_t{-1});
    raw.key("u64", 9).u32(10).u64(1).put(uint64_t{1} << 63);
    raw.key("i64", 9).u32(11).u64(1).put(int64_t{-7});
    raw.key("f64", 9).u32(12).u64(1).put(0.1);
    raw.key("bool", 9).u32(7).u64(3).put(uint8_t{1}).put(uint8_t{0}).put(uint8_t{1});
    raw.key("none", 9).u32(8).u64(0);
    const auto file = File::parse(raw.bytes(), "test");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_THAT(*file->integers("u8"), ElementsAre(1, 255));
    EXPECT_THAT(*file->integers("i8"), ElementsAre(1, -128));
    EXPECT_THAT(*file->integers("u16"), ElementsAre(65535));
    EXPECT_THAT(*file->integers("i16"), ElementsAre(-32768));
    EXPECT_THAT(*file->integers("u32"), ElementsAre(4294967295));
    EXPECT_THAT(*file->integers("i32"), ElementsAre(-1));
    EXPECT_THAT(file->integers("u64").error().message, HasSubstr("found 9223372036854775808"));
    EXPECT_THAT(*file->integers("i64"), ElementsAre(-7));
    EXPECT_THAT(std::get<std::vector<double>>(file->find("f64")->value), ElementsAre(0.1));
    EXPECT_THAT(std::get<std::vector<bool>>(file->find("bool")->value), ElementsAre(true, false, true));
    EXPECT_TRUE(file->strings("none")->empty());
}

TEST(GgufReader, LookUpsSayWhatIsWrong) {
    const RawFile raw = every_type();
    const auto file = File::parse(raw.bytes(), "m.gguf");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->u32("absent").error().code, ErrorCode::not_found);
    EXPECT_EQ(file->u32("absent").error().message, "m.gguf: key 'absent' is missing");
    EXPECT_EQ(file->u32("string").error().code, ErrorCode::corrupt);
    EXPECT_EQ(file->u32("string").error().message, "m.gguf: key 'string': expected a whole number, found string");
    EXPECT_EQ(file->u32("i8").error().message, "m.gguf: key 'i8': expected 0 to 4294967295, found -5");
    EXPECT_EQ(file->u32("u64").error().message, "m.gguf: key 'u64': expected at most 4294967295, found 1099511627776");
    EXPECT_EQ(file->strings("floats").error().message,
              "m.gguf: key 'floats': expected an array of strings, found an array of f32");
    EXPECT_EQ(file->f32("u8").error().code, ErrorCode::corrupt);
    EXPECT_EQ(file->boolean("u8").error().code, ErrorCode::corrupt);
    EXPECT_EQ(file->u32_or("u8", 7), 200u);
    EXPECT_EQ(file->u32_or("absent", 7), 7u);
    EXPECT_EQ(file->f32_or("absent", 1.5f), 1.5f);
    EXPECT_EQ(file->boolean_or("bool", false), true);
    EXPECT_EQ(file->string_or("absent", "x"), "x");
    // A single number is an array of one.
    EXPECT_THAT(*file->integers("u8"), ElementsAre(200));
    EXPECT_THAT(*file->integers("i8"), ElementsAre(-5));
}

RawFile two_tensors(uint64_t second_offset, uint32_t version = 3) {
    RawFile file;
    file.header(2, 0, version).tensor("a", {3, 2}, 0, 0).tensor("b", {32, 1, 4}, 8, second_offset).pad(32);
    for (int i = 0; i < 6; ++i) file.put(static_cast<float>(i));
    return file.pad(32).zeros(4 * 34);
}

TEST(GgufReader, ReadsTensorsOutermostFirst) {
    for (const uint32_t version : {2u, 3u}) {
        const RawFile raw = two_tensors(32, version);
        const auto file = File::parse(raw.bytes(), "test");
        ASSERT_TRUE(file) << file.error().message;
        EXPECT_EQ(file->version(), version);
        const TensorInfo* a = file->find_tensor("a");
        ASSERT_TRUE(a);
        EXPECT_THAT(a->shape, ElementsAre(2, 3));
        EXPECT_EQ(a->format, Format::f32);
        EXPECT_EQ(a->bytes, 24u);
        float fourth = 0;
        std::memcpy(&fourth, file->data(*a).data() + 16, 4);
        EXPECT_EQ(fourth, 4.0f);
        const TensorInfo* b = file->find_tensor("b");
        ASSERT_TRUE(b);
        EXPECT_THAT(b->shape, ElementsAre(4, 1, 32));
        EXPECT_EQ(b->bytes, 4u * 34);
        EXPECT_EQ(file->data(*b).data() + b->bytes, raw.bytes().data() + raw.size());
        EXPECT_EQ(file->find_tensor("c"), nullptr);
    }
}

TEST(GgufReader, UnknownTensorTypeHasNoFormatAndNoBytes) {
    RawFile raw;
    raw.header(1, 0).tensor("a", {3}, 9999, 0).pad(32).zeros(12);
    const auto file = File::parse(raw.bytes(), "test");
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_FALSE(file->tensors()[0].format);
    EXPECT_EQ(file->tensors()[0].gguf_type, 9999u);
    EXPECT_TRUE(file->data(file->tensors()[0]).empty());
}

struct Damage {
    std::string_view name;
    RawFile file;
    ErrorCode code;
    std::string_view message;  // what it must contain: field, expected, found
};

// A table:
// clang-format off
std::vector<Damage> damages() {
    std::vector<Damage> all;
    const auto add = [&](std::string_view name, ErrorCode code, std::string_view message) -> RawFile& {
        return all.emplace_back(Damage{name, {}, code, message}).file;
    };
    const auto corrupt = [&](std::string_view name, std::string_view message) -> RawFile& { return add(name, ErrorCode::corrupt, message); };
    all.reserve(64);
    corrupt("empty", "the file is empty");
    add("zip", ErrorCode::unsupported, "a zip archive").raw("PK\x03\x04").zeros(100);
    add("html", ErrorCode::unsupported, "a web page").raw("\n<!DOCTYPE html><html>");
    add("safetensors", ErrorCode::unsupported, "a safetensors file").u64(2).raw("{}").zeros(8);
    add("lfs", ErrorCode::unsupported, "a Git LFS pointer").raw("version https://git-lfs.github.com/spec/v1\n");
    add("big_endian", ErrorCode::unsupported, "big-endian").raw("GGUF").u32(0x03000000).zeros(16);
    add("v1", ErrorCode::unsupported, "expected 2 or 3, found 1").header(0, 0, 1);
    add("v4", ErrorCode::unsupported, "version at byte 4: expected 2 or 3, found 4").header(0, 0, 4);
    corrupt("cut", "key count at byte 16: expected 8 more bytes, found 3").raw("GGUF").u32(3).u64(0).zeros(3);
    corrupt("key_count", "key count at byte 16: expected at most 0").header(0, UINT64_MAX);
    corrupt("tensor_count", "tensor count at byte 8: expected at most 0").header(uint64_t{1} << 63, 0);
    corrupt("key_length", "length of key 0 at byte 24: expected at most 12").header(0, 1).u64(UINT64_MAX).zeros(12);
    corrupt("empty_key", "length of key 0 at byte 24: expected 1 to 65535, found 0").header(0, 1).key("", 0).zeros(8);
    corrupt("value_type", "type of key 'k' at byte 33: expected 0 to 12, found 13").header(0, 1).key("k", 13).zeros(8);
    corrupt("element_type", "element type of key 'k' at byte 37").header(0, 1).key("k", 9).u32(77).u64(0);
    corrupt("nested", "arrays are not nested").header(0, 1).key("k", 9).u32(9).u64(1).u32(0).u64(1).put('x');
    corrupt("array_length", "key 'k' at byte 49: expected at most 2 values of 4 bytes").header(0, 1).key("k", 9).u32(4).u64(UINT64_MAX / 4 + 2).zeros(8);
    corrupt("string_count", "expected at most 1 strings").header(0, 1).key("k", 9).u32(8).u64(3).zeros(8);
    corrupt("string_length", "length of string 1 of key 'k' at byte 57: expected at most 0").header(0, 1).key("k", 9).u32(8).u64(2).text("").u64(1);
    corrupt("bool", "key 'k' at byte 37: expected a bool (0 or 1), found 2").header(0, 1).key("k", 7).put('\2');
    corrupt("bools", "key 'k' at byte 50: expected a bool (0 or 1), found 2").header(0, 1).key("k", 9).u32(7).u64(2).raw(std::string_view("\0\2", 2));
    corrupt("twice", "key 'k': expected once, found twice (entries 0 and 2)").header(0, 3).key_u32("k", 1).key_u32("j", 1).key_u32("k", 1);
    corrupt("alignment", "expected a power of two, found 24").header(0, 1).key_u32("general.alignment", 24);
    corrupt("alignment_0", "expected a power of two, found 0").header(0, 1).key_u32("general.alignment", 0);
    corrupt("alignment_type", "expected a u32, found i32").header(0, 1).key("general.alignment", 5).u32(32);
    corrupt("no_dims", "dimension count of tensor 'a' at byte 33: expected 1 to 4, found 0").header(1, 0).tensor("a", {}, 0, 0).zeros(64);
    corrupt("dims", "expected 1 to 4, found 5").header(1, 0).tensor("a", {1, 1, 1, 1, 1}, 0, 0).pad(32).zeros(64);
    corrupt("zero_dim", "dimension 1 of tensor 'a' at byte 45").header(1, 0).tensor("a", {4, 0}, 0, 0).pad(32).zeros(64);
    corrupt("product", "dimension 1 of tensor 'a'").header(1, 0).tensor("a", {uint64_t{1} << 32, uint64_t{1} << 32}, 0, 0).pad(32).zeros(64);
    corrupt("bytes", "are more than 2^64 bytes").header(1, 0).tensor("a", {uint64_t{1} << 62}, 0, 0).pad(32).zeros(64);
    corrupt("block", "expected a multiple of 32 (the block of q8_0), found 33").header(1, 0).tensor("a", {33, 32}, 8, 0).pad(32).zeros(2048);
    corrupt("no_name", "length of name of tensor 0 at byte 24").header(1, 0).tensor("", {4}, 0, 0).pad(32).zeros(64);
    corrupt("same_name", "name of tensor 'a': expected once, found twice").header(2, 0).tensor("a", {8}, 0, 0).tensor("a", {8}, 0, 32).pad(32).zeros(64);
    corrupt("unaligned", "expected a multiple of the alignment 32, found 4").header(1, 0).tensor("a", {4}, 0, 4).pad(32).zeros(64);
    corrupt("behind", "expected 16 bytes inside the data section of 64 bytes, found offset 96").header(1, 0).tensor("a", {4}, 0, 96).pad(32).zeros(64);
    corrupt("over_end", "expected 68 bytes inside the data section of 64 bytes").header(1, 0).tensor("a", {17}, 0, 0).pad(32).zeros(64);
    corrupt("offset_wraps", "offset of tensor 'a'").header(1, 0).tensor("a", {4}, 0, UINT64_MAX - 31).pad(32).zeros(64);
    all.push_back({"overlap", two_tensors(0), ErrorCode::corrupt, "offset of tensor 'b': expected"});
    return all;
}
// clang-format on

TEST(GgufReader, DamageIsNamed) {
    for (const Damage& damage : damages()) {
        const auto file = File::parse(damage.file.bytes(), "m.gguf");
        ASSERT_FALSE(file) << damage.name;
        EXPECT_EQ(file.error().code, damage.code) << damage.name << ": " << file.error().message;
        EXPECT_THAT(file.error().message, HasSubstr(damage.message)) << damage.name;
        EXPECT_TRUE(file.error().message.starts_with("m.gguf: ")) << damage.name;
    }
}

TEST(GgufReader, AlignmentMovesTheDataSection) {
    RawFile raw;
    raw.header(1, 1).key_u32("general.alignment", 128).tensor("a", {1}, 0, 128).pad(128).zeros(128).put(7.0f);
    const auto file = File::parse(raw.bytes(), "test");
    ASSERT_TRUE(file) << file.error().message;
    float value = 0;
    std::memcpy(&value, file->data(file->tensors()[0]).data(), 4);
    EXPECT_EQ(value, 7.0f);
}

TEST(GgufReader, MessagesAreSafeToPrint) {
    RawFile raw;
    raw.header(0, 1).key("\x1b[2J" + std::string(1000, 'x'), 99).zeros(8);
    const auto file = File::parse(raw.bytes(), "test");
    ASSERT_FALSE(file);
    EXPECT_THAT(file.error().message, HasSubstr("'\\x1b[2Jxxx"));
    EXPECT_LT(file.error().message.size(), 300u);
}

}  // namespace
}  // namespace atlas::gguf
