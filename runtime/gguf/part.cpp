#include "runtime/gguf/part.h"

#include <array>
#include <bit>

#include "runtime/base/checked.h"
#include "runtime/gguf/cursor.h"
#include "runtime/gguf/sniff.h"

namespace atlas::gguf {
namespace {

struct TypeFacts {
    std::string_view name;
    uint64_t bytes;
};
constexpr std::array<TypeFacts, kValueTypes> kTypeFacts = {{{"u8", 1},
                                                            {"i8", 1},
                                                            {"u16", 2},
                                                            {"i16", 2},
                                                            {"u32", 4},
                                                            {"i32", 4},
                                                            {"f32", 4},
                                                            {"bool", 1},
                                                            {"string", 0},
                                                            {"array", 0},
                                                            {"u64", 8},
                                                            {"i64", 8},
                                                            {"f64", 8}}};

Result<uint32_t> read_version(Cursor& cursor) {
    ATLAS_TRY(const uint32_t version, cursor.number<uint32_t>("version"));
    // A small number written by a big-endian machine has its low half empty.
    if (version != 0 && (version & 0xFFFF) == 0) {
        return fail(ErrorCode::unsupported,
                    "version at byte 4: expected 2 or 3, found {:#010x}: this is a big-endian GGUF file; get the "
                    "little-endian one (or convert it with gguf-convert-endian)",
                    version);
    }
    if (version == 1) {
        return fail(ErrorCode::unsupported,
                    "version at byte 4: expected 2 or 3, found 1 (from 2023); get a newer file of this model");
    }
    if (version != 2 && version != 3)
        return fail(ErrorCode::unsupported, "version at byte 4: expected 2 or 3, found {}", version);
    return version;
}

Result<uint32_t> read_alignment(const PartTables& part) {
    for (const KeyValue& entry : part.key_values) {
        if (entry.key != kAlignmentKey) continue;
        const auto* number = std::get_if<uint64_t>(&entry.value);
        if (entry.is_array || entry.type != static_cast<uint32_t>(ValueType::u32) || !number) {
            return fail(ErrorCode::corrupt, "key '{}': expected a u32, found {}{}", kAlignmentKey,
                        entry.is_array ? "an array of " : "", value_type_name(entry.type));
        }
        if (!std::has_single_bit(*number)) {
            return fail(ErrorCode::corrupt, "key '{}': expected a power of two, found {}", kAlignmentKey, *number);
        }
        return static_cast<uint32_t>(*number);
    }
    return kDefaultAlignment;
}

}  // namespace

std::string_view value_type_name(uint32_t type) { return type < kValueTypes ? kTypeFacts[type].name : "unknown"; }
uint64_t value_type_bytes(uint32_t type) { return type < kValueTypes ? kTypeFacts[type].bytes : 0; }

Result<PartTables> read_part(std::span<const std::byte> bytes) {
    if (bytes.empty()) return fail(ErrorCode::corrupt, "the file is empty; expected a GGUF file");
    const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kMagic.size()));
    if (head != kMagic) {
        return fail(ErrorCode::unsupported, "magic at byte 0: expected 'GGUF', found something else: {}",
                    looks_like(bytes));
    }
    Cursor cursor(bytes);
    (void)cursor.number<uint32_t>("magic");
    PartTables part;
    ATLAS_TRY(part.version, read_version(cursor));
    ATLAS_TRY(const uint64_t n_tensors, cursor.number<uint64_t>("tensor count"));
    ATLAS_TRY(const uint64_t n_keys, cursor.number<uint64_t>("key count"));
    ATLAS_TRY_VOID(read_key_values(cursor, n_keys, part));
    ATLAS_TRY(part.alignment, read_alignment(part));
    ATLAS_TRY_VOID(read_tensor_infos(cursor, n_tensors, part));
    const auto data_start = checked_align_up(cursor.position(), part.alignment);
    if (!data_start)
        return fail(ErrorCode::corrupt, "key '{}': {} leaves no room for a data section", kAlignmentKey,
                    part.alignment);
    part.data_start = *data_start;
    ATLAS_TRY_VOID(check_tensor_data(cursor, part));
    return part;
}

}  // namespace atlas::gguf
