#pragma once
// Writes GGUF v3 files: beside the final name, renamed when complete.

#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "quant/format.h"
#include "runtime/base/error.h"
#include "runtime/gguf/reader.h"

namespace atlas::gguf {

/// Collects keys and tensors, then writes them in the order they came. Mistakes of the caller (a key or tensor twice, a
/// row that is no multiple of the block) are our own bugs and abort.
class Writer {
  public:
    /// Adds a key with the natural type of the C++ value. Requires that the key is new.
    void add(std::string_view key, uint32_t value);
    void add(std::string_view key, int32_t value);
    void add(std::string_view key, uint64_t value);
    void add(std::string_view key, float value);
    void add(std::string_view key, bool value);
    void add(std::string_view key, std::string_view value);
    void add(std::string_view key, const char* value) { add(key, std::string_view(value)); }
    void add(std::string_view key, const std::string& value) { add(key, std::string_view(value)); }
    void add(std::string_view key, const std::vector<std::string>& value);
    void add(std::string_view key, const std::vector<float>& value);
    void add(std::string_view key, const std::vector<int32_t>& value);
    void add(std::string_view key, const std::vector<uint32_t>& value);
    /// Copies a key from another file, with its stored type. "general.alignment" also sets this file's alignment.
    void add(const KeyValue& key_value);

    using Produce = std::function<Result<void>(std::span<std::byte>)>;
    /// Declares a tensor, shape outermost first; `produce` is called once per write(), in order, and fills the whole
    /// span or fails, which ends write(). It returns Result<void>, or void where it cannot fail.
    template <class Function>
    void add_tensor(std::string name, std::vector<uint64_t> shape, Format format, Function produce) {
        if constexpr (std::is_void_v<std::invoke_result_t<Function&, std::span<std::byte>>>) {
            declare(std::move(name), std::move(shape), format,
                    [produce = std::move(produce)](std::span<std::byte> out) mutable -> Result<void> {
                        produce(out);
                        return {};
                    });
        } else {
            declare(std::move(name), std::move(shape), format, std::move(produce));
        }
    }

    /// Fails: io, not_found (disk full, no permission, no folder: what, where), what `produce` returns. On failure
    /// `path` is as it was before.
    Result<void> write(const std::filesystem::path& path) const;

    /// Writes keys and tensor table, and makes the file as long as it would be with its data, which reads as zeros and
    /// takes no room on file systems that support holes. `produce` is not called. Fails: as write.
    Result<void> write_without_data(const std::filesystem::path& path) const;

  private:
    struct PendingTensor {
        std::string name;
        std::vector<uint64_t> shape;
        Format format;
        Produce produce;
    };
    void declare(std::string name, std::vector<uint64_t> shape, Format format, Produce produce);
    std::vector<std::byte> head() const;

    std::vector<std::byte> encoded_keys_;
    std::set<std::string, std::less<>> key_names_;
    std::set<std::string, std::less<>> tensor_names_;
    uint32_t alignment_ = 32;
    std::vector<PendingTensor> tensors_;
};

}  // namespace atlas::gguf
