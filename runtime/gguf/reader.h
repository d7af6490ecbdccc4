#pragma once
// Reads GGUF v2 and v3 files, one or split in parts. Every length and offset is checked before it is used.
// Source: the GGUF specification (docs/gguf.md of the ggml project).

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "quant/format.h"
#include "runtime/base/error.h"

namespace atlas::gguf {

/// Values of the GGUF metadata, widened: all unsigned integers to uint64_t, signed to int64_t, floats to double.
/// Arrays of numbers, bools and strings are flat vectors; nested arrays are refused (no known file has them).
using Value = std::variant<uint64_t, int64_t, double, bool, std::string, std::vector<uint64_t>, std::vector<int64_t>,
                           std::vector<float>, std::vector<double>, std::vector<bool>, std::vector<std::string>>;

struct KeyValue {
    std::string key;
    uint32_t type = 0;  // GGUF's own number of the type as stored (for arrays: of the elements)
    bool is_array = false;
    Value value;
};

struct TensorInfo {
    std::string name;
    std::vector<uint64_t> shape;   // outermost first (the file stores innermost first); at most 4
    uint32_t gguf_type = 0;        // as stored
    std::optional<Format> format;  // nothing when this build does not know the type
    uint64_t offset_bytes = 0;     // in the data section of its part
    uint64_t bytes = 0;            // 0 when the type is unknown
    uint32_t part = 0;             // which file of a split model
};

/// An open model file. Immutable; views into it live as long as it does.
class File {
  public:
    /// Opens and checks `path`; of a split model ("-00001-of-00003.gguf") all the parts, whichever is named.
    /// Fails: not_found, io, corrupt (names the field, the expected and the found value), unsupported (version, byte
    /// order).
    static Result<File> open(const std::filesystem::path& path);
    /// The same from memory (for tests and fuzzing); the bytes must outlive the File. Allocates at most bytes.size() +
    /// 64 MiB.
    static Result<File> parse(std::span<const std::byte> bytes, std::string_view name);

    File(File&&) noexcept;
    File& operator=(File&&) noexcept;
    ~File();

    uint32_t version() const;
    uint32_t alignment() const;
    uint64_t file_bytes() const;  // all parts
    const std::filesystem::path& path() const;
    const std::vector<KeyValue>& key_values() const;  // in file order
    const std::vector<TensorInfo>& tensors() const;   // in file order

    const KeyValue* find(std::string_view key) const;
    const TensorInfo* find_tensor(std::string_view name) const;
    /// The tensor's bytes, mapped, not read yet. Empty for a tensor of unknown type.
    std::span<const std::byte> data(const TensorInfo& tensor) const;
    /// Tells the system that these bytes will not be needed again soon (they leave this process's memory).
    void release(const TensorInfo& tensor, uint64_t from_byte, uint64_t bytes) const;
    /// Asks the disk to start on bytes that will be needed soon; the range may reach past the tensor and past the
    /// file's end.
    void prefetch(const TensorInfo& tensor, uint64_t from_byte, uint64_t bytes) const;
    /// The data of a small tensor whose neighbours will not be read: disables read-ahead, so that only it is read.
    std::span<const std::byte> data_alone(const TensorInfo& tensor) const;
    /// Reads these bytes from the disk now. Fails: io (a bad disk, a file that became shorter).
    Result<void> populate(const TensorInfo& tensor, uint64_t from_byte, uint64_t bytes) const;

    /// Typed look-ups. Fails: not_found (names key and file), corrupt (the key has another type or the number does not
    /// fit).
    Result<uint32_t> u32(std::string_view key) const;
    Result<float> f32(std::string_view key) const;
    Result<bool> boolean(std::string_view key) const;
    Result<std::string_view> string(std::string_view key) const;
    Result<std::span<const std::string>> strings(std::string_view key) const;
    Result<std::span<const float>> floats(std::string_view key) const;
    /// An array of integers of any width, or a single integer as an array of one.
    Result<std::vector<int64_t>> integers(std::string_view key) const;

    /// The fallback stands in for a missing key and for one of another type; ask find() and the look-ups above where
    /// that matters.
    uint32_t u32_or(std::string_view key, uint32_t fallback) const;
    float f32_or(std::string_view key, float fallback) const;
    bool boolean_or(std::string_view key, bool fallback) const;
    std::string_view string_or(std::string_view key, std::string_view fallback) const;

  private:
    struct Parts;
    explicit File(std::unique_ptr<Parts> parts);
    static Result<void> join(Parts& parts);
    std::span<const std::byte> piece(const TensorInfo& tensor, uint64_t from_byte, uint64_t bytes) const;
    Result<const KeyValue*> require(std::string_view key) const;
    std::unique_ptr<Parts> parts_;
};

}  // namespace atlas::gguf
