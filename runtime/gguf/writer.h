#pragma once
// Writes GGUF v3 files: beside the final name, renamed when complete.

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "quant/format.h"
#include "runtime/base/error.h"
#include "runtime/gguf/reader.h"

namespace atlas::gguf {

class Writer {
  public:
    /// Adds a key with the natural type of the C++ value. Requires that the key is new.
    void add(std::string key, uint32_t value);
    void add(std::string key, int32_t value);
    void add(std::string key, uint64_t value);
    void add(std::string key, float value);
    void add(std::string key, bool value);
    void add(std::string key, std::string value);
    void add(std::string key, const char* value) { add(std::move(key), std::string(value)); }
    void add(std::string key, std::vector<std::string> value);
    void add(std::string key, std::vector<float> value);
    void add(std::string key, std::vector<int32_t> value);
    void add(std::string key, std::vector<uint32_t> value);
    /// Copies a key as it stands in another file, with its stored type.
    void add(const KeyValue& key_value);

    /// Declares a tensor, shape outermost first; `produce` is called once, in order, when the file is written, and fills the whole span.
    void add_tensor(std::string name, std::vector<uint64_t> shape, Format format, std::function<void(std::span<std::byte>)> produce);

    /// Fails: io (disk full, no permission: what, where). On failure nothing is left under `path`.
    Result<void> write(const std::filesystem::path& path) const;

  private:
    struct PendingTensor {
        std::string name;
        std::vector<uint64_t> shape;
        Format format;
        std::function<void(std::span<std::byte>)> produce;
    };
    std::vector<std::byte> header_;  // encoded key-values
    uint64_t n_keys_ = 0;
    std::vector<PendingTensor> tensors_;
};

}  // namespace atlas::gguf
