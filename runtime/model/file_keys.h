#pragma once

#include "runtime/gguf/reader.h"
#include "runtime/model/key_source.h"

namespace atlas {

/// The keys of a file, which must outlive this.
class FileKeys final : public KeySource {
  public:
    explicit FileKeys(const gguf::File& file) : file_(file) {}

    std::string architecture() const override;
    std::string name() const override;
    bool has(std::string_view key) const override;
    Result<std::vector<int64_t>> integers(std::string_view key) const override;
    Result<float> number(std::string_view key) const override;
    Result<std::string> text(std::string_view key) const override;
    bool flag_or(std::string_view key, bool fallback) const override;
    Result<uint32_t> n_vocab() const override;

  private:
    const gguf::File& file_;
};

}  // namespace atlas
