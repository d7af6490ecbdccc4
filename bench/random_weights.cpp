#include "bench/random_weights.h"

#include <algorithm>

#include "quant/codec.h"

namespace atlas::bench {

namespace {

constexpr uint32_t kDistinctElems = 1 << 16;
constexpr uint64_t kChunkBytes = uint64_t{8} << 20;
constexpr float kSigma = 0.02f;

// A linear congruential generator (Knuth's MMIX constants); the sum of four draws is bell-shaped enough.
class Bell {
  public:
    float draw() {
        float sum = 0;
        for (int i = 0; i < 4; ++i) {
            state_ = state_ * 6364136223846793005u + 1442695040888963407u;
            sum += float(state_ >> 40) / float(1 << 24) - 0.5f;
        }
        return sum * 1.7320508f;  // variance 4 / 12
    }

  private:
    uint64_t state_ = 1;
};

}  // namespace

std::vector<std::byte> random_blocks(Format format, float sigma, uint64_t bytes) {
    Bell bell;
    std::vector<float> values(kDistinctElems);
    for (float& value : values) value = sigma * bell.draw();
    std::vector<std::byte> once(bytes_of(format, values.size()));
    quantize_row(format, values, once);
    std::vector<std::byte> all;
    all.reserve(bytes + once.size());
    while (all.size() < bytes) all.insert(all.end(), once.begin(), once.end());
    return all;
}

Result<void> RandomWeights::fill(const ResolvedWeight& weight, Storage& to, uint64_t offset_bytes) {
    if (weight.rows > 1) return fill_matrix(weight.format, weight.layout, weight.bytes(), to, offset_bytes);
    ATLAS_CHECK(weight.format == Format::f32, "a vector in {}", info(weight.format).name);
    const bool is_bias = weight.source->name.ends_with(".bias");
    const std::vector<float> values(weight.cols, is_bias ? 0.0f : 1.0f);  // norms, and rope factors
    return backend_.upload(to, offset_bytes, std::as_bytes(std::span(values)));
}

Result<void> RandomWeights::fill_matrix(Format format, Layout layout, uint64_t bytes, Storage& to,
                                        uint64_t offset_bytes) {
    std::vector<std::byte>& chunk = chunks_[size_t(format)][size_t(layout)];
    if (chunk.empty()) {
        chunk = random_blocks(format, kSigma, kChunkBytes);
        if (layout == Layout::planar) {
            const std::vector<std::byte> blocks = chunk;  // a power of two of blocks: whole groups
            to_planar(format, blocks, chunk);
        }
    }
    for (uint64_t at = 0; at < bytes; at += chunk.size()) {
        ATLAS_TRY_VOID(backend_.upload(to, offset_bytes + at,
                                       std::span(chunk).first(std::min<uint64_t>(chunk.size(), bytes - at))));
    }
    return {};
}

}  // namespace atlas::bench
