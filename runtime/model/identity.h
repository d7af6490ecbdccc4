#pragma once
// Says whether two files hold the same model, so that what was computed with one is not taken for the other's.

#include <string>

#include "runtime/base/sha256.h"
#include "runtime/model/weights.h"

namespace atlas {

/// A hash of the config, of every tensor's name, shape and format, and of the first bytes of its content. It tells
/// models, quantizations and fine-tunings apart; it is no protection against a model built to collide with another.
class ModelIdentity {
  public:
    explicit ModelIdentity(const ModelConfig& config);
    /// In the order of loading. content: the tensor's bytes in the file, of which kSampleBytes count; may be empty.
    void add(const ResolvedWeight& weight, std::span<const std::byte> content);
    static constexpr uint64_t kSampleBytes = 256;
    /// 64 hexadecimal digits. Ends it.
    std::string hexadecimal() { return hash_.hexadecimal(); }

  private:
    void add_text(std::string_view text);
    Sha256 hash_;
};

}  // namespace atlas
