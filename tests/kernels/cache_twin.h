#pragma once
// A KV cache on both sides: on the host rows as in files (RefOps), on the device as shaders/common/cache_layout.glsl
// lays them out.

#include <algorithm>

#include "runtime/ops/kv_layout.h"
#include "tests/kernels/twin.h"

namespace atlas::test {

/// Where the parts of a block lie in a file and in a row of the cache, written down here a second time.
struct CachePart {
    uint32_t bytes = 0;  // of each block
    uint32_t in_block = 0;
};
inline std::vector<CachePart> cache_parts(Format format) {
    switch (format) {
        case Format::q8_0:
            return {{32, 2}, {2, 0}};
        case Format::q5_1:
            return {{16, 8}, {4, 4}, {4, 0}};
        case Format::q5_0:
            return {{16, 6}, {4, 2}, {2, 0}};
        case Format::q4_1:
            return {{16, 4}, {4, 0}};
        case Format::q4_0:
            return {{16, 2}, {2, 0}};
        default:
            return {{info(format).block_bytes, 0}};
    }
}

/// Calls move(byte in a file's row, byte in a cache row, count) for every piece of a row.
template <class Move>
void for_cache_pieces(Format format, uint32_t cols, Move move) {
    const uint32_t blocks = cols / info(format).block_elems, block_bytes = info(format).block_bytes;
    uint64_t plane = 0;
    for (const CachePart& part : cache_parts(format)) {
        for (uint32_t b = 0; b < blocks; ++b)
            move(uint64_t{b} * block_bytes + part.in_block, plane + uint64_t{b} * part.bytes, part.bytes);
        plane += uint64_t{blocks} * part.bytes;
    }
}

class CacheTwin final : public Twin {
  public:
    /// Rows follow each other; the device's begin 48 bytes into the storage.
    CacheTwin(VkBackend& vk, Format format, uint32_t rows, uint32_t cols) : Twin(vk, format, rows, cols, {0, 0}) {
        bytes_.resize(kFirstByte + rows * kv_row_bytes(format, cols) + kGuardBytes);
        auto made = vk.allocate(MemoryUse::output, bytes_.size(), "cache twin");
        EXPECT_TRUE(made) << (made ? "" : made.error().message);
        device_ = std::move(*made);
    }

    Tensor on(Side side) const override {
        Tensor view = Twin::on(side);
        if (side == Side::device) view.offset_bytes = kFirstByte;
        return view;
    }
    void to_device() override {
        for (uint64_t i = 0; i < bytes_.size(); ++i) bytes_[i] = std::byte(0xA5 ^ (i * 29));
        for_pieces([&](uint64_t host_at, uint64_t device_at, uint32_t n) {
            std::memcpy(&bytes_[device_at], host_->data() + host_at, n);
        });
        vk_.write(*device_, 0, bytes_);
    }
    void from_device() override {
        std::vector<std::byte> found(bytes_.size());
        vk_.read(*device_, 0, found);
        result_.assign(host_->data(), host_->data() + host_->bytes());
        for_pieces([&](uint64_t host_at, uint64_t device_at, uint32_t n) {
            std::memcpy(&result_[host_at], &found[device_at], n);
            std::copy_n(found.begin() + std::ptrdiff_t(device_at), n, bytes_.begin() + std::ptrdiff_t(device_at));
        });
        const auto differ = std::mismatch(found.begin(), found.end(), bytes_.begin());
        EXPECT_TRUE(differ.first == found.end())
            << "byte " << differ.first - found.begin() << " of the cache's gaps changed";
    }

  private:
    static constexpr uint64_t kFirstByte = 48;
    template <class Move>
    void for_pieces(Move move) {
        const Tensor view = Twin::on(Side::host);
        for (uint32_t r = 0; r < view.rows; ++r) {
            const uint64_t host_row = view.offset_bytes + r * view.row_stride_bytes(),
                           device_row = kFirstByte + r * kv_row_bytes(view.format, view.cols);
            for_cache_pieces(view.format, view.cols, [&](uint64_t in_file, uint64_t in_row, uint32_t n) {
                move(host_row + in_file, device_row + in_row, n);
            });
        }
    }
    std::vector<std::byte> bytes_;  // as sent
};

}  // namespace atlas::test
