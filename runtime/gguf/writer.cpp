#include "runtime/gguf/writer.h"

#include <bit>
#include <cstring>

#include "runtime/base/atomic_file.h"
#include "runtime/base/check.h"
#include "runtime/base/checked.h"
#include "runtime/base/in_quotes.h"
#include "runtime/gguf/part.h"

namespace atlas::gguf {
namespace {

constexpr uint32_t kWrittenVersion = 3;

void put_bytes(std::vector<std::byte>& out, const void* from, size_t bytes) {
    const auto* first = static_cast<const std::byte*>(from);
    out.insert(out.end(), first, first + bytes);
}

template <class T>
void put(std::vector<std::byte>& out, T value) {
    put_bytes(out, &value, sizeof(T));
}

void put_text(std::vector<std::byte>& out, std::string_view text) {
    put<uint64_t>(out, text.size());
    put_bytes(out, text.data(), text.size());
}

/// A widened number in its stored type.
template <class Wide>
void put_number(std::vector<std::byte>& out, uint32_t type, Wide value) {
    switch (static_cast<ValueType>(type)) {
        case ValueType::u8:
            return put(out, static_cast<uint8_t>(value));
        case ValueType::i8:
            return put(out, static_cast<int8_t>(value));
        case ValueType::u16:
            return put(out, static_cast<uint16_t>(value));
        case ValueType::i16:
            return put(out, static_cast<int16_t>(value));
        case ValueType::u32:
            return put(out, static_cast<uint32_t>(value));
        case ValueType::i32:
            return put(out, static_cast<int32_t>(value));
        case ValueType::u64:
            return put(out, static_cast<uint64_t>(value));
        case ValueType::i64:
            return put(out, static_cast<int64_t>(value));
        case ValueType::f32:
            return put(out, static_cast<float>(value));
        case ValueType::f64:
            return put(out, static_cast<double>(value));
        case ValueType::boolean:
            return put(out, static_cast<uint8_t>(value));
        case ValueType::string:
        case ValueType::array:
            break;
    }
    ATLAS_CHECK(false, "type {} is not a number", type);
}

void put_value(std::vector<std::byte>& out, uint32_t type, const std::string& text) {
    ATLAS_CHECK_EQ(type, static_cast<uint32_t>(ValueType::string));
    put_text(out, text);
}
void put_value(std::vector<std::byte>& out, uint32_t type, uint64_t value) { put_number(out, type, value); }
void put_value(std::vector<std::byte>& out, uint32_t type, int64_t value) { put_number(out, type, value); }
void put_value(std::vector<std::byte>& out, uint32_t type, double value) { put_number(out, type, value); }
void put_value(std::vector<std::byte>& out, uint32_t type, float value) { put_number(out, type, value); }
void put_value(std::vector<std::byte>& out, uint32_t type, bool value) { put_number(out, type, value); }

template <class T>
void put_value(std::vector<std::byte>& out, uint32_t type, const std::vector<T>& values) {
    put<uint32_t>(out, type);
    put<uint64_t>(out, values.size());
    for (const auto& value : values) put_value(out, type, static_cast<const T&>(value));
}

void pad(std::vector<std::byte>& out, uint32_t alignment) {
    out.resize((out.size() + alignment - 1) / alignment * alignment);
}

uint64_t tensor_bytes(const std::vector<uint64_t>& shape, Format format) {
    uint64_t elems = 1;
    for (const uint64_t dim : shape) elems *= dim;  // declare() has checked the product
    return bytes_of(format, elems);
}

template <class T>
KeyValue scalar(std::string_view key, ValueType type, T value) {
    return {std::string(key), static_cast<uint32_t>(type), false, Value(std::move(value))};
}

template <class T>
KeyValue array(std::string_view key, ValueType type, std::vector<T> values) {
    return {std::string(key), static_cast<uint32_t>(type), true, Value(std::move(values))};
}

}  // namespace

void Writer::add(std::string_view key, uint32_t value) { add(scalar(key, ValueType::u32, uint64_t{value})); }
void Writer::add(std::string_view key, int32_t value) { add(scalar(key, ValueType::i32, int64_t{value})); }
void Writer::add(std::string_view key, uint64_t value) { add(scalar(key, ValueType::u64, value)); }
void Writer::add(std::string_view key, float value) { add(scalar(key, ValueType::f32, static_cast<double>(value))); }
void Writer::add(std::string_view key, bool value) { add(scalar(key, ValueType::boolean, value)); }
void Writer::add(std::string_view key, std::string_view value) {
    add(scalar(key, ValueType::string, std::string(value)));
}
void Writer::add(std::string_view key, const std::vector<std::string>& value) {
    add(array(key, ValueType::string, value));
}
void Writer::add(std::string_view key, const std::vector<float>& value) { add(array(key, ValueType::f32, value)); }
void Writer::add(std::string_view key, const std::vector<int32_t>& value) {
    add(array(key, ValueType::i32, std::vector<int64_t>(value.begin(), value.end())));
}
void Writer::add(std::string_view key, const std::vector<uint32_t>& value) {
    add(array(key, ValueType::u32, std::vector<uint64_t>(value.begin(), value.end())));
}

void Writer::add(const KeyValue& entry) {
    ATLAS_CHECK(!entry.key.empty(), "a key needs a name");
    ATLAS_CHECK(key_names_.insert(entry.key).second, "key {} added twice", entry.key);
    if (entry.key == kAlignmentKey) {
        const auto* value = std::get_if<uint64_t>(&entry.value);
        ATLAS_CHECK(value && std::has_single_bit(*value) && *value <= UINT32_MAX, "{} must be a power of two",
                    kAlignmentKey);
        alignment_ = static_cast<uint32_t>(*value);
    }
    put_text(encoded_keys_, entry.key);
    put<uint32_t>(encoded_keys_, entry.is_array ? static_cast<uint32_t>(ValueType::array) : entry.type);
    std::visit([&](const auto& value) { put_value(encoded_keys_, entry.type, value); }, entry.value);
}

void Writer::declare(std::string name, std::vector<uint64_t> shape, Format format, Produce produce) {
    ATLAS_CHECK(!name.empty() && tensor_names_.insert(name).second, "tensor '{}' added twice, or without a name", name);
    ATLAS_CHECK(!shape.empty() && shape.size() <= kMaxDims, "tensor {} has {} dimensions", name, shape.size());
    ATLAS_CHECK(shape.back() % info(format).block_elems == 0, "tensor {}: rows of {} are not whole blocks of {}", name,
                shape.back(), info(format).name);
    std::optional<uint64_t> elems = 1;
    for (const uint64_t dim : shape) elems = elems ? checked_mul(*elems, dim) : elems;
    ATLAS_CHECK(elems && *elems > 0 && checked_mul(*elems, info(format).block_bytes), "tensor {}: impossible size",
                name);
    tensors_.push_back({std::move(name), std::move(shape), format, std::move(produce)});
}

/// Everything before the data section, padded to where it begins.
std::vector<std::byte> Writer::head() const {
    std::vector<std::byte> out;
    put_bytes(out, kMagic.data(), kMagic.size());
    put<uint32_t>(out, kWrittenVersion);
    put<uint64_t>(out, tensors_.size());
    put<uint64_t>(out, key_names_.size());
    out.insert(out.end(), encoded_keys_.begin(), encoded_keys_.end());
    uint64_t offset = 0;
    for (const PendingTensor& tensor : tensors_) {
        put_text(out, tensor.name);
        put<uint32_t>(out, static_cast<uint32_t>(tensor.shape.size()));
        for (size_t i = tensor.shape.size(); i-- > 0;)
            put<uint64_t>(out, tensor.shape[i]);  // innermost first in the file
        put<uint32_t>(out, info(tensor.format).gguf_id);
        put<uint64_t>(out, offset);
        const auto next = checked_add(offset, tensor_bytes(tensor.shape, tensor.format));
        const auto aligned = next ? checked_align_up(*next, alignment_) : next;
        ATLAS_CHECK(aligned, "the tensors need more than 2^64 bytes");
        offset = *aligned;
    }
    pad(out, alignment_);
    return out;
}

Result<void> Writer::write(const std::filesystem::path& path) const {
    ATLAS_TRY(AtomicFile file, AtomicFile::create(path));
    ATLAS_TRY_VOID(file.write(head()));
    std::vector<std::byte> data;
    for (const PendingTensor& tensor : tensors_) {
        const uint64_t bytes = tensor_bytes(tensor.shape, tensor.format);
        data.assign(bytes, std::byte{0});
        ATLAS_TRY_VOID(tensor.produce(data));
        pad(data, alignment_);
        ATLAS_TRY_VOID(file.write(data));
    }
    return file.commit();
}

Result<void> Writer::write_without_data(const std::filesystem::path& path) const {
    const std::vector<std::byte> first = head();
    uint64_t bytes = first.size();
    for (const PendingTensor& tensor : tensors_) {
        const auto end = checked_add(bytes, tensor_bytes(tensor.shape, tensor.format));
        const auto aligned = end ? checked_align_up(*end, alignment_) : end;
        ATLAS_CHECK(aligned, "the tensors need more than 2^64 bytes");
        bytes = *aligned;
    }
    ATLAS_TRY(AtomicFile file, AtomicFile::create(path));
    ATLAS_TRY_VOID(file.write(first));
    ATLAS_TRY_VOID(file.commit());
    std::error_code error;
    std::filesystem::resize_file(path, bytes, error);
    if (error)
        return fail(ErrorCode::io, "{}: cannot be made {} bytes long: {}", printable(path.string(), 400), bytes,
                    error.message());
    return {};
}

}  // namespace atlas::gguf
