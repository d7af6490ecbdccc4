#pragma once
// One GGUF file read into tables; for the files of gguf/ only. A model is one part, or several when it is split.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/gguf/reader.h"

namespace atlas::gguf {

// GGUF's numbers of the value types (specification, "gguf_metadata_value_type").
enum class ValueType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
inline constexpr uint32_t kValueTypes = 13;

inline constexpr std::string_view kMagic = "GGUF";
inline constexpr std::string_view kAlignmentKey = "general.alignment";
inline constexpr uint32_t kDefaultAlignment = 32;
inline constexpr uint32_t kMaxDims = 4;

/// "u32", "string", or "unknown" for a number that names no type.
std::string_view value_type_name(uint32_t type);
/// Bytes of one value in the file; 0 for strings, arrays and unknown types.
uint64_t value_type_bytes(uint32_t type);

struct PartTables {
    uint32_t version = 0;
    uint32_t alignment = kDefaultAlignment;
    uint64_t data_start = 0;  // where the data section begins in the file
    std::vector<KeyValue> key_values;
    std::vector<uint32_t> keys_by_name;  // indices into key_values, sorted by key
    std::vector<TensorInfo> tensors;
    std::vector<uint32_t> tensors_by_name;
};

/// Reads and checks the whole header. Messages begin with the field; the caller prefixes the file's name.
Result<PartTables> read_part(std::span<const std::byte> bytes);

class Cursor;
/// The steps of read_part: `n` entries each, appended to the tables.
Result<void> read_key_values(Cursor& cursor, uint64_t n, PartTables& part);
Result<void> read_tensor_infos(Cursor& cursor, uint64_t n, PartTables& part);
/// Checks what a tensor's offset promises about the data section: inside, aligned, no two overlap.
Result<void> check_tensor_data(const Cursor& cursor, const PartTables& part);

}  // namespace atlas::gguf
