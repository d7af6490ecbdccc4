// The metadata: keys and values.
#include <algorithm>
#include <numeric>

#include "runtime/base/in_quotes.h"
#include "runtime/gguf/cursor.h"
#include "runtime/gguf/part.h"

namespace atlas::gguf {
namespace {

constexpr uint64_t kMaxKeyBytes = 65535;                   // specification, "gguf_metadata_kv_t"
constexpr uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;         // length, a character, type, the smallest value
constexpr uint64_t kHeapString = sizeof(std::string) + 1;  // on top of the characters

template <class T>
T load(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
}

template <class Stored, class Wide>
Result<Value> numbers(Cursor& cursor, std::string_view field, uint64_t count) {
    ATLAS_TRY(const auto block, cursor.block(field, count, sizeof(Stored)));
    ATLAS_TRY_VOID(cursor.charge(field, count, sizeof(Wide)));
    std::vector<Wide> values(count);
    for (size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<Wide>(load<Stored>(block.data() + i * sizeof(Stored)));
    return Value(std::move(values));
}

Result<bool> one_bool(std::string_view field, uint64_t position, std::byte byte) {
    const auto number = static_cast<uint8_t>(byte);
    if (number > 1)
        return fail(ErrorCode::corrupt, "{} at byte {}: expected a bool (0 or 1), found {}", field, position, number);
    return number == 1;
}

Result<Value> bools(Cursor& cursor, std::string_view field, uint64_t count) {
    const uint64_t start = cursor.position();
    ATLAS_TRY(const auto block, cursor.block(field, count, 1));
    ATLAS_TRY_VOID(cursor.charge(field, count / 8 + 8, 1));
    std::vector<bool> values(count);
    for (size_t i = 0; i < values.size(); ++i) {
        ATLAS_TRY(const bool value, one_bool(field, start + i, block[i]));
        values[i] = value;
    }
    return Value(std::move(values));
}

Result<Value> strings(Cursor& cursor, std::string_view field, uint64_t count) {
    if (count > cursor.remaining() / sizeof(uint64_t)) {
        return fail(ErrorCode::corrupt,
                    "{} at byte {}: expected at most {} strings (the bytes left in the file), found {}", field,
                    cursor.position(), cursor.remaining() / sizeof(uint64_t), count);
    }
    ATLAS_TRY_VOID(cursor.charge(field, count, sizeof(std::string)));
    std::vector<std::string> values(count);
    for (size_t i = 0; i < values.size(); ++i) {
        std::string_view text;
        if (!cursor.try_string(text))
            return tl::unexpected(cursor.string(fmt::format("string {} of {}", i, field)).error());
        if (!cursor.try_charge(text.size() + 1))
            return tl::unexpected(cursor.charge(field, text.size() + 1, 1).error());
        values[i].assign(text);
    }
    return Value(std::move(values));
}

Result<Value> array(Cursor& cursor, std::string_view field, uint32_t& type) {
    ATLAS_TRY(type, cursor.number<uint32_t>([&] { return fmt::format("element type of {}", field); }));
    ATLAS_TRY(const uint64_t count, cursor.number<uint64_t>([&] { return fmt::format("array length of {}", field); }));
    switch (static_cast<ValueType>(type)) {
        case ValueType::u8:
            return numbers<uint8_t, uint64_t>(cursor, field, count);
        case ValueType::i8:
            return numbers<int8_t, int64_t>(cursor, field, count);
        case ValueType::u16:
            return numbers<uint16_t, uint64_t>(cursor, field, count);
        case ValueType::i16:
            return numbers<int16_t, int64_t>(cursor, field, count);
        case ValueType::u32:
            return numbers<uint32_t, uint64_t>(cursor, field, count);
        case ValueType::i32:
            return numbers<int32_t, int64_t>(cursor, field, count);
        case ValueType::u64:
            return numbers<uint64_t, uint64_t>(cursor, field, count);
        case ValueType::i64:
            return numbers<int64_t, int64_t>(cursor, field, count);
        case ValueType::f32:
            return numbers<float, float>(cursor, field, count);
        case ValueType::f64:
            return numbers<double, double>(cursor, field, count);
        case ValueType::boolean:
            return bools(cursor, field, count);
        case ValueType::string:
            return strings(cursor, field, count);
        case ValueType::array:
            break;
    }
    return fail(ErrorCode::corrupt,
                "element type of {} at byte {}: expected 0 to 12 without 9 (arrays are not nested), found {}", field,
                cursor.position() - 12, type);
}

template <class Stored, class Wide>
Result<Value> number(Cursor& cursor, std::string_view field) {
    ATLAS_TRY(const Stored value, cursor.number<Stored>(field));
    return Value(static_cast<Wide>(value));
}

Result<Value> scalar(Cursor& cursor, std::string_view field, uint32_t type) {
    switch (static_cast<ValueType>(type)) {
        case ValueType::u8:
            return number<uint8_t, uint64_t>(cursor, field);
        case ValueType::i8:
            return number<int8_t, int64_t>(cursor, field);
        case ValueType::u16:
            return number<uint16_t, uint64_t>(cursor, field);
        case ValueType::i16:
            return number<int16_t, int64_t>(cursor, field);
        case ValueType::u32:
            return number<uint32_t, uint64_t>(cursor, field);
        case ValueType::i32:
            return number<int32_t, int64_t>(cursor, field);
        case ValueType::u64:
            return number<uint64_t, uint64_t>(cursor, field);
        case ValueType::i64:
            return number<int64_t, int64_t>(cursor, field);
        case ValueType::f32:
            return number<float, double>(cursor, field);
        case ValueType::f64:
            return number<double, double>(cursor, field);
        case ValueType::boolean: {
            ATLAS_TRY(const std::byte byte, cursor.number<std::byte>(field));
            ATLAS_TRY(const bool value, one_bool(field, cursor.position() - 1, byte));
            return Value(value);
        }
        case ValueType::string: {
            ATLAS_TRY(const std::string_view text, cursor.string(field));
            ATLAS_TRY_VOID(cursor.charge(field, text.size() + kHeapString, 1));
            return Value(std::string(text));
        }
        case ValueType::array:
            break;
    }
    return fail(ErrorCode::corrupt, "type of {} at byte {}: expected 0 to 12, found {}", field, cursor.position() - 4,
                type);
}

Result<KeyValue> read_entry(Cursor& cursor, uint64_t index) {
    const uint64_t start = cursor.position();
    ATLAS_TRY(const std::string_view key, cursor.string([&] { return fmt::format("key {}", index); }));
    if (key.empty() || key.size() > kMaxKeyBytes) {
        return fail(ErrorCode::corrupt, "length of key {} at byte {}: expected 1 to {}, found {}", index, start,
                    kMaxKeyBytes, key.size());
    }
    KeyValue entry;
    const std::string field = fmt::format("key {}", in_quotes(key));
    ATLAS_TRY_VOID(cursor.charge(field, key.size() + kHeapString, 1));
    entry.key = key;
    ATLAS_TRY(entry.type, cursor.number<uint32_t>([&] { return fmt::format("type of {}", field); }));
    entry.is_array = entry.type == static_cast<uint32_t>(ValueType::array);
    ATLAS_TRY(entry.value, entry.is_array ? array(cursor, field, entry.type) : scalar(cursor, field, entry.type));
    return entry;
}

}  // namespace

Result<void> read_key_values(Cursor& cursor, uint64_t n, PartTables& part) {
    if (n > cursor.remaining() / kMinEntryBytes) {
        return fail(ErrorCode::corrupt,
                    "key count at byte {}: expected at most {} (the bytes left in the file), found {}",
                    cursor.position() - sizeof(n), cursor.remaining() / kMinEntryBytes, n);
    }
    ATLAS_TRY_VOID(cursor.charge("key count", n, sizeof(KeyValue) + sizeof(uint32_t)));
    part.key_values.reserve(n);
    for (uint64_t i = 0; i < n; ++i) {
        ATLAS_TRY(KeyValue entry, read_entry(cursor, i));
        part.key_values.push_back(std::move(entry));
    }
    auto& order = part.keys_by_name;
    order.resize(n);
    std::iota(order.begin(), order.end(), 0u);
    const auto& entries = part.key_values;
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return entries[a].key < entries[b].key; });
    for (size_t i = 1; i < order.size(); ++i) {
        if (entries[order[i - 1]].key == entries[order[i]].key) {
            return fail(ErrorCode::corrupt, "key {}: expected once, found twice (entries {} and {})",
                        in_quotes(entries[order[i]].key), std::min(order[i - 1], order[i]),
                        std::max(order[i - 1], order[i]));
        }
    }
    return {};
}

}  // namespace atlas::gguf
